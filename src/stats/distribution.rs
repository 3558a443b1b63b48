//! The values of one metric of one arm: exact while they are few, in bounded memory when they are many.
//!
//! **Invariant**: order does not matter, and nothing is NaN; what too few values cannot tell is `None`.

use std::collections::BTreeMap;

use super::summary;

/// Values up to which everything is exact.
pub const EXACT_MAX: usize = 10_000;

/// Half the width of a bucket, relative to the values in it.
pub const RELATIVE_ERROR: f64 = 0.001;

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
type Bucket = i32;

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
        self.running_mean += step / self.count as f64;
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
        let mean = (self.sum + self.lost) / self.count as f64;
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
            Values::Buckets(_) => {
                let median = self.median()?;
                let mut deviations: Vec<(f64, u64)> =
                    self.groups().map(|(value, count)| ((value - median).abs(), count)).collect();
                deviations.sort_unstable_by(|first, second| first.0.total_cmp(&second.0));
                self.interpolate(deviations.into_iter(), 0.5)
            }
        }
    }

    /// Linear interpolation between order statistics (Hyndman & Fan type 7); `share` is clamped to 0–1.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        match &self.values {
            Values::Exact(values) => summary::quantile(values, share),
            Values::Buckets(_) => self.interpolate(self.groups(), share),
        }
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

    /// The quantile of ascending values with counts.
    fn interpolate(&self, groups: impl Iterator<Item = (f64, u64)>, share: f64) -> Option<f64> {
        let last = self.count.checked_sub(1)?;
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
}

/// ln of the ratio of a bucket's ends, so that its middle is within [`RELATIVE_ERROR`] of both.
fn ln_width() -> f64 {
    ((1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)).ln()
}

/// Bucket of the smallest positive normal f64; anything smaller goes into it.
const OUTMOST: f64 = 708.5;

fn bucket(value: f64) -> Bucket {
    if value == 0.0 {
        return 0;
    }
    // From 1 on for the smallest numbers.
    let out = ((value.abs().ln() + OUTMOST) / ln_width()).max(0.0) as Bucket + 1;
    if value < 0.0 { -out } else { out }
}

/// The value that is equally far, relatively, from both ends of its bucket.
fn middle(bucket: Bucket) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let low = (f64::from(bucket.abs() - 1) * ln_width() - OUTMOST).exp();
    (low * (1.0 + RELATIVE_ERROR)).copysign(f64::from(bucket))
}
