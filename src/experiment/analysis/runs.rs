//! Runs a command under watch, as often and as long as it takes to see where its time goes.
//!
//! **Invariant**: adds no run and no pause to a command that runs for seconds; whatever ends a run early, what was seen
//! until then is kept.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::super::context::Setup;
use super::super::error::ExperimentError;
use super::Ending;
use super::announce::Announcer;
use crate::measure::{Arm, Measurer, Sample};
use crate::profile::{self, Limits, Profile};
use crate::sys::wire::RunEnd;
use crate::sys::{procfs, signals, terminate};
use crate::verify::LearnError;

/// A failing command that ran for less says nothing worth knowing of where time goes.
const TELLING_S: f64 = 1.0;

/// How long a program that was asked to end may take for it before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What was seen of a command.
pub(super) struct Watched {
    pub profile: Profile,
    pub samples: Vec<Sample>,
    pub ending: Ending,
}

/// Watches the command for `time` at most.
pub(super) fn watch(
    setup: &Setup,
    measurer: &Measurer,
    arm: &Arm,
    time: Option<Duration>,
) -> Result<Watched, ExperimentError> {
    setup.events.working("running the command");
    let start = Instant::now();
    let announcer = Announcer::new(&setup.events);
    let mut ending = Ending::Finished;
    let mut failed = None;
    let mut runs = 0;
    let mut once = |on_start: &mut dyn FnMut(u32)| {
        if ending != Ending::Finished {
            return Err(Enough);
        }
        let left = time.map(|time| time.saturating_sub(start.elapsed()));
        let (sample, was_ended) = timed(left, |started| {
            let limited =
                left.map(|left| Arm { timeout: (left + LAST_WORDS).min(arm.timeout), ..arm.clone() });
            measurer.run_to_any_end(limited.as_ref().unwrap_or(arm), runs, &mut |runner| {
                on_start(runner);
                started(runner);
            })
        });
        runs += 1;
        let sample = sample.map_err(ExperimentError::from);
        let ended = sample.and_then(|sample| Ok((ending_of(&sample, was_ended, arm, measurer)?, sample)));
        let (end, sample) = ended.map_err(|error| {
            failed = Some(error);
            Enough
        })?;
        ending = end;
        Ok(sample)
    };
    let seen = profile::record(&Limits::default(), &mut once, &|profile| announcer.look(profile));
    match (seen, failed) {
        (Ok((profile, samples)), None) => Ok(Watched { profile, samples, ending }),
        (_, Some(error)) => Err(error),
        // The first run gives a sample or a failure.
        (Err(Enough), None) => Err(ExperimentError::Interrupted),
    }
}

/// Nothing more is to be run.
struct Enough;

/// How a run ended, and whether that is something to go on with.
fn ending_of(
    sample: &Sample,
    was_ended: bool,
    arm: &Arm,
    measurer: &Measurer,
) -> Result<Ending, ExperimentError> {
    let end = sample.run.end;
    if end == RunEnd::Interrupted || signals::interrupted() {
        return Ok(Ending::Interrupted);
    }
    if was_ended {
        return Ok(Ending::Stopped);
    }
    if end == RunEnd::Exited(0) {
        return Ok(Ending::Finished);
    }
    let stderr = measurer.outputs().read(&sample.run.stderr.sha256).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    if sample.wall_s() < TELLING_S {
        return Err(LearnError::BaseFails { end: end.to_string(), stderr }.into());
    }
    let why = if end == RunEnd::TimedOut { format!("{end} of {:?}", arm.timeout) } else { end.to_string() };
    Ok(Ending::Failed { end: why, said: last_line(&stderr) })
}

fn last_line(text: &str) -> Option<String> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// Runs something that tells the process id of its runner; after `time` from then on, everything below the runner is asked
/// to end. Says whether that was done.
fn timed<T>(time: Option<Duration>, run: impl FnOnce(&mut dyn FnMut(u32)) -> T) -> (T, bool) {
    let Some(time) = time else {
        return (run(&mut |_| {}), false);
    };
    let (sender, receiver) = mpsc::channel::<u32>();
    std::thread::scope(|scope| {
        let ender = scope.spawn(move || {
            let Ok(runner) = receiver.recv() else { return false };
            // The sender goes when the run is over.
            let over = matches!(receiver.recv_timeout(time), Err(RecvTimeoutError::Disconnected));
            if !over {
                procfs::descendants(runner).into_iter().for_each(terminate);
            }
            !over
        });
        let result = {
            let sender = sender;
            run(&mut |runner| {
                // An ender that has gone has nothing to end.
                let _ = sender.send(runner);
            })
        };
        (result, ender.join().unwrap_or(false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_in_time_is_not_ended() {
        let (answer, ended) = timed(Some(Duration::from_secs(600)), |started| {
            started(1 << 30);
            7
        });
        assert_eq!((answer, ended), (7, false));
        assert_eq!(timed(Some(Duration::from_secs(600)), |_| 7), (7, false));
        assert_eq!(timed(None, |_| 7), (7, false));
    }
}
