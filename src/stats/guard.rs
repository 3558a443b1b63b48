//! Whether a metric that must not get worse has kept within what is allowed.
//!
//! The question is turned around from that of a gain: a guard holds only when its interval shows it, so too few pairs
//! leave it open.

use serde::{Deserialize, Serialize};

use super::effect::Estimate;

/// How a guarded metric came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardWord {
    /// Shown to be no worse than allowed.
    Held,
    /// Shown to be worse than allowed.
    Violated,
    /// Neither is shown.
    Open,
}

/// The word for an estimate of B / A, turned so that above 1 is worse; `worse_max` is the fraction allowed. Each word is
/// as sure as the estimate's bounds.
#[must_use]
pub fn guard(estimate: &Estimate, worse_max: f64) -> GuardWord {
    let limit = 1.0 + worse_max;
    match estimate {
        Estimate { low, .. } if *low > limit => GuardWord::Violated,
        Estimate { high, .. } if *high <= limit => GuardWord::Held,
        _ => GuardWord::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::decision::{Noise, Question};
    use crate::stats::effect::estimate;

    #[test]
    fn a_guard_holds_only_when_that_is_shown() {
        let check = |worse: f64, pairs: usize, expected: GuardWord| {
            let estimate = estimate(&vec![worse.ln_1p(); pairs], 0.05, Question::Faster, Noise::Unknown);
            assert_eq!(guard(&estimate.unwrap(), 0.05), expected, "{worse} {pairs}");
        };
        check(0.0, 3, GuardWord::Open);
        check(0.5, 3, GuardWord::Open);
        check(-0.5, 20, GuardWord::Held);
        check(0.0, 20, GuardWord::Held);
        check(0.049, 20, GuardWord::Held);
        check(0.06, 20, GuardWord::Violated);
        assert_eq!(guard(&Estimate::unknown(), 0.05), GuardWord::Open);
    }
}
