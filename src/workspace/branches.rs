//! Branches and kept references of ours, moved by compare-and-swap.
//!
//! **Invariant**: every name written here is built from a [`PerfupBranch`] or a checked session id, so it starts with
//! `refs/heads/perfup/` or `refs/perfup/`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::error::{self, WorkspaceError, retry};
use super::names::{BRANCHES, KEPT, check_component};
use super::{CommitId, PerfupBranch, Repository};

/// A commit that [`Repository::keep_ref`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRef {
    /// The attempt's number.
    pub n: u32,
    pub commit: CommitId,
}

/// What [`Repository::delete_branches`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeletedBranches {
    pub deleted: Vec<PerfupBranch>,
    /// Left alone, because they are checked out in these folders.
    pub in_use: Vec<(PerfupBranch, PathBuf)>,
}

/// What a reference must be for a change to go ahead.
#[derive(Clone, Copy)]
pub(super) enum Expect<'a> {
    Anything,
    /// `None` means: does not exist.
    Exactly(Option<&'a CommitId>),
}

impl Repository {
    /// Makes a branch that does not exist yet.
    ///
    /// # Errors
    /// [`WorkspaceError::Raced`] when it exists, at whatever commit.
    pub fn create_branch(&self, branch: &PerfupBranch, at: &CommitId) -> Result<(), WorkspaceError> {
        self.move_branch(branch, None, at)
    }

    /// Moves a branch from `expected_old` (`None`: it must not exist) to `new`, or not at all.
    ///
    /// # Errors
    /// [`WorkspaceError::Raced`] when it stands elsewhere, [`WorkspaceError::BranchInUse`] when the user has it
    /// checked out.
    pub fn move_branch(
        &self,
        branch: &PerfupBranch,
        expected_old: Option<&CommitId>,
        new: &CommitId,
    ) -> Result<(), WorkspaceError> {
        self.swap_branch(branch, Expect::Exactly(expected_old), new)
    }

    /// Where a branch stands; absent when it does not exist.
    ///
    /// # Errors
    /// When the reference cannot be read.
    pub fn branch_commit(&self, branch: &PerfupBranch) -> Result<Option<CommitId>, WorkspaceError> {
        target(&self.git, &branch.reference())
    }

    /// Keeps a commit reachable that no branch holds, as `refs/perfup/<session>/<n>`. Replaces an older one.
    ///
    /// # Errors
    /// [`WorkspaceError::InvalidName`] for a session id that cannot be part of a reference name.
    pub fn keep_ref(&self, session: &str, n: u32, commit: &CommitId) -> Result<(), WorkspaceError> {
        check_component(session)?;
        self.swap(&format!("{KEPT}{session}/{n}"), Expect::Anything, commit)
    }

    /// The kept commits of a session, by number.
    ///
    /// # Errors
    /// When references cannot be read.
    pub fn list_refs(&self, session: &str) -> Result<Vec<KeptRef>, WorkspaceError> {
        check_component(session)?;
        let prefix = format!("{KEPT}{session}/");
        let mut kept = Vec::new();
        for name in self.reference_names(&prefix)? {
            let n = name.strip_prefix(&prefix).and_then(|n| n.parse().ok());
            if let (Some(n), Some(commit)) = (n, target(&self.git, &name)?) {
                kept.push(KeptRef { n, commit });
            }
        }
        kept.sort_by_key(|kept| kept.n);
        Ok(kept)
    }

    /// Branches of a session, sorted.
    ///
    /// # Errors
    /// When references cannot be read.
    pub fn list_branches(&self, session: &str) -> Result<Vec<PerfupBranch>, WorkspaceError> {
        check_component(session)?;
        let names = self.reference_names(&format!("{BRANCHES}{session}/"))?;
        Ok(names.iter().filter_map(|name| PerfupBranch::from_reference(name)).collect())
    }

    /// Sessions that left a branch or a kept commit, sorted.
    ///
    /// # Errors
    /// When references cannot be read.
    pub fn sessions_with_refs(&self) -> Result<Vec<String>, WorkspaceError> {
        let mut sessions = BTreeSet::new();
        for prefix in [BRANCHES, KEPT] {
            for name in self.reference_names(prefix)? {
                let session = name.strip_prefix(prefix).and_then(|rest| rest.split_once('/'));
                sessions.extend(session.map(|(session, _)| session.to_owned()));
            }
        }
        Ok(sessions.into_iter().collect())
    }

    /// Forgets a session's kept commits; git collects them in its own time. Returns how many there were.
    ///
    /// # Errors
    /// When a reference cannot be deleted; those before it are gone.
    pub fn delete_refs(&self, session: &str) -> Result<usize, WorkspaceError> {
        check_component(session)?;
        let names = self.reference_names(&format!("{KEPT}{session}/"))?;
        for name in &names {
            self.delete(name)?;
        }
        Ok(names.len())
    }

    /// Deletes one branch; gone already is fine. Whatever has it checked out must be removed first.
    ///
    /// # Errors
    /// When the reference cannot be deleted.
    pub fn delete_branch(&self, branch: &PerfupBranch) -> Result<(), WorkspaceError> {
        match self.branch_commit(branch)? {
            Some(_) => self.delete(&branch.reference()),
            None => Ok(()),
        }
    }

    /// Deletes a session's branches that are not checked out anywhere: remove its worktrees first.
    ///
    /// # Errors
    /// When a branch cannot be deleted; those before it are gone.
    pub fn delete_branches(&self, session: &str) -> Result<DeletedBranches, WorkspaceError> {
        let mut result = DeletedBranches::default();
        let checkouts = self.checkouts()?;
        for branch in self.list_branches(session)? {
            let reference = branch.reference();
            match checkouts.iter().find(|checkout| checkout.head.as_deref() == Some(&reference)) {
                Some(checkout) => result.in_use.push((branch, checkout.path.clone())),
                None => {
                    self.delete(&reference)?;
                    result.deleted.push(branch);
                }
            }
        }
        Ok(result)
    }

    /// Moves one of our branches unless the user looks at it.
    pub(super) fn swap_branch(
        &self,
        branch: &PerfupBranch,
        expect: Expect<'_>,
        new: &CommitId,
    ) -> Result<(), WorkspaceError> {
        let reference = branch.reference();
        let user = self
            .checkouts()?
            .into_iter()
            .find(|checkout| !checkout.ours && checkout.head.as_deref() == Some(&reference));
        if let Some(checkout) = user {
            return Err(WorkspaceError::BranchInUse { branch: branch.clone(), checkout: checkout.path });
        }
        self.swap(&reference, expect, new)
    }

    /// Compare-and-swap: the reference is locked, read, compared, written.
    fn swap(&self, name: &str, expect: Expect<'_>, new: &CommitId) -> Result<(), WorkspaceError> {
        debug_assert!(name.starts_with(BRANCHES) || name.starts_with(KEPT), "{name}");
        self.refuse_taken_prefix(name)?;
        // The object must be here: git itself would refuse to point at nothing.
        self.git.find_commit(new.oid()).map_err(error::git("find a commit"))?;
        let mut lock = retry("lock a reference", || {
            let mut lock = self.git.transaction()?;
            lock.lock_ref(name)?;
            Ok(lock)
        })?;
        let found = target(&self.git, name)?;
        if let Expect::Exactly(expected) = expect
            && expected != found.as_ref()
        {
            let expected = expected.cloned();
            return Err(WorkspaceError::Raced { reference: name.to_owned(), expected, found });
        }
        if found.as_ref() == Some(new) {
            return Ok(());
        }
        lock.set_target(name, new.oid(), None, "perfup: move").map_err(error::git("move a reference"))?;
        lock.commit().map_err(error::git("move a reference"))
    }

    fn delete(&self, name: &str) -> Result<(), WorkspaceError> {
        debug_assert!(name.starts_with(BRANCHES) || name.starts_with(KEPT), "{name}");
        retry("delete a reference", || match self.git.find_reference(name) {
            Ok(mut reference) => reference.delete(),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(()),
            Err(error) => Err(error),
        })
    }

    /// A branch `perfup` or `perfup/<session>` of the user's makes our names impossible.
    fn refuse_taken_prefix(&self, name: &str) -> Result<(), WorkspaceError> {
        let parents = name.match_indices('/').map(|(at, _)| &name[..at]).skip(2);
        for parent in parents {
            if self.git.find_reference(parent).is_ok() {
                return Err(WorkspaceError::NameTaken { reference: parent.to_owned() });
            }
        }
        Ok(())
    }

    /// Names below `prefix`, sorted. Such names are ASCII unless somebody else made them; those are skipped.
    fn reference_names(&self, prefix: &str) -> Result<Vec<String>, WorkspaceError> {
        let operation = "list references";
        let mut references =
            self.git.references_glob(&format!("{prefix}*")).map_err(error::git(operation))?;
        let mut names = Vec::new();
        for name in references.names() {
            match name {
                Ok(name) => names.push(name.to_owned()),
                Err(error) if error.class() == git2::ErrorClass::None => {}
                Err(error) => return Err(error::git(operation)(error)),
            }
        }
        names.sort();
        Ok(names)
    }
}

fn target(git: &git2::Repository, name: &str) -> Result<Option<CommitId>, WorkspaceError> {
    match git.refname_to_id(name) {
        Ok(oid) => Ok(Some(CommitId::from_oid(oid))),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error::git("read a reference")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::fixture::Fixture;

    fn branch(name: &str) -> PerfupBranch {
        PerfupBranch::new(name).unwrap()
    }

    #[test]
    fn a_branch_moves_only_from_where_it_was_expected() {
        let fixture = Fixture::new();
        let repository = fixture.open();
        let first = repository.head().unwrap();
        let second = fixture.commit("b.txt", "b", "second");
        let tip = PerfupBranch::tip("s1").unwrap();

        repository.create_branch(&tip, &first).unwrap();
        assert!(matches!(repository.create_branch(&tip, &first), Err(WorkspaceError::Raced { .. })));
        repository.move_branch(&tip, Some(&first), &second).unwrap();
        match repository.move_branch(&tip, Some(&first), &first) {
            Err(WorkspaceError::Raced { expected, found, .. }) => {
                assert_eq!((expected, found), (Some(first.clone()), Some(second.clone())));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(repository.branch_commit(&tip).unwrap(), Some(second));
        let unborn = branch("perfup/s1/none");
        assert!(matches!(
            repository.move_branch(&unborn, Some(&first), &first),
            Err(WorkspaceError::Raced { found: None, .. })
        ));
        assert_eq!(repository.branch_commit(&unborn).unwrap(), None);
    }

    #[test]
    fn of_many_racing_writers_exactly_one_wins() {
        let fixture = Fixture::new();
        let head = fixture.open().head().unwrap();
        let tip = PerfupBranch::tip("s1").unwrap();
        let root = fixture.root();
        let wins: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| match Repository::open(&root).unwrap().create_branch(&tip, &head) {
                        Ok(()) => 1,
                        Err(WorkspaceError::Raced { .. }) => 0,
                        Err(error) => panic!("{error}"),
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).sum()
        });
        assert_eq!(wins, 1);
    }

    #[test]
    fn a_branch_the_user_looks_at_stays() {
        let fixture = Fixture::new();
        let repository = fixture.open();
        let first = repository.head().unwrap();
        let tip = PerfupBranch::tip("s1").unwrap();
        repository.create_branch(&tip, &first).unwrap();
        fixture.git.set_head("refs/heads/perfup/s1/tip").unwrap();
        let second = fixture.commit_object("second");

        let moved = repository.move_branch(&tip, Some(&first), &second);
        assert!(matches!(moved, Err(WorkspaceError::BranchInUse { .. })), "{moved:?}");
        let deleted = repository.delete_branches("s1").unwrap();
        assert_eq!(deleted.deleted, []);
        assert_eq!(deleted.in_use, [(tip.clone(), repository.root().to_owned())]);
        assert_eq!(repository.branch_commit(&tip).unwrap(), Some(first));
    }

    #[test]
    fn a_users_branch_called_perfup_is_named_in_the_error() {
        let fixture = Fixture::new();
        let repository = fixture.open();
        let head = repository.head().unwrap();
        fixture.branch("perfup", &head);
        match repository.create_branch(&branch("perfup/s1/tip"), &head) {
            Err(WorkspaceError::NameTaken { reference }) => assert_eq!(reference, "refs/heads/perfup"),
            other => panic!("{other:?}"),
        }
        repository.keep_ref("s1", 1, &head).unwrap();
    }

    #[test]
    fn kept_commits_and_branches_are_listed_and_deleted_by_session() {
        let fixture = Fixture::new();
        let repository = fixture.open();
        let head = repository.head().unwrap();
        let lost = fixture.commit_object("discarded");
        for n in [10, 2] {
            repository.keep_ref("s1", n, &lost).unwrap();
        }
        repository.keep_ref("s1", 2, &head).unwrap();
        repository.keep_ref("s2", 1, &lost).unwrap();
        repository.create_branch(&branch("perfup/s3/tip"), &head).unwrap();

        let kept: Vec<_> = repository.list_refs("s1").unwrap().into_iter().map(|k| (k.n, k.commit)).collect();
        assert_eq!(kept, [(2, head.clone()), (10, lost)]);
        assert_eq!(repository.sessions_with_refs().unwrap(), ["s1", "s2", "s3"]);
        assert_eq!(repository.delete_refs("s1").unwrap(), 2);
        assert_eq!(repository.delete_refs("s1").unwrap(), 0);
        assert_eq!(repository.delete_branches("s3").unwrap().deleted, [branch("perfup/s3/tip")]);
        assert_eq!(repository.sessions_with_refs().unwrap(), ["s2"]);
        assert!(repository.keep_ref("../heads", 1, &head).is_err());
        assert!(repository.delete_refs("").is_err());
        assert!(repository.delete_refs("*").is_err());
    }

    #[test]
    fn a_commit_that_does_not_exist_cannot_be_pointed_at() {
        let fixture = Fixture::new();
        let nowhere = CommitId::new("0123456789012345678901234567890123456789").unwrap();
        let result = fixture.open().create_branch(&branch("perfup/s1/tip"), &nowhere);
        assert!(matches!(result, Err(WorkspaceError::Git { .. })), "{result:?}");
    }
}
