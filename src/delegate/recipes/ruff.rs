//! The performance fixes of ruff, the Python linter, where it is installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::edits::{Proposal, fingerprint, gone, hypothesis, read};
use super::python::sources;
use super::{DelegateError, Delegated, Project, Recipe};
use crate::delegate::process::{ToolOutput, run_tool};
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

/// Perflint, comprehensions, refurb's performance rules and set literals in membership tests.
const RULES: &str = "PERF,C4,FURB110,FURB129,FURB136,FURB148,FURB161,FURB163,FURB171,FURB187,PLR6201,PLC0208";

/// A linter that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Ruff;

impl Recipe for Ruff {
    fn id(&self) -> &'static str {
        "python-ruff-performance"
    }

    fn level(&self) -> Level {
        Level::L5
    }

    fn soundness(&self) -> Soundness {
        Soundness::NeedsOracle
    }

    fn applies(&self) -> &'static str {
        "Python files in which an installed ruff finds something that its performance rules can fix."
    }

    fn why(&self) -> &'static str {
        "Loops that build lists, needless copies and calls cost an interpreter dearly. ruff replaces them by \
         comprehensions and direct forms."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let files = sources(project);
        let Ok(Some(found)) = ruff(project, &files, &["--output-format", "json"]) else {
            return Vec::new();
        };
        let fixable = fixable(&found.stdout);
        let Some(first) = files.first().filter(|_| fixable > 0) else {
            return Vec::new();
        };
        let text: String = files.iter().filter_map(|file| read(project, file)).collect();
        let plural = if fixable == 1 { "fix" } else { "fixes" };
        vec![hypothesis(
            self,
            Proposal {
                what: fingerprint(&text),
                title: format!("Apply {fixable} performance {plural} of ruff"),
                path: first.to_string_lossy().into_owned(),
                line: None,
                expected: (1.0, 1.3),
                scores: Scores { impact: 2, ease: 5, coverage: 2, safety: 0 },
            },
        )]
    }

    fn apply(&self, _: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let files = sources(project);
        match ruff(project, &files, &["--fix", "--unsafe-fixes", "--quiet", "--exit-zero"])? {
            None => Err(gone(self, "ruff is not installed")),
            Some(ToolOutput { succeeded: true, .. }) => {
                Ok(Delegated { summary: format!("Runs ruff's fixes for {RULES}.") })
            }
            Some(output) => Err(DelegateError::Tool { tool: "ruff".to_owned(), reason: output.stderr }),
        }
    }
}

fn ruff(project: &Project, files: &[PathBuf], options: &[&str]) -> Result<Option<ToolOutput>, DelegateError> {
    if files.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    let mut arguments = vec!["check", "--isolated", "--no-cache", "--preview", "--select", RULES];
    arguments.extend(options);
    arguments.push("--");
    arguments.extend(names.iter().map(String::as_str));
    run_tool("ruff", &arguments, Path::new(&project.root), LIMIT)
}

/// Findings with a fix in ruff's JSON; none when it is no such thing.
fn fixable(json: &str) -> usize {
    let findings: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    findings.iter().filter(|finding| !finding["fix"].is_null()).count()
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::project;
    use super::*;

    #[test]
    fn only_findings_with_a_fix_count() {
        assert_eq!(fixable(r#"[{"fix": null}, {"fix": {"edits": []}}]"#), 1);
        assert_eq!(fixable("not JSON"), 0);
    }

    #[test]
    fn loops_become_comprehensions_where_ruff_is_installed() {
        let before =
            "def f(xs):\n    out = []\n    for x in xs:\n        out.append(x + 1)\n    return out\n";
        let (_folder, project) = project("python3 a.py", &[("a.py", before)]);
        let Some(hypothesis) = Ruff.propose(&project).into_iter().next() else {
            println!("skipped: ruff is not installed");
            return;
        };
        assert_eq!(hypothesis.title, "Apply 1 performance fix of ruff");
        Ruff.apply(&hypothesis, &project).unwrap();
        let after = std::fs::read_to_string(project.root.join("a.py")).unwrap();
        assert!(after.contains("[x + 1 for x in xs]"), "{after}");
        assert!(Ruff.propose(&project).is_empty());
    }
}
