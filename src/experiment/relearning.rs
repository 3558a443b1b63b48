//! What happens when arm A, which should do what the original does, once does not.
//!
//! The original is run again, alone and in a fresh worktree; if its own runs show that it varies like this, that is
//! learned, and the session goes on. **Invariant**: its runs are in the worklog before anything is learned from them,
//! and what was learned before anything is decided by it; a resumed session learns the same from the same runs.

use serde::{Deserialize, Serialize};

use super::comparison::{Series, stored};
use super::context::Context;
use super::error::ExperimentError;
use super::event::{Event, Phase};
use super::incumbent::{self, LONG_RUN_S};
use super::record::{self, Recorded};
use super::rounds;
use crate::measure::{Pair, Sample};
use crate::verify::{Expectation, Mismatch, NotWidened, Relearned};

/// How often a session learns again: an original that varies in ever new ways cannot be the reference.
const RELEARNINGS_MAX: usize = 3;

/// Fewest pairs of fresh runs, and most: with 24 runs, what one run in ten shows is seen in 92 of 100 cases.
const PAIRS_MIN: u32 = 4;
const PAIRS_MAX: u32 = 12;

/// The worklog's name for it.
const STATE: &str = "relearned";

/// What was learned again, as recorded.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Relearning {
    /// How the run differed from what was known.
    pub what: String,
    /// The pair that it was in: phase, attempt's number (0 for none) and index.
    pub phase: String,
    pub attempt: u32,
    pub pair: u32,
    /// Pairs of fresh runs by then, those of earlier relearnings included.
    pub pairs: u32,
    /// Absent where the original by itself did not show it.
    pub expectation: Option<Expectation>,
}

/// What this session has learned again, in order.
pub(super) fn relearnings(context: &Context) -> Result<Vec<Relearning>, ExperimentError> {
    context
        .worklog
        .session_states(context.session)?
        .into_iter()
        .filter(|row| row.state == STATE)
        .map(|row| record::from_json("relearning", row.detail))
        .collect()
}

/// Widens the expectation so that it accepts arm A of the pair, if the original's own runs speak for it. Where only the
/// runs beside a candidate show it, that is the candidate's fault.
pub(super) fn relearn(
    context: &mut Context,
    series: Series,
    expectation: &mut Expectation,
    pair: &Pair,
    mismatch: &Mismatch,
) -> Result<Option<Mismatch>, ExperimentError> {
    let what = mismatch.to_string();
    let attempts = context.worklog.attempts(Some(context.session))?;
    let is_keep = series.phase != Phase::Claim && rounds::kept(&attempts).next().is_some();
    let changed = |why: String| {
        let what = format!("{what}, {why}");
        if is_keep { ExperimentError::KeepChanged { what } } else { ExperimentError::BaseChanged { what } }
    };
    let rule = context.config.verify.output;
    if !Expectation::may_widen(rule, mismatch) {
        return Err(changed(NotWidened::Fixed.to_string()));
    }
    let earlier = relearnings(context)?;
    let beside = || Mismatch::Beside { what: what.clone() };
    let same = |known: &Relearning| {
        (known.phase.as_str(), known.attempt, known.pair) == (series.phase.id(), series.number, pair.index)
    };
    if earlier.iter().any(|known| known.expectation.is_none() && same(known)) {
        return Ok(Some(beside()));
    }
    if earlier.len() >= RELEARNINGS_MAX {
        return Err(changed(format!("after {RELEARNINGS_MAX} other such changes were learned")));
    }
    context.events.working("running the original again, as it behaved differently from before");
    let begun = earlier.last().map_or(0, |last| last.pairs);
    let most = if pair.a.wall_s() > LONG_RUN_S { PAIRS_MIN } else { PAIRS_MAX };
    let own = Series { attempt: None, number: 0, phase: Phase::Relearn, most: begun + most };
    let control = Series { phase: Phase::Control, ..own };
    let mut known = samples(stored(context, control)?);
    let mut fresh = samples(stored(context, own)?);
    known.extend(fresh.drain(..fresh.len().min(2 * begun as usize)));
    // Afresh: what lies about in the worktree may be what made it differ.
    let original = incumbent::original(context)?;
    let arm = context.arm(&original.path);
    let seed = context.seed_for(0, Phase::Relearn.stream());
    let learned = loop {
        let done = u32::try_from(fresh.len() / 2).unwrap_or(u32::MAX);
        if done >= PAIRS_MIN {
            let runs = Relearned { known: &known, fresh: &fresh };
            let load = |sha256: &str| context.measurer.outputs().read(sha256);
            match expectation.widened(rule, runs, &pair.a, &load) {
                Ok(learned) => break Some(learned),
                Err(error) if done < most && error.may_change() => {}
                Err(NotWidened::NotSeen { .. }) if series.attempt.is_some() => break None,
                Err(error) => return Err(changed(error.to_string())),
            }
        }
        context.go_on()?;
        let index = begun + done;
        let run = {
            let _alone = context.measuring_alone()?;
            context.measurer.pair(&arm, &arm, seed, index)?
        };
        let recorded = Recorded { pair: run, redone: false };
        let row = record::pair_row(&recorded)?;
        context.worklog.append_pair(context.session, None, own.phase.id(), &row)?;
        fresh.extend(samples(vec![recorded]));
        context.events.send(Event::Measured {
            phase: own.phase,
            done: done + 1,
            most,
            redone: 0,
            estimate: None,
        });
    };
    let relearning = Relearning {
        what: what.clone(),
        phase: series.phase.id().to_owned(),
        attempt: series.number,
        pair: pair.index,
        pairs: begun + u32::try_from(fresh.len() / 2).unwrap_or(u32::MAX),
        expectation: learned.clone(),
    };
    context.worklog.record_session(context.session, STATE, &record::to_json(&relearning)?)?;
    let Some(learned) = learned else {
        return Ok(Some(beside()));
    };
    context.events.warn(
        format!("the original varies more than its first runs showed: {what}"),
        Some("pin seeds, dates and the order of its output, so that candidates are held to more"),
    );
    context.events.send(Event::Learned(learned.describe()));
    *expectation = learned;
    Ok(None)
}

/// In the order in which they were run.
fn samples(pairs: Vec<Recorded>) -> Vec<Sample> {
    let in_order = |Recorded { pair, .. }| match pair {
        Pair { a_first: true, a, b, .. } => [a, b],
        Pair { a, b, .. } => [b, a],
    };
    pairs.into_iter().flat_map(in_order).collect()
}
