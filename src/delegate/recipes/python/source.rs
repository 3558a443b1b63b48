//! A parsed Python file, and the questions that recipes ask of it.

use ast_grep_core::tree_sitter::{LanguageExt, StrDoc};
use ast_grep_core::{AstGrep, Node};
use ast_grep_language::SupportLang;

pub(super) type Tree = AstGrep<StrDoc<SupportLang>>;
pub(super) type Syntax<'t> = Node<'t, StrDoc<SupportLang>>;

/// Nodes that open a scope for names.
const SCOPES: &[&str] = &["function_definition", "lambda", "class_definition", "module"];

const LOOPS: &[&str] = &[
    "for_statement",
    "while_statement",
    "list_comprehension",
    "set_comprehension",
    "dictionary_comprehension",
    "generator_expression",
];

pub(super) fn parse(text: &str) -> Tree {
    SupportLang::Python.ast_grep(text)
}

/// A file without syntax errors.
pub(super) struct Source<'t> {
    pub text: &'t str,
    pub root: Syntax<'t>,
}

impl<'t> Source<'t> {
    /// Absent when the file does not parse.
    pub fn new(text: &'t str, tree: &'t Tree) -> Option<Self> {
        let root = tree.root();
        let broken = root.dfs().any(|node| node.is_error() || node.is_missing());
        (!broken).then_some(Self { text, root })
    }

    /// All nodes of a kind.
    pub fn all(&self, kind: &str) -> Vec<Syntax<'t>> {
        self.root.dfs().filter(|node| node.kind() == kind).collect()
    }

    /// Whether a word occurs anywhere as a name.
    pub fn has_name(&self, name: &str) -> bool {
        self.root.dfs().any(|node| node.kind() == "identifier" && node.text() == name)
    }

    /// `name`, or a longer form of it that is not taken.
    pub fn fresh_name(&self, name: &str) -> String {
        let mut fresh = name.to_owned();
        while self.has_name(&fresh) {
            fresh.push('_');
        }
        fresh
    }

    /// Where an import or a constant of ours goes: behind the module's docstring and its imports.
    pub fn after_imports(&self) -> usize {
        let mut at = 0;
        for (index, statement) in self.root.named_children().enumerate() {
            let kind = statement.kind();
            let docstring =
                index == 0 && kind == "expression_statement" && statement.text().ends_with(['"', '\'']);
            let import = ["import_statement", "import_from_statement", "future_import_statement"]
                .contains(&kind.as_ref());
            if docstring || import {
                at = self.line_end(statement.range().end);
            } else if kind != "comment" {
                break;
            } else if at == 0 && index == 0 && statement.text().starts_with("#!") {
                at = self.line_end(statement.range().end);
            }
        }
        at
    }

    /// Where an import goes: before the first one, so that it is there for all that follow; behind `__future__`.
    pub fn import_place(&self) -> usize {
        let first = self
            .root
            .named_children()
            .find(|node| ["import_statement", "import_from_statement"].contains(&node.kind().as_ref()));
        first.map_or_else(|| self.after_imports(), |node| self.line_start(node.range().start))
    }

    /// Whether `import module` stands at the top level.
    pub fn imports(&self, module: &str) -> bool {
        self.root
            .named_children()
            .any(|node| node.kind() == "import_statement" && node.text().trim() == format!("import {module}"))
    }

    /// Whether `from module import …name…` stands at the top level.
    pub fn imports_from(&self, module: &str, name: &str) -> bool {
        self.root.named_children().any(|node| {
            node.kind() == "import_from_statement"
                && node.field("module_name").is_some_and(|found| found.text() == module)
                && node.field_children("name").any(|found| found.text() == name)
        })
    }

    pub fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |end| end + 1)
    }

    /// Offset behind the line break that ends the line of `at`.
    pub fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |end| at + end + 1)
    }

    pub fn indent(&self, at: usize) -> &'t str {
        let line = &self.text[self.line_start(at)..];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    /// The file's own line break.
    pub fn line_break(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }
}

/// The node that opens the scope which `node` stands in.
pub(super) fn scope<'t>(node: &Syntax<'t>) -> Option<Syntax<'t>> {
    node.ancestors().find(|ancestor| SCOPES.contains(&ancestor.kind().as_ref()))
}

/// The name of a scope for people.
pub(super) fn scope_name(scope: &Syntax<'_>) -> String {
    match scope.kind().as_ref() {
        "function_definition" | "class_definition" => {
            scope.field("name").map_or_else(|| "<unnamed>".to_owned(), |name| name.text().into_owned())
        }
        "module" => "<module>".to_owned(),
        _ => "<lambda>".to_owned(),
    }
}

/// Whether a loop of the same scope runs this code again and again.
pub(super) fn in_loop(node: &Syntax<'_>) -> bool {
    let mut child = node.clone();
    for ancestor in node.ancestors() {
        let kind = ancestor.kind();
        if SCOPES.contains(&kind.as_ref()) {
            return false;
        }
        if LOOPS.contains(&kind.as_ref()) {
            // What a for loop runs over is computed once.
            let iterated = ancestor.field("right").is_some_and(|right| right.node_id() == child.node_id());
            let otherwise =
                ancestor.field("alternative").is_some_and(|part| part.node_id() == child.node_id());
            if !iterated && !otherwise {
                return true;
            }
        }
        child = ancestor;
    }
    false
}

pub(super) fn line(node: &Syntax<'_>) -> u32 {
    u32::try_from(node.start_pos().line() + 1).unwrap_or(u32::MAX)
}

/// Looks at every name that `named` finds at nodes of `kind` inside a loop, once per name and scope; `rewrite` gets
/// the scope, the name and the node.
pub(super) fn each_local_in_a_loop<'t, T>(
    source: &Source<'t>,
    kind: &str,
    named: impl for<'n> Fn(&'n Syntax<'t>) -> Option<Syntax<'t>>,
    rewrite: impl Fn(&Source<'t>, &Syntax<'t>, &Syntax<'t>, &Syntax<'t>) -> Option<T>,
) -> Vec<T> {
    let mut found = Vec::new();
    let mut done: Vec<(usize, String)> = Vec::new();
    for node in source.all(kind).into_iter().filter(in_loop) {
        let Some((name, scope)) = named(&node).zip(scope(&node)) else { continue };
        let place = (scope.node_id(), name.text().into_owned());
        if done.contains(&place) {
            continue;
        }
        if let Some(one) = rewrite(source, &scope, &name, &node) {
            done.push(place);
            found.push(one);
        }
    }
    found
}

/// How a name is used at one place.
pub(super) enum Use<'t> {
    /// `name = value`; the whole statement and the value.
    Bound { statement: Syntax<'t>, value: Syntax<'t> },
    /// `name.method(arguments…)`.
    Call { call: Syntax<'t>, method: String, arguments: Vec<Syntax<'t>> },
    /// `x in name`, `x not in name`; the name's own node.
    Tested { name: Syntax<'t> },
    /// Only read: returned, iterated over, measured, tested for truth, passed to a function that keeps nothing.
    Read,
    /// Anything else.
    Unclear,
}

/// All uses of a local name in its scope; absent when another scope may see it too.
pub(super) fn uses<'t>(scope: &Syntax<'t>, name: &str) -> Option<Vec<Use<'t>>> {
    let mut uses = Vec::new();
    for node in scope.dfs() {
        match node.kind().as_ref() {
            "global_statement" | "nonlocal_statement" if node.text().contains(name) => return None,
            "identifier" if node.text() == name => {}
            _ => continue,
        }
        if self::scope(&node).is_none_or(|inner| inner.node_id() != scope.node_id()) {
            return None;
        }
        uses.push(use_of(&node)?);
    }
    Some(uses)
}

/// Functions that read an iterable and keep no reference to it.
const READERS: &[&str] = &[
    "len",
    "sorted",
    "list",
    "tuple",
    "set",
    "frozenset",
    "sum",
    "min",
    "max",
    "any",
    "all",
    "print",
    "enumerate",
    "str",
];

fn use_of<'t>(node: &Syntax<'t>) -> Option<Use<'t>> {
    let parent = node.parent()?;
    let is = |other: Option<Syntax<'t>>| other.is_some_and(|other| other.node_id() == node.node_id());
    Some(match parent.kind().as_ref() {
        "assignment" if is(parent.field("left")) => match (parent.field("right"), parent.parent()) {
            (Some(value), Some(statement)) if statement.kind() == "expression_statement" => {
                Use::Bound { statement, value }
            }
            _ => Use::Unclear,
        },
        "attribute" if is(parent.field("object")) => {
            let call = parent.parent()?;
            let called = call.kind() == "call"
                && call.field("function").is_some_and(|function| function.node_id() == parent.node_id());
            match (called, call.field("arguments"), parent.field("attribute")) {
                (true, Some(arguments), Some(method)) => Use::Call {
                    method: method.text().into_owned(),
                    arguments: arguments.named_children().filter(|part| part.kind() != "comment").collect(),
                    call,
                },
                _ => Use::Unclear,
            }
        }
        // An attribute's own name, or a keyword of a call, is another name.
        "attribute" => Use::Read,
        "keyword_argument" if is(parent.field("name")) => Use::Read,
        "comparison_operator" => {
            let last = parent.children().last();
            let tests = parent.children().any(|part| ["in", "not in"].contains(&part.text().as_ref()));
            if tests && is(last) && parent.named_children().count() == 2 {
                Use::Tested { name: node.clone() }
            } else {
                Use::Unclear
            }
        }
        "for_statement" | "for_in_clause" if is(parent.field("right")) => Use::Read,
        "while_statement" | "if_statement" | "elif_clause" if is(parent.field("condition")) => Use::Read,
        "not_operator" | "boolean_operator" => Use::Read,
        "return_statement" => Use::Read,
        "argument_list" => {
            let call = parent.parent()?;
            let function = call.field("function")?;
            let reader = READERS.contains(&function.text().as_ref()) || function.text().ends_with(".join");
            if reader { Use::Read } else { Use::Unclear }
        }
        "subscript" if is(parent.field("value")) => match parent.parent()?.kind().as_ref() {
            "assignment" | "augmented_assignment" | "delete_statement" => Use::Unclear,
            _ => Use::Read,
        },
        _ => Use::Unclear,
    })
}
