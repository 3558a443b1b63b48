//! The state machine of one attempt: from a hypothesis to a keep or a discard.
//!
//! planned → delegated → committed → checked → built → correct → screened → closed. Every arrow is one row in the
//! worklog, written before the next step begins; each step can be repeated, so an attempt resumes from its last row.
//! **Invariant**: integrity, then correctness, then speed; nothing is timed that has not passed the former two.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::comparison::{Compared, Series, compare};
use super::context::{Checkout, Context};
use super::error::ExperimentError;
use super::event::Phase;
use super::incumbent::Incumbent;
use super::objectives::{Guarded, Judge};
use super::record;
use crate::config::real_path;
use crate::delegate::{self, DelegateError, Project};
use crate::measure::MeasureError;
use crate::plan::Hypothesis;
use crate::stats::decision::{Decision, Question, TestPlan, Word};
use crate::stats::effect::Estimate;
use crate::stats::guard::GuardWord;
use crate::stats::screen::{SCREEN_PAIRS, Screen, screen};
use crate::stats::summary;
use crate::verify::{CrashReason, DiscardReason, Mismatch, Outcome, Protection, TestRun};
use crate::worklog::AttemptId;
use crate::workspace::{CommitId, NewCommit, PerfupBranch, Worktree};

/// Pairs that even an unmistakable gain gets, for the sake of its interval.
const CONFIRM_PAIRS_MIN: usize = 5;

/// How far an attempt has come, as recorded; what a state needs to go on stands in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(super) enum State {
    /// The hypothesis row is written; nothing is changed yet.
    Planned,
    /// The executor has edited the worktree and says what it did.
    Delegated {
        summary: String,
    },
    /// The change is a commit on the attempt's branch.
    Committed {
        summary: String,
        commit: CommitId,
    },
    /// No protected path was touched.
    Checked {
        summary: String,
        commit: CommitId,
    },
    Built {
        summary: String,
        commit: CommitId,
    },
    /// Output and tests agree with the original.
    Correct {
        summary: String,
        commit: CommitId,
    },
    /// Worth a confirmation.
    Screened {
        summary: String,
        commit: CommitId,
    },
}

impl State {
    pub fn id(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Delegated { .. } => "delegated",
            Self::Committed { .. } => "committed",
            Self::Checked { .. } => "checked",
            Self::Built { .. } => "built",
            Self::Correct { .. } => "correct",
            Self::Screened { .. } => "screened",
        }
    }

    pub fn commit(&self) -> Option<&CommitId> {
        match self {
            Self::Planned | Self::Delegated { .. } => None,
            Self::Committed { commit, .. }
            | Self::Checked { commit, .. }
            | Self::Built { commit, .. }
            | Self::Correct { commit, .. }
            | Self::Screened { commit, .. } => Some(commit),
        }
    }

    pub fn summary(&self) -> &str {
        match self {
            Self::Planned => "",
            Self::Delegated { summary }
            | Self::Committed { summary, .. }
            | Self::Checked { summary, .. }
            | Self::Built { summary, .. }
            | Self::Correct { summary, .. }
            | Self::Screened { summary, .. } => summary,
        }
    }
}

/// One attempt at work.
pub(super) struct Attempt {
    pub id: AttemptId,
    /// 1-based within the session; also the worktree's slot.
    pub number: u32,
    pub hypothesis: Hypothesis,
    /// e-LOND level: the evidence must reach 1 / level.
    pub level: f64,
}

/// Either the next state, or the end.
enum Step {
    Next(State),
    Done(Outcome, Option<Measured>),
}

/// The evidence of a confirmation.
pub(super) struct Measured {
    pub estimate: Estimate,
    pub decision: Option<Decision>,
    /// Medians of the metric, arm A and arm B.
    pub medians: (f64, f64),
    pub guards: Vec<Guarded>,
}

impl Attempt {
    /// Drives the attempt from `state` to its end, and closes its row. The built candidate, when it was kept.
    pub fn run(
        &self,
        context: &mut Context,
        incumbent: &mut Incumbent,
        mut state: State,
    ) -> Result<Option<Checkout>, ExperimentError> {
        let branch = context.branch(&format!("{:03}-{}", self.number, slug(&self.hypothesis.title)))?;
        let mut checkout: Option<Checkout> = None;
        loop {
            context.go_on()?;
            match self.step(context, incumbent, &branch, &state, &mut checkout)? {
                Step::Next(next) => {
                    context.worklog.advance(self.id, next.id(), &record::to_json(&next)?)?;
                    state = next;
                }
                Step::Done(outcome, measured) => {
                    self.close(context, incumbent, &branch, &state, &outcome, measured)?;
                    return Ok(checkout.filter(|_| outcome == Outcome::Kept));
                }
            }
        }
    }

    fn step(
        &self,
        context: &mut Context,
        incumbent: &mut Incumbent,
        branch: &PerfupBranch,
        state: &State,
        checkout: &mut Option<Checkout>,
    ) -> Result<Step, ExperimentError> {
        let summary = state.summary().to_owned();
        match state {
            State::Planned => self.delegate(context, incumbent, branch),
            State::Delegated { .. } => self.commit(context, incumbent, branch, summary),
            State::Committed { commit, .. } => Ok(self
                .check_integrity(context, incumbent, commit)?
                .unwrap_or_else(|| Step::Next(State::Checked { summary, commit: commit.clone() }))),
            State::Checked { commit, .. } => {
                let built = self.build(context, incumbent, branch, commit, checkout)?;
                Ok(built.unwrap_or_else(|| Step::Next(State::Built { summary, commit: commit.clone() })))
            }
            // Beyond this point a build is needed; after a resume it is made again, and usually is up to date.
            State::Built { commit, .. } | State::Correct { commit, .. } | State::Screened { commit, .. }
                if checkout.is_none() =>
            {
                let built = self.build(context, incumbent, branch, commit, checkout)?;
                Ok(built.unwrap_or_else(|| Step::Next(state.clone())))
            }
            State::Built { commit, .. } => {
                let wrong = self.check_correct(context, incumbent, checkout.as_ref())?;
                Ok(wrong.unwrap_or_else(|| Step::Next(State::Correct { summary, commit: commit.clone() })))
            }
            State::Correct { commit, .. } => {
                let hopeless = self.screen(context, incumbent, checkout.as_ref())?;
                Ok(hopeless
                    .unwrap_or_else(|| Step::Next(State::Screened { summary, commit: commit.clone() })))
            }
            State::Screened { .. } => self.confirm(context, incumbent, checkout.as_ref()),
        }
    }

    fn delegate(
        &self,
        context: &mut Context,
        incumbent: &Incumbent,
        branch: &PerfupBranch,
    ) -> Result<Step, ExperimentError> {
        let path = context.layout.worktree(&context.session_name, self.number);
        let worktree = context.repository.create_worktree(&path, branch, &incumbent.checkout.commit)?;
        let project = Project { root: worktree.path, ..incumbent.project.clone() };
        let executor = delegate::EXECUTORS.iter().find(|executor| executor.id() == self.hypothesis.executor);
        let Some(executor) = executor else {
            let what = format!("no executor named {} in this version", self.hypothesis.executor);
            return Ok(discard(DiscardReason::DelegateFailed { what }));
        };
        context.events.working(format!("making the change: {}", self.hypothesis.title));
        match executor.execute(&self.hypothesis, &project) {
            Ok(delegated) => Ok(Step::Next(State::Delegated { summary: delegated.summary })),
            Err(DelegateError::NotApplicable { reason, .. }) => {
                Ok(discard(DiscardReason::NotApplicable { what: reason }))
            }
            Err(error) => Ok(discard(DiscardReason::DelegateFailed { what: error.to_string() })),
        }
    }

    fn commit(
        &self,
        context: &mut Context,
        incumbent: &Incumbent,
        branch: &PerfupBranch,
        summary: String,
    ) -> Result<Step, ExperimentError> {
        let path = context.layout.worktree(&context.session_name, self.number);
        if !path.exists() {
            // A resume after the worktree was lost: make the change again.
            return self.delegate(context, incumbent, branch);
        }
        let worktree = Worktree { path, branch: branch.clone() };
        let parent = &incumbent.checkout.commit;
        let exclude = &context.config.benchmark.inputs;
        let unix_time_s = jiff::Timestamp::now().as_second();
        let new = NewCommit { parent, subject: &self.hypothesis.title, body: &summary, unix_time_s, exclude };
        match context.repository.commit_all(&worktree, &new)? {
            Some(commit) => Ok(Step::Next(State::Committed { summary, commit })),
            None => Ok(discard(DiscardReason::NoOp { what: "every file is as it was".into() })),
        }
    }

    fn check_integrity(
        &self,
        context: &mut Context,
        incumbent: &Incumbent,
        commit: &CommitId,
    ) -> Result<Option<Step>, ExperimentError> {
        let changed = context.repository.changed_paths(&incumbent.checkout.commit, commit)?;
        let declared = self.hypothesis.sites.iter().map(|site| PathBuf::from(&site.path)).collect();
        let config = &context.config;
        let leads_to = |path: &Path| real_path(&incumbent.checkout.path, path);
        let protection =
            Protection::new(&config.protect, &config.benchmark, &config.verify, declared, &leads_to)
                .map_err(ExperimentError::Protect)?;
        let violation = protection.violations(&changed).into_iter().next();
        Ok(violation.map(|tamper| discard(DiscardReason::Tamper { path: tamper.path, rule: tamper.rule })))
    }

    /// Checks the commit out afresh and builds it. `None` when all is well.
    fn build(
        &self,
        context: &mut Context,
        incumbent: &Incumbent,
        branch: &PerfupBranch,
        commit: &CommitId,
        checkout: &mut Option<Checkout>,
    ) -> Result<Option<Step>, ExperimentError> {
        match context.checkout(self.number, branch, commit)? {
            Err(failure) => Ok(Some(discard(DiscardReason::BuildFailed {
                command: failure.command,
                end: failure.end,
                tail: failure.tail,
            }))),
            Ok(built) => {
                let same = built.artefact.is_some() && built.artefact == incumbent.checkout.artefact;
                *checkout = Some(built);
                Ok(same.then(|| {
                    let what = "what is built, and all it may read, is the same to the byte".to_owned();
                    discard(DiscardReason::NoOp { what })
                }))
            }
        }
    }

    /// One run against the oracle, then the tests. `None` when both agree with the original.
    fn check_correct(
        &self,
        context: &mut Context,
        incumbent: &Incumbent,
        checkout: Option<&Checkout>,
    ) -> Result<Option<Step>, ExperimentError> {
        let Some(checkout) = checkout else { return Ok(None) };
        context.events.working("checking the output");
        let arm = context.arm(&checkout.path);
        let sample = match context.measurer.run(&arm, context.seed_for(self.number, 0)) {
            Ok(sample) => sample,
            Err(error @ (MeasureError::CommandNotFound { .. } | MeasureError::NotExecutable { .. })) => {
                return Ok(Some(discard(DiscardReason::BuildFailed {
                    command: context.config.benchmark.command.to_string(),
                    end: error.to_string(),
                    tail: String::new(),
                })));
            }
            Err(error) => return Err(error.into()),
        };
        let load = |sha256: &str| context.measurer.outputs().read(sha256);
        if let Err(mismatch) = incumbent.expectation.check(&sample, &load) {
            return Ok(Some(wrong_output(mismatch)));
        }
        let (Some(tests), Some(base)) = (&context.config.verify.tests, &incumbent.tests) else {
            return Ok(None);
        };
        context.events.working(format!("testing: {tests}"));
        let log = format!("{:03}-tests.log", self.number);
        let run = match context.task(tests, &checkout.path, &log)? {
            Ok(outcome) => TestRun::parse(&outcome.printed),
            Err(failure) => {
                return Ok(Some(discard(DiscardReason::TestsFailed {
                    what: format!("`{}`: {}", failure.command, failure.end),
                    tail: failure.tail,
                })));
            }
        };
        let shortfall = base.covered_by(&run).err();
        Ok(shortfall.map(|mismatch| {
            discard(DiscardReason::TestsFailed { what: mismatch.to_string(), tail: String::new() })
        }))
    }

    fn screen(
        &self,
        context: &mut Context,
        incumbent: &mut Incumbent,
        checkout: Option<&Checkout>,
    ) -> Result<Option<Step>, ExperimentError> {
        let Some(checkout) = checkout else { return Ok(None) };
        let arms = (context.arm(&incumbent.checkout.path), context.arm(&checkout.path));
        let series = self.series(Phase::Screen, SCREEN_PAIRS);
        let min_effect = context.config.goal.min_effect;
        let compared =
            compare(context, series, (&arms.0, &arms.1), Some(&mut incumbent.expectation), |ratios, _| {
                look(ratios, min_effect)
            })?;
        Ok(match compared {
            Compared::Broken(mismatch) => Some(wrong_output(mismatch)),
            Compared::Decided { decision: None, .. } => None,
            Compared::Decided { decision: Some(ratio), pairs } => {
                let pairs = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
                Some(discard(DiscardReason::ScreenedOut { ratio, pairs }))
            }
        })
    }

    fn confirm(
        &self,
        context: &mut Context,
        incumbent: &mut Incumbent,
        checkout: Option<&Checkout>,
    ) -> Result<Step, ExperimentError> {
        let Some(checkout) = checkout else {
            return Err(ExperimentError::InvalidMeasurement { what: "the candidate is not built".into() });
        };
        let arms = (context.arm(&incumbent.checkout.path), context.arm(&checkout.path));
        let plan = TestPlan {
            alpha: self.level,
            pairs_max: context.config.goal.pairs_max as usize,
            pairs_min: CONFIRM_PAIRS_MIN,
            min_effect: context.config.goal.min_effect,
            noise: incumbent.facts.noise.into(),
            question: Question::Faster,
        };
        let series = self.series(Phase::Confirm, plan.pairs_max);
        let mut judge = Judge::new(plan, context);
        let compared = compare(
            context,
            series,
            (&arms.0, &arms.1),
            Some(&mut incumbent.expectation),
            |ratios, pairs| judge.look(ratios, pairs),
        )?;
        match compared {
            Compared::Broken(mismatch) => Ok(wrong_output(mismatch)),
            Compared::Decided { decision, pairs } => {
                let metric = &context.config.benchmark.metric;
                let measured = Measured {
                    estimate: decision.estimate,
                    medians: record::medians(&pairs, metric),
                    decision: Some(decision),
                    guards: judge.guards(&pairs),
                };
                Ok(Step::Done(outcome_of(&decision, &measured.guards), Some(measured)))
            }
        }
    }

    fn series(&self, phase: Phase, most: usize) -> Series {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        Series { attempt: Some(self.id), number: self.number, phase, most }
    }
}

fn discard(reason: DiscardReason) -> Step {
    Step::Done(Outcome::Discarded(reason), None)
}

fn wrong_output(mismatch: Mismatch) -> Step {
    discard(DiscardReason::from(mismatch))
}

fn outcome_of(decision: &Decision, guards: &[Guarded]) -> Outcome {
    let estimate = &decision.estimate;
    let (ratio, pairs) = (estimate.ratio, u32::try_from(estimate.pairs).unwrap_or(u32::MAX));
    match decision.word {
        Word::Faster => guards.iter().find_map(broken).map_or(Outcome::Kept, Outcome::Discarded),
        Word::Slower => Outcome::Discarded(DiscardReason::Slower { ratio, pairs }),
        Word::Equivalent => Outcome::Discarded(DiscardReason::BelowMinEffect { ratio, pairs }),
        Word::Inconclusive => {
            let minimum_detectable = estimate.minimum_detectable;
            Outcome::Discarded(DiscardReason::Inconclusive { ratio, pairs, minimum_detectable })
        }
        Word::Invalid => {
            let what = "a log ratio is no finite number".to_owned();
            Outcome::Crashed(CrashReason::Harness { what })
        }
    }
}

/// Why a guard makes a gain none. One that is still open has not shown what it was asked to show.
fn broken(guarded: &Guarded) -> Option<DiscardReason> {
    let Guarded { worse_max, word, ratio, .. } = *guarded;
    let (metric, pairs) = (guarded.metric.to_string(), u32::try_from(guarded.pairs).unwrap_or(u32::MAX));
    match word {
        GuardWord::Held => None,
        GuardWord::Violated => Some(DiscardReason::GuardViolated { metric, ratio, worse_max, pairs }),
        GuardWord::Open => Some(DiscardReason::GuardOpen { metric, ratio, worse_max, pairs }),
    }
}

/// The screen's answer once it has one: nothing when promising, else the median ratio.
fn look(log_ratios: &[f64], min_effect: f64) -> Option<Option<f64>> {
    (log_ratios.len() >= SCREEN_PAIRS).then(|| match screen(log_ratios, min_effect) {
        Screen::Promising => None,
        Screen::Hopeless => Some(summary::median(log_ratios).map_or(1.0, f64::exp)),
    })
}

/// A branch name's part: lower-case words of the title, at most 40 characters.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for word in title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if slug.len() + word.len() >= 40 {
            break;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    if slug.is_empty() { "change".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_short_words() {
        assert_eq!(
            slug("Use a set for membership tests on `seen` (wc.py)"),
            "use-a-set-for-membership-tests-on-seen"
        );
        assert_eq!(slug("«»"), "change");
    }

    #[test]
    fn states_survive_the_worklog() {
        let commit: CommitId = serde_json::from_str("\"0123456789012345678901234567890123456789\"").unwrap();
        let summary = "x".to_owned();
        let all = [
            State::Planned,
            State::Delegated { summary: summary.clone() },
            State::Committed { summary: summary.clone(), commit: commit.clone() },
            State::Screened { summary, commit },
        ];
        for state in all {
            let json = serde_json::to_value(&state).unwrap();
            assert_eq!(json["state"], state.id());
            assert_eq!(serde_json::from_value::<State>(json).unwrap(), state);
        }
    }
}
