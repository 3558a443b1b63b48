//! Shell scripts that start several processes for what the shell can do itself, line after line.

use std::ops::Range;

use super::super::edits::{Edit, Proposal, edited, fingerprint, gone, hypothesis, write};
use super::super::{DelegateError, Delegated, Project, Recipe};
use super::source::{Dialect, Source, Syntax, command_name, is_statement, parse, scripts};
use super::values::{self, Guard, arguments, file_guard, two_stages};
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

pub struct ProcessPerLine;

impl Recipe for ProcessPerLine {
    fn id(&self) -> &'static str {
        "shell-process-per-line"
    }

    fn level(&self) -> Level {
        Level::L1
    }

    fn soundness(&self) -> Soundness {
        Soundness::NeedsOracle
    }

    fn applies(&self) -> &'static str {
        "cut, awk, sed, tr, basename, dirname, expr, cat or grep -q on one value, in a loop of a shell script that the \
         command names."
    }

    fn why(&self) -> &'static str {
        "Each command substitution forks, and each program in it is loaded anew: a millisecond or more for what an \
         expansion of the shell does in microseconds. Odd input (backslashes, trailing slashes, numbers with leading \
         zeros) still goes the old way."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let propose = |script: super::source::Script| {
            let found = rewrites(&script.text, script.dialect);
            let first = found.iter().map(|rewrite| rewrite.range.start).min()?;
            let code: String = found.iter().map(|rewrite| rewrite.code.as_str()).collect();
            let processes: usize = found.iter().map(|rewrite| rewrite.processes).sum();
            let plural = if processes == 1 { "" } else { "es" };
            Some(hypothesis(
                self,
                Proposal {
                    what: format!("{}:{}", script.path, fingerprint(&code)),
                    title: format!(
                        "Let the shell do the work of {processes} process{plural} per line ({})",
                        script.path
                    ),
                    line: u32::try_from(script.text[..first].matches('\n').count() + 1).ok(),
                    path: script.path,
                    expected: (1.5, 50.0),
                    scores: Scores { impact: 5, ease: 4, coverage: 4, safety: 0 },
                },
            ))
        };
        scripts(project).into_iter().filter_map(propose).collect()
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let path = &hypothesis.sites[0].path;
        let script = scripts(project).into_iter().find(|script| script.path == *path);
        let script = script.ok_or_else(|| gone(self, format!("{path} is no script of the command")))?;
        let found = rewrites(&script.text, script.dialect);
        if found.is_empty() {
            return Err(gone(self, "no such place is left"));
        }
        let edits: Vec<Edit> =
            found.iter().map(|rewrite| Edit::new(rewrite.range.clone(), rewrite.code.clone())).collect();
        write(project, path, &edited(&script.text, &edits))?;
        let places = if found.len() == 1 { "place" } else { "places" };
        Ok(Delegated {
            summary: format!(
                "Replaces processes by the shell's own means in {} {places} of {path}.",
                found.len()
            ),
        })
    }
}

/// A piece of a script that can do without its processes.
#[derive(Debug, PartialEq)]
struct Rewrite {
    range: Range<usize>,
    code: String,
    /// Processes that it starts now; forks of the shell itself are not counted.
    processes: usize,
}

/// All of them, none within another.
fn rewrites(text: &str, dialect: Dialect) -> Vec<Rewrite> {
    let tree = parse(text);
    let Some(source) = Source::new(text, &tree, dialect) else {
        return Vec::new();
    };
    if source.sees_processes(PROGRAMS) {
        return Vec::new();
    }
    let mut found: Vec<Rewrite> = Vec::new();
    // Outer nodes come before inner ones.
    for node in source.root.dfs() {
        if found.iter().any(|rewrite| rewrite.range.contains(&node.range().start)) || is_fallback(&node) {
            continue;
        }
        let rewrite = match node.kind().as_ref() {
            "variable_assignment" => assignment(&source, &node),
            "pipeline" => question(&node).or_else(|| useless_cat(&source, &node)),
            _ => None,
        };
        found.extend(rewrite.filter(|_| source.is_repeated(&node)));
    }
    found
}

/// Programs whose work the shell takes over, and what feeds them.
const PROGRAMS: &[&str] =
    &["awk", "basename", "cat", "cut", "dirname", "echo", "expr", "grep", "printf", "sed", "tr"];

/// What an earlier change keeps for odd input.
fn is_fallback(node: &Syntax<'_>) -> bool {
    node.ancestors().any(|ancestor| {
        ["case_statement", "if_statement"].contains(&ancestor.kind().as_ref())
            && Guard::is_chosen(&ancestor.text())
    })
}

/// `name=$(…)` as a statement, where more than one step may take its place.
fn assignment(source: &Source<'_>, node: &Syntax<'_>) -> Option<Rewrite> {
    let (name, value) = (node.field("name")?, node.field("value")?);
    let substitution = match value.kind().as_ref() {
        "command_substitution" => value,
        "string" => {
            let mut parts = value.named_children();
            let (first, rest) = (parts.next()?, parts.next());
            let alone = rest.is_none() && first.text().trim().len() + 2 == value.text().trim().len();
            (alone && first.kind() == "command_substitution").then_some(first)?
        }
        _ => return None,
    };
    let text = node.text();
    let plain = name.kind() == "variable_name" && text.starts_with(&format!("{}=", name.text()));
    if !plain || !is_statement(node) || text.contains('\n') {
        return None;
    }
    let value = values::value(&substitution, source.dialect)?;
    // There the test itself would end the script.
    if matches!(value.guard, Guard::If(_)) && source.options().contains('u') {
        return None;
    }
    Some(Rewrite {
        range: node.range(),
        code: value.assigned_to(&name.text(), &text),
        processes: value.processes,
    })
}

/// `echo "$v" | grep -q text`: a process to answer yes or no.
fn question(pipeline: &Syntax<'_>) -> Option<Rewrite> {
    let (source, filter) = two_stages(pipeline)?;
    let code = values::matched(&values::printed(&source)?, &filter, &pipeline.text())?;
    Some(Rewrite { range: pipeline.range(), code, processes: 1 })
}

/// `cat file | filter`: the filter can read the file itself.
fn useless_cat(source: &Source<'_>, pipeline: &Syntax<'_>) -> Option<Rewrite> {
    // These read a file just as they read a pipe; wc does so for one number, and tail unless it is to follow.
    const FILTERS: &[&str] = &[
        "cut",
        "egrep",
        "fgrep",
        "grep",
        "head",
        "md5sum",
        "nl",
        "rev",
        "sed",
        "sha256sum",
        "sort",
        "tac",
        "tr",
        "uniq",
    ];
    const COUNTS: &[&str] = &["-c", "-l", "-m", "-w"];
    let (cat, filter) = two_stages(pipeline)?;
    if command_name(&cat)? != "cat" || pipeline.text().contains('\n') {
        return None;
    }
    let name = command_name(&filter)?;
    let options = arguments(&filter)?;
    let counts = || matches!(options.as_slice(), [one] if COUNTS.contains(&one.text().as_ref()));
    if !(FILTERS.contains(&name.as_str()) || (name == "wc" && counts())) {
        return None;
    }
    // Where the filter ends early, or writes to what it reads, the pipe makes a difference.
    let is_redirected = |node: &Syntax<'_>| node.kind().ends_with("redirect");
    let writes = pipeline.parent().is_some_and(|parent| parent.kind() == "redirected_statement");
    if writes || filter.children().any(|child| is_redirected(&child)) || source.options().contains(['u', 'P'])
    {
        return None;
    }
    let words = arguments(&cat)?;
    let [file] = words.as_slice() else {
        return None;
    };
    let guard = file_guard(file, source.dialect)?;
    let code = format!("{} < {}", filter.text().trim_end(), file.text().trim());
    Some(Rewrite { range: pipeline.range(), code: guard.choose(&pipeline.text(), &code), processes: 1 })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::edits::testing::{apply_all, project};
    use super::*;

    /// A script with all its changes.
    pub fn changed(text: &str, dialect: Dialect) -> String {
        let edits: Vec<Edit> = rewrites(text, dialect)
            .into_iter()
            .map(|rewrite| Edit::new(rewrite.range, rewrite.code))
            .collect();
        edited(text, &edits)
    }

    /// A statement in a loop, and what it does where its value is nothing odd; otherwise it does what it did.
    fn check(dialect: Dialect, before: &str, after: Option<&str>) {
        let wrap = |statement: &str| format!("while read -r l; do\n  {statement}\ndone\n");
        let text = wrap(before);
        let now = changed(&text, dialect);
        let Some(after) = after else {
            assert_eq!(now, text);
            return;
        };
        let original = before.strip_prefix("if ").map_or(before, |rest| rest.split("; then").next().unwrap());
        let chosen = [format!(" {after} ;;"), format!("; then {after}; else")];
        assert!(chosen.iter().any(|code| now.contains(code)), "{before} became {now}");
        let kept = [format!(") {original} ;;"), format!("; else {original}; fi")];
        assert!(kept.iter().any(|code| now.contains(code)), "{before} became {now}");
        assert_eq!(changed(&now, dialect), now, "{before} is not done at once");
    }

    /// For any shell.
    pub const BOTH: &[(&str, &str)] = &[
        ("n=$(expr $n + 1)", "n=$((n + 1))"),
        ("n=$(expr $n - 1)", "n=$((n - 1)); [ \"$n\" != 0 ]"),
        ("n=$(expr $a \\* \"$b\" - 2)", "n=$((a * b - 2)); [ \"$n\" != 0 ]"),
        ("n=`expr $a / $1`", "n=$((a / $1)); [ \"$n\" != 0 ]"),
        ("n=$(expr 100 % $a)", "n=$((100 % a)); [ \"$n\" != 0 ]"),
        ("n=$(expr $n + $a + 1)", "n=$((n + a + 1))"),
        ("b=$(basename \"$p\")", "b=${p##*/}"),
        ("p=$(basename \"$p\" .c)", "p=${p##*/}; p=${p%.c}"),
        ("b=$(basename \"$1\")", "b=${1##*/}"),
        ("d=\"$(dirname \"$p\")\"", "case $p in */*) d=${p%/*}; d=${d:-/} ;; *) d=. ;; esac"),
        ("a=$(echo \"$l\" | cut -d, -f1)", "a=${l%%,*}"),
        ("l=$(printf '%s\\n' \"$l\" | cut -d ',' -f 2)", "l=${l#*,}; l=${l%%,*}"),
        (
            "a=$(echo \"$l\" | cut -d'|' -f3)",
            "case $l in *'|'*) a=${l}'|'; a=${a#*|}; a=${a#*|}; a=${a%%|*} ;; *) a=$l ;; esac",
        ),
        (
            "a=$(printf %s \"$l\" | cut -d' ' -f3)",
            "case $l in *' '*) a=${l}' '; a=${a#* }; a=${a#* }; a=${a%% *} ;; *) a=$l ;; esac",
        ),
        ("a=$(echo \"$l\" | awk -F: '{print $2}')", "a=${l}:; a=${a#*:}; a=${a%%:*}"),
        ("a=$(echo \"$l\" | awk -F, '{ print $1; }')", "a=${l%%,*}"),
        ("a=$(echo \"$l\" | sed 's/^ab//')", "a=${l#ab}"),
        ("a=$(echo \"$l\" | sed 's/\\.txt$//')", "a=${l%.txt}"),
        ("a=$(echo \"$l\" | sed 's/,.*//')", "a=${l%%,*}"),
        ("a=$(echo \"$l\" | sed 's/.*,//')", "a=${l##*,}"),
        ("if echo \"$l\" | grep -qF a.c; then x=1; fi", "*a.c*) true"),
        ("if printf '%s\\n' \"$l\" | grep -q '^ab'; then x=1; fi", "ab*) true"),
        ("if echo \"$l\" | grep -q 'a\\.b$'; then x=1; fi", "*a.b) true"),
    ];

    #[test]
    fn values_are_computed_by_the_shell() {
        for (before, after) in BOTH {
            check(Dialect::Posix, before, Some(after));
            check(Dialect::Bash, before, Some(after));
        }
        let changed = changed("while :; do\n  a=$(echo \"$l\" | cut -d, -f1)\ndone\n", Dialect::Posix);
        let expected = "while :; do\n  case ${l-} in -* | *\\\\* | *[![:print:][:blank:]]*) \
                        a=$(echo \"$l\" | cut -d, -f1) ;; *) a=${l%%,*} ;; esac\ndone\n";
        assert_eq!(changed, expected);
    }

    /// For bash alone.
    pub const BASH: &[(&str, &str)] = &[
        ("a=$(cat \"$l\")", "a=$(<\"$l\")"),
        ("a=$(cut -d, -f1 <<< \"$l\")", "a=${l%%,*}"),
        ("a=$(echo \"$l\" | sed 's/a/b/g')", "a=${l//a/b}"),
        ("a=$(echo \"$l\" | sed 's/a\\.b//')", "a=${l/a.b/}"),
        ("a=$(echo \"$l\" | tr a-z A-Z)", "a=${l^^[abcdefghjklmnopqrstuvwxyz]}; a=${a//i/I}"),
        ("a=$(echo \"$l\" | tr '[A-Z]' '[a-z]')", "a=${l,,[ABCDEFGHJKLMNOPQRSTUVWXYZ]}; a=${a//I/i}"),
        ("a=$(echo \"$l\" | tr -d ',')", "a=${l//,}"),
        ("a=$(echo \"$l\" | tr , .)", "a=${l//,/.}"),
        ("cat \"$l\" | sort -r", "sort -r < \"$l\""),
        ("cat in.txt | wc -l", "wc -l < in.txt"),
        ("if cat \"$l\" | grep x; then x=1; fi", "grep x < \"$l\""),
    ];

    #[test]
    fn bash_can_do_more_than_others() {
        for (before, after) in BASH {
            check(Dialect::Bash, before, Some(after));
            check(Dialect::Posix, before, None);
        }
    }

    #[test]
    fn what_is_not_surely_the_same_stays() {
        for statement in [
            "n=$(expr $a + 010)",
            "n=$(expr length $a)",
            "n=$(expr $a \\> 1)",
            "n=$(expr $a \\* $b \\* $n)",
            "n=$(expr $a / 0)",
            "n=$(expr $a + 12345678901)",
            "n=`expr $a \\* 2`",
            "b=$(basename $p)",
            "b=$(basename \"$p\" '.*')",
            "b=$(basename \"$p\" -x)",
            "b=$(basename \"$a/$b\")",
            "b=$(LC_ALL=C basename \"$p\")",
            "echo \"a $(basename \"$p\") b\"",
            "local b=$(basename \"$p\")",
            "a+=$(basename \"$p\")",
            "a=$(basename \"$p\") b=2",
            "b=$(basename \"$p\") cmd",
            "echo $(dirname \"$p\")",
            "d=$(dirname \"$p\") && cd \"$d\"",
            "if d=$(dirname \"$p\"); then x=1; fi",
            "a=$(echo $l | cut -d, -f1)",
            "a=$(echo -n \"$l\" | cut -d, -f1)",
            "a=$(echo \"$l\" | cut -d, -f1,2)",
            "a=$(echo \"$l\" | cut -s -d, -f1)",
            "a=$(echo \"$l\" | cut -d'*' -f1)",
            "a=$(echo \"$l\" | cut -d, -f1 | tr a b)",
            "a=$(echo \"$l\" | cut -d, -f2 2>/dev/null)",
            "a=$(echo \"$l\" | awk '{print $2}')",
            "a=$(echo \"$l\" | sed 's/a.c$//')",
            "a=$(echo \"$l\" | sed \"s/$x//\")",
            "a=$(echo \"$l\" | tr '[:upper:]' '[:lower:]')",
            "if echo \"$l\" | grep -q -x; then x=1; fi",
            "a=$(date)",
            "cat a b | sort",
            "cat -n \"$l\" | sort",
            "cat $l | sort",
            "cat \"$l\" | sort > out",
            "cat \"$l\" | wc",
            "cat \"$l\" | tail -f",
            "cat \"$l\" | while read -r x; do y=$x; done",
            "# a=$(basename \"$p\")",
            "echo 'a=$(basename \"$p\")'",
        ] {
            check(Dialect::Posix, statement, None);
            check(Dialect::Bash, statement, None);
        }
        let body = "while read -r p; do\n  a=$(basename \"$p\")\ndone\n";
        for before in [
            "set -x\n",
            "set -eo xtrace\n",
            "#!/bin/sh -v\n",
            "basename() { :; }\n",
            "alias basename=echo\n",
            "trap 'x=1' CHLD\n",
            "echo $LINENO\n",
            "shopt -s nocasematch\n",
            "IFS=0123\n",
        ] {
            let text = format!("{before}{body}");
            assert_eq!(changed(&text, Dialect::Bash), text);
        }
        for before in ["set -eu\n", "#!/bin/sh -e\n", "IFS=,\n", "trap 'x=1' EXIT\n"] {
            let text = format!("{before}{body}");
            assert_ne!(changed(&text, Dialect::Bash), text);
        }
    }

    #[test]
    fn only_loops_are_touched() {
        let before = "#!/bin/sh\nx=$(basename \"$1\")\nname() { y=$(basename \"$1\"); }\nfor p in a/b; do\n  x=$(basename \"$p\")\n  echo $x\ndone\ny=$(basename \"$1\")\n";
        let after = before.replacen(
            "  x=$(basename \"$p\")",
            "  case ${p-} in -* | */ | *[![:print:][:blank:]]*) x=$(basename \"$p\") ;; *) x=${p##*/} ;; esac",
            1,
        );
        let (_folder, project) = project("sh a.sh", &[("a.sh", before), ("other.sh", before)]);
        let title = &ProcessPerLine.propose(&project)[0].title;
        assert_eq!(title, "Let the shell do the work of 1 process per line (a.sh)");
        assert_eq!(apply_all(&ProcessPerLine, &project, "a.sh"), after);
    }
}
