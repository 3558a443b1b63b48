//! What a session tells people while it works.
//!
//! **Invariant**: for people only. Sending cannot fail or stop a run; the truth is in the worklog.

use std::sync::mpsc::Sender;

use crate::config::Metric;
use crate::diagnose::{Class, Diagnosis};
use crate::plan::{Hypothesis, Ranked};
use crate::stats::effect::Estimate;
use crate::verify::Outcome;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    Started {
        session: String,
        benchmark: String,
        command: String,
        base: String,
        resumed: bool,
    },
    /// Something the user should know, not wrong in itself.
    Note(String),
    Warning {
        text: String,
        hint: Option<String>,
    },
    /// An untimed step has begun: a build, a test run, a profile.
    Working(String),
    /// What the oracle learned of the original's output.
    Learned(Vec<String>),
    /// A pair is done; `estimate` is the state of the comparison.
    Measured {
        phase: Phase,
        done: u32,
        most: u32,
        /// Pairs of this series that were disturbed and are run again, beside those done.
        redone: u32,
        estimate: Option<Estimate>,
    },
    Baseline {
        metric: Metric,
        median: f64,
        noise: Option<f64>,
        runs: usize,
    },
    /// A watched run goes on; what has been seen of it so far.
    Watching {
        seconds: f64,
        /// Share of the time by class, 0–1, largest first.
        shares: Vec<(Class, f64)>,
    },
    /// A watched run has done the same for some seconds: a first verdict, which the end may change.
    Steady {
        seconds: f64,
        class: Class,
        /// Of the last seconds, 0–1.
        share: f64,
    },
    Diagnosed(Box<Diagnosis>),
    Planned(Ranked),
    AttemptStarted {
        number: u32,
        hypothesis: Box<Hypothesis>,
    },
    AttemptClosed {
        number: u32,
        outcome: Outcome,
        estimate: Option<Estimate>,
    },
    /// Why the session ends.
    Stopping(String),
}

/// Which comparison a pair belongs to; also the `phase` of stored measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The original against itself.
    Control,
    /// The original against itself once more, for its output only.
    Relearn,
    Screen,
    Confirm,
    /// The session's tip against the original.
    Claim,
}

impl Phase {
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Relearn => "relearn",
            Self::Screen => "screen",
            Self::Confirm => "confirm",
            Self::Claim => "claim",
        }
    }

    /// Separates the random order of one phase from another's.
    pub(super) fn stream(self) -> u64 {
        match self {
            Self::Control => 1,
            Self::Screen => 2,
            Self::Confirm => 3,
            Self::Claim => 4,
            Self::Relearn => 5,
        }
    }
}

/// Where events go; may be nowhere.
#[derive(Debug, Clone, Default)]
pub struct Events(Option<Sender<Event>>);

impl Events {
    #[must_use]
    pub fn to(sender: Sender<Event>) -> Self {
        Self(Some(sender))
    }

    pub(super) fn send(&self, event: Event) {
        if let Some(sender) = &self.0 {
            // A listener that has gone away is no reason to stop working.
            let _ = sender.send(event);
        }
    }

    pub(super) fn note(&self, text: impl Into<String>) {
        self.send(Event::Note(text.into()));
    }

    pub(super) fn working(&self, text: impl Into<String>) {
        self.send(Event::Working(text.into()));
    }

    pub(super) fn warn(&self, text: impl Into<String>, hint: Option<&str>) {
        self.send(Event::Warning { text: text.into(), hint: hint.map(str::to_owned) });
    }
}
