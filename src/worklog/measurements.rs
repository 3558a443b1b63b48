//! Raw samples, a pair at a time: the ground truth from which every decision can be made again.

use rusqlite::{Row, Transaction, params};

use super::{AttemptId, Hindrance, Measurement, PairRow, SessionId, Worklog, WorklogError, json};

impl Worklog {
    /// Appends both runs of a pair, or neither. `attempt` is absent for the control and the claim.
    ///
    /// # Errors
    /// [`WorklogError`]; also when this pair was recorded before.
    pub fn append_pair(
        &mut self,
        session: SessionId,
        attempt: Option<AttemptId>,
        phase: &str,
        pair: &PairRow,
    ) -> Result<(), WorklogError> {
        let attempt = attempt.map(|id| id.0);
        self.write("record the pair", |transaction, now| {
            let insert = |transaction: &Transaction<'_>, arm: &str, first: bool, run: &Measurement| {
                transaction.execute(
                    "INSERT INTO measurements (session_id, attempt_id, phase, pair, arm, first, wall_ns, user_ns, \
                     sys_ns, rss_bytes_max, stdout_sha256, sample, created_at, steal_share, \
                     wait_share, redone) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                    params![
                        session.0,
                        attempt,
                        phase,
                        pair.index,
                        arm,
                        first,
                        run.wall_ns as i64,
                        run.user_ns as i64,
                        run.sys_ns as i64,
                        run.rss_bytes_max as i64,
                        run.stdout_sha256,
                        run.sample.to_string(),
                        now,
                        pair.steal_share,
                        pair.wait_share,
                        pair.redone
                    ],
                )
            };
            insert(transaction, "a", pair.a_first, &pair.a)?;
            insert(transaction, "b", !pair.a_first, &pair.b).map(drop)
        })
    }

    /// What got in the way of each pair of a session, in the order in which they were run.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn hindrances(&self, session: SessionId) -> Result<Vec<Hindrance>, WorklogError> {
        let sql = "SELECT phase, steal_share, wait_share, redone FROM measurements \
                   WHERE session_id = ?1 AND arm = 'a' ORDER BY id";
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([session.0], |row| {
                Ok(Hindrance {
                    phase: row.get("phase")?,
                    steal_share: row.get("steal_share")?,
                    wait_share: row.get("wait_share")?,
                    redone: row.get("redone")?,
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(WorklogError::query("read what disturbed the pairs"))
    }

    /// The pairs of a phase, by index, those that were run again among them.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn pairs(
        &self,
        session: SessionId,
        attempt: Option<AttemptId>,
        phase: &str,
    ) -> Result<Vec<PairRow>, WorklogError> {
        let sql = "SELECT * FROM measurements WHERE session_id = ?1 AND ifnull(attempt_id, 0) = ?2 AND phase = ?3 \
                   ORDER BY pair, arm";
        let attempt = attempt.map_or(0, |id| id.0);
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![session.0, attempt, phase])?;
            let mut pairs = Vec::new();
            // Both arms of a pair are written in one transaction, and sort as a, b.
            while let Some(row) = rows.next()? {
                let mut pair = PairRow {
                    index: row.get("pair")?,
                    a_first: row.get("first")?,
                    steal_share: row.get("steal_share")?,
                    wait_share: row.get("wait_share")?,
                    redone: row.get("redone")?,
                    a: measurement(row)?,
                    b: measurement(row)?,
                };
                let Some(row) = rows.next()? else {
                    break;
                };
                pair.b = measurement(row)?;
                pairs.push(pair);
            }
            Ok(pairs)
        };
        read().map_err(WorklogError::query("read the pairs"))
    }
}

fn measurement(row: &Row<'_>) -> rusqlite::Result<Measurement> {
    let count = |column| row.get::<_, i64>(column).map(|value| value.max(0) as u64);
    Ok(Measurement {
        wall_ns: count("wall_ns")?,
        user_ns: count("user_ns")?,
        sys_ns: count("sys_ns")?,
        rss_bytes_max: count("rss_bytes_max")?,
        stdout_sha256: row.get("stdout_sha256")?,
        sample: json(row, "sample")?,
    })
}
