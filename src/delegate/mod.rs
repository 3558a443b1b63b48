//! Executors: who turns a hypothesis into changed code.
//!
//! **Invariant**: edits files in the worktree it is given, and nothing else; never measures, never judges.

mod process;
pub mod recipes;

use std::path::PathBuf;

use crate::config::{CommandLine, Policy};
use crate::diagnose::Runtime;
use crate::plan::Hypothesis;

/// What a recipe may look at when it proposes: the tree of one commit, and how it is run.
#[derive(Debug, Clone)]
pub struct Project {
    /// A worktree at the commit; the only place to read files from.
    pub root: PathBuf,
    /// Tracked files, relative to the root, sorted.
    pub files: Vec<PathBuf>,
    pub command: CommandLine,
    pub build: Option<CommandLine>,
    /// The benchmark's folder, relative to the root.
    pub cwd: PathBuf,
    pub runtime: Runtime,
    /// Policies that the user allowed.
    pub allow: Vec<Policy>,
}

/// What an executor did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegated {
    /// One or two sentences for the commit message and the worklog.
    pub summary: String,
}

/// Why nothing came of a delegation.
#[derive(Debug, thiserror::Error)]
pub enum DelegateError {
    /// The place the hypothesis spoke of is no longer there.
    #[error("{recipe} no longer applies: {reason}")]
    NotApplicable { recipe: String, reason: String },
    #[error("cannot {operation} {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{tool} failed: {reason}")]
    Tool { tool: String, reason: String },
}

/// Somebody who proposes and makes changes.
pub trait Executor: Sync {
    /// Kebab-case, unique.
    fn id(&self) -> &'static str;
    /// What it could do to this project, in no particular order.
    fn propose(&self, project: &Project) -> Vec<Hypothesis>;
    /// Makes one change in the worktree at `project.root`.
    ///
    /// # Errors
    /// [`DelegateError`]; the worktree may then be half-edited and is thrown away.
    fn execute(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError>;
}

/// Every executor, in the order of listings.
pub const EXECUTORS: &[&dyn Executor] = &[&recipes::Recipes];
