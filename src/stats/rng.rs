//! Reproducible random numbers: counter-based draws for experiments, a sequential stream for simulations.
//!
//! **Invariant**: a draw depends on its arguments only, so an experiment that resumes at pair 17 flips the same coin
//! for pair 17 as one that was never interrupted.

/// 2^64 / golden ratio, the Weyl increment of SplitMix64 (Steele, Lea, Flood 2014).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The stream that [`coin`] draws from; other users of the same seed take other numbers.
pub const COIN_STREAM: u64 = 0;

/// The `index`-th 64 random bits of a stream of a seed.
#[must_use]
pub fn draw(seed: u64, stream: u64, index: u64) -> u64 {
    let keyed = mix(seed.wrapping_add(GOLDEN));
    let keyed = mix(keyed ^ stream.wrapping_mul(GOLDEN).wrapping_add(GOLDEN));
    mix(keyed.wrapping_add(index.wrapping_mul(GOLDEN)).wrapping_add(GOLDEN))
}

/// The fair coin of pair `index`: true puts A first.
#[must_use]
pub fn coin(seed: u64, index: u64) -> bool {
    draw(seed, COIN_STREAM, index) >> 63 == 1
}

/// SplitMix64's output function: a bijection that spreads every input bit over all output bits.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// A sequential SplitMix64, for simulations.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

impl Rng {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    pub fn coin(&mut self) -> bool {
        self.bits() >> 63 == 1
    }

    /// Uniform in the open interval (0, 1), so that its logarithm is finite.
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) * 2f64.powi(-52)
    }

    /// Standard normal (Box–Muller, one of the two values).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.bits(), 6_457_827_717_110_365_317);
        assert_eq!(rng.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_draw_is_pinned_and_depends_on_each_argument() {
        let base = draw(1, 2, 3);
        assert_eq!(base, draw(1, 2, 3));
        for other in [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(2, 1, 3), draw(1, 3, 2)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn coins_are_fair_and_serially_independent() {
        for seed in 0..20 {
            let flips: Vec<bool> = (0..10_000).map(|index| coin(seed, index)).collect();
            let heads = flips.iter().filter(|&&flip| flip).count();
            let repeats = flips.windows(2).filter(|two| two[0] == two[1]).count();
            // Five standard deviations of Binomial(10 000, ½).
            assert!(heads.abs_diff(5_000) < 250, "seed {seed}: {heads} heads");
            assert!(repeats.abs_diff(5_000) < 250, "seed {seed}: {repeats} repeats");
        }
    }

    #[test]
    fn normal_has_unit_moments() {
        let mut rng = Rng::new(5);
        let values: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let summary = (super::super::summary::mean(&values), super::super::summary::variance(&values));
        let (Some(mean), Some(variance)) = summary else { panic!("20 000 values have moments") };
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
