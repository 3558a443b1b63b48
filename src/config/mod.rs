//! `perfup.toml` → a checked, typed [`Config`]; or a `Config` from nothing but a command line.
//!
//! **Invariant**: knows the file, its words and where its paths lead, never the machine, git or the worklog.

mod command_line;
mod detect;
mod error;
mod file;
mod floor;
mod metric;
mod objectives;
mod paths;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use command_line::CommandLine;
pub use detect::{Detected, detect};
pub use error::{ConfigError, Place};
pub use file::{ConfigFile, FILE_NAME, parse_duration, parse_fraction};
pub use floor::{Complexity, DeclaredWork, parse_bytes};
pub use metric::{Better, CustomMetric, Guard, Metric, MetricSource, Objective};
pub use paths::{plain_path, real_path};

/// Everything that steers a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub benchmark: Benchmark,
    pub verify: Verify,
    pub protect: Protect,
    pub delegate: Delegate,
    pub goal: Goal,
}

/// What to run, how to build it, which number counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Benchmark {
    /// Kebab-case name; also the stem of its spec file.
    pub name: String,
    pub command: CommandLine,
    /// Run once per candidate, before it is measured. Never timed.
    pub build: Option<CommandLine>,
    /// Run before every sample. Never timed.
    pub prepare: Option<CommandLine>,
    /// Relative to the repository root.
    pub cwd: PathBuf,
    /// Added to the neutral environment of every sample.
    pub env: BTreeMap<String, String>,
    /// A file, relative to the repository root, fed to standard input.
    pub stdin: Option<PathBuf>,
    /// Untracked files or folders the command needs, relative to the repository root; copied into every worktree.
    pub inputs: Vec<PathBuf>,
    pub timeout: Duration,
    /// The one that decides.
    pub metric: Metric,
    /// Metrics of the program's own; those that neither decide nor guard are recorded.
    #[serde(default)]
    pub metrics: Vec<CustomMetric>,
    #[serde(default)]
    pub guards: Vec<Guard>,
    /// What has to be done, however it is programmed.
    #[serde(default)]
    pub floor: DeclaredWork,
}

/// What counts as the same result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    /// The project's test command; its failure discards a candidate.
    pub tests: Option<CommandLine>,
    pub output: OutputRule,
    /// Declared output files, relative to the benchmark's cwd, checked like standard output.
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputRule {
    /// Every byte of every run is the same.
    Exact,
    /// What never varied in the original stays identical; what varied stays within what was seen.
    Learned,
}

impl Default for Verify {
    fn default() -> Self {
        Self { tests: None, output: OutputRule::Learned, files: Vec::new() }
    }
}

/// Paths (globs relative to the root) that no candidate may touch, beside the built-in ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Protect {
    pub paths: Vec<String>,
}

/// Who makes the changes, and what they may do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Delegate {
    /// Policies the user allows, for example `parallel`.
    pub allow: Vec<Policy>,
}

/// A kind of change that is legitimate only when its owner says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Use more cores than the original does.
    Parallel,
    /// Use instructions that only this machine's CPU model is known to have.
    NativeCpu,
    /// Relax floating-point semantics.
    FastMath,
}

impl Policy {
    /// The word by which it is allowed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::NativeCpu => "native-cpu",
            Self::FastMath => "fast-math",
        }
    }
}

/// When to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// Stop once the claim is at least this many times faster.
    pub target_speedup: Option<f64>,
    /// Stop once wall time is within this factor of the floor. Absent by default: a floor for the same
    /// instructions is no reason to leave better instructions untried.
    pub floor_ratio: Option<f64>,
    pub attempts_max: u32,
    pub time_max: Duration,
    /// Probability of any false keep in the whole session.
    pub alpha: f64,
    /// Smallest fraction of time a candidate must save to be worth keeping.
    pub min_effect: f64,
    /// Pairs of runs that one confirmation may use.
    pub pairs_max: u32,
}

impl Default for Goal {
    fn default() -> Self {
        Self {
            target_speedup: None,
            floor_ratio: None,
            attempts_max: 20,
            time_max: Duration::from_secs(30 * 60),
            alpha: 0.05,
            min_effect: 0.01,
            pairs_max: 40,
        }
    }
}

impl Benchmark {
    /// A benchmark of nothing but a command, named after its program or script.
    #[must_use]
    pub fn for_command(command: CommandLine) -> Self {
        Self {
            name: name_of(&command),
            command,
            build: None,
            prepare: None,
            cwd: PathBuf::new(),
            env: BTreeMap::new(),
            stdin: None,
            inputs: Vec::new(),
            timeout: Duration::from_secs(600),
            metric: Metric::Wall,
            metrics: Vec::new(),
            guards: Vec::new(),
            floor: DeclaredWork::default(),
        }
    }
}

impl Config {
    /// The configuration of a bare command: every default.
    #[must_use]
    pub fn for_command(command: CommandLine) -> Self {
        Self {
            benchmark: Benchmark::for_command(command),
            verify: Verify::default(),
            protect: Protect::default(),
            delegate: Delegate::default(),
            goal: Goal::default(),
        }
    }
}

/// A kebab-case name: the stem of the first script among the words, else of the program.
fn name_of(command: &CommandLine) -> String {
    let words = command.words();
    let script = words
        .iter()
        .skip(1)
        .find(|word| !word.starts_with('-') && SCRIPT_ENDINGS.iter().any(|ending| word.ends_with(ending)));
    let word = script.or(words.first()).map_or("command", String::as_str);
    let stem = std::path::Path::new(word).file_stem().map_or("command".into(), |stem| stem.to_string_lossy());
    let kebab: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    match kebab.trim_matches('-') {
        "" => "command".to_owned(),
        name => name.to_owned(),
    }
}

/// Endings by which a word of a command is taken for the program that an interpreter runs.
const SCRIPT_ENDINGS: &[&str] =
    &[".py", ".sh", ".bash", ".js", ".mjs", ".ts", ".rb", ".pl", ".php", ".lua", ".R", ".jl"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_command_is_named_after_its_script_or_program() {
        let check = |line: &str, name: &str| {
            assert_eq!(Benchmark::for_command(CommandLine::parse(line).unwrap()).name, name, "{line}");
        };
        check("python3 -O tools/Word_Count.py data.txt", "word-count");
        check("./target/release/crunch --fast", "crunch");
        check("sleep 1", "sleep");
        check("./---", "command");
    }
}
