use super::super::decision::Noise;
use super::super::rng::Rng;
use super::*;

const PLAN: TestPlan = TestPlan {
    alpha: 0.05,
    pairs_min: 0,
    pairs_max: usize::MAX,
    min_effect: 0.0,
    noise: Noise::Learned,
    question: Question::Different,
};

const SIGMA: f64 = 0.1;

/// A test that has been shown normal log ratios.
fn shown(plan: TestPlan, effect: f64, pairs: usize, seed: u64) -> Test {
    let mut rng = Rng::new(seed);
    let mut test = Test::new(plan);
    (0..pairs).for_each(|_| test.push(effect + SIGMA * rng.normal()));
    test
}

#[test]
fn many_pairs_are_judged_as_few_are() {
    let pairs = EXACT_PAIRS_MAX + 200;
    let check = |question, effect: f64, word| {
        for noise in [Noise::Unknown, Noise::Known(SIGMA), Noise::Learned] {
            let plan = TestPlan { pairs_min: pairs, min_effect: 0.05, question, noise, ..PLAN };
            let decision = shown(plan, effect, pairs, 1).end();
            assert_eq!(decision.word, word, "{question:?} {effect} {noise:?}");
            let Estimate { ratio, low, high, .. } = decision.estimate;
            assert!(
                low < effect.exp() && effect.exp() < high && low <= ratio && ratio <= high,
                "{decision:?}"
            );
        }
    };
    for question in [Question::Different, Question::Faster] {
        check(question, -0.2, Word::Faster);
        check(question, 0.2, Word::Slower);
        check(question, 0.0, Word::Equivalent);
        check(question, -0.02, Word::Equivalent);
    }
    // Evident, but short of the margin: slower than before, but not by what was asked for.
    check(Question::Different, 0.03, Word::Equivalent);
    check(Question::Faster, 0.03, Word::Slower);
}

#[test]
fn about_four_of_five_sessions_are_decided_after_the_pairs_said_to_be_needed() {
    const SESSIONS: u64 = 400;
    for noise in [Noise::Known(SIGMA), Noise::Unknown] {
        for (question, effect) in
            [(Question::Different, 0.03), (Question::Different, 0.05), (Question::Faster, 0.1)]
        {
            let decided = |&seed: &u64| {
                let wanted = TestPlan { noise, question, min_effect: effect, ..PLAN };
                let mut test = Test::new(wanted);
                // The noise is seen in ties around nothing, which are then forgotten.
                (0..LEARNED_PAIRS_MIN)
                    .for_each(|i| test.push(if i % 2 == 0 { SIGMA } else { -SIGMA } / MAD_TO_SIGMA));
                let needed = test.pairs_still_needed().expect("within reach");
                let mut rng = Rng::new(seed);
                (0..needed).for_each(|_| test.push(SIGMA * rng.normal() - effect.ln_1p()));
                test.none.reaches(Side::Below, test.bar.below_ln)
            };
            let count = (0..SESSIONS).filter(decided).count();
            println!("{noise:?} {question:?} {effect}: {count} of {SESSIONS}");
            // An approximation, and advice only.
            assert!((0.7..0.96).contains(&(count as f64 / SESSIONS as f64)), "{effect}: {count}");
        }
    }
    assert_eq!(Test::new(PLAN).pairs_still_needed(), None, "there is no noise to go by");
}

#[test]
fn what_is_answered_needs_no_more_and_what_cannot_be_has_no_number() {
    assert_eq!(shown(PLAN, -0.5, 30, 1).pairs_still_needed(), Some(0));
    assert_eq!(shown(TestPlan { alpha: 0.0, ..PLAN }, -0.5, 30, 1).pairs_still_needed(), None);
    assert_eq!(shown(TestPlan { pairs_min: 50, ..PLAN }, -0.5, 30, 1).pairs_still_needed(), Some(20));
    let mut bad = shown(PLAN, -0.5, 30, 1);
    bad.push(f64::NAN);
    assert_eq!((bad.pairs_still_needed(), bad.pairs()), (None, 30));
    assert_eq!(bad.end().stopped, Stopped::BadData);
}

#[test]
fn hope_fades_where_an_answer_is_improbable_and_only_there() {
    let hope = |effect: f64, min_effect: f64, pairs: usize, left: usize| {
        let plan = TestPlan { min_effect, ..PLAN };
        (0..100).filter(|&seed| shown(plan, effect, pairs, seed).has_hope(left)).count()
    };
    assert_eq!(hope(0.0, 0.0, 8, 1), 100, "too early to tell");
    assert!(hope(-0.2, 0.0, 20, 20) >= 99);
    assert!(hope(0.0, 0.0, 64, 10) <= 30);
    // The same, but near enough to be called equivalent.
    assert!(hope(0.0, 0.1, 64, 10) >= 95);
    assert_eq!(hope(0.0, 0.0, 64, usize::MAX), 100, "in the long run there is always hope");
    let asked_for = TestPlan { pairs_min: 100, pairs_max: 100, ..PLAN };
    assert!(
        (0..100).all(|seed| shown(asked_for, 0.0, 64, seed).has_hope(36)),
        "so many pairs are to be made"
    );
}

#[test]
fn giving_up_costs_no_word_that_more_pairs_would_have_brought() {
    const SESSIONS: u64 = 300;
    let mut equivalent = 0;
    for noise in [Noise::Learned, Noise::Unknown] {
        let plan = TestPlan { alpha: 0.01, pairs_max: 60, min_effect: 0.01, noise, ..PLAN };
        for seed in 0..SESSIONS {
            let (mut rng, mut test) = (Rng::new(seed), Test::new(plan));
            let (mut stopped, mut word) = (None, None);
            for _ in 0..plan.pairs_max {
                test.push(0.015 * rng.normal());
                stopped = stopped.or_else(|| test.answer().map(|answer| answer.word));
                word = word.or_else(|| test.word().map(|(word, _)| word));
            }
            assert_eq!(stopped, Some(word.unwrap_or(Word::Inconclusive)), "{noise:?}, seed {seed}");
            equivalent += u32::from(word == Some(Word::Equivalent));
        }
    }
    assert!(equivalent > 60, "the question is within reach: {equivalent}");
}

/// Pairs of which B takes `factor` times as long as A, and both are cut at `limit` times the usual.
fn cut(noise: Noise, factor: f64, limit: f64, pairs: usize, seed: u64) -> Test {
    let mut rng = Rng::new(seed);
    let mut test = Test::new(TestPlan { noise, pairs_min: pairs, min_effect: 0.05, ..PLAN });
    for _ in 0..pairs {
        let [a, b] = [0.0, factor.ln()].map(|time| time + SIGMA * rng.normal());
        let beyond: Vec<Side> = [(a, Side::Below), (b, Side::Above)]
            .into_iter()
            .filter_map(|(time, side)| (time >= limit.ln()).then_some(side))
            .collect();
        test.push_cut(b.min(limit.ln()) - a.min(limit.ln()), &beyond);
    }
    test
}

#[test]
fn values_that_were_cut_bound_the_effect_on_one_side_only() {
    for noise in [Noise::Unknown, Noise::Known(SIGMA), Noise::Learned] {
        for pairs in [30, EXACT_PAIRS_MAX + 100] {
            let (all, none) = (cut(noise, 33.0, 10.0, pairs, 1), cut(noise, 3.0, 10.0, pairs, 1));
            let decision = all.end();
            assert_eq!((decision.word, decision.estimate.high), (Word::Slower, f64::INFINITY), "{noise:?}");
            assert!(decision.estimate.low > 8.0 && decision.estimate.low < 33.0, "{decision:?}");
            assert!(all.is_cut_off(Side::Above) && !all.is_cut_off(Side::Below));
            assert!(!none.is_cut_off(Side::Above) && none.estimate().high < 4.0, "{noise:?}");
        }
        // A few of many leave the centre where it is.
        let few = cut(noise, 9.0, 10.0, 200, 1);
        assert!(!few.is_cut_off(Side::Above), "{noise:?}: {:?}", few.estimate());
    }
}

#[test]
fn an_interval_from_cut_values_holds_the_truth_as_often_as_it_says() {
    const SESSIONS: u64 = 400;
    for noise in [Noise::Known(SIGMA), Noise::Learned] {
        // Cut at less than the usual, at about it, and rarely.
        for factor in [12.0, 10.0, 8.5_f64] {
            let missed = (0..SESSIONS)
                .map(|seed| cut(noise, factor, 10.0, 24, seed).estimate())
                .filter(|estimate| !(estimate.low..=estimate.high).contains(&factor))
                .count();
            assert!(missed as f64 <= 0.05 * SESSIONS as f64, "{noise:?} {factor}: {missed}");
        }
    }
}

#[test]
fn an_effect_that_is_said_to_be_seen_is_seen_in_four_of_five_sessions() {
    const SESSIONS: u64 = 300;
    for (noise, pairs) in [(Noise::Unknown, 60), (Noise::Learned, 20), (Noise::Learned, 60)] {
        let plan = TestPlan { alpha: 0.01, pairs_max: pairs, noise, ..PLAN };
        let seen = (0..SESSIONS)
            .filter(|&seed| {
                let effect = shown(plan, 0.0, pairs, seed).minimum_detectable().unwrap();
                let (mut rng, mut test) = (Rng::new(SESSIONS + seed), Test::new(plan));
                (0..pairs).any(|_| {
                    test.push(effect.ln_1p() + SIGMA * rng.normal());
                    test.word().is_some()
                })
            })
            .count();
        println!("{noise:?}, {pairs} pairs: {seen} of {SESSIONS}");
        assert!(seen as f64 >= 0.76 * SESSIONS as f64, "{noise:?} {pairs}: {seen}");
    }
    let detectable = |pairs| shown(TestPlan { alpha: 0.01, ..PLAN }, 0.0, pairs, 1).minimum_detectable();
    assert_eq!(detectable(10), None, "eleven pairs are the fewest that can show anything");
    assert!(detectable(11).is_some());
    assert!(detectable(3000).unwrap() < detectable(2000).unwrap());
    let wanted = TestPlan { min_effect: 0.9, ..PLAN };
    assert_eq!(shown(wanted, 0.0, 30, 1).minimum_detectable(), Some(0.9));
}
