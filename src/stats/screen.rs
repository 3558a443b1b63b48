//! The cheap look at a candidate before it is worth a real test.
//!
//! **Invariant**: may only discard. It controls no error rate, so nothing is ever kept or claimed on its word.

use serde::{Deserialize, Serialize};

use super::summary::median;

/// Pairs that a screen measures by default.
pub const SCREEN_PAIRS: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Screen {
    /// Worth confirming.
    Promising,
    /// No more than half of the pairs point to faster, and the estimate is not faster by the minimum effect.
    Hopeless,
}

/// Screens log ratios (ln B/A); `min_effect` as in `decision::TestPlan`. No pairs speak against nothing.
///
/// The estimate is the median: among six pairs one wild value can turn the Hodges–Lehmann estimate, not the median.
#[must_use]
pub fn screen(log_ratios: &[f64], min_effect: f64) -> Screen {
    let faster = log_ratios.iter().filter(|&&value| value < 0.0).count();
    let Some(centre) = median(log_ratios) else {
        return Screen::Promising;
    };
    let few = 2 * faster <= log_ratios.len();
    if few && centre > -min_effect.ln_1p() { Screen::Hopeless } else { Screen::Promising }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discards_only_what_neither_signs_nor_size_support() {
        let check =
            |log_ratios: &[f64], expected| assert_eq!(screen(log_ratios, 0.05), expected, "{log_ratios:?}");
        check(&[], Screen::Promising);
        check(&[0.0; 6], Screen::Hopeless);
        check(&[0.1, 0.2, -0.1, 0.1, 0.3, -0.2], Screen::Hopeless);
        check(&[-0.1, -0.2, -0.1, -0.1, 0.3, 0.2], Screen::Promising);
        // Half point to faster, but by far: the median is −0.145.
        check(&[-0.3, -0.4, -0.3, 0.01, 0.02, 0.01], Screen::Promising);
        // A small but consistent gain is for the confirmation to judge.
        check(&[-0.001; 6], Screen::Promising);
        check(&[f64::NAN; 6], Screen::Promising);
    }
}
