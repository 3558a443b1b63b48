//! One sampler of one process tree: look by look.
//!
//! Threads whose scheduler times did not change cost one read and nothing else. **Invariant**: the runner's own process
//! is never counted, and a file that is refused degrades the answer by name, never silently.

mod account;

use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use account::Foreign;

use super::BlockClass;
use super::calls::{self, Now};
use super::chain::Wait;
use super::descriptors::Tables;
use super::has_scheduler_times;
use super::locks::Locks;
use super::process::{Process, Thread, Watched};
use super::times::TreeTimes;
use super::waits::{Around, Blocked, refused};
use crate::profile::Target;
use crate::sys::{clock, procfs};

/// Threads whose files are kept open; beyond, files are opened for each read.
const KEPT_THREADS_MAX: usize = 100;

/// Looks without a change after which a thread is visited less often, where there are many.
const IDLE_TICKS: u32 = 8;
const ALWAYS_VISITED_MAX: usize = 16;

/// Threads of which it is remembered how long they waited for locks.
const LOCK_WAITS_MAX: usize = 1024;

/// Looks between two at how busy the machine is.
const FOREIGN_TICKS: u32 = 12;

/// Further looks at a thread that waits often and briefly and was caught running.
const LOOKS_AGAIN: u32 = 4;

/// Part of an interval below which it is not asked what became of it.
const REST_IGNORED: f64 = 0.02;

/// The kernel books a running thread's time at its ticks, 100–1000 a second: what is missing beyond two of the slowest
/// was not spent on a CPU.
const UNBOOKED_S_MAX: f64 = 0.02;

/// The longest interval between two of the kernel's ticks.
const TICK_S_MAX: f64 = 0.01;

/// Looks at which a process was alive, up to which it came and went.
const BRIEF_TICKS: u32 = 2;

/// The tree as known so far, and the sums.
pub(super) struct Sampler {
    target: Target,
    foreign: Foreign,
    /// The lists of children of the runner's threads that have had any.
    spawners: Vec<(u32, Watched)>,
    /// Whether the scheduler's own times can be read.
    exact: bool,
    /// Whether the kernel lists children; else all processes have to be searched.
    lists_children: bool,
    processes: Vec<Process>,
    pub times: TreeTimes,
    tables: Tables,
    /// Locks between processes; their address is the same in all that were forked from one.
    shared_locks: Locks,
    /// Changes whenever a process comes or goes.
    generation: u32,
    tick: u32,
    last: Instant,
    /// Whether system calls may be read; turned off by the first refusal.
    syscalls: bool,
    /// In how many looks every thread is visited once.
    turns: u32,
    cost_since: (Instant, Duration),
}

impl Sampler {
    pub fn new(target: Target) -> Self {
        let now = Instant::now();
        let mut sampler = Self {
            target,
            foreign: Foreign::new(),
            spawners: Vec::new(),
            exact: has_scheduler_times(),
            lists_children: fs::exists("/proc/thread-self/children").unwrap_or(false),
            processes: Vec::new(),
            times: TreeTimes::default(),
            tables: Tables::default(),
            shared_locks: Locks::default(),
            generation: 0,
            tick: 0,
            last: now,
            syscalls: true,
            turns: 1,
            cost_since: (now, clock::thread_cpu_time()),
        };
        match target {
            Target::Below(runner) => sampler.spawners.push((runner, spawner(runner, runner))),
            Target::Process(pid) => sampler.adopt(pid, 0),
        }
        sampler
    }

    /// Looks at the whole tree once.
    pub fn look(&mut self, now: Instant) {
        let elapsed_s = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        self.tick += 1;
        self.find_roots();
        let mut at = 0;
        // The list grows while it is walked: children are found by visiting their parents.
        while at < self.processes.len() {
            let mut process = std::mem::replace(&mut self.processes[at], Process::new(0, 0));
            let children = self.visit(&mut process, now, elapsed_s);
            let parent = process.pid;
            self.processes[at] = process;
            children.into_iter().for_each(|child| self.adopt(child, parent));
            at += 1;
        }
        if !self.lists_children && self.tick % 8 == 1 {
            self.search();
        }
        self.bury();
        self.shared_locks.end_of_look();
        if !self.processes.is_empty() {
            self.times.ticks += 1;
            let threads: usize = self.processes.iter().map(|process| process.threads.len()).sum();
            self.times.threads_max = self.times.threads_max.max(threads as u64);
            self.account(elapsed_s);
        }
        if self.tick % FOREIGN_TICKS == 1 {
            self.foreign.learn(self.times.threads.on_cpu_s, now);
        }
        self.mind_the_cost(now);
    }

    /// Finds the processes directly below the runner: the program, and orphans that the runner adopted.
    fn find_roots(&mut self) {
        let Target::Below(runner) = self.target else { return };
        if self.processes.is_empty() || self.tick.is_multiple_of(16) {
            for tid in procfs::threads(runner) {
                if self.spawners.iter().all(|&(known, _)| known != tid) {
                    self.spawners.push((tid, spawner(runner, tid)));
                }
            }
        }
        let roots: Vec<u32> = self.spawners.iter().flat_map(|(_, list)| list.numbers()).collect();
        roots.into_iter().for_each(|pid| self.adopt(pid, 0));
    }

    /// For kernels that list no children.
    fn search(&mut self) {
        let (Target::Below(top) | Target::Process(top)) = self.target;
        for pid in procfs::descendants(top) {
            let Some(stat) = procfs::stat(pid).filter(|stat| !stat.is_ended()) else { continue };
            self.adopt(
                pid,
                if stat.parent == top && matches!(self.target, Target::Below(_)) { 0 } else { stat.parent },
            );
        }
    }

    fn adopt(&mut self, pid: u32, parent: u32) {
        if let Some(known) = self.processes.iter_mut().find(|process| process.pid == pid) {
            known.parent = parent;
            return;
        }
        self.times.processes += 1;
        self.generation += 1;
        self.processes.push(Process::new(pid, parent));
    }

    /// Visits the threads of one process whose turn it is; gives the children of those that ran.
    fn visit(&mut self, process: &mut Process, now: Instant, elapsed_s: f64) -> Vec<u32> {
        process.ticks += 1;
        // Programs are exchanged early, if at all.
        let asked = process.ticks.is_power_of_two() || process.ticks.is_multiple_of(64);
        if asked && let Some(before) = process.identify() {
            self.times.add_program(before);
        }
        let crowded = self.times.threads_max as usize > ALWAYS_VISITED_MAX;
        let ids: Vec<u32> = process.threads.iter().map(|thread| thread.tid).collect();
        let mut changed = process.threads.is_empty();
        let mut children = Vec::new();
        let mut alive = Vec::with_capacity(process.threads.len());
        for mut thread in std::mem::take(&mut process.threads) {
            let phase = self.tick.wrapping_add(thread.tid);
            let rests = crowded && thread.ticks_idle > IDLE_TICKS && !phase.is_multiple_of(8);
            let waits_for_its_turn = self.turns > 1 && !phase.is_multiple_of(self.turns);
            if thread.tid != process.pid && (rests || waits_for_its_turn) {
                alive.push(thread);
                continue;
            }
            match self.sample(process, &mut thread, &ids, now) {
                None => {
                    changed = true;
                    process.workers_s.push(thread.on_cpu_s);
                    continue;
                }
                Some(true) => {
                    changed = true;
                    // Only a thread that ran can have forked.
                    children.extend(thread.children.numbers());
                }
                Some(false) => {}
            }
            alive.push(thread);
        }
        process.threads = alive;
        if changed {
            self.enlist(process, &ids, now, elapsed_s, &mut children);
        }
        process.locks.end_of_look();
        self.account_process(process, changed, elapsed_s);
        children
    }

    /// Takes up threads that are new.
    fn enlist(
        &mut self,
        process: &mut Process,
        ids: &[u32],
        now: Instant,
        elapsed_s: f64,
        children: &mut Vec<u32>,
    ) {
        use std::os::unix::fs::MetadataExt;
        // The folder's link count is the number of threads plus two: much cheaper than listing it.
        let links = fs::metadata(format!("/proc/{}/task", process.pid)).map_or(0, |folder| folder.nlink());
        if links == process.threads.len() as u64 + 2 {
            return;
        }
        let keep = (self.times.threads_max as usize) < KEPT_THREADS_MAX;
        for tid in procfs::threads(process.pid) {
            if process.threads.iter().any(|thread| thread.tid == tid) {
                continue;
            }
            let Some(mut thread) = Thread::new(process.pid, tid, now, keep, self.exact) else { continue };
            // Born within this interval, or older where the sampler came late: never more than the interval.
            let on_s = (thread.last.on_cpu_ns as f64 * 1e-9).min(elapsed_s);
            let queued_s = (thread.last.runqueue_wait_ns as f64 * 1e-9).min(elapsed_s - on_s);
            match self.now(process, &thread, ids) {
                None => continue,
                Some(blocked) => {
                    thread.blocked = blocked.is_some();
                    thread.futex = blocked.as_ref().and_then(|blocked| blocked.futex);
                    thread.wait = blocked.map(|blocked| blocked.wait);
                }
            }
            thread.voluntary = thread.voluntary_switches(process.pid);
            self.book(process, &mut thread, on_s, queued_s);
            if elapsed_s > 0.0 {
                (thread.on, thread.queued) = (on_s / elapsed_s, queued_s / elapsed_s);
                // Caught at its birth: it has run since.
                if thread.wait.is_none() {
                    thread.on = 1.0 - thread.queued;
                }
            }
            children.extend(thread.children.numbers());
            process.threads.push(thread);
        }
    }

    fn book(&mut self, process: &mut Process, thread: &mut Thread, on_s: f64, queued_s: f64) {
        thread.on_cpu_s += on_s;
        process.program.cpu_s += on_s;
        self.times.threads.on_cpu_s += on_s;
        self.times.threads.queued_s += queued_s;
    }

    /// One thread, one interval. Absent when it is gone, else whether anything changed.
    fn sample(
        &mut self,
        process: &mut Process,
        thread: &mut Thread,
        ids: &[u32],
        now: Instant,
    ) -> Option<bool> {
        let new = thread.schedule.schedule()?;
        let old = std::mem::replace(&mut thread.last, new);
        let elapsed_s = now.duration_since(std::mem::replace(&mut thread.visited, now)).as_secs_f64();
        if new == old && thread.blocked && !self.is_outdated(thread) {
            thread.ticks_idle += 1;
            (thread.on, thread.queued, thread.stolen) = (0.0, 0.0, 0.0);
            self.waited(process, thread, elapsed_s, false);
            return Some(false);
        }
        thread.ticks_idle = 0;
        let on_s = new.on_cpu_ns.saturating_sub(old.on_cpu_ns) as f64 * 1e-9;
        let queued_s = new.runqueue_wait_ns.saturating_sub(old.runqueue_wait_ns) as f64 * 1e-9;
        self.book(process, thread, on_s, queued_s);
        // What is booked now for intervals that were taken for computing before.
        let overdue_s = (on_s + queued_s - elapsed_s).clamp(0.0, thread.unbooked_s);
        thread.unbooked_s -= overdue_s;
        let rest_s = (elapsed_s - on_s - queued_s).max(0.0);
        let switched = new.timeslices > old.timeslices;
        let seen = self.now(process, thread, ids)?;
        let caught_running = seen.is_none();
        let waited = match seen {
            Some(blocked) => Some(blocked),
            None if rest_s > REST_IGNORED * elapsed_s && switched => {
                self.waited_meanwhile(process, thread, ids)
            }
            None => None,
        };
        thread.blocked = !caught_running;
        let (mut running_s, mut late_s) = (0.0, 0.0);
        let mut stolen_s = 0.0;
        if let Some(blocked) = waited {
            thread.wait = Some(blocked.wait);
            thread.futex = blocked.futex;
            self.waited(process, thread, rest_s, switched);
        } else if on_s == 0.0 && elapsed_s > TICK_S_MAX {
            // Ready all the time, and not even a tick of the kernel met it running; that it queued is booked later.
            thread.unbooked_s += rest_s;
            late_s = rest_s;
        } else {
            thread.unbooked_s += rest_s;
            stolen_s = (thread.unbooked_s - UNBOOKED_S_MAX).clamp(0.0, rest_s);
            thread.unbooked_s -= stolen_s;
            running_s = rest_s - stolen_s;
        }
        let share = |seconds: f64| if elapsed_s > 0.0 { (seconds / elapsed_s).min(1.0) } else { 0.0 };
        // What is overdue had been taken for running or for queueing already, in that order of what is booked now.
        let queued_before_s = overdue_s.min(queued_s);
        thread.on = share(on_s - (overdue_s - queued_before_s) + running_s);
        (thread.queued, thread.stolen) = (share(queued_s - queued_before_s + late_s), share(stolen_s));
        Some(true)
    }

    /// Whether a wait has to be looked at again: who is at the other end of a pipe or a connection may have changed.
    fn is_outdated(&self, thread: &mut Thread) -> bool {
        let ends =
            |wait: &Wait| matches!(wait.class, BlockClass::Pipe | BlockClass::Network | BlockClass::Poll);
        let outdated = thread.generation != self.generation && thread.wait.as_ref().is_some_and(ends);
        thread.generation = self.generation;
        outdated
    }

    /// Books the waiting of a thread.
    fn waited(&mut self, process: &mut Process, thread: &Thread, seconds: f64, again: bool) {
        let class = thread.wait.as_ref().map_or(BlockClass::Other, |wait| wait.class);
        *self.times.threads.blocked_s.entry(class).or_default() += seconds;
        let Some(futex) = thread.futex else {
            // A lock on a file has no word: who waits for one waits for its holder.
            let is_file_lock = thread
                .wait
                .as_ref()
                .is_some_and(|wait| wait.class == BlockClass::Lock && wait.whom.is_empty());
            process.program.contended_s += if is_file_lock { seconds } else { 0.0 };
            return;
        };
        if futex.like_gil && process.program.name().contains("python") {
            process.program.gil_s += seconds;
            return;
        }
        if futex.owned {
            process.program.contended_s += seconds;
        } else if futex.held {
            process.program.held_s += seconds;
        }
        if self.times.lock_waits.len() < LOCK_WAITS_MAX {
            *self.times.lock_waits.entry(thread.tid).or_default() += seconds;
        }
        let locks = if futex.shared { &mut self.shared_locks } else { &mut process.locks };
        locks.note(futex.address, thread.tid, seconds, again, thread.blocked);
    }

    /// For a thread that was caught running: what it waited for since the last visit, if it gave up its CPU of its own
    /// will.
    fn waited_meanwhile(&mut self, process: &Process, thread: &mut Thread, ids: &[u32]) -> Option<Blocked> {
        let before = thread.voluntary;
        thread.voluntary = thread.voluntary_switches(process.pid);
        if thread.voluntary <= before {
            return None;
        }
        // It waits often and briefly: a few more looks may catch it at that.
        let caught = (0..LOOKS_AGAIN).find_map(|_| self.now(process, thread, ids).flatten());
        let last = thread.wait.clone().map(|wait| Blocked { wait, futex: thread.futex });
        caught.or(last).or_else(|| Some(Blocked::of_class(BlockClass::Other)))
    }

    /// What a thread does now: running (`Some(None)`), blocked, or gone (`None`).
    fn now(&mut self, process: &Process, thread: &Thread, ids: &[u32]) -> Option<Option<Blocked>> {
        if self.syscalls {
            let mut buffer = [0; 512];
            match thread.syscall.read(&mut buffer) {
                Ok(text) => {
                    return Some(match calls::parse(text)? {
                        Now::Running => None,
                        Now::Gone => return None,
                        Now::Fault => Some(Blocked::of_class(BlockClass::PageIn)),
                        Now::Call { number, arguments } => {
                            let tree: Vec<u32> = self.processes.iter().map(|process| process.pid).collect();
                            let mut around = Around {
                                pid: process.pid,
                                tid: thread.tid,
                                threads: ids,
                                tree: &tree,
                                runner: match self.target {
                                    Target::Below(runner) => runner,
                                    Target::Process(_) => 0,
                                },
                                tables: &mut self.tables,
                            };
                            Some(around.blocked(number, &arguments))
                        }
                    });
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    self.syscalls = false;
                    self.times.degraded = Some(refused(thread.syscall.path(), &error));
                }
                Err(_) => return None,
            }
        }
        match procfs::thread_stat(process.pid, thread.tid)?.state {
            'R' => Some(None),
            'Z' | 'X' | 'x' => None,
            _ => {
                let path = format!("/proc/{}/task/{}/wchan", process.pid, thread.tid);
                Some(Some(Around::blocked_in(&fs::read_to_string(path).unwrap_or_default())))
            }
        }
    }

    /// Takes out what has ended.
    fn bury(&mut self) {
        let (alive, ended): (Vec<Process>, Vec<Process>) =
            std::mem::take(&mut self.processes).into_iter().partition(|process| !process.threads.is_empty());
        self.processes = alive;
        self.generation += ended.len() as u32;
        ended.iter().for_each(|process| self.end(process));
    }

    fn end(&mut self, process: &Process) {
        let mut program = process.so_far();
        if process.ticks <= BRIEF_TICKS + 1 {
            self.times.processes_brief += 1;
            self.times.wall.computing_s -= program.wall_s;
            self.times.wall.brief_s += program.wall_s;
            program.wall_s = 0.0;
        }
        self.times.add_program(program);
    }

    /// The sums so far.
    pub fn so_far(&self) -> TreeTimes {
        let mut times = self.times.clone();
        for process in &self.processes {
            times.add_program(process.so_far());
        }
        times.sort();
        times.sampler_s = clock::thread_cpu_time().as_secs_f64();
        times
    }

    /// Ends it.
    pub fn finish(mut self) -> TreeTimes {
        for process in std::mem::take(&mut self.processes) {
            self.end(&process);
        }
        self.times.sort();
        if let Some(main) = self.times.programs.first_mut() {
            main.alternating_s += self.shared_locks.contended_s();
        }
        self.times.sampler_s = clock::thread_cpu_time().as_secs_f64();
        self.times
    }
}

fn spawner(runner: u32, tid: u32) -> Watched {
    Watched::new(format!("/proc/{runner}/task/{tid}/children"), true)
}
