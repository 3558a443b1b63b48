//! What is asked of a trial, fixed before the first run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{CommandLine, Guard, Metric, Objective};
use crate::measure::Arm;
use crate::stats::decision::{Noise, Question, Status, TestPlan};
use crate::stats::sequential::Test;
use crate::sys::wire::RunEnd;

/// More pairs than any α that a number can hold asks for.
const PAIRS_LOOKED_AT: usize = 2_000;

/// One command of a trial.
#[derive(Debug, Clone)]
pub struct Contender {
    /// What people call it; the command itself by default.
    pub name: String,
    pub arm: Arm,
    /// Run once before the contender's first run, untimed.
    pub setup: Option<CommandLine>,
    /// Run once after its last run, also when the trial fails.
    pub cleanup: Option<CommandLine>,
    /// The parameters that made this command from a template.
    pub parameters: BTreeMap<String, String>,
}

/// How many rounds are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// Exactly so many, whatever they show.
    Fixed(u32),
    /// As many as the question needs, within these bounds.
    Needed { min: u32, max: u32 },
}

impl Rounds {
    pub(super) fn min(self) -> u32 {
        match self {
            Self::Fixed(rounds) => rounds,
            Self::Needed { min, .. } => min,
        }
    }

    pub(super) fn max(self) -> u32 {
        match self {
            Self::Fixed(rounds) => rounds,
            Self::Needed { max, .. } => max,
        }
    }
}

/// What the trial is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Purpose {
    /// How does each contender compare with the first? `alpha` is the probability of any wrong word in the whole
    /// trial, `min_effect` the smallest fraction worth telling.
    Compare { alpha: f64, min_effect: f64 },
    /// What does each contender take? Ends once the interval of every median is within ± `precision` (a fraction).
    Describe { precision: f64 },
}

/// Which ends of a program count as a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failures {
    /// Only exit code 0.
    Refused,
    /// Any exit code and any signal, but no time-out.
    Ignored,
    /// Exit code 0 and these.
    Codes(Vec<i32>),
}

impl Failures {
    pub(super) fn allow(&self, end: RunEnd) -> bool {
        match (self, end) {
            (_, RunEnd::Exited(0)) => true,
            (Self::Ignored, RunEnd::Exited(_) | RunEnd::Signaled(_)) => true,
            (Self::Codes(codes), RunEnd::Exited(code)) => codes.contains(&code),
            _ => false,
        }
    }
}

/// A trial, as it is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The first one is the reference; never empty.
    pub contenders: Vec<Contender>,
    pub purpose: Purpose,
    pub primary: Objective,
    pub guards: Vec<Guard>,
    pub rounds: Rounds,
    /// Wall time after which no further round is begun.
    pub budget: Duration,
    /// Uncounted runs of each contender before the first round.
    pub warmup: u32,
    /// A run is ended once it takes so many times the longest run of the reference; absent for never.
    pub race: Option<f64>,
    pub failures: Failures,
    pub seed: u64,
    /// Keep every single value for the report; memory grows with the runs.
    pub keep_samples: bool,
    /// The parameter over which the growth of the metric is fitted.
    pub scale: Option<String>,
    /// Compare programs also when they are byte for byte the same.
    pub even_if_identical: bool,
}

impl Plan {
    /// What each comparison is asked; its α is that of all verdicts together.
    pub(super) fn test(&self) -> TestPlan {
        let (alpha, min_effect) = match self.purpose {
            Purpose::Compare { alpha, min_effect } => (alpha, min_effect),
            Purpose::Describe { .. } => (0.05, 0.0),
        };
        TestPlan {
            alpha,
            pairs_min: self.rounds.min() as usize,
            pairs_max: self.rounds.max() as usize,
            min_effect,
            noise: Noise::Learned,
            question: Question::Different,
        }
    }

    /// What is asked about every other metric: there the comparisons share α equally (Bonferroni), since no race is run
    /// for them.
    pub(super) fn side_test(&self) -> TestPlan {
        let comparisons = self.contenders.len().saturating_sub(1).max(1);
        let test = self.test();
        TestPlan {
            alpha: test.alpha / comparisons as f64,
            noise: Noise::Unknown,
            pairs_max: usize::MAX,
            ..test
        }
    }

    /// The metrics that every run must give: the one that decides, and those that are guarded.
    pub(super) fn required(&self) -> impl Iterator<Item = &Metric> {
        let guarded = self.guards.iter().map(|guard| &guard.objective.metric);
        std::iter::once(&self.primary.metric).chain(guarded)
    }

    /// Fewest pairs that can answer any comparison, where that is more than the rounds allow.
    #[must_use]
    pub fn pairs_missing(&self) -> Option<usize> {
        let is_answerable = |pairs: usize| {
            let plan = TestPlan { pairs_min: 0, pairs_max: pairs, ..self.test() };
            // Before the first pair only hopelessness is an answer.
            matches!(Test::new(plan).status(), Status::Continue)
        };
        let max = self.rounds.max() as usize;
        (self.compares() && !is_answerable(max))
            .then(|| (max + 1..PAIRS_LOOKED_AT).find(|&pairs| is_answerable(pairs)))?
    }

    pub(super) fn compares(&self) -> bool {
        matches!(self.purpose, Purpose::Compare { .. }) && self.contenders.len() > 1
    }
}
