//! What perfup decides on noise that a real machine made: sessions of `perfup measure`'s rule, resampled from recorded runs.
//!
//! The recording (`tests/data/noise`, written by `cargo bench --bench verdicts -- --save`) is of a small program on a shared
//! virtual machine with two CPUs while compilers ran on it. A resampled session starts anywhere in the recording and
//! takes the pairs in the order of time, so drift and autocorrelation stay; a fair coin says which run of a pair is B's.

#[path = "../../benches/verdicts/recording.rs"]
#[expect(dead_code, reason = "nothing is recorded here")]
mod recording;

use std::path::Path;

use perfup::stats::proportion::interval;
use perfup::stats::rng::Rng;

use super::rivals::rules::{Judged, Verdict, peeking, perfup as perfup_rule, welch};
use recording::{Recording, Run, load};

/// Pairs of a session: what `perfup measure` spends at most by default.
const PAIRS: usize = 60;

/// Where a rate must be told from α, and where it need not be known so well.
const SESSIONS: u64 = 1_000;
const FEW_SESSIONS: u64 = 200;

const CLAIMS: [Verdict; 2] = [Verdict::Faster, Verdict::Slower];

type Rule = fn(&[f64], &[f64]) -> Judged;

/// The value of a run, in seconds.
type Value = fn(&Run) -> f64;

fn recorded() -> Recording {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/noise");
    load(&folder).expect("the recording")
}

/// Both runs of each pair of the same program twice, in the order of time.
fn slots(recording: &Recording, value: Value) -> Vec<(f64, f64)> {
    let same = recording.iter().filter(|((percent, _), _)| *percent == 0).map(|(_, session)| session);
    let ordered = same.flat_map(|session| {
        let pairs = session.pairs.a.iter().zip(&session.pairs.b).zip(&session.a_first);
        pairs.map(|((a, b), &a_first)| if a_first { (a, b) } else { (b, a) })
    });
    ordered.map(|(first, second)| (value(first), value(second))).collect()
}

/// How many of so many resampled sessions end in one of `verdicts` when B takes `factor` times as long.
fn count(slots: &[(f64, f64)], factor: f64, verdicts: &[Verdict], sessions: u64, rule: Rule) -> u64 {
    let mut rng = Rng::new(3);
    let mut session = || {
        let from = (rng.uniform() * slots.len() as f64) as usize;
        let pairs = slots.iter().cycle().skip(from).take(PAIRS);
        let arms: (Vec<f64>, Vec<f64>) =
            pairs.map(|&(first, second)| if rng.coin() { (first, second) } else { (second, first) }).unzip();
        let slower: Vec<f64> = arms.1.iter().map(|time| time * factor).collect();
        rule(&arms.0, &slower).0
    };
    (0..sessions).filter(|_| verdicts.contains(&session())).count() as u64
}

const METRICS: [(&str, Value); 2] = [("wall", |run| run.wall_s), ("cpu", |run| run.cpu_s)];

#[test]
fn false_verdicts_stay_below_alpha() {
    let recording = recorded();
    let rules: [(f64, Rule); 2] =
        [(0.01, |a, b| perfup_rule(0.01, a, b)), (0.05, |a, b| perfup_rule(0.05, a, b))];
    for (metric, value) in METRICS {
        let slots = slots(&recording, value);
        for (alpha, rule) in rules {
            let wrong = count(&slots, 1.0, &CLAIMS, SESSIONS, rule);
            let (low, high) = interval(wrong, SESSIONS, 0.95);
            assert!(low <= alpha, "{metric}, α = {alpha}: {wrong} of {SESSIONS} [{low}, {high}]");
        }
    }
}

/// The same sessions do lead astray who looks at a t-test after every pair: the noise is no easy one.
#[test]
fn a_peeking_t_test_is_led_astray() {
    let peeks: Rule = |a, b| peeking(5..=a.len(), |runs| welch(0.05, &a[..runs], &b[..runs]));
    let slots = slots(&recorded(), |run| run.wall_s);
    let wrong = count(&slots, 1.0, &CLAIMS, FEW_SESSIONS, peeks);
    let (low, high) = interval(wrong, FEW_SESSIONS, 0.95);
    assert!(low > 0.05, "{wrong} of {FEW_SESSIONS} [{low}, {high}]");
}

/// Log ratios of wall time scatter by 34 % in this recording, those of CPU time by 2 %.
#[test]
fn what_is_there_is_found() {
    let recording = recorded();
    let rule: Rule = |a, b| perfup_rule(0.01, a, b);
    for ((metric, value), factor) in [(METRICS[0], 1.5), (METRICS[1], 1.1), (METRICS[1], 1.03)] {
        let found = count(&slots(&recording, value), factor, &[Verdict::Slower], FEW_SESSIONS, rule);
        let (low, high) = interval(found, FEW_SESSIONS, 0.95);
        assert!(low >= 0.9, "{metric} × {factor}: {found} of {FEW_SESSIONS} [{low}, {high}]");
    }
}

/// Not resampled, and not a factor on a time: the program really did so much more work.
#[test]
fn no_recorded_session_is_judged_wrongly() {
    for ((percent, number), session) in &recorded() {
        for (metric, value) in METRICS {
            let of = |runs: &[Run]| runs.iter().map(value).collect::<Vec<f64>>();
            let (verdict, pairs) = perfup_rule(0.01, &of(&session.pairs.a), &of(&session.pairs.b));
            let is_wrong = match percent {
                0 => matches!(verdict, Verdict::Faster | Verdict::Slower),
                _ => matches!(verdict, Verdict::Faster | Verdict::Same),
            };
            assert!(!is_wrong, "{metric}, +{percent} %, session {number}: {verdict:?} after {pairs} pairs");
        }
    }
}
