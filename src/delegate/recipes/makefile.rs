//! A Makefile's text as far as compiler flags go.
//!
//! **Invariant**: pure; knows lines and words, never runs make, and leaves what it does not understand as it is.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::edits::{Edit, edited};
use crate::delegate::Project;

const NAMES: &[&str] = &["GNUmakefile", "makefile", "Makefile"];

/// Variables that hold compiler flags.
const VARIABLES: &[&str] = &["CFLAGS", "CXXFLAGS", "CCFLAGS", "OPTFLAGS", "OPT"];

const COMPILERS: &[&str] =
    &["cc", "gcc", "g++", "c++", "clang", "clang++", "$(CC)", "$(CXX)", "${CC}", "${CXX}"];

/// The compiler's optimisation levels, as far as they matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Optimised {
    Not,
    Standard,
    Most,
}

/// The file that the build's `make` reads; absent when no make builds it, or flags on its command line decide.
pub(super) fn makefile(project: &Project) -> Option<PathBuf> {
    let words = project.build.as_ref()?.words();
    let make = words.iter().position(|word| word == "make" || word == "gmake")?;
    let words = &words[make + 1..];
    let decides = |word: &String| VARIABLES.iter().any(|name| word.starts_with(&format!("{name}=")));
    if words.iter().any(decides) {
        return None;
    }
    let option = |name: &str| {
        words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(name)? {
            "" => words.get(index + 1).map(String::as_str),
            attached => Some(attached),
        })
    };
    let folder = project.cwd.join(option("-C").unwrap_or(""));
    let names = option("-f").map_or_else(|| NAMES.to_vec(), |name| vec![name]);
    names.iter().map(|name| folder.join(name)).find(|path| project.files.contains(path))
}

/// C and C++ sources below the Makefile's folder.
pub(super) fn sources<'p>(project: &'p Project, makefile: &Path) -> impl Iterator<Item = &'p PathBuf> {
    let folder = makefile.parent().map(Path::to_owned).unwrap_or_default();
    project.files.iter().filter(move |file| {
        let ending = file.extension().and_then(|ending| ending.to_str());
        file.starts_with(&folder) && ending.is_some_and(|ending| ["c", "cc", "cpp", "cxx"].contains(&ending))
    })
}

/// A line with its continuations that sets flags, or calls a compiler without the variables that hold them.
struct FlagLine<'t> {
    start: usize,
    text: &'t str,
    what: What<'t>,
}

enum What<'t> {
    Assignment(&'t str),
    /// Offset in the line behind the compiler's name.
    Call(usize),
}

impl<'t> FlagLine<'t> {
    /// Its words with their offsets in the whole text.
    fn words(&self) -> impl Iterator<Item = (Range<usize>, &'t str)> {
        let value = match self.what {
            What::Assignment(_) => self.text.split_once('=').map_or("", |(_, value)| value),
            What::Call(_) => self.text,
        };
        let words = value.split(|c: char| c.is_whitespace() || c == '\\');
        words.filter(|word| !word.is_empty()).map(|word| {
            let at = self.start + (word.as_ptr() as usize - self.text.as_ptr() as usize);
            (at..at + word.len(), word)
        })
    }

    /// Where one more flag goes.
    fn insertion(&self) -> usize {
        match self.what {
            What::Call(at) => self.start + at,
            What::Assignment(_) => {
                let first = self.text.lines().next().unwrap_or("").trim_end_matches('\r');
                let value = first.split('#').next().unwrap_or("").trim_end();
                self.start + value.strip_suffix('\\').unwrap_or(value).trim_end().len()
            }
        }
    }
}

fn flag_lines(text: &str) -> Vec<FlagLine<'_>> {
    let mut found = Vec::new();
    let (mut start, mut end) = (0, 0);
    for line in text.split_inclusive('\n') {
        end += line.len();
        if line.trim_end_matches(['\n', '\r']).ends_with('\\') && end < text.len() {
            continue;
        }
        let text = text[start..end].trim_end_matches(['\n', '\r']);
        let what = assigned(text).map(What::Assignment).or_else(|| direct_call(text).map(What::Call));
        found.extend(what.map(|what| FlagLine { start, text, what }));
        start = end;
    }
    found
}

/// The name in `NAME = …`, `:=`, `?=`, `+=`.
fn assigned(line: &str) -> Option<&str> {
    let name = line[..line.find('=')?].trim_end_matches([':', '?', '+', ' ', '\t']);
    let name =
        ["override ", "export "].iter().fold(name, |name, word| name.strip_prefix(word).unwrap_or(name));
    is_flags(name).then_some(name)
}

fn is_flags(name: &str) -> bool {
    VARIABLES.contains(&name)
}

/// Offset behind the compiler's name in a recipe line that calls it without a variable for flags.
fn direct_call(line: &str) -> Option<usize> {
    let command = line.strip_prefix('\t')?.trim_start_matches(['@', '-', ' ']);
    let program = command.split_whitespace().next()?;
    let variables_decide = VARIABLES.iter().any(|name| refers(command, name));
    let start = line.len() - command.len();
    (COMPILERS.contains(&program) && !variables_decide).then_some(start + program.len())
}

fn refers(text: &str, name: &str) -> bool {
    text.contains(&format!("$({name})")) || text.contains(&format!("${{{name}}}"))
}

fn level(word: &str) -> Option<Optimised> {
    match word {
        "-O3" | "-Ofast" => Some(Optimised::Most),
        "-O" | "-O0" | "-O1" | "-Og" => Some(Optimised::Not),
        "-O2" | "-Os" | "-Oz" => Some(Optimised::Standard),
        _ => None,
    }
}

/// The highest level that it asks for anywhere.
pub(super) fn optimised(text: &str) -> Optimised {
    let lines = flag_lines(text);
    let levels = lines.iter().flat_map(|line| line.words().filter_map(|(_, word)| level(word)));
    levels.max().unwrap_or(Optimised::Not)
}

/// The text with `flag` as its level: in place of those of the highest level so far, else added like any other flag.
/// Absent when that changes nothing.
pub(super) fn raised(text: &str, flag: &str) -> Option<String> {
    let highest = optimised(text);
    let lines = flag_lines(text);
    let levels = lines.iter().flat_map(|line| line.words().filter(|(_, word)| level(word) == Some(highest)));
    let edits: Vec<Edit> = levels.map(|(range, _)| Edit::new(range, flag)).collect();
    if edits.is_empty() {
        return with_flag(text, flag);
    }
    Some(edited(text, &edits)).filter(|changed| changed != text)
}

/// The text with one more compiler flag. Absent when it has it, or no place for it.
pub(super) fn with_flag(text: &str, flag: &str) -> Option<String> {
    let lines = flag_lines(text);
    if lines.iter().any(|line| line.words().any(|(_, word)| word == flag)) {
        return None;
    }
    let sets = |names: &[&str]| {
        lines.iter().any(|line| matches!(line.what, What::Assignment(name) if names.contains(&name)))
    };
    let has_main = sets(&["CFLAGS", "CXXFLAGS"]);
    let mut done: Vec<&str> = Vec::new();
    let mut edits = Vec::new();
    for line in &lines {
        if let What::Assignment(name) = line.what {
            // Later assignments of the same variable usually add to the first one, and the main ones take in OPT.
            if done.contains(&name) || (has_main && name.starts_with("OPT")) {
                continue;
            }
            done.push(name);
        }
        edits.push(Edit::insert(line.insertion(), format!(" {flag}")));
    }
    // Variables that are used and never set are empty.
    for name in ["CFLAGS", "CXXFLAGS"] {
        if refers(text, name) && !done.contains(&name) {
            edits.push(Edit::insert(after_comments(text), format!("{name} = {flag}\n")));
        }
    }
    (!edits.is_empty()).then(|| edited(text, &edits))
}

/// Behind the comments that a file begins with.
fn after_comments(text: &str) -> usize {
    text.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum()
}

/// 1-based.
pub(super) fn line_of_flags(text: &str) -> Option<u32> {
    let start = flag_lines(text).first()?.start;
    u32::try_from(text[..start].matches('\n').count() + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::project;
    use super::*;
    use crate::config::CommandLine;

    fn check(before: &str, level: &str, after: Option<&str>) {
        assert_eq!(raised(before, level).as_deref(), after, "{before:?}");
    }

    #[test]
    fn flags_are_added_where_they_belong() {
        check("CFLAGS = -g -Wall # old\nall:\n", "-O2", Some("CFLAGS = -g -Wall -O2 # old\nall:\n"));
        check("CFLAGS=\nCXXFLAGS += -g\n", "-O2", Some("CFLAGS= -O2\nCXXFLAGS += -g -O2\n"));
        check("CFLAGS = -O0 -g\n", "-O2", Some("CFLAGS = -O2 -g\n"));
        check("CFLAGS = -g\nCFLAGS += -Wall\n", "-O2", Some("CFLAGS = -g -O2\nCFLAGS += -Wall\n"));
        check("override CFLAGS := -g\r\n", "-O2", Some("override CFLAGS := -g -O2\r\n"));
        check("CFLAGS = -g \\\n  -Wall\n", "-O2", Some("CFLAGS = -g -O2 \\\n  -Wall\n"));
        check("CFLAGS = -g \\\n  -O1 \\\n  -Wall\n", "-O2", Some("CFLAGS = -g \\\n  -O2 \\\n  -Wall\n"));
        check("a: a.c\n\tgcc -g a.c -o a\n", "-O2", Some("a: a.c\n\tgcc -O2 -g a.c -o a\n"));
        check("a: a.c\n\t@cc -O1 a.c\n", "-O2", Some("a: a.c\n\t@cc -O2 a.c\n"));
        check("a: a.c\n\t$(CC) -o a a.c\n", "-O2", Some("a: a.c\n\t$(CC) -O2 -o a a.c\n"));
        check(
            "# a\na: a.c\n\t${CC} ${CFLAGS} a.c\n",
            "-O2",
            Some("# a\nCFLAGS = -O2\na: a.c\n\t${CC} ${CFLAGS} a.c\n"),
        );
        check("CFLAGS = -O2\r\n", "-O3", Some("CFLAGS = -O3\r\n"));
        check("debug: CFLAGS += -O0\nCFLAGS = -g\n", "-O2", Some("debug: CFLAGS += -O0\nCFLAGS = -g -O2\n"));
        check(
            "ifdef D\nCFLAGS = -O0\nelse\nCFLAGS = -O2\nendif\n",
            "-O3",
            Some("ifdef D\nCFLAGS = -O0\nelse\nCFLAGS = -O3\nendif\n"),
        );
        check("OPT =\nCFLAGS = -g $(OPT)\n", "-O2", Some("OPT =\nCFLAGS = -g $(OPT) -O2\n"));
        check("CFLAGS = -O3\n", "-O3", None);
        check("all:\n\techo gcc\n", "-O2", None);
        check("MY_CFLAGS = -g\n", "-O2", None);
    }

    #[test]
    fn the_makefile_is_that_of_the_build() {
        let check = |build: &str, expected: Option<&str>| {
            let files = [("Makefile", ""), ("sub/GNUmakefile", ""), ("other.mk", "")];
            let (_folder, mut project) = project("./a", &files);
            project.build = Some(CommandLine::parse(build).unwrap());
            assert_eq!(makefile(&project).as_deref(), expected.map(Path::new), "{build}");
        };
        check("make -j2 all", Some("Makefile"));
        check("./configure && make", Some("Makefile"));
        check("make -C sub", Some("sub/GNUmakefile"));
        check("make -fother.mk", Some("other.mk"));
        check("make CFLAGS=-O3", None);
        check("ninja", None);
    }
}
