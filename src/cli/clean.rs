//! `perfup clean`: removes worktrees, branches and refs, after asking.

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::terminal::Terminal;
use super::{Global, setup};
use crate::experiment::{self, Events};
use crate::report;

/// Remove worktrees, perfup/ branches and refs; the worklog and the reports stay
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  perfup clean                              everything, after asking
  perfup clean --yes 20261120-223105-3fa9   one session, without asking")]
pub(super) struct CleanArgs {
    /// Only this session
    session: Option<String>,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn clean(args: &CleanArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let what =
        args.session.as_deref().map_or("all sessions".to_owned(), |session| format!("session {session}"));
    if !args.yes && !confirmed(&what, terminal)? {
        terminal.say("nothing removed");
        return Ok(ExitCode::SUCCESS);
    }
    let cleaned = experiment::clean(&setup::setup(global, Events::default())?, args.session.as_deref())?;
    if global.json {
        terminal.result(&format!("{}\n", report::json("clean", &cleaned)?));
        return Ok(ExitCode::SUCCESS);
    }
    terminal.result(&format!(
        "removed {} branches, {} refs and {} worktrees of {} sessions\n",
        cleaned.branches.len(),
        cleaned.refs,
        cleaned.worktrees,
        cleaned.sessions.len()
    ));
    for branch in &cleaned.in_use {
        terminal.warn(&format!("{branch} is checked out and stays"), None);
    }
    Ok(ExitCode::SUCCESS)
}

fn confirmed(what: &str, terminal: &Terminal) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("nobody is there to ask whether to clean {what}"), "say --yes"));
    }
    terminal.error_line(&format!(
        "Remove the branches, refs and worktrees of {what}, kept results included? [y/N]"
    ));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::io("read the answer", error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
