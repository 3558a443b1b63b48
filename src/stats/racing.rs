//! Several arms against one reference: who goes on being measured, and how sure each word must be.
//!
//! In a round the reference and every arm that stays run once, in random order, so each arm makes a pair with the
//! reference. An arm that is answered, or without hope of it within the rounds that are left, is out: further rounds
//! are all for the others.
//!
//! Many comparisons are many chances to be wrong. The promise is about all words together: **a false one among them
//! has probability at most α** (2α when asked for [`Question::Faster`](super::decision::Question::Faster), α for each
//! side), whatever the arms have in common and whenever one looks. Bonferroni would ask each arm for k times the
//! evidence c that one alone needs. Here an arm needs
//!
//! > c + Σ over the other arms j of max(0, c − e_j),
//!
//! where e_j is the evidence of arm j for the same side, as it stands or stood when it went out. That is closed
//! testing with the mean as the merging function (Vovk & Wang 2021, "E-values: calibration, combination and
//! applications", Ann. Stat. 49, algorithm 1): the arm's evidence averages to c over every set of arms that it is
//! in. It is never more than Bonferroni's k·c; c is enough for the last arm after all others were found faster, and
//! for all of them when they are found so at once. In the set of all arms for which a side is not true the mean is an
//! e-process, so Ville's inequality holds for the first false word. "Equivalent" is two such words, with the evidence
//! about the margins.
//!
//! An interval is drawn with the same evidence as the arm's word, so that both agree. Each interval by itself holds
//! with its confidence; all of them together only as long as none has needed less than k·c.
//!
//! **Invariant**: who stays depends on the values of finished rounds only, never on the round that is to come, nor on
//! the order of the arms.

use super::decision::{Bar, Decision, Stopped, TestPlan};
use super::evidence::Side;
use super::sequential::Test;

/// Arms that are compared with one reference.
#[derive(Debug, Clone)]
pub struct Race {
    /// What each of them would need if it were the only one.
    alone: Bar,
    arms: Vec<Arm>,
}

#[derive(Debug, Clone)]
struct Arm {
    test: Test,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Staying,
    /// Its test and what it needed stay as they were.
    Out,
    /// Out as hopeless.
    GivenUp,
    /// It never ran, so nothing false can be said of it.
    Withdrawn,
}

impl Race {
    /// A race of `arms` arms. `plan` is what each of them is asked; its α is that of all words together.
    #[must_use]
    pub fn new(arms: usize, plan: TestPlan) -> Self {
        let arm = Arm { test: Test::new(plan), place: Place::Staying };
        let mut race = Self { alone: Bar::new(plan.alpha, plan.question), arms: vec![arm; arms] };
        race.set_bars();
        race
    }

    /// Adds the ln of arm/reference of one round; of an arm that is out it is not looked at.
    ///
    /// # Panics
    /// When there is no such arm.
    pub fn push(&mut self, arm: usize, log_ratio: f64) {
        self.push_cut(arm, log_ratio, &[]);
    }

    /// As [`Self::push`], of values that were cut: see [`Test::push_cut`].
    ///
    /// # Panics
    /// When there is no such arm.
    pub fn push_cut(&mut self, arm: usize, log_ratio: f64, beyond: &[Side]) {
        if self.stays(arm) {
            self.arms[arm].test.push_cut(log_ratio, beyond);
        }
    }

    /// Ends a round, of which `rounds_left` more at most are to come as far as is known: arms whose question is
    /// answered are out, and so are those without hope of an answer while another one has it.
    ///
    /// To be called after all pushes of a round, and once before the first, where a budget may be too small for any
    /// answer.
    pub fn settle(&mut self, rounds_left: usize) {
        self.set_bars();
        for arm in self.arms.iter_mut().filter(|arm| arm.stays() && arm.test.answer().is_some()) {
            arm.place = Place::Out;
        }
        if self.staying().nth(1).is_none() {
            return;
        }
        let staying = self.arms.iter_mut().filter(|arm| arm.stays());
        let (hopeful, hopeless): (Vec<_>, Vec<_>) = staying.partition(|arm| arm.test.has_hope(rounds_left));
        if !hopeful.is_empty() {
            hopeless.into_iter().for_each(|arm| arm.place = Place::GivenUp);
        }
    }

    /// The arms to be measured in the next round, in ascending order.
    pub fn staying(&self) -> impl Iterator<Item = usize> {
        (0..self.arms.len()).filter(|&arm| self.stays(arm))
    }

    #[must_use]
    pub fn stays(&self, arm: usize) -> bool {
        self.arms.get(arm).is_some_and(Arm::stays)
    }

    /// Takes an arm out that is not measured at all, as for a program known to be the same: it leaves its share of the
    /// error to the others. One that was measured stays.
    pub fn withdraw(&mut self, arm: usize) {
        if let Some(arm) = self.arms.get_mut(arm).filter(|arm| arm.stays() && arm.test.pairs() == 0) {
            arm.place = Place::Withdrawn;
        }
        self.set_bars();
    }

    /// The pairs of an arm so far.
    ///
    /// # Panics
    /// When there is no such arm.
    #[must_use]
    pub fn test(&self, arm: usize) -> &Test {
        &self.arms[arm].test
    }

    /// What is to be said of an arm since it went out; absent while it stays, and of one that was withdrawn.
    /// [`Stopped::Budget`](super::decision::Stopped::Budget) where the race was ended before. O(n log n).
    #[must_use]
    pub fn decision(&self, arm: usize) -> Option<Decision> {
        let arm = self.arms.get(arm)?;
        match arm.place {
            Place::Staying | Place::Withdrawn => None,
            Place::Out => Some(arm.test.end()),
            Place::GivenUp => Some(Decision { stopped: Stopped::Futility, ..arm.test.end() }),
        }
    }

    /// Ends the race where no more rounds are to come, for a reason that it does not know of.
    pub fn end(&mut self) {
        self.set_bars();
        for arm in self.arms.iter_mut().filter(|arm| arm.stays()) {
            arm.place = Place::Out;
        }
    }

    /// Tells each staying arm what evidence it needs now.
    fn set_bars(&mut self) {
        let missing = |arm: &Arm| {
            let of = |side| {
                if arm.place == Place::Withdrawn { 0.0 } else { arm.test.missing(side, self.alone.ln(side)) }
            };
            [of(Side::Below), of(Side::Above)]
        };
        let missing: Vec<[f64; 2]> = self.arms.iter().map(missing).collect();
        for (index, arm) in self.arms.iter_mut().enumerate().filter(|(_, arm)| arm.stays()) {
            let others = missing.iter().enumerate().filter(|&(other, _)| other != index);
            let [below, above] =
                others.fold([0.0, 0.0], |[below, above], (_, other)| [below + other[0], above + other[1]]);
            arm.test.set_bar(Bar {
                below_ln: self.alone.below_ln + below.ln_1p(),
                above_ln: self.alone.above_ln + above.ln_1p(),
                ..self.alone
            });
        }
    }
}

impl Arm {
    fn stays(&self) -> bool {
        self.place == Place::Staying
    }
}

#[cfg(test)]
mod tests;
