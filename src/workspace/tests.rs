use std::fs;

use super::fixture::Fixture;
use super::*;

/// What `open` says about a repository after `prepare` had its way with it.
fn opened_after(prepare: impl Fn(&Fixture)) -> Result<Repository, WorkspaceError> {
    let fixture = Fixture::new();
    prepare(&fixture);
    Repository::open(&fixture.root())
}

fn configure(fixture: &Fixture, name: &str, value: &str) {
    fixture.git.config().unwrap().set_str(name, value).unwrap();
}

#[test]
fn unsupported_repositories_are_refused_by_name() {
    let check = |expected: &str, prepare: &dyn Fn(&Fixture)| match opened_after(prepare) {
        Err(WorkspaceError::Unsupported { what, .. }) => assert_eq!(what, expected),
        other => panic!("{expected}: {:?}", other.err()),
    };
    check("the git filter \"lfs\"", &|f| {
        f.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
        f.commit("data/big.bin", "version https://git-lfs.github.com/spec/v1\n", "lfs");
    });
    check("the git filter \"crypt\"", &|f| {
        f.write("secrets/.gitattributes", "key filter=crypt\n");
        configure(f, "filter.crypt.clean", "cat");
        f.commit("secrets/key", "x", "filter");
    });
    check("submodules", &|f| {
        let mut index = f.git.index().unwrap();
        let head = f.git.head().unwrap().target().unwrap();
        let mut entry = index.get_path(Path::new("README"), 0).unwrap();
        (entry.path, entry.mode, entry.id) = (b"vendor/lib".to_vec(), 0o160_000, head);
        index.add(&entry).unwrap();
        let tree = f.git.find_tree(index.write_tree().unwrap()).unwrap();
        f.commit_tree(Some("HEAD"), &tree, "submodule");
    });
    check("sparse checkout", &|f| configure(f, "core.sparseCheckout", "true"));
    check("partial clone", &|f| configure(f, "remote.origin.promisor", "true"));
    check("partial clone", &|f| {
        configure(f, "core.repositoryFormatVersion", "1");
        configure(f, "extensions.partialClone", "origin");
    });
    check("sha256 objects", &|f| {
        configure(f, "core.repositoryFormatVersion", "1");
        configure(f, "extensions.objectFormat", "sha256");
    });
    check("reftable", &|f| {
        configure(f, "core.repositoryFormatVersion", "1");
        configure(f, "extensions.refStorage", "reftable");
    });
}

#[test]
fn harmless_attributes_and_settings_are_fine() {
    let check = |what: &str, prepare: &dyn Fn(&Fixture)| {
        let result = opened_after(prepare);
        assert!(result.is_ok(), "{what}: {:?}", result.err());
    };
    check("a filter that no file uses", &|f| {
        f.commit(".gitattributes", "*.psd filter=lfs\n", "attributes");
    });
    check("a filter that is not configured", &|f| {
        f.write(".gitattributes", "*.ipynb filter=nbstripout\n");
        f.commit("a.ipynb", "{}", "notebook");
    });
    check("line endings", &|f| {
        f.commit(".gitattributes", "* text=auto\n", "attributes");
    });
    check("a promised remote that is not", &|f| configure(f, "remote.origin.url", "promisor"));
}

#[test]
fn what_is_no_usable_repository_says_why() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir(at("plain")).unwrap();
    git2::Repository::init_bare(at("bare.git")).unwrap();
    git2::Repository::init(at("empty")).unwrap();
    let open = |name: &str| Repository::open(&at(name)).err().unwrap();
    assert!(matches!(open("plain"), WorkspaceError::NotARepository { path } if path == at("plain")));
    assert!(matches!(open("missing"), WorkspaceError::NotARepository { .. }));
    assert!(matches!(open("bare.git"), WorkspaceError::Bare { .. }));
    assert!(matches!(open("empty"), WorkspaceError::NoCommits { path } if path.ends_with("empty")));
}

#[test]
fn a_repository_is_found_from_wherever_the_user_stands() {
    let fixture = Fixture::new();
    let first = fixture.open().head().unwrap();
    let second = fixture.commit("deep/folder/file", "x", "second");
    let repository = Repository::open(&fixture.root().join("deep/folder")).unwrap();
    let root = fixture.root().canonicalize().unwrap();
    assert_eq!((repository.root(), repository.common_dir()), (root.as_path(), root.join(".git").as_path()));
    assert_eq!(repository.head().unwrap(), second);
    assert_eq!(repository.head_branch().as_deref(), Some("main"));
    assert_eq!(repository.resolve("HEAD~1").unwrap(), first);
    assert_eq!(repository.resolve(second.short()).unwrap(), second);
    let unknown = repository.resolve("nonsense");
    assert!(matches!(unknown, Err(WorkspaceError::UnknownRevision { rev }) if rev == "nonsense"));

    fixture.git.set_head_detached(first.oid()).unwrap();
    assert_eq!((repository.head().unwrap(), repository.head_branch()), (first.clone(), None));

    let linked = fixture.place("linked");
    fs::create_dir_all(linked.parent().unwrap()).unwrap();
    fixture.branch("topic", &second);
    let reference = fixture.git.find_reference("refs/heads/topic").unwrap();
    let mut options = git2::WorktreeAddOptions::new();
    fixture.git.worktree("linked", &linked, Some(options.reference(Some(&reference)))).unwrap();
    let from_linked = Repository::open(&linked.join("deep")).unwrap();
    assert_eq!(from_linked.root(), linked);
    assert_eq!(from_linked.common_dir(), repository.common_dir());
    assert_eq!((from_linked.head().unwrap(), repository.head().unwrap()), (second, first));
}

#[test]
fn dirt_is_counted_as_git_status_lists_it() {
    let fixture = Fixture::new();
    fixture.write(".gitignore", "*.o\n");
    fixture.write("gone", "gone");
    fixture.commit("both", "both", "files");
    let repository = fixture.open();
    assert!(repository.dirty().unwrap().is_clean());
    fixture.write("x.o", "ignored");
    assert!(repository.dirty().unwrap().is_clean());
    fixture.write("README", "modified");
    fixture.remove("gone");
    fixture.stage("both", "staged");
    fixture.write("both", "staged, then modified");
    fixture.stage("new", "new");
    fixture.write("untracked/one", "1");
    fixture.write("untracked/two", "2");
    fixture.write("with\nnewline", "3");
    let index = fs::read(fixture.root().join(".git/index")).unwrap();
    assert_eq!(repository.dirty().unwrap(), Dirty { modified: 3, staged: 2, untracked: 2 });
    assert_eq!(fs::read(fixture.root().join(".git/index")).unwrap(), index);
}

#[test]
fn files_of_a_commit_are_listed_and_read_whatever_their_names() {
    let fixture = Fixture::new();
    let first = fixture.open().head().unwrap();
    let odd = PathBuf::from(OsString::from_vec(b"a b/\xff\n.txt".to_vec()));
    fs::create_dir(fixture.root().join("a b")).unwrap();
    fs::write(fixture.root().join(&odd), b"odd \xfe").unwrap();
    std::os::unix::fs::symlink("README", fixture.root().join("link")).unwrap();
    let head = fixture.commit("a/z", "", "files");
    fixture.write("README", "not committed");
    let repository = fixture.open();
    let files = repository.tracked_files(&head).unwrap();
    assert_eq!(files, [PathBuf::from("README"), "a/z".into(), odd.clone(), "link".into()]);
    assert_eq!(repository.tracked_files(&first).unwrap(), [PathBuf::from("README")]);
    let read = |path: &Path| repository.read_file(&head, path).unwrap();
    assert_eq!(read(&odd).unwrap(), b"odd \xfe");
    assert_eq!(read(Path::new("README")).unwrap(), b"read me\n");
    assert_eq!(read(Path::new("link")).unwrap(), b"README");
    assert_eq!(read(Path::new("a/z")).unwrap(), b"");
    for absent in ["missing", "a", "", "/", "../README", "a/z/y"] {
        assert_eq!(read(Path::new(absent)), None, "{absent}");
    }
}
