//! `perfup analyze` and `speedup-analysis`: the first half of the loop.

mod export;
mod lookup;
mod screen;
mod subject;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::arguments::{BenchmarkOptions, spoken};
use super::cpus::cpu_list;
use super::failure::{Failure, INTERRUPTED, INVALID};
use super::terminal::Terminal;
use super::{Global, setup, story};
use crate::config::{CommandLine, parse_duration};
use crate::experiment::{self, Analysis, Ending, Setup, Watch};
use crate::report;
use crate::sys::signals;
use export::{ExportArgs, Exports};
use subject::Subject;

pub(super) const EXAMPLES: &str = "Examples:
  speedup-analysis python3 slow.py data.csv   a command as you would type it
  speedup-analysis slow.py                    a script
  speedup-analysis crunch                     a benchmark of perfup.toml
  speedup-analysis the slow import step       a benchmark, or what an earlier session ran, in words
  speedup-analysis --pid 4242 --for 5s        a process that runs already
  speedup-analysis --json -- ./slow | jq .bottleneck.class";

/// Say what makes a command slow, what would help, and how fast it could be
///
/// Runs the command where you stand, once, or again and again where it is short, and changes nothing but
/// specs/<name>_speedup.md. Needs no repository, no configuration and no root. Ctrl-C ends the command and reports what was
/// seen so far.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  perfup analyze -- python3 slow.py data.csv
  perfup analyze crunch                   a benchmark of perfup.toml
  perfup analyze the slow import step     a benchmark, or what an earlier session ran, in words
  perfup analyze --pid 4242 --for 5s      a process that runs already
  perfup analyze --for 30s -- ./server    watch for half a minute, then end it
  perfup analyze --flamegraph out.svg -- ./slow
  perfup analyze --json -- ./slow | jq .bottleneck.class

Exit codes: 0 done   2 usage, or it is not clear what is meant   5 the command fails at once, or there are
no call stacks to export   130 interrupted, after what was seen has been told")]
pub(super) struct AnalyzeArgs {
    /// A benchmark of perfup.toml, a script, a command, or words that describe one
    #[arg(value_name = "WHAT", conflicts_with = "command")]
    words: Vec<String>,

    /// The slow command, after `--`
    #[arg(last = true, value_name = "CMD", conflicts_with = "pid")]
    command: Vec<String>,

    /// Run CMD through `sh -c` (the shell is then part of what is measured)
    #[arg(long)]
    shell: bool,

    #[command(flatten)]
    options: AnalysisOptions,
}

/// A command without the need of `--`.
#[derive(Debug, Args)]
pub(super) struct WordsArgs {
    #[command(flatten)]
    options: AnalysisOptions,

    /// The command, a script, the name of a benchmark of perfup.toml, or words that describe one
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    words: Vec<String>,
}

/// How to analyse, whatever it is.
#[derive(Debug, Args)]
struct AnalysisOptions {
    /// Watch this process, which runs already, and all that it starts, instead of a command
    #[arg(long, value_name = "PID", conflicts_with_all = ["words", "build", "prepare", "stdin", "cpus"], help_heading = "Watching")]
    pid: Option<u32>,

    /// Watch for this time: then the command is ended, the process goes on [default: to the end]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, help_heading = "Watching")]
    time: Option<Duration>,

    /// Keep the command on these CPUs, for example 2 or 0,2-3
    #[arg(long, value_name = "LIST", help_heading = "Watching")]
    cpus: Option<String>,

    /// Look for slow code in all files of the project, not only where the command and its call stacks lead
    #[arg(long, help_heading = "Watching")]
    all_files: bool,

    #[command(flatten)]
    exports: ExportArgs,

    #[command(flatten)]
    benchmark: BenchmarkOptions,
}

pub(super) fn analyze(args: &AnalyzeArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    told(&args.options, global, terminal, |setup| {
        let file = setup::config_file(setup)?;
        match (args.command.is_empty(), args.shell) {
            (true, false) => Subject::of(&args.words, setup, file.as_ref()),
            (true, true) => Ok(Subject::command(CommandLine::Shell(args.words.join(" ")), file.as_ref())),
            (false, true) => Ok(Subject::command(CommandLine::Shell(args.command.join(" ")), file.as_ref())),
            (false, false) => Ok(Subject::command(spoken(&args.command)?, file.as_ref())),
        }
    })
}

pub(super) fn words(args: &WordsArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    told(&args.options, global, terminal, |setup| {
        let words = match args.words.split_first() {
            Some((first, rest)) if first == "--" => rest,
            _ => args.words.as_slice(),
        };
        Subject::of(words, setup, setup::config_file(setup)?.as_ref())
    })
}

fn told(
    options: &AnalysisOptions,
    global: &Global,
    terminal: &Terminal,
    subject: impl FnOnce(&Setup) -> Result<Subject, Failure>,
) -> Result<ExitCode, Failure> {
    signals::install().map_err(|error| Failure::io("catch signals", error))?;
    let (events, story) = story::start(terminal);
    let setup = setup::setup(global, events)?;
    let exports = Exports::open(&options.exports, &setup.folder);
    let seen = exports.and_then(|exports| Ok((analysed(options, terminal, &setup, subject)?, exports)));
    drop(setup);
    story.end();
    let (analysis, exports) = seen?;
    if global.json {
        let document = experiment::document(&analysis);
        terminal.result(&format!("{}\n", report::json("analysis", &document)?));
    } else {
        terminal.result(&screen::screen(&analysis));
    }
    let all_written = exports.write(&analysis, terminal)?;
    Ok(match analysis.ending {
        Ending::Interrupted => ExitCode::from(INTERRUPTED),
        _ if !all_written => ExitCode::from(INVALID),
        _ => ExitCode::SUCCESS,
    })
}

fn analysed(
    options: &AnalysisOptions,
    terminal: &Terminal,
    setup: &Setup,
    subject: impl FnOnce(&Setup) -> Result<Subject, Failure>,
) -> Result<Analysis, Failure> {
    let cpus = options.cpus.as_deref().map(cpu_list).transpose()?.unwrap_or_default();
    let watch = Watch { time: options.time, cpus, all_files: options.all_files };
    if let Some(pid) = options.pid {
        return experiment::attach(setup, pid, &watch).map_err(Failure::Analysis);
    }
    let Subject { mut config, is_bare, taken } = subject(setup)?;
    if let Some(taken) = taken {
        terminal.say(&taken);
    }
    options.benchmark.apply(&mut config)?;
    setup::settle_paths(&mut config, setup, is_bare)?;
    experiment::analyse(setup, &config, &watch).map_err(Failure::Analysis)
}
