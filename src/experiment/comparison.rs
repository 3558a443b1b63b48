//! A series of pairs, resumed where it stopped, with every output checked.
//!
//! **Invariant**: a pair is in the worklog before anything is decided from it.

use super::context::Context;
use super::error::ExperimentError;
use super::event::{Event, Phase};
use super::record;
use crate::measure::{Arm, Pair};
use crate::stats::decision::{Noise, Question};
use crate::stats::effect::estimate;
use crate::verify::{Expectation, Mismatch};
use crate::worklog::{AttemptId, PairRow};

/// Which series of pairs this is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    /// Absent for the control and the claim.
    pub attempt: Option<AttemptId>,
    /// The attempt's number within the session, 0 for none.
    pub number: u32,
    pub phase: Phase,
    /// Pairs after which `decide` must have decided.
    pub most: u32,
}

/// How a series ended.
#[derive(Debug)]
pub(super) enum Compared<D> {
    Decided {
        decision: D,
        pairs: Vec<Pair>,
    },
    /// Arm B did not do what the original does.
    Broken(Mismatch),
}

/// Runs pairs of `a` and `b` until `decide`, shown the log ratios so far, answers.
pub(super) fn compare<D>(
    context: &mut Context,
    series: Series,
    (a, b): (&Arm, &Arm),
    expectation: Option<&Expectation>,
    mut decide: impl FnMut(&[f64]) -> Option<D>,
) -> Result<Compared<D>, ExperimentError> {
    let metric = context.config.benchmark.metric.clone();
    let seed = context.seed_for(series.number, series.phase.stream());
    let mut pairs = stored(context, series)?;
    let mut log_ratios: Vec<f64> = Vec::new();
    let mut checked = 0;
    loop {
        for pair in &pairs[checked..] {
            if let Some(expectation) = expectation
                && let Some(mismatch) = check(context, expectation, pair)?
            {
                return Ok(Compared::Broken(mismatch));
            }
            log_ratios.extend(pair.log_ratio(&metric));
        }
        checked = pairs.len();
        let done = u32::try_from(checked).unwrap_or(u32::MAX);
        context.events.send(Event::Measured {
            phase: series.phase,
            done,
            most: series.most,
            estimate: estimate(&log_ratios, context.config.goal.alpha, Question::Different, Noise::Unknown),
        });
        if let Some(decision) = decide(&log_ratios) {
            return Ok(Compared::Decided { decision, pairs });
        }
        if done >= series.most {
            return Err(ExperimentError::InvalidMeasurement {
                what: format!("{} of {done} pairs measured zero", checked - log_ratios.len()),
            });
        }
        context.go_on()?;
        let pair = {
            let _alone = context.measuring_alone()?;
            context.measurer.pair(a, b, seed, done)?
        };
        context.worklog.append_pair(
            context.session,
            series.attempt,
            series.phase.id(),
            &PairRow {
                index: pair.index,
                a_first: pair.a_first,
                a: record::measurement(&pair.a)?,
                b: record::measurement(&pair.b)?,
            },
        )?;
        pairs.push(pair);
    }
}

/// The pairs that an earlier process of this session has measured.
pub(super) fn stored(context: &Context, series: Series) -> Result<Vec<Pair>, ExperimentError> {
    context
        .worklog
        .pairs(context.session, series.attempt, series.phase.id())?
        .into_iter()
        .map(record::pair)
        .collect()
}

fn check(
    context: &Context,
    expectation: &Expectation,
    pair: &Pair,
) -> Result<Option<Mismatch>, ExperimentError> {
    let load = |sha256: &str| context.measurer.outputs().read(sha256);
    if let Err(mismatch) = expectation.check(&pair.a, &load) {
        return Err(ExperimentError::BaseChanged { what: mismatch.to_string() });
    }
    Ok(expectation.check(&pair.b, &load).err())
}
