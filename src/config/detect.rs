//! What a project's files say about how it is built and tested, for users who configured nothing.
//!
//! **Invariant**: pure; a guess is only made where the convention is unmistakable, and is always shown to the user.

use std::path::{Path, PathBuf};

use super::CommandLine;

/// Commands found by convention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detected {
    pub build: Option<CommandLine>,
    pub tests: Option<CommandLine>,
}

/// Looks at tracked file names (relative to the root) and, through `read`, at a few of them.
#[must_use]
pub fn detect(
    command: &CommandLine,
    cwd: &Path,
    files: &[PathBuf],
    read: &dyn Fn(&Path) -> Option<String>,
) -> Detected {
    let tree = Tree { cwd, files, read };
    Detected { build: tree.build(command), tests: tree.tests() }
}

struct Tree<'a> {
    cwd: &'a Path,
    files: &'a [PathBuf],
    read: &'a dyn Fn(&Path) -> Option<String>,
}

impl Tree<'_> {
    fn has(&self, name: &str) -> bool {
        let path = self.cwd.join(name);
        self.files.contains(&path)
    }

    fn makefile(&self) -> Option<String> {
        ["GNUmakefile", "makefile", "Makefile"]
            .iter()
            .find(|name| self.has(name))
            .and_then(|name| (self.read)(&self.cwd.join(name)))
    }

    /// Only a program that is not tracked needs building.
    fn build(&self, command: &CommandLine) -> Option<CommandLine> {
        let words = command.words();
        let program = words.first()?;
        if program == "cargo" && words.get(1).is_some_and(|word| word == "run") {
            let release = words.iter().any(|word| word == "--release" || word == "-r");
            return Some(argv(if release { &["cargo", "build", "--release"] } else { &["cargo", "build"] }));
        }
        if !program.contains('/') || self.has(program.trim_start_matches("./")) {
            return None;
        }
        let parts: Vec<&str> = program.split('/').collect();
        let under = |folder: &str| parts.contains(&folder);
        if self.has("Cargo.toml") && under("target") {
            return Some(argv(if under("release") {
                &["cargo", "build", "--release"]
            } else {
                &["cargo", "build"]
            }));
        }
        if self.has("CMakeLists.txt") && under("build") {
            return Some(CommandLine::Shell("cmake -S . -B build && cmake --build build".to_owned()));
        }
        if self.makefile().is_some() {
            return Some(argv(&["make"]));
        }
        None
    }

    fn tests(&self) -> Option<CommandLine> {
        if self.has("Cargo.toml") {
            return Some(argv(&["cargo", "test"]));
        }
        let has_target = |text: &str| text.lines().any(|line| line.starts_with("test:"));
        if self.makefile().is_some_and(|text| has_target(&text)) {
            return Some(argv(&["make", "test"]));
        }
        self.python_tests()
    }

    fn python_tests(&self) -> Option<CommandLine> {
        let is_test = |path: &&PathBuf| {
            path.starts_with(self.cwd)
                && path.extension().is_some_and(|ending| ending == "py")
                && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("test_"))
        };
        let tests: Vec<&PathBuf> = self.files.iter().filter(is_test).collect();
        let first = tests.first()?;
        let pytest = self.has("pytest.ini")
            || self.has("conftest.py")
            || tests.iter().any(|path| (self.read)(path).is_some_and(|text| text.contains("import pytest")));
        if pytest {
            return Some(argv(&["python3", "-m", "pytest", "-q"]));
        }
        let folder = first.strip_prefix(self.cwd).ok()?.parent().map(|folder| folder.to_string_lossy());
        match folder.as_deref() {
            None | Some("") => Some(argv(&["python3", "-m", "unittest"])),
            Some(folder) => Some(argv(&["python3", "-m", "unittest", "discover", "-s", folder, "-t", "."])),
        }
    }
}

fn argv(words: &[&str]) -> CommandLine {
    CommandLine::Argv(words.iter().map(|&word| word.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, files: &[(&str, &str)], build: Option<&str>, tests: Option<&str>) {
        let names: Vec<PathBuf> = files.iter().map(|(name, _)| PathBuf::from(name)).collect();
        let read = |path: &Path| {
            files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
        };
        let found = detect(&CommandLine::parse(command).unwrap(), Path::new(""), &names, &read);
        assert_eq!(found.build.map(|line| line.to_string()).as_deref(), build, "build of {command}");
        assert_eq!(found.tests.map(|line| line.to_string()).as_deref(), tests, "tests of {command}");
    }

    #[test]
    fn conventions_are_recognised_and_nothing_else() {
        let cargo = [("Cargo.toml", "")];
        check("./target/release/a", &cargo, Some("cargo build --release"), Some("cargo test"));
        check("cargo run -r -- x", &cargo, Some("cargo build --release"), Some("cargo test"));
        check("./a.out", &[("Makefile", "all:\n")], Some("make"), None);
        check("./a.out", &[("Makefile", "test: a\n")], Some("make"), Some("make test"));
        check("./run.sh", &[("run.sh", ""), ("Makefile", "")], None, None);
        check("sort x", &[("Makefile", "")], None, None);
        check(
            "build/app",
            &[("CMakeLists.txt", "")],
            Some("cmake -S . -B build && cmake --build build"),
            None,
        );
    }

    #[test]
    fn python_tests_are_found_with_their_runner() {
        check(
            "python3 a.py",
            &[("tests/test_a.py", "import unittest")],
            None,
            Some("python3 -m unittest discover -s tests -t ."),
        );
        check("python3 a.py", &[("test_a.py", "import pytest")], None, Some("python3 -m pytest -q"));
        check("python3 a.py", &[("test_a.py", "")], None, Some("python3 -m unittest"));
    }
}
