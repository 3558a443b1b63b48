//! The memory of another process, read while it runs on.
//!
//! **Invariant**: nothing is ever written there, and the other process is never stopped: what is read may change meanwhile,
//! so that no byte of it may be trusted.
#![expect(unsafe_code, reason = "process_vm_readv has no safe binding in the standard library")]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Most spans of one system call (`IOV_MAX`).
const SPANS_MAX: usize = 1024;

/// Bytes of the other process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub address: u64,
    pub length: usize,
}

/// Reads the memory of one process; its buffers are used again and again.
pub struct Peek {
    pid: u32,
    bytes: Vec<u8>,
    /// Of each span that was asked for last: where it begins in `bytes`, and whether it could be read.
    parts: Vec<(usize, bool)>,
    spans: Vec<libc::iovec>,
    /// `/proc/PID/mem`, where the system call does not exist or a filter refuses it.
    file: Option<File>,
}

impl Peek {
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self { pid, bytes: Vec::new(), parts: Vec::new(), spans: Vec::new(), file: None }
    }

    /// Reads all spans, in order, in one system call if all are mapped. A span that is not mapped is absent from
    /// [`Self::part`], which is no error.
    ///
    /// # Errors
    /// The process is gone, or must not be read.
    pub fn read(&mut self, spans: &[Span]) -> io::Result<()> {
        self.parts.clear();
        let mut length = 0;
        for span in spans {
            self.parts.push((length, false));
            length += span.length;
        }
        self.bytes.clear();
        self.bytes.resize(length, 0);
        let mut next = 0;
        while next < spans.len() {
            let until = spans.len().min(next + SPANS_MAX);
            let mut filled = self.transfer(&spans[next..until], self.parts[next].0)?;
            while next < until && filled >= spans[next].length {
                filled -= spans[next].length;
                self.parts[next].1 = true;
                next += 1;
            }
            // The next one is not mapped.
            next += usize::from(next < until);
        }
        Ok(())
    }

    /// The bytes of one span of the last [`Self::read`]; absent if it could not be read.
    #[must_use]
    pub fn part(&self, index: usize) -> Option<&[u8]> {
        let &(begin, read) = self.parts.get(index)?;
        let end = self.parts.get(index + 1).map_or(self.bytes.len(), |&(begin, _)| begin);
        if read { self.bytes.get(begin..end) } else { None }
    }

    /// Fills the buffer from `begin` on; the number of bytes until the first span that is not mapped.
    fn transfer(&mut self, spans: &[Span], begin: usize) -> io::Result<usize> {
        if let Some(file) = &self.file {
            return Ok(transfer_file(file, spans, &mut self.bytes[begin..]));
        }
        self.spans.clear();
        self.spans.extend(
            spans.iter().map(|span| libc::iovec {
                iov_base: span.address as *mut libc::c_void,
                iov_len: span.length,
            }),
        );
        let room = &mut self.bytes[begin..];
        let local = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        // SAFETY: the kernel writes at most `room.len()` bytes into `room`, which is borrowed for the call; the other
        // addresses are of another process, where it only reads and checks them itself.
        let result = unsafe {
            libc::process_vm_readv(
                self.pid.cast_signed(),
                &raw const local,
                1,
                self.spans.as_ptr(),
                self.spans.len() as libc::c_ulong,
                0,
            )
        };
        if result >= 0 {
            return Ok(result.unsigned_abs());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EFAULT) => Ok(0),
            Some(libc::EPERM | libc::ENOSYS) => {
                // A container's filter may refuse the call and yet allow the file.
                let file = File::open(format!("/proc/{}/mem", self.pid)).map_err(|_| error)?;
                let filled = transfer_file(&file, spans, &mut self.bytes[begin..]);
                self.file = Some(file);
                Ok(filled)
            }
            _ => Err(error),
        }
    }
}

fn transfer_file(file: &File, spans: &[Span], mut into: &mut [u8]) -> usize {
    let mut filled = 0;
    for span in spans {
        let Some((room, rest)) = into.split_at_mut_checked(span.length) else { break };
        if file.read_exact_at(room, span.address).is_err() {
            break;
        }
        filled += span.length;
        into = rest;
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peek: &mut Peek) {
        let (first, second) = ([1_u8, 2, 3, 4], [9_u8; 16]);
        let of = |bytes: &[u8]| Span { address: bytes.as_ptr() as u64, length: bytes.len() };
        let nowhere = Span { address: 8, length: 8 };
        peek.read(&[of(&first), nowhere, of(&second), nowhere]).expect("our own memory");
        assert_eq!(peek.part(0), Some(&first[..]));
        assert_eq!(peek.part(1), None);
        assert_eq!(peek.part(2), Some(&second[..]));
        assert_eq!((peek.part(3), peek.part(4)), (None, None));
        peek.read(&[]).expect("nothing to read");
        assert_eq!(peek.part(0), None);
    }

    #[test]
    fn spans_that_are_not_mapped_are_absent_and_hide_no_others() {
        let own = std::process::id();
        check(&mut Peek::new(own));
        let mut by_file = Peek::new(own);
        by_file.file = Some(File::open("/proc/self/mem").expect("our own memory"));
        check(&mut by_file);
    }

    #[test]
    fn more_spans_than_one_call_takes_are_read_in_several() {
        let byte = [7_u8];
        let span = Span { address: byte.as_ptr() as u64, length: 1 };
        let mut peek = Peek::new(std::process::id());
        peek.read(&vec![span; SPANS_MAX + 5]).expect("our own memory");
        assert!((0..SPANS_MAX + 5).all(|index| peek.part(index) == Some(&[7][..])));
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        // Process ids end at 2²².
        let span = Span { address: 4096, length: 1 };
        assert!(Peek::new(u32::MAX >> 1).read(&[span]).is_err());
    }
}
