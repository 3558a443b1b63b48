//! Numbers as people read them: three significant digits, a unit, and a word.

use crate::config::Metric;
use crate::stats::effect::Estimate;

/// `1.23 s`, `45.6 ms`, `789 µs`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    let (value, unit) = match seconds.abs() {
        size if size >= 1.0 || size == 0.0 => (seconds, "s"),
        size if size >= 1e-3 => (seconds * 1e3, "ms"),
        size if size >= 1e-6 => (seconds * 1e6, "µs"),
        _ => (seconds * 1e9, "ns"),
    };
    format!("{} {unit}", three_digits(value))
}

/// `1.50 GiB`, `512 KiB`, `87 B`.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{} {}", three_digits(value), units[unit]) }
}

/// A metric's value with its unit.
#[must_use]
pub fn value(metric: &Metric, value: f64) -> String {
    match metric {
        time if time.is_time() => seconds(value),
        size if size.is_bytes() => bytes(value),
        Metric::Energy => format!("{} J", three_digits(value)),
        _ => count(value),
    }
}

/// `1.23 G`, `45.6 k`, `789`, `0.12`, `1.23e-4`.
#[must_use]
pub fn count(count: f64) -> String {
    let (value, unit) = match count.abs() {
        // Beyond that a power of ten says more than a letter.
        size if size >= 1e15 => (count, ""),
        size if size >= 1e12 => (count / 1e12, " T"),
        size if size >= 1e9 => (count / 1e9, " G"),
        size if size >= 1e6 => (count / 1e6, " M"),
        size if size >= 1e4 => (count / 1e3, " k"),
        _ => (count, ""),
    };
    if unit.is_empty() && value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    format!("{}{unit}", three_digits(value))
}

/// `3 h`, `12 min`: a time span in milliseconds in its largest unit; a clock set back counts as now.
#[must_use]
pub fn span(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..172_800 => format!("{} h", s / 3600),
        _ => format!("{} days", s / 86_400),
    }
}

/// `2.41x faster (2.30–2.52, 14 pairs)`; `1.08x slower (…)`.
#[must_use]
pub fn comparison(estimate: &Estimate, metric: &Metric) -> String {
    let (better, worse) = match metric {
        Metric::PeakRss => ("less memory", "more memory"),
        Metric::Energy => ("less energy", "more energy"),
        Metric::Custom(_) => ("better", "worse"),
        time if time.is_time() => ("faster", "slower"),
        _ => ("fewer", "more"),
    };
    if estimate.pairs == 0 {
        return "no pair to compare".to_owned();
    }
    let speedup = estimate.speedup();
    let (factor, word) = if speedup >= 1.0 { (speedup, better) } else { (estimate.ratio, worse) };
    let (low, high) = if speedup >= 1.0 {
        (estimate.speedup_low(), estimate.speedup_high())
    } else {
        (estimate.low, estimate.high)
    };
    let range = match (low > 0.0, high.is_finite()) {
        (false, false) => "no interval yet".to_owned(),
        (true, false) => format!("at least {}", factor_digits(low)),
        (false, true) => format!("at most {}", factor_digits(high)),
        (true, true) => format!("{}–{}", factor_digits(low), factor_digits(high)),
    };
    format!("{}x {word} ({range}, {} pairs)", factor_digits(factor), estimate.pairs)
}

/// `12 %`; one decimal below 10.
#[must_use]
pub fn percent(share: f64) -> String {
    // Plus zero: an empty sum is −0.
    let value = share * 100.0 + 0.0;
    match value.abs() {
        size if size >= LONG => format!("{value:.1e} %"),
        size if size >= 9.95 => format!("{value:.0} %"),
        _ => format!("{value:.1} %"),
    }
}

/// From here on a number is written with a power of ten.
const LONG: f64 = 1e6;

/// `1.23`, and `1.23e8` where that would be a row of digits.
fn factor_digits(factor: f64) -> String {
    // What is beyond all numbers is at least the largest one.
    let factor = factor.min(f64::MAX);
    if factor >= LONG { format!("{factor:.2e}") } else { format!("{factor:.2}") }
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= LONG || (size < 0.005 && size > 0.0) => format!("{value:.2e}"),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Who is waited for, by process id where that is known.
#[must_use]
pub fn waiting(holder: Option<u32>) -> String {
    let who = holder.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    format!("waiting for another measurement{who}")
}

/// Ascending numbers as people write them: `0–3, 6`.
#[must_use]
pub fn ranges(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let words = runs.filter_map(|run| match (run.first()?, run.last()?) {
        (first, last) if first == last => Some(first.to_string()),
        (first, last) => Some(format!("{first}–{last}")),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::decision::{Noise, Question};
    use crate::stats::effect::estimate;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        assert_eq!(
            [1.234, 0.04567, 0.000_789, 123.4, 0.0].map(seconds),
            ["1.23 s", "45.7 ms", "789 µs", "123 s", "0.00 s"]
        );
        assert_eq!([87.0, 524_288.0, 1.5e9].map(bytes), ["87 B", "512 KiB", "1.40 GiB"]);
        assert_eq!([0.0512, 0.5].map(percent), ["5.1 %", "50 %"]);
        assert_eq!(
            [12.0, 0.1234, 45_678.0, 1e9, 1.234e12, -2e13].map(count),
            ["12", "0.12", "45.7 k", "1.00 G", "1.23 T", "-20.0 T"]
        );
    }

    #[test]
    fn very_large_and_very_small_numbers_have_a_power_of_ten() {
        assert_eq!(
            [1e150, -1.5e18, 1e-150, 0.000_123].map(count),
            ["1.00e150", "-1.50e18", "1.00e-150", "1.23e-4"]
        );
        assert_eq!(seconds(1e-15), "1.00e-6 ns");
        assert_eq!(percent(1e12), "1.0e14 %");
        let far = estimate(&[-100.0; 12], 0.05, Question::Different, Noise::Unknown).unwrap();
        assert_eq!(comparison(&far, &Metric::Wall), "2.69e43x faster (2.69e43–2.69e43, 12 pairs)");
        let beyond = estimate(&[-1400.0; 12], 0.05, Question::Different, Noise::Unknown).unwrap();
        assert_eq!(comparison(&beyond, &Metric::Wall), "1.80e308x faster (at least 1.80e308, 12 pairs)");
        assert_eq!(comparison(&Estimate::unknown(), &Metric::Wall), "no pair to compare");
    }

    #[test]
    fn a_comparison_carries_an_interval_and_a_word() {
        let faster = estimate(&[-0.7; 12], 0.05, Question::Different, Noise::Unknown).unwrap();
        assert_eq!(comparison(&faster, &Metric::Wall), "2.01x faster (2.01–2.01, 12 pairs)");
        let slower = estimate(&[0.1; 3], 0.05, Question::Different, Noise::Unknown).unwrap();
        assert_eq!(comparison(&slower, &Metric::Wall), "1.11x slower (no interval yet, 3 pairs)");
    }

    #[test]
    fn neighbours_are_written_as_a_range() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0–2, 5, 7–8");
        assert_eq!(ranges(&[]), "");
    }
}
