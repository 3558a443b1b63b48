//! What watching costs: the target, and the watcher.
//!
//! Targets do a fixed amount of work: one thread that computes; 200 threads of which 199 wait; 200 threads that each
//! compute a little at a time; and the first two in Python. They are watched from when they are ready to when they are
//! done: by nobody (twice, which shows how far from 1 a ratio is by chance), by perfup's sources, and, where they are
//! installed, by `perf record` and by py-spy, with and without stopping the target.
//!
//! A round has every watcher once, in random order; a ratio is that of its target's time to that of nobody's. Printed is
//! the estimate of `perfup::stats` with its 95 % interval; the watcher's own CPU time as per cent of one CPU while the
//! target works; and how long it takes to end. Last: what `speedup-analysis` adds to the time of a program.
//!
//! `cargo bench --bench watching [-- ROUNDS [PATTERN]]`
#![expect(unsafe_code, reason = "asks the kernel for its own CPU time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::disallowed_methods, reason = "starts the targets and the rivals itself")]

mod targets;
mod watchers;

use std::env;
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::Instant;

use perfup::stats::decision::{Noise, Question};
use perfup::stats::effect::{Estimate, estimate};
use perfup::stats::rng::Rng;
use perfup::stats::summary::median;
use targets::{TARGETS, Target};
use watchers::{Cost, Watcher, watchers};

const PERFUP: &str = env!("CARGO_BIN_EXE_perfup");
const ANALYSIS: &str = env!("CARGO_BIN_EXE_speedup-analysis");

const ROUNDS: usize = 15;

/// The work of a target is sized to this.
const WORK_S: f64 = 1.0;

/// For 95 % intervals.
const ALPHA: f64 = 0.05;

/// What an analysis is added to.
const PROGRAM_S: f64 = 3.0;
const ANALYSES: usize = 3;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    if targets::was_watched() {
        return Ok(());
    }
    // cargo adds `--bench` of its own.
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let rounds = words.first().map_or(Ok(ROUNDS), |word| word.parse())?;
    let pattern = words.get(1).map_or("", String::as_str);
    let watchers = watchers()?;
    println!(
        "{:<28}{:<28}{:>26}{:>14}{:>9}",
        "target", "watched by", "slow-down [95 %]", "own CPU %", "end ms"
    );
    for target in TARGETS.iter().filter(|target| target.name.contains(pattern)) {
        compare(target, &watchers, rounds)?;
    }
    println!("\nwhat an analysis adds to a program of {PROGRAM_S} s, seconds, median of {ANALYSES}");
    let units = workload_units()?.to_string();
    added("sleeps", &["/bin/sleep", &PROGRAM_S.to_string()])?;
    added("computes", &[PERFUP, "__workload", &units])
}

/// Every watcher on one target.
fn compare(target: &Target, watchers: &[Watcher], rounds: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let watchers: Vec<&Watcher> =
        watchers.iter().filter(|watcher| target.is_python() || !watcher.is_for_python).collect();
    let units = target.units_for(WORK_S)?;
    let mut rng = Rng::new(1);
    let mut log_ratios: Vec<Vec<f64>> = vec![Vec::new(); watchers.len()];
    let mut costs: Vec<Vec<(Cost, f64)>> = vec![Vec::new(); watchers.len()];
    for _ in 0..rounds {
        let mut seconds = vec![0.0; watchers.len()];
        for index in order(watchers.len(), &mut rng) {
            let mut running = target.start(units)?;
            let watching = watchers[index].start(running.pid(), folder.path())?;
            seconds[index] = running.work()?;
            costs[index].push((watching.end()?, seconds[index]));
        }
        for (ratios, time) in log_ratios.iter_mut().zip(&seconds) {
            ratios.push((time / seconds[0]).ln());
        }
    }
    for ((watcher, ratios), costs) in watchers.iter().zip(&log_ratios).zip(&costs) {
        let own: Vec<f64> = costs.iter().map(|(cost, seconds)| 100.0 * cost.cpu_s / seconds).collect();
        let end: Vec<f64> = costs.iter().map(|(cost, _)| cost.stop_s * 1e3).collect();
        let of = |values: &[f64]| median(values).unwrap_or(f64::NAN);
        println!(
            "{:<28}{:<28}{:>26}{:>14.2}{:>9.1}",
            target.name,
            watcher.name,
            factor(ratios),
            of(&own),
            of(&end)
        );
    }
    Ok(())
}

fn factor(log_ratios: &[f64]) -> String {
    let Estimate { ratio, low, high, .. } =
        estimate(log_ratios, ALPHA, Question::Different, Noise::Learned).unwrap_or_else(Estimate::unknown);
    format!("{ratio:.3} [{low:.3}, {high:.3}]")
}

/// A random order of `0..count` (Fisher and Yates).
fn order(count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, (rng.uniform() * (last + 1) as f64) as usize);
    }
    order
}

/// Units of the bundled workload that take about as long as the program is to take.
fn workload_units() -> Outcome<u64> {
    let few = 20_000;
    let seconds = elapsed_s(Command::new(PERFUP).args(["__workload", &few.to_string()]))?;
    Ok((few as f64 * PROGRAM_S / seconds) as u64)
}

/// What an analysis takes beyond the program itself, the two in turns.
fn added(name: &str, words: &[&str]) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let analyse = |words: &[&str]| {
        let mut command = Command::new(ANALYSIS);
        command.arg("--json").arg("--").args(words).current_dir(folder.path());
        elapsed_s(command.env("HOME", folder.path()).env("XDG_CACHE_HOME", folder.path().join("cache")))
    };
    // The first one learns what the machine can do, once for all.
    let first = analyse(&["true"])?;
    let mut beyond = Vec::new();
    for _ in 0..ANALYSES {
        let alone = elapsed_s(Command::new(words[0]).args(&words[1..]))?;
        beyond.push(analyse(words)? - alone);
    }
    let beyond = median(&beyond).unwrap_or(f64::NAN);
    println!("{name:<12}{beyond:>8.2}   (the first analysis on a machine, of `true`: {first:.2} s in all)");
    Ok(())
}

fn elapsed_s(command: &mut Command) -> Outcome<f64> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let elapsed = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{command:?} failed").into());
    }
    Ok(elapsed)
}
