//! The options of `perfup measure`; those that hyperfine has too are named and behave alike.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::metrics::MetricArgs;
use crate::config::{parse_duration, parse_fraction};

/// Measure a command, or compare commands in pairs of random order
///
/// The first command is the reference. Every other one is compared with it, pair by pair, until the evidence is enough
/// (an e-process: looking often costs nothing), or a budget ends it. One command alone is described.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MeasureArgs {
    /// Commands, each in quotes, or one benchmark of perfup.toml; the first is the reference
    #[arg(value_name = "COMMAND", conflicts_with = "command")]
    pub lines: Vec<String>,

    /// The reference as you would type it, after `--`
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,

    /// Compare with this command (repeatable)
    #[arg(long, value_name = "CMD")]
    pub vs: Vec<String>,

    /// Call the commands by these names, in order (repeatable)
    #[arg(short = 'n', long = "command-name", value_name = "NAME", help_heading = "Commands")]
    pub names: Vec<String>,

    /// Run every command once per value, put in for {NAME} (repeatable)
    #[arg(short = 'L', long, num_args = 2, value_names = ["NAME", "VALUES"], action = clap::ArgAction::Append,
          help_heading = "Commands")]
    pub parameter_list: Vec<String>,

    /// As --parameter-list, over the numbers from MIN to MAX
    #[arg(short = 'P', long, num_args = 3, value_names = ["NAME", "MIN", "MAX"], allow_negative_numbers = true,
          action = clap::ArgAction::Append, help_heading = "Commands")]
    pub parameter_scan: Vec<String>,

    /// Step of the --parameter-scan [default: 1]
    #[arg(short = 'D', long, value_name = "STEP", requires = "parameter_scan", help_heading = "Commands")]
    pub parameter_step_size: Option<String>,

    /// Run over sizes put in for {NAME} and fit how the time grows: n=1000..64000:x2, n=10..100:+10 or n=1,10,100
    #[arg(long, value_name = "NAME=SIZES", conflicts_with_all = ["parameter_list", "parameter_scan", "vs"],
          help_heading = "Commands")]
    pub scale: Option<String>,

    /// Run the commands through a shell, sh by default
    #[arg(short = 'S', long, value_name = "SHELL", num_args = 0..=1, require_equals = true, default_missing_value = "sh",
          help_heading = "Commands")]
    pub shell: Option<String>,

    /// Feed this file to standard input
    #[arg(long, value_name = "FILE", help_heading = "Commands")]
    pub input: Option<PathBuf>,

    /// Run before every run of a command, never timed; once, or once per command
    #[arg(short = 'p', long, value_name = "CMD", help_heading = "Around the runs")]
    pub prepare: Vec<String>,

    /// Run once before a command's first run; once, or once per command
    #[arg(short = 's', long, value_name = "CMD", help_heading = "Around the runs")]
    pub setup: Vec<String>,

    /// Run once after a command's last run, also after a failure; once, or once per command
    #[arg(short = 'c', long, value_name = "CMD", help_heading = "Around the runs")]
    pub cleanup: Vec<String>,

    /// Uncounted runs of each command at the start
    #[arg(short = 'w', long, value_name = "N", default_value_t = 1, help_heading = "Around the runs")]
    pub warmup: u32,

    /// Keep the commands on these CPUs, for example 2 or 0,2-3
    #[arg(long, value_name = "LIST", help_heading = "Around the runs")]
    pub cpus: Option<String>,

    /// End with an error when a run takes longer, for example 90s or 5m [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Around the runs")]
    pub timeout: Option<Duration>,

    /// Count runs that fail: with any exit code, or only with these
    #[arg(short = 'i', long, value_name = "CODES", num_args = 0..=1, require_equals = true, default_missing_value = "",
          help_heading = "Around the runs")]
    pub ignore_failure: Option<String>,

    /// Exactly so many runs of each command, whatever they show
    #[arg(short = 'r', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
          conflicts_with_all = ["min_runs", "max_runs"], help_heading = "How long")]
    pub runs: Option<u32>,

    /// At least so many runs of each command
    #[arg(short = 'm', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
          help_heading = "How long")]
    pub min_runs: Option<u32>,

    /// At most so many runs of each command [default: 60 pairs, or 1000 runs of one command]
    #[arg(short = 'M', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
          help_heading = "How long")]
    pub max_runs: Option<u32>,

    /// Begin no further round after this time [default: 5m, or 10s for one command alone]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "How long")]
    pub budget: Option<Duration>,

    /// Smallest difference worth telling
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "1%", help_heading = "The verdict")]
    pub min_effect: f64,

    /// Probability of any wrong verdict in the whole comparison
    #[arg(long, value_name = "P", value_parser = probability, default_value = "0.01", help_heading = "The verdict")]
    pub alpha: f64,

    #[command(flatten)]
    pub metrics: MetricArgs,

    /// Write the whole result, with every single value, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub export_json: Option<PathBuf>,

    /// Write one line per command as CSV
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub export_csv: Option<PathBuf>,

    /// Write a Markdown table
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub export_markdown: Option<PathBuf>,

    /// With --json: every single value, with its pair and slot
    #[arg(long, help_heading = "Results")]
    pub samples: bool,

    /// Order of the runs; the same seed gives the same order [default: a new one]
    #[arg(long, value_name = "N", help_heading = "Fine control")]
    pub seed: Option<u64>,

    /// End a run that takes so many times the longest run of the reference; only where wall time decides
    #[arg(long, value_name = "FACTOR", default_value_t = 10.0, value_parser = factor, conflicts_with = "no_race",
          help_heading = "Fine control")]
    pub race: f64,

    /// Let every run end by itself
    #[arg(long, help_heading = "Fine control")]
    pub no_race: bool,

    /// Measure also when both commands are the same program
    #[arg(long, help_heading = "Fine control")]
    pub even_if_identical: bool,
}

const EXAMPLES: &str = "Examples:
  perfup measure -- ./crunch data.txt                       what does it take?
  perfup measure --vs './crunch-new data.txt' -- ./crunch data.txt
  perfup measure 'sort a.txt' 'sort --parallel=1 a.txt'     the first is the reference
  perfup measure -L level 1,6,9 'gzip -{level} -kc big'     one arm per value
  perfup measure --scale size=1000..64000:x2 './crunch {size}'   how does the time grow?
  perfup measure --metric cpu --min-effect 2% --vs ./new -- ./old
  perfup measure --metric-regex 'tps=([0-9.]+)' --metric tps --higher tps --vs ./new -- ./old
  perfup measure --guard peak-rss=5% --vs ./new -- ./old    faster, and no more memory?
  perfup measure --json --samples --runs 30 -- ./crunch | jq '.arms[0].wall_s.median'

Exit codes:
  0 a verdict (faster, slower or equivalent)   1 a guarded metric got worse   2 usage
  3 inconclusive within the budget, or a guard still open
  5 invalid: a command failed, or runs that change the next run   130 interrupted";

/// `5%`, `5 %` or `0.05`.
pub(in crate::cli) fn percent(text: &str) -> Result<f64, String> {
    let value = parse_fraction(text)?;
    if value < 1.0 {
        return Ok(value);
    }
    Err(format!("{text} is not below 100 %; write 5% or 0.05"))
}

/// As [`percent`], but a slow-down may be larger than the whole.
pub(in crate::cli) fn slow_down(text: &str) -> Result<f64, String> {
    match parse_fraction(text)? {
        0.0 => Err("no slow-down: comparisons without an effect are always run".to_owned()),
        value => Ok(value),
    }
}

pub(in crate::cli) fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("a probability lies between 0 and 1, for example 0.01".to_owned()),
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 1.0 && value.is_finite() => Ok(value),
        _ => Err("the factor must be a number above 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_keeps_its_lines() {
        use clap::CommandFactory;
        // clap makes a new line of `{n}`, and breaks lines that are too long.
        let help =
            crate::cli::Cli::command().find_subcommand_mut("measure").unwrap().render_long_help().to_string();
        for line in EXAMPLES.lines() {
            assert!(help.contains(line), "{line:?} is not in: {help}");
        }
    }

    #[test]
    fn percentages_and_fractions_mean_the_same() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(percent(text).ok(), expected, "{text}");
        check("5%", Some(0.05));
        check("0.05", Some(0.05));
        check("0", Some(0.0));
        check("12.5 %", Some(0.125));
        check("5", None);
        check("-1%", None);
        check("NaN", None);
        check("%", None);
        assert_eq!(["400%", "0", "inf"].map(|text| slow_down(text).ok()), [Some(4.0), None, None]);
    }
}
