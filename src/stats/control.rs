//! The null control: pairs of A against A, from which the noise of a session is learned.
//!
//! It cannot find a bias: with the order drawn by a fair coin, neither of two runs of one program is more often the
//! larger one, whatever they leave behind. [`carry_over`](super::carry_over) looks for that.
//!
//! **Invariant**: looks at the control only, never at the comparison whose noise it tells.

use serde::{Deserialize, Serialize};

use super::summary::{MAD_TO_SIGMA, excess_kurtosis, mad};

/// Fewest pairs whose spread is taken for the session's noise: their MAD is then within a factor of 2 of it in 6 of
/// 7 normal samples, and a worse guess costs at most the weight of the size part, about a pair.
pub const NOISE_PAIRS_MIN: usize = 8;

/// What pairs of A against A say about the noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NullControl {
    pub pairs: usize,
    /// 1.4826 · MAD of the control's log ratios, for [`Noise::Known`](super::noise::Noise::Known); absent below [`NOISE_PAIRS_MIN`] pairs, or
    /// when at least half of them are the same.
    pub noise: Option<f64>,
    /// Excess kurtosis: below −1 the noise has two levels, above 1 wild values; absent below four pairs or without
    /// any noise. For people: no decision depends on it.
    pub kurtosis: Option<f64>,
}

/// Learns the noise from log ratios of A against A.
#[must_use]
pub fn null_control(log_ratios: &[f64]) -> NullControl {
    let enough = log_ratios.len() >= NOISE_PAIRS_MIN;
    let noise = mad(log_ratios).map(|mad| mad * MAD_TO_SIGMA);
    NullControl {
        pairs: log_ratios.len(),
        noise: noise.filter(|&noise| enough && noise > 0.0 && noise.is_finite()),
        kurtosis: excess_kurtosis(log_ratios),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_controls() {
        let check = |values: &[f64], noise: Option<f64>| {
            let control = null_control(values);
            assert_eq!(control.pairs, values.len(), "{control:?}");
            match (control.noise, noise) {
                (Some(actual), Some(expected)) => assert!((actual - expected).abs() < 1e-12, "{control:?}"),
                (actual, expected) => assert_eq!(actual, expected, "{control:?}"),
            }
        };
        let normal = [-0.14, -0.09, -0.05, -0.02, 0.02, 0.05, 0.09, 0.14];
        check(&[], None);
        check(&normal[..7], None);
        check(&normal, Some(0.07 * MAD_TO_SIGMA));
        check(&normal.map(|value| value + 0.2), Some(0.07 * MAD_TO_SIGMA));
        check(&[0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1], Some(0.1 * MAD_TO_SIGMA));
        check(&[0.0; 20], None);
        check(&[f64::NAN; 10], None);
    }
}
