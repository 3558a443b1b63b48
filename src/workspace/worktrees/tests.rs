use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::workspace::NewCommit;
use crate::workspace::fixture::{Fixture, write};

fn branch(leaf: &str) -> PerfupBranch {
    PerfupBranch::new(format!("perfup/s1/{leaf}")).unwrap()
}

/// What the folder holds, beside `.git`.
fn names(folder: &Path) -> Vec<String> {
    let listing = fs::read_dir(folder).unwrap().map(|item| item.unwrap().file_name());
    let mut names: Vec<String> = listing.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name != ".git");
    names.sort();
    names
}

#[test]
fn a_worktree_holds_the_commit_with_modes_and_links() {
    let fixture = Fixture::new();
    fixture.write("bin/run", "#!/bin/sh\n");
    fs::set_permissions(fixture.root().join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("bin/run", fixture.root().join("link")).unwrap();
    let start = fixture.commit_index("files");
    fixture.commit("later", "later", "later");
    fixture.stage("staged", "staged");
    fixture.write("README", "dirty\n");
    let repository = fixture.open();
    let before = (repository.user_state().unwrap(), repository.dirty().unwrap());

    let worktree = repository.create_worktree(&fixture.place("a"), &branch("1-a"), &start).unwrap();
    assert_eq!(names(&worktree.path), ["README", "bin", "link"]);
    assert_eq!(fs::read_to_string(worktree.path.join("README")).unwrap(), "read me\n");
    assert_eq!(fs::metadata(worktree.path.join("bin/run")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_link(worktree.path.join("link")).unwrap(), Path::new("bin/run"));
    assert_eq!(repository.list_worktrees().unwrap(), std::slice::from_ref(&worktree));
    assert_eq!(repository.branch_commit(&worktree.branch).unwrap(), Some(start));

    repository.remove_worktree(&worktree.path).unwrap();
    repository.remove_worktree(&worktree.path).unwrap();
    assert!(!worktree.path.exists());
    assert_eq!(repository.list_worktrees().unwrap(), []);
    assert_eq!(before, (repository.user_state().unwrap(), repository.dirty().unwrap()));
}

#[test]
fn leftovers_of_a_crash_are_cleaned_first() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let head = repository.head().unwrap();
    let other = fixture.commit_object("other");
    let place = fixture.place("1-x");
    let admin = || repository.entry(&entry_name(&branch("1-x")));
    let check = |what: &str, leave: &dyn Fn()| {
        let worktree = repository.create_worktree(&place, &branch("1-x"), &other).unwrap();
        leave();
        let again = repository.create_worktree(&place, &branch("1-x"), &head);
        assert_eq!(again.unwrap_or_else(|error| panic!("{what}: {error}")), worktree);
        assert_eq!(names(&place), ["README"], "{what}");
        assert_eq!(repository.branch_commit(&branch("1-x")).unwrap().as_ref(), Some(&head), "{what}");
        assert_eq!(repository.list_worktrees().unwrap().len(), 1, "{what}");
        repository.remove_worktree(&place).unwrap();
        assert!(!place.exists() && !admin().exists(), "{what}");
    };
    check("nothing", &|| {});
    check("a whole worktree, dirty", &|| write(&place.join("junk"), "junk"));
    check("no folder", &|| remove_tree(&place).unwrap());
    check("no entry", &|| remove_tree(&admin()).unwrap());
    check("an empty folder", &|| {
        remove_tree(&place).unwrap();
        remove_tree(&admin()).unwrap();
        fs::create_dir(&place).unwrap();
    });
    check("an empty entry", &|| {
        remove_tree(&place).unwrap();
        remove_tree(&admin()).unwrap();
        fs::create_dir(admin()).unwrap();
    });
    check("an entry without HEAD", &|| fs::remove_file(admin().join("HEAD")).unwrap());
    check("an entry without its link", &|| fs::remove_file(admin().join("gitdir")).unwrap());
    check("a stale index lock", &|| write(&admin().join("index.lock"), ""));
    check("a half-removed folder", &|| fs::remove_file(place.join("README")).unwrap());
    check("a read-only folder", &|| {
        write(&place.join("cache/file"), "x");
        fs::set_permissions(place.join("cache"), fs::Permissions::from_mode(0o555)).unwrap();
    });
    check("the same branch elsewhere", &|| {
        repository.create_worktree(&fixture.place("moved"), &branch("1-x"), &head).unwrap();
        assert!(!place.exists());
    });
    assert!(!fixture.place("moved").exists());
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let head = repository.head().unwrap();
    let occupied = fixture.place("occupied");
    write(&occupied.join("thesis.txt"), "irreplaceable");
    let result = repository.create_worktree(&occupied, &branch("1-x"), &head);
    assert!(matches!(result, Err(WorkspaceError::Occupied { .. })), "{result:?}");
    let result = repository.remove_worktree(&occupied);
    assert!(matches!(result, Err(WorkspaceError::NotOurs { .. })), "{result:?}");

    // The user's own worktree, on a branch of ours.
    repository.create_branch(&branch("tip"), &head).unwrap();
    let users = fixture.place("users");
    let reference = fixture.git.find_reference("refs/heads/perfup/s1/tip").unwrap();
    let mut options = git2::WorktreeAddOptions::new();
    options.reference(Some(&reference));
    fixture.git.worktree("look", &users, Some(&options)).unwrap();
    assert_eq!(repository.list_worktrees().unwrap(), []);
    assert_eq!(repository.clean_leftovers().unwrap(), 0);
    let result = repository.remove_worktree(&users);
    assert!(matches!(result, Err(WorkspaceError::NotOurs { .. })), "{result:?}");
    let result = repository.create_worktree(&fixture.place("tip"), &branch("tip"), &head);
    assert!(matches!(result, Err(WorkspaceError::BranchInUse { .. })), "{result:?}");
    assert!(users.join("README").exists() && occupied.join("thesis.txt").exists());

    // A repository of the user's that took the place of a worktree.
    let worktree = fixture.worktree(&repository, "2-replaced");
    remove_tree(&worktree.path).unwrap();
    git2::Repository::init(&worktree.path).unwrap();
    write(&worktree.path.join("work"), "irreplaceable");
    assert_eq!(repository.clean_leftovers().unwrap(), 1);
    assert!(worktree.path.join("work").exists());
}

#[test]
fn worktrees_stand_outside_the_checkout() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let head = repository.head().unwrap();
    let root = fixture.root();
    let link = fixture.place("link");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&root, &link).unwrap();
    for bad in
        [root.join("inside"), root.join(".git/x"), root.clone(), PathBuf::from("relative"), link.join("x")]
    {
        let result = repository.create_worktree(&bad, &branch("1-x"), &head);
        assert!(matches!(result, Err(WorkspaceError::BadPlace { .. })), "{}: {result:?}", bad.display());
    }
    assert_eq!(repository.branch_commit(&branch("1-x")).unwrap(), None);
}

#[test]
fn a_link_that_was_tampered_with_is_noticed() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let head = repository.head().unwrap();
    let commit = NewCommit { parent: &head, subject: "x", body: "", unix_time_s: 0, exclude: &[] };
    let before = repository.user_state().unwrap();
    let links = [format!("gitdir: {}\n", fixture.root().join(".git").display()), "gitdir: /\n".to_owned()];
    for (n, link) in links.iter().enumerate() {
        let worktree = fixture.worktree(&repository, &format!("{n}-tampered"));
        fs::write(worktree.path.join(".git"), link).unwrap();
        let result = repository.commit_all(&worktree, &commit);
        assert!(matches!(result, Err(WorkspaceError::NotOurs { .. })), "{result:?}");
        let result = repository.reset_worktree(&worktree, &head, Ignored::Keep);
        assert!(matches!(result, Err(WorkspaceError::NotOurs { .. })), "{result:?}");
    }
    assert_eq!(before, repository.user_state().unwrap());
}

#[test]
fn a_reset_leaves_the_commit_and_at_most_the_build_folder() {
    let fixture = Fixture::new();
    fixture.write(".gitignore", "target/\n");
    let first = fixture.commit("src/main.c", "int main;\n", "first");
    let second = fixture.commit("src/more.c", "int more;\n", "second");
    let repository = fixture.open();
    let worktree = fixture.worktree(&repository, "1-reset");
    let mess = || {
        let tree = &worktree.path;
        fs::remove_file(tree.join("src/main.c")).unwrap();
        write(&tree.join("README"), "changed");
        write(&tree.join("junk/deep/file"), "junk");
        write(&tree.join("staged"), "staged");
        write(&tree.join("target/out"), "built");
        fs::set_permissions(tree.join(".gitignore"), fs::Permissions::from_mode(0o755)).unwrap();
        git2::Repository::init(tree.join("cloned")).unwrap();
        write(&tree.join("cloned/file"), "nested");
        let agent = git2::Repository::open(tree).unwrap();
        let mut index = agent.index().unwrap();
        index.add_path(Path::new("staged")).unwrap();
        index.write().unwrap();
        agent.set_head_detached(first.oid()).unwrap();
    };
    let check = |commit: &CommitId, ignored, expected: &[&str]| {
        mess();
        repository.reset_worktree(&worktree, commit, ignored).unwrap();
        assert_eq!(names(&worktree.path), expected);
        assert_eq!(fs::read_to_string(worktree.path.join("README")).unwrap(), "read me\n");
        assert_eq!(repository.branch_commit(&worktree.branch).unwrap().as_ref(), Some(commit));
        let git = git2::Repository::open(&worktree.path).unwrap();
        assert_eq!(git.head().unwrap().name().unwrap(), worktree.branch.reference());
        let mut options = git2::StatusOptions::new();
        assert!(git.statuses(Some(options.include_untracked(true))).unwrap().is_empty());
        let mode = fs::metadata(worktree.path.join(".gitignore")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0);
        assert_eq!(worktree.path.join("src/more.c").exists(), *commit == second);
    };
    check(&second, Ignored::Keep, &[".gitignore", "README", "src", "target"]);
    check(&first, Ignored::Keep, &[".gitignore", "README", "src", "target"]);
    check(&second, Ignored::Remove, &[".gitignore", "README", "src"]);
}

#[test]
fn stale_locks_are_met_named_and_cleaned() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let head = repository.head().unwrap();
    let worktree = fixture.worktree(&repository, "1-x");
    let lock = repository.common_dir().join("refs/heads/perfup/s1/2-x.lock");
    write(&lock, "");
    write(&repository.entry(&entry_name(&worktree.branch)).join("index.lock"), "");
    match repository.create_branch(&branch("2-x"), &head) {
        Err(WorkspaceError::Locked { message, .. }) => assert!(message.contains("2-x.lock"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(repository.clean_leftovers().unwrap(), 2);
    repository.create_branch(&branch("2-x"), &head).unwrap();
    assert_eq!(repository.list_worktrees().unwrap(), [worktree]);
    assert_eq!(repository.clean_leftovers().unwrap(), 0);
}

#[test]
fn many_threads_make_worktrees_at_once() {
    let fixture = Fixture::new();
    let head = fixture.open().head().unwrap();
    let (root, trees) = (fixture.root(), fixture.place(""));
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (root, trees, head) = (&root, &trees, &head);
            scope.spawn(move || {
                let repository = Repository::open(root).unwrap();
                repository
                    .create_worktree(&trees.join(n.to_string()), &branch(&format!("{n}-x")), head)
                    .unwrap();
            });
        }
    });
    assert_eq!(fixture.open().list_worktrees().unwrap().len(), 6);
}
