//! How a time grows with the size of the input: which law, with which exponent, and how sure that is.
//!
//! Every law is fitted as `t = a + b·g(n)` with a start-up cost `a ≥ 0`, since small inputs show little else, by least
//! squares of ln t, since noise is a share of the time. Several times of one n count as their median, one point: what
//! sets points off a law is mostly no noise that repeating would average out, but caches and allocators.
//!
//! Laws are compared by AICc (Hurvich & Tsai 1989), and a law's confidence is its Akaike weight among those tried
//! (Burnham & Anderson 2002). The exponent of `a + b·n^k` has a profile-likelihood interval with Student's quantile.
//!
//! **Invariant**: too few or too narrow points have no fit, however well a curve goes through them.

mod curves;

use std::fmt;

use serde::{Deserialize, Serialize};

use curves::Sample;

/// Fewest different n.
pub const SIZES_MIN: usize = 4;

/// Smallest ratio of the largest to the smallest n.
pub const RANGE_MIN: f64 = 4.0;

/// Probability that the interval of an exponent holds the true one.
pub const CONFIDENCE: f64 = 0.95;

/// Exponents with a name, which cost no parameter.
const NAMED: [f64; 5] = [0.5, 1.0, 1.5, 2.0, 3.0];

/// Why there is no fit.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Inconclusive {
    #[error("{sizes} different sizes are too few for a law, {SIZES_MIN} are needed")]
    TooFew { sizes: usize },
    #[error("sizes over a range of {range:.1}x are too narrow for a law, {RANGE_MIN}x are needed")]
    TooNarrow { range: f64 },
    #[error("{time} at size {size} is no point of a law: both must be positive and finite")]
    NoPoint { size: f64, time: f64 },
}

/// How the time grows, start-up cost aside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    Constant,
    /// log n
    Logarithmic,
    /// n^k
    Power(f64),
    /// n·log n
    Linearithmic,
    /// n²·log n
    QuadraticLog,
    /// c^n, by the growth ln c per unit of n.
    Exponential(f64),
}

impl Law {
    /// ln g(n); n is at least 1 for the laws with a logarithm.
    fn ln_shape(self, n: f64) -> f64 {
        match self {
            Self::Constant => 0.0,
            Self::Logarithmic => n.ln().ln(),
            Self::Power(k) => k * n.ln(),
            Self::Linearithmic => n.ln() + n.ln().ln(),
            Self::QuadraticLog => 2.0 * n.ln() + n.ln().ln(),
            Self::Exponential(rate) => rate * n,
        }
    }

    fn has_logarithm(self) -> bool {
        matches!(self, Self::Logarithmic | Self::Linearithmic | Self::QuadraticLog)
    }

    /// As in "the time is quadratic".
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Logarithmic => "logarithmic",
            Self::Linearithmic => "linearithmic",
            Self::QuadraticLog => "quadratic times a logarithm",
            Self::Exponential(_) => "exponential",
            Self::Power(1.0) => "linear",
            Self::Power(2.0) => "quadratic",
            Self::Power(3.0) => "cubic",
            Self::Power(0.5) => "square root",
            Self::Power(k) if k < 0.0 => "falling",
            Self::Power(_) => "polynomial",
        }
    }
}

/// The class as people write it: `O(n^2)`.
impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => write!(f, "O(1)"),
            Self::Logarithmic => write!(f, "O(log n)"),
            Self::Linearithmic => write!(f, "O(n log n)"),
            Self::QuadraticLog => write!(f, "O(n^2 log n)"),
            Self::Exponential(rate) => write!(f, "O({}^n)", three_digits(rate.exp())),
            Self::Power(1.0) => write!(f, "O(n)"),
            Self::Power(k) => write!(f, "O(n^{})", three_digits(*k)),
        }
    }
}

/// Three digits without zeros at the end.
fn three_digits(value: f64) -> String {
    let decimals = if value.abs() < 0.1 { 4 } else { 2 };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// k of `a + b·n^k`, whichever law is the best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exponent {
    pub value: f64,
    /// At the end of those tried, −2, when the points leave it open.
    pub low: f64,
    /// At the end of those tried, 8, when the points leave it open.
    pub high: f64,
    /// Of the interval, 0–1.
    pub confidence: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    pub law: Law,
    /// Akaike weight of the law among those tried, 0–1: near 1 the points leave no doubt between the laws.
    pub confidence: f64,
    /// The other laws with their weights above 1 %, likely ones first.
    pub others: Vec<(Law, f64)>,
    pub exponent: Exponent,
    /// a, in the unit of the times: what an input of no size takes; 0 when none is seen.
    pub start_up: f64,
    /// ln of b in `a + b·g(n)`, b in the unit of the times.
    pub ln_coefficient: f64,
    /// Standard deviation of ln t around the law.
    pub spread: f64,
    /// Different n.
    pub sizes: usize,
}

impl Fit {
    /// The time of an input of size `n`, in the unit of the times fitted.
    #[must_use]
    pub fn time_at(&self, n: f64) -> f64 {
        self.start_up + (self.ln_coefficient + self.law.ln_shape(n)).exp()
    }
}

/// `quadratic: n^1.98 (1.93–2.03, 95 %)`
impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exponent { value, low, high, confidence } = self.exponent;
        match self.law {
            Law::Constant => write!(f, "constant"),
            Law::Exponential(rate) => {
                write!(f, "exponential: doubles every {} of n", three_digits(std::f64::consts::LN_2 / rate))
            }
            law => {
                let (word, percent) = (law.word(), confidence * 100.0);
                write!(f, "{word}: n^{value:.2} ({low:.2}–{high:.2}, {percent:.0} %)")
            }
        }
    }
}

/// Fits times to sizes: `points` are (n, t) in any order and unit, with several t of one n or not.
///
/// # Errors
///
/// When the points are too few or too narrow to tell laws apart, or one is not positive and finite.
pub fn fit(points: &[(f64, f64)]) -> Result<Fit, Inconclusive> {
    let sample = Sample::new(points)?;
    let mut candidates = vec![sample.best_constant()];
    let laws = [Law::Logarithmic, Law::Linearithmic, Law::QuadraticLog];
    for law in laws.into_iter().chain(NAMED.map(Law::Power)) {
        candidates.extend(sample.candidates(law, 0));
    }
    let power = sample.best_power();
    candidates.extend(sample.candidates(power.law, 1));
    candidates.extend(
        sample
            .best_exponential_rate()
            .into_iter()
            .flat_map(|rate| sample.candidates(Law::Exponential(rate), 1)),
    );
    Ok(sample.choose(&candidates, sample.exponent(&power)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::Rng;

    /// Times of doubling sizes with normal noise on ln t.
    fn points(first: f64, count: usize, noise: f64, seed: u64, time: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let mut rng = Rng::new(seed);
        (0..count)
            .map(|i| {
                let n = first * 2f64.powi(i as i32);
                (n, time(n) * (noise * rng.normal()).exp())
            })
            .collect()
    }

    #[test]
    fn laws_are_recognised_with_a_start_up_cost_and_noise() {
        let check = |expected: Law, exponent: f64, time: &dyn Fn(f64) -> f64| {
            let found = (0..20).filter(|&seed| {
                let fit = fit(&points(1000.0, 8, 0.01, seed, time)).expect("enough points");
                if seed == 0 {
                    println!(
                        "{expected}: {fit}, {} at {:.2}, others {:?}",
                        fit.law, fit.confidence, fit.others
                    );
                }
                let near = fit.exponent.low - 0.05 <= exponent && exponent <= fit.exponent.high + 0.05;
                near && fit.law == expected
            });
            let found = found.count();
            assert!(found >= 16, "{expected}: {found} of 20");
        };
        check(Law::Constant, 0.0, &|_| 0.3);
        check(Law::Power(1.0), 1.0, &|n| 0.002 + 1e-6 * n);
        check(Law::Power(1.0), 1.0, &|n| 1e-6 * n);
        check(Law::Power(2.0), 2.0, &|n| 0.002 + 1e-9 * n * n);
        check(Law::Power(3.0), 3.0, &|n| 1e-12 * n.powi(3));
        check(Law::Power(0.5), 0.5, &|n| 1e-3 * n.sqrt());
        check(Law::Power(1.5), 1.5, &|n| 0.002 + 1e-7 * n.powf(1.5));
        check(Law::Linearithmic, 1.11, &|n| 1e-7 * n * n.ln());
        check(Law::QuadraticLog, 2.11, &|n| 1e-10 * n * n * n.ln());
    }

    #[test]
    fn an_odd_exponent_is_a_power_of_its_own() {
        let fit = fit(&points(1000.0, 9, 0.005, 3, |n| 0.001 + 1e-9 * n.powf(2.4))).expect("enough points");
        let Law::Power(k) = fit.law else { panic!("{fit:?}") };
        assert!((k - 2.4).abs() < 0.05, "{fit:?}");
        assert_eq!(fit.law.word(), "polynomial");
    }

    #[test]
    fn exponential_growth_is_no_high_power() {
        let points: Vec<(f64, f64)> = (4..20).map(|n| (f64::from(n), 0.001 + 1e-6 * 2f64.powi(n))).collect();
        let fit = fit(&points).expect("enough points");
        let Law::Exponential(rate) = fit.law else { panic!("{fit:?}") };
        assert!((rate - std::f64::consts::LN_2).abs() < 0.01, "{fit:?}");
        assert_eq!(fit.law.to_string(), "O(2^n)");
        assert_eq!(fit.to_string(), "exponential: doubles every 1 of n");
        assert!((fit.time_at(24.0) / 16.8 - 1.0).abs() < 0.05, "{fit:?}");
    }

    #[test]
    fn too_few_too_narrow_and_impossible_points_have_no_fit() {
        let narrow: Vec<(f64, f64)> = (10..20).map(|n| (f64::from(n), f64::from(n))).collect();
        let repeated = vec![(1.0, 1.0), (1.0, 1.1), (10.0, 2.0), (100.0, 3.0), (100.0, 3.1)];
        assert_eq!(fit(&[]), Err(Inconclusive::TooFew { sizes: 0 }));
        assert_eq!(fit(&repeated), Err(Inconclusive::TooFew { sizes: 3 }));
        assert_eq!(fit(&narrow), Err(Inconclusive::TooNarrow { range: 1.9 }));
        for (size, time) in [(0.0, 1.0), (1.0, 0.0), (f64::INFINITY, 1.0), (1.0, -1.0)] {
            assert_eq!(fit(&[(size, time); 9]), Err(Inconclusive::NoPoint { size, time }));
        }
    }

    #[test]
    fn the_unit_of_the_times_changes_nothing_but_the_costs() {
        let seconds = points(1000.0, 7, 0.02, 5, |n| 0.002 + 1e-9 * n * n);
        let nanoseconds: Vec<(f64, f64)> = seconds.iter().map(|&(n, t)| (n, t * 1e9)).collect();
        let (first, second) = (fit(&seconds).expect("enough"), fit(&nanoseconds).expect("enough"));
        assert_eq!(first.law, second.law);
        assert!((first.exponent.value - second.exponent.value).abs() < 1e-3);
        assert!((first.start_up * 1e9 / second.start_up - 1.0).abs() < 1e-3, "{first:?} {second:?}");
        assert_eq!(first.to_string(), second.to_string());
        assert!(first.to_string().starts_with("quadratic: n^"), "{first}");
    }

    #[test]
    fn the_interval_holds_the_exponent_about_as_often_as_it_says() {
        let sessions: u32 = 100;
        let held = (0..u64::from(sessions)).filter(|&seed| {
            let points = points(500.0, 7, 0.03, seed, |n| 0.002 + 1e-6 * n.powf(1.3));
            let exponent = fit(&points).expect("enough points").exponent;
            exponent.low <= 1.3 && 1.3 <= exponent.high
        });
        let held = held.count();
        println!("{held} of {sessions} intervals hold the exponent");
        // Four standard errors below 95 %.
        assert!(held >= 86, "{held} of {sessions}");
    }
}
