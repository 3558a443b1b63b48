//! The first half of the loop, where the user stands: measure, diagnose, floor, hypotheses, spec. Needs no repository
//! and changes nothing but the spec file.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::Setup;
use super::error::ExperimentError;
use super::event::{Event, Phase};
use super::incumbent;
use super::layout::write_whole;
use super::objectives;
use crate::config::{Config, Metric, OutputRule};
use crate::delegate::{self, Project};
use crate::diagnose::{Diagnosis, diagnose};
use crate::machine::{Facts, cores_available};
use crate::measure::{Arm, Measurer, MeasurerOptions, Sample, neutral_environment};
use crate::plan::{Ranked, rank};
use crate::profile;
use crate::spec::{self, Proposed, Spec};
use crate::verify::{Expectation, LearnError};
use crate::workspace::Repository;

/// Runs after which enough is known of a command, unless it is long.
const RUNS_MAX: usize = 10;
const RUNS_MIN: usize = 2;

/// Seconds of running after which no further run is started.
const SECONDS_MAX: f64 = 10.0;

/// Source files that are looked at where there is no repository to list them.
const FILES_MAX: usize = 2000;

/// What an analysis found; the document of `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct Analysis {
    pub benchmark: String,
    pub command: String,
    pub bottleneck: Bottleneck,
    pub diagnosis: Diagnosis,
    pub hypotheses: Vec<crate::plan::Hypothesis>,
    pub withheld: Vec<String>,
    /// What the output must look like, or why that cannot be learned.
    pub correctness: Vec<String>,
    pub spec: PathBuf,
}

/// The verdict, for programs that only want that.
#[derive(Debug, Clone, Serialize)]
pub struct Bottleneck {
    pub class: &'static str,
    pub confidence: f64,
}

/// Analyses the configured command in the user's own folder.
///
/// # Errors
/// [`ExperimentError`].
pub fn analyse(setup: &Setup, config: &Config) -> Result<Analysis, ExperimentError> {
    let repository = Repository::open(&setup.folder).ok();
    let root = repository.as_ref().map_or(setup.folder.as_path(), Repository::root);
    let specs = root.join("specs");
    // A folder that cannot be written must not cost a measurement.
    let written = if specs.is_dir() { &specs } else { root };
    tempfile::tempfile_in(written).map_err(ExperimentError::io("write in", written))?;
    let scratch =
        tempfile::tempdir().map_err(ExperimentError::io("create a folder in", std::env::temp_dir()))?;
    let measurer = Measurer::new(MeasurerOptions {
        runner_exe: setup.runner.clone(),
        scratch: scratch.path().to_owned(),
        outputs: scratch.path().join("outputs"),
        environment: neutral_environment(setup.environment.iter().cloned()),
    })?;
    let arm = arm(config, root, &setup.folder);
    objectives::refuse(&config.benchmark, &Facts::read()?)?;
    let samples = measure(setup, &measurer, &arm)?;
    samples.iter().try_for_each(|sample| objectives::given(&config.benchmark, sample))?;
    let load = |sha256: &str| measurer.outputs().read(sha256);
    let correctness = match Expectation::learn(config.verify.output, &config.verify.files, &samples, &load) {
        Ok(expectation) => expectation.describe(),
        Err(error @ (LearnError::NotDeterministic { .. } | LearnError::FileVaries { .. })) => {
            vec![format!("cannot be learned yet: {error}")]
        }
        Err(error) => return Err(error.into()),
    };
    setup.events.working("finding where the time goes");
    let profile = incumbent::watch(&measurer, &arm, 0)?;
    let diagnosis = diagnose(&profile::usage(&samples), &profile, cores_available() as usize);
    setup.events.send(Event::Diagnosed(Box::new(diagnosis.clone())));
    let ranked = hypotheses(config, root, &setup.folder, repository.as_ref(), &diagnosis)?;
    setup.events.send(Event::Planned(ranked.clone()));
    let base = repository.as_ref().map_or_else(
        || Ok("no commit".to_owned()),
        |repository| repository.head().map(|commit| commit.to_string()),
    )?;
    let text = spec::render(&Spec {
        benchmark: &config.benchmark.name,
        command: &config.benchmark.command.to_string(),
        base_commit: &base,
        diagnosis: &diagnosis,
        hypotheses: proposed(&ranked),
        correctness: correctness.clone(),
        result: None,
    })?;
    let path = specs.join(format!("{}_speedup.md", config.benchmark.name));
    write_whole(&path, &text).map_err(ExperimentError::io("write", &path))?;
    Ok(Analysis {
        benchmark: config.benchmark.name.clone(),
        command: config.benchmark.command.to_string(),
        bottleneck: Bottleneck { class: diagnosis.class.id(), confidence: diagnosis.confidence },
        diagnosis,
        withheld: ranked
            .withheld
            .iter()
            .map(|(hypothesis, policy)| format!("{} (--allow {})", hypothesis.title, policy.word()))
            .collect(),
        hypotheses: ranked.queue,
        correctness,
        spec: path,
    })
}

fn arm(config: &Config, root: &Path, folder: &Path) -> Arm {
    let benchmark = &config.benchmark;
    // A configured benchmark stands relative to the root; a bare command runs where the user is.
    let cwd =
        if benchmark.cwd.as_os_str().is_empty() { folder.to_owned() } else { root.join(&benchmark.cwd) };
    Arm {
        env: benchmark.env.clone(),
        stdin: benchmark.stdin.as_ref().map(|file| root.join(file)),
        prepare: benchmark.prepare.clone(),
        metrics: benchmark.metrics.clone(),
        counters: benchmark.required().any(Metric::is_counted),
        ..Arm::new(benchmark.command.clone(), cwd, benchmark.timeout)
    }
}

fn measure(setup: &Setup, measurer: &Measurer, arm: &Arm) -> Result<Vec<Sample>, ExperimentError> {
    setup.events.working("running the command once");
    let warm_up = measurer.run(arm, 0)?;
    let load = |sha256: &str| measurer.outputs().read(sha256);
    Expectation::learn(OutputRule::Exact, &arm.files, std::slice::from_ref(&warm_up), &load)?;
    let mut samples = Vec::new();
    let mut seconds = 0.0;
    while samples.len() < RUNS_MIN || (samples.len() < RUNS_MAX && seconds < SECONDS_MAX) {
        let sample = measurer.run(arm, samples.len() as u64 + 1)?;
        seconds += sample.wall_s();
        samples.push(sample);
        setup.events.send(Event::Measured {
            phase: Phase::Control,
            done: samples.len() as u32,
            most: RUNS_MAX as u32,
            redone: 0,
            estimate: None,
        });
    }
    Ok(samples)
}

fn hypotheses(
    config: &Config,
    root: &Path,
    folder: &Path,
    repository: Option<&Repository>,
    diagnosis: &Diagnosis,
) -> Result<Ranked, ExperimentError> {
    let files = match repository {
        Some(repository) => repository.tracked_files(&repository.head()?)?,
        None => files_below(root),
    };
    let project = Project {
        root: root.to_owned(),
        files,
        command: config.benchmark.command.clone(),
        build: config.benchmark.build.clone(),
        cwd: folder.strip_prefix(root).unwrap_or(Path::new("")).to_owned(),
        runtime: diagnosis.runtime.clone(),
        allow: config.delegate.allow.clone(),
    };
    let proposals = delegate::EXECUTORS.iter().flat_map(|executor| executor.propose(&project)).collect();
    Ok(rank(proposals, diagnosis, &[], &config.delegate.allow))
}

fn proposed(ranked: &Ranked) -> Vec<Proposed<'_>> {
    let open = ranked.queue.iter().map(|hypothesis| Proposed { hypothesis, state: None });
    let withheld = ranked.withheld.iter().map(|(hypothesis, policy)| Proposed {
        hypothesis,
        state: Some(format!("not tried; needs --allow {}", policy.word())),
    });
    open.chain(withheld).collect()
}

/// Files of a folder that is no repository, relative to it; hidden and dependency folders left out.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let skipped =
                name.starts_with('.') || ["target", "node_modules", "__pycache__", "venv"].contains(&&*name);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !skipped => folders.push(entry.path()),
                Ok(kind) if kind.is_file() && found.len() < FILES_MAX => {
                    found.extend(entry.path().strip_prefix(root).map(Path::to_owned));
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}
