//! From log ratios to a word: FASTER, SLOWER, EQUIVALENT, INCONCLUSIVE, INVALID.
//!
//! Look at a [`Test`] after every pair and stop when it says so; looking often costs nothing, since the evidence is an
//! e-process. What a word promises, whatever the noise, as long as a fair coin ordered each pair, and, where A and B differ,
//! log ratios are symmetric about their centre:
//!
//! | question | wrong with probability at most α, however often one looks |
//! |---|---|
//! | [`Question::Different`] | any word, whatever the truth |
//! | [`Question::Faster`] | "faster" when B is not, or "equivalent"; and, on its own, "slower" when B is not |
//!
//! The proof is one line: a word is said only when the interval allows nothing else, so a false word needs evidence of
//! 1/α against the true log ratio itself. [`Question::Different`] gives each side half of α.
//!
//! **Invariant**: pure and without memory: the decision is a function of the log ratios in order and the plan.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

use super::effect::{Estimate, infinite_as_null};
use super::evidence::Side;
use super::sequential::Test;
use super::sign::ln_sign_e_one_sided;

pub use super::noise::{LEARNED_PAIRS_MIN, Noise, control_noise};

/// What is asked of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Is B faster? Takes about one pair less to answer, and stops as soon as it is refuted.
    Faster,
    Different,
}

/// The evidence that is enough, as ln of one-sided e-values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bar {
    /// For the truth being below a shift.
    pub below_ln: f64,
    /// For the truth being above a shift.
    pub above_ln: f64,
    /// Of an interval between the shifts that such evidence refutes (0–1).
    pub confidence: f64,
}

impl Bar {
    pub(super) fn new(alpha: f64, question: Question) -> Self {
        let ln = question.tests_ln() - alpha.ln();
        let error = if question == Question::Faster { 2.0 * alpha } else { alpha };
        Self { below_ln: ln, above_ln: ln, confidence: (1.0 - error).max(0.0) }
    }

    pub(super) fn ln(&self, side: Side) -> f64 {
        match side {
            Side::Below => self.below_ln,
            Side::Above => self.above_ln,
        }
    }
}

impl Question {
    /// ln of the number of one-sided tests that share α.
    pub(super) fn tests_ln(self) -> f64 {
        match self {
            Self::Faster => 0.0,
            Self::Different => LN_2,
        }
    }
}

/// When to stop, fixed before the first pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TestPlan {
    /// Probability of a wrong word, 0–1; `lond::ELond::level` for a candidate of a loop.
    pub alpha: f64,
    /// Decide nothing earlier.
    pub pairs_min: usize,
    /// Budget; always ends the test.
    pub pairs_max: usize,
    /// Smallest speed-up worth having, as a fraction: 0.02 asks for B ≤ A / 1.02. 0 takes any.
    pub min_effect: f64,
    pub noise: Noise,
    pub question: Question,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Measure another pair.
    Continue,
    Decided(Decision),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub word: Word,
    pub estimate: Estimate,
    /// Natural logarithm of the evidence for the word, or against "no difference" when there is no word. For
    /// [`Question::Different`] it is half of the larger one-sided e-value, which is at most their mean.
    pub e_value_ln: f64,
    /// What would be enough: ln 1/α, more in a race; infinite for α = 0 (`null` in JSON).
    #[serde(with = "infinite_as_null")]
    pub threshold_ln: f64,
    pub decided_by: Part,
    pub stopped: Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Evidence reached, and the estimate at least `min_effect` faster.
    Faster,
    /// Evidence reached; when asked for [`Question::Different`], also at least `min_effect` slower.
    Slower,
    /// The interval lies within ± `min_effect`.
    Equivalent,
    /// None of the others; the estimate's `minimum_detectable` says what could have been seen.
    Inconclusive,
    /// A log ratio was not a finite number, or runs depend on what ran before them.
    Invalid,
}

/// The part of the evidence that reached the threshold; for no word, the larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Sign,
    Size,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    Evidence,
    /// Not even pairs of the best kind could still answer within the budget; or, asked for faster, the evidence
    /// refutes a speed-up of `min_effect`; or, in a race, an answer is improbable and others have better use for the
    /// time.
    Futility,
    Budget,
    /// The numbers were no measurements.
    BadData,
}

/// Decides after the pairs so far (ln B/A, in the order measured), as a [`Test`] that is shown each of them.
///
/// O(n); a loop that looks after every pair keeps a [`Test`] and pays O(1) for each.
#[must_use]
pub fn decide(log_ratios: &[f64], plan: &TestPlan) -> Status {
    let mut test = Test::new(*plan);
    log_ratios.iter().for_each(|&log_ratio| test.push(log_ratio));
    test.status()
}

/// Fewest pairs that can reach 1/α when all signs agree and the question is [`Question::Different`]: 8 for 0.05,
/// 11 for 0.01, 14 for 0.001. [`Question::Faster`] may need one less.
#[must_use]
pub fn pairs_needed_at_least(alpha: f64) -> usize {
    if alpha <= 0.0 {
        return usize::MAX;
    }
    // 2^n/(n+1) ≥ 1/α ends before n = 2000 for every positive f64.
    let bar = Bar::new(alpha, Question::Different);
    (0..2000).find(|&n| ln_sign_e_one_sided(n, n) >= bar.below_ln).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAN: TestPlan = TestPlan {
        alpha: 0.05,
        pairs_min: 0,
        pairs_max: 60,
        min_effect: 0.02,
        noise: Noise::Unknown,
        question: Question::Different,
    };

    /// The pairs used and the decision when looking after every pair.
    fn follow(log_ratios: &[f64], plan: &TestPlan) -> Option<(usize, Decision)> {
        (0..=log_ratios.len()).find_map(|pairs| match decide(&log_ratios[..pairs], plan) {
            Status::Decided(decision) => Some((pairs, decision)),
            Status::Continue => None,
        })
    }

    /// Spread a little, so that nothing ties.
    fn around(centre: f64, spread: f64, pairs: usize) -> Vec<f64> {
        (0..pairs).map(|i| centre + spread * (((i * 37) % 101) as f64 / 50.0 - 1.0)).collect()
    }

    #[track_caller]
    fn check(log_ratios: &[f64], plan: TestPlan, pairs: usize, word: Word, stopped: Stopped) {
        let (used, decision) = follow(log_ratios, &plan).expect("the budget ends every test");
        assert_eq!((used, decision.word, decision.stopped), (pairs, word, stopped), "{decision:?}");
    }

    #[test]
    fn fewest_pairs_of_one_mind() {
        for (alpha, pairs) in [(0.05, 8), (0.01, 11), (0.001, 14), (1.0, 2), (0.0, usize::MAX)] {
            assert_eq!(pairs_needed_at_least(alpha), pairs, "α = {alpha}");
        }
    }

    #[test]
    fn clear_cases_stop_at_the_fewest_pairs() {
        let faster = TestPlan { question: Question::Faster, ..PLAN };
        check(&around(-0.5, 0.1, 60), PLAN, 8, Word::Faster, Stopped::Evidence);
        check(&around(0.5, 0.1, 60), PLAN, 8, Word::Slower, Stopped::Evidence);
        check(&around(-0.5, 0.1, 60), faster, 7, Word::Faster, Stopped::Evidence);
        check(&around(0.5, 0.1, 60), faster, 7, Word::Slower, Stopped::Evidence);
    }

    #[test]
    fn known_noise_decides_a_big_effect_sooner_and_say_so() {
        let known = TestPlan { question: Question::Faster, noise: Noise::Known(0.1), ..PLAN };
        let (pairs, decision) = follow(&around(-0.5, 0.1, 60), &known).expect("decided");
        assert_eq!((pairs, decision.word, decision.decided_by), (5, Word::Faster, Part::Size));
        assert!(decision.estimate.high < 1.0, "{decision:?}");
    }

    #[test]
    fn pairs_min_holds_a_decision_back() {
        check(
            &around(-0.5, 0.1, 60),
            TestPlan { pairs_min: 20, ..PLAN },
            20,
            Word::Faster,
            Stopped::Evidence,
        );
        let tight = TestPlan { pairs_min: 20, pairs_max: 10, ..PLAN };
        check(&around(-0.5, 0.1, 60), tight, 10, Word::Faster, Stopped::Evidence);
    }

    #[test]
    fn a_real_effect_too_small_to_want_is_not_faster() {
        let small = around(-0.005, 0.004, 60);
        check(&small, PLAN, 8, Word::Equivalent, Stopped::Evidence);
        check(
            &small,
            TestPlan { question: Question::Faster, ..PLAN },
            7,
            Word::Equivalent,
            Stopped::Evidence,
        );
        check(&small, TestPlan { min_effect: 0.0, ..PLAN }, 8, Word::Faster, Stopped::Evidence);
    }

    #[test]
    fn alternating_noise_inside_the_margin_is_equivalent_outside_it_inconclusive() {
        let alternating =
            |size: f64| (0..60).map(|i| if i % 2 == 0 { size } else { -size }).collect::<Vec<_>>();
        check(&alternating(0.01), PLAN, 8, Word::Equivalent, Stopped::Evidence);
        check(&alternating(0.5), PLAN, 38, Word::Inconclusive, Stopped::Futility);
        check(&alternating(0.5), TestPlan { pairs_max: 7, ..PLAN }, 0, Word::Inconclusive, Stopped::Futility);
    }

    #[test]
    fn asked_for_faster_it_stops_when_the_wanted_effect_is_refuted() {
        // Half of the pairs a little slower, all short of 10 % faster; too spread to be equivalent within ± 10 %.
        let values: Vec<f64> =
            (0..60).map(|i| if i % 2 == 0 { 0.3 + 0.001 * f64::from(i) } else { -0.05 }).collect();
        let plan = TestPlan { question: Question::Faster, min_effect: 0.1, ..PLAN };
        check(&values, plan, 7, Word::Inconclusive, Stopped::Futility);
    }

    #[test]
    fn edges_of_the_plan() {
        check(&[], TestPlan { pairs_max: 0, ..PLAN }, 0, Word::Inconclusive, Stopped::Budget);
        check(&[], TestPlan { alpha: 0.0, ..PLAN }, 0, Word::Inconclusive, Stopped::Futility);
        check(
            &around(-0.5, 0.1, 60),
            TestPlan { pairs_max: usize::MAX, ..PLAN },
            8,
            Word::Faster,
            Stopped::Evidence,
        );
        check(&[0.1, f64::NAN], PLAN, 2, Word::Invalid, Stopped::BadData);
        check(&[f64::NEG_INFINITY], PLAN, 1, Word::Invalid, Stopped::BadData);
        check(&[0.0; 60], PLAN, 8, Word::Equivalent, Stopped::Evidence);
        check(&[0.0; 60], TestPlan { min_effect: 0.0, ..PLAN }, 53, Word::Inconclusive, Stopped::Futility);
    }

    #[test]
    fn decisions_survive_json_and_word_themselves_in_kebab_case() {
        let plan = TestPlan { alpha: 0.0, ..PLAN };
        let status = decide(&[], &plan);
        let json = serde_json::to_string(&status).expect("numbers serialise");
        assert_eq!(serde_json::from_str::<Status>(&json).expect("own output parses"), status);
        assert!(json.contains("\"word\":\"inconclusive\""), "{json}");
    }

    proptest! {
        #[test]
        fn every_test_ends_within_its_budget_with_a_word_that_its_interval_supports(
            values in prop::collection::vec(-1.0..1.0f64, 30),
            question in prop::sample::select(vec![Question::Faster, Question::Different]),
            noise in prop::sample::select(vec![Noise::Unknown, Noise::Known(0.05), Noise::Known(0.5), Noise::Learned]),
            min_effect in 0.0..0.5f64,
        ) {
            let plan = TestPlan { pairs_max: 30, question, noise, min_effect, ..PLAN };
            let (_, decision) = follow(&values, &plan).expect("the budget ends every test");
            let Estimate { low, high, .. } = decision.estimate;
            match decision.word {
                Word::Faster => prop_assert!(high < 1.0),
                Word::Slower => prop_assert!(low > 1.0),
                Word::Equivalent => prop_assert!(high < 1.0 + min_effect && low > 1.0 / (1.0 + min_effect)),
                Word::Inconclusive => prop_assert!(decision.stopped != Stopped::Evidence),
                Word::Invalid => prop_assert!(false, "all values are finite"),
            }
        }
    }
}
