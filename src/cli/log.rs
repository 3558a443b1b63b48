//! `perfup log list` and `perfup log show`: what was tried, and what came of it.

use std::fmt::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::terminal::{BOLD, Terminal, paint};
use super::{Global, setup};
use crate::experiment::{Events, Layout, Phase};
use crate::report;
use crate::report::table::{Align, table};
use crate::report::words;
use crate::worklog::{Attempt, AttemptId, AttemptVerdict, PairRow, StateRow, Worklog};
use crate::workspace::Repository;

/// Look at the worklog: every attempt, win or dead end
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// List attempts, oldest first
    #[command(
        after_help = "Examples:\n  perfup log list --verdict keep\n  perfup log list --json | jq '.items[].key'"
    )]
    List {
        /// Only this session
        #[arg(long)]
        session: Option<String>,
        /// Only keep, revert or pending
        #[arg(long, value_parser = ["keep", "revert", "partial", "pending"])]
        verdict: Option<String>,
    },
    /// Show one attempt with its evidence
    #[command(after_help = "Example:\n  perfup log show 7")]
    Show {
        /// The number in the first column of `perfup log list`
        id: i64,
    },
}

pub(super) fn log(args: &LogArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let setup = setup::setup(global, Events::default())?;
    let repository = Repository::open(&setup.folder)?;
    let path = Layout::new(repository.root(), &setup.cache).worklog();
    let worklog = Worklog::open_existing(&path)?;
    match &args.command {
        LogCommand::List { session, verdict } => {
            let attempts = match &worklog {
                Some(worklog) => listed(worklog, session.as_deref(), verdict.as_deref())?,
                None => Vec::new(),
            };
            list(&attempts, global, terminal)
        }
        LogCommand::Show { id } => match worklog {
            Some(worklog) => show(&worklog, AttemptId(*id), global, terminal),
            None => Err(missing(*id)),
        },
    }
}

fn missing(id: i64) -> Failure {
    Failure::usage(format!("there is no attempt {id}"), "`perfup log list` lists them")
}

fn listed(worklog: &Worklog, session: Option<&str>, verdict: Option<&str>) -> Result<Vec<Attempt>, Failure> {
    let id = match session {
        None => None,
        Some(name) => Some(
            worklog
                .session_by_name(name)?
                .ok_or_else(|| {
                    Failure::usage(format!("there is no session {name}"), "`perfup status` lists them")
                })?
                .id,
        ),
    };
    let mut attempts = worklog.attempts(id)?;
    attempts.retain(|attempt| verdict.is_none_or(|verdict| attempt.verdict.word() == verdict));
    Ok(attempts)
}

fn list(attempts: &[Attempt], global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    if global.json {
        terminal.result(&format!("{}\n", report::json("log", &attempts)?));
        return Ok(ExitCode::SUCCESS);
    }
    if attempts.is_empty() {
        terminal.result("no attempt yet\n");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = attempts
        .iter()
        .map(|attempt| {
            let result = match attempt.verdict {
                AttemptVerdict::Keep => {
                    attempt.delta_pct.map_or(String::new(), |delta| format!("{delta:+.1} %"))
                }
                _ => attempt.reason.clone().unwrap_or_default(),
            };
            vec![
                attempt.id.to_string(),
                attempt.verdict.word().to_owned(),
                result,
                attempt.level.clone(),
                attempt.change_line(),
            ]
        })
        .collect();
    let columns = [
        ("id", Align::Right),
        ("verdict", Align::Left),
        ("result", Align::Left),
        ("level", Align::Left),
        ("change", Align::Left),
    ];
    terminal.result(&table(&columns, &rows, terminal.width()));
    Ok(ExitCode::SUCCESS)
}

/// Everything about one attempt; the document of `--json`.
#[derive(serde::Serialize)]
struct Page {
    attempt: Attempt,
    states: Vec<StateRow>,
    screen: Vec<PairRow>,
    confirm: Vec<PairRow>,
}

fn show(worklog: &Worklog, id: AttemptId, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let attempt = worklog.attempt(id)?.ok_or_else(|| missing(id.0))?;
    let page = Page {
        states: worklog.attempt_states(id)?,
        screen: worklog.pairs(attempt.session, Some(id), Phase::Screen.id())?,
        confirm: worklog.pairs(attempt.session, Some(id), Phase::Confirm.id())?,
        attempt,
    };
    if global.json {
        terminal.result(&format!("{}\n", report::json("attempt", &page)?));
    } else {
        terminal.result(&text(&page));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(page: &Page) -> String {
    let attempt = &page.attempt;
    let mut text = format!("{}\n", paint(BOLD, format!("Attempt {}: {}", attempt.id, attempt.change_line())));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<12} {value}");
        }
    };
    let or_nothing = |value: &Option<String>| value.clone().unwrap_or_default();
    line("Hypothesis", attempt.hypothesis.split_once(": ").map_or("", |(_, why)| why));
    line("Change", &or_nothing(&attempt.change_description));
    line("Verdict", attempt.verdict.word());
    line("Explanation", &or_nothing(&attempt.explanation));
    if let (Some(before), Some(after), Some(delta)) =
        (attempt.baseline_metric, attempt.result_metric, attempt.delta_pct)
    {
        let change = format!("{} → {} ({delta:+.1} %)", words::seconds(before), words::seconds(after));
        line("Result", &change);
    }
    if let (Some(e), Some(threshold)) = (attempt.e_value_ln, attempt.threshold_ln) {
        let evidence =
            format!("e-value {:.3e}, needed {:.3e} (level {:.5})", e.exp(), threshold.exp(), attempt.alpha);
        line("Evidence", &evidence);
    }
    let kept = |pairs: &[PairRow]| pairs.iter().filter(|pair| !pair.redone).count();
    let redone = page.screen.iter().chain(&page.confirm).filter(|pair| pair.redone).count();
    let disturbed =
        if redone > 0 { format!("; {redone} more were disturbed and run again") } else { String::new() };
    line(
        "Pairs",
        &format!("{} screening, {} confirming{disturbed}", kept(&page.screen), kept(&page.confirm)),
    );
    line("Level", &format!("{}, recipe {}", attempt.level, attempt.recipe));
    line("Commit", &or_nothing(&attempt.commit_id));
    line("Branch", &or_nothing(&attempt.branch));
    let states: Vec<&str> = page.states.iter().map(|state| state.state.as_str()).collect();
    line("States", &states.join(" → "));
    text
}
