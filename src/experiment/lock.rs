//! One session at a time per repository.
//!
//! **Invariant**: an advisory lock of the kernel's, so a killed session never leaves one behind.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Held for as long as a session works on a repository.
#[derive(Debug)]
pub struct SessionLock {
    /// Released by the kernel when closed.
    _file: File,
}

/// Who holds the lock, as far as it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: Option<u32>,
}

/// What came of asking for the lock.
#[derive(Debug)]
pub enum Locking {
    Ours(SessionLock),
    Theirs(Holder),
}

impl SessionLock {
    /// Takes the lock, or says who has it. Never waits.
    ///
    /// # Errors
    /// When the lock file cannot be opened or written.
    pub fn take(path: &Path) -> io::Result<Locking> {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Locking::Ours(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(Locking::Theirs(holder(&mut file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Who works on the repository now; absent when nobody does.
    ///
    /// # Errors
    /// When the lock file exists but cannot be read.
    pub fn holder(path: &Path) -> io::Result<Option<Holder>> {
        if !path.exists() {
            return Ok(None);
        }
        let mut file = File::open(path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
    Holder { pid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_learns_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(SessionLock::holder(&path).unwrap(), None);
        let Locking::Ours(first) = SessionLock::take(&path).unwrap() else { panic!("free") };
        let us = Holder { pid: Some(std::process::id()) };
        let Locking::Theirs(holder) = SessionLock::take(&path).unwrap() else { panic!("held") };
        assert_eq!(holder, us);
        assert_eq!(SessionLock::holder(&path).unwrap(), Some(us));
        drop(first);
        assert_eq!(SessionLock::holder(&path).unwrap(), None);
        assert!(matches!(SessionLock::take(&path).unwrap(), Locking::Ours(_)));
    }
}
