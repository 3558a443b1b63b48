//! What must hold of every session, whatever its numbers.

use proptest::prelude::*;

use super::{PLAN, Test};
use crate::stats::decision::{Bar, Decision, Noise, Question, Status, TestPlan, Word, decide};
use crate::stats::effect::{Estimate, estimate, refutes};
use crate::stats::evidence::{Side, Weigher, weigh};
use crate::stats::noise::Scales;

const NOISES: [Noise; 4] = [Noise::Unknown, Noise::Known(0.1), Noise::Known(2.0), Noise::Learned];

fn plans() -> impl Strategy<Value = TestPlan> {
    (
        prop::sample::select(NOISES.to_vec()),
        prop::sample::select(vec![Question::Different, Question::Faster]),
        prop::sample::select(vec![0.0, 0.02, 0.5]),
        0..12usize,
    )
        .prop_map(|(noise, question, min_effect, pairs_min)| TestPlan {
            noise,
            question,
            min_effect,
            pairs_min,
            pairs_max: 40,
            ..PLAN
        })
}

/// Sessions with and without an effect, ties among them.
fn log_ratios() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![9 => -1.0..1.0f64, 1 => Just(0.0)];
    (prop::collection::vec(value, 1..40), prop_oneof![Just(0.0), -1.5..1.5f64])
        .prop_map(|(values, effect)| values.into_iter().map(|value| value + effect).collect())
}

/// Times of A and B that any clock or program might give, and some that none should.
fn times() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(f64::from_bits(1)),
        Just(f64::MIN_POSITIVE),
        Just(f64::MAX),
        Just(1.0),
        1e-9..1e9f64,
        any::<f64>(),
    ]
}

/// Pairs and decision of a test that is looked at after every pair.
fn follow(plan: TestPlan, log_ratios: &[f64]) -> Option<(usize, Decision)> {
    let mut test = Test::new(plan);
    for &log_ratio in log_ratios {
        if let Status::Decided(decision) = test.status() {
            return Some((test.pairs(), decision));
        }
        test.push(log_ratio);
    }
    if let Status::Decided(decision) = test.status() { Some((test.pairs(), decision)) } else { None }
}

fn is_sound(estimate: &Estimate) -> bool {
    let Estimate { ratio, low, high, confidence, noise, minimum_detectable, .. } = *estimate;
    low <= ratio
        && ratio <= high
        && low >= 0.0
        && (0.0..=1.0).contains(&confidence)
        && noise >= 0.0
        && minimum_detectable >= 0.0
}

fn is_close(one: f64, other: f64) -> bool {
    one == other || (one - other).abs() <= 1e-9 * one.abs().max(1.0)
}

#[test]
fn most_pairs_a_little_better_and_a_few_far_worse_leave_no_empty_interval() {
    // Signs say faster, sizes say slower, both beyond doubt.
    let values: Vec<f64> = (0..100).map(|i| if i % 5 == 0 { 9.0 } else { -0.001 }).collect();
    let both = [Side::Below, Side::Above].map(|side| weigh(&values, 0.0, side, Noise::Known(1.0)).ln);
    assert!(both.iter().all(|&ln| ln > 10.0), "{both:?}");
    for question in [Question::Different, Question::Faster] {
        let estimate = estimate(&values, 0.05, question, Noise::Known(1.0)).expect("finite");
        assert!(is_sound(&estimate) && estimate.high < 1.0, "{estimate:?}");
    }
}

#[test]
fn the_majority_alone_refutes_nothing_that_sizes_speak_for() {
    // Eight pairs a hair below, seven far above: the evidence is all for above.
    let values: Vec<f64> = (0..15).map(|i| if i % 2 == 0 { -1e-9 } else { 9.0 }).collect();
    let estimate = estimate(&values, 0.05, Question::Different, Noise::Known(1.0)).expect("finite");
    assert!(estimate.high > 1.0, "{estimate:?}");
}

#[test]
fn metrics_that_mostly_tie_can_still_differ() {
    let values: Vec<f64> = (0..40).map(|i| if i % 3 == 0 { -0.5 } else { 0.0 }).collect();
    for noise in NOISES {
        let estimate = estimate(&values, 0.05, Question::Different, noise).expect("finite");
        assert!(is_sound(&estimate) && (estimate.high - 1.0).abs() < 1e-9, "{noise:?}: {estimate:?}");
    }
}

proptest! {
    #[test]
    fn the_order_of_pairs_plays_no_part_where_nothing_is_learned_on_the_way(
        values in log_ratios().prop_shuffle(), plan in plans(), turn in 0..40usize
    ) {
        prop_assume!(plan.noise != Noise::Learned);
        let mut turned = values.clone();
        turned.rotate_left(turn % values.len());
        turned.reverse();
        match (decide(&values, &plan), decide(&turned, &plan)) {
            (Status::Decided(one), Status::Decided(other)) => {
                prop_assert_eq!(one.word, other.word);
                prop_assert!(is_close(one.e_value_ln, other.e_value_ln));
                prop_assert!(is_close(one.estimate.low, other.estimate.low));
            }
            (one, other) => prop_assert_eq!(one, other),
        }
    }

    #[test]
    fn the_unit_of_time_plays_no_part(
        pairs in prop::collection::vec((0.5..2.0f64, 0.5..2.0f64), 1..40), plan in plans(), ln2_unit in -60..60i32
    ) {
        // Powers of two scale without rounding, so that not even a knife's edge moves.
        let unit = 2f64.powi(ln2_unit);
        let one: Vec<f64> = pairs.iter().map(|(a, b)| (b / a).ln()).collect();
        let other: Vec<f64> = pairs.iter().map(|(a, b)| (b * unit / (a * unit)).ln()).collect();
        prop_assert_eq!(follow(plan, &one), follow(plan, &other));
    }

    #[test]
    fn how_noisy_a_machine_is_plays_no_part_for_the_direction(
        values in log_ratios(), plan in plans(), ln2_scale in -20..20i32
    ) {
        let scale = 2f64.powi(ln2_scale);
        let scaled: Vec<f64> = values.iter().map(|value| value * scale).collect();
        let noise = if let Noise::Known(noise) = plan.noise { Noise::Known(noise * scale) } else { plan.noise };
        let plan = TestPlan { min_effect: 0.0, ..plan };
        let words = |plan, values: &[f64]| follow(plan, values).map(|(pairs, decision)| (pairs, decision.word));
        prop_assert_eq!(words(plan, &values), words(TestPlan { noise, ..plan }, &scaled));
    }

    #[test]
    fn better_pairs_never_weaken_the_evidence_that_b_is_faster(
        values in log_ratios(), gains in prop::collection::vec(0.0..1.0f64, 40), common in 0.0..1.0f64
    ) {
        let ln = |values: &[f64], noise| weigh(values, 0.0, Side::Below, noise).ln;
        for noise in NOISES {
            // A gain that differs from pair to pair changes what is learned of the noise.
            let gain = |i: usize| if noise == Noise::Learned { common } else { gains[i] };
            let better: Vec<f64> = values.iter().enumerate().map(|(i, value)| value - gain(i)).collect();
            prop_assert!(ln(&better, noise) >= ln(&values, noise) - 1e-9, "{:?}", noise);
        }
    }

    #[test]
    fn a_better_last_pair_never_turns_faster_into_anything_else(values in log_ratios(), plan in plans(), gain in 0.0..1.0f64) {
        let mut better = values.clone();
        if let Some(last) = better.last_mut() {
            *last -= gain;
        }
        let evidence = |values: &[f64]| {
            let bar = Bar::new(plan.alpha, plan.question);
            let weigher = Weigher::of(values, &Scales::of(values, plan.noise), 0.0);
            refutes(&weigher, Side::Below, bar.below_ln)
        };
        prop_assert!(!evidence(&values) || evidence(&better));
    }

    #[test]
    fn swapped_arms_give_the_mirrored_answer(values in log_ratios(), plan in plans()) {
        let plan = TestPlan { question: Question::Different, ..plan };
        let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
        let (one, other) = (follow(plan, &values), follow(plan, &mirrored));
        prop_assert_eq!(one.is_some(), other.is_some());
        if let (Some((pairs, one)), Some((other_pairs, other))) = (one, other) {
            let swapped = match one.word {
                Word::Faster => Word::Slower,
                Word::Slower => Word::Faster,
                same => same,
            };
            prop_assert_eq!((pairs, swapped, one.stopped), (other_pairs, other.word, other.stopped));
            prop_assert!(is_close(one.estimate.low * other.estimate.high, 1.0) || one.estimate.low == 0.0);
            prop_assert!(is_close(one.estimate.high * other.estimate.low, 1.0) || other.estimate.low == 0.0);
            prop_assert!(is_close(one.estimate.ratio * other.estimate.ratio, 1.0));
            prop_assert!(is_close(one.e_value_ln, other.e_value_ln));
        }
    }

    #[test]
    fn a_word_never_contradicts_its_interval(values in log_ratios(), plan in plans()) {
        if let Some((_, Decision { word, estimate, e_value_ln, threshold_ln, .. })) = follow(plan, &values) {
            let limit = 1.0 + plan.min_effect;
            let Estimate { ratio, low, high, .. } = estimate;
            // Where values tie, a bound may be the tie itself.
            let agrees = match word {
                Word::Faster => high <= 1.0 && ratio <= 1.0 / limit + 1e-9,
                Word::Slower => low >= 1.0,
                Word::Equivalent => high <= limit + 1e-9 && low >= 1.0 / limit - 1e-9,
                Word::Inconclusive | Word::Invalid => true,
            };
            prop_assert!(agrees, "{:?} {:?}", word, estimate);
            let is_word = matches!(word, Word::Faster | Word::Slower | Word::Equivalent);
            prop_assert!(!is_word || e_value_ln >= threshold_ln);
        }
    }

    /// Sign alone, and sizes: the interval is all shifts that are not refuted, found by trying very many.
    #[test]
    fn the_interval_is_what_trying_every_shift_leaves(values in log_ratios(), plan in plans()) {
        let bar = Bar::new(plan.alpha, plan.question);
        let scales = Scales::of(&values, plan.noise);
        let refuted = |shift: f64, side| {
            refutes(&Weigher::of(&values, &scales, shift), side, bar.ln(side))
        };
        let estimate = estimate(&values, plan.alpha, plan.question, plan.noise).expect("finite");
        for step in -40..=40 {
            // No value lies exactly there.
            let shift = f64::from(step) * 0.076_543_21 + 0.000_123_4;
            let (too_high, too_low) = (refuted(shift, Side::Below), refuted(shift, Side::Above));
            prop_assert!(!(too_high && too_low), "{} is refuted from both sides", shift);
            prop_assert_eq!(shift > estimate.high.ln(), too_high, "{}: {:?}", shift, estimate);
            prop_assert_eq!(shift < estimate.low.ln(), too_low, "{}: {:?}", shift, estimate);
        }
    }

    #[test]
    fn no_number_is_too_odd(pairs in prop::collection::vec((times(), times()), 1..40), plan in plans()) {
        let mut test = Test::new(plan);
        for (a, b) in pairs {
            test.push((b / a).ln());
            let _answer = test.answer();
        }
        prop_assert!(is_sound(&test.estimate()), "{:?}", test.estimate());
        prop_assert_ne!(test.pairs_still_needed(), Some(usize::MAX));
    }

    #[test]
    fn no_log_ratio_is_too_large(values in prop::collection::vec(any::<f64>(), 1..40), plan in plans()) {
        let mut test = Test::new(plan);
        values.iter().for_each(|&value| test.push(value));
        prop_assert!(!test.end().e_value_ln.is_nan());
        prop_assert_ne!(test.pairs_still_needed(), Some(usize::MAX));
    }
}
