//! Evidence → class of bottleneck, level, floor, payoff.
//!
//! **Invariant**: pure; sees observations, never the process, and prefers "not enough evidence" to a guess.

mod floor;
mod rules;

use serde::{Deserialize, Serialize};

use crate::profile::{BlockClass, Profile, Usage};
use rules::{Facts, Judgement};

/// What holds a program back. Kebab-case names are the stable ids in `--json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    CpuNative,
    InterpreterOverhead,
    CpuKernel,
    PageFaults,
    SingleThreadedOnMulticore,
    GilBound,
    LockContention,
    DiskRead,
    DiskSync,
    NetworkWait,
    ChildWait,
    ProcessSpawn,
    PipeWait,
    SleepPoll,
    MachineBusy,
    NotEnoughEvidence,
}

/// Where in the hierarchy a cause or a change stands; lower is dealt with first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Correctness.
    L0,
    /// Algorithm.
    L1,
    /// Data structure.
    L2,
    /// Memory.
    L3,
    /// Parallelism.
    L4,
    /// Instructions.
    L5,
}

/// What executes the program's hot code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    Native,
    /// An interpreter, by its usual name: `python`, `node`, `sh`.
    Interpreter(String),
    Unknown,
}

/// One piece of evidence in words, with the source that saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The profile source's id.
    pub source: String,
    pub text: String,
}

/// Where the time goes, and what could be won.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    pub class: Class,
    pub level: Level,
    /// 0–1.
    pub confidence: f64,
    /// What the class means, in a sentence.
    pub explanation: String,
    pub evidence: Vec<Evidence>,
    /// Share of wall time per class, 0–1, summing to 1; largest first.
    pub shares: Vec<(Class, f64)>,
    pub runtime: Runtime,
    pub times: Times,
    pub floor: Floor,
    /// Speed-up if the class's whole share vanished (Amdahl), ≥ 1; absent when the share is all of it.
    pub payoff_max: Option<f64>,
    /// Sources that could not be used, as sentences with reason and remedy.
    pub absent: Vec<String>,
}

/// Medians over the baseline's samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    pub wall_s: f64,
    pub user_s: f64,
    pub sys_s: f64,
    pub rss_bytes_max: u64,
    pub read_bytes: Option<u64>,
    pub write_bytes: Option<u64>,
    /// CPU seconds per wall second.
    pub cores_used: f64,
    pub cores_available: usize,
    /// Busy share of each CPU of the machine during the profiled run, 0–1.
    pub core_busy: Vec<f64>,
    /// Share of wall time in which nothing of the tree was on a CPU or waiting for one, 0–1.
    pub blocked: f64,
    /// Runs these are the medians of.
    pub samples: usize,
}

/// The least time that the machine and the work allow, as far as is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    pub seconds: f64,
    /// Measured wall / floor, ≥ 1.
    pub ratio: f64,
    /// What binds, for example `cpu on 2 cores`.
    pub binds: String,
    pub situation: Situation,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
}

/// How far from its floor a program is, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Situation {
    /// Ratio below 1.5.
    NearOptimal,
    /// 1.5–3: scheduling or pipelining.
    Scheduling,
    /// 3–10.
    Architectural,
    /// Above 10.
    Algorithmic,
}

/// Share of wall time below which a class is not worth naming as the bottleneck.
const SHARE_MIN: f64 = 0.3;

impl Class {
    /// The stable id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::CpuNative => "cpu-native",
            Self::InterpreterOverhead => "interpreter-overhead",
            Self::CpuKernel => "cpu-kernel",
            Self::PageFaults => "page-faults",
            Self::SingleThreadedOnMulticore => "single-threaded-on-multicore",
            Self::GilBound => "gil-bound",
            Self::LockContention => "lock-contention",
            Self::DiskRead => "disk-read",
            Self::DiskSync => "disk-sync",
            Self::NetworkWait => "network-wait",
            Self::ChildWait => "child-wait",
            Self::ProcessSpawn => "process-spawn",
            Self::PipeWait => "pipe-wait",
            Self::SleepPoll => "sleep-poll",
            Self::MachineBusy => "machine-busy",
            Self::NotEnoughEvidence => "not-enough-evidence",
        }
    }

    /// Where its cure usually stands in the hierarchy.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::InterpreterOverhead | Self::ProcessSpawn | Self::SleepPoll => Level::L1,
            Self::DiskRead | Self::DiskSync | Self::NetworkWait | Self::PipeWait | Self::ChildWait => {
                Level::L2
            }
            Self::PageFaults | Self::CpuKernel => Level::L3,
            Self::SingleThreadedOnMulticore | Self::GilBound | Self::LockContention => Level::L4,
            Self::CpuNative => Level::L5,
            Self::MachineBusy | Self::NotEnoughEvidence => Level::L0,
        }
    }
}

/// Weighs what the baseline's samples and the profile say.
#[must_use]
pub fn diagnose(usage: &Usage, profile: &Profile, cores_available: usize) -> Diagnosis {
    let runtime = runtime(profile);
    let facts = Facts { usage, profile, runtime: &runtime, cores_available };
    let judged = rules::ALL.iter().filter_map(|rule| Some((rule, (rule.judge)(&facts)?)));
    let best = judged
        .filter(|(_, judgement)| judgement.share >= SHARE_MIN)
        .max_by(|a, b| a.1.share.total_cmp(&b.1.share));
    let explanation = best.as_ref().map_or("", |(rule, _)| rule.explain).to_owned();
    let best = best.map(|(_, judgement)| judgement);
    let best = best.unwrap_or_else(|| Judgement {
        class: Class::NotEnoughEvidence,
        share: 0.0,
        confidence: 0.0,
        evidence: vec![Evidence {
            source: "samples".to_owned(),
            text: format!("no class explains {:.0} % of the wall time", SHARE_MIN * 100.0),
        }],
    });
    let shares = shares(&facts, best.class);
    let times = times(&facts);
    let floor = floor::floor(usage, &times);
    Diagnosis {
        level: best.class.level(),
        payoff_max: (best.share < 0.999 && best.share > 0.0).then(|| 1.0 / (1.0 - best.share)),
        class: best.class,
        confidence: best.confidence,
        explanation,
        evidence: best.evidence,
        shares,
        runtime,
        times,
        floor,
        absent: profile
            .absent
            .iter()
            .map(|(id, why)| format!("{id}: {}. {}", why.reason, why.remedy))
            .collect(),
    }
}

/// What the program that used most of the CPU is.
fn runtime(profile: &Profile) -> Runtime {
    let most = profile.tree.programs.iter().max_by(|a, b| a.1.total_cmp(b.1));
    let Some((program, _)) = most.filter(|(program, _)| !program.is_empty()) else {
        return Runtime::Unknown;
    };
    let name = program.rsplit('/').next().unwrap_or(program);
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    match stem {
        "python" | "pypy" | "node" | "ruby" | "perl" | "php" | "lua" | "java" => {
            Runtime::Interpreter(stem.to_owned())
        }
        "sh" | "bash" | "dash" | "zsh" | "busybox" => Runtime::Interpreter("sh".to_owned()),
        _ => Runtime::Native,
    }
}

/// The tree's wall time by class; computing time goes to the class that best explains it.
fn shares(facts: &Facts<'_>, verdict: Class) -> Vec<(Class, f64)> {
    let tree = &facts.profile.tree;
    if tree.wall_s <= 0.0 {
        return vec![(Class::NotEnoughEvidence, 1.0)];
    }
    let computing = match verdict {
        Class::ProcessSpawn | Class::PageFaults | Class::CpuKernel => verdict,
        _ => rules::computing_class(facts.runtime),
    };
    let mut by_class: std::collections::BTreeMap<Class, f64> = std::collections::BTreeMap::new();
    let mut add = |class, seconds: f64| *by_class.entry(class).or_default() += seconds / tree.wall_s;
    add(computing, tree.computing_s);
    add(Class::MachineBusy, tree.queued_s);
    for (class, seconds) in &tree.blocked_s {
        add(class_of(*class), *seconds);
    }
    let mut shares: Vec<(Class, f64)> = by_class.into_iter().filter(|(_, share)| *share > 0.0).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

fn class_of(block: BlockClass) -> Class {
    match block {
        BlockClass::Sleep => Class::SleepPoll,
        BlockClass::Child => Class::ChildWait,
        BlockClass::Pipe => Class::PipeWait,
        BlockClass::Network => Class::NetworkWait,
        BlockClass::File => Class::DiskRead,
        BlockClass::Lock => Class::LockContention,
        BlockClass::Poll | BlockClass::Terminal | BlockClass::Other => Class::NotEnoughEvidence,
    }
}

fn times(facts: &Facts<'_>) -> Times {
    let usage = facts.usage;
    let cpu_s = usage.user_s + usage.sys_s;
    let tree = &facts.profile.tree;
    // Plus zero: an empty sum is −0.
    let blocked: f64 = tree.blocked_s.values().sum::<f64>() + 0.0;
    Times {
        wall_s: usage.wall_s,
        user_s: usage.user_s,
        sys_s: usage.sys_s,
        rss_bytes_max: usage.rss_bytes_max as u64,
        read_bytes: usage.read_bytes.map(|bytes| bytes as u64),
        write_bytes: usage.write_bytes.map(|bytes| bytes as u64),
        cores_used: if usage.wall_s > 0.0 { cpu_s / usage.wall_s } else { 0.0 },
        cores_available: facts.cores_available,
        core_busy: facts.profile.cores.clone(),
        // Without a tree view, what is left after CPU time; exact for one thread.
        blocked: if tree.wall_s > 0.0 {
            blocked / tree.wall_s
        } else if usage.wall_s > 0.0 {
            (1.0 - cpu_s / usage.wall_s).clamp(0.0, 1.0)
        } else {
            0.0
        },
        samples: usage.samples,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::TreeTimes;

    /// One second of a program: seconds computing and blocked, user and system CPU, executable.
    fn case(
        computing: f64,
        blocked: Option<(BlockClass, f64)>,
        cpu: (f64, f64),
        program: &str,
    ) -> (Usage, Profile) {
        let usage = Usage {
            wall_s: 1.0,
            user_s: cpu.0,
            sys_s: cpu.1,
            wall_s_min: 0.95,
            samples: 16,
            ..Usage::default()
        };
        let tree = TreeTimes {
            wall_s: 1.0,
            computing_s: computing,
            cpu_s: cpu.0 + cpu.1,
            ticks: 97,
            processes: 1,
            threads_max: 1,
            blocked_s: blocked.into_iter().collect(),
            programs: [(program.to_owned(), cpu.0 + cpu.1)].into(),
            syscalls_readable: true,
            ..TreeTimes::default()
        };
        (usage, Profile { tree, runs: 1, ..Profile::default() })
    }

    fn check((usage, profile): (Usage, Profile), expected: Class) -> Diagnosis {
        let diagnosis = diagnose(&usage, &profile, 2);
        assert_eq!(diagnosis.class, expected, "{diagnosis:?}");
        let sum: f64 = diagnosis.shares.iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 0.005, "{:?}", diagnosis.shares);
        assert!(diagnosis.floor.seconds <= usage.wall_s_min && diagnosis.floor.ratio >= 1.0);
        diagnosis
    }

    #[test]
    fn programs_are_classed_by_what_they_do() {
        let native = check(case(1.0, None, (0.98, 0.01), "/app"), Class::CpuNative);
        assert!(native.confidence >= 0.8 && native.evidence.len() >= 2, "{native:?}");
        let python = check(case(1.0, None, (0.98, 0.01), "/usr/bin/python3.11"), Class::InterpreterOverhead);
        assert_eq!(python.runtime, Runtime::Interpreter("python".to_owned()));
        check(case(1.0, None, (0.1, 0.88), "/app"), Class::CpuKernel);
        check(case(0.0, Some((BlockClass::Sleep, 1.0)), (0.0, 0.0), ""), Class::SleepPoll);
        check(case(0.1, Some((BlockClass::Network, 0.9)), (0.1, 0.0), "/app"), Class::NetworkWait);
        check(case(0.1, Some((BlockClass::Pipe, 0.9)), (0.1, 0.0), "/app"), Class::PipeWait);
    }

    #[test]
    fn many_short_processes_are_spawning() {
        let (mut usage, mut profile) = case(1.0, None, (0.4, 0.55), "/usr/bin/dash");
        (usage.forks, usage.minor_faults) = (Some(900.0), 200_000.0);
        profile.tree.processes = 60;
        check((usage, profile), Class::ProcessSpawn);
    }

    #[test]
    fn a_launcher_that_starts_a_few_processes_is_not_spawning() {
        let (mut usage, mut profile) = case(1.0, None, (0.9, 0.05), "/usr/bin/python3.11");
        usage.forks = Some(150.0);
        profile.tree.processes = 30;
        check((usage, profile), Class::InterpreterOverhead);
    }

    #[test]
    fn processes_of_others_are_not_the_programs() {
        let (mut usage, profile) = case(1.0, None, (0.98, 0.01), "/app");
        usage.forks = Some(2000.0);
        check((usage, profile), Class::CpuNative);
    }

    #[test]
    fn a_busy_machine_is_not_the_programs_fault() {
        let (mut usage, mut profile) = case(0.5, None, (0.5, 0.0), "/app");
        usage.runqueue_s = Some(0.45);
        profile.tree.queued_s = 0.5;
        check((usage, profile), Class::MachineBusy);
    }

    #[test]
    fn little_evidence_gives_little_confidence() {
        let (usage, mut profile) = case(1.0, None, (0.98, 0.01), "/app");
        profile.tree = TreeTimes::default();
        let diagnosis = diagnose(&usage, &profile, 2);
        assert!(diagnosis.confidence < 0.8, "{diagnosis:?}");
    }
}
