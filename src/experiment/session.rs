//! A session from its start, or from where it was left, to its end.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::claim::{self, Claim};
use super::context::{Context, Setup};
use super::error::ExperimentError;
use super::event::Event;
use super::incumbent::{self, BaselineFacts};
use super::layout::{Layout, measure_lock};
use super::lock::{Locking, SessionLock};
use super::{objectives, record, rounds, written};
use crate::config::{Config, detect, real_path};
use crate::diagnose::Diagnosis;
use crate::machine::Facts;
use crate::measure::{Measurer, MeasurerOptions, neutral_environment};
use crate::stats::rng;
use crate::worklog::{Attempt, NewSession, Session, SessionId, Worklog};
use crate::workspace::{CommitId, Repository};

/// What was filled in by convention because the user did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guesses {
    pub tests: bool,
    /// The user wants no tests.
    pub no_tests: bool,
}

/// What a session came to; the document of `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub session: String,
    pub benchmark: String,
    pub command: String,
    pub base_commit: String,
    /// The best verified commit; absent when nothing was kept.
    pub tip_commit: Option<String>,
    pub branch: Option<String>,
    pub baseline: BaselineFacts,
    /// Of the tip.
    pub diagnosis: Diagnosis,
    pub attempts: Vec<Attempt>,
    /// Titles of what was not tried, with the policy each needs.
    pub withheld: Vec<String>,
    pub claim: Option<Claim>,
    /// What did not go as usual: pairs that were run again, an original that was learned again.
    pub notes: Vec<String>,
    /// Why the session ended.
    pub stopped: String,
    pub artefacts: Artefacts,
}

/// Files that were written.
#[derive(Debug, Clone, Serialize)]
pub struct Artefacts {
    pub spec: PathBuf,
    pub results: PathBuf,
    pub report: PathBuf,
    pub worklog: PathBuf,
}

/// Runs a new session on the repository's HEAD.
///
/// # Errors
/// [`ExperimentError`]. What was recorded so far stays, and [`resume`] goes on from there.
pub fn run(setup: &Setup, mut config: Config, guesses: Guesses) -> Result<Summary, ExperimentError> {
    let repository = Repository::open(&setup.folder)?;
    let layout = Layout::new(repository.root(), &setup.cache);
    let lock = lock(&layout)?;
    let base = repository.head()?;
    tell_if_dirty(setup, &repository)?;
    tell_if_fixed(setup, &repository, &config);
    let guesses = fill_in(setup, &repository, &base, &mut config, guesses)?;
    let facts = Facts::read()?;
    objectives::refuse(&config.benchmark, &facts)?;
    for warning in facts.warnings() {
        setup.events.warn(warning, None);
    }
    let seed = fresh_seed();
    let name = session_name(seed);
    layout.prepare(&name).map_err(ExperimentError::io("prepare", layout.state()))?;
    let mut worklog = Worklog::open(&layout.worklog())?;
    if let Some(old) = worklog.sessions()?.iter().rev().find(|session| session.closed_at.is_none()) {
        setup.events.note(format!(
            "session {} was not finished; `perfup resume {}` goes on with it",
            old.name, old.name
        ));
    }
    let session = worklog.begin_session(&NewSession {
        name: name.clone(),
        benchmark: config.benchmark.name.clone(),
        command: config.benchmark.command.to_string(),
        base_commit: base.to_string(),
        seed,
        fingerprint: facts.fingerprint(),
        config: record::to_json(&config)?,
        machine: record::to_json(&facts)?,
    })?;
    worklog.record_session(session, "started", &record::to_json(&guesses)?)?;
    let identity = Identity { session, name, base, seed, guesses, resumed: false };
    work(context(setup, identity, repository, layout, worklog, config, lock)?)
}

/// Goes on with a session that was interrupted or killed: the named one, else the newest unfinished one.
///
/// # Errors
/// [`ExperimentError`].
pub fn resume(setup: &Setup, name: Option<&str>) -> Result<Summary, ExperimentError> {
    let repository = Repository::open(&setup.folder)?;
    let layout = Layout::new(repository.root(), &setup.cache);
    let lock = lock(&layout)?;
    let worklog = Worklog::open_existing(&layout.worklog())?.ok_or(ExperimentError::NothingToResume)?;
    let open = |session: &Session| session.closed_at.is_none();
    let session = match name {
        Some(name) => worklog
            .session_by_name(name)?
            .filter(open)
            .ok_or_else(|| ExperimentError::NoSuchSession { name: name.to_owned() })?,
        None => worklog.sessions()?.into_iter().rev().find(open).ok_or(ExperimentError::NothingToResume)?,
    };
    let facts = Facts::read()?;
    if facts.fingerprint() != session.fingerprint {
        return Err(ExperimentError::OtherMachine { session: session.name });
    }
    layout.prepare(&session.name).map_err(ExperimentError::io("prepare", layout.state()))?;
    repository.clean_leftovers()?;
    let config: Config = record::from_json("configuration", session.config)?;
    let guesses = worklog.session_detail(session.id, "started")?;
    let identity = Identity {
        session: session.id,
        name: session.name,
        base: CommitId::new(session.base_commit)?,
        seed: session.seed,
        guesses: guesses.map_or(Ok(Guesses::default()), |guesses| record::from_json("start", guesses))?,
        resumed: true,
    };
    work(context(setup, identity, repository, layout, worklog, config, lock)?)
}

/// Who a session is.
struct Identity {
    session: SessionId,
    name: String,
    base: CommitId,
    seed: u64,
    guesses: Guesses,
    resumed: bool,
}

fn context(
    setup: &Setup,
    identity: Identity,
    repository: Repository,
    layout: Layout,
    mut worklog: Worklog,
    config: Config,
    lock: SessionLock,
) -> Result<Context, ExperimentError> {
    worklog.begin_epoch(identity.session, std::process::id())?;
    let scratch = layout.scratch();
    std::fs::create_dir_all(&scratch).map_err(ExperimentError::io("create", &scratch))?;
    let measurer = Measurer::new(MeasurerOptions {
        runner_exe: setup.runner.clone(),
        scratch,
        outputs: layout.outputs(),
        environment: neutral_environment(setup.environment.iter().cloned()),
    })?;
    setup.events.send(Event::Started {
        session: identity.name.clone(),
        benchmark: config.benchmark.name.clone(),
        command: config.benchmark.command.to_string(),
        base: identity.base.short().to_owned(),
        resumed: identity.resumed,
    });
    Ok(Context {
        environment: setup.environment.clone(),
        cache: setup.cache.clone(),
        measure_lock: measure_lock(&setup.cache),
        told_busy: false,
        told_waiting: Cell::default(),
        repository,
        worklog,
        measurer,
        config,
        layout,
        events: setup.events.clone(),
        session: identity.session,
        session_name: identity.name,
        base: identity.base,
        seed: identity.seed,
        tests_are_a_guess: identity.guesses.tests,
        _lock: lock,
    })
}

/// Works on a session. One that failed for good is closed; one that can go on stays open for a resume.
fn work(mut context: Context) -> Result<Summary, ExperimentError> {
    let worked = through(&mut context);
    if let Err(error) = &worked
        && !error.can_resume()
    {
        context.worklog.close_session(context.session, &format!("failed: {error}"))?;
        super::housekeeping::remove_worktrees(&context)?;
    }
    worked
}

/// All of a session that can be done again after a crash: each part picks up what the worklog has of it.
fn through(context: &mut Context) -> Result<Summary, ExperimentError> {
    let mut incumbent = incumbent::establish(context)?;
    let baseline = incumbent.facts.clone();
    written::spec(context, &incumbent, None)?;
    written::results(context, &baseline)?;
    let stopped = rounds::run(context, &mut incumbent)?;
    context.events.send(Event::Stopping(stopped.clone()));
    let claim = claim::claim(context, &mut incumbent)?;
    let withheld = rounds::withheld(context, &incumbent)?;
    let artefacts = written::everything(context, &incumbent, claim.as_ref(), &withheld)?;
    context.worklog.close_session(context.session, &stopped)?;
    let attempts = context.worklog.attempts(Some(context.session))?;
    super::housekeeping::remove_worktrees(context)?;
    let kept = incumbent.checkout.commit != context.base;
    Ok(Summary {
        session: context.session_name.clone(),
        benchmark: context.config.benchmark.name.clone(),
        command: context.config.benchmark.command.to_string(),
        base_commit: context.base.to_string(),
        tip_commit: kept.then(|| incumbent.checkout.commit.to_string()),
        branch: if kept { Some(context.tip_branch()?.as_str().to_owned()) } else { None },
        baseline,
        diagnosis: incumbent.diagnosis,
        attempts,
        withheld,
        claim,
        notes: written::notes(context)?,
        stopped,
        artefacts,
    })
}

fn lock(layout: &Layout) -> Result<SessionLock, ExperimentError> {
    let state = layout.state();
    layout.prepare_state().map_err(ExperimentError::io("create", &state))?;
    match SessionLock::take(&layout.lock()).map_err(ExperimentError::io("lock", layout.lock()))? {
        Locking::Ours(lock) => Ok(lock),
        Locking::Theirs(holder) => Err(ExperimentError::Busy { pid: holder.pid }),
    }
}

fn tell_if_dirty(setup: &Setup, repository: &Repository) -> Result<(), ExperimentError> {
    let dirty = repository.dirty()?;
    let changed = dirty.modified + dirty.staged;
    if changed > 0 {
        let files = if changed == 1 { "file has" } else { "files have" };
        setup.events.warn(
            format!("{changed} {files} uncommitted changes, which are left out: perfup works from HEAD"),
            Some("commit them first if they belong to what is slow"),
        );
    }
    Ok(())
}

/// Candidates work in copies of the repository; a command that names a file of the checkout never sees theirs.
fn tell_if_fixed(setup: &Setup, repository: &Repository, config: &Config) {
    let words = config.benchmark.command.words();
    let fixed = words
        .iter()
        .map(Path::new)
        .find(|path| path.is_absolute() && path.exists() && real_path(repository.root(), path).is_some());
    if let Some(path) = fixed {
        setup.events.warn(
            format!(
                "{} is named by its absolute path: no candidate's version of it is measured",
                path.display()
            ),
            Some("name it relative to the folder that the command runs in"),
        );
    }
}

/// Fills in build and test commands that the project's files make obvious.
fn fill_in(
    setup: &Setup,
    repository: &Repository,
    base: &CommitId,
    config: &mut Config,
    mut guesses: Guesses,
) -> Result<Guesses, ExperimentError> {
    let files = repository.tracked_files(base)?;
    let read = |path: &Path| {
        let content = repository.read_file(base, path).ok().flatten()?;
        String::from_utf8(content).ok()
    };
    let detected = detect(&config.benchmark.command, &config.benchmark.cwd, &files, &read);
    if let (None, Some(build)) = (&config.benchmark.build, detected.build) {
        setup.events.note(format!("build command, by convention: {build}"));
        config.benchmark.build = Some(build);
    }
    if guesses.no_tests {
        config.verify.tests = None;
    } else if let (None, Some(tests)) = (&config.verify.tests, detected.tests) {
        setup.events.note(format!("test command, by convention: {tests}"));
        config.verify.tests = Some(tests);
        guesses.tests = true;
    }
    Ok(guesses)
}

/// Not reproducible by design: the seed is stored, and everything that follows from it is.
fn fresh_seed() -> u64 {
    let now = jiff::Timestamp::now().as_nanosecond() as u64;
    rng::draw(now, u64::from(std::process::id()), 0)
}

fn session_name(seed: u64) -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    format!("{now}-{:04x}", seed & 0xffff)
}
