//! How the steps of an algorithm grow with the size of its input.

use std::fmt;

use serde::{Deserialize, Serialize};

/// n^power · (log₂ n)^logs, or base^n.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Complexity {
    Polynomial { power: f64, logs: i32 },
    Exponential { base: f64 },
}

impl Complexity {
    /// Reads `1`, `log n`, `n`, `n log n`, `n^1.5`, `n^2 log n`, `2^n`, also within `O(…)`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no complexity; write for example n, n log n, n^2 or 2^n");
        let lower = text.trim().to_lowercase();
        let inner = lower.strip_prefix("o(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(&lower);
        if let Some(base) = inner.trim().strip_suffix("^n") {
            let base: f64 = base.trim().parse().map_err(|_| wrong())?;
            return if base > 1.0 && base.is_finite() {
                Ok(Self::Exponential { base })
            } else {
                Err(wrong())
            };
        }
        let spaced = inner.replace(['*', '·', '('], " ").replace(')', " ");
        let (mut power, mut logs) = (0.0, 0);
        let mut words = spaced.split_whitespace().peekable();
        if words.peek().is_none() {
            return Err(wrong());
        }
        while let Some(word) = words.next() {
            match (word, words.peek()) {
                ("1", _) => {}
                ("n", _) => power += 1.0,
                ("log", Some(&"n")) => {
                    words.next();
                    logs += 1;
                }
                ("sqrt", Some(&"n")) => {
                    words.next();
                    power += 0.5;
                }
                _ => {
                    let exponent = word.strip_prefix("n^").and_then(|exponent| exponent.parse::<f64>().ok());
                    power += exponent
                        .filter(|exponent| *exponent > 0.0 && *exponent <= POWER_MAX)
                        .ok_or_else(wrong)?;
                }
            }
        }
        Ok(Self::Polynomial { power, logs })
    }

    /// Steps for an input of size n; infinite where that is beyond all numbers.
    #[must_use]
    pub fn steps(self, n: f64) -> f64 {
        match self {
            // An input of one thing takes a step, too.
            Self::Polynomial { power, logs } => n.powf(power) * n.max(2.0).log2().powi(logs),
            Self::Exponential { base } => base.powf(n),
        }
    }
}

/// Exponents above this are typing errors.
const POWER_MAX: f64 = 10.0;

impl fmt::Display for Complexity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exponential { base } => write!(f, "{base}^n"),
            Self::Polynomial { power, logs } => {
                let logarithm = match logs {
                    0 => String::new(),
                    1 => "log n".to_owned(),
                    logs => format!("(log n)^{logs}"),
                };
                match (power, logarithm.as_str()) {
                    (0.0, "") => f.write_str("1"),
                    (0.0, logarithm) => f.write_str(logarithm),
                    (1.0, logarithm) => write!(f, "n {logarithm}").map(drop),
                    (power, logarithm) => write!(f, "n^{power} {logarithm}").map(drop),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complexities_are_read_and_count_steps() {
        let check = |text: &str, shown: &str, n: f64, steps: f64| {
            let complexity = Complexity::parse(text).unwrap();
            assert_eq!(complexity.to_string().trim(), shown);
            assert!((complexity.steps(n) / steps - 1.0).abs() < 1e-12, "{text}: {}", complexity.steps(n));
        };
        check("1", "1", 1000.0, 1.0);
        check("log n", "log n", 1024.0, 10.0);
        check("n", "n", 1000.0, 1000.0);
        check("O(n log n)", "n log n", 1024.0, 10240.0);
        check("n*log(n)", "n log n", 1024.0, 10240.0);
        check("n^2 log n", "n^2 log n", 4.0, 32.0);
        check("n^1.5", "n^1.5", 4.0, 8.0);
        check("n sqrt n", "n^1.5", 4.0, 8.0);
        check("2^n", "2^n", 10.0, 1024.0);
        for wrong in ["", "n!", "n^", "n^-1", "n^99", "1^n", "x^n", "log", "O(n"] {
            assert!(Complexity::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
