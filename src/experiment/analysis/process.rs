//! A process that runs already, and whether it can be watched.

use std::path::PathBuf;

use crate::sys::{process, procfs};

/// A process that can be watched.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub pid: u32,
    pub command: Vec<String>,
    /// Where it works; absent when that may not be known.
    pub folder: Option<PathBuf>,
}

/// Why a process cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error("there is no process {pid}")]
    NotThere { pid: u32 },
    #[error(
        "process {pid} ({name}) has ended; only its parent, process {parent}, has not noticed yet (a zombie)"
    )]
    Ended { pid: u32, name: String, parent: u32 },
    #[error("process {pid} ({name}) is a thread of the kernel, not a program")]
    OfTheKernel { pid: u32, name: String },
    #[error("process {pid} ({name}) is perfup itself, or what started it: it would see its own work")]
    Own { pid: u32, name: String },
    #[error(
        "process {pid} ({name}) may not be looked into: it {}",
        user.map_or("belongs to another user".to_owned(), |user| format!("runs as user {user}"))
    )]
    NotPermitted { pid: u32, name: String, user: Option<u32> },
    #[error("process {pid} cannot be watched: {reason}")]
    Unwatchable { pid: u32, reason: String, remedy: String },
    #[error("process {pid} ended before anything could be seen")]
    TooShort { pid: u32 },
}

impl Process {
    /// Looks whether it can be watched.
    pub fn find(pid: u32) -> Result<Self, AttachError> {
        let stat = procfs::stat(pid).ok_or(AttachError::NotThere { pid })?;
        let name = stat.name.clone();
        if stat.is_ended() {
            return Err(AttachError::Ended { pid, name, parent: stat.parent });
        }
        if process::is_of_the_kernel(pid) {
            return Err(AttachError::OfTheKernel { pid, name });
        }
        if process::line_of(std::process::id()).contains(&pid) {
            return Err(AttachError::Own { pid, name });
        }
        if process::may_inspect(pid).is_err() {
            return Err(if procfs::stat(pid).is_some() {
                AttachError::NotPermitted { pid, name, user: process::user(pid) }
            } else {
                AttachError::NotThere { pid }
            });
        }
        let command = process::command_line(pid).filter(|words| !words.is_empty()).unwrap_or(vec![name]);
        Ok(Self { pid, command, folder: process::folder(pid) })
    }

    pub fn is_over(&self) -> bool {
        procfs::stat(self.pid).is_none_or(|stat| stat.is_ended())
    }

    pub fn peak_rss_bytes(&self) -> f64 {
        process::peak_rss_bytes(self.pid).unwrap_or(0) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_watched_is_told_apart() {
        assert!(matches!(Process::find(std::process::id()), Err(AttachError::Own { .. })));
        // Beyond the largest process id that any kernel gives.
        assert!(matches!(Process::find(1 << 30), Err(AttachError::NotThere { .. })));
    }
}
