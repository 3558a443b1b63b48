//! Thin, safe names for the system calls that the standard library does not offer.
//!
//! **Invariant**: mechanism only; what to spawn, wait for or kill is decided by the callers.
#![expect(unsafe_code, reason = "system calls without a safe binding in the standard library")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;
use std::time::Duration;

use libc::{c_int, c_short};

/// Resources of one reaped process, including the descendants that it waited for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub user_ns: u64,
    pub sys_ns: u64,
    /// Peak resident set of the largest single process.
    pub rss_bytes_max: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
}

/// One process that has been waited for.
#[derive(Debug, Clone, Copy)]
pub struct Reaped {
    pub status: ExitStatus,
    pub usage: Usage,
}

/// What there is to reap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// No child is left, dead or alive.
    None,
    /// All children are still running.
    Running,
    /// This child has ended and has not been reaped.
    Ended(u32),
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Makes orphaned descendants children of this process, so that it can count, kill and reap them.
pub fn become_subreaper() -> io::Result<()> {
    let on: libc::c_ulong = 1;
    // SAFETY: this option takes one integer and touches no memory of ours.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, on, 0, 0, 0) }).map(drop)
}

/// Whether processes of the same user may trace this one, sample it, or open its descriptors through `/proc`.
pub fn set_inspection(is_allowed: bool) -> io::Result<()> {
    // SAFETY: this option takes one integer and touches no memory of ours.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(is_allowed), 0, 0, 0) }).map(drop)
}

/// Marks every descriptor above standard error close-on-exec, also those inherited from strangers.
pub fn close_on_exec_above_stderr() -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC as c_int;
    // SAFETY: sets a flag on descriptors of this process; no memory is involved.
    check(unsafe { libc::close_range(3, u32::MAX, flags) }).map(drop)
}

/// Proof that no signal runs code of this process.
#[derive(Debug, Clone, Copy)]
pub struct NoneCaught(());

/// Signals by which perfup is asked to stop.
pub const STOP_SIGNALS: [c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Whether this process ignores a signal, as whoever started it may want: `nohup` does it, and shells for what runs in
/// the background.
pub fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: `action` is writable, all zeroes are a valid value of it, and without a new action nothing changes.
    let action = unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Gives every signal its default action; a process that does so must catch none later.
pub fn reset_signal_actions() -> NoneCaught {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: `SIG_DFL` runs no code of ours. KILL, STOP and glibc's own signals refuse, harmlessly.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    NoneCaught(())
}

pub(super) fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set before `sigaddset` and `assume_init` read it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

/// Blocks `signals` in this thread and returns a descriptor that becomes readable when one arrives; not for those of the
/// [`STOP_SIGNALS`] that are ignored by now.
pub fn signal_descriptor(signals: &[c_int]) -> io::Result<OwnedFd> {
    let blocked = signal_set(signals);
    // SAFETY: `blocked` is initialised and outlives the call; no old mask is asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const blocked, ptr::null_mut()) })?;
    // The kernel keeps a signal that is blocked even where it is ignored, and the descriptor would show it.
    let is_heeded = |signal: &c_int| !STOP_SIGNALS.contains(signal) || !is_ignored(*signal);
    let heeded: Vec<c_int> = signals.iter().copied().filter(is_heeded).collect();
    let set = signal_set(&heeded);
    // SAFETY: `set` is initialised and outlives the call; -1 asks for a new descriptor.
    let fd = check(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
    // SAFETY: `signalfd` has just created `fd` and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a counter descriptor: unreadable until something is written to it.
pub fn event_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: takes two integers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: `eventfd` has just created `fd` and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Asks for a larger pipe; the kernel may refuse, and then the pipe works as it is.
pub fn enlarge_pipe(pipe: BorrowedFd<'_>, bytes: c_int) {
    // SAFETY: `pipe` is open for the whole call; the command takes an integer.
    unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// Waits until a descriptor is readable or hung up; absent ones are never ready.
///
/// All false means that the time was up or a signal came first.
pub fn wait_ready<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let events: c_short = libc::POLLIN;
    let mut polled =
        fds.map(|fd| libc::pollfd { fd: fd.map_or(-1, |fd| fd.as_raw_fd()), events, revents: 0 });
    let limit = timeout.map(|limit| libc::timespec {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `polled` holds exactly N entries and `limit` is null or points to a live timespec.
    let result = check(unsafe { libc::ppoll(polled.as_mut_ptr(), N as libc::nfds_t, limit, ptr::null()) });
    match result {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        Err(_) => Ok([false; N]),
        Ok(_) => Ok(polled.map(|entry| entry.revents != 0)),
    }
}

/// Looks for an ended child without reaping it, so that its `/proc` entry can still be read.
pub fn ended_child() -> io::Result<Children> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: `info` is writable memory of the right size, and all zeroes are a valid `siginfo_t`.
    if let Err(error) = check(unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) }) {
        return match error.raw_os_error() {
            Some(libc::ECHILD) => Ok(Children::None),
            _ => Err(error),
        };
    }
    // SAFETY: zeroed above and possibly filled in by `waitid`, whose layout has `si_pid`.
    let pid = unsafe { info.assume_init().si_pid() };
    Ok(u32::try_from(pid).ok().filter(|&pid| pid > 0).map_or(Children::Running, Children::Ended))
}

/// Reaps a child that [`ended_child`] has named.
pub fn reap(pid: u32) -> io::Result<Reaped> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live, writable memory of the right types.
    check(unsafe { libc::wait4(pid.cast_signed(), &raw mut status, libc::__WALL, usage.as_mut_ptr()) })?;
    // SAFETY: all zeroes are a valid `rusage`, and `wait4` has filled it in.
    let usage = unsafe { usage.assume_init() };
    Ok(Reaped {
        status: ExitStatus::from_raw(status),
        usage: Usage {
            user_ns: timeval_ns(usage.ru_utime),
            sys_ns: timeval_ns(usage.ru_stime),
            rss_bytes_max: count(usage.ru_maxrss).saturating_mul(1024),
            minor_faults: count(usage.ru_minflt),
            major_faults: count(usage.ru_majflt),
            voluntary_switches: count(usage.ru_nvcsw),
            involuntary_switches: count(usage.ru_nivcsw),
        },
    })
}

fn timeval_ns(time: libc::timeval) -> u64 {
    count(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(count(time.tv_usec).saturating_mul(1000))
}

fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Kills a process and, where it leads one, its whole process group at once.
///
/// A group dies in one step under the kernel's task-list lock, so its members cannot outrun it by forking.
pub fn kill_with_group(pid: u32) {
    let pid = pid.cast_signed();
    assert!(pid > 1, "kill would reach processes that are not ours");
    // SAFETY: sends a signal; no memory is involved. A process that is gone already is no error here.
    unsafe {
        libc::kill(-pid, libc::SIGKILL);
        libc::kill(pid, libc::SIGKILL);
    }
}

/// Asks a process to end.
pub fn terminate(pid: u32) {
    let pid = pid.cast_signed();
    assert!(pid > 1, "kill would reach processes that are not ours");
    // SAFETY: sends a signal; no memory is involved. A process that is gone already is no error here.
    unsafe { libc::kill(pid, libc::SIGTERM) };
}

/// Numbers of the CPUs that this process may use, ascending.
///
/// # Errors
/// Where the kernel has more CPUs than its C library's set has room for.
pub fn cpus_allowed() -> io::Result<Vec<u32>> {
    Ok(Affinity::current()?.cpus())
}

/// A set of CPUs, as the kernel keeps them.
#[derive(Clone, Copy)]
pub struct Affinity(libc::cpu_set_t);

impl Affinity {
    /// Of these CPUs; those that the kernel's set has no room for are refused.
    pub fn of(cpus: &[u32]) -> io::Result<Self> {
        // SAFETY: all zeroes are an empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        for &cpu in cpus {
            let cpu = usize::try_from(cpu).unwrap_or(usize::MAX);
            if cpu >= size_of::<libc::cpu_set_t>() * 8 {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            // SAFETY: the bit lies within the set, as was just checked.
            unsafe { libc::CPU_SET(cpu, &mut set) };
        }
        Ok(Self(set))
    }

    pub fn current() -> io::Result<Self> {
        // SAFETY: all zeroes are an empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes at most the size of `set` into it.
        check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) })?;
        Ok(Self(set))
    }

    /// The CPU that this thread is on, and no other.
    pub fn here() -> io::Result<Self> {
        // SAFETY: takes nothing and touches no memory of ours.
        check(unsafe { libc::sched_getcpu() }).and_then(|cpu| Self::of(&[cpu.cast_unsigned()]))
    }

    pub fn cpus(&self) -> Vec<u32> {
        let bits = size_of::<libc::cpu_set_t>() * 8;
        // SAFETY: the bits lie within the set.
        let set = (0..bits).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &self.0) });
        set.filter_map(|cpu| u32::try_from(cpu).ok()).collect()
    }

    /// Restricts this thread, and what it starts from now on.
    pub fn apply(&self) -> io::Result<()> {
        // SAFETY: the kernel reads at most the size of the set from it.
        check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.0) })
            .map(drop)
    }
}

/// Clock ticks per second of the times in `/proc`.
pub fn ticks_per_second() -> u64 {
    // SAFETY: reads a constant of the system.
    count(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).max(1)
}

/// Bytes of a page of memory.
pub fn page_bytes() -> usize {
    // SAFETY: reads a constant of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Nanoseconds of the monotonic clock.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable and of the type that the call fills; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    count(now.tv_sec) * 1_000_000_000 + count(now.tv_nsec)
}
