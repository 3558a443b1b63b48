//! Shell scripts that start several processes for what the shell can do itself, line after line.

use std::path::Path;

use super::edits::{Proposal, fingerprint, gone, hypothesis, must_read, named_files, read, write};
use super::{DelegateError, Delegated, Project, Recipe};
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

pub(super) struct ShellSpawn;

impl Recipe for ShellSpawn {
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
        "Assignments from cut, basename, dirname or expr inside a loop of a shell script that the command names."
    }

    fn why(&self) -> &'static str {
        "Each command substitution forks, and each program in it is loaded anew: a millisecond or more for what a \
         parameter expansion does in microseconds. Odd input (missing fields, trailing slashes) may differ."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let scripts = scripts(project);
        let propose = |path: String| {
            let text = read(project, Path::new(&path))?;
            let found = spawning_lines(&text);
            let first = found.first()?;
            let code: String = found.iter().map(|found| found.replacement.as_str()).collect();
            Some(hypothesis(
                self,
                Proposal {
                    what: format!("{path}:{}", fingerprint(&code)),
                    title: format!(
                        "Let the shell do the work of {} processes per line ({path})",
                        count(&found)
                    ),
                    line: u32::try_from(first.index + 1).ok(),
                    path,
                    expected: (1.5, 50.0),
                    scores: Scores { impact: 5, ease: 4, coverage: 4, safety: 0 },
                },
            ))
        };
        scripts.into_iter().filter_map(propose).collect()
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let path = &hypothesis.sites[0].path;
        let text = must_read(self, project, path)?;
        let found = spawning_lines(&text);
        if found.is_empty() {
            return Err(gone(self, "no such line is left"));
        }
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        for line in &found {
            lines[line.index].clone_from(&line.replacement);
        }
        write(project, path, &lines.join("\n"))?;
        Ok(Delegated {
            summary: format!(
                "Replaces {} command substitutions in {path} by expansions of the shell.",
                found.len()
            ),
        })
    }
}

/// Shell scripts among the files that the command names.
pub(super) fn scripts(project: &Project) -> Vec<String> {
    let is_shell = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|ending| ending == "sh" || ending == "bash")
            || read(project, path).is_some_and(|text| {
                let first = text.lines().next().unwrap_or("");
                first.starts_with("#!") && (first.ends_with("sh") || first.contains("bash"))
            })
    };
    let files = named_files(project).into_iter().filter(is_shell);
    files.map(|path| path.to_string_lossy().into_owned()).collect()
}

/// A line of a loop that can do without its processes.
#[derive(Debug, PartialEq)]
struct Found {
    /// 0-based.
    index: usize,
    replacement: String,
    /// Processes that it starts now, the subshell not counted.
    processes: usize,
}

fn count(found: &[Found]) -> usize {
    found.iter().map(|found| found.processes).sum()
}

fn spawning_lines(text: &str) -> Vec<Found> {
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || c == ';').collect();
        if words.contains(&"done") {
            depth = depth.saturating_sub(words.iter().filter(|word| **word == "done").count());
        }
        if depth > 0
            && let Some((replacement, processes)) = replacement(line)
        {
            found.push(Found { index, replacement, processes });
        }
        if !line.trim_start().starts_with('#') {
            depth += words.iter().filter(|word| **word == "do").count();
        }
    }
    found
}

/// The same assignment without its processes, when the whole line is one of the known forms.
fn replacement(line: &str) -> Option<(String, usize)> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let (name, rest) = line.trim().split_once('=')?;
    if !is_name(name) {
        return None;
    }
    let inner = rest.strip_prefix("$(")?.strip_suffix(')')?;
    if inner.contains(['`', '(', ')', ';', '&', '>', '<']) {
        return None;
    }
    let (code, processes) = cut(name, inner)
        .map(|code| (code, 2))
        .or_else(|| path_part(name, inner).map(|code| (code, 1)))
        .or_else(|| expr(name, inner).map(|code| (code, 1)))?;
    Some((format!("{indent}{code}"), processes))
}

/// `echo "$v" | cut -d, -f3`.
fn cut(name: &str, inner: &str) -> Option<String> {
    let (echo, cut) = inner.split_once('|')?;
    let variable = quoted_variable(echo.trim().strip_prefix("echo ")?.trim())?;
    let words = shlex::split(cut.trim())?;
    let (delimiter, field) = match words.as_slice() {
        [program, delimiter, field] if program == "cut" => {
            (delimiter.strip_prefix("-d")?.to_owned(), field.strip_prefix("-f")?.to_owned())
        }
        [program, d, delimiter, field] if program == "cut" && d == "-d" => {
            (delimiter.clone(), field.strip_prefix("-f")?.to_owned())
        }
        _ => return None,
    };
    let field: usize = field.parse().ok().filter(|field| (1..=9).contains(field))?;
    let mut characters = delimiter.chars();
    let delimiter = characters.next().filter(|_| characters.next().is_none())?;
    // Characters that mean something in a pattern, or to the shell, would need quoting.
    if !(delimiter.is_ascii_alphanumeric() || ",:;|./_=@%+-".contains(delimiter)) || ";|".contains(delimiter)
    {
        return None;
    }
    let mut code = format!("{name}=${variable}");
    for _ in 1..field {
        code.push_str(&format!("; {name}=${{{name}#*{delimiter}}}"));
    }
    code.push_str(&format!("; {name}=${{{name}%%{delimiter}*}}"));
    Some(code)
}

/// `basename "$v"` and `dirname "$v"`, for paths without trailing slashes.
fn path_part(name: &str, inner: &str) -> Option<String> {
    let (program, argument) = inner.trim().split_once(' ')?;
    let variable = quoted_variable(argument.trim())?;
    match program {
        "basename" => Some(format!("{name}=${{{variable}##*/}}")),
        "dirname" if name != variable => Some(format!(
            "case ${variable} in */*) {name}=${{{variable}%/*}}; {name}=${{{name}:-/}} ;; *) {name}=. ;; esac"
        )),
        _ => None,
    }
}

/// `expr $a + 1`.
fn expr(name: &str, inner: &str) -> Option<String> {
    let words: Vec<&str> = inner.strip_prefix("expr ")?.split_whitespace().collect();
    let [left, operator, right] = words.as_slice() else {
        return None;
    };
    let operator = match *operator {
        "+" | "-" | "/" | "%" => *operator,
        "\\*" | "'*'" | "\"*\"" => "*",
        _ => return None,
    };
    let operand = |word: &str| {
        if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() {
            // A leading zero would make it octal.
            return (word == "0" || !word.starts_with('0')).then(|| word.to_owned());
        }
        let bare = word.trim_matches('"').strip_prefix('$')?;
        is_name(bare).then(|| bare.to_owned())
    };
    Some(format!("{name}=$(({} {operator} {}))", operand(left)?, operand(right)?))
}

fn quoted_variable(word: &str) -> Option<&str> {
    let bare = word.strip_prefix('"')?.strip_suffix('"')?.strip_prefix('$')?;
    let bare = bare.strip_prefix('{').and_then(|bare| bare.strip_suffix('}')).unwrap_or(bare);
    is_name(bare).then_some(bare)
}

fn is_name(word: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    word.starts_with(first) && word.chars().all(|c| first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::{apply_all, project};
    use super::*;

    fn check(line: &str, expected: Option<&str>) {
        assert_eq!(replacement(line).map(|(code, _)| code).as_deref(), expected, "{line}");
    }

    #[test]
    fn whole_line_assignments_are_replaced_and_nothing_else() {
        check("  n=$(expr $n + 1)", Some("  n=$((n + 1))"));
        check("n=$(expr $a \\* \"$b\")", Some("n=$((a * b))"));
        check("n=$(expr $a + 010)", None);
        check("n=$(expr length $a)", None);
        check("b=$(basename \"$p\")", Some("b=${p##*/}"));
        check("b=$(basename \"$p\" .c)", None);
        check("b=$(basename $p)", None);
        check("a=$(echo \"$l\" | cut -d, -f1)", Some("a=$l; a=${a%%,*}"));
        check("a=$(echo \"$l\" | cut -d ',' -f2)", Some("a=$l; a=${a#*,}; a=${a%%,*}"));
        check("a=$(echo \"$l\" | cut -d, -f1,2)", None);
        check("a=$(echo \"$l\" | cut -d'*' -f1)", None);
        check("a=$(date)", None);
        check("echo $(basename \"$p\")", None);
        check("a=$(echo \"$l\" | cut -d, -f1); b=2", None);
    }

    #[test]
    fn only_loops_are_touched() {
        let before = "#!/bin/sh\nx=$(basename \"$1\")\nfor p in a/b; do\n  x=$(basename \"$p\")\n  echo $x\ndone\ny=$(basename \"$1\")\n";
        let after = before.replacen("  x=$(basename \"$p\")", "  x=${p##*/}", 1);
        let (_folder, project) = project("sh a.sh", &[("a.sh", before), ("other.sh", before)]);
        assert_eq!(apply_all(&ShellSpawn, &project, "a.sh"), after);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "runs both forms in a real shell")]
    fn both_forms_do_the_same_in_a_real_shell() {
        let statements = [
            "o=$(echo \"$v\" | cut -d, -f1)",
            "o=$(echo \"$v\" | cut -d, -f2)",
            "o=$(basename \"$v\")",
            "o=$(dirname \"$v\")",
            "o=$(expr $n - 7)",
        ];
        for statement in statements {
            for value in ["/a/b/c.log,12,ok", "/top", "plain", "a,b", "x y/z w,q r"] {
                let run = |code: &str| {
                    let script = format!("v='{value}'; n=5; {code}; printf '%s' \"$o\"");
                    std::process::Command::new("sh").args(["-c", &script]).output().unwrap().stdout
                };
                let (replaced, _) = replacement(statement).unwrap();
                let (old, new) = (run(statement), run(&replaced));
                assert_eq!(old, new, "{statement} with {value}: {}", String::from_utf8_lossy(&new));
            }
        }
    }
}
