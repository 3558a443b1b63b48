//! `if x not in seen: seen.append(x)`.

use super::source::{Source, Syntax, Use, each_local_in_a_loop, line, scope_name, uses};
use super::{Edit, Rewrite};

pub(super) fn find(source: &Source<'_>) -> Vec<Rewrite> {
    each_local_in_a_loop(source, "comparison_operator", tested, rewrite)
}

/// The name at the right end of `x in name`.
fn tested<'t>(test: &Syntax<'t>) -> Option<Syntax<'t>> {
    test.children().last().filter(|node| node.kind() == "identifier")
}

fn rewrite<'t>(
    source: &Source<'t>,
    scope: &Syntax<'t>,
    name: &Syntax<'t>,
    test: &Syntax<'t>,
) -> Option<Rewrite> {
    // At module level other modules, and functions of this one, may reach the list.
    if scope.kind() != "function_definition" {
        return None;
    }
    let list = name.text().into_owned();
    let set = source.fresh_name(&format!("{list}_set"));
    let mut edits = Vec::new();
    let (mut bound, mut tested, mut grows) = (0, false, false);
    for one in uses(scope, &list)? {
        match one {
            Use::Bound { statement, value } if value.text() == "[]" => {
                bound += 1;
                edits.push(beside(source, &statement, &format!("{set} = set()"))?);
            }
            Use::Call { call, method, arguments } if method == "append" => {
                let [element] = arguments.as_slice() else {
                    return None;
                };
                // Written twice, it must have no effects and cost nothing.
                if !["identifier", "string", "integer"].contains(&element.kind().as_ref()) {
                    return None;
                }
                let statement = call.parent().filter(|parent| parent.kind() == "expression_statement")?;
                edits.push(beside(source, &statement, &format!("{set}.add({})", element.text()))?);
                grows = true;
            }
            Use::Tested { name } => {
                edits.push(Edit::new(name.range(), set.clone()));
                tested = true;
            }
            Use::Read => {}
            Use::Bound { .. } | Use::Call { .. } | Use::Unclear => return None,
        }
    }
    (bound == 1 && tested && grows).then(|| Rewrite {
        scope: scope_name(scope),
        snippet: format!("{list}: {}", test.text()),
        line: line(test),
        title: format!("Use a set for membership tests on {list}"),
        edits,
    })
}

/// A further line behind a statement that has its lines for itself.
fn beside(source: &Source<'_>, statement: &Syntax<'_>, code: &str) -> Option<Edit> {
    let range = statement.range();
    let alone = source.text[source.line_start(range.start)..range.start].trim().is_empty();
    let rest = source.text[range.end..source.line_end(range.end)].trim();
    if !alone || !(rest.is_empty() || rest.starts_with('#')) {
        return None;
    }
    let indent = source.indent(range.start);
    let end = source.line_end(range.end);
    let line_break = source.line_break();
    if source.text[..end].ends_with('\n') {
        return Some(Edit::insert(end, format!("{indent}{code}{line_break}")));
    }
    Some(Edit::insert(end, format!("{line_break}{indent}{code}")))
}
