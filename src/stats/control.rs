//! The null control: pairs of A against A, which must find nothing.
//!
//! **Invariant**: looks at the control only, never at the comparison that it vouches for.

use serde::{Deserialize, Serialize};

use super::sign::ln_sign_e;
use super::summary::{MAD_TO_SIGMA, excess_kurtosis, mad};

/// Fewest pairs whose spread is taken for the session's noise: their MAD is then within a factor of 2 of it in 6 of
/// 7 normal samples, and a worse guess costs at most the weight of the size part, about a pair.
pub const NOISE_PAIRS_MIN: usize = 8;

/// What pairs of A against A say about the session.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NullControl {
    pub health: Health,
    pub pairs: usize,
    /// ln of the two-sided sign e-value.
    pub e_value_ln: f64,
    /// 1.4826 · MAD of the control's log ratios, for [`Noise::Known`](super::noise::Noise::Known); absent below [`NOISE_PAIRS_MIN`] pairs, or
    /// when at least half of them are the same.
    pub noise: Option<f64>,
    /// Excess kurtosis: below −1 the noise has two levels, above 1 wild values; absent below four pairs or without
    /// any noise. For people: no decision depends on it.
    pub kurtosis: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    Fine,
    /// The control "finds" a difference between A and itself, or did not measure numbers.
    Biased,
}

/// Judges the null control of a session. Below `pairs_needed_at_least` pairs it cannot find a bias.
#[must_use]
pub fn null_control(log_ratios: &[f64], alpha: f64) -> NullControl {
    let measured = log_ratios.iter().all(|value| value.is_finite());
    let below = log_ratios.iter().filter(|&&value| value < 0.0).count();
    let above = log_ratios.iter().filter(|&&value| value > 0.0).count();
    let e_value_ln = ln_sign_e(below, below + above);
    let enough = log_ratios.len() >= NOISE_PAIRS_MIN;
    let noise = mad(log_ratios).map(|mad| mad * MAD_TO_SIGMA);
    NullControl {
        health: if measured && e_value_ln < -alpha.ln() { Health::Fine } else { Health::Biased },
        pairs: log_ratios.len(),
        e_value_ln,
        noise: noise.filter(|&noise| enough && noise > 0.0 && noise.is_finite()),
        kurtosis: excess_kurtosis(log_ratios),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_controls() {
        let check = |values: &[f64], health, noise: Option<f64>| {
            let control = null_control(values, 0.05);
            assert_eq!((control.health, control.pairs), (health, values.len()), "{control:?}");
            match (control.noise, noise) {
                (Some(actual), Some(expected)) => assert!((actual - expected).abs() < 1e-12, "{control:?}"),
                (actual, expected) => assert_eq!(actual, expected, "{control:?}"),
            }
        };
        let normal = [-0.14, -0.09, -0.05, -0.02, 0.02, 0.05, 0.09, 0.14];
        check(&[], Health::Fine, None);
        check(&normal[..7], Health::Fine, None);
        check(&normal, Health::Fine, Some(0.07 * MAD_TO_SIGMA));
        check(&normal.map(|value| value + 0.2), Health::Biased, Some(0.07 * MAD_TO_SIGMA));
        check(&[0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1], Health::Fine, Some(0.1 * MAD_TO_SIGMA));
        check(&[0.0; 20], Health::Fine, None);
        check(&[0.1, f64::NAN], Health::Biased, None);
        check(&[f64::NAN; 10], Health::Biased, None);
    }
}
