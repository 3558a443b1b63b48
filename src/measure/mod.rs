//! Runs commands: one sample, or pairs in random order.
//!
//! In: [`Arm`]s. Out: [`Sample`]s and [`Pair`]s, the ground truth that everything else is derived from.
//! **Invariant**: never judges; which arm is faster is for `stats` and `verify` to say.

mod environment;
mod error;
mod measurer;
mod outputs;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{CommandLine, Metric};
use crate::sys::wire::{Captured, RunRecord};

pub use environment::neutral_environment;
pub use error::MeasureError;
pub use measurer::{Measurer, MeasurerOptions, OUTPUT_BYTES_MAX, TaskOutcome};
pub use outputs::Outputs;

/// One side of a comparison: a command in a folder.
#[derive(Debug, Clone)]
pub struct Arm {
    pub command: CommandLine,
    /// Absolute.
    pub cwd: PathBuf,
    /// Added to the neutral environment.
    pub env: BTreeMap<String, String>,
    /// Absolute; `/dev/null` when absent.
    pub stdin: Option<PathBuf>,
    /// Run in `cwd` before every sample, untimed.
    pub prepare: Option<CommandLine>,
    pub timeout: Duration,
    /// Declared output files, relative to `cwd`; removed before each run, captured after it.
    pub files: Vec<PathBuf>,
}

/// One run of one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub run: RunRecord,
    /// The declared output files in the arm's order; absent when the program did not write one.
    pub files: Vec<Option<Captured>>,
}

impl Sample {
    /// The metric in its base unit: seconds or bytes.
    #[must_use]
    pub fn metric(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Wall => self.run.wall_ns as f64 * 1e-9,
            Metric::Cpu => (self.run.user_ns + self.run.sys_ns) as f64 * 1e-9,
            Metric::PeakRss => self.run.rss_bytes_max as f64,
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
    /// ln(B / A) of the metric: negative when B is better. Absent when either side measured zero.
    #[must_use]
    pub fn log_ratio(&self, metric: Metric) -> Option<f64> {
        let (a, b) = (self.a.metric(metric), self.b.metric(metric));
        (a > 0.0 && b > 0.0).then(|| (b / a).ln())
    }
}
