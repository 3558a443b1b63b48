use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::sys::stream::hexadecimal;
use crate::sys::wire::RunRecord;

/// Samples and the store that their outputs are in.
#[derive(Default)]
pub(super) struct Lab {
    store: RefCell<HashMap<String, Vec<u8>>>,
}

impl Lab {
    pub fn captured(&self, content: &[u8]) -> Captured {
        let sha256 = hexadecimal(&Sha256::digest(content));
        self.store.borrow_mut().insert(sha256.clone(), content.to_vec());
        Captured { bytes: content.len() as u64, sha256 }
    }

    pub fn sample(&self, stdout: &[u8]) -> Sample {
        let run = RunRecord { stdout: self.captured(stdout), stderr: self.captured(b""), ..RunRecord::of(1) };
        Sample { run, files: Vec::new(), custom: std::collections::BTreeMap::new() }
    }

    pub fn learn(&self, rule: OutputRule, runs: &[&str]) -> Result<Expectation, LearnError> {
        let samples: Vec<Sample> = runs.iter().map(|run| self.sample(run.as_bytes())).collect();
        Expectation::learn(rule, &[], &samples, &|sha256| self.load(sha256))
    }

    pub fn load(&self, sha256: &str) -> io::Result<Vec<u8>> {
        self.store.borrow().get(sha256).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn check(&self, expectation: &Expectation, sample: &Sample) -> Result<(), Mismatch> {
        expectation.check(sample, &|sha256| self.load(sha256))
    }
}

/// Learns from `base`; says what is wrong with `candidate`, if anything.
fn judge(base: &[&str], candidate: &str) -> Option<String> {
    let lab = Lab::default();
    let expectation = lab.learn(OutputRule::Learned, base).expect("learnable");
    lab.check(&expectation, &lab.sample(candidate.as_bytes())).err().map(|mismatch| mismatch.to_string())
}

fn accepts(base: &[&str], candidate: &str) {
    assert_eq!(judge(base, candidate), None, "{base:?} should accept {candidate:?}");
}

fn rejects(base: &[&str], candidate: &str, because: &str) {
    let said = judge(base, candidate);
    assert!(
        said.as_ref().is_some_and(|said| said.contains(because)),
        "{base:?} against {candidate:?}: {said:?} should say {because:?}"
    );
}

#[test]
fn what_never_varied_stays_identical_to_the_byte() {
    let base = ["total 3\nnan\n"; 3];
    accepts(&base, "total 3\nnan\n");
    rejects(&base, "total 4\nnan\n", "line 1: \"total 4\" instead of \"total 3\"");
    rejects(&base, "total 3\nnan", "it ends before line 3");
    rejects(&base, "total 3\r\nnan\n", "line 1");
    rejects(&base, "total 3.0\nnan\n", "line 1");
    rejects(&base, "total 3\n-0\n", "line 2");
    rejects(&base, "total 3\nnan\nmore\n", "line 3: \"more\" instead of \"\"");
    rejects(&base, "", "line 1");
}

#[test]
fn numbers_that_varied_stay_within_their_spread() {
    let base = ["x=1.00 n=5\n", "x=1.10 n=5\n", "x=1.05 n=5\n"];
    accepts(&base, "x=1.08 n=5\n");
    accepts(&base, "x=1.15 n=5\n");
    rejects(&base, "x=1.5 n=5\n", "outside what the original's own runs allow");
    rejects(&base, "x=-1.05 n=5\n", "outside");
    rejects(&base, "x=1e309 n=5\n", "instead of a number");
    rejects(&base, "x=nan n=5\n", "shape");
    rejects(&base, "x=1.05 n=6\n", "\"6\" instead of \"5\"");
    rejects(&["n=4\n", "n=6\n"], "n=5.5\n", "no longer a whole number");
}

#[test]
fn a_faster_program_may_print_a_smaller_time() {
    accepts(&["done in 1.20 s\n", "done in 1.25 s\n"], "done in 0.10 s\n");
    accepts(&["elapsed: 120\n", "elapsed: 125\n"], "elapsed: 3\n");
    accepts(&["1200 items/s\n", "1210 items/s\n"], "9000 items/s\n");
    rejects(&["score 120\n", "score 125\n"], "score 3\n", "outside");
    // A count next to a time that varies is no time when it never varied.
    rejects(&["5 rows in 1.2 s\n", "5 rows in 1.3 s\n"], "4 rows in 0.1 s\n", "\"4\" instead of \"5\"");
}

#[test]
fn dates_addresses_and_temporary_paths_are_masked_by_kind() {
    let base = [
        "at 2026-01-01 10:00:00 in /tmp/a1: 0x55d0c3a1\n",
        "at 2026-01-01 10:00:01 in /tmp/b2: 0x55d0ffff\n",
    ];
    accepts(&base, "at 2027-05-05 11:11:11 in /tmp/zz: 0x7fff0000\n");
    rejects(&base, "at noon in /tmp/zz: 0x7fff0000\n", "shape");
}

#[test]
fn lines_that_only_change_places_may_do_so() {
    let base = ["a\nb\nc\n", "b\na\nc\n"];
    accepts(&base, "c\nb\na\n");
    rejects(&base, "c\nb\nb\n", "among its lines");
    rejects(&base, "c\nb\n", "lines instead of");
}

#[test]
fn what_no_rule_covers_cannot_be_learned() {
    let check = |rule, runs: &[&str], because: &str| {
        let error = Lab::default().learn(rule, runs).expect_err("not learnable").to_string();
        assert!(error.contains(because), "{error}");
    };
    check(OutputRule::Exact, &["1\n", "2\n"], "line 1: \"2\" instead of \"1\"");
    check(OutputRule::Learned, &["red\n", "blue\n"], "\"red\" in one run, \"blue\" in another");
    check(OutputRule::Learned, &["a\n", "a\nb\n"], "2 lines in one run, 3 in another");
}

#[test]
fn ends_and_leftovers_count_too() {
    let lab = Lab::default();
    let expectation = lab.learn(OutputRule::Learned, &["x"; 2]).unwrap();
    let fine = lab.sample(b"x");
    let with = |change: &dyn Fn(&mut RunRecord)| {
        let mut sample = fine.clone();
        change(&mut sample.run);
        lab.check(&expectation, &sample).unwrap_err().to_string()
    };
    assert_eq!(with(&|run| run.end = RunEnd::Exited(1)), "exit code 1 instead of exit code 0");
    assert!(with(&|run| run.end = RunEnd::Signaled(11)).contains("signal 11"));
    assert!(with(&|run| run.survivors = 2).contains("2 processes outlived"));
    assert!(with(&|run| run.stderr = lab.captured(b"warning")).contains("standard error"));
    let mut fails = fine.clone();
    fails.run.end = RunEnd::Exited(2);
    let error =
        Expectation::learn(OutputRule::Learned, &[], &[fails], &|sha256| lab.load(sha256)).unwrap_err();
    assert_eq!(error.to_string(), "it fails (exit code 2)");
}

#[test]
fn declared_files_are_checked_like_output() {
    let lab = Lab::default();
    let with = |content: Option<&str>| {
        let mut sample = lab.sample(b"");
        sample.files = vec![content.map(|content| lab.captured(content.as_bytes()))];
        sample
    };
    let load = |sha256: &str| lab.load(sha256);
    let names = [PathBuf::from("out/a.txt")];
    let base = [with(Some("a")), with(Some("a"))];
    let expectation = Expectation::learn(OutputRule::Learned, &names, &base, &load).unwrap();
    assert_eq!(expectation.check(&with(Some("a")), &load), Ok(()));
    let said = |sample| expectation.check(&sample, &load).unwrap_err().to_string();
    assert_eq!(said(with(Some("b"))), "declared file out/a.txt differs: line 1: \"b\" instead of \"a\"");
    assert_eq!(said(with(None)), "the declared file out/a.txt is missing");
    let varies = [with(Some("a")), with(None)];
    let error = Expectation::learn(OutputRule::Learned, &names, &varies, &load).unwrap_err();
    assert_eq!(error.to_string(), "it does not always write the declared file out/a.txt");
}

#[test]
fn expectations_survive_storage() {
    let lab = Lab::default();
    let expectation = lab.learn(OutputRule::Learned, &["x=1.00 a\n", "x=1.10 a\n"]).unwrap();
    let json = serde_json::to_string(&expectation).unwrap();
    assert_eq!(serde_json::from_str::<Expectation>(&json).unwrap(), expectation);
}

proptest! {
    /// Whatever was learned from is accepted, and the comparator never panics.
    #[test]
    fn every_run_learned_from_is_accepted(runs in prop::collection::vec("(x=[0-9]{1,3}(\\.[0-9])? [ab]\n){1,3}", 2..5), other in "\\PC{0,40}") {
        let lab = Lab::default();
        let samples: Vec<Sample> = runs.iter().map(|run| lab.sample(run.as_bytes())).collect();
        if let Ok(expectation) = Expectation::learn(OutputRule::Learned, &[], &samples, &|sha256| lab.load(sha256)) {
            for sample in &samples {
                prop_assert_eq!(lab.check(&expectation, sample), Ok(()));
            }
            let _ = lab.check(&expectation, &lab.sample(other.as_bytes()));
        }
    }
}
