//! What the benchmark-taking commands (`run`, `analyze`) have in common on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::metrics::MetricArgs;
use crate::config::{CommandLine, Config, ConfigError, ConfigFile, OutputRule, Policy, parse_duration};

/// The benchmark to work on, and how far to go.
#[derive(Debug, Args)]
pub struct BenchmarkArgs {
    /// The benchmark of perfup.toml to work on; may be left out when there is one
    #[arg(value_name = "NAME", conflicts_with = "command")]
    pub name: Option<String>,

    /// The slow command, after `--`
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,

    /// Run CMD through `sh -c` (the shell is then part of what is measured)
    #[arg(long)]
    pub shell: bool,

    #[command(flatten)]
    pub options: BenchmarkOptions,
}

/// What may be said of a benchmark on the command line, wherever its command comes from.
#[derive(Debug, Args)]
pub struct BenchmarkOptions {
    /// Build command, run once per candidate and never timed [default: found by convention]
    #[arg(long, value_name = "CMD", value_parser = command_line, help_heading = "Benchmark")]
    pub build: Option<CommandLine>,

    /// Run before every sample, never timed
    #[arg(long, value_name = "CMD", value_parser = command_line, help_heading = "Benchmark")]
    pub prepare: Option<CommandLine>,

    /// Feed this file to standard input
    #[arg(long, value_name = "FILE", help_heading = "Benchmark")]
    pub stdin: Option<PathBuf>,

    /// Untracked file or folder that the command needs; copied into every worktree (repeatable)
    #[arg(long, value_name = "PATH", help_heading = "Benchmark")]
    pub input: Vec<PathBuf>,

    /// Kill a run after this time, for example 90s or 5m [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Benchmark")]
    pub timeout: Option<Duration>,

    #[command(flatten)]
    pub metrics: MetricArgs,

    /// Test command that a candidate must pass [default: found by convention]
    #[arg(long, value_name = "CMD", value_parser = command_line, conflicts_with = "no_tests", help_heading = "Correctness")]
    pub tests: Option<CommandLine>,

    /// Run no tests; the output alone decides what is correct
    #[arg(long, help_heading = "Correctness")]
    pub no_tests: bool,

    /// What counts as the same output [default: learned]
    #[arg(long, value_enum, help_heading = "Correctness")]
    pub output: Option<OutputArg>,

    /// An output file to check like standard output (repeatable)
    #[arg(long = "file", value_name = "PATH", help_heading = "Correctness")]
    pub files: Vec<PathBuf>,

    /// Allow a kind of change that is legitimate only with your consent (repeatable)
    #[arg(long, value_enum, value_name = "POLICY", help_heading = "Goal")]
    pub allow: Vec<PolicyArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OutputArg {
    Exact,
    Learned,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PolicyArg {
    /// Use more cores than the original does
    Parallel,
    /// Use instructions of this machine's CPU model
    NativeCpu,
    /// Relax floating-point semantics
    FastMath,
}

impl BenchmarkArgs {
    /// The configuration these arguments ask for, on top of what perfup.toml says.
    ///
    /// # Errors
    /// When there is nothing to run, or the named benchmark does not exist.
    pub fn config(&self, file: Option<&ConfigFile>, root: &std::path::Path) -> Result<Config, ConfigError> {
        let mut config = match self.command_line()? {
            Some(command) => for_command(command, file),
            None => file
                .ok_or_else(|| ConfigError::NothingToRun { path: root.join(crate::config::FILE_NAME) })?
                .select(self.name.as_deref())?,
        };
        self.options.apply(&mut config)?;
        Ok(config)
    }

    fn command_line(&self) -> Result<Option<CommandLine>, ConfigError> {
        if self.command.is_empty() {
            return Ok(None);
        }
        if self.shell {
            return Ok(Some(CommandLine::Shell(self.command.join(" "))));
        }
        spoken(&self.command).map(Some)
    }
}

impl BenchmarkOptions {
    /// Puts what is asked for in the place of what the configuration has.
    ///
    /// # Errors
    /// When a metric is not described well.
    pub fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        let benchmark = &mut config.benchmark;
        replace(&mut benchmark.build, &self.build);
        replace(&mut benchmark.prepare, &self.prepare);
        replace(&mut benchmark.stdin, &self.stdin);
        benchmark.inputs.extend(self.input.iter().cloned());
        benchmark.timeout = self.timeout.unwrap_or(benchmark.timeout);
        self.metrics.apply(benchmark)?;
        replace(&mut config.verify.tests, &self.tests);
        if let Some(output) = self.output {
            config.verify.output = match output {
                OutputArg::Exact => OutputRule::Exact,
                OutputArg::Learned => OutputRule::Learned,
            };
        }
        config.verify.files.extend(self.files.iter().cloned());
        config.delegate.allow.extend(self.allow.iter().map(|policy| match policy {
            PolicyArg::Parallel => Policy::Parallel,
            PolicyArg::NativeCpu => Policy::NativeCpu,
            PolicyArg::FastMath => Policy::FastMath,
        }));
        Ok(())
    }
}

/// A command as typed: one word with blanks can only be a whole line in quotes.
///
/// # Errors
/// When the line is empty or a quote is not closed.
pub(super) fn spoken(words: &[String]) -> Result<CommandLine, ConfigError> {
    match words {
        [line] if line.contains(char::is_whitespace) => CommandLine::parse(line)
            .map_err(|message| ConfigError::Option { option: "CMD", message: message.to_owned() }),
        _ => Ok(CommandLine::Argv(words.to_vec())),
    }
}

/// The configuration of a bare command: the file's shared tables hold for any command; its benchmarks do not.
pub(super) fn for_command(command: CommandLine, file: Option<&ConfigFile>) -> Config {
    let mut config = Config::for_command(command);
    if let Some(file) = file {
        config.verify = file.verify.clone();
        config.protect = file.protect.clone();
        config.delegate = file.delegate.clone();
        config.goal = file.goal.clone();
        config.benchmark.floor = file.floor.clone();
    }
    config
}

fn replace<T: Clone>(slot: &mut Option<T>, value: &Option<T>) {
    if value.is_some() {
        slot.clone_from(value);
    }
}

pub(super) fn command_line(text: &str) -> Result<CommandLine, String> {
    CommandLine::parse(text).map_err(str::to_owned)
}
