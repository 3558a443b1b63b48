//! Why a session cannot start or go on, with what to do about it.

use std::path::PathBuf;

use super::analysis::AttachError;
use crate::config::{ConfigError, Metric};
use crate::findings::FindingsError;
use crate::machine::{FactsError, LockError};
use crate::measure::MeasureError;
use crate::spec::SpecError;
use crate::sys::wire::Refused;
use crate::verify::LearnError;
use crate::worklog::WorklogError;
use crate::workspace::WorkspaceError;

/// A session that cannot go on. Everything recorded so far stays.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Worklog(#[from] WorklogError),
    #[error(transparent)]
    Measure(#[from] MeasureError),
    #[error(transparent)]
    MeasureLock(#[from] LockError),
    #[error(transparent)]
    Facts(#[from] FactsError),
    #[error("cannot {operation} {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("another perfup session works on this repository{}", pid.map_or(String::new(), |pid| format!(" (process {pid})")))]
    Busy { pid: Option<u32> },
    #[error("the build of the original failed ({end}): `{command}`")]
    BaseBuild { command: String, end: String, log: PathBuf, tail: String },
    #[error("the test command fails on the original ({end}): `{command}`")]
    BaseTests { command: String, end: String, log: PathBuf, tail: String },
    #[error("the original cannot be taken as the reference: {0}")]
    Unlearnable(#[from] LearnError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Findings(#[from] FindingsError),
    #[error("the original behaved differently from before: {what}")]
    BaseChanged { what: String },
    #[error("the best commit so far, checked many times before, now differs from the original: {what}")]
    KeepChanged { what: String },
    #[error("the measurement is not valid: {what}")]
    InvalidMeasurement { what: String },
    /// This machine does not give a metric that should decide, or is guarded.
    #[error("{metric} cannot be measured here: {}", refused.reason)]
    Refused { metric: Metric, refused: Refused },
    /// The original does not give a metric that should decide, or is guarded.
    #[error("the original gave no value for {metric}")]
    NoValue { metric: Metric },
    #[error("there is no session {name:?} to resume")]
    NoSuchSession { name: String },
    #[error("session {session} was measured on another machine, or under another kernel")]
    OtherMachine { session: String },
    #[error("nothing to resume: no session is unfinished")]
    NothingToResume,
    #[error("the recorded {what} of this session cannot be read")]
    BadRecord {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("a record cannot be written")]
    Unwritable(#[source] serde_json::Error),
    #[error("{0}")]
    Protect(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("the report cannot be rendered: {0}")]
    Report(String),
    #[error("interrupted; everything measured so far is kept")]
    Interrupted,
}

impl ExperimentError {
    /// Whether the same session can go on once its cause is gone: interrupted, out of space, locked out.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        matches!(
            self,
            Self::Interrupted
                | Self::Io { .. }
                | Self::Worklog(_)
                | Self::MeasureLock(_)
                | Self::Measure(
                    MeasureError::Interrupted
                        | MeasureError::DiskFull { .. }
                        | MeasureError::Io { .. }
                        | MeasureError::RunnerDied { .. }
                )
                | Self::Workspace(
                    WorkspaceError::NoSpace { .. }
                        | WorkspaceError::Locked { .. }
                        | WorkspaceError::PermissionDenied { .. }
                        | WorkspaceError::Io { .. }
                )
        )
    }

    pub(super) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }
}
