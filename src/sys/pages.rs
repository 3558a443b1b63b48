//! Memory straight from the kernel, in fresh pages of a chosen size.
//!
//! **Invariant**: a mapping is private, zero where it was never written, and given back on drop.
#![expect(unsafe_code, reason = "mmap and madvise have no safe binding in the standard library")]

use std::io;
use std::ptr::{self, NonNull};
use std::slice;

const WORD_BYTES: usize = size_of::<u64>();

/// Anonymous memory of this process; no page of it exists before it is touched.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u64>,
    words: usize,
}

/// Which pages the kernel should back a mapping with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSize {
    /// The machine's base pages, [`page_bytes`] each.
    Small,
    /// Huge ones where the kernel has them: fewer misses in the translation buffers.
    Huge,
}

impl Mapping {
    /// At least `bytes`, rounded up to whole words.
    ///
    /// # Errors
    /// When the kernel has no such range to give, or `bytes` is 0.
    pub fn new(bytes: usize, pages: PageSize) -> io::Result<Self> {
        let words = bytes.div_ceil(WORD_BYTES);
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: asks for new memory at a place of the kernel's choice; nothing that exists is touched.
        let start = unsafe { libc::mmap(ptr::null_mut(), words * WORD_BYTES, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let advice = match pages {
            PageSize::Small => libc::MADV_NOHUGEPAGE,
            PageSize::Huge => libc::MADV_HUGEPAGE,
        };
        // SAFETY: the range was mapped above. The advice changes no content; kernels without huge pages refuse it, and
        // then all pages are small.
        unsafe { libc::madvise(start, words * WORD_BYTES, advice) };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, words })
    }

    #[must_use]
    pub fn words(&self) -> &[u64] {
        // SAFETY: `words` words are mapped from `start` until drop, page-aligned, zero or written through
        // `words_mut`, and borrowed from `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    #[must_use]
    pub fn words_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `words`, and the borrow is exclusive.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.words) }
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: as in `words`; every word is eight valid bytes.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.words * WORD_BYTES) }
    }

    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `words_mut`; any eight bytes are a valid word.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.words * WORD_BYTES) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` has mapped, which nobody can borrow any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * WORD_BYTES) };
    }
}

/// Size of a base page.
#[must_use]
pub fn page_bytes() -> usize {
    // SAFETY: reads a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096).max(512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_zero_and_keeps_what_is_written() {
        for pages in [PageSize::Small, PageSize::Huge] {
            let mut mapping = Mapping::new(3 * page_bytes() + 1, pages).unwrap();
            assert!(mapping.words().iter().all(|&word| word == 0));
            assert!(mapping.bytes().len() > 3 * page_bytes());
            mapping.words_mut()[5] = 0x0102;
            assert_eq!(&mapping.bytes()[40..42], 0x0102_u64.to_ne_bytes().get(..2).unwrap());
            mapping.bytes_mut()[0] = 9;
            assert_ne!(mapping.words()[0], 0);
        }
        assert!(Mapping::new(0, PageSize::Small).is_err());
    }
}
