//! Recipes for shell scripts: what the shell can do itself, and what need not wait.

mod process_per_line;
mod sequential_loop;
mod source;
mod values;

pub(super) use process_per_line::ProcessPerLine;
pub(super) use sequential_loop::SequentialLoop;

#[cfg(test)]
mod differential;

#[cfg(test)]
mod testing {
    use std::path::Path;
    use std::process::{Command, Stdio};

    /// The shells of this machine that scripts are tried in.
    pub fn shells() -> Vec<&'static str> {
        let all = ["dash", "bash", "ash"];
        #[expect(clippy::disallowed_methods, reason = "asks which shells there are")]
        let found = all.into_iter().filter(|shell| Command::new(shell).args(["-c", ":"]).status().is_ok());
        let found: Vec<&str> = found.collect();
        if found.is_empty() { vec!["sh"] } else { found }
    }

    /// Standard output, standard error and exit code of a script, which is not in the folder that it runs in; absent
    /// where the shell is not installed.
    #[expect(clippy::disallowed_methods, reason = "tests run both forms in real shells")]
    pub fn run(shell: &str, script: &[u8], folder: &Path) -> Option<(String, String, Option<i32>)> {
        let place = tempfile::tempdir().ok()?;
        let file = place.path().join("a.sh");
        std::fs::write(&file, script).ok()?;
        let ran = Command::new(shell).arg(&file).current_dir(folder).stdin(Stdio::null()).output().ok()?;
        let shown = |bytes: &[u8]| {
            let text = bytes.escape_ascii().to_string();
            text.replace(&file.to_string_lossy().into_owned(), "a.sh")
        };
        Some((shown(&ran.stdout), shown(&ran.stderr), ran.status.code()))
    }
}
