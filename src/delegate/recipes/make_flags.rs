//! C and C++ programs whose Makefile never asks for optimisation.

use std::path::PathBuf;

use super::edits::{Edit, Proposal, edited, gone, hypothesis, must_read, read, write};
use super::{DelegateError, Delegated, Project, Recipe};
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

const NAMES: &[&str] = &["GNUmakefile", "makefile", "Makefile"];

/// Variables that hold compiler flags.
const VARIABLES: &[&str] = &["CFLAGS", "CXXFLAGS", "CCFLAGS", "OPTFLAGS", "OPT"];

const COMPILERS: &[&str] = &["cc", "gcc", "g++", "c++", "clang", "clang++"];

pub(super) struct MakeFlags;

/// The compiler's optimisation levels, as far as they matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Optimised {
    Not,
    Standard,
    Most,
}

impl Recipe for MakeFlags {
    fn id(&self) -> &'static str {
        "c-missing-optimisation"
    }

    fn level(&self) -> Level {
        Level::L5
    }

    fn soundness(&self) -> Soundness {
        Soundness::NeedsOracle
    }

    fn applies(&self) -> &'static str {
        "A Makefile that compiles C or C++ without optimisation, or not with the highest level."
    }

    fn why(&self) -> &'static str {
        "Without -O a C compiler keeps every variable in memory and inlines nothing. Programs with undefined behaviour \
         may change; the output decides."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let Some(path) = makefile(project) else {
            return Vec::new();
        };
        let Some(text) = read(project, &path) else {
            return Vec::new();
        };
        let path = path.to_string_lossy().into_owned();
        let (level, expected, impact) = match optimised(&text) {
            Optimised::Not => ("-O2", (1.3, 5.0), 5),
            Optimised::Standard => ("-O3", (1.0, 1.3), 2),
            Optimised::Most => return Vec::new(),
        };
        if raised(&text, level).is_none() {
            return Vec::new();
        }
        vec![hypothesis(
            self,
            Proposal {
                what: format!("{path}:{level}"),
                title: format!("Compile with {level} ({path})"),
                line: line_of_flags(&text),
                path,
                expected,
                scores: Scores { impact, ease: 5, coverage: 5, safety: 0 },
            },
        )]
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let path = &hypothesis.sites[0].path;
        let level = if hypothesis.key.ends_with("-O3") { "-O3" } else { "-O2" };
        let text = must_read(self, project, path)?;
        let raised =
            raised(&text, level).ok_or_else(|| gone(self, "no compiler flags are left to change"))?;
        write(project, path, &raised)?;
        Ok(Delegated { summary: format!("Adds {level} to the compiler's flags in {path}.") })
    }
}

/// The file that `make` would read, when the build uses make.
fn makefile(project: &Project) -> Option<PathBuf> {
    let build = project.build.as_ref()?.words();
    if !build.iter().any(|word| word == "make" || word == "gmake") {
        return None;
    }
    NAMES.iter().map(|name| project.cwd.join(name)).find(|path| project.files.contains(path))
}

/// The name and the offset of the value of `NAME = …`, `:=`, `?=`, `+=`.
fn assignment(line: &str) -> Option<(&str, usize)> {
    let at = line.find('=')?;
    let name = line[..at].trim_end_matches([':', '?', '+', ' ', '\t']);
    VARIABLES.contains(&name).then_some((name, at + 1))
}

/// Offset behind the compiler's name in a recipe line that names it directly.
fn direct_call(line: &str) -> Option<usize> {
    let command = line.strip_prefix('\t')?.trim_start_matches(['@', '-']);
    let program = command.split_whitespace().next()?;
    let variables_decide = VARIABLES.iter().any(|name| command.contains(&format!("$({name})")));
    let start = line.len() - command.len();
    (COMPILERS.contains(&program) && !variables_decide).then_some(start + program.len())
}

fn flag_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let start = at;
        at += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        (assignment(line).is_some() || direct_call(line).is_some()).then_some((start, line))
    })
}

fn line_of_flags(text: &str) -> Option<u32> {
    let (start, _) = flag_lines(text).next()?;
    u32::try_from(text[..start].matches('\n').count() + 1).ok()
}

fn is_level(word: &str) -> bool {
    matches!(word, "-O" | "-O0" | "-O1" | "-O2" | "-O3" | "-Os" | "-Oz" | "-Og" | "-Ofast")
}

fn optimised(text: &str) -> Optimised {
    let words =
        flag_lines(text).flat_map(|(_, line)| line.split(['=', ' ', '\t'])).filter(|word| is_level(word));
    words
        .map(|word| match word {
            "-O3" | "-Ofast" => Optimised::Most,
            "-O2" | "-Os" => Optimised::Standard,
            _ => Optimised::Not,
        })
        .max()
        .unwrap_or(Optimised::Not)
}

/// The text with `level` in place of every other level; added where there is none. Absent when there are no flags.
fn raised(text: &str, level: &str) -> Option<String> {
    let mut edits = Vec::new();
    let mut has_level = false;
    for (start, line) in flag_lines(text) {
        for word in line.split(['=', ' ', '\t']).filter(|word| is_level(word)) {
            let at = start + (word.as_ptr() as usize - line.as_ptr() as usize);
            edits.push(Edit::new(at..at + word.len(), level));
            has_level = true;
        }
    }
    if !has_level {
        let mut done: Vec<&str> = Vec::new();
        for (start, line) in flag_lines(text) {
            match (assignment(line), direct_call(line)) {
                // Later assignments of the same variable usually add to the first one.
                (Some((name, _)), _) if done.contains(&name) => {}
                (Some((name, _)), _) => {
                    done.push(name);
                    let value = line.split('#').next().unwrap_or(line).trim_end();
                    edits.push(Edit::insert(start + value.len(), format!(" {level}")));
                }
                (None, Some(at)) => edits.push(Edit::insert(start + at, format!(" {level}"))),
                (None, None) => {}
            }
        }
    }
    (!edits.is_empty()).then(|| edited(text, &edits)).filter(|changed| changed != text)
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::project;
    use super::*;

    fn check(before: &str, level: &str, after: Option<&str>) {
        assert_eq!(raised(before, level).as_deref(), after, "{before:?}");
    }

    #[test]
    fn flags_are_added_where_they_belong() {
        check("CFLAGS = -g -Wall # old\nall:\n", "-O2", Some("CFLAGS = -g -Wall -O2 # old\nall:\n"));
        check("CFLAGS=\nCXXFLAGS += -g\n", "-O2", Some("CFLAGS= -O2\nCXXFLAGS += -g -O2\n"));
        check("CFLAGS = -O0 -g\n", "-O2", Some("CFLAGS = -O2 -g\n"));
        check("CFLAGS = -g\nCFLAGS += -Wall\n", "-O2", Some("CFLAGS = -g -O2\nCFLAGS += -Wall\n"));
        check("a: a.c\n\tgcc -g a.c -o a\n", "-O2", Some("a: a.c\n\tgcc -O2 -g a.c -o a\n"));
        check("a: a.c\n\t@cc -O1 a.c\n", "-O2", Some("a: a.c\n\t@cc -O2 a.c\n"));
        check("a: a.c\n\t$(CC) $(CFLAGS) a.c\n", "-O2", None);
        check("CFLAGS = -O2\r\n", "-O3", Some("CFLAGS = -O3\r\n"));
        check("CFLAGS = -O3\n", "-O3", None);
    }

    #[test]
    fn steps_follow_each_other_and_end() {
        let (_folder, mut project) = project("./a", &[("Makefile", "CFLAGS = -g\n")]);
        assert!(MakeFlags.propose(&project).is_empty(), "nothing says that make builds it");
        project.build = crate::config::CommandLine::parse("make").ok();
        for level in ["-O2", "-O3"] {
            let hypothesis = MakeFlags.propose(&project).remove(0);
            assert!(hypothesis.key.ends_with(level), "{}", hypothesis.key);
            assert_eq!(hypothesis.sites[0].line, Some(1));
            MakeFlags.apply(&hypothesis, &project).unwrap();
        }
        assert!(MakeFlags.propose(&project).is_empty());
    }
}
