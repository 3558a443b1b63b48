//! One measurement at a time: two would time each other.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sys::signals;

/// How often a waiting lock is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// The right to measure. Given back on drop, and by the kernel when the process dies however it dies.
#[derive(Debug)]
pub struct MeasureLock {
    /// Held for its `flock`.
    _file: File,
}

/// Why the right to measure could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("lock {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// Ctrl-C or a termination request while waiting.
    #[error("interrupted")]
    Interrupted,
}

impl MeasureLock {
    /// Waits for the lock on the file `path`, which is created when missing and never removed.
    ///
    /// `on_wait` is called once, with the process id of who holds it (as far as known), when there is a wait.
    ///
    /// # Errors
    /// When the file cannot be opened or locked, or a signal comes first.
    pub fn acquire(path: &Path, on_wait: &mut dyn FnMut(Option<u32>)) -> Result<Self, LockError> {
        let mut waited = false;
        loop {
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(lock);
            }
            if !waited {
                on_wait(holder(path));
                waited = true;
            }
            if signals::sleep(RETRY) {
                return Err(LockError::Interrupted);
            }
        }
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn try_acquire(path: &Path) -> Result<Option<Self>, LockError> {
        let failure = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = open(path).map_err(failure)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failure(error)),
        }
        // Only information for those who wait; somebody else's file may be read-only for us, the lock holds anyway.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Some(Self { _file: file }))
    }
}

/// A lock file may belong to another user: it is enough to be able to read it.
fn open(path: &Path) -> io::Result<File> {
    let existing = OpenOptions::new().read(true).write(true).open(path);
    match existing.as_ref().map_err(io::Error::kind) {
        Err(io::ErrorKind::NotFound) => {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
        }
        Err(io::ErrorKind::PermissionDenied) => File::open(path),
        _ => existing,
    }
}

fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_until_the_first_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("measure.lock");
        let mut first = MeasureLock::try_acquire(&path).unwrap();
        assert!(first.is_some());
        assert!(MeasureLock::try_acquire(&path).unwrap().is_none());
        let mut waits = Vec::new();
        let second = MeasureLock::acquire(&path, &mut |holder| {
            waits.push(holder);
            first = None;
        });
        assert!(second.is_ok());
        assert_eq!(waits, [Some(std::process::id())]);
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let error = MeasureLock::try_acquire(Path::new("/nonexistent/lock")).unwrap_err();
        assert_eq!(error.to_string(), "lock /nonexistent/lock");
    }
}
