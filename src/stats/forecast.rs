//! How many more pairs an answer will probably take, and whether there is any hope of one.
//!
//! **Invariant**: may cost an answer, never make one: no word rests on it.

use super::sign::{ln_factorial, ln_sign_e_one_sided};
use super::size::Bets;

/// Standard normal quantile of 20 %: an advice is to hold for all but this share of the sessions.
const MODEST_LUCK: f64 = -0.842;

/// Who needs more luck than this has none: 2 % of the sessions do.
const GREAT_LUCK: f64 = 2.0;

/// Share of the sessions that an effect which "could be seen" may be missed in.
const MISSED: f64 = 0.2;

/// Standard deviations beyond which every pair agrees.
const EFFECT_MAX: f64 = 8.0;

/// Up to so many terms are summed.
const SUMMED_MAX: usize = 2000;

/// Beyond so many pairs an answer is out of reach.
const PAIRS_MAX: usize = 1_000_000_000;

/// What the evidence stands at and how it is expected to go on.
pub(super) struct Forecast {
    /// Pairs so far that agree with the effect, and all that have a sign.
    pub agreeing: usize,
    pub signs: usize,
    /// The size part so far, in the direction of the effect: ln of its stake at the start, and the bets since. Absent
    /// when sizes are no part of the evidence.
    pub sizes: Option<(f64, Bets)>,
    /// Whether the bets are on the log ratios above the shift.
    pub upward: bool,
    /// Size of the effect on a log ratio.
    pub effect: f64,
    /// Standard deviation of a log ratio.
    pub noise: f64,
    /// Standard deviation that sizes are bet with.
    pub scale: f64,
    /// ln of the one-sided evidence that is enough.
    pub threshold_ln: f64,
}

impl Forecast {
    /// Fewest further pairs after which the evidence is enough in about 80 of 100 sessions of normal noise; `None`
    /// where that is out of reach.
    ///
    /// An approximation: of m pairs, those that agree are taken at the 20 % quantile of their binomial number, and
    /// the gain of each bet at that of its normal sum.
    pub(super) fn pairs(&self) -> Option<usize> {
        if self.effect.is_nan() || self.effect <= 0.0 || !self.threshold_ln.is_finite() {
            return None;
        }
        let win_rate = normal_cdf(self.effect / self.noise);
        let gains = self.gains();
        let is_enough =
            |pairs: usize| self.ln_after(pairs, win_rate, &gains, MODEST_LUCK) >= self.threshold_ln;
        let mut enough = 1;
        if is_enough(0) {
            return Some(0);
        }
        while !is_enough(enough) {
            enough *= 2;
            if enough > PAIRS_MAX {
                return None;
            }
        }
        let mut short = enough / 2;
        while enough - short > 1 {
            let middle = usize::midpoint(short, enough);
            *(if is_enough(middle) { &mut enough } else { &mut short }) = middle;
        }
        Some(enough)
    }

    /// Whether the evidence may be enough after so many further pairs, with the luck of one session in fifty.
    pub(super) fn is_within_reach(&self, pairs: usize) -> bool {
        self.effect > 0.0
            && self.ln_after(pairs, normal_cdf(self.effect / self.noise), &self.gains(), GREAT_LUCK)
                >= self.threshold_ln
    }

    /// What is expected of the evidence, give or take `luck` standard deviations.
    fn ln_after(&self, pairs: usize, win_rate: f64, gains: &[(f64, f64)], luck: f64) -> f64 {
        let m = pairs as f64;
        let wins = m * win_rate + luck * (m * win_rate * (1.0 - win_rate)).sqrt();
        let agreeing = self.agreeing + wins.clamp(0.0, m) as usize;
        let sign_ln = ln_sign_e_one_sided(agreeing, self.signs + pairs);
        let Some((start_ln, bets)) = &self.sizes else {
            return sign_ln;
        };
        let now = bets.ln_each(self.upward);
        let after =
            now.iter().zip(gains).map(|(ln, (mean, deviation))| ln + m * mean + luck * m.sqrt() * deviation);
        let after: Vec<f64> = after.collect();
        super::sign::ln_mean_exp(&[sign_ln, start_ln + super::sign::ln_mean_exp(&after)])
    }

    /// Mean and standard deviation of ln(1 + tanh(λ·x)) for each effect size λ.
    fn gains(&self) -> Vec<(f64, f64)> {
        Bets::effect_sizes()
            .iter()
            .map(|&bet| {
                let gain = |z: f64| {
                    let odds_ln = 2.0 * bet * (self.effect + z * self.noise) / self.scale;
                    std::f64::consts::LN_2 - (-odds_ln.abs()).exp().ln_1p() - (-odds_ln).max(0.0)
                };
                let mean = normal_mean(gain);
                let square = normal_mean(|z| gain(z).powi(2));
                (mean, (square - mean * mean).max(0.0).sqrt())
            })
            .collect()
    }
}

/// The smallest effect, in standard deviations of a log ratio, of which so many pairs of normal noise give evidence of
/// e^`threshold_ln` in at least 80 of 100 sessions by their signs alone; `None` where not even pairs of one mind would.
///
/// The size part sees smaller ones, and so may looking after every pair.
pub(super) fn effect_seen(pairs: usize, threshold_ln: f64) -> Option<f64> {
    let is_enough = |wins: usize| ln_sign_e_one_sided(wins, pairs) >= threshold_ln;
    if !is_enough(pairs) {
        return None;
    }
    // The fewest of them that are enough: half and half never are.
    let (mut short, mut enough) = (pairs / 2, pairs);
    while enough - short > 1 {
        let middle = usize::midpoint(short, enough);
        *(if is_enough(middle) { &mut enough } else { &mut short }) = middle;
    }
    let (mut low, mut high) = (0.0, EFFECT_MAX);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        let seen = binomial_tail(pairs, enough, normal_cdf(middle)) >= 1.0 - MISSED;
        *(if seen { &mut high } else { &mut low }) = middle;
    }
    Some(high)
}

/// P(Binomial(n, p) ≥ k); beyond [`SUMMED_MAX`] by its normal approximation.
fn binomial_tail(n: usize, k: usize, p: f64) -> f64 {
    if n > SUMMED_MAX {
        let above = (n as f64 * p - k as f64) / (n as f64 * p * (1.0 - p)).sqrt().max(f64::MIN_POSITIVE);
        return if above < 0.0 { 1.0 - normal_cdf(-above) } else { normal_cdf(above) };
    }
    let ln_each = |wins: usize| {
        let ln_ways = ln_factorial(n) - ln_factorial(wins) - ln_factorial(n - wins);
        let ln_lost = if wins == n { 0.0 } else { (n - wins) as f64 * (1.0 - p).max(0.0).ln() };
        (ln_ways + wins as f64 * p.ln() + ln_lost).exp()
    };
    (k..=n).map(ln_each).sum()
}

/// Mean of f of a standard normal number, by the trapezoid rule over ± 6.
fn normal_mean(f: impl Fn(f64) -> f64) -> f64 {
    // The rule's error falls as e^(−2π²/step²) for a smooth f.
    let nodes = (-12..=12).map(|i| f64::from(i) / 2.0);
    let (sum, total) = nodes.fold((0.0, 0.0), |(sum, total), z| {
        let weight = (-0.5 * z * z).exp();
        (sum + weight * f(z), total + weight)
    });
    sum / total
}

/// P(a standard normal number ≤ x) for x ≥ 0, by Simpson's rule.
fn normal_cdf(x: f64) -> f64 {
    let x = x.min(8.0);
    let steps = 64;
    let density = |z: f64| (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
    let weighted = (0..=steps).map(|i| {
        let weight = if i == 0 || i == steps {
            1.0
        } else if i % 2 == 1 {
            4.0
        } else {
            2.0
        };
        weight * density(x * f64::from(i) / f64::from(steps))
    });
    0.5 + weighted.sum::<f64>() * x / (3.0 * f64::from(steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_probabilities() {
        for (x, p) in [(0.0, 0.5), (1.0, 0.841_344_746), (1.96, 0.975_002_105), (1e9, 1.0)] {
            assert!((normal_cdf(x) - p).abs() < 1e-7, "{x}");
        }
        assert!((normal_mean(|z| z * z) - 1.0).abs() < 1e-6);
    }
}
