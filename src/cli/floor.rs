//! `perfup floor`: what this machine can do at best, and how far a command is from it.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::arguments::BenchmarkArgs;
use super::failure::Failure;
use super::terminal::{BOLD, DIM, Terminal, paint};
use super::{Global, setup, story};
use crate::diagnose::floor::{Bound, Floor};
use crate::experiment::{self, FloorReport, ProbeLine, Program};
use crate::machine::probes::Unit;
use crate::report::table::{Align, table};
use crate::report::{self, words};
use crate::spec;
use crate::sys::signals;

/// Say what this machine can do at best, and how far a command is from it
///
/// Without a command: the table of the machine's probes. With one: runs it a few times, and says which times it cannot
/// go below, which of them binds, and what was assumed. Work that the command has to do however it is programmed is
/// declared under [floor] or [benchmark.NAME.floor] in perfup.toml.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FloorArgs {
    #[command(flatten)]
    benchmark: BenchmarkArgs,

    /// Probe the machine again, and keep the better values
    #[arg(long)]
    fresh: bool,
}

const EXAMPLES: &str = "Examples:
  perfup floor                            what this machine can do at best
  perfup floor --fresh                    probe it again, when it is quieter
  perfup floor -- python3 slow.py data    how far is this command from its floor?
  perfup floor crunch                     a benchmark of perfup.toml, with its declared work
  perfup floor --json crunch | jq .floor.ratio

Declared work, in perfup.toml:
  [benchmark.crunch.floor]
  bytes = \"2 GiB\"          # must be read from memory once
  flops = 8e9              # must be computed
  round_trips = 1000       # calls to somebody else, of which
  concurrency = 100        # so many can be under way at once";

pub(super) fn floor(args: &FloorArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    signals::install().map_err(|error| Failure::io("catch signals", error))?;
    let (events, story) = story::start(terminal);
    let setup = setup::setup(global, events)?;
    let report = config(args, &setup).and_then(|config| {
        experiment::floor_report(&setup, config.as_ref(), args.fresh).map_err(Failure::Analysis)
    });
    drop(setup);
    story.end();
    let report = report?;
    if global.json {
        terminal.result(&format!("{}\n", report::json("floor", &report)?));
    } else {
        terminal.result(&text(&report, terminal.width()));
    }
    warn(&report, terminal);
    Ok(ExitCode::SUCCESS)
}

/// What to measure; nothing where only the machine is asked for.
fn config(args: &FloorArgs, setup: &experiment::Setup) -> Result<Option<crate::config::Config>, Failure> {
    let is_bare = !args.benchmark.command.is_empty();
    if !is_bare && args.benchmark.name.is_none() {
        return Ok(None);
    }
    let file = setup::config_file(setup)?;
    let mut config = args.benchmark.config(file.as_ref(), &setup::root(setup))?;
    setup::settle_paths(&mut config, setup, is_bare)?;
    Ok(Some(config))
}

fn warn(report: &FloorReport, terminal: &Terminal) {
    if let Some(why) = &report.unwritable {
        terminal.warn(
            &format!("the probes could not be kept: {why}"),
            Some("they are made again each time; make the cache folder writable (XDG_CACHE_HOME)"),
        );
    }
    if report.disturbed {
        let load = report.load_1min.unwrap_or(0.0);
        terminal.warn(
            &format!(
                "other programs were running when the machine was probed (load {load:.1}): it may do better"
            ),
            Some("`perfup floor --fresh` when it is quiet; the better values are kept"),
        );
    }
}

fn text(report: &FloorReport, width: usize) -> String {
    match (&report.program, &report.floor) {
        (Some(program), Some(floor)) => of_program(program, floor, width),
        _ => of_machine(report, width),
    }
}

fn of_machine(report: &FloorReport, width: usize) -> String {
    let rows: Vec<Vec<String>> = report
        .probes
        .iter()
        .map(|probe| {
            let value = probe.value.map_or_else(|| "–".to_owned(), |value| value_words(probe.unit, value));
            vec![probe.what.to_owned(), value, remark(probe)]
        })
        .collect();
    let columns = [("probe", Align::Left), ("at best", Align::Right), ("how", Align::Left)];
    let cores = report.cores;
    let when = if report.cached {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let age = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(report.measured_at);
        format!("measured {} ago; --fresh measures again", words::span(age))
    } else {
        "measured now".to_owned()
    };
    format!(
        "{} of this machine, {cores} core{}, {when}\n{}",
        paint(BOLD, "probes"),
        if cores == 1 { "" } else { "s" },
        table(&columns, &rows, width)
    )
}

fn remark(probe: &ProbeLine) -> String {
    if let Some(reason) = &probe.absent {
        return format!("not measured: {reason}");
    }
    let remarks: Vec<&str> =
        [&probe.note, &probe.flattered].into_iter().flatten().map(String::as_str).collect();
    if remarks.is_empty() { probe.how.to_owned() } else { format!("{} ({})", probe.how, remarks.join("; ")) }
}

/// `12.3 GiB/s`, `45.1 Gflop/s`, `789 ns`.
fn value_words(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Seconds => words::seconds(value),
        Unit::BytesPerSecond => format!("{}/s", words::bytes(value)),
        Unit::FlopsPerSecond => format!("{}flop/s", words::count(value)),
        Unit::OperationsPerSecond => format!("{}/s", words::count(value)),
    }
}

fn of_program(program: &Program, floor: &Floor, width: usize) -> String {
    let mut text = format!(
        "\n{}\n  {} (median of {} runs, best {}), CPU {}; {}\n",
        paint(BOLD, &program.command),
        words::seconds(program.wall_s),
        program.runs,
        words::seconds(program.wall_s_min),
        words::seconds(program.cpu_s),
        program.class
    );
    text.push_str(&format!("{} {}\n", paint(BOLD, "floor"), spec::floor_line(floor)));
    text.push_str(&format!("  {}\n\n", floor.situation.words()));
    let rows: Vec<Vec<String>> = floor.candidates.iter().map(|bound| row(bound, floor)).collect();
    let columns = [
        ("", Align::Left),
        ("cannot go below", Align::Left),
        ("time", Align::Right),
        ("rests on", Align::Left),
        ("how", Align::Left),
    ];
    text.push_str(&table(&columns, &rows, width));
    text.push('\n');
    for assumption in &floor.assumptions {
        text.push_str(&format!("{}\n", paint(DIM, format!("assumed: {assumption}"))));
    }
    text
}

fn row(bound: &Bound, floor: &Floor) -> Vec<String> {
    let binds = bound.name == floor.binds && !bound.avoidable;
    let basis = bound.basis.word();
    vec![
        if binds { "→" } else { "" }.to_owned(),
        bound.name.clone(),
        words::seconds(bound.seconds),
        if bound.avoidable { format!("{basis}, avoidable") } else { basis.to_owned() },
        bound.formula.clone(),
    ]
}
