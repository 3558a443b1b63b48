//! Every way an attempt can end, in an id for machines and a sentence for people.

use serde::{Deserialize, Serialize};

use super::oracles::Mismatch;
use crate::config::Policy;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Kept,
    Discarded(DiscardReason),
    Crashed(CrashReason),
}

/// Why a candidate was not kept. Ratios are candidate / incumbent of the metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum DiscardReason {
    #[error("nothing changed: {what}")]
    NoOp { what: String },
    #[error("it does not apply: {what}")]
    NotApplicable { what: String },
    #[error("it needs your consent: --allow {}", policy_word(*.policy))]
    NotAllowed { policy: Policy },
    #[error("the change could not be made: {what}")]
    DelegateFailed { what: String },
    #[error("it touches the protected path {path} ({rule})")]
    Tamper { path: String, rule: String },
    #[error("it does not build: `{command}`: {end}")]
    BuildFailed { command: String, end: String, tail: String },
    #[error("wrong result: {what}")]
    WrongOutput { what: String },
    #[error("wrong exit: {what}")]
    WrongExit { what: String },
    #[error("{what}")]
    DisturbsOriginal { what: String },
    #[error("its processes outlive it: {count} had to be killed")]
    Survivors { count: u32 },
    #[error("the tests fail: {what}")]
    TestsFailed { what: String, tail: String },
    #[error("no gain in {pairs} pairs ({})", change(*.ratio))]
    ScreenedOut { ratio: f64, pairs: u32 },
    #[error("slower: {} in {pairs} pairs", change(*.ratio))]
    Slower { ratio: f64, pairs: u32 },
    #[error("the gain is too small to count: {} in {pairs} pairs", change(*.ratio))]
    BelowMinEffect { ratio: f64, pairs: u32 },
    /// The ratio is that of the metric's value.
    #[error("{metric} got worse: {} in {pairs} pairs, where {:.1} % is allowed", change(*.ratio), .worse_max * 100.0)]
    GuardViolated { metric: String, ratio: f64, worse_max: f64, pairs: u32 },
    #[error(
        "not proven that {metric} gets no more than {:.1} % worse: {} in {pairs} pairs",
        .worse_max * 100.0,
        change(*.ratio)
    )]
    GuardOpen { metric: String, ratio: f64, worse_max: f64, pairs: u32 },
    #[error(
        "not proven: {} in {pairs} pairs; {:.1} % would usually have shown",
        change(*.ratio),
        .minimum_detectable * 100.0
    )]
    Inconclusive { ratio: f64, pairs: u32, minimum_detectable: f64 },
}

/// Why an attempt could not be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum CrashReason {
    #[error("{what}")]
    Harness { what: String },
}

impl Outcome {
    /// Stable kebab-case id.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Discarded(reason) => reason.id(),
            Self::Crashed(CrashReason::Harness { .. }) => "harness",
        }
    }

    /// The status column of the results file.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self {
            Self::Kept => "keep",
            Self::Discarded(_) => "discard",
            Self::Crashed(_) => "crash",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Discarded(reason) => reason.fmt(f),
            Self::Crashed(reason) => reason.fmt(f),
        }
    }
}

impl DiscardReason {
    /// Stable kebab-case id.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::NoOp { .. } => "no-op",
            Self::NotApplicable { .. } => "not-applicable",
            Self::NotAllowed { .. } => "not-allowed",
            Self::DelegateFailed { .. } => "delegate-failed",
            Self::Tamper { .. } => "tamper",
            Self::BuildFailed { .. } => "build-failed",
            Self::WrongOutput { .. } => "wrong-output",
            Self::WrongExit { .. } => "wrong-exit",
            Self::DisturbsOriginal { .. } => "disturbs-original",
            Self::Survivors { .. } => "survivors",
            Self::TestsFailed { .. } => "tests-failed",
            Self::ScreenedOut { .. } => "screened-out",
            Self::Slower { .. } => "slower",
            Self::BelowMinEffect { .. } => "below-min-effect",
            Self::GuardViolated { .. } => "guard-violated",
            Self::GuardOpen { .. } => "guard-open",
            Self::Inconclusive { .. } => "inconclusive",
        }
    }

    /// What a failing command printed last; empty for other reasons.
    #[must_use]
    pub fn tail(&self) -> &str {
        match self {
            Self::BuildFailed { tail, .. } | Self::TestsFailed { tail, .. } => tail,
            _ => "",
        }
    }
}

impl From<Mismatch> for DiscardReason {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::End { .. } => Self::WrongExit { what: mismatch.to_string() },
            Mismatch::Survivors { count } => Self::Survivors { count },
            Mismatch::Beside { .. } => Self::DisturbsOriginal { what: mismatch.to_string() },
            _ => Self::WrongOutput { what: mismatch.to_string() },
        }
    }
}

/// A ratio in words: `−12.3 %`.
fn change(ratio: f64) -> String {
    let percent = (ratio - 1.0) * 100.0;
    let sign = if percent < 0.0 { "−" } else { "+" };
    format!("{sign}{:.1} %", percent.abs())
}

fn policy_word(policy: Policy) -> &'static str {
    policy.word()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_sentences_and_survive_storage() {
        let check = |reason: DiscardReason, id: &str, text: &str| {
            assert_eq!((reason.id(), reason.to_string().as_str()), (id, text));
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(serde_json::from_str::<DiscardReason>(&json).unwrap(), reason);
        };
        check(DiscardReason::Slower { ratio: 1.081, pairs: 7 }, "slower", "slower: +8.1 % in 7 pairs");
        check(
            DiscardReason::Inconclusive { ratio: 0.99, pairs: 40, minimum_detectable: 0.021 },
            "inconclusive",
            "not proven: −1.0 % in 40 pairs; 2.1 % would usually have shown",
        );
        check(
            DiscardReason::GuardViolated { metric: "tps".to_owned(), ratio: 0.9, worse_max: 0.05, pairs: 9 },
            "guard-violated",
            "tps got worse: −10.0 % in 9 pairs, where 5.0 % is allowed",
        );
        check(
            DiscardReason::GuardOpen {
                metric: "peak-rss".to_owned(),
                ratio: 1.01,
                worse_max: 0.05,
                pairs: 40,
            },
            "guard-open",
            "not proven that peak-rss gets no more than 5.0 % worse: +1.0 % in 40 pairs",
        );
        check(
            DiscardReason::NotAllowed { policy: Policy::NativeCpu },
            "not-allowed",
            "it needs your consent: --allow native-cpu",
        );
    }
}
