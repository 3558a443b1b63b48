//! Descriptive statistics of a slice of numbers.
//!
//! **Invariant**: nothing here returns NaN for finite input; what too few values cannot tell is `None`.

/// Makes the median absolute deviation estimate the standard deviation of normal noise: 1 / Φ⁻¹(¾).
pub const MAD_TO_SIGMA: f64 = 1.4826;

#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Unbiased sample variance; needs two values.
#[must_use]
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() >= 2).then(|| squares / (values.len() - 1) as f64)
}

#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Linear interpolation between order statistics (Hyndman & Fan type 7); `share` is clamped to 0–1.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut scratch = values.to_vec();
    let last = scratch.len().checked_sub(1)?;
    let position = share.clamp(0.0, 1.0) * last as f64;
    let index = (position.floor() as usize).min(last);
    let (_, &mut at, above) = scratch.select_nth_unstable_by(index, f64::total_cmp);
    let next = above.iter().copied().min_by(f64::total_cmp).unwrap_or(at);
    Some(at + (next - at) * (position - index as f64))
}

/// Median absolute deviation from the median, unscaled.
#[must_use]
pub fn mad(values: &[f64]) -> Option<f64> {
    let centre = median(values)?;
    median(&values.iter().map(|value| (value - centre).abs()).collect::<Vec<_>>())
}

/// Median of all pairwise means (x_i + x_j)/2, i ≤ j: as robust as it needs to be, and on normal noise 50 % more
/// efficient than the median (Hodges & Lehmann 1963).
///
/// Exact in O(n log n + 64·n): bisects over the floating-point numbers and counts the means below each, instead of
/// listing n²/2 of them.
#[must_use]
pub fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    let means = n * (n + 1) / 2;
    (n > 0).then(|| {
        let upper = pairwise_mean(&sorted, means / 2 + 1);
        let lower = if means % 2 == 1 { upper } else { pairwise_mean(&sorted, means / 2) };
        f64::midpoint(lower, upper)
    })
}

/// The `rank`-th smallest (from 1) of the pairwise means of ascending values.
fn pairwise_mean(sorted: &[f64], rank: usize) -> f64 {
    let (mut low, mut high) = (order_key(sorted[0]), order_key(sorted[sorted.len() - 1]));
    while low < high {
        let middle = low + (high.abs_diff(low) / 2) as i64;
        if means_up_to(sorted, from_order_key(middle)) >= rank {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    from_order_key(low)
}

fn means_up_to(sorted: &[f64], limit: f64) -> usize {
    let mut end = sorted.len();
    let mut count = 0;
    for (start, &first) in sorted.iter().enumerate() {
        while end > start && f64::midpoint(first, sorted[end - 1]) > limit {
            end -= 1;
        }
        if end == start {
            break;
        }
        count += end - start;
    }
    count
}

/// Maps floats to integers of the same order (IEEE 754 total order); its own inverse but for the type.
fn order_key(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn from_order_key(key: i64) -> f64 {
    f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(actual: Option<f64>, expected: Option<f64>) {
        match (actual, expected) {
            (Some(actual), Some(expected)) => {
                assert!((actual - expected).abs() < 1e-12, "{actual} ≠ {expected}")
            }
            (actual, expected) => assert_eq!(actual, expected),
        }
    }

    #[test]
    fn known_values() {
        let five = [2.0, 8.0, 0.0, 4.0, 1.0];
        check(mean(&five), Some(3.0));
        check(variance(&five), Some(10.0));
        check(median(&five), Some(2.0));
        check(quantile(&five, 0.25), Some(1.0));
        check(quantile(&five, 0.9), Some(6.4));
        check(quantile(&five, 7.0), Some(8.0));
        check(mad(&five), Some(2.0));
        check(median(&[1.0, 2.0, 3.0, 10.0]), Some(2.5));
    }

    #[test]
    fn too_few_values_tell_nothing() {
        for statistic in [mean, variance, median, mad, hodges_lehmann] {
            check(statistic(&[]), None);
        }
        check(variance(&[1.0]), None);
        check(hodges_lehmann(&[3.0]), Some(3.0));
        check(mad(&[3.0]), Some(0.0));
    }

    proptest! {
        #[test]
        fn hodges_lehmann_is_the_median_of_the_listed_means(values in prop::collection::vec(-3.0..3.0f64, 1..40)) {
            let mut means = Vec::new();
            for (index, &first) in values.iter().enumerate() {
                means.extend(values[index..].iter().map(|&second| f64::midpoint(first, second)));
            }
            check(hodges_lehmann(&values), median(&means));
        }

        #[test]
        fn order_keys_keep_the_order(first in any::<f64>(), second in any::<f64>()) {
            prop_assert_eq!(order_key(first).cmp(&order_key(second)), first.total_cmp(&second));
            prop_assert_eq!(from_order_key(order_key(first)).to_bits(), first.to_bits());
        }
    }
}
