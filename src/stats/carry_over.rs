//! Whether what ran directly before a run changes it: files, caches, a busy port that one command leaves to the next.
//!
//! No comparison of a command with itself can find that: its sign is a fair coin whatever runs leave behind. Here the
//! first run of each round is compared with the other first runs of the same command, by what ran last in the round
//! before. If nothing is carried over, that is no more than a label, which the random order of the round before drew.
//! So the labels are drawn again many times, and the p-value is the share of draws that look as uneven as the true
//! one (Edgington & Onghena, "Randomization tests").
//!
//! The rounds with odd numbers are judged apart from those with even numbers. In each half the order of every round
//! that is judged is kept, and only that of rounds between them is drawn again, of which no value is looked at. So for
//! a number of rounds fixed beforehand each half's p-value is exact whatever drift, bursts and slow first runs there
//! are. Both are combined as independent ones (Fisher's product), which they are where noise is independent from round
//! to round, and very nearly so under the drifts of the tests below. Where the values themselves end the trial it is an
//! approximation too.
//!
//! **Invariant**: a pure function of the runs and the seed.

use serde::{Deserialize, Serialize};

use super::rng::Rng;
use super::summary::{MAD_TO_SIGMA, mad, mean, median};

/// A p-value as small as this says that something is carried over: so many sessions in which nothing is are called
/// unfit all the same.
pub const CARRY_OVER_ALPHA: f64 = 0.001;

/// The labels are drawn again so often at most.
const DRAWS_MAX: u32 = 9_999;

/// After so many draws as uneven as the truth the p-value is known well enough (Besag & Clifford 1991).
const EXCEEDED_MAX: u32 = 20;

/// Values further from the median than so many robust standard deviations count as just so far: they would hide the
/// rest.
const CLIPPED_SIGMAS: f64 = 5.0;

/// The first run of a round.
#[derive(Debug, Clone)]
pub struct FirstRun {
    /// Number of the round; rounds that do not count have numbers too.
    pub round: u32,
    /// What ran.
    pub command: usize,
    /// What it took; positive.
    pub value: f64,
    /// What ran directly before, as the last of the round before.
    pub before: usize,
    /// All that might have run there, each as likely.
    pub candidates: Vec<usize>,
}

/// What the first runs say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CarryOver {
    /// Whether runs depend on what ran before them, at [`CARRY_OVER_ALPHA`].
    pub found: bool,
    /// 0–1: 1 where there is nothing to tell it by.
    pub p_value: f64,
    /// The runs that it rests on.
    pub runs: usize,
}

/// Looks for a dependence of first runs on what ran before them.
#[must_use]
pub fn carry_over(runs: &[FirstRun], seed: u64) -> CarryOver {
    let half = |odd: bool| {
        let runs: Vec<&FirstRun> = runs.iter().filter(|run| (run.round % 2 == 1) == odd).collect();
        p_value(&runs, &mut Rng::new(seed ^ u64::from(odd)))
    };
    // P(product of two uniform variables ≤ x) = x·(1 − ln x).
    let product = half(false) * half(true);
    let p_value = (product * (1.0 - product.ln())).min(1.0);
    CarryOver { found: p_value <= CARRY_OVER_ALPHA, p_value, runs: runs.len() }
}

fn p_value(runs: &[&FirstRun], rng: &mut Rng) -> f64 {
    let named = |run: &&FirstRun| run.candidates.iter().copied().chain([run.command, run.before]).max();
    let commands = runs.iter().filter_map(named).max().map_or(0, |last| last + 1);
    let groups: Vec<Group> = (0..commands).map(|command| Group::of(runs, command)).collect();
    let mut before: Vec<usize> = runs.iter().map(|run| run.before).collect();
    let uneven =
        |before: &[usize]| groups.iter().map(|group| group.unevenness(before, commands)).fold(0.0, f64::max);
    // The same labels must never look less uneven by rounding.
    let observed = uneven(&before) * (1.0 - 1e-9);
    let mut exceeded = 0;
    for draw in 1..=DRAWS_MAX {
        for (label, run) in before.iter_mut().zip(runs) {
            *label = run.candidates.get(index(rng, run.candidates.len())).copied().unwrap_or(run.before);
        }
        exceeded += u32::from(uneven(&before) >= observed);
        if exceeded == EXCEEDED_MAX {
            return f64::from(EXCEEDED_MAX) / f64::from(draw);
        }
    }
    f64::from(exceeded + 1) / f64::from(DRAWS_MAX + 1)
}

/// Uniform in 0..`end`.
fn index(rng: &mut Rng, end: usize) -> usize {
    ((rng.uniform() * end as f64) as usize).min(end.saturating_sub(1))
}

/// The runs of one command.
struct Group {
    /// Their indices among all.
    runs: Vec<usize>,
    /// ln of their values, around a mean of 0.
    values: Vec<f64>,
    squares: f64,
}

impl Group {
    fn of(all: &[&FirstRun], command: usize) -> Self {
        let runs: Vec<usize> = (0..all.len()).filter(|&index| all[index].command == command).collect();
        let mut values: Vec<f64> = runs.iter().map(|&index| all[index].value.ln()).collect();
        if let (Some(centre), Some(mad)) = (median(&values), mad(&values).filter(|&mad| mad > 0.0)) {
            let most = CLIPPED_SIGMAS * MAD_TO_SIGMA * mad;
            values.iter_mut().for_each(|value| *value = value.clamp(centre - most, centre + most));
        }
        let centre = mean(&values).unwrap_or(0.0);
        values.iter_mut().for_each(|value| *value -= centre);
        let squares = values.iter().map(|value| value * value).sum();
        Self { runs, values, squares }
    }

    /// The largest share of the variance that is explained by one command having run before, times the degrees of
    /// freedom: groups of different sizes become comparable.
    fn unevenness(&self, before: &[usize], commands: usize) -> f64 {
        let n = self.runs.len() as f64;
        if self.squares <= 0.0 {
            return 0.0;
        }
        let mut sums = vec![(0.0, 0.0); commands];
        for (&run, value) in self.runs.iter().zip(&self.values) {
            let (count, sum) = &mut sums[before[run]];
            *count += 1.0;
            *sum += value;
        }
        let between = |&(count, sum): &(f64, f64)| sum * sum * n / (count * (n - count));
        let explained =
            sums.iter().filter(|(count, _)| *count > 0.0 && *count < n).map(between).fold(0.0, f64::max);
        (n - 1.0) * explained / self.squares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of random order; `value` sees the command, what ran before it, and the time, and adds its noise.
    fn session(
        commands: usize,
        rounds: u32,
        seed: u64,
        mut value: impl FnMut(&mut Rng, usize, usize, f64) -> f64,
    ) -> Vec<FirstRun> {
        let mut rng = Rng::new(seed);
        let mut runs = Vec::new();
        let mut last = None;
        for round in 0..rounds {
            let mut order: Vec<usize> = (0..commands).collect();
            (1..commands).rev().for_each(|i| order.swap(i, index(&mut rng, i + 1)));
            if let Some(before) = last {
                let value = value(&mut rng, order[0], before, f64::from(round));
                let candidates = (0..commands).collect();
                runs.push(FirstRun { round, command: order[0], value, before, candidates });
            }
            last = order.last().copied();
        }
        runs
    }

    fn found(sessions: u64, run: impl Fn(u64) -> Vec<FirstRun>) -> usize {
        (0..sessions).filter(|&seed| carry_over(&run(seed), seed).found).count()
    }

    #[test]
    fn a_command_that_spoils_the_next_run_is_found() {
        // The second command leaves something behind that makes the first three times as slow.
        let spoilt = |seed| {
            session(2, 60, seed, |rng, command, before, _| {
                let factor = if (command, before) == (0, 1) { 3.0 } else { 1.0 };
                factor * (0.05 * rng.normal()).exp()
            })
        };
        let found_of = found(40, spoilt);
        assert!(found_of >= 37, "{found_of}");
        let among_three = |seed| {
            session(3, 200, seed, |rng, command, before, _| {
                let factor = if (command, before) == (0, 2) { 1.5 } else { 1.0 };
                factor * (0.05 * rng.normal()).exp()
            })
        };
        let found_of = found(20, among_three);
        assert!(found_of >= 18, "{found_of}");
    }

    /// The share of sessions that are called unfit, though nothing is carried over.
    #[test]
    fn drifts_bursts_and_wild_noise_are_not_taken_for_a_dependence() {
        type Value = fn(&mut Rng, usize, usize, f64) -> f64;
        let machines: [(&str, Value); 5] = [
            ("quiet", |rng, command, _, _| (1.0 + command as f64) * (0.01 * rng.normal()).exp()),
            ("drifting", |rng, _, _, time| 1.0 + time / 20.0 + 0.01 * rng.normal()),
            ("waves", |_, _, _, time| 2.0 + (time / 3.0).sin()),
            ("wild", |rng, _, _, _| 1.0 / rng.uniform()),
            ("coarse", |rng, _, _, _| if rng.coin() { 1.0 } else { 2.0 }),
        ];
        for (name, value) in machines {
            for commands in [2, 3] {
                let wrong = found(500, |seed| session(commands, 60, seed, value));
                println!("{name}, {commands} commands: {wrong} of 500");
                // P(more than 5 of Binomial(500, 0.001)) is 1e-5.
                assert!(wrong <= 5, "{name} {commands}: {wrong}");
            }
        }
    }

    #[test]
    fn the_p_value_is_a_p_value() {
        const SESSIONS: u64 = 1500;
        for rounds in [10, 40] {
            let drifting = |seed| session(2, rounds, seed, |rng, _, _, time| 5.0 + time + rng.normal());
            let p_values: Vec<f64> =
                (0..SESSIONS).map(|seed| carry_over(&drifting(seed), seed).p_value).collect();
            for level in [0.002, 0.02, 0.1, 0.5] {
                let share = p_values.iter().filter(|&&p| p <= level).count() as f64 / SESSIONS as f64;
                println!("{rounds} rounds: p ≤ {level} in {share}");
                assert!(share <= level + 3.0 * (level / SESSIONS as f64).sqrt(), "{level}: {share}");
            }
        }
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        let nothing = CarryOver { found: false, p_value: 1.0, runs: 0 };
        assert_eq!(carry_over(&[], 1), nothing);
        let same = session(2, 100, 1, |_, _, _, _| 1.0);
        assert_eq!(carry_over(&same, 1), CarryOver { runs: 99, ..nothing });
        let few = session(2, 8, 1, |rng, command, before, _| rng.uniform() + (command + before) as f64 * 9.0);
        assert!(!carry_over(&few, 1).found);
    }
}
