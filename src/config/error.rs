//! What can be wrong with a configuration, with the place and the nearest right word.

use std::fmt;
use std::path::PathBuf;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}:{place}: {message}", path.display())]
    Invalid { path: PathBuf, place: Place, message: String, hint: Option<String> },
    #[error("{} has no benchmark named {name:?}", path.display())]
    NoSuchBenchmark { path: PathBuf, name: String, known: Vec<String> },
    #[error("{} configures {} benchmarks", path.display(), known.len())]
    WhichBenchmark { path: PathBuf, known: Vec<String> },
    #[error("there is nothing to run: no command was given and {} configures no benchmark", path.display())]
    NothingToRun { path: PathBuf },
    #[error("{} leaves the repository {}", path.display(), root.display())]
    Outside { path: PathBuf, root: PathBuf },
    #[error("bad {option}: {message}")]
    Option { option: &'static str, message: String },
}

impl ConfigError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } | Self::Option { .. } => None,
            Self::Invalid { hint, .. } => hint.clone(),
            Self::Outside { .. } => Some(
                "every candidate works in a copy of the repository, and finds only what lies in it"
                    .to_owned(),
            ),
            Self::NoSuchBenchmark { name, known, .. } => Some(match nearest(name, known) {
                Some(near) => format!("did you mean {near:?}? Known: {}", known.join(", ")),
                None => format!("known: {}", known.join(", ")),
            }),
            Self::WhichBenchmark { known, .. } => Some(format!("name one of them: {}", known.join(", "))),
            Self::NothingToRun { .. } => Some(
                "give the slow command after `--`, for example: perfup run -- python3 slow.py".to_owned(),
            ),
        }
    }
}

/// A place in a text file, both 1-based; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub(super) fn of_offset(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The known word most like `word`, when one is likely meant.
pub(super) fn nearest<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate.as_str()))
        // 0.8: "comand"/"command" is 0.97, "build"/"prepare" 0.4; unrelated keys stay below 0.7.
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
