//! A loop of independent processes, one after the other, while other cores idle. Using more cores than the original is
//! for the user to allow.

use std::path::Path;

use super::edits::{Proposal, fingerprint, gone, hypothesis, must_read, read, write};
use super::shell_spawn::scripts;
use super::{DelegateError, Delegated, Project, Recipe};
use crate::config::Policy;
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

pub(super) struct ShellParallel;

impl Recipe for ShellParallel {
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
        "A for loop over files in a shell script whose body is one command that writes to a file of its own."
    }

    fn why(&self) -> &'static str {
        "The iterations do not depend on each other, yet each waits for the one before. xargs -P runs as many at once \
         as there are cores."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let scripts = scripts(project).into_iter();
        let found = scripts.filter_map(|path| Some((loops(&read(project, Path::new(&path))?), path)));
        found
            .flat_map(|(loops, path)| loops.into_iter().map(move |found| (found, path.clone())))
            .map(|(found, path)| {
                hypothesis(
                    self,
                    Proposal {
                        what: format!("{path}:{}", fingerprint(&found.replacement)),
                        title: format!("Run the loop over ${} on all cores ({path})", found.variable),
                        line: u32::try_from(found.first + 1).ok(),
                        path,
                        expected: (1.2, 16.0),
                        scores: Scores { impact: 4, ease: 4, coverage: 3, safety: 0 },
                    },
                )
            })
            .collect()
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let path = &hypothesis.sites[0].path;
        let text = must_read(self, project, path)?;
        let wanted = hypothesis.key.rsplit(':').next().unwrap_or_default();
        let found = loops(&text).into_iter().find(|found| fingerprint(&found.replacement) == wanted);
        let found = found.ok_or_else(|| gone(self, "no such loop is left"))?;
        let mut lines: Vec<&str> = text.split('\n').collect();
        lines.splice(found.first..=found.last, [found.replacement.as_str()]);
        write(project, path, &lines.join("\n"))?;
        Ok(Delegated { summary: format!("Hands the loop over ${} in {path} to xargs -P.", found.variable) })
    }
}

/// A loop that can be handed to xargs; lines are 0-based and inclusive.
#[derive(Debug)]
struct Loop {
    first: usize,
    last: usize,
    variable: String,
    replacement: String,
}

fn loops(text: &str) -> Vec<Loop> {
    let lines: Vec<&str> = text.split('\n').collect();
    let at = |first: usize| {
        let window = lines.get(first..first + 3)?;
        let (variable, words) = header(window[0])?;
        let body = independent_body(window[1], variable)?;
        let indent = &window[0][..window[0].len() - window[0].trim_start().len()];
        (window[2].trim() == "done").then(|| Loop {
            first,
            last: first + 2,
            variable: variable.to_owned(),
            replacement: format!(
                "{indent}printf '%s\\0' {words} | xargs -0 -n 1 -P \"$(nproc)\" sh -c '{variable}=$1; {body}' sh"
            ),
        })
    };
    (0..lines.len()).filter_map(at).collect()
}

/// `for x in WORDS; do`.
fn header(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim().strip_prefix("for ")?.strip_suffix("do")?.trim_end().strip_suffix(';')?;
    let (variable, words) = rest.split_once(" in ")?;
    let variable = variable.trim();
    let is_name = variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && !words.trim().is_empty() && !words.contains(['$', '`', ';', '|', '&']))
        .then(|| (variable, words.trim()))
}

/// One command that reads the loop's variable and writes to a file named by it: nothing is shared, nothing is printed.
fn independent_body<'a>(line: &'a str, variable: &str) -> Option<&'a str> {
    const SHARED: &[&str] =
        &["cd", "exit", "break", "continue", "read", "export", "set", "return", "wait", "shift"];
    let body = line.trim();
    let program = body.split_whitespace().next()?;
    if SHARED.contains(&program)
        || program.contains('=')
        || body.contains(['\'', ';', '&', '|', '<', '`', '('])
    {
        return None;
    }
    let (command, target) = body.split_once('>')?;
    let names =
        |text: &str| text.contains(&format!("${variable}")) || text.contains(&format!("${{{variable}"));
    // Other variables of the script do not reach the shell that xargs starts.
    let foreign = body.match_indices('$').any(|(at, _)| {
        let name = body[at + 1..].trim_start_matches('{');
        !name.starts_with(variable)
            || name[variable.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    });
    (!target.contains('>') && names(command) && names(target) && !foreign).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::{apply_all, project};
    use super::*;

    #[test]
    fn independent_loops_go_to_xargs() {
        let before = "#!/bin/sh\nfor p in parts/*.txt; do\n  sort \"$p\" > \"out/${p##*/}\"\ndone\n";
        let after = "#!/bin/sh\nprintf '%s\\0' parts/*.txt | xargs -0 -n 1 -P \"$(nproc)\" sh -c 'p=$1; sort \"$p\" > \"out/${p##*/}\"' sh\n";
        let (_folder, project) = project("sh a.sh", &[("a.sh", before)]);
        assert_eq!(apply_all(&ShellParallel, &project, "a.sh"), after);
    }

    #[test]
    fn loops_that_share_anything_stay() {
        let check = |body: &str| {
            let text = format!("for p in *.txt; do\n  {body}\ndone\n");
            assert!(loops(&text).is_empty(), "{body}");
        };
        check("sort \"$p\"");
        check("sort \"$p\" >> all.txt");
        check("sort \"$p\" > all.txt");
        check("sort \"$p\" > \"$dir/$p\"");
        check("n=$p > $p.out");
        check("cd \"$p\" > $p.out");
        check("sort \"$p\" > $p.out; total=1");
        check("sort $path > $p.out");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "runs both forms in a real shell")]
    fn both_forms_leave_the_same_files() {
        let before = "mkdir -p out\nfor p in *.in; do\n  tr a-z A-Z \"$p\" > \"out/${p%.in}\"\ndone\n"
            .replace("tr a-z A-Z", "sort");
        let found = &loops(&before)[0];
        let mut lines: Vec<&str> = before.split('\n').collect();
        lines.splice(found.first..=found.last, [found.replacement.as_str()]);
        let run = |script: &str| {
            let folder = tempfile::tempdir().unwrap();
            for name in ["b c.in", "a.in"] {
                std::fs::write(folder.path().join(name), format!("z\n{name}\n")).unwrap();
            }
            let shell =
                std::process::Command::new("sh").args(["-c", script]).current_dir(folder.path()).status();
            assert!(shell.unwrap().success(), "{script}");
            ["b c", "a"].map(|name| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap())
        };
        assert_eq!(run(&before), run(&lines.join("\n")));
    }
}
