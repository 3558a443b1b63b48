//! What can go wrong with the worklog, in the user's terms.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// A worklog that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WorklogError {
    #[error("cannot open the worklog {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the worklog {} was written by a newer perfup (format {found}, this one knows {supported})", path.display())]
    Newer { path: PathBuf, found: i64, supported: i64 },
    #[error("the worklog {} is damaged: {what}", path.display())]
    Corrupt { path: PathBuf, what: String },
    #[error("no space left on the device that holds the worklog")]
    Full,
    #[error("the worklog cannot be written: it, or its folder, is read-only")]
    ReadOnly,
    #[error("another process has kept the worklog locked for too long")]
    Locked,
    #[error("cannot {operation} in the worklog")]
    Query {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl WorklogError {
    pub(super) fn query(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |error| match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            // Short of space, SQLite also fails in the middle of its own I/O.
            Some(ErrorCode::SystemIoFailure) if no_space(&error) => Self::Full,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            _ => Self::Query { operation, source: Box::new(error) },
        }
    }
}

fn no_space(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return false;
    };
    [rusqlite::ffi::SQLITE_IOERR_WRITE, rusqlite::ffi::SQLITE_IOERR_SHMSIZE].contains(&failure.extended_code)
}
