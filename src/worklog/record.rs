//! The worklog's rows as plain values.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A session's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub i64);

/// An attempt's row; unique in the worklog, unlike its number within the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub i64);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a session when it starts.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Sorts by time and is part of branch names: `20261120-223105-3fa9`.
    pub name: String,
    pub benchmark: String,
    pub command: String,
    pub base_commit: String,
    pub seed: u64,
    pub fingerprint: String,
    pub config: Value,
    pub machine: Value,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Session {
    pub id: SessionId,
    pub name: String,
    pub benchmark: String,
    pub command: String,
    pub base_commit: String,
    pub seed: u64,
    pub fingerprint: String,
    pub config: Value,
    pub machine: Value,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Why it ended; absent while it can be resumed.
    pub outcome: Option<String>,
    pub closed_at: Option<i64>,
}

/// A transition of a session or an attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StateRow {
    pub state: String,
    pub detail: Value,
    pub created_at: i64,
}

/// A hypothesis, before anything is changed.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    pub session: SessionId,
    /// 1-based within the session.
    pub number: u32,
    pub key: String,
    pub recipe: String,
    pub level: String,
    pub hypothesis: String,
    /// The whole hypothesis, to resume from.
    pub proposal: Value,
    pub base_commit: String,
    /// Level of the test that may keep it.
    pub alpha: f64,
}

/// The verdict column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptVerdict {
    Keep,
    Revert,
    Partial,
    Pending,
}

impl AttemptVerdict {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Revert => "revert",
            Self::Partial => "partial",
            Self::Pending => "pending",
        }
    }

    pub(super) fn from_word(word: &str) -> Self {
        match word {
            "keep" => Self::Keep,
            "revert" => Self::Revert,
            "partial" => Self::Partial,
            _ => Self::Pending,
        }
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    pub verdict: AttemptVerdict,
    /// `keep`, `discard` or `crash`, as in the results TSV.
    pub status: String,
    /// Kebab-case id of the reason, `kept` for a keep.
    pub reason: String,
    pub explanation: String,
    pub change_description: String,
    pub baseline_metric: Option<f64>,
    pub result_metric: Option<f64>,
    /// Change of the metric in percent, negative when better.
    pub delta_pct: Option<f64>,
    pub e_value_ln: Option<f64>,
    pub threshold_ln: Option<f64>,
    /// The whole decision.
    pub evidence: Value,
    pub branch: Option<String>,
    pub commit_id: Option<String>,
    pub diff_sha256: Option<String>,
}

/// An attempt: its hypothesis and, once closed, its result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    pub id: AttemptId,
    pub session: SessionId,
    pub number: u32,
    pub key: String,
    pub recipe: String,
    pub level: String,
    pub hypothesis: String,
    pub proposal: Value,
    pub base_commit: String,
    pub alpha: f64,
    pub created_at: i64,
    pub verdict: AttemptVerdict,
    pub status: Option<String>,
    pub reason: Option<String>,
    pub explanation: Option<String>,
    pub change_description: Option<String>,
    pub baseline_metric: Option<f64>,
    pub result_metric: Option<f64>,
    pub delta_pct: Option<f64>,
    pub e_value_ln: Option<f64>,
    pub threshold_ln: Option<f64>,
    pub evidence: Option<Value>,
    pub branch: Option<String>,
    pub commit_id: Option<String>,
    pub diff_sha256: Option<String>,
    pub closed_at: Option<i64>,
}

/// One run, as its row has it. `sample` is the whole record; the columns are for queries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    pub wall_ns: u64,
    pub user_ns: u64,
    pub sys_ns: u64,
    pub rss_bytes_max: u64,
    pub stdout_sha256: String,
    pub sample: Value,
}

/// Two runs back to back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairRow {
    /// Counts all pairs of the phase, also those that are run again.
    pub index: u32,
    pub a_first: bool,
    /// Worst share of a CPU's time that the hypervisor took during a run.
    pub steal_share: Option<f64>,
    /// Worst share of a run's wall time that it waited for a CPU.
    pub wait_share: Option<f64>,
    /// It was disturbed, and another pair stands in for it: no decision rests on it.
    pub redone: bool,
    pub a: Measurement,
    pub b: Measurement,
}

/// What got in the way of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Hindrance {
    pub phase: String,
    /// As in [`PairRow`].
    pub steal_share: Option<f64>,
    pub wait_share: Option<f64>,
    pub redone: bool,
}

impl Attempt {
    /// The title of its hypothesis.
    #[must_use]
    pub fn change_line(&self) -> String {
        self.hypothesis.split_once(": ").map_or(self.hypothesis.as_str(), |(title, _)| title).to_owned()
    }
}
