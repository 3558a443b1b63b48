//! Names that can only be right: commit ids, and branches and references under `perfup/`.
//!
//! **Invariant**: a [`PerfupBranch`] never names a branch of the user's, so nothing that takes one can touch theirs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::WorkspaceError;

/// A commit: 40 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// # Errors
    /// [`WorkspaceError::InvalidName`] unless `hex` is 40 lower-case hexadecimal digits.
    pub fn new(hex: impl Into<String>) -> Result<CommitId, WorkspaceError> {
        let hex = hex.into();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match hex.len() == 40 && hex.bytes().all(is_hex) {
            true => Ok(CommitId(hex)),
            false => Err(WorkspaceError::InvalidName { name: hex, reason: "a commit id is 40 hex digits" }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 10 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..10]
    }

    pub(super) fn from_oid(oid: git2::Oid) -> CommitId {
        CommitId(oid.to_string())
    }

    pub(super) fn oid(&self) -> git2::Oid {
        git2::Oid::from_str(&self.0).expect("the constructor took hex digits only")
    }
}

/// A branch `perfup/<session>/<leaf>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PerfupBranch(String);

/// Where our branches live.
pub(super) const BRANCHES: &str = "refs/heads/perfup/";
/// Where commits that no branch holds are kept reachable.
pub(super) const KEPT: &str = "refs/perfup/";

impl PerfupBranch {
    /// # Errors
    /// [`WorkspaceError::InvalidName`] unless the name is `perfup/<session>/<leaf>` with two plain components.
    pub fn new(name: impl Into<String>) -> Result<PerfupBranch, WorkspaceError> {
        let name = name.into();
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["perfup", session, leaf] => {
                check_component(session)?;
                check_component(leaf)?;
                Ok(PerfupBranch(name))
            }
            _ => Err(WorkspaceError::InvalidName {
                name,
                reason: "a perfup branch is perfup/<session>/<name>",
            }),
        }
    }

    /// The branch of one attempt: `perfup/<session>/<n>-<slug of the title>`.
    ///
    /// # Errors
    /// [`WorkspaceError::InvalidName`] for a session id that cannot be part of a branch name.
    pub fn attempt(session: &str, n: u32, title: &str) -> Result<PerfupBranch, WorkspaceError> {
        PerfupBranch::new(format!("perfup/{session}/{n}-{}", slug(title)))
    }

    /// The branch that holds what a session kept: `perfup/<session>/tip`.
    ///
    /// # Errors
    /// [`WorkspaceError::InvalidName`] for a session id that cannot be part of a branch name.
    pub fn tip(session: &str) -> Result<PerfupBranch, WorkspaceError> {
        PerfupBranch::new(format!("perfup/{session}/tip"))
    }

    /// As `git switch` takes it: `perfup/<session>/<leaf>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn session(&self) -> &str {
        self.0.split('/').nth(1).expect("the constructor checked three components")
    }

    pub(super) fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }

    pub(super) fn from_reference(reference: &str) -> Option<PerfupBranch> {
        PerfupBranch::new(reference.strip_prefix("refs/heads/")?).ok()
    }
}

/// Accepts what is a valid folder name, reference component and plain word at once.
pub(super) fn check_component(name: &str) -> Result<(), WorkspaceError> {
    let reason = match name.as_bytes() {
        [] => "a part is empty",
        [b'.' | b'-', ..] => "a part starts with '.' or '-'",
        [.., b'.'] => "a part ends with '.'",
        bytes if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(b)) => {
            "a part has characters other than letters, digits, '.', '-' and '_'"
        }
        _ if name.contains("..") || name.ends_with(".lock") => "a part has '..' or ends with '.lock'",
        _ if name.len() > 100 => "a part is longer than 100 bytes",
        _ => return Ok(()),
    };
    Err(WorkspaceError::InvalidName { name: name.to_owned(), reason })
}

/// Lower-case words joined by '-', at most 40 bytes.
fn slug(title: &str) -> String {
    let mut words = String::new();
    for word in title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = &word[..word.len().min(40)];
        if !words.is_empty() && words.len() + 1 + word.len() > 40 {
            break;
        }
        if !words.is_empty() {
            words.push('-');
        }
        words.push_str(&word.to_ascii_lowercase());
    }
    match words.is_empty() {
        true => "change".to_owned(),
        false => words,
    }
}

macro_rules! text_forms {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = WorkspaceError;
            fn try_from(text: String) -> Result<Self, WorkspaceError> {
                $name::new(text)
            }
        }
    };
}
text_forms!(CommitId);
text_forms!(PerfupBranch);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_under_perfup_are_branches_of_ours() {
        let check = |name: &str, expected: bool| {
            assert_eq!(PerfupBranch::new(name).is_ok(), expected, "{name}");
        };
        check("perfup/s1/3-hoist-regex", true);
        check("perfup/20261120T101500-ab/tip", true);
        for name in ["main", "perfup", "perfup/s1", "perfup/s1/", "perfup//x", "perfup/s1/a/b", "Perfup/s/a"]
        {
            check(name, false);
        }
        for name in
            ["perfup/../main", "perfup/s/..", "perfup/s/a b", "perfup/s/a.lock", "perfup/-s/a", "perfup/s/é"]
        {
            check(name, false);
        }
        check("/perfup/s/a", false);
        check("refs/heads/perfup/s/a", false);
        check("perfup/s/a\n", false);
    }

    #[test]
    fn titles_become_slugs() {
        let check = |title: &str, expected: &str| {
            assert_eq!(PerfupBranch::attempt("s", 7, title).unwrap().as_str(), expected);
        };
        check("Hoist `re.compile` out of the loop", "perfup/s/7-hoist-re-compile-out-of-the-loop");
        check("…", "perfup/s/7-change");
        check("../../heads/main", "perfup/s/7-heads-main");
        check(&"x".repeat(80), &format!("perfup/s/7-{}", "x".repeat(40)));
        check(
            "use link-time optimisation with one codegen unit",
            "perfup/s/7-use-link-time-optimisation-with-one",
        );
        assert!(PerfupBranch::attempt("a/b", 1, "x").is_err());
    }

    #[test]
    fn names_survive_json_and_bad_ones_do_not() {
        let id = CommitId::new("0123456789abcdef0123456789abcdef01234567").unwrap();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"0123456789abcdef0123456789abcdef01234567\"");
        assert_eq!(serde_json::from_str::<CommitId>(&json).unwrap(), id);
        assert_eq!(id.short(), "0123456789");
        assert!(serde_json::from_str::<CommitId>("\"0123\"").is_err());
        assert!(CommitId::new("0123456789ABCDEF0123456789abcdef01234567").is_err());
        assert!(serde_json::from_str::<PerfupBranch>("\"main\"").is_err());
    }
}
