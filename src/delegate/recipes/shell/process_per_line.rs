//! Shell scripts that start several processes for what the shell can do itself, line after line.

use std::ops::Range;

use super::super::edits::{Edit, Proposal, edited, fingerprint, gone, hypothesis, write};
use super::super::{DelegateError, Delegated, Project, Recipe};
use super::source::{Dialect, Source, Syntax, command_name, is_statement, parse, scripts};
use super::values::{self, Code, arguments, file_word, two_stages};
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
         zeros) may differ."
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
    let mut found: Vec<Rewrite> = Vec::new();
    // Outer nodes come before inner ones.
    for node in source.root.dfs() {
        if found.iter().any(|rewrite| rewrite.range.contains(&node.range().start)) {
            continue;
        }
        let rewrite = match node.kind().as_ref() {
            "variable_assignment" => assignment(&node, dialect),
            "command_substitution" => expansion(&node, dialect),
            "pipeline" => question(&node, dialect).or_else(|| useless_cat(&node)),
            _ => None,
        };
        found.extend(rewrite.filter(|_| source.is_repeated(&node)));
    }
    found
}

/// `name=$(…)` as a statement, where more than one step may take its place.
fn assignment(node: &Syntax<'_>, dialect: Dialect) -> Option<Rewrite> {
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
    let plain = name.kind() == "variable_name" && node.text().starts_with(&format!("{}=", name.text()));
    if !plain {
        return None;
    }
    let value = values::value(&substitution, dialect)?;
    let allowed = matches!(value.code, Code::Expansion(_)) || is_statement(node);
    allowed.then(|| Rewrite {
        range: node.range(),
        code: value.code.assigned_to(&name.text()),
        processes: value.processes,
    })
}

/// `$(…)` anywhere, where one expansion can take its place.
fn expansion(node: &Syntax<'_>, dialect: Dialect) -> Option<Rewrite> {
    let value = values::value(node, dialect)?;
    let Code::Expansion(code) = value.code else {
        return None;
    };
    // The parser counts white space before a substitution in a string as part of it.
    let text = node.text();
    let start = node.range().start + text.len() - text.trim_start().len();
    Some(Rewrite { range: start..node.range().end, code, processes: value.processes })
}

/// `echo "$v" | grep -q text`: a process to answer yes or no.
fn question(pipeline: &Syntax<'_>, dialect: Dialect) -> Option<Rewrite> {
    let (source, filter) = two_stages(pipeline)?;
    let code = values::matched(&values::printed(&source)?, &filter, dialect)?;
    Some(Rewrite { range: pipeline.range(), code, processes: 1 })
}

/// `cat file | filter`: the filter can read the file itself.
fn useless_cat(pipeline: &Syntax<'_>) -> Option<Rewrite> {
    // These read a file just as they read a pipe.
    const FILTERS: &[&str] = &[
        "awk",
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
        "tail",
        "tr",
        "uniq",
        "wc",
    ];
    let parts: Vec<Syntax<'_>> = pipeline.children().take(3).collect();
    let [source, pipe, filter] = parts.as_slice() else {
        return None;
    };
    let known = filter.kind() == "command"
        && command_name(filter).is_some_and(|name| FILTERS.contains(&name.as_str()));
    if source.kind() != "command" || pipe.kind() != "|" || !known || command_name(source)? != "cat" {
        return None;
    }
    let words = arguments(source)?;
    let [file] = words.as_slice() else {
        return None;
    };
    if filter.children().any(|child| child.kind().ends_with("redirect")) {
        return None;
    }
    Some(Rewrite {
        range: source.range().start..filter.range().end,
        code: format!("{} < {}", filter.text().trim_end(), file_word(file)?),
        processes: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::edits::testing::{apply_all, project};
    use super::super::testing::{SHELLS, run};
    use super::*;

    /// A statement in a loop, and what becomes of it.
    fn check(dialect: Dialect, before: &str, after: Option<&str>) {
        let wrap = |statement: &str| format!("while read -r l; do\n  {statement}\ndone\n");
        let text = wrap(before);
        let edits: Vec<Edit> = rewrites(&text, dialect)
            .into_iter()
            .map(|rewrite| Edit::new(rewrite.range, rewrite.code))
            .collect();
        let changed = edited(&text, &edits);
        assert_eq!(changed, wrap(after.unwrap_or(before)), "{before}");
        assert!(after.is_none() || rewrites(&changed, dialect).is_empty(), "{before} is not done at once");
    }

    const BOTH: &[(&str, &str)] = &[
        ("n=$(expr $n + 1)", "n=$((n + 1))"),
        ("n=$(expr $a \\* \"$b\" - 2)", "n=$((a * b - 2))"),
        ("n=`expr $a / $1`", "n=$((a / $1))"),
        ("b=$(basename \"$p\")", "b=${p##*/}"),
        ("b=$(basename \"$p\" .c); x=1", "b=${p##*/}; b=${b%.c}; x=1"),
        ("echo \"a  $(basename \"$p\") b\" $(basename \"${p}\")", "echo \"a  ${p##*/} b\" ${p##*/}"),
        ("local b=$(basename \"$p\")", "local b=${p##*/}"),
        ("d=\"$(dirname \"$p\")\"", "case $p in */*) d=${p%/*}; d=${d:-/} ;; *) d=. ;; esac"),
        ("a=$(echo \"$l\" | cut -d, -f1)", "a=${l%%,*}"),
        ("a=$(printf '%s\\n' \"$l\" | cut -d ',' -f 2)", "a=${l#*,}; a=${a%%,*}"),
        (
            "a=$(echo \"$l\" | cut -d'|' -f3)",
            "case $l in *'|'*) a=${l}'|'; a=${a#*|}; a=${a#*|}; a=${a%%|*} ;; *) a=$l ;; esac",
        ),
        (
            "a=$(echo \"$l\" | cut -d' ' -f3)",
            "case $l in *' '*) a=${l}' '; a=${a#* }; a=${a#* }; a=${a%% *} ;; *) a=$l ;; esac",
        ),
        ("a=$(echo \"$l\" | awk -F: '{print $2}')", "a=${l}:; a=${a#*:}; a=${a%%:*}"),
        ("a=$(echo \"$l\" | sed 's/^ab//')", "a=${l#ab}"),
        ("a=$(echo \"$l\" | sed 's/\\.txt$//')", "a=${l%.txt}"),
        ("a=$(echo \"$l\" | sed 's/,.*//')", "a=${l%%,*}"),
        ("a=$(echo \"$l\" | sed 's/.*,//')", "a=${l##*,}"),
        ("cat \"$l\" | grep -c x > out", "grep -c x < \"$l\" > out"),
        ("a=$(cat in.txt | wc -l)", "a=$(wc -l < in.txt)"),
        ("x=$(echo \"$l\" | cut -d, -f1) y=2", "x=${l%%,*} y=2"),
    ];

    #[test]
    fn values_are_computed_by_the_shell() {
        for (before, after) in BOTH {
            check(Dialect::Posix, before, Some(after));
            check(Dialect::Bash, before, Some(after));
        }
    }

    const BASH: &[(&str, &str)] = &[
        ("a=$(cat \"$l\")", "a=$(<\"$l\")"),
        ("a+=$(basename \"$p\")", "a+=${p##*/}"),
        ("a=$(cut -d, -f1 <<< \"$l\")", "a=${l%%,*}"),
        ("a=$(echo \"$l\" | sed 's/a/b/g')", "a=${l//a/b}"),
        ("a=$(echo \"$l\" | sed 's/a\\.b//')", "a=${l/a.b/}"),
        ("a=$(echo \"$l\" | tr a-z A-Z)", "a=${l^^}"),
        ("a=$(echo \"$l\" | tr '[:upper:]' '[:lower:]')", "a=${l,,}"),
        ("a=$(echo \"$l\" | tr -d ',')", "a=${l//,}"),
        ("if echo \"$l\" | grep -q '^ab'; then x=1; fi", "if [[ $l == ab* ]]; then x=1; fi"),
    ];

    #[test]
    fn bash_can_do_more_than_others() {
        for (before, after) in BASH {
            check(Dialect::Bash, before, Some(after));
        }
        for (before, _) in
            BASH.iter().filter(|(before, _)| !before.contains("basename") && !before.contains("grep"))
        {
            check(Dialect::Posix, before, None);
        }
        check(
            Dialect::Posix,
            "if echo \"$l\" | grep -qF a.c; then x=1; fi",
            Some("if case $l in *a.c*) true ;; *) false ;; esac; then x=1; fi"),
        );
    }

    #[test]
    fn what_is_not_surely_the_same_stays() {
        for statement in [
            "n=$(expr $a + 010)",
            "n=$(expr length $a)",
            "n=$(expr $a \\> 1)",
            "n=`expr $a \\* 2`",
            "b=$(basename $p)",
            "b=$(basename \"$p\" '.*')",
            "b=$(basename \"$a/$b\")",
            "b=$(LC_ALL=C basename \"$p\")",
            "echo $(dirname \"$p\")",
            "d=$(dirname \"$p\") && cd \"$d\"",
            "if d=$(dirname \"$p\"); then x=1; fi",
            "local d=$(dirname \"$p\")",
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
            "a=$(date)",
            "cat a b | sort",
            "cat -n \"$l\" | sort",
            "cat $l | sort",
            "cat \"$l\" | while read -r x; do y=$x; done",
            "# a=$(basename \"$p\")",
            "echo 'a=$(basename \"$p\")'",
        ] {
            check(Dialect::Posix, statement, None);
        }
    }

    #[test]
    fn only_loops_are_touched() {
        let before = "#!/bin/sh\nx=$(basename \"$1\")\nname() { y=$(basename \"$1\"); }\nfor p in a/b; do\n  x=$(basename \"$p\")\n  echo $x\ndone\ny=$(basename \"$1\")\n";
        let after = before.replacen("  x=$(basename \"$p\")", "  x=${p##*/}", 1);
        let (_folder, project) = project("sh a.sh", &[("a.sh", before), ("other.sh", before)]);
        let title = &ProcessPerLine.propose(&project)[0].title;
        assert_eq!(title, "Let the shell do the work of 1 process per line (a.sh)");
        assert_eq!(apply_all(&ProcessPerLine, &project, "a.sh"), after);
    }

    #[test]
    fn both_forms_do_the_same_in_real_shells() {
        let values = [
            "/a/b/c.txt,12,ok",
            "/top",
            "plain",
            "a,b",
            "x y/z w,q r",
            "ab|c|d|e:f:g",
            "abab.c",
            "a.b",
            ",,",
            "",
        ];
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("in.txt"), "x\ny\n").unwrap();
        std::fs::write(folder.path().join("plain"), "x y\nz\n").unwrap();
        let mut compared = 0;
        let print = "printf '<%s>' \"$a\" \"$b\" \"$d\" \"$n\" \"$x\"";
        for (shell, (before, after)) in SHELLS.iter().flat_map(|shell| {
            let bash = BASH.iter().filter(move |_| *shell == "bash");
            BOTH.iter().chain(bash).map(move |pair| (shell, pair))
        }) {
            if before.starts_with("local") || before.contains("$1") {
                continue;
            }
            // Every value is read as line and as path; files are only there for some.
            let script = |statement: &str| {
                let texts: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
                format!(
                    "n=5; b=7\nfor l in {}; do p=${{l:-/x.c}}; a=12; {{ {statement}; }} 2>/dev/null; {print}; done",
                    texts.join(" ")
                )
            };
            let Some(expected) = run(shell, &script(before), folder.path()) else {
                continue;
            };
            assert_eq!(run(shell, &script(after), folder.path()), Some(expected), "{shell}: {before}");
            compared += 1;
        }
        assert!(compared >= 2 * (BOTH.len() - 2), "{compared}");
    }
}
