//! Runs commands: one sample, or pairs in random order.
//!
//! In: [`Arm`]s. Out: [`Sample`]s and [`Pair`]s, the ground truth that everything else is derived from.
//! **Invariant**: never judges; which arm is faster is for `stats` and `verify` to say.

mod custom;
mod disturbance;
mod environment;
mod error;
mod identity;
mod measurer;
mod outputs;
mod ratio;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{CommandLine, CustomMetric, Metric, Objective};
use crate::sys::wire::{Captured, RunRecord};

pub use disturbance::{Disturbance, Redo};
pub use environment::neutral_environment;
pub use error::MeasureError;
pub use identity::{Identity, identity};
pub use measurer::{Around, Measurer, MeasurerOptions, OUTPUT_BYTES_MAX, TaskOutcome};
pub use outputs::Outputs;
pub use ratio::log_ratio;

/// One side of a comparison: a command in a folder.
#[derive(Debug, Clone)]
pub struct Arm {
    pub command: CommandLine,
    /// Absolute.
    pub cwd: PathBuf,
    /// Added to the measurer's environment.
    pub env: BTreeMap<String, String>,
    /// Absolute; `/dev/null` when absent.
    pub stdin: Option<PathBuf>,
    /// Run in `cwd` before every sample, untimed.
    pub prepare: Option<CommandLine>,
    pub timeout: Duration,
    /// Declared output files, relative to `cwd`; removed before each run, captured after it.
    pub files: Vec<PathBuf>,
    /// The program may only use these CPUs; empty for all.
    pub cpus: Vec<u32>,
    /// What is read from the program's output, and blanked in it.
    pub metrics: Vec<CustomMetric>,
    /// Whether instructions and cycles are counted, where the machine can; see [`Sample::can_be_counted`].
    pub counters: bool,
}

impl Arm {
    /// A command as it is: nothing added, no input, nothing around it.
    #[must_use]
    pub fn new(command: CommandLine, cwd: PathBuf, timeout: Duration) -> Self {
        Self {
            command,
            cwd,
            env: BTreeMap::new(),
            stdin: None,
            prepare: None,
            timeout,
            files: Vec::new(),
            cpus: Vec::new(),
            metrics: Vec::new(),
            counters: false,
        }
    }
}

/// What counting adds to the time of each process, seconds: 20 µs were measured for two counters inherited by `true`.
const COUNTING_S: f64 = 20e-6;

/// Share of the wall time that counting may add unasked.
const COUNTING_SHARE_MAX: f64 = 0.001;

/// One run of one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub run: RunRecord,
    /// The declared output files in the arm's order; absent when the program did not write one.
    pub files: Vec<Option<Captured>>,
    /// What the program reported itself, by name.
    #[serde(default)]
    pub custom: BTreeMap<String, f64>,
}

impl Sample {
    /// Wall time of the whole process tree, seconds.
    #[must_use]
    pub fn wall_s(&self) -> f64 {
        self.run.wall_ns as f64 * 1e-9
    }

    /// Whether the program may have used less memory than [`Metric::PeakRss`] says, which begins at the size of the
    /// process that started it.
    #[must_use]
    pub fn is_at_rss_floor(&self) -> bool {
        // A few pages more are touched on the way to the program.
        self.run.rss_floor_bytes.is_some_and(|floor| self.run.rss_bytes_max <= floor + floor / 8)
    }

    /// Whether counters would add less to such a run than anybody could see: it is long for the processes it starts.
    #[must_use]
    pub fn can_be_counted(&self) -> bool {
        let processes = self.run.forks.unwrap_or(1).max(1) as f64;
        processes * COUNTING_S <= COUNTING_SHARE_MAX * self.wall_s()
    }

    /// The metric in its base unit: seconds, bytes, joules or a count. Absent where it was not measured.
    #[must_use]
    pub fn metric(&self, metric: &Metric) -> Option<f64> {
        let run = &self.run;
        let seconds = |nanoseconds: u64| Some(nanoseconds as f64 * 1e-9);
        match metric {
            Metric::Wall => Some(self.wall_s()),
            Metric::User => seconds(run.user_ns),
            Metric::Sys => seconds(run.sys_ns),
            Metric::Cpu => seconds(run.user_ns + run.sys_ns),
            Metric::PeakRss => Some(run.rss_bytes_max as f64),
            Metric::PageFaults => Some(run.minor_faults as f64),
            Metric::MajorFaults => Some(run.major_faults as f64),
            Metric::ContextSwitches => Some(run.voluntary_switches as f64),
            Metric::InvoluntarySwitches => Some(run.involuntary_switches as f64),
            Metric::ReadBytes => run.read_bytes.map(|bytes| bytes as f64),
            Metric::WriteBytes => run.write_bytes.map(|bytes| bytes as f64),
            Metric::RunqueueWait => run.runqueue_wait_ns.and_then(seconds),
            Metric::Instructions | Metric::Cycles => run.counts.get(metric.id()).map(|&count| count as f64),
            Metric::Energy => run.energy_uj.map(|energy| energy as f64 * 1e-6),
            Metric::Custom(name) => self.custom.get(name).copied(),
        }
    }
}

/// One run of each arm back to back: the unit of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub index: u32,
    /// Whether the fair coin put A first.
    pub a_first: bool,
    pub a: Sample,
    pub b: Sample,
}

impl Pair {
    /// What else went on during the pair, whichever arm was running.
    #[must_use]
    pub fn disturbance(&self) -> Disturbance {
        Disturbance::of([&self.a.run, &self.b.run])
    }

    /// [`log_ratio`] of the pair: negative when B is better. Absent where either side lacks the metric, or their values
    /// have no ratio.
    #[must_use]
    pub fn log_ratio(&self, objective: &Objective) -> Option<f64> {
        let (a, b) = (self.a.metric(&objective.metric)?, self.b.metric(&objective.metric)?);
        Some(log_ratio(objective, a, b)).filter(|ratio| ratio.is_finite())
    }
}
