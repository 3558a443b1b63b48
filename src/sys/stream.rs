//! One output stream of a program: a pipe drained into memory, or into its file once it is large.
//!
//! **Invariant**: while the clock runs nothing is hashed, and small outputs are not written anywhere.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Seek, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::os;
use super::wire::{Captured, RunFailure};

/// Asked for, so that a program that prints a lot seldom waits for us; the kernel's limit for plain users.
const PIPE_BYTES: i32 = 1 << 20;

/// Output above this leaves memory for the file while the program still runs.
const HELD_BYTES_MAX: usize = 8 << 20;

const HASH_BUFFER_BYTES: usize = 64 << 10;

/// A stream that is being captured.
#[derive(Debug)]
pub struct Stream {
    /// What it is called in errors: `stdout`, `stderr`.
    name: &'static str,
    path: PathBuf,
    file: File,
    /// Gone once every writer has closed its end.
    pipe: Option<PipeReader>,
    held: Vec<u8>,
    bytes: u64,
}

impl Stream {
    /// Creates the file and the pipe; the second value is the program's end.
    pub fn open(name: &'static str, path: PathBuf) -> Result<(Self, PipeWriter), RunFailure> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = opened.map_err(|error| RunFailure::new(format!("open {name}"), path.display(), &error))?;
        let (pipe, writer) = io::pipe().map_err(|error| RunFailure::new("open a pipe for", name, &error))?;
        os::enlarge_pipe(pipe.as_fd(), PIPE_BYTES);
        Ok((Self { name, path, file, pipe: Some(pipe), held: Vec::new(), bytes: 0 }, writer))
    }

    /// The end to wait on; absent once the stream has ended.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    pub fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Bytes seen so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes what is there, at most a buffer full; call it when the descriptor is ready.
    pub fn pull(&mut self, buffer: &mut [u8]) -> Result<(), RunFailure> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        match pipe.read(buffer) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                self.bytes += count as u64;
                self.held.extend_from_slice(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(RunFailure::new("read", self.name, &error)),
        }
        if self.held.len() > HELD_BYTES_MAX { self.spill() } else { Ok(()) }
    }

    /// Writes what is still held and hashes the whole.
    pub fn finish(mut self) -> Result<Captured, RunFailure> {
        if self.bytes == self.held.len() as u64 {
            let captured = digest(self.held.as_slice()).map_err(|error| self.failure("hash", &error))?;
            self.spill()?;
            return Ok(captured);
        }
        self.spill()?;
        self.file
            .rewind()
            .and_then(|()| digest(&self.file))
            .map_err(|error| self.failure("read back", &error))
    }

    fn spill(&mut self) -> Result<(), RunFailure> {
        self.file.write_all(&self.held).map_err(|error| self.failure("write", &error))?;
        self.held.clear();
        Ok(())
    }

    fn failure(&self, verb: &str, error: &io::Error) -> RunFailure {
        RunFailure::new(format!("{verb} {}", self.name), self.path.display(), error)
    }
}

/// Reads to the end: length and SHA-256.
///
/// # Errors
/// When reading fails.
pub fn digest(mut content: impl Read) -> io::Result<Captured> {
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => {
                return Ok(Captured { bytes, sha256: hexadecimal(&hasher.finalize()) });
            }
            Ok(count) => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum() {
        let check = |content: &str, sha256: &str| {
            let expected = Captured { bytes: content.len() as u64, sha256: sha256.to_owned() };
            assert_eq!(digest(content.as_bytes()).unwrap(), expected);
        };
        check("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        check("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
