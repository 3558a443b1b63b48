//! The answer on one screen: at most 40 lines of 100 columns, whatever was found.
//!
//! **Invariant**: pure text; says nothing that is not in the analysis.

use std::path::Path;

use super::super::terminal::{BOLD, DIM, GOOD, HINT, WARN, paint};
use crate::diagnose::advice::{Branch, TREE};
use crate::diagnose::{Class, Diagnosis, Situation};
use crate::experiment::{Analysis, SourceState, sources};
use crate::findings::Finding;
use crate::plan::Hypothesis;
use crate::report::words;
use crate::report::wrap::{cut, wrap};
use crate::spec;

/// Columns of a line; more would be broken by a usual terminal.
const COLUMNS: usize = 100;

/// Columns of the longest bar.
const BAR: usize = 40;

/// Most lines of each part; together with headings they keep to a screen of 40.
const EXPLANATION_MAX: usize = 2;
const SHARES_MAX: usize = 6;
const EVIDENCE_MAX: usize = 4;
const STEPS_MAX: usize = 3;
const FIXES_MAX: usize = 3;
const ABSENT_MAX: usize = 2;
const FLOOR_MAX: usize = 2;

/// Share below which a class is not worth a bar of its own.
const SHARE_MIN: f64 = 0.01;

pub(super) fn screen(analysis: &Analysis) -> String {
    let diagnosis = &analysis.diagnosis;
    let mut lines = vec![String::new(), paint(BOLD, cut(&analysis.command, COLUMNS))];
    lines.push(format!("  {}", cut(&performance(diagnosis), COLUMNS - 2)));
    lines.extend(verdict(diagnosis));
    lines.push(heading("where the time goes"));
    lines.extend(bars(&diagnosis.shares));
    lines.push(heading("evidence"));
    lines.extend(diagnosis.evidence.iter().take(EVIDENCE_MAX).map(|piece| {
        let source = format!(" ({})", piece.source);
        let text = cut(&piece.text, COLUMNS - 2 - source.chars().count());
        format!("  {text}{}", paint(DIM, source))
    }));
    lines.extend(tree(diagnosis));
    lines.extend(fixes(analysis));
    lines.extend(floor(diagnosis));
    lines.extend(absent(&sources(&analysis.profile)));
    lines.push(format!("{} {}", paint(BOLD, "spec"), analysis.spec.display()));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn heading(text: &str) -> String {
    paint(BOLD, text)
}

fn performance(diagnosis: &Diagnosis) -> String {
    let times = &diagnosis.times;
    let runs = match times.samples {
        0 | 1 => String::new(),
        runs => format!(" (median of {runs} runs)"),
    };
    format!(
        "{} wall time{runs}, {:.2} of {} cores, {} at most in memory",
        words::seconds(times.wall_s),
        times.cores_used,
        times.cores_available,
        words::bytes(times.rss_bytes_max as f64)
    )
}

/// How sure, in a word.
fn sure(confidence: f64) -> &'static str {
    match confidence {
        0.9.. => "sure",
        0.8.. => "quite sure",
        0.6.. => "likely",
        0.3.. => "perhaps",
        _ => "not sure",
    }
}

fn verdict(diagnosis: &Diagnosis) -> Vec<String> {
    let style = if diagnosis.class.is_no_verdict() { WARN } else { GOOD };
    let apart = diagnosis
        .apart_from_load
        .map_or(String::new(), |class| format!("; apart from the load it would be {}", class.id()));
    let mut lines = vec![format!(
        "{}  {}, {} (level {:?}){apart}",
        paint(style, diagnosis.class.id()),
        sure(diagnosis.confidence),
        words::percent(diagnosis.confidence),
        diagnosis.level
    )];
    let explanation = wrap(&diagnosis.explanation, COLUMNS - 2);
    lines.extend(explanation.iter().take(EXPLANATION_MAX).map(|line| format!("  {line}")));
    if !diagnosis.doubts.is_empty() {
        let doubts = format!("not more sure: {}", diagnosis.doubts.join("; "));
        lines.push(format!("  {}", cut(&doubts, COLUMNS - 2)));
    }
    lines
}

/// What a bar is called: these two are no classes of work.
fn share_name(class: Class) -> &'static str {
    match class {
        Class::NotEnoughEvidence => "not attributed",
        Class::MachineBusy => "waiting for a CPU",
        class => class.id(),
    }
}

fn bars(shares: &[(Class, f64)]) -> Vec<String> {
    let (mut shown, mut rest): (Vec<_>, Vec<_>) = shares
        .iter()
        .map(|&(class, share)| (share_name(class), share))
        .partition(|(_, share)| *share >= SHARE_MIN);
    if shown.len() > SHARES_MAX {
        rest.extend(shown.drain(SHARES_MAX - 1..));
    }
    let others: f64 = rest.iter().map(|(_, share)| share).sum();
    if others >= SHARE_MIN / 2.0 {
        shown.push(("all else", others));
    }
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, share): (&str, f64)| {
        let bar = bar(share);
        let blank = BAR - bar.chars().count();
        format!("  {name:width$}  {}{:blank$}  {:>6}", paint(HINT, bar), "", words::percent(share))
    };
    shown.into_iter().map(line).collect()
}

/// A bar in eighths of a column.
fn bar(share: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

fn factor(factor: f64) -> String {
    match factor {
        factor if factor >= 9.95 => format!("{factor:.0}"),
        factor if (factor - factor.round()).abs() < 0.05 => format!("{factor:.0}"),
        factor => format!("{factor:.1}"),
    }
}

/// `2–8x`.
fn gain((low, high): (f64, f64)) -> String {
    match (factor(low), factor(high)) {
        (low, high) if low == high => format!("{high}x"),
        (low, high) => format!("{low}–{high}x"),
    }
}

/// The decision tree with the branch that applies, and why.
fn tree(diagnosis: &Diagnosis) -> Vec<String> {
    let cure = diagnosis.apart_from_load.unwrap_or(diagnosis.class).cure();
    let mut lines =
        vec![format!("{:<64}{:>9}  {:<7}  {:<6}  {:>5}", "what to do", "gain", "effort", "risk", "sure")];
    lines[0] = paint(BOLD, &lines[0]);
    for line in TREE {
        let applies = cure.branch == Some(line.branch);
        let mark = if applies { "▸" } else { " " };
        let text = format!(
            "{mark} {:<10} {:<50} {:>9}  {:<7}  {:<6}  {:>5}",
            line.branch.title(),
            line.what,
            gain(line.gain),
            line.effort.to_string(),
            line.risk.to_string(),
            words::percent(line.confidence)
        );
        lines.push(if applies { paint(GOOD, text) } else { paint(DIM, text) });
    }
    lines.push(format!("  {}", cut(&why(diagnosis, cure.branch), COLUMNS - 2)));
    lines.extend(
        steps(diagnosis)
            .take(STEPS_MAX)
            .enumerate()
            .map(|(index, step)| format!("  {}. {}", index + 1, cut(step, COLUMNS - 5))),
    );
    lines
}

/// What to do, in order: on a busy machine the load comes first.
fn steps(diagnosis: &Diagnosis) -> impl Iterator<Item = &'static str> {
    let then = diagnosis.apart_from_load.map_or(&[] as &[_], |class| class.cure().steps);
    diagnosis.class.cure().steps.iter().chain(then).copied()
}

fn why(diagnosis: &Diagnosis, branch: Option<Branch>) -> String {
    let of = |class| diagnosis.shares.iter().find(|(of, _)| *of == class).map_or(0.0, |(_, share)| *share);
    let class = diagnosis.apart_from_load.unwrap_or(diagnosis.class);
    let share = of(class);
    match (branch, diagnosis.class) {
        (Some(branch), Class::MachineBusy) => {
            format!(
                "{} would apply to the {} of {}; first the machine must be idle",
                branch.title(),
                words::percent(share),
                class.id()
            )
        }
        // What stands to the rest as its cause has no share of its own.
        (Some(branch), class) if share <= 0.0 => format!("{} applies: {}", branch.title(), class.id()),
        (Some(branch), class) => format!(
            "{} applies: {} of the wall time is {}; {} for the whole program",
            branch.title(),
            words::percent(share),
            class.id(),
            gain(class.cure().whole_program(share))
        ),
        (None, Class::MachineBusy) => {
            "no branch: other programs had the CPUs that this one waited for; the shares are not trusted"
                .to_owned()
        }
        (None, _) => "no branch: what was seen does not tell what holds it back".to_owned(),
    }
}

/// A change with its place and what it may bring.
struct Fix<'a> {
    title: &'a str,
    place: String,
    /// Speed-up of the whole program, from – to; absent where nothing tells.
    expected: Option<(f64, f64)>,
    /// Where the belief comes from.
    word: &'static str,
}

impl<'a> Fix<'a> {
    fn of_hypothesis(hypothesis: &'a Hypothesis) -> Self {
        Self {
            title: &hypothesis.title,
            place: places(hypothesis.sites.iter().map(|site| (site.path.as_str(), site.line))),
            expected: Some(hypothesis.expected),
            word: "recipe",
        }
    }

    fn of_finding(finding: &'a Finding) -> Self {
        Self {
            title: &finding.fix,
            place: format!("{}:{}", finding.path.display(), finding.line),
            expected: finding.payoff,
            word: if finding.confirmed { "confirmed" } else { "possible" },
        }
    }

    fn line(&self, number: usize) -> String {
        let expected = self.expected.map_or(String::new(), |expected| format!("{}, ", gain(expected)));
        let tail = format!("  {}  {expected}{}", self.place, self.word);
        let title = cut(self.title, COLUMNS.saturating_sub(5 + tail.chars().count()).max(20));
        let text = format!("  {number}. {title}");
        let left = COLUMNS.saturating_sub(text.chars().count());
        format!("{text}{}", paint(DIM, cut(&tail, left)))
    }
}

/// `a.py:3, b.py:9 and 2 more`.
fn places<'a>(sites: impl Iterator<Item = (&'a str, Option<u32>)>) -> String {
    let all: Vec<String> =
        sites.map(|(path, line)| line.map_or(path.to_owned(), |line| format!("{path}:{line}"))).collect();
    match all.as_slice() {
        [first, second, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second} and {} more", rest.len())
        }
        all => all.join(", "),
    }
}

/// Whether a recipe changes the very place of a finding.
fn is_same_place(hypothesis: &Hypothesis, finding: &Finding) -> bool {
    hypothesis.sites.iter().any(|site| {
        finding.path == Path::new(&site.path)
            && site.line.is_some_and(|line| (finding.line..=finding.end_line).contains(&line))
    })
}

/// What measured time confirms, then what a recipe can do, then what may help.
fn ranked_fixes(analysis: &Analysis) -> Vec<Fix<'_>> {
    let known = analysis.findings.iter().filter(|finding| !finding.hint);
    let (confirmed, possible): (Vec<&Finding>, Vec<&Finding>) = known.partition(|finding| finding.confirmed);
    let recipe_for =
        |finding: &Finding| analysis.hypotheses.iter().any(|recipe| is_same_place(recipe, finding));
    let first = confirmed.iter().map(|finding| match recipe_for(finding) {
        true => Fix { word: "confirmed, recipe", ..Fix::of_finding(finding) },
        false => Fix::of_finding(finding),
    });
    let is_told = |recipe: &&Hypothesis| !confirmed.iter().any(|finding| is_same_place(recipe, finding));
    let recipes = analysis.hypotheses.iter().filter(is_told).map(Fix::of_hypothesis);
    let last = possible.iter().filter(|finding| !recipe_for(finding)).map(|finding| Fix::of_finding(finding));
    first.chain(recipes).chain(last).collect()
}

fn fixes(analysis: &Analysis) -> Vec<String> {
    let mut found = ranked_fixes(analysis);
    let all = found.len();
    found.truncate(FIXES_MAX);
    let head = match all {
        0 => return vec![format!("{} none that perfup knows of in the source", paint(BOLD, "best fixes"))],
        all if all > FIXES_MAX => format!("best fixes, {FIXES_MAX} of {all} (the others are in the spec)"),
        _ => "best fixes".to_owned(),
    };
    let mut lines = vec![paint(BOLD, head)];
    lines.extend(found.iter().enumerate().map(|(index, fix)| fix.line(index + 1)));
    if let [first, ..] = analysis.withheld.as_slice() {
        let more = match analysis.withheld.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        lines.push(format!("  only with your consent: {}", cut(&format!("{first}{more}"), COLUMNS - 26)));
    }
    lines
}

fn situation(situation: Situation) -> &'static str {
    match situation {
        Situation::NearOptimal => "near optimal",
        Situation::Scheduling => "scheduling or pipelining is what is left",
        Situation::Architectural => "another structure is needed",
        Situation::Algorithmic => "another algorithm, or no waiting, is needed",
    }
}

fn floor(diagnosis: &Diagnosis) -> Vec<String> {
    let line = format!("{}: {}", spec::floor(diagnosis), situation(diagnosis.floor.situation));
    let mut lines = wrap(&line, COLUMNS - 6).into_iter().take(FLOOR_MAX);
    let first = format!("{} {}", paint(BOLD, "floor"), lines.next().unwrap_or_default());
    std::iter::once(first).chain(lines.map(|line| format!("      {line}"))).collect()
}

fn absent(sources: &[SourceState]) -> Vec<String> {
    let missing: Vec<&SourceState> = sources.iter().filter(|source| source.state != "used").collect();
    let mut lines: Vec<String> = missing
        .iter()
        .take(ABSENT_MAX)
        .map(|source| {
            let reason = source.reason.as_deref().unwrap_or_default();
            let remedy = source.remedy.as_deref().filter(|remedy| !remedy.is_empty());
            let remedy = remedy.map_or(String::new(), |remedy| format!("; {remedy}"));
            let how = if source.state == "degraded" { "seen in part" } else { "not seen" };
            paint(DIM, cut(&format!("{how}: {}: {reason}{remedy}", source.id), COLUMNS))
        })
        .collect();
    if !missing.is_empty() {
        let more = missing.len().saturating_sub(ABSENT_MAX);
        let more = if more > 0 { format!("{more} more sources were not seen; ") } else { String::new() };
        lines.push(paint(
            DIM,
            format!("{more}`perfup doctor` says what each source gives, and how to switch it on"),
        ));
    }
    lines
}

#[cfg(test)]
mod tests;
