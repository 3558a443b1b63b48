//! What can be wrong with a rule, with the place and what to do.

use std::path::PathBuf;

/// A folder of rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FindingsError {
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// `line` is 1-based.
    #[error("{}:{line}: {message}", path.display())]
    Rule { path: PathBuf, line: u64, message: String, hint: String },
}

impl FindingsError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unreadable { .. } => None,
            Self::Rule { hint, .. } => Some(hint),
        }
    }
}
