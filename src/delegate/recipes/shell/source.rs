//! A parsed shell script, and the questions that recipes ask of it.

use std::collections::BTreeSet;
use std::path::Path;

use ast_grep_core::tree_sitter::{LanguageExt, StrDoc};
use ast_grep_core::{AstGrep, Node};
use ast_grep_language::SupportLang;

use super::super::edits::{named_files, read};
use crate::delegate::Project;

pub(super) type Tree = AstGrep<StrDoc<SupportLang>>;
pub(super) type Syntax<'t> = Node<'t, StrDoc<SupportLang>>;

const LOOPS: &[&str] = &["for_statement", "c_style_for_statement", "while_statement"];

/// What the shell that runs a script understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// POSIX and nothing else.
    Posix,
    Bash,
}

/// A script that the command names.
pub(super) struct Script {
    /// Relative to the root.
    pub path: String,
    pub text: String,
    pub dialect: Dialect,
}

/// Scripts for a POSIX shell or bash among the files that the command names.
pub(super) fn scripts(project: &Project) -> Vec<Script> {
    let words = project.command.words();
    named_files(project).into_iter().filter_map(|path| script(project, &words, &path)).collect()
}

fn script(project: &Project, words: &[String], path: &Path) -> Option<Script> {
    let program = |line: &str| Path::new(line).file_name()?.to_str().map(str::to_owned);
    let text = read(project, path)?;
    let first = text.lines().next().unwrap_or("");
    let by_first_line = first.strip_prefix("#!").and_then(|line| {
        let mut words = line.split_whitespace().filter_map(program);
        words.find(|word| word != "env")
    });
    let is_shell = |name: &String| ["sh", "dash", "ash", "bash"].contains(&name.as_str());
    let by_ending = path.extension().is_some_and(|ending| ending == "sh" || ending == "bash");
    // The command's own interpreter outranks the first line.
    let called = words.iter().position(|word| program(word).as_ref().is_some_and(is_shell));
    // Its options are no part of the script.
    if called.and_then(|at| words.get(at + 1)).is_some_and(|word| word.starts_with(['-', '+'])) {
        return None;
    }
    let called = called.and_then(|at| program(&words[at]));
    let shell = match (called, by_first_line) {
        (Some(shell), _) => shell,
        (None, Some(shell)) if is_shell(&shell) => shell,
        (None, None) if by_ending => "sh".to_owned(),
        _ => return None,
    };
    let dialect = if shell == "bash" { Dialect::Bash } else { Dialect::Posix };
    Some(Script { path: path.to_string_lossy().into_owned(), text, dialect })
}

pub(super) fn parse(text: &str) -> Tree {
    SupportLang::Bash.ast_grep(text)
}

/// A script without syntax errors.
pub(super) struct Source<'t> {
    pub text: &'t str,
    pub root: Syntax<'t>,
    pub dialect: Dialect,
    /// Names of the functions that the script defines.
    pub functions: BTreeSet<String>,
    /// Those of them that a loop calls, directly or not.
    repeated: BTreeSet<String>,
}

impl<'t> Source<'t> {
    /// Absent when the script does not parse.
    pub fn new(text: &'t str, tree: &'t Tree, dialect: Dialect) -> Option<Self> {
        let root = tree.root();
        if root.dfs().any(|node| node.is_error() || node.is_missing()) {
            return None;
        }
        let defined = root.dfs().filter(|node| node.kind() == "function_definition");
        let functions = defined.filter_map(|node| Some(node.field("name")?.text().into_owned())).collect();
        let mut source = Self { text, root, dialect, functions, repeated: BTreeSet::new() };
        source.find_repeated();
        Some(source)
    }

    fn find_repeated(&mut self) {
        loop {
            let called = |node: &Syntax<'t>| {
                let name = command_name(node)?;
                (self.functions.contains(&name) && !self.repeated.contains(&name) && self.is_repeated(node))
                    .then_some(name)
            };
            let more: Vec<String> = self.all("command").iter().filter_map(called).collect();
            if more.is_empty() {
                return;
            }
            self.repeated.extend(more);
        }
    }

    /// All nodes of a kind, from the first to the last.
    pub fn all(&self, kind: &str) -> Vec<Syntax<'t>> {
        self.root.dfs().filter(|node| node.kind() == kind).collect()
    }

    /// Whether a loop runs this code again and again, here or through a function that it calls.
    pub fn is_repeated(&self, node: &Syntax<'t>) -> bool {
        let mut child = node.clone();
        for ancestor in node.ancestors() {
            let kind = ancestor.kind();
            // The words of a for loop are made once; the condition of a while loop is not.
            let again = child.kind() == "do_group" || kind == "while_statement";
            if LOOPS.contains(&kind.as_ref()) && again {
                return true;
            }
            if kind == "function_definition" {
                return ancestor
                    .field("name")
                    .is_some_and(|name| self.repeated.contains(name.text().as_ref()));
            }
            child = ancestor;
        }
        false
    }

    /// Letters of the options that the first line and `set` give the shell, also those that have a longer name; `P` for
    /// pipefail, `S` for anything that `shopt` sets, `?` for what is not known.
    pub fn options(&self) -> String {
        let long = |name: &str| match name {
            "errexit" => 'e',
            "noglob" => 'f',
            "nounset" => 'u',
            "pipefail" => 'P',
            "verbose" => 'v',
            "xtrace" => 'x',
            _ => '?',
        };
        let given = |words: &[String]| {
            let mut letters = String::new();
            let mut words = words.iter();
            while let Some(word) = words.next() {
                let Some(short) = word.strip_prefix(['-', '+']).filter(|short| !short.starts_with('-'))
                else {
                    break;
                };
                letters.extend(short.chars().filter(|letter| *letter != 'o'));
                if short.ends_with('o') {
                    letters.extend(words.next().map(|name| long(name)));
                }
            }
            letters
        };
        let first = self.text.lines().next().filter(|line| line.starts_with("#!")).unwrap_or_default();
        let first: Vec<String> = first.split_whitespace().map(str::to_owned).collect();
        let start = first.iter().position(|word| word.starts_with('-')).unwrap_or(first.len());
        let mut letters = given(&first[start..]);
        for command in self.all("command") {
            let words = || command.field_children("argument").map(|word| word.text().into_owned());
            match command_name(&command).as_deref() {
                Some("set") => letters.push_str(&given(&words().collect::<Vec<_>>())),
                Some("shopt") => letters.push('S'),
                _ => {}
            }
        }
        letters
    }

    /// Whether the script can tell that a process is no longer started, or starts something else by the name of one of
    /// these programs.
    pub fn sees_processes(&self, programs: &[&str]) -> bool {
        const TELLING: &[&str] = &["PIPESTATUS", "LINENO", "BASH_", "nocasematch", "$_ ", "$_\"", "${_}"];
        const SIGNALS: &[&str] = &["DEBUG", "ERR", "CHLD", "SIGCHLD", "RETURN"];
        let named = |name: &String| programs.contains(&name.as_str());
        let redefines = |command: &Syntax<'t>| match command_name(command).as_deref() {
            Some("alias" | "enable" | "hash") => true,
            Some("trap") => command.field_children("argument").any(|word| SIGNALS.contains(&&*word.text())),
            _ => false,
        };
        TELLING.iter().any(|telling| self.text.contains(telling))
            || self.functions.iter().any(named)
            || self.options().contains(['x', 'v', '?'])
            || self.splits_digits()
            || self.all("command").iter().any(redefines)
    }

    /// Whether numbers that are not quoted fall apart.
    fn splits_digits(&self) -> bool {
        let values = self.text.split("IFS=").skip(1);
        values
            .filter_map(|rest| rest.split_whitespace().next())
            .any(|word| word.contains(|c: char| c.is_ascii_digit()))
    }

    /// `name`, or a longer form of it that does not occur in the script.
    pub fn fresh_name(&self, name: &str) -> String {
        let mut fresh = name.to_owned();
        while self.text.contains(&fresh) {
            fresh.push('_');
        }
        fresh
    }

    /// 1-based.
    pub fn line(&self, at: usize) -> Option<u32> {
        u32::try_from(self.text[..at].matches('\n').count() + 1).ok()
    }

    /// White space before the first word of the line of `at`.
    pub fn indent(&self, at: usize) -> &'t str {
        let line = &self.text[self.text[..at].rfind('\n').map_or(0, |end| end + 1)..];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }
}

/// The program or function that a `command` node calls, when it is a plain word.
pub(super) fn command_name(command: &Syntax<'_>) -> Option<String> {
    let name = command.field("name")?.text().into_owned();
    name.chars().all(|c| c.is_ascii_alphanumeric() || "._/-+".contains(c)).then_some(name)
}

/// Whether a node stands where a statement does: nobody asks for its status, and more statements may stand beside it.
pub(super) fn is_statement(node: &Syntax<'_>) -> bool {
    let Some(parent) = node.parent() else {
        return false;
    };
    match parent.kind().as_ref() {
        "program" | "do_group" | "compound_statement" | "subshell" | "else_clause" => true,
        "if_statement" => {
            // A condition is a child like any other but for what follows it.
            let then = parent.children().find(|child| child.kind() == "then");
            then.is_some_and(|then| node.range().start > then.range().start)
        }
        "case_item" => !parent.field_children("value").any(|value| value.node_id() == node.node_id()),
        _ => false,
    }
}

/// A word without its quotes, when nothing in it means anything to the shell.
pub(super) fn literal(word: &Syntax<'_>) -> Option<String> {
    let text = word.text();
    let text = text.trim();
    match word.kind().as_ref() {
        "raw_string" => Some(text.strip_prefix('\'')?.strip_suffix('\'')?.to_owned()),
        "string" => {
            let inner = text.strip_prefix('"')?.strip_suffix('"')?;
            (!inner.contains(['$', '`', '\\', '!'])).then(|| inner.to_owned())
        }
        "word" | "number" | "concatenation" => {
            let words = shlex::split(text).filter(|words| words.len() == 1)?;
            let plain = !text.contains(['$', '`', '*', '?', '[', '~', '{', '!', '\n']);
            // A backslash before a star is the usual way to multiply.
            (plain || text == "\\*").then(|| words.into_iter().next()).flatten()
        }
        _ => None,
    }
}

/// The variable that a word expands, when it is nothing but that: `$v`, `${v}`, and both in double quotes.
pub(super) fn variable(word: &str, quoted: Quoted) -> Option<String> {
    let word = word.trim();
    let bare = match (word.strip_prefix('"').and_then(|word| word.strip_suffix('"')), quoted) {
        (Some(bare), _) => bare,
        (None, Quoted::Either) => word,
        (None, Quoted::Always) => return None,
    };
    let bare = bare.strip_prefix('$')?;
    let bare = bare.strip_prefix('{').and_then(|bare| bare.strip_suffix('}')).unwrap_or(bare);
    let positional = bare.len() == 1 && bare.as_bytes()[0].is_ascii_digit();
    (positional || is_name(bare)).then(|| bare.to_owned())
}

/// Whether an expansion must stand in double quotes: without them its value is split and matched against files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoted {
    Always,
    Either,
}

pub(super) fn is_name(word: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    word.starts_with(first) && word.chars().all(|c| first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::super::edits::testing::project;
    use super::*;

    #[test]
    fn the_interpreter_decides_over_the_first_line_and_that_over_the_ending() {
        let check = |command: &str, text: &str, expected: Option<Dialect>| {
            let (_folder, project) = project(command, &[("a.sh", text), ("b.sh", "")]);
            let found = scripts(&project).pop().map(|script| script.dialect);
            assert_eq!(found, expected, "{command} {text}");
        };
        check("bash a.sh", "#!/bin/sh\n", Some(Dialect::Bash));
        check("sh a.sh", "#!/bin/bash\n", Some(Dialect::Posix));
        check("./a.sh", "#!/usr/bin/env bash\n", Some(Dialect::Bash));
        check("./a.sh", "#! /bin/sh -e\n", Some(Dialect::Posix));
        check("./a.sh", "echo\n", Some(Dialect::Posix));
        check("./a.sh", "#!/usr/bin/fish\n", None);
        check("./a.sh", "#!/usr/bin/python3\n", None);
        check("python3 c.py", "#!/bin/sh\n", None);
    }

    #[test]
    fn code_is_repeated_by_loops_and_by_functions_that_loops_call() {
        let text = "once() { a 1; }\nmany() { a 2; inner; }\ninner() { a 3; }\nfor x in $(a 4); do a 5; many; done\nwhile a 6; do once2; done < $(a 7)\nonce\n";
        let tree = parse(text);
        let source = Source::new(text, &tree, Dialect::Posix).unwrap();
        let repeated: Vec<String> = source
            .all("command")
            .iter()
            .filter(|node| command_name(node).as_deref() == Some("a") && source.is_repeated(node))
            .map(|node| node.text().into_owned())
            .collect();
        assert_eq!(repeated, ["a 2", "a 3", "a 5", "a 6"]);
    }
}
