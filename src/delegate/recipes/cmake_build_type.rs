//! CMake projects without a build type, or with the wrong one: CMake's own default optimises nothing.

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
        "A CMakeLists.txt that sets no build type, or Debug, and a build command that names none."
    }

    fn why(&self) -> &'static str {
        "Without a build type CMake passes no -O at all. Release also defines NDEBUG: an assert with a side effect \
         would lose it, so the output decides."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let Some(build) = project.build.as_ref().map(ToString::to_string) else {
            return Vec::new();
        };
        let path = project.cwd.join("CMakeLists.txt");
        if !build.contains("cmake") || build.contains("CMAKE_BUILD_TYPE") || !project.files.contains(&path) {
            return Vec::new();
        }
        let Some((line, _)) = read(project, &path).as_deref().and_then(change) else {
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
        let (_, edit) = change(&text).ok_or_else(|| gone(self, "the build type is set by now"))?;
        write(project, path, &edited(&text, &[edit]))?;
        Ok(Delegated { summary: format!("Makes Release the default build type in {path}.") })
    }
}

/// The line and the edit that give the project an optimised default.
fn change(text: &str) -> Option<(u32, Edit)> {
    let line_of = |at: usize| u32::try_from(text[..at].matches('\n').count() + 1).ok();
    let lower = text.to_ascii_lowercase();
    if let Some(at) = lower.find("set(cmake_build_type debug") {
        let word = at + "set(cmake_build_type ".len();
        return Some((line_of(at)?, Edit::new(word..word + "debug".len(), "Release")));
    }
    if lower.contains("cmake_build_type") {
        return None;
    }
    let project = lower.find("project(")?;
    let end = project + lower[project..].find(')')? + 1;
    let after = end + lower[end..].find('\n').map_or(lower.len() - end, |at| at + 1);
    Some((line_of(project)?, Edit::insert(after, DEFAULT)))
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::project;
    use super::*;

    #[test]
    fn the_default_goes_behind_the_project_line() {
        let text = "cmake_minimum_required(VERSION 3.10)\nproject(a\n  C)\nadd_executable(a a.c)\n";
        let (line, edit) = change(text).unwrap();
        assert_eq!(line, 2);
        let after = edited(text, &[edit]);
        assert!(after.contains("project(a\n  C)\n\nif(NOT CMAKE_BUILD_TYPE"), "{after}");
        assert!(change(&after).is_none());
        let debug = change("project(a)\nset(CMAKE_BUILD_TYPE Debug)\n").unwrap();
        assert_eq!((debug.0, debug.1.text.as_str()), (2, "Release"));
    }

    #[test]
    fn a_build_command_that_chooses_is_left_alone() {
        let (_folder, mut project) = project("build/a", &[("CMakeLists.txt", "project(a)\n")]);
        for (build, count) in
            [("cmake -S . -B build", 1), ("cmake -DCMAKE_BUILD_TYPE=Debug .", 0), ("make", 0)]
        {
            project.build = crate::config::CommandLine::parse(build).ok();
            assert_eq!(CmakeBuildType.propose(&project).len(), count, "{build}");
        }
    }
}
