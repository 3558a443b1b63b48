//! A loop of independent processes, one after the other, while other cores idle. Using more cores than the original is
//! for the user to allow.

use std::collections::BTreeSet;

use super::super::edits::{Edit, Proposal, edited, fingerprint, gone, hypothesis, write};
use super::super::{DelegateError, Delegated, Project, Recipe};
use super::source::{Dialect, Script, Source, Syntax, command_name, is_name, is_statement, parse, scripts};
use crate::config::Policy;
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

pub struct SequentialLoop;

impl Recipe for SequentialLoop {
    fn id(&self) -> &'static str {
        "shell-sequential-loop"
    }

    fn level(&self) -> Level {
        Level::L4
    }

    fn soundness(&self) -> Soundness {
        Soundness::PolicyOnly(Policy::Parallel)
    }

    fn applies(&self) -> &'static str {
        "A for or while read loop in a shell script that the command names, whose body is one program, or one pipeline \
         of programs, that prints or writes to a file of its own."
    }

    fn why(&self) -> &'static str {
        "The iterations do not depend on each other, yet each waits for the one before. xargs -P runs as many at once \
         as there are cores; what they print and complain of is kept apart and put together in the old order."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let propose = |script: &Script| -> Vec<Hypothesis> {
            let hypothesis = |found: Loop| {
                hypothesis(
                    self,
                    Proposal {
                        what: format!("{}:{}", script.path, found.fingerprint()),
                        title: format!(
                            "Run the loop over ${} on all cores ({})",
                            found.variable, script.path
                        ),
                        line: found.line,
                        path: script.path.clone(),
                        expected: (1.2, 16.0),
                        scores: Scores { impact: 4, ease: 4, coverage: 3, safety: 0 },
                    },
                )
            };
            loops(&script.text, script.dialect).into_iter().map(hypothesis).collect()
        };
        scripts(project).iter().flat_map(propose).collect()
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let path = &hypothesis.sites[0].path;
        let script = scripts(project).into_iter().find(|script| script.path == *path);
        let script = script.ok_or_else(|| gone(self, format!("{path} is no script of the command")))?;
        let wanted = hypothesis.key.rsplit(':').next().unwrap_or_default();
        let mut found = loops(&script.text, script.dialect).into_iter();
        let found = found.find(|found| found.fingerprint() == wanted);
        let found = found.ok_or_else(|| gone(self, "no such loop is left"))?;
        write(project, path, &edited(&script.text, &found.edits))?;
        Ok(Delegated { summary: format!("Hands the loop over ${} in {path} to xargs -P.", found.variable) })
    }
}

/// A loop that can be handed to xargs.
#[derive(Debug)]
struct Loop {
    /// 1-based.
    line: Option<u32>,
    /// The first one of those that the loop sets.
    variable: String,
    edits: Vec<Edit>,
}

impl Loop {
    fn fingerprint(&self) -> String {
        let code: Vec<&str> = self.edits.iter().map(|edit| edit.text.as_str()).collect();
        fingerprint(&code.concat())
    }
}

fn loops(text: &str, dialect: Dialect) -> Vec<Loop> {
    let tree = parse(text);
    let Some(source) = Source::new(text, &tree, dialect) else {
        return Vec::new();
    };
    // What an iteration fails with would end the script, or its shell would have other options than the script's.
    if source.sees_processes(&[]) || !source.options().is_empty() || sets_separator(&source) {
        return Vec::new();
    }
    let nodes =
        source.root.dfs().filter(|node| ["for_statement", "while_statement"].contains(&node.kind().as_ref()));
    nodes.filter_map(|node| independent(&source, &node)).collect()
}

/// Whether words are split at something else than in the shells of the iterations; `IFS= read` sets it for itself.
fn sets_separator(source: &Source<'_>) -> bool {
    source.all("variable_assignment").iter().any(|assignment| {
        assignment.text().starts_with("IFS")
            && assignment.parent().is_none_or(|parent| parent.kind() != "command")
    })
}

/// The loop in its new form, when nothing in it depends on an earlier iteration or is seen by later code.
fn independent(source: &Source<'_>, node: &Syntax<'_>) -> Option<Loop> {
    let statement = statement(node)?;
    let variables = variables(node)?;
    let group = node.children().find(|child| child.kind() == "do_group")?;
    let mut inner = group.named_children();
    let (body, rest) = (inner.next()?, inner.next());
    let in_background = group.children().any(|child| child.kind() == "&");
    let unseen = !is_used_elsewhere(source, node, &variables) && !is_status_seen(&statement);
    if rest.is_some() || in_background || !unseen {
        return None;
    }
    let body = Body::new(source, &body, &variables)?;
    Some(Loop {
        line: source.line(node.range().start),
        edits: edits(source, &statement, node, &group, &variables, &body),
        variable: variables.into_iter().next()?,
    })
}

/// The statement that the loop is or ends: itself, with what it reads from, or a pipeline into it.
fn statement<'t>(node: &Syntax<'t>) -> Option<Syntax<'t>> {
    let parent = node.parent()?;
    let whole = match parent.kind().as_ref() {
        "redirected_statement" => {
            let reads =
                |redirect: Syntax<'t>| redirect.children().next().is_some_and(|sign| sign.kind() == "<");
            parent.children().skip(1).all(reads).then(|| parent.clone())?
        }
        "pipeline" => {
            let last = parent.children().last()?;
            (last.node_id() == node.node_id()).then(|| parent.clone())?
        }
        _ => node.clone(),
    };
    is_statement(&whole).then_some(whole)
}

/// Whether the status of the last iteration is that of a function or of the script, or is asked for.
fn is_status_seen(statement: &Syntax<'_>) -> bool {
    const NOTHING: &[&str] = &["elif_clause", "else_clause"];
    let mut later = statement.next_all().filter(|node| node.is_named() && node.kind() != "comment");
    later.next().is_none_or(|next| {
        // Alone, these hand it on.
        let ends = ["exit", "return"].contains(&next.text().trim());
        ends || NOTHING.contains(&next.kind().as_ref()) || next.text().contains("$?")
    })
}

/// The names that `for NAME in …` or `while read NAME…` sets.
fn variables(node: &Syntax<'_>) -> Option<Vec<String>> {
    if node.kind() == "for_statement" {
        let name = node.text().starts_with("for").then(|| node.field("variable")).flatten()?;
        return Some(vec![name.text().into_owned()]);
    }
    let condition = node.children().nth(1).filter(|condition| condition.kind() == "command")?;
    if !node.text().starts_with("while") || command_name(&condition)? != "read" {
        return None;
    }
    let words = condition.field_children("argument").map(|word| word.text().into_owned());
    let names: Vec<String> = words.filter(|word| word != "-r").collect();
    (!names.is_empty() && names.iter().all(|name| is_name(name))).then_some(names)
}

/// Whether code outside of the loop sees what the loop leaves in its variables.
fn is_used_elsewhere(source: &Source<'_>, node: &Syntax<'_>, names: &[String]) -> bool {
    let own = node.range();
    source.all("variable_name").into_iter().any(|found| {
        let outside = !own.contains(&found.range().start) && names.iter().any(|name| *name == found.text());
        let sets = |outer: &Syntax<'_>| {
            outer.kind().ends_with("_statement")
                && variables(outer).is_some_and(|set| set.iter().any(|name| *name == found.text()))
        };
        // A loop that sets the variable itself does not see ours.
        outside && !found.ancestors().any(|outer| sets(&outer))
    })
}

/// What every iteration does.
struct Body {
    code: String,
    /// Other variables that it reads.
    reads: BTreeSet<String>,
}

impl Body {
    fn new(source: &Source<'_>, node: &Syntax<'_>, variables: &[String]) -> Option<Self> {
        let reads = reads(node)?;
        let (own, others): (BTreeSet<String>, _) =
            reads.into_iter().partition(|name| variables.contains(name));
        let mut is_fed = false;
        let commands = match node.kind().as_ref() {
            "redirected_statement" => {
                for redirect in node.children().skip(1) {
                    is_fed |= redirect.text().starts_with('<');
                    if !is_private(&redirect, variables)? {
                        return None;
                    }
                }
                node.children().next()?
            }
            _ => node.clone(),
        };
        let programs: Vec<Syntax<'_>> = match commands.kind().as_ref() {
            "command" => vec![commands],
            "pipeline" => commands.children().step_by(2).collect(),
            _ => return None,
        };
        let known = programs.iter().all(|program| is_program(source, program));
        let waits = !is_fed && programs.first().is_some_and(reads_input);
        let code = node.text().trim().to_owned();
        // Where it is handed over it is set, if to nothing.
        let asks = |name: &String| {
            ["-", "+", "=", "?", ":=", ":?"].iter().any(|sign| code.contains(&format!("${{{name}{sign}")))
        };
        let unset_matters = others.iter().any(asks);
        (known && !waits && !unset_matters && !own.is_empty()).then_some(Self { code, reads: others })
    }
}

/// Whether no other iteration uses what a redirection names.
fn is_private(redirect: &Syntax<'_>, variables: &[String]) -> Option<bool> {
    let target = redirect.children().last()?;
    let of_its_own =
        reads(&target)?.iter().any(|name| variables.contains(name)) || target.text() == "/dev/null";
    let text = redirect.text();
    Some(match text.trim_start_matches(|c: char| c.is_ascii_digit()) {
        rest if text.starts_with("2>&1") && rest == ">&1" => true,
        rest if rest.starts_with(">>") || rest.starts_with(">&") || rest.starts_with("<<") => false,
        rest if rest.starts_with('>') => of_its_own,
        rest => rest.starts_with('<'),
    })
}

/// Whether a program is one that reads standard input, called like this: iterations share that.
fn reads_input(command: &Syntax<'_>) -> bool {
    const WITHOUT_FILE: &[&str] = &[
        "cat",
        "cksum",
        "cut",
        "expand",
        "fold",
        "gzip",
        "head",
        "md5sum",
        "nl",
        "od",
        "paste",
        "rev",
        "sha1sum",
        "sha256sum",
        "sort",
        "tac",
        "tail",
        "uniq",
        "wc",
        "xxd",
    ];
    const WITHOUT_SECOND: &[&str] = &["awk", "egrep", "fgrep", "gawk", "grep", "jq", "mawk", "sed"];
    const ALWAYS: &[&str] = &["ffmpeg", "ssh", "tee", "tr", "xargs"];
    let Some(name) = command_name(command) else {
        return true;
    };
    let words: Vec<String> =
        command.field_children("argument").map(|word| word.text().into_owned()).collect();
    let operands = words.iter().filter(|word| !word.starts_with('-')).count();
    let least = match name.as_str() {
        name if ALWAYS.contains(&name) => return true,
        name if WITHOUT_FILE.contains(&name) => 1,
        name if WITHOUT_SECOND.contains(&name) => 2,
        _ => 0,
    };
    operands < least || words.iter().any(|word| word == "-")
}

/// Names of the variables that code reads; absent when it reads what another shell does not have.
fn reads(node: &Syntax<'_>) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for inner in node.dfs() {
        match inner.kind().as_ref() {
            "special_variable_name" | "subscript" | "heredoc_redirect" | "herestring_redirect" => {
                return None;
            }
            "variable_name" => {
                let name = inner.text().into_owned();
                if !is_name(&name) {
                    return None;
                }
                names.insert(name);
            }
            _ => {}
        }
    }
    Some(names)
}

/// Whether a command runs a program: what the shell itself does may change its own state, and is quick.
fn is_program(source: &Source<'_>, command: &Syntax<'_>) -> bool {
    const OF_THE_SHELL: &[&str] = &[
        ".", ":", "[", "alias", "bg", "break", "builtin", "cd", "command", "continue", "declare", "echo",
        "enable", "eval", "exec", "exit", "export", "false", "fg", "getopts", "hash", "jobs", "kill", "let",
        "local", "mapfile", "popd", "printf", "pushd", "pwd", "read", "readonly", "return", "set", "shift",
        "shopt", "sleep", "source", "test", "times", "trap", "true", "type", "typeset", "ulimit", "umask",
        "unalias", "unset", "wait",
    ];
    command.kind() == "command"
        && command_name(command)
            .is_some_and(|name| !OF_THE_SHELL.contains(&name.as_str()) && !source.functions.contains(&name))
}

/// The loop becomes the source of a pipeline into xargs. What iterations print goes to numbered files that are put together
/// in order. How one ends is nobody's business: xargs would stop at some of them.
fn edits(
    source: &Source<'_>,
    statement: &Syntax<'_>,
    node: &Syntax<'_>,
    group: &Syntax<'_>,
    variables: &[String],
    body: &Body,
) -> Vec<Edit> {
    let start = statement.range().start;
    let indent = source.indent(start);
    let inner = source.indent(node.range().start);
    let (outputs, number) = (source.fresh_name("outputs"), source.fresh_name("number"));
    let values: Vec<String> = variables.iter().map(|name| format!("\"${name}\"")).collect();
    let feed = format!(
        "{inner}    {number}=$(({number} + 1))\n{inner}    printf '%s\\0' \"${number}\" {}",
        values.join(" ")
    );
    // $1 is the folder; then come the values that all share, the number, and the iteration's own values.
    let shared: String = body.reads.iter().map(|name| format!(" \"${name}\"")).collect();
    let places = (2..).zip(&body.reads).chain((3 + body.reads.len()..).zip(variables));
    let set: String = places.map(|(place, name)| format!("{name}=${{{place}}}; ")).collect();
    let own = format!("${{{}}}", 2 + body.reads.len());
    let code = format!("{set}{{ {}; }} > \"$1/out/{own}\" 2> \"$1/err/{own}\"; true", body.code);
    let code = code.replace('\'', "'\\''");
    let shell = if source.dialect == Dialect::Bash { "bash" } else { "sh" };
    let count = variables.len() + 1;
    let run = format!(
        " | xargs -0 -r -n {count} -P \"$(nproc)\" {shell} -c '{code}' {shell} \"${outputs}\"{shared}"
    );
    let gather = format!(
        "\n{indent}(cd \"${outputs}/out\" && ls | xargs -r cat)\n{indent}(cd \"${outputs}/err\" && ls | xargs -r cat) \
         >&2\n{indent}rm -r \"${outputs}\""
    );
    let prepare = format!(
        "{outputs}=$(mktemp -d) || exit\n{indent}mkdir \"${outputs}/out\" \"${outputs}/err\"\n{indent}{number}=1000000\n{indent}"
    );
    vec![
        Edit::insert(start, prepare),
        Edit::new(group.range(), format!("do\n{feed}\n{inner}done")),
        Edit::insert(statement.range().end, format!("{run}{gather}")),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::edits::testing::{apply_all, project};
    use super::*;

    /// A script with its only loop changed.
    pub fn all_cores(text: &str, dialect: Dialect) -> String {
        let found = loops(text, dialect);
        assert_eq!(found.len(), 1, "{text}");
        edited(text, &found[0].edits)
    }

    #[test]
    fn independent_loops_go_to_xargs() {
        let before =
            "#!/bin/sh\nfor p in parts/*.txt; do\n  sort \"$p\" > \"out/${p##*/}\"\ndone\ncat out/*\n";
        let after = "#!/bin/sh\noutputs=$(mktemp -d) || exit\nmkdir \"$outputs/out\" \"$outputs/err\"\nnumber=1000000\nfor p in parts/*.txt; do\n    number=$((number + 1))\n    printf '%s\\0' \"$number\" \"$p\"\ndone | xargs -0 -r -n 2 -P \"$(nproc)\" sh -c 'p=${3}; { sort \"$p\" > \"out/${p##*/}\"; } > \"$1/out/${2}\" 2> \"$1/err/${2}\"; true' sh \"$outputs\"\n(cd \"$outputs/out\" && ls | xargs -r cat)\n(cd \"$outputs/err\" && ls | xargs -r cat) >&2\nrm -r \"$outputs\"\ncat out/*\n";
        let (_folder, project) = project("sh a.sh", &[("a.sh", before)]);
        let title = &SequentialLoop.propose(&project)[0].title;
        assert_eq!(title, "Run the loop over $p on all cores (a.sh)");
        assert_eq!(apply_all(&SequentialLoop, &project, "a.sh"), after);
    }

    #[test]
    fn output_is_put_together_in_order() {
        let before = "  while read -r name size; do\n    ./work \"$dir/$name\" 'a b' \"$size\" | sort\n  done < list\n  echo\n";
        let after = "  outputs=$(mktemp -d) || exit\n  mkdir \"$outputs/out\" \"$outputs/err\"\n  number=1000000\n  while read -r name size; do\n      number=$((number + 1))\n      printf '%s\\0' \"$number\" \"$name\" \"$size\"\n  done < list | xargs -0 -r -n 3 -P \"$(nproc)\" sh -c 'dir=${2}; name=${4}; size=${5}; { ./work \"$dir/$name\" '\\''a b'\\'' \"$size\" | sort; } > \"$1/out/${3}\" 2> \"$1/err/${3}\"; true' sh \"$outputs\" \"$dir\"\n  (cd \"$outputs/out\" && ls | xargs -r cat)\n  (cd \"$outputs/err\" && ls | xargs -r cat) >&2\n  rm -r \"$outputs\"\n  echo\n";
        assert_eq!(all_cores(before, Dialect::Posix), after);
    }

    #[test]
    fn loops_that_share_anything_stay() {
        for body in [
            "sort \"$p\" >> all.txt",
            "sort \"$p\" > all.txt",
            "sort \"$p\" > \"$dir/all\"",
            "sort all.txt",
            "n=$p",
            "cd \"$p\"",
            "echo \"$p\"",
            "work \"$p\"",
            "sort \"$p\" > \"$p.out\"; total=1",
            "sort \"$p\" > \"$p.out\" && echo",
            "sort \"$p\" \"$1\"",
            "sort \"$p\" \"$@\"",
            "sort \"$p\" <<< \"$p\"",
            "sort \"$p\" | while read -r x; do total=$x; done",
            "if sort \"$p\"; then break; fi",
            "sort \"$p\" &",
            "grep \"$p\"",
            "sort - \"$p\"",
            "tr a \"$p\"",
            "sort \"${dir-none}\" \"$p\"",
        ] {
            let text = format!("work() {{ n=$1; }}\nfor p in *.txt; do\n  {body}\ndone\necho\n");
            assert!(loops(&text, Dialect::Posix).is_empty(), "{body}");
        }
        for text in [
            "for p in *; do sort \"$p\"; done; echo \"$p\"\n",
            "for p in *; do sort \"$p\"; done > all\n",
            "for p in *; do sort \"$p\"; done | head\n",
            "for p in *; do sort \"$p\"; done && echo\n",
            "if for p in *; do sort \"$p\"; done; then echo; fi\n",
            "while [ \"$p\" ]; do sort \"$p\"; done\n",
            "until read -r p; do sort \"$p\"; done; echo\n",
            "for p in *; do sort \"$p\"; done\n",
            "for p in *; do sort \"$p\"; done; echo $?\n",
            "for p in *; do sort \"$p\"; done; exit\n",
            "f() { for p in *; do sort \"$p\"; done; }; f; echo\n",
            "set -e; for p in *; do sort \"$p\"; done; echo\n",
            "#!/bin/sh -e\nfor p in *; do sort \"$p\"; done; echo\n",
            "shopt -s nullglob; for p in *; do sort \"$p\"; done; echo\n",
            "IFS=,; for p in $list; do sort \"$p\"; done; echo\n",
        ] {
            assert!(loops(text, Dialect::Posix).is_empty(), "{text}");
        }
    }
}
