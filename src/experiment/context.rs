//! What every step of a session needs at hand: passed down, never global.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use super::error::ExperimentError;
use super::event::Events;
use super::layout::Layout;
use super::lock::SessionLock;
use crate::config::{CommandLine, Config, Metric};
use crate::machine::MeasureLock;
use crate::measure::{Arm, Measurer};
use crate::report::words;
use crate::stats::rng;
use crate::sys::signals;
use crate::verify::built_artefact;
use crate::worklog::{SessionId, Worklog};
use crate::workspace::{CommitId, PerfupBranch, Repository, copy_input};

/// What the command line hands over; the only room that reads the environment is the CLI.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Any folder inside the repository.
    pub folder: PathBuf,
    /// The user's cache folder.
    pub cache: PathBuf,
    /// This binary, which also is the runner.
    pub runner: PathBuf,
    /// The user's whole environment: builds and tests get it, samples get the neutral part of it.
    pub environment: Vec<(String, String)>,
    pub events: Events,
}

/// An open session.
pub(super) struct Context {
    pub repository: Repository,
    pub worklog: Worklog,
    pub measurer: Measurer,
    pub config: Config,
    pub layout: Layout,
    pub events: Events,
    /// The user's whole environment, for builds and tests.
    pub environment: Vec<(String, String)>,
    pub session: SessionId,
    pub session_name: String,
    pub base: CommitId,
    pub seed: u64,
    /// The user's cache folder.
    pub cache: PathBuf,
    /// What others of this machine lock while they measure.
    pub measure_lock: PathBuf,
    /// The user has been warned that this machine is busy.
    pub told_busy: bool,
    /// The user knows that another perfup measures meanwhile.
    pub told_waiting: Cell<bool>,
    /// The test command was found by convention, not named by the user.
    pub tests_are_a_guess: bool,
    /// Keeps other sessions out of this repository while this one lives.
    pub _lock: SessionLock,
}

/// A commit that is checked out and built.
#[derive(Debug, Clone)]
pub(super) struct Checkout {
    pub path: PathBuf,
    pub commit: CommitId,
    /// Digest of the built program and of what it may read, before its first run; absent where the command runs tracked files.
    pub artefact: Option<String>,
}

/// What a build or test run that succeeded printed.
#[derive(Debug)]
pub(super) struct TaskOutput {
    pub printed: String,
}

/// A build or test run that did not succeed.
#[derive(Debug)]
pub(super) struct TaskFailure {
    pub command: String,
    pub end: String,
    pub log: PathBuf,
    pub tail: String,
}

impl Context {
    /// One side of a comparison: the benchmark in a worktree.
    pub fn arm(&self, worktree: &Path) -> Arm {
        let benchmark = &self.config.benchmark;
        Arm {
            env: benchmark.env.clone(),
            stdin: benchmark.stdin.as_ref().map(|file| worktree.join(file)),
            prepare: benchmark.prepare.clone(),
            files: self.config.verify.files.clone(),
            metrics: benchmark.metrics.clone(),
            counters: benchmark.required().any(Metric::is_counted),
            ..Arm::new(benchmark.command.clone(), worktree.join(&benchmark.cwd), benchmark.timeout)
        }
    }

    /// A seed of its own for each purpose, so that a resumed session draws the same order.
    pub fn seed_for(&self, attempt: u32, stream: u64) -> u64 {
        rng::draw(self.seed, u64::from(attempt), stream)
    }

    pub fn branch(&self, name: &str) -> Result<PerfupBranch, ExperimentError> {
        Ok(PerfupBranch::new(format!("perfup/{}/{name}", self.session_name))?)
    }

    /// Branch that follows the session's best verified commit.
    pub fn tip_branch(&self) -> Result<PerfupBranch, ExperimentError> {
        self.branch("tip")
    }

    /// Moves the session's branch to a commit that the worklog already calls kept.
    pub fn advance_tip(&self, commit: &CommitId) -> Result<(), ExperimentError> {
        let tip = self.tip_branch()?;
        let now = self.repository.branch_commit(&tip)?;
        Ok(self.repository.move_branch(&tip, now.as_ref(), commit)?)
    }

    /// Fails once the user has asked to stop.
    pub fn go_on(&self) -> Result<(), ExperimentError> {
        if signals::interrupted() { Err(ExperimentError::Interrupted) } else { Ok(()) }
    }

    /// Keeps other perfup sessions of this machine from disturbing the measurement.
    pub fn measuring_alone(&self) -> Result<MeasureLock, ExperimentError> {
        let mut waiting = |holder: Option<u32>| {
            let words = words::waiting(holder);
            // The two take turns pair by pair: once is enough to know it.
            if self.told_waiting.replace(true) {
                self.events.working(words);
            } else {
                self.events.note(format!("{words}: the two take turns"));
            }
        };
        Ok(MeasureLock::acquire(&self.measure_lock, &mut waiting)?)
    }

    /// Checks a commit out in the worktree of `slot`, brings in the declared inputs and builds it.
    pub fn checkout(
        &self,
        slot: u32,
        branch: &PerfupBranch,
        commit: &CommitId,
    ) -> Result<Result<Checkout, TaskFailure>, ExperimentError> {
        let path = self.layout.worktree(&self.session_name, slot);
        let worktree = self.repository.create_worktree(&path, branch, commit)?;
        self.copy_inputs(&worktree.path)?;
        self.build(slot, worktree.path, commit.clone())
    }

    pub fn copy_inputs(&self, worktree: &Path) -> Result<(), ExperimentError> {
        for input in &self.config.benchmark.inputs {
            copy_input(self.repository.root(), input, worktree)?;
        }
        Ok(())
    }

    fn build(
        &self,
        slot: u32,
        path: PathBuf,
        commit: CommitId,
    ) -> Result<Result<Checkout, TaskFailure>, ExperimentError> {
        if let Some(build) = &self.config.benchmark.build {
            self.events.working(format!("building: {build}"));
            if let Err(failure) = self.task(build, &path, &format!("{slot:03}-build.log"))? {
                return Ok(Err(failure));
            }
        }
        let tracked =
            |file: &Path| self.repository.read_file(&commit, file).is_ok_and(|content| content.is_some());
        let artefact = built_artefact(&self.config.benchmark, &path, &tracked)
            .map_err(ExperimentError::io("hash the program in", &path))?;
        Ok(Ok(Checkout { path, commit, artefact }))
    }

    /// Runs a build or test command; the outcome's tail and its log say why it failed.
    pub fn task(
        &self,
        command: &CommandLine,
        worktree: &Path,
        log: &str,
    ) -> Result<Result<TaskOutput, TaskFailure>, ExperimentError> {
        let log = self.layout.logs(&self.session_name).join(log);
        let cwd = worktree.join(&self.config.benchmark.cwd);
        let outcome =
            self.measurer.task(command, &cwd, &self.environment, self.config.benchmark.timeout, &log)?;
        if outcome.is_success() {
            let printed = std::fs::read(&log).map_err(ExperimentError::io("read", &log))?;
            return Ok(Ok(TaskOutput { printed: String::from_utf8_lossy(&printed).into_owned() }));
        }
        Ok(Err(TaskFailure {
            command: command.to_string(),
            end: outcome.end.to_string(),
            log,
            tail: outcome.tail,
        }))
    }
}
