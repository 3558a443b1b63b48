//! What a benchmark executes: two commits whose built programs are the same to the byte need no timing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::CommandLine;
use crate::sys::stream::digest;

/// SHA-256 of the program that `command` executes in `cwd`, when that is a built file: named by a path and not
/// `tracked`. Absent for scripts, interpreters and programs found along PATH, whose source is compared instead.
///
/// # Errors
/// The file system's, when the program is there but cannot be read.
pub fn built_artefact(
    command: &CommandLine,
    cwd: &Path,
    tracked: &dyn Fn(&Path) -> bool,
) -> io::Result<Option<String>> {
    // A shell line may run anything.
    let CommandLine::Argv(words) = command else {
        return Ok(None);
    };
    let Some(program) = words.first().filter(|word| word.contains('/')) else {
        return Ok(None);
    };
    let path: PathBuf = cwd.join(program.trim_start_matches("./"));
    if !path.starts_with(cwd) || tracked(&path) || !path.is_file() {
        return Ok(None);
    }
    File::open(&path).and_then(|file| digest(&file)).map(|captured| Some(captured.sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_built_programs_have_an_artefact() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app"), "binary").unwrap();
        let artefact = |line: &str, tracked: bool| {
            built_artefact(&CommandLine::parse(line).unwrap(), folder.path(), &|_| tracked).unwrap()
        };
        assert!(artefact("./app --fast", false).is_some());
        assert_eq!(artefact("./app", true), None);
        assert_eq!(artefact("python3 app", false), None);
        assert_eq!(artefact("/bin/true", false), None);
        assert_eq!(artefact("./missing", false), None);
        assert_eq!(artefact("./app | cat", false), None);
    }
}
