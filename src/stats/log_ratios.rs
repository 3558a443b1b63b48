//! The log ratios of a test: each one while they are few, counted in buckets when they are many.
//!
//! Beyond [`KEPT_MAX`] pairs a log ratio is known within [`RELATIVE_ERROR`](super::distribution::RELATIVE_ERROR) of
//! its distance from the median of the first ones, which is next to nothing of the noise. Bounds are rounded away from
//! an answer, so no interval gets too narrow by it.
//!
//! **Invariant**: memory is bounded however many there are; the scale of a pair is fixed before the pair.

use std::collections::BTreeMap;

use super::distribution::{Bucket, bucket, mad_of, middle, quantile_of, upper_end};
use super::evidence::Side;
use super::noise::{Noise, Scales};
use super::summary;

/// Log ratios up to which each is kept.
pub(super) const KEPT_MAX: usize = 2000;

/// Log ratios, with the scale that each one is bet with.
#[derive(Debug, Clone)]
pub(super) struct LogRatios {
    scales: Scales,
    pairs: usize,
    /// In the order measured; empty once they are counted.
    kept: Vec<f64>,
    counted: Option<Counted>,
    /// Indices of those that are known to lie on a side of the value given, not how far.
    cut: Vec<(usize, Side)>,
}

#[derive(Debug, Clone)]
struct Counted {
    /// What log ratios are counted from.
    origin: f64,
    parts: Vec<Part>,
}

/// Those of one scale.
#[derive(Debug, Clone)]
struct Part {
    scale: Option<f64>,
    buckets: BTreeMap<Bucket, u64>,
}

/// As many log ratios at or just below a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub value: f64,
    pub scale: Option<f64>,
    pub count: usize,
}

impl LogRatios {
    pub(super) fn new(noise: Noise) -> Self {
        Self { scales: Scales::new(noise), pairs: 0, kept: Vec::new(), counted: None, cut: Vec::new() }
    }

    pub(super) fn of(log_ratios: &[f64], noise: Noise) -> Self {
        let mut all = Self::new(noise);
        for &log_ratio in log_ratios {
            all.push(log_ratio);
        }
        all
    }

    /// Adds a finite log ratio, and learns from it for those to come.
    pub(super) fn push(&mut self, log_ratio: f64) {
        let scale = self.scales.current();
        self.pairs += 1;
        match &mut self.counted {
            Some(counted) => counted.push(log_ratio, scale),
            None => {
                self.kept.push(log_ratio);
                if self.pairs > KEPT_MAX {
                    self.count();
                }
            }
        }
        if self.scales.learns_at(self.pairs) {
            self.scales.learn(self.pairs, self.mad());
        }
    }

    /// As [`Self::push`], of a log ratio that lies anywhere on these sides of the value given.
    pub(super) fn push_cut(&mut self, log_ratio: f64, beyond: &[Side]) {
        for &side in beyond {
            // Which of many they are is not looked at any more.
            if self.pairs < KEPT_MAX || !self.is_cut(side) {
                self.cut.push((self.pairs, side));
            }
        }
        self.push(log_ratio);
    }

    /// Whether some of them lie on this side of the value given.
    pub(super) fn is_cut(&self, side: Side) -> bool {
        self.cut.iter().any(|&(_, beyond)| beyond == side)
    }

    fn count(&mut self) {
        let origin = summary::median(&self.kept).unwrap_or(0.0);
        let mut counted = Counted { origin, parts: Vec::new() };
        for (range, scale) in self.scales.runs(self.pairs) {
            self.kept[range].iter().for_each(|&log_ratio| counted.push(log_ratio, scale));
        }
        self.kept = Vec::new();
        self.counted = Some(counted);
    }

    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    pub(super) fn scales(&self) -> &Scales {
        &self.scales
    }

    /// All of them in the order measured, as long as they are kept.
    pub(super) fn kept(&self) -> Option<&[f64]> {
        self.counted.is_none().then_some(&self.kept)
    }

    /// The largest that each of them can be, in the order measured, or the largest of their negatives; as long as they
    /// are kept.
    pub(super) fn at_most(&self, negated: bool) -> Option<Vec<f64>> {
        let sign = if negated { -1.0 } else { 1.0 };
        let mut values: Vec<f64> = self.kept()?.iter().map(|value| sign * value).collect();
        let upward = if negated { Side::Below } else { Side::Above };
        for &(index, _) in self.cut.iter().filter(|&&(_, side)| side == upward) {
            values[index] = f64::INFINITY;
        }
        Some(values)
    }

    pub(super) fn median(&self) -> Option<f64> {
        match &self.counted {
            None => summary::median(&self.kept),
            Some(counted) => {
                let merged = counted.merged();
                let distance = quantile_of(middles(&merged), self.pairs as u64, 0.5)?;
                Some(counted.origin + distance)
            }
        }
    }

    /// Median absolute deviation from the median, unscaled.
    pub(super) fn mad(&self) -> Option<f64> {
        match &self.counted {
            None => summary::mad(&self.kept),
            Some(counted) => {
                let merged = counted.merged();
                mad_of(|| middles(&merged))
            }
        }
    }

    /// Once they are counted: the log ratios, or their negatives, rounded up. Each with its scale.
    pub(super) fn rounded_up(&self, negated: bool) -> Vec<Group> {
        let mut groups = Vec::new();
        let Some(counted) = &self.counted else {
            return groups;
        };
        for Part { scale, buckets } in &counted.parts {
            groups.extend(buckets.iter().map(|(&bucket, &count)| {
                let value = if negated {
                    upper_end(-bucket) - counted.origin
                } else {
                    upper_end(bucket) + counted.origin
                };
                Group { value, scale: *scale, count: count as usize }
            }));
        }
        groups
    }
}

impl Counted {
    fn push(&mut self, log_ratio: f64, scale: Option<f64>) {
        if self.parts.last().is_none_or(|part| part.scale != scale) {
            self.parts.push(Part { scale, buckets: BTreeMap::new() });
        }
        if let Some(part) = self.parts.last_mut() {
            *part.buckets.entry(bucket(log_ratio - self.origin)).or_default() += 1;
        }
    }

    fn merged(&self) -> BTreeMap<Bucket, u64> {
        let mut merged = BTreeMap::new();
        for (&bucket, &count) in self.parts.iter().flat_map(|part| &part.buckets) {
            *merged.entry(bucket).or_default() += count;
        }
        merged
    }
}

fn middles(buckets: &BTreeMap<Bucket, u64>) -> impl Iterator<Item = (f64, u64)> {
    buckets.iter().map(|(&bucket, &count)| (middle(bucket), count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::decision::{Question, TestPlan};
    use crate::stats::effect::estimate;
    use crate::stats::rng::Rng;
    use crate::stats::sequential::Test;

    fn noise(effect: f64, sigma: f64, pairs: usize) -> Vec<f64> {
        let mut rng = Rng::new(8);
        (0..pairs).map(|_| effect + sigma * rng.normal()).collect()
    }

    #[test]
    fn counted_ones_know_their_middle_and_spread() {
        for (effect, sigma) in [(0.0, 0.1), (0.7, 0.001), (-3.0, 1e-6)] {
            let values = noise(effect, sigma, 3 * KEPT_MAX);
            let counted = LogRatios::of(&values, Noise::Learned);
            assert!(counted.kept().is_none() && counted.kept.is_empty());
            let near = |one: Option<f64>, other: Option<f64>| {
                one.zip(other).is_some_and(|(one, other)| (one - other).abs() < 0.005 * sigma)
            };
            assert!(near(counted.median(), summary::median(&values)), "{effect} {sigma}");
            assert!(near(counted.mad(), summary::mad(&values)), "{effect} {sigma}");
        }
    }

    #[test]
    fn an_interval_of_counted_ones_is_a_hair_wider_than_the_exact_one() {
        let values = noise(-0.1, 0.05, KEPT_MAX + 500);
        for noise in [Noise::Unknown, Noise::Known(0.05)] {
            let ours = estimate(&values, 0.05, Question::Different, noise).expect("finite");
            // Exactly, by the weigher itself.
            let bar = crate::stats::decision::Bar::new(0.05, Question::Different);
            let scales = Scales::of(&values, noise);
            let refuted = |shift: f64, side| {
                let weigher = crate::stats::evidence::Weigher::of(&values, &scales, shift);
                crate::stats::effect::refutes(&weigher, side, bar.ln(side))
            };
            use crate::stats::evidence::Side::{Above, Below};
            let hair = 1e-4 * 0.05;
            assert!(
                refuted(ours.high.ln() + hair, Below) && refuted(ours.low.ln() - hair, Above),
                "{ours:?}"
            );
            assert!(!refuted(ours.high.ln() - 10.0 * hair, Below), "{noise:?}: {ours:?}");
            assert!(!refuted(ours.low.ln() + 10.0 * hair, Above), "{noise:?}: {ours:?}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let plan = TestPlan {
            alpha: 0.05,
            pairs_min: 0,
            pairs_max: usize::MAX,
            min_effect: 0.02,
            noise: Noise::Learned,
            question: Question::Different,
        };
        let mut test = Test::new(plan);
        let mut counted = LogRatios::new(Noise::Learned);
        for value in noise(0.01, 0.1, 50_000) {
            test.push(value);
            counted.push(value);
        }
        let buckets: usize =
            counted.counted.iter().flat_map(|all| &all.parts).map(|part| part.buckets.len()).sum();
        assert!(buckets < 15_000, "{buckets}");
        let estimate = test.estimate();
        assert!(
            (estimate.ratio.ln() - 0.01).abs() < 0.002 && (estimate.noise - 0.1).abs() < 0.002,
            "{estimate:?}"
        );
        assert_eq!(test.pairs(), 50_000);
    }
}
