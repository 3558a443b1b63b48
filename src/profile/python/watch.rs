//! The loop: which processes there are, and whom to look at when.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::PythonSeen;
use super::find::{Failure, Finder, is_named_python};
use super::layout::MINORS;
use super::pace::Pace;
use super::process::{Moment, Process};
use super::thread::{FILES, OPEN_MAX};
use crate::profile::stacks::Builder;
use crate::profile::{Absent, Target};
use crate::sys::peek::Peek;
use crate::sys::procfs;

/// What all looks of one tick may take, and how many there are at least, besides those at main threads; the others come
/// first at the next tick.
const LOOKS_TIME: Duration = Duration::from_micros(50);
const LOOKS_MIN: usize = 4;

/// Time is left for so much more than the search for new processes took, before the next one: it costs 0.3 %.
const SEARCH_REST: u32 = 300;

/// Time between two searches when nothing was new for a while, and they are cheap.
const SEARCH_INTERVAL_MAX: Duration = Duration::from_millis(30);

/// Searches at which a process that is not called Python is asked for a library of it, counted from its first.
const LIBRARY_SEARCHES: [u32; 3] = [2, 10, 50];

/// Searches after which a process that is called Python and has no interpreter is given up.
const SEARCHES_MAX: u32 = 200;

/// Stacks of which all were torn, until a process is given up.
const TORN_MAX: u64 = 100;

/// What is known of a process.
enum Slot {
    /// No interpreter was found yet, in so many searches.
    Unknown {
        searches: u32,
    },
    Python(Box<Process>),
    /// Nothing more is to be had of it.
    Closed,
}

pub(super) struct Watcher {
    target: Target,
    finder: Finder,
    /// With the executable each had: a process becomes another program when it executes one.
    slots: HashMap<u32, (PathBuf, Slot)>,
    builder: Builder,
    seen: PythonSeen,
    begin: Instant,
    tick: u64,
    pace: Pace,
    next_search: Instant,
    search_interval: Duration,
}

impl Watcher {
    pub fn new(target: Target) -> Self {
        let begin = Instant::now();
        Self {
            target,
            finder: Finder::default(),
            slots: HashMap::new(),
            builder: Builder::default(),
            seen: PythonSeen::default(),
            begin,
            tick: 0,
            pace: Pace::new(),
            next_search: begin,
            search_interval: Duration::ZERO,
        }
    }

    pub fn run(mut self, stop: &AtomicBool) -> PythonSeen {
        let mut next = self.begin;
        while !stop.load(Ordering::Acquire) {
            self.tick();
            let now = Instant::now();
            next += self.pace.interval();
            self.pace.looked();
            if !self.slots.values().any(|(_, slot)| matches!(slot, Slot::Python(_))) {
                // Nothing to look at before the next search.
                next = next.max(self.next_search);
            }
            // After a pause the rhythm begins anew.
            next = next.max(now);
            std::thread::park_timeout(next - now);
        }
        let pids: Vec<u32> = self.slots.keys().copied().collect();
        for pid in pids {
            self.close(pid);
        }
        self.seen.stacks = self.builder.finish();
        self.seen
    }

    fn tick(&mut self) {
        self.tick += 1;
        let start = Instant::now();
        if start >= self.next_search {
            let found_new = self.search();
            let end = Instant::now();
            self.search_interval = if found_new {
                Duration::ZERO
            } else {
                (self.search_interval + Duration::from_millis(1)).min(SEARCH_INTERVAL_MAX)
            };
            self.next_search = end + self.search_interval.max((end - start) * SEARCH_REST);
        }
        let start = Instant::now();
        let mut failed = Vec::new();
        let mut due = Vec::new();
        let mut moment = Moment {
            tick: self.tick,
            now_s: (start - self.begin).as_secs_f64(),
            interval_s: self.pace.interval().as_secs_f64(),
            builder: &mut self.builder,
            files_max: OPEN_MAX / FILES / self.slots.len().max(1),
        };
        for (pid, (_, slot)) in &mut self.slots {
            let Slot::Python(process) = slot else { continue };
            if let Err(error) = process.begin(&mut moment) {
                failed.push((*pid, error));
                continue;
            }
            due.extend(process.due(self.tick).map(|(thread, looked_s)| {
                let rank = if process.is_main(thread) { f64::NEG_INFINITY } else { looked_s };
                (rank, *pid, thread)
            }));
        }
        due.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let start = Instant::now();
        // Main threads come first, and are looked at in any case.
        let main_threads = due.partition_point(|(rank, ..)| *rank == f64::NEG_INFINITY);
        for (index, (_, pid, thread)) in due.into_iter().enumerate() {
            let now = Instant::now();
            if now - start > LOOKS_TIME && index >= main_threads + LOOKS_MIN {
                break;
            }
            let Some((_, Slot::Python(process))) = self.slots.get_mut(&pid) else { continue };
            moment.now_s = (now - self.begin).as_secs_f64();
            if let Err(error) = process.look(thread, &mut moment) {
                failed.push((pid, error));
            }
        }
        for (pid, (_, slot)) in &mut self.slots {
            if let Slot::Python(process) = slot {
                process.end();
                if process.read == 0 && process.torn >= TORN_MAX {
                    failed.push((*pid, io::ErrorKind::InvalidData.into()));
                }
            }
        }
        for (pid, error) in failed {
            self.fail(pid, &error);
        }
    }

    /// Looks for processes that began, ended, or became others; whether there were any.
    fn search(&mut self) -> bool {
        let pids = match self.target {
            Target::Below(runner) => procfs::descendants(runner),
            Target::Process(pid) => [vec![pid], procfs::descendants(pid)].concat(),
        };
        let mut changed = false;
        let gone: Vec<u32> = self.slots.keys().copied().filter(|pid| !pids.contains(pid)).collect();
        for pid in gone {
            self.close(pid);
            self.slots.remove(&pid);
        }
        for pid in pids {
            let executable = match fs::read_link(format!("/proc/{pid}/exe")) {
                Ok(executable) => executable,
                Err(error) => {
                    if error.kind() == io::ErrorKind::PermissionDenied && self.target == Target::Process(pid)
                    {
                        self.refused(pid);
                    }
                    continue;
                }
            };
            let slot = self.slots.get(&pid).filter(|(before, _)| *before == executable);
            let searches = match slot {
                None => {
                    self.close(pid);
                    0
                }
                Some((_, Slot::Unknown { searches })) => searches + 1,
                Some(_) => continue,
            };
            changed |= searches == 0;
            let slot = self.open(pid, &executable, searches);
            self.slots.insert(pid, (executable, slot));
        }
        changed
    }

    fn open(&mut self, pid: u32, executable: &Path, searches: u32) -> Slot {
        let named = is_named_python(executable);
        if !named && !LIBRARY_SEARCHES.contains(&searches) {
            return match LIBRARY_SEARCHES.last() {
                Some(&last) if searches > last => Slot::Closed,
                _ => Slot::Unknown { searches },
            };
        }
        let program = || procfs::stat(pid).map_or_else(String::new, |stat| stat.name);
        let mut peek = Peek::new(pid);
        match self.finder.find(pid, executable, &mut peek) {
            Ok(found) => Slot::Python(Box::new(Process::new(pid, program(), found, peek))),
            Err(Failure::NoInterpreter) if named && searches >= SEARCHES_MAX => {
                self.absent(format!("{} has no symbol _PyRuntime", executable.display()), PY_SPY);
                Slot::Closed
            }
            Err(Failure::NoInterpreter) => Slot::Unknown { searches },
            Err(Failure::Version(name)) => {
                let (oldest, newest) = (MINORS.start(), MINORS.end());
                self.absent(
                    format!("{name} cannot be read, only Python 3.{oldest} to 3.{newest}"),
                    &format!("run the program with Python 3.{oldest} to 3.{newest}"),
                );
                Slot::Closed
            }
            Err(Failure::Refused(io::ErrorKind::PermissionDenied)) => {
                self.refused(pid);
                Slot::Closed
            }
            Err(Failure::Refused(_)) => Slot::Unknown { searches },
        }
    }

    fn refused(&mut self, pid: u32) {
        self.absent(
            format!("the kernel does not let perfup read the memory of process {pid} (Permission denied)"),
            "run perfup as the user who runs the program, or with CAP_SYS_PTRACE",
        );
    }

    /// The first reason stays.
    fn absent(&mut self, reason: String, remedy: &str) {
        self.seen.absent.get_or_insert_with(|| Absent {
            reason: format!("no Python frames: {reason}"),
            remedy: remedy.to_owned(),
        });
    }

    /// What to do when a process could not be read any more.
    fn fail(&mut self, pid: u32, error: &io::Error) {
        self.close(pid);
        let Some((executable, slot)) = self.slots.get_mut(&pid) else { return };
        match error.kind() {
            io::ErrorKind::InvalidData => {
                *slot = Slot::Closed;
                let program = executable.display().to_string();
                self.absent(format!("{program} is laid out in an unknown way (a debug build?)"), PY_SPY);
            }
            io::ErrorKind::PermissionDenied => {
                *slot = Slot::Closed;
                self.refused(pid);
            }
            // It has ended, or executes another program: the next search tells.
            _ => *slot = Slot::Unknown { searches: 0 },
        }
    }

    /// Keeps what a process has told of its lock.
    fn close(&mut self, pid: u32) {
        if let Some((_, slot)) = self.slots.get_mut(&pid)
            && let Slot::Python(process) = std::mem::replace(slot, Slot::Closed)
            && process.gil_use.looks > 0
        {
            self.seen.gil.entry(pid).or_default().add(&process.gil_use);
        }
    }
}

const PY_SPY: &str = "look at it with another tool: pip install py-spy, then py-spy record --nonblocking";
