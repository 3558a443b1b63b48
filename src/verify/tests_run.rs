//! What a project's test command ran: ids and counts from the output of common runners, else the exit code alone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// One run of the test command that exited with 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRun {
    /// Absent when the runner is not known.
    pub counts: Option<Counts>,
    /// Names of the tests that passed, as far as they are printed.
    pub passed: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub run: u64,
    pub skipped: u64,
}

/// How a candidate's tests fall short of the original's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TestMismatch {
    #[error("{missing} of the original's tests no longer run, for example {example}")]
    Missing { missing: usize, example: String },
    #[error("{got} tests ran where the original runs {expected}")]
    Fewer { expected: u64, got: u64 },
    #[error("{got} tests are skipped where the original skips {expected}")]
    MoreSkipped { expected: u64, got: u64 },
}

impl TestRun {
    /// Reads what a test command printed: cargo test, nextest, pytest, unittest, go test.
    #[must_use]
    pub fn parse(output: &str) -> Self {
        let mut run = Self::default();
        for line in output.lines() {
            if let Some(id) = passed_id(line) {
                run.passed.insert(id);
            }
            if let Some(counts) = counts(line) {
                // Several test binaries, or packages, print a line each.
                let sum = run.counts.get_or_insert_default();
                sum.run += counts.run;
                sum.skipped += counts.skipped;
            }
        }
        run
    }

    /// Whether a candidate's run covers this one, the original's.
    ///
    /// # Errors
    /// [`TestMismatch`].
    pub fn covered_by(&self, candidate: &Self) -> Result<(), TestMismatch> {
        let mut missing = self.passed.difference(&candidate.passed);
        if let Some(example) = missing.next() {
            return Err(TestMismatch::Missing { missing: missing.count() + 1, example: example.clone() });
        }
        let (Some(expected), Some(got)) = (self.counts, candidate.counts) else {
            // A runner that no longer says anything ran nothing that we know of.
            let expected = self.counts.map_or(0, |counts| counts.run);
            return if expected == 0 { Ok(()) } else { Err(TestMismatch::Fewer { expected, got: 0 }) };
        };
        if got.run < expected.run {
            return Err(TestMismatch::Fewer { expected: expected.run, got: got.run });
        }
        if got.skipped > expected.skipped {
            return Err(TestMismatch::MoreSkipped { expected: expected.skipped, got: got.skipped });
        }
        Ok(())
    }
}

/// The name of a passed test, if the line tells one.
fn passed_id(line: &str) -> Option<String> {
    let id = if let Some(rest) = line.strip_prefix("test ") {
        rest.strip_suffix(" ... ok")?
    } else if let Some(rest) = line.trim_start().strip_prefix("--- PASS: ") {
        rest.split_whitespace().next()?
    } else if let Some(rest) = line.trim_start().strip_prefix("PASS [") {
        rest.split_once("] ")?.1
    } else if let Some((id, result)) = line.split_once(" PASSED") {
        (result.is_empty() || result.trim_start().starts_with('[')).then_some(id)?
    } else {
        line.strip_suffix(" ... ok").filter(|id| id.contains('('))?
    };
    Some(id.trim().to_owned())
}

fn counts(line: &str) -> Option<Counts> {
    let before = |text: &str, word: &str| -> u64 {
        let words: Vec<&str> = text.split_whitespace().collect();
        words
            .windows(2)
            .filter(|two| two[1].trim_matches([',', ';', '.']).trim_end_matches(':') == word)
            .find_map(|two| two[0].trim_matches('(').parse().ok())
            .unwrap_or(0)
    };
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("test result: ") {
        return Some(Counts { run: before(rest, "passed"), skipped: before(rest, "ignored") });
    }
    if let Some(rest) = line.strip_prefix("Summary [") {
        return Some(Counts { run: before(rest, "passed"), skipped: before(rest, "skipped") });
    }
    if let Some(rest) = line.strip_prefix("Ran ") {
        let run = rest.split_whitespace().next()?.parse().ok()?;
        return rest.contains("test").then_some(Counts { run, skipped: 0 });
    }
    if let Some(rest) = line.strip_prefix("OK (skipped=") {
        return Some(Counts { run: 0, skipped: rest.trim_end_matches(')').parse().ok()? });
    }
    let pytest = line.trim_matches(['=', ' ']);
    if pytest.contains(" passed") && pytest.contains(" in ") {
        return Some(Counts { run: before(pytest, "passed"), skipped: before(pytest, "skipped") });
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(output: &str, run: u64, skipped: u64, ids: &[&str]) {
        let parsed = TestRun::parse(output);
        assert_eq!(parsed.counts, Some(Counts { run, skipped }), "{output}");
        assert_eq!(parsed.passed.iter().map(String::as_str).collect::<Vec<_>>(), ids, "{output}");
    }

    #[test]
    fn common_runners_are_understood() {
        check(
            "test a::b ... ok\ntest c ... ignored\ntest result: ok. 1 passed; 0 failed; 1 ignored; 0 measured\n",
            1,
            1,
            &["a::b"],
        );
        check(
            "test result: ok. 2 passed; 0 failed; 0 ignored\ntest result: ok. 3 passed; 0 failed\n",
            5,
            0,
            &[],
        );
        check(
            "  PASS [   0.01s] crate a::b\n  Summary [   0.1s] 1 test run: 1 passed, 2 skipped\n",
            1,
            2,
            &["crate a::b"],
        );
        check(
            "t.py::test_a PASSED  [ 50%]\n==== 1 passed, 2 skipped in 0.1s ====\n",
            1,
            2,
            &["t.py::test_a"],
        );
        check("3 passed in 0.02s\n", 3, 0, &[]);
        check(
            "test_a (t.T.test_a) ... ok\n\nRan 4 tests in 0.001s\n\nOK (skipped=1)\n",
            4,
            1,
            &["test_a (t.T.test_a)"],
        );
        assert_eq!(TestRun::parse("all good\n"), TestRun::default());
    }

    #[test]
    fn a_candidate_must_run_what_the_original_ran() {
        let base = TestRun::parse("test a ... ok\ntest b ... ok\ntest result: ok. 2 passed; 0 ignored\n");
        assert_eq!(base.covered_by(&base), Ok(()));
        let fewer = TestRun::parse("test a ... ok\ntest result: ok. 1 passed; 0 ignored\n");
        let missing = TestMismatch::Missing { missing: 1, example: "b".to_owned() };
        assert_eq!(base.covered_by(&fewer), Err(missing));
        let counts =
            |run, skipped| TestRun { counts: Some(Counts { run, skipped }), passed: BTreeSet::new() };
        assert_eq!(counts(5, 0).covered_by(&counts(6, 0)), Ok(()));
        assert_eq!(counts(5, 0).covered_by(&counts(4, 0)), Err(TestMismatch::Fewer { expected: 5, got: 4 }));
        assert!(counts(5, 0).covered_by(&counts(5, 1)).is_err());
        assert!(counts(5, 0).covered_by(&TestRun::default()).is_err());
        assert_eq!(TestRun::default().covered_by(&TestRun::default()), Ok(()));
    }

    proptest! {
        #[test]
        fn no_output_makes_it_panic(output in "\\PC{0,80}") {
            let run = TestRun::parse(&output);
            prop_assert_eq!(run.covered_by(&run), Ok(()));
        }
    }
}
