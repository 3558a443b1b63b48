//! A real repository in a temporary folder, for this room's tests.

use std::fs;
use std::path::{Path, PathBuf};

use super::{CommitId, PerfupBranch, Repository, Worktree};

pub(super) struct Fixture {
    scratch: tempfile::TempDir,
    /// The test's own handle: what the user does.
    pub(super) git: git2::Repository,
}

impl Fixture {
    /// One commit with a `README`, on `main`, made by `Ann`.
    pub(super) fn new() -> Fixture {
        let scratch = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main").external_template(false);
        let git = git2::Repository::init_opts(scratch.path().join("user"), &options).unwrap();
        let mut config = git.config().unwrap();
        config.set_str("user.name", "Ann").unwrap();
        config.set_str("user.email", "ann@example.org").unwrap();
        let fixture = Fixture { scratch, git };
        fixture.commit("README", "read me\n", "first");
        fixture
    }

    pub(super) fn root(&self) -> PathBuf {
        self.scratch.path().join("user")
    }

    pub(super) fn open(&self) -> Repository {
        Repository::open(&self.root()).unwrap()
    }

    /// A path outside the user's checkout that does not exist.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.scratch.path().canonicalize().unwrap().join("trees").join(name)
    }

    /// A worktree at HEAD on `perfup/s1/<leaf>`.
    pub(super) fn worktree(&self, repository: &Repository, leaf: &str) -> Worktree {
        let branch = PerfupBranch::new(format!("perfup/s1/{leaf}")).unwrap();
        repository.create_worktree(&self.place(leaf), &branch, &repository.head().unwrap()).unwrap()
    }

    pub(super) fn write(&self, path: &str, content: &str) {
        write(&self.root().join(path), content);
    }

    pub(super) fn remove(&self, path: &str) {
        fs::remove_file(self.root().join(path)).unwrap();
    }

    pub(super) fn stage(&self, path: &str, content: &str) {
        self.write(path, content);
        let mut index = self.git.index().unwrap();
        index.add_path(Path::new(path)).unwrap();
        index.write().unwrap();
    }

    pub(super) fn commit(&self, path: &str, content: &str, message: &str) -> CommitId {
        self.write(path, content);
        self.commit_index(message)
    }

    /// Commits everything in the checkout.
    pub(super) fn commit_index(&self, message: &str) -> CommitId {
        let mut index = self.git.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = self.git.find_tree(index.write_tree().unwrap()).unwrap();
        self.commit_tree(Some("HEAD"), &tree, message)
    }

    /// A commit that no reference holds.
    pub(super) fn commit_object(&self, message: &str) -> CommitId {
        let tree = self.git.head().unwrap().peel_to_tree().unwrap();
        self.commit_tree(None, &tree, message)
    }

    pub(super) fn commit_tree(&self, update: Option<&str>, tree: &git2::Tree<'_>, message: &str) -> CommitId {
        let signature = self.git.signature().unwrap();
        let parent = self.git.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let id = self.git.commit(update, &signature, &signature, message, tree, &parents).unwrap();
        CommitId::from_oid(id)
    }

    pub(super) fn object(&self, commit: &CommitId) -> git2::Object<'_> {
        self.git.find_object(commit.oid(), None).unwrap()
    }

    pub(super) fn branch(&self, name: &str, at: &CommitId) {
        let commit = self.git.find_commit(at.oid()).unwrap();
        self.git.branch(name, &commit, false).unwrap();
    }
}

pub(super) fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}
