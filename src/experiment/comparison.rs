//! A series of pairs, resumed where it stopped, with every output checked; disturbed pairs are run again.
//!
//! **Invariant**: a pair is in the worklog before anything is decided from it. Whether it is run again follows from its
//! disturbance and from the pairs before it alone, and stands in the same row: a resumed session goes by what was
//! decided then.

use super::context::Context;
use super::error::ExperimentError;
use super::event::{Event, Phase};
use super::objectives;
use super::record::{self, Recorded};
use super::relearning::relearn;
use crate::config::Objective;
use crate::machine::{Moment, Strain};
use crate::measure::{Arm, Pair, Redo};
use crate::stats::decision::{Noise, Question};
use crate::stats::effect::estimate;
use crate::verify::{Expectation, Mismatch};
use crate::worklog::AttemptId;

/// Which series of pairs this is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    /// Absent for the control and the claim.
    pub attempt: Option<AttemptId>,
    /// The attempt's number within the session, 0 for none.
    pub number: u32,
    pub phase: Phase,
    /// Pairs after which `decide` must have decided; those that are run again do not count.
    pub most: u32,
}

/// How a series ended.
#[derive(Debug)]
pub(super) enum Compared<D> {
    /// From these pairs; those that were run again are not among them.
    Decided { decision: D, pairs: Vec<Pair> },
    /// Arm B did not do what the original does, or kept the original from doing it.
    Broken(Mismatch),
}

/// Runs pairs of `a` and `b` until `decide`, shown the log ratios and the pairs so far, answers. The expectation grows
/// where the original turns out to vary more than it was known to.
pub(super) fn compare<D>(
    context: &mut Context,
    series: Series,
    (a, b): (&Arm, &Arm),
    mut expectation: Option<&mut Expectation>,
    mut decide: impl FnMut(&[f64], &[Pair]) -> Option<D>,
) -> Result<Compared<D>, ExperimentError> {
    let seed = context.seed_for(series.number, series.phase.stream());
    let mut taken = Taken::of(context.config.benchmark.primary());
    let mut unseen = stored(context, series)?;
    let begun = unseen.len();
    let before = Moment::now();
    loop {
        for recorded in unseen.drain(..) {
            // Also the outputs of a pair that is run again: they say as much as any other.
            if let Some(expectation) = expectation.as_deref_mut()
                && let Some(mismatch) = check(context, series, expectation, &recorded.pair)?
            {
                return Ok(Compared::Broken(mismatch));
            }
            if let Some(mismatch) = objectives::comparable(&context.config.benchmark, &recorded.pair)? {
                return Ok(Compared::Broken(mismatch));
            }
            taken.take(recorded);
        }
        let done = taken.kept();
        context.events.send(Event::Measured {
            phase: series.phase,
            done,
            most: series.most,
            redone: taken.redo.redone(),
            estimate: estimate(
                &taken.log_ratios,
                context.config.goal.alpha,
                Question::Different,
                Noise::Unknown,
            ),
        });
        tell_if_busy(context, &taken);
        if let Some(decision) = decide(&taken.log_ratios, &taken.pairs) {
            if taken.drawn as usize > begun {
                strained(context, series, &before.until_now())?;
            }
            return Ok(Compared::Decided { decision, pairs: taken.pairs });
        }
        if done >= series.most {
            return Err(ExperimentError::InvalidMeasurement {
                what: format!("{done} pairs decided nothing"),
            });
        }
        context.go_on()?;
        let pair = {
            let _alone = context.measuring_alone()?;
            context.measurer.pair(a, b, seed, taken.drawn)?
        };
        let recorded = taken.judged(pair);
        let row = record::pair_row(&recorded)?;
        context.worklog.append_pair(context.session, series.attempt, series.phase.id(), &row)?;
        unseen.push(recorded);
    }
}

/// Records what the machine went through during a series, and warns where the numbers that people will see rest on it.
fn strained(context: &mut Context, series: Series, strain: &Strain) -> Result<(), ExperimentError> {
    let state = format!("strain {} {}", series.phase.id(), series.number);
    context.worklog.record_session(context.session, &state, &record::to_json(strain)?)?;
    if matches!(series.phase, Phase::Control | Phase::Claim) {
        for warning in strain.warnings() {
            context.events.warn(warning, None);
        }
    }
    Ok(())
}

/// Once a session: a machine that is always busy is not waited for, but its user should know.
fn tell_if_busy(context: &mut Context, taken: &Taken) {
    let (redone, kept) = (taken.redo.redone(), taken.redo.kept_disturbed());
    if kept == 0 || context.told_busy {
        return;
    }
    context.told_busy = true;
    context.events.warn(
        format!(
            "{} of {} pairs were disturbed: the machine is busy, or the command wants more CPUs than there are; from \
             here on, few of them are run again",
            redone + kept,
            taken.drawn
        ),
        Some("stop other programs, or measure CPU time: --metric cpu"),
    );
}

/// The pairs that an earlier process of this session has measured.
pub(super) fn stored(context: &Context, series: Series) -> Result<Vec<Recorded>, ExperimentError> {
    context
        .worklog
        .pairs(context.session, series.attempt, series.phase.id())?
        .into_iter()
        .map(record::recorded)
        .collect()
}

/// The pairs of a series so far.
#[derive(Debug, PartialEq)]
struct Taken {
    objective: Objective,
    /// All pairs, also those that are run again: each has a coin of its own.
    drawn: u32,
    redo: Redo,
    /// Those that count.
    pairs: Vec<Pair>,
    log_ratios: Vec<f64>,
}

impl Taken {
    fn of(objective: Objective) -> Self {
        Self { objective, drawn: 0, redo: Redo::default(), pairs: Vec::new(), log_ratios: Vec::new() }
    }

    fn kept(&self) -> u32 {
        u32::try_from(self.pairs.len()).unwrap_or(u32::MAX)
    }

    /// Whether the next pair is to be run again.
    fn judged(&self, pair: Pair) -> Recorded {
        let mut redo = self.redo;
        let redone = redo.wants(&pair.disturbance(), self.kept());
        Recorded { pair, redone }
    }

    fn take(&mut self, Recorded { pair, redone }: Recorded) {
        self.drawn += 1;
        self.redo.recall(&pair.disturbance(), redone);
        if !redone {
            self.log_ratios.extend(pair.log_ratio(&self.objective));
            self.pairs.push(pair);
        }
    }
}

fn check(
    context: &mut Context,
    series: Series,
    expectation: &mut Expectation,
    pair: &Pair,
) -> Result<Option<Mismatch>, ExperimentError> {
    let against = |context: &Context, expectation: &Expectation, sample| {
        expectation.check(sample, &|sha256| context.measurer.outputs().read(sha256)).err()
    };
    if let Some(mismatch) = against(context, expectation, &pair.a)
        && let Some(fault) = relearn(context, series, expectation, pair, &mismatch)?
    {
        return Ok(Some(fault));
    }
    Ok(against(context, expectation, &pair.b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Metric;
    use crate::measure::Sample;
    use crate::sys::wire::RunRecord;

    /// A run of this length that waited for a CPU this long, milliseconds.
    fn run(wall_ms: u64, wait_ms: u64) -> Sample {
        let run =
            RunRecord { runqueue_wait_ns: Some(wait_ms * 1_000_000), ..RunRecord::of(wall_ms * 1_000_000) };
        Sample { run, files: Vec::new(), custom: std::collections::BTreeMap::new() }
    }

    /// Goes through pairs with these waits of A and B, as one process would.
    fn through(times_ms: (u64, u64), waits_ms: &[(u64, u64)]) -> (Taken, Vec<Recorded>) {
        let mut taken = Taken::of(Objective::lower(Metric::Wall));
        let mut worklog = Vec::new();
        for (a, b) in waits_ms {
            let (index, a_first) = (taken.drawn, true);
            let pair = Pair { index, a_first, a: run(times_ms.0, *a), b: run(times_ms.1, *b) };
            let recorded = taken.judged(pair);
            worklog.push(recorded.clone());
            taken.take(recorded);
        }
        (taken, worklog)
    }

    fn marks(worklog: &[Recorded]) -> Vec<bool> {
        worklog.iter().map(|recorded| recorded.redone).collect()
    }

    #[test]
    fn a_disturbed_pair_is_run_again_as_a_whole() {
        let (taken, worklog) = through((100, 100), &[(0, 0), (50, 0), (0, 50), (0, 0), (0, 9)]);
        assert_eq!(marks(&worklog), [false, true, true, false, false]);
        assert_eq!((taken.drawn, taken.kept(), taken.log_ratios.len()), (5, 3, 3));
        let kept: Vec<u32> = taken.pairs.iter().map(|pair| pair.index).collect();
        assert_eq!(kept, [0, 3, 4], "each draw has a coin of its own");
    }

    #[test]
    fn which_arm_is_faster_or_was_hit_decides_nothing() {
        let waits = [(50, 0), (0, 0), (0, 50), (0, 0), (50, 50)];
        let swapped: Vec<(u64, u64)> = waits.iter().map(|&(a, b)| (b, a)).collect();
        let expected = marks(&through((100, 100), &waits).1);
        for times in [(100, 101), (101, 100)] {
            assert_eq!(marks(&through(times, &waits).1), expected);
            assert_eq!(marks(&through(times, &swapped).1), expected);
        }
    }

    #[test]
    fn a_machine_that_is_always_busy_is_measured_all_the_same() {
        let (taken, _) = through((100, 100), &[(50, 50); 100]);
        assert_eq!((taken.kept(), taken.redo.redone(), taken.redo.kept_disturbed()), (78, 22, 78));
    }

    /// Wherever it is cut, and whatever a later version would decide of the pairs before the cut.
    #[test]
    fn a_resumed_series_goes_on_as_if_it_had_never_stopped() {
        let waits: Vec<(u64, u64)> = (0..40).map(|n: u64| (n * n % 7 * 4, n * 5 % 11 * 2)).collect();
        let (whole, worklog) = through((100, 90), &waits);
        assert!(whole.redo.redone() > 3 && whole.redo.kept_disturbed() > 0, "{:?}", whole.redo);
        for cut in 0..=waits.len() {
            let mut resumed = Taken::of(Objective::lower(Metric::Wall));
            for recorded in &worklog[..cut] {
                let row = record::pair_row(recorded).unwrap();
                resumed.take(record::recorded(row).unwrap());
            }
            for recorded in &worklog[cut..] {
                let again = resumed.judged(recorded.pair.clone());
                assert_eq!(again, *recorded);
                resumed.take(again);
            }
            assert_eq!(resumed, whole);
        }
    }
}
