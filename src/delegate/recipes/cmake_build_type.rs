//! CMake projects without a build type, or with the wrong one: CMake's own default optimises nothing.

use std::path::PathBuf;

use super::edits::{Edit, Proposal, edited, gone, hypothesis, must_read, read, write};
use super::{DelegateError, Delegated, Project, Recipe};
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

/// The idiom of many projects: a default that the user's own choice overrides.
const DEFAULT: &str = "
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING \"Build type\" FORCE)
endif()
";

pub(super) struct CmakeBuildType;

impl Recipe for CmakeBuildType {
    fn id(&self) -> &'static str {
        "cmake-missing-build-type"
    }

    fn level(&self) -> Level {
        Level::L5
    }

    fn soundness(&self) -> Soundness {
        Soundness::NeedsOracle
    }

    fn applies(&self) -> &'static str {
        "A CMakeLists.txt that sets no build type, or Debug, or -O0 in its flags, and a build command that names none."
    }

    fn why(&self) -> &'static str {
        "Without a build type CMake passes no -O at all. Release also defines NDEBUG: an assert with a side effect \
         would lose it, so the output decides."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let Some(path) = cmake_lists(project) else {
            return Vec::new();
        };
        let chosen = project.build.as_ref().is_some_and(|build| {
            let line = build.to_string();
            line.contains("CMAKE_BUILD_TYPE") || line.contains("--preset")
        });
        let Some((line, _)) = read(project, &path).filter(|_| !chosen).as_deref().and_then(change) else {
            return Vec::new();
        };
        let path = path.to_string_lossy().into_owned();
        vec![hypothesis(
            self,
            Proposal {
                what: path.clone(),
                title: format!("Build in Release mode by default ({path})"),
                path,
                line: Some(line),
                expected: (1.3, 10.0),
                scores: Scores { impact: 5, ease: 5, coverage: 5, safety: 0 },
            },
        )]
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let path = &hypothesis.sites[0].path;
        let text = must_read(self, project, path)?;
        let (_, edits) = change(&text).ok_or_else(|| gone(self, "the build type is set by now"))?;
        write(project, path, &edited(&text, &edits))?;
        Ok(Delegated { summary: format!("Makes an optimised build the default in {path}.") })
    }
}

/// The top CMakeLists.txt, when it is CMake that builds the project.
pub(super) fn cmake_lists(project: &Project) -> Option<PathBuf> {
    let words = project.build.as_ref()?.words();
    let source = |(index, word): (usize, &String)| match word.strip_prefix("-S")? {
        "" => words.get(index + 1).cloned(),
        attached => Some(attached.to_owned()),
    };
    let folder = words.iter().enumerate().find_map(source).unwrap_or_default();
    let folder = folder.trim_start_matches("./").trim_end_matches('/');
    let folder = if folder == "." { "" } else { folder };
    let path = project.cwd.join(folder).join("CMakeLists.txt");
    (words.iter().any(|word| word == "cmake") && project.files.contains(&path)).then_some(path)
}

/// The line and the edits that give the project an optimised default.
fn change(text: &str) -> Option<(u32, Vec<Edit>)> {
    let code = without_comments(text);
    let line_of = |at: usize| u32::try_from(text[..at].matches('\n').count() + 1).ok();
    let unoptimised = unoptimised_flags(&code);
    if let Some(first) = unoptimised.first() {
        return Some((line_of(first.range.start)?, unoptimised));
    }
    for set in ["set(cmake_build_type debug", "set(cmake_build_type \"debug"] {
        if let Some(at) = code.find(set) {
            let end = at + set.len();
            return Some((line_of(at)?, vec![Edit::new(end - "debug".len()..end, "Release")]));
        }
    }
    if code.contains("cmake_build_type") {
        return None;
    }
    let (project, after) = project_line(&code)?;
    Some((line_of(project)?, vec![Edit::insert(after, DEFAULT)]))
}

/// Levels that flags of all builds carry: those would win over the build type's.
fn unoptimised_flags(code: &str) -> Vec<Edit> {
    let mut edits = Vec::new();
    for set in ["set(cmake_c_flags ", "set(cmake_cxx_flags ", "add_compile_options(", "add_definitions("] {
        for (at, _) in code.match_indices(set) {
            let end = code[at..].find(')').map_or(code.len(), |end| at + end);
            for level in ["-o0", "-og", "-o1"] {
                let found = code[at..end].match_indices(level).map(|(found, _)| at + found);
                let whole = found.filter(|found| {
                    let next = code[found + level.len()..].chars().next();
                    !next.is_some_and(|next| next.is_ascii_alphanumeric())
                });
                edits.extend(whole.map(|found| Edit::new(found..found + level.len(), "-O2")));
            }
        }
    }
    edits
}

/// Offsets of `project(…)` and of the line behind it.
fn project_line(code: &str) -> Option<(usize, usize)> {
    let is_start = |at: &usize| code[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let project = code.match_indices("project(").map(|(at, _)| at).find(is_start)?;
    let end = project + code[project..].find(')')? + 1;
    Some((project, code[end..].find('\n').map_or(code.len(), |at| end + at + 1)))
}

/// Where commands that concern the whole project go.
pub(super) fn after_project(text: &str) -> Option<usize> {
    project_line(&without_comments(text)).map(|(_, after)| after)
}

/// The text in lower case, comments blanked out, every byte in its place.
fn without_comments(text: &str) -> String {
    let line = |line: &str| match line.find('#') {
        Some(at) => {
            let comment = line[at..]
                .chars()
                .map(|c| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) });
            format!("{}{}", &line[..at], comment.collect::<String>())
        }
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::project;
    use super::*;
    use crate::config::CommandLine;

    fn check(before: &str, expected: Option<(u32, &str)>) {
        let found = change(before).map(|(line, edits)| (line, edited(before, &edits)));
        assert_eq!(found, expected.map(|(line, after)| (line, after.to_owned())), "{before}");
        if let Some((_, after)) = found {
            assert_eq!(change(&after).filter(|_| after.contains("NOT CMAKE_BUILD_TYPE")), None, "{after}");
        }
    }

    #[test]
    fn the_default_becomes_optimised() {
        check(
            "# project(old) – gone\ncmake_minimum_required(VERSION 3.10)\nproject(a\n  C)\nadd_executable(a a.c)\n",
            Some((
                3,
                &format!(
                    "# project(old) – gone\ncmake_minimum_required(VERSION 3.10)\nproject(a\n  C)\n{DEFAULT}add_executable(a a.c)\n"
                ),
            )),
        );
        check("project(a)", Some((1, &format!("project(a){DEFAULT}"))));
        check(
            "project(a)\nset(CMAKE_BUILD_TYPE Debug)\n",
            Some((2, "project(a)\nset(CMAKE_BUILD_TYPE Release)\n")),
        );
        check("SET(CMAKE_BUILD_TYPE \"Debug\")\n", Some((1, "SET(CMAKE_BUILD_TYPE \"Release\")\n")));
        check(
            "project(a)\nset(CMAKE_C_FLAGS \"${CMAKE_C_FLAGS} -g -O0\")\nset(CMAKE_BUILD_TYPE Release)\n",
            Some((
                2,
                "project(a)\nset(CMAKE_C_FLAGS \"${CMAKE_C_FLAGS} -g -O2\")\nset(CMAKE_BUILD_TYPE Release)\n",
            )),
        );
        check("project(a)\nset(CMAKE_BUILD_TYPE Release)\n", None);
        check("project(a)\nset(CMAKE_C_FLAGS_DEBUG \"-O0\")\nset(CMAKE_BUILD_TYPE Release)\n", None);
        check("add_executable(a a.c)\nset_project(a)\n", None);
    }

    #[test]
    fn a_build_command_that_chooses_is_left_alone() {
        let files = [("CMakeLists.txt", "project(a)\n"), ("sub/CMakeLists.txt", "project(b)\n")];
        let (_folder, mut project) = project("build/a", &files);
        for (build, expected) in [
            ("cmake -S . -B build && cmake --build build", Some("CMakeLists.txt")),
            ("cmake -Ssub -Bbuild", Some("sub/CMakeLists.txt")),
            ("cmake -DCMAKE_BUILD_TYPE=Debug .", None),
            ("cmake --preset fast", None),
            ("make", None),
        ] {
            project.build = CommandLine::parse(build).ok();
            let found = CmakeBuildType.propose(&project).pop().map(|found| found.sites[0].path.clone());
            assert_eq!(found.as_deref(), expected, "{build}");
        }
    }
}
