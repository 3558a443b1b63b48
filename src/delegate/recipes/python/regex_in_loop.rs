//! `re.search("constant", text)` in a loop.

use super::source::{Source, Syntax, in_loop, line, scope, scope_name};
use super::{Edit, Rewrite};

const FUNCTIONS: &[&str] =
    &["compile", "search", "match", "fullmatch", "findall", "finditer", "split", "sub", "subn"];

pub(super) fn find(source: &Source<'_>) -> Vec<Rewrite> {
    if !source.imports("re") {
        return Vec::new();
    }
    let calls = source.all("call").into_iter().filter(in_loop);
    calls.filter_map(|call| rewrite(source, &call)).collect()
}

fn rewrite<'t>(source: &Source<'t>, call: &Syntax<'t>) -> Option<Rewrite> {
    let function = call.field("function")?;
    let name = function.text().strip_prefix("re.")?.to_owned();
    if !FUNCTIONS.contains(&name.as_str()) {
        return None;
    }
    let arguments: Vec<Syntax<'_>> = call.field("arguments")?.named_children().collect();
    let (pattern, rest) = arguments.split_first()?;
    if !is_constant(pattern) || arguments.iter().any(|argument| argument.kind() == "comment") {
        return None;
    }
    // Flags belong to the compilation; where they may stand differs from function to function.
    let flags = rest
        .iter()
        .position(|argument| argument.text().starts_with("re.") || argument.text().starts_with("flags"));
    let constant = source.fresh_name("_PATTERN");
    let (compiled, replacement) = match (name.as_str(), flags) {
        ("compile", _) => (call.text().into_owned(), constant.clone()),
        (_, Some(_)) => return None,
        (method, None) => {
            let others: Vec<String> = rest.iter().map(|argument| argument.text().into_owned()).collect();
            (format!("re.compile({})", pattern.text()), format!("{constant}.{method}({})", others.join(", ")))
        }
    };
    if name == "compile" && !rest.iter().all(is_flag) {
        return None;
    }
    let scope = scope(call)?;
    let line_break = source.line_break();
    let definition = format!("{line_break}{constant} = {compiled}{line_break}");
    Some(Rewrite {
        scope: scope_name(&scope),
        snippet: call.text().into_owned(),
        line: line(call),
        title: format!("Compile the pattern of re.{name} once"),
        edits: vec![Edit::new(call.range(), replacement), Edit::insert(source.after_imports(), definition)],
    })
}

/// A string literal without anything to fill in.
fn is_constant(node: &Syntax<'_>) -> bool {
    let text = node.text();
    let prefix = text.split(['"', '\'']).next().unwrap_or_default().to_ascii_lowercase();
    node.kind() == "string" && !prefix.contains('f') && !prefix.contains('t')
}

/// `re.IGNORECASE`, `re.I | re.M`.
fn is_flag(node: &Syntax<'_>) -> bool {
    let text = node.text();
    let bare = text.strip_prefix("flags=").unwrap_or(&text);
    bare.split('|').all(|flag| {
        flag.trim().strip_prefix("re.").is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase()))
    })
}
