//! Why there is no report.

use crate::config::Metric;
use crate::machine::{FactsError, LockError};
use crate::measure::MeasureError;
use crate::sys::wire::{Refused, RunEnd};

/// A trial that could not be run to a report.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A contender ended in a way that is no run: nothing can be said about its speed.
    #[error("{name} failed ({end}) in {when}")]
    Failed {
        name: String,
        end: RunEnd,
        /// `warm-up` or the round's number.
        when: String,
        /// What it printed last on standard error, else on standard output.
        tail: String,
    },
    #[error("the {what} command of {name} failed ({end}): {command}")]
    Task { what: &'static str, name: String, command: String, end: RunEnd, tail: String },
    /// A metric that should decide, or is guarded, was not there.
    #[error("{name} gave no value for {metric}")]
    NoValue { name: String, metric: Metric },
    /// This machine does not give a metric that should decide, or is guarded.
    #[error("{metric} cannot be measured here: {}", refused.reason)]
    Refused { metric: Metric, refused: Refused },
    #[error(transparent)]
    Facts(#[from] FactsError),
    #[error(transparent)]
    Measure(#[from] MeasureError),
    #[error("take the right to measure")]
    Lock(#[from] LockError),
    /// Interrupted before the first whole round.
    #[error("interrupted")]
    Interrupted,
}
