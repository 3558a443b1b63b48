//! Matches the rules against the text of one file.

use std::path::{Path, PathBuf};

use ast_grep_config::CombinedScan;
use ast_grep_core::AstGrep;
use ast_grep_core::tree_sitter::StrDoc;
use ast_grep_core::tree_sitter::traversal::{Pre, Traversal};
use ast_grep_language::SupportLang;

use super::languages::{Language, Syntax, function_name};
use super::rule::{About, Grade};
use super::rules::Rules;
use crate::diagnose::{Class, Level};

/// Files larger than this, bytes, are data or generated, and not looked at.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Levels of a syntax tree above which a file is not looked at: matchers recurse, and code that people write stays far
/// below.
const DEPTH_MAX: usize = 500;

/// Characters of a matched line that are kept.
const SNIPPET_CHARS_MAX: usize = 100;

/// A place in the source that a rule matches. Nothing is said yet about whether it matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The rule's id.
    pub rule: String,
    pub path: PathBuf,
    /// As its rules name it: `python`; `text` for files that no grammar reads.
    pub language: &'static str,
    /// First and last line, 1-based.
    pub line: u32,
    pub end_line: u32,
    /// The name of the function around it.
    pub function: Option<String>,
    /// First and last line of the function around it; absent outside of functions.
    pub scope: Option<(u32, u32)>,
    /// The first line of the match, shortened.
    pub text: String,
    /// What is slow about it.
    pub message: String,
    /// What to do.
    pub fix: String,
    /// Classes of bottleneck whose measured share confirms it.
    pub classes: Vec<Class>,
    pub level: Level,
    /// How many times faster the part becomes, from – to.
    pub payoff: (f64, f64),
    pub effort: Grade,
    pub risk: Grade,
    /// A remark that measured time never confirms.
    pub hint: bool,
}

impl Rules {
    /// All matches in one file, in the order of its lines.
    ///
    /// `// ast-grep-ignore: rule-id` in or before a line keeps a rule away from it. Files over [`FILE_BYTES_MAX`] and
    /// nested hundreds of levels deep have none.
    #[must_use]
    pub fn scan(&self, path: &Path, text: &str) -> Vec<Found> {
        if text.len() > FILE_BYTES_MAX {
            return Vec::new();
        }
        let mut found = self.scan_text(path, text);
        if let Some(language) = Language::of_file(path, text) {
            found.extend(self.scan_syntax(language, path, text));
        }
        found.sort_by(|a, b| (a.line, &a.rule, a.end_line).cmp(&(b.line, &b.rule, b.end_line)));
        found
    }

    fn scan_syntax(&self, language: &'static Language, path: &Path, text: &str) -> Vec<Found> {
        let rules = self.of_language(language);
        let Ok(doc) = StrDoc::try_new(text, language.grammar) else {
            return Vec::new();
        };
        let tree = AstGrep::doc(doc);
        if is_too_deep(&tree) {
            return Vec::new();
        }
        let scan = CombinedScan::new(rules.iter().map(|rule| &rule.config).collect());
        let mut found = Vec::new();
        for (config, matches) in scan.scan(&tree, false).matches {
            let Some(rule) = rules.iter().find(|rule| rule.config.id == config.id) else { continue };
            for node in matches {
                let lines = lines_of(&node);
                let function = language.function_around(&node);
                found.push(Found {
                    language: language.folder,
                    function: function.as_ref().and_then(function_name),
                    scope: function.as_ref().map(lines_of),
                    text: snippet(&node.text()),
                    ..place(&rule.about, path, lines)
                });
            }
        }
        found
    }

    fn scan_text(&self, path: &Path, text: &str) -> Vec<Found> {
        let mut found = Vec::new();
        for (about, rule) in self.of_text().iter().filter(|(_, rule)| rule.is_for(path)) {
            for range in rule.matches(text) {
                let matched = &text[range.clone()];
                // A match that begins with the blank before its first word is on the word's line.
                let start = range.start + matched.len() - matched.trim_start().len();
                let line = line_at(text, start);
                let end_line = line_at(text, range.start + matched.trim_end().len());
                let whole = text.lines().nth(line as usize - 1).unwrap_or_default();
                found.push(Found { text: snippet(whole), ..place(about, path, (line, end_line.max(line))) });
            }
        }
        found
    }
}

fn place(about: &About, path: &Path, (line, end_line): (u32, u32)) -> Found {
    let metadata = &about.metadata;
    Found {
        rule: about.id.clone(),
        path: path.to_owned(),
        language: "text",
        line,
        end_line,
        function: None,
        scope: None,
        text: String::new(),
        message: about.message.clone(),
        fix: metadata.fix.trim().to_owned(),
        classes: metadata.class.clone(),
        level: metadata.level,
        payoff: metadata.payoff,
        effort: metadata.effort,
        risk: metadata.risk,
        hint: about.hint,
    }
}

fn is_too_deep(tree: &AstGrep<StrDoc<SupportLang>>) -> bool {
    let mut nodes = Pre::new(&tree.root());
    while nodes.next().is_some() {
        if nodes.get_current_depth() > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// First and last line, 1-based.
fn lines_of(node: &Syntax<'_>) -> (u32, u32) {
    let line = |at: usize| u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1);
    (line(node.start_pos().line()), line(node.end_pos().line()))
}

fn line_at(text: &str, at: usize) -> u32 {
    let before = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
}

fn snippet(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end();
    match line.char_indices().nth(SNIPPET_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
