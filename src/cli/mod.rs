//! The command line: arguments → one call into the rooms below → rendering → exit code.
//!
//! Results go to standard output, everything else to standard error. **Invariant**: the only room that prints, reads
//! the environment or decides an exit code; it decides nothing else.

mod analyze;
mod arguments;
mod calibrate;
mod clean;
mod cpus;
pub mod demo;
mod doctor;
mod failure;
mod floor;
mod log;
mod measure;
mod metrics;
mod outfile;
mod run;
mod setup;
mod status;
mod story;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use failure::Failure;
use terminal::Terminal;

use crate::stats::rng;

/// Makes slow programs fast, and proves it
///
/// perfup measures a slow command against itself, says where its time goes, tries one change after another in git
/// worktrees of its own, and keeps what is correct and proven faster. Your checkout is never touched.
#[derive(Debug, Parser)]
#[command(name = "perfup", version, max_term_width = 100, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  perfup demo text-cruncher             see it work on a real slow program
  perfup run -- python3 slow.py data    make this command faster
  perfup analyze -- ./slow --input x    only say what is slow, and why
  perfup doctor                         what can be seen of programs here
  perfup measure --vs ./new -- ./old    is the new one faster?
  perfup floor                          what this machine can do at best
  perfup log list                       what was tried so far

Exit codes:
  0 done   1 a guarded metric got worse; nothing kept, with --fail-if-nothing-kept
  2 usage or configuration   3 inconclusive   4 wrong output   5 invalid measurement or baseline
  130 interrupted (perfup resume goes on with a session)";

#[derive(Debug, Args)]
struct Global {
    /// Work as if started in this folder
    #[arg(short = 'C', value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    /// Print the result as one JSON document
    #[arg(long, global = true)]
    json: bool,
    /// Say less; twice: only errors
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    quiet: u8,
    /// Show what perfup does inside (-v info, -vv debug)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// When to use colours
    #[arg(long, value_enum, default_value_t = ColorWhen::Auto, global = true)]
    color: ColorWhen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Analyze(analyze::AnalyzeArgs),
    // Boxed: its many options would make every other command as large.
    Measure(Box<measure::MeasureArgs>),
    Doctor(doctor::DoctorArgs),
    Calibrate(calibrate::CalibrateArgs),
    // Boxed, as above.
    Floor(Box<floor::FloorArgs>),
    Resume(run::ResumeArgs),
    Status(status::StatusArgs),
    Clean(clean::CleanArgs),
    Log(log::LogArgs),
    Demo(demo::DemoArgs),
}

/// Analyses a slow command: where its time goes, the floor, what would help
///
/// Writes specs/<name>_speedup.md. The same as `perfup analyze`.
#[derive(Debug, Parser)]
#[command(name = "speedup-analysis", version, max_term_width = 100, after_help = analyze::EXAMPLES)]
struct SpeedupAnalysis {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    analyze: analyze::WordsArgs,
}

/// Entry point of `perfup`.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => conclude(&cli.global, |terminal| match &cli.command {
            Command::Run(args) => run::run(args, &cli.global, terminal),
            Command::Analyze(args) => analyze::analyze(args, &cli.global, terminal),
            Command::Measure(args) => measure::measure(args, &cli.global, terminal),
            Command::Doctor(args) => doctor::doctor(args, &cli.global, terminal),
            Command::Calibrate(args) => calibrate::run(args, &cli.global, terminal),
            Command::Floor(args) => floor::floor(args, &cli.global, terminal),
            Command::Resume(args) => run::resume(args, &cli.global, terminal),
            Command::Status(args) => status::status(args, &cli.global, terminal),
            Command::Clean(args) => clean::clean(args, &cli.global, terminal),
            Command::Log(args) => log::log(args, &cli.global, terminal),
            Command::Demo(args) => demo::demo(args, &cli.global, terminal),
        }),
        Err(error) => usage(&error),
    }
}

/// Entry point of `speedup-analysis`.
#[must_use]
pub fn speedup_analysis() -> ExitCode {
    match SpeedupAnalysis::try_parse() {
        Ok(cli) => conclude(&cli.global, |terminal| analyze::words(&cli.analyze, &cli.global, terminal)),
        Err(error) => usage(&error),
    }
}

/// Help and version are answers; everything else clap has to say is a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    // Nowhere left to complain to.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

fn conclude(global: &Global, command: impl FnOnce(&Terminal) -> Result<ExitCode, Failure>) -> ExitCode {
    terminal::start_logging(global.verbose);
    let terminal = Terminal::new(global.color, global.quiet);
    match command(&terminal) {
        Ok(code) => code,
        Err(failure) => failure.show(&terminal),
    }
}

/// A seed that no earlier call has had.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // 53 bits: larger integers lose digits in some readers of JSON.
    rng::draw(now.subsec_nanos().into(), now.as_secs(), std::process::id().into()) >> 11
}
