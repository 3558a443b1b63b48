//! Curves through points: least squares, profile likelihood and the choice between laws.
//!
//! **Invariant**: every number comes from the points; nothing here has a word for people.

use super::{CONFIDENCE, Exponent, Fit, Inconclusive, Law, RANGE_MIN, SIZES_MIN};
use crate::stats::summary::median;

/// Exponents tried: 1/n² to n⁸.
const EXPONENTS: (f64, f64) = (-2.0, 8.0);

/// No time is on any law more closely than this share of it.
const SPREAD_MIN: f64 = 0.005;

/// An exponential law must at least quadruple the time over the range, else any curved line passes for one.
const EXPONENTIAL_GROWTH_MIN: f64 = 4.0;

/// One point for each n, ascending.
pub(super) struct Sample {
    sizes: Vec<f64>,
    ln_times: Vec<f64>,
}

/// A law with its start-up cost and coefficient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curve {
    pub law: Law,
    /// a / b·g(largest n).
    share: f64,
    /// ln of b·g(largest n).
    ln_scale: f64,
    /// Σ squares of ln t around it.
    squares: f64,
}

/// A curve and the number of its parameters, that of the spread among them.
pub(super) struct Candidate {
    curve: Curve,
    parameters: usize,
}

impl Sample {
    pub(super) fn new(points: &[(f64, f64)]) -> Result<Self, Inconclusive> {
        let good = |value: f64| value.is_finite() && value > 0.0;
        if let Some(&(size, time)) = points.iter().find(|&&(n, t)| !good(n) || !good(t)) {
            return Err(Inconclusive::NoPoint { size, time });
        }
        let mut points = points.to_vec();
        points.sort_unstable_by(|first, second| first.0.total_cmp(&second.0));
        let of_one_size = points.chunk_by(|first, second| first.0 == second.0);
        let (sizes, ln_times): (Vec<f64>, Vec<f64>) = of_one_size
            .filter_map(|group| {
                let times: Vec<f64> = group.iter().map(|&(_, time)| time.ln()).collect();
                Some((group[0].0, median(&times)?))
            })
            .unzip();
        if sizes.len() < SIZES_MIN {
            return Err(Inconclusive::TooFew { sizes: sizes.len() });
        }
        let range = sizes[sizes.len() - 1] / sizes[0];
        if range < RANGE_MIN {
            return Err(Inconclusive::TooNarrow { range });
        }
        Ok(Self { sizes, ln_times })
    }

    fn least(&self) -> f64 {
        self.sizes[0]
    }

    fn greatest(&self) -> f64 {
        self.sizes[self.sizes.len() - 1]
    }

    /// g(n) as shares of the largest.
    fn shape(&self, law: Law) -> Vec<f64> {
        let ln: Vec<f64> = self.sizes.iter().map(|&n| law.ln_shape(n)).collect();
        let largest = ln.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        ln.iter().map(|ln| (ln - largest).exp()).collect()
    }

    /// The curve with a given start-up cost, relative to b·g where that is largest.
    fn curve(&self, law: Law, shape: &[f64], share: f64) -> Curve {
        let residuals = || self.ln_times.iter().zip(shape).map(|(time, g)| time - (share + g).ln());
        let ln_scale = residuals().sum::<f64>() / self.sizes.len() as f64;
        let squares = residuals().map(|residual| (residual - ln_scale).powi(2)).sum();
        Curve { law, share, ln_scale, squares }
    }

    /// The curve with the start-up cost that fits best, if any fits better than none.
    fn with_start_up(&self, law: Law) -> Curve {
        let shape = self.shape(law);
        let squares = |ln_share: f64| self.curve(law, &shape, ln_share.exp()).squares;
        let best = self.curve(law, &shape, minimum(-12.0, 12.0, 48, squares).exp());
        let without = self.curve(law, &shape, 0.0);
        if best.squares < without.squares { best } else { without }
    }

    /// Ratio of the largest to the smallest time on the curve.
    fn growth(&self, curve: &Curve) -> f64 {
        let least = self.shape(curve.law).into_iter().fold(1.0, f64::min);
        (curve.share + 1.0) / (curve.share + least)
    }

    pub(super) fn best_constant(&self) -> Candidate {
        let curve = self.curve(Law::Constant, &self.shape(Law::Constant), 0.0);
        Candidate { curve, parameters: 2 }
    }

    /// The law with and without a start-up cost; `fitted` of its own parameters are fitted too.
    pub(super) fn candidates(&self, law: Law, fitted: usize) -> Vec<Candidate> {
        if law.has_logarithm() && self.least() < 1.0 {
            return Vec::new();
        }
        let without = self.curve(law, &self.shape(law), 0.0);
        let with = self.with_start_up(law);
        [(without, 2), (with, 3)]
            .into_iter()
            // log 1 = 0 needs a start-up cost.
            .filter(|(curve, _)| curve.squares.is_finite() && self.growth(curve) >= GROWTH_MIN)
            .map(|(curve, parameters)| Candidate { curve, parameters: parameters + fitted })
            .collect()
    }

    fn power(&self, k: f64) -> Curve {
        self.with_start_up(Law::Power(k))
    }

    pub(super) fn best_power(&self) -> Curve {
        self.power(minimum(EXPONENTS.0, EXPONENTS.1, 100, |k| self.power(k).squares))
    }

    /// Absent when no exponential growth over the range can be told from a curved line.
    pub(super) fn best_exponential_rate(&self) -> Option<f64> {
        let span = self.greatest() - self.least();
        let (low, high) = (EXPONENTIAL_GROWTH_MIN.ln() / span, LN_GROWTH_MAX / span);
        let squares = |ln_rate: f64| self.with_start_up(Law::Exponential(ln_rate.exp())).squares;
        let rate = minimum(low.ln(), high.ln(), 60, squares).exp();
        (rate > low * 1.001).then_some(rate)
    }

    /// Profile likelihood: all k whose best curve is not much worse than the best of all.
    pub(super) fn exponent(&self, best: &Curve) -> Exponent {
        let parameters = if best.share > 0.0 { 3 } else { 2 };
        let freedom = (self.sizes.len() - parameters) as f64;
        let variance = (best.squares / freedom).max(SPREAD_MIN * SPREAD_MIN);
        let squares_max = best.squares + variance * student_quantile(freedom).powi(2);
        let value = match best.law {
            Law::Power(k) => k,
            _ => 0.0,
        };
        let bound = |end: f64| {
            // A step at a time, since further out other curves may fit again.
            let step = 0.1f64.copysign(end - value);
            let mut inside = value;
            while (end - inside).abs() > step.abs() && self.power(inside + step).squares <= squares_max {
                inside += step;
            }
            let mut outside = inside + step;
            if (end - inside).abs() <= step.abs() {
                return end;
            }
            for _ in 0..12 {
                let middle = f64::midpoint(inside, outside);
                let within = self.power(middle).squares <= squares_max;
                *(if within { &mut inside } else { &mut outside }) = middle;
            }
            outside
        };
        Exponent { value, low: bound(EXPONENTS.0), high: bound(EXPONENTS.1), confidence: CONFIDENCE }
    }

    pub(super) fn choose(&self, candidates: &[Candidate], exponent: Exponent) -> Fit {
        let scores: Vec<f64> = candidates.iter().map(|candidate| self.score(candidate)).collect();
        let best = (0..candidates.len()).min_by(|&i, &j| scores[i].total_cmp(&scores[j])).unwrap_or(0);
        let mut weights: Vec<(Law, f64)> = Vec::new();
        for (candidate, score) in candidates.iter().zip(&scores) {
            let weight = (0.5 * (scores[best] - score)).exp();
            match weights.iter_mut().find(|(law, _)| *law == candidate.curve.law) {
                Some((_, sum)) => *sum += weight,
                None => weights.push((candidate.curve.law, weight)),
            }
        }
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        weights.iter_mut().for_each(|(_, weight)| *weight /= total);
        let Candidate { curve, parameters } = &candidates[best];
        let is_best = |law: Law| law == curve.law;
        let confidence = weights.iter().find(|(law, _)| is_best(*law)).map_or(0.0, |&(_, weight)| weight);
        let mut others: Vec<_> =
            weights.into_iter().filter(|&(law, weight)| !is_best(law) && weight > 0.01).collect();
        others.sort_unstable_by(|first, second| second.1.total_cmp(&first.1));
        let reference = self.sizes.iter().map(|&n| curve.law.ln_shape(n)).fold(f64::NEG_INFINITY, f64::max);
        let freedom = (self.sizes.len() + 1).saturating_sub(*parameters).max(1);
        Fit {
            law: curve.law,
            confidence,
            others,
            exponent,
            start_up: curve.share * curve.ln_scale.exp(),
            ln_coefficient: curve.ln_scale - reference,
            spread: (curve.squares / freedom as f64).sqrt(),
            sizes: self.sizes.len(),
        }
    }

    /// AICc; infinite with more parameters than the points can carry.
    fn score(&self, candidate: &Candidate) -> f64 {
        let (m, p) = (self.sizes.len() as f64, candidate.parameters as f64);
        if m - p - 1.0 <= 0.0 {
            return f64::INFINITY;
        }
        let variance = (candidate.curve.squares / m).max(SPREAD_MIN * SPREAD_MIN);
        m * variance.ln() + 2.0 * p + 2.0 * p * (p + 1.0) / (m - p - 1.0)
    }
}

/// A curve that changes the time by less over the range is a constant, whatever its law.
const GROWTH_MIN: f64 = 1.05;

/// Fastest growth over the range that is tried for an exponential law, as ln.
const LN_GROWTH_MAX: f64 = 600.0;

/// Where f is least between `low` and `high`: the best of `steps` + 1 places, then a golden section around it.
fn minimum(low: f64, high: f64, steps: usize, f: impl Fn(f64) -> f64) -> f64 {
    let step = (high - low) / steps as f64;
    let place = |index: usize| low + step * index as f64;
    let values: Vec<f64> = (0..=steps).map(|index| f(place(index))).collect();
    let best = (0..=steps).min_by(|&i, &j| values[i].total_cmp(&values[j])).unwrap_or(0);
    let (mut left, mut right) = (place(best.saturating_sub(1)), place((best + 1).min(steps)));
    let golden = 0.5 * (5f64.sqrt() - 1.0);
    let (mut inner_left, mut inner_right) = (right - golden * (right - left), left + golden * (right - left));
    let (mut at_left, mut at_right) = (f(inner_left), f(inner_right));
    for _ in 0..30 {
        if at_left <= at_right {
            (right, inner_right, at_right) = (inner_right, inner_left, at_left);
            inner_left = right - golden * (right - left);
            at_left = f(inner_left);
        } else {
            (left, inner_left, at_left) = (inner_left, inner_right, at_right);
            inner_right = left + golden * (right - left);
            at_right = f(inner_right);
        }
    }
    let (found, value) = if at_left <= at_right { (inner_left, at_left) } else { (inner_right, at_right) };
    if value <= values[best] { found } else { place(best) }
}

/// Student's 97.5 % quantile: tabulated up to 4 degrees of freedom, beyond by Cornish & Fisher's expansion.
fn student_quantile(freedom: f64) -> f64 {
    match freedom {
        ..=1.0 => 12.706,
        ..=2.0 => 4.303,
        ..=3.0 => 3.182,
        ..=4.0 => 2.776,
        _ => {
            let z: f64 = 1.959_964;
            let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
            z + (z.powi(3) + z) / (4.0 * freedom) + second / (freedom * freedom)
        }
    }
}
