//! Sessions, their states, and the time they have been worked on.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use super::{NewSession, Session, SessionId, StateRow, Worklog, WorklogError, all, json};

impl Worklog {
    /// Opens a session.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn begin_session(&mut self, new: &NewSession) -> Result<SessionId, WorklogError> {
        self.write("record the session", |transaction, now| {
            transaction.execute(
                "INSERT INTO sessions (name, benchmark, command, base_commit, seed, fingerprint, config, machine, \
                 created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    new.name,
                    new.benchmark,
                    new.command,
                    new.base_commit,
                    new.seed.to_string(),
                    new.fingerprint,
                    new.config.to_string(),
                    new.machine.to_string(),
                    now
                ],
            )?;
            Ok(SessionId(transaction.last_insert_rowid()))
        })
    }

    /// Closes a session for good.
    ///
    /// # Errors
    /// [`WorklogError`]; also when it is closed already.
    pub fn close_session(&mut self, id: SessionId, outcome: &str) -> Result<(), WorklogError> {
        self.write("close the session", |transaction, now| {
            let sql = "UPDATE sessions SET outcome = ?2, closed_at = ?3 WHERE id = ?1";
            transaction.execute(sql, params![id.0, outcome, now]).map(drop)
        })
    }

    /// All sessions, oldest first.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn sessions(&self) -> Result<Vec<Session>, WorklogError> {
        all(&self.connection, "SELECT * FROM sessions ORDER BY id", [], session)
            .map_err(WorklogError::query("list the sessions"))
    }

    /// The session of this name.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn session_by_name(&self, name: &str) -> Result<Option<Session>, WorklogError> {
        self.connection
            .query_row("SELECT * FROM sessions WHERE name = ?1", [name], session)
            .optional()
            .map_err(WorklogError::query("find the session"))
    }

    /// Records that the session has reached a state.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn record_session(&mut self, id: SessionId, state: &str, detail: &Value) -> Result<(), WorklogError> {
        self.write("record the session's state", |transaction, now| {
            let sql =
                "INSERT INTO session_states (session_id, state, detail, created_at) VALUES (?1, ?2, ?3, ?4)";
            transaction.execute(sql, params![id.0, state, detail.to_string(), now]).map(drop)
        })
    }

    /// What was last recorded for a state of the session; absent when it never reached it.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn session_detail(&self, id: SessionId, state: &str) -> Result<Option<Value>, WorklogError> {
        let sql =
            "SELECT detail FROM session_states WHERE session_id = ?1 AND state = ?2 ORDER BY id DESC LIMIT 1";
        self.connection
            .query_row(sql, params![id.0, state], |row| json(row, "detail"))
            .optional()
            .map_err(WorklogError::query("read the session's state"))
    }

    /// All states of the session, in order.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn session_states(&self, id: SessionId) -> Result<Vec<StateRow>, WorklogError> {
        let sql = "SELECT state, detail, created_at FROM session_states WHERE session_id = ?1 ORDER BY id";
        all(&self.connection, sql, [id.0], state_row)
            .map_err(WorklogError::query("read the session's states"))
    }

    /// Notes that a process begins to work on the session.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn begin_epoch(&mut self, id: SessionId, pid: u32) -> Result<(), WorklogError> {
        self.write("record the start of work", |transaction, now| {
            let sql = "INSERT INTO epochs (session_id, pid, started_at) VALUES (?1, ?2, ?3)";
            transaction.execute(sql, params![id.0, pid, now]).map(drop)
        })
    }

    /// Milliseconds spent on the session by all processes: each from its start to the last row it wrote, the present
    /// one to now. A killed process loses what came after its last row.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn active_ms(&self, id: SessionId) -> Result<i64, WorklogError> {
        let sql = "
            WITH rows(at) AS (
              SELECT created_at FROM session_states WHERE session_id = ?1
              UNION ALL SELECT created_at FROM measurements WHERE session_id = ?1
              UNION ALL SELECT s.created_at FROM attempt_states s JOIN attempts a ON a.id = s.attempt_id
                WHERE a.session_id = ?1
            ),
            spans AS (
              SELECT started_at, lead(started_at) OVER (ORDER BY id) AS next FROM epochs WHERE session_id = ?1
            )
            SELECT coalesce(sum(
              CASE WHEN next IS NULL THEN max(?2 - started_at, 0)
              ELSE coalesce((SELECT max(at) FROM rows WHERE at >= started_at AND at <= next), started_at) - started_at
              END), 0) FROM spans";
        self.connection
            .query_row(sql, params![id.0, self.now()], |row| row.get(0))
            .map_err(WorklogError::query("sum up the time spent"))
    }
}

pub(super) fn state_row(row: &Row<'_>) -> rusqlite::Result<StateRow> {
    Ok(StateRow {
        state: row.get("state")?,
        detail: json(row, "detail")?,
        created_at: row.get("created_at")?,
    })
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let seed: String = row.get("seed")?;
    let seed = seed.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(Session {
        id: SessionId(row.get("id")?),
        name: row.get("name")?,
        benchmark: row.get("benchmark")?,
        command: row.get("command")?,
        base_commit: row.get("base_commit")?,
        seed,
        fingerprint: row.get("fingerprint")?,
        config: json(row, "config")?,
        machine: json(row, "machine")?,
        created_at: row.get("created_at")?,
        outcome: row.get("outcome")?,
        closed_at: row.get("closed_at")?,
    })
}
