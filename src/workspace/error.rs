//! What can go wrong with a repository, told with everything a hint needs.
//!
//! **Invariant**: no type of libgit2 crosses this line; its messages do, as text.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{CommitId, PerfupBranch};

/// Why the repository could not be used, or a change to it not made.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("no git repository at or above {}", path.display())]
    NotARepository { path: PathBuf },
    /// No checkout to start from: run inside a clone or a linked worktree.
    #[error("the repository {} is bare", path.display())]
    Bare { path: PathBuf },
    /// `HEAD` is unborn.
    #[error("the repository {} has no commit yet", path.display())]
    NoCommits { path: PathBuf },
    /// A feature of git that would silently give wrong files or wrong commits here.
    #[error("unsupported repository: {what}: {why}")]
    Unsupported { what: String, why: String },
    /// git's `safe.directory` rule: somebody else owns the repository.
    #[error("the repository {} belongs to another user", path.display())]
    NotOwned { path: PathBuf },
    #[error("cannot {operation}: permission denied on {}", path.display())]
    PermissionDenied { operation: &'static str, path: PathBuf },
    #[error("cannot {operation}: no space left on the device")]
    NoSpace { operation: &'static str },
    #[error("no commit is named {rev:?}")]
    UnknownRevision { rev: String },
    #[error("invalid name {name:?}: {reason}")]
    InvalidName { name: String, reason: &'static str },
    /// A branch of the user's stands where ours need a folder, for example `perfup`.
    #[error("the branch name {reference} is taken, which leaves no room for perfup/…")]
    NameTaken { reference: String },
    /// Somebody moved the reference in between; nothing was changed.
    #[error("{reference} moved meanwhile: expected {}, found {}", or_nothing(expected), or_nothing(found))]
    Raced { reference: String, expected: Option<CommitId>, found: Option<CommitId> },
    /// The user has the branch checked out: moving it would change what they see.
    #[error("branch {branch} is checked out in {}", checkout.display())]
    BranchInUse { branch: PerfupBranch, checkout: PathBuf },
    /// Another git process, or a lock file that a killed one left, did not go away in time.
    #[error("cannot {operation}: {message}")]
    Locked { operation: &'static str, message: String },
    /// Worktrees live outside the user's checkout, at absolute paths.
    #[error("worktree path {} is not an absolute path outside {}", path.display(), root.display())]
    BadPlace { path: PathBuf, root: PathBuf },
    /// Something that is not ours stands where a worktree should go.
    #[error("{} exists and is not a perfup worktree", path.display())]
    Occupied { path: PathBuf },
    /// Not a worktree of ours, or its link to the repository was tampered with.
    #[error("{} is not a perfup worktree of this repository: {reason}", path.display())]
    NotOurs { path: PathBuf, reason: &'static str },
    /// A declared input that would read or write outside the folders it belongs to.
    #[error("input {} is refused: {reason}", path.display())]
    RefusedInput { path: PathBuf, reason: &'static str },
    #[error("cannot {operation} {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Anything else libgit2 reported.
    #[error("cannot {operation}: {message}")]
    Git { operation: &'static str, message: String },
}

fn or_nothing(commit: &Option<CommitId>) -> String {
    commit.as_ref().map_or_else(|| "nothing".into(), CommitId::to_string)
}

/// Turns an error of libgit2 met in `operation` (a verb with its object) into ours.
pub(super) fn git(operation: &'static str) -> impl Fn(git2::Error) -> WorkspaceError {
    move |error| {
        let message = error.message().to_owned();
        // libgit2 appends strerror(3); nothing sets a locale, so it is English.
        if message.ends_with("Permission denied") || message.ends_with("Read-only file system") {
            let path = quoted(&message).map_or_else(PathBuf::new, PathBuf::from);
            WorkspaceError::PermissionDenied { operation, path }
        } else if message.ends_with("No space left on device") {
            WorkspaceError::NoSpace { operation }
        } else if error.code() == git2::ErrorCode::Locked {
            WorkspaceError::Locked { operation, message }
        } else {
            WorkspaceError::Git { operation, message }
        }
    }
}

/// Turns a file-system error met in `operation` on `path` into ours.
pub(super) fn io(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> WorkspaceError {
    move |source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            WorkspaceError::PermissionDenied { operation, path: path.to_owned() }
        }
        io::ErrorKind::StorageFull => WorkspaceError::NoSpace { operation },
        _ => WorkspaceError::Io { operation, path: path.to_owned(), source },
    }
}

/// The path that libgit2 put between single quotes.
fn quoted(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once('\'')?;
    rest.rsplit_once('\'').map(|(path, _)| path)
}

/// Waits between attempts at a locked file: 1.3 s in all. git holds these locks for milliseconds.
const BACK_OFF: [Duration; 8] = {
    let mut waits = [Duration::from_millis(5); 8];
    let mut i = 1;
    while i < waits.len() {
        waits[i] = Duration::from_millis(5 << i);
        i += 1;
    }
    waits
};

/// Runs `attempt` until it no longer meets a lock; libgit2 itself fails at the first one.
///
/// # Errors
/// The last attempt's, [`WorkspaceError::Locked`] when the lock outlived all waits.
pub(super) fn retry<T>(
    operation: &'static str,
    mut attempt: impl FnMut() -> Result<T, git2::Error>,
) -> Result<T, WorkspaceError> {
    for wait in BACK_OFF {
        match attempt() {
            Err(error) if error.code() == git2::ErrorCode::Locked => thread::sleep(wait),
            result => return result.map_err(git(operation)),
        }
    }
    attempt().map_err(git(operation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use git2::{ErrorClass, ErrorCode};

    #[test]
    fn a_lock_is_waited_for_and_other_errors_are_not() {
        let run = |failures: u32, code: ErrorCode| {
            let mut attempts = 0;
            let result = retry("write", || {
                attempts += 1;
                match attempts <= failures {
                    true => Err(git2::Error::new(code, ErrorClass::Os, "busy")),
                    false => Ok(()),
                }
            });
            (result.is_ok(), attempts)
        };
        assert_eq!(run(0, ErrorCode::Locked), (true, 1));
        assert_eq!(run(3, ErrorCode::Locked), (true, 4));
        assert_eq!(run(u32::MAX, ErrorCode::Locked), (false, 1 + BACK_OFF.len() as u32));
        assert_eq!(run(3, ErrorCode::Exists), (false, 1));
    }

    #[test]
    fn libgit2_messages_become_typed_errors() {
        let check = |message: &str, expected: &str| {
            let error = git2::Error::new(ErrorCode::GenericError, ErrorClass::Os, message);
            assert_eq!(git("lock the branch")(error).to_string(), expected);
        };
        check(
            "failed to create locked file '/r/.git/a.lock': Permission denied",
            "cannot lock the branch: permission denied on /r/.git/a.lock",
        );
        check(
            "failed to make directory '/it's/.git': Read-only file system",
            "cannot lock the branch: permission denied on /it's/.git",
        );
        check("write failed: No space left on device", "cannot lock the branch: no space left on the device");
        check("odd", "cannot lock the branch: odd");
    }
}
