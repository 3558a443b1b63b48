//! The scale that sizes are bet in: where it comes from, and how it is learned from the pairs themselves.
//!
//! **Invariant**: the scale of a pair is fixed before the pair: by the plan, or by the pairs before it. That, and no
//! property of the noise, is what keeps the size part of the evidence valid (see `evidence`).

use serde::{Deserialize, Serialize};

use super::summary::{MAD_TO_SIGMA, mad};

/// What is known of the standard deviation of a log ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// Nothing: signs alone count, and an answer takes a quarter to a third more pairs.
    Unknown,
    /// Fixed before the first pair, by [`control_noise`]; a value that is not positive counts as [`Noise::Unknown`].
    Known(f64),
    /// Learned on the way: pair i is bet with the spread of the pairs before it. Until there are
    /// [`LEARNED_PAIRS_MIN`] to learn from, the size part bets as the sign part does.
    ///
    /// This is as exact as a known scale: given the past and |x|, which together fix the stake, the sign of x is a
    /// fair coin.
    Learned,
}

impl From<Option<f64>> for Noise {
    /// What a control says.
    fn from(noise: Option<f64>) -> Self {
        noise.map_or(Self::Unknown, Self::Known)
    }
}

/// Fewest pairs of A against A whose spread is taken for the noise: their MAD is then within a factor of 2 of it in 6 of
/// 7 normal samples, and a worse guess costs at most the weight of the size part, about a pair.
const CONTROL_PAIRS_MIN: usize = 8;

/// 1.4826 · MAD of log ratios of A against A; absent below eight pairs, or when at least half of them are the same.
///
/// Nothing else can be learned from them: with the order drawn by a fair coin, neither of two runs of one program is
/// more often the larger one, whatever they leave behind. [`carry_over`](super::carry_over) looks for that.
#[must_use]
pub fn control_noise(log_ratios: &[f64]) -> Option<f64> {
    let noise = mad(log_ratios).map(|mad| mad * MAD_TO_SIGMA);
    noise.filter(|&noise| log_ratios.len() >= CONTROL_PAIRS_MIN && noise > 0.0 && noise.is_finite())
}

/// Fewest pairs from which a scale is learned; it is learned anew at each doubling.
pub const LEARNED_PAIRS_MIN: usize = 8;

/// From so many pairs a scale is known within a few percent: no better one is looked for.
const LEARNED_PAIRS_MAX: usize = 2048;

/// The scale of each pair so far.
#[derive(Debug, Clone)]
pub(super) struct Scales {
    noise: Noise,
    /// Index of a pair, and the scale from that pair on; indices rise.
    changes: Vec<(usize, f64)>,
}

impl Scales {
    pub(super) fn new(noise: Noise) -> Self {
        let changes = match noise {
            Noise::Known(noise) if noise > 0.0 && noise.is_finite() => vec![(0, noise)],
            _ => Vec::new(),
        };
        Self { noise, changes }
    }

    /// As after learning from all of `log_ratios`, in the order measured.
    pub(super) fn of(log_ratios: &[f64], noise: Noise) -> Self {
        let mut scales = Self::new(noise);
        let mut pairs = LEARNED_PAIRS_MIN;
        while pairs <= log_ratios.len() {
            if scales.learns_at(pairs) {
                scales.learn(pairs, mad(&log_ratios[..pairs]));
            }
            pairs *= 2;
        }
        scales
    }

    /// Whether sizes are part of the evidence at all.
    pub(super) fn are_bet_on(&self) -> bool {
        self.noise == Noise::Learned || !self.changes.is_empty()
    }

    /// The scale for the pair that follows those learned from.
    pub(super) fn current(&self) -> Option<f64> {
        self.changes.last().map(|&(_, scale)| scale)
    }

    /// Whether there is something to learn after so many pairs.
    pub(super) fn learns_at(&self, pairs: usize) -> bool {
        let open = pairs <= LEARNED_PAIRS_MAX || self.changes.is_empty();
        self.noise == Noise::Learned && pairs >= LEARNED_PAIRS_MIN && pairs.is_power_of_two() && open
    }

    /// To be called after each pair that [`Self::learns_at`], with the median absolute deviation of all so far.
    pub(super) fn learn(&mut self, pairs: usize, mad: Option<f64>) {
        // With most pairs the same there is nothing to learn yet.
        if let Some(scale) = mad.map(|mad| mad * MAD_TO_SIGMA).filter(|&s| s > 0.0 && s.is_finite()) {
            self.changes.push((pairs, scale));
        }
    }

    /// Runs of pairs with one scale each, in order: their indices up to `pairs`, and the scale.
    pub(super) fn runs(&self, pairs: usize) -> impl Iterator<Item = (std::ops::Range<usize>, Option<f64>)> {
        let first = self.changes.first().map_or(pairs, |&(from, _)| from);
        let ends = self.changes.iter().skip(1).map(|&(from, _)| from).chain([pairs]);
        let sized = self.changes.iter().zip(ends).map(|(&(from, scale), end)| (from..end, Some(scale)));
        [(0..first, None)].into_iter().chain(sized).filter(|(range, _)| !range.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_learned_from_earlier_pairs_only_and_anew_at_each_doubling() {
        let values: Vec<f64> = (0..40).map(|i| f64::from(i % 7) * f64::from(1 + i / 16)).collect();
        let scales = Scales::of(&values, Noise::Learned);
        let runs: Vec<_> = scales.runs(values.len()).collect();
        let spread = |pairs: usize| mad(&values[..pairs]).map(|mad| mad * MAD_TO_SIGMA);
        assert_eq!(runs, [(0..8, None), (8..16, spread(8)), (16..32, spread(16)), (32..40, spread(32))]);
    }

    #[test]
    fn nothing_is_learned_where_most_pairs_are_the_same() {
        let mut values = vec![0.0; 40];
        values[20..32].copy_from_slice(&[0.5; 12]);
        assert_eq!(Scales::of(&values, Noise::Learned).current(), None);
        assert!(Scales::of(&values, Noise::Learned).are_bet_on());
    }

    #[test]
    fn a_known_scale_must_be_positive() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(!Scales::of(&[1.0; 9], Noise::Known(bad)).are_bet_on());
        }
        assert_eq!(Scales::new(Noise::Known(0.1)).runs(3).collect::<Vec<_>>(), [(0..3, Some(0.1))]);
        assert_eq!(Scales::new(Noise::Unknown).runs(3).collect::<Vec<_>>(), [(0..3, None)]);
    }

    #[test]
    fn a_control_teaches_the_noise() {
        let normal = [-0.14, -0.09, -0.05, -0.02, 0.02, 0.05, 0.09, 0.14];
        let near = |values: &[f64], expected: f64| {
            assert!((control_noise(values).unwrap() - expected * MAD_TO_SIGMA).abs() < 1e-12, "{values:?}");
        };
        near(&normal, 0.07);
        near(&normal.map(|value| value + 0.2), 0.07);
        near(&[0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1], 0.1);
        for nothing in [&normal[..7], &[], &[0.0; 20], &[f64::NAN; 10]] {
            assert_eq!(control_noise(nothing), None, "{nothing:?}");
        }
    }
}
