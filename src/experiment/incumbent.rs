//! What candidates are measured against: the best verified commit so far, and what is known of it.

use serde::{Deserialize, Serialize};

use super::comparison::{Compared, Series, compare, stored};
use super::context::{Checkout, Context};
use super::error::ExperimentError;
use super::event::{Event, Phase};
use super::floor::{Probing, floor_of};
use super::objectives;
use super::record::{self, Recorded};
use super::relearning::relearnings;
use crate::config::{Metric, Objective, OutputRule};
use crate::delegate::Project;
use crate::diagnose::{Diagnosis, diagnose};
use crate::measure::{Arm, Measurer, Pair, Sample};
use crate::profile::{self, Limits, Profile};
use crate::stats::decision::{Noise, Question, control_noise};
use crate::stats::effect::estimate;
use crate::stats::{rng, summary};
use crate::trial::prefer_cpu_time;
use crate::verify::{Expectation, TestRun};
use crate::worklog::{AttemptId, AttemptVerdict};
use crate::workspace::{CommitId, PerfupBranch};

/// Pairs of the original against itself: enough to judge the tails of the noise and to learn the output's variance.
const CONTROL_PAIRS: u32 = 8;

/// Pairs for a command so long that eight would keep the user waiting; signs alone decide then.
const LONG_CONTROL_PAIRS: u32 = 4;

/// Seconds of wall time from which a command is long in that sense.
pub(super) const LONG_RUN_S: f64 = 10.0;

/// Level of the intervals by which the noise of two metrics is compared.
const ADVICE_ALPHA: f64 = 0.01;

/// Arm A of the next attempt.
pub(super) struct Incumbent {
    pub checkout: Checkout,
    pub project: Project,
    pub expectation: Expectation,
    /// What the original's tests ran; absent when there are none to run.
    pub tests: Option<TestRun>,
    pub facts: BaselineFacts,
    pub diagnosis: Diagnosis,
}

/// What measuring the original against itself says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineFacts {
    pub metric: Metric,
    /// Median of the metric.
    pub median: f64,
    pub wall_s: f64,
    pub cpu_s: f64,
    pub rss_bytes_max: f64,
    /// Robust standard deviation of the control's log ratios; absent when there were too few to tell.
    pub noise: Option<f64>,
    pub runs: usize,
}

/// Everything learned of the original, as recorded.
#[derive(Serialize, Deserialize)]
struct Learned {
    expectation: Expectation,
    tests: Option<TestRun>,
    facts: BaselineFacts,
}

/// Builds the original, runs it against itself, learns its output, tests and diagnoses it; then moves on to the last
/// keep, if there is one. What an earlier process has done of that is taken from the worklog.
pub(super) fn establish(context: &mut Context) -> Result<Incumbent, ExperimentError> {
    let last = last_keep(context)?;
    let recorded = context.worklog.session_detail(context.session, "baseline")?;
    let (checkout, learned) = match recorded {
        None => {
            let checkout = original(context)?;
            let learned = learn(context, &checkout)?;
            context.worklog.record_session(context.session, "baseline", &record::to_json(&learned)?)?;
            (checkout, learned)
        }
        Some(learned) => {
            let learned = record::from_json("baseline", learned)?;
            let checkout = match &last {
                Some((number, branch, commit)) => rebuilt(context, *number, branch, commit)?,
                None => original(context)?,
            };
            (checkout, learned)
        }
    };
    if learned.tests.is_none() {
        context.config.verify.tests = None;
    }
    let Learned { expectation, tests, facts } = learned;
    let relearned = relearnings(context)?.into_iter().rev().find_map(|relearning| relearning.expectation);
    let expectation = relearned.unwrap_or(expectation);
    context.events.send(Event::Learned(expectation.describe()));
    let (metric, median, noise, runs) = (facts.metric.clone(), facts.median, facts.noise, facts.runs);
    context.events.send(Event::Baseline { metric, median, noise, runs });
    let state = format!("diagnosed {}", checkout.commit);
    let diagnosis = match context.worklog.session_detail(context.session, &state)? {
        Some(diagnosis) => record::from_json("diagnosis", diagnosis)?,
        None => {
            let series = Series { attempt: None, number: 0, phase: Phase::Control, most: CONTROL_PAIRS };
            let samples = kept(stored(context, series)?).flat_map(|pair| [pair.a, pair.b]).collect();
            diagnosed(context, &checkout, samples)?
        }
    };
    context.events.send(Event::Diagnosed(Box::new(diagnosis.clone())));
    let project = project(context, &checkout, &diagnosis)?;
    Ok(Incumbent { checkout, project, expectation, tests, facts, diagnosis })
}

/// Makes a kept candidate the one to beat; its diagnosis starts from the samples that confirmed it.
pub(super) fn replace(
    context: &mut Context,
    incumbent: &mut Incumbent,
    checkout: Checkout,
    attempt: AttemptId,
) -> Result<(), ExperimentError> {
    let series = Series { attempt: Some(attempt), number: 0, phase: Phase::Confirm, most: 0 };
    let samples = kept(stored(context, series)?).map(|pair| pair.b).collect();
    incumbent.diagnosis = diagnosed(context, &checkout, samples)?;
    context.events.send(Event::Diagnosed(Box::new(incumbent.diagnosis.clone())));
    incumbent.project = project(context, &checkout, &incumbent.diagnosis)?;
    incumbent.checkout = checkout;
    Ok(())
}

/// The pairs that count.
fn kept(pairs: Vec<Recorded>) -> impl Iterator<Item = Pair> {
    pairs.into_iter().filter(|recorded| !recorded.redone).map(|recorded| recorded.pair)
}

/// Number, branch and commit of the session's last keep. The worklog is the truth: a tip branch that a crash left
/// behind is moved on.
fn last_keep(context: &Context) -> Result<Option<(u32, PerfupBranch, CommitId)>, ExperimentError> {
    let attempts = context.worklog.attempts(Some(context.session))?;
    let Some(last) = attempts.iter().rfind(|attempt| attempt.verdict == AttemptVerdict::Keep) else {
        return Ok(None);
    };
    let (Some(branch), Some(commit)) = (&last.branch, &last.commit_id) else {
        return Ok(None);
    };
    let commit = CommitId::new(commit.clone())?;
    context.advance_tip(&commit)?;
    Ok(Some((last.number, PerfupBranch::new(branch.clone())?, commit)))
}

fn rebuilt(
    context: &Context,
    slot: u32,
    branch: &PerfupBranch,
    commit: &CommitId,
) -> Result<Checkout, ExperimentError> {
    context.checkout(slot, branch, commit)?.map_err(|failure| ExperimentError::BaseBuild {
        command: failure.command,
        end: failure.end,
        log: failure.log,
        tail: failure.tail,
    })
}

/// Runs the original against itself: the control, from which its output's variance and the noise are learned.
fn learn(context: &mut Context, checkout: &Checkout) -> Result<Learned, ExperimentError> {
    let arm = context.arm(&checkout.path);
    let most = if warm_up(context, &arm)? > LONG_RUN_S { LONG_CONTROL_PAIRS } else { CONTROL_PAIRS };
    let series = Series { attempt: None, number: 0, phase: Phase::Control, most };
    let compared = compare(context, series, (&arm, &arm), None, |ratios, _| {
        (ratios.len() >= most as usize).then(|| ratios.to_vec())
    })?;
    let Compared::Decided { decision: ratios, pairs } = compared else {
        return Err(ExperimentError::InvalidMeasurement {
            what: "the control has no oracle to break".into(),
        });
    };
    advise(context, &pairs);
    let samples: Vec<Sample> = pairs.into_iter().flat_map(|pair| [pair.a, pair.b]).collect();
    // Disturbed runs say nothing of the time, but all of the output.
    let all = stored(context, series)?.into_iter().flat_map(|Recorded { pair, .. }| [pair.a, pair.b]);
    let all: Vec<Sample> = all.collect();
    let load = |sha256: &str| context.measurer.outputs().read(sha256);
    let verify = &context.config.verify;
    let expectation = Expectation::learn(verify.output, &verify.files, &all, &load)?;
    if !ratios.iter().all(|ratio| ratio.is_finite()) {
        return Err(ExperimentError::InvalidMeasurement {
            what: "a value of the original is not a positive number".into(),
        });
    }
    let tests = test_original(context, checkout)?;
    let metric = context.config.benchmark.metric.clone();
    let median = |metric: &Metric| {
        let values: Vec<f64> = samples.iter().filter_map(|sample| sample.metric(metric)).collect();
        summary::median(&values).unwrap_or(0.0)
    };
    let facts = BaselineFacts {
        median: median(&metric),
        wall_s: median(&Metric::Wall),
        cpu_s: median(&Metric::Cpu),
        rss_bytes_max: median(&Metric::PeakRss),
        metric,
        noise: control_noise(&ratios),
        runs: samples.len(),
    };
    Ok(Learned { expectation, tests, facts })
}

/// Offers CPU time where it would decide sooner.
fn advise(context: &Context, pairs: &[Pair]) {
    if context.config.benchmark.metric != Metric::Wall {
        return;
    }
    let noise = |metric: Metric| {
        let objective = Objective::lower(metric);
        let ratios: Vec<f64> = pairs.iter().filter_map(|pair| pair.log_ratio(&objective)).collect();
        estimate(&ratios, ADVICE_ALPHA, Question::Different, Noise::Unknown)
    };
    let (cpu_s, wall_s) = (record::medians(pairs, &Metric::Cpu).0, record::medians(pairs, &Metric::Wall).0);
    if let (Some(wall), Some(cpu)) = (noise(Metric::Wall), noise(Metric::Cpu))
        && let Some(advice) = prefer_cpu_time(cpu_s / wall_s, &wall, &cpu)
    {
        context.events.warn(advice, None);
    }
}

/// The base commit, checked out and built in slot 0.
pub(super) fn original(context: &Context) -> Result<Checkout, ExperimentError> {
    rebuilt(context, 0, &context.branch("base")?, &context.base)
}

/// One uncounted run, which also shows early that the command works at all; its wall time in seconds.
fn warm_up(context: &Context, arm: &Arm) -> Result<f64, ExperimentError> {
    context.events.working("running the original once");
    let sample = context.measurer.run(arm, context.seed_for(0, 0))?;
    let seconds = sample.wall_s();
    let load = |sha256: &str| context.measurer.outputs().read(sha256);
    Expectation::learn(OutputRule::Exact, &arm.files, std::slice::from_ref(&sample), &load)?;
    // After the check of its end: a program that fails says more by that.
    objectives::given(&context.config.benchmark, &sample)?;
    Ok(seconds)
}

/// Runs the test command on the original. A command that was only found by convention and does not work is let go.
fn test_original(context: &mut Context, checkout: &Checkout) -> Result<Option<TestRun>, ExperimentError> {
    let Some(tests) = context.config.verify.tests.clone() else {
        return Ok(None);
    };
    context.events.working(format!("testing the original: {tests}"));
    match context.task(&tests, &checkout.path, "000-tests.log")? {
        Ok(outcome) => Ok(Some(TestRun::parse(&outcome.printed))),
        Err(failure) if context.tests_are_a_guess => {
            context.events.warn(
                format!("`{tests}` fails on the original ({}); going on without tests", failure.end),
                Some("name the right command with --tests, or say --no-tests"),
            );
            context.config.verify.tests = None;
            Ok(None)
        }
        Err(failure) => Err(ExperimentError::BaseTests {
            command: failure.command,
            end: failure.end,
            log: failure.log,
            tail: failure.tail,
        }),
    }
}

/// What executors may look at.
fn project(
    context: &Context,
    checkout: &Checkout,
    diagnosis: &Diagnosis,
) -> Result<Project, ExperimentError> {
    Ok(Project {
        root: checkout.path.clone(),
        files: context.repository.tracked_files(&checkout.commit)?,
        command: context.config.benchmark.command.clone(),
        build: context.config.benchmark.build.clone(),
        cwd: context.config.benchmark.cwd.clone(),
        runtime: diagnosis.runtime.clone(),
        allow: context.config.delegate.allow.clone(),
    })
}

/// Watches the program run, says what holds it back, and records it.
fn diagnosed(
    context: &mut Context,
    checkout: &Checkout,
    samples: Vec<Sample>,
) -> Result<Diagnosis, ExperimentError> {
    context.events.working("finding where the time goes");
    let arm = context.arm(&checkout.path);
    let seed = context.seed_for(0, 9);
    let profile = {
        let _alone = context.measuring_alone()?;
        watch(&context.measurer, &arm, seed)?
    };
    let usage = profile::usage(&samples);
    let place = Probing { folder: context.repository.root(), cache: &context.cache, events: &context.events };
    let mut diagnosis = diagnose(&usage, &profile, &place.machine());
    diagnosis.floor = floor_of(&place, &context.config.benchmark.floor, &usage, &diagnosis)?;
    let state = format!("diagnosed {}", checkout.commit);
    context.worklog.record_session(context.session, &state, &record::to_json(&diagnosis)?)?;
    Ok(diagnosis)
}

/// Profiles an arm.
pub(super) fn watch(measurer: &Measurer, arm: &Arm, seed: u64) -> Result<Profile, ExperimentError> {
    let mut run = 0;
    let mut watched = |on_start: &mut dyn FnMut(u32)| {
        run += 1;
        measurer.run_watched(arm, rng::draw(seed, 0, run), on_start).map_err(ExperimentError::from)
    };
    let (profile, _) = profile::record(&Limits::default(), &mut watched, &|_| {})?;
    Ok(profile)
}
