//! A report as a person reads it at a glance: both arms on one axis, the effect with its interval, a word, and why.

use super::super::calibrate::share;
use super::super::terminal::{BAD, BOLD, DIM, GOOD, WARN, paint};
use crate::config::Metric;
use crate::report::strip::strip;
use crate::report::words;
use crate::stats::decision::{Part, Word};
use crate::stats::guard::GuardWord;
use crate::trial::calibrate::Calibration;
use crate::trial::{ArmReport, ComparisonReport, Report, StoppedBecause};

/// Longest name of an arm that shares a line with its numbers.
const NAME_COLUMNS: usize = 44;

/// Columns of an arm's line besides its name: letter, median, spread, strip, number of runs.
const ROW_COLUMNS: usize = STRIP_AT + 2 + 24 + 2 + 9;

/// Where the strip begins when the name takes no columns.
const STRIP_AT: usize = 3 + 9 + 1 + 8 + 2;

/// Metrics that are told beside the primary one, if they moved or not.
const BESIDE: &[Metric] = &[Metric::Wall, Metric::Cpu, Metric::PeakRss, Metric::Instructions, Metric::Energy];

/// Metrics of the program's own that are told beside them.
const CUSTOM_BESIDE: usize = 8;

/// As many of a command that stands alone.
const CUSTOM_ALONE: usize = 20;

pub(super) fn text(report: &Report, width: usize) -> String {
    let mut text = String::new();
    arms(report, width, &mut text);
    if report.arms.len() == 1 {
        details(report, &report.arms[0], &mut text);
    }
    for comparison in &report.comparisons {
        text.push('\n');
        verdict(report, comparison, &mut text);
    }
    if let Some(scaling) = &report.scaling {
        text.push_str(&format!("\n{}  {}\n", paint(BOLD, "growth"), scaling.words));
    }
    if let Some(calibration) = &report.calibration {
        text.push_str(&paint(DIM, cited(calibration)));
    }
    let redone = match report.rounds_redone {
        0 => String::new(),
        rounds => format!(", {rounds} disturbed rounds run again"),
    };
    text.push_str(&paint(
        DIM,
        format!(
            "{} rounds in {}{redone}; seed {}\n",
            report.rounds,
            words::seconds(report.elapsed_s),
            report.seed
        ),
    ));
    text
}

/// `A`, `B`, … as long as the alphabet lasts.
fn letter(index: usize) -> String {
    u8::try_from(index)
        .ok()
        .filter(|&index| index < 26)
        .map_or_else(|| format!("#{}", index + 1), |index| char::from(b'A' + index).to_string())
}

fn arms(report: &Report, width: usize, text: &mut String) {
    let longest = report.arms.iter().map(|arm| arm.name.chars().count()).max().unwrap_or(0);
    // A name that leaves no room for its line gets one of its own.
    let room = width.saturating_sub(ROW_COLUMNS).clamp(0, NAME_COLUMNS);
    let names_apart = longest > room;
    let indent = if names_apart { 0 } else { longest + 2 };
    let mut axis = None;
    for (index, arm) in report.arms.iter().enumerate() {
        let mark = paint(BOLD, letter(index));
        let head = if names_apart {
            let columns = width.saturating_sub(3).max(10);
            format!("{mark}  {}\n   ", shortened(&arm.name, columns))
        } else {
            format!("{mark}  {:longest$}  ", arm.name)
        };
        let Some(metric) = arm.metrics.get(&report.metric) else {
            text.push_str(&format!("{head}not run\n"));
            continue;
        };
        let value = words::value(&report.primary, metric.median);
        let interval = metric.median_interval.filter(|_| metric.median > 0.0);
        let spread = interval.map_or_else(String::new, |(low, high)| {
            format!("±{}", words::percent((high - low) / 2.0 / metric.median))
        });
        let runs = match arm.runs {
            1 => "1 run".to_owned(),
            runs => format!("{runs} runs"),
        };
        let bars = strip(&metric.histogram.counts);
        text.push_str(&format!("{head}{value:>9} {spread:>8}  {bars}  {runs}\n"));
        axis = Some((metric.histogram.low, metric.histogram.high, metric.histogram.counts.len()));
    }
    if let Some((low, high, columns)) = axis {
        let (low, high) = (words::value(&report.primary, low), words::value(&report.primary, high));
        let gap = columns.saturating_sub(low.chars().count() + high.chars().count()).max(1);
        let indent = indent + STRIP_AT;
        text.push_str(&paint(DIM, format!("{:indent$}{low}{:gap$}{high}\n", "", "")));
    }
}

/// The other metrics of a command that stands alone.
fn details(report: &Report, arm: &ArmReport, text: &mut String) {
    for metric in Metric::BUILT_IN.iter().filter(|&metric| *metric != report.primary) {
        if let Some(found) = arm.metrics.get(&*metric.key()) {
            let value = words::value(metric, found.median);
            let range = format!("{} … {}", words::value(metric, found.min), words::value(metric, found.max));
            text.push_str(&format!("   {:22} {value:>10}   {range}\n", metric.id()));
        }
    }
    let custom = arm.metrics.iter().filter(|(key, _)| {
        !Metric::BUILT_IN.iter().any(|metric| metric.key() == **key) && **key != report.metric
    });
    let mut custom: Vec<_> = custom.collect();
    let more = custom.len().saturating_sub(CUSTOM_ALONE);
    custom.truncate(CUSTOM_ALONE);
    for (key, found) in custom {
        let [median, min, max] = [found.median, found.min, found.max].map(words::count);
        text.push_str(&format!("   {key:22} {median:>10}   {min} … {max}\n"));
    }
    if more > 0 {
        text.push_str(&format!("   and {more} more, which --json shows\n"));
    }
}

fn verdict(report: &Report, comparison: &ComparisonReport, text: &mut String) {
    let decision = &comparison.decision;
    let style = match decision.word {
        Word::Faster => GOOD,
        Word::Slower | Word::Invalid => BAD,
        Word::Equivalent => BOLD,
        Word::Inconclusive => WARN,
    };
    let (arm, against) = (letter(comparison.arm), letter(comparison.against));
    let said = match (decision.word, comparison.stopped_because) {
        (_, StoppedBecause::IdenticalPrograms) => {
            format!("{arm} is the same program as {against}, byte for byte: nothing to compare")
        }
        (Word::Equivalent, _) => format!(
            "{arm} is within ±{} of {against}: {}",
            words::percent(report.min_effect.unwrap_or(0.0)),
            comparison.words(&report.primary)
        ),
        _ => format!("{arm} against {against}: {}", comparison.words(&report.primary)),
    };
    text.push_str(&format!("{}  {said}\n", paint(style, comparison.verdict)));
    if comparison.stopped_because == StoppedBecause::IdenticalPrograms {
        return;
    }
    text.push_str(&format!("   {}\n", evidence(comparison)));
    let settled = matches!(decision.word, Word::Faster | Word::Slower | Word::Equivalent);
    let seen = match (comparison.mde, comparison.pairs_still_needed) {
        (Some(mde), more) => {
            let more = more.map_or(String::new(), |more| format!("; about {more} more pairs may settle it"));
            format!("effects from {} on could be seen in 4 of 5 such trials{more}; ", words::percent(mde))
        }
        (None, Some(more)) => format!("too few pairs to see anything; about {more} more may settle it; "),
        (None, None) if settled || comparison.stopped_because == StoppedBecause::CarryOver => String::new(),
        (None, None) => "too few pairs to see anything; ".to_owned(),
    };
    text.push_str(&format!("   {seen}stopped: {}\n", why(comparison.stopped_because)));
    let built_in = BESIDE.iter().filter_map(|metric| comparison.others.get(&*metric.key()));
    let custom = comparison.others.values().filter(|other| other.metric.is_custom()).take(CUSTOM_BESIDE);
    let beside: Vec<String> = built_in
        .chain(custom)
        .map(|other| format!("{} {}", other.metric.id(), change(other.effect)))
        .collect();
    if !beside.is_empty() {
        text.push_str(&format!("   also: {}\n", beside.join(", ")));
    }
    if decision.word == Word::Faster && !comparison.win {
        text.push_str(&format!("   {}\n", paint(BAD, "no win: not every guard has held")));
    }
    for guard in &comparison.guards {
        let word = match guard.word {
            GuardWord::Held => paint(GOOD, "held"),
            GuardWord::Violated => paint(BAD, "violated"),
            GuardWord::Open => paint(WARN, "open"),
        };
        text.push_str(&format!(
            "   guard {word}: {} {}, may be {} worse\n",
            guard.metric,
            change(guard.effect),
            words::percent(guard.worse_max)
        ));
    }
}

fn evidence(comparison: &ComparisonReport) -> String {
    let decision = &comparison.decision;
    let by = match decision.decided_by {
        Part::Sign => "signs",
        Part::Size => "sizes",
        Part::Both => "signs and sizes",
    };
    format!(
        "evidence {} : 1 by {by} ({} : 1 needed), {} confidence",
        rounded(comparison.evidence),
        rounded(comparison.evidence_needed),
        words::percent(comparison.confidence)
    )
}

/// Two lines: `calibrated 3 h ago (noise: present, at most 60 pairs of 5.01 ms):`, then
/// `0 of 100 (0.0–3.6 %) verdicts wrong, +10 % found in 98 of 100`.
fn cited(calibration: &Calibration) -> String {
    let found: Vec<String> = calibration
        .rates
        .iter()
        .map(|rate| match rate.effect {
            0.0 => format!("{} verdicts wrong", share(rate.wrong, rate, rate.wrong_interval)),
            effect => format!("+{} found in {} of {}", words::percent(effect), rate.right, rate.sessions),
        })
        .collect();
    let age = words::span(jiff::Timestamp::now().as_millisecond() - calibration.created_at);
    format!(
        "calibrated {age} ago (noise: {}, at most {} pairs of {}):\n   {}\n",
        calibration.noise.word(),
        calibration.pairs_max,
        words::seconds(calibration.run_s),
        found.join(", ")
    )
}

/// Three digits, or a power of ten.
fn rounded(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{value:.0e}"),
        value if value >= 10.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

/// `+12 %`, `−45 %`.
fn change(effect: f64) -> String {
    let sign = if effect < 0.0 { "−" } else { "+" };
    format!("{sign}{}", words::percent(effect.abs()))
}

fn why(stopped: StoppedBecause) -> &'static str {
    match stopped {
        StoppedBecause::Evidence => "the evidence is enough",
        StoppedBecause::Futility => "no further pair within the limit could have settled it",
        StoppedBecause::Pairs => "the limit of runs (--max-runs)",
        StoppedBecause::Budget => "the time budget (--budget)",
        StoppedBecause::BadData => "a value was not a positive number",
        StoppedBecause::CarryOver => "runs depend on what ran before them: see the warning",
        StoppedBecause::IdenticalPrograms => "nothing to compare",
        StoppedBecause::Interrupted => "interrupted",
    }
}

fn shortened(name: &str, columns: usize) -> String {
    if name.chars().count() <= columns {
        return name.to_owned();
    }
    let kept: String = name.chars().take(columns - 1).collect();
    format!("{kept}…")
}
