//! The figures that judging rests on, each derived once. **Invariant**: what no source saw stays absent.

use std::collections::BTreeMap;

use super::{Machine, Runtime};
use crate::profile::stacks::{Kind, interpreter};
use crate::profile::{BlockClass, GilUse, Profile, Program, Usage};

/// Interpreters that turn hot code into machine code while it runs.
const COMPILE_AT_RUN_TIME: &[&str] = &["node", "java", "pypy", "deno", "bun", "luajit"];

/// Distinct processes a second from which starting them may be the work: at 1 ms each, a twentieth of the time.
const SPAWNS_PER_S_MIN: f64 = 40.0;

/// Part of those seen that came and went.
const BRIEF_RATIO_MIN: f64 = 0.5;

/// Share of the computing time with several threads at work, below which threads that all worked took turns.
const TOGETHER_MAX: f64 = 0.15;

/// CPUs that other programs must keep busy to be in the way.
const OTHERS_MIN: f64 = 0.2;

/// Seconds of samples of call stacks from which their shares say something.
const STACKS_S_MIN: f64 = 0.1;

/// How much longer a page fault takes than at best.
const FAULT_SLACK: f64 = 1.4;

/// Everything there is to look at.
pub(super) struct Facts<'a> {
    pub usage: &'a Usage,
    pub profile: &'a Profile,
    pub machine: &'a Machine,
}

impl<'a> Facts<'a> {
    pub fn new(usage: &'a Usage, profile: &'a Profile, machine: &'a Machine) -> Self {
        Self { usage, profile, machine }
    }

    pub fn ticks(&self) -> u64 {
        self.profile.tree.ticks
    }

    /// Seconds that were watched; never zero.
    pub fn wall_s(&self) -> f64 {
        self.profile.tree.wall.total_s().max(f64::MIN_POSITIVE)
    }

    /// A part of the watched wall time, 0–1.
    pub fn share(&self, seconds: f64) -> f64 {
        (seconds / self.wall_s()).clamp(0.0, 1.0)
    }

    /// Share of wall time in which the chain of waits ends at somebody who computes.
    pub fn computing(&self) -> f64 {
        let wall = &self.profile.tree.wall;
        self.share(wall.computing_s + wall.brief_s)
    }

    pub fn waiting(&self) -> f64 {
        if self.ticks() == 0 {
            // Without a look at the tree: what is left after CPU time; exact for one thread.
            return self.idle_by_accounting().unwrap_or(0.0);
        }
        self.share(self.profile.tree.wall.waiting_s())
    }

    pub fn waiting_for(&self, class: BlockClass) -> f64 {
        self.share(self.profile.tree.wall.blocked_s.get(&class).copied().unwrap_or(0.0))
    }

    /// Share of wall time that programs outside the tree, or the hypervisor, took from it.
    pub fn busy_share(&self) -> f64 {
        if self.others_are_idle() { 0.0 } else { self.unserved() }
    }

    /// Share of wall time in which somebody was ready and had no CPU.
    pub fn unserved(&self) -> f64 {
        let wall = &self.profile.tree.wall;
        self.share(wall.queued_s + wall.stolen_s)
    }

    /// Whether the program's own runs, with processes too brief to be seen, account for what kept the machine busy.
    fn others_are_idle(&self) -> bool {
        let busy: f64 = self.profile.cores.iter().sum();
        let stolen = self.share(self.profile.tree.wall.stolen_s);
        let own = self.accounted();
        !self.profile.cores.is_empty()
            && stolen < OTHERS_MIN
            && own.is_some_and(|own| busy - own < OTHERS_MIN)
    }

    /// CPUs that the tree used on average, as the sampler saw it.
    pub fn cores_used(&self) -> f64 {
        self.profile.tree.threads.on_cpu_s / self.wall_s()
    }

    /// CPU seconds of a run by the kernel's own accounting; absent without a run that was accounted.
    pub fn cpu_s(&self) -> Option<f64> {
        (self.usage.samples > 0).then_some(self.usage.user_s + self.usage.sys_s)
    }

    /// CPU seconds per wall second by the kernel's own accounting.
    pub fn accounted(&self) -> Option<f64> {
        self.cpu_s().filter(|_| self.usage.wall_s > 0.0).map(|cpu_s| cpu_s / self.usage.wall_s)
    }

    /// Share of wall time that CPU time leaves free, by accounting.
    pub fn idle_by_accounting(&self) -> Option<f64> {
        self.accounted().map(|used| (1.0 - used).clamp(0.0, 1.0))
    }

    /// Part of the CPU time that was spent in the kernel.
    pub fn kernel_ratio(&self) -> f64 {
        match self.cpu_s() {
            Some(cpu_s) if cpu_s > 0.0 => self.usage.sys_s / cpu_s,
            _ => self.program().and_then(|program| program.kernel_ratio).unwrap_or(0.0),
        }
    }

    /// Part of one program's CPU time in the kernel; that of all where it is not known.
    pub fn kernel_ratio_of(&self, program: &Program) -> f64 {
        let only = self.profile.tree.programs.len() == 1;
        program
            .kernel_ratio
            .filter(|_| !only || self.usage.samples == 0)
            .unwrap_or_else(|| self.kernel_ratio())
    }

    /// CPU seconds in the kernel per wall second.
    pub fn kernel_cores(&self) -> f64 {
        self.kernel_ratio() * self.cores_used()
    }

    /// The program that the wall time was mostly spent computing in.
    pub fn program(&self) -> Option<&'a Program> {
        let programs = self.profile.tree.programs.iter();
        programs.max_by(|a, b| {
            (a.wall_s, a.cpu_s).partial_cmp(&(b.wall_s, b.cpu_s)).unwrap_or(std::cmp::Ordering::Equal)
        })
    }

    pub fn runtime(&self) -> Runtime {
        self.program().map_or(Runtime::Unknown, |program| runtime_of(program.name()))
    }

    pub fn compiles_at_run_time(&self) -> bool {
        is_compiled_at_run_time(&self.runtime())
    }

    /// Distinct processes per second of wall time.
    pub fn spawns_per_s(&self) -> f64 {
        self.profile.tree.processes as f64 / self.wall_s()
    }

    /// Processes and threads started per run on the whole machine, where the tree's own are most of them.
    pub fn forks(&self) -> Option<f64> {
        let seen_a_run = self.profile.tree.processes as f64 / f64::from(self.profile.runs.max(1));
        self.usage.forks.filter(|forks| *forks >= seen_a_run)
    }

    /// Whether processes come and go so often that starting them may be the work.
    pub fn spawns(&self) -> bool {
        let tree = &self.profile.tree;
        // Each run's first process is the program itself.
        let others = tree.processes.saturating_sub(u64::from(self.profile.runs.max(1)));
        let brief = tree.processes_brief as f64 / others.max(1) as f64;
        others > 0 && others as f64 / self.wall_s() >= SPAWNS_PER_S_MIN && brief >= BRIEF_RATIO_MIN
    }

    /// CPUs' worth of time that page faults take.
    pub fn fault_cores(&self) -> f64 {
        let (faults, wall_s) = if self.usage.samples > 0 {
            (self.usage.minor_faults, self.usage.wall_s)
        } else {
            let faults: u64 = self.profile.tree.programs.iter().map(|program| program.minor_faults).sum();
            (faults as f64, self.wall_s())
        };
        if wall_s > 0.0 { faults * self.machine.fault_s / wall_s } else { 0.0 }
    }

    /// Share of the looks at the interpreter lock at which it was held and wanted by another thread.
    pub fn gil_contended(&self) -> f64 {
        self.profile.gil.values().map(GilUse::contended_share).fold(0.0, f64::max)
    }

    /// Thread-seconds that threads waited for locks that others held, the interpreter's own lock left out.
    pub fn contended_s(&self) -> f64 {
        self.sum(|program| self.waited_for_locks_s(program))
    }

    /// The same of one program. The locks of Python do not tell who holds them; its code tells who asks for one.
    pub fn waited_for_locks_s(&self, program: &Program) -> f64 {
        let runtime = runtime_of(program.name());
        if is_compiled_at_run_time(&runtime) {
            // Threads of the run time itself take turns and wait for work; only a holder that exists makes a lock.
            return program.contended_s;
        }
        let seen_s = (program.contended_s + program.held_s).max(program.alternating_s);
        match &runtime {
            Runtime::Interpreter(name) if name == "python" => seen_s.max(self.asked_for_locks_s()),
            // Interpreters make their threads take turns by a lock of their own.
            Runtime::Interpreter(_) => seen_s,
            Runtime::Native | Runtime::Unknown => seen_s.max(self.turns_s(program)),
        }
    }

    /// Thread-seconds that a program's threads waited for one another, where several did the work and yet hardly ever two
    /// at once: they took turns, whatever the means.
    fn turns_s(&self, program: &Program) -> f64 {
        let wall = &self.profile.tree.wall;
        let together = wall.together_s / (wall.alone_s + wall.together_s).max(f64::MIN_POSITIVE);
        let alone_in_it = self.program().is_some_and(|busiest| busiest.exe == program.exe);
        if program.workers() < 2 || together >= TOGETHER_MAX || !alone_in_it || self.machine.cores < 2 {
            return 0.0;
        }
        self.profile.tree.lock_waits.values().sum()
    }

    /// Thread-seconds in which the program's own lines of Python asked for a lock. Who waits in the standard library, as
    /// for an item of a queue, waits for work.
    pub fn asked_for_locks_s(&self) -> f64 {
        let python = &self.profile.python;
        let asks = |leaf: u32| {
            let mut frames = python.frames_of(leaf).skip_while(|frame| {
                let file = frame.file.as_deref().unwrap_or_default();
                let takes = matches!(frame.function.rsplit('.').next(), Some("__enter__" | "acquire"));
                takes && (file.ends_with("synchronize.py") || file.ends_with("threading.py"))
            });
            let file = frames.next().and_then(|frame| frame.file.as_deref()).unwrap_or("<unknown>");
            !file.contains("/lib/python") && !file.starts_with('<')
        };
        let mut asked: BTreeMap<u32, f64> = BTreeMap::new();
        for sample in python.samples.iter().filter(|sample| !sample.running && asks(sample.leaf)) {
            *asked.entry(python.threads[sample.thread as usize].tid).or_default() += sample.weight_s;
        }
        // It may have waited there for something else.
        let waits = &self.profile.tree.lock_waits;
        asked.iter().map(|(tid, asked_s)| asked_s.min(waits.get(tid).copied().unwrap_or(0.0))).sum()
    }

    /// Share of the computing time that could have run beside other computing, had threads not waited `waited_s`.
    pub fn could_overlap(&self, waited_s: impl Fn(&Program) -> f64) -> f64 {
        let all_s: f64 = self.sum(|program| program.cpu_s).max(f64::MIN_POSITIVE);
        let cores = 1.0 - 1.0 / self.machine.cores as f64;
        self.sum(|program| {
            let cpu_s = program.cpu_s.max(f64::MIN_POSITIVE);
            let waited = waited_s(program) / cpu_s;
            waited.min(program.others_ratio()).min(cores) * cpu_s / all_s
        })
    }

    /// Part of an interpreter's user time that it spends interpreting, against that in native libraries it calls; all of
    /// it where no stacks were seen.
    pub fn interpreted_ratio(&self, program: &Program) -> f64 {
        self.native_ratio(program).map_or(1.0, |native| 1.0 - native)
    }

    /// Part of an interpreter's user time in libraries that are neither its own nor the system's.
    pub fn native_ratio(&self, program: &Program) -> Option<f64> {
        let stacks = &self.profile.stacks;
        let Runtime::Interpreter(name) = runtime_of(program.name()) else { return None };
        let is_own = |module: &str| interpreter(module) == Some(name.as_str());
        // Its processes are those in which its own code was seen.
        let mut own: Vec<u32> = Vec::new();
        for sample in &stacks.samples {
            let thread = &stacks.threads[sample.thread as usize];
            if !own.contains(&thread.pid) && stacks.frames_of(sample.leaf).any(|frame| is_own(&frame.module))
            {
                own.push(thread.pid);
            }
        }
        let (mut native_s, mut all_s) = (0.0, 0.0);
        for sample in &stacks.samples {
            if !own.contains(&stacks.threads[sample.thread as usize].pid) {
                continue;
            }
            let Some(leaf) = stacks.frames_of(sample.leaf).next() else { continue };
            match leaf.kind {
                Kind::Kernel => continue,
                Kind::Python => {}
                Kind::Jit => native_s += sample.weight_s,
                Kind::Native => {
                    let system = ["libc.", "libc-", "ld-", "ld.", "libm.", "libpthread", "[vdso]", "musl"];
                    let file = file_name(&leaf.module);
                    let known = is_own(&leaf.module)
                        || file.is_empty()
                        || system.iter().any(|part| file.contains(part));
                    native_s += if known { 0.0 } else { sample.weight_s };
                }
            }
            all_s += sample.weight_s;
        }
        (all_s >= STACKS_S_MIN).then(|| native_s / all_s)
    }

    /// Part of the kernel's CPU time that handled page faults: as samples of the kernel show where there are enough, else
    /// by the number of faults and what one takes.
    pub fn fault_ratio(&self) -> f64 {
        let seen = self.profile.stacks.kernel_shares();
        let kernel_s = seen.share * self.profile.stacks.seconds();
        if kernel_s >= STACKS_S_MIN {
            return (seen.page_faults / seen.share).min(1.0);
        }
        // The machine's best figure is for one page after the other; most programs are less tidy.
        (FAULT_SLACK * self.fault_cores() / self.kernel_cores().max(f64::MIN_POSITIVE)).min(1.0)
    }

    /// Sum over all programs.
    pub fn sum(&self, of: impl Fn(&Program) -> f64) -> f64 {
        self.profile.tree.programs.iter().map(of).sum()
    }
}

/// What executes the code of the program with this file name.
pub(super) fn runtime_of(name: &str) -> Runtime {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    match stem {
        "python" | "pypy" | "node" | "ruby" | "perl" | "php" | "lua" | "luajit" | "java" | "deno" | "bun"
        | "gawk" | "mawk" | "awk" | "Rscript" | "R" => Runtime::Interpreter(stem.to_owned()),
        "sh" | "bash" | "dash" | "zsh" | "busybox" | "ksh" => Runtime::Interpreter("sh".to_owned()),
        _ => Runtime::Native,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn is_compiled_at_run_time(runtime: &Runtime) -> bool {
    matches!(runtime, Runtime::Interpreter(name) if COMPILE_AT_RUN_TIME.contains(&name.as_str()))
}

/// Whether the hot code of a program is interpreted step by step.
pub(super) fn is_interpreted(program: &Program) -> bool {
    let runtime = runtime_of(program.name());
    matches!(runtime, Runtime::Interpreter(_)) && !is_compiled_at_run_time(&runtime)
}
