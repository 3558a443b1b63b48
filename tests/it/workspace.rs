//! perfup's worktrees and commits in real repositories, with the git command line as the judge.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use perfup::workspace::{
    CommitId, Ignored, NewCommit, PerfupBranch, Repository, WorkspaceError, Worktree, copy_input,
};

/// A folder with a repository `user` made by the git command line, which sees no configuration but its own.
struct Sandbox {
    scratch: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "the git command line is what these tests compare with")]
fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

impl Sandbox {
    fn new() -> Sandbox {
        let sandbox = Sandbox { scratch: tempfile::tempdir().unwrap() };
        sandbox.git_in(sandbox.scratch.path(), &["init", "-q", "-b", "main", "user"]);
        sandbox.write("src/main.py", "print('slow')\n");
        sandbox.write("data file\nwith newline.txt", "data\n");
        sandbox.write(".gitignore", "build/\n*.pyc\n");
        sandbox.write("run.sh", "#!/bin/sh\n");
        fs::set_permissions(sandbox.root().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("run.sh", sandbox.root().join("link")).unwrap();
        let odd = sandbox.root().join(OsStr::from_bytes(b"odd\xff name"));
        fs::write(odd, "odd").unwrap();
        sandbox.git(&["config", "user.name", "Ann"]);
        sandbox.git(&["config", "user.email", "ann@example.org"]);
        sandbox.git(&["add", "-A"]);
        sandbox.git(&["commit", "-qm", "first"]);
        sandbox
    }

    fn root(&self) -> PathBuf {
        self.scratch.path().canonicalize().unwrap().join("user")
    }

    fn place(&self, name: &str) -> PathBuf {
        self.scratch.path().canonicalize().unwrap().join("trees").join(name)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn try_git_in(&self, folder: &Path, args: &[&str]) -> Output {
        command("git")
            .args(args)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.scratch.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Ann"), ("GIT_AUTHOR_EMAIL", "ann@example.org")])
            .envs([("GIT_COMMITTER_NAME", "Ann"), ("GIT_COMMITTER_EMAIL", "ann@example.org")])
            // `git status` must not refresh the index behind the test's back.
            .env("GIT_OPTIONAL_LOCKS", "0")
            .output()
            .unwrap()
    }

    fn git_in(&self, folder: &Path, args: &[&str]) -> String {
        let output = self.try_git_in(folder, args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.root(), args)
    }

    /// What the git command line shows of the user's state, and every file of the checkout with its times.
    fn seen_by_git(&self, checkout: &Path) -> Vec<String> {
        let mut seen: Vec<String> = [
            &["status", "--porcelain=v2", "--branch", "-z", "--ignored"][..],
            &["for-each-ref", "--exclude=refs/heads/perfup/", "--exclude=refs/perfup/"],
            &["stash", "list"],
            &["diff", "--cached"],
            &["diff"],
            &["config", "--local", "--list"],
            &["reflog", "HEAD"],
            &["ls-files", "--stage", "--debug", "-z"],
        ]
        .iter()
        .map(|args| self.git_in(checkout, args))
        .collect();
        stat_files(checkout, &mut seen);
        seen
    }
}

/// Every path below `folder` with mode, size and times, `.git` left out.
fn stat_files(folder: &Path, seen: &mut Vec<String>) {
    let mut items: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|item| item.unwrap().path()).collect();
    items.sort();
    for path in items.into_iter().filter(|path| !path.ends_with(".git")) {
        let m = fs::symlink_metadata(&path).unwrap();
        seen.push(format!("{path:?} {:o} {} {}.{}", m.mode(), m.size(), m.mtime(), m.mtime_nsec()));
        if m.is_dir() {
            stat_files(&path, seen);
        }
    }
}

fn branch(leaf: &str) -> PerfupBranch {
    PerfupBranch::new(format!("perfup/s1/{leaf}")).unwrap()
}

fn commit(repository: &Repository, worktree: &Worktree, parent: &CommitId) -> Option<CommitId> {
    let subject = "make it fast";
    let commit = NewCommit { parent, subject, body: "Because.", unix_time_s: 1_700_000_000, exclude: &[] };
    repository.commit_all(worktree, &commit).unwrap()
}

/// One of everything that a session does to a repository.
fn whole_session(sandbox: &Sandbox, repository: &Repository) {
    let head = repository.head().unwrap();
    let tip = PerfupBranch::tip("s1").unwrap();
    repository.create_branch(&tip, &head).unwrap();
    let keep = repository.create_worktree(&sandbox.place("1"), &branch("1-keep"), &head).unwrap();
    let lose = repository.create_worktree(&sandbox.place("2"), &branch("2-lose"), &head).unwrap();
    copy_input(repository.root(), Path::new("untracked.bin"), &keep.path).unwrap();
    fs::write(keep.path.join("src/main.py"), "print('fast')\n").unwrap();
    fs::remove_file(lose.path.join("run.sh")).unwrap();
    let kept = commit(repository, &keep, &head).unwrap();
    let lost = commit(repository, &lose, &head).unwrap();
    repository.move_branch(&tip, Some(&head), &kept).unwrap();
    repository.keep_ref("s1", 2, &lost).unwrap();
    repository.reset_worktree(&lose, &kept, Ignored::Keep).unwrap();
    for worktree in [&keep, &lose] {
        let listed = sandbox.git(&["worktree", "list", "--porcelain"]);
        assert!(listed.contains(&format!("worktree {}\n", worktree.path.display())), "{listed}");
        assert!(listed.contains(&format!("branch refs/heads/{}\n", worktree.branch)), "{listed}");
        assert_eq!(sandbox.git_in(&worktree.path, &["status", "--porcelain"]), "");
    }
    assert_eq!(
        sandbox.git(&["log", "-1", "--format=%an %at %s", kept.as_str()]),
        "Ann 1700000000 make it fast\n"
    );
    // Left behind by a killed run, then cleaned.
    fs::remove_dir_all(&lose.path).unwrap();
    assert_eq!(repository.clean_leftovers().unwrap(), 1);
    repository.remove_worktree(&keep.path).unwrap();
    let fsck = sandbox.try_git_in(repository.root(), &["fsck", "--full", "--strict", "--no-dangling"]);
    assert!(fsck.status.success() && fsck.stdout.is_empty(), "{fsck:?}");
    assert_eq!(repository.diff_stat(&head, &lost).unwrap().files, 1);
}

/// `perfup clean`: afterwards git knows nothing of us.
fn clean(sandbox: &Sandbox, repository: &Repository) {
    repository.delete_refs("s1").unwrap();
    assert_eq!(repository.delete_branches("s1").unwrap().in_use, []);
    assert_eq!(sandbox.git(&["for-each-ref", "refs/perfup/", "refs/heads/perfup/"]), "");
    assert_eq!(sandbox.git(&["worktree", "prune", "--dry-run", "--verbose"]), "");
}

/// Runs a session and compares everything of the user's before, after, and after cleaning.
fn check_untouched(sandbox: &Sandbox, stand: &Path) {
    let repository = Repository::open(stand).unwrap();
    let checkout = repository.root().to_owned();
    let before =
        (repository.user_state().unwrap(), repository.dirty().unwrap(), sandbox.seen_by_git(&checkout));
    whole_session(sandbox, &repository);
    let after =
        (repository.user_state().unwrap(), repository.dirty().unwrap(), sandbox.seen_by_git(&checkout));
    assert_eq!(before.0.difference(&after.0), [""; 0]);
    assert_eq!(before, after);
    clean(sandbox, &repository);
    assert_eq!(before.2, sandbox.seen_by_git(&checkout));
}

/// Modified, staged, untracked, ignored and stashed work.
fn make_a_mess(sandbox: &Sandbox) {
    sandbox.write("src/main.py", "print('stashed')\n");
    sandbox.git(&["stash", "-q"]);
    sandbox.write("src/main.py", "print('staged')\n");
    sandbox.git(&["add", "src/main.py"]);
    sandbox.write("src/main.py", "print('modified')\n");
    sandbox.git(&["rm", "-q", "link"]);
    sandbox.write("new staged", "new");
    sandbox.git(&["add", "new staged"]);
    sandbox.write("untracked.bin", "untracked");
    sandbox.write("build/out", "ignored");
    // Hooks that would betray us by running.
    for hook in ["post-checkout", "pre-commit", "post-commit", "reference-transaction", "prepare-commit-msg"]
    {
        let path = format!(".git/hooks/{hook}");
        sandbox.write(&path, "#!/bin/sh\ntouch \"$(git rev-parse --git-common-dir)/hook-ran\"\nexit 1\n");
        fs::set_permissions(sandbox.root().join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_dirty_checkout_is_untouched_and_no_hook_runs() {
    let sandbox = Sandbox::new();
    make_a_mess(&sandbox);
    check_untouched(&sandbox, &sandbox.root());
    assert!(!sandbox.root().join(".git/hook-ran").exists());
    // The stash still applies.
    fs::remove_dir_all(sandbox.root().join(".git/hooks")).unwrap();
    sandbox.git(&["reset", "-q", "--hard"]);
    sandbox.git(&["stash", "pop", "-q"]);
    assert_eq!(fs::read_to_string(sandbox.root().join("src/main.py")).unwrap(), "print('stashed')\n");
}

#[test]
fn a_detached_head_is_untouched() {
    let sandbox = Sandbox::new();
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    sandbox.git(&["checkout", "-q", "HEAD~1"]);
    make_a_mess(&sandbox);
    check_untouched(&sandbox, &sandbox.root());
}

#[test]
fn a_user_in_a_subfolder_is_untouched() {
    let sandbox = Sandbox::new();
    make_a_mess(&sandbox);
    check_untouched(&sandbox, &sandbox.root().join("src"));
}

#[test]
fn a_linked_worktree_as_the_users_checkout_is_untouched() {
    let sandbox = Sandbox::new();
    let linked = sandbox.scratch.path().canonicalize().unwrap().join("linked");
    sandbox.git(&["worktree", "add", "-q", "-b", "topic", linked.to_str().unwrap()]);
    fs::write(linked.join("untracked.bin"), "untracked").unwrap();
    fs::write(linked.join("src/main.py"), "print('modified')\n").unwrap();
    make_a_mess(&sandbox);
    let main_before = sandbox.seen_by_git(&sandbox.root());
    check_untouched(&sandbox, &linked);
    assert_eq!(main_before, sandbox.seen_by_git(&sandbox.root()));
}

#[test]
fn packed_references_and_objects_are_no_obstacle() {
    let sandbox = Sandbox::new();
    sandbox.write("untracked.bin", "untracked");
    let repository = Repository::open(&sandbox.root()).unwrap();
    let head = repository.head().unwrap();
    repository.create_branch(&branch("0-old"), &head).unwrap();
    repository.keep_ref("s1", 9, &head).unwrap();
    sandbox.git(&["gc", "-q"]);
    assert_eq!(repository.branch_commit(&branch("0-old")).unwrap(), Some(head.clone()));
    let raced = repository.create_branch(&branch("0-old"), &head);
    assert!(matches!(raced, Err(WorkspaceError::Raced { .. })), "{raced:?}");
    check_untouched(&sandbox, &sandbox.root());
}

#[test]
fn a_branch_that_the_user_has_checked_out_elsewhere_is_refused() {
    let sandbox = Sandbox::new();
    let repository = Repository::open(&sandbox.root()).unwrap();
    let head = repository.head().unwrap();
    repository.create_branch(&branch("1-look"), &head).unwrap();
    let look = sandbox.scratch.path().canonicalize().unwrap().join("look");
    sandbox.git(&["worktree", "add", "-q", look.to_str().unwrap(), "perfup/s1/1-look"]);
    match repository.create_worktree(&sandbox.place("1"), &branch("1-look"), &head) {
        Err(WorkspaceError::BranchInUse { checkout, .. }) => assert_eq!(checkout, look),
        other => panic!("{other:?}"),
    }
    assert!(!sandbox.place("1").exists());
    assert_eq!(sandbox.git_in(&look, &["status", "--porcelain"]), "");
}

#[test]
fn repositories_that_git_makes_in_other_formats_are_refused() {
    let check = |args: &[&str], expected: &str| {
        let sandbox = Sandbox::new();
        let other = sandbox.scratch.path().join("other");
        let init: Vec<&str> = ["init", "-q"].iter().chain(args).chain(&["other"]).copied().collect();
        sandbox.git_in(sandbox.scratch.path(), &init);
        sandbox.git_in(&other, &["commit", "-q", "--allow-empty", "-m", "first"]);
        match Repository::open(&other) {
            Err(WorkspaceError::Unsupported { what, .. }) => assert_eq!(what, expected),
            result => panic!("{expected}: {:?}", result.err()),
        }
    };
    check(&["--object-format=sha256"], "sha256 objects");
    check(&["--ref-format=reftable"], "reftable");
}

#[test]
fn a_sparse_checkout_and_a_submodule_made_by_git_are_refused() {
    let what = |sandbox: &Sandbox| match Repository::open(&sandbox.root()) {
        Err(WorkspaceError::Unsupported { what, .. }) => what,
        other => panic!("{:?}", other.err()),
    };
    let sandbox = Sandbox::new();
    sandbox.git(&["sparse-checkout", "set", "src"]);
    assert_eq!(what(&sandbox), "sparse checkout");
    let sandbox = Sandbox::new();
    sandbox.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "./.", "lib"]);
    sandbox.git(&["commit", "-qm", "submodule"]);
    assert_eq!(what(&sandbox), "submodules");
}

#[test]
fn a_git_folder_apart_and_a_submodule_as_the_users_checkout_are_untouched() {
    let sandbox = Sandbox::new();
    let apart = sandbox.scratch.path().join("apart.git");
    sandbox.git(&["init", "-q", "--separate-git-dir", apart.to_str().unwrap()]);
    sandbox.write("untracked.bin", "untracked");
    check_untouched(&sandbox, &sandbox.root().join("src"));

    let outer = sandbox.scratch.path().canonicalize().unwrap().join("outer");
    sandbox.git_in(sandbox.scratch.path(), &["init", "-q", "outer"]);
    let root = sandbox.root();
    let add =
        ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", root.to_str().unwrap(), "lib"];
    sandbox.git_in(&outer, &add);
    let inner = outer.join("lib");
    let repository = Repository::open(&inner).unwrap();
    assert_eq!(repository.root(), inner);
    let before = (repository.user_state().unwrap(), sandbox.seen_by_git(&inner));
    let head = repository.head().unwrap();
    let worktree = repository.create_worktree(&sandbox.place("sub"), &branch("1-sub"), &head).unwrap();
    fs::write(worktree.path.join("run.sh"), "changed").unwrap();
    assert!(commit(&repository, &worktree, &head).is_some());
    repository.reset_worktree(&worktree, &head, Ignored::Remove).unwrap();
    repository.remove_worktree(&worktree.path).unwrap();
    assert_eq!(before, (repository.user_state().unwrap(), sandbox.seen_by_git(&inner)));
}

/// Set in the process that [`a_killed_session_leaves_what_the_next_one_cleans`] kills: where its sandbox is.
const VICTIM: &str = "PERFUP_TEST_VICTIM";

#[test]
fn a_killed_session_leaves_what_the_next_one_cleans() {
    if let Some(scratch) = std::env::var_os(VICTIM) {
        work_until_killed(Path::new(&scratch));
    }
    let sandbox = Sandbox::new();
    (0..300).for_each(|n| sandbox.write(&format!("many/{n}"), "content"));
    sandbox.git(&["add", "-A"]);
    sandbox.git(&["commit", "-qm", "many"]);
    make_a_mess(&sandbox);
    let repository = Repository::open(&sandbox.root()).unwrap();
    let head = repository.head().unwrap();
    let before = (repository.user_state().unwrap(), sandbox.seen_by_git(&sandbox.root()));
    let mut worked = 0;
    for round in 0..12 {
        let mut victim = command(std::env::current_exe().unwrap())
            .args(["--exact", "workspace::a_killed_session_leaves_what_the_next_one_cleans", "--nocapture"])
            .env(VICTIM, sandbox.scratch.path())
            .spawn()
            .unwrap();
        // No synchronisation: any moment will do, and each round takes another one.
        std::thread::sleep(std::time::Duration::from_millis(15 + 7 * round));
        victim.kill().unwrap();
        victim.wait().unwrap();

        worked += usize::from(repository.branch_commit(&branch("1-victim")).unwrap().is_some());
        repository.clean_leftovers().unwrap();
        let place = sandbox.place("victim");
        let worktree = repository.create_worktree(&place, &branch("1-victim"), &head).unwrap();
        assert_eq!(commit(&repository, &worktree, &head), None, "round {round}");
        assert_eq!(repository.list_worktrees().unwrap(), [worktree]);
        repository.remove_worktree(&place).unwrap();
        assert!(!place.exists());
        repository.delete_branches("s1").unwrap();
        repository.delete_refs("s1").unwrap();
        assert_eq!(before, (repository.user_state().unwrap(), sandbox.seen_by_git(&sandbox.root())));
        let fsck = sandbox.try_git_in(&sandbox.root(), &["fsck", "--full", "--no-dangling"]);
        assert!(fsck.status.success(), "round {round}: {fsck:?}");
    }
    assert!(worked > 0, "no victim lived long enough to begin");
}

fn work_until_killed(scratch: &Path) -> ! {
    let repository = Repository::open(&scratch.join("user")).unwrap();
    let head = repository.head().unwrap();
    loop {
        let place = scratch.join("trees/victim");
        let worktree = repository.create_worktree(&place, &branch("1-victim"), &head).unwrap();
        fs::write(worktree.path.join("new"), "new").unwrap();
        let commit = commit(&repository, &worktree, &head).unwrap();
        repository.keep_ref("s1", 1, &commit).unwrap();
        repository.reset_worktree(&worktree, &head, Ignored::Remove).unwrap();
        repository.remove_worktree(&place).unwrap();
    }
}

const NOBODY: u32 = 65_534;

/// The permissions of a repository mean nothing to root, so this test runs itself again as somebody else.
#[test]
fn a_read_only_repository_and_a_foreign_one_say_so() {
    let sandbox = Sandbox::new();
    let root = sandbox.root();
    if fs::metadata(&root).unwrap().uid() == 0 {
        give_away(sandbox.scratch.path());
        match Repository::open(&root) {
            Err(WorkspaceError::NotOwned { path }) => assert_eq!(path, root),
            other => panic!("{:?}", other.err()),
        }
        let binary = sandbox.scratch.path().join("it");
        fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
        let output = command(&binary)
            .args(["--exact", "workspace::a_read_only_repository_and_a_foreign_one_say_so", "--nocapture"])
            .current_dir(sandbox.scratch.path())
            .env("HOME", sandbox.scratch.path())
            .env("TMPDIR", sandbox.scratch.path())
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let repository = Repository::open(&root).unwrap();
    let head = repository.head().unwrap();
    let before = repository.user_state().unwrap();
    let git_dir = root.join(".git");
    for folder in [git_dir.clone(), git_dir.join("refs"), git_dir.join("refs/heads")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let denied = |result: Result<(), WorkspaceError>| match result {
        Err(WorkspaceError::PermissionDenied { path, .. }) => assert!(path.starts_with(&git_dir), "{path:?}"),
        other => panic!("{other:?}"),
    };
    denied(repository.create_branch(&branch("1-x"), &head));
    denied(repository.keep_ref("s1", 1, &head));
    denied(repository.create_worktree(&sandbox.place("1"), &branch("1-x"), &head).map(|_| ()));
    assert_eq!(repository.dirty().unwrap(), perfup::workspace::Dirty::default());
    assert_eq!(before, repository.user_state().unwrap());
    fs::set_permissions(&git_dir, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes NOBODY the owner of everything below a folder.
fn give_away(folder: &Path) {
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        match fs::symlink_metadata(&path).unwrap() {
            m if m.is_dir() => give_away(&path),
            m if m.is_symlink() => {}
            _ => chown(&path, Some(NOBODY), Some(NOBODY)).unwrap(),
        }
    }
}
