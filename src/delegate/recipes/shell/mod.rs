//! Recipes for shell scripts: what the shell can do itself, and what need not wait.

mod process_per_line;
mod sequential_loop;
mod source;
mod values;

pub(super) use process_per_line::ProcessPerLine;
pub(super) use sequential_loop::SequentialLoop;

#[cfg(test)]
mod testing {
    use std::path::Path;

    /// The shells of this machine that scripts are tried in; `sh` is always one.
    pub const SHELLS: &[&str] = &["sh", "dash", "bash"];

    /// Standard output and exit code of a script in a folder; absent where the shell is not installed.
    #[expect(clippy::disallowed_methods, reason = "tests run both forms in real shells")]
    pub fn run(shell: &str, script: &str, folder: &Path) -> Option<(String, Option<i32>)> {
        let ran = std::process::Command::new(shell).args(["-c", script]).current_dir(folder).output().ok()?;
        Some((String::from_utf8_lossy(&ran.stdout).into_owned(), ran.status.code()))
    }
}
