//! The size e-value: bets more on the sign of a large log ratio than on that of a small one.
//!
//! **Invariant**: O(1) memory and time per pair; a number that f64 cannot hold understates the evidence.

use super::sign::ln_mean_exp;

/// Effects, in units of the noise, that the bets mix over: below ½ a budget of pairs ends first, and at 4 the
/// bets are all but the whole stake. Each is twice the one before.
const EFFECT_SIZES: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

const COUNT: usize = EFFECT_SIZES.len();

/// Where a running product is turned into a logarithm, far from what f64 can hold.
const PRODUCT_MAX: f64 = 1e200;

/// ∏ (1 ± tanh(λ·x)) over the sizes x so far, for each effect λ and both directions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bets {
    up: Products,
    down: Products,
}

impl Bets {
    pub(super) fn new() -> Self {
        Self { up: Products::new(), down: Products::new() }
    }

    /// A log ratio in units of the noise, relative to the shift.
    ///
    /// 1 + tanh(λ·x) = 2 / (1 + e^(−2λx)), so one exponential serves all λ and both directions: each λ squares the
    /// odds of the one before.
    pub(super) fn push(&mut self, size: f64) {
        let (agreeing, opposing) =
            if size >= 0.0 { (&mut self.up, &mut self.down) } else { (&mut self.down, &mut self.up) };
        let mut odds = (-2.0 * EFFECT_SIZES[0] * size.abs()).exp();
        for i in 0..COUNT {
            let factor = 2.0 / (1.0 + odds);
            agreeing.product[i] *= factor;
            opposing.product[i] *= factor * odds;
            odds *= odds;
        }
        agreeing.keep_in_range();
        opposing.keep_in_range();
    }

    /// The same size `count` times.
    pub(super) fn push_many(&mut self, size: f64, count: usize) {
        if count <= 1 {
            return (0..count).for_each(|_| self.push(size));
        }
        let mut once = Self::new();
        once.push(size);
        for (all, one) in [(&mut self.up, &once.up), (&mut self.down, &once.down)] {
            for i in 0..COUNT {
                all.ln[i] += count as f64 * one.product[i].ln();
            }
        }
    }

    /// Evidence that the centre is above the shift.
    pub(super) fn ln_up(&self) -> f64 {
        self.up.ln_mean()
    }

    /// Evidence that the centre is below the shift.
    pub(super) fn ln_down(&self) -> f64 {
        self.down.ln_mean()
    }

    /// ln of each effect size's product, up or down.
    pub(super) fn ln_each(&self, upward: bool) -> [f64; COUNT] {
        (if upward { &self.up } else { &self.down }).ln()
    }

    pub(super) fn effect_sizes() -> [f64; COUNT] {
        EFFECT_SIZES
    }

    /// At least [`Self::ln_up`] and [`Self::ln_down`], without a logarithm.
    pub(super) fn ln_most(&self) -> f64 {
        self.up.ln_most().max(self.down.ln_most())
    }
}

/// Products over all effect sizes, as e^ln · product.
#[derive(Debug, Clone, Copy)]
struct Products {
    ln: [f64; COUNT],
    product: [f64; COUNT],
}

impl Products {
    fn new() -> Self {
        Self { ln: [0.0; COUNT], product: [1.0; COUNT] }
    }

    fn keep_in_range(&mut self) {
        for i in 0..COUNT {
            let product = self.product[i];
            if product.max(product.recip()) > PRODUCT_MAX {
                self.ln[i] += product.ln();
                self.product[i] = 1.0;
            }
        }
    }

    fn ln(&self) -> [f64; COUNT] {
        std::array::from_fn(|i| self.ln[i] + self.product[i].ln())
    }

    fn ln_mean(&self) -> f64 {
        ln_mean_exp(&self.ln())
    }

    fn ln_most(&self) -> f64 {
        (0..COUNT).map(|i| self.ln[i] + ln_at_most(self.product[i])).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// ln of the power of two above a number that is not negative.
fn ln_at_most(value: f64) -> f64 {
    let exponent = (value.to_bits() >> 52) as i64 - 1023;
    (exponent + 1) as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use std::f64::consts::LN_2;

    use super::*;

    fn bets(sizes: &[f64]) -> Bets {
        let mut bets = Bets::new();
        sizes.iter().for_each(|&size| bets.push(size));
        bets
    }

    #[track_caller]
    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() <= 1e-11 * expected.abs().max(1.0), "{actual} ≠ {expected}");
    }

    #[test]
    fn the_size_part_is_the_product_it_stands_for() {
        let sizes: [f64; 5] = [0.5, -0.2, 1.5, 3.0, -0.7];
        let mean = |direction: f64| {
            let product = |effect: f64| {
                sizes.iter().map(|size| 1.0 + (direction * effect * size).tanh()).product::<f64>()
            };
            EFFECT_SIZES.map(product).iter().sum::<f64>() / COUNT as f64
        };
        close(bets(&sizes).ln_up(), mean(1.0).ln());
        close(bets(&sizes).ln_down(), mean(-1.0).ln());
    }

    #[test]
    fn sizes_far_beyond_the_noise_double_the_stake_or_lose_it() {
        close(bets(&[1e9; 5]).ln_up(), 5.0 * LN_2);
        assert_eq!(bets(&[1e300, -1e300]).ln_up(), f64::NEG_INFINITY);
        assert_eq!(bets(&[1e300, -1e300]).ln_down(), f64::NEG_INFINITY);
        close(bets(&[1e9; 2000]).ln_up(), 2000.0 * LN_2);
        close(bets(&[f64::INFINITY]).ln_up(), LN_2);
    }

    #[test]
    fn many_at_once_are_as_many_one_by_one() {
        for count in [0, 1, 7, 5000] {
            for size in [-3.0, 0.0, 0.4, 40.0] {
                let mut at_once = bets(&[0.3, -1.0]);
                let mut one_by_one = at_once;
                at_once.push_many(size, count);
                (0..count).for_each(|_| one_by_one.push(size));
                close(at_once.ln_up(), one_by_one.ln_up());
                close(at_once.ln_down(), one_by_one.ln_down());
                assert!(at_once.ln_most() >= at_once.ln_up().max(at_once.ln_down()));
                assert!(at_once.ln_most() <= at_once.ln_up().max(at_once.ln_down()) + 3.0 * LN_2);
            }
        }
    }
}
