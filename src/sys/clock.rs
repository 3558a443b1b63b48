//! Clocks that the standard library does not read, or not as plain numbers.
#![expect(unsafe_code, reason = "clock_gettime has no safe binding in the standard library")]

use std::time::Duration;

/// `CLOCK_MONOTONIC`, the clock of time limits in other processes' system calls.
#[must_use]
pub fn monotonic() -> Duration {
    read(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_REALTIME`.
#[must_use]
pub fn realtime() -> Duration {
    read(libc::CLOCK_REALTIME)
}

/// Time that this thread has been on a CPU: what others make it wait is not in it.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Zero where the kernel does not know the clock; every Linux knows these three.
fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec` to live, writable memory.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_advances_while_this_thread_computes() {
        let start = thread_cpu_time();
        let mut rounds = 0u64;
        while thread_cpu_time() <= start {
            rounds = std::hint::black_box(rounds + 1);
        }
        assert!(rounds < u64::MAX);
    }

    #[test]
    fn the_wall_clocks_agree_on_how_time_passes() {
        let before = (monotonic(), realtime());
        assert!(monotonic() >= before.0 && realtime() > Duration::from_secs(1_500_000_000));
    }
}
