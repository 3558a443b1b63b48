//! Intervals for a probability seen as successes among trials.
//!
//! **Invariant**: exact: the interval holds the truth with at least the stated confidence for any n, however small.

use super::sign::ln_factorial;

/// Clopper & Pearson's interval (Biometrika 26, 1934) for the probability of a success: all p that a two-sided
/// binomial test at 1 − `confidence` (0–1) does not reject. From 0 to 1 without trials.
///
/// Successes beyond the trials count as all of them.
#[must_use]
pub fn interval(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    let successes = successes.min(trials);
    let tail = ((1.0 - confidence) / 2.0).clamp(0.0, 0.5);
    // P(X ≤ k) falls with p.
    let root = |k: u64, level: f64| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(low, high);
            *(if at_most(k, trials, middle) > level { &mut low } else { &mut high }) = middle;
        }
        (low, high)
    };
    let low = if successes == 0 { 0.0 } else { root(successes - 1, 1.0 - tail).0 };
    let high = if successes == trials { 1.0 } else { root(successes, tail).1 };
    (low, high)
}

/// Narrows 0–1 to what f64 can tell apart near 1.
const BISECTIONS: usize = 53;

/// P(Binomial(n, p) ≤ k) for k < n and 0 < p < 1, summed from k away from the mean.
fn at_most(k: u64, n: u64, p: f64) -> f64 {
    if (k as f64) < n as f64 * p { tail(k, n, p) } else { 1.0 - tail(n - k - 1, n, 1.0 - p) }
}

/// P(Binomial(n, p) ≤ k) for k at or below the mean, where each further term is the smaller one.
fn tail(k: u64, n: u64, p: f64) -> f64 {
    let odds_against = (1.0 - p) / p;
    let (mut term, mut sum) = (1.0, 1.0);
    for j in (1..=k).rev() {
        term *= j as f64 / (n + 1 - j) as f64 * odds_against;
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    let ln_factorial = |n: u64| ln_factorial(usize::try_from(n).unwrap_or(usize::MAX));
    let ln_ways = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    (ln_ways + k as f64 * p.ln() + (n - k) as f64 * f64::ln_1p(-p)).exp() * sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(successes: u64, trials: u64, confidence: f64, low: f64, high: f64) {
        let interval = interval(successes, trials, confidence);
        assert!((interval.0 - low).abs() < 5e-7 && (interval.1 - high).abs() < 5e-7, "{interval:?}");
    }

    #[test]
    fn agrees_with_closed_forms_and_tables() {
        check(0, 0, 0.95, 0.0, 1.0);
        // Without a success: 1 − (α/2)^(1/n).
        check(0, 20, 0.95, 0.0, 1.0 - 0.025f64.powf(0.05));
        check(20, 20, 0.95, 0.025f64.powf(0.05), 1.0);
        // By bisection on the listed binomial terms, in Python.
        check(8, 10, 0.95, 0.443_904_54, 0.974_789_27);
        check(1, 100, 0.99, 0.000_050_124_16, 0.071_957_68);
    }

    #[test]
    fn holds_the_truth_at_least_as_often_as_it_says() {
        for n in [1, 5, 17] {
            let intervals: Vec<_> = (0..=n).map(|k| interval(k, n, 0.9)).collect();
            for p in (1..100).map(|percent| f64::from(percent) / 100.0) {
                let mass = |k: u64| {
                    let ways: f64 = (1..=k).map(|j| (n + 1 - j) as f64 / j as f64).product();
                    ways * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
                };
                let covered: f64 = (0..=n)
                    .filter(|&k| intervals[k as usize].0 <= p && p <= intervals[k as usize].1)
                    .map(mass)
                    .sum();
                assert!(covered >= 0.9 - 1e-9, "n = {n}, p = {p}: {covered}");
            }
        }
    }

    proptest! {
        #[test]
        fn holds_the_share_and_mirrors(trials in 1..5000u64, share in 0.0..=1.0f64, confidence in 0.5..0.9999f64) {
            let successes = (share * trials as f64) as u64;
            let (low, high) = interval(successes, trials, confidence);
            let seen = successes as f64 / trials as f64;
            prop_assert!(0.0 <= low && low <= seen && seen <= high && high <= 1.0, "{} {}", low, high);
            let mirrored = interval(trials - successes, trials, confidence);
            prop_assert!((mirrored.0 - (1.0 - high)).abs() < 1e-9 && (mirrored.1 - (1.0 - low)).abs() < 1e-9);
        }
    }
}
