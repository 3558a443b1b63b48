//! One round: every contender in question once, in random order.

use std::time::Duration;

use super::error::TrialError;
use super::order;
use super::run::{Hands, Trial};
use crate::config::{Metric, Objective};
use crate::measure::{Arm, Disturbance, Sample};
use crate::stats::carry_over::FirstRun;
use crate::sys::wire::RunEnd;

/// All runs of a round.
#[derive(Debug)]
pub(super) struct Round {
    /// In the order in which they were run.
    pub runs: Vec<Run>,
}

/// One contender's run within a round.
#[derive(Debug)]
pub(super) struct Run {
    pub contender: usize,
    pub slot: u32,
    pub sample: Sample,
    /// Wall time after which it is ended, being so far behind, seconds.
    pub cut_off_s: Option<f64>,
    /// It was ended there.
    pub cut_short: bool,
}

impl Round {
    /// Runs the `drawn`-th round; rounds that are thrown away count here.
    pub fn run(trial: &Trial<'_>, drawn: u32, hands: &Hands<'_>) -> Result<Self, TrialError> {
        let contenders = trial.in_question();
        let mut round = Self { runs: Vec::with_capacity(contenders.len()) };
        let order = order::of_round(trial.plan.seed, drawn, contenders.len());
        for (slot, index) in order.into_iter().enumerate() {
            let contender = contenders[index];
            let when = format!("round {}", trial.rounds_done + 1);
            round.runs.push(one_run(trial, contender, drawn, slot, &when, hands)?);
        }
        Ok(round)
    }

    pub fn of(&self, contender: usize) -> Option<&Run> {
        self.runs.iter().find(|run| run.contender == contender)
    }

    /// Whether a run took so long that another contender's would have been cut short, or was: what then disturbed it is
    /// not known to its end, so the round must be kept whatever is known.
    pub fn reaches_cut_off(&self) -> bool {
        let cut_off_s = self.runs.iter().filter_map(|run| run.cut_off_s).fold(f64::INFINITY, f64::min);
        self.runs.iter().any(|run| run.sample.wall_s() >= cut_off_s)
    }

    /// What else went on during the round, whoever was running.
    pub fn disturbance(&self) -> Disturbance {
        Disturbance::of(self.runs.iter().map(|run| &run.sample.run))
    }

    /// Its first run, by the order of the round before, which was drawn just before this one.
    pub fn first_run(&self, before: &Self, drawn: u32, metric: &Metric) -> Option<FirstRun> {
        let first = self.runs.first()?;
        Some(FirstRun {
            round: drawn,
            command: first.contender,
            value: first.sample.metric(metric).filter(|&value| value > 0.0)?,
            before: before.runs.last()?.contender,
            candidates: before.runs.iter().map(|run| run.contender).collect(),
        })
    }
}

/// When to end a run of a contender that is far behind.
fn cut_off(trial: &Trial<'_>, contender: usize) -> Option<Duration> {
    let longest_s = trial.tallies[0].longest_wall_s;
    // Only a time can be cut short and still be known to be the larger one.
    let races = contender > 0 && longest_s > 0.0 && trial.plan.primary == Objective::lower(Metric::Wall);
    let cut_off = Duration::try_from_secs_f64(trial.plan.race.filter(|_| races)? * longest_s).ok()?;
    (cut_off < trial.plan.contenders[contender].arm.timeout).then_some(cut_off)
}

/// Runs a contender once.
pub(super) fn one_run(
    trial: &Trial<'_>,
    contender: usize,
    round: u32,
    slot: usize,
    when: &str,
    hands: &Hands<'_>,
) -> Result<Run, TrialError> {
    let plan = trial.plan;
    let asked = &plan.contenders[contender];
    let cut_off = cut_off(trial, contender);
    let noise = order::noise(plan.seed, round, slot);
    let timeout = cut_off.unwrap_or(asked.arm.timeout);
    let arm = Arm { timeout, counters: trial.counting, ..asked.arm.clone() };
    let sample = hands.measurer.run(&arm, noise)?;
    let cut_short = cut_off.is_some() && sample.run.end == RunEnd::TimedOut;
    if !cut_short && !plan.failures.allow(sample.run.end) {
        let captured = if sample.run.stderr.bytes > 0 { &sample.run.stderr } else { &sample.run.stdout };
        let tail = hands.measurer.outputs().tail(captured);
        return Err(TrialError::Failed {
            name: asked.name.clone(),
            end: sample.run.end,
            when: when.to_owned(),
            tail,
        });
    }
    hands.measurer.outputs().forget(&sample);
    let missing = plan.required().find(|metric| !cut_short && sample.metric(metric).is_none());
    if let Some(metric) = missing {
        return Err(TrialError::NoValue { name: asked.name.clone(), metric: metric.clone() });
    }
    let slot = u32::try_from(slot).unwrap_or(u32::MAX);
    let cut_off_s = cut_off.map(|cut_off| cut_off.as_secs_f64());
    Ok(Run { contender, slot, sample, cut_off_s, cut_short })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sys::wire::RunRecord;

    #[test]
    fn a_round_is_kept_whichever_run_takes_too_long() {
        let sample = |wall_s: u64| Sample {
            run: RunRecord::of(wall_s * 1_000_000_000),
            files: Vec::new(),
            custom: BTreeMap::new(),
        };
        let round = |walls_s: [u64; 2]| Round {
            runs: (0..2)
                .map(|contender| Run {
                    contender,
                    slot: 0,
                    sample: sample(walls_s[contender]),
                    cut_off_s: (contender > 0).then_some(10.0),
                    cut_short: contender > 0 && walls_s[contender] >= 10,
                })
                .collect(),
        };
        let check = |walls_s: [u64; 2], expected: bool| {
            assert_eq!(round(walls_s).reaches_cut_off(), expected, "{walls_s:?}");
        };
        check([9, 9], false);
        check([1, 10], true);
        check([10, 1], true);
    }
}
