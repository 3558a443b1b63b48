//! Files as recipes read and change them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{DelegateError, Project, Recipe};
use crate::config::{plain_path, real_path};
use crate::plan::{Hypothesis, Scores, Site, Soundness};
use crate::sys::stream::hexadecimal;

/// Larger files are not programs that somebody wrote.
const SOURCE_BYTES_MAX: u64 = 1 << 20;

/// A replacement of some bytes of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub range: Range<usize>,
    pub text: String,
}

impl Edit {
    pub fn new(range: Range<usize>, text: impl Into<String>) -> Self {
        Self { range, text: text.into() }
    }

    pub fn insert(at: usize, text: impl Into<String>) -> Self {
        Self::new(at..at, text)
    }
}

/// The text with all edits made; they must not overlap.
pub(super) fn edited(text: &str, edits: &[Edit]) -> String {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    for edit in sorted {
        result.push_str(&text[at..edit.range.start]);
        result.push_str(&edit.text);
        at = edit.range.end;
    }
    result.push_str(&text[at..]);
    result
}

/// A tracked source file; absent when it is no small text file.
pub(super) fn read(project: &Project, file: &Path) -> Option<String> {
    let path = project.root.join(file);
    let metadata = std::fs::symlink_metadata(&path).ok()?;
    if !metadata.is_file() || metadata.len() > SOURCE_BYTES_MAX {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

/// The same, when it must be there.
pub(super) fn must_read(recipe: &dyn Recipe, project: &Project, file: &str) -> Result<String, DelegateError> {
    read(project, Path::new(file)).ok_or_else(|| gone(recipe, format!("{file} cannot be read")))
}

pub(super) fn write(project: &Project, file: &str, text: &str) -> Result<(), DelegateError> {
    let path = project.root.join(file);
    std::fs::write(&path, text).map_err(|source| DelegateError::Io { operation: "write", path, source })
}

pub(super) fn gone(recipe: &dyn Recipe, reason: impl Into<String>) -> DelegateError {
    DelegateError::NotApplicable { recipe: recipe.id().to_owned(), reason: reason.into() }
}

/// Tracked files that the words of the command name, relative to the root.
pub(super) fn named_files(project: &Project) -> Vec<PathBuf> {
    let words = project.command.words();
    let named = |word: &String| {
        let path = plain_path(&project.cwd.join(word));
        // A script may be called by a link to it.
        let path = real_path(&project.root, &path).unwrap_or(path);
        project.files.contains(&path).then_some(path)
    };
    let mut files: Vec<PathBuf> = words.iter().filter_map(named).collect();
    files.dedup();
    files
}

/// What distinguishes one proposal of a recipe.
pub(super) struct Proposal {
    /// The part of the key after `recipes/<id>:`.
    pub what: String,
    pub title: String,
    pub path: String,
    pub line: Option<u32>,
    pub expected: (f64, f64),
    pub scores: Scores,
}

pub(super) fn hypothesis(recipe: &dyn Recipe, proposal: Proposal) -> Hypothesis {
    Hypothesis {
        key: format!("recipes/{}:{}", recipe.id(), proposal.what),
        executor: "recipes".to_owned(),
        recipe: recipe.id().to_owned(),
        title: title(&proposal.title),
        rationale: recipe.why().to_owned(),
        sites: vec![Site { path: proposal.path, line: proposal.line }],
        level: recipe.level(),
        soundness: recipe.soundness(),
        expected: proposal.expected,
        scores: Scores { safety: safety(recipe.soundness()), ..proposal.scores },
    }
}

fn safety(soundness: Soundness) -> u8 {
    match soundness {
        Soundness::Sound => 5,
        Soundness::NeedsOracle => 4,
        Soundness::PolicyOnly(_) => 3,
    }
}

/// At most 72 characters, as a commit's subject should be.
fn title(text: &str) -> String {
    match text.char_indices().nth(72) {
        None => text.to_owned(),
        Some(_) => text.chars().take(71).chain(['…']).collect(),
    }
}

/// Eight characters that stand for a piece of code.
pub(super) fn fingerprint(code: &str) -> String {
    hexadecimal(&Sha256::digest(code)[..4])
}

#[cfg(test)]
pub(super) mod testing {
    use std::path::PathBuf;

    use super::super::Recipe;
    use crate::config::{CommandLine, Policy};
    use crate::delegate::Project;
    use crate::diagnose::Runtime;

    /// A folder with these files, run by `command`.
    pub fn project(command: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let project = Project {
            root: folder.path().to_owned(),
            files: files.iter().map(|(name, _)| PathBuf::from(name)).collect(),
            command: CommandLine::parse(command).unwrap(),
            build: None,
            cwd: PathBuf::new(),
            runtime: Runtime::Unknown,
            allow: vec![Policy::Parallel],
        };
        (folder, project)
    }

    /// Applies every proposal of `recipe` in turn; answers with the file, and checks that none is proposed again.
    pub fn apply_all(recipe: &dyn Recipe, project: &Project, file: &str) -> String {
        let mut keys = std::collections::BTreeSet::new();
        while let Some(hypothesis) = recipe.propose(project).into_iter().next() {
            assert!(keys.insert(hypothesis.key.clone()), "{} is proposed again", hypothesis.key);
            assert!(hypothesis.title.chars().count() <= 72);
            recipe.apply(&hypothesis, project).unwrap();
        }
        std::fs::read_to_string(project.root.join(file)).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_made_in_any_order() {
        let edits = [Edit::new(4..5, "E"), Edit::insert(0, ">"), Edit::new(1..3, "")];
        assert_eq!(edited("abcde", &edits), ">adE");
    }
}
