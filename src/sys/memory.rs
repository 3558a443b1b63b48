//! A small runner: what it holds in memory counts as its child's.
//!
//! The kernel lets the peak memory of a program begin at that of the process that starts it (`ru_maxrss` keeps the larger
//! of the two across `execve`). So a runner gives back what it can before it starts anything.

#![expect(unsafe_code, reason = "the loader's list of segments and madvise are C interfaces")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};

use libc::{PF_W, PT_LOAD, dl_phdr_info};

use super::procfs;

/// This process's own memory.
pub(super) struct Memory {
    /// `/proc/self/clear_refs`; without it the peak stays.
    clear_refs: Option<File>,
    /// `/proc/self/status`.
    status: Option<File>,
}

impl Memory {
    /// Opened early: once inspection is forbidden, these files belong to root.
    pub fn open() -> Self {
        Self {
            clear_refs: OpenOptions::new().write(true).open("/proc/self/clear_refs").ok(),
            status: File::open("/proc/self/status").ok(),
        }
    }

    /// Unmaps the pages of all code and constants, which come back from the page cache when they are needed, and gives
    /// back what the last program's output took.
    pub fn shed() {
        #[cfg(target_env = "gnu")]
        // SAFETY: gives free memory back; nothing that is in use is touched.
        unsafe {
            libc::malloc_trim(0)
        };
        // SAFETY: the callback matches the declared type, keeps no pointer, and does not unwind.
        unsafe { libc::dl_iterate_phdr(Some(shed_object), std::ptr::null_mut()) };
    }

    /// Forgets the peak so far, and says what a child's begins at.
    pub fn restart_peak(&mut self) -> Option<u64> {
        if let Some(file) = &mut self.clear_refs {
            // 5 resets the peak resident set size, see proc_pid_clear_refs(5); kernels without it leave it as it is.
            let _ = file.write_all(b"5");
        }
        let mut text = String::new();
        let status = self.status.as_mut()?;
        status.rewind().and_then(|()| status.read_to_string(&mut text)).ok()?;
        procfs::parse_peak_rss(&text)
    }
}

/// Gives back one loaded object's segments that nothing can have written to.
unsafe extern "C" fn shed_object(
    info: *mut dl_phdr_info,
    _size: usize,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader hands a valid description of an object that stays loaded during the call, with `dlpi_phnum`
    // headers at `dlpi_phdr`.
    let (base, headers) = unsafe {
        let info = &*info;
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()))
    };
    for header in headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_flags & PF_W == 0) {
        let page = 4096;
        let start = (base + header.p_vaddr) / page * page;
        let end = (base + header.p_vaddr + header.p_memsz) / page * page;
        if end > start {
            // SAFETY: whole pages of a private file mapping that was never writable: what is read there later is
            // the same as before.
            unsafe { libc::madvise(start as *mut libc::c_void, (end - start) as usize, libc::MADV_DONTNEED) };
        }
    }
    0
}
