//! C and C++ programs whose Makefile asks for less optimisation than the compiler has.

use super::edits::{Proposal, gone, hypothesis, must_read, read, write};
use super::makefile::{Optimised, line_of_flags, makefile, optimised, raised, sources, with_flag};
use super::{DelegateError, Delegated, Project, Recipe};
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Scores, Soundness};

pub(super) struct CFlags;

/// One change of the flags.
struct Step {
    flag: &'static str,
    title: &'static str,
    /// Factors for the whole program.
    expected: (f64, f64),
    impact: u8,
}

const STANDARD: Step = Step { flag: "-O2", title: "Compile with -O2", expected: (1.3, 5.0), impact: 5 };
const MOST: Step = Step { flag: "-O3", title: "Compile with -O3", expected: (1.0, 1.3), impact: 2 };
const ACROSS_FILES: Step =
    Step { flag: "-flto", title: "Optimise across files with -flto", expected: (1.0, 1.3), impact: 2 };

/// The flags that can be tried next: one level after the other, since each is measured against the one before.
fn steps(text: &str, files: usize) -> Vec<(&'static Step, String)> {
    let level = match optimised(text) {
        Optimised::Not => Some(&STANDARD),
        Optimised::Standard => Some(&MOST),
        Optimised::Most => None,
    };
    let across = (optimised(text) != Optimised::Not && files > 1).then_some(&ACROSS_FILES);
    level.into_iter().chain(across).filter_map(|step| Some((step, changed(text, step)?))).collect()
}

fn changed(text: &str, step: &Step) -> Option<String> {
    if step.flag.starts_with("-O") { raised(text, step.flag) } else { with_flag(text, step.flag) }
}

impl Recipe for CFlags {
    fn id(&self) -> &'static str {
        "c-missing-optimisation"
    }

    fn level(&self) -> Level {
        Level::L5
    }

    fn soundness(&self) -> Soundness {
        Soundness::NeedsOracle
    }

    fn applies(&self) -> &'static str {
        "A Makefile that compiles C or C++ without optimisation, or not with the highest level, or file by file."
    }

    fn why(&self) -> &'static str {
        "Without -O a C compiler keeps every variable in memory and inlines nothing, and without -flto nothing from \
         another file. Programs with undefined behaviour may change; the output decides."
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        let Some(path) = makefile(project) else {
            return Vec::new();
        };
        let Some(text) = read(project, &path) else {
            return Vec::new();
        };
        let files = sources(project, &path).count();
        let path = path.to_string_lossy().into_owned();
        let steps = steps(&text, files).into_iter();
        steps
            .map(|(step, _)| {
                hypothesis(
                    self,
                    Proposal {
                        what: format!("{path}:{}", step.flag),
                        title: format!("{} ({path})", step.title),
                        line: line_of_flags(&text),
                        path: path.clone(),
                        expected: step.expected,
                        scores: Scores { impact: step.impact, ease: 5, coverage: 5, safety: 0 },
                    },
                )
            })
            .collect()
    }

    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let path = &hypothesis.sites[0].path;
        let flag = hypothesis.key.rsplit(':').next().unwrap_or_default();
        let text = must_read(self, project, path)?;
        let mut steps = [STANDARD, MOST, ACROSS_FILES].into_iter();
        let changed = steps.find(|step| step.flag == flag).and_then(|step| changed(&text, &step));
        let changed = changed.ok_or_else(|| gone(self, "no compiler flags are left to change"))?;
        write(project, path, &changed)?;
        Ok(Delegated { summary: format!("Adds {flag} to the compiler's flags in {path}.") })
    }
}

#[cfg(test)]
mod tests {
    use super::super::edits::testing::project;
    use super::*;
    use crate::config::CommandLine;

    #[test]
    fn steps_follow_each_other_and_end() {
        let files = [("Makefile", "CFLAGS = -g\n"), ("a.c", ""), ("b.c", ""), ("other/Makefile", "")];
        let (_folder, mut project) = project("./a", &files);
        assert!(CFlags.propose(&project).is_empty(), "nothing says that make builds it");
        project.build = CommandLine::parse("make").ok();
        for (flags, title) in [
            (vec!["-O2"], "Compile with -O2 (Makefile)"),
            (vec!["-O3", "-flto"], "Compile with -O3 (Makefile)"),
            (vec!["-flto"], "Optimise across files with -flto (Makefile)"),
        ] {
            let proposed = CFlags.propose(&project);
            let keys: Vec<&str> = proposed.iter().map(|it| it.key.rsplit(':').next().unwrap()).collect();
            assert_eq!(keys, flags);
            assert_eq!((proposed[0].title.as_str(), proposed[0].sites[0].line), (title, Some(1)));
            CFlags.apply(&proposed[0], &project).unwrap();
            assert!(CFlags.apply(&proposed[0], &project).is_err(), "{title} applies twice");
        }
        assert!(CFlags.propose(&project).is_empty());
        let text = std::fs::read_to_string(project.root.join("Makefile")).unwrap();
        assert_eq!(text, "CFLAGS = -g -O3 -flto\n");
    }

    #[test]
    fn one_file_has_nothing_to_optimise_across() {
        let (_folder, mut project) = project("./a", &[("Makefile", "CFLAGS = -O3\n"), ("a.c", "")]);
        project.build = CommandLine::parse("make").ok();
        assert!(CFlags.propose(&project).is_empty());
    }
}
