//! Why there is no report.

use crate::config::Metric;
use crate::machine::{FactsError, LockError};
use crate::measure::{Around, MeasureError};
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
    Task { what: Around, name: String, command: String, end: RunEnd, tail: String },
    /// A metric that should decide, or is guarded, was not there.
    #[error("{name} gave no value for {metric}")]
    NoValue { name: String, metric: Metric },
    /// This machine does not give a metric that should decide, or is guarded.
    #[error("{metric} cannot be measured here: {}", refused.reason)]
    Refused { metric: Metric, refused: Refused },
    #[error(transparent)]
    Facts(#[from] FactsError),
    #[error(transparent)]
    Measure(MeasureError),
    #[error("take the right to measure")]
    Lock(#[source] LockError),
    /// By Ctrl-C or a termination request; [`run`](super::run) gives it only before the first whole round.
    #[error("interrupted")]
    Interrupted,
}

impl From<MeasureError> for TrialError {
    fn from(error: MeasureError) -> Self {
        match error {
            MeasureError::Interrupted => Self::Interrupted,
            error => Self::Measure(error),
        }
    }
}

impl From<LockError> for TrialError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Interrupted => Self::Interrupted,
            error @ LockError::Io { .. } => Self::Lock(error),
        }
    }
}
