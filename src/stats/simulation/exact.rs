//! Every way that the coins can fall, followed: no sampling, no doubt left for short sessions.
//!
//! A session is a list of magnitudes |L − centre|, given beforehand; each coin turns one up or down. What is checked
//! holds for each list by itself, so for any noise.

use crate::stats::decision::{Noise, Question, Stopped, TestPlan, Word};
use crate::stats::evidence::{Side, Weigher, weigh};
use crate::stats::noise::Scales;
use crate::stats::sequential::Test;
use crate::stats::summary::mad;

/// Alike, growing, shrinking, mostly tiny with a few wild ones, two kinds, and with ties.
const MAGNITUDES: [[f64; 11]; 6] = [
    [1.0; 11],
    [0.1, 0.2, 0.3, 0.5, 0.8, 1.3, 2.1, 3.4, 5.5, 8.9, 14.4],
    [14.4, 8.9, 5.5, 3.4, 2.1, 1.3, 0.8, 0.5, 0.3, 0.2, 0.1],
    [0.01, 0.02, 0.01, 0.03, 9.0, 0.01, 0.02, 8.0, 0.01, 0.02, 7.0],
    [0.5, 3.0, 0.5, 3.0, 0.5, 3.0, 0.5, 3.0, 0.5, 3.0, 0.5],
    [0.0, 1.0, 0.4, 0.4, 0.0, 2.0, 0.1, 0.0, 0.7, 1e6, 0.3],
];

const NOISES: [Noise; 5] =
    [Noise::Unknown, Noise::Known(0.05), Noise::Known(1.0), Noise::Known(20.0), Noise::Learned];

const PLAN: TestPlan = TestPlan {
    alpha: 0.3,
    pairs_min: 0,
    pairs_max: 1_000,
    min_effect: 0.5,
    noise: Noise::Unknown,
    question: Question::Different,
};

/// What a walk of signs has come to.
trait Walk: Clone {
    fn push(&mut self, value: f64);

    /// The two walks that the next coin can make of this one.
    fn fork(&self, centre: f64, magnitude: f64) -> [Self; 2] {
        [-magnitude, magnitude].map(|distance| {
            let mut next = self.clone();
            next.push(centre + distance);
            next
        })
    }

    /// P(ever `stops`) along the walks of `magnitudes` around `centre`, all coins fair.
    fn probability(&self, magnitudes: &[f64], centre: f64, stops: &impl Fn(&Self) -> bool) -> f64 {
        if stops(self) {
            return 1.0;
        }
        magnitudes.split_first().map_or(0.0, |(&magnitude, rest)| {
            let [one, other] = self.fork(centre, magnitude).map(|next| next.probability(rest, centre, stops));
            f64::midpoint(one, other)
        })
    }
}

impl Walk for Test {
    fn push(&mut self, value: f64) {
        Self::push(self, value);
    }
}

/// The evidence alone.
#[derive(Clone)]
struct Weighed {
    values: Vec<f64>,
    scales: Scales,
    weigher: Weigher,
}

impl Weighed {
    fn new(noise: Noise) -> Self {
        let scales = Scales::new(noise);
        let weigher = Weigher::new(0.0, scales.are_bet_on());
        Self { values: Vec::new(), scales, weigher }
    }

    fn e(&self) -> f64 {
        self.weigher.evidence(Side::Below).ln.exp()
    }

    /// Asserts that each walk's evidence is the mean of what the next coin makes of it, or more; returns the mean of
    /// the last ones.
    fn check_bets(&self, magnitudes: &[f64], centre: f64) -> f64 {
        let Some((&magnitude, rest)) = magnitudes.split_first() else {
            return self.e();
        };
        let forks = self.fork(centre, magnitude);
        let (now, next) = (self.e(), f64::midpoint(forks[0].e(), forks[1].e()));
        assert!(next <= now * (1.0 + 1e-9), "{:?} ± {magnitude}: {next} > {now}", self.values);
        // At the shift itself the bets are fair, not only no gain.
        assert!(
            centre > 0.0 || next >= now * (1.0 - 1e-9),
            "{:?} ± {magnitude}: {next} < {now}",
            self.values
        );
        let [one, other] = forks.map(|fork| fork.check_bets(rest, centre));
        f64::midpoint(one, other)
    }
}

impl Walk for Weighed {
    fn push(&mut self, value: f64) {
        self.weigher.push(value, self.scales.current());
        self.values.push(value);
        if self.scales.learns_at(self.values.len()) {
            self.scales.learn(self.values.len(), mad(&self.values));
        }
    }
}

#[test]
fn every_bet_is_fair_at_the_shift_and_no_gain_beyond_it() {
    for magnitudes in &MAGNITUDES {
        for noise in NOISES {
            for centre in [0.0, 0.01, 0.5, 3.0] {
                let mean = Weighed::new(noise).check_bets(magnitudes, centre);
                assert!(mean <= 1.0 + 1e-9, "{mean}");
                assert!(centre > 0.0 || mean >= 1.0 - 1e-9, "{mean}");
            }
        }
    }
}

#[test]
fn evidence_ever_reaches_its_bar_as_rarely_as_ville_says() {
    for magnitudes in &MAGNITUDES {
        for noise in NOISES {
            for alpha in [0.5, 0.3, 0.1, 0.05, 0.01] {
                let reaches = |walk: &Weighed| walk.weigher.reaches(Side::Below, -f64::ln(alpha));
                let error = Weighed::new(noise).probability(magnitudes, 0.0, &reaches);
                assert!(error <= alpha, "{magnitudes:?}, {noise:?}: {error} > {alpha}");
            }
        }
    }
}

/// P(a word that is false of `centre`) for a question; for a one-sided one, on the side that is worse.
fn error(plan: TestPlan, magnitudes: &[f64], centre: f64) -> f64 {
    let margin = plan.min_effect.ln_1p();
    let is_false = |word: Word, side: f64| match word {
        Word::Faster => centre >= 0.0 && side < 0.0,
        Word::Slower => centre <= 0.0 && side > 0.0,
        Word::Equivalent => centre.abs() >= margin && side * centre < 0.0,
        Word::Inconclusive | Word::Invalid => false,
    };
    let is_wrong = |sides: &[f64]| {
        Test::new(plan).probability(magnitudes, centre, &|test| {
            test.answer().is_some_and(|answer| sides.iter().any(|&side| is_false(answer.word, side)))
        })
    };
    match plan.question {
        Question::Different => is_wrong(&[-1.0, 1.0]),
        Question::Faster => is_wrong(&[-1.0]).max(is_wrong(&[1.0])),
    }
}

#[test]
fn no_word_is_false_more_often_than_promised() {
    let margin = PLAN.min_effect.ln_1p();
    let mut largest: f64 = 0.0;
    for magnitudes in &MAGNITUDES {
        for noise in NOISES {
            for question in [Question::Different, Question::Faster] {
                for centre in [0.0, 0.2, margin, -margin, 2.0] {
                    let plan = TestPlan { noise, question, ..PLAN };
                    let error = error(plan, &magnitudes[..9], centre);
                    assert!(error <= plan.alpha, "{magnitudes:?} around {centre}, {plan:?}: {error}");
                    largest = largest.max(error);
                }
            }
        }
    }
    // The check has teeth only if errors come near what is promised.
    assert!(largest > PLAN.alpha / 3.0, "{largest}");
}

/// P(evidence ever reaches 1/α) within 60 pairs of noise of ± `size`, by the number of signs, as sizes are alike.
fn two_point_error(alpha: f64, size: f64) -> f64 {
    let mut alive = vec![1.0];
    let mut error = 0.0;
    for n in 1..=60 {
        let mut next = vec![0.0; n + 1];
        for (below, mass) in alive.iter().enumerate() {
            next[below] += mass / 2.0;
            next[below + 1] += mass / 2.0;
        }
        for (below, mass) in next.iter_mut().enumerate() {
            let log_ratios: Vec<f64> = (0..n).map(|i| if i < below { -size } else { size }).collect();
            if weigh(&log_ratios, 0.0, Side::Below, Noise::Known(1.0)).ln >= -alpha.ln() {
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
        for size in [0.2, 1.0, 30.0] {
            let error = two_point_error(alpha, size);
            println!("α = {alpha}, ±{size}: {:.2} α", error / alpha);
            assert!(error <= alpha, "α = {alpha}, ±{size}: {error}");
        }
    }
}

/// Whether some continuation of `pairs` more pairs ends in one of the words.
fn can_end_in(words: &[Word], test: &Test, pairs: usize) -> bool {
    test.answer().is_some_and(|answer| words.contains(&answer.word))
        || pairs > 0
            && [-100.0, -0.6, -0.01, 0.0, 0.01, 0.6, 100.0].into_iter().any(|value| {
                let mut next = test.clone();
                next.push(value);
                can_end_in(words, &next, pairs - 1)
            })
}

#[test]
fn what_is_called_futile_no_future_can_answer() {
    const SEEN: usize = 8;
    const REMAINING: usize = 3;
    let mut futile = 0;
    for (question, words) in
        [(Question::Different, &[Word::Faster, Word::Slower][..]), (Question::Faster, &[Word::Faster])]
    {
        for noise in [Noise::Unknown, Noise::Known(1.0), Noise::Learned] {
            let patient =
                TestPlan { alpha: 0.05, pairs_max: usize::MAX, min_effect: 0.0, noise, question, ..PLAN };
            for pattern in 0..1u32 << SEEN {
                let signed = |(i, size): (usize, &f64)| if pattern >> i & 1 == 1 { *size } else { -size };
                let values: Vec<f64> = MAGNITUDES[1][..SEEN].iter().enumerate().map(signed).collect();
                let after = |plan: TestPlan, more: &[f64]| {
                    let mut test = Test::new(plan);
                    values.iter().chain(more).for_each(|&value| test.push(value));
                    test
                };
                let plan = TestPlan { pairs_max: SEEN + REMAINING, ..patient };
                let stopped = after(plan, &[]).answer().map(|answer| answer.stopped);
                if stopped == Some(Stopped::Futility) {
                    futile += 1;
                    assert!(!can_end_in(words, &after(patient, &[]), REMAINING), "{pattern:b}, {plan:?}");
                } else if stopped.is_none() && noise != Noise::Learned {
                    // The bound is no looser than it must be: the best future does answer.
                    let answers = |best: f64| can_end_in(words, &after(patient, &[best; REMAINING]), 0);
                    assert!(answers(-1e9) || answers(1e9), "{pattern:b}, {plan:?}");
                }
            }
        }
    }
    assert!(futile > 100, "{futile}");
}
