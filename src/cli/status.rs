//! `perfup status`: what is running, what was interrupted.

use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::terminal::Terminal;
use super::{Global, setup};
use crate::experiment::{self, Events};
use crate::report;
use crate::report::table::{Align, table};

/// Show the sessions of this repository and which one is at work
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  perfup status --json | jq '.items[-1].state'")]
pub(super) struct StatusArgs {}

pub(super) fn status(_: &StatusArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let sessions = experiment::status(&setup::setup(global, Events::default())?)?;
    if global.json {
        terminal.result(&format!("{}\n", report::json("status", &sessions)?));
        return Ok(ExitCode::SUCCESS);
    }
    if sessions.is_empty() {
        terminal.result("no session yet\n");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            let by = session.pid.map_or(String::new(), |pid| format!(" (process {pid})"));
            vec![
                session.name.clone(),
                session.benchmark.clone(),
                session.attempts.to_string(),
                session.keeps.to_string(),
                format!("{}{by}", session.state),
            ]
        })
        .collect();
    let columns = [
        ("session", Align::Left),
        ("benchmark", Align::Left),
        ("attempts", Align::Right),
        ("kept", Align::Right),
        ("state", Align::Left),
    ];
    terminal.result(&table(&columns, &rows, terminal.width()));
    Ok(ExitCode::SUCCESS)
}
