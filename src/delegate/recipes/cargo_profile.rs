//! Cargo's profiles: what the default leaves out for the sake of build time.

use std::path::{Path, PathBuf};

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
    No,
}

impl Setting {
    fn item(self) -> Item {
        match self {
            Self::Text(text) => value(text),
            Self::Number(number) => value(number),
            Self::No => value(false),
        }
    }
}

const VARIANTS: &[Variant] = &[
    Variant {
        id: "opt-level",
        title: "Optimise for speed",
        expected: (1.1, 30.0),
        impact: 5,
        applies: |facts| match facts.setting("opt-level") {
            Some(level) => level.as_integer() != Some(3),
            None => facts.base == Base::Dev,
        },
        keys: &[("opt-level", Setting::Number(3))],
    },
    Variant {
        id: "cross-crate",
        title: "Optimise across crates (fat LTO, one codegen unit)",
        expected: (1.0, 1.5),
        impact: 4,
        applies: |facts| {
            let fat = |lto: &Item| lto.as_bool() == Some(true) || lto.as_str() == Some("fat");
            let one = |units: &Item| units.as_integer() == Some(1);
            facts.base == Base::Release
                && !(facts.setting("lto").is_some_and(fat) && facts.setting("codegen-units").is_some_and(one))
        },
        keys: &[("lto", Setting::Text("fat")), ("codegen-units", Setting::Number(1))],
    },
    Variant {
        id: "checks",
        title: "Build without debug checks and incremental compilation",
        expected: (1.0, 1.5),
        impact: 3,
        applies: |facts| {
            let on = |key| facts.setting(key).and_then(Item::as_bool) == Some(true);
            facts.base == Base::Release
                && (on("debug-assertions") || on("overflow-checks") || on("incremental"))
        },
        keys: &[
            ("debug-assertions", Setting::No),
            ("overflow-checks", Setting::No),
            ("incremental", Setting::No),
        ],
    },
    Variant {
        id: "panic-abort",
        title: "Abort on panic instead of unwinding",
        expected: (1.0, 1.1),
        impact: 1,
        applies: |facts| {
            facts.base == Base::Release && facts.setting("panic").is_none() && !facts.needs_unwinding()
        },
        keys: &[("panic", Setting::Text("abort"))],
    },
];

/// Which of Cargo's own profiles gives the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Release,
    Dev,
}

/// What decides whether a variant applies.
struct Facts<'a> {
    project: &'a Project,
    document: &'a DocumentMut,
    /// The profile of the build and those it inherits from, itself first.
    chain: Vec<String>,
    base: Base,
}

impl<'a> Facts<'a> {
    fn new(project: &'a Project, document: &'a DocumentMut, profile: &str) -> Self {
        let mut chain = vec![profile.to_owned()];
        // Cargo refuses circles; the bound only keeps a broken manifest from holding us.
        while chain.len() < 8 {
            let last = chain.last().map_or("", String::as_str);
            let inherited = table(document, last).and_then(|table| table.get("inherits")?.as_str());
            match (last, inherited) {
                ("release" | "dev", _) => break,
                (_, Some(parent)) => chain.push(parent.to_owned()),
                ("bench", None) => chain.push("release".to_owned()),
                (_, None) => chain.push("dev".to_owned()),
            }
        }
        let base = if chain.iter().any(|name| name == "release") { Base::Release } else { Base::Dev };
        Self { project, document, chain, base }
    }

    /// A key of the profile, or of one that it inherits from.
    fn setting(&self, key: &str) -> Option<&'a Item> {
        self.chain.iter().find_map(|profile| table(self.document, profile)?.get(key))
    }

    /// Whether anything in the project counts on unwinding.
    fn needs_unwinding(&self) -> bool {
        const SIGNS: &[&str] =
            &["catch_unwind", "resume_unwind", "should_panic", "proc_macro", "JoinHandle", ".join()"];
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
        let Some(build) = CargoBuild::of(project) else {
            return Vec::new();
        };
        let Some((path, document)) = manifest(project, &build.folder) else {
            return Vec::new();
        };
        let facts = Facts::new(project, &document, &build.profile);
        let applicable = VARIANTS.iter().filter(|variant| (variant.applies)(&facts));
        applicable
            .map(|variant| {
                hypothesis(
                    self,
                    Proposal {
                        what: format!("{path}:{}:{}", build.profile, variant.id),
                        title: match build.profile.as_str() {
                            "release" => variant.title.to_owned(),
                            profile => format!("{} in the {profile} profile", variant.title),
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
            let mut item = setting.item();
            set.push(format!("{key} = {}", item.to_string().trim()));
            // In place, and with the decoration of the old value: a new entry would lose its comments.
            match table.get_mut(key) {
                Some(old) => {
                    if let (Some(old), Some(new)) = (old.as_value(), item.as_value_mut()) {
                        *new.decor_mut() = old.decor().clone();
                    }
                    *old = item;
                }
                None if matches!(setting, Setting::No) => drop(set.pop()),
                None => drop(table.insert(key, item)),
            }
        }
        write(project, path, &document.to_string())?;
        Ok(Delegated { summary: format!("Sets {} in [profile.{profile}] of {path}.", set.join(", ")) })
    }
}

fn table<'a>(document: &'a DocumentMut, profile: &str) -> Option<&'a Item> {
    document.get("profile")?.get(profile)
}

/// How Cargo builds the benchmark's program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CargoBuild {
    pub profile: String,
    /// Where Cargo looks for a manifest, relative to the root.
    pub folder: PathBuf,
}

impl CargoBuild {
    /// Absent when nothing says that it is Cargo that builds it.
    pub fn of(project: &Project) -> Option<Self> {
        let build = project.build.as_ref().map(crate::config::CommandLine::words).unwrap_or_default();
        let command = project.command.words();
        let program = PathBuf::from(command.first().map_or("", String::as_str).trim_start_matches("./"));
        let target: Vec<&str> = program.iter().filter_map(|part| part.to_str()).collect();
        let at = target.iter().position(|part| *part == "target");
        let calls_cargo = |words: &[String]| words.iter().any(|word| word == "cargo");
        if at.is_none() && !calls_cargo(&build) && !calls_cargo(&command) {
            return None;
        }
        // Behind `--` the words are the program's own.
        let words: Vec<&str> = [&build, &command]
            .into_iter()
            .filter(|words| calls_cargo(words))
            .flat_map(|words| words.iter().map(String::as_str).take_while(|word| *word != "--"))
            .collect();
        let named = option(&words, "--profile");
        let by_flag = words.iter().any(|word| *word == "--release" || *word == "-r").then_some("release");
        let by_subcommand = words.contains(&"bench").then_some("bench");
        // `target/PROFILE/app` or `target/TRIPLE/PROFILE/app`.
        let by_path = at.filter(|_| target.len() >= 2).map(|_| target[target.len() - 2]);
        let profile = match named.or(by_flag).or(by_path).or(by_subcommand) {
            None | Some("debug") => "dev",
            Some(profile) => profile,
        };
        let folder = match (option(&words, "--manifest-path"), at) {
            (Some(path), _) => Path::new(path).parent().map(Path::to_owned).unwrap_or_default(),
            (None, Some(at)) => target[..at].iter().collect(),
            (None, None) => PathBuf::new(),
        };
        Some(Self { profile: profile.to_owned(), folder: project.cwd.join(folder) })
    }
}

/// The value of `--name value` or `--name=value`.
fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(name)? {
        "" => words.get(index + 1).copied(),
        rest => rest.strip_prefix('='),
    })
}

/// The manifest that holds the profiles: the workspace's, else the package's.
pub(super) fn manifest(project: &Project, folder: &Path) -> Option<(String, DocumentMut)> {
    let mut package = None;
    for folder in folder.ancestors() {
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

#[cfg(test)]
mod tests {
    use super::super::edits::testing::{apply_all, project};
    use super::*;
    use crate::config::CommandLine;

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
            "[profile.release]\n# small\nopt-level = \"z\" # really\nlto = true\ncodegen-units = 1\npanic = \"abort\"\n",
            "[profile.release]\n# small\nopt-level = 3 # really\nlto = true\ncodegen-units = 1\npanic = \"abort\"\n",
        );
        check(
            "target/release/a",
            "profile.release = { lto = \"thin\", overflow-checks = true, panic = \"unwind\" }\n",
            "profile.release = { lto = \"fat\", overflow-checks = false, panic = \"unwind\" , codegen-units = 1 }\n",
        );
        check(
            "target/x86_64-unknown-linux-gnu/fast/a",
            "[profile.fast]\ninherits = \"release\"\npanic = \"abort\"\n\n[profile.release]\nlto = \"fat\"\n",
            "[profile.fast]\ninherits = \"release\"\npanic = \"abort\"\nlto = \"fat\"\ncodegen-units = 1\n\n[profile.release]\nlto = \"fat\"\n",
        );
    }

    #[test]
    fn a_debug_build_is_made_fast_where_it_is() {
        for command in ["target/debug/a", "cargo run -- --release"] {
            let (_folder, project) = project(command, &[("Cargo.toml", "[package]\n")]);
            let first = &CargoProfile.propose(&project)[0];
            assert_eq!(first.title, "Optimise for speed in the dev profile");
            assert_eq!(
                apply_all(&CargoProfile, &project, "Cargo.toml"),
                "[package]\n\n[profile.dev]\nopt-level = 3\n"
            );
        }
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
        check("target/release/a", "#[should_panic]", 1);
    }

    #[test]
    fn the_profile_and_its_manifest_are_those_of_the_build() {
        let check = |command: &str, build: Option<&str>, profile: &str, path: &str| {
            let files = [
                ("Cargo.toml", "[workspace]\n"),
                ("own/Cargo.toml", "[workspace]\n"),
                ("member/Cargo.toml", ""),
            ];
            let (_folder, mut project) = project(command, &files);
            project.build = build.map(|build| CommandLine::parse(build).unwrap());
            let build = CargoBuild::of(&project).unwrap();
            assert_eq!(build.profile, profile, "{command}");
            assert_eq!(manifest(&project, &build.folder).unwrap().0, path, "{command}");
        };
        check("./app", Some("cargo build --profile=fast"), "fast", "Cargo.toml");
        check("cargo run -r", None, "release", "Cargo.toml");
        check("cargo bench", None, "bench", "Cargo.toml");
        check("own/target/release/a", Some("make"), "release", "own/Cargo.toml");
        check(
            "./a",
            Some("cargo build --release --manifest-path own/Cargo.toml"),
            "release",
            "own/Cargo.toml",
        );
        check("member/target/debug/a", None, "dev", "Cargo.toml");
    }
}
