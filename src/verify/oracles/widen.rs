//! An original that varies more than its first runs showed: when, and how far, that may be learned.
//!
//! **Invariant**: only what the original does by itself counts. A candidate shares the machine with the original, and
//! could make it misbehave in the very run that stands beside its own; so that run proves nothing, and more runs of the
//! original alone must show the same. And they must show the old behaviour too, before that: what has changed for
//! good is no variation but a change of something outside, which may be the candidate's work, and what only the first of
//! them show may be what the candidate has left behind.

use super::learned::Pattern;
use super::{Expectation, LearnError, Load, Mismatch, Stream};
use crate::config::OutputRule;
use crate::measure::Sample;

/// Runs of the original.
#[derive(Debug, Clone, Copy)]
pub struct Relearned<'a> {
    /// Those that earlier learning has used.
    pub known: &'a [Sample],
    /// Those made since then, by the original alone, in the order in which they were run.
    pub fresh: &'a [Sample],
}

/// Why an expectation stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum NotWidened {
    #[error("and that may never vary")]
    Fixed,
    #[error("and {runs} more runs of the original alone did not show it")]
    NotSeen { runs: usize },
    #[error("and none of {runs} more runs of the original alone did what it did before")]
    Gone { runs: usize },
    #[error("and when run again, {0}")]
    Unlearnable(#[from] LearnError),
}

impl NotWidened {
    /// Whether more runs of the original may change that.
    #[must_use]
    pub fn may_change(&self) -> bool {
        matches!(self, Self::NotSeen { .. } | Self::Gone { .. })
    }
}

impl Expectation {
    /// Whether a mismatch of the original's may be learned at all: how it ends, what it leaves running and which files
    /// it writes may not, and nothing may where the output is to be `exact`.
    #[must_use]
    pub fn may_widen(rule: OutputRule, mismatch: &Mismatch) -> bool {
        rule == OutputRule::Learned && matches!(mismatch, Mismatch::Content { .. } | Mismatch::Stderr { .. })
    }

    /// Learns again, after a run, `strange`, that should have done what the original does and did not. What was
    /// accepted before stays accepted.
    ///
    /// # Errors
    /// [`NotWidened`] when the original's own runs do not speak for it.
    pub fn widened(
        &self,
        rule: OutputRule,
        runs: Relearned<'_>,
        strange: &Sample,
        load: Load<'_>,
    ) -> Result<Self, NotWidened> {
        let Err(mismatch) = self.check(strange, load) else {
            return Ok(self.clone());
        };
        if !Self::may_widen(rule, &mismatch) {
            return Err(NotWidened::Fixed);
        }
        let fresh = runs.fresh.len();
        // Dates, addresses and temporary paths never come back.
        let old = self.forgetting_volatile(load);
        let Some(first) = runs.fresh.iter().position(|run| old.check(run, load).is_ok()) else {
            return Err(NotWidened::Gone { runs: fresh });
        };
        let all: Vec<Sample> = runs.known.iter().chain(&runs.fresh[first..]).cloned().collect();
        let learned = Self::learn(rule, &self.names, &all, load)?;
        if learned.check(strange, load).is_err() {
            return Err(NotWidened::NotSeen { runs: fresh });
        }
        Ok(Self { earlier: Some(Box::new(self.clone())), ..learned })
    }

    /// The same, with any date for a date, any address for an address, and so on.
    fn forgetting_volatile(&self, load: Load<'_>) -> Self {
        let forget = |stream: &Stream| stream.forgetting_volatile(load);
        Self {
            stdout: forget(&self.stdout),
            files: self.files.iter().map(|file| file.as_ref().map(forget)).collect(),
            earlier: self.earlier.as_ref().map(|earlier| Box::new(earlier.forgetting_volatile(load))),
            ..self.clone()
        }
    }
}

impl Stream {
    fn forgetting_volatile(&self, load: Load<'_>) -> Self {
        match self {
            Self::Varies { seen, pattern } => {
                Self::Varies { seen: seen.clone(), pattern: pattern.forgetting_volatile() }
            }
            Self::Same(captured) => {
                let pattern = load(&captured.sha256).ok().and_then(|content| Pattern::of(&content));
                pattern.map_or_else(
                    || self.clone(),
                    |pattern| Self::Varies {
                        seen: vec![captured.sha256.clone()],
                        pattern: pattern.forgetting_volatile(),
                    },
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Lab;
    use super::*;

    /// What becomes of an original that first printed `known`, then `strange`, then by itself `fresh`; with that, whether
    /// `candidate` would be accepted.
    fn widened(known: &[&str], strange: &str, fresh: &[&str], candidate: &str) -> Result<bool, String> {
        let lab = Lab::default();
        let samples =
            |runs: &[&str]| -> Vec<Sample> { runs.iter().map(|run| lab.sample(run.as_bytes())).collect() };
        let rule = OutputRule::Learned;
        let expectation = lab.learn(rule, known).unwrap();
        let load = |sha256: &str| lab.load(sha256);
        let (known, fresh) = (samples(known), samples(fresh));
        let runs = Relearned { known: &known, fresh: &fresh };
        let wide = expectation.widened(rule, runs, &lab.sample(strange.as_bytes()), &load);
        let wide = wide.map_err(|error| error.to_string())?;
        for run in known.iter().chain(&fresh) {
            assert_eq!(wide.check(run, &load), Ok(()), "the original's own runs are accepted");
        }
        let json = serde_json::to_string(&wide).unwrap();
        assert_eq!(serde_json::from_str::<Expectation>(&json).unwrap(), wide);
        Ok(wide.check(&lab.sample(candidate.as_bytes()), &load).is_ok())
    }

    fn refused(known: &[&str], strange: &str, fresh: &[&str], because: &str) {
        let said = widened(known, strange, fresh, "").unwrap_err();
        assert!(said.contains(because), "{said}");
    }

    #[test]
    fn what_the_original_does_by_itself_is_learned() {
        let known = ["a=1 n=5\n"; 16];
        let fresh = ["a=1 n=5\n", "a=2 n=5\n", "a=1 n=5\n"];
        assert_eq!(widened(&known, "a=2 n=5\n", &fresh, "a=2 n=5\n"), Ok(true));
        assert_eq!(widened(&known, "a=2 n=5\n", &fresh, "a=2 n=6\n"), Ok(false), "the rest stays identical");
        assert_eq!(widened(&known, "a=2 n=5\n", &fresh, "a=99 n=5\n"), Ok(false));
        // A line that comes and goes has no rule.
        refused(&known, "a=1 n=5\nmore\n", &["a=1 n=5\n", "a=1 n=5\nmore\n"], "lines in one run");
    }

    #[test]
    fn a_single_strange_run_beside_a_candidate_proves_nothing() {
        let known = ["total 1\n"; 4];
        refused(&known, "total 2\n", &known, "did not show it");
        // Neither does what only a candidate printed: nothing but the original's runs is ever learned from.
        refused(&known, "total 2\n", &["total 1\n", "total 1\n", "total 1\n"], "did not show it");
    }

    #[test]
    fn what_a_candidate_may_have_left_behind_proves_nothing() {
        let known = ["total 1\n"; 4];
        refused(
            &known,
            "total 2\n",
            &["total 2\n", "total 2\n", "total 1\n", "total 1\n"],
            "did not show it",
        );
        let fresh = ["total 2\n", "total 1\n", "total 2\n"];
        assert_eq!(widened(&known, "total 2\n", &fresh, "total 2\n"), Ok(true));
    }

    #[test]
    fn what_changed_for_good_is_no_variation() {
        let known = ["total 1\n"; 4];
        refused(&known, "total 2\n", &["total 2\n"; 8], "what it did before");
        // A counter that goes up with every run.
        refused(&known, "total 2\n", &["total 3\n", "total 4\n", "total 5\n"], "what it did before");
    }

    #[test]
    fn a_new_day_is_no_change() {
        let known = ["on 2026-01-01 x=1\n"; 4];
        let fresh = ["on 2026-01-02 x=1\n"; 4];
        assert_eq!(widened(&known, fresh[0], &fresh, "on 2026-01-03 x=1\n"), Ok(true));
        assert_eq!(widened(&known, fresh[0], &fresh, "on 2026-01-03 x=2\n"), Ok(false));
        refused(&known, "on 2026-01-02 x=2\n", &["on 2026-01-02 x=2\n"; 4], "what it did before");
    }

    #[test]
    fn ranges_grow_and_never_shrink() {
        let known = ["x=1\n", "x=9\n"];
        let fresh = ["x=5\n", "x=40\n", "x=5\n", "x=5\n", "x=5\n", "x=5\n", "x=5\n", "x=5\n"];
        assert_eq!(widened(&known, "x=40\n", &fresh, "x=45\n"), Ok(true));
        assert_eq!(widened(&known, "x=40\n", &fresh, "x=33\n"), Ok(true), "was accepted before");
        assert_eq!(widened(&known, "x=40\n", &fresh, "x=4000\n"), Ok(false));
    }

    #[test]
    fn ends_leftovers_and_files_are_never_learned() {
        let lab = Lab::default();
        let load = |sha256: &str| lab.load(sha256);
        let known = vec![lab.sample(b"x"); 2];
        let expectation = lab.learn(OutputRule::Learned, &["x"; 2]).unwrap();
        let runs = Relearned { known: &known, fresh: &known };
        let mut strange = lab.sample(b"x");
        strange.run.end = crate::sys::wire::RunEnd::Exited(1);
        let error = expectation.widened(OutputRule::Learned, runs, &strange, &load).unwrap_err();
        assert!(matches!(error, NotWidened::Fixed), "{error}");
        let strange = lab.sample(b"y");
        let fresh = vec![lab.sample(b"x"), strange.clone()];
        let runs = Relearned { known: &known, fresh: &fresh };
        let error = expectation.widened(OutputRule::Exact, runs, &strange, &load).unwrap_err();
        assert!(matches!(error, NotWidened::Fixed), "{error}");
    }
}
