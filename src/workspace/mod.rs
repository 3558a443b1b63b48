//! The user's git repository, and our worktrees, commits and branches in it.
//!
//! All of it through libgit2: hooks never run, `commit.gpgsign` is not obeyed, nothing is fetched or pushed.
//! A [`Repository`] is one handle; it may move to another thread but not be shared: open one per thread.
//!
//! **Invariant**: never writes the user's HEAD, index, checkout, stash, configuration, or a reference outside
//! `refs/heads/perfup/` and `refs/perfup/`; no type of `git2` leaves this room.

mod branches;
mod commits;
mod create;
mod diffs;
mod error;
mod inputs;
mod names;
mod removal;
mod snapshot;
mod support;
mod worktrees;

#[cfg(test)]
mod fixture;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use branches::{DeletedBranches, KeptRef};
pub use commits::NewCommit;
pub use create::create_repository;
pub use diffs::{Change, ChangeKind, DiffStat};
pub use error::WorkspaceError;
pub use inputs::copy_input;
pub use names::{CommitId, PerfupBranch};
pub use snapshot::UserState;
pub use worktrees::{Ignored, Worktree};

/// One handle on the user's repository.
pub struct Repository {
    git: git2::Repository,
    /// The checkout the user stands in, canonical.
    root: PathBuf,
    /// Shared by all worktrees, canonical; equals the git folder unless the user stands in a linked worktree.
    common_dir: PathBuf,
}

/// How far the user's checkout is from `HEAD`: numbers of entries, as `git status` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dirty {
    /// Changed, deleted or conflicting files that are not staged.
    pub modified: usize,
    pub staged: usize,
    /// Files, or whole untracked folders counted once; ignored ones do not count.
    pub untracked: usize,
}

impl Dirty {
    pub fn is_clean(self) -> bool {
        self == Dirty::default()
    }
}

impl Repository {
    /// Opens the repository whose checkout `path` lies in.
    ///
    /// # Errors
    /// [`WorkspaceError::NotARepository`], [`WorkspaceError::Bare`], [`WorkspaceError::NoCommits`],
    /// [`WorkspaceError::NotOwned`], and [`WorkspaceError::Unsupported`] for features that libgit2 would get wrong.
    pub fn open(path: &Path) -> Result<Repository, WorkspaceError> {
        let no_ceiling: [&OsStr; 0] = [];
        let git_dir =
            git2::Repository::discover_path(path, no_ceiling).map_err(|error| match error.code() {
                git2::ErrorCode::NotFound => WorkspaceError::NotARepository { path: path.to_owned() },
                _ => error::git("look for a git repository")(error),
            })?;
        let common_dir = support::common_dir(&git_dir)?;
        support::refuse_format(&common_dir)?;
        // By `path`, not by the git folder found: only a `.git` file on the way tells whose checkout it is.
        let no_flags = git2::RepositoryOpenFlags::empty();
        let git =
            git2::Repository::open_ext(path, no_flags, no_ceiling).map_err(|error| match error.code() {
                git2::ErrorCode::Owner => WorkspaceError::NotOwned { path: owner_path(&git_dir) },
                _ => error::git("open the repository")(error),
            })?;
        let Some(workdir) = git.workdir() else {
            return Err(WorkspaceError::Bare { path: git_dir });
        };
        let root = workdir.canonicalize().map_err(error::io("find the checkout", workdir))?;
        let repository = Repository { root, common_dir, git };
        let head = repository.head()?;
        support::refuse_contents(&repository, &head)?;
        Ok(repository)
    }

    /// The top of the user's checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The git folder of the user's checkout: `.git`, or `.git/worktrees/<name>` of a linked worktree.
    pub fn git_dir(&self) -> &Path {
        self.git.path()
    }

    /// The git folder that all worktrees share: one per repository, so the place for a lock.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The commit the user has checked out, on a branch or not.
    ///
    /// # Errors
    /// [`WorkspaceError::NoCommits`] when there is none.
    pub fn head(&self) -> Result<CommitId, WorkspaceError> {
        let head = self.git.head().and_then(|head| head.peel_to_commit());
        match head {
            Ok(commit) => Ok(CommitId::from_oid(commit.id())),
            Err(error) if error.code() == git2::ErrorCode::UnbornBranch => {
                Err(WorkspaceError::NoCommits { path: self.root.clone() })
            }
            Err(error) => Err(error::git("read HEAD")(error)),
        }
    }

    /// The user's branch, absent when HEAD is detached.
    pub fn head_branch(&self) -> Option<String> {
        let head = self.git.head().ok()?;
        head.is_branch().then(|| String::from_utf8_lossy(head.shorthand_bytes()).into_owned())
    }

    /// The commit that `rev` names: an id, a branch, a tag, `HEAD~2`.
    ///
    /// # Errors
    /// [`WorkspaceError::UnknownRevision`] when it names none, or more than one.
    pub fn resolve(&self, rev: &str) -> Result<CommitId, WorkspaceError> {
        self.git
            .revparse_single(rev)
            .and_then(|object| object.peel_to_commit())
            .map(|commit| CommitId::from_oid(commit.id()))
            .map_err(|_| WorkspaceError::UnknownRevision { rev: rev.to_owned() })
    }

    /// What stands uncommitted in the user's checkout. Reads only: not even the index's time stamps are refreshed.
    ///
    /// # Errors
    /// When the index or the checkout cannot be read.
    pub fn dirty(&self) -> Result<Dirty, WorkspaceError> {
        let mut options = git2::StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(false).include_ignored(false);
        options.exclude_submodules(true);
        let statuses =
            self.git.statuses(Some(&mut options)).map_err(error::git("read the checkout's status"))?;
        let staged = git2::Status::INDEX_NEW
            | git2::Status::INDEX_MODIFIED
            | git2::Status::INDEX_DELETED
            | git2::Status::INDEX_RENAMED
            | git2::Status::INDEX_TYPECHANGE;
        let modified = git2::Status::WT_MODIFIED
            | git2::Status::WT_DELETED
            | git2::Status::WT_RENAMED
            | git2::Status::WT_TYPECHANGE
            | git2::Status::CONFLICTED;
        let mut dirty = Dirty::default();
        for status in statuses.iter().map(|entry| entry.status()) {
            dirty.staged += usize::from(status.intersects(staged));
            dirty.modified += usize::from(status.intersects(modified));
            dirty.untracked += usize::from(status.contains(git2::Status::WT_NEW));
        }
        Ok(dirty)
    }

    /// Files and symlinks of a commit, relative to the root, sorted.
    ///
    /// # Errors
    /// When the commit or one of its trees is not in the repository.
    pub fn tracked_files(&self, commit: &CommitId) -> Result<Vec<PathBuf>, WorkspaceError> {
        let mut files = Vec::new();
        self.each_entry(commit, &mut |path, entry| {
            if entry.kind() == Some(git2::ObjectType::Blob) {
                files.push(path.to_owned());
            }
            Ok(())
        })?;
        files.sort();
        Ok(files)
    }

    /// The bytes of a file at a commit as stored (of a symlink, its target); absent when it is not a file there.
    ///
    /// # Errors
    /// When the commit or the file's object is not in the repository.
    pub fn read_file(&self, commit: &CommitId, path: &Path) -> Result<Option<Vec<u8>>, WorkspaceError> {
        let operation = "read a file of a commit";
        let tree = self.tree(commit)?;
        let Ok(entry) = tree.get_path(path) else {
            return Ok(None);
        };
        if entry.kind() != Some(git2::ObjectType::Blob) {
            return Ok(None);
        }
        let blob = self.git.find_blob(entry.id()).map_err(error::git(operation))?;
        Ok(Some(blob.content().to_vec()))
    }

    fn tree(&self, commit: &CommitId) -> Result<git2::Tree<'_>, WorkspaceError> {
        let commit = self.git.find_commit(commit.oid()).map_err(error::git("find a commit"))?;
        commit.tree().map_err(error::git("read a commit's tree"))
    }

    /// Visits every entry below the commit's root that is not a folder.
    fn each_entry(
        &self,
        commit: &CommitId,
        visit: &mut dyn FnMut(&Path, &git2::TreeEntry<'_>) -> Result<(), WorkspaceError>,
    ) -> Result<(), WorkspaceError> {
        let mut folders = vec![(PathBuf::new(), self.tree(commit)?)];
        while let Some((folder, tree)) = folders.pop() {
            for entry in tree.iter() {
                let path = folder.join(OsStr::from_bytes(entry.name_bytes()));
                match entry.kind() {
                    Some(git2::ObjectType::Tree) => {
                        let tree =
                            self.git.find_tree(entry.id()).map_err(error::git("read a commit's tree"))?;
                        folders.push((path, tree));
                    }
                    _ => visit(&path, &entry)?,
                }
            }
        }
        Ok(())
    }
}

/// What `safe.directory` would have to name: the folder that holds `.git`.
fn owner_path(git_dir: &Path) -> PathBuf {
    git_dir.parent().unwrap_or(git_dir).to_owned()
}

/// A path that git wrote in a file of its own: bytes up to the final newline.
fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.strip_suffix(b"\n").unwrap_or(bytes).to_vec()))
}

#[cfg(test)]
mod tests;
