//! The first half of the loop, where the user stands: watch, diagnose, floor, hypotheses, spec. Needs no repository and
//! changes nothing but the spec file.

mod announce;
mod document;
mod places;
mod process;
mod project;
mod runs;
mod steady;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use document::{Document, SourceState, document, sources};
pub use process::AttachError;

use super::context::Setup;
use super::error::ExperimentError;
use super::floor;
use super::layout::write_whole;
use super::objectives;
use crate::config::{CommandLine, Config, Metric};
use crate::diagnose::{Diagnosis, diagnose};
use crate::findings::{Finding, Rules};
use crate::machine::Facts;
use crate::measure::{Arm, Measurer, MeasurerOptions, Sample, neutral_environment};
use crate::plan::Hypothesis;
use crate::profile::{self, Profile, Usage};
use crate::spec::{self, Spec};
use crate::sys::signals;
use crate::sys::wire::RunEnd;
use crate::verify::{Expectation, LearnError};
use crate::workspace::Repository;
use announce::{Announcer, usage_so_far};
use process::Process;
use runs::Watched;

/// Seconds from which an interrupted or stopped run is worth a report.
const SEEN_S_MIN: f64 = 0.2;

/// How to watch.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// End the command, or stop watching the process, after this time.
    pub time: Option<Duration>,
    /// CPUs that the command may use; empty for all.
    pub cpus: Vec<u32>,
    /// Look for slow code in every file of the project.
    pub all_files: bool,
}

/// What an analysis found.
#[derive(Debug, Clone)]
pub struct Analysis {
    pub name: String,
    pub command: String,
    /// The process that was watched, which perfup did not start.
    pub pid: Option<u32>,
    pub diagnosis: Diagnosis,
    pub profile: Profile,
    /// One for each run of the command; empty for a process that ran already.
    pub samples: Vec<Sample>,
    pub ending: Ending,
    /// Places in the source that are known to be slow, confirmed ones first.
    pub findings: Vec<Finding>,
    /// Best first.
    pub hypotheses: Vec<Hypothesis>,
    /// Hypotheses that need the user's consent, as sentences.
    pub withheld: Vec<String>,
    /// What the output must look like, or why that cannot be learned.
    pub correctness: Vec<String>,
    /// The file that was written.
    pub spec: PathBuf,
}

/// How watching ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The command ended by itself, with success.
    Finished,
    /// It did not succeed, after a while; the last line it said on standard error.
    Failed { end: String, said: Option<String> },
    /// perfup ended it, as it was asked to.
    Stopped,
    /// The user had seen enough.
    Interrupted,
    /// The process that was watched goes on.
    GoesOn,
    /// The process that was watched has ended.
    Gone,
}

/// Analyses the configured command.
///
/// # Errors
/// [`ExperimentError`].
pub fn analyse(setup: &Setup, config: &Config, watch: &Watch) -> Result<Analysis, ExperimentError> {
    let place = Place::open(setup);
    place.try_write()?;
    let rules = place.rules()?;
    let bench = Bench::new(setup)?;
    if config.benchmark.required().any(|metric| *metric != Metric::Wall) {
        objectives::refuse(&config.benchmark, &Facts::read()?)?;
    }
    let arm = arm(config, &place.root, &watch.cpus);
    let Watched { profile, samples, ending } = runs::watch(setup, &bench.measurer, &arm, watch.time)?;
    let usage = profile::usage(&samples);
    if ending == Ending::Interrupted && usage.wall_s < SEEN_S_MIN {
        return Err(ExperimentError::Interrupted);
    }
    if ending == Ending::Finished {
        samples.iter().try_for_each(|sample| objectives::given(&config.benchmark, sample))?;
    }
    let correctness = correctness(config, &samples, &bench.measurer)?;
    let source = Source { rules, all_files: watch.all_files };
    conclude(setup, config, place, &source, Seen { pid: None, usage, profile, samples, ending, correctness })
}

/// Analyses a process that runs already, and everything below it, for `watch.time` or until it ends.
///
/// # Errors
/// [`ExperimentError::Attach`] when it cannot be watched.
pub fn attach(setup: &Setup, pid: u32, watch: &Watch) -> Result<Analysis, ExperimentError> {
    let process = Process::find(pid)?;
    let place = Place::open(setup);
    place.try_write()?;
    let rules = place.rules()?;
    let mut config = Config::for_command(CommandLine::Argv(process.command.clone()));
    if let Some(relative) = process.folder.as_ref().and_then(|folder| folder.strip_prefix(&place.root).ok()) {
        config.benchmark.cwd = relative.to_owned();
    }
    let how_long = match watch.time {
        Some(time) => format!("for {time:?}"),
        None => "until it ends; Ctrl-C to see what was seen".to_owned(),
    };
    setup.events.note(format!("watching process {pid} ({}) {how_long}", config.benchmark.command));
    let announcer = Announcer::new(&setup.events);
    let is_over = |watched| signals::interrupted() || watch.time.is_some_and(|time| watched >= time);
    let (profile, watched) = profile::attach(pid, &is_over, &|profile| announcer.look(profile))
        .map_err(|absent| AttachError::Unwatchable { pid, reason: absent.reason, remedy: absent.remedy })?;
    if profile.tree.ticks == 0 {
        return Err(AttachError::TooShort { pid }.into());
    }
    let usage = Usage {
        wall_s: watched.as_secs_f64(),
        wall_s_min: watched.as_secs_f64(),
        rss_bytes_max: process.peak_rss_bytes(),
        ..usage_so_far(&profile)
    };
    let ending = if signals::interrupted() {
        Ending::Interrupted
    } else if process.is_over() {
        Ending::Gone
    } else {
        Ending::GoesOn
    };
    let correctness = vec![
        "nothing learned of its output: it was watched, not run; `perfup run -- CMD` learns it first"
            .to_owned(),
    ];
    let source = Source { rules, all_files: watch.all_files };
    conclude(
        setup,
        &config,
        place,
        &source,
        Seen { pid: Some(pid), usage, profile, samples: Vec::new(), ending, correctness },
    )
}

/// Where to read and write.
struct Place {
    repository: Option<Repository>,
    /// The repository's root, else the user's folder.
    root: PathBuf,
}

impl Place {
    fn open(setup: &Setup) -> Self {
        let repository = Repository::open(&setup.folder).ok();
        let root = repository.as_ref().map_or(setup.folder.as_path(), Repository::root).to_owned();
        Self { repository, root }
    }

    /// A broken rule must not cost a measurement either.
    fn rules(&self) -> Result<Rules, ExperimentError> {
        Ok(Rules::with_user(&self.root.join(".perfup/rules"))?)
    }

    /// A folder that cannot be written must not cost a measurement.
    fn try_write(&self) -> Result<(), ExperimentError> {
        let specs = self.root.join("specs");
        let written = if specs.is_dir() { &specs } else { &self.root };
        tempfile::tempfile_in(written).map_err(ExperimentError::io("write in", written)).map(drop)
    }
}

/// What runs a command in the user's own folder.
struct Bench {
    measurer: Measurer,
    /// Held for its drop.
    _scratch: tempfile::TempDir,
}

impl Bench {
    fn new(setup: &Setup) -> Result<Self, ExperimentError> {
        let scratch =
            tempfile::tempdir().map_err(ExperimentError::io("create a folder in", std::env::temp_dir()))?;
        let measurer = Measurer::new(MeasurerOptions {
            runner_exe: setup.runner.clone(),
            scratch: scratch.path().to_owned(),
            outputs: scratch.path().join("outputs"),
            environment: neutral_environment(setup.environment.iter().cloned()),
        })?;
        Ok(Self { measurer, _scratch: scratch })
    }
}

/// Watches the configured command to its end, and writes nothing.
pub(super) fn watched(setup: &Setup, config: &Config) -> Result<(Usage, Profile), ExperimentError> {
    let (place, bench) = (Place::open(setup), Bench::new(setup)?);
    let seen = runs::watch(setup, &bench.measurer, &arm(config, &place.root, &[]), None)?;
    match seen.ending {
        Ending::Interrupted => Err(ExperimentError::Interrupted),
        _ => Ok((profile::usage(&seen.samples), seen.profile)),
    }
}

/// How the source is looked at.
struct Source {
    rules: Rules,
    all_files: bool,
}

/// All that watching gave.
struct Seen {
    pid: Option<u32>,
    usage: Usage,
    profile: Profile,
    samples: Vec<Sample>,
    ending: Ending,
    correctness: Vec<String>,
}

fn conclude(
    setup: &Setup,
    config: &Config,
    place: Place,
    source: &Source,
    seen: Seen,
) -> Result<Analysis, ExperimentError> {
    if let Ending::Failed { end, said } = &seen.ending {
        let said = said.as_ref().map_or(String::new(), |said| format!(": {said}"));
        setup.events.warn(
            format!("the command failed ({end}){said}"),
            Some("what follows is about its way there; a run that succeeds may spend its time otherwise"),
        );
    }
    setup.events.working("finding where the time goes");
    let mut diagnosis = diagnose(&seen.usage, &seen.profile, &floor::Probing::from(setup).machine());
    // Who has seen enough does not wait for the machine to be probed.
    if !signals::interrupted() {
        diagnosis.floor =
            floor::floor_of(&floor::Probing::from(setup), &config.benchmark.floor, &seen.usage, &diagnosis)?;
    }
    let files = project::files(&place.root, place.repository.as_ref());
    let looked_at = places::Project {
        root: &place.root,
        files: &files,
        command: &config.benchmark.command,
        cwd: &config.benchmark.cwd,
        all_files: source.all_files,
    };
    let findings = places::findings(&source.rules, &looked_at, &diagnosis, &seen.profile);
    let ranked = project::hypotheses(config, &place.root, &files, &diagnosis);
    let base = place.repository.as_ref().and_then(|repository| repository.head().ok());
    let (name, command) = (&config.benchmark.name, config.benchmark.command.to_string());
    let text = spec::render(&Spec {
        benchmark: name,
        command: &command,
        base_commit: &base.map_or_else(|| "no commit".to_owned(), |commit| commit.to_string()),
        diagnosis: &diagnosis,
        findings: &findings,
        hypotheses: project::proposed(&ranked),
        correctness: seen.correctness.clone(),
        result: None,
    })?;
    let path = place.root.join("specs").join(format!("{name}_speedup.md"));
    write_whole(&path, &text).map_err(ExperimentError::io("write", &path))?;
    let withheld = ranked.withheld.iter();
    Ok(Analysis {
        name: name.clone(),
        command,
        pid: seen.pid,
        withheld: withheld
            .map(|(hypothesis, policy)| format!("{} (--allow {})", hypothesis.title, policy.word()))
            .collect(),
        findings,
        hypotheses: ranked.queue,
        diagnosis,
        profile: seen.profile,
        samples: seen.samples,
        ending: seen.ending,
        correctness: seen.correctness,
        spec: path,
    })
}

fn arm(config: &Config, root: &Path, cpus: &[u32]) -> Arm {
    let benchmark = &config.benchmark;
    Arm {
        env: benchmark.env.clone(),
        stdin: benchmark.stdin.as_ref().map(|file| root.join(file)),
        prepare: benchmark.prepare.clone(),
        files: config.verify.files.clone(),
        cpus: cpus.to_owned(),
        metrics: benchmark.metrics.clone(),
        counters: benchmark.required().any(Metric::is_counted),
        ..Arm::new(benchmark.command.clone(), root.join(&benchmark.cwd), benchmark.timeout)
    }
}

/// What the output must look like, from runs that went to their end; one alone cannot tell what varies.
fn correctness(
    config: &Config,
    samples: &[Sample],
    measurer: &Measurer,
) -> Result<Vec<String>, ExperimentError> {
    let whole: Vec<Sample> =
        samples.iter().filter(|sample| sample.run.end == RunEnd::Exited(0)).cloned().collect();
    match whole.len() {
        0 => return Ok(vec!["no run went to its end: nothing learned of its output".to_owned()]),
        1 => {
            return Ok(vec![
                "one run: what of its output may vary is not learned yet; `perfup run` learns it first"
                    .to_owned(),
            ]);
        }
        _ => {}
    }
    let load = |sha256: &str| measurer.outputs().read(sha256);
    match Expectation::learn(config.verify.output, &config.verify.files, &whole, &load) {
        Ok(expectation) => Ok(expectation.describe()),
        Err(error @ LearnError::Lost { .. }) => Err(error.into()),
        Err(error) => Ok(vec![format!("cannot be learned yet: {error}")]),
    }
}
