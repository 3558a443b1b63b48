//! Why there is no sample.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::CommandLine;
use crate::sys::launch::LaunchError;
use crate::sys::wire::{RunEnd, RunFailure};

/// A run that could not be made. How a program that did run ended is no error: it is in its record.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    #[error("command not found: {program} (looked for from {})", cwd.display())]
    CommandNotFound { program: String, cwd: PathBuf },
    #[error("not executable: {program}")]
    NotExecutable { program: String, source: io::Error },
    /// Anything else that the system has against the start, for example arguments that are too long.
    #[error("{operation} {object}")]
    Spawn { operation: String, object: String, source: io::Error },
    #[error("the prepare command failed ({end}): {command}")]
    Prepare {
        command: CommandLine,
        end: RunEnd,
        /// The last lines it printed.
        tail: String,
    },
    #[error("the runner process died ({status}): {message}")]
    RunnerDied { status: String, message: String },
    #[error("no space left on the disk or in the quota for {}", path.display())]
    DiskFull { path: PathBuf },
    #[error("{operation} {}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    /// Ctrl-C or a termination request; whatever ran is gone.
    #[error("interrupted")]
    Interrupted,
}

impl MeasureError {
    pub(super) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_disk_full(&source) { Self::DiskFull { path } } else { Self::Io { operation, path, source } }
    }

    pub(super) fn from_launch(error: LaunchError) -> Self {
        match error {
            LaunchError::Start { exe, source } => Self::io("start the runner", &exe, source),
            LaunchError::Encode(error) => Self::Spawn {
                operation: "encode".to_owned(),
                object: "the request".to_owned(),
                source: error.into(),
            },
            LaunchError::Talk(source) => {
                Self::Spawn { operation: "talk to".to_owned(), object: "the runner".to_owned(), source }
            }
            LaunchError::Died { status, message } => Self::RunnerDied { status: status.to_string(), message },
        }
    }

    pub(super) fn from_failure(failure: RunFailure, cwd: &Path) -> Self {
        let RunFailure { operation, object, errno } = failure;
        let source = io::Error::from_raw_os_error(errno);
        match (operation.as_str(), errno) {
            _ if is_disk_full(&source) => Self::DiskFull { path: object.into() },
            ("exec", libc::ENOENT | libc::ENOTDIR) => {
                Self::CommandNotFound { program: object, cwd: cwd.to_owned() }
            }
            ("exec", libc::EACCES | libc::EPERM | libc::ENOEXEC) => {
                Self::NotExecutable { program: object, source }
            }
            _ => Self::Spawn { operation, object, source },
        }
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_runner_become_typed() {
        let check = |operation: &str, errno: i32, expected: &str| {
            let failure = RunFailure { operation: operation.to_owned(), object: "x".to_owned(), errno };
            let error = MeasureError::from_failure(failure, Path::new("/w"));
            assert_eq!(error.to_string(), expected);
        };
        check("exec", libc::ENOENT, "command not found: x (looked for from /w)");
        check("exec", libc::EACCES, "not executable: x");
        check("exec", libc::ENOEXEC, "not executable: x");
        check("exec", libc::E2BIG, "exec x");
        check("start the interpreter of", libc::ENOENT, "start the interpreter of x");
        check("open stdin", libc::ENOENT, "open stdin x");
        check("write stdout", libc::ENOSPC, "no space left on the disk or in the quota for x");
        check("write stdout", libc::EDQUOT, "no space left on the disk or in the quota for x");
    }
}
