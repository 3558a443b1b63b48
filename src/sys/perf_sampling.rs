//! Call stacks of running threads, a thousand times a second of their CPU time, through `perf_event_open`.
//!
//! The kernel's software clock interrupts a thread while it is on a CPU and writes its call chain, found by frame
//! pointers, into a ring in memory that this process reads. There is one ring for each CPU; what a watched thread starts is
//! watched as well. Nothing is stopped, no hardware counter and no privilege is needed: without privilege the kernel's
//! own frames are left out, and with them the samples that hit the kernel.
//!
//! **Invariant**: the kernel never waits for the reader; what finds no place in a ring is counted as lost.
#![expect(unsafe_code, reason = "the rings are memory that the kernel writes to")]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::perf_event::{self, Attributes, Flag};

pub use super::perf_event::paranoia;

/// Samples a second of CPU time: not a round number, against lock-step with timers of the program.
pub const FREQUENCY_HZ: u32 = 999;

/// `PERF_TYPE_SOFTWARE` of `linux/perf_event.h`, and one of its events.
const SOFTWARE: u32 = 1;
const CPU_CLOCK: u64 = 0;

/// `PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CALLCHAIN`, the order in which they are written.
const SAMPLE_TYPE: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 5;

/// With the page in front of it exactly what `kernel.perf_event_mlock_kb` lets each user have for each CPU by default.
const RING_BYTES_MAX: usize = 512 << 10;

/// Less could not hold what a CPU writes between two looks.
const RING_BYTES_MIN: usize = 32 << 10;

/// Positions in `perf_event_mmap_page`.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

/// Threads times CPUs that are watched at most when one attaches: each takes a descriptor.
const EVENTS_MAX: usize = 4096;

/// Descriptors that are left to everything else.
const DESCRIPTORS_SPARED: usize = 128;

/// `PERF_EVENT_IOC_SET_OUTPUT`: `_IO('$', 5)`.
const SET_OUTPUT: libc::c_ulong = 0x2405;

/// How much of the stack can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    WithKernel,
    /// Samples that hit the kernel are left out.
    UserOnly,
}

/// Events at work. Dropping it ends them.
#[derive(Debug)]
pub struct Sampling {
    rings: Vec<Ring>,
    /// Events that write to the ring of another one of their CPU.
    _joined: Vec<File>,
    depth: Depth,
    left_out: usize,
    begin_ns: u64,
}

impl Sampling {
    /// Samples every program that this process executes from now on, and all that they start; not the process itself. It
    /// must have one thread and must not have started anything yet.
    ///
    /// # Errors
    /// Those of `perf_event_open` and `mmap`.
    pub fn below(pid: u32) -> io::Result<Self> {
        Self::new(&[pid], &[Flag::Disabled, Flag::EnableOnExec])
    }

    /// Samples these threads, and all that they start from now on. Beyond a number of events the last ones are left out.
    ///
    /// # Errors
    /// As [`Self::below`], where not a single thread can be watched.
    pub fn of(threads: &[u32]) -> io::Result<Self> {
        Self::new(threads, &[])
    }

    /// What sampling would show here, found out with this thread.
    ///
    /// # Errors
    /// As [`Self::below`].
    pub fn probe() -> io::Result<Depth> {
        opened(None, online()[0], &[Flag::Disabled]).map(|(_, depth)| depth)
    }

    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// When it began, on the clock of the samples.
    pub fn begin_ns(&self) -> u64 {
        self.begin_ns
    }

    /// Threads that are not watched.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    fn new(threads: &[u32], flags: &[Flag]) -> io::Result<Self> {
        let cpus = online();
        let events_max = EVENTS_MAX.min(descriptors_max().saturating_sub(DESCRIPTORS_SPARED));
        let watched = threads.len().min((events_max / cpus.len()).max(1));
        let mut sampling = Self {
            rings: Vec::new(),
            _joined: Vec::new(),
            depth: Depth::WithKernel,
            left_out: 0,
            begin_ns: super::os::monotonic_ns(),
        };
        let mut failure = io::Error::from_raw_os_error(libc::ESRCH);
        for &thread in &threads[..watched] {
            if let Err(error) = sampling.watch(thread, &cpus, flags) {
                // It has ended, or belongs to somebody else.
                sampling.left_out += 1;
                failure = error;
            }
        }
        if sampling.rings.is_empty() {
            return Err(failure);
        }
        sampling.left_out += threads.len() - watched;
        Ok(sampling)
    }

    fn watch(&mut self, thread: u32, cpus: &[u32], flags: &[Flag]) -> io::Result<()> {
        for &cpu in cpus {
            let (event, depth) = match opened(Some(thread), cpu, flags) {
                Ok(opened) => opened,
                // The CPU went offline.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => continue,
                Err(error) => return Err(error),
            };
            self.depth = depth;
            match self.rings.iter().find(|ring| ring.cpu == cpu) {
                Some(ring) => {
                    join(&event, &ring.event)?;
                    self._joined.push(event);
                }
                None => self.rings.push(Ring::new(event, cpu)?),
            }
        }
        Ok(())
    }

    /// Takes what the rings hold, one buffer for each. Says how full the fullest was, 0–1.
    pub fn drain(&mut self, buffers: &mut Vec<Vec<u8>>) -> f64 {
        buffers.resize_with(self.rings.len(), Vec::new);
        let fill = self.rings.iter_mut().zip(buffers).map(|(ring, buffer)| ring.drain(buffer));
        fill.fold(0.0, f64::max)
    }
}

/// An event of a thread, or of this one, on a CPU; with the kernel's frames where they are allowed.
fn opened(thread: Option<u32>, cpu: u32, flags: &[Flag]) -> io::Result<(File, Depth)> {
    let open = |more: &[Flag]| {
        let common = [
            Flag::Inherit,
            Flag::ExcludeHypervisor,
            Flag::Mmap,
            Flag::Mmap2,
            Flag::Comm,
            Flag::CommExec,
            Flag::Task,
            Flag::SampleIdAll,
            Flag::UseClockId,
        ];
        let mut attributes = Attributes::new(SOFTWARE, CPU_CLOCK, &[flags, &common, more].concat());
        attributes.sample_period = 1_000_000_000 / u64::from(FREQUENCY_HZ);
        attributes.sample_type = SAMPLE_TYPE;
        attributes.clock = libc::CLOCK_MONOTONIC;
        perf_event::open(&attributes, thread, Some(cpu))
    };
    match open(&[]) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM)) => {
            open(&[Flag::ExcludeKernel]).map(|file| (file, Depth::UserOnly))
        }
        opened => opened.map(|file| (file, Depth::WithKernel)),
    }
}

/// Lets an event write to another one's ring.
fn join(event: &File, owner: &File) -> io::Result<()> {
    // SAFETY: takes two descriptors that are open during the call; no memory of ours is involved.
    match unsafe { libc::ioctl(event.as_raw_fd(), SET_OUTPUT, owner.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The CPUs that are online, at least one.
fn online() -> Vec<u32> {
    let listed = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let cpus = parse_list(&listed);
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// A list like `0-3,8`.
fn parse_list(text: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u32>().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

/// How many descriptors this process may have.
fn descriptors_max() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable and of the type that the call fills.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX),
        _ => 0,
    }
}

/// The memory into which the events of one CPU write.
#[derive(Debug)]
struct Ring {
    cpu: u32,
    event: File,
    /// The control page, and the data behind it.
    memory: NonNull<u8>,
    page_bytes: usize,
    /// A power of two.
    data_bytes: usize,
}

// SAFETY: the memory is shared with the kernel alone and can be read from whichever thread owns this.
unsafe impl Send for Ring {}

impl Ring {
    /// As large as the limit on locked memory allows.
    fn new(event: File, cpu: u32) -> io::Result<Self> {
        let page_bytes = super::os::page_bytes();
        let mut data_bytes = RING_BYTES_MAX;
        loop {
            match map(&event, page_bytes + data_bytes) {
                Ok(memory) => return Ok(Self { cpu, event, memory, page_bytes, data_bytes }),
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOMEM))
                        && data_bytes / 2 >= RING_BYTES_MIN.max(page_bytes) =>
                {
                    data_bytes /= 2;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: both positions are aligned words of 64 bits within the control page, which stays mapped as long as this
        // lives, and the kernel too reads and writes them whole.
        unsafe { &*self.memory.as_ptr().add(offset).cast::<AtomicU64>() }
    }

    /// Appends what is there, and gives its place back. Says which part of the ring it was.
    fn drain(&mut self, buffer: &mut Vec<u8>) -> f64 {
        // Acquire: what the kernel wrote before it moved the head is seen.
        let head = self.position(DATA_HEAD).load(Ordering::Acquire);
        let tail = self.position(DATA_TAIL).load(Ordering::Relaxed);
        let length = usize::try_from(head.wrapping_sub(tail)).unwrap_or(usize::MAX).min(self.data_bytes);
        let start = (tail % self.data_bytes as u64) as usize;
        let until_end = length.min(self.data_bytes - start);
        for (start, length) in [(start, until_end), (0, length - until_end)] {
            // SAFETY: start + length is at most the size of the data, which is mapped behind the control page. Between tail
            // and head the kernel does not write.
            let part = unsafe {
                std::slice::from_raw_parts(self.memory.as_ptr().add(self.page_bytes + start), length)
            };
            buffer.extend_from_slice(part);
        }
        // Release: the kernel writes there again only after it has been read.
        self.position(DATA_TAIL).store(head, Ordering::Release);
        length as f64 / self.data_bytes as f64
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and no reference to it outlives this.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.page_bytes + self.data_bytes) };
    }
}

fn map(event: &File, bytes: usize) -> io::Result<NonNull<u8>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: asks for new memory at a place of the kernel's choice; the descriptor is open during the call.
    let memory =
        unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, event.as_raw_fd(), 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(memory.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::process;

    use super::*;
    use crate::sys::perf_records::{What, events};
    use crate::sys::procfs;

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(parse_list("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(parse_list("0\n"), [0]);
        assert_eq!(parse_list("x,2-"), [0; 0]);
    }

    #[test]
    fn this_process_and_its_new_threads_are_sampled() {
        let tid = process::id();
        let Ok(mut sampling) = Sampling::of(&procfs::threads(tid)) else {
            assert!(Sampling::probe().is_err());
            return;
        };
        let spin = || {
            // CPU time, for on a busy machine there is little of it.
            let on_cpu_ns = || {
                let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
                procfs::parse_schedule(&text).unwrap().on_cpu_ns
            };
            while on_cpu_ns() < 60_000_000 {
                black_box((0..100_000_u64).fold(0, |sum, next| sum ^ black_box(next)));
            }
        };
        std::thread::Builder::new().name("fresh".to_owned()).spawn(spin).unwrap().join().unwrap();
        let mut buffers = Vec::new();
        sampling.drain(&mut buffers);
        let all: Vec<_> = buffers.iter().flat_map(|bytes| events(bytes)).collect();
        let named = all.iter().find_map(|event| match &event.what {
            What::Name { name, .. } if name == "fresh" => Some(event.tid),
            _ => None,
        });
        let fresh = named.expect("the thread's name");
        let of_fresh = all.iter().filter(|event| event.tid == fresh && matches!(event.what, What::Sample(_)));
        assert!(of_fresh.count() > 10, "{all:?}");
        assert!(sampling.left_out() == 0 && sampling.drain(&mut Vec::new()) < 0.5);
    }
}
