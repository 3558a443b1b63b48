//! `perfup measure`: statistics of one command, or a paired comparison of several.

mod arguments;
mod commands;
mod export;
mod parameters;
mod progress;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::failure::{Failure, INCONCLUSIVE, INTERRUPTED, INVALID, REGRESSION};
use super::terminal::Terminal;
use super::{Global, setup};
use crate::experiment::{Events, Setup, measure_lock};
use crate::measure::{Measurer, MeasurerOptions};
use crate::report;
use crate::stats::decision::Word;
use crate::stats::guard::GuardWord;
use crate::sys::signals;
use crate::trial::calibrate::{Asked, Calibrations};
use crate::trial::{self, ComparisonReport, Hands, Progress, Report};

pub(super) use arguments::{
    MeasureArgs, percent as share_argument, probability as probability_argument,
    slow_down as slow_down_argument,
};

pub(super) fn measure(args: &MeasureArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    signals::install().map_err(|error| Failure::io("catch signals", error))?;
    let bench = Bench::new(global)?;
    let plan = commands::plan(args, &bench.setup)?;
    let exports = export::Exports::open(args, &bench.setup.folder)?;
    let bar = progress::Bar::new(terminal, &plan.primary.metric);
    let report = trial::run(&plan, &mut bench.hands(&mut |progress| bar.show(progress)));
    bar.clear();
    let mut report = report?;
    let calibrations = Calibrations::new(&setup::state_folder());
    report.calibration = report.alpha.zip(report.min_effect).and_then(|(alpha, min_effect)| {
        let (fingerprint, metric) = (&report.machine.fingerprint, &report.primary);
        calibrations.latest(&Asked { fingerprint, metric, alpha, min_effect })
    });
    let shown = if args.samples { report.clone() } else { report.clone().without_samples() };
    if global.json {
        terminal.result(&format!("{}\n", report::json("measure", &shown)?));
    } else {
        terminal.result(&text::text(&report, terminal.width()));
    }
    for warning in &report.warnings {
        terminal.warn(warning, None);
    }
    // Last, because a full disk must not cost what has been measured.
    exports.write(&report)?;
    Ok(ExitCode::from(code(&report)))
}

/// What it takes to run trials.
pub(super) struct Bench {
    pub setup: Setup,
    measurer: Measurer,
    lock: PathBuf,
    /// Held for its drop.
    _scratch: tempfile::TempDir,
}

impl Bench {
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let setup = setup::setup(global, Events::default())?;
        let scratch = tempfile::tempdir().map_err(|error| Failure::io("create a temporary folder", error))?;
        let measurer = Measurer::new(MeasurerOptions {
            runner_exe: setup.runner.clone(),
            scratch: scratch.path().to_owned(),
            outputs: scratch.path().join("outputs"),
            // What the user has set is part of what is asked; no stranger's program runs here, as in a session.
            environment: setup.environment.clone(),
        })?;
        let lock = measure_lock(&setup.cache);
        if let Some(folder) = lock.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| Failure::io(format!("create {}", folder.display()), error))?;
        }
        Ok(Self { setup, measurer, lock, _scratch: scratch })
    }

    pub fn hands<'a>(&'a self, progress: &'a mut dyn FnMut(&Progress)) -> Hands<'a> {
        Hands {
            measurer: &self.measurer,
            measure_lock: Some(&self.lock),
            environment: &self.setup.environment,
            progress,
            waited: Duration::ZERO,
        }
    }
}

/// The manual's exit code for what was found.
fn code(report: &Report) -> u8 {
    let has = |word: Word| report.comparisons.iter().any(|comparison| comparison.decision.word == word);
    let guards = |of: fn(&ComparisonReport) -> bool, word: GuardWord| {
        let mut guards =
            report.comparisons.iter().filter(|&comparison| of(comparison)).flat_map(|of| &of.guards);
        guards.any(|guard| guard.word == word)
    };
    // A guard that a loss has left open is no question any more.
    let is_open = guards(|comparison| comparison.decision.word != Word::Slower, GuardWord::Open);
    match () {
        () if report.interrupted => INTERRUPTED,
        () if has(Word::Invalid) => INVALID,
        () if guards(|_| true, GuardWord::Violated) => REGRESSION,
        () if has(Word::Inconclusive) || is_open => INCONCLUSIVE,
        () => 0,
    }
}
