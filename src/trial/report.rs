//! What a trial found: the document of `perfup measure --json`, and what the terminal shows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::calibrate::Calibration;
use crate::config::Metric;
use crate::machine::{Facts, Strain};
use crate::report::words;
use crate::stats::carry_over::CarryOver;
use crate::stats::decision::{Decision, Stopped, Word};
use crate::stats::effect::Estimate;
use crate::stats::guard::GuardWord;
use crate::stats::scaling::Fit;

/// A finished trial.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub arms: Vec<ArmReport>,
    /// One for each arm but the first; empty when nothing was compared.
    pub comparisons: Vec<ComparisonReport>,
    /// Key of the metric that decides.
    pub metric: String,
    #[serde(skip)]
    pub primary: Metric,
    /// Probability of any wrong word in the whole trial.
    pub alpha: Option<f64>,
    pub min_effect: Option<f64>,
    pub seed: u64,
    /// Whole rounds that count.
    pub rounds: u32,
    /// Rounds thrown away and run again because something else disturbed the machine.
    pub rounds_redone: u32,
    pub elapsed_s: f64,
    /// Whether runs depend on what ran directly before them; absent when nothing was compared.
    pub carry_over: Option<CarryOver>,
    /// How the metric grows with a parameter; only where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// The last calibration of this machine for this metric, α and smallest effect, by this version.
    pub calibration: Option<Calibration>,
    pub machine: Machine,
    pub warnings: Vec<String>,
    /// Ctrl-C ended it early.
    pub interrupted: bool,
}

impl Report {
    /// The same without single values.
    #[must_use]
    pub fn without_samples(mut self) -> Self {
        for metric in self.arms.iter_mut().flat_map(|arm| arm.metrics.values_mut()) {
            metric.samples = None;
        }
        self
    }
}

/// The machine it was measured on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Measurements of different fingerprints must not be compared.
    pub fingerprint: String,
    /// As it was before the first run.
    #[serde(flatten)]
    pub facts: Facts,
    /// What it went through from the first run to the last.
    pub during: Strain,
}

/// How a metric grows with the size of the input.
#[derive(Debug, Clone, Serialize)]
pub struct Scaling {
    pub parameter: String,
    /// Size, and the median of the metric.
    pub points: Vec<(f64, f64)>,
    /// Absent when no law can be told; `words` says why.
    #[serde(flatten)]
    pub fit: Option<Fit>,
    pub words: String,
}

/// One command's runs.
#[derive(Debug, Clone, Serialize)]
pub struct ArmReport {
    pub name: String,
    pub command: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    pub runs: u64,
    /// By [`Metric::key`].
    #[serde(flatten)]
    pub metrics: BTreeMap<String, MetricReport>,
}

/// One metric of one arm, in its base unit.
#[derive(Debug, Clone, Serialize)]
pub struct MetricReport {
    pub median: f64,
    pub mean: f64,
    pub min: f64,
    pub max: f64,
    /// Standard deviation; 0 for one value.
    pub stddev: f64,
    /// Median absolute deviation from the median, unscaled.
    pub mad: f64,
    /// 95 % order-statistic interval of the median, if the runs are independent and their number was fixed beforehand;
    /// absent below six runs.
    pub median_interval: Option<(f64, f64)>,
    /// Present when the single values were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<Vec<Sampled>>,
    /// For drawing; counts between the `low` and the `high` of the whole trial.
    #[serde(skip)]
    pub histogram: Histogram,
}

/// Counts of equal bins from `low` to `high`.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    pub low: f64,
    pub high: f64,
    pub counts: Vec<u64>,
}

/// One run's value.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sampled {
    /// The round, from 0: values of one round, of different arms, are a pair.
    pub pair: u32,
    /// Its place within the round, from 0.
    pub slot: u32,
    pub value: f64,
}

/// One arm against another.
#[derive(Debug, Clone, Serialize)]
pub struct ComparisonReport {
    /// Index into `arms`.
    pub arm: usize,
    /// Index into `arms` of the reference.
    pub against: usize,
    pub metric: String,
    /// By how much the arm's value is larger than the reference's, as a fraction: −0.2 is 20 % less.
    pub effect: f64,
    /// So many runs were cut short that `effect` is only a lower bound: the arm may be slower by any amount.
    pub effect_is_bound: bool,
    /// Bounds of `effect` that hold at any stopping time; `null` where the pairs cannot bound it.
    pub interval: (Option<f64>, Option<f64>),
    pub confidence: f64,
    /// e-value against "no difference", or for the verdict when it is EQUIVALENT.
    pub evidence: f64,
    /// What `evidence` had to reach.
    pub evidence_needed: f64,
    /// FASTER, SLOWER, EQUIVALENT, INCONCLUSIVE or INVALID.
    pub verdict: &'static str,
    /// Smallest effect that so many pairs of this noise show in 80 of 100 trials, with the evidence needed here.
    pub mde: Option<f64>,
    /// Robust standard deviation of the log ratio of a pair.
    pub noise: f64,
    pub pairs: usize,
    pub stopped_because: StoppedBecause,
    /// More pairs that would probably settle it; absent when it is settled or cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs_still_needed: Option<usize>,
    /// FASTER, and every guard has held.
    pub win: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardReport>,
    /// Effects on the other metrics, by key: for people, no verdict depends on them.
    pub others: BTreeMap<String, Effect>,
    #[serde(skip)]
    pub decision: Decision,
}

/// A difference without a verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Effect {
    pub effect: f64,
    pub interval: (Option<f64>, Option<f64>),
    pub noise: f64,
    #[serde(skip)]
    pub metric: Metric,
    #[serde(skip)]
    pub estimate: Estimate,
}

/// How a guarded metric came out.
#[derive(Debug, Clone, Serialize)]
pub struct GuardReport {
    pub metric: String,
    /// Fraction by which it may be worse.
    pub worse_max: f64,
    pub word: GuardWord,
    pub effect: f64,
    pub interval: (Option<f64>, Option<f64>),
}

/// Why no more pairs were run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoppedBecause {
    /// The evidence answers the question.
    Evidence,
    /// No further pairs within the bounds could have answered it.
    Futility,
    /// The most pairs that were allowed.
    Pairs,
    /// The time budget.
    Budget,
    /// A value was no number.
    BadData,
    /// Runs depend on what ran before them: whatever the pairs show is not about the commands alone.
    CarryOver,
    /// Both are the same program: nothing to compare.
    IdenticalPrograms,
    Interrupted,
}

impl ComparisonReport {
    /// The effect in words, for people.
    #[must_use]
    pub fn words(&self, metric: &Metric) -> String {
        let least = if self.effect_is_bound { "at least " } else { "" };
        format!("{least}{}", words::comparison(&self.decision.estimate, metric))
    }
}

impl From<Stopped> for StoppedBecause {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Evidence => Self::Evidence,
            Stopped::Futility => Self::Futility,
            Stopped::Budget => Self::Pairs,
            Stopped::BadData => Self::BadData,
        }
    }
}

/// The word as it is shown to people and programs.
pub(super) fn verdict(word: Word) -> &'static str {
    match word {
        Word::Faster => "FASTER",
        Word::Slower => "SLOWER",
        Word::Equivalent => "EQUIVALENT",
        Word::Inconclusive => "INCONCLUSIVE",
        Word::Invalid => "INVALID",
    }
}
