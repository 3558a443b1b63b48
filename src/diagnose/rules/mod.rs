//! One rule per class: what it means, which evidence there is for it, and what speaks against being sure.
//!
//! How much of the wall time each class has is divided in `parts`; a rule says why to believe it. **Invariant**: a
//! piece of evidence names the source that saw it, and only independent sources count twice.

mod computing;
mod parallel;
mod waiting;

use super::facts::Facts;
use super::{Class, Evidence};

/// All about one class.
pub(super) struct Rule {
    pub class: Class,
    pub explain: &'static str,
    evidence: fn(&Facts<'_>) -> Vec<Option<Evidence>>,
    doubts: fn(&Facts<'_>) -> Vec<Option<String>>,
}

impl Rule {
    pub fn evidence(&self, facts: &Facts<'_>) -> Vec<Evidence> {
        (self.evidence)(facts).into_iter().flatten().collect()
    }

    pub fn doubts(&self, facts: &Facts<'_>) -> Vec<String> {
        (self.doubts)(facts).into_iter().flatten().collect()
    }
}

const ALL: &[&Rule] = &[
    &computing::NATIVE,
    &computing::INTERPRETER,
    &computing::KERNEL,
    &computing::FAULTS,
    &computing::SPAWN,
    &parallel::SINGLE_THREADED,
    &parallel::GIL,
    &parallel::LOCKS,
    &waiting::DISK_READ,
    &waiting::DISK_SYNC,
    &waiting::NETWORK,
    &waiting::CHILD,
    &waiting::PIPE,
    &waiting::SLEEP,
    &waiting::GPU,
    &waiting::GPU_IDLE,
    &waiting::UNBATCHED,
    &waiting::BUSY,
    &NOTHING,
];

/// The rule of a class.
pub(super) fn of(class: Class) -> &'static Rule {
    ALL.iter().find(|rule| rule.class == class).copied().unwrap_or(&NOTHING)
}

const NOTHING: Rule = Rule {
    class: Class::NotEnoughEvidence,
    explain: "What was seen does not single out one cause.",
    evidence: |facts| {
        let looks =
            format!("{} looks in {:.2} s of running", facts.ticks(), facts.profile.tree.wall.total_s());
        vec![evidence("tree", looks), facts.accounting()]
    },
    doubts: no_doubts,
};

fn no_doubts(_facts: &Facts<'_>) -> Vec<Option<String>> {
    Vec::new()
}

fn evidence(source: &str, text: String) -> Option<Evidence> {
    Some(Evidence { source: source.to_owned(), text })
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

impl Facts<'_> {
    /// What the kernel accounted to the runs, apart from any sampling.
    fn accounting(&self) -> Option<Evidence> {
        let used = self.accounted()?;
        let runs = match self.usage.samples {
            1 => "one run".to_owned(),
            runs => format!("median of {runs} runs"),
        };
        let text = format!(
            "{:.2} CPU seconds per second of wall time, {} of them in the kernel ({runs})",
            used,
            percent(self.kernel_ratio())
        );
        evidence("accounting", text)
    }

    /// That CPU time leaves room for the waiting that was sampled.
    fn room_for(&self, waiting: f64) -> Option<Evidence> {
        let idle = self.idle_by_accounting()?;
        // Several threads computing at once hide waits from the sum.
        if self.accounted()? > 1.0 || idle + 0.1 < waiting {
            return None;
        }
        evidence(
            "accounting",
            format!("the kernel accounted no CPU time for {} of the wall time", percent(idle)),
        )
    }

    fn computes(&self) -> Option<Evidence> {
        let tree = &self.profile.tree;
        let program = self.program().map_or_else(String::new, |program| {
            let share = self.share(program.wall_s);
            if share > 0.0 {
                format!(", {} of it in {}", percent(share / self.computing().max(share)), program.name())
            } else {
                String::new()
            }
        });
        let text = format!("computing in {} of {} looks{program}", percent(self.computing()), tree.ticks);
        evidence("tree", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_one_rule_that_explains_itself() {
        let mut classes: Vec<Class> = ALL.iter().map(|rule| rule.class).collect();
        assert!(ALL.iter().all(|rule| rule.explain.ends_with('.')));
        let count = classes.len();
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(classes.len(), count);
        assert_eq!(classes, Class::ALL);
    }
}
