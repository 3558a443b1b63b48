//! What deciding costs beside measuring.
//!
//! The log ratios are like recorded ones: autocorrelated noise with spikes, pairs in random order. Deciding happens
//! between samples, so the yardstick is the shortest sample that is worth pairing, 1 ms: the first lines printed say
//! which share of such a session's measuring time is spent on deciding.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use perfup::stats::decision::{Noise, Question, Status, TestPlan, Word, control_noise};
use perfup::stats::effect::estimate;
use perfup::stats::lond::ELond;
use perfup::stats::racing::Race;
use perfup::stats::rng::{Rng, coin};
use perfup::stats::sequential::Test;

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
    let mut test = Test::new(*plan);
    let undecided = |&&log_ratio: &&f64| {
        test.push(log_ratio);
        test.status() == Status::Continue
    };
    log_ratios.iter().filter(undecided).count()
}

/// Twenty candidates without effect, as e-LOND tests them; returns the pairs spent.
fn loop_of_no_ops(log_ratios: &[f64]) -> usize {
    let lond = ELond::new(0.05, 20);
    (1..=20)
        .map(|attempt| {
            let plan = TestPlan { alpha: lond.level(attempt, 0), pairs_max: PAIRS, ..PLAN };
            let own = &log_ratios[(attempt - 1) * PAIRS..attempt * PAIRS];
            let mut test = Test::new(plan);
            let decided = |&log_ratio: &f64| {
                test.push(log_ratio);
                test.status() != Status::Continue
            };
            own.iter().position(decided).map_or(PAIRS, |index| index + 1)
        })
        .sum()
}

fn mean_time(repeats: u32, mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..repeats).for_each(|_| call());
    start.elapsed() / repeats
}

fn print_share(what: &str, deciding: Duration, pairs: usize) {
    let measuring = SAMPLE * 2 * pairs as u32;
    let share = deciding.as_secs_f64() / measuring.as_secs_f64();
    print_line(&format!(
        "{what}: {deciding:.1?} for {pairs} pairs = {:.4} % of measuring them at 1 ms a sample",
        share * 100.0
    ));
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

/// A million looks, undecided to the end: without an effect, and with one that is evident but short of the margin.
fn print_million() {
    const PAIRS: usize = 1_000_000;
    for (what, effect, min_effect) in
        [("no effect", 0.0, 0.0001), ("an effect below the margin", -0.018, 0.02)]
    {
        let log_ratios = recorded_like(PAIRS, effect, SEED);
        for noise in [Noise::Unknown, Noise::Known(0.1), Noise::Learned] {
            let question = Question::Different;
            let plan = TestPlan { noise, question, min_effect, pairs_max: usize::MAX, alpha: 1e-300, ..PLAN };
            let start = Instant::now();
            let mut test = Test::new(plan);
            let undecided = log_ratios
                .iter()
                .take_while(|&&log_ratio| {
                    test.push(log_ratio);
                    test.status() == Status::Continue
                })
                .count();
            let looking = start.elapsed();
            let start = Instant::now();
            let estimate = test.estimate();
            print_line(&format!(
                "a million pairs, {what}, {noise:?}: {looking:.2?} for a look after each ({undecided} undecided), {:.2?} \
                 for the last estimate, {:.4} ({:.4}–{:.4})",
                start.elapsed(),
                estimate.ratio,
                estimate.low,
                estimate.high,
            ));
        }
    }
}

/// A million looks in all at four arms, undecided to the end.
fn print_race() {
    const ROUNDS: usize = 250_000;
    let arms: Vec<Vec<f64>> = (0..4).map(|arm| recorded_like(ROUNDS, 0.0, SEED + arm)).collect();
    let question = Question::Different;
    let plan = TestPlan {
        noise: Noise::Learned,
        question,
        pairs_max: usize::MAX,
        min_effect: 0.0001,
        alpha: 1e-300,
        ..PLAN
    };
    let start = Instant::now();
    let mut race = Race::new(arms.len(), plan);
    for round in 0..ROUNDS {
        arms.iter().enumerate().for_each(|(arm, values)| race.push(arm, values[round]));
        race.settle(ROUNDS - round);
    }
    let staying = race.staying().count();
    print_line(&format!("a race of 4 arms, {ROUNDS} rounds: {:.2?}, {staying} staying", start.elapsed()));
}

/// Log ratios of a session and its control, by seed, effect (ln) and noise.
type Session = fn(seed: u64, effect: f64, noise: f64) -> Vec<f64>;

/// How often, and how soon, an effect is found.
///
/// "wall" is a busy machine, where a paired Wilcoxon test of 60 pairs finds 10 % in 97 of 100: standard deviation of a
/// log ratio 0.19; "cpu" is user + sys of the same runs, 2.3 % each.
fn print_power() {
    let normal: Session = |seed, effect, noise| {
        let mut rng = Rng::new(seed);
        (0..70).map(|_| effect + noise * rng.normal()).collect()
    };
    let heavy: Session = |seed, effect, noise| {
        let mut rng = Rng::new(seed);
        // Student's t with 3 degrees of freedom, of the same robust spread.
        let mut wild = || {
            let squares: f64 = (0..3).map(|_| rng.normal().powi(2)).sum();
            0.88 * rng.normal() / (squares / 3.0).sqrt()
        };
        (0..70).map(|_| effect + noise * wild()).collect()
    };
    let recorded: Session = |seed, effect, _| recorded_like(70, effect, seed);
    print_line(
        "power: share of 2000 sessions that say the right word within so many pairs, and the mean of those",
    );
    print_line(&format!("{:34} {:>6} {:>6} {:>6} {:>6} {:>6}", "", "15", "20", "40", "60", "mean"));
    for (what, session, noise, effects) in [
        ("wall, normal 0.19", normal, 0.19, [0.10, 0.20, 0.50]),
        ("wall, heavy 0.19", heavy, 0.19, [0.10, 0.20, 0.50]),
        ("wall, recorded-like", recorded, 0.0, [0.05, 0.10, 0.20]),
        ("cpu, normal 0.033", normal, 0.033, [0.01, 0.02, 0.05]),
    ] {
        for effect in effects {
            for (mode, question, learned) in
                [("measure", Question::Different, true), ("loop, with control", Question::Faster, false)]
            {
                let row = power_row(session, effect, noise, question, learned);
                print_line(&format!("{:34} {row}", format!("{what}, +{:.0} %, {mode}", effect * 100.0)));
            }
        }
    }
}

fn power_row(session: Session, effect: f64, noise: f64, question: Question, learned: bool) -> String {
    const SESSIONS: u64 = 2_000;
    let mut found = Vec::new();
    for seed in 0..SESSIONS {
        let values = session(seed, -effect.ln_1p(), noise);
        let control: Vec<f64> = values[60..].iter().map(|value| value + effect.ln_1p()).collect();
        let known = control_noise(&control).into();
        let noise = if learned { Noise::Learned } else { known };
        let plan = TestPlan { alpha: 0.05, pairs_max: 60, min_effect: 0.0, noise, question, ..PLAN };
        let mut test = Test::new(plan);
        let word = values[..60].iter().find_map(|&value| {
            test.push(value);
            if let Status::Decided(decision) = test.status() { Some(decision.word) } else { None }
        });
        found.extend((word == Some(Word::Faster)).then_some(test.pairs()));
    }
    let share = |pairs: usize| found.iter().filter(|&&n| n <= pairs).count() as f64 / SESSIONS as f64;
    let mean = found.iter().sum::<usize>() as f64 / found.len().max(1) as f64;
    let shares = [15, 20, 40, 60].map(|pairs| format!("{:>5.1}%", share(pairs) * 100.0));
    format!("{} {mean:>6.1}", shares.join(" "))
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn print_line(line: &str) {
    println!("{line}");
}

fn benches(criterion: &mut Criterion) {
    print_shares();
    print_million();
    print_race();
    print_power();
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
