//! Rewrites of Python code that is quadratic, or does the same work in every turn of a loop.
//!
//! Found in the syntax tree with ast-grep; conservative: where a question about scope or aliases cannot be answered
//! from the file itself, nothing is proposed. Each independent place is a hypothesis of its own.

mod list_membership;
mod list_pop_front;
mod regex_in_loop;
mod source;
mod sum_lists;

use std::path::PathBuf;

use super::edits::{
    Edit, Proposal, edited, fingerprint, gone, hypothesis, must_read, named_files, read, write,
};
use super::{DelegateError, Delegated, Project, Recipe};
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};
use source::Source;

/// A change at one place.
#[derive(Debug, Clone)]
struct Rewrite {
    /// The function around it, or `<module>`.
    scope: String,
    /// The code that was found, for the key.
    snippet: String,
    /// 1-based.
    line: u32,
    /// What to do, without the file.
    title: String,
    edits: Vec<Edit>,
}

/// A recipe made of a function that finds places.
pub(super) struct PythonRecipe {
    id: &'static str,
    level: Level,
    applies: &'static str,
    why: &'static str,
    expected: (f64, f64),
    impact: u8,
    find: fn(&Source<'_>) -> Vec<Rewrite>,
}

pub(super) static LIST_MEMBERSHIP: PythonRecipe = PythonRecipe {
    id: "python-list-membership",
    level: Level::L2,
    applies: "A membership test in a loop on a local list that only grows.",
    why: "Each test compares with every element, so the loop is quadratic. A set beside the list answers in constant \
          time; it needs hashable elements, which the output shows.",
    expected: (1.0, 100.0),
    impact: 5,
    find: list_membership::find,
};

pub(super) static LIST_POP_FRONT: PythonRecipe = PythonRecipe {
    id: "python-list-pop-front",
    level: Level::L2,
    applies: "A local list that is used as a queue: appended to, and emptied with pop(0).",
    why: "pop(0) moves every remaining element, so emptying the list is quadratic. A deque takes from the front in \
          constant time.",
    expected: (1.0, 100.0),
    impact: 4,
    find: list_pop_front::find,
};

pub(super) static SUM_LISTS: PythonRecipe = PythonRecipe {
    id: "python-sum-lists",
    level: Level::L2,
    applies: "sum(lists, []).",
    why: "Every addition copies all that was added before, so the sum is quadratic. itertools.chain copies each element \
          once.",
    expected: (1.0, 50.0),
    impact: 4,
    find: sum_lists::find,
};

pub(super) static REGEX_IN_LOOP: PythonRecipe = PythonRecipe {
    id: "python-regex-in-loop",
    level: Level::L2,
    applies: "A constant regular expression that is looked up or compiled inside a loop.",
    why: "Every call goes through the cache of the re module. A pattern compiled once, at import, saves that.",
    expected: (1.0, 2.0),
    impact: 2,
    find: regex_in_loop::find,
};

impl Recipe for PythonRecipe {
    fn id(&self) -> &'static str {
        self.id
    }

    fn level(&self) -> Level {
        self.level
    }

    fn soundness(&self) -> Soundness {
        Soundness::NeedsOracle
    }

    fn applies(&self) -> &'static str {
        self.applies
    }

    fn why(&self) -> &'static str {
        self.why
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let mut proposals = Vec::new();
        for file in sources(project) {
            let Some(text) = read(project, &file) else {
                continue;
            };
            let path = file.to_string_lossy().into_owned();
            for rewrite in self.rewrites(&text) {
                proposals.push(hypothesis(
                    self,
                    Proposal {
                        what: what(&path, &rewrite),
                        title: format!("{} ({path})", rewrite.title),
                        path: path.clone(),
                        line: Some(rewrite.line),
                        expected: self.expected,
                        scores: Scores { impact: self.impact, ease: 4, coverage: 3, safety: 0 },
                    },
                ));
            }
        }
        proposals
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let path = &hypothesis.sites[0].path;
        let text = must_read(self, project, path)?;
        let wanted =
            |rewrite: &Rewrite| hypothesis.key == format!("recipes/{}:{}", self.id, what(path, rewrite));
        let rewrite = self.rewrites(&text).into_iter().find(wanted);
        let rewrite = rewrite.ok_or_else(|| gone(self, "the code it speaks of is no longer there"))?;
        write(project, path, &edited(&text, &rewrite.edits))?;
        Ok(Delegated { summary: format!("{} in {} of {path}.", rewrite.title, rewrite.scope) })
    }
}

impl PythonRecipe {
    /// Places whose rewritten file still is Python.
    fn rewrites(&self, text: &str) -> Vec<Rewrite> {
        let tree = source::parse(text);
        let Some(source) = Source::new(text, &tree) else {
            return Vec::new();
        };
        let valid = |rewrite: &Rewrite| {
            let after = edited(text, &rewrite.edits);
            Source::new(&after, &source::parse(&after)).is_some()
        };
        (self.find)(&source).into_iter().filter(valid).collect()
    }
}

fn what(path: &str, rewrite: &Rewrite) -> String {
    format!("{path}:{}:{}", rewrite.scope, fingerprint(&rewrite.snippet))
}

/// The Python files that the command names, and the project's own modules beside them; tests left out.
pub(super) fn sources(project: &Project) -> Vec<PathBuf> {
    let is_python = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "py");
    let words = project.command.words();
    let runs_python =
        words.iter().any(|word| word.rsplit('/').next().is_some_and(|name| name.starts_with("python")));
    let mut files: Vec<PathBuf> = named_files(project).into_iter().filter(is_python).collect();
    if files.is_empty() && !runs_python {
        return files;
    }
    let is_test = |path: &PathBuf| {
        let text = path.to_string_lossy();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        text.split('/').any(|part| part == "tests" || part == "test")
            || name.starts_with("test_")
            || name.ends_with("_test.py")
            || name == "conftest.py"
            || name == "setup.py"
    };
    let below = |path: &&PathBuf| path.starts_with(&project.cwd);
    let others = project.files.iter().filter(below).filter(|path| is_python(path) && !is_test(path));
    for path in others {
        if !files.contains(path) {
            files.push(path.clone());
        }
    }
    files
}

#[cfg(test)]
mod tests;
