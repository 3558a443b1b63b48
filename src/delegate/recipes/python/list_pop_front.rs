//! `queue.pop(0)`.

use super::source::{Source, Syntax, Use, each_local_in_a_loop, line, scope_name, uses};
use super::{Edit, Rewrite};

pub(super) fn find(source: &Source<'_>) -> Vec<Rewrite> {
    each_local_in_a_loop(source, "call", popped, rewrite)
}

/// The name before `.pop(0)`.
fn popped<'t>(call: &Syntax<'t>) -> Option<Syntax<'t>> {
    let function = call.field("function").filter(|_| call.text().ends_with(".pop(0)"))?;
    function.field("object").filter(|object| object.kind() == "identifier")
}

fn rewrite<'t>(
    source: &Source<'t>,
    scope: &Syntax<'t>,
    name: &Syntax<'t>,
    place: &Syntax<'t>,
) -> Option<Rewrite> {
    if scope.kind() != "function_definition" {
        return None;
    }
    let list = name.text().into_owned();
    let imported = source.imports_from("collections", "deque");
    if !imported && source.has_name("deque") {
        return None;
    }
    let mut edits = Vec::new();
    let mut bound = 0;
    for one in uses(scope, &list)? {
        match one {
            Use::Bound { value, .. } => {
                bound += 1;
                edits.push(deque_of(&value)?);
            }
            Use::Call { call, method, arguments } => match (method.as_str(), arguments.as_slice()) {
                ("pop", [first]) if first.text() == "0" => {
                    let end = call.range().end;
                    let start = call.field("function")?.field("attribute")?.range().start;
                    edits.push(Edit::new(start..end, "popleft()"));
                }
                ("append" | "extend" | "pop" | "clear", _) if arguments.len() <= 1 => {
                    // pop(i) for any other place is not a deque's.
                    if method == "pop" && !arguments.is_empty() {
                        return None;
                    }
                }
                _ => return None,
            },
            Use::Tested { .. } => {}
            Use::Read => {}
            Use::Unclear => return None,
        }
    }
    if bound != 1 || leaves_the_scope(scope, &list) {
        return None;
    }
    if !imported {
        let line_break = source.line_break();
        let import = format!("from collections import deque{line_break}");
        edits.push(Edit::insert(source.import_place(), import));
    }
    Some(Rewrite {
        scope: scope_name(scope),
        snippet: format!("{list}: {}", place.text()),
        line: line(place),
        title: format!("Use a deque for the queue {list}"),
        edits,
    })
}

/// `[]` → `deque()`, a list → a deque of it.
fn deque_of(value: &Syntax<'_>) -> Option<Edit> {
    let text = value.text();
    let is_list = ["list", "list_comprehension"].contains(&value.kind().as_ref())
        || (value.kind() == "call" && text.starts_with("list("));
    if !is_list {
        return None;
    }
    let inner = if text == "[]" || text == "list()" { String::new() } else { text.into_owned() };
    Some(Edit::new(value.range(), format!("deque({inner})")))
}

/// Whether somebody else could see that it is no list any more: it is returned, printed or indexed by a slice.
fn leaves_the_scope(scope: &Syntax<'_>, list: &str) -> bool {
    scope.dfs().filter(|node| node.kind() == "identifier" && node.text() == list).any(|node| {
        let Some(parent) = node.parent() else { return true };
        match parent.kind().as_ref() {
            "return_statement" | "subscript" => true,
            "argument_list" => {
                let function = parent.parent().and_then(|call| call.field("function"));
                !function.is_some_and(|function| {
                    ["len", "sorted", "list", "tuple", "set", "sum", "min", "max"]
                        .contains(&function.text().as_ref())
                })
            }
            _ => false,
        }
    })
}
