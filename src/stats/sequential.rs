//! A test that is shown one pair at a time.
//!
//! A look is O(1): the evidence about no difference, and about the two margins, is kept up with every pair; the
//! estimate and its interval, O(n) and more, are computed only when asked for or when there is a word to say. Memory is
//! bounded: log ratios are counted in buckets beyond [`EXACT_PAIRS_MAX`] of them.
//!
//! **Invariant**: the answer is a function of the log ratios in order and the plan; looking changes nothing.

use super::decision::{Bar, Decision, Part, Question, Status, Stopped, TestPlan, Word};
use super::effect::{EXACT_PAIRS_MAX, Estimate, centre, estimate_of, refutes};
use super::evidence::{Evidence, Side, Weigher};
use super::forecast::{Forecast, effect_seen};
use super::log_ratios::LogRatios;
use super::noise::LEARNED_PAIRS_MIN;
use super::summary::MAD_TO_SIGMA;

/// The pairs so far of one comparison.
#[derive(Debug, Clone)]
pub struct Test {
    plan: TestPlan,
    /// As the plan asks, or as the race does that the test is part of.
    bar: Bar,
    log_ratios: LogRatios,
    /// About no difference.
    none: Weigher,
    /// About B slower by just the margin.
    slower: Weigher,
    /// About B faster by just the margin.
    faster: Weigher,
    /// A log ratio was not finite.
    bad: bool,
}

impl Test {
    #[must_use]
    pub fn new(plan: TestPlan) -> Self {
        let log_ratios = LogRatios::new(plan.noise);
        let about = |shift| Weigher::new(shift, log_ratios.scales().are_bet_on());
        let margin = margin(&plan);
        let (none, slower, faster) = (about(0.0), about(margin), about(-margin));
        let bar = Bar::new(plan.alpha, plan.question);
        Self { plan, bar, none, slower, faster, log_ratios, bad: false }
    }

    /// Adds the ln B/A of the next pair. One that is not finite is no measurement: it ends the test.
    pub fn push(&mut self, log_ratio: f64) {
        self.push_cut(log_ratio, &[]);
    }

    /// As [`Self::push`], of a pair whose values were both cut at the same limit, which one of them (or both) exceeds:
    /// how far beyond `log_ratio` the true one lies on these sides is not known.
    ///
    /// About no difference the cut value is as good as the true one, since both sides are cut alike. About any other
    /// effect it is taken for the least favourable one.
    pub fn push_cut(&mut self, log_ratio: f64, beyond: &[Side]) {
        if !log_ratio.is_finite() {
            self.bad = true;
            return;
        }
        let scale = self.log_ratios.scales().current();
        let at_worst = |side, worst| if beyond.contains(&side) { worst } else { log_ratio };
        self.none.push(log_ratio, scale);
        self.slower.push(at_worst(Side::Above, f64::INFINITY), scale);
        self.faster.push(at_worst(Side::Below, f64::NEG_INFINITY), scale);
        self.log_ratios.push_cut(log_ratio, beyond);
    }

    /// Whether the pairs cannot bound the effect on a side because values were cut there: the estimate is then no more
    /// than a bound itself.
    #[must_use]
    pub fn is_cut_off(&self, side: Side) -> bool {
        let estimate = self.estimate();
        let unbounded =
            if side == Side::Above { estimate.high == f64::INFINITY } else { estimate.low <= 0.0 };
        unbounded && self.log_ratios.is_cut(side)
    }

    /// Pairs with a finite log ratio.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.log_ratios.pairs()
    }

    #[must_use]
    pub fn plan(&self) -> &TestPlan {
        &self.plan
    }

    /// What is known of the effect now; [`Estimate::unknown`] without pairs. O(n log n).
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let Some(mut estimate) = estimate_of(&self.log_ratios, self.bar) else {
            return Estimate::unknown();
        };
        // Not even by rounding may the interval doubt what the evidence itself has refuted.
        for weigher in [&self.none, &self.slower, &self.faster] {
            if self.refutes(weigher, Side::Below) {
                estimate.high = estimate.high.min(weigher.shift().exp());
            }
            if self.refutes(weigher, Side::Above) {
                estimate.low = estimate.low.max(weigher.shift().exp());
            }
        }
        estimate.ratio = estimate.ratio.clamp(estimate.low, estimate.high);
        estimate
    }

    /// The decision after the pairs so far. O(1) while it says [`Status::Continue`], bar the centre of up to
    /// [`EXACT_PAIRS_MAX`] pairs where only the size of the effect is in doubt.
    #[must_use]
    pub fn status(&self) -> Status {
        self.answer().map_or(Status::Continue, |answer| Status::Decided(self.close(answer)))
    }

    /// [`Self::status`] without the estimate.
    pub(super) fn answer(&self) -> Option<Answer> {
        if self.bad {
            return Some(self.no_word(Word::Invalid, Stopped::BadData));
        }
        let spent = self.pairs() >= self.plan.pairs_max;
        if self.pairs() < self.plan.pairs_min && !spent {
            return None;
        }
        if let Some((word, grounds)) = self.word() {
            return Some(Answer { word, stopped: Stopped::Evidence, grounds });
        }
        if spent {
            return Some(self.no_word(Word::Inconclusive, Stopped::Budget));
        }
        self.is_futile().then(|| self.no_word(Word::Inconclusive, Stopped::Futility))
    }

    /// The decision when no more pairs are to come, for a reason that this test does not know of.
    #[must_use]
    pub fn end(&self) -> Decision {
        let budget = || self.no_word(Word::Inconclusive, Stopped::Budget);
        self.close(self.answer().unwrap_or_else(budget))
    }

    /// Pairs beyond those made after which there will probably (in about 80 of 100 sessions of normal noise) be
    /// evidence enough for an effect of the plan's `min_effect`, or of the present estimate where that is larger; 0
    /// where there is enough, `None` where the noise is not known yet or an answer is out of reach. O(n log n).
    ///
    /// The budget plays no part: more than `pairs_max` allows says that it is too small.
    #[must_use]
    pub fn pairs_still_needed(&self) -> Option<usize> {
        let noise = self.noise().filter(|_| !self.bad)?;
        let centre = centre(&self.log_ratios).unwrap_or(0.0);
        let margin = margin(&self.plan);
        let upward = match self.plan.question {
            Question::Faster => centre > margin,
            Question::Different => centre > 0.0,
        };
        let side = if upward { Side::Above } else { Side::Below };
        let forecast = self.forecast(&self.none, side, centre.abs().max(margin), noise);
        let missing = self.plan.pairs_min.saturating_sub(self.pairs());
        forecast.pairs().map(|pairs| pairs.max(missing))
    }

    /// The smallest effect (a fraction) that so many pairs of this noise show in at least 80 of 100 sessions, with the
    /// evidence asked for; at least the plan's `min_effect`. `None` where so few pairs can show nothing at all.
    #[must_use]
    pub fn minimum_detectable(&self) -> Option<f64> {
        let threshold_ln = self.bar.below_ln.max(self.bar.above_ln);
        let sigmas = effect_seen(self.pairs(), threshold_ln)?;
        let noise = self.log_ratios.mad()? * MAD_TO_SIGMA;
        Some((sigmas * noise).exp_m1().max(self.plan.min_effect))
    }

    /// Whether some word is still within reach of a lucky session of `pairs_left` more pairs at most, if the effect is
    /// the most favourable one that the pairs so far make plausible. Never hopeless before there is noise to go by, and
    /// before `pairs_min`.
    pub(super) fn has_hope(&self, pairs_left: usize) -> bool {
        let step = (self.pairs() / HOPE_LOOKS).next_power_of_two();
        if self.pairs() < HOPE_PAIRS_MIN.max(self.plan.pairs_min) || !self.pairs().is_multiple_of(step) {
            return true;
        }
        let Some((noise, median)) = self.noise().zip(self.log_ratios.median()) else {
            return true;
        };
        let left = pairs_left.min(self.pairs_left());
        let doubt = PLAUSIBLE_SIGMAS * noise / (self.pairs() as f64).sqrt();
        let margin = margin(&self.plan);
        let reaches = |weigher: &Weigher, side: Side| {
            let toward =
                if side == Side::Below { weigher.shift() - median } else { median - weigher.shift() };
            self.forecast(weigher, side, toward + doubt, noise).is_within_reach(left)
        };
        let is_large_enough = |toward: f64| toward + doubt >= margin;
        is_large_enough(-median) && reaches(&self.none, Side::Below)
            || is_large_enough(median) && reaches(&self.none, Side::Above)
            || margin > 0.0 && reaches(&self.slower, Side::Below) && reaches(&self.faster, Side::Above)
    }

    /// How the evidence of a weigher will go on if log ratios lie `effect` beyond its shift.
    fn forecast(&self, weigher: &Weigher, side: Side, effect: f64, noise: f64) -> Forecast {
        let upward = side == Side::Above;
        let [below, above] = weigher.counts();
        Forecast {
            agreeing: if upward { above } else { below },
            signs: below + above,
            sizes: weigher.sizes(upward),
            upward,
            effect,
            noise,
            scale: self.log_ratios.scales().current().unwrap_or(noise),
            threshold_ln: self.bar.ln(side),
        }
    }

    /// Asks for other evidence than the plan does.
    pub(super) fn set_bar(&mut self, bar: Bar) {
        self.bar = bar;
    }

    /// The share of e^`enough_ln` that the evidence against no difference lacks on a side, 0–1.
    ///
    /// All of it where it is little, or where the evidence is a long sum, of very many pairs.
    pub(super) fn missing(&self, side: Side, enough_ln: f64) -> f64 {
        if self.none.ln_most() < enough_ln - LITTLE_LN {
            return 1.0;
        }
        if self.pairs() <= EXACT_PAIRS_MAX {
            return (1.0 - (self.none.evidence(side).ln - enough_ln).exp()).max(0.0);
        }
        if self.none.reaches(side, enough_ln) { 0.0 } else { 1.0 }
    }

    /// Standard deviation of a log ratio: as seen once there are enough to see it, before as planned.
    fn noise(&self) -> Option<f64> {
        let seen = || self.log_ratios.mad().map(|mad| mad * MAD_TO_SIGMA).filter(|&noise| noise > 0.0);
        let planned = || self.log_ratios.scales().current();
        if self.pairs() >= LEARNED_PAIRS_MIN { seen().or_else(planned) } else { planned() }
    }

    fn word(&self) -> Option<(Word, Grounds)> {
        let is_slow_enough = || self.plan.question == Question::Faster || self.centre_is_beyond(Side::Above);
        if self.refutes(&self.none, Side::Below) && self.centre_is_beyond(Side::Below) {
            Some((Word::Faster, self.grounds(&self.none, Side::Below)))
        } else if self.refutes(&self.none, Side::Above) && is_slow_enough() {
            Some((Word::Slower, self.grounds(&self.none, Side::Above)))
        } else {
            self.equivalent()
        }
    }

    fn equivalent(&self) -> Option<(Word, Grounds)> {
        let within = self.plan.min_effect > 0.0
            && self.refutes(&self.slower, Side::Below)
            && self.refutes(&self.faster, Side::Above);
        within.then(|| {
            let below = self.grounds(&self.slower, Side::Below);
            let above = self.grounds(&self.faster, Side::Above);
            (Word::Equivalent, if below.surplus_ln() <= above.surplus_ln() { below } else { above })
        })
    }

    fn is_futile(&self) -> bool {
        let remaining = self.pairs_left();
        let enough_ln = Bar::new(self.plan.alpha, self.plan.question).below_ln;
        let out_of_reach = |side| !self.none.reaches_at_best(side, remaining, enough_ln);
        match self.plan.question {
            Question::Faster => self.refutes(&self.faster, Side::Above) || out_of_reach(Side::Below),
            Question::Different => {
                out_of_reach(Side::Below)
                    && out_of_reach(Side::Above)
                    && !self.equivalent_is_within_reach(remaining, enough_ln)
            }
        }
    }

    /// Whether so many more pairs, each as good as a pair can be for both margins at once, could show that the effect
    /// is within them.
    fn equivalent_is_within_reach(&self, remaining: usize, enough_ln: f64) -> bool {
        self.plan.min_effect > 0.0
            && self.slower.reaches_at_best(Side::Below, remaining, enough_ln)
            && self.faster.reaches_at_best(Side::Above, remaining, enough_ln)
    }

    /// Pairs until the budget is spent, as far as one need look.
    fn pairs_left(&self) -> usize {
        self.plan.pairs_max.saturating_sub(self.pairs()).min(FUTILITY_HORIZON_PAIRS)
    }

    /// Whether the estimate lies on a side of no difference by at least the margin.
    ///
    /// Of many pairs the centre is the median: it does if more than half of the pairs do.
    fn centre_is_beyond(&self, side: Side) -> bool {
        let margin = margin(&self.plan);
        if self.pairs() <= EXACT_PAIRS_MAX {
            let centre = centre(&self.log_ratios).unwrap_or(0.0);
            let toward = if side == Side::Below { -centre } else { centre };
            return toward > 0.0 && toward >= margin;
        }
        let strictly = margin <= 0.0;
        let [below, above] = match side {
            Side::Below => self.faster.counts(),
            _ => self.slower.counts(),
        };
        let (agreeing, opposing) = if side == Side::Below { (below, above) } else { (above, below) };
        let beyond = if strictly { agreeing } else { self.pairs() - opposing };
        2 * beyond > self.pairs()
    }

    fn refutes(&self, weigher: &Weigher, truth: Side) -> bool {
        refutes(weigher, truth, self.bar.ln(truth))
    }

    fn grounds(&self, weigher: &Weigher, side: Side) -> Grounds {
        Grounds { evidence: weigher.evidence(side), enough_ln: self.bar.ln(side) }
    }

    /// With what speaks against no difference.
    fn no_word(&self, word: Word, stopped: Stopped) -> Answer {
        let [below, above] = [Side::Below, Side::Above].map(|side| self.grounds(&self.none, side));
        let faster = self.plan.question == Question::Faster || below.surplus_ln() >= above.surplus_ln();
        Answer { word, stopped, grounds: if faster { below } else { above } }
    }

    fn close(&self, answer: Answer) -> Decision {
        let Answer { word, stopped, grounds: Grounds { evidence, enough_ln } } = answer;
        let decided_by = match evidence.size_ln {
            Some(size_ln) if size_ln.min(evidence.sign_ln) >= enough_ln => Part::Both,
            Some(size_ln) if size_ln > evidence.sign_ln => Part::Size,
            _ => Part::Sign,
        };
        let tests_ln = self.plan.question.tests_ln();
        Decision {
            word,
            estimate: self.estimate(),
            e_value_ln: evidence.ln - tests_ln,
            threshold_ln: enough_ln - tests_ln,
            decided_by,
            stopped,
        }
    }
}

/// The end of a test.
pub(super) struct Answer {
    pub word: Word,
    pub stopped: Stopped,
    grounds: Grounds,
}

/// One-sided evidence, and how much of it is enough.
struct Grounds {
    evidence: Evidence,
    enough_ln: f64,
}

impl Grounds {
    fn surplus_ln(&self) -> f64 {
        self.evidence.ln - self.enough_ln
    }
}

/// ln of a factor by which evidence is short when it is not worth the sum.
const LITTLE_LN: f64 = 2.0;

/// The log ratio of an effect just worth having.
fn margin(plan: &TestPlan) -> f64 {
    plan.min_effect.ln_1p()
}

/// Fewest pairs to lose hope after.
const HOPE_PAIRS_MIN: usize = 12;

/// Hope is looked for about so often while the number of pairs doubles: it fades slowly and costs more than a look at
/// the evidence.
const HOPE_LOOKS: usize = 6;

/// An effect further from the median than so many standard errors of it (1.25 σ/√n for normal noise) is not plausible.
const PLAUSIBLE_SIGMAS: f64 = 2.0 * 1.25;

/// So many agreeing pairs overcome any history that a session can have, and keep the sums of the evidence short.
const FUTILITY_HORIZON_PAIRS: usize = 100_000;

#[cfg(test)]
mod tests;
