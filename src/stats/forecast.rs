//! How many more pairs an answer will probably take, and whether there is any hope of one.
//!
//! **Invariant**: may cost an answer, never make one: no word rests on it.

use super::sign::ln_sign_e_one_sided;
use super::size::Bets;

/// Standard normal quantile of 20 %: an advice is to hold for all but this share of the sessions.
const MODEST_LUCK: f64 = -0.842;

/// Who needs more luck than this has none: 2 % of the sessions do.
const GREAT_LUCK: f64 = 2.0;

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
