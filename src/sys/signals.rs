//! Ctrl-C and termination: the first asks for an orderly end, a second Ctrl-C ends at once.
//!
//! **Invariant**: handlers only set a flag, wake the waiters, or leave; all clean-up is ordinary code that looks at
//! [`interrupted`]. The measured tree dies even when perfup leaves at once: its runner sees its standard input close.
#![expect(unsafe_code, reason = "signal handlers have no safe binding in the standard library")]

use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libc::c_int;

use super::os;

/// Exit code of a program that Ctrl-C ended: 128 + SIGINT.
const EXIT_INTERRUPTED: c_int = 130;

static SIGNALS_SEEN: AtomicU32 = AtomicU32::new(0);
/// The event descriptor that is readable from the first signal on; -1 before [`install`].
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// Catches SIGINT, SIGTERM and SIGHUP (a closed terminal) from now on, but for those that whoever started perfup has it
/// ignore, as `nohup` does. Calling it again changes nothing.
///
/// # Errors
/// When the system has no descriptor left, or refuses a handler.
pub fn install() -> io::Result<()> {
    if WAKE.load(Ordering::SeqCst) < 0 {
        WAKE.store(os::event_descriptor()?.into_raw_fd(), Ordering::SeqCst);
    }
    for signal in os::STOP_SIGNALS.into_iter().filter(|&signal| !os::is_ignored(signal)) {
        // SAFETY: all zeroes are a valid `sigaction`: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as extern "C" fn(c_int) as libc::sighandler_t;
        // Waiters are woken through the descriptor, so nobody needs to see EINTR.
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: `action` is complete, and `on_signal` calls nothing that is not async-signal-safe.
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether the user or the system has asked perfup to stop.
#[must_use]
pub fn interrupted() -> bool {
    SIGNALS_SEEN.load(Ordering::SeqCst) > 0
}

/// A descriptor that is readable from the first signal on; absent before [`install`].
#[must_use]
pub fn wake_descriptor() -> Option<BorrowedFd<'static>> {
    let fd = WAKE.load(Ordering::SeqCst);
    // SAFETY: once stored, the descriptor stays open until the process ends.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Sleeps for `time` or until a signal comes; says whether one has come.
#[must_use]
pub fn sleep(time: Duration) -> bool {
    let end = Instant::now() + time;
    while !interrupted() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        if os::wait_ready([wake_descriptor()], Some(left)).is_err() {
            std::thread::sleep(left);
        }
    }
    interrupted()
}

/// Sleeps until `fd` is readable or a signal comes; says whether it is readable.
///
/// # Errors
/// The system's.
pub fn wait(fd: BorrowedFd<'_>) -> io::Result<bool> {
    while !interrupted() {
        if let [true, _] = os::wait_ready([Some(fd), wake_descriptor()], None)? {
            return Ok(true);
        }
    }
    Ok(false)
}

extern "C" fn on_signal(signal: c_int) {
    let seen_before = SIGNALS_SEEN.fetch_add(1, Ordering::SeqCst);
    if seen_before > 0 && signal == libc::SIGINT {
        // SAFETY: async-signal-safe, and does not return.
        unsafe { libc::_exit(EXIT_INTERRUPTED) };
    }
    let one = 1_u64.to_ne_bytes();
    // SAFETY: `write` is async-signal-safe and `one` is live; `errno` belongs to the interrupted code and is put back.
    unsafe {
        let errno = libc::__errno_location();
        let kept = *errno;
        libc::write(WAKE.load(Ordering::SeqCst), one.as_ptr().cast(), one.len());
        *errno = kept;
    }
}
