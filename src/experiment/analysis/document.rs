//! The document of `--json`: `perfup.analysis/1`. Names and units here are a promise; see `docs/json.md`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{Analysis, Ending};
use crate::diagnose::advice::{Branch, BranchAdvice, Cure, TREE};
use crate::diagnose::{Class, Diagnosis, Evidence, Floor, Level, Runtime, Times};
use crate::findings::Finding;
use crate::plan::Hypothesis;
use crate::profile::{Availability, Profile};

/// An analysis as programs read it.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    benchmark: &'a str,
    command: &'a str,
    /// `null` for a command that perfup started.
    pid: Option<u32>,
    ending: &'static str,
    bottleneck: Bottleneck<'a>,
    /// Share of the wall time by class, 0–1, summing to 1.
    shares: BTreeMap<&'static str, f64>,
    evidence: &'a [Evidence],
    advice: Advice,
    floor: &'a Floor,
    times: &'a Times,
    runtime: &'a Runtime,
    sources: Vec<SourceState>,
    findings: &'a [Finding],
    hypotheses: &'a [Hypothesis],
    withheld: &'a [String],
    correctness: &'a [String],
    runs: Vec<Run>,
    spec: &'a Path,
}

#[derive(Debug, Serialize)]
struct Bottleneck<'a> {
    class: &'static str,
    confidence: f64,
    /// What it would be without the load of other programs; only with `machine-busy`.
    apart_from_load: Option<&'static str>,
    /// Other classes worth mentioning, largest first.
    also: Vec<&'static str>,
    /// What kept the confidence down, as sentences.
    doubts: &'a [String],
    level: Level,
    explanation: &'a str,
    /// Speed-up if all that the class explains were gone, `null` where that is everything.
    payoff_max: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Advice {
    /// The branch of the tree that applies, `null` where none is known to.
    branch: Option<Branch>,
    tree: [BranchAdvice; 3],
    #[serde(flatten)]
    cure: Cure,
    /// What the cure brings for the whole program, lowest and highest factor.
    whole_program: (f64, f64),
}

/// What a source gave, or why it gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceState {
    pub id: String,
    pub gives: String,
    /// `used`, `degraded` or `unavailable`.
    pub state: &'static str,
    pub reason: Option<String>,
    pub remedy: Option<String>,
}

#[derive(Debug, Serialize)]
struct Run {
    wall_s: f64,
    user_s: f64,
    sys_s: f64,
    rss_bytes_max: u64,
    end: String,
}

/// The document of an analysis.
#[must_use]
pub fn document(analysis: &Analysis) -> Document<'_> {
    let diagnosis = &analysis.diagnosis;
    Document {
        benchmark: &analysis.name,
        command: &analysis.command,
        pid: analysis.pid,
        ending: match analysis.ending {
            Ending::Finished => "finished",
            Ending::Failed { .. } => "failed",
            Ending::Stopped => "stopped",
            Ending::Interrupted => "interrupted",
            Ending::GoesOn => "goes-on",
            Ending::Gone => "gone",
        },
        bottleneck: Bottleneck {
            class: diagnosis.class.id(),
            confidence: diagnosis.confidence,
            apart_from_load: diagnosis.apart_from_load.map(Class::id),
            also: diagnosis.also.iter().map(|class| class.id()).collect(),
            doubts: &diagnosis.doubts,
            level: diagnosis.level,
            explanation: &diagnosis.explanation,
            payoff_max: diagnosis.payoff_max,
        },
        shares: diagnosis.shares.iter().map(|(class, share)| (class.id(), *share)).collect(),
        evidence: &diagnosis.evidence,
        advice: advice(diagnosis),
        floor: &diagnosis.floor,
        times: &diagnosis.times,
        runtime: &diagnosis.runtime,
        sources: sources(&analysis.profile),
        findings: &analysis.findings,
        hypotheses: &analysis.hypotheses,
        withheld: &analysis.withheld,
        correctness: &analysis.correctness,
        runs: analysis
            .samples
            .iter()
            .map(|sample| Run {
                wall_s: sample.wall_s(),
                user_s: sample.run.user_ns as f64 * 1e-9,
                sys_s: sample.run.sys_ns as f64 * 1e-9,
                rss_bytes_max: sample.run.rss_bytes_max,
                end: sample.run.end.to_string(),
            })
            .collect(),
        spec: &analysis.spec,
    }
}

fn advice(diagnosis: &Diagnosis) -> Advice {
    let judged = diagnosis.apart_from_load.unwrap_or(diagnosis.class);
    let cure = judged.cure();
    let share = diagnosis.shares.iter().find(|(class, _)| *class == judged);
    Advice {
        branch: cure.branch,
        tree: TREE,
        cure,
        whole_program: cure.whole_program(share.map_or(0.0, |(_, share)| *share)),
    }
}

impl SourceState {
    /// From what the source itself says.
    #[must_use]
    pub fn new(id: &str, gives: &str, availability: &Availability) -> Self {
        match availability {
            Availability::Usable => Self::used(id, gives),
            Availability::Degraded(absent) => {
                Self { state: "degraded", ..Self::unavailable(id, gives, &absent.reason, &absent.remedy) }
            }
            Availability::Unavailable(absent) => Self::unavailable(id, gives, &absent.reason, &absent.remedy),
        }
    }

    #[must_use]
    pub fn used(id: &str, gives: &str) -> Self {
        Self { id: id.to_owned(), gives: gives.to_owned(), state: "used", reason: None, remedy: None }
    }

    #[must_use]
    pub fn unavailable(id: &str, gives: &str, reason: &str, remedy: &str) -> Self {
        Self {
            state: "unavailable",
            reason: Some(reason.to_owned()),
            remedy: (!remedy.is_empty()).then(|| remedy.to_owned()),
            ..Self::used(id, gives)
        }
    }
}

/// Every source, used or not.
#[must_use]
pub fn sources(profile: &Profile) -> Vec<SourceState> {
    let reports = profile.sources.iter();
    reports.map(|report| SourceState::new(&report.id, &report.gives, &report.state)).collect()
}
