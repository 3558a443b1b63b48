//! The bundled programs, changed by every recipe in turn, really built and run: they must pass their tests and print
//! what they printed before. How much faster they get is for a session to say.

use std::path::{Path, PathBuf};
use std::process::Command;

use perfup::config::{CommandLine, Policy};
use perfup::delegate::{EXECUTORS, Project};
use perfup::diagnose::Runtime;

use crate::bench::PERFUP;

/// A copy of an example in a repository of its own.
struct Example {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl Example {
    fn new(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copied = Command::new(PERFUP)
            .args(["demo", name, "--only-copy", "--into"])
            .arg(folder.path().join(name))
            .output()
            .unwrap();
        assert!(copied.status.success(), "{copied:?}");
        Self { folder, name }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    /// Standard output of a line that must succeed; perfup's own build settings must not reach it.
    fn run(&self, line: &str) -> String {
        let own = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("CARGO"));
        let mut command = Command::new("sh");
        for name in own.filter(|name| name != "CARGO_HOME") {
            command.env_remove(name);
        }
        let ran = command.args(["-c", line]).current_dir(self.root()).output().unwrap();
        assert!(ran.status.success(), "{line}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    fn project(&self, command: &str, build: Option<&str>) -> Project {
        let mut files: Vec<PathBuf> = self.run("git ls-files").lines().map(PathBuf::from).collect();
        files.sort();
        Project {
            root: self.root(),
            files,
            command: CommandLine::parse(command).unwrap(),
            build: build.map(|build| CommandLine::parse(build).unwrap()),
            cwd: PathBuf::new(),
            runtime: Runtime::Unknown,
            allow: vec![Policy::Parallel],
        }
    }
}

/// Applies one proposal after the other; answers with the recipes in the order of their changes.
fn improve(example: &Example, command: &str, build: Option<&str>, tests: &str) -> Vec<String> {
    let run = || {
        build.iter().for_each(|build| drop(example.run(build)));
        example.run(command)
    };
    let project = example.project(command, build);
    let before = run();
    let mut done: Vec<(String, String)> = Vec::new();
    loop {
        let proposed = EXECUTORS.iter().flat_map(|executor| executor.propose(&project));
        let mut new = proposed.filter(|it| !done.iter().any(|(key, _)| *key == it.key));
        let Some(hypothesis) = new.next() else {
            return done.into_iter().map(|(_, recipe)| recipe).collect();
        };
        drop(new);
        EXECUTORS[0].execute(&hypothesis, &project).unwrap();
        // make compares times of sources only.
        example.run("rm -rf primes");
        assert_eq!(run(), before, "{}", hypothesis.title);
        example.run(tests);
        done.push((hypothesis.key, hypothesis.recipe));
    }
}

fn installed(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {tool} is not installed");
    }
    found
}

#[test]
fn the_c_program_keeps_its_output_with_other_flags() {
    if !installed("gcc") || !installed("make") {
        return;
    }
    let example = Example::new("c-unoptimised");
    let recipes = improve(&example, "./primes 100000", Some("make"), "make test");
    let c = "c-missing-optimisation";
    assert_eq!(recipes, [c, c, c, "generic-cpu-target"]);
    let makefile = std::fs::read_to_string(example.root().join("Makefile")).unwrap();
    assert!(makefile.contains("CFLAGS = -g -Wall -O3 -flto -march=native\n"), "{makefile}");
}

#[test]
fn the_rust_program_keeps_its_output_with_another_profile() {
    let example = Example::new("rust-cross-crate");
    let build = "cargo build --release --offline";
    let recipes = improve(&example, "target/release/app 2", Some(build), "cargo test -q --offline");
    assert_eq!(recipes, ["cargo-profile", "cargo-profile", "generic-cpu-target"]);
    assert!(Path::exists(&example.root().join(".cargo/config.toml")));
}

#[test]
fn the_shell_scripts_keep_their_output_without_processes_and_on_all_cores() {
    let example = Example::new("shell-spawn");
    let tests = "sh test.sh";
    assert_eq!(improve(&example, "sh report.sh access.csv", None, tests), ["shell-process-per-line"]);
    assert_eq!(improve(&example, "sh checksums.sh", None, tests), ["shell-sequential-loop"]);
}
