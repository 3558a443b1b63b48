//! How strongly log ratios speak against "no difference": e-values that hold at any stopping time.
//!
//! An e-value is a payoff whose expectation is at most 1 when there is nothing to find; by Ville's inequality an
//! e-process ever reaches 1/α with probability at most α. Two are kept, both as natural logarithms, and both rest on
//! nothing but the fair coin that orders each pair, so they hold under any noise, drift and autocorrelation:
//!
//! - **Sign.** Bets on the signs alone, mixed over all win rates (Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon,
//!   arXiv 1810.08240).
//! - **Size.** Bets more on the sign of a large log ratio than on that of a small one, since noise rarely turns a
//!   large one: `∏ (1 + tanh(λ·x/σ))`, mixed over effect sizes λ. Given |x|, this is the likelihood ratio of its
//!   sign for normal noise σ and effect λ·σ; but as tanh is odd the expectation is 1 for any symmetric x, whatever
//!   its distribution, and at most 1 when x is symmetric about a centre on the other side (compare Vovk & Wang, arXiv
//!   2208.08925). A wrong σ costs pairs, never validity, as long as it was fixed before its pair: by the control,
//!   or from the pairs before ([`Noise::Learned`]). Until one is learned this part bets as the sign part does and then
//!   goes on from the stake that it has, so that learning costs nothing.
//!
//! The evidence is the average of both, which is an e-process too; a useless part costs at most a factor of 2, one
//! pair. With [`Noise::Unknown`] the sign speaks alone.
//!
//! Why not the t e-value, which also uses magnitudes: it is exact for normal noise only. Where all magnitudes are
//! alike (coarse timers, a constant penalty for running second) it reaches 1/α up to 13 times as often as α allows
//! (exact walk over 300 pairs, α = 2e-6, even when capped at 2^(n−1)), and a control of ten pairs cannot tell. On
//! normal noise the size part also needs fewer pairs: mean pairs to decide at α = 0.05, one-sided, each averaged with
//! the sign, σ from ten control pairs, 400 sessions of at most 150 pairs:
//!
//! | effect in σ | sign alone | with t | with size |
//! |---|---|---|---|
//! | 0.5 | 50 | 45 | 40 |
//! | 0.8 | 20 | 18 | 15 |
//! | 1.2 | 11 | 10 | 9 |
//! | 2 | 8 | 7 | 6 |
//! | 5 | 7 | 5 | 5 |
//!
//! **Invariant**: no thresholds and no words; what is enough is for `decision` to say.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

use super::noise::{Noise, Scales};
use super::sign::{ln_mean_exp, ln_sign_e, ln_sign_e_one_sided};
use super::size::Bets;

/// Where the true log ratio is said to lie, seen from a shift (0 for "no difference").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// B takes less time.
    Below,
    /// B takes more time.
    Above,
}

/// Natural logarithms of e-values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub sign_ln: f64,
    /// Absent when the noise is not known.
    pub size_ln: Option<f64>,
    /// The logarithm of the average of the parts.
    pub ln: f64,
}

impl Evidence {
    fn new(sign_ln: f64, size_ln: Option<f64>) -> Self {
        let ln = size_ln.map_or(sign_ln, |size_ln| ln_mean_exp(&[sign_ln, size_ln]));
        Self { sign_ln, size_ln, ln }
    }
}

/// Weighs the evidence that the centre of the log ratios, in the order measured, lies on a side of `shift`. O(n).
///
/// A log ratio equal to the shift is a tie: it says nothing.
#[must_use]
pub fn weigh(log_ratios: &[f64], shift: f64, side: Side, noise: Noise) -> Evidence {
    Weigher::of(log_ratios, &Scales::of(log_ratios, noise), shift).evidence(side)
}

/// The evidence about one shift, pair by pair, in O(1) memory and time.
#[derive(Debug, Clone)]
pub(super) struct Weigher {
    shift: f64,
    below: usize,
    above: usize,
    /// Absent when sizes are no part of the evidence.
    sizes: Option<Sizes>,
}

#[derive(Debug, Clone)]
struct Sizes {
    bets: Bets,
    /// ln of the stakes below and above that following the sign had made when the first scale was learned; absent
    /// until then.
    start_ln: Option<[f64; 2]>,
}

impl Weigher {
    pub(super) fn new(shift: f64, sized: bool) -> Self {
        let sizes = sized.then(|| Sizes { bets: Bets::new(), start_ln: None });
        Self { shift, below: 0, above: 0, sizes }
    }

    /// As after each of `log_ratios`, in the order measured, with its scale.
    pub(super) fn of(log_ratios: &[f64], scales: &Scales, shift: f64) -> Self {
        let mut weigher = Self::new(shift, scales.are_bet_on());
        for (range, scale) in scales.runs(log_ratios.len()) {
            log_ratios[range].iter().for_each(|&value| weigher.push(value, scale));
        }
        weigher
    }

    /// `scale` is the standard deviation that this pair is bet with, fixed before it; absent while none is learned.
    pub(super) fn push(&mut self, log_ratio: f64, scale: Option<f64>) {
        self.push_many(log_ratio, scale, 1);
    }

    /// The same log ratio `count` times.
    pub(super) fn push_many(&mut self, log_ratio: f64, scale: Option<f64>, count: usize) {
        let distance = log_ratio - self.shift;
        if let (Some(sizes), Some(scale)) = (&mut self.sizes, scale) {
            let [below, above] = [self.below, self.above];
            sizes
                .start_ln
                .get_or_insert_with(|| [below, above].map(|k| ln_sign_e_one_sided(k, below + above)));
            sizes.bets.push_many(distance / scale, count);
        }
        if distance < 0.0 {
            self.below += count;
        } else if distance > 0.0 {
            self.above += count;
        }
    }

    pub(super) fn shift(&self) -> f64 {
        self.shift
    }

    /// Pairs below the shift, and above it.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.below, self.above]
    }

    /// Whether more of the pairs with a sign lie on the side than beyond it.
    pub(super) fn leans(&self, side: Side) -> bool {
        2 * self.agreeing(side) > self.signs()
    }

    fn agreeing(&self, side: Side) -> usize {
        match side {
            Side::Below => self.below,
            Side::Above => self.above,
        }
    }

    fn signs(&self) -> usize {
        self.below + self.above
    }

    pub(super) fn evidence(&self, side: Side) -> Evidence {
        self.evidence_at_best(side, 0)
    }

    /// The evidence that would stand if each of `pairs` more pairs spoke for the side as strongly as any pair could:
    /// its sign agrees, and it doubles the stake.
    pub(super) fn evidence_at_best(&self, side: Side, pairs: usize) -> Evidence {
        let sign_ln = ln_sign_e_one_sided(self.agreeing(side) + pairs, self.signs() + pairs);
        Evidence::new(sign_ln, self.size_ln_at_best(side, pairs))
    }

    fn size_ln_at_best(&self, side: Side, pairs: usize) -> Option<f64> {
        let sizes = self.sizes.as_ref()?;
        let now = match (sizes.start_ln, side) {
            (Some([below, _]), Side::Below) => below + sizes.bets.ln_down(),
            (Some([_, above]), Side::Above) => above + sizes.bets.ln_up(),
            (None, _) => ln_sign_e_one_sided(self.agreeing(side), self.signs()),
        };
        Some(now + pairs as f64 * LN_2)
    }

    /// Whether the evidence for the side is at least e^`threshold_ln`. The answer of [`Self::evidence`], mostly at a
    /// fraction of its cost.
    pub(super) fn reaches(&self, side: Side, threshold_ln: f64) -> bool {
        self.ln_most() >= threshold_ln && self.reaches_at_best(side, 0, threshold_ln)
    }

    /// As [`Self::reaches`], of [`Self::evidence_at_best`].
    pub(super) fn reaches_at_best(&self, side: Side, pairs: usize, threshold_ln: f64) -> bool {
        let (k, n) = (self.agreeing(side) + pairs, self.signs() + pairs);
        // Half of the two-sided mixture's mass, or more, lies on the more frequent side.
        let at_least = ln_sign_e(k, n);
        if 2 * k >= n && at_least >= threshold_ln + LN_2 {
            return true;
        }
        if n > SIGNS_SUMMED_MAX {
            let size_ln = self.size_ln_at_best(side, pairs);
            if Evidence::new(at_least + LN_2, size_ln).ln < threshold_ln {
                return false;
            }
            if 2 * k >= n && Evidence::new(at_least, size_ln).ln >= threshold_ln {
                return true;
            }
        }
        self.evidence_at_best(side, pairs).ln >= threshold_ln
    }

    /// The size part as a start (ln) and the bets since; absent when sizes are no part of the evidence.
    pub(super) fn sizes(&self, upward: bool) -> Option<(f64, Bets)> {
        let sizes = self.sizes.as_ref()?;
        let side = if upward { Side::Above } else { Side::Below };
        let start_ln = sizes.start_ln.map_or_else(
            || ln_sign_e_one_sided(self.agreeing(side), self.signs()),
            |starts| starts[usize::from(upward)],
        );
        Some((start_ln, sizes.bets))
    }

    /// At least the evidence for any side, by a few multiplications.
    pub(super) fn ln_most(&self) -> f64 {
        let n = self.signs() as f64;
        let lead = self.below.abs_diff(self.above) as f64;
        // The best single win rate beats the mixture, and KL(½ + δ ‖ ½) ≤ 4 ln 2 · δ² with δ = lead / 2n.
        let sign_ln = if n > 0.0 { LN_2 * lead * lead / n } else { 0.0 };
        let size_ln = self.sizes.as_ref().map_or(f64::NEG_INFINITY, |sizes| match sizes.start_ln {
            Some([below, above]) => below.max(above) + sizes.bets.ln_most(),
            None => LN_2 + sign_ln,
        });
        (LN_2 + sign_ln).max(size_ln)
    }
}

/// Up to so many signs the one-sided e-value is summed without looking for a cheaper answer.
const SIGNS_SUMMED_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn close(actual: f64, expected: f64, tolerance: f64) {
        assert!((actual - expected).abs() <= tolerance * expected.abs().max(1.0), "{actual} ≠ {expected}");
    }

    /// Mean of an e-value over all sign patterns of the magnitudes, each sign moved by `centre`.
    fn mean_over_signs(magnitudes: &[f64], centre: f64, ln_e: impl Fn(&[f64]) -> f64) -> f64 {
        let n = magnitudes.len();
        let payoffs = (0..1u32 << n).map(|pattern| {
            let signed = |(i, size): (usize, &f64)| if pattern >> i & 1 == 1 { *size } else { -size };
            let values: Vec<f64> = magnitudes.iter().enumerate().map(|each| centre + signed(each)).collect();
            ln_e(&values).exp()
        });
        payoffs.sum::<f64>() / f64::from(1u32 << n)
    }

    const MAGNITUDES: [&[f64]; 5] = [
        &[1.0; 10],
        &[0.1, 0.2, 0.3, 0.5, 0.8, 1.3, 2.1, 3.4, 5.5, 8.9],
        &[0.001, 1000.0, 0.5, 0.5],
        &[1e-9, 1e9, 1.0, 0.0],
        &[],
    ];

    #[test]
    fn all_evidence_has_expectation_one_over_the_coins_whatever_the_magnitudes_and_the_assumed_noise() {
        for magnitudes in MAGNITUDES {
            for noise in
                [Noise::Unknown, Noise::Known(0.01), Noise::Known(1.0), Noise::Known(30.0), Noise::Learned]
            {
                for side in [Side::Below, Side::Above] {
                    close(
                        mean_over_signs(magnitudes, 0.0, |values| weigh(values, 0.0, side, noise).ln),
                        1.0,
                        1e-9,
                    );
                }
            }
        }
    }

    #[test]
    fn evidence_for_below_has_expectation_at_most_one_when_the_centre_is_above() {
        for magnitudes in MAGNITUDES {
            for noise in
                [Noise::Unknown, Noise::Known(0.01), Noise::Known(1.0), Noise::Known(30.0), Noise::Learned]
            {
                for centre in [1e-6, 0.03, 0.4, 3.0] {
                    let below = |values: &[f64]| weigh(values, 0.0, Side::Below, noise).ln;
                    let mean = mean_over_signs(magnitudes, centre, below);
                    assert!(mean <= 1.0 + 1e-9, "{magnitudes:?} + {centre}, noise {noise:?}: {mean}");
                }
            }
        }
    }

    #[test]
    fn ties_have_no_sign() {
        let with = weigh(&[-0.1, 0.0, -0.2, 0.0, 0.3], 0.0, Side::Below, Noise::Unknown);
        assert_eq!(with.ln, ln_sign_e_one_sided(2, 3));
    }

    fn log_ratios() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1.0..1.0f64, 1..40)
    }

    fn sides() -> impl Strategy<Value = Side> {
        prop::sample::select(vec![Side::Below, Side::Above])
    }

    proptest! {
        #[test]
        fn evidence_ignores_order_and_scale(mut values in log_ratios(), side in sides(), scale in 0.01..100.0f64) {
            let before = weigh(&values, 0.0, side, Noise::Known(0.3));
            values.reverse();
            let middle = values.len() / 2;
            values.rotate_left(middle);
            values.iter_mut().for_each(|value| *value *= scale);
            let after = weigh(&values, 0.0, side, Noise::Known(0.3 * scale));
            prop_assert_eq!(before.sign_ln, after.sign_ln);
            prop_assert!((before.ln - after.ln).abs() < 1e-9);
        }

        #[test]
        fn one_sided_evidence_grows_with_the_shift(values in log_ratios(), shift in -1.0..1.0f64, more in 0.0..1.0f64) {
            for noise in [Noise::Known(0.3), Noise::Learned, Noise::Unknown] {
                let near = weigh(&values, shift, Side::Below, noise);
                let far = weigh(&values, shift + more, Side::Below, noise);
                prop_assert!(far.ln >= near.ln - 1e-9, "{:?} then {:?}", near, far);
            }
        }

        #[test]
        fn mirrored_values_speak_for_the_other_side(values in log_ratios()) {
            let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
            let (below, above) =
                (weigh(&values, 0.0, Side::Below, Noise::Known(0.3)), weigh(&mirrored, 0.0, Side::Above, Noise::Known(0.3)));
            prop_assert!((below.ln - above.ln).abs() < 1e-12);
        }

        #[test]
        fn no_real_future_beats_the_best_case(values in log_ratios(), future in prop::collection::vec(-9.0..9.0f64, 1..12), side in sides()) {
            for noise in [Noise::Known(0.3), Noise::Learned, Noise::Unknown] {
                let best = Weigher::of(&values, &Scales::of(&values, noise), 0.0).evidence_at_best(side, future.len());
                let all: Vec<f64> = values.iter().chain(&future).copied().collect();
                prop_assert!(weigh(&all, 0.0, side, noise).ln <= best.ln + 1e-9);
            }
        }
    }
}
