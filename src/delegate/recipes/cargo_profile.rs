//! Cargo's profiles: what the default leaves out for the sake of build time.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, value};

use super::edits::{Proposal, gone, hypothesis, must_read, read, write};
use super::{DelegateError, Delegated, Project, Recipe};
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

pub(super) struct CargoProfile;

/// One set of keys that belong together.
struct Variant {
    id: &'static str,
    title: &'static str,
    /// Factors for the whole program. On pulldown-cmark 0.13, fat LTO with one unit and abort saved 13.6 %.
    expected: (f64, f64),
    impact: u8,
    applies: fn(&Facts<'_>) -> bool,
    keys: &'static [(&'static str, Setting)],
}

#[derive(Clone, Copy)]
enum Setting {
    Text(&'static str),
    Number(i64),
}

/// What decides whether a variant applies.
struct Facts<'a> {
    profile: &'static str,
    table: Option<&'a Item>,
    project: &'a Project,
}

const VARIANTS: &[Variant] = &[
    Variant {
        id: "opt-level",
        title: "Optimise for speed",
        expected: (1.1, 30.0),
        impact: 5,
        applies: |facts| (facts.profile == "dev" && !facts.has("opt-level")) || facts.has_slow_opt_level(),
        keys: &[("opt-level", Setting::Number(3))],
    },
    Variant {
        id: "cross-crate",
        title: "Optimise across crates (fat LTO, one codegen unit)",
        expected: (1.0, 1.5),
        impact: 4,
        applies: |facts| facts.profile == "release" && !(facts.has("lto") && facts.has("codegen-units")),
        keys: &[("lto", Setting::Text("fat")), ("codegen-units", Setting::Number(1))],
    },
    Variant {
        id: "panic-abort",
        title: "Abort on panic instead of unwinding",
        expected: (1.0, 1.1),
        impact: 1,
        applies: |facts| facts.profile == "release" && !facts.has("panic") && !facts.unwinds(),
        keys: &[("panic", Setting::Text("abort"))],
    },
];

impl Facts<'_> {
    fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.get(key).is_some())
    }

    fn has_slow_opt_level(&self) -> bool {
        let level = self.table.and_then(|table| table.get("opt-level"));
        level.is_some_and(|level| level.as_integer() != Some(3))
    }

    /// Whether anything in the project counts on unwinding.
    fn unwinds(&self) -> bool {
        const SIGNS: &[&str] = &["catch_unwind", "resume_unwind", "panic::set_hook", "JoinHandle", ".join()"];
        let sources =
            self.project.files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "rs"));
        sources
            .filter_map(|file| read(self.project, file))
            .any(|text| SIGNS.iter().any(|sign| text.contains(sign)))
    }
}

impl Recipe for CargoProfile {
    fn id(&self) -> &'static str {
        "cargo-profile"
    }

    fn level(&self) -> Level {
        Level::L5
    }

    fn soundness(&self) -> Soundness {
        Soundness::NeedsOracle
    }

    fn applies(&self) -> &'static str {
        "A Rust program whose Cargo profile leaves out optimisations."
    }

    fn why(&self) -> &'static str {
        "Cargo's profiles favour short builds: crates are compiled apart and in pieces, so small functions of other \
         crates stay calls. The change lets the compiler see the whole program."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let Some((path, document)) = manifest(project) else {
            return Vec::new();
        };
        let Some(profile) = profile(project) else {
            return Vec::new();
        };
        let table = document.get("profile").and_then(|profiles| profiles.get(profile));
        let facts = Facts { profile, table, project };
        let applicable = VARIANTS.iter().filter(|variant| (variant.applies)(&facts));
        applicable
            .map(|variant| {
                hypothesis(
                    self,
                    Proposal {
                        what: format!("{path}:{profile}:{}", variant.id),
                        title: match profile {
                            "release" => variant.title.to_owned(),
                            _ => format!("{} in the {profile} profile", variant.title),
                        },
                        path: path.clone(),
                        line: None,
                        expected: variant.expected,
                        scores: Scores { impact: variant.impact, ease: 5, coverage: 5, safety: 0 },
                    },
                )
            })
            .collect()
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let parts: Vec<&str> = hypothesis.key.rsplitn(3, ':').collect();
        let [id, profile, _] = parts.as_slice() else {
            return Err(gone(self, "its key is damaged"));
        };
        let variant = VARIANTS.iter().find(|variant| variant.id == *id);
        let variant = variant.ok_or_else(|| gone(self, "no such variant in this version"))?;
        let path = &hypothesis.sites[0].path;
        let text = must_read(self, project, path)?;
        let mut document: DocumentMut =
            text.parse().map_err(|error| gone(self, format!("{path}: {error}")))?;
        let profiles = document.entry("profile").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let table = profiles
            .as_table_like_mut()
            .ok_or_else(|| gone(self, "[profile] is not a table"))?
            .entry(profile)
            .or_insert_with(|| Item::Table(Table::new()))
            .as_table_like_mut()
            .ok_or_else(|| gone(self, "the profile is not a table"))?;
        let mut set = Vec::new();
        for (key, setting) in variant.keys {
            let item = match setting {
                Setting::Text(text) => value(*text),
                Setting::Number(number) => value(*number),
            };
            set.push(format!("{key} = {}", item.to_string().trim()));
            // In place: a new entry would lose the comments of the old one.
            match table.get_mut(key) {
                Some(old) => *old = item,
                None => drop(table.insert(key, item)),
            }
        }
        write(project, path, &document.to_string())?;
        Ok(Delegated { summary: format!("Sets {} in [profile.{profile}] of {path}.", set.join(", ")) })
    }
}

/// The manifest that holds the profiles: the workspace's, else the package's.
fn manifest(project: &Project) -> Option<(String, DocumentMut)> {
    let mut package = None;
    for folder in project.cwd.ancestors() {
        let path = folder.join("Cargo.toml");
        if !project.files.contains(&path) {
            continue;
        }
        let Ok(document) = read(project, &path)?.parse::<DocumentMut>() else {
            return None;
        };
        let found = Some((path.to_string_lossy().into_owned(), document));
        if found.as_ref().is_some_and(|(_, document)| document.contains_key("workspace")) {
            return found;
        }
        package = package.or(found);
    }
    package
}

/// The profile that the benchmark's program is built with, when it is Cargo that builds it.
fn profile(project: &Project) -> Option<&'static str> {
    let words = |line: &crate::config::CommandLine| line.words();
    let build = project.build.as_ref().map(words).unwrap_or_default();
    let command = words(&project.command);
    let program = command.first().map_or("", String::as_str);
    let by_cargo = build.iter().any(|word| word == "cargo")
        || program == "cargo"
        || Path::new(program).components().any(|part| part.as_os_str() == "target");
    if !by_cargo {
        return None;
    }
    let release = build.iter().chain(&command).any(|word| word == "--release" || word == "-r")
        || program.contains("target/release/");
    Some(if release { "release" } else { "dev" })
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::{apply_all, project};
    use super::*;

    fn check(command: &str, before: &str, after: &str) {
        let (_folder, project) = project(command, &[("Cargo.toml", before), ("src/main.rs", "fn main() {}")]);
        assert_eq!(apply_all(&CargoProfile, &project, "Cargo.toml"), after);
    }

    #[test]
    fn profiles_get_what_they_lack_and_keep_their_comments() {
        let package = "[package]\nname = \"a\" # mine\n";
        check(
            "./target/release/a",
            package,
            &format!("{package}\n[profile.release]\nlto = \"fat\"\ncodegen-units = 1\npanic = \"abort\"\n"),
        );
        check(
            "target/release/a",
            "[profile.release]\n# small\nopt-level = \"z\"\nlto = true\ncodegen-units = 1\npanic = \"abort\"\n",
            "[profile.release]\n# small\nopt-level = 3\nlto = true\ncodegen-units = 1\npanic = \"abort\"\n",
        );
    }

    #[test]
    fn a_debug_build_is_made_fast_where_it_is() {
        let (_folder, project) = project("target/debug/a", &[("Cargo.toml", "[package]\n")]);
        let first = &CargoProfile.propose(&project)[0];
        assert_eq!(first.title, "Optimise for speed in the dev profile");
        CargoProfile.apply(first, &project).unwrap();
        let text = std::fs::read_to_string(project.root.join("Cargo.toml")).unwrap();
        assert_eq!(text, "[package]\n\n[profile.dev]\nopt-level = 3\n");
    }

    #[test]
    fn other_programs_are_left_alone() {
        let check = |command: &str, source: &str, count: usize| {
            let files = [("Cargo.toml", "[package]\n"), ("src/main.rs", source)];
            let (_folder, project) = project(command, &files);
            assert_eq!(CargoProfile.propose(&project).len(), count, "{command}");
        };
        check("python3 a.py", "", 0);
        check("target/release/a", "", 2);
        check("target/release/a", "std::panic::catch_unwind(f)", 1);
    }
}
