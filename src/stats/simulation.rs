//! Whole sessions, simulated through the real `decide` with a look after every pair.
//!
//! Each noise shape makes the times of two slots; a fair coin says which slot is B, as in a real session. What is
//! checked is the promise itself: the probability of *ever* giving a false word.

use super::decision::{Noise, Question, Status, TestPlan, Word, null_control};
use super::evidence::{Side, weigh};
use super::lond::ELond;
use super::rng::Rng;
use super::sequential::Test;

const ALPHA: f64 = 0.05;
const PAIRS_MAX: usize = 40;

/// How far the exact walk is followed.
const WALK_PAIRS_MAX: usize = 60;

/// Of each noise shape and question.
const SESSIONS: usize = 700;

/// The machine's noise: ln of how much longer each further run takes than an undisturbed one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Normal,
    /// Skewed: exp of a normal, on the time itself.
    Lognormal,
    /// Lag-1 autocorrelation 0.74, as measured on a loaded machine.
    Autocorrelated,
    /// Every run 2 % slower than the one before it: the second slot always loses.
    Drift,
    /// A fast and a slow mode, as with two kinds of core.
    Bimodal,
    Cauchy,
    /// The second run of a pair takes exactly 10 % more, as by a thermal or cache penalty: |L| is constant.
    TwoPoint,
    /// Steps of a 10 ms clock on 50 ms: ties and few distinct values.
    CoarseClock,
}

const ALL: [Shape; 8] = [
    Shape::Normal,
    Shape::Lognormal,
    Shape::Autocorrelated,
    Shape::Drift,
    Shape::Bimodal,
    Shape::Cauchy,
    Shape::TwoPoint,
    Shape::CoarseClock,
];

/// A machine with its noise, from which log ratios of pairs are drawn.
struct Machine {
    rng: Rng,
    noise: Shape,
    last: f64,
    runs: u32,
}

impl Machine {
    fn new(noise: Shape, seed: u64) -> Self {
        Self { rng: Rng::new(seed), noise, last: 0.0, runs: 0 }
    }

    fn ln_time(&mut self) -> f64 {
        let first = self.runs.is_multiple_of(2);
        self.runs += 1;
        match self.noise {
            Shape::Normal => 0.1 * self.rng.normal(),
            Shape::Lognormal => (1.0 + (0.8 * self.rng.normal()).exp()).ln(),
            Shape::Autocorrelated => {
                self.last = 0.74 * self.last + 0.1 * self.rng.normal();
                self.last
            }
            Shape::Drift => 0.02 * f64::from(self.runs) + 0.01 * self.rng.normal(),
            Shape::Bimodal => (if self.rng.coin() { 0.4 } else { 0.0 }) + 0.01 * self.rng.normal(),
            Shape::Cauchy => 0.05 * (std::f64::consts::PI * (self.rng.uniform() - 0.5)).tan(),
            Shape::TwoPoint => {
                if first {
                    0.0
                } else {
                    0.1
                }
            }
            Shape::CoarseClock => (5.0 + (0.8 * self.rng.normal()).round().clamp(-2.0, 2.0)).ln(),
        }
    }

    /// One pair in random order, B's time changed by `effect` (ln).
    fn log_ratio(&mut self, effect: f64) -> f64 {
        let (first, second) = (self.ln_time(), self.ln_time());
        effect + if self.rng.coin() { second - first } else { first - second }
    }

    fn log_ratios(&mut self, pairs: usize, effect: f64) -> Vec<f64> {
        (0..pairs).map(|_| self.log_ratio(effect)).collect()
    }
}

/// The word and the pairs used when looking after every pair.
fn session(machine: &mut Machine, plan: &TestPlan, effect: f64) -> (Word, usize) {
    let mut test = Test::new(*plan);
    loop {
        if let Status::Decided(decision) = test.status() {
            return (decision.word, test.pairs());
        }
        test.push(machine.log_ratio(effect));
    }
}

fn plan(question: Question, noise: Noise) -> TestPlan {
    TestPlan { alpha: ALPHA, pairs_min: 0, pairs_max: PAIRS_MAX, min_effect: 0.01, noise, question }
}

/// Four standard errors above α: a false alarm of this test once in 30 000 at an error of exactly α.
fn false_words_max(sessions: usize) -> usize {
    let n = sessions as f64;
    (n * ALPHA + 4.0 * (n * ALPHA * (1.0 - ALPHA)).sqrt()) as usize
}

/// Counts (faster, slower) among sessions of B slower by `effect`; noise from a null control of 10 pairs if not given.
fn words(noise: Shape, question: Question, noise_given: Option<f64>, effect: f64) -> (usize, usize) {
    let (mut faster, mut slower) = (0, 0);
    for seed in 0..SESSIONS as u64 {
        let mut machine = Machine::new(noise, seed);
        let control = null_control(&machine.log_ratios(10, 0.0), ALPHA).noise;
        let (word, _) = session(&mut machine, &plan(question, noise_given.or(control).into()), effect);
        faster += usize::from(word == Word::Faster);
        slower += usize::from(word == Word::Slower);
    }
    println!(
        "{noise:?} {question:?} {noise_given:?} +{effect}: {faster} faster, {slower} slower of {SESSIONS}"
    );
    (faster, slower)
}

#[test]
fn the_same_program_is_rarely_called_different_under_any_noise() {
    for noise in ALL {
        let (faster, slower) = words(noise, Question::Different, None, 0.0);
        assert!(faster + slower <= false_words_max(SESSIONS), "{noise:?}: {faster} + {slower}");
    }
}

#[test]
fn the_same_program_is_rarely_called_faster_under_any_noise() {
    for noise in ALL {
        let (faster, slower) = words(noise, Question::Faster, None, 0.0);
        for count in [faster, slower] {
            assert!(count <= false_words_max(SESSIONS), "{noise:?}: {faster} faster, {slower} slower");
        }
    }
}

#[test]
fn a_control_that_misjudges_the_noise_does_no_harm() {
    for noise in ALL {
        let (faster, slower) = words(noise, Question::Different, Some(0.001), 0.0);
        assert!(faster + slower <= false_words_max(SESSIONS), "{noise:?}: {faster} + {slower}");
    }
}

#[test]
fn a_slower_program_is_rarely_called_faster() {
    for noise in [Shape::Normal, Shape::Cauchy, Shape::TwoPoint] {
        let (faster, _) = words(noise, Question::Faster, None, 0.03);
        assert!(faster <= false_words_max(SESSIONS), "{noise:?}: {faster} faster");
    }
}

/// P(evidence ever reaches 1/α) on noise of ± `size`, exactly, by following every walk of signs.
fn two_point_error(alpha: f64, side: Side, size: f64) -> f64 {
    let mut alive = vec![1.0];
    let mut error = 0.0;
    for n in 1..=WALK_PAIRS_MAX {
        let mut next = vec![0.0; n + 1];
        for (below, mass) in alive.iter().enumerate() {
            next[below] += mass / 2.0;
            next[below + 1] += mass / 2.0;
        }
        for (below, mass) in next.iter_mut().enumerate() {
            let log_ratios: Vec<f64> = (0..n).map(|i| if i < below { -size } else { size }).collect();
            if weigh(&log_ratios, 0.0, side, Noise::Known(1.0)).ln >= -alpha.ln() {
                error += std::mem::take(mass);
            }
        }
        alive = next;
    }
    error
}

/// The noise that a t e-value breaks on.
#[test]
fn two_point_noise_keeps_every_level() {
    for alpha in [0.05, 0.0025, 1e-4, 1e-6] {
        for side in [Side::Below, Side::Either] {
            for size in [0.2, 1.0, 30.0] {
                let error = two_point_error(alpha, side, size);
                println!("α = {alpha}, {side:?}, ±{size}: {:.2} α", error / alpha);
                assert!(error <= alpha, "α = {alpha}, {side:?}, ±{size}: {error}");
            }
        }
    }
}

#[test]
fn a_loop_of_twenty_no_ops_rarely_keeps_one() {
    let loops = 150;
    for noise in [Shape::Normal, Shape::Autocorrelated, Shape::TwoPoint] {
        let keeps_any = (0..loops).filter(|&seed| {
            let mut machine = Machine::new(noise, 1_000 + seed);
            let scale = null_control(&machine.log_ratios(10, 0.0), ALPHA).noise;
            let lond = ELond::new(ALPHA, 20);
            (1..=20).any(|attempt| {
                let plan = TestPlan { alpha: lond.level(attempt, 0), ..plan(Question::Faster, scale.into()) };
                session(&mut machine, &plan, 0.0).0 == Word::Faster
            })
        });
        let count = keeps_any.count();
        println!("{noise:?}: {count} of {loops} loops kept something");
        assert!(count <= false_words_max(loops as usize), "{noise:?}: {count} of {loops}");
    }
}

#[test]
fn real_speed_ups_are_found() {
    let check = |noise, controlled: bool, effect: f64, pairs_max, share_min: f64| {
        let found: Vec<usize> = (0..200)
            .map(|seed| {
                let mut machine = Machine::new(noise, seed);
                let control = null_control(&machine.log_ratios(10, 0.0), ALPHA);
                let scale = control.noise.filter(|_| controlled);
                let plan = TestPlan { pairs_max, ..plan(Question::Faster, scale.into()) };
                session(&mut machine, &plan, effect.ln())
            })
            .filter_map(|(word, pairs)| (word == Word::Faster).then_some(pairs))
            .collect();
        let (count, mean) = (found.len(), found.iter().sum::<usize>() as f64 / found.len() as f64);
        let case = format!("{noise:?}, control {controlled}, ×{effect}, within {pairs_max}");
        println!("{case}: {count} of 200, mean {mean:.1} pairs");
        assert!(count as f64 >= 200.0 * share_min, "{case}: {count} of 200");
    };
    for controlled in [false, true] {
        check(Shape::Normal, controlled, 0.5, 15, 0.9);
        check(Shape::Normal, controlled, 0.8, 40, 0.8);
        check(Shape::Normal, controlled, 0.9, 60, 0.6);
        check(Shape::Lognormal, controlled, 0.7, 60, 0.6);
        check(Shape::Autocorrelated, controlled, 0.9, 60, 0.6);
        check(Shape::Bimodal, controlled, 0.8, 60, 0.6);
        check(Shape::Cauchy, controlled, 0.8, 40, 0.6);
        check(Shape::Drift, controlled, 0.8, 40, 0.9);
    }
}
