//! Evidence → class of bottleneck, level, floor, payoff.
//!
//! **Invariant**: pure; sees observations, never the process, and prefers "not enough evidence" to a guess.

pub mod advice;
mod facts;
pub mod floor;
mod parts;
mod rules;

use serde::{Deserialize, Serialize};

use crate::profile::{Profile, Usage};
use facts::Facts;
use floor::{Observed, Rates, Work};
use parts::Parts;

pub use floor::{Floor, Situation};

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
    GpuBound,
    GpuIdle,
    UnbatchedInference,
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
    /// What it would be without the load of others; only with [`Class::MachineBusy`].
    pub apart_from_load: Option<Class>,
    /// Other classes with a share worth mentioning, largest first.
    pub also: Vec<Class>,
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
    /// What kept the confidence down, as sentences.
    pub doubts: Vec<String>,
    /// Sources that could not be used, as sentences with reason and remedy.
    pub absent: Vec<String>,
}

/// What the machine can do, as far as judging a program needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// CPUs that the program may use.
    pub cores: usize,
    /// Seconds that the kernel takes to hand out one fresh page.
    pub fault_s: f64,
    /// Seconds from starting a program that does nothing to its end.
    pub spawn_s: f64,
}

impl Machine {
    /// A machine of so many cores of which nothing else has been measured: 1 µs for a page (0.25 on bare metal, up to 2 in
    /// a virtual machine), 1 ms for a process (`true` takes 0.5–1.5 ms).
    #[must_use]
    pub fn of_cores(cores: usize) -> Self {
        Self { cores: cores.max(1), fault_s: 1e-6, spawn_s: 1e-3 }
    }

    /// A machine of so many cores, of which some rates may have been measured.
    #[must_use]
    pub fn new(cores: usize, rates: &Rates) -> Self {
        let usual = Self::of_cores(cores);
        Self {
            fault_s: rates.page_fault_s.unwrap_or(usual.fault_s),
            spawn_s: rates.spawn_s.unwrap_or(usual.spawn_s),
            ..usual
        }
    }
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

impl Class {
    /// All of them, in order.
    pub const ALL: &[Self] = &[
        Self::CpuNative,
        Self::InterpreterOverhead,
        Self::CpuKernel,
        Self::PageFaults,
        Self::SingleThreadedOnMulticore,
        Self::GilBound,
        Self::LockContention,
        Self::DiskRead,
        Self::DiskSync,
        Self::NetworkWait,
        Self::ChildWait,
        Self::ProcessSpawn,
        Self::PipeWait,
        Self::SleepPoll,
        Self::GpuBound,
        Self::GpuIdle,
        Self::UnbatchedInference,
        Self::MachineBusy,
        Self::NotEnoughEvidence,
    ];

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
            Self::GpuBound => "gpu-bound",
            Self::GpuIdle => "gpu-idle",
            Self::UnbatchedInference => "unbatched-inference",
            Self::MachineBusy => "machine-busy",
            Self::NotEnoughEvidence => "not-enough-evidence",
        }
    }

    /// Whether it says how the program's parts stand to each other, not what they do: it explains computing time.
    #[must_use]
    pub fn is_structural(self) -> bool {
        matches!(self, Self::SingleThreadedOnMulticore | Self::GilBound | Self::LockContention)
    }

    /// Whether it is a kind of waiting for something outside of the program.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::DiskRead | Self::DiskSync | Self::NetworkWait | Self::SleepPoll | Self::PipeWait)
    }

    /// Whether it names no bottleneck of the program.
    #[must_use]
    pub fn is_no_verdict(self) -> bool {
        matches!(self, Self::MachineBusy | Self::NotEnoughEvidence)
    }

    /// Where its cure usually stands in the hierarchy.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::InterpreterOverhead | Self::ProcessSpawn | Self::SleepPoll | Self::UnbatchedInference => {
                Level::L1
            }
            Self::DiskRead | Self::DiskSync | Self::NetworkWait | Self::PipeWait | Self::ChildWait => {
                Level::L2
            }
            Self::PageFaults | Self::CpuKernel => Level::L3,
            Self::SingleThreadedOnMulticore | Self::GilBound | Self::LockContention | Self::GpuIdle => {
                Level::L4
            }
            Self::CpuNative | Self::GpuBound => Level::L5,
            Self::MachineBusy | Self::NotEnoughEvidence => Level::L0,
        }
    }
}

/// Share of the wall time without a CPU above which nothing else is to be trusted.
const BUSY_MAX: f64 = 0.10;

/// Share below which nothing is called the bottleneck.
const SHARE_MIN: f64 = 0.3;

/// Share from which another class is worth mentioning.
const ALSO_MIN: f64 = 0.15;

/// Looks of the sampler below which nothing is said, and below which little is sure.
const TICKS_MIN: u64 = 12;
const TICKS_SURE: u64 = 40;

/// By how much the kernel's accounting may contradict the share of a wait.
const ROOM_SLACK: f64 = 0.1;

/// A run below which starting the program is no small part of it.
const WALL_SURE_S: f64 = 0.01;

/// Confidence where at least two independent sources agree and nothing speaks against it; with one source only; and
/// where something raises a doubt.
const CONFIDENT: f64 = 0.95;
const TENTATIVE: f64 = 0.6;
const DOUBTFUL: f64 = 0.7;

/// Lead over the next class below which the order of the two is not sure.
const LEAD_SURE: f64 = 0.1;

/// Weighs what the samples and the profile say.
#[must_use]
pub fn diagnose(usage: &Usage, profile: &Profile, machine: &Machine) -> Diagnosis {
    let facts = Facts::new(usage, profile, machine);
    let parts = Parts::new(&facts);
    let verdict = Verdict::new(&facts, &parts);
    let rule = rules::of(verdict.class);
    let share = parts.share(verdict.class);
    let times = times(&facts);
    let work = Work { observed: Observed::of(usage, verdict.class, &parts.ranked()), ..Work::default() };
    Diagnosis {
        class: verdict.class,
        apart_from_load: verdict.apart_from_load,
        also: parts
            .ranked()
            .into_iter()
            .filter(|(class, share)| *share >= ALSO_MIN && *class != verdict.class && !class.is_no_verdict())
            .map(|(class, _)| class)
            .collect(),
        level: verdict.class.level(),
        confidence: verdict.confidence,
        explanation: rule.explain.to_owned(),
        evidence: verdict.evidence,
        shares: parts.ranked(),
        floor: floor::floor(&work, &Rates::default(), machine.cores),
        runtime: facts.runtime(),
        times,
        payoff_max: (share > 0.0 && share < 0.999 && !verdict.class.is_no_verdict())
            .then(|| 1.0 / (1.0 - share)),
        doubts: verdict.doubts,
        absent: profile.missing().map(|(id, why)| format!("{id}: {}. {}", why.reason, why.remedy)).collect(),
    }
}

struct Verdict {
    class: Class,
    apart_from_load: Option<Class>,
    confidence: f64,
    evidence: Vec<Evidence>,
    doubts: Vec<String>,
}

impl Verdict {
    fn new(facts: &Facts<'_>, parts: &Parts) -> Self {
        let Some((class, lead)) = parts.leader().filter(|_| facts.ticks() >= TICKS_MIN) else {
            return Self::nothing(facts);
        };
        if facts.busy_share() > BUSY_MAX {
            return Self {
                class: Class::MachineBusy,
                apart_from_load: (parts.share(class) > 0.0).then_some(class),
                ..Self::weigh(facts, Class::MachineBusy, 1.0, 1.0)
            };
        }
        if parts.share(class) < SHARE_MIN && !class.is_structural() {
            return Self::nothing(facts);
        }
        Self::weigh(facts, class, parts.share(class), lead)
    }

    fn nothing(facts: &Facts<'_>) -> Self {
        Self {
            class: Class::NotEnoughEvidence,
            apart_from_load: None,
            confidence: 0.0,
            evidence: rules::of(Class::NotEnoughEvidence).evidence(facts),
            doubts: Vec::new(),
        }
    }

    fn weigh(facts: &Facts<'_>, class: Class, share: f64, lead: f64) -> Self {
        let rule = rules::of(class);
        let evidence = rule.evidence(facts);
        let sources: std::collections::BTreeSet<&str> =
            evidence.iter().map(|piece| piece.source.as_str()).collect();
        let mut doubts = rule.doubts(facts);
        if sources.len() < 2 {
            doubts.push("only one source has seen it".to_owned());
        }
        if facts.ticks() < TICKS_SURE {
            doubts.push(format!("it was looked at only {} times", facts.ticks()));
        }
        if class.is_waiting() && facts.idle_by_accounting().is_some_and(|idle| idle + ROOM_SLACK < share) {
            doubts.push("the kernel accounted more CPU time than this leaves room for".to_owned());
        }
        if facts.usage.samples > 0 && facts.usage.wall_s < WALL_SURE_S {
            doubts.push("it ends so soon that starting it is much of its time".to_owned());
        }
        if lead < LEAD_SURE && !class.is_structural() {
            doubts.push("another class has nearly the same share".to_owned());
        }
        let best = CONFIDENT.min(0.6 + 0.6 * share.max(if class.is_structural() { 0.5 } else { 0.0 }));
        let confidence = match doubts.len() {
            0 => best,
            1 => best.min(DOUBTFUL),
            _ => best.min(TENTATIVE),
        };
        Self { class, apart_from_load: None, confidence, evidence, doubts }
    }
}

fn times(facts: &Facts<'_>) -> Times {
    let usage = facts.usage;
    let cpu_s = usage.user_s + usage.sys_s;
    Times {
        wall_s: usage.wall_s,
        user_s: usage.user_s,
        sys_s: usage.sys_s,
        rss_bytes_max: usage.rss_bytes_max as u64,
        read_bytes: usage.read_bytes.map(|bytes| bytes as u64),
        write_bytes: usage.write_bytes.map(|bytes| bytes as u64),
        cores_used: if usage.wall_s > 0.0 { cpu_s / usage.wall_s } else { 0.0 },
        cores_available: facts.machine.cores,
        core_busy: facts.profile.cores.clone(),
        blocked: facts.waiting(),
        samples: usage.samples,
    }
}

#[cfg(test)]
mod tests;
