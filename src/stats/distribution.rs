//! The values of one metric of one arm: exact while they are few, in bounded memory when they are many.
//!
//! **Invariant**: order does not matter, and nothing is NaN; what too few values cannot tell is `None`.

use std::collections::BTreeMap;

use super::summary;

/// Values up to which everything is exact.
pub const EXACT_MAX: usize = 10_000;

/// Half the width of a bucket, relative to the values in it.
pub const RELATIVE_ERROR: f64 = 0.001;

/// Chance that the interval of the median misses it on each side.
const MISSED_EACH: f64 = 0.025;

/// The same as a quantile of the standard normal.
const MISSED_EACH_SIGMAS: f64 = 1.96;

/// Up to so many values the interval's ranks are exact.
const BINOMIAL_SUMMED_MAX: u64 = 1000;

/// Values of any sign.
///
/// Up to [`EXACT_MAX`] values it answers exactly. Beyond, values are counted in buckets of logarithmic width (as in
/// Masson, Rim & Lee 2019, "DDSketch"): an order statistic is then within [`RELATIVE_ERROR`] of itself, the median and
/// quantiles, which lie between two, within that of the larger; the MAD within that of |median| + MAD; a histogram
/// puts a value into the bin of its bucket's middle. Count, least, greatest and mean stay exact. A factor of 10 in the values
/// takes 1151 buckets, all of f64 on both sides of zero 1.5 million.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    count: u64,
    /// Σ values and what rounding lost of it (Neumaier).
    sum: f64,
    lost: f64,
    /// Running mean and sum of squared deviations from it (Welford 1962).
    running_mean: f64,
    squares: f64,
    least: f64,
    greatest: f64,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Exact(Vec<f64>),
    Buckets(BTreeMap<Bucket, u64>),
}

impl Default for Values {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

/// Ordered as the values are: 0 is zero, otherwise the sign's side and how far out.
pub(super) type Bucket = i32;

impl Distribution {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value. One that is not finite is no measurement and is left out.
    pub fn push(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        (self.least, self.greatest) =
            if self.count == 0 { (value, value) } else { (self.least.min(value), self.greatest.max(value)) };
        self.count += 1;
        let step = value - self.running_mean;
        // Divided first, so that the largest numbers do not overflow.
        self.running_mean += value / self.count as f64 - self.running_mean / self.count as f64;
        self.squares += step * (value - self.running_mean);
        let sum = self.sum + value;
        self.lost +=
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
        match &mut self.values {
            Values::Exact(values) if values.len() < EXACT_MAX => values.push(value),
            Values::Exact(values) => {
                let mut buckets = BTreeMap::new();
                for &value in values.iter().chain([&value]) {
                    *buckets.entry(bucket(value)).or_default() += 1;
                }
                self.values = Values::Buckets(buckets);
            }
            Values::Buckets(buckets) => *buckets.entry(bucket(value)).or_default() += 1,
        }
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether every answer is exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.values, Values::Exact(_))
    }

    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.least)
    }

    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.greatest)
    }

    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let exact = (self.sum + self.lost) / self.count as f64;
        let mean = if exact.is_finite() { exact } else { self.running_mean };
        (self.count > 0).then(|| mean.clamp(self.least, self.greatest))
    }

    /// Standard deviation (n − 1), by Welford's running sums; 0 for one value.
    #[must_use]
    pub fn stddev(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squares / (self.count.max(2) - 1) as f64).sqrt())
    }

    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// Median absolute deviation from the median, unscaled.
    #[must_use]
    pub fn mad(&self) -> Option<f64> {
        match &self.values {
            Values::Exact(values) => summary::mad(values),
            Values::Buckets(_) => mad_of(|| self.groups()),
        }
    }

    /// Linear interpolation between order statistics (Hyndman & Fan type 7); `share` is clamped to 0–1.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        match &self.values {
            Values::Exact(values) => summary::quantile(values, share),
            Values::Buckets(_) => quantile_of(self.groups(), self.count, share),
        }
    }

    /// The order statistics that hold the median of what the values are drawn from with at least 95 %, if they are
    /// independent and their number was fixed beforehand; below six values none do.
    ///
    /// The l-th smallest and the l-th largest miss it when fewer than l values lie on one side of it: each with
    /// P(Binomial(n, ½) < l), at most 2.5 % here.
    #[must_use]
    pub fn median_interval(&self) -> Option<(f64, f64)> {
        let n = self.count;
        let left_out = if n <= BINOMIAL_SUMMED_MAX {
            let (mut mass, mut below) = (0.5_f64.powi(n as i32), 0.0);
            let mut rank = 0;
            while below + mass <= MISSED_EACH {
                below += mass;
                mass *= (n - rank) as f64 / (rank + 1) as f64;
                rank += 1;
            }
            rank
        } else {
            ((n as f64 - MISSED_EACH_SIGMAS * (n as f64).sqrt()) / 2.0) as u64
        };
        let share = left_out.checked_sub(1)? as f64 / (n - 1) as f64;
        Some((self.quantile(share)?, self.quantile(1.0 - share)?))
    }

    /// How many values lie in each of `bins` parts of equal width of `low` to `high`, each without its upper end but
    /// the last; values outside are not counted.
    #[must_use]
    pub fn histogram(&self, low: f64, high: f64, bins: usize) -> Vec<u64> {
        let mut counts = vec![0; bins];
        let mut add = |value: f64, count: u64| {
            if bins > 0 && (low..=high).contains(&value) {
                // Equal ends are one bin: 0 / 0 is cast to 0.
                let bin = ((value - low) / (high - low) * bins as f64) as usize;
                counts[bin.min(bins - 1)] += count;
            }
        };
        match &self.values {
            Values::Exact(values) => values.iter().for_each(|&value| add(value, 1)),
            Values::Buckets(_) => self.groups().for_each(|(value, count)| add(value, count)),
        }
        counts
    }

    /// Values in ascending order with their counts, the middle of a bucket standing for its values.
    fn groups(&self) -> impl Iterator<Item = (f64, u64)> {
        let buckets = match &self.values {
            Values::Buckets(buckets) => Some(buckets),
            Values::Exact(_) => None,
        };
        let groups = buckets.into_iter().flatten();
        groups.map(|(&bucket, &count)| (middle(bucket).clamp(self.least, self.greatest), count))
    }
}

/// The quantile of `total` ascending values with counts, as [`Distribution::quantile`].
pub(super) fn quantile_of(groups: impl Iterator<Item = (f64, u64)>, total: u64, share: f64) -> Option<f64> {
    let last = total.checked_sub(1)?;
    let position = share.clamp(0.0, 1.0) * last as f64;
    let index = (position.floor() as u64).min(last);
    let mut lower = None;
    let mut before = 0;
    for (value, count) in groups {
        before += count;
        if lower.is_none() && before > index {
            lower = Some(value);
        }
        if let Some(at) = lower
            && before > (index + 1).min(last)
        {
            return Some(at + (value - at) * (position - index as f64));
        }
    }
    lower
}

/// The median absolute deviation of ascending values with counts.
pub(super) fn mad_of<I: Iterator<Item = (f64, u64)>>(groups: impl Fn() -> I) -> Option<f64> {
    let total = groups().map(|(_, count)| count).sum();
    let median = quantile_of(groups(), total, 0.5)?;
    let mut deviations: Vec<(f64, u64)> =
        groups().map(|(value, count)| ((value - median).abs(), count)).collect();
    deviations.sort_unstable_by(|first, second| first.0.total_cmp(&second.0));
    quantile_of(deviations.into_iter(), total, 0.5)
}

/// ln of the ratio of a bucket's ends, so that its middle is within [`RELATIVE_ERROR`] of both.
fn ln_width() -> f64 {
    ((1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)).ln()
}

/// Bucket of the smallest positive normal f64; anything smaller goes into it.
const OUTMOST: f64 = 708.5;

pub(super) fn bucket(value: f64) -> Bucket {
    if value == 0.0 {
        return 0;
    }
    // From 1 on for the smallest numbers.
    let out = ((value.abs().ln() + OUTMOST) / ln_width()).max(0.0) as Bucket + 1;
    if value < 0.0 { -out } else { out }
}

/// The value that is equally far, relatively, from both ends of its bucket.
pub(super) fn middle(bucket: Bucket) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let low = (f64::from(bucket.abs() - 1) * ln_width() - OUTMOST).exp();
    (low * (1.0 + RELATIVE_ERROR)).copysign(f64::from(bucket))
}

/// At least every value of a bucket, and by no more than its width.
pub(super) fn upper_end(bucket: Bucket) -> f64 {
    // As the bucket of a value is found by its logarithm, ends are sharp to rounding only.
    const ROUNDING: f64 = 1e-9;
    match bucket {
        -1 | 0 => 0.0,
        1.. => (f64::from(bucket) * ln_width() - OUTMOST).exp() * (1.0 + ROUNDING),
        _ => -(f64::from(-bucket - 1) * ln_width() - OUTMOST).exp() * (1.0 - ROUNDING),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::rng::Rng;

    fn of(values: &[f64]) -> Distribution {
        let mut distribution = Distribution::new();
        values.iter().for_each(|&value| distribution.push(value));
        distribution
    }

    #[test]
    fn the_interval_of_the_median_holds_it_as_often_as_it_says() {
        let ranks = |n: u32| of(&(1..=n).map(f64::from).collect::<Vec<_>>()).median_interval();
        // Tables of the sign test, e.g. Conover, "Practical Nonparametric Statistics".
        assert_eq!([ranks(0), ranks(1), ranks(5)], [None; 3]);
        for (n, low, high) in
            [(6, 1.0, 6.0), (8, 1.0, 8.0), (9, 2.0, 8.0), (20, 6.0, 15.0), (100, 40.0, 61.0)]
        {
            let (found_low, found_high) = ranks(n).unwrap();
            assert!(
                (found_low - low).abs() < 1e-9 && (found_high - high).abs() < 1e-9,
                "{n}: {:?}",
                ranks(n)
            );
        }
        let (low, high) = ranks(1001).unwrap();
        assert!((low - 469.0).abs() <= 1.0 && (high - 533.0).abs() <= 1.0, "{low} {high}");
        let mut rng = Rng::new(3);
        for n in [6, 7, 12, 30] {
            let held = (0..2000)
                .filter(|_| {
                    let values: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
                    of(&values).median_interval().is_some_and(|(low, high)| low <= 0.0 && 0.0 <= high)
                })
                .count();
            assert!(held as f64 >= 0.935 * 2000.0, "{n}: {held}");
        }
    }

    #[track_caller]
    fn within(actual: Option<f64>, expected: Option<f64>, tolerance: f64) {
        let (Some(actual), Some(expected)) = (actual, expected) else {
            panic!("{actual:?} {expected:?}");
        };
        assert!((actual - expected).abs() <= tolerance, "{actual} ≠ {expected} ± {tolerance}");
    }

    #[test]
    fn nothing_is_known_of_nothing() {
        let none = of(&[f64::NAN, f64::INFINITY]);
        assert_eq!((none.count(), none.min(), none.max(), none.mean()), (0, None, None, None));
        assert_eq!((none.stddev(), none.median(), none.mad(), none.quantile(0.9)), (None, None, None, None));
        assert_eq!(none.histogram(0.0, 1.0, 3), [0, 0, 0]);
    }

    #[test]
    fn few_values_are_exact() {
        let distribution = of(&[2.0, 8.0, 0.0, 4.0, 1.0]);
        assert_eq!((distribution.min(), distribution.max()), (Some(0.0), Some(8.0)));
        assert_eq!((distribution.mean(), distribution.median()), (Some(3.0), Some(2.0)));
        assert_eq!((distribution.mad(), distribution.quantile(0.25)), (Some(2.0), Some(1.0)));
        within(distribution.stddev(), Some(10f64.sqrt()), 1e-12);
        assert_eq!(distribution.histogram(0.0, 8.0, 4), [2, 1, 1, 1]);
        assert_eq!(distribution.histogram(3.0, 3.0, 1), [0]);
        assert!(distribution.is_exact());
    }

    #[test]
    fn many_values_are_within_the_stated_error_and_in_bounded_memory() {
        let mut rng = Rng::new(4);
        for (what, draw) in [
            ("times", (|rng: &mut Rng| (0.3 * rng.normal()).exp()) as fn(&mut Rng) -> f64),
            ("any sign", |rng| rng.normal()),
            ("two levels", |rng| if rng.coin() { 0.0 } else { 5.0 }),
            ("far apart", |rng| (100.0 * rng.normal()).exp()),
        ] {
            let values: Vec<f64> = (0..EXACT_MAX + 5_000).map(|_| draw(&mut rng)).collect();
            let distribution = of(&values);
            assert!(!distribution.is_exact(), "{what}");
            let near = |value: Option<f64>| 1.001 * RELATIVE_ERROR * value.map_or(0.0, f64::abs) + 1e-300;
            for share in [0.0, 0.01, 0.25, 0.5, 0.77, 0.99, 1.0] {
                let exact = summary::quantile(&values, share);
                // Between two levels the quantile of a few more or less may be anything between.
                within(distribution.quantile(share), exact, near(exact));
            }
            let (median, mad) = (summary::median(&values), summary::mad(&values));
            within(distribution.mad(), mad, near(median) + near(mad));
            within(
                distribution.mean(),
                summary::mean(&values),
                1e-9 * summary::mean(&values).map_or(0.0, f64::abs) + 1e-9,
            );
            assert_eq!(distribution.histogram(-1e300, 1e300, 1), [values.len() as u64], "{what}");
            let Values::Buckets(buckets) = &distribution.values else { panic!("{what}: no buckets") };
            assert!(buckets.len() <= values.len());
        }
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_value(value in any::<f64>()) {
            prop_assume!(value.is_finite());
            let bucket = bucket(value);
            let subnormal = f64::MIN_POSITIVE;
            prop_assert!((middle(bucket) - value).abs() <= 1.000_1 * RELATIVE_ERROR * value.abs() + subnormal);
            prop_assert!(upper_end(bucket) >= value, "{} < {}", upper_end(bucket), value);
            prop_assert!(upper_end(bucket) <= value + 2.01 * RELATIVE_ERROR * value.abs() + subnormal);
        }

        #[test]
        fn nothing_is_nan(values in prop::collection::vec(any::<f64>(), 1..50)) {
            let distribution = of(&values);
            for number in [distribution.mean(), distribution.stddev(), distribution.median(), distribution.mad()] {
                prop_assert!(number.is_none_or(|number| !number.is_nan()), "{:?}", distribution);
            }
        }
    }
}
