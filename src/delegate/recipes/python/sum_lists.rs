//! `sum(lists, [])`.

use super::source::{Source, line, scope, scope_name};
use super::{Edit, Rewrite};

pub(super) fn find(source: &Source<'_>) -> Vec<Rewrite> {
    // A project that gives `sum` another meaning is left alone.
    let redefined = source
        .all("assignment")
        .iter()
        .any(|node| node.field("left").is_some_and(|left| left.text() == "sum"))
        || source
            .all("function_definition")
            .iter()
            .any(|node| node.field("name").is_some_and(|name| name.text() == "sum"));
    if redefined || (source.has_name("itertools") && !source.imports("itertools")) {
        return Vec::new();
    }
    let sums = source.all("call").into_iter().filter_map(|call| {
        let function = call.field("function").filter(|function| function.text() == "sum")?;
        let arguments: Vec<_> = call.field("arguments")?.named_children().collect();
        let [lists, start] = arguments.as_slice() else {
            return None;
        };
        let start = start
            .field("value")
            .filter(|_| start.text().starts_with("start"))
            .unwrap_or_else(|| start.clone());
        if start.text() != "[]" || lists.kind() == "list_splat" {
            return None;
        }
        let scope = scope(&function)?;
        let bare = lists.text();
        let chained = format!("list(itertools.chain.from_iterable({bare}))");
        let mut edits = vec![Edit::new(call.range(), chained)];
        if !source.imports("itertools") {
            let import = format!("import itertools{}", source.line_break());
            edits.push(Edit::insert(source.import_place(), import));
        }
        Some(Rewrite {
            scope: scope_name(&scope),
            snippet: call.text().into_owned(),
            line: line(&call),
            title: "Chain the lists instead of summing them".to_owned(),
            edits,
        })
    });
    sums.collect()
}
