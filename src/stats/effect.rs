//! The size of a difference: an estimate, an interval that holds at any stopping time, and the noise around them.
//!
//! **Invariant**: a number is never alone: every estimate carries its interval, its confidence, n and the smallest
//! effect it could have seen. An interval that too few pairs cannot bound is the whole line, and says so.

use serde::{Deserialize, Serialize};

use super::decision::{Bar, Question};
use super::evidence::{Side, Weigher};
use super::log_ratios::{KEPT_MAX, LogRatios};
use super::noise::Noise;
use super::sign::ln_sign_e_one_sided;
use super::summary::{MAD_TO_SIGMA, hodges_lehmann};

/// Sum of the normal quantiles for 5 % two-sided error and 80 % power: 1.96 + 0.84.
const DETECTION_SIGMAS: f64 = 2.8;

/// Fewest pairs whose spread is taken for noise.
const NOISE_PAIRS_MIN: usize = 3;

/// How B's time compares with A's, as factors of time: 0.5 is twice as fast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// B / A: exp of the Hodges–Lehmann estimate, within the interval.
    pub ratio: f64,
    /// 0 when the pairs cannot bound it.
    pub low: f64,
    /// Infinite when the pairs cannot bound it (`null` in JSON).
    #[serde(with = "infinite_as_null")]
    pub high: f64,
    /// Probability, at least, that the interval held the truth after every pair so far (0–1).
    pub confidence: f64,
    pub pairs: usize,
    /// 1.4826 · MAD of the log ratios: the robust standard deviation of one pair.
    pub noise: f64,
    /// Smallest change seen at 5 % error with 80 % power, as a fraction; infinite below three pairs.
    #[serde(with = "infinite_as_null")]
    pub minimum_detectable: f64,
}

impl Estimate {
    /// No pairs: no opinion.
    #[must_use]
    pub fn unknown() -> Self {
        let (low, high, minimum_detectable) = (0.0, f64::INFINITY, f64::INFINITY);
        Self { ratio: 1.0, low, high, confidence: 1.0, pairs: 0, noise: 0.0, minimum_detectable }
    }

    /// A / B: above 1 is faster.
    #[must_use]
    pub fn speedup(&self) -> f64 {
        1.0 / self.ratio
    }

    /// The least speed-up that the evidence allows; 0 when unbounded.
    #[must_use]
    pub fn speedup_low(&self) -> f64 {
        1.0 / self.high
    }

    /// The greatest speed-up that the evidence allows; infinite when unbounded.
    #[must_use]
    pub fn speedup_high(&self) -> f64 {
        1.0 / self.low
    }

    /// Pairs in all that would show a change of `effect` (a fraction) at 5 % error with 80 % power; `None` without
    /// noise to go by, or for an effect of nothing.
    #[must_use]
    pub fn pairs_to_detect(&self, effect: f64) -> Option<usize> {
        let known = self.pairs >= NOISE_PAIRS_MIN && effect > 0.0;
        known.then(|| (DETECTION_SIGMAS * self.noise / effect.ln_1p()).powi(2).ceil().max(1.0) as usize)
    }
}

/// Estimates B / A from log ratios, in the order measured; `None` when there are none, or one is not finite.
///
/// The interval is the set of shifts that one-sided evidence does not refute: for [`Question::Different`] each bound
/// holds with 1 − α/2, both together with 1 − α; for [`Question::Faster`] each with 1 − α, both together with 1 − 2α.
/// So the interval leaves out 1 exactly when the question is answered. `noise` as in
/// [`TestPlan`](super::decision::TestPlan).
///
/// Beyond [`EXACT_PAIRS_MAX`] pairs the ratio is the median, and sizes are rounded by a thousandth of their distance
/// from it, away from an answer: the interval is a little wider than the evidence asks for.
#[must_use]
pub fn estimate(log_ratios: &[f64], alpha: f64, question: Question, noise: Noise) -> Option<Estimate> {
    if !log_ratios.iter().all(|value| value.is_finite()) {
        return None;
    }
    estimate_of(&LogRatios::of(log_ratios, noise), Bar::new(alpha, question))
}

/// [`estimate`] of finite log ratios, with as much evidence as is asked for.
pub(super) fn estimate_of(log_ratios: &LogRatios, bar: Bar) -> Option<Estimate> {
    let centre = centre(log_ratios)?;
    let high = upper_bound(log_ratios, false, bar.below_ln);
    let low = -upper_bound(log_ratios, true, bar.above_ln);
    let spread = MAD_TO_SIGMA * log_ratios.mad()?;
    let pairs = log_ratios.pairs();
    let blind = pairs < NOISE_PAIRS_MIN;
    Some(Estimate {
        ratio: centre.clamp(low, high).exp(),
        low: low.exp(),
        high: high.exp(),
        confidence: bar.confidence,
        pairs,
        noise: spread,
        minimum_detectable: if blind {
            f64::INFINITY
        } else {
            (DETECTION_SIGMAS * spread / (pairs as f64).sqrt()).exp_m1()
        },
    })
}

/// The Hodges–Lehmann estimate of up to [`EXACT_PAIRS_MAX`] log ratios, the median of more.
pub(super) fn centre(log_ratios: &LogRatios) -> Option<f64> {
    log_ratios.kept().map_or_else(|| log_ratios.median(), hodges_lehmann)
}

/// Pairs up to which the estimate is the Hodges–Lehmann one and the interval exact; both are O(n) per pair.
pub const EXACT_PAIRS_MAX: usize = KEPT_MAX;

/// The largest log ratio, or the largest negative of one, that evidence of e^`enough_ln` does not refute from above.
fn upper_bound(log_ratios: &LogRatios, negated: bool, enough_ln: f64) -> f64 {
    let scales = log_ratios.scales();
    let median = log_ratios.median().map(|median| if negated { -median } else { median });
    let Some(median) = median else {
        return f64::INFINITY;
    };
    let Some(values) = log_ratios.at_most(negated) else {
        if log_ratios.is_cut(if negated { Side::Below } else { Side::Above }) {
            return f64::INFINITY;
        }
        // The evidence falls as values are rounded up.
        let groups = log_ratios.rounded_up(negated);
        let sized = scales.are_bet_on();
        return upper_root(groups.iter().map(|group| group.value), median, |shift| {
            let mut weigher = Weigher::new(shift, sized);
            groups.iter().for_each(|group| weigher.push_many(group.value, group.scale, group.count));
            refutes(&weigher, Side::Below, enough_ln)
        });
    };
    if !scales.are_bet_on() {
        return upper_order_statistic(&values, enough_ln);
    }
    upper_root(values.iter().copied(), median, |shift| {
        refutes(&Weigher::of(&values, scales, shift), Side::Below, enough_ln)
    })
}

/// Whether evidence of e^`enough_ln` refutes that the centre of the log ratios is at the weigher's shift or beyond it,
/// seen from `truth`.
///
/// Signs and sizes may speak for opposite sides, where most pairs gain a little and a few lose much: then the signs,
/// which are nearer to the centre, must agree, lest both sides be refuted. Both conditions grow with the shift.
pub(super) fn refutes(weigher: &Weigher, truth: Side, enough_ln: f64) -> bool {
    weigher.leans(truth) && weigher.reaches(truth, enough_ln)
}

/// With signs alone the bound is the observed value above which too few lie to keep up the doubt.
fn upper_order_statistic(log_ratios: &[f64], enough_ln: f64) -> f64 {
    let n = log_ratios.len();
    let refuted = |above: usize| ln_sign_e_one_sided(n - above, n) >= enough_ln;
    // The fewest that are not refuted: the doubt grows with them, and half and half refutes nothing.
    let (mut above, mut undoubted) = (0, n.div_ceil(2));
    while above < undoubted {
        let middle = usize::midpoint(above, undoubted);
        if refuted(middle) {
            above = middle + 1;
        } else {
            undoubted = middle;
        }
    }
    if above == 0 {
        return f64::INFINITY;
    }
    let mut scratch = log_ratios.to_vec();
    *scratch.select_nth_unstable_by(above - 1, |first, second| second.total_cmp(first)).1
}

/// The bound is where the evidence crosses what is enough: it grows with the shift. Seen from the values' median, at
/// or below it.
fn upper_root(values: impl Iterator<Item = f64>, start: f64, refuted: impl Fn(f64) -> bool) -> f64 {
    // So many values may tie with their median that the others refute it.
    if refuted(start) {
        return start;
    }
    let distances = values.map(|value| (value - start).abs()).filter(|distance| distance.is_finite());
    let mut step = distances.fold(f64::MIN_POSITIVE, f64::max);
    let mut low = start;
    while !refuted(low + step) {
        low += step;
        step *= 2.0;
        if low + step > LN_MAX {
            return f64::INFINITY;
        }
    }
    let mut high = low + step;
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        *(if refuted(middle) { &mut high } else { &mut low }) = middle;
    }
    high
}

/// e to a larger number is infinite in f64.
const LN_MAX: f64 = 709.0;

/// Narrows a bracket of the noise's size to a millionth of a millionth of it.
const BISECTIONS: usize = 40;

/// JSON has no infinity: an unbounded number is written as null and read back as infinite.
pub(super) mod infinite_as_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(log_ratios: &[f64], question: Question, noise: Noise) -> Estimate {
        estimate(log_ratios, 0.05, question, noise).expect("finite and not empty")
    }

    #[test]
    fn too_few_pairs_bound_nothing() {
        let values: Vec<f64> = (1..=8).map(|i| -0.1 * f64::from(i)).collect();
        let check = |n: usize, question, low: f64, high: f64| {
            let estimate = of(&values[..n], question, Noise::Unknown);
            assert!((estimate.low - low).abs() < 1e-12, "n = {n}: {estimate:?}");
            assert!(estimate.high == high || (estimate.high - high).abs() < 1e-12, "n = {n}: {estimate:?}");
        };
        check(1, Question::Different, 0.0, f64::INFINITY);
        check(7, Question::Different, 0.0, f64::INFINITY);
        check(8, Question::Different, (-0.8f64).exp(), (-0.1f64).exp());
        check(6, Question::Faster, 0.0, f64::INFINITY);
        check(7, Question::Faster, (-0.7f64).exp(), (-0.1f64).exp());
    }

    #[test]
    fn nothing_and_nonsense_have_no_estimate() {
        for values in [&[][..], &[f64::NAN], &[0.1, f64::INFINITY], &[f64::NEG_INFINITY]] {
            assert_eq!(estimate(values, 0.05, Question::Different, Noise::Known(0.02)), None);
        }
    }

    #[test]
    fn figures_of_a_known_sample() {
        let values: Vec<f64> = (0..25).map(|i| -0.5 + 0.01 * f64::from(i - 12)).collect();
        let estimate = of(&values, Question::Different, Noise::Unknown);
        assert!((estimate.ratio - (-0.5f64).exp()).abs() < 1e-12);
        assert!((estimate.speedup() - 0.5f64.exp()).abs() < 1e-12);
        assert!((estimate.noise - 0.06 * 1.4826).abs() < 1e-12);
        assert!((estimate.minimum_detectable - (2.8 * 0.06 * 1.4826 / 5.0f64).exp_m1()).abs() < 1e-12);
        assert_eq!(estimate.confidence, 0.95);
        assert!(estimate.speedup_low() < estimate.speedup() && estimate.speedup() < estimate.speedup_high());
        // (2.8 · 0.088956 / ln 1.01)² = 626.6
        assert_eq!(estimate.pairs_to_detect(0.01), Some(627));
        assert_eq!(estimate.pairs_to_detect(0.0), None);
    }

    #[test]
    fn equal_values_leave_no_doubt_but_few_do() {
        let many = of(&[0.0; 12], Question::Different, Noise::Known(0.02));
        assert!((many.low - 1.0).abs() < 1e-9 && (many.high - 1.0).abs() < 1e-9, "{many:?}");
        let few = of(&[0.0; 5], Question::Different, Noise::Known(0.02));
        assert_eq!((few.low, few.high), (0.0, f64::INFINITY));
    }

    #[test]
    fn an_unbounded_interval_survives_json() {
        for estimate in [Estimate::unknown(), of(&[0.1, 0.2, 0.3], Question::Faster, Noise::Unknown)] {
            let json = serde_json::to_string(&estimate).expect("numbers serialise");
            assert!(json.contains("\"high\":null"), "{json}");
            let back: Estimate = serde_json::from_str(&json).expect("own output parses");
            // serde_json may miss the last bit of a finite number.
            assert!((back.ratio - estimate.ratio).abs() < 1e-15);
            assert_eq!((back.low, back.high, back.pairs), (estimate.low, estimate.high, estimate.pairs));
        }
    }

    #[test]
    fn known_noise_narrows_the_interval_of_a_small_sample() {
        let values = [-0.50, -0.48, -0.53, -0.51, -0.47, -0.52, -0.49, -0.50];
        let (known, unknown) = (
            of(&values[..6], Question::Different, Noise::Known(0.02)),
            of(&values[..6], Question::Different, Noise::Unknown),
        );
        assert!(known.high < 1.0 && unknown.high.is_infinite(), "{known:?} {unknown:?}");
    }

    fn inputs() -> impl Strategy<Value = (Vec<f64>, Question, Noise)> {
        (
            prop::collection::vec(-1.0..1.0f64, 1..60),
            prop::sample::select(vec![Question::Faster, Question::Different]),
            prop::sample::select(vec![Noise::Unknown, Noise::Known(0.05), Noise::Known(0.5), Noise::Learned]),
        )
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_estimate_and_nothing_is_nan((values, question, noise) in inputs()) {
            let estimate = of(&values, question, noise);
            prop_assert!(estimate.low <= estimate.ratio && estimate.ratio <= estimate.high, "{:?}", estimate);
            prop_assert!(estimate.ratio.is_finite() && estimate.noise.is_finite());
            prop_assert!(!estimate.minimum_detectable.is_nan());
        }

        #[test]
        fn order_does_not_matter_and_a_constant_factor_moves_everything(
            (mut values, question, noise) in inputs(), ln_factor in -1.0..1.0f64
        ) {
            let before = of(&values, question, noise);
            // What is learned on the way depends on the way.
            if noise != Noise::Learned {
                values.reverse();
            }
            values.iter_mut().for_each(|value| *value += ln_factor);
            let after = of(&values, question, noise);
            let moved = |before: f64, after: f64| {
                before == after || (after.ln() - before.ln() - ln_factor).abs() < 1e-6
            };
            prop_assert!(moved(before.ratio, after.ratio), "{:?} {:?}", before, after);
            prop_assert!(moved(before.low, after.low) && moved(before.high, after.high), "{:?} {:?}", before, after);
        }

        #[test]
        fn more_confidence_is_a_wider_interval((values, question, noise) in inputs()) {
            let sure = estimate(&values, 0.001, question, noise).expect("finite");
            let loose = of(&values, question, noise);
            prop_assert!(sure.low <= loose.low * (1.0 + 1e-9) && loose.high <= sure.high * (1.0 + 1e-9));
        }

        #[test]
        fn the_interval_leaves_out_one_exactly_when_the_evidence_is_enough((values, question, noise) in inputs()) {
            let estimate = of(&values, question, noise);
            let weigher = Weigher::of(&values, &crate::stats::noise::Scales::of(&values, noise), 0.0);
            let refuted = refutes(&weigher, Side::Below, Bar::new(0.05, question).below_ln);
            prop_assert_eq!(estimate.high < 1.0, refuted, "{:?}", estimate);
        }
    }
}
