//! Rules for files that no grammar here reads (makefiles, build settings): regular expressions in the same YAML form.

use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::FindingsError;
use super::rule::Origin;

/// Which files, and what in them.
pub(super) struct TextRule {
    files: GlobSet,
    found: Regex,
    /// A match that this matches is none.
    not: Option<Regex>,
    /// A file in which this occurs has no matches.
    absent: Option<Regex>,
}

/// The keys of a text rule.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    files: Vec<String>,
    rule: Patterns,
    #[serde(rename = "id")]
    _id: IgnoredAny,
    #[serde(rename = "language")]
    _language: IgnoredAny,
    #[serde(rename = "message")]
    _message: IgnoredAny,
    #[serde(rename = "note", default)]
    _note: IgnoredAny,
    #[serde(rename = "severity", default)]
    _severity: IgnoredAny,
    #[serde(rename = "metadata")]
    _metadata: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patterns {
    regex: String,
    not: Option<Pattern>,
    absent: Option<Pattern>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    regex: String,
}

impl TextRule {
    pub fn read(origin: &Origin<'_>) -> Result<Self, FindingsError> {
        let keys: Keys = ast_grep_config::from_str(origin.text).map_err(|error| origin.yaml(&error))?;
        let regex = |text: &str| {
            RegexBuilder::new(text).multi_line(true).build().map_err(|error| {
                let hint = "see https://docs.rs/regex for what a regular expression can say; ^ and $ are those of lines";
                origin.error(origin.line_of("regex"), error.to_string(), hint.to_owned())
            })
        };
        let mut files = GlobSetBuilder::new();
        for glob in &keys.files {
            files.add(Glob::new(glob).map_err(|error| bad_glob(origin, &error))?);
        }
        Ok(Self {
            files: files.build().map_err(|error| bad_glob(origin, &error))?,
            found: regex(&keys.rule.regex)?,
            not: keys.rule.not.map(|not| regex(&not.regex)).transpose()?,
            absent: keys.rule.absent.map(|absent| regex(&absent.regex)).transpose()?,
        })
    }

    pub fn is_for(&self, path: &Path) -> bool {
        self.files.is_match(path)
    }

    /// Byte ranges of the matches.
    pub fn matches(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        if self.absent.as_ref().is_some_and(|absent| absent.is_match(text)) {
            return Vec::new();
        }
        let matches = self.found.find_iter(text);
        matches
            .filter(|found| !self.not.as_ref().is_some_and(|not| not.is_match(found.as_str())))
            .map(|found| found.range())
            .collect()
    }
}

fn bad_glob(origin: &Origin<'_>, error: &globset::Error) -> FindingsError {
    origin.error(origin.line_of("files"), error.to_string(), "for example: files: ['**/Makefile']".to_owned())
}
