//! Where Python programs are: the frames of every thread of every CPython process, running or waiting, read from
//! outside up to 97 times a second.
//!
//! Nothing is installed, loaded or stopped: the interpreter's own structures are read out of its memory while it runs
//! on. So what is read may be torn; it is checked, read again, and dropped and counted when it stays so. A thread that
//! was not on a CPU since the last look still is where it was, and costs next to nothing; where it costs more all the
//! same, looks become fewer.
//!
//! CPython 3.8 to 3.14 on 64-bit Linux, see `layout`; in a free-threaded 3.14, whose threads run copies of the
//! bytecode, no frames are found.

mod codes;
mod decode;
mod find;
mod layout;
mod lines;
mod list;
mod pace;
mod places;
mod process;
mod stack;
mod thread;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

pub use places::{Place, places};

use super::stacks::Stacks;
use super::{Absent, Availability, Observation, Recording, Source, Target};
use crate::sys::peek::{Peek, Span};

/// What was seen of all interpreters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PythonSeen {
    /// All threads, running or waiting.
    pub stacks: Stacks,
    /// By process id; without those that have no such lock.
    pub gil: BTreeMap<u32, GilUse>,
    /// Why there is nothing of some process that runs Python.
    pub absent: Option<Absent>,
}

/// The global interpreter lock of one process, as it was at so many looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GilUse {
    pub looks: u64,
    /// A thread held it.
    pub held: u64,
    /// A thread held it, and another one waited for it.
    pub contended: u64,
}

impl GilUse {
    pub(super) fn add(&mut self, other: &Self) {
        self.looks += other.looks;
        self.held += other.held;
        self.contended += other.contended;
    }

    /// Share of the looks at which a thread held the lock and another one waited for it, 0–1.
    #[must_use]
    pub fn contended_share(&self) -> f64 {
        self.contended as f64 / self.looks.max(1) as f64
    }
}

pub(super) struct Python;

impl Source for Python {
    fn id(&self) -> &'static str {
        "python"
    }

    fn gives(&self) -> &'static str {
        "Python frames of all threads, running or waiting"
    }

    fn probe(&self) -> Availability {
        match forbidden(ptrace_scope(), is_privileged()) {
            Some(Forbidden::Wholly(absent)) => Availability::Unavailable(absent),
            Some(Forbidden::Foreign(absent)) => Availability::Degraded(absent),
            None => match unreadable() {
                Some(absent) => Availability::Unavailable(absent),
                None => Availability::Usable,
            },
        }
    }

    fn start(&self, target: Target) -> Result<Box<dyn Recording>, Absent> {
        match (forbidden(ptrace_scope(), is_privileged()), target) {
            (Some(Forbidden::Wholly(absent)), _) | (Some(Forbidden::Foreign(absent)), Target::Process(_)) => {
                Err(absent)
            }
            _ => match unreadable() {
                Some(absent) => Err(absent),
                None => Ok(Box::new(Watching::start(target))),
            },
        }
    }
}

/// What the kernel's setting forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Forbidden {
    /// To read any other process.
    Wholly(Absent),
    /// To read processes that perfup did not start.
    Foreign(Absent),
}

/// What `kernel.yama.ptrace_scope` forbids: 1 all but descendants, 2 all for those without `CAP_SYS_PTRACE`, 3 all.
fn forbidden(scope: Option<u32>, privileged: bool) -> Option<Forbidden> {
    let absent = |what: &str, remedy: &str| Absent {
        reason: format!(
            "no Python frames: kernel.yama.ptrace_scope={} forbids reading the memory of {what}",
            scope.unwrap_or(0)
        ),
        remedy: remedy.to_owned(),
    };
    const ALLOW: &str = "run: sudo sysctl kernel.yama.ptrace_scope=0";
    match scope? {
        0 => None,
        1 | 2 if privileged => None,
        1 => Some(Forbidden::Foreign(absent(
            "a process perfup did not start",
            "start the command under perfup, or run: sudo sysctl kernel.yama.ptrace_scope=0",
        ))),
        2 => Some(Forbidden::Wholly(absent("other processes", ALLOW))),
        _ => Some(Forbidden::Wholly(absent(
            "other processes until the machine is started anew",
            "start the machine with kernel.yama.ptrace_scope=1",
        ))),
    }
}

fn ptrace_scope() -> Option<u32> {
    fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?.trim().parse().ok()
}

/// Whether this process has `CAP_SYS_PTRACE`.
fn is_privileged() -> bool {
    const CAP_SYS_PTRACE: u32 = 19;
    fs::read_to_string("/proc/self/status").ok().and_then(|text| effective(&text)).unwrap_or(0)
        >> CAP_SYS_PTRACE
        & 1
        == 1
}

/// The effective capabilities in `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Why not even this process's own memory can be read.
fn unreadable() -> Option<Absent> {
    let byte = 1_u8;
    let span = Span { address: &raw const byte as u64, length: 1 };
    let error = Peek::new(std::process::id()).read(&[span]).err()?;
    Some(Absent {
        reason: format!("no Python frames: process_vm_readv: {error}"),
        remedy:
            "run outside of the container whose filter refuses it, or allow it there: --cap-add SYS_PTRACE"
                .to_owned(),
    })
}

struct Watching {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<PythonSeen>,
}

impl Watching {
    fn start(target: Target) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || watch::Watcher::new(target).run(&stopped));
        Self { stop, thread }
    }
}

impl Recording for Watching {
    fn stop(self: Box<Self>) -> Observation {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // A watcher that panicked saw nothing.
        Observation::Python(self.thread.join().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_settings_forbid_what_they_say() {
        assert_eq!(forbidden(None, false), None);
        assert_eq!(forbidden(Some(0), false), None);
        assert_eq!(forbidden(Some(1), true), None);
        assert!(matches!(forbidden(Some(1), false), Some(Forbidden::Foreign(_))));
        let Some(Forbidden::Wholly(absent)) = forbidden(Some(2), false) else { panic!("forbidden") };
        assert_eq!(
            absent.reason,
            "no Python frames: kernel.yama.ptrace_scope=2 forbids reading the memory of other processes"
        );
        assert_eq!(absent.remedy, "run: sudo sysctl kernel.yama.ptrace_scope=0");
        assert_eq!(forbidden(Some(2), true), None);
        assert!(matches!(forbidden(Some(3), true), Some(Forbidden::Wholly(_))));
    }

    #[test]
    fn capabilities_are_a_mask() {
        assert_eq!(effective("Name:\tx\nCapEff:\t0000000000080000\n"), Some(1 << 19));
        assert_eq!(effective("CapPrm:\t0\n"), None);
        assert_eq!(unreadable(), None, "this process can read itself");
    }
}
