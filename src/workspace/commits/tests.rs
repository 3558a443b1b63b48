use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::workspace::fixture::{Fixture, write};
use crate::workspace::{Change, ChangeKind};

fn new(parent: &CommitId) -> NewCommit<'_> {
    NewCommit { parent, subject: "change it", body: "", unix_time_s: 1_700_000_000, exclude: &[] }
}

#[test]
fn all_kinds_of_changes_are_in_the_commit() {
    let fixture = Fixture::new();
    fixture.write("gone.txt", "gone");
    fixture.write("tool.sh", "#!/bin/sh\n");
    fixture.write("plain", "a file");
    fixture.write(".gitignore", "target/\n*.o\n");
    let head = fixture.commit_index("files");
    let repository = fixture.open();
    let worktree = fixture.worktree(&repository, "1-all");
    let tree = &worktree.path;

    fs::remove_file(tree.join("gone.txt")).unwrap();
    fs::set_permissions(tree.join("tool.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(tree.join("plain")).unwrap();
    symlink("/etc/passwd", tree.join("plain")).unwrap();
    let odd = Path::new(OsStr::from_bytes(b"odd \xff\n*[name]"));
    fs::write(tree.join(odd), "odd").unwrap();
    write(&tree.join("new folder/deep/file"), "new");
    symlink("/etc", tree.join("etc")).unwrap();
    write(&tree.join("target/debug/huge"), "ignored");
    write(&tree.join("x.o"), "ignored");
    write(&tree.join("input/data.bin"), "declared");
    write(&tree.join("inputs"), "not declared");

    let exclude = [PathBuf::from("input")];
    let commit = NewCommit { exclude: &exclude, ..new(&head) };
    let id = repository.commit_all(&worktree, &commit).unwrap().unwrap();
    let change = |path: &Path, kind, mode| Change { path: path.to_owned(), kind, mode };
    let expected = [
        change(Path::new("etc"), ChangeKind::Added, 0o120_000),
        change(Path::new("gone.txt"), ChangeKind::Deleted, 0),
        change(Path::new("inputs"), ChangeKind::Added, 0o100_644),
        change(Path::new("new folder/deep/file"), ChangeKind::Added, 0o100_644),
        change(odd, ChangeKind::Added, 0o100_644),
        change(Path::new("plain"), ChangeKind::TypeChanged, 0o120_000),
        change(Path::new("tool.sh"), ChangeKind::Modified, 0o100_755),
    ];
    assert_eq!(repository.changes(&head, &id).unwrap(), expected);
    assert_eq!(repository.read_file(&id, Path::new("plain")).unwrap().unwrap(), b"/etc/passwd");
    assert_eq!(repository.branch_commit(&worktree.branch).unwrap(), Some(id));
}

#[test]
fn the_same_call_gives_the_same_commit_and_nothing_gives_none() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let head = repository.head().unwrap();
    let worktree = fixture.worktree(&repository, "1-same");
    assert_eq!(repository.commit_all(&worktree, &new(&head)).unwrap(), None);
    write(&worktree.path.join("README"), "changed\n");
    let first = repository.commit_all(&worktree, &new(&head)).unwrap();
    assert!(first.is_some());
    assert_eq!(repository.commit_all(&worktree, &new(&head)).unwrap(), first);
    write(&worktree.path.join("README"), "read me\n");
    assert_eq!(repository.commit_all(&worktree, &new(&head)).unwrap(), None);
    assert_eq!(repository.branch_commit(&worktree.branch).unwrap(), Some(head));
}

#[test]
fn a_change_of_the_same_size_in_the_same_instant_is_seen() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let head = repository.head().unwrap();
    for n in 0..20 {
        let worktree = fixture.worktree(&repository, &format!("{n}-racy"));
        fs::write(worktree.path.join("README"), "READ ME\n").unwrap();
        assert!(repository.commit_all(&worktree, &new(&head)).unwrap().is_some(), "round {n}");
    }
}

#[test]
fn what_was_done_to_head_branch_and_index_does_not_show() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let head = repository.head().unwrap();
    let worktree = fixture.worktree(&repository, "1-agent");
    let before = repository.user_state().unwrap();
    {
        // Somebody commits by themselves, detaches HEAD, stages a file and deletes it again.
        let agent = git2::Repository::open(&worktree.path).unwrap();
        write(&worktree.path.join("own.txt"), "own");
        let mut index = agent.index().unwrap();
        index.add_path(Path::new("own.txt")).unwrap();
        let tree = agent.find_tree(index.write_tree().unwrap()).unwrap();
        let signature = git2::Signature::now("agent", "agent@example.org").unwrap();
        let parent = agent.find_commit(head.oid()).unwrap();
        let own = agent.commit(Some("HEAD"), &signature, &signature, "own", &tree, &[&parent]).unwrap();
        agent.set_head_detached(own).unwrap();
        write(&worktree.path.join("staged"), "staged");
        index.add_path(Path::new("staged")).unwrap();
        index.write().unwrap();
        fs::remove_file(worktree.path.join("staged")).unwrap();
    }
    let id = repository.commit_all(&worktree, &new(&head)).unwrap().unwrap();
    let commit = repository.git.find_commit(id.oid()).unwrap();
    assert_eq!(commit.parent_ids().collect::<Vec<_>>(), [head.oid()]);
    assert_eq!(commit.author().name().unwrap(), "Ann");
    assert_eq!(commit.time().seconds(), 1_700_000_000);
    assert_eq!(repository.changed_paths(&head, &id).unwrap(), [PathBuf::from("own.txt")]);
    let tree = git2::Repository::open(&worktree.path).unwrap();
    assert_eq!(tree.head().unwrap().name().unwrap(), worktree.branch.reference());
    assert!(tree.statuses(None).unwrap().is_empty());
    assert_eq!(before.difference(&repository.user_state().unwrap()), [""; 0]);
}

#[test]
fn filters_and_nested_repositories_are_refused() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let head = repository.head().unwrap();
    let refused = |leaf: &str, prepare: &dyn Fn(&Path)| {
        let worktree = fixture.worktree(&repository, leaf);
        prepare(&worktree.path);
        match repository.commit_all(&worktree, &new(&head)) {
            Err(WorkspaceError::Unsupported { what, why }) => format!("{what}: {why}"),
            other => panic!("{leaf}: {other:?}"),
        }
    };
    let lfs = refused("1-lfs", &|tree| {
        write(&tree.join(".gitattributes"), "*.bin filter=lfs\n");
        write(&tree.join("big.bin"), "bytes");
    });
    assert_eq!(lfs, "the git filter \"lfs\": big.bin is stored in another form than it is used");
    let nested = refused("2-nested", &|tree| {
        let inner = git2::Repository::init(tree.join("vendor/lib")).unwrap();
        write(&tree.join("vendor/lib/file"), "x");
        let signature = git2::Signature::now("a", "a@b").unwrap();
        let empty = inner.find_tree(inner.index().unwrap().write_tree().unwrap()).unwrap();
        inner.commit(Some("HEAD"), &signature, &signature, "x", &empty, &[]).unwrap();
    });
    assert!(nested.starts_with("submodules: vendor/lib"), "{nested}");
}

#[test]
fn line_endings_are_stored_as_the_attributes_say() {
    let fixture = Fixture::new();
    fixture.write(".gitattributes", "*.bat text eol=crlf\n");
    let head = fixture.commit("run.bat", "one\r\ntwo\r\n", "crlf");
    let repository = fixture.open();
    assert_eq!(repository.read_file(&head, Path::new("run.bat")).unwrap().unwrap(), b"one\ntwo\n");
    let worktree = fixture.worktree(&repository, "1-crlf");
    assert_eq!(fs::read(worktree.path.join("run.bat")).unwrap(), b"one\r\ntwo\r\n");
    assert_eq!(repository.commit_all(&worktree, &new(&head)).unwrap(), None);
    fs::write(worktree.path.join("run.bat"), "one\r\n2\r\n").unwrap();
    let id = repository.commit_all(&worktree, &new(&head)).unwrap().unwrap();
    assert_eq!(repository.read_file(&id, Path::new("run.bat")).unwrap().unwrap(), b"one\n2\n");
}

#[test]
fn messages_have_one_subject_line() {
    let check = |subject: &str, body: &str, expected: &str| assert_eq!(message(subject, body), expected);
    check("do it", "", "do it\n");
    check(" do\nit ", "why\n\nand how\n\n", "do it\n\nwhy\n\nand how\n");
}

#[test]
fn the_author_is_the_user_or_else_perfup() {
    let check = |name: &str, email: &str, expected: (&str, &str)| {
        let fixture = Fixture::new();
        // Set here, so that no identity from outside the repository shines through.
        let mut config = fixture.git.config().unwrap();
        config.set_str("user.name", name).unwrap();
        config.set_str("user.email", email).unwrap();
        let author = author(&fixture.git, 0).unwrap();
        assert_eq!((author.name().unwrap(), author.email().unwrap()), expected);
    };
    check("Ann", "ann@example.org", ("Ann", "ann@example.org"));
    check("", "", ("perfup", "perfup@localhost"));
    check("Ann", "", ("perfup", "perfup@localhost"));
}
