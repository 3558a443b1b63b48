//! Calibration: does perfup keep its promise on this machine, now? Whole trials of a program against itself, which must
//! find nothing, and against itself made slower by a known amount, which they should find.
//!
//! Every trial is decided as `perfup measure` decides, with real processes on the machine as it is, or under the bundled
//! noise generator; without warm-up and the cut-off of slow runs.
//! **Invariant**: nothing is simulated here.

mod noise;
mod store;
mod workload;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::run::Stopwatch;
use super::{Contender, Failures, Hands, Plan, Purpose, Rounds, TrialError, run};
use crate::config::{CommandLine, Metric, Objective};
use crate::measure::Arm;
use crate::stats::decision::Word;
use crate::stats::proportion;
use crate::stats::rng;
use crate::stats::summary::median;
use crate::sys::signals;
use crate::sys::wire::RunEnd;

pub use noise::Noise;
pub use store::{Asked, Calibrations};

/// Confidence of every interval of a rate.
pub const CONFIDENCE: f64 = 0.95;

/// How far the workload's size may be off before it is adjusted once more.
const SIZE_TOLERANCE: f64 = 0.25;

/// Runs that size the workload.
const SIZING_RUNS: u64 = 7;

/// A workload of fewer units is mostly the start of its process.
const UNITS_MIN: u64 = 100;

/// No CPU computes a unit faster: 12 000 operations, one after the other, at 6 GHz take 2 µs.
const UNIT_S_MIN: f64 = 1e-6;

/// What is to be calibrated.
#[derive(Debug, Clone)]
pub struct CalibrationPlan {
    pub noise: Noise,
    /// Trials of each kind: of no effect, and of each of `effects`.
    pub sessions: u32,
    /// Slow-downs to inject, as fractions.
    pub effects: Vec<f64>,
    pub metric: Metric,
    pub alpha: f64,
    pub min_effect: f64,
    pub pairs_max: u32,
    /// What one run of the workload should take of the metric.
    pub run_time: Duration,
    /// No further trial is begun after this time.
    pub budget: Duration,
    pub seed: u64,
}

/// What a calibration found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The machine's.
    pub fingerprint: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    pub perfup: String,
    pub noise: Noise,
    pub metric: Metric,
    pub alpha: f64,
    pub min_effect: f64,
    pub pairs_max: u32,
    /// Median of the metric over runs of the workload before the noise, seconds.
    pub run_s: f64,
    /// The machine's load average over the last minute, at the start.
    pub load_1min: Option<f64>,
    /// The trials without an effect first.
    pub rates: Vec<Rate>,
    pub seed: u64,
    /// The time budget or Ctrl-C ended it before all trials were run.
    pub cut_short: bool,
}

/// How often trials of one kind gave which word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The injected slow-down, as a fraction; 0 is a program against itself.
    pub effect: f64,
    pub sessions: u32,
    pub faster: u32,
    pub slower: u32,
    pub equivalent: u32,
    pub inconclusive: u32,
    pub invalid: u32,
    /// Trials with the right word: SLOWER, or neither FASTER nor SLOWER where there is no effect.
    pub right: u32,
    /// Trials with a word that is false: FASTER, SLOWER where there is no effect, and EQUIVALENT where the effect is as
    /// large as the smallest worth telling.
    pub wrong: u32,
    /// Clopper–Pearson interval of the share of `right`.
    pub right_interval: (f64, f64),
    pub wrong_interval: (f64, f64),
    /// Pairs that a trial took.
    pub pairs_median: Option<f64>,
    #[serde(skip)]
    pairs: Vec<f64>,
}

impl Rate {
    fn new(effect: f64) -> Self {
        Self {
            effect,
            sessions: 0,
            faster: 0,
            slower: 0,
            equivalent: 0,
            inconclusive: 0,
            invalid: 0,
            right: 0,
            wrong: 0,
            right_interval: (0.0, 1.0),
            wrong_interval: (0.0, 1.0),
            pairs_median: None,
            pairs: Vec::new(),
        }
    }

    fn add(&mut self, word: Word, pairs: usize, min_effect: f64) {
        self.sessions += 1;
        let count = match word {
            Word::Faster => &mut self.faster,
            Word::Slower => &mut self.slower,
            Word::Equivalent => &mut self.equivalent,
            Word::Inconclusive => &mut self.inconclusive,
            Word::Invalid => &mut self.invalid,
        };
        *count += 1;
        self.pairs.push(pairs as f64);
        let found = self.faster + self.slower;
        (self.right, self.wrong) = match self.effect {
            0.0 => (self.sessions - found, found),
            effect if effect < min_effect => (self.slower, self.faster),
            _ => (self.slower, self.faster + self.equivalent),
        };
        self.right_interval = proportion::interval(self.right.into(), self.sessions.into(), CONFIDENCE);
        self.wrong_interval = proportion::interval(self.wrong.into(), self.sessions.into(), CONFIDENCE);
        self.pairs_median = median(&self.pairs);
    }
}

/// A calibration that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    #[error("start the noise generator")]
    Noise(#[source] io::Error),
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error("the calibration's own workload failed ({0})")]
    Workload(RunEnd),
    #[error("not one trial of each kind was finished")]
    NothingFinished,
}

/// Where a calibration stands, told between trials.
#[derive(Debug, Clone)]
pub struct CalibrationProgress {
    pub done: u32,
    pub of: u32,
    pub elapsed: Duration,
    pub rates: Vec<Rate>,
}

/// What perfup becomes when it is re-executed as workload or as noise; absent when it is not.
#[must_use]
pub fn re_executed() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let (role, what) = (arguments.next()?, arguments.next()?);
    match role.as_str() {
        workload::ARGUMENT => Some(workload::main(what.parse().ok()?)),
        noise::ARGUMENT => Some(noise::main(Noise::named(&what)?)),
        _ => None,
    }
}

/// Runs the trials, each kind in turn, so that what a budget cuts short is still balanced.
///
/// `exe` is perfup itself.
///
/// # Errors
/// [`CalibrationError`].
pub fn calibrate(
    plan: &CalibrationPlan,
    exe: &Path,
    hands: &mut Hands<'_>,
    progress: &mut dyn FnMut(&CalibrationProgress),
) -> Result<Calibration, CalibrationError> {
    let facts = crate::machine::Facts::read().map_err(TrialError::from)?;
    let watch = Stopwatch::start(hands);
    // Under the noise the workload would come out in another size each time.
    let workload = size(plan, exe, hands)?;
    // The noise must not reach the measurements of others between two rounds: they wait until it is over.
    let is_noisy = plan.noise != Noise::Present;
    let _alone = if is_noisy { hands.alone()? } else { None };
    let hands = &mut Hands {
        measure_lock: hands.measure_lock.filter(|_| !is_noisy),
        progress: &mut *hands.progress,
        ..*hands
    };
    let _noise = noise::Generator::start(exe, plan.noise).map_err(CalibrationError::Noise)?;
    let mut rates: Vec<Rate> =
        std::iter::once(0.0).chain(plan.effects.iter().copied()).map(Rate::new).collect();
    let of = plan.sessions * u32::try_from(rates.len()).unwrap_or(u32::MAX);
    let mut done = 0;
    'sessions: for session in 0..plan.sessions {
        for (kind, rate) in rates.iter_mut().enumerate() {
            if signals::interrupted() || watch.elapsed(hands) >= plan.budget {
                break 'sessions;
            }
            let seed = rng::draw(plan.seed, kind as u64, session.into());
            let trial = trial(plan, exe, &workload, rate.effect, seed);
            let report = match run(&trial, hands) {
                Ok(report) if report.interrupted => break 'sessions,
                Err(TrialError::Interrupted) => break 'sessions,
                other => other?,
            };
            for comparison in &report.comparisons {
                tracing::debug!(
                    effect = rate.effect,
                    seed,
                    word = comparison.verdict,
                    pairs = comparison.pairs,
                    stopped = ?comparison.stopped_because,
                    log_ratios = ?comparison.decision.estimate,
                    "calibration trial"
                );
                rate.add(comparison.decision.word, comparison.pairs, plan.min_effect);
            }
            done += 1;
        }
        progress(&CalibrationProgress { done, of, elapsed: watch.elapsed(hands), rates: rates.clone() });
    }
    if rates.iter().any(|rate| rate.sessions == 0) {
        return Err(match signals::interrupted() {
            true => TrialError::Interrupted.into(),
            false => CalibrationError::NothingFinished,
        });
    }
    Ok(Calibration {
        fingerprint: facts.fingerprint(),
        created_at: jiff::Timestamp::now().as_millisecond(),
        perfup: env!("CARGO_PKG_VERSION").to_owned(),
        noise: plan.noise,
        metric: plan.metric.clone(),
        alpha: plan.alpha,
        min_effect: plan.min_effect,
        pairs_max: plan.pairs_max,
        run_s: workload.run_s,
        load_1min: facts.load_1min,
        rates,
        seed: plan.seed,
        cut_short: done < of,
    })
}

/// The workload in its size for this machine.
#[derive(Debug, Clone, Copy)]
struct Workload {
    units: u64,
    /// Median of the metric, seconds.
    run_s: f64,
    /// Seconds of it that one unit takes.
    unit_s: f64,
}

impl Workload {
    /// Units of a run that takes longer by a fraction of the whole: the start of the process does not grow.
    fn slower_by(self, effect: f64) -> u64 {
        self.units + (effect * self.run_s / self.unit_s).round() as u64
    }
}

/// Finds how many units take about the wanted time here, by the metric that will decide.
fn size(plan: &CalibrationPlan, exe: &Path, hands: &mut Hands<'_>) -> Result<Workload, CalibrationError> {
    let _alone = hands.alone()?;
    let wanted = plan.run_time.as_secs_f64();
    let taken = |units: u64| -> Result<f64, CalibrationError> {
        let contender = contender(exe, units);
        let mut times = Vec::new();
        for turn in 0..SIZING_RUNS {
            let sample = hands.measurer.run(&contender.arm, turn).map_err(TrialError::from)?;
            if sample.run.end != RunEnd::Exited(0) {
                return Err(CalibrationError::Workload(sample.run.end));
            }
            hands.measurer.outputs().forget(&sample);
            times.extend(sample.metric(&plan.metric));
        }
        median(&times)
            .ok_or_else(|| TrialError::NoValue { name: contender.name, metric: plan.metric.clone() }.into())
    };
    // Two sizes tell the start of the process from the work: time = start + units · each.
    let small = (UNITS_MIN, taken(UNITS_MIN)?);
    let large = (21 * UNITS_MIN, taken(21 * UNITS_MIN)?);
    let unit_s = slope(small, large);
    let start = (small.1 - unit_s * UNITS_MIN as f64).max(0.0);
    let mut units = (((wanted - start) / unit_s) as u64).max(UNITS_MIN);
    let mut run_s = taken(units)?;
    if (run_s / wanted - 1.0).abs() > SIZE_TOLERANCE {
        units = ((units as f64 * wanted / run_s) as u64).max(UNITS_MIN);
        run_s = taken(units)?;
    }
    let unit_s = if units > large.0 { slope(small, (units, run_s)) } else { unit_s };
    Ok(Workload { units, run_s, unit_s })
}

/// Seconds per unit, from two sizes and their times; a burst during the smaller one must not make units free.
fn slope(small: (u64, f64), large: (u64, f64)) -> f64 {
    ((large.1 - small.1) / (large.0 - small.0) as f64).max(UNIT_S_MIN)
}

fn contender(exe: &Path, units: u64) -> Contender {
    let words = [exe.to_string_lossy().into_owned(), workload::ARGUMENT.to_owned(), units.to_string()];
    Contender {
        name: format!("{units} units"),
        arm: Arm::new(CommandLine::Argv(words.to_vec()), PathBuf::from("/"), Duration::from_secs(60)),
        setup: None,
        cleanup: None,
        parameters: BTreeMap::new(),
    }
}

fn trial(plan: &CalibrationPlan, exe: &Path, workload: &Workload, effect: f64, seed: u64) -> Plan {
    Plan {
        contenders: vec![contender(exe, workload.units), contender(exe, workload.slower_by(effect))],
        purpose: Purpose::Compare { alpha: plan.alpha, min_effect: plan.min_effect },
        primary: Objective::lower(plan.metric.clone()),
        guards: Vec::new(),
        rounds: Rounds::Needed { min: 0, max: plan.pairs_max },
        budget: Duration::MAX,
        warmup: 0,
        race: None,
        failures: Failures::Refused,
        seed,
        keep_samples: false,
        even_if_identical: true,
        scale: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Right and wrong words for an effect, where 1 % is the smallest worth telling.
    fn judged(effect: f64) -> [(u32, u32); 5] {
        let words = [Word::Faster, Word::Slower, Word::Equivalent, Word::Inconclusive, Word::Invalid];
        words.map(|word| {
            let mut rate = Rate::new(effect);
            rate.add(word, 20, 0.01);
            (rate.right, rate.wrong)
        })
    }

    #[test]
    fn only_what_is_false_is_wrong() {
        assert_eq!(judged(0.0), [(0, 1), (0, 1), (1, 0), (1, 0), (1, 0)]);
        assert_eq!(judged(0.005), [(0, 1), (1, 0), (0, 0), (0, 0), (0, 0)]);
        assert_eq!(judged(0.1), [(0, 1), (1, 0), (0, 1), (0, 0), (0, 0)]);
    }

    #[test]
    fn a_burst_while_it_is_sized_makes_no_unit_free() {
        assert_eq!(slope((100, 1e-3), (2_100, 21e-3)), 1e-5);
        assert_eq!(slope((100, 5e-3), (2_100, 4e-3)), UNIT_S_MIN);
    }
}
