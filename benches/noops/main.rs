//! Does the loop keep what does nothing? Twenty candidates without effect through a whole `perfup run`, and through
//! loops that decide as its rivals do.
//!
//! The project is a Python program with one loop that takes all its time, and twenty functions that each search for a
//! pattern once. A built-in recipe offers to compile each pattern ahead: twenty real edits, real commits, the same output,
//! and nothing gained or lost that could be measured. Every keep is a false one.
//!
//! The rivals are asked about blocks of runs of that program, one block for what there is and one for each candidate:
//!
//! - "median is lower": keep when the candidate's median is below the lowest one kept so far, as plain keep-or-discard
//!   loops do;
//! - hyperfine with Welch's t-test, benchstat, criterion: keep when their rule says faster, incumbent and candidate
//!   measured one after the other.
//!
//! ```text
//! cargo bench --bench noops -- [--sessions N] [--candidates N] [--noise cpu|memory|disk|mixed]
//! ```
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::disallowed_methods, reason = "starts perfup itself")]

#[path = "../verdicts/launcher.rs"]
mod launcher;
#[path = "../verdicts/recording.rs"]
#[expect(dead_code, reason = "nothing is recorded here")]
mod recording;
#[path = "../verdicts/rules.rs"]
#[expect(dead_code, reason = "perfup is asked as a whole")]
mod rules;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use perfup::stats::proportion;
use perfup::stats::summary::median;
use serde_json::Value;

use launcher::{Launcher, Noise, PERFUP};
use recording::Outcome;
use rules::{Judged, Verdict, benchstat, criterion, welch};

/// Sessions of perfup, and of each rival.
const SESSIONS: u64 = 5;
const CANDIDATES: usize = 20;

/// Beside the interpreter's own folder.
const SEARCH_PATH: &str = "/usr/bin";

/// Runs of a block.
const BLOCK: usize = 10;

struct Options {
    sessions: u64,
    candidates: usize,
    noise: Option<String>,
}

/// How a session ended.
struct Session {
    keeps: usize,
    /// How much faster it says the program has become.
    claimed: f64,
    seconds: f64,
}

fn main() -> Outcome<()> {
    let options = options()?;
    let _noise = options.noise.as_deref().map(Noise::start).transpose()?;
    let mut project = Project::new(options.candidates)?;
    println!(
        "{} candidates that change nothing; the program takes {:.1} ms; noise: {}\n",
        options.candidates,
        project.run_s * 1e3,
        options.noise.as_deref().unwrap_or("as the machine is")
    );
    println!(
        "{:<26}{:>9}{:>13}{:>22}{:>10}{:>9}",
        "loop", "sessions", "false keeps", "with any %", "claimed", "seconds"
    );
    let mut own = Vec::new();
    let mut rivals: Vec<Vec<Session>> = RIVALS.iter().map(|_| Vec::new()).collect();
    for number in 0..options.sessions {
        own.push(project.perfup(number)?);
        for (rival, session) in rivals.iter_mut().zip(project.rivals()?) {
            rival.push(session);
        }
    }
    row("perfup run", &own);
    for ((name, _), sessions) in RIVALS.iter().zip(&rivals) {
        row(name, sessions);
    }
    println!("\nfalse keeps: mean of a session; with any: sessions with at least one [95 % Clopper–Pearson]");
    println!(
        "claimed, seconds: medians of the sessions; perfup's seconds are of the whole run, a rival's of its runs"
    );
    Ok(())
}

fn options() -> Outcome<Options> {
    let mut options = Options { sessions: SESSIONS, candidates: CANDIDATES, noise: None };
    // cargo adds `--bench` of its own.
    let mut words = env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--sessions" => options.sessions = value.parse()?,
            "--candidates" => options.candidates = value.parse()?,
            "--noise" => options.noise = Some(value),
            _ => return Err(format!("{word} is no option of this benchmark").into()),
        }
    }
    Ok(options)
}

/// A repository with the program, and somebody who runs the program outside of perfup's loop.
struct Project {
    folder: tempfile::TempDir,
    launcher: Launcher,
    /// The interpreter itself: a version manager's shim would take more time than the program.
    python: PathBuf,
    program: String,
    run_s: f64,
    candidates: usize,
}

impl Project {
    fn new(candidates: usize) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let root = folder.path().join("project");
        fs::create_dir(&root)?;
        fs::create_dir(folder.path().join("home"))?;
        fs::write(root.join("program.py"), program(candidates))?;
        commit(&root)?;
        let program = root.join("program.py").display().to_string();
        let mut launcher = Launcher::new(20)?;
        let python = python()?;
        let run_s = launcher.median_s(&[&python.to_string_lossy(), &program])?;
        Ok(Self { folder, launcher, python, program, run_s, candidates })
    }

    /// A whole `perfup run`.
    fn perfup(&self, number: u64) -> Outcome<Session> {
        let start = Instant::now();
        let home = self.folder.path().join("home");
        let output = Command::new(PERFUP)
            .args(["run", "--json", "--no-tests", "--attempts", &self.candidates.to_string()])
            .args(["--", "python3", "program.py"])
            .current_dir(self.folder.path().join("project"))
            .env("PATH", env::join_paths(self.python.parent().into_iter().chain([Path::new(SEARCH_PATH)]))?)
            .env("HOME", &home)
            .env("XDG_CACHE_HOME", home.join(format!("cache-{number}")))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let seconds = start.elapsed().as_secs_f64();
        let run: Value = serde_json::from_slice(&output.stdout)?;
        let attempts = run["attempts"].as_array().ok_or("perfup reported no attempts")?;
        if attempts.len() != self.candidates {
            return Err(format!("perfup tried {} candidates ({})", attempts.len(), run["stopped"]).into());
        }
        Ok(Session {
            keeps: attempts.iter().filter(|attempt| attempt["status"] == "keep").count(),
            // A ratio is time after over time before.
            claimed: run["claim"]["decision"]["estimate"]["ratio"].as_f64().map_or(1.0, f64::recip),
            seconds,
        })
    }

    /// One session of each rival, all on the same runs.
    fn rivals(&mut self) -> Outcome<Vec<Session>> {
        let python = self.python.to_string_lossy().into_owned();
        let mut loops: Vec<Loop> = Vec::new();
        for candidate in 0..=2 * self.candidates {
            let block = (0..BLOCK).map(|_| Ok(self.launcher.run(&[&python, &self.program])?.wall_s));
            let block = block.collect::<Outcome<Vec<f64>>>()?;
            if candidate == 0 {
                loops = RIVALS.iter().map(|(_, rule)| Loop::new(*rule, &block)).collect();
            }
            for rival in &mut loops {
                // After the first, every odd block is of the incumbent and every even one of a candidate.
                match candidate {
                    0 => {}
                    odd if odd % 2 == 1 => rival.incumbent_again(&block),
                    _ => rival.candidate(&block),
                }
            }
        }
        Ok(loops.iter().map(Loop::end).collect())
    }
}

/// What a rival goes by.
#[derive(Clone, Copy)]
enum Rule {
    /// Against the lowest median so far.
    Median,
    /// Against a fresh block of the incumbent.
    Test(fn(&[f64], &[f64]) -> Judged),
}

const RIVALS: &[(&str, Rule)] = &[
    ("median of 10 is lower", Rule::Median),
    ("hyperfine 10 + Welch 0.05", Rule::Test(|a, b| welch(0.05, a, b))),
    ("benchstat 10", Rule::Test(benchstat)),
    ("criterion's rule, 10", Rule::Test(criterion)),
];

/// A rival's loop on its way.
struct Loop {
    rule: Rule,
    keeps: usize,
    /// Medians of the original and of what was kept last.
    first: f64,
    last: f64,
    incumbent: Vec<f64>,
    seconds: f64,
}

impl Loop {
    fn new(rule: Rule, original: &[f64]) -> Self {
        let first = middle(original);
        Self { rule, keeps: 0, first, last: first, incumbent: Vec::new(), seconds: original.iter().sum() }
    }

    fn incumbent_again(&mut self, block: &[f64]) {
        if let Rule::Test(_) = self.rule {
            self.incumbent = block.to_vec();
            self.seconds += block.iter().sum::<f64>();
        }
    }

    fn candidate(&mut self, block: &[f64]) {
        self.seconds += block.iter().sum::<f64>();
        let is_faster = match self.rule {
            Rule::Median => middle(block) < self.last,
            Rule::Test(judge) => judge(&self.incumbent, block).0 == Verdict::Faster,
        };
        if is_faster {
            self.keeps += 1;
            self.last = middle(block);
        }
    }

    fn end(&self) -> Session {
        Session { keeps: self.keeps, claimed: self.first / self.last, seconds: self.seconds }
    }
}

fn row(name: &str, sessions: &[Session]) {
    let of = |value: fn(&Session) -> f64| sessions.iter().map(value).collect::<Vec<f64>>();
    let keeps = of(|session| session.keeps as f64);
    let mean = keeps.iter().sum::<f64>() / keeps.len() as f64;
    let any = sessions.iter().filter(|session| session.keeps > 0).count() as u64;
    let count = sessions.len() as u64;
    let (low, high) = proportion::interval(any, count, 0.95);
    let share = format!("{:.0} [{:.0}, {:.0}]", 100.0 * any as f64 / count as f64, 100.0 * low, 100.0 * high);
    let claimed = format!("{:.3}x", middle(&of(|session| session.claimed)));
    println!(
        "{name:<26}{count:>9}{mean:>13.1}{share:>22}{claimed:>10}{:>9.1}",
        middle(&of(|session| session.seconds))
    );
}

fn middle(values: &[f64]) -> f64 {
    median(values).unwrap_or(f64::NAN)
}

fn python() -> Outcome<PathBuf> {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let output = output.map_err(|error| format!("this benchmark needs python3: {error}"))?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// A program whose time lies in one loop, with so many places that a recipe likes.
fn program(places: usize) -> String {
    let functions = (0..places).map(|place| {
        format!(
            "def search_{place}(words):\n    found = 0\n    for word in words:\n        \
             if re.search(\"^t{place}\", word):\n            found += 1\n    return found\n\n\n"
        )
    });
    let calls = (0..places).map(|place| format!("print(search_{place}([\"t{place}\"]))\n"));
    format!(
        "import re\n\n\n{}state = 12345\nfor _ in range(100000):\n    \
         state = (state * 1103515245 + 12345) % 2147483648\nprint(state)\n{}",
        functions.collect::<String>(),
        calls.collect::<String>()
    )
}

/// Makes the folder a repository with all its files as the only commit.
fn commit(root: &Path) -> Outcome<()> {
    let repository = git2::Repository::init(root)?;
    let mut index = repository.index()?;
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let author = git2::Signature::now("Ann", "ann@example.org")?;
    repository.commit(Some("HEAD"), &author, &author, "start", &tree, &[])?;
    Ok(())
}
