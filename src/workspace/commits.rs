//! What stands in a worktree of ours, as one commit.
//!
//! The commit is a function of the files, the parent and the given time: whatever somebody working in the worktree did
//! to its HEAD, branch or index does not show, and the same call gives the same id again.
//!
//! **Invariant**: follows no symlink, runs no hook and no filter program.

use std::path::{Path, PathBuf};

use super::branches::Expect;
use super::error::{self, WorkspaceError, retry};
use super::{CommitId, Repository, Worktree, support};

/// What a commit says, and what it leaves out.
#[derive(Debug, Clone, Copy)]
pub struct NewCommit<'a> {
    /// The only parent.
    pub parent: &'a CommitId,
    /// One line.
    pub subject: &'a str,
    /// Paragraphs below it; may be empty.
    pub body: &'a str,
    /// Author and committer time, seconds since 1970, shown as UTC.
    pub unix_time_s: i64,
    /// Files and folders that stay as in the parent, relative to the root: copied inputs, outputs of test runs.
    pub exclude: &'a [PathBuf],
}

const GITLINK: u32 = 0o160_000;

impl Repository {
    /// Commits every change in a worktree against `commit.parent` that is not ignored: new, changed and deleted files,
    /// modes, symlinks. The branch, HEAD and index of the worktree then stand at the result.
    ///
    /// `None`: the files equal the parent's, and so does the branch now.
    ///
    /// # Errors
    /// [`WorkspaceError::Unsupported`] when a changed path has a filter attribute or is a repository of its own,
    /// [`WorkspaceError::NotOurs`], [`WorkspaceError::BranchInUse`].
    pub fn commit_all(
        &self,
        worktree: &Worktree,
        commit: &NewCommit<'_>,
    ) -> Result<Option<CommitId>, WorkspaceError> {
        let operation = "commit a worktree";
        let git = self.open_worktree(worktree)?;
        let parent = git.find_commit(commit.parent.oid()).map_err(error::git(operation))?;
        let parent_tree = parent.tree().map_err(error::git(operation))?;
        let mut index = git.index().map_err(error::git(operation))?;
        // Entries that differ from the parent lose their cached stamps and are compared by content.
        index.read_tree(&parent_tree).map_err(error::git(operation))?;
        add_changes(&git, &mut index, commit.exclude)?;
        let tree = index.write_tree_to(&git).map_err(error::git(operation))?;
        let result = match tree == parent_tree.id() {
            true => None,
            false => {
                let tree = git.find_tree(tree).map_err(error::git(operation))?;
                let author = author(&git, commit.unix_time_s)?;
                let message = message(commit.subject, commit.body);
                let id = git
                    .commit(None, &author, &author, &message, &tree, &[&parent])
                    .map_err(error::git(operation))?;
                Some(CommitId::from_oid(id))
            }
        };
        self.swap_branch(&worktree.branch, Expect::Anything, result.as_ref().unwrap_or(commit.parent))?;
        self.settle_head(&git, &worktree.branch)?;
        retry("write a worktree's index", || index.write())?;
        Ok(result)
    }
}

/// Brings `index` from the parent's tree to what the folder holds.
fn add_changes(
    git: &git2::Repository,
    index: &mut git2::Index,
    exclude: &[PathBuf],
) -> Result<(), WorkspaceError> {
    let operation = "read the changes of a worktree";
    let config = git.config().map_err(error::git(operation))?;
    let mut refused = None;
    let mut visit = |path: &Path, _pathspec: &[u8]| -> i32 {
        if exclude.iter().any(|excluded| path.starts_with(excluded)) {
            return 1;
        }
        // A nested repository shows up as a folder.
        let nested = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let verdict = match nested {
            true => Err(nested_repository(path)),
            false => support::refuse_filter(git, &config, path),
        };
        match verdict {
            Ok(()) => 0,
            Err(error) => {
                refused = Some(error);
                -1
            }
        }
    };
    let added = index.add_all(["*"], git2::IndexAddOption::DEFAULT, Some(&mut visit));
    if let Some(error) = refused {
        return Err(error);
    }
    added.map_err(error::git(operation))?;
    match index.iter().find(|entry| entry.mode == GITLINK) {
        Some(entry) => Err(nested_repository(Path::new(&*String::from_utf8_lossy(&entry.path)))),
        None => Ok(()),
    }
}

fn nested_repository(path: &Path) -> WorkspaceError {
    support::unsupported("submodules", format!("{} is another repository", path.display()))
}

/// The user's configured identity, or ours where there is none.
fn author(git: &git2::Repository, unix_time_s: i64) -> Result<git2::Signature<'static>, WorkspaceError> {
    let time = git2::Time::new(unix_time_s, 0);
    let user = git.signature().ok();
    let user = user.and_then(|user| git2::Signature::new(user.name().ok()?, user.email().ok()?, &time).ok());
    match user {
        Some(user) => Ok(user),
        None => {
            git2::Signature::new("perfup", "perfup@localhost", &time).map_err(error::git("sign a commit"))
        }
    }
}

/// Subject, empty line, body; a subject of several lines would break every log view.
fn message(subject: &str, body: &str) -> String {
    let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    match body.trim() {
        "" => format!("{subject}\n"),
        body => format!("{subject}\n\n{body}\n"),
    }
}

#[cfg(test)]
mod tests;
