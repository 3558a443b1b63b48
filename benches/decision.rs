//! What deciding costs beside measuring.
//!
//! The log ratios are like recorded ones: autocorrelated noise with spikes, pairs in random order. Deciding happens
//! between samples, so the yardstick is the shortest sample that is worth pairing, 1 ms: the first lines printed say
//! which share of such a session's measuring time is spent on deciding.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use perfup::stats::decision::{Noise, Question, Status, TestPlan, decide};
use perfup::stats::effect::estimate;
use perfup::stats::lond::ELond;
use perfup::stats::rng::{Rng, coin};

const SAMPLE: Duration = Duration::from_millis(1);
const SEED: u64 = 20;
const PAIRS: usize = 60;

/// Undecided to the end, so that every look is paid for.
const PLAN: TestPlan = TestPlan {
    alpha: 1e-9,
    pairs_min: 0,
    pairs_max: 10_000,
    min_effect: 0.02,
    noise: Noise::Unknown,
    question: Question::Faster,
};

/// ln B/A of pairs on a loaded machine: lag-1 autocorrelation 0.74, one run in twenty 50 % late.
fn recorded_like(pairs: usize, effect: f64, seed: u64) -> Vec<f64> {
    let mut rng = Rng::new(seed);
    let mut load = 0.0;
    let mut run = || {
        load = 0.74 * load + 0.07 * rng.normal();
        load + if rng.uniform() < 0.05 { 0.4 } else { 0.0 }
    };
    (0..pairs as u64)
        .map(|pair| {
            let (first, second) = (run(), run());
            effect + if coin(seed, pair) { second - first } else { first - second }
        })
        .collect()
}

/// A session's looks: after every pair from the first to the last.
fn look_after_every_pair(log_ratios: &[f64], plan: &TestPlan) -> usize {
    (1..=log_ratios.len()).filter(|&pairs| decide(&log_ratios[..pairs], plan) == Status::Continue).count()
}

/// Twenty candidates without effect, as e-LOND tests them; returns the pairs spent.
fn loop_of_no_ops(log_ratios: &[f64]) -> usize {
    let lond = ELond::new(0.05, 20);
    (1..=20)
        .map(|attempt| {
            let plan = TestPlan { alpha: lond.level(attempt, 0), pairs_max: PAIRS, ..PLAN };
            let own = &log_ratios[(attempt - 1) * PAIRS..attempt * PAIRS];
            (1..=PAIRS).find(|&pairs| decide(&own[..pairs], &plan) != Status::Continue).unwrap_or(PAIRS)
        })
        .sum()
}

fn mean_time(repeats: u32, mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..repeats).for_each(|_| call());
    start.elapsed() / repeats
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn print_share(what: &str, deciding: Duration, pairs: usize) {
    let measuring = SAMPLE * 2 * pairs as u32;
    let share = deciding.as_secs_f64() / measuring.as_secs_f64();
    println!(
        "{what}: {deciding:.1?} for {pairs} pairs = {:.4} % of measuring them at 1 ms a sample",
        share * 100.0
    );
}

fn print_shares() {
    let session = recorded_like(PAIRS, -0.01, SEED);
    for noise in [Noise::Unknown, Noise::Known(0.1)] {
        let plan = TestPlan { noise, ..PLAN };
        assert_eq!(look_after_every_pair(&session, &plan), PAIRS, "the session stays undecided");
        let deciding = mean_time(2_000, || {
            black_box(look_after_every_pair(black_box(&session), &plan));
        });
        print_share(&format!("look after each of {PAIRS} pairs, {noise:?}"), deciding, PAIRS);
    }
    let candidates = recorded_like(20 * PAIRS, 0.0, SEED);
    let pairs = loop_of_no_ops(&candidates);
    let deciding = mean_time(200, || {
        black_box(loop_of_no_ops(black_box(&candidates)));
    });
    print_share("e-LOND loop of 20 no-ops", deciding, pairs);
}

fn benches(criterion: &mut Criterion) {
    print_shares();
    let session = recorded_like(PAIRS, -0.01, SEED);
    let long = recorded_like(500, -0.01, SEED);
    let candidates = recorded_like(20 * PAIRS, 0.0, SEED);
    for noise in [Noise::Unknown, Noise::Known(0.1)] {
        let plan = TestPlan { noise, ..PLAN };
        criterion.bench_function(&format!("look_after_each_of_60_pairs/{noise:?}"), |bencher| {
            bencher.iter(|| look_after_every_pair(black_box(&session), &plan));
        });
        criterion.bench_function(&format!("estimate_500_pairs/{noise:?}"), |bencher| {
            bencher.iter(|| estimate(black_box(&long), 0.05, Question::Faster, noise));
        });
    }
    criterion.bench_function("e_lond_loop_of_20_no_ops", |bencher| {
        bencher.iter(|| loop_of_no_ops(black_box(&candidates)));
    });
}

criterion_group!(decision, benches);
criterion::criterion_main!(decision);
