//! From log ratios to a word: FASTER, SLOWER, EQUIVALENT, INCONCLUSIVE, INVALID.
//!
//! Call [`decide`] with all log ratios after every pair and stop when it says so; looking often costs nothing, since
//! the evidence is an e-process. What a word promises, whatever the noise, as long as a fair coin ordered each pair:
//!
//! | question | wrong with probability at most α, however often one looks |
//! |---|---|
//! | [`Question::Different`] | "faster or slower" when the arms are the same |
//! | [`Question::Faster`] | "faster" when B is not; and, on its own, "slower" when B is not |
//!
//! **Invariant**: pure and without memory: the decision is a function of the log ratios in order and the plan.

use serde::{Deserialize, Serialize};

use super::effect::{Estimate, estimate, infinite_as_null, refutes};
use super::evidence::{Evidence, Side, ln_sign_e, weigh, weigh_best_case};
use super::summary::hodges_lehmann;

pub use super::control::{Health, NOISE_PAIRS_MIN, NullControl, null_control};

/// What is asked of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Is B faster? Takes about one pair less to answer, and stops as soon as it is refuted.
    Faster,
    Different,
}

impl Question {
    /// The side on which this question's evidence bets when it speaks for `truth`.
    pub(super) fn side(self, truth: Side) -> Side {
        match self {
            Self::Faster => truth,
            Self::Different => Side::Either,
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
    /// The standard deviation of a log ratio, from the null control and fixed before the first pair
    /// ([`NullControl::noise`]); without it only signs count, and an answer takes a quarter to a third more pairs.
    pub noise: Option<f64>,
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
    /// Natural logarithm of the evidence for the word, or against "no difference" when there is no word.
    pub e_value_ln: f64,
    /// ln 1/α; infinite for α = 0 (`null` in JSON).
    #[serde(with = "infinite_as_null")]
    pub threshold_ln: f64,
    pub decided_by: Part,
    pub stopped: Stopped,
}

impl Decision {
    /// Voids the decision when the session's null control found a difference where none is.
    #[must_use]
    pub fn checked_against(self, control: &NullControl) -> Self {
        let word = if control.health == Health::Biased { Word::Invalid } else { self.word };
        Self { word, ..self }
    }
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
    /// A log ratio was not a finite number, or the null control was biased.
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
    /// refutes a speed-up of `min_effect`.
    Futility,
    Budget,
    /// The numbers were no measurements.
    BadData,
}

/// Decides after the pairs so far (ln B/A, in the order measured).
///
/// O(n) while it says [`Status::Continue`], O(n log n) at the end or where only the size of the effect is in doubt.
#[must_use]
pub fn decide(log_ratios: &[f64], plan: &TestPlan) -> Status {
    if !log_ratios.iter().all(|value| value.is_finite()) {
        return Status::Decided(invalid(log_ratios, plan));
    }
    let pairs = log_ratios.len();
    let spent = pairs >= plan.pairs_max;
    if pairs < plan.pairs_min && !spent {
        return Status::Continue;
    }
    let case = Case { log_ratios, plan };
    if let Some((word, evidence)) = case.word() {
        return Status::Decided(case.close(word, Stopped::Evidence, evidence));
    }
    let stopped = match (spent, case.is_futile()) {
        (true, _) => Stopped::Budget,
        (false, true) => Stopped::Futility,
        (false, false) => return Status::Continue,
    };
    let evidence = weigh(log_ratios, 0.0, plan.question.side(Side::Below), plan.noise);
    Status::Decided(case.close(Word::Inconclusive, stopped, evidence))
}

/// Fewest pairs that can reach 1/α when all signs agree and the question is [`Question::Different`]: 8 for 0.05,
/// 11 for 0.01, 14 for 0.001. [`Question::Faster`] may need one less.
#[must_use]
pub fn pairs_needed_at_least(alpha: f64) -> usize {
    if alpha <= 0.0 {
        return usize::MAX;
    }
    // 2^n/(n+1) ≥ 1/α ends before n = 2000 for every positive f64.
    (0..2000).find(|&n| ln_sign_e(n, n) >= -alpha.ln()).unwrap_or(usize::MAX)
}

/// So many agreeing pairs overcome any history that a session can have, and keep the sums of the evidence short.
const FUTILITY_HORIZON_PAIRS: usize = 100_000;

/// One session's test at one moment.
struct Case<'a> {
    log_ratios: &'a [f64],
    plan: &'a TestPlan,
}

impl Case<'_> {
    fn word(&self) -> Option<(Word, Evidence)> {
        let sided = match self.plan.question {
            Question::Faster => self.faster_or_slower(),
            Question::Different => self.different(),
        };
        sided.or_else(|| self.equivalent())
    }

    fn faster_or_slower(&self) -> Option<(Word, Evidence)> {
        let faster = self.weigh(0.0, Side::Below);
        if self.is_enough(faster) && self.centre() <= -self.margin() {
            return Some((Word::Faster, faster));
        }
        let slower = self.weigh(0.0, Side::Above);
        self.is_enough(slower).then_some((Word::Slower, slower))
    }

    fn different(&self) -> Option<(Word, Evidence)> {
        let different = self.weigh(0.0, Side::Either);
        if !self.is_enough(different) {
            return None;
        }
        let centre = self.centre();
        let word = if centre < 0.0 { Word::Faster } else { Word::Slower };
        (centre != 0.0 && centre.abs() >= self.margin()).then_some((word, different))
    }

    fn equivalent(&self) -> Option<(Word, Evidence)> {
        let within = self.margin() > 0.0
            && self.refutes(self.margin(), Side::Below)
            && self.refutes(-self.margin(), Side::Above);
        within.then(|| {
            let question = self.plan.question;
            let below = self.weigh(self.margin(), question.side(Side::Below));
            let above = self.weigh(-self.margin(), question.side(Side::Above));
            (Word::Equivalent, if below.ln <= above.ln { below } else { above })
        })
    }

    fn is_futile(&self) -> bool {
        let remaining = (self.plan.pairs_max - self.log_ratios.len()).min(FUTILITY_HORIZON_PAIRS);
        let side = self.plan.question.side(Side::Below);
        let too_small = self.plan.question == Question::Faster && self.refutes(-self.margin(), Side::Above);
        too_small || !self.is_enough(weigh_best_case(self.log_ratios, remaining, side, self.plan.noise))
    }

    /// The log ratio of an effect just worth having.
    fn margin(&self) -> f64 {
        self.plan.min_effect.ln_1p()
    }

    fn threshold_ln(&self) -> f64 {
        -self.plan.alpha.ln()
    }

    fn is_enough(&self, evidence: Evidence) -> bool {
        evidence.ln >= self.threshold_ln()
    }

    fn weigh(&self, shift: f64, side: Side) -> Evidence {
        weigh(self.log_ratios, shift, side, self.plan.noise)
    }

    fn refutes(&self, shift: f64, truth: Side) -> bool {
        let TestPlan { alpha, question, noise, .. } = *self.plan;
        refutes(self.log_ratios, shift, truth, alpha, question, noise)
    }

    fn estimate(&self) -> Estimate {
        let TestPlan { alpha, question, noise, .. } = *self.plan;
        estimate(self.log_ratios, alpha, question, noise).unwrap_or_else(Estimate::unknown)
    }

    /// The estimate without its interval, to look at after every pair.
    fn centre(&self) -> f64 {
        hodges_lehmann(self.log_ratios).unwrap_or(0.0)
    }

    fn close(&self, word: Word, stopped: Stopped, evidence: Evidence) -> Decision {
        let threshold_ln = self.threshold_ln();
        let decided_by = match evidence.size_ln {
            Some(size_ln) if size_ln.min(evidence.sign_ln) >= threshold_ln => Part::Both,
            Some(size_ln) if size_ln > evidence.sign_ln => Part::Size,
            _ => Part::Sign,
        };
        let estimate = self.estimate();
        Decision { word, estimate, e_value_ln: evidence.ln, threshold_ln, decided_by, stopped }
    }
}

fn invalid(log_ratios: &[f64], plan: &TestPlan) -> Decision {
    let finite: Vec<f64> = log_ratios.iter().copied().filter(|value| value.is_finite()).collect();
    let case = Case { log_ratios: &finite, plan };
    case.close(Word::Invalid, Stopped::BadData, weigh(&finite, 0.0, Side::Either, None))
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
        noise: None,
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
        for (alpha, pairs) in [(0.05, 8), (0.01, 11), (0.001, 14), (1.0, 0), (0.0, usize::MAX)] {
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
        let known = TestPlan { question: Question::Faster, noise: Some(0.1), ..PLAN };
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

    #[test]
    fn a_biased_control_voids_a_decision() {
        let (_, decision) = follow(&around(-0.5, 0.1, 60), &PLAN).expect("decided");
        let biased = null_control(&around(0.2, 0.05, 10), 0.05);
        assert_eq!(decision.checked_against(&biased).word, Word::Invalid);
        assert_eq!(decision.checked_against(&null_control(&[], 0.05)), decision);
    }

    proptest! {
        #[test]
        fn every_test_ends_within_its_budget_with_a_word_that_its_interval_supports(
            values in prop::collection::vec(-1.0..1.0f64, 30),
            question in prop::sample::select(vec![Question::Faster, Question::Different]),
            noise in prop::sample::select(vec![None, Some(0.05), Some(0.5)]),
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
