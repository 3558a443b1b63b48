//! Compiler flags that are for the user to allow: they tie the program to this machine, or change its arithmetic.

use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, value};

use super::cargo_profile::CargoBuild;
use super::cmake_build_type::{after_project, cmake_lists};
use super::edits::{Edit, Proposal, edited, gone, hypothesis, read, write};
use super::makefile::{Optimised, makefile, optimised, sources, with_flag};
use super::{DelegateError, Delegated, Project, Recipe};
use crate::config::Policy;
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

/// A flag, and what is said about it.
pub(super) struct PolicyFlag {
    id: &'static str,
    policy: Policy,
    flag: &'static str,
    /// The same for rustc; absent where it has none.
    rust: Option<&'static str>,
    title: &'static str,
    applies: &'static str,
    why: &'static str,
    expected: (f64, f64),
    /// A word that at least one source must hold.
    needs: Option<&'static [&'static str]>,
}

pub(super) const GENERIC_CPU: PolicyFlag = PolicyFlag {
    id: "generic-cpu-target",
    policy: Policy::NativeCpu,
    flag: "-march=native",
    rust: Some("target-cpu=native"),
    title: "Use all instructions of this machine's CPU",
    applies: "A program that Cargo, make or CMake builds for the oldest CPU of its family.",
    why: "The generic target leaves out wider vector and bit instructions. The program may not start on older machines, \
          and fused operations may change the last digit of a result.",
    // On pulldown-cmark 0.13 target-cpu=native saved 1.9 %.
    expected: (1.0, 1.3),
    needs: None,
};

pub(super) const STRICT_FLOATS: PolicyFlag = PolicyFlag {
    id: "strict-float-math",
    policy: Policy::FastMath,
    flag: "-ffast-math",
    rust: None,
    title: "Relax floating-point semantics",
    applies: "A C or C++ program with floating-point numbers that make or CMake builds.",
    why: "Strict semantics forbid to reorder sums, and so to vectorise them. Results change in their last digits, and \
          NaN and infinity are taken for impossible.",
    expected: (1.0, 2.0),
    needs: Some(&["double", "float"]),
};

impl PolicyFlag {
    /// The file to change and its new text.
    fn change(&self, project: &Project) -> Option<(PathBuf, String)> {
        let c = makefile(project).or_else(|| cmake_lists(project));
        if let Some(path) = c {
            let text = read(project, &path)?;
            let changed = self.needed(project, &path).then(|| self.for_c(&path, &text)).flatten();
            return Some((path, changed?));
        }
        let (flag, _) = (self.rust?, CargoBuild::of(project)?);
        let path = project.cwd.join(".cargo/config.toml");
        // A file that is there and cannot be read is not ours to replace.
        let there = project.root.join(&path).symlink_metadata().is_ok();
        let text = if there { read(project, &path)? } else { String::new() };
        Some((path, for_cargo(&text, flag)?))
    }

    fn needed(&self, project: &Project, path: &Path) -> bool {
        let Some(words) = self.needs else {
            return true;
        };
        let mut texts = sources(project, path).filter_map(|file| read(project, file));
        texts.any(|text| {
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| words.contains(&word))
        })
    }

    fn for_c(&self, path: &Path, text: &str) -> Option<String> {
        // A machine that somebody chose is not ours to change.
        if text.contains(self.flag.split('=').next().unwrap_or(self.flag)) {
            return None;
        }
        if path.file_name().is_some_and(|name| name == "CMakeLists.txt") {
            let at = after_project(text)?;
            return Some(edited(text, &[Edit::insert(at, format!("add_compile_options({})\n", self.flag))]));
        }
        // Without optimisation these flags do next to nothing.
        (optimised(text) != Optimised::Not).then(|| with_flag(text, self.flag)).flatten()
    }
}

/// Cargo's configuration with one more codegen flag; absent when flags of a target would hide it, or it is there.
fn for_cargo(text: &str, flag: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let hides = |targets: &dyn TableLike| targets.iter().any(|(_, target)| target.get("rustflags").is_some());
    let hidden = document.get("target").and_then(Item::as_table_like).is_some_and(hides);
    if hidden || text.contains("target-cpu") {
        return None;
    }
    let build = document.entry("build").or_insert_with(|| Item::Table(Table::new())).as_table_like_mut()?;
    let flags = build.entry("rustflags").or_insert_with(|| value(Array::new())).as_array_mut()?;
    flags.push("-C");
    flags.push(flag);
    Some(document.to_string())
}

impl Recipe for PolicyFlag {
    fn id(&self) -> &'static str {
        self.id
    }

    fn level(&self) -> Level {
        Level::L5
    }

    fn soundness(&self) -> Soundness {
        Soundness::PolicyOnly(self.policy)
    }

    fn applies(&self) -> &'static str {
        self.applies
    }

    fn why(&self) -> &'static str {
        self.why
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let propose = |(path, _): (PathBuf, String)| {
            let path = path.to_string_lossy().into_owned();
            let proposal = Proposal {
                what: path.clone(),
                title: format!("{} ({path})", self.title),
                path,
                line: None,
                expected: self.expected,
                scores: Scores { impact: 2, ease: 5, coverage: 5, safety: 0 },
            };
            hypothesis(self, proposal)
        };
        self.change(project).map(propose).into_iter().collect()
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let path = &hypothesis.sites[0].path;
        let change = self.change(project).filter(|(found, _)| found == Path::new(path));
        let (_, text) =
            change.ok_or_else(|| gone(self, format!("{path} has the flag, or no place for it")))?;
        let folder = project.root.join(path).parent().map(Path::to_owned).unwrap_or_default();
        std::fs::create_dir_all(&folder).map_err(|source| DelegateError::Io {
            operation: "create",
            path: folder,
            source,
        })?;
        write(project, path, &text)?;
        let flag = self.rust.filter(|_| path.ends_with("config.toml")).unwrap_or(self.flag);
        Ok(Delegated { summary: format!("Adds {flag} to the compiler's flags in {path}.") })
    }
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::{apply_all, project};
    use super::*;
    use crate::config::CommandLine;

    #[test]
    fn flags_go_where_the_build_looks_for_them() {
        let check = |recipe: &PolicyFlag, build: &str, files: &[(&str, &str)], path: &str, after: &str| {
            let (_folder, mut project) = project("./a", files);
            project.build = CommandLine::parse(build).ok();
            assert_eq!(apply_all(recipe, &project, path), after, "{build}");
        };
        let flags = "CFLAGS = -O2\n";
        check(&GENERIC_CPU, "make", &[("Makefile", flags)], "Makefile", "CFLAGS = -O2 -march=native\n");
        for flags in ["CFLAGS = -g\n", "CFLAGS = -O2 -march=haswell\n"] {
            check(&GENERIC_CPU, "make", &[("Makefile", flags)], "Makefile", flags);
        }
        let floats = [("Makefile", flags), ("a.c", "double x;")];
        check(&STRICT_FLOATS, "make", &floats, "Makefile", "CFLAGS = -O2 -ffast-math\n");
        check(&STRICT_FLOATS, "make", &[("Makefile", flags), ("a.c", "int floats;")], "Makefile", flags);
        let lists = [("CMakeLists.txt", "project(a)\nx()\n")];
        let after = "project(a)\nadd_compile_options(-march=native)\nx()\n";
        check(&GENERIC_CPU, "cmake .", &lists, "CMakeLists.txt", after);
        let cargo = [("Cargo.toml", ""), (".cargo/config.toml", "# mine\n[net]\noffline = true\n")];
        let after = "# mine\n[net]\noffline = true\n\n[build]\nrustflags = [\"-C\", \"target-cpu=native\"]\n";
        check(&GENERIC_CPU, "cargo build", &cargo, ".cargo/config.toml", after);
        let after = "[build]\nrustflags = [\"-C\", \"target-cpu=native\"]\n";
        check(&GENERIC_CPU, "cargo build", &[("Cargo.toml", "")], ".cargo/config.toml", after);
        let target = "[target.x]\nrustflags = [\"-g\"]\n";
        let cargo = [("Cargo.toml", ""), (".cargo/config.toml", target)];
        check(&GENERIC_CPU, "cargo build", &cargo, ".cargo/config.toml", target);
        check(&STRICT_FLOATS, "cargo build", &cargo, ".cargo/config.toml", target);
    }
}
