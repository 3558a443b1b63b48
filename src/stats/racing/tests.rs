use proptest::prelude::*;

use super::super::decision::{Noise, Question, Status, Stopped, Word};
use super::super::simulation::{Machine, Shape, assert_at_most};
use super::*;

const PLAN: TestPlan = TestPlan {
    alpha: 0.05,
    pairs_min: 0,
    pairs_max: 24,
    min_effect: 0.0,
    noise: Noise::Learned,
    question: Question::Different,
};

/// Runs a race to its end on a machine, the arms slower than the reference by `effects` (ln); returns the rounds.
fn run(machine: &mut Machine, race: &mut Race, effects: &[f64]) -> usize {
    let shifts: Vec<f64> = [0.0].into_iter().chain(effects.iter().copied()).collect();
    let mut rounds = 0;
    race.settle(usize::MAX);
    while race.staying().next().is_some() {
        let staying: Vec<usize> = race.staying().collect();
        let running = [0].into_iter().chain(staying.iter().map(|arm| arm + 1));
        let ln_times = machine.round(running, &shifts);
        staying.iter().for_each(|&arm| race.push(arm, ln_times[arm + 1] - ln_times[0]));
        race.settle(usize::MAX);
        rounds += 1;
    }
    rounds
}

/// That of its decision, without the estimate.
fn word(race: &Race, arm: usize) -> Option<Word> {
    let test = Some(race.test(arm)).filter(|_| !race.stays(arm))?;
    test.answer().map(|answer| answer.word)
}

fn words(race: &Race, arms: usize) -> Vec<Option<Word>> {
    (0..arms).map(|arm| word(race, arm)).collect()
}

#[test]
fn a_race_of_one_arm_is_a_test() {
    for shape in Shape::ALL {
        let plan = TestPlan { min_effect: 0.01, ..PLAN };
        let log_ratios = Machine::new(shape, 3).log_ratios(30, -0.05);
        let (mut race, mut test) = (Race::new(1, plan), Test::new(plan));
        for &log_ratio in &log_ratios {
            race.settle(usize::MAX);
            let decided = match test.status() {
                Status::Decided(decision) => Some(decision),
                Status::Continue => None,
            };
            assert_eq!(race.decision(0), decided, "{shape:?}");
            if decided.is_some() {
                break;
            }
            race.push(0, log_ratio);
            test.push(log_ratio);
        }
    }
}

#[test]
fn arms_that_are_all_faster_need_no_more_than_one_alone_and_lone_ones_no_more_than_bonferroni_asks() {
    let pairs_until_faster = |plan: TestPlan, others: f64| {
        let mut race = Race::new(3, plan);
        (1..40).find(|&round| {
            race.push(0, -1.0);
            // A tie says nothing.
            [1, 2].into_iter().for_each(|arm| race.push(arm, others));
            race.settle(usize::MAX);
            assert!(round < 9 || race.decision(0).is_none() || race.stays(1));
            race.decision(0).is_some_and(|decision| decision.word == Word::Faster)
        })
    };
    let plan = TestPlan { noise: Noise::Unknown, pairs_max: 1_000, ..PLAN };
    assert_eq!(pairs_until_faster(plan, -1.0), Some(8));
    // 2 · 2^9 / 10 < 3 · 40 ≤ 2 · 2^10 / 11, a little less for the mass of a tie, which is 1.
    assert_eq!(pairs_until_faster(plan, 0.0), Some(10));
    let bonferroni = TestPlan { alpha: plan.alpha / 3.0, ..plan };
    let mut alone = Test::new(bonferroni);
    let pairs = (1..40).find(|_| {
        alone.push(-1.0);
        alone.status() != Status::Continue
    });
    assert_eq!(pairs, Some(10));
}

#[test]
fn rounds_go_to_the_arms_in_question() {
    let effects = [-0.7, 0.0, -0.7, 0.7];
    let plan = TestPlan { min_effect: 0.02, pairs_max: 60, ..PLAN };
    let mut race = Race::new(4, plan);
    let rounds = run(&mut Machine::new(Shape::Normal, 1), &mut race, &effects);
    let expected = [Word::Faster, Word::Inconclusive, Word::Faster, Word::Slower].map(Some);
    assert_eq!(words(&race, 4), expected);
    assert_eq!(race.decision(1).map(|decision| decision.stopped), Some(Stopped::Futility));
    let pairs: Vec<usize> = (0..4).map(|arm| race.test(arm).pairs()).collect();
    assert!(pairs[1] == rounds && [0, 2, 3].iter().all(|&arm| pairs[arm] <= 10), "{pairs:?}");
}

#[test]
fn arms_without_hope_leave_their_rounds_to_the_others_and_little_is_missed() {
    const RACES: u64 = 300;
    let plan = TestPlan { min_effect: 0.02, pairs_max: 60, ..PLAN };
    // 0.14 of noise in a pair: the first arm is hard to find, the others are as good as nothing.
    let effects = [-0.1, 0.0, 0.005, -0.005];
    let (mut found, mut found_alone, mut idle_pairs) = (0, 0, 0);
    for seed in 0..RACES {
        let mut race = Race::new(4, plan);
        run(&mut Machine::new(Shape::Normal, seed), &mut race, &effects);
        found += u64::from(word(&race, 0) == Some(Word::Faster));
        idle_pairs += (1..4).map(|arm| race.test(arm).pairs()).sum::<usize>();
        // Bonferroni, and nobody is given up.
        let mut machine = Machine::new(Shape::Normal, seed);
        let mut test = Test::new(TestPlan { alpha: plan.alpha / 4.0, ..plan });
        while test.answer().is_none() {
            test.push(machine.log_ratio(effects[0]));
        }
        found_alone += u64::from(test.answer().is_some_and(|answer| answer.word == Word::Faster));
    }
    let idle = idle_pairs as f64 / (3 * RACES) as f64;
    println!(
        "{found} of {RACES} found, {found_alone} without a race; {idle:.1} pairs for arms that are the same"
    );
    assert!(found as f64 >= 0.93 * found_alone as f64, "{found} {found_alone}");
    assert!(idle < 40.0, "{idle}");
}

#[test]
fn arms_out_of_the_race_stay_as_they_are() {
    let mut race = Race::new(3, PLAN);
    race.withdraw(2);
    for _ in 0..12 {
        (0..3).for_each(|arm| race.push(arm, if arm == 0 { -1.0 } else { 0.1 }));
        race.settle(usize::MAX);
    }
    assert_eq!(words(&race, 2), [Word::Faster, Word::Slower].map(Some));
    assert_eq!(race.decision(2), None);
    assert!((0..3).all(|arm| !race.stays(arm)) && race.test(2).pairs() == 0);
    assert_eq!(race.staying().count(), 0);
    let mut measured = Race::new(1, PLAN);
    measured.push(0, 1.0);
    measured.withdraw(0);
    assert!(measured.stays(0), "what was measured counts");
    measured.end();
    assert_eq!(measured.decision(0).map(|decision| decision.word), Some(Word::Inconclusive));
    measured.end();
    assert!(!measured.stays(7) && measured.decision(7).is_none());
}

#[test]
fn one_bad_arm_does_not_stop_the_others() {
    let mut race = Race::new(2, PLAN);
    for _ in 0..12 {
        race.push(0, f64::NAN);
        race.push(1, -1.0);
        race.settle(usize::MAX);
    }
    assert_eq!(words(&race, 2), [Word::Invalid, Word::Faster].map(Some));
}

/// What machine slots cost in each round, ln.
const SLOTS: [[f64; 3]; 5] =
    [[0.0, 0.1, 0.3], [0.0, 0.1, 5.0], [-0.2, 0.0, 0.01], [1.0, 1.0, 0.7], [0.0, -3.0, 3.0]];

/// P(`is_wrong` ever) over all orders of all rounds of two arms and their reference.
fn probability(race: &Race, effects: [f64; 2], round: usize, is_wrong: &impl Fn(&Race) -> bool) -> f64 {
    if is_wrong(race) {
        return 1.0;
    }
    let Some(slots) = SLOTS.get(round) else {
        return 0.0;
    };
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let branches = orders.map(|order| {
        let mut next = race.clone();
        (0..2).for_each(|arm| next.push(arm, effects[arm] + slots[order[arm + 1]] - slots[order[0]]));
        next.settle(usize::MAX);
        probability(&next, effects, round + 1, is_wrong)
    });
    branches.iter().sum::<f64>() / 6.0
}

#[test]
fn over_all_orders_some_word_is_false_as_rarely_as_promised() {
    let mut largest: f64 = 0.0;
    for noise in [Noise::Unknown, Noise::Known(0.1), Noise::Known(2.0)] {
        for (effects, pairs_max) in
            [([0.0, 0.0], 50), ([-9.0, 0.0], 50), ([-9.0, 9.0], 50), ([0.5, -0.2], 50)]
        {
            let plan = TestPlan { alpha: 0.7, noise, pairs_max, ..PLAN };
            let is_wrong = |race: &Race| {
                (0..2).any(|arm| match word(race, arm) {
                    Some(Word::Faster) => effects[arm] >= 0.0,
                    Some(Word::Slower) => effects[arm] <= 0.0,
                    _ => false,
                })
            };
            let error = probability(&Race::new(2, plan), effects, 0, &is_wrong);
            assert!(error <= plan.alpha, "{effects:?}, {noise:?}: {error}");
            largest = largest.max(error);
        }
    }
    assert!(largest > 0.1, "{largest}");
}

const RACES: u64 = 10_000;

/// Races in which any word was false.
fn false_races(shape: Shape, plan: TestPlan, effects: &[f64]) -> u64 {
    let margin = plan.min_effect.ln_1p();
    let is_false = |word: Word, effect: f64| match word {
        Word::Faster => effect >= 0.0,
        Word::Slower => effect <= 0.0,
        Word::Equivalent => effect.abs() >= margin,
        Word::Inconclusive | Word::Invalid => false,
    };
    let races = (0..RACES).filter(|&seed| {
        let mut race = Race::new(effects.len(), plan);
        run(&mut Machine::new(shape, seed), &mut race, effects);
        words(&race, effects.len())
            .iter()
            .zip(effects)
            .any(|(word, &effect)| word.is_some_and(|w| is_false(w, effect)))
    });
    races.count() as u64
}

#[test]
fn some_word_of_a_race_is_false_as_rarely_as_promised_under_any_noise() {
    for (shape, effects) in [
        (Shape::Normal, [0.0, 0.0, 0.0]),
        (Shape::Lognormal, [-3.0, 0.0, 3.0]),
        (Shape::Autocorrelated, [0.0, -0.5, -0.5]),
        (Shape::Drift, [0.0, 0.0, 0.3]),
        (Shape::Bimodal, [0.1, -0.1, 0.0]),
        (Shape::Spikes, [0.0, 0.0, 0.0]),
    ] {
        let false_races = false_races(shape, PLAN, &effects);
        assert_at_most(&format!("{shape:?} {effects:?}"), false_races, RACES, PLAN.alpha);
    }
}

#[test]
fn arms_at_the_margin_are_rarely_called_equivalent_in_a_race() {
    let plan = TestPlan { min_effect: 0.2, ..PLAN };
    let margin = plan.min_effect.ln_1p();
    let false_races = false_races(Shape::Normal, plan, &[margin, -margin, -0.9]);
    assert_at_most("at ± margin", false_races, RACES, plan.alpha);
}

proptest! {
    #[test]
    fn the_bar_is_where_every_set_of_arms_averages_to_what_one_alone_needs(
        shares in prop::collection::vec(prop_oneof![0.0..1.0f64, 1.0..30.0f64], 1..7), own in 0.0..9.0f64
    ) {
        // In units of what one alone needs.
        let needed = 1.0 + shares.iter().map(|share| (1.0 - share).max(0.0)).sum::<f64>();
        prop_assume!((own - needed).abs() > 1e-9);
        let every_set_reaches = (0..1u32 << shares.len()).all(|set| {
            let members = shares.iter().enumerate().filter(|(arm, _)| set >> arm & 1 == 1).map(|(_, share)| *share);
            let (sum, count) = members.fold((own, 1.0), |(sum, count), share| (sum + share, count + 1.0));
            sum / count >= 1.0
        });
        prop_assert_eq!(every_set_reaches, own >= needed);
    }

    #[test]
    fn names_play_no_part_and_the_bar_lies_between_one_test_and_bonferroni(
        rounds in prop::collection::vec(prop::array::uniform3(-1.0..0.5f64), 1..30),
        turn in 0..3usize,
        noise in prop::sample::select(vec![Noise::Unknown, Noise::Known(0.3), Noise::Learned]),
    ) {
        let plan = TestPlan { noise, min_effect: 0.1, alpha: 0.2, pairs_max: 1_000, ..PLAN };
        let mut race = Race::new(3, plan);
        let mut turned = race.clone();
        for round in &rounds {
            for (arm, &log_ratio) in round.iter().enumerate() {
                race.push(arm, log_ratio);
                turned.push((arm + turn) % 3, log_ratio);
            }
            race.settle(usize::MAX);
            turned.settle(usize::MAX);
        }
        for arm in 0..3 {
            let (here, there) = (race.decision(arm), turned.decision((arm + turn) % 3));
            prop_assert_eq!(here.map(|decision| (decision.word, decision.estimate)), there.map(|decision| (decision.word, decision.estimate)));
            if let Some(decision) = here {
                let needed = decision.threshold_ln.exp() * plan.alpha;
                prop_assert!((1.0 - 1e-9..=3.0 + 1e-9).contains(&needed), "{}", needed);
                prop_assert!(decision.word == Word::Equivalent || decision.e_value_ln >= decision.threshold_ln);
            }
        }
    }
}
