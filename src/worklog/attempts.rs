//! Attempts: the hypothesis before the change, each state on the way, the result at the end.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use super::sessions::state_row;
use super::{
    Attempt, AttemptId, AttemptResult, AttemptVerdict, NewAttempt, SessionId, StateRow, Worklog,
    WorklogError, all, json,
};

const INSERT_STATE: &str =
    "INSERT INTO attempt_states (attempt_id, state, detail, created_at) VALUES (?1, ?2, ?3, ?4)";

impl Worklog {
    /// Writes the hypothesis down, before anything is changed; its first state is `planned`.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn plan_attempt(&mut self, new: &NewAttempt) -> Result<AttemptId, WorklogError> {
        self.write("record the hypothesis", |transaction, now| {
            transaction.execute(
                "INSERT INTO attempts (session_id, number, key, recipe, level, hypothesis, proposal, base_commit, \
                 alpha, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    new.session.0,
                    new.number,
                    new.key,
                    new.recipe,
                    new.level,
                    new.hypothesis,
                    new.proposal.to_string(),
                    new.base_commit,
                    new.alpha,
                    now
                ],
            )?;
            let id = transaction.last_insert_rowid();
            transaction.execute(INSERT_STATE, params![id, "planned", "{\"state\":\"planned\"}", now])?;
            Ok(AttemptId(id))
        })
    }

    /// Records that an attempt has reached a state.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn advance(&mut self, id: AttemptId, state: &str, detail: &Value) -> Result<(), WorklogError> {
        self.write("record the attempt's state", |transaction, now| {
            transaction.execute(INSERT_STATE, params![id.0, state, detail.to_string(), now]).map(drop)
        })
    }

    /// Writes the result; the row can never be changed again.
    ///
    /// # Errors
    /// [`WorklogError`]; also when it is closed already.
    pub fn close_attempt(&mut self, id: AttemptId, result: &AttemptResult) -> Result<(), WorklogError> {
        self.write("close the attempt", |transaction, now| {
            transaction.execute(
                "UPDATE attempts SET verdict = ?2, status = ?3, reason = ?4, explanation = ?5, \
                 change_description = ?6, baseline_metric = ?7, result_metric = ?8, delta_pct = ?9, e_value_ln = ?10, \
                 threshold_ln = ?11, evidence = ?12, branch = ?13, commit_id = ?14, diff_sha256 = ?15, \
                 closed_at = ?16 WHERE id = ?1",
                params![
                    id.0,
                    result.verdict.word(),
                    result.status,
                    result.reason,
                    result.explanation,
                    result.change_description,
                    result.baseline_metric,
                    result.result_metric,
                    result.delta_pct,
                    result.e_value_ln,
                    result.threshold_ln,
                    result.evidence.to_string(),
                    result.branch,
                    result.commit_id,
                    result.diff_sha256,
                    now
                ],
            )?;
            let detail = serde_json::json!({ "state": "closed", "reason": result.reason }).to_string();
            transaction.execute(INSERT_STATE, params![id.0, "closed", detail, now]).map(drop)
        })
    }

    /// The attempts of one session in order, or of all sessions.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn attempts(&self, session: Option<SessionId>) -> Result<Vec<Attempt>, WorklogError> {
        let sql = "SELECT * FROM attempts WHERE ?1 IS NULL OR session_id = ?1 ORDER BY id";
        all(&self.connection, sql, [session.map(|id| id.0)], attempt)
            .map_err(WorklogError::query("list the attempts"))
    }

    /// One attempt.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, WorklogError> {
        self.connection
            .query_row("SELECT * FROM attempts WHERE id = ?1", [id.0], attempt)
            .optional()
            .map_err(WorklogError::query("find the attempt"))
    }

    /// The states of an attempt, in order; never empty.
    ///
    /// # Errors
    /// [`WorklogError`].
    pub fn attempt_states(&self, id: AttemptId) -> Result<Vec<StateRow>, WorklogError> {
        let sql = "SELECT state, detail, created_at FROM attempt_states WHERE attempt_id = ?1 ORDER BY id";
        all(&self.connection, sql, [id.0], state_row)
            .map_err(WorklogError::query("read the attempt's states"))
    }
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let verdict: String = row.get("verdict")?;
    let has_evidence = row.get::<_, Option<String>>("evidence")?.is_some();
    Ok(Attempt {
        id: AttemptId(row.get("id")?),
        session: SessionId(row.get("session_id")?),
        number: row.get("number")?,
        key: row.get("key")?,
        recipe: row.get("recipe")?,
        level: row.get("level")?,
        hypothesis: row.get("hypothesis")?,
        proposal: json(row, "proposal")?,
        base_commit: row.get("base_commit")?,
        alpha: row.get("alpha")?,
        created_at: row.get("created_at")?,
        verdict: AttemptVerdict::from_word(&verdict),
        status: row.get("status")?,
        reason: row.get("reason")?,
        explanation: row.get("explanation")?,
        change_description: row.get("change_description")?,
        baseline_metric: row.get("baseline_metric")?,
        result_metric: row.get("result_metric")?,
        delta_pct: row.get("delta_pct")?,
        e_value_ln: row.get("e_value_ln")?,
        threshold_ln: row.get("threshold_ln")?,
        evidence: if has_evidence { Some(json(row, "evidence")?) } else { None },
        branch: row.get("branch")?,
        commit_id: row.get("commit_id")?,
        diff_sha256: row.get("diff_sha256")?,
        closed_at: row.get("closed_at")?,
    })
}
