//! `specs/<name>_speedup.md`: what is slow, why, what to do about it and how to check it; filled in as results come.
//!
//! Written for people and for agents. The front matter, between `+++` lines, is TOML with the same facts for programs;
//! [`read`] gives it back. **Invariant**: pure, says only what was measured or is marked as an expectation.

use serde::{Deserialize, Serialize};

use crate::diagnose::advice::{Branch, TREE};
use crate::diagnose::floor::Bound;
use crate::diagnose::{Class, Diagnosis, Floor};
use crate::findings::Finding;
use crate::plan::{Hypothesis, Priority, Soundness};
use crate::report::journey::render as render_template;
use crate::report::words;

/// Format of the front matter.
pub const SCHEMA: &str = "perfup.spec/1";

/// Findings that a spec lists; more are in the document of `perfup analyze --json`.
const FINDINGS_MAX: usize = 20;

/// Everything a spec tells.
#[derive(Debug, Clone)]
pub struct Spec<'a> {
    pub benchmark: &'a str,
    pub command: &'a str,
    pub base_commit: &'a str,
    pub diagnosis: &'a Diagnosis,
    /// Confirmed ones first.
    pub findings: &'a [Finding],
    pub hypotheses: Vec<Proposed<'a>>,
    /// How results are checked, in sentences.
    pub correctness: Vec<String>,
    /// What came of it all; absent before the end.
    pub result: Option<String>,
}

/// A hypothesis with what came of it.
#[derive(Debug, Clone)]
pub struct Proposed<'a> {
    pub hypothesis: &'a Hypothesis,
    /// Why it is not tried, or what came of it.
    pub state: Option<String>,
}

/// The machine-readable part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontMatter {
    pub schema: String,
    pub benchmark: String,
    pub command: String,
    pub base_commit: String,
    pub class: String,
    pub confidence: f64,
    pub wall_s: f64,
    pub floor_s: f64,
    /// The branch of the decision tree that applies: `io`, `cpu` or `gpu`.
    #[serde(default)]
    pub branch: Option<Branch>,
    #[serde(default)]
    pub findings: Vec<FrontFinding>,
    pub hypotheses: Vec<FrontHypothesis>,
}

/// A finding in the front matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontFinding {
    pub rule: String,
    pub path: String,
    pub line: u32,
    pub confirmed: bool,
}

/// A hypothesis in the front matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontHypothesis {
    pub key: String,
    pub title: String,
}

/// Why a spec could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error("the spec has no front matter between +++ lines")]
    NoFrontMatter,
    #[error("the front matter cannot be read: {0}")]
    BadFrontMatter(String),
    #[error("the spec's schema is {found:?}; this perfup knows {SCHEMA:?}")]
    OtherSchema { found: String },
    #[error("the spec cannot be rendered: {0}")]
    Template(String),
}

#[derive(Serialize)]
struct View {
    front_matter: String,
    benchmark: String,
    command: String,
    base: String,
    performance: Vec<String>,
    bottleneck: String,
    evidence: Vec<String>,
    shares: Vec<String>,
    floor: String,
    bounds: Vec<String>,
    assumptions: Vec<String>,
    branch: String,
    steps: &'static [&'static str],
    findings: Vec<FindingView>,
    absent: Vec<String>,
    hypotheses: Vec<HypothesisView>,
    correctness: Vec<String>,
    result: Option<String>,
}

#[derive(Serialize)]
struct FindingView {
    place: String,
    word: &'static str,
    message: String,
    expected: String,
    fix: String,
    why: String,
}

#[derive(Serialize)]
struct HypothesisView {
    priority: Priority,
    level: String,
    title: String,
    rationale: String,
    places: String,
    expected: String,
    safety: &'static str,
    state: Option<String>,
}

/// The Markdown, front matter first.
///
/// # Errors
/// [`SpecError::Template`], only if a template of the binary's own is broken.
pub fn render(spec: &Spec<'_>) -> Result<String, SpecError> {
    let diagnosis = spec.diagnosis;
    let front = FrontMatter {
        schema: SCHEMA.to_owned(),
        benchmark: spec.benchmark.to_owned(),
        command: spec.command.to_owned(),
        base_commit: spec.base_commit.to_owned(),
        class: diagnosis.class.id().to_owned(),
        confidence: diagnosis.confidence,
        wall_s: diagnosis.times.wall_s,
        floor_s: diagnosis.floor.seconds,
        branch: judged(diagnosis).cure().branch,
        findings: spec
            .findings
            .iter()
            .take(FINDINGS_MAX)
            .map(|finding| FrontFinding {
                rule: finding.rule.clone(),
                path: finding.path.display().to_string(),
                line: finding.line,
                confirmed: finding.confirmed,
            })
            .collect(),
        hypotheses: spec
            .hypotheses
            .iter()
            .map(|proposed| FrontHypothesis {
                key: proposed.hypothesis.key.clone(),
                title: proposed.hypothesis.title.clone(),
            })
            .collect(),
    };
    let broken = |error: &dyn std::fmt::Display| SpecError::Template(error.to_string());
    let view = View {
        front_matter: toml::to_string(&front).map_err(|error| broken(&error))?,
        benchmark: spec.benchmark.to_owned(),
        command: spec.command.to_owned(),
        base: spec.base_commit.chars().take(10).collect(),
        performance: performance(diagnosis),
        bottleneck: bottleneck(diagnosis),
        evidence: diagnosis
            .evidence
            .iter()
            .map(|piece| format!("{} ({})", piece.text, piece.source))
            .collect(),
        shares: diagnosis
            .shares
            .iter()
            .map(|(class, share)| format!("{} {}", words::percent(*share), class.id()))
            .collect(),
        floor: floor(diagnosis),
        bounds: diagnosis.floor.candidates.iter().map(bound).collect(),
        assumptions: diagnosis.floor.assumptions.clone(),
        branch: branch(diagnosis),
        steps: judged(diagnosis).cure().steps,
        findings: spec.findings.iter().take(FINDINGS_MAX).map(FindingView::new).collect(),
        absent: diagnosis.absent.clone(),
        hypotheses: spec.hypotheses.iter().map(HypothesisView::new).collect(),
        correctness: spec.correctness.clone(),
        result: spec.result.clone(),
    };
    render_template(include_str!("speedup.md.j2"), &view).map_err(|error| broken(&error))
}

/// What there is apart from the load of others, else the class itself.
fn judged(diagnosis: &Diagnosis) -> Class {
    diagnosis.apart_from_load.unwrap_or(diagnosis.class)
}

/// The branch of the decision tree that applies, in a sentence.
fn branch(diagnosis: &Diagnosis) -> String {
    let cure = judged(diagnosis).cure();
    let line = cure.branch.and_then(|branch| TREE.into_iter().find(|line| line.branch == branch));
    line.map_or_else(
        || "No branch of the decision tree is known to apply.".to_owned(),
        |line| {
            format!(
                "{}: {} ({:.0}x to {:.0}x where it applies, effort {}, risk {}, {} sure).",
                line.branch.title(),
                line.what,
                line.gain.0,
                line.gain.1,
                line.effort,
                line.risk,
                words::percent(line.confidence)
            )
        },
    )
}

/// A bound in a line.
fn bound(bound: &Bound) -> String {
    let avoidable = if bound.avoidable { "; could be avoided, so it does not bind" } else { "" };
    format!("{} {}: {}{avoidable}", words::seconds(bound.seconds), bound.name, bound.formula)
}

/// The front matter of a spec.
///
/// # Errors
/// [`SpecError`].
pub fn read(text: &str) -> Result<FrontMatter, SpecError> {
    let rest = text.strip_prefix("+++\n").ok_or(SpecError::NoFrontMatter)?;
    let (front, _) = rest.split_once("\n+++\n").ok_or(SpecError::NoFrontMatter)?;
    let front: FrontMatter =
        toml::from_str(front).map_err(|error| SpecError::BadFrontMatter(error.to_string()))?;
    if front.schema == SCHEMA { Ok(front) } else { Err(SpecError::OtherSchema { found: front.schema }) }
}

/// Wall, CPU, memory and storage, a line each.
#[must_use]
pub fn performance(diagnosis: &Diagnosis) -> Vec<String> {
    let times = &diagnosis.times;
    let runs =
        if times.samples > 1 { format!("median of {} runs", times.samples) } else { "one run".to_owned() };
    let mut lines = vec![
        format!("{} wall time, {runs}", words::seconds(times.wall_s)),
        format!(
            "{} user + {} system CPU: {:.2} of {} cores",
            words::seconds(times.user_s),
            words::seconds(times.sys_s),
            times.cores_used,
            times.cores_available
        ),
        format!("{} peak memory", words::bytes(times.rss_bytes_max as f64)),
    ];
    if let (Some(read), Some(write)) = (times.read_bytes, times.write_bytes) {
        lines.push(format!(
            "{} read from storage, {} written",
            words::bytes(read as f64),
            words::bytes(write as f64)
        ));
    }
    lines.push(format!("{} of the wall time blocked", words::percent(times.blocked)));
    if !times.core_busy.is_empty() {
        let cores: Vec<String> = times.core_busy.iter().map(|share| words::percent(*share)).collect();
        lines.push(format!("machine's cores busy meanwhile: {}", cores.join(", ")));
    }
    lines
}

/// The verdict in a line.
#[must_use]
pub fn bottleneck(diagnosis: &Diagnosis) -> String {
    let sure = words::percent(diagnosis.confidence);
    // What computes cannot be removed, only made cheaper: there the floor and the recipes speak.
    let removable = !matches!(
        diagnosis.class,
        Class::CpuNative | Class::InterpreterOverhead | Class::CpuKernel | Class::NotEnoughEvidence
    );
    let payoff = diagnosis
        .payoff_max
        .filter(|_| removable)
        .map_or(String::new(), |payoff| format!("; without it the program would be {payoff:.1}x faster"));
    let explanation =
        if diagnosis.explanation.is_empty() { String::new() } else { format!(". {}", diagnosis.explanation) };
    format!("{} (level {:?}, {sure} sure{payoff}){explanation}", diagnosis.class.id(), diagnosis.level)
}

/// The floor in a line.
#[must_use]
pub fn floor(diagnosis: &Diagnosis) -> String {
    floor_line(&diagnosis.floor)
}

/// A floor in a line.
#[must_use]
pub fn floor_line(floor: &Floor) -> String {
    format!(
        "{} ({:.1}x below the measured time), bound by {}",
        words::seconds(floor.seconds),
        floor.ratio,
        floor.binds
    )
}

impl FindingView {
    fn new(finding: &Finding) -> Self {
        Self {
            place: format!("{}:{}", finding.path.display(), finding.line),
            word: if finding.confirmed { "confirmed" } else { "possible" },
            message: finding.message.clone(),
            expected: finding.payoff.map_or_else(
                || "not known".to_owned(),
                |(low, high)| format!("{low:.2}x–{high:.2}x for the whole program"),
            ),
            fix: finding.fix.clone(),
            why: finding.why.clone(),
        }
    }
}

impl HypothesisView {
    fn new(proposed: &Proposed<'_>) -> Self {
        let hypothesis = proposed.hypothesis;
        let place = |site: &crate::plan::Site| match site.line {
            Some(line) => format!("{}:{line}", site.path),
            None => site.path.clone(),
        };
        Self {
            priority: Priority::of(hypothesis.scores),
            level: format!("{:?}", hypothesis.level),
            title: hypothesis.title.clone(),
            rationale: hypothesis.rationale.clone(),
            places: hypothesis.sites.iter().map(place).collect::<Vec<_>>().join(", "),
            expected: format!("{:.2}x–{:.2}x", hypothesis.expected.0, hypothesis.expected.1),
            safety: match hypothesis.soundness {
                Soundness::Sound => "keeps the meaning of every program it applies to",
                Soundness::NeedsOracle => "keeps the meaning of usual programs; the output decides",
                Soundness::PolicyOnly(_) => "only with your consent",
            },
            state: proposed.state.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Machine, diagnose};
    use crate::profile::{Profile, Program, TreeTimes, Usage, WallTimes};

    #[test]
    fn a_spec_reads_well_and_reads_back() {
        let usage = Usage { wall_s: 0.61, user_s: 0.6, wall_s_min: 0.6, samples: 16, ..Usage::default() };
        let tree = TreeTimes {
            wall: WallTimes { computing_s: 1.2, ..WallTimes::default() },
            ticks: 110,
            threads_max: 1,
            programs: vec![Program {
                exe: "/usr/bin/python3.11".to_owned(),
                wall_s: 1.2,
                cpu_s: 1.2,
                ..Program::default()
            }],
            ..TreeTimes::default()
        };
        let profile = Profile { tree, cores: vec![0.1, 1.0], runs: 2, ..Profile::default() };
        let diagnosis = diagnose(&usage, &profile, &Machine::of_cores(2));
        let hypothesis = Hypothesis {
            key: "recipes/x:a.py:f".to_owned(),
            executor: "recipes".to_owned(),
            recipe: "x".to_owned(),
            title: "Use a set".to_owned(),
            rationale: "Each test scans the list.".to_owned(),
            sites: vec![crate::plan::Site { path: "a.py".to_owned(), line: Some(3) }],
            level: crate::diagnose::Level::L2,
            soundness: Soundness::NeedsOracle,
            expected: (1.0, 10.0),
            scores: crate::plan::Scores { impact: 4, ease: 5, coverage: 3, safety: 4 },
        };
        let finding = Finding {
            rule: "python-list-membership-in-loop".to_owned(),
            path: "a.py".into(),
            line: 3,
            end_line: 3,
            function: Some("f".to_owned()),
            text: "if x in seen:".to_owned(),
            message: "Each test compares with every element of the list.".to_owned(),
            confirmed: true,
            share: Some(0.9),
            payoff: Some((1.8, 9.0)),
            why: "confirmed: 90 % of the samples are in a.py:3".to_owned(),
            fix: "Keep a set.".to_owned(),
            level: crate::diagnose::Level::L2,
            effort: crate::findings::Grade::Low,
            risk: crate::findings::Grade::Low,
            hint: false,
        };
        let spec = Spec {
            benchmark: "crunch",
            command: "python3 crunch.py",
            base_commit: "0123456789012345678901234567890123456789",
            diagnosis: &diagnosis,
            findings: &[finding],
            hypotheses: vec![Proposed { hypothesis: &hypothesis, state: Some("kept".to_owned()) }],
            correctness: vec!["standard output must stay bit-identical".to_owned()],
            result: None,
        };
        let text = render(&spec).unwrap();
        insta::assert_snapshot!(text);
        let front = read(&text).unwrap();
        assert_eq!((front.class.as_str(), front.hypotheses.len()), ("interpreter-overhead", 1));
        assert_eq!((front.branch, front.findings[0].line), (Some(Branch::Cpu), 3));
        assert!(matches!(read("no front"), Err(SpecError::NoFrontMatter)));
        let newer = text.replace(SCHEMA, "perfup.spec/9");
        assert!(matches!(read(&newer), Err(SpecError::OtherSchema { .. })));
    }
}
