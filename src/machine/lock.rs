//! One measurement at a time: two would time each other.
//!
//! Whoever waits for the lock holds a second one, the turn: nobody can take the lock again before those who waited have
//! had it. **Invariant**: a waiting perfup sleeps in the kernel, so that it does not disturb what it waits for.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use crate::sys::signals;

/// The right to measure. Given back on drop, and by the kernel when the process dies however it dies.
#[derive(Debug)]
pub struct MeasureLock {
    /// Held for its `flock`.
    file: File,
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
    /// Waits for the lock on the file `path`, which is created when missing and never removed; another one of the same
    /// name with `.turn` added lies beside it.
    ///
    /// `on_wait` is called once, with the process id of who holds it (as far as known), when there is a wait.
    ///
    /// # Errors
    /// When a file cannot be opened or locked, or a signal comes first.
    pub fn acquire(path: &Path, on_wait: &mut dyn FnMut(Option<u32>)) -> Result<Self, LockError> {
        let mut waits = 0;
        let mut waiting = || {
            waits += 1;
            if waits == 1 {
                on_wait(holder(path));
            }
        };
        let mut turn = path.as_os_str().to_owned();
        turn.push(".turn");
        let _turn = locked(Path::new(&turn), &mut waiting)?;
        let mut file = locked(path, &mut waiting)?;
        // Only information for those who wait; somebody else's file may be read-only for us, the lock holds anyway.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file })
    }
}

impl Drop for MeasureLock {
    fn drop(&mut self) {
        // As above: nobody holds it now.
        let _ = self.file.set_len(0);
    }
}

/// The file with its lock, which the kernel gives to one process at a time.
fn locked(path: &Path, on_wait: &mut dyn FnMut()) -> Result<File, LockError> {
    let failure = |source| LockError::Io { path: path.to_owned(), source };
    let file = open(path).map_err(failure)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(failure(error)),
        Err(TryLockError::WouldBlock) => {
            on_wait();
            wait(file).map_err(failure)?.ok_or(LockError::Interrupted)
        }
    }
}

/// Waits for the lock on a file; nothing when a signal comes first.
fn wait(file: File) -> io::Result<Option<File>> {
    let (done, held) = io::pipe()?;
    let (sender, receiver) = mpsc::channel();
    // A thread can sleep in `flock`, and this one meanwhile sleeps until that is done or a signal comes. After a signal
    // the thread is left alone: what it gets it gives back, since nobody takes it.
    thread::Builder::new().spawn(move || {
        let _ = sender.send(file.lock().map(|()| file));
        drop(held);
    })?;
    if signals::wait(done.as_fd())? {
        return receiver.recv().map_err(io::Error::other)?.map(Some);
    }
    Ok(None)
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
        let mut first = Some(MeasureLock::acquire(&path, &mut |_| panic!("it is free")).unwrap());
        let mut waits = Vec::new();
        let second = MeasureLock::acquire(&path, &mut |holder| {
            waits.push(holder);
            first = None;
        });
        assert!(second.is_ok());
        assert_eq!(waits, [Some(std::process::id())]);
        drop(second);
        assert_eq!(holder(&path), None);
    }

    #[test]
    fn who_takes_it_again_and_again_gives_way_to_who_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("measure.lock");
        let (begun, has_begun) = mpsc::channel();
        let turns = std::sync::Mutex::new(Vec::new());
        thread::scope(|scope| {
            let first = MeasureLock::acquire(&path, &mut |_| {}).unwrap();
            for name in 0..2 {
                let (path, turns, begun) = (&path, &turns, begun.clone());
                scope.spawn(move || {
                    for turn in 0..20 {
                        let lock = MeasureLock::acquire(path, &mut |_| {
                            if turn == 0 {
                                begun.send(()).unwrap();
                            }
                        });
                        turns.lock().unwrap().push(name);
                        // Given back only when the other one stands in line, as long as there is another one.
                        let both_left = || {
                            let turns = turns.lock().unwrap();
                            [0, 1].iter().all(|name| turns.iter().filter(|&turn| turn == name).count() < 20)
                        };
                        let line = File::open(path.with_file_name("measure.lock.turn")).unwrap();
                        while both_left() && line.try_lock_shared().is_ok() {
                            line.unlock().unwrap();
                            thread::yield_now();
                        }
                        drop(lock);
                    }
                });
            }
            has_begun.recv().unwrap();
            has_begun.recv().unwrap();
            drop(first);
        });
        let turns = turns.into_inner().unwrap();
        let repeated = turns.windows(2).take(37).filter(|pair| pair[0] == pair[1]).count();
        assert_eq!(repeated, 0, "{turns:?}");
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let error = MeasureLock::acquire(Path::new("/nonexistent/lock"), &mut |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "lock /nonexistent/lock.turn");
    }
}
