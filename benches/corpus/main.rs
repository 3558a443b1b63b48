//! Is the named bottleneck the right one? The programs of `tests/corpus`, each analysed by `speedup-analysis` as a user
//! would start it, against the label that an expert gave it.
//!
//! ```text
//! cargo bench --bench corpus -- [--loaded] [--only PATTERN]… [--rerun RUNS [NAME…]] [--analysis PATH]
//! ```
//!
//! `--loaded` lets twice as many busy loops as there are CPUs compete. `--only` takes programs whose name, label or trait
//! contains the pattern. `--rerun` asks about five programs (or those that are named) again and again. `--analysis` is
//! another binary than the one that was just built.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::disallowed_methods, reason = "starts perfup itself and the compilers")]

mod catalogue;
mod tally;
mod workshop;

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use catalogue::{Outcome, Program, programs};
use tally::{Mark, Tally};
use workshop::{Answer, Workshop};

const ANALYSIS: &str = env!("CARGO_BIN_EXE_speedup-analysis");

/// Of five classes and four languages.
const RERUN: [&str; 5] =
    ["c-sieve", "python-two-threads", "perl-ask-server", "rust-sync-each", "shell-count-true"];

/// Shares that a row shows.
const SHARES_SHOWN: usize = 3;

struct Options {
    is_loaded: bool,
    only: Vec<String>,
    reruns: Option<u32>,
    names: Vec<String>,
    analysis: PathBuf,
}

fn main() -> Outcome<()> {
    let options = options()?;
    let programs = programs()?;
    let workshop = Workshop::new(&options.analysis)?;
    let _load = options.is_loaded.then(Load::start);
    let cores = thread::available_parallelism()?;
    println!(
        "{}, {cores} CPUs, {}\n",
        options.analysis.display(),
        if options.is_loaded { "loaded with busy loops" } else { "as the machine is" }
    );
    match options.reruns {
        Some(runs) => rerun(&options, &programs, &workshop, runs),
        None => confusion(&options, &programs, &workshop),
    }
}

fn options() -> Outcome<Options> {
    let mut options = Options {
        is_loaded: false,
        only: Vec::new(),
        reruns: None,
        names: Vec::new(),
        analysis: PathBuf::from(ANALYSIS),
    };
    // cargo adds `--bench` of its own.
    let mut words = env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--loaded" => options.is_loaded = true,
            "--only" => options.only.push(value()?),
            "--rerun" => options.reruns = Some(value()?.parse()?),
            "--analysis" => options.analysis = PathBuf::from(value()?),
            _ if options.reruns.is_some() && !word.starts_with('-') => options.names.push(word),
            _ => return Err(format!("{word} is no option of this benchmark").into()),
        }
    }
    Ok(options)
}

/// Every program once.
fn confusion(options: &Options, programs: &[Program], workshop: &Workshop) -> Outcome<()> {
    let mut tally = Tally::default();
    println!(
        "{:<32}{:<30}{:<30}{:>5}{:>7}{:>8}  {:<13}shares",
        "program", "label", "verdict", "sure", "s", "others", "mark"
    );
    for program in programs.iter().filter(|program| is_wanted(program, &options.only)) {
        if let Some(need) = program.lacks() {
            println!("{:<32}skipped: {need} is not installed", program.name);
            continue;
        }
        match workshop.prepare(program).and_then(|ready| workshop.analyse(&ready)) {
            Ok(answer) => {
                let mark = Mark::of(program, &answer);
                tally.count(program, &answer, mark);
                println!("{}", row(program, &answer, mark));
                if mark != Mark::Right {
                    println!("{:<32}{}", "", program.why);
                }
            }
            Err(error) => {
                tally.count_failure();
                println!("{:<32}no answer: {error}", program.name);
            }
        }
    }
    println!("\n{}\n{}", tally.matrix(), tally.summary());
    Ok(())
}

fn is_wanted(program: &Program, patterns: &[String]) -> bool {
    let has = |pattern: &String| {
        program.name.contains(pattern) || program.label.id() == pattern || program.has_trait(pattern)
    };
    patterns.is_empty() || patterns.iter().any(has)
}

fn row(program: &Program, answer: &Answer, mark: Mark) -> String {
    let shares = answer.shares.iter().take(SHARES_SHOWN);
    let shares: Vec<String> =
        shares.map(|(class, share)| format!("{} {:.0} %", class.id(), share * 100.0)).collect();
    format!(
        "{:<32}{:<30}{:<30}{:>5.2}{:>7.1}{:>8.2}  {:<13}{}",
        program.name,
        program.label.id(),
        verdict(answer),
        answer.confidence,
        answer.seconds,
        answer.others,
        mark.word(),
        shares.join(", ")
    )
}

/// The class, and in brackets what it would be without the load.
fn verdict(answer: &Answer) -> String {
    let class = answer.class.id();
    answer.apart_from_load.map_or_else(|| class.to_owned(), |apart| format!("{class} ({})", apart.id()))
}

/// A few programs again and again.
fn rerun(options: &Options, programs: &[Program], workshop: &Workshop, runs: u32) -> Outcome<()> {
    let names: Vec<&str> = if options.names.is_empty() {
        RERUN.to_vec()
    } else {
        options.names.iter().map(String::as_str).collect()
    };
    for name in names {
        let program = programs.iter().find(|program| program.name == name);
        let program = program.ok_or_else(|| format!("there is no program {name}"))?;
        if let Some(need) = program.lacks() {
            println!("{name:<32}skipped: {need} is not installed");
            continue;
        }
        let ready = workshop.prepare(program)?;
        let mut classes: BTreeMap<String, u32> = BTreeMap::new();
        let mut confidence_min = f64::INFINITY;
        for _ in 0..runs {
            let answer = workshop.analyse(&ready)?;
            *classes.entry(verdict(&answer)).or_default() += 1;
            confidence_min = confidence_min.min(answer.confidence);
        }
        let same = classes.values().max().copied().unwrap_or(0);
        let counts: Vec<String> = classes.iter().map(|(class, count)| format!("{class} {count}")).collect();
        println!(
            "{name:<32}same class in {same} of {runs}, sure at least {confidence_min:.2}: {}",
            counts.join(", ")
        );
    }
    Ok(())
}

/// Busy loops, twice as many as CPUs, that end with this value.
struct Load {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let count = 2 * thread::available_parallelism().map_or(1, usize::from);
        let spin = |_| {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..count).map(spin).collect();
        Self { is_over, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A loop cannot fail.
            let _ = thread.join();
        }
    }
}
