//! Raw samples, a pair at a time: the ground truth from which every decision can be made again.

use rusqlite::{Row, Transaction, params};

use super::{AttemptId, Measurement, PairRow, SessionId, Worklog, WorklogError, all, json};

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
                     sys_ns, rss_bytes_max, stdout_sha256, sample, created_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
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
                        now
                    ],
                )
            };
            insert(transaction, "a", pair.a_first, &pair.a)?;
            insert(transaction, "b", !pair.a_first, &pair.b).map(drop)
        })
    }

    /// The pairs of a phase, by index.
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
        let runs = all(&self.connection, sql, params![session.0, attempt, phase], |row| {
            Ok((row.get::<_, u32>("pair")?, row.get::<_, bool>("first")?, measurement(row)?))
        })
        .map_err(WorklogError::query("read the pairs"))?;
        let mut runs = runs.into_iter();
        let mut pairs = Vec::new();
        // Both arms of a pair are written in one transaction, and sort as a, b.
        while let (Some((index, a_first, a)), Some((_, _, b))) = (runs.next(), runs.next()) {
            pairs.push(PairRow { index, a_first, a, b });
        }
        Ok(pairs)
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
