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
//!   2208.08925). A wrong σ costs pairs, never validity, as long as it was fixed before the first pair: it comes from
//!   the null control.
//!
//! The evidence is the average of both, which is an e-process too; a useless part costs at most a factor of 2, one
//! pair. Without a null control the sign speaks alone.
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

/// Effects, in units of the noise, that the size part mixes over: below ½ a budget of pairs ends first, and at 4 the
/// bets are all but the whole stake. Each is twice the one before.
const EFFECT_SIZES: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// Where the true log ratio is said to lie, seen from a shift (0 for "no difference").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// B takes less time.
    Below,
    /// B takes more time.
    Above,
    Either,
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

/// Weighs the evidence that the centre of the log ratios lies on a side of `shift`. O(n).
///
/// A log ratio equal to the shift is a tie: it says nothing. `noise` is the standard deviation of a log ratio, known
/// beforehand; without a positive one the sign speaks alone.
#[must_use]
pub fn weigh(log_ratios: &[f64], shift: f64, side: Side, noise: Option<f64>) -> Evidence {
    weigh_with_bonus(log_ratios, shift, side, noise, [0, 0])
}

/// The evidence that would stand if each of `pairs` more pairs spoke for the side as strongly as any pair could: its
/// sign agrees, and it doubles the stake.
#[must_use]
pub fn weigh_best_case(log_ratios: &[f64], pairs: usize, side: Side, noise: Option<f64>) -> Evidence {
    let below = || weigh_with_bonus(log_ratios, 0.0, side, noise, [pairs, 0]);
    let above = || weigh_with_bonus(log_ratios, 0.0, side, noise, [0, pairs]);
    match side {
        Side::Below => below(),
        Side::Above => above(),
        // Each bet at its own best, which no single future gives: an upper bound, at most twice too high.
        Side::Either => {
            let (below, above) = (below(), above());
            let alone = |side, bonus| weigh_with_bonus(log_ratios, 0.0, side, noise, bonus).size_ln;
            let sizes = alone(Side::Below, [pairs, 0]).zip(alone(Side::Above, [0, pairs]));
            let size_ln = sizes.map(|(below, above)| ln_mean_exp(&[below, above]));
            Evidence::new(below.sign_ln.max(above.sign_ln), size_ln)
        }
    }
}

/// `bonus` counts imagined extreme pairs below and above the shift.
fn weigh_with_bonus(
    log_ratios: &[f64],
    shift: f64,
    side: Side,
    noise: Option<f64>,
    bonus: [usize; 2],
) -> Evidence {
    let below = log_ratios.iter().filter(|&&value| value < shift).count() + bonus[0];
    let above = log_ratios.iter().filter(|&&value| value > shift).count() + bonus[1];
    let sign_ln = match side {
        Side::Below => ln_sign_e_one_sided(below, below + above),
        Side::Above => ln_sign_e_one_sided(above, below + above),
        Side::Either => ln_sign_e(below, below + above),
    };
    let size_ln = noise.filter(|&noise| noise > 0.0).map(|noise| {
        let toward = |direction: f64, [with, against]: [usize; 2]| {
            // A pair of boundless size against the bet takes the whole stake.
            let extreme = if against > 0 { f64::NEG_INFINITY } else { with as f64 * LN_2 };
            ln_size_e_one_sided(log_ratios.iter().map(|value| direction * (value - shift) / noise)) + extreme
        };
        match side {
            Side::Below => toward(-1.0, bonus),
            Side::Above => toward(1.0, [bonus[1], bonus[0]]),
            Side::Either => ln_mean_exp(&[toward(-1.0, bonus), toward(1.0, [bonus[1], bonus[0]])]),
        }
    });
    Evidence::new(sign_ln, size_ln)
}

/// ln of 2^n · k!(n−k)!/(n+1)!: k of n signs one way, against fair coins, mixed uniformly over all win rates.
#[must_use]
pub fn ln_sign_e(k: usize, n: usize) -> f64 {
    assert!(k <= n, "{k} of {n} signs");
    n as f64 * LN_2 + ln_factorial(k) + ln_factorial(n - k) - ln_factorial(n + 1)
}

/// As [`ln_sign_e`], mixed over win rates above ½ only: evidence that the k-side is the more frequent one.
///
/// The mass of Beta(k+1, n−k+1) above ½ equals P(Binomial(n+1, ½) ≤ k), an exact sum.
#[must_use]
pub fn ln_sign_e_one_sided(k: usize, n: usize) -> f64 {
    let below_half = k <= n / 2;
    let ln_mass =
        if below_half { ln_fair_tail(n + 1, k) } else { (-ln_fair_tail(n + 1, n - k).exp()).ln_1p() };
    ln_sign_e(k, n) + LN_2 + ln_mass
}

/// ln of ∏ (1 + tanh(λ·x)) averaged over the effect sizes λ: evidence that the centre of `sizes` (log ratios in
/// units of the noise) is positive.
///
/// 1 + tanh(λ·x) = 2 / (1 + e^(−2λx)), so one exponential serves all λ = ½, 1, 2, 4: each squares the one before. A
/// product too small for f64 becomes 0, which understates the evidence.
#[must_use]
pub fn ln_size_e_one_sided(sizes: impl Iterator<Item = f64>) -> f64 {
    let mut ln = [0.0; EFFECT_SIZES.len()];
    let mut product = [1.0; EFFECT_SIZES.len()];
    for (index, size) in sizes.enumerate() {
        let mut odds_against = (-2.0 * EFFECT_SIZES[0] * size).exp();
        for factor in &mut product {
            *factor *= 2.0 / (1.0 + odds_against);
            odds_against *= odds_against;
        }
        // Each factor is at most 2: the product stays below 2^512.
        if index % 512 == 511 {
            ln = std::array::from_fn(|i| ln[i] + f64::ln(product[i]));
            product = [1.0; EFFECT_SIZES.len()];
        }
    }
    ln_mean_exp(&std::array::from_fn::<_, { EFFECT_SIZES.len() }, _>(|i| ln[i] + f64::ln(product[i])))
}

/// ln P(Binomial(n, ½) ≤ k) for k at or below the middle, where each further term is the smaller one.
fn ln_fair_tail(n: usize, k: usize) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for j in (1..=k).rev() {
        term *= j as f64 / (n + 1 - j) as f64;
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k) - n as f64 * LN_2 + f64::ln(sum)
}

/// ln n!: a product while it is exact, then Stirling's series (relative error below 1e-15 from 19! on).
fn ln_factorial(n: usize) -> f64 {
    if n <= 18 {
        return ((2..=n as u64).product::<u64>() as f64).ln();
    }
    let x = n as f64;
    let inverse = 1.0 / x;
    let squared = inverse * inverse;
    let series =
        inverse * (1.0 / 12.0 - squared * (1.0 / 360.0 - squared * (1.0 / 1260.0 - squared / 1680.0)));
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + series
}

/// ln of the mean of e^x, without overflow.
fn ln_mean_exp(logarithms: &[f64]) -> f64 {
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    let sum: f64 = logarithms.iter().map(|ln| (ln - largest).exp()).sum();
    largest + (sum / logarithms.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choose(n: usize, k: usize) -> f64 {
        (1..=k).fold(1.0, |product, j| product * (n + 1 - j) as f64 / j as f64)
    }

    #[track_caller]
    fn close(actual: f64, expected: f64, tolerance: f64) {
        assert!((actual - expected).abs() <= tolerance * expected.abs().max(1.0), "{actual} ≠ {expected}");
    }

    /// The mean of an e-value of k over all 2^n sign patterns, as if each sign were + with probability `p`.
    fn expectation(n: usize, p: f64, ln_e: fn(usize, usize) -> f64) -> f64 {
        (0..=n)
            .map(|k| choose(n, k) * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32) * ln_e(k, n).exp())
            .sum()
    }

    #[test]
    fn a_sign_e_value_has_expectation_one_under_the_null() {
        for n in 0..=40 {
            close(expectation(n, 0.5, ln_sign_e), 1.0, 1e-11);
            close(expectation(n, 0.5, ln_sign_e_one_sided), 1.0, 1e-11);
        }
    }

    #[test]
    fn the_one_sided_expectation_is_below_one_when_the_other_side_is_more_frequent() {
        for n in 1..=40 {
            for p in [0.0, 0.1, 0.3, 0.45, 0.499] {
                assert!(expectation(n, p, ln_sign_e_one_sided) < 1.0, "n = {n}, p = {p}");
            }
        }
    }

    #[test]
    fn the_sign_e_process_is_a_martingale_under_fair_coins() {
        for ln_e in [ln_sign_e, ln_sign_e_one_sided] {
            for n in 0..200 {
                for k in 0..=n {
                    let next = ln_mean_exp(&[ln_e(k, n + 1), ln_e(k + 1, n + 1)]);
                    assert!((next - ln_e(k, n)).abs() < 1e-9, "k = {k}, n = {n}: {next} ≠ {}", ln_e(k, n));
                }
            }
        }
    }

    #[test]
    fn the_two_sides_average_to_the_two_sided_e_value() {
        for (k, n) in [(0, 1), (3, 10), (10, 10), (37, 60), (250, 500), (1900, 2000)] {
            let sides = ln_mean_exp(&[ln_sign_e_one_sided(k, n), ln_sign_e_one_sided(n - k, n)]);
            close(sides, ln_sign_e(k, n), 1e-10);
        }
    }

    #[test]
    fn factorials_agree_on_both_sides_of_the_switch() {
        let mut sum = 0.0;
        for n in 1..=2000 {
            sum += f64::ln(n as f64);
            close(ln_factorial(n), sum, 1e-13);
        }
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
            for noise in [None, Some(0.01), Some(1.0), Some(30.0)] {
                for side in [Side::Below, Side::Above, Side::Either] {
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
            for noise in [None, Some(0.01), Some(1.0), Some(30.0)] {
                for centre in [1e-6, 0.03, 0.4, 3.0] {
                    let below = |values: &[f64]| weigh(values, 0.0, Side::Below, noise).ln;
                    let mean = mean_over_signs(magnitudes, centre, below);
                    assert!(mean <= 1.0 + 1e-9, "{magnitudes:?} + {centre}, noise {noise:?}: {mean}");
                }
            }
        }
    }

    #[test]
    fn the_size_part_is_the_product_it_stands_for() {
        let sizes: [f64; 5] = [0.5, -0.2, 1.5, 3.0, -0.7];
        let product = |effect: f64| sizes.iter().map(|size| 1.0 + (effect * size).tanh()).product::<f64>();
        let expected = EFFECT_SIZES.map(product).iter().sum::<f64>() / 4.0;
        close(ln_size_e_one_sided(sizes.into_iter()), expected.ln(), 1e-12);
    }

    #[test]
    fn sizes_far_beyond_the_noise_double_the_stake_or_lose_it() {
        close(ln_size_e_one_sided([1e9; 5].into_iter()), 5.0 * LN_2, 1e-12);
        assert_eq!(ln_size_e_one_sided([1e300, -1e300].into_iter()), f64::NEG_INFINITY);
        close(ln_size_e_one_sided([1e9; 2000].into_iter()), 2000.0 * LN_2, 1e-12);
        assert_eq!(weigh(&[-0.5; 5], 0.0, Side::Below, Some(0.0)).size_ln, None);
        assert_eq!(weigh(&[-0.5; 5], 0.0, Side::Below, Some(f64::NAN)).size_ln, None);
    }

    #[test]
    fn ties_have_no_sign() {
        let with = weigh(&[-0.1, 0.0, -0.2, 0.0, 0.3], 0.0, Side::Below, None);
        assert_eq!(with.ln, ln_sign_e_one_sided(2, 3));
    }

    fn log_ratios() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1.0..1.0f64, 1..40)
    }

    fn sides() -> impl Strategy<Value = Side> {
        prop::sample::select(vec![Side::Below, Side::Above, Side::Either])
    }

    proptest! {
        #[test]
        fn evidence_ignores_order_and_scale(mut values in log_ratios(), side in sides(), scale in 0.01..100.0f64) {
            let before = weigh(&values, 0.0, side, Some(0.3));
            values.reverse();
            let middle = values.len() / 2;
            values.rotate_left(middle);
            values.iter_mut().for_each(|value| *value *= scale);
            let after = weigh(&values, 0.0, side, Some(0.3 * scale));
            prop_assert_eq!(before.sign_ln, after.sign_ln);
            prop_assert!((before.ln - after.ln).abs() < 1e-9);
        }

        #[test]
        fn one_sided_evidence_grows_with_the_shift(values in log_ratios(), shift in -1.0..1.0f64, more in 0.0..1.0f64) {
            for noise in [Some(0.3), None] {
                let near = weigh(&values, shift, Side::Below, noise);
                let far = weigh(&values, shift + more, Side::Below, noise);
                prop_assert!(far.ln >= near.ln - 1e-9, "{:?} then {:?}", near, far);
            }
        }

        #[test]
        fn mirrored_values_speak_for_the_other_side(values in log_ratios()) {
            let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
            let (below, above) =
                (weigh(&values, 0.0, Side::Below, Some(0.3)), weigh(&mirrored, 0.0, Side::Above, Some(0.3)));
            prop_assert!((below.ln - above.ln).abs() < 1e-12);
        }

        #[test]
        fn no_real_future_beats_the_best_case(values in log_ratios(), future in prop::collection::vec(-9.0..9.0f64, 1..12), side in sides()) {
            for noise in [Some(0.3), None] {
                let best = weigh_best_case(&values, future.len(), side, noise);
                let all: Vec<f64> = values.iter().chain(&future).copied().collect();
                prop_assert!(weigh(&all, 0.0, side, noise).ln <= best.ln + 1e-9);
            }
        }
    }
}
