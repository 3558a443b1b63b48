//! What differs between two commits: paths, numbers, text, and a hash that survives moved lines.
//!
//! **Invariant**: the user's `diff.*` settings do not change a byte of it; renames are a deletion and an addition.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{self, WorkspaceError};
use super::{CommitId, Repository};

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Relative to the root.
    pub path: PathBuf,
    pub kind: ChangeKind,
    /// git's file mode afterwards: 0o100644, 0o100755, 0o120000 (symlink); 0 when deleted.
    pub mode: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    Added,
    /// Content or permission bits.
    Modified,
    Deleted,
    /// For example a file that became a symlink.
    TypeChanged,
}

/// Size of a change, as `git diff --shortstat` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiffStat {
    pub files: usize,
    pub lines_added: usize,
    pub lines_removed: usize,
}

impl Repository {
    /// Paths that differ, sorted, with what became of them.
    ///
    /// # Errors
    /// When a commit is not in the repository.
    pub fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Vec<Change>, WorkspaceError> {
        let diff = self.diff(from, to, 0)?;
        let mut changes: Vec<Change> = diff.deltas().map(|delta| change(&delta)).collect();
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(changes)
    }

    /// Paths that differ, sorted.
    ///
    /// # Errors
    /// When a commit is not in the repository.
    pub fn changed_paths(&self, from: &CommitId, to: &CommitId) -> Result<Vec<PathBuf>, WorkspaceError> {
        Ok(self.changes(from, to)?.into_iter().map(|change| change.path).collect())
    }

    /// A unified diff with three lines of context, for people: bytes that are not UTF-8 are replaced, binary files are
    /// only named.
    ///
    /// # Errors
    /// When an object is not in the repository.
    pub fn diff_text(&self, from: &CommitId, to: &CommitId) -> Result<String, WorkspaceError> {
        let mut text = Vec::new();
        self.diff(from, to, 3)?
            .print(git2::DiffFormat::Patch, |_, _, line| {
                if matches!(line.origin(), '+' | '-' | ' ') {
                    text.extend(line.origin().to_string().bytes());
                }
                text.extend_from_slice(line.content());
                true
            })
            .map_err(error::git("print a diff"))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// SHA-256, in hexadecimal, of what a change does rather than where: for each path, in order, both modes and the
    /// added and removed lines in order (of a binary file, both object ids). Line numbers and context do not count, so
    /// the same edit made on another base has the same hash.
    ///
    /// # Errors
    /// When an object is not in the repository.
    pub fn diff_sha256(&self, from: &CommitId, to: &CommitId) -> Result<String, WorkspaceError> {
        let mut pieces = Vec::new();
        self.diff(from, to, 0)?
            .print(git2::DiffFormat::Patch, |delta, _, line| {
                match line.origin() {
                    // The header of a file, once per path.
                    'F' => pieces.push((path_bytes(&delta).to_vec(), header(&delta))),
                    'B' => {
                        let ids = format!("{} {}", delta.old_file().id(), delta.new_file().id());
                        append(&mut pieces, 'B', ids.as_bytes());
                    }
                    sign @ ('+' | '-') => append(&mut pieces, sign, line.content()),
                    _ => {}
                }
                true
            })
            .map_err(error::git("hash a diff"))?;
        pieces.sort();
        let mut hash = Sha256::new();
        for (path, content) in &pieces {
            hash_field(&mut hash, path);
            hash_field(&mut hash, content);
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// # Errors
    /// When an object is not in the repository.
    pub fn diff_stat(&self, from: &CommitId, to: &CommitId) -> Result<DiffStat, WorkspaceError> {
        let stats = self.diff(from, to, 0)?.stats().map_err(error::git("count a diff"))?;
        Ok(DiffStat {
            files: stats.files_changed(),
            lines_added: stats.insertions(),
            lines_removed: stats.deletions(),
        })
    }

    fn diff(
        &self,
        from: &CommitId,
        to: &CommitId,
        context_lines: u32,
    ) -> Result<git2::Diff<'_>, WorkspaceError> {
        let mut options = git2::DiffOptions::new();
        options.context_lines(context_lines).interhunk_lines(0).include_typechange(true);
        options.old_prefix("a").new_prefix("b");
        self.git
            .diff_tree_to_tree(Some(&self.tree(from)?), Some(&self.tree(to)?), Some(&mut options))
            .map_err(error::git("compare two commits"))
    }
}

fn change(delta: &git2::DiffDelta<'_>) -> Change {
    let kind = match delta.status() {
        git2::Delta::Added => ChangeKind::Added,
        git2::Delta::Deleted => ChangeKind::Deleted,
        git2::Delta::Typechange => ChangeKind::TypeChanged,
        _ => ChangeKind::Modified,
    };
    let mode = u32::from(delta.new_file().mode());
    Change { path: PathBuf::from(OsStr::from_bytes(path_bytes(delta))), kind, mode }
}

/// Both sides carry the path, also of an added or deleted file.
fn path_bytes<'a>(delta: &git2::DiffDelta<'a>) -> &'a [u8] {
    delta.new_file().path_bytes().or(delta.old_file().path_bytes()).unwrap_or_default()
}

fn header(delta: &git2::DiffDelta<'_>) -> Vec<u8> {
    let mode = |file: git2::DiffFile<'_>| u32::from(file.mode());
    format!("{:o} {:o}\n", mode(delta.old_file()), mode(delta.new_file())).into_bytes()
}

fn append(pieces: &mut [(Vec<u8>, Vec<u8>)], sign: char, content: &[u8]) {
    if let Some((_, piece)) = pieces.last_mut() {
        piece.push(sign as u8);
        piece.extend_from_slice(&(content.len() as u64).to_le_bytes());
        piece.extend_from_slice(content);
    }
}

fn hash_field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::fixture::Fixture;

    #[test]
    fn the_hash_ignores_where_and_notices_what() {
        let fixture = Fixture::new();
        let repository = fixture.open();
        let lines = |text: &str| text.replace(' ', "\n") + "\n";
        let base = fixture.commit("f", &lines("a b c d e f g h i j"), "base");
        let edited = fixture.commit("f", &lines("a b c d X f g h i j"), "edit");
        let shifted_base = fixture.commit("f", &lines("1 2 3 4 5 6 a b c d e f g h i j"), "shift");
        let shifted = fixture.commit("f", &lines("1 2 3 4 5 6 a b c d X f g h i j"), "the same edit");
        let other = fixture.commit("f", &lines("1 2 3 4 5 6 a b c d Y f g h i j"), "another edit");
        fixture.write("g", &lines("a b c d X f g h i j"));
        let elsewhere = fixture.commit_index("another path");
        let hash = |from: &CommitId, to: &CommitId| repository.diff_sha256(from, to).unwrap();

        assert_eq!(hash(&base, &edited), hash(&shifted_base, &shifted));
        assert_ne!(hash(&base, &edited), hash(&shifted_base, &other));
        assert_ne!(hash(&base, &edited), hash(&edited, &base));
        assert_ne!(hash(&other, &elsewhere), hash(&base, &edited));
        assert_eq!(hash(&base, &base).len(), 64);
        assert_ne!(hash(&base, &base), hash(&base, &edited));
    }

    #[test]
    fn text_stat_and_paths_agree() {
        let fixture = Fixture::new();
        let repository = fixture.open();
        fixture.git.config().unwrap().set_bool("diff.noprefix", true).unwrap();
        let base = fixture.commit("f", "one\ntwo\n", "base");
        fixture.write("f", "one\n2\n");
        fixture.write("new file\nwith newline", "x\n");
        fixture.write("bin", "a\0b");
        fixture.remove("README");
        let head = fixture.commit_index("changes");

        let text = repository.diff_text(&base, &head).unwrap();
        assert!(text.contains("--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"), "{text}");
        assert!(text.contains("Binary files /dev/null and b/bin differ"), "{text}");
        let stat = repository.diff_stat(&base, &head).unwrap();
        assert_eq!(stat, DiffStat { files: 4, lines_added: 2, lines_removed: 2 });
        let paths = repository.changed_paths(&base, &head).unwrap();
        assert_eq!(paths, ["README", "bin", "f", "new file\nwith newline"].map(PathBuf::from));
        let kinds: Vec<_> =
            repository.changes(&base, &head).unwrap().iter().map(|c| (c.kind, c.mode)).collect();
        assert_eq!(
            kinds,
            [
                (ChangeKind::Deleted, 0),
                (ChangeKind::Added, 0o100_644),
                (ChangeKind::Modified, 0o100_644),
                (ChangeKind::Added, 0o100_644)
            ]
        );
    }
}
