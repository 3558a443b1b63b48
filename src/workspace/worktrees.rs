//! Worktrees of ours: made, listed, reset, removed, and cleaned up after a crash.
//!
//! A worktree is ours when its entry in `<git>/worktrees/` is called `perfup-` and 16 hexadecimal digits (of its
//! branch's name): what the user adds by hand, even on a perfup branch, never is. A folder is removed only while its
//! `.git` file leads to such an entry, and that file goes last: a removal cut short can be taken up again.
//!
//! **Invariant**: removes nothing but worktrees of ours and empty folders.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::branches::Expect;
use super::error::{self, WorkspaceError, retry};
use super::removal::{remove_folder, remove_locks, remove_tree};
use super::{CommitId, PerfupBranch, Repository, path_from_bytes};

/// A folder of ours with a branch of ours checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worktree {
    /// Canonical.
    pub path: PathBuf,
    /// The branch it was made for, wherever somebody working in it may have moved its HEAD.
    pub branch: PerfupBranch,
}

/// What becomes of ignored files (build folders, mostly) when a worktree is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    Keep,
    Remove,
}

/// A place where some branch is checked out.
pub(super) struct Checkout {
    pub(super) path: PathBuf,
    /// Full name of the branch; absent when detached or unreadable.
    pub(super) head: Option<String>,
    pub(super) ours: bool,
}

/// The file in a worktree's entry that names its branch.
const BRANCH_FILE: &str = "perfup-branch";

impl Repository {
    /// Makes a worktree at `path` (absolute, outside the user's checkout) on `branch`, which is created at `start` or
    /// moved there. What an earlier, interrupted call left at this path or for this branch is cleaned up first.
    ///
    /// # Errors
    /// [`WorkspaceError::BadPlace`], [`WorkspaceError::Occupied`] when something that is not ours stands there,
    /// [`WorkspaceError::BranchInUse`] when the user has the branch checked out.
    pub fn create_worktree(
        &self,
        path: &Path,
        branch: &PerfupBranch,
        start: &CommitId,
    ) -> Result<Worktree, WorkspaceError> {
        let operation = "create a worktree";
        let path = self.check_place(path)?;
        let name = entry_name(branch);
        let _alone = self.lock_entries()?;
        self.clear_place(&path, &name)?;
        self.swap_branch(branch, Expect::Anything, start)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(error::io(operation, parent))?;
        }
        let reference = self.git.find_reference(&branch.reference()).map_err(error::git(operation))?;
        let mut options = git2::WorktreeAddOptions::new();
        options.reference(Some(&reference));
        retry(operation, || self.git.worktree(&name, &path, Some(&options)))?;
        let label = self.entry(&name).join(BRANCH_FILE);
        fs::write(&label, branch.as_str()).map_err(error::io(operation, &label))?;
        Ok(Worktree { path, branch: branch.clone() })
    }

    /// Worktrees of ours that are whole, by path.
    ///
    /// # Errors
    /// When the git folder cannot be read.
    pub fn list_worktrees(&self) -> Result<Vec<Worktree>, WorkspaceError> {
        let mut worktrees: Vec<Worktree> = self
            .entries()?
            .into_iter()
            .filter(|entry| entry.ours && entry.is_whole())
            .filter_map(|entry| Some(Worktree { path: entry.path?, branch: entry.branch? }))
            .collect();
        worktrees.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(worktrees)
    }

    /// Removes a worktree of ours, folder and entry; its branch stays. One that is gone already is fine.
    ///
    /// # Errors
    /// [`WorkspaceError::NotOurs`] when something else stands there.
    pub fn remove_worktree(&self, path: &Path) -> Result<(), WorkspaceError> {
        let path = canonical_place(path);
        let _alone = self.lock_entries()?;
        let mut found = false;
        for entry in self.entries()?.into_iter().filter(|entry| entry.ours) {
            if entry.path.as_ref() == Some(&path) {
                self.discard(&entry)?;
                found = true;
            }
        }
        if found || !exists(&path) {
            return Ok(());
        }
        match self.is_leftover(&path) {
            true => remove_folder(&path),
            false => Err(WorkspaceError::NotOurs { path, reason: "the repository does not know it" }),
        }
    }

    /// Makes a worktree look like `commit` again: its branch and HEAD, its index, its files; untracked files go, copied
    /// inputs too.
    ///
    /// # Errors
    /// [`WorkspaceError::NotOurs`], [`WorkspaceError::BranchInUse`].
    pub fn reset_worktree(
        &self,
        worktree: &Worktree,
        commit: &CommitId,
        ignored: Ignored,
    ) -> Result<(), WorkspaceError> {
        let operation = "reset a worktree";
        let git = self.open_worktree(worktree)?;
        self.swap_branch(&worktree.branch, Expect::Anything, commit)?;
        self.settle_head(&git, &worktree.branch)?;
        let commit = git.find_commit(commit.oid()).map_err(error::git(operation))?;
        let tree = commit.tree().map_err(error::git(operation))?;
        let mut index = git.index().map_err(error::git(operation))?;
        index.read_tree(&tree).map_err(error::git(operation))?;
        retry(operation, || index.write())?;
        sweep(&git, &worktree.path, ignored)?;
        let mut checkout = git2::build::CheckoutBuilder::new();
        checkout.force();
        retry(operation, || git.checkout_tree(tree.as_object(), Some(&mut checkout)))
    }

    /// Cleans up what killed runs left: entries without a folder, half-made ones, lock files under our references.
    /// Returns how many things were removed. Call it while holding the session lock: it takes for granted that no
    /// other perfup is at work in this repository.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clean_leftovers(&self) -> Result<usize, WorkspaceError> {
        let mut removed = 0;
        let _alone = self.lock_entries()?;
        for entry in self.entries()?.into_iter().filter(|entry| entry.ours) {
            if entry.is_whole() && entry.branch.is_some() {
                removed += remove_locks(&entry.admin)?;
            } else {
                self.discard(&entry)?;
                removed += 1;
            }
        }
        for folder in ["refs/heads/perfup", "refs/perfup"] {
            removed += remove_locks(&self.common_dir.join(folder))?;
        }
        Ok(removed)
    }

    /// Every checkout of the repository: the main one first, then the linked ones.
    pub(super) fn checkouts(&self) -> Result<Vec<Checkout>, WorkspaceError> {
        let common = &self.common_dir;
        let path = match self.git.is_worktree() {
            false => &self.root,
            // Standing in a linked worktree, the main checkout is beside `.git`; a bare repository has none.
            true => common.parent().filter(|_| common.ends_with(".git")).unwrap_or(common),
        };
        let main = Checkout { path: path.to_owned(), head: read_head(common), ours: false };
        let linked = self.entries()?.into_iter().map(|entry| Checkout {
            head: read_head(&entry.admin),
            ours: entry.ours,
            path: entry.path.unwrap_or(entry.admin),
        });
        Ok(std::iter::once(main).chain(linked).collect())
    }

    /// Opens a worktree of ours by its own `.git` file, once that file is known to be true.
    pub(super) fn open_worktree(&self, worktree: &Worktree) -> Result<git2::Repository, WorkspaceError> {
        let path = canonical_place(&worktree.path);
        let not_ours = |reason| WorkspaceError::NotOurs { path: path.clone(), reason };
        let entry = self.entry(&entry_name(&worktree.branch));
        match linked_entry(&path) {
            None => return Err(not_ours("its .git file is missing or not a link")),
            Some(linked) if linked != entry => return Err(not_ours("its .git file leads elsewhere")),
            Some(_) => {}
        }
        let git = git2::Repository::open(&path).map_err(error::git("open a worktree"))?;
        if git.commondir().canonicalize().ok().as_ref() != Some(&self.common_dir) {
            return Err(not_ours("it belongs to another repository"));
        }
        // `core.worktree` could send a checkout elsewhere.
        match git.workdir().and_then(|workdir| workdir.canonicalize().ok()) {
            Some(workdir) if workdir == path => Ok(git),
            _ => Err(not_ours("its files are configured to be elsewhere")),
        }
    }

    /// Points a worktree's HEAD at its branch again, and ends a merge or rebase that somebody began there.
    pub(super) fn settle_head(
        &self,
        git: &git2::Repository,
        branch: &PerfupBranch,
    ) -> Result<(), WorkspaceError> {
        let operation = "point a worktree's HEAD at its branch";
        let reference = branch.reference();
        if read_head(git.path()).as_deref() != Some(reference.as_str()) {
            let _alone = self.lock_entries()?;
            retry(operation, || git.set_head(&reference))?;
        }
        git.cleanup_state().map_err(error::git(operation))
    }

    /// Keeps other handles and processes of ours from adding or removing worktrees until dropped: libgit2 takes a
    /// branch for checked out when it meets somebody's half-made worktree. The lock goes with its holder, even a
    /// killed one.
    fn lock_entries(&self) -> Result<fs::File, WorkspaceError> {
        let operation = "lock the list of worktrees in";
        let folder = self.common_dir.join("worktrees");
        fs::create_dir_all(&folder).map_err(error::io(operation, &folder))?;
        let handle = fs::File::open(&folder).map_err(error::io(operation, &folder))?;
        handle.lock().map_err(error::io(operation, &folder))?;
        Ok(handle)
    }

    /// Outside git's folder and every checkout of the user's, and around none of them.
    fn check_place(&self, path: &Path) -> Result<PathBuf, WorkspaceError> {
        let place = canonical_place(path);
        let mut theirs: Vec<PathBuf> = self
            .checkouts()?
            .into_iter()
            .filter(|checkout| !checkout.ours)
            .map(|checkout| checkout.path)
            .collect();
        theirs.extend([self.root.clone(), self.common_dir.clone()]);
        let overlap = theirs.iter().any(|theirs| place.starts_with(theirs) || theirs.starts_with(&place));
        match path.is_absolute() && !overlap {
            true => Ok(place),
            false => Err(WorkspaceError::BadPlace { path: path.to_owned(), root: self.root.clone() }),
        }
    }

    /// Makes room for a worktree: nothing at `path`, no entry called `name`.
    fn clear_place(&self, path: &Path, name: &str) -> Result<(), WorkspaceError> {
        for entry in self.entries()?.into_iter().filter(|entry| entry.ours) {
            if entry.path.as_deref() == Some(path) || entry.name == name {
                self.discard(&entry)?;
            }
        }
        if !exists(path) {
            return Ok(());
        }
        match self.is_leftover(path) {
            true => remove_folder(path),
            false => Err(WorkspaceError::Occupied { path: path.to_owned() }),
        }
    }

    /// Removes a worktree of ours: the folder while its entry still vouches for it, then the entry.
    fn discard(&self, entry: &Entry) -> Result<(), WorkspaceError> {
        if let Some(path) = &entry.path
            && exists(path)
            && linked_entry(path).as_ref() == Some(&entry.admin)
        {
            remove_folder(path)?;
        }
        remove_tree(&entry.admin).map_err(error::io("remove a worktree's entry", &entry.admin))
    }

    /// Whether a folder without an entry is what an interrupted call of ours left: empty, or linked to where an entry
    /// of ours was.
    fn is_leftover(&self, path: &Path) -> bool {
        match linked_entry(path) {
            Some(entry) => {
                let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                entry.parent() == Some(&self.common_dir.join("worktrees")) && is_entry_name(name)
            }
            None => fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()),
        }
    }

    fn entry(&self, name: &str) -> PathBuf {
        self.common_dir.join("worktrees").join(name)
    }

    /// What `<git>/worktrees/` holds, whole or not.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, WorkspaceError> {
        let folder = self.common_dir.join("worktrees");
        let listing = match fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error::io("read", &folder)(error)),
        };
        let mut entries = Vec::new();
        for item in listing {
            let admin = item.map_err(error::io("read", &folder))?.path();
            if admin.is_dir() {
                entries.push(Entry::read(admin));
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

/// One folder of `<git>/worktrees/`.
pub(super) struct Entry {
    pub(super) admin: PathBuf,
    pub(super) name: String,
    pub(super) ours: bool,
    /// Where the worktree should be; absent in a half-made entry.
    path: Option<PathBuf>,
    /// Absent in the user's worktrees and in half-made ones.
    branch: Option<PerfupBranch>,
}

impl Entry {
    fn read(admin: PathBuf) -> Entry {
        let name = admin.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ours = is_entry_name(&name);
        let link = fs::read(admin.join("gitdir")).ok().map(|bytes| admin.join(path_from_bytes(&bytes)));
        let path = link.and_then(|link| link.parent().map(canonical_place));
        let branch = fs::read_to_string(admin.join(BRANCH_FILE)).ok();
        let branch = branch.and_then(|branch| PerfupBranch::new(branch).ok()).filter(|_| ours);
        Entry { admin, name, ours, path, branch }
    }

    /// Whether entry and folder lead to each other, and libgit2 would open it.
    fn is_whole(&self) -> bool {
        let leads_back = |path: &PathBuf| linked_entry(path).as_ref() == Some(&self.admin);
        self.path.as_ref().is_some_and(leads_back)
            && ["HEAD", "commondir"].iter().all(|file| self.admin.join(file).is_file())
    }
}

/// Unique per branch, and a valid folder name whatever the branch is called.
fn entry_name(branch: &PerfupBranch) -> String {
    let digest = Sha256::digest(branch.as_str());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("perfup-{hex}")
}

fn is_entry_name(name: &str) -> bool {
    let hex = name.strip_prefix("perfup-").unwrap_or_default();
    hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where the `.git` file of a folder leads, canonical as far as it exists.
fn linked_entry(path: &Path) -> Option<PathBuf> {
    let link = path.join(".git");
    if !fs::symlink_metadata(&link).ok()?.is_file() {
        return None;
    }
    let bytes = fs::read(&link).ok()?;
    Some(canonical_place(&path.join(path_from_bytes(bytes.strip_prefix(b"gitdir: ")?))))
}

/// The branch's full name in the HEAD file of a git folder.
fn read_head(git_dir: &Path) -> Option<String> {
    let head = fs::read_to_string(git_dir.join("HEAD")).ok()?;
    Some(head.strip_prefix("ref: ")?.trim_end().to_owned())
}

/// `path` with symlinks resolved in the part of it that exists.
fn canonical_place(path: &Path) -> PathBuf {
    if let Ok(canonical) = path.canonicalize() {
        return canonical;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent != path => canonical_place(parent).join(name),
        _ => path.to_owned(),
    }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Removes what the index of a worktree does not know. libgit2's own `remove_untracked` spares nested repositories.
fn sweep(git: &git2::Repository, root: &Path, ignored: Ignored) -> Result<(), WorkspaceError> {
    let operation = "find untracked files of a worktree";
    let mut options = git2::StatusOptions::new();
    options.show(git2::StatusShow::Workdir).include_untracked(true);
    options.include_ignored(ignored == Ignored::Remove);
    let statuses = git.statuses(Some(&mut options)).map_err(error::git(operation))?;
    let unknown = git2::Status::WT_NEW | git2::Status::IGNORED;
    for entry in statuses.iter().filter(|entry| entry.status().intersects(unknown)) {
        let path = root.join(OsStr::from_bytes(entry.path_bytes()));
        remove_tree(&path).map_err(error::io("remove", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
