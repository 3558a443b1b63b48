//! One hypothesis after another, until there is none left, or the goal or a budget is reached.

use super::attempt::{Attempt, State};
use super::context::Context;
use super::error::ExperimentError;
use super::event::Event;
use super::incumbent::{self, Incumbent};
use super::{record, written};
use crate::delegate;
use crate::plan::{Hypothesis, Ranked, rank};
use crate::stats::lond::ELond;
use crate::worklog::{self, AttemptVerdict, NewAttempt};

/// Runs attempts; answers why it stopped.
pub(super) fn run(context: &mut Context, incumbent: &mut Incumbent) -> Result<String, ExperimentError> {
    let mut announced = false;
    if let Some((attempt, state)) = unfinished(context)? {
        one(context, incumbent, &attempt, state)?;
    }
    loop {
        context.go_on()?;
        let attempts = context.worklog.attempts(Some(context.session))?;
        if let Some(why) = enough(context, incumbent, &attempts)? {
            return Ok(why);
        }
        let ranked = plan(context, incumbent, &attempts);
        if !announced {
            context.events.send(Event::Planned(ranked.clone()));
            announced = true;
        }
        let Some(hypothesis) = ranked.queue.into_iter().next() else {
            return Ok(match attempts.len() {
                0 => "no built-in recipe applies to this program".to_owned(),
                _ => "every hypothesis has been tried".to_owned(),
            });
        };
        let attempt = open(context, incumbent, &attempts, hypothesis)?;
        one(context, incumbent, &attempt, State::Planned)?;
    }
}

/// Titles of what is not tried without the user's consent.
pub(super) fn withheld(context: &Context, incumbent: &Incumbent) -> Result<Vec<String>, ExperimentError> {
    let attempts = context.worklog.attempts(Some(context.session))?;
    let ranked = plan(context, incumbent, &attempts);
    Ok(ranked
        .withheld
        .iter()
        .map(|(hypothesis, policy)| format!("{} (--allow {})", hypothesis.title, policy.word()))
        .collect())
}

pub(super) fn plan(context: &Context, incumbent: &Incumbent, attempts: &[worklog::Attempt]) -> Ranked {
    let proposals =
        delegate::EXECUTORS.iter().flat_map(|executor| executor.propose(&incumbent.project)).collect();
    let tried: Vec<String> = attempts.iter().map(|attempt| attempt.key.clone()).collect();
    rank(proposals, &incumbent.diagnosis, &tried, &context.config.delegate.allow)
}

/// Why no further attempt is made, if so.
fn enough(
    context: &Context,
    incumbent: &Incumbent,
    attempts: &[worklog::Attempt],
) -> Result<Option<String>, ExperimentError> {
    let goal = &context.config.goal;
    if attempts.len() >= goal.attempts_max as usize {
        return Ok(Some(format!("the budget of {} attempts is spent", goal.attempts_max)));
    }
    let spent_ms = context.worklog.active_ms(context.session)?;
    if u128::try_from(spent_ms).is_ok_and(|spent| spent >= goal.time_max.as_millis()) {
        return Ok(Some(format!("the time budget of {} is spent", in_minutes(goal.time_max))));
    }
    let floor = &incumbent.diagnosis.floor;
    if goal.floor_ratio.is_some_and(|ratio| floor.ratio <= ratio) {
        return Ok(Some(format!("it runs within {:.2}x of its floor", floor.ratio)));
    }
    // An estimate from the steps is enough to stop at; the claim is measured afresh.
    let gained: f64 = kept(attempts).filter_map(|attempt| Some(1.0 + attempt.delta_pct? / 100.0)).product();
    if goal.target_speedup.is_some_and(|target| 1.0 / gained >= target) {
        return Ok(Some(format!("the target of {:.2}x seems reached", goal.target_speedup.unwrap_or(1.0))));
    }
    Ok(None)
}

fn in_minutes(duration: std::time::Duration) -> String {
    match duration.as_secs() {
        seconds if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

pub(super) fn kept(attempts: &[worklog::Attempt]) -> impl Iterator<Item = &worklog::Attempt> {
    attempts.iter().filter(|attempt| attempt.verdict == AttemptVerdict::Keep)
}

/// Writes the hypothesis down before anything is changed.
fn open(
    context: &mut Context,
    incumbent: &Incumbent,
    attempts: &[worklog::Attempt],
    hypothesis: Hypothesis,
) -> Result<Attempt, ExperimentError> {
    let number = attempts.len() + 1;
    let goal = &context.config.goal;
    let level = ELond::new(goal.alpha, goal.attempts_max as usize).level(number, kept(attempts).count());
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let id = context.worklog.plan_attempt(&NewAttempt {
        session: context.session,
        number,
        key: hypothesis.key.clone(),
        recipe: hypothesis.recipe.clone(),
        level: format!("{:?}", hypothesis.level),
        hypothesis: format!("{}: {}", hypothesis.title, hypothesis.rationale),
        proposal: record::to_json(&hypothesis)?,
        base_commit: incumbent.checkout.commit.to_string(),
        alpha: level,
    })?;
    Ok(Attempt { id, number, hypothesis, level })
}

/// The attempt that an earlier process left open, and how far it came.
fn unfinished(context: &Context) -> Result<Option<(Attempt, State)>, ExperimentError> {
    let attempts = context.worklog.attempts(Some(context.session))?;
    let Some(row) = attempts.into_iter().find(|attempt| attempt.verdict == AttemptVerdict::Pending) else {
        return Ok(None);
    };
    let states = context.worklog.attempt_states(row.id)?;
    let state = match states.into_iter().next_back() {
        Some(last) => record::from_json("attempt's state", last.detail)?,
        None => State::Planned,
    };
    let hypothesis = record::from_json("hypothesis", row.proposal)?;
    Ok(Some((Attempt { id: row.id, number: row.number, hypothesis, level: row.alpha }, state)))
}

fn one(
    context: &mut Context,
    incumbent: &mut Incumbent,
    attempt: &Attempt,
    state: State,
) -> Result<(), ExperimentError> {
    let hypothesis = Box::new(attempt.hypothesis.clone());
    context.events.send(Event::AttemptStarted { number: attempt.number, hypothesis });
    if let Some(checkout) = attempt.run(context, incumbent, state)? {
        incumbent::replace(context, incumbent, checkout, attempt.id)?;
    }
    written::results(context, &incumbent.facts)?;
    written::spec(context, incumbent, None)
}
