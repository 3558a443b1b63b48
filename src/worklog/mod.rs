//! The memory: every session, attempt and raw sample, win or dead end, in one SQLite file.
//!
//! In and out: the plain values of `record`. **Invariant**: append-only, enforced by the database itself; an
//! acknowledged row survives a crash; no type of the database's leaves this room.

mod attempts;
mod error;
mod measurements;
mod record;
mod sessions;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use error::WorklogError;
pub use record::{
    Attempt, AttemptId, AttemptResult, AttemptVerdict, Hindrance, Measurement, NewAttempt, NewSession,
    PairRow, Session, SessionId, StateRow,
};

/// Each migration brings the file from its index to the next version.
const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// How long a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// An open worklog.
#[derive(Debug)]
pub struct Worklog {
    connection: Connection,
    clock: fn() -> i64,
}

impl Worklog {
    /// Opens the file, creating or upgrading it as needed.
    ///
    /// # Errors
    /// [`WorklogError`]: unreadable, damaged, newer than this perfup, or no space.
    pub fn open(path: &Path) -> Result<Self, WorklogError> {
        Self::open_with_clock(path, unix_ms)
    }

    fn open_with_clock(path: &Path, clock: fn() -> i64) -> Result<Self, WorklogError> {
        let connection = Connection::open(path).map_err(opening(path))?;
        let mut worklog = Self { connection, clock };
        worklog.configure().map_err(opening(path))?;
        worklog.migrate(path)?;
        Ok(worklog)
    }

    /// Opens an existing file for reading; absent when there is none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_existing(path: &Path) -> Result<Option<Self>, WorklogError> {
        if !path.exists() {
            return Ok(None);
        }
        // Reading a write-ahead log needs its shared-memory file, so the connection is not opened read-only.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(opening(path))?;
        let mut worklog = Self { connection, clock: unix_ms };
        worklog.configure().map_err(opening(path))?;
        worklog.migrate(path)?;
        Ok(Some(worklog))
    }

    fn configure(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        self.connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        // An acknowledged row must survive a power cut, not only a crash of ours.
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        self.connection.pragma_update(None, "foreign_keys", true)
    }

    fn migrate(&mut self, path: &Path) -> Result<(), WorklogError> {
        let supported = MIGRATIONS.len() as i64;
        // IMMEDIATE: of several processes that find an old file, one upgrades it and the others wait.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(opening(path))?;
        let found: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(opening(path))?;
        if found > supported {
            return Err(WorklogError::Newer { path: path.to_owned(), found, supported });
        }
        for migration in &MIGRATIONS[found.max(0) as usize..] {
            transaction.execute_batch(migration).map_err(opening(path))?;
        }
        transaction.pragma_update(None, "user_version", supported).map_err(opening(path))?;
        transaction.commit().map_err(opening(path))
    }

    /// Checks the whole file.
    ///
    /// # Errors
    /// [`WorklogError::Corrupt`] with what SQLite found.
    pub fn check_integrity(&self, path: &Path) -> Result<(), WorklogError> {
        let found: String = self
            .connection
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .map_err(WorklogError::query("check the integrity"))?;
        if found == "ok" { Ok(()) } else { Err(WorklogError::Corrupt { path: path.to_owned(), what: found }) }
    }

    fn now(&self) -> i64 {
        (self.clock)()
    }

    /// Runs `write` in one transaction that sees no other writer in between.
    fn write<T>(
        &mut self,
        operation: &'static str,
        write: impl FnOnce(&rusqlite::Transaction<'_>, i64) -> rusqlite::Result<T>,
    ) -> Result<T, WorklogError> {
        let now = self.now();
        let run = || {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = write(&transaction, now)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(WorklogError::query(operation))
    }
}

fn opening(path: &Path) -> impl FnOnce(rusqlite::Error) -> WorklogError {
    let path: PathBuf = path.to_owned();
    move |error| match WorklogError::query("open")(error) {
        WorklogError::Query { source, .. } => WorklogError::Open { path, source },
        known => known,
    }
}

fn unix_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A JSON column; damaged text becomes an error of the row it stands in.
fn json(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<serde_json::Value> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}
