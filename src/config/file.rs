//! Reading `perfup.toml`.
//!
//! **Invariant**: every key is either understood or an error with its place; nothing is silently ignored.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Place, nearest};
use super::floor::RawFloor;
use super::objectives::{RawMetric, RawObjectives, RawShare};
use super::paths::plain_path;
use super::{
    Benchmark, CommandLine, Config, DeclaredWork, Delegate, Goal, OutputRule, Policy, Protect, Verify,
};

/// The file's name, at the root of the repository.
pub const FILE_NAME: &str = "perfup.toml";

/// A parsed file: several benchmarks, and what they share.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    pub path: PathBuf,
    pub benchmarks: Vec<Benchmark>,
    pub verify: Verify,
    pub protect: Protect,
    pub delegate: Delegate,
    pub goal: Goal,
    /// Work of every command; a benchmark's own is in it.
    pub floor: DeclaredWork,
}

impl ConfigFile {
    /// Reads `perfup.toml` from a folder; absent when there is none.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and column.
    pub fn read(root: &Path) -> Result<Option<Self>, ConfigError> {
        let path = root.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    /// Reads the text of a file; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = Source { path, text };
        let raw: RawFile = toml::from_str(text).map_err(|error| file.syntax(&error))?;
        let benchmarks = raw
            .benchmark
            .into_iter()
            .map(|(name, benchmark)| benchmark.check(name, &raw.floor, &file))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            benchmarks,
            verify: raw.verify.check(&file)?,
            protect: Protect { paths: raw.protect.paths },
            delegate: Delegate { allow: raw.delegate.allow },
            goal: raw.goal.check(&file)?,
            floor: raw.floor.check(&file)?,
        })
    }

    /// The configuration for one benchmark; the only one when no name is given.
    ///
    /// # Errors
    /// When the name is unknown, or missing while there are several.
    pub fn select(&self, name: Option<&str>) -> Result<Config, ConfigError> {
        let known = || self.benchmarks.iter().map(|benchmark| benchmark.name.clone()).collect::<Vec<_>>();
        let path = || self.path.clone();
        let benchmark = match (name, self.benchmarks.as_slice()) {
            (Some(name), all) => all.iter().find(|benchmark| benchmark.name == name).ok_or_else(|| {
                ConfigError::NoSuchBenchmark { path: path(), name: name.to_owned(), known: known() }
            })?,
            (None, [only]) => only,
            (None, []) => return Err(ConfigError::NothingToRun { path: path() }),
            (None, _) => {
                return Err(ConfigError::WhichBenchmark { path: path(), known: known() });
            }
        };
        Ok(Config {
            benchmark: benchmark.clone(),
            verify: self.verify.clone(),
            protect: self.protect.clone(),
            delegate: self.delegate.clone(),
            goal: self.goal.clone(),
        })
    }
}

pub(super) struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    pub(super) fn invalid(&self, at: usize, message: impl Into<String>, hint: Option<String>) -> ConfigError {
        ConfigError::Invalid {
            path: self.path.to_owned(),
            place: Place::of_offset(self.text, at),
            message: message.into(),
            hint,
        }
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().to_owned();
        let quoted: Vec<String> = message.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let hint = match quoted.split_first() {
            Some((wrong, known)) if message.starts_with("unknown") => {
                nearest(wrong, known).map(|near| format!("did you mean `{near}`?"))
            }
            _ => None,
        };
        self.invalid(at, message, hint)
    }

    fn command(&self, value: Spanned<RawCommand>) -> Result<CommandLine, ConfigError> {
        let at = value.span().start;
        match value.into_inner() {
            RawCommand::Line(line) => {
                CommandLine::parse(&line).map_err(|message| self.invalid(at, message, None))
            }
            RawCommand::Words(words) if words.is_empty() => {
                Err(self.invalid(at, "the command is empty", None))
            }
            RawCommand::Words(words) => Ok(CommandLine::Argv(words)),
        }
    }

    fn duration(&self, value: &Spanned<String>) -> Result<Duration, ConfigError> {
        parse_duration(value.get_ref()).map_err(|message| self.invalid(value.span().start, message, None))
    }

    fn inside(&self, value: Spanned<PathBuf>) -> Result<PathBuf, ConfigError> {
        // What an absolute path leads to is known with the root.
        let escapes = plain_path(value.get_ref()).components().next() == Some(Component::ParentDir);
        if escapes {
            let message = format!("{:?} leaves the repository", value.get_ref());
            return Err(self.invalid(
                value.span().start,
                message,
                Some("paths are relative to the root".into()),
            ));
        }
        Ok(value.into_inner())
    }

    fn within(&self, value: &Spanned<f64>, low: f64, high: f64, what: &str) -> Result<f64, ConfigError> {
        let number = *value.get_ref();
        if number > low && number < high {
            return Ok(number);
        }
        let message = format!("{what} must lie between {low} and {high}, not {number}");
        Err(self.invalid(value.span().start, message, None))
    }
}

/// Reads `90s`, `5m`, `1h30m`, `250ms`.
///
/// # Errors
/// A sentence for the user.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write for example 90s, 5m or 1h30m");
    let signed: jiff::SignedDuration = text.trim().parse().map_err(|_| wrong())?;
    Duration::try_from(signed).ok().filter(|duration| !duration.is_zero()).ok_or_else(wrong)
}

/// Reads `5%`, `5 %` or `0.05`: a share that is not negative.
///
/// # Errors
/// A sentence for the user.
pub fn parse_fraction(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let (number, divisor) = match trimmed.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (trimmed, 1.0),
    };
    let value =
        number.parse::<f64>().map_err(|_| format!("{text:?} is not a number; write 5% or 0.05"))? / divisor;
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(format!("{text} is no share; write 5% or 0.05"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    benchmark: BTreeMap<String, RawBenchmark>,
    #[serde(default)]
    verify: RawVerify,
    #[serde(default)]
    protect: RawProtect,
    #[serde(default)]
    delegate: RawDelegate,
    #[serde(default)]
    goal: RawGoal,
    #[serde(default)]
    floor: RawFloor,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a command is a string, or a list of words")]
enum RawCommand {
    Line(String),
    Words(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBenchmark {
    command: Spanned<RawCommand>,
    build: Option<Spanned<RawCommand>>,
    prepare: Option<Spanned<RawCommand>>,
    cwd: Option<Spanned<PathBuf>>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    stdin: Option<Spanned<PathBuf>>,
    #[serde(default)]
    inputs: Vec<Spanned<PathBuf>>,
    timeout: Option<Spanned<String>>,
    metric: Option<Spanned<String>>,
    #[serde(default)]
    metrics: BTreeMap<Spanned<String>, RawMetric>,
    #[serde(default)]
    guards: BTreeMap<Spanned<String>, Spanned<RawShare>>,
    #[serde(default)]
    floor: RawFloor,
}

impl RawBenchmark {
    fn check(self, name: String, common: &RawFloor, file: &Source<'_>) -> Result<Benchmark, ConfigError> {
        let base = Benchmark::for_command(file.command(self.command)?);
        let mut benchmark = Benchmark {
            name,
            build: self.build.map(|command| file.command(command)).transpose()?,
            prepare: self.prepare.map(|command| file.command(command)).transpose()?,
            cwd: self.cwd.map(|path| file.inside(path)).transpose()?.unwrap_or_default(),
            env: self.env,
            stdin: self.stdin.map(|path| file.inside(path)).transpose()?,
            inputs: self.inputs.into_iter().map(|path| file.inside(path)).collect::<Result<_, _>>()?,
            timeout: match self.timeout {
                Some(text) => file.duration(&text)?,
                None => base.timeout,
            },
            floor: self.floor.over(common, file)?,
            ..base
        };
        let objectives = RawObjectives { metric: self.metric, metrics: self.metrics, guards: self.guards };
        objectives.check(&mut benchmark, file)?;
        Ok(benchmark)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVerify {
    tests: Option<Spanned<RawCommand>>,
    output: Option<OutputRule>,
    #[serde(default)]
    files: Vec<Spanned<PathBuf>>,
}

impl RawVerify {
    fn check(self, file: &Source<'_>) -> Result<Verify, ConfigError> {
        Ok(Verify {
            tests: self.tests.map(|command| file.command(command)).transpose()?,
            output: self.output.unwrap_or(OutputRule::Learned),
            // Relative to a benchmark's folder, which may be any.
            files: self.files.into_iter().map(Spanned::into_inner).collect(),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProtect {
    #[serde(default)]
    paths: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDelegate {
    #[serde(default)]
    allow: Vec<Policy>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGoal {
    target_speedup: Option<Spanned<f64>>,
    floor_ratio: Option<Spanned<f64>>,
    attempts_max: Option<Spanned<u32>>,
    time_max: Option<Spanned<String>>,
    alpha: Option<Spanned<f64>>,
    min_effect: Option<Spanned<f64>>,
    pairs_max: Option<Spanned<u32>>,
}

impl RawGoal {
    fn check(self, file: &Source<'_>) -> Result<Goal, ConfigError> {
        let base = Goal::default();
        let count = |value: Option<Spanned<u32>>, low: u32, otherwise: u32, what: &str| match value {
            None => Ok(otherwise),
            Some(value) if *value.get_ref() >= low => Ok(*value.get_ref()),
            Some(value) => Err(file.invalid(
                value.span().start,
                format!("{what} must be at least {low}, not {}", value.get_ref()),
                None,
            )),
        };
        let fraction = |value: Option<Spanned<f64>>, otherwise: f64, what: &str| match value {
            None => Ok(otherwise),
            Some(value) => file.within(&value, 0.0, 1.0, what),
        };
        let factor = |value: Option<Spanned<f64>>, what: &str| {
            value.map(|value| file.within(&value, 1.0, f64::INFINITY, what)).transpose()
        };
        Ok(Goal {
            target_speedup: factor(self.target_speedup, "target_speedup")?,
            floor_ratio: factor(self.floor_ratio, "floor_ratio")?,
            attempts_max: count(self.attempts_max, 1, base.attempts_max, "attempts_max")?,
            time_max: match self.time_max {
                Some(text) => file.duration(&text)?,
                None => base.time_max,
            },
            alpha: fraction(self.alpha, base.alpha, "alpha")?,
            min_effect: fraction(self.min_effect, base.min_effect, "min_effect")?,
            pairs_max: count(self.pairs_max, 8, base.pairs_max, "pairs_max")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metric;
    use super::*;

    fn error(text: &str) -> (String, Option<String>) {
        let error = ConfigFile::parse(Path::new("perfup.toml"), text).unwrap_err();
        (error.to_string(), error.hint())
    }

    #[test]
    fn a_full_file_is_read() {
        let text = r#"
            [benchmark.crunch]
            command = "python3 crunch.py data.txt"
            build = ["make", "all"]
            cwd = "sub/dir"
            env = { LEVEL = "3" }
            timeout = "1m30s"
            metric = "cpu"
            [verify]
            tests = "make test"
            output = "exact"
            files = ["out.txt"]
            [protect]
            paths = ["data/**"]
            [delegate]
            allow = ["parallel"]
            [goal]
            target_speedup = 3.0
            time_max = "10m"
        "#;
        let config = ConfigFile::parse(Path::new("perfup.toml"), text).unwrap().select(None).unwrap();
        assert_eq!(config.benchmark.name, "crunch");
        assert_eq!(config.benchmark.timeout, Duration::from_secs(90));
        assert_eq!(config.benchmark.metric, Metric::Cpu);
        assert_eq!(config.verify.output, OutputRule::Exact);
        assert_eq!(config.delegate.allow, [Policy::Parallel]);
        assert_eq!(config.goal.target_speedup, Some(3.0));
        assert_eq!(config.goal.time_max, Duration::from_secs(600));
    }

    #[test]
    fn mistakes_name_file_line_column_and_the_nearest_key() {
        let (message, hint) = error("[benchmark.a]\ncommand = \"x\"\ntimout = \"3s\"\n");
        assert!(message.starts_with("perfup.toml:3:1: unknown field `timout`"), "{message}");
        assert_eq!(hint.as_deref(), Some("did you mean `timeout`?"));

        let (message, hint) = error("[benchmark.a]\ncommand = \"x\"\nmetric = \"wal\"\n");
        assert!(message.starts_with("perfup.toml:3:10: unknown metric `wal`"), "{message}");
        assert_eq!(hint.as_deref(), Some("did you mean `wall`?"));

        let (message, _) = error("[benchmark.a]\ncommand = \"x 'y\"\n");
        assert_eq!(message, "perfup.toml:2:11: a quote or backslash is not closed");

        let (message, _) = error("[benchmark.a]\ncommand = \"x\"\ntimeout = \"soon\"\n");
        assert!(message.starts_with("perfup.toml:3:11: \"soon\" is not a duration"), "{message}");

        let (message, _) = error("[goal]\nalpha = 1.5\n");
        assert_eq!(message, "perfup.toml:2:9: alpha must lie between 0 and 1, not 1.5");

        let (message, _) = error("[benchmark.a]\ncommand = \"x\"\ncwd = \"../up\"\n");
        assert_eq!(message, "perfup.toml:3:7: \"../up\" leaves the repository");

        let (message, _) = error("[benchmark.a\n");
        assert!(message.starts_with("perfup.toml:1:"), "{message}");
    }

    #[test]
    fn several_benchmarks_want_a_name() {
        let text = "[benchmark.sort]\ncommand = \"x\"\n[benchmark.scan]\ncommand = \"y\"\n";
        let file = ConfigFile::parse(Path::new("perfup.toml"), text).unwrap();
        assert_eq!(file.select(None).unwrap_err().hint().as_deref(), Some("name one of them: scan, sort"));
        let unknown = file.select(Some("sorted")).unwrap_err();
        assert_eq!(unknown.hint().as_deref(), Some("did you mean \"sort\"? Known: scan, sort"));
        assert_eq!(file.select(Some("scan")).unwrap().benchmark.name, "scan");
    }
}
