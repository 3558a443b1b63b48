//! Error control for a keep/discard loop: twenty no-op candidates must not add up to a false keep.
//!
//! e-LOND (Xu & Ramdas 2024, "Online multiple testing with e-values"): candidate t is kept only if its e-value
//! reaches 1/α_t with `α_t = α · γ_t · (R + 1)`, where R counts the keeps so far and Σγ ≤ 1. The false discovery rate
//! is at most α under any dependence between candidates, and while there is nothing to find so is the probability of
//! any keep.
//!
//! **Invariant**: levels depend on the attempt's number and the keeps alone, never on the evidence itself.

/// Levels for a finite number of attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ELond {
    alpha: f64,
    attempts_max: usize,
    /// Σ weight over the budget.
    total: f64,
}

/// γ_t ∝ 1/√t: the best hypotheses come first, so they get more of the budget, but a late find must stay in reach.
///
/// Simulated power (share of real speed-ups kept; 20 attempts, 60 % real at first and 15 % fewer each time, effects
/// 3–20 %, signs alone; 600 loops a cell, standard error 0.01):
///
/// | noise of a pair, pairs at most | uniform | 1/√t | 1/t | 1/t² |
/// |---|---|---|---|---|
/// | 0.02, 20 | 1.00 | 1.00 | 1.00 | 1.00 |
/// | 0.1, 40 | 0.77 | 0.78 | 0.78 | 0.76 |
/// | 0.2, 40 | 0.34 | 0.37 | 0.36 | 0.34 |
/// | 0.3, 60 | 0.21 | 0.24 | 0.23 | 0.21 |
///
/// The choice is worth little, as a level enters the number of pairs by its logarithm only; so the mildest decay,
/// which forgives a bad ranking: the last of 20 still has 3/5 of the uniform level, with 1/t it would have 2/7.
fn weight(attempt: usize) -> f64 {
    1.0 / (attempt as f64).sqrt()
}

impl ELond {
    #[must_use]
    pub fn new(alpha: f64, attempts_max: usize) -> Self {
        Self { alpha, attempts_max, total: (1..=attempts_max).map(weight).sum() }
    }

    /// α_t of the `attempt`-th candidate (from 1) after `keeps_so_far`; 0, which nothing can reach, outside the budget.
    #[must_use]
    pub fn level(&self, attempt: usize, keeps_so_far: usize) -> f64 {
        if attempt == 0 || attempt > self.attempts_max {
            return 0.0;
        }
        self.alpha * weight(attempt) / self.total * (keeps_so_far + 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_spend_alpha_exactly_and_fall() {
        for attempts_max in [1, 2, 20, 500] {
            let lond = ELond::new(0.05, attempts_max);
            let levels: Vec<f64> = (1..=attempts_max).map(|attempt| lond.level(attempt, 0)).collect();
            assert!((levels.iter().sum::<f64>() - 0.05).abs() < 1e-12, "{attempts_max} attempts");
            assert!(levels.is_sorted_by(|earlier, later| earlier > later));
        }
    }

    #[test]
    fn the_last_of_twenty_has_three_fifths_of_the_uniform_level() {
        let share = ELond::new(0.05, 20).level(20, 0) / (0.05 / 20.0);
        assert!((0.58..0.60).contains(&share), "{share}");
    }

    #[test]
    fn a_keep_raises_the_level_and_the_budget_ends() {
        let lond = ELond::new(0.05, 20);
        assert_eq!(lond.level(7, 2), 3.0 * lond.level(7, 0));
        for outside in [0, 21] {
            assert_eq!(lond.level(outside, 5), 0.0);
        }
    }
}
