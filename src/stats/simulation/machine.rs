//! Machines with noise, from which sessions are drawn.

use super::Rng;

/// The machine's noise: ln of how much longer each further run takes than an undisturbed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Normal,
    /// Skewed: exp of a normal, on the time itself.
    Lognormal,
    /// Lag-1 autocorrelation 0.74, as measured on a loaded machine.
    Autocorrelated,
    /// Every run 2 % slower than the one before it: the second slot always loses.
    Drift,
    /// A fast and a slow mode, as with two kinds of core.
    Bimodal,
    /// One run in twenty takes 50 % longer.
    Spikes,
    Cauchy,
    /// The second run of a pair takes exactly 10 % more, as by a thermal or cache penalty: |L| is constant.
    TwoPoint,
    /// Steps of a 10 ms clock on 50 ms: ties and few distinct values.
    CoarseClock,
}

impl Shape {
    pub const ALL: [Self; 9] = [
        Self::Normal,
        Self::Lognormal,
        Self::Autocorrelated,
        Self::Drift,
        Self::Bimodal,
        Self::Spikes,
        Self::Cauchy,
        Self::TwoPoint,
        Self::CoarseClock,
    ];

    /// Those that a real machine shows.
    pub const NOISY: [Self; 6] =
        [Self::Normal, Self::Lognormal, Self::Autocorrelated, Self::Drift, Self::Bimodal, Self::Spikes];
}

/// A machine with its noise.
pub struct Machine {
    rng: Rng,
    noise: Shape,
    last: f64,
    runs: u32,
}

impl Machine {
    pub fn new(noise: Shape, seed: u64) -> Self {
        Self { rng: Rng::new(seed), noise, last: 0.0, runs: 0 }
    }

    /// Of the next run, whichever arm it is of.
    pub fn ln_time(&mut self) -> f64 {
        let first = self.runs.is_multiple_of(2);
        self.runs += 1;
        match self.noise {
            Shape::Normal => 0.1 * self.rng.normal(),
            Shape::Lognormal => (1.0 + (0.8 * self.rng.normal()).exp()).ln(),
            Shape::Autocorrelated => {
                self.last = 0.74 * self.last + 0.1 * self.rng.normal();
                self.last
            }
            Shape::Drift => 0.02 * f64::from(self.runs) + 0.01 * self.rng.normal(),
            Shape::Bimodal => (if self.rng.coin() { 0.4 } else { 0.0 }) + 0.01 * self.rng.normal(),
            Shape::Spikes => {
                (if self.rng.uniform() < 0.05 { 0.5f64.ln_1p() } else { 0.0 }) + 0.03 * self.rng.normal()
            }
            Shape::Cauchy => 0.05 * (std::f64::consts::PI * (self.rng.uniform() - 0.5)).tan(),
            Shape::TwoPoint => {
                if first {
                    0.0
                } else {
                    0.1
                }
            }
            Shape::CoarseClock => (5.0 + (0.8 * self.rng.normal()).round().clamp(-2.0, 2.0)).ln(),
        }
    }

    /// One pair in random order, B's time changed by `effect` (ln).
    pub fn log_ratio(&mut self, effect: f64) -> f64 {
        let (first, second) = (self.ln_time(), self.ln_time());
        effect + if self.rng.coin() { second - first } else { first - second }
    }

    pub fn log_ratios(&mut self, pairs: usize, effect: f64) -> Vec<f64> {
        (0..pairs).map(|_| self.log_ratio(effect)).collect()
    }

    /// ln of the times of a round: `arms` run in random order, each changed by its effect (ln); 0 for the others.
    pub fn round(&mut self, arms: impl Iterator<Item = usize>, effects: &[f64]) -> Vec<f64> {
        let mut order: Vec<usize> = arms.collect();
        let mut ln_times = vec![0.0; effects.len()];
        while !order.is_empty() {
            let drawn = (self.rng.uniform() * order.len() as f64) as usize;
            let arm = order.swap_remove(drawn);
            ln_times[arm] = effects[arm] + self.ln_time();
        }
        ln_times
    }
}
