//! How soon, and how often, is the verdict right? perfup's rule and its rivals' on the same recorded runs.
//!
//! A program of known size runs against itself (0 %) and against itself made slower by a known amount. Each session
//! records pairs in random order, then a block of A followed by a block of B: the order in which hyperfine, benchstat and
//! criterion's baselines see their runs. Under drift that order is itself a difference between the arms, which no
//! test on the two blocks can tell from a change; so rivals get the runs next to the border between the blocks,
//! where the drift is smallest (in practice a build lies between them). Rivals are also given the paired order, and used
//! as people use them: looked at again and again until there is something to tell.
//!
//! ```text
//! cargo bench --bench verdicts -- [--sessions N] [--run-ms MS] [--noise cpu|memory|disk|mixed]
//!                                 [--save FOLDER] [--replay FOLDER]
//! ```
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod launcher;
mod record;
mod recording;
mod rules;

use std::path::PathBuf;

use perfup::stats::proportion;
use perfup::stats::summary::median;

use launcher::Noise;
use record::Recorder;
use recording::{Arms, Outcome, Recording, Run, load, save};
use rules::{Judged, Verdict, benchstat, criterion, peeking, perfup, welch, wilcoxon};

/// Pairs of a session: what `perfup measure` spends at most by default.
const PAIRS: usize = 60;

/// Runs of a block: criterion's default sample size.
const BLOCK: usize = 100;

/// Slow-downs injected, in per cent. Without one everything that is found is false, so that is recorded twice as often.
const PERCENTS: [u32; 5] = [0, 2, 5, 10, 20];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Pairs,
    Blocks,
}

struct Rule {
    name: &'static str,
    order: Order,
    /// Runs of each arm, at most.
    runs: usize,
    judge: fn(&[f64], &[f64]) -> Judged,
}

const fn rule(name: &'static str, order: Order, runs: usize, judge: fn(&[f64], &[f64]) -> Judged) -> Rule {
    Rule { name, order, runs, judge }
}

const RULES: &[Rule] = &[
    rule("perfup measure, α = 0.01", Order::Pairs, PAIRS, |a, b| perfup(0.01, a, b)),
    rule("perfup measure, α = 0.05", Order::Pairs, PAIRS, |a, b| perfup(0.05, a, b)),
    rule("hyperfine 10 + Welch 0.05", Order::Blocks, 10, |a, b| welch(0.05, a, b)),
    rule("hyperfine 30 + Welch 0.05", Order::Blocks, 30, |a, b| welch(0.05, a, b)),
    rule("hyperfine 30 + Welch 0.01", Order::Blocks, 30, |a, b| welch(0.01, a, b)),
    rule("benchstat 10", Order::Blocks, 10, benchstat),
    rule("criterion 100", Order::Blocks, BLOCK, criterion),
    // Runs added by tens until there is something to tell.
    rule("benchstat 10, 20 .. 100", Order::Blocks, BLOCK, |a, b| {
        peeking((10..=a.len()).step_by(10), |runs| benchstat(&a[a.len() - runs..], &b[..runs]))
    }),
    rule("Welch 0.05, pairs, 30", Order::Pairs, 30, |a, b| welch(0.05, a, b)),
    rule("Welch 0.05, pairs, 5 .. 60", Order::Pairs, PAIRS, |a, b| {
        peeking(5..=a.len(), |runs| welch(0.05, &a[..runs], &b[..runs]))
    }),
    rule("Wilcoxon 0.05, pairs, 30", Order::Pairs, 30, wilcoxon),
];

/// The value of a run, in seconds.
type Value = fn(&Run) -> f64;

/// Metrics that can decide.
const METRICS: [(&str, Value); 2] = [("wall", |run| run.wall_s), ("cpu", |run| run.cpu_s)];

struct Options {
    sessions: u32,
    run_s: f64,
    noise: Option<String>,
    save: Option<PathBuf>,
    replay: Option<PathBuf>,
}

fn main() -> Outcome<()> {
    let options = options()?;
    let recording = match &options.replay {
        Some(folder) => load(folder)?,
        None => record(&options)?,
    };
    if let Some(folder) = &options.save {
        save(&recording, folder)?;
    }
    for (metric, value) in METRICS {
        table(metric, value, &recording);
    }
    println!(
        "\nright at 0 %: no difference claimed; wrong: one claimed, or the wrong one. [95 % Clopper–Pearson]"
    );
    println!("runs, seconds: medians of what a verdict took, of both arms, seconds as measured in the runs");
    Ok(())
}

fn options() -> Outcome<Options> {
    let mut options = Options { sessions: 40, run_s: 0.005, noise: None, save: None, replay: None };
    // cargo adds `--bench` of its own.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--sessions" => options.sessions = value.parse()?,
            "--run-ms" => options.run_s = value.parse::<f64>()? / 1e3,
            "--noise" => options.noise = Some(value),
            "--save" => options.save = Some(value.into()),
            "--replay" => options.replay = Some(value.into()),
            _ => return Err(format!("{word} is no option of this benchmark").into()),
        }
    }
    Ok(options)
}

fn record(options: &Options) -> Outcome<Recording> {
    // Sized in quiet, so that the work is the same whatever the noise.
    let mut recorder = Recorder::new(options.run_s, 20)?;
    let noise = options.noise.as_deref();
    let _noise = noise.map(Noise::start).transpose()?;
    println!(
        "workload: {:.2} ms a run; noise: {}; {} sessions of each slow-down",
        recorder.run_s * 1e3,
        noise.unwrap_or("as the machine is"),
        options.sessions
    );
    let mut recording = Recording::new();
    for session in 0..options.sessions {
        // Each slow-down in turn, so that all see the same machine.
        for (percent, number) in
            PERCENTS.into_iter().map(|percent| (percent, session)).chain([(0, options.sessions + session)])
        {
            recording.insert((percent, number), recorder.session(percent, PAIRS, BLOCK, number)?);
        }
    }
    Ok(recording)
}

fn table(metric: &str, value: Value, recording: &Recording) {
    println!("\n{metric} time");
    let titles = ["+", "rule", "right %", "wrong %", "open %", "trials", "runs", "seconds"];
    let [slower, rule, right, wrong, open, trials, runs, seconds] = titles;
    println!("{slower:>5}  {rule:<27}{right:>8}{wrong:>22}{open:>8}{trials:>8}{runs:>7}{seconds:>9}");
    for percent in PERCENTS {
        for rule in RULES {
            let sessions =
                recording.iter().filter(|((own, _), _)| *own == percent).map(|(_, session)| session);
            let trials = sessions.flat_map(|session| match rule.order {
                Order::Pairs => segments(&session.pairs, rule.runs),
                Order::Blocks => border(&session.blocks, rule.runs),
            });
            row(percent, rule, value, trials);
        }
    }
}

/// Runs of A and of B that one trial may use.
type Trial<'a> = (&'a [Run], &'a [Run]);

/// As many trials of so many pairs as there is room for.
fn segments(pairs: &Arms, runs: usize) -> Vec<Trial<'_>> {
    pairs.a.chunks_exact(runs).zip(pairs.b.chunks_exact(runs)).collect()
}

/// The runs next to the border between the blocks.
fn border(blocks: &Arms, runs: usize) -> Vec<Trial<'_>> {
    let from = blocks.a.len().saturating_sub(runs);
    vec![(&blocks.a[from..], &blocks.b[..runs.min(blocks.b.len())])]
}

fn row<'a>(percent: u32, rule: &Rule, value: Value, trials: impl Iterator<Item = Trial<'a>>) {
    let (mut right, mut wrong, mut count) = (0, 0, 0);
    let (mut runs, mut seconds) = (Vec::new(), Vec::new());
    for (a, b) in trials {
        let of = |runs: &[Run]| runs.iter().map(value).collect::<Vec<f64>>();
        let (verdict, used) = (rule.judge)(&of(a), &of(b));
        count += 1;
        match (percent, verdict) {
            (0, Verdict::Same | Verdict::Open) | (1.., Verdict::Slower) => right += 1,
            (0, Verdict::Faster | Verdict::Slower) | (1.., Verdict::Faster | Verdict::Same) => wrong += 1,
            (1.., Verdict::Open) => {}
        }
        let walls = |runs: &[Run]| runs.iter().map(|run| run.wall_s).sum::<f64>();
        // Of a block of A, those runs were used that lie next to B's.
        let from = if rule.order == Order::Blocks { a.len() - used } else { 0 };
        let a = &a[from..];
        runs.push((2 * used) as f64);
        seconds.push(walls(&a[..used]) + walls(&b[..used]));
    }
    let share = |part: u64| 100.0 * part as f64 / count as f64;
    let (low, high) = proportion::interval(wrong, count, 0.95);
    let interval = format!("{:.1} [{:.1}, {:.1}]", share(wrong), 100.0 * low, 100.0 * high);
    let open = count - right - wrong;
    let middle = |values: &[f64]| median(values).unwrap_or(f64::NAN);
    println!(
        "{percent:>3} %  {:<27}{:>8.1}{interval:>22}{:>8.1}{count:>8}{:>7.0}{:>9.3}",
        rule.name,
        share(right),
        share(open),
        middle(&runs),
        middle(&seconds)
    );
}
