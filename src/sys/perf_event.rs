//! `perf_event_open`: the one system call behind counters and samples.
//!
//! **Invariant**: mechanism only; what is counted or sampled, and of whom, is decided by the callers.
#![expect(unsafe_code, reason = "perf_event_open has no safe binding in the standard library")]

use std::fs::{self, File};
use std::io;
use std::os::fd::FromRawFd;

/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;

/// Position in the bit field of `perf_event_attr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    Disabled = 0,
    Inherit = 1,
    ExcludeKernel = 5,
    ExcludeHypervisor = 6,
    Mmap = 8,
    Comm = 9,
    EnableOnExec = 12,
    Task = 13,
    /// Thread and time also in records that are no samples.
    SampleIdAll = 18,
    Mmap2 = 23,
    /// Tells a name that a program got by `execve` from one that it gave itself.
    CommExec = 24,
    UseClockId = 25,
}

/// `perf_event_attr` as of Linux 4.1; the kernel takes what it lacks for zero, and older ones take zeroes at its end.
#[repr(C)]
#[derive(Debug, Default, Clone)]
pub(super) struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    pub sample_period: u64,
    pub sample_type: u64,
    pub read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_kind: u32,
    breakpoint_address: u64,
    breakpoint_length: u64,
    branch_sample_type: u64,
    sample_registers_user: u64,
    sample_stack_user: u32,
    pub clock: i32,
}

impl Attributes {
    /// `type`, `config` and bits of an event.
    pub fn new(kind: u32, config: u64, flags: &[Flag]) -> Self {
        let flags = flags.iter().fold(0, |bits, flag| bits | bit(*flag as u32));
        Self { kind, size: size_of::<Self>() as u32, config, flags, ..Self::default() }
    }
}

/// The bit fields of C begin at the lowest bit on little-endian machines only.
const fn bit(position: u32) -> u64 {
    if cfg!(target_endian = "big") { 1 << (63 - position) } else { 1 << position }
}

/// Opens an event of a thread, or of this one, on a CPU, or on any.
pub(super) fn open(attributes: &Attributes, thread: Option<u32>, cpu: Option<u32>) -> io::Result<File> {
    let id = |number: Option<u32>, otherwise: i32| number.map_or(Ok(otherwise), i32::try_from);
    let thread = id(thread, 0).map_err(io::Error::other)?;
    let cpu = id(cpu, -1).map_err(io::Error::other)?;
    let no_group = -1;
    // SAFETY: the kernel reads `size` bytes of `attributes`, which is live for the call; the rest are integers.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const *attributes, thread, cpu, no_group, CLOSE_ON_EXEC)
    };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just created `fd` and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// What `kernel.perf_event_paranoid` says.
pub fn paranoia() -> Option<i32> {
    fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
}
