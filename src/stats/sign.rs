//! The sign e-value: how strongly k of n agreeing signs speak against fair coins (Robbins 1970; Howard, Ramdas,
//! McAuliffe, Sekhon, arXiv 1810.08240).
//!
//! **Invariant**: a function of the two counts alone.

use std::f64::consts::LN_2;

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
pub(super) fn ln_factorial(n: usize) -> f64 {
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
pub(super) fn ln_mean_exp(logarithms: &[f64]) -> f64 {
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    let sum: f64 = logarithms.iter().map(|ln| (ln - largest).exp()).sum();
    largest + (sum / logarithms.len() as f64).ln()
}

#[cfg(test)]
mod tests {
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
}
