//! Which findings matter: holds each match against the measured time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::files::same_file;
use super::languages::{Language, is_function};
use super::rule::Grade;
use super::scan::Found;
use crate::diagnose::{Class, Level};

/// Share of the wall time from which a class is worth a finding: below it even a perfect cure gains less than a quarter.
const CLASS_SHARE_MIN: f64 = 0.2;

/// Share of the samples that must be in the code of a finding.
const CODE_SHARE_MIN: f64 = 0.1;

/// What was measured, as far as findings need it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// Share of the wall time per class, 0–1.
    pub shares: Vec<(Class, f64)>,
    pub lines: Vec<LineShare>,
    /// The scripts that the command names.
    pub entry: Vec<PathBuf>,
}

/// How much of the time a line, or a function, was on the stack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LineShare {
    /// As the stacks name it; empty when they do not.
    pub path: PathBuf,
    /// As the stacks name it: a symbol, a qualified name.
    pub function: Option<String>,
    /// 1-based; absent where only the function is known.
    pub line: Option<u32>,
    /// 0–1: the share of the samples in which this is anywhere on the stack, a recursion counted once.
    pub share: f64,
    /// Whether the thread was waiting in these samples.
    pub waiting: bool,
}

/// A match and what the measurement says of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    pub path: PathBuf,
    /// First and last line, 1-based.
    pub line: u32,
    pub end_line: u32,
    /// The name of the function around it.
    pub function: Option<String>,
    /// The first line of the match, shortened.
    pub text: String,
    /// What is slow about it.
    pub message: String,
    /// Whether the measured time agrees that this is where it goes.
    pub confirmed: bool,
    /// Share of the samples that pass through this code, 0–1; absent where no stacks show it.
    pub share: Option<f64>,
    /// Speed-up of the whole program by Amdahl's law, from – to, ≥ 1; absent where no share is known.
    pub payoff: Option<(f64, f64)>,
    /// What speaks for and against it, in a sentence.
    pub why: String,
    /// What to do.
    pub fix: String,
    pub level: Level,
    pub effort: Grade,
    pub risk: Grade,
    /// A remark that measured time never confirms.
    pub hint: bool,
}

/// The measured time judges each match: confirmed ones first, then by the share of the code that they touch, then by
/// level.
///
/// Confirmed is a match when one of its classes has a measured share of at least 20 %, and at least 10 % of the samples of
/// that kind (waiting, or computing) pass through its lines, or its function where stacks know no lines. For a language
/// without stacks, the class and being the only such place in a script that the command names must do.
#[must_use]
pub fn rank(found: Vec<Found>, measured: &Measured) -> Vec<Finding> {
    let judged: Vec<Judged> = found.iter().map(|one| judge(one, &found, measured)).collect();
    let mut findings: Vec<Finding> =
        found.into_iter().zip(judged).map(|(one, judged)| finding(one, judged)).collect();
    let share = |finding: &Finding| finding.share.unwrap_or(0.0);
    findings.sort_by(|a, b| {
        (b.confirmed.cmp(&a.confirmed))
            .then(a.hint.cmp(&b.hint))
            .then(share(b).total_cmp(&share(a)))
            .then(a.level.cmp(&b.level))
            .then_with(|| (&a.path, a.line, &a.rule).cmp(&(&b.path, b.line, &b.rule)))
    });
    findings
}

/// What the measurement says of a match.
struct Judged {
    confirmed: bool,
    share: Option<f64>,
    payoff: Option<(f64, f64)>,
    why: String,
}

/// How far stacks show the code of a match.
enum Seen {
    /// Share of the samples, and where they are.
    At(f64, String),
    /// There are no stacks of this language, or none of this kind.
    NoStacks,
}

fn judge(one: &Found, all: &[Found], measured: &Measured) -> Judged {
    let share = match seen(one, measured, None) {
        Seen::At(share, _) => Some(share),
        Seen::NoStacks => None,
    };
    if one.hint {
        let why = "possible: a remark, which measured time cannot confirm".to_owned();
        return Judged { confirmed: false, share, payoff: None, why };
    }
    let Some((class, class_share)) = largest(&one.classes, measured) else {
        let why = "possible: where the time goes was not measured".to_owned();
        return Judged { confirmed: false, share, payoff: None, why };
    };
    let possible = |part: f64, why: String| Judged {
        confirmed: false,
        share,
        payoff: Some((1.0, amdahl(part.min(share.unwrap_or(1.0)), one.payoff.1))),
        why: format!("possible: {why}"),
    };
    let confirmed = |part: f64, why: String| Judged {
        confirmed: true,
        share,
        payoff: Some((amdahl(part, one.payoff.0), amdahl(part, one.payoff.1))),
        why: format!("confirmed: {why}"),
    };
    let class_says = format!("{} takes {} of the time", class.id(), percent(class_share));
    if class_share < CLASS_SHARE_MIN {
        return possible(class_share, format!("{class_says}, too little to show that this matters"));
    }
    match seen(one, measured, waits(class)) {
        Seen::At(code, place) if code >= CODE_SHARE_MIN => confirmed(
            code.min(class_share),
            format!("{} of the samples are in {place}, and {class_says}", percent(code)),
        ),
        Seen::At(code, place) => possible(
            code.min(class_share),
            format!("{class_says}, but only {} of the samples are in {place}", percent(code)),
        ),
        Seen::NoStacks => {
            let name = one.path.file_name().unwrap_or_default().to_string_lossy();
            let rivals = rivals(one, class, all);
            if !measured.entry.iter().any(|entry| same_file(entry, &one.path)) {
                possible(class_share, format!("{class_says}, but no stacks show whether it is spent here"))
            } else if rivals > 0 {
                possible(class_share, format!("{class_says}, but {name} has {} such places", rivals + 1))
            } else {
                confirmed(class_share, format!("{class_says}, and {name} has no other such place"))
            }
        }
    }
}

fn finding(one: Found, judged: Judged) -> Finding {
    Finding {
        rule: one.rule,
        path: one.path,
        line: one.line,
        end_line: one.end_line,
        function: one.function,
        text: one.text,
        message: one.message,
        confirmed: judged.confirmed,
        share: judged.share,
        payoff: judged.payoff,
        why: judged.why,
        fix: one.fix,
        level: one.level,
        effort: one.effort,
        risk: one.risk,
        hint: one.hint,
    }
}

/// Amdahl's law: the speed-up of the whole when `part` of it, 0–1, becomes `times` as fast: 1 / (1 − p·(1 − 1/s)).
fn amdahl(part: f64, times: f64) -> f64 {
    1.0 / (1.0 - part.clamp(0.0, 1.0) * (1.0 - 1.0 / times))
}

/// Of some classes the one with the largest share of the time; none when nothing was measured.
fn largest(classes: &[Class], measured: &Measured) -> Option<(Class, f64)> {
    if measured.shares.is_empty() {
        return None;
    }
    let share = |class: Class| {
        let of_class = measured.shares.iter().filter(|(one, _)| *one == class);
        of_class.map(|(_, share)| share).sum::<f64>()
    };
    classes.iter().map(|class| (*class, share(*class))).max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Whether the threads that a class slows down wait (true) or compute (false); absent for those that do both.
fn waits(class: Class) -> Option<bool> {
    match class {
        Class::DiskRead
        | Class::DiskSync
        | Class::NetworkWait
        | Class::ChildWait
        | Class::PipeWait
        | Class::SleepPoll
        | Class::LockContention => Some(true),
        Class::CpuNative | Class::InterpreterOverhead | Class::CpuKernel | Class::PageFaults => Some(false),
        _ => None,
    }
}

fn seen(one: &Found, measured: &Measured, waiting: Option<bool>) -> Seen {
    let Some(language) = Language::named(one.language) else {
        return Seen::NoStacks;
    };
    let of_kind = |line: &&LineShare| waiting.is_none_or(|waiting| line.waiting == waiting);
    // Samplers of machine code see threads on a CPU only: without a waiting sample nothing is known about waits.
    let of_language = |line: &&LineShare| match Language::of_path(&line.path) {
        Some(other) => other.grammar == language.grammar || (language.native && other.native),
        None => language.native || same_file(&line.path, &one.path),
    };
    let mut known = measured.lines.iter().filter(of_language);
    if !known.any(|line| !language.native || of_kind(&line)) {
        return Seen::NoStacks;
    }
    let here: Vec<&LineShare> =
        measured.lines.iter().filter(of_kind).filter(|line| is_near(line, one)).collect();
    let knows_lines =
        measured.lines.iter().any(|line| line.line.is_some() && same_file(&line.path, &one.path));
    if knows_lines {
        // Of a function that is called from another within these lines, both are on the stack: the larger is the whole.
        let mut by_function: BTreeMap<Option<&str>, f64> = BTreeMap::new();
        for line in &here {
            if line.line.is_some_and(|line| (one.line..=one.end_line).contains(&line)) {
                *by_function.entry(line.function.as_deref()).or_default() += line.share;
            }
        }
        let share = by_function.into_values().fold(0.0, f64::max).min(1.0);
        return Seen::At(share, lines(one));
    }
    let share: f64 = here.iter().filter(|line| line.line.is_none()).map(|line| line.share).sum();
    Seen::At(
        share.min(1.0),
        one.function.as_ref().map_or_else(|| lines(one), |name| format!("the function {name}")),
    )
}

/// Whether a line of the stacks is in the file of a match, or, where only functions are known, in its function.
fn is_near(line: &LineShare, one: &Found) -> bool {
    let same = same_file(&line.path, &one.path);
    if line.line.is_some() {
        return same;
    }
    let unknown = Language::of_path(&line.path).is_none();
    let named = match (&line.function, &one.function) {
        (Some(symbol), Some(name)) => is_function(symbol, name),
        _ => false,
    };
    named && (same || unknown)
}

/// Other matches in the same file that could explain the same class; those on the same lines are the same place.
fn rivals(one: &Found, class: Class, all: &[Found]) -> usize {
    let same_class =
        all.iter().filter(|other| !other.hint && other.path == one.path && other.classes.contains(&class));
    same_class.filter(|other| other.end_line < one.line || one.end_line < other.line).count()
}

fn lines(one: &Found) -> String {
    if one.line == one.end_line {
        return format!("line {}", one.line);
    }
    format!("lines {}–{}", one.line, one.end_line)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
#[path = "rank_tests.rs"]
mod tests;
