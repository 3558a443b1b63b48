//! A bench for the binary: a temporary folder with a git repository, a home and a cache of its own.
//!
//! **Invariant**: nothing that a test starts reads or writes the configuration or the caches of whoever runs the tests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// A list searched 12000 times; a set makes the program several times faster. The pattern is compiled three times,
/// which costs nothing.
pub const SLOW: &str = r#"import re


def distinct(count):
    seen = []
    state = 12345
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2147483648
        value = state // 65536 % 1100
        if value not in seen:
            seen.append(value)
    return seen


def words():
    found = 0
    for word in ("one", "two", "three"):
        if re.search("^t", word):
            found += 1
    return found


print("distinct:", len(distinct(12000)), "words:", words())
"#;

pub const PERFUP: &str = env!("CARGO_BIN_EXE_perfup");
pub const ANALYSIS: &str = env!("CARGO_BIN_EXE_speedup-analysis");

pub struct Bench {
    scratch: tempfile::TempDir,
}

/// What a finished program left.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn expect(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Standard output, which must be one JSON document of this schema and nothing else.
    pub fn json(&self, schema: &str) -> Value {
        let document: Value = serde_json::from_str(&self.stdout).expect(&self.stdout);
        assert_eq!(document["schema"], schema);
        document
    }

    /// A failure: this code, these words on standard error, an empty standard output, no panic.
    pub fn fails(self, code: i32, words: &[&str]) {
        let ran = self.expect(code);
        assert_eq!(ran.stdout, "");
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in: {}", ran.stderr);
        }
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Bench {
    /// A folder `project` that is no repository.
    pub fn bare(files: &[(&str, &str)]) -> Bench {
        let bench = Bench {
            scratch: tempfile::Builder::new().prefix("bench-").tempdir().expect("a temporary folder"),
        };
        for folder in [bench.root(), bench.cache(), bench.path("home")] {
            std::fs::create_dir_all(folder).expect("a new folder");
        }
        for (name, content) in files {
            bench.write(name, content);
        }
        bench
    }

    /// A repository with these files as its only commit.
    pub fn new(files: &[(&str, &str)]) -> Bench {
        let bench = Bench::bare(files);
        bench.git(&["init", "-q", "-b", "main"]);
        bench.commit();
        bench
    }

    pub fn slow() -> Bench {
        Bench::new(&[("slow.py", SLOW)])
    }

    pub fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "start"]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().canonicalize().expect("exists").join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.path("project")
    }

    pub fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }

    pub fn read(&self, name: impl AsRef<Path>) -> String {
        std::fs::read_to_string(self.root().join(name)).expect("a readable file")
    }

    #[expect(clippy::disallowed_methods, reason = "this room starts the programs under test")]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.root())
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.cache())
            .env("PATH", search_path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .stdin(Stdio::null());
        for (role, name) in [("AUTHOR", "Ann"), ("COMMITTER", "Ann")] {
            command.env(format!("GIT_{role}_NAME"), name);
            command.env(format!("GIT_{role}_EMAIL"), "ann@example.org");
        }
        command
    }

    /// Runs perfup to its end.
    pub fn perfup(&self, args: &[&str]) -> Ran {
        self.run(PERFUP, args)
    }

    pub fn run(&self, program: &str, args: &[&str]) -> Ran {
        let output = self.command(program).args(args).output();
        output.expect("the program starts").into()
    }

    /// Standard output of a git command that must succeed; leaves the index as it is.
    pub fn git(&self, args: &[&str]) -> String {
        let ran = self.run("git", &[&["--no-optional-locks"], args].concat());
        assert_eq!(ran.code, Some(0), "git {args:?}: {}", ran.stderr);
        ran.stdout
    }

    /// Everything of the user's that perfup must not touch.
    pub fn user_state(&self) -> Vec<String> {
        let index = std::fs::read(self.root().join(".git/index")).expect("an index");
        let branches = self.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let theirs =
            |line: &&str| !line.starts_with("refs/heads/perfup/") && !line.starts_with("refs/perfup/");
        let branches: Vec<&str> = branches.lines().filter(theirs).collect();
        vec![
            index.escape_ascii().to_string(),
            branches.join("\n"),
            std::fs::read_to_string(self.root().join(".git/HEAD")).expect("a HEAD"),
            std::fs::read_to_string(self.root().join(".git/config")).expect("a configuration"),
            self.git(&["status", "--porcelain", "-uno"]),
            self.git(&["diff", "HEAD"]),
            self.git(&["stash", "list"]),
            self.worktrees(|path| !path.starts_with(self.cache())),
        ]
    }

    /// Worktrees that git knows of and `choose` takes, one a line.
    pub fn worktrees(&self, choose: impl Fn(&Path) -> bool) -> String {
        let list = self.git(&["worktree", "list", "--porcelain"]);
        let paths = list.lines().filter_map(|line| line.strip_prefix("worktree "));
        let chosen: Vec<&str> = paths.filter(|path| choose(Path::new(path))).collect();
        chosen.join("\n")
    }

    /// A direct connection to the worklog, once there is one.
    pub fn database(&self) -> Option<rusqlite::Connection> {
        let path = self.root().join(".perfup/worklog.db");
        path.exists().then(|| rusqlite::Connection::open(path).expect("a database"))
    }

    /// That git knows of no worktree of perfup's, and none lies in the cache.
    pub fn assert_no_worktrees(&self) {
        assert_eq!(self.worktrees(|path| path.starts_with(self.cache())), "");
        let folders = |path: PathBuf| -> Vec<PathBuf> {
            let entries = path.read_dir().into_iter().flatten();
            let paths = entries.map(|entry| entry.expect("an entry").path());
            paths.filter(|path| path.is_dir()).collect()
        };
        let repositories = folders(self.cache().join("worktrees"));
        let left: Vec<PathBuf> = repositories.into_iter().flat_map(folders).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// PATH with the real interpreter in front: a version manager's shim would be most of a short program's time.
fn search_path() -> &'static OsString {
    static PATH: OnceLock<OsString> = OnceLock::new();
    PATH.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "asks for the interpreter's own path")]
        let output = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .expect("python3 is installed");
        let python = PathBuf::from(String::from_utf8(output.stdout).expect("UTF-8").trim());
        let folder = python.parent().expect("an absolute path").to_owned();
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder).chain(std::env::split_paths(&rest));
        std::env::join_paths(folders).expect("folders of a search path")
    })
}
