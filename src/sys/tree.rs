//! All descendants of this process: reaping them, adding up what they used, killing them.
//!
//! **Invariant**: the tree counts as gone only when the kernel says that no child is left (`ECHILD`); as subreaper this
//! process becomes the parent of every orphan, so nothing leaves the tree by `setsid` or a double fork.

use std::io;
use std::os::fd::BorrowedFd;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::os::{self, Children, Usage};
use super::procfs;
use super::wire::RunFailure;

/// How long killed processes may take to go; one that hangs in the kernel for longer is reported.
const KILL_TIME_MAX: Duration = Duration::from_secs(20);

/// Pause between two looks at a tree that has been killed; an ended child ends it early.
const KILL_PAUSE: Duration = Duration::from_millis(2);

/// The process tree of one program.
#[derive(Debug)]
pub struct Tree {
    program: u32,
    /// How the program itself ended, once it has.
    pub status: Option<ExitStatus>,
    /// Run-queue wait of the program's main thread, read between its end and its reaping.
    pub runqueue_wait_ns: Option<u64>,
    /// Sum over all that has been reaped; the peak is the largest single one.
    pub usage: Usage,
    /// Nothing is left, dead or alive.
    pub is_gone: bool,
}

impl Tree {
    pub fn new(program: u32) -> Self {
        Self { program, status: None, runqueue_wait_ns: None, usage: Usage::default(), is_gone: false }
    }

    /// Reaps every child that has ended.
    pub fn reap_ended(&mut self) -> Result<(), RunFailure> {
        let failure = |error: io::Error| RunFailure::new("wait for", "the process tree", &error);
        loop {
            let pid = match os::ended_child().map_err(failure)? {
                Children::Ended(pid) => pid,
                Children::Running => return Ok(()),
                Children::None => {
                    self.is_gone = true;
                    return Ok(());
                }
            };
            if pid == self.program {
                self.runqueue_wait_ns = procfs::schedule(pid).map(|schedule| schedule.runqueue_wait_ns);
            }
            let reaped = os::reap(pid).map_err(failure)?;
            if pid == self.program {
                self.status = Some(reaped.status);
            }
            self.usage = sum(self.usage, reaped.usage);
        }
    }

    /// Descendants that are still running.
    pub fn count_running(&self) -> u32 {
        let running = procfs::descendants(std::process::id())
            .into_iter()
            .filter(|&pid| procfs::stat(pid).is_some_and(|stat| !stat.is_ended()));
        u32::try_from(running.count()).unwrap_or(u32::MAX)
    }

    /// Kills everything, again and again until nothing is left: a tree that forks while it is killed may outrun one
    /// pass, not all of them. `child_ended` only shortens the waits between passes.
    ///
    /// # Errors
    /// When a killed process does not go within [`KILL_TIME_MAX`].
    pub fn kill(&mut self, child_ended: BorrowedFd<'_>) -> Result<(), RunFailure> {
        let give_up = Instant::now() + KILL_TIME_MAX;
        loop {
            for pid in procfs::descendants(std::process::id()) {
                os::kill_with_group(pid);
            }
            self.reap_ended()?;
            if self.is_gone {
                return Ok(());
            }
            if Instant::now() > give_up {
                let left = procfs::descendants(std::process::id());
                let error = io::Error::from_raw_os_error(libc::ETIMEDOUT);
                return Err(RunFailure::new("kill", format!("processes {left:?}"), &error));
            }
            os::wait_ready([Some(child_ended)], Some(KILL_PAUSE))
                .map_err(|error| RunFailure::new("wait for", "the process tree", &error))?;
        }
    }
}

fn sum(a: Usage, b: Usage) -> Usage {
    Usage {
        user_ns: a.user_ns + b.user_ns,
        sys_ns: a.sys_ns + b.sys_ns,
        rss_bytes_max: a.rss_bytes_max.max(b.rss_bytes_max),
        minor_faults: a.minor_faults + b.minor_faults,
        major_faults: a.major_faults + b.major_faults,
        voluntary_switches: a.voluntary_switches + b.voluntary_switches,
        involuntary_switches: a.involuntary_switches + b.involuntary_switches,
    }
}
