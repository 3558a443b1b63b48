//! What the sampler of a tree adds up. **Invariant**: plain sums of seconds; shares are derived, never stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::profile::Absent;

/// Threads of a program that are remembered.
const WORKERS_MAX: usize = 64;

/// CPU time of a thread, against that of the busiest one of its program, from which it takes part in the work.
const WORKER_RATIO_MIN: f64 = 0.1;
const WORKER_S_MIN: f64 = 0.02;

/// What a thread that is off the CPU waits for. In order of concreteness: where several could explain why a group of
/// threads stands still, the first does, because the later ones wait for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockClass {
    /// A write to storage: fsync and its kin, or a write that the page cache holds back.
    DiskSync,
    /// A read from storage, of a file's content or of its metadata.
    DiskRead,
    /// A page that is fetched for a thread outside of any system call.
    PageIn,
    Network,
    Gpu,
    /// Until a time, whatever happens.
    Sleep,
    /// Input from, or room on, a terminal.
    Terminal,
    /// Room in the pipe through which perfup takes the program's output.
    Output,
    /// A lock, a condition variable, or the end of a thread.
    Lock,
    /// A pipe or a local socket.
    Pipe,
    /// The end of a child process, or its start.
    Child,
    /// Events that say nothing of what is awaited.
    Poll,
    /// Not to be told.
    Other,
}

/// What a tree did, over all looks at it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TreeTimes {
    pub wall: WallTimes,
    pub threads: ThreadTimes,
    /// By program, the one with the most CPU time first.
    pub programs: Vec<Program>,
    pub ticks: u64,
    /// Distinct processes seen; those that lived between two looks are missed.
    pub processes: u64,
    /// Of those, seen at no more than two looks.
    pub processes_brief: u64,
    /// Most threads alive at once.
    pub threads_max: u64,
    /// Thread-seconds spent waiting for locks and conditions, Python's interpreter lock left out, by thread id.
    pub lock_waits: BTreeMap<u32, f64>,
    /// CPU seconds that the sampler itself used.
    pub sampler_s: f64,
    /// Why waits are told apart more coarsely than they could be.
    pub degraded: Option<Absent>,
}

/// The wall clock of the tree as one, along the chain of waits that begins at the program's main thread.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WallTimes {
    /// On a CPU, in a process that was seen more than twice.
    pub computing_s: f64,
    /// On a CPU in a process that came and went: mostly the cost of starting it.
    pub brief_s: f64,
    /// Ready, while programs outside the tree had the CPUs.
    pub queued_s: f64,
    /// Running for the kernel yet on no CPU: taken by the hypervisor.
    pub stolen_s: f64,
    pub blocked_s: BTreeMap<BlockClass, f64>,
    /// Time in which one thread computed and no other did, and in which several did.
    pub alone_s: f64,
    pub together_s: f64,
    /// Time in which two threads of one program computed, if only a little.
    pub beside_s: f64,
}

/// Sums over all threads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreadTimes {
    pub on_cpu_s: f64,
    pub queued_s: f64,
    pub blocked_s: BTreeMap<BlockClass, f64>,
}

/// All processes of the tree that run one program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Path of the executable file.
    pub exe: String,
    /// The first words of its command line.
    pub arguments: Vec<String>,
    /// The folder it works in.
    pub cwd: String,
    /// Wall seconds along the chain of waits in which it computed.
    pub wall_s: f64,
    pub cpu_s: f64,
    /// Of the CPU time, that in the kernel, 0–1; absent when it ran too short to tell.
    pub kernel_ratio: Option<f64>,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub processes: u64,
    /// CPU seconds of its busiest threads, in all its processes, largest first.
    pub workers_s: Vec<f64>,
    /// Thread-seconds spent waiting for a lock that another thread is known to hold.
    pub contended_s: f64,
    /// The same where only the lock's word says that somebody holds it.
    pub held_s: f64,
    /// The same by the pattern of the waits alone: threads that take turns on one lock.
    pub alternating_s: f64,
    /// Thread-seconds spent waiting with the time limit of Python's global interpreter lock.
    pub gil_s: f64,
}

impl WallTimes {
    /// Seconds in which the tree was watched and alive; the sum of all parts.
    #[must_use]
    pub fn total_s(&self) -> f64 {
        self.computing_s + self.brief_s + self.queued_s + self.stolen_s + self.waiting_s()
    }

    /// Seconds in which nothing that mattered could run.
    #[must_use]
    pub fn waiting_s(&self) -> f64 {
        // Plus zero: an empty sum is −0.
        self.blocked_s.values().sum::<f64>() + 0.0
    }

    fn add(&mut self, other: &Self) {
        self.computing_s += other.computing_s;
        self.brief_s += other.brief_s;
        self.queued_s += other.queued_s;
        self.stolen_s += other.stolen_s;
        self.alone_s += other.alone_s;
        self.together_s += other.together_s;
        self.beside_s += other.beside_s;
        add_map(&mut self.blocked_s, &other.blocked_s);
    }
}

impl ThreadTimes {
    fn add(&mut self, other: &Self) {
        self.on_cpu_s += other.on_cpu_s;
        self.queued_s += other.queued_s;
        add_map(&mut self.blocked_s, &other.blocked_s);
    }
}

fn add_map(sum: &mut BTreeMap<BlockClass, f64>, more: &BTreeMap<BlockClass, f64>) {
    for (class, seconds) in more {
        *sum.entry(*class).or_default() += seconds;
    }
}

impl Program {
    /// The name of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        self.exe.rsplit('/').next().unwrap_or_default()
    }

    /// Threads that took part in the work.
    #[must_use]
    pub fn workers(&self) -> usize {
        let busiest = self.workers_s.first().copied().unwrap_or(0.0);
        let enough = (WORKER_RATIO_MIN * busiest).max(WORKER_S_MIN);
        self.workers_s.iter().filter(|&&worked_s| worked_s >= enough).count()
    }

    /// Share of its CPU time that was not the busiest thread's, 0–1: what could at best have run beside that.
    #[must_use]
    pub fn others_ratio(&self) -> f64 {
        let all: f64 = self.workers_s.iter().sum();
        let busiest = self.workers_s.first().copied().unwrap_or(0.0);
        if all > 0.0 { 1.0 - busiest / all } else { 0.0 }
    }

    fn add(&mut self, other: &Self) {
        let kernel_s = self.kernel_ratio.map_or(0.0, |ratio| ratio * self.cpu_s)
            + other.kernel_ratio.map_or(0.0, |ratio| ratio * other.cpu_s);
        let known_s =
            self.kernel_ratio.map_or(0.0, |_| self.cpu_s) + other.kernel_ratio.map_or(0.0, |_| other.cpu_s);
        self.kernel_ratio = (known_s > 0.0).then(|| kernel_s / known_s);
        self.wall_s += other.wall_s;
        self.cpu_s += other.cpu_s;
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.processes += other.processes;
        self.contended_s += other.contended_s;
        self.held_s += other.held_s;
        self.alternating_s += other.alternating_s;
        self.gil_s += other.gil_s;
        self.workers_s.extend(&other.workers_s);
        self.workers_s.sort_by(|a, b| b.total_cmp(a));
        self.workers_s.truncate(WORKERS_MAX);
        if self.arguments.is_empty() {
            self.arguments.clone_from(&other.arguments);
            self.cwd.clone_from(&other.cwd);
        }
    }
}

impl TreeTimes {
    /// Adds what another run of the same command showed.
    pub fn add(&mut self, other: &Self) {
        self.wall.add(&other.wall);
        self.threads.add(&other.threads);
        self.ticks += other.ticks;
        self.processes += other.processes;
        self.processes_brief += other.processes_brief;
        self.threads_max = self.threads_max.max(other.threads_max);
        self.sampler_s += other.sampler_s;
        for (tid, seconds) in &other.lock_waits {
            *self.lock_waits.entry(*tid).or_default() += seconds;
        }
        self.degraded = self.degraded.take().or_else(|| other.degraded.clone());
        for program in &other.programs {
            let known = self.programs.iter().find(|known| known.exe == program.exe);
            // The busiest thread of one run is the busiest of the next: they add up rank by rank.
            let mut workers_s = known.map_or_else(Vec::new, |known| known.workers_s.clone());
            workers_s.resize(workers_s.len().max(program.workers_s.len()), 0.0);
            for (sum, seconds) in workers_s.iter_mut().zip(&program.workers_s) {
                *sum += seconds;
            }
            self.add_program(program.clone()).workers_s = workers_s;
        }
        self.sort();
    }

    /// Adds a process that runs a program; gives that program.
    pub(super) fn add_program(&mut self, process: Program) -> &mut Program {
        let known = self.programs.iter().position(|program| program.exe == process.exe);
        let at = known.unwrap_or_else(|| {
            self.programs.push(Program { exe: process.exe.clone(), ..Program::default() });
            self.programs.len() - 1
        });
        self.programs[at].add(&process);
        &mut self.programs[at]
    }

    pub(super) fn sort(&mut self) {
        self.programs.sort_by(|a, b| b.cpu_s.total_cmp(&a.cpu_s).then_with(|| a.exe.cmp(&b.exe)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_add_up() {
        let program = |exe: &str, cpu_s, kernel_ratio| Program {
            exe: exe.to_owned(),
            cpu_s,
            kernel_ratio,
            processes: 1,
            workers_s: vec![cpu_s * 0.75, cpu_s * 0.25],
            ..Program::default()
        };
        let mut sum = TreeTimes::default();
        for (cpu_s, ratio) in [(1.0, Some(0.5)), (3.0, Some(0.1)), (9.0, None)] {
            sum.add(&TreeTimes {
                wall: WallTimes {
                    computing_s: cpu_s,
                    blocked_s: BTreeMap::from([(BlockClass::Sleep, 1.0)]),
                    ..WallTimes::default()
                },
                programs: vec![program("/bin/b", cpu_s, ratio), program("/bin/a", 0.5, None)],
                ticks: 10,
                ..TreeTimes::default()
            });
        }
        assert_eq!((sum.wall.total_s(), sum.wall.waiting_s(), sum.ticks), (16.0, 3.0, 30));
        let b = &sum.programs[0];
        assert_eq!((b.name(), b.cpu_s, b.processes, b.workers()), ("b", 13.0, 3, 2));
        assert!((b.others_ratio() - 0.25).abs() < 1e-9, "{b:?}");
        assert!((b.kernel_ratio.unwrap() - 0.8 / 4.0).abs() < 0.2, "{b:?}");
    }
}
