//! Whole sessions, simulated through the real test with a look after every pair.
//!
//! Each noise shape makes the times of two slots; a fair coin says which slot is B, as in a real session. What is
//! checked is the promise itself: the probability of *ever* giving a false word, by the upper end of an exact interval.

use super::decision::{Noise, Question, TestPlan, Word};
use super::lond::ELond;
use super::noise::control_noise;
use super::proportion;
use super::rng::Rng;
use super::screen::{SCREEN_PAIRS, Screen, screen};
use super::sequential::Test;
use super::summary::{mean, quantile};

mod exact;
mod machine;
mod properties;

pub(super) use machine::{Machine, Shape};

/// Of each noise shape.
const SESSIONS: u64 = 10_000;

/// Budget of a session: most of the false words that there will ever be come this early.
const PAIRS_MAX: usize = 24;

const PLAN: TestPlan = TestPlan {
    alpha: 0.05,
    pairs_min: 0,
    pairs_max: PAIRS_MAX,
    min_effect: 0.0,
    noise: Noise::Learned,
    question: Question::Different,
};

/// The word and the pairs used when looking after every pair.
fn session(machine: &mut Machine, plan: &TestPlan, effect: f64) -> (Word, usize) {
    let mut test = Test::new(*plan);
    loop {
        if let Some(answer) = test.answer() {
            return (answer.word, test.pairs());
        }
        test.push(machine.log_ratio(effect));
    }
}

/// How many sessions of B slower by `effect` (ln) end with one of the words.
fn ends(shape: Shape, plan: &TestPlan, effect: f64, words: &[Word]) -> u64 {
    let ends = |&seed: &u64| words.contains(&session(&mut Machine::new(shape, seed), plan, effect).0);
    (0..SESSIONS).filter(ends).count() as u64
}

/// Asserts that an error's probability is at most `level`, on the word of `count` among `trials`: with 99 % confidence
/// (Clopper & Pearson), so that this fails in 99 of 100 tests of an error that is really above.
#[track_caller]
pub(super) fn assert_at_most(what: &str, count: u64, trials: u64, level: f64) {
    let (_, upper) = proportion::interval(count, trials, 0.98);
    println!("{what}: {count} of {trials}, at most {upper:.4}");
    assert!(upper <= level, "{what}: {count} of {trials} may be {upper}, above {level}");
}

/// About 1.5 standard deviations of a pair (ln): wide enough to call B equivalent within the budget.
fn margin(shape: Shape) -> f64 {
    let values = Machine::new(shape, u64::MAX).log_ratios(2_000, 0.0);
    let sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    1.3 * quantile(&sizes, 0.75).unwrap_or(0.0)
}

/// Without a smallest effect a word is the interval's leaving out 0: this is the interval's coverage at all times too.
#[test]
fn the_same_program_is_rarely_called_different_under_any_noise() {
    for shape in Shape::ALL {
        for alpha in [0.05, 0.01] {
            let false_words = ends(shape, &TestPlan { alpha, ..PLAN }, 0.0, &[Word::Faster, Word::Slower]);
            assert_at_most(&format!("{shape:?}, α = {alpha}"), false_words, SESSIONS, alpha);
        }
    }
}

#[test]
fn an_effect_of_the_margin_or_more_is_rarely_called_equivalent_or_its_opposite() {
    for shape in Shape::ALL {
        let margin = margin(shape);
        let plan = TestPlan { min_effect: margin.exp_m1(), ..PLAN };
        for (effect, opposite) in [(margin, Word::Faster), (-1.2 * margin, Word::Slower)] {
            let false_words = ends(shape, &plan, effect, &[Word::Equivalent, opposite]);
            // Only one side can be wrong here, and it has half of α.
            assert_at_most(&format!("{shape:?}, {effect:+.3}"), false_words, SESSIONS, plan.alpha / 2.0);
        }
    }
}

/// The harness can tell a wrong promise: here a p-value that is looked at after every pair.
#[test]
fn a_p_value_that_is_looked_at_after_every_pair_is_caught() {
    let fooled = |&seed: &u64| {
        let mut machine = Machine::new(Shape::Normal, seed);
        let (mut sum, mut squares) = (0.0, 0.0);
        (1..=PAIRS_MAX).any(|n| {
            let value = machine.log_ratio(0.0);
            sum += value;
            squares += value * value;
            let n = n as f64;
            let t = sum / ((squares - sum * sum / n) * n / (n - 1.0)).sqrt();
            // Two-sided 5 % of Student's t is at most this from 8 pairs on.
            n >= 8.0 && t.abs() > 2.365
        })
    };
    let count = (0..SESSIONS).filter(fooled).count() as u64;
    let (lower, _) = proportion::interval(count, SESSIONS, 0.98);
    assert!(lower > PLAN.alpha, "{count} of {SESSIONS}");
}

#[test]
fn a_control_that_misjudges_the_noise_does_no_harm() {
    for shape in Shape::ALL {
        for noise in [0.001, 1.0] {
            let plan = TestPlan { noise: Noise::Known(noise), ..PLAN };
            let false_words = ends(shape, &plan, 0.0, &[Word::Faster, Word::Slower]);
            assert_at_most(&format!("{shape:?}, assumed {noise}"), false_words, SESSIONS, plan.alpha);
        }
    }
}

/// A candidate that looked good by luck is the usual one: the confirmation takes fresh pairs, so luck does not help.
#[test]
fn a_candidate_that_passed_the_screen_by_chance_is_rarely_confirmed() {
    for shape in Shape::NOISY {
        let (mut screened, mut confirmed) = (0, 0);
        for seed in 0..SESSIONS {
            let mut machine = Machine::new(shape, seed);
            let noise = control_noise(&machine.log_ratios(10, 0.0));
            if screen(&machine.log_ratios(SCREEN_PAIRS, 0.0), 0.01) == Screen::Promising {
                let plan =
                    TestPlan { question: Question::Faster, noise: noise.into(), min_effect: 0.01, ..PLAN };
                screened += 1;
                confirmed += u64::from(session(&mut machine, &plan, 0.0).0 == Word::Faster);
            }
        }
        assert!(screened > SESSIONS / 5, "{shape:?}: {screened} of {SESSIONS}");
        assert_at_most(&format!("{shape:?}"), confirmed, screened, PLAN.alpha);
    }
}

#[test]
fn a_loop_of_twenty_no_ops_rarely_keeps_one() {
    let lond = ELond::new(PLAN.alpha, 20);
    for shape in Shape::NOISY {
        let keeps_any = |&seed: &u64| {
            let mut machine = Machine::new(shape, seed);
            let noise = control_noise(&machine.log_ratios(10, 0.0)).into();
            (1..=20).any(|attempt| {
                let alpha = lond.level(attempt, 0);
                let plan = TestPlan { alpha, question: Question::Faster, noise, min_effect: 0.01, ..PLAN };
                screen(&machine.log_ratios(SCREEN_PAIRS, 0.0), 0.01) == Screen::Promising
                    && session(&mut machine, &plan, 0.0).0 == Word::Faster
            })
        };
        let keeps = (0..SESSIONS).filter(keeps_any).count() as u64;
        assert_at_most(&format!("{shape:?}"), keeps, SESSIONS, PLAN.alpha);
    }
}

#[test]
fn real_speed_ups_are_found() {
    const TRIALS: u64 = 1_000;
    let check = |shape, noise_pairs: usize, effect: f64, pairs_max, share_min: f64| {
        let mut found = Vec::new();
        for seed in 0..TRIALS {
            let mut machine = Machine::new(shape, seed);
            let noise = control_noise(&machine.log_ratios(noise_pairs, 0.0));
            let plan = TestPlan {
                pairs_max,
                question: Question::Faster,
                noise: noise.into(),
                min_effect: 0.01,
                ..PLAN
            };
            let (word, pairs) = session(&mut machine, &plan, effect.ln());
            found.extend((word == Word::Faster).then_some(pairs as f64));
        }
        let (count, mean) = (found.len(), mean(&found).unwrap_or(f64::NAN));
        let case = format!("{shape:?}, control {noise_pairs}, ×{effect}, within {pairs_max}");
        println!("{case}: {count} of {TRIALS}, mean {mean:.1} pairs");
        assert!(count as f64 >= TRIALS as f64 * share_min, "{case}: {count} of {TRIALS}");
    };
    for noise_pairs in [0, 10] {
        check(Shape::Normal, noise_pairs, 0.5, 15, 0.9);
        check(Shape::Normal, noise_pairs, 0.8, 40, 0.8);
        check(Shape::Normal, noise_pairs, 0.9, 60, 0.6);
        check(Shape::Lognormal, noise_pairs, 0.7, 60, 0.6);
        check(Shape::Autocorrelated, noise_pairs, 0.9, 60, 0.6);
        check(Shape::Bimodal, noise_pairs, 0.8, 60, 0.6);
        check(Shape::Cauchy, noise_pairs, 0.8, 40, 0.6);
        check(Shape::Drift, noise_pairs, 0.8, 40, 0.9);
    }
}
