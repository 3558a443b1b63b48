//! What the runs so far amount to.
//!
//! **Invariant**: memory does not grow with the number of runs, unless every single value is asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::conclude::is_settled;
use super::plan::Plan;
use super::report::{Sampled, StoppedBecause};
use super::rounds::Run;
use crate::config::{Metric, Objective};
use crate::measure::{Sample, log_ratio};
use crate::stats::decision::{Decision, Stopped, Word};
use crate::stats::distribution::Distribution;
use crate::stats::evidence::Side;
use crate::stats::sequential::Test;

/// Different outputs that are told apart; a program with more varies anyway.
const OUTPUTS_MAX: usize = 64;

/// Metrics of its own that a contender may have. A program whose names differ from run to run means something else by
/// them than a metric.
pub(super) const CUSTOM_MAX: usize = 100;

/// All runs of one contender.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub runs: u64,
    pub metrics: BTreeMap<Metric, Distribution>,
    pub samples: BTreeMap<Metric, Vec<Sampled>>,
    /// SHA-256 of what it wrote to standard output.
    pub outputs: BTreeSet<String>,
    /// It reported more metrics of its own than are kept.
    pub has_left_out_metrics: bool,
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
    /// Takes the program's own metrics from a sample that are too many to be kept; what decides or is guarded stays.
    pub fn bound_names(&mut self, sample: &mut Sample, plan: &Plan) {
        let known = self.metrics.keys().filter(|metric| metric.is_custom()).count();
        let mut room = CUSTOM_MAX.saturating_sub(known);
        let (metrics, has_left_out) = (&self.metrics, &mut self.has_left_out_metrics);
        sample.custom.retain(|name, _| {
            let metric = Metric::Custom(name.clone());
            if metrics.contains_key(&metric) || plan.required().any(|required| *required == metric) {
                return true;
            }
            let has_room = room > 0;
            room = room.saturating_sub(1);
            *has_left_out |= !has_room;
            has_room
        });
    }

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
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Its index among the contenders; never 0.
    pub contender: usize,
    /// Rounds in which both were run.
    pub pairs: usize,
    /// Every metric but the primary one, as the plain ratio of values: lower counts as better.
    pub others: BTreeMap<Metric, Test>,
    /// Metrics of which some pair had no ratio.
    pub incomparable: BTreeSet<Metric>,
    /// Set once the question is answered.
    pub answer: Option<(Decision, StoppedBecause)>,
    /// Set once the guards are settled as well, or no more pairs may be run; the contender runs no more.
    pub closed: Option<(Decision, StoppedBecause)>,
}

impl Compared {
    /// Adds a pair: a run of the reference and one of this contender from the same round. Gives the log ratio of the
    /// primary metric, which is no number where there is none, and the sides on which the true one may lie beyond it.
    ///
    /// Both values are cut at the same limit, and where either exceeds it the pair says nothing of other metrics: two
    /// runs of one program must give L and −L equally often.
    #[must_use]
    pub fn add(&mut self, a: &Sample, run: &Run, plan: &Plan) -> (f64, Vec<Side>) {
        self.pairs += 1;
        let b = &run.sample;
        let most_s = run.cut_off_s.unwrap_or(f64::INFINITY);
        let mut beyond = Vec::new();
        if a.wall_s() >= most_s {
            beyond.push(Side::Below);
        }
        if run.cut_short || b.wall_s() >= most_s {
            beyond.push(Side::Above);
        }
        let whole = beyond.is_empty().then(|| values(b));
        for (metric, value) in whole.into_iter().flatten() {
            let lower = Objective::lower(metric);
            let Some(ratio) = a.metric(&lower.metric).map(|other| log_ratio(&lower, other, value)) else {
                continue;
            };
            if !ratio.is_finite() {
                self.incomparable.insert(lower.metric);
            } else if lower.metric != plan.primary.metric {
                self.others.entry(lower.metric).or_insert_with(|| Test::new(plan.side_test())).push(ratio);
            }
        }
        let metric = &plan.primary.metric;
        let [a, b] = [a, b].map(|sample| sample.metric(metric).map(|value| value.min(most_s)));
        let log_ratio = a.zip(b).map_or(f64::NAN, |(a, b)| log_ratio(&plan.primary, a, b));
        (log_ratio, beyond)
    }

    /// Takes note of the race's answer once there is one; `test` is that of the primary metric.
    pub fn note(&mut self, decision: Option<Decision>, test: &Test, plan: &Plan) {
        let Some(decision) = decision else {
            return;
        };
        self.answer.get_or_insert((decision, decision.stopped.into()));
        // No guard makes a loss a win.
        let is_lost = decision.word == Word::Slower || decision.stopped == Stopped::BadData;
        let is_over = self.pairs >= plan.test().pairs_max;
        if is_lost || is_over || plan.guards.iter().all(|guard| is_settled(guard, self, test, plan)) {
            self.closed = self.answer;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::plan::{Failures, Purpose, Rounds};
    use super::*;
    use crate::sys::wire::RunRecord;

    fn plan() -> Plan {
        Plan {
            contenders: Vec::new(),
            purpose: Purpose::Compare { alpha: 0.01, min_effect: 0.01 },
            primary: Objective::lower(Metric::Wall),
            guards: Vec::new(),
            rounds: Rounds::Needed { min: 0, max: 60 },
            budget: Duration::MAX,
            warmup: 0,
            race: Some(10.0),
            failures: Failures::Refused,
            seed: 1,
            keep_samples: false,
            scale: None,
            even_if_identical: false,
        }
    }

    fn sample(wall_s: u64) -> Sample {
        let run = RunRecord::of(wall_s * 1_000_000_000);
        Sample { run, files: Vec::new(), custom: BTreeMap::new() }
    }

    #[test]
    fn names_that_change_with_every_run_take_no_more_memory() {
        let mut plan = plan();
        plan.primary = Objective::lower(Metric::Custom("zz".to_owned()));
        let mut tally = Tally::default();
        for round in 0..300_u32 {
            let mut sample = sample(1);
            for name in ["always".to_owned(), format!("run-{round}"), "zz".to_owned()] {
                sample.custom.insert(name, 1.0);
            }
            tally.bound_names(&mut sample, &plan);
            tally.add(round, 0, &sample, true);
        }
        let count = |name: &str| tally.metrics.get(&Metric::Custom(name.to_owned())).map(Distribution::count);
        assert_eq!((count("always"), count("zz"), count("run-0")), (Some(300), Some(300), Some(1)));
        assert_eq!(tally.metrics.keys().filter(|metric| metric.is_custom()).count(), CUSTOM_MAX);
        assert!(tally.has_left_out_metrics);
        // What decides is kept also where it comes after too many others.
        let mut many = sample(1);
        many.custom = (0..200).map(|index| (format!("a{index}"), 1.0)).collect();
        many.custom.insert("zz".to_owned(), 1.0);
        Tally::default().bound_names(&mut many, &plan);
        assert_eq!((many.custom.len(), many.custom.contains_key("zz")), (CUSTOM_MAX + 1, true));
    }

    #[test]
    fn a_cut_off_favours_neither_side() {
        let plan = plan();
        let ratio = |a: u64, b: u64| {
            // Only the second run is ended, at 10 s.
            let run = Run {
                contender: 1,
                slot: 0,
                sample: sample(b.min(10)),
                cut_off_s: Some(10.0),
                cut_short: b > 10,
            };
            let mut compared = Compared::default();
            let (log_ratio, beyond) = compared.add(&sample(a), &run, &plan);
            assert_eq!(compared.others.is_empty(), !beyond.is_empty(), "{a} {b}");
            (log_ratio, beyond)
        };
        for (a, b) in [(1, 50), (50, 1), (12, 3), (3, 4), (40, 50)] {
            assert!((ratio(a, b).0 + ratio(b, a).0).abs() < 1e-12, "{a} {b}");
        }
        assert_eq!(ratio(1, 50), (10.0_f64.ln(), vec![Side::Above]));
        assert_eq!(ratio(50, 1).1, [Side::Below]);
        assert_eq!(ratio(40, 50), (0.0, vec![Side::Below, Side::Above]));
        assert_eq!(ratio(3, 4).1, []);
    }
}
