//! One interval of a tree, added to its sums.

use std::time::{Duration, Instant};

use super::super::BlockClass;
use super::super::chain::{Chain, ProcessView, ThreadView, UNSEEN, Wait};
use super::super::process::{Process, Thread};
use super::Sampler;
use crate::sys::{clock, procfs};

/// CPU seconds from which a difference of the kernel's two ways to account is one.
const MISSED_S_MIN: f64 = 0.01;

/// Visits of the whole tree are spread over at most so many looks.
const TURNS_MAX: u32 = 64;

/// Share of a core that the sampler may use; above it, threads take turns.
const COST_MAX: f64 = 0.008;

/// Looks over which the cost is taken.
const COST_TICKS: u32 = 48;

/// Weight of the newest figure in how much of the CPUs others use; `/proc/stat` counts by ticks.
const NEWEST: f64 = 0.4;

/// CPUs that programs outside of the tree keep busy.
pub(super) struct Foreign {
    pub cores: f64,
    /// Busy time of the machine, of the tree, and when.
    before: Option<(Duration, f64, Instant)>,
}

impl Foreign {
    pub fn new() -> Self {
        // Until it is known, who queues is taken to queue behind others.
        Self { cores: 1.0, before: None }
    }

    /// Learns from what the machine did since the last time, against the CPU seconds of the tree so far.
    pub fn learn(&mut self, tree_s: f64, now: Instant) {
        let Some(stat) = procfs::machine_stat() else { return };
        let busy = stat.all.busy;
        if let Some((busy_before, tree_before_s, then)) = self.before.replace((busy, tree_s, now)) {
            let elapsed_s = now.duration_since(then).as_secs_f64().max(1e-3);
            let all = busy.saturating_sub(busy_before).as_secs_f64() / elapsed_s;
            let others = (all - (tree_s - tree_before_s) / elapsed_s).max(0.0);
            self.cores += NEWEST * (others - self.cores);
        }
    }
}

/// CPUs at work from which several threads, or one, are said to compute.
const SEVERAL_MIN: f64 = 1.25;
const ONE_MIN: f64 = 0.3;

/// Part of an interval from which a thread worked beside another.
const BESIDE_MIN: f64 = 0.03;

impl Sampler {
    /// What the kernel has accounted to a process as a whole: the threads that came and went between two looks are in it.
    pub(super) fn account_process(&mut self, process: &mut Process, changed: bool, elapsed_s: f64) {
        if changed || process.ticks.is_multiple_of(8) {
            process.account();
            let seen_s: f64 = process.threads.iter().map(|thread| thread.on_cpu_s).sum::<f64>()
                + process.workers_s.iter().sum::<f64>();
            let missed_s = process.user_s + process.sys_s - seen_s - process.missed_s;
            if process.ticks <= 2 {
                // What a process had used before it was met is not of this time.
                process.missed_s += missed_s.max(0.0);
            } else if missed_s >= MISSED_S_MIN {
                process.missed_s += missed_s;
                process.owed_s += missed_s;
                process.program.cpu_s += missed_s;
                self.times.threads.on_cpu_s += missed_s;
            }
        }
        process.unseen = if elapsed_s > 0.0 { (process.owed_s / elapsed_s).min(1.0) } else { 0.0 };
        process.owed_s -= process.unseen * elapsed_s;
    }

    /// Splits one interval of the tree's wall clock.
    pub(super) fn account(&mut self, elapsed_s: f64) {
        let processes: Vec<ProcessView> = self
            .processes
            .iter()
            .map(|process| ProcessView { pid: process.pid, parent: process.parent })
            .collect();
        let own_on: f64 =
            self.processes.iter().flat_map(|process| &process.threads).map(|thread| thread.on).sum();
        let mut threads = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            for thread in &process.threads {
                // Who queues behind threads of the same program does not suffer from others.
                let before = (own_on - thread.on).max(0.0);
                let own = before / (before + self.foreign.cores).max(f64::MIN_POSITIVE);
                threads.push(ThreadView {
                    tid: thread.tid,
                    process: index,
                    on: thread.on + thread.queued * own,
                    queued: thread.queued * (1.0 - own),
                    stolen: thread.stolen,
                    wait: thread.wait.clone(),
                });
            }
            if process.unseen > 0.0 {
                let nobody = Wait { whom: Vec::new(), class: BlockClass::Other };
                threads.push(ThreadView {
                    tid: UNSEEN,
                    process: index,
                    on: process.unseen,
                    queued: 0.0,
                    stolen: 0.0,
                    wait: Some(nobody),
                });
            }
        }
        let shares = Chain { processes: &processes, threads: &threads }.resolve();
        let wall = &mut self.times.wall;
        for (process, share) in &shares.computing {
            self.processes[*process].program.wall_s += share * elapsed_s;
            wall.computing_s += share * elapsed_s;
        }
        wall.queued_s += shares.queued * elapsed_s;
        wall.stolen_s += shares.stolen * elapsed_s;
        for (class, share) in shares.blocked {
            *wall.blocked_s.entry(class).or_default() += share * elapsed_s;
        }
        self.account_cores(elapsed_s);
    }

    /// How many threads were at work; who is ready counts, whatever else keeps the CPUs busy.
    fn account_cores(&mut self, elapsed_s: f64) {
        let at_work = |thread: &Thread| (thread.on + thread.queued).min(1.0);
        let of = |process: &Process| process.threads.iter().map(at_work).sum::<f64>();
        let all: f64 = self.processes.iter().map(of).sum();
        let wall = &mut self.times.wall;
        if all >= SEVERAL_MIN {
            wall.together_s += elapsed_s;
        } else if all >= ONE_MIN {
            wall.alone_s += elapsed_s;
        }
        // Of one program: stages of a pipeline are not parts of divided work.
        let mut busy: Vec<&str> = Vec::new();
        for process in &self.processes {
            let threads = process.threads.iter().filter(|thread| at_work(thread) >= BESIDE_MIN).count();
            busy.extend(std::iter::repeat_n(process.program.exe.as_str(), threads));
        }
        busy.sort_unstable();
        if all >= ONE_MIN && busy.windows(2).any(|pair| pair[0] == pair[1]) {
            wall.beside_s += elapsed_s;
        }
    }

    /// Spreads the visits when they cost more than they may.
    pub(super) fn mind_the_cost(&mut self, now: Instant) {
        if !self.tick.is_multiple_of(COST_TICKS) {
            return;
        }
        self.tables.forget();
        let used = clock::thread_cpu_time();
        let (since, before) = std::mem::replace(&mut self.cost_since, (now, used));
        let share =
            used.saturating_sub(before).as_secs_f64() / now.duration_since(since).as_secs_f64().max(1e-3);
        if share > COST_MAX {
            self.turns = (self.turns * 2).min(TURNS_MAX);
        } else if share < COST_MAX / 3.0 {
            self.turns = (self.turns / 2).max(1);
        }
    }
}
