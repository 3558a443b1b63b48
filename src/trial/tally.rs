//! What the runs so far amount to.
//!
//! **Invariant**: memory does not grow with the number of runs, unless every single value is asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Objective, Plan};
use super::report::{Sampled, StoppedBecause};
use crate::config::{Better, Metric};
use crate::measure::Sample;
use crate::stats::decision::{Decision, Noise, Status, TestPlan};
use crate::stats::distribution::Distribution;
use crate::stats::sequential::Test;

/// Different outputs that are told apart; a program with more varies anyway.
const OUTPUTS_MAX: usize = 64;

/// All runs of one contender.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub runs: u64,
    pub metrics: BTreeMap<Metric, Distribution>,
    pub samples: BTreeMap<Metric, Vec<Sampled>>,
    /// SHA-256 of what it wrote to standard output.
    pub outputs: BTreeSet<String>,
    /// Runs that were ended because they were far behind.
    pub cut_short: u64,
    /// Runs that left processes behind, which were killed.
    pub with_survivors: u64,
    /// Runs whose peak memory may be less than can be seen.
    pub at_rss_floor: u64,
    /// Wall time of the first run and of the longest, seconds.
    pub first_wall_s: Option<f64>,
    pub longest_wall_s: f64,
}

impl Tally {
    pub fn add(&mut self, round: u32, slot: u32, sample: &Sample, keep: bool) {
        self.runs += 1;
        for (metric, value) in values(sample) {
            if keep {
                let sampled = Sampled { pair: round, slot, value };
                self.samples.entry(metric.clone()).or_default().push(sampled);
            }
            self.metrics.entry(metric).or_default().push(value);
        }
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.insert(sample.run.stdout.sha256.clone());
        }
        self.with_survivors += u64::from(sample.run.survivors > 0);
        self.at_rss_floor += u64::from(sample.is_at_rss_floor());
        let wall_s = sample.run.wall_ns as f64 * 1e-9;
        self.first_wall_s.get_or_insert(wall_s);
        self.longest_wall_s = self.longest_wall_s.max(wall_s);
    }

    pub fn median(&self, metric: &Metric) -> Option<f64> {
        self.metrics.get(metric)?.median()
    }
}

/// Every metric that a run gave a value for.
fn values(sample: &Sample) -> impl Iterator<Item = (Metric, f64)> {
    let built_in = Metric::BUILT_IN.iter().cloned();
    let custom = sample.custom.keys().map(|name| Metric::Custom(name.clone()));
    built_in.chain(custom).filter_map(|metric| {
        let value = sample.metric(&metric)?;
        Some((metric, value))
    })
}

/// One contender against the reference.
#[derive(Debug)]
pub(super) struct Compared {
    /// Its index among the contenders; never 0.
    pub contender: usize,
    pub primary: Test,
    /// Every other metric, as the plain ratio of values: lower counts as better.
    pub others: BTreeMap<Metric, Test>,
    /// Set once the question is answered; the contender runs no more.
    pub closed: Option<(Decision, StoppedBecause)>,
    /// Some pair gave no number for the primary metric.
    pub lacks_values: bool,
}

impl Compared {
    pub fn new(contender: usize, plan: &Plan) -> Self {
        Self {
            contender,
            primary: Test::new(plan.test()),
            others: BTreeMap::new(),
            closed: None,
            lacks_values: false,
        }
    }

    /// Adds a pair: a run of the reference and one of this contender from the same round.
    pub fn add(&mut self, a: &Sample, b: &Sample, plan: &Plan) {
        let recorded = TestPlan { noise: Noise::Unknown, pairs_max: usize::MAX, ..plan.test() };
        for (metric, value) in values(b) {
            let lower = Objective { metric, better: Better::Lower };
            let Some(ratio) = a.metric(&lower.metric).map(|other| log_ratio(&lower, other, value)) else {
                continue;
            };
            if lower.metric != plan.primary.metric && ratio.is_finite() {
                self.others.entry(lower.metric).or_insert_with(|| Test::new(recorded)).push(ratio);
            }
        }
        let metric = &plan.primary.metric;
        let ratio = a.metric(metric).zip(b.metric(metric)).map(|(a, b)| log_ratio(&plan.primary, a, b));
        self.lacks_values |= ratio.is_none_or(|ratio| !ratio.is_finite());
        self.primary.push(ratio.unwrap_or(f64::NAN));
        if let Status::Decided(decision) = self.primary.status() {
            self.closed = Some((decision, decision.stopped.into()));
        }
    }
}

/// ln(B/A), turned so that negative is better. NaN where the values have no ratio.
///
/// A metric that is counted in units may be zero; a zero then counts as half a unit, which keeps the sign.
pub(super) fn log_ratio(objective: &Objective, a: f64, b: f64) -> f64 {
    let half = half_unit(&objective.metric);
    let ratio = if a == b { 0.0 } else { (b.max(half) / a.max(half)).ln() };
    match objective.better {
        Better::Lower => ratio,
        Better::Higher => -ratio,
    }
}

/// Half of the smallest step that a metric can take, 0 where there is none.
fn half_unit(metric: &Metric) -> f64 {
    match metric {
        // rusage counts microseconds.
        Metric::User | Metric::Sys | Metric::Cpu => 0.5e-6,
        Metric::Wall | Metric::RunqueueWait => 0.5e-9,
        Metric::Energy => 0.5e-6,
        Metric::Custom(_) => 0.0,
        _ => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_negative_and_zeroes_keep_their_sign() {
        let check = |metric: Metric, better, a: f64, b: f64, sign: f64| {
            let ratio = log_ratio(&Objective { metric, better }, a, b);
            assert!(ratio == sign || ratio.signum() == sign, "{a} {b}: {ratio}");
        };
        check(Metric::Wall, Better::Lower, 2.0, 1.0, -1.0);
        check(Metric::Custom("tps".to_owned()), Better::Higher, 10.0, 20.0, -1.0);
        check(Metric::MajorFaults, Better::Lower, 0.0, 0.0, 0.0);
        check(Metric::MajorFaults, Better::Lower, 0.0, 3.0, 1.0);
        check(Metric::MajorFaults, Better::Lower, 3.0, 0.0, -1.0);
        let none = Objective { metric: Metric::Custom("x".to_owned()), better: Better::Lower };
        assert!(!log_ratio(&none, 0.0, 3.0).is_finite());
        assert!(log_ratio(&none, -1.0, 3.0).is_nan() || !log_ratio(&none, -1.0, 3.0).is_finite());
    }
}
