//! The files a session leaves for people: the spec, the results, the report. The worklog is the truth behind them, so
//! each can be written again at any time.

use super::claim::Claim;
use super::context::Context;
use super::error::ExperimentError;
use super::event::Phase;
use super::incumbent::{BaselineFacts, Incumbent};
use super::layout::write_whole;
use super::relearning::relearnings;
use super::rounds;
use super::session::Artefacts;
use crate::diagnose::Diagnosis;
use crate::machine::Facts;
use crate::measure::{Disturbance, Pair};
use crate::plan::Hypothesis;
use crate::report::journey::{self, DeadEnd, Journey, Stage};
use crate::report::{tsv, words};
use crate::spec::{self, Proposed, Spec};
use crate::stats::decision::{Decision, Word};
use crate::stats::guard::GuardWord;
use crate::worklog::{Attempt, AttemptVerdict, Hindrance};

/// `specs/<name>_speedup.md`: of what was planned, and what has come of it so far.
pub(super) fn spec(
    context: &Context,
    incumbent: &Incumbent,
    result: Option<String>,
) -> Result<(), ExperimentError> {
    let attempts = context.worklog.attempts(Some(context.session))?;
    let tried: Vec<(Hypothesis, Option<String>)> = attempts
        .iter()
        .map(|attempt| {
            let hypothesis = super::record::from_json("hypothesis", attempt.proposal.clone())?;
            Ok::<_, ExperimentError>((hypothesis, Some(state_of(attempt, context))))
        })
        .collect::<Result<_, _>>()?;
    let ranked = rounds::plan(context, incumbent, &attempts);
    let withheld = ranked.withheld.iter().map(|(hypothesis, policy)| {
        (hypothesis.clone(), Some(format!("not tried; needs --allow {}", policy.word())))
    });
    let open = ranked.queue.iter().map(|hypothesis| (hypothesis.clone(), None));
    let all: Vec<(Hypothesis, Option<String>)> = tried.into_iter().chain(open).chain(withheld).collect();
    let original = original_diagnosis(context, incumbent)?;
    let mut correctness = incumbent.expectation.describe();
    if let Some(tests) = &context.config.verify.tests {
        correctness.push(format!("`{tests}` must pass, and run every test that it runs on the original"));
    }
    let text = spec::render(&Spec {
        benchmark: &context.config.benchmark.name,
        command: &context.config.benchmark.command.to_string(),
        base_commit: context.base.as_str(),
        diagnosis: &original,
        findings: &[],
        hypotheses: all
            .iter()
            .map(|(hypothesis, state)| Proposed { hypothesis, state: state.clone() })
            .collect(),
        correctness,
        result,
    })?;
    let path = context.layout.spec(&context.config.benchmark.name);
    write_whole(&path, &text).map_err(ExperimentError::io("write", path))
}

/// `reports/perfup-results.tsv`, brought up to date.
pub(super) fn results(context: &Context, baseline: &BaselineFacts) -> Result<(), ExperimentError> {
    let session = &context.session_name;
    let mut rows = vec![tsv::Row {
        commit: context.base.short().to_owned(),
        wall_s: Some(baseline.wall_s),
        cpu_s: Some(baseline.cpu_s),
        rss_mib: Some(baseline.rss_bytes_max / f64::from(1 << 20)),
        status: "baseline".to_owned(),
        description: format!("{session}: {}", context.config.benchmark.command),
    }];
    for attempt in context.worklog.attempts(Some(context.session))? {
        let Some(status) = attempt.status.clone() else {
            continue;
        };
        let pairs = context.worklog.pairs(context.session, Some(attempt.id), "confirm")?;
        let pairs = pairs.into_iter().filter(|pair| !pair.redone);
        let pairs: Vec<Pair> = pairs
            .map(|pair| Ok(super::record::recorded(pair)?.pair))
            .collect::<Result<_, ExperimentError>>()?;
        let median = |metric| {
            let (_, after) = super::record::medians(&pairs, metric);
            after.is_finite().then_some(after)
        };
        rows.push(tsv::Row {
            commit: attempt
                .commit_id
                .as_ref()
                .map_or("-".to_owned(), |commit| commit.chars().take(10).collect()),
            wall_s: median(&crate::config::Metric::Wall),
            cpu_s: median(&crate::config::Metric::Cpu),
            rss_mib: median(&crate::config::Metric::PeakRss).map(|bytes| bytes / f64::from(1 << 20)),
            status,
            description: format!("{session}/{}: {}", attempt.number, attempt.change_line()),
        });
    }
    let path = context.layout.results();
    tsv::sync(&path, &rows).map_err(ExperimentError::io("write", path))
}

/// All of them, at the end.
pub(super) fn everything(
    context: &Context,
    incumbent: &Incumbent,
    claim: Option<&Claim>,
    withheld: &[String],
) -> Result<Artefacts, ExperimentError> {
    let headline = headline(claim);
    spec(context, incumbent, Some(headline.clone()))?;
    results(context, &incumbent.facts)?;
    let journey = journey(context, incumbent, headline, withheld)?;
    let text = journey::markdown(&journey).map_err(|error| ExperimentError::Report(error.to_string()))?;
    let report = context.layout.report(&context.session_name);
    write_whole(&report, &text).map_err(ExperimentError::io("write", &report))?;
    Ok(Artefacts {
        spec: context.layout.spec(&context.config.benchmark.name),
        results: context.layout.results(),
        report,
        worklog: context.layout.worklog(),
    })
}

/// The whole result in a sentence.
pub(super) fn headline(claim: Option<&Claim>) -> String {
    let Some(claim) = claim else {
        return "no change was kept".to_owned();
    };
    let value = |value| words::value(&claim.metric, value);
    let comparison = words::comparison(&claim.decision.estimate, &claim.metric);
    let doubt = match claim.decision.word {
        Word::Faster => "",
        Word::Invalid => "; invalid: runs depend on what ran before them",
        _ => "; fresh pairs do not confirm the steps' gain",
    };
    let violated = claim.guards.iter().filter(|guarded| guarded.word == GuardWord::Violated);
    let broken: String = violated.map(|guarded| format!("; {guarded}")).collect();
    format!("{} → {}: {comparison}{doubt}{broken}", value(claim.before), value(claim.after))
}

fn journey(
    context: &Context,
    incumbent: &Incumbent,
    headline: String,
    withheld: &[String],
) -> Result<Journey, ExperimentError> {
    let attempts = context.worklog.attempts(Some(context.session))?;
    let metric = &context.config.benchmark.metric;
    let stages = rounds::kept(&attempts).map(|attempt| Stage {
        number: attempt.number,
        title: attempt.change_line(),
        why: attempt.hypothesis.split_once(": ").map_or(String::new(), |(_, why)| why.to_owned()),
        impact: impact(attempt, metric),
        commit: attempt.commit_id.as_ref().map_or(String::new(), |commit| commit.chars().take(10).collect()),
    });
    let dead_ends =
        attempts.iter().filter(|attempt| attempt.verdict == AttemptVerdict::Revert).map(|attempt| DeadEnd {
            number: attempt.number,
            title: attempt.change_line(),
            reason: attempt.explanation.clone().unwrap_or_default(),
        });
    let diagnosis = &incumbent.diagnosis;
    let facts = Facts::read()?;
    let mut bottleneck = vec![spec::bottleneck(diagnosis)];
    bottleneck.extend(spec::performance(diagnosis));
    Ok(Journey {
        session: context.session_name.clone(),
        benchmark: context.config.benchmark.name.clone(),
        command: context.config.benchmark.command.to_string(),
        headline,
        base: context.base.short().to_owned(),
        tip: incumbent.checkout.commit.short().to_owned(),
        branch: context.tip_branch()?.as_str().to_owned(),
        stages: stages.collect(),
        dead_ends: dead_ends.collect(),
        withheld: withheld.to_vec(),
        bottleneck,
        headroom: format!("Floor: {}", spec::floor(diagnosis)),
        learned: incumbent.expectation.describe(),
        machine: vec![
            format!(
                "{}, {} cores, {} memory",
                facts.cpu_model,
                facts.cores_logical,
                words::bytes(facts.memory_bytes as f64)
            ),
            format!("{} {}, machine fingerprint {}", facts.kernel_release, facts.arch, facts.fingerprint()),
            speed(&facts),
            format!(
                "noise of the original against itself: {}",
                incumbent.facts.noise.map_or("not known".to_owned(), words::percent)
            ),
        ],
        notes: notes(context)?,
    })
}

/// What decides how steady the machine's speed is, as far as it says.
fn speed(facts: &Facts) -> String {
    let switch = |on: bool| if on { "on" } else { "off" };
    let parts = [
        facts.governor.as_ref().map(|governor| format!("governor {governor}")),
        facts.turbo.map(|on| format!("turbo {}", switch(on))),
        facts.smt.map(|on| format!("SMT {}", switch(on))),
        facts.cgroup.cpus_max.map(|cpus| format!("limited to {cpus:.2} CPUs")),
        facts.cgroup.memory_bytes_max.map(|bytes| format!("limited to {}", words::bytes(bytes as f64))),
        facts.virtualised.then(|| "virtual machine".to_owned()),
    ];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    if known.is_empty() { "its speed settings are not shown".to_owned() } else { known.join(", ") }
}

/// What did not go as usual, for people who judge the measurement.
pub(super) fn notes(context: &Context) -> Result<Vec<String>, ExperimentError> {
    let mut notes = disturbed(context)?;
    let mut before = 0;
    for relearning in relearnings(context)? {
        let runs = 2 * (relearning.pairs - before);
        before = relearning.pairs;
        let whose = match relearning.attempt {
            0 => String::new(),
            number => format!(" of attempt {number}"),
        };
        let seen = format!("(seen in {} pair {}{whose})", relearning.phase, relearning.pair + 1);
        let what = &relearning.what;
        notes.push(match relearning.expectation {
            Some(_) => format!(
                "the original varies more than its first runs showed, and was learned again from {runs} more runs of \
                 its own {seen}: {what}"
            ),
            None => format!(
                "the original once behaved differently beside a candidate, and in none of {runs} more runs of its own \
                 {seen}: {what}"
            ),
        });
    }
    Ok(notes)
}

/// How many pairs something else got in the way of, and what became of them.
fn disturbed(context: &Context) -> Result<Vec<String>, ExperimentError> {
    let mut pairs = context.worklog.hindrances(context.session)?;
    // Those are run for their output only.
    pairs.retain(|pair| pair.phase != Phase::Relearn.id());
    let is_large =
        |pair: &&Hindrance| Disturbance { steal: pair.steal_share, wait: pair.wait_share }.is_large();
    let redone = pairs.iter().filter(|pair| pair.redone).count();
    let kept = pairs.iter().filter(|pair| !pair.redone).filter(is_large).count();
    let all = pairs.len();
    let again = (redone > 0).then(|| {
        format!("{redone} of {all} pairs were disturbed by other work on this machine, and run again")
    });
    let all_the_same = (kept > 0).then(|| {
        format!(
            "{kept} of {all} pairs count although they were disturbed: the machine is busy, or the command wants more \
             CPUs than there are"
        )
    });
    Ok(again.into_iter().chain(all_the_same).collect())
}

/// The diagnosis of the commit that the session started from.
fn original_diagnosis(context: &Context, incumbent: &Incumbent) -> Result<Diagnosis, ExperimentError> {
    let state = format!("diagnosed {}", context.base);
    match context.worklog.session_detail(context.session, &state)? {
        Some(diagnosis) => super::record::from_json("diagnosis", diagnosis),
        None => Ok(incumbent.diagnosis.clone()),
    }
}

fn state_of(attempt: &Attempt, context: &Context) -> String {
    match attempt.verdict {
        AttemptVerdict::Pending => "being tried".to_owned(),
        AttemptVerdict::Keep => format!("kept: {}", impact(attempt, &context.config.benchmark.metric)),
        AttemptVerdict::Revert | AttemptVerdict::Partial => {
            format!("discarded: {}", attempt.explanation.clone().unwrap_or_default())
        }
    }
}

/// What a keep rests on.
fn impact(attempt: &Attempt, metric: &crate::config::Metric) -> String {
    let decision =
        attempt.evidence.clone().and_then(|evidence| serde_json::from_value::<Decision>(evidence).ok());
    decision.map_or("not measured".to_owned(), |decision| words::comparison(&decision.estimate, metric))
}
