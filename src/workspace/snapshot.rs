//! Everything of the user's that git holds, in a form that can be compared: the proof that nothing was touched.
//!
//! A `git status` of the user's own may refresh time stamps in the index and so change its hash; files in the checkout
//! are not read ([`Repository::dirty`] counts them).
//!
//! **Invariant**: reads only.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Repository;
use super::error::{self, WorkspaceError};
use super::names::{BRANCHES, KEPT};

/// HEAD, index, references outside perfup's, stash, configuration, and the HEADs of the user's other worktrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserState {
    /// What → its text, or the SHA-256 of its bytes; absent things are absent.
    facts: BTreeMap<String, String>,
}

/// Files of a checkout's git folder that say where the user stands.
const CHECKOUT_FILES: [&str; 8] = [
    "HEAD",
    "index",
    "ORIG_HEAD",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "BISECT_LOG",
    "config.worktree",
];
/// Files of the shared git folder that are the user's.
const SHARED_FILES: [&str; 4] = ["config", "info/exclude", "info/attributes", "logs/refs/stash"];

impl UserState {
    /// One sentence for each thing that changed; empty when nothing did.
    pub fn difference(&self, other: &UserState) -> Vec<String> {
        let names =
            self.facts.keys().chain(other.facts.keys().filter(|name| !self.facts.contains_key(*name)));
        names
            .filter_map(|name| match (self.facts.get(name), other.facts.get(name)) {
                (Some(before), Some(after)) if before == after => None,
                (Some(before), Some(after)) => Some(format!("{name} changed from {before} to {after}")),
                (Some(before), None) => Some(format!("{name} is gone, it was {before}")),
                (None, Some(after)) => Some(format!("{name} is new: {after}")),
                (None, None) => None,
            })
            .collect()
    }
}

impl Repository {
    /// The user's state as it is now.
    ///
    /// # Errors
    /// When references or one of the files cannot be read.
    pub fn user_state(&self) -> Result<UserState, WorkspaceError> {
        let mut facts = BTreeMap::new();
        for file in CHECKOUT_FILES {
            note(&mut facts, file.to_owned(), &self.git_dir().join(file))?;
        }
        for file in SHARED_FILES {
            note(&mut facts, file.to_owned(), &self.common_dir().join(file))?;
        }
        for checkout in self.entries()?.iter().filter(|entry| !entry.ours) {
            for file in CHECKOUT_FILES {
                note(&mut facts, format!("worktree {}: {file}", checkout.name), &checkout.admin.join(file))?;
            }
        }
        let operation = "list references";
        for reference in self.git.references().map_err(error::git(operation))? {
            let reference = reference.map_err(error::git(operation))?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if name.starts_with(BRANCHES) || name.starts_with(KEPT) {
                continue;
            }
            let target = match (reference.target(), reference.symbolic_target_bytes()) {
                (Some(oid), _) => oid.to_string(),
                (None, Some(symbolic)) => format!("-> {}", String::from_utf8_lossy(symbolic)),
                (None, None) => "broken".to_owned(),
            };
            facts.insert(name, target);
        }
        Ok(UserState { facts })
    }
}

/// Notes a file: short single lines as they are, the rest as a hash.
fn note(facts: &mut BTreeMap<String, String>, name: String, path: &Path) -> Result<(), WorkspaceError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error::io("read", path)(error)),
    };
    let line = std::str::from_utf8(&bytes).ok().map(str::trim_end);
    let fact = match line {
        Some(line) if line.len() <= 200 && !line.contains('\n') => line.to_owned(),
        _ => Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    facts.insert(name, fact);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::workspace::PerfupBranch;
    use crate::workspace::fixture::Fixture;

    #[test]
    fn each_thing_of_the_users_is_noticed_and_ours_is_not() {
        let fixture = Fixture::new();
        let repository = fixture.open();
        let head = repository.head().unwrap();
        let mut before = repository.user_state().unwrap();
        let mut check = |what: &str, expected: &[&str]| {
            let after = repository.user_state().unwrap();
            let difference = before.difference(&after);
            assert_eq!(difference.is_empty(), before == after);
            let named: Vec<&str> = difference.iter().map(|line| line.split(' ').next().unwrap()).collect();
            assert_eq!(named, expected, "{what}: {difference:?}");
            before = after;
        };

        repository.create_branch(&PerfupBranch::tip("s1").unwrap(), &head).unwrap();
        repository.keep_ref("s1", 1, &head).unwrap();
        check("ours", &[]);
        fixture.branch("topic", &head);
        check("a branch", &["refs/heads/topic"]);
        fixture.git.set_head("refs/heads/topic").unwrap();
        check("a switch", &["HEAD"]);
        fixture.stage("new.txt", "new");
        check("the index", &["index"]);
        fixture.git.config().unwrap().set_str("user.name", "Other").unwrap();
        check("the configuration", &["config"]);
        fixture.git.tag_lightweight("v1", &fixture.object(&head), false).unwrap();
        check("a tag", &["refs/tags/v1"]);
        fixture.git.find_reference("refs/heads/topic").unwrap().delete().unwrap();
        check("a lost branch", &["refs/heads/topic"]);
    }
}
