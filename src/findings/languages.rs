//! The languages that findings know: which file is which, and what a function looks like in each.

use std::path::Path;

use ast_grep_core::Node;
use ast_grep_core::tree_sitter::StrDoc;
use ast_grep_language::SupportLang;

pub(super) type Syntax<'t> = Node<'t, StrDoc<SupportLang>>;

/// A language whose grammar is built in.
#[derive(Debug)]
pub(super) struct Language {
    pub grammar: SupportLang,
    /// Its folder under `rules/`, and its name in a rule.
    pub folder: &'static str,
    /// Languages whose rules hold for its files as well: each construct of theirs is also one of its own.
    pub folders: &'static [&'static str],
    endings: &'static [&'static str],
    /// Names of its interpreter in a `#!` line.
    interpreters: &'static [&'static str],
    /// Kinds of nodes that are a function.
    functions: &'static [&'static str],
    /// Whether it is compiled to machine code, so that its stacks are named by symbols.
    pub native: bool,
}

pub(super) static ALL: &[Language] = &[
    Language {
        grammar: SupportLang::Python,
        folder: "python",
        folders: &["python"],
        endings: &["py", "pyw"],
        interpreters: &["python", "pypy"],
        functions: &["function_definition"],
        native: false,
    },
    Language {
        grammar: SupportLang::Rust,
        folder: "rust",
        folders: &["rust"],
        endings: &["rs"],
        interpreters: &[],
        functions: &["function_item"],
        native: true,
    },
    Language {
        grammar: SupportLang::C,
        folder: "c",
        folders: &["c"],
        endings: &["c", "h"],
        interpreters: &[],
        functions: &["function_definition"],
        native: true,
    },
    Language {
        grammar: SupportLang::Cpp,
        folder: "cpp",
        folders: &["c", "cpp"],
        endings: &["cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "cu", "cuh"],
        interpreters: &[],
        functions: &["function_definition"],
        native: true,
    },
    Language {
        grammar: SupportLang::JavaScript,
        folder: "javascript",
        folders: &["javascript"],
        endings: &["js", "jsx", "mjs", "cjs"],
        interpreters: &["node", "nodejs", "bun", "deno"],
        functions: JAVASCRIPT_FUNCTIONS,
        native: false,
    },
    Language {
        grammar: SupportLang::TypeScript,
        folder: "typescript",
        folders: &["javascript", "typescript"],
        endings: &["ts", "mts", "cts"],
        interpreters: &["ts-node", "tsx"],
        functions: JAVASCRIPT_FUNCTIONS,
        native: false,
    },
    Language {
        grammar: SupportLang::Tsx,
        folder: "tsx",
        folders: &["javascript", "typescript", "tsx"],
        endings: &["tsx"],
        interpreters: &[],
        functions: JAVASCRIPT_FUNCTIONS,
        native: false,
    },
    Language {
        grammar: SupportLang::Go,
        folder: "go",
        folders: &["go"],
        endings: &["go"],
        interpreters: &[],
        functions: &["function_declaration", "method_declaration"],
        native: true,
    },
    Language {
        grammar: SupportLang::Bash,
        folder: "bash",
        folders: &["bash"],
        endings: &["sh", "bash", "ksh", "zsh", "bats"],
        interpreters: &["sh", "bash", "dash", "ksh", "zsh"],
        functions: &["function_definition"],
        native: false,
    },
];

const JAVASCRIPT_FUNCTIONS: &[&str] = &[
    "function_declaration",
    "generator_function_declaration",
    "method_definition",
    "function_expression",
    "arrow_function",
];

impl Language {
    /// By its name or an alias of it, for example `py`.
    pub fn named(name: &str) -> Option<&'static Self> {
        let grammar: SupportLang = name.parse().ok()?;
        ALL.iter().find(|language| language.grammar == grammar)
    }

    /// By the file's ending.
    pub fn of_path(path: &Path) -> Option<&'static Self> {
        let ending = path.extension()?.to_str()?;
        ALL.iter().find(|language| language.endings.contains(&ending))
    }

    /// By the file's ending, or by its `#!` line where it has none.
    pub fn of_file(path: &Path, text: &str) -> Option<&'static Self> {
        if path.extension().is_some() {
            return Self::of_path(path);
        }
        let line = text.strip_prefix("#!")?.lines().next()?;
        let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
        let program = words.find(|word| *word != "env" && !word.starts_with('-') && !word.contains('='))?;
        let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        ALL.iter().find(|language| language.interpreters.contains(&program))
    }

    /// The innermost function that a node stands in or is.
    pub fn function_around<'t>(&self, node: &Syntax<'t>) -> Option<Syntax<'t>> {
        let is_function = |node: &Syntax<'t>| self.functions.contains(&node.kind().as_ref());
        if is_function(node) {
            return Some(node.clone());
        }
        node.ancestors().find(is_function)
    }
}

/// The name of a function; a function without one has that of the variable it is bound to.
pub(super) fn function_name(function: &Syntax<'_>) -> Option<String> {
    if let Some(name) = function.field("name") {
        return Some(name.text().into_owned());
    }
    if let Some(declarator) = function.field("declarator") {
        // C wraps the name in one declarator per `*`, `&` and parameter list.
        let named = declarator.dfs().find(|node| {
            ["identifier", "field_identifier", "qualified_identifier", "destructor_name", "operator_name"]
                .contains(&node.kind().as_ref())
        })?;
        return Some(named.text().into_owned());
    }
    let parent = function.parent()?;
    let name = match parent.kind().as_ref() {
        "variable_declarator" => parent.field("name")?,
        "pair" => parent.field("key")?,
        "assignment_expression" => parent.field("left")?,
        _ => return None,
    };
    Some(name.text().into_owned())
}

/// Whether a symbol or a qualified name of a stack frame is the function that the source calls `name`.
///
/// Compared is the last part of both: symbols carry modules, types, arguments and what the compiler added
/// (`app::load::{{closure}}`, `Store::get(int)`, `main.(*T).Get.func1`, `Loader.run.<locals>.fetch`).
pub(super) fn is_function(symbol: &str, name: &str) -> bool {
    let last = last_part(name);
    !last.is_empty() && last_part(symbol) == last
}

fn last_part(symbol: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_usize;
    for c in symbol.chars() {
        match c {
            '<' | '(' | '{' | '[' => depth += 1,
            '>' | ')' | '}' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let added = |part: &str| {
        let number = |rest: &str| rest.chars().all(|c| c.is_ascii_digit());
        let hash = |rest: &str| rest.len() == 16 && rest.chars().all(|c| c.is_ascii_hexdigit());
        part.is_empty()
            || part.strip_prefix("func").is_some_and(number)
            || part.strip_prefix('h').is_some_and(hash)
            || number(part)
            || ["constprop", "isra", "part", "cold", "llvm"].contains(&part)
    };
    let mut parts = plain.split([':', '.', ' ', '#']);
    parts.rfind(|part| !added(part)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_ending_or_interpreter() {
        let folder = |path: &str, text: &str| Language::of_file(Path::new(path), text).map(|one| one.folder);
        assert_eq!(folder("a/b.py", ""), Some("python"));
        assert_eq!(folder("a/b.tsx", ""), Some("tsx"));
        assert_eq!(folder("a/b.hpp", ""), Some("cpp"));
        assert_eq!(folder("bin/run", "#!/usr/bin/env -S python3.11 -u\n"), Some("python"));
        assert_eq!(folder("bin/run", "#!/bin/sh -e\n"), Some("bash"));
        assert_eq!(folder("bin/run", "plain text\n"), None);
        assert_eq!(folder("notes.md", "#!/bin/sh\n"), None);
    }

    #[test]
    fn symbols_name_functions() {
        for (symbol, name) in [
            ("app::io::load::{{closure}}::h0123456789abcdef", "load"),
            ("<app::Store as app::Read>::load", "load"),
            ("app::load<u32>", "load"),
            ("Store::load(std::vector<int> const&)", "Store::load"),
            ("main.(*Store).load.func1", "load"),
            ("Loader.run.<locals>.load", "load"),
            ("load.constprop.0", "load"),
            ("load", "load"),
        ] {
            assert!(is_function(symbol, name), "{symbol}");
        }
        for symbol in ["app::reload", "load::run", "", "{{closure}}"] {
            assert!(!is_function(symbol, "load"), "{symbol}");
        }
    }
}
