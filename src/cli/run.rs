//! `perfup run` and `perfup resume`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::arguments::BenchmarkArgs;
use super::failure::{Failure, REGRESSION};
use super::terminal::{BOLD, GOOD, Terminal, paint};
use super::{Global, setup, story};
use crate::config::{Config, parse_duration};
use crate::experiment::{self, Claim, Guesses, Setup, Summary};
use crate::report::{self, words};
use crate::stats::decision::Word;
use crate::stats::guard::GuardWord;
use crate::sys::signals;

/// Run the whole loop: measure, diagnose, try, verify, keep what is proven
///
/// Works on HEAD of the repository around the current folder, in worktrees of its own. What is kept ends up on the
/// branch perfup/<session>/tip; your checkout, index and branches stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  perfup run                              the only benchmark of perfup.toml
  perfup run -- python3 slow.py data.csv  any command; Python, shell, anything
  perfup run --build make -- ./slow       build each candidate first
  perfup run --allow parallel --time 5m -- ./report.sh")]
pub(super) struct RunArgs {
    #[command(flatten)]
    benchmark: BenchmarkArgs,

    /// Stop after this time [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Goal")]
    time: Option<Duration>,

    /// Stop after this many attempts [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Goal")]
    attempts: Option<u32>,

    /// Stop once it is this many times faster, for example 2.5
    #[arg(long, value_name = "FACTOR", value_parser = factor, help_heading = "Goal")]
    target: Option<f64>,

    /// Probability of any false keep in the whole session [default: 0.05]
    #[arg(long, value_name = "P", value_parser = fraction, help_heading = "Goal")]
    alpha: Option<f64>,

    /// Smallest saving worth keeping, as a fraction [default: 0.01]
    #[arg(long, value_name = "FRACTION", value_parser = fraction, help_heading = "Goal")]
    min_effect: Option<f64>,

    /// Exit with 1 when nothing was kept
    #[arg(long, help_heading = "Goal")]
    pub(super) fail_if_nothing_kept: bool,
}

/// Go on with a session that was interrupted or killed
///
/// Nothing that was measured is measured again, and budgets go on counting.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  perfup resume                       the newest unfinished session
  perfup resume 20261120-223105-3fa9  this one")]
pub(super) struct ResumeArgs {
    /// The session [default: the newest unfinished one]
    session: Option<String>,

    /// Exit with 1 when nothing was kept
    #[arg(long)]
    fail_if_nothing_kept: bool,
}

pub(super) fn run(args: &RunArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    told(global, terminal, args.fail_if_nothing_kept, |setup| {
        let file = setup::config_file(setup)?;
        let mut config = args.benchmark.config(file.as_ref(), &setup::root(setup))?;
        args.apply(&mut config);
        setup::settle_paths(&mut config, setup, !args.benchmark.command.is_empty())?;
        let guesses = Guesses { tests: false, no_tests: args.benchmark.options.no_tests };
        Ok(experiment::run(setup, config, guesses)?)
    })
}

pub(super) fn resume(args: &ResumeArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    told(global, terminal, args.fail_if_nothing_kept, |setup| {
        Ok(experiment::resume(setup, args.session.as_deref())?)
    })
}

/// Runs a session while its story is told, then prints what it came to.
pub(super) fn told(
    global: &Global,
    terminal: &Terminal,
    fail_if_nothing_kept: bool,
    session: impl FnOnce(&Setup) -> Result<Summary, Failure>,
) -> Result<ExitCode, Failure> {
    signals::install().map_err(|error| Failure::io("catch signals", error))?;
    let (events, story) = story::start(terminal);
    let setup = setup::setup(global, events)?;
    let summary = session(&setup);
    drop(setup);
    story.end();
    let summary = summary?;
    if global.json {
        terminal.result(&format!("{}\n", report::json("run", &summary)?));
    } else {
        terminal.result(&text(&summary));
    }
    Ok(code(&summary, fail_if_nothing_kept))
}

impl RunArgs {
    fn apply(&self, config: &mut Config) {
        let goal = &mut config.goal;
        goal.time_max = self.time.unwrap_or(goal.time_max);
        goal.attempts_max = self.attempts.unwrap_or(goal.attempts_max);
        goal.target_speedup = self.target.or(goal.target_speedup);
        goal.alpha = self.alpha.unwrap_or(goal.alpha);
        goal.min_effect = self.min_effect.unwrap_or(goal.min_effect);
    }
}

fn code(summary: &Summary, fail_if_nothing_kept: bool) -> ExitCode {
    match &summary.claim {
        None if fail_if_nothing_kept => ExitCode::from(1),
        Some(claim) if claim.guards.iter().any(|guarded| guarded.word == GuardWord::Violated) => {
            ExitCode::from(REGRESSION)
        }
        Some(claim) if claim.decision.word != Word::Faster => ExitCode::from(3),
        _ => ExitCode::SUCCESS,
    }
}

fn text(summary: &Summary) -> String {
    let kept = summary.attempts.iter().filter(|attempt| attempt.status.as_deref() == Some("keep")).count();
    let mut text = String::from("\n");
    match &summary.claim {
        None => text.push_str(&format!(
            "{}: nothing kept of {} attempts; {} stays at {}\n",
            summary.benchmark,
            summary.attempts.len(),
            summary.command,
            words::value(&summary.baseline.metric, summary.baseline.median)
        )),
        Some(claim) => text.push_str(&claimed(summary, claim, kept)),
    }
    for title in &summary.withheld {
        text.push_str(&format!("  not tried without your consent: {title}\n"));
    }
    for note in &summary.notes {
        text.push_str(&format!("  note     {note}\n"));
    }
    let artefacts = &summary.artefacts;
    for (what, path) in
        [("report", &artefacts.report), ("spec", &artefacts.spec), ("results", &artefacts.results)]
    {
        text.push_str(&format!("  {what:<8} {}\n", path.display()));
    }
    if let Some(branch) = &summary.branch {
        text.push_str(&format!("  take it  git merge {branch}\n"));
    }
    text
}

fn claimed(summary: &Summary, claim: &Claim, kept: usize) -> String {
    let value = |value| words::value(&claim.metric, value);
    let estimate = words::comparison(&claim.decision.estimate, &claim.metric);
    let proven = claim.decision.word == Word::Faster;
    let estimate =
        if proven { paint(GOOD, estimate) } else { format!("{estimate}, not confirmed by fresh pairs") };
    let mut text = format!(
        "{}: {} → {}: {estimate}\n  {kept} of {} attempts kept; the claim is from fresh pairs, tip against origin\n",
        paint(BOLD, &summary.benchmark),
        value(claim.before),
        value(claim.after),
        summary.attempts.len(),
    );
    let parts = [("CPU time", &claim.cpu), ("peak memory", &claim.memory)];
    let others: Vec<String> = parts
        .into_iter()
        .filter_map(|(what, estimate)| Some(format!("{what} {:.2}x", estimate.as_ref()?.ratio)))
        .collect();
    text.push_str(&format!("  {} of before\n", others.join(", ")));
    for guarded in &claim.guards {
        text.push_str(&format!("  {guarded}\n"));
    }
    text
}

fn factor(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|factor| *factor > 1.0 && f64::is_finite(*factor))
        .ok_or("a number above 1".to_owned())
}

fn fraction(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|part| *part > 0.0 && *part < 1.0).ok_or("a number between 0 and 1".to_owned())
}
