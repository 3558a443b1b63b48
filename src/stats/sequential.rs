//! A test that is shown one pair at a time.
//!
//! A look is O(1): the evidence about no difference, and about the two margins, is kept up with every pair; the
//! estimate and its interval, O(n) and more, are computed only when asked for or when there is a word to say. All log
//! ratios are kept for that, 8 bytes a pair.
//!
//! **Invariant**: the answer is a function of the log ratios in order and the plan; looking changes nothing.

use super::decision::{Decision, Part, Question, Status, Stopped, TestPlan, Word};
use super::effect::{EXACT_PAIRS_MAX, Estimate, centre, estimate_scaled, refutes};
use super::evidence::{Evidence, Side, Weigher, weigh};
use super::forecast::Forecast;
use super::noise::{LEARNED_PAIRS_MIN, Noise, Scales};
use super::summary::{MAD_TO_SIGMA, mad};

/// The pairs so far of one comparison.
#[derive(Debug, Clone)]
pub struct Test {
    plan: TestPlan,
    log_ratios: Vec<f64>,
    scales: Scales,
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
        let scales = Scales::new(plan.noise);
        let about = |shift| Weigher::new(shift, scales.are_bet_on());
        let margin = margin(&plan);
        let (none, slower, faster) = (about(0.0), about(margin), about(-margin));
        Self { plan, log_ratios: Vec::new(), scales, none, slower, faster, bad: false }
    }

    /// Adds the ln B/A of the next pair. One that is not finite is no measurement: it ends the test.
    pub fn push(&mut self, log_ratio: f64) {
        if !log_ratio.is_finite() {
            self.bad = true;
            return;
        }
        let scale = self.scales.current();
        for weigher in [&mut self.none, &mut self.slower, &mut self.faster] {
            weigher.push(log_ratio, scale);
        }
        self.log_ratios.push(log_ratio);
        self.scales.learn(&self.log_ratios);
    }

    /// Pairs with a finite log ratio.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.log_ratios.len()
    }

    #[must_use]
    pub fn plan(&self) -> &TestPlan {
        &self.plan
    }

    /// What is known of the effect now; [`Estimate::unknown`] without pairs. O(n log n).
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let TestPlan { alpha, question, .. } = self.plan;
        let Some(mut estimate) = estimate_scaled(&self.log_ratios, &self.scales, alpha, question) else {
            return Estimate::unknown();
        };
        // A rounded interval must not doubt what the evidence itself has refuted.
        if self.pairs() > EXACT_PAIRS_MAX {
            for weigher in [&self.none, &self.slower, &self.faster] {
                if self.refutes(weigher, Side::Below) {
                    estimate.high = estimate.high.min(weigher.shift().exp());
                }
                if self.refutes(weigher, Side::Above) {
                    estimate.low = estimate.low.max(weigher.shift().exp());
                }
            }
        }
        estimate
    }

    /// The decision after the pairs so far. O(1) while it says [`Status::Continue`], bar the centre of up to
    /// [`EXACT_PAIRS_MAX`] pairs where only the size of the effect is in doubt.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.bad {
            let evidence = weigh(&self.log_ratios, 0.0, Side::Either, Noise::Unknown);
            return Status::Decided(self.close(Word::Invalid, Stopped::BadData, evidence));
        }
        let spent = self.pairs() >= self.plan.pairs_max;
        if self.pairs() < self.plan.pairs_min && !spent {
            return Status::Continue;
        }
        if let Some((word, evidence)) = self.word() {
            return Status::Decided(self.close(word, Stopped::Evidence, evidence));
        }
        let stopped = match (spent, self.is_futile()) {
            (true, _) => Stopped::Budget,
            (false, true) => Stopped::Futility,
            (false, false) => return Status::Continue,
        };
        let evidence = self.none.evidence(self.plan.question.side(Side::Below));
        Status::Decided(self.close(Word::Inconclusive, stopped, evidence))
    }

    /// The decision when no more pairs are to come, for a reason that this test does not know of.
    #[must_use]
    pub fn end(&self) -> Decision {
        match self.status() {
            Status::Decided(decision) => decision,
            Status::Continue => {
                let evidence = self.none.evidence(self.plan.question.side(Side::Below));
                self.close(Word::Inconclusive, Stopped::Budget, evidence)
            }
        }
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
        let (upward, sides) = match self.plan.question {
            Question::Faster => (centre > margin, 1.0),
            Question::Different => (centre > 0.0, 2.0),
        };
        let [below, above] = self.none.counts();
        let forecast = Forecast {
            agreeing: if upward { above } else { below },
            signs: below + above,
            sizes: self.none.sizes(upward),
            upward,
            effect: centre.abs().max(margin),
            noise,
            scale: self.scales.current().unwrap_or(noise),
            // For either side the evidence is half of that for one, when the other side's is lost.
            threshold_ln: self.threshold_ln() + f64::ln(sides),
        };
        let missing = self.plan.pairs_min.saturating_sub(self.pairs());
        forecast.pairs().map(|pairs| pairs.max(missing))
    }

    /// Standard deviation of a log ratio: as seen once there are enough to see it, before as planned.
    fn noise(&self) -> Option<f64> {
        let seen = || mad(&self.log_ratios).map(|mad| mad * MAD_TO_SIGMA).filter(|&noise| noise > 0.0);
        let planned = || self.scales.current();
        if self.pairs() >= LEARNED_PAIRS_MIN { seen().or_else(planned) } else { planned() }
    }

    fn word(&self) -> Option<(Word, Evidence)> {
        let sided = match self.plan.question {
            Question::Faster => self.faster_or_slower(),
            Question::Different => self.different(),
        };
        sided.or_else(|| self.equivalent())
    }

    fn faster_or_slower(&self) -> Option<(Word, Evidence)> {
        let threshold_ln = self.threshold_ln();
        if self.none.reaches(Side::Below, threshold_ln) && self.centre_is_beyond(Side::Below) {
            return Some((Word::Faster, self.none.evidence(Side::Below)));
        }
        self.none.reaches(Side::Above, threshold_ln).then(|| (Word::Slower, self.none.evidence(Side::Above)))
    }

    fn different(&self) -> Option<(Word, Evidence)> {
        if !self.none.reaches(Side::Either, self.threshold_ln()) {
            return None;
        }
        let word = if self.centre_is_beyond(Side::Below) {
            Word::Faster
        } else if self.centre_is_beyond(Side::Above) {
            Word::Slower
        } else {
            return None;
        };
        Some((word, self.none.evidence(Side::Either)))
    }

    fn equivalent(&self) -> Option<(Word, Evidence)> {
        let within = self.plan.min_effect > 0.0
            && self.refutes(&self.slower, Side::Below)
            && self.refutes(&self.faster, Side::Above);
        within.then(|| {
            let question = self.plan.question;
            let below = self.slower.evidence(question.side(Side::Below));
            let above = self.faster.evidence(question.side(Side::Above));
            (Word::Equivalent, if below.ln <= above.ln { below } else { above })
        })
    }

    fn is_futile(&self) -> bool {
        let remaining = (self.plan.pairs_max - self.pairs()).min(FUTILITY_HORIZON_PAIRS);
        let side = self.plan.question.side(Side::Below);
        let too_small = self.plan.question == Question::Faster && self.refutes(&self.faster, Side::Above);
        too_small || !self.none.reaches_at_best(side, remaining, self.threshold_ln())
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
        refutes(weigher, truth, self.plan.alpha, self.plan.question)
    }

    fn threshold_ln(&self) -> f64 {
        -self.plan.alpha.ln()
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

/// The log ratio of an effect just worth having.
fn margin(plan: &TestPlan) -> f64 {
    plan.min_effect.ln_1p()
}

/// So many agreeing pairs overcome any history that a session can have, and keep the sums of the evidence short.
const FUTILITY_HORIZON_PAIRS: usize = 100_000;
