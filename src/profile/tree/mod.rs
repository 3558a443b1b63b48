//! Where the wall time of a whole process tree goes, sampled from `/proc` without stopping anybody.
//!
//! 97 times a second (a prime, against lock-step) each thread's exact scheduler times are read; what is left of an
//! interval goes to what the thread waits for, and along the chain of waits to whom it waits for.

mod calls;
mod chain;
mod descriptors;
mod locks;
mod process;
mod sampler;
mod times;
mod waits;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sampler::Sampler;
pub use times::{BlockClass, Program, ThreadTimes, TreeTimes, WallTimes};

use super::{Absent, Availability, Observation, Recording, Source, Target};
use crate::sys::procfs;

/// 97 Hz.
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 97);

/// A program's first moments are looked at more closely, so that one of a few milliseconds is seen at all.
const CLOSELY: [(Duration, Duration); 2] = [
    (Duration::from_millis(20), Duration::from_millis(1)),
    (Duration::from_millis(100), Duration::from_millis(4)),
];

/// Threads up to which looking closely costs little.
const FEW_THREADS: u64 = 16;

/// Looks between two sums for who asks while it goes on.
const SUM_EVERY: u32 = 48;

pub(super) struct Tree;

impl Source for Tree {
    fn id(&self) -> &'static str {
        "tree"
    }

    fn gives(&self) -> &'static str {
        "what every process and thread computes or waits for, 97 times a second"
    }

    fn probe(&self) -> Availability {
        if let Some(absent) = cannot_sample() {
            return Availability::Unavailable(absent);
        }
        if !has_scheduler_times() {
            return Availability::Degraded(Absent {
                reason: "/proc/PID/schedstat is not there. Times are counted by the clock's ticks, and waiting for a CPU \
                         cannot be told from running"
                    .to_owned(),
                remedy: "use a kernel with CONFIG_SCHED_INFO".to_owned(),
            });
        }
        let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
        // 1 allows a process's own descendants, which is what perfup starts.
        let allowed = matches!(scope.trim(), "" | "0" | "1");
        if allowed && std::fs::read_to_string("/proc/thread-self/syscall").is_ok() {
            return Availability::Usable;
        }
        let reason = match scope.trim() {
            "" | "0" | "1" => "/proc/PID/task/TID/syscall cannot be read".to_owned(),
            scope => format!("kernel.yama.ptrace_scope={scope} forbids reading what a thread waits for"),
        };
        Availability::Degraded(Absent {
            reason: format!("{reason}. Waits are classed by kernel wait channel only"),
            remedy: "sudo sysctl kernel.yama.ptrace_scope=1".to_owned(),
        })
    }

    fn start(&self, target: Target) -> Result<Box<dyn Recording>, Absent> {
        if let Some(absent) = cannot_sample() {
            return Err(absent);
        }
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("perfup-tree".to_owned())
            .spawn(move || watch(target, &seen))
            .map_err(|error| Absent {
                reason: format!("the sampler's thread could not be started: {error}"),
                remedy: "raise the limit on threads (ulimit -u)".to_owned(),
            })?;
        Ok(Box::new(Watch { shared, thread: Some(thread) }))
    }
}

fn cannot_sample() -> Option<Absent> {
    procfs::stat(std::process::id()).is_none().then(|| Absent {
        reason: "/proc/PID/stat cannot be read".to_owned(),
        remedy: "mount /proc in this container".to_owned(),
    })
}

/// Whether the kernel tells exactly how long threads ran and queued.
fn has_scheduler_times() -> bool {
    procfs::schedule(std::process::id()).is_some()
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    so_far: Mutex<TreeTimes>,
}

/// A sampler at work; stopped when dropped.
struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<TreeTimes>>,
}

impl Watch {
    fn join(&mut self) -> Option<TreeTimes> {
        self.shared.stop.store(true, Ordering::Release);
        let thread = self.thread.take()?;
        thread.thread().unpark();
        thread.join().ok()
    }
}

impl Recording for Watch {
    fn so_far(&self) -> Option<Observation> {
        let times = self.shared.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        (times.ticks > 0).then(|| Observation::Tree(times.clone()))
    }

    fn stop(mut self: Box<Self>) -> Observation {
        // A sampler that panicked saw nothing.
        Observation::Tree(self.join().unwrap_or_default())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.join();
    }
}

fn watch(target: Target, shared: &Shared) -> TreeTimes {
    let mut sampler = Sampler::new(target);
    let mut born: Option<Instant> = None;
    let mut looks: u32 = 0;
    while !shared.stop.load(Ordering::Acquire) {
        let started = Instant::now();
        sampler.look(started);
        if sampler.times.processes > 0 {
            born.get_or_insert(started);
        }
        looks += 1;
        if looks.is_multiple_of(SUM_EVERY) {
            *shared.so_far.lock().unwrap_or_else(PoisonError::into_inner) = sampler.so_far();
        }
        let age = born.map_or(Duration::ZERO, |born| born.elapsed());
        let closely =
            CLOSELY.iter().find(|(until, _)| age < *until && sampler.times.threads_max <= FEW_THREADS);
        let period = closely.map_or(PERIOD, |(_, period)| *period);
        std::thread::park_timeout(period.saturating_sub(started.elapsed()));
    }
    sampler.finish()
}

#[cfg(test)]
mod tests;
