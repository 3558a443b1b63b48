//! What the machine can do at best, and how far a command is from it.

use std::path::Path;

use serde::Serialize;

use super::analysis;
use super::context::Setup;
use super::error::ExperimentError;
use super::event::Events;
use super::layout::measure_lock;
use crate::config::{Config, DeclaredWork};
use crate::diagnose::floor::{Floor, Observed, Rates, Work, floor};
use crate::diagnose::{Diagnosis, Machine, diagnose};
use crate::machine::probes::{self, ALL, Kept, ProbeStore, Probes, Reading, Unit};
use crate::machine::{Facts, MeasureLock, cores_available};
use crate::profile::Usage;
use crate::report::words;
use crate::sys::signals;

/// The probes of this machine, and the floor of a command on it; the document of `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct FloorReport {
    /// Of the machine, as everywhere.
    pub fingerprint: String,
    /// Cores that "all cores" means.
    pub cores: u32,
    /// When the oldest of the probes was made, milliseconds since the Unix epoch.
    pub measured_at: i64,
    /// Whether nothing had to be measured.
    pub cached: bool,
    /// Where what was measured could not be kept, and why.
    pub unwritable: Option<String>,
    /// When the probes were made; absent where the kernel does not say.
    pub load_1min: Option<f64>,
    /// Whether other programs ran meanwhile, so that the probes may show less than the machine can do.
    pub disturbed: bool,
    pub probes: Vec<ProbeLine>,
    /// The command; absent where only the machine was asked for.
    pub program: Option<Program>,
    pub floor: Option<Floor>,
}

/// One probe.
#[derive(Debug, Clone, Serialize)]
pub struct ProbeLine {
    pub id: &'static str,
    pub what: &'static str,
    pub unit: Unit,
    pub value: Option<f64>,
    pub how: &'static str,
    pub note: Option<String>,
    /// Why the value may be better than the machine, where that is so.
    pub flattered: Option<String>,
    /// Why there is no value.
    pub absent: Option<String>,
}

/// What was measured of the command.
#[derive(Debug, Clone, Serialize)]
pub struct Program {
    pub benchmark: String,
    pub command: String,
    /// What holds it back, see `perfup analyze`.
    pub class: &'static str,
    /// Medians.
    pub wall_s: f64,
    pub cpu_s: f64,
    pub wall_s_min: f64,
    pub runs: usize,
}

/// Probes the machine, and measures a command where one is given.
///
/// With `fresh` nothing kept is taken for what it is. The probes need nothing but a folder; a cache that cannot be written
/// costs only the next call's time.
///
/// # Errors
/// When the machine does not say what it is, the user interrupts, or the command cannot be measured.
pub fn floor_report(
    setup: &Setup,
    config: Option<&Config>,
    fresh: bool,
) -> Result<FloorReport, ExperimentError> {
    let facts = Facts::read()?;
    // The command first: what is wrong with it should not take two seconds to be told.
    let measured = config.map(|config| measured(setup, config)).transpose()?;
    let (probes, kept) = Probing::from(setup).probes(&facts, fresh)?;
    let floor = measured.as_ref().map(|measured| {
        let work = Work {
            declared: config.map_or_else(DeclaredWork::default, |config| config.benchmark.floor.clone()),
            observed: measured.observed(),
        };
        floor(&work, &Rates::from(&probes), cores_available() as usize)
    });
    Ok(FloorReport {
        fingerprint: facts.fingerprint(),
        cores: facts.cores_available,
        measured_at: probes.measured_at,
        cached: kept.is_cached(),
        unwritable: kept.unwritable,
        load_1min: probes.load_1min,
        disturbed: probes.were_disturbed(facts.cores_available),
        probes: ALL.iter().map(|probe| ProbeLine::new(probe, &probes)).collect(),
        program: config.zip(measured).map(|(config, measured)| measured.program(config)),
        floor,
    })
}

/// The floor of a diagnosis that was made without declared work and without rates. The machine is only probed where that
/// can change the answer, and only once.
pub(super) fn floor_of(
    place: &Probing<'_>,
    declared: &DeclaredWork,
    usage: &Usage,
    diagnosis: &Diagnosis,
) -> Result<Floor, ExperimentError> {
    let observed = Observed::of(usage, diagnosis.class, &diagnosis.shares);
    let work = Work { declared: declared.clone(), observed };
    let facts = Facts::read()?;
    let rates = if work.needs_rates() {
        Some(Rates::from(&place.probes(&facts, false)?.0))
    } else {
        let store = ProbeStore::new(place.cache);
        probes::kept_probes(&facts, place.folder, &store).map(|probes| Rates::from(&probes))
    };
    Ok(floor(&work, &rates.unwrap_or_default(), cores_available() as usize))
}

/// Where probes are made and kept, and who hears of it.
pub(super) struct Probing<'a> {
    /// Its device is probed.
    pub folder: &'a Path,
    /// The user's cache folder.
    pub cache: &'a Path,
    pub events: &'a Events,
}

impl<'a> From<&'a Setup> for Probing<'a> {
    fn from(setup: &'a Setup) -> Self {
        Self { folder: &setup.folder, cache: &setup.cache, events: &setup.events }
    }
}

impl Probing<'_> {
    /// What judging a program needs of the machine, as far as it has been probed before.
    pub(super) fn machine(&self) -> Machine {
        let facts = Facts::read().ok();
        let kept =
            facts.and_then(|facts| probes::kept_probes(&facts, self.folder, &ProbeStore::new(self.cache)));
        let rates = kept.map(|probes| Rates::from(&probes)).unwrap_or_default();
        Machine::new(cores_available() as usize, &rates)
    }

    /// The probes of the machine and of the device below the folder.
    fn probes(&self, facts: &Facts, fresh: bool) -> Result<(Probes, Kept), ExperimentError> {
        let alone = || {
            let lock = self.lock();
            self.events.working("measuring what this machine can do");
            lock
        };
        probes::probes(facts, self.folder, &ProbeStore::new(self.cache), fresh, alone)
    }

    /// Keeps other perfup processes from measuring meanwhile; where the cache cannot be written there is no lock to hold.
    fn lock(&self) -> Result<Option<MeasureLock>, ExperimentError> {
        let path = measure_lock(self.cache);
        if path.parent().is_none_or(|folder| std::fs::create_dir_all(folder).is_err()) {
            return Ok(None);
        }
        let held = MeasureLock::acquire(&path, &mut |holder| self.events.working(words::waiting(holder)));
        if signals::interrupted() {
            return Err(ExperimentError::Interrupted);
        }
        Ok(held.ok())
    }
}

/// A command that was run and watched.
struct Measured {
    usage: Usage,
    diagnosis: Diagnosis,
}

fn measured(setup: &Setup, config: &Config) -> Result<Measured, ExperimentError> {
    let (usage, profile) = analysis::watched(setup, config)?;
    setup.events.working("finding where the time goes");
    let diagnosis = diagnose(&usage, &profile, &Probing::from(setup).machine());
    Ok(Measured { usage, diagnosis })
}

impl Measured {
    fn observed(&self) -> Observed {
        Observed::of(&self.usage, self.diagnosis.class, &self.diagnosis.shares)
    }

    fn program(&self, config: &Config) -> Program {
        Program {
            benchmark: config.benchmark.name.clone(),
            command: config.benchmark.command.to_string(),
            class: self.diagnosis.class.id(),
            wall_s: self.usage.wall_s,
            cpu_s: self.usage.user_s + self.usage.sys_s,
            wall_s_min: self.usage.wall_s_min,
            runs: self.usage.samples,
        }
    }
}

impl ProbeLine {
    fn new(probe: &probes::Probe, probes: &Probes) -> Self {
        let mut line = Self {
            id: probe.id,
            what: probe.what,
            unit: probe.unit,
            value: probes.value(probe),
            how: probe.how,
            note: None,
            flattered: None,
            absent: None,
        };
        match probes.reading(probe) {
            Some(Reading::Value { note, flattered, .. }) => {
                (line.note, line.flattered) = (note.clone(), flattered.clone());
            }
            Some(Reading::Absent { reason }) => line.absent = Some(reason.clone()),
            None => line.absent = Some("it was not made".to_owned()),
        }
        line
    }
}
