//! What the original does, learned from its own runs; and whether a sample does the same.
//!
//! What never varied must stay bit-identical. Where the original itself varied, a candidate may vary as much
//! (`learned`), or not at all (`exact`). An original that later varies more than it did at first can be learned again,
//! see [`Expectation::widened`].

mod learned;
mod tokens;
mod widen;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::OutputRule;
use crate::measure::Sample;
use crate::sys::wire::{Captured, RunEnd};
use learned::Pattern;

pub use widen::{NotWidened, Relearned};

/// Loads captured content by its SHA-256.
pub type Load<'a> = &'a dyn Fn(&str) -> io::Result<Vec<u8>>;

/// Larger outputs are only compared as a whole.
const PATTERN_BYTES_MAX: u64 = 8 << 20;

/// What every run must look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    end: RunEnd,
    stderr_is_empty: bool,
    stdout: Stream,
    /// The declared files in order; absent when the original does not write one.
    files: Vec<Option<Stream>>,
    /// The declared files' paths, for messages.
    names: Vec<PathBuf>,
    /// Runs it was learned from.
    runs: usize,
    /// What was learned from fewer runs; what it accepts stays accepted.
    #[serde(default)]
    earlier: Option<Box<Expectation>>,
}

/// What one stream or file must look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stream {
    /// The same bytes in every run.
    Same(Captured),
    /// As the pattern says; the digests seen are known to be fine.
    Varies { seen: Vec<String>, pattern: Pattern },
}

/// Why nothing can be learned from the original.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    #[error("it fails ({end})")]
    BaseFails { end: String, stderr: String },
    #[error("it leaves {count} processes running behind it")]
    Survivors { count: u32 },
    #[error("its {stream} differs from run to run: {what}")]
    NotDeterministic { stream: String, what: String },
    #[error("it ends differently from run to run: {first}, then {second}")]
    EndVaries { first: String, second: String },
    #[error("it does not always write the declared file {}", file.display())]
    FileVaries { file: PathBuf },
    #[error("its captured {stream} cannot be read back")]
    Lost {
        stream: String,
        #[source]
        source: io::Error,
    },
}

/// How a sample differs from what the original does.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Mismatch {
    #[error("{got} instead of {expected}")]
    End { expected: String, got: String },
    #[error("{count} processes outlived the program and had to be killed")]
    Survivors { count: u32 },
    #[error("standard error is {} where the original's is not", if *.empty { "empty" } else { "written to" })]
    Stderr { empty: bool },
    #[error("the declared file {} is missing", file.display())]
    FileMissing { file: PathBuf },
    #[error("the declared file {} is written, which the original does not do", file.display())]
    FileNew { file: PathBuf },
    #[error("{metric} has {got}, which cannot be compared with the original's")]
    Metric { metric: String, got: String },
    #[error("{stream} differs: {what}")]
    Content { stream: String, what: String },
    /// Nothing in the candidate's own runs; found by comparing the original's.
    #[error("the original behaves differently beside it, and not by itself: {what}")]
    Beside { what: String },
}

impl Expectation {
    /// Learns from runs of the original, at least one; `names` are the paths of the declared files, in order.
    ///
    /// # Errors
    /// [`LearnError`] when the original fails, or varies in a way that no rule covers.
    pub fn learn(
        rule: OutputRule,
        names: &[PathBuf],
        samples: &[Sample],
        load: Load<'_>,
    ) -> Result<Self, LearnError> {
        let Some(first) = samples.first() else {
            return Err(LearnError::BaseFails { end: "it was never run".to_owned(), stderr: String::new() });
        };
        for sample in samples {
            if sample.run.end != RunEnd::Exited(0) {
                let stderr = load(&sample.run.stderr.sha256).unwrap_or_default();
                return Err(LearnError::BaseFails {
                    end: sample.run.end.to_string(),
                    stderr: String::from_utf8_lossy(&stderr).into_owned(),
                });
            }
            if sample.run.survivors > 0 {
                return Err(LearnError::Survivors { count: sample.run.survivors });
            }
        }
        let stream = |name: &str, captured: Vec<&Captured>| Stream::learn(rule, name, &captured, load);
        let stdout = stream("standard output", samples.iter().map(|sample| &sample.run.stdout).collect())?;
        let file = |(index, name): (usize, &PathBuf)| {
            let versions: Vec<&Captured> = samples
                .iter()
                .filter_map(|sample| sample.files.get(index).and_then(Option::as_ref))
                .collect();
            match versions.len() {
                0 => Ok(None),
                count if count == samples.len() => stream(&in_words(name), versions).map(Some),
                _ => Err(LearnError::FileVaries { file: name.clone() }),
            }
        };
        Ok(Self {
            end: first.run.end,
            stderr_is_empty: samples.iter().all(|sample| sample.run.stderr.bytes == 0),
            stdout,
            files: names.iter().enumerate().map(file).collect::<Result<_, _>>()?,
            names: names.to_vec(),
            runs: samples.len(),
            earlier: None,
        })
    }

    /// Whether a sample does what the original does.
    ///
    /// # Errors
    /// The first [`Mismatch`].
    pub fn check(&self, sample: &Sample, load: Load<'_>) -> Result<(), Mismatch> {
        let checked = self.check_by_this(sample, load);
        match &self.earlier {
            Some(earlier) if checked.is_err() && earlier.check(sample, load).is_ok() => Ok(()),
            _ => checked,
        }
    }

    fn check_by_this(&self, sample: &Sample, load: Load<'_>) -> Result<(), Mismatch> {
        if sample.run.end != self.end {
            let (expected, got) = (self.end.to_string(), sample.run.end.to_string());
            return Err(Mismatch::End { expected, got });
        }
        if sample.run.survivors > 0 {
            return Err(Mismatch::Survivors { count: sample.run.survivors });
        }
        self.stdout.check("standard output", &sample.run.stdout, load)?;
        // Only new complaints count: an original that sometimes complains says nothing about silence.
        if self.stderr_is_empty && sample.run.stderr.bytes > 0 {
            return Err(Mismatch::Stderr { empty: false });
        }
        for (name, (expected, got)) in self.names.iter().zip(self.files.iter().zip(&sample.files)) {
            match (expected, got) {
                (None, None) => {}
                (Some(_), None) => return Err(Mismatch::FileMissing { file: name.clone() }),
                (None, Some(_)) => return Err(Mismatch::FileNew { file: name.clone() }),
                (Some(expected), Some(got)) => expected.check(&in_words(name), got, load)?,
            }
        }
        Ok(())
    }

    /// What was learned, in sentences for the user.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let mut sentences = vec![self.stdout.describe("standard output", self.runs)];
        sentences.extend(self.names.iter().zip(&self.files).map(|(name, file)| match file {
            Some(file) => file.describe(&in_words(name), self.runs),
            None => format!("{} is not written by the original, and must not be", in_words(name)),
        }));
        sentences
    }
}

impl Stream {
    fn learn(rule: OutputRule, name: &str, runs: &[&Captured], load: Load<'_>) -> Result<Self, LearnError> {
        let mut distinct: Vec<&Captured> = Vec::new();
        for run in runs {
            if !distinct.iter().any(|known| known.sha256 == run.sha256) {
                distinct.push(run);
            }
        }
        if let [only] = distinct.as_slice() {
            return Ok(Self::Same((*only).clone()));
        }
        let unstable = |what: String| LearnError::NotDeterministic { stream: name.to_owned(), what };
        if let Some(large) = distinct.iter().find(|run| run.bytes > PATTERN_BYTES_MAX) {
            return Err(unstable(format!("and with {} bytes it is too large to learn how", large.bytes)));
        }
        let content = |run: &&Captured| {
            load(&run.sha256).map_err(|source| LearnError::Lost { stream: name.to_owned(), source })
        };
        let texts: Vec<Vec<u8>> = distinct.iter().map(content).collect::<Result<_, _>>()?;
        if rule == OutputRule::Exact {
            return Err(unstable(learned::first_difference(&texts[0], &texts[1])));
        }
        // Every run counts for the spread, also those that came out the same.
        let weights: Vec<&[u8]> = runs
            .iter()
            .filter_map(|run| distinct.iter().position(|known| known.sha256 == run.sha256))
            .map(|index| texts[index].as_slice())
            .collect();
        let pattern = Pattern::learn(&weights).map_err(unstable)?;
        Ok(Self::Varies { seen: distinct.iter().map(|run| run.sha256.clone()).collect(), pattern })
    }

    fn check(&self, name: &str, got: &Captured, load: Load<'_>) -> Result<(), Mismatch> {
        let differs = |what: String| Mismatch::Content { stream: name.to_owned(), what };
        match self {
            Self::Same(expected) if expected.sha256 == got.sha256 => Ok(()),
            Self::Same(expected) => {
                let loaded = load(&expected.sha256).and_then(|old| load(&got.sha256).map(|new| (old, new)));
                Err(differs(match loaded {
                    Ok((old, new)) => learned::first_difference(&old, &new),
                    Err(_) => format!("{} bytes instead of {}", got.bytes, expected.bytes),
                }))
            }
            Self::Varies { seen, .. } if seen.contains(&got.sha256) => Ok(()),
            Self::Varies { .. } if got.bytes > PATTERN_BYTES_MAX => {
                Err(differs(format!("{} bytes are far more than the original writes", got.bytes)))
            }
            Self::Varies { pattern, .. } => {
                let new =
                    load(&got.sha256).map_err(|error| differs(format!("it cannot be read back: {error}")))?;
                pattern.check(&new).map_err(differs)
            }
        }
    }

    fn describe(&self, name: &str, runs: usize) -> String {
        match self {
            Self::Same(captured) => {
                format!(
                    "{name} was the same in {runs} runs ({} bytes): must stay bit-identical",
                    captured.bytes
                )
            }
            Self::Varies { pattern, .. } => format!("{name}: {}", pattern.describe()),
        }
    }
}

/// A declared file, as messages name it.
fn in_words(name: &Path) -> String {
    format!("declared file {}", name.display())
}

#[cfg(test)]
mod tests;
