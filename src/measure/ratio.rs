//! Two values as one number: the log ratio that all evidence is made of.

use crate::config::{Better, Metric, Objective};

/// ln(B/A), turned so that negative is better. NaN where the values have no ratio.
///
/// A metric that is counted in units may be zero; a zero then counts as half a unit, which keeps the sign.
#[must_use]
pub fn log_ratio(objective: &Objective, a: f64, b: f64) -> f64 {
    let half = half_unit(&objective.metric);
    // A difference of logarithms, because the ratio itself may be too large or too small for a number.
    let ratio = if a == b { 0.0 } else { b.max(half).ln() - a.max(half).ln() };
    match objective.better {
        Better::Lower => ratio,
        Better::Higher => -ratio,
    }
}

/// Half of the smallest step that a metric can take, 0 where there is none.
fn half_unit(metric: &Metric) -> f64 {
    match metric {
        // rusage counts microseconds.
        Metric::User | Metric::Sys | Metric::Cpu => 0.5e-6,
        Metric::Wall | Metric::RunqueueWait => 0.5e-9,
        Metric::Energy => 0.5e-6,
        Metric::Custom(_) => 0.0,
        _ => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_negative_and_zeroes_keep_their_sign() {
        let check = |metric: Metric, better, a: f64, b: f64, sign: f64| {
            let ratio = log_ratio(&Objective { metric, better }, a, b);
            assert!(ratio.is_finite() && (ratio == sign || ratio.signum() == sign), "{a} {b}: {ratio}");
        };
        check(Metric::Wall, Better::Lower, 2.0, 1.0, -1.0);
        check(Metric::Custom("tps".to_owned()), Better::Higher, 10.0, 20.0, -1.0);
        check(Metric::MajorFaults, Better::Lower, 0.0, 0.0, 0.0);
        check(Metric::MajorFaults, Better::Lower, 0.0, 3.0, 1.0);
        check(Metric::MajorFaults, Better::Lower, 3.0, 0.0, -1.0);
        check(Metric::Custom("x".to_owned()), Better::Lower, 1e-308, 1e308, 1.0);
        check(Metric::Custom("x".to_owned()), Better::Lower, 1e308, 1e-308, -1.0);
        let none = Objective::lower(Metric::Custom("x".to_owned()));
        assert!(!log_ratio(&none, 0.0, 3.0).is_finite());
        assert!(log_ratio(&none, -1.0, 3.0).is_nan() || !log_ratio(&none, -1.0, 3.0).is_finite());
    }
}
