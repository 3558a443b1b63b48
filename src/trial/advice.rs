//! What a reader should know before believing the numbers, and what to do about it.
//!
//! **Invariant**: words only; no verdict depends on them.

use super::plan::Purpose;
use super::report::StoppedBecause;
use super::run::Trial;
use super::tally::CUSTOM_MAX;
use crate::config::Metric;
use crate::stats::decision::pairs_needed_at_least;
use crate::stats::effect::Estimate;

/// Below this the start of a process is a large part of what is timed, seconds.
const SHORT_S: f64 = 0.002;

/// CPU time is worth switching to when it resolves effects so many times smaller.
const RESOLVES_MORE: f64 = 2.0;

/// Share of the wall time that a CPU-bound program on one core spends computing.
const CPU_BOUND: f64 = 0.85;

/// A first run so many times the median was cold.
const COLD: f64 = 1.25;

pub(super) fn advice(trial: &Trial<'_>) -> Vec<String> {
    let mut found = trial.facts.warnings();
    found.extend(trial.strain.warnings());
    found.extend(outputs(trial));
    found.extend(carried_over(trial));
    found.extend(disturbed(trial));
    found.extend(too_few(trial));
    found.extend(open_guards(trial));
    found.extend(short(trial));
    for (index, contender) in trial.plan.contenders.iter().enumerate() {
        let tally = &trial.tallies[index];
        let name = &contender.name;
        let Some(wall) = tally.median(&Metric::Wall) else {
            continue;
        };
        if trial.plan.warmup == 0
            && tally.runs >= 5
            && tally.first_wall_s.is_some_and(|first| first > COLD * wall)
        {
            found.push(format!(
                "the first run of {name} was much slower than the rest (cold caches): use --warmup 1, or --prepare \
                 with a command that empties the caches if the cold start is what you want to know"
            ));
        }
        if tally.has_left_out_metrics {
            found.push(format!(
                "{name} reports more than {CUSTOM_MAX} metrics of its own; the others are left out: give a metric the \
                 same name in every run"
            ));
        }
        if tally.with_survivors > 0 {
            found.push(format!(
                "{name} left processes running in {} of {} runs; they were killed, and the time until then counts",
                tally.with_survivors, tally.runs
            ));
        }
        if trial.plan.primary.metric == Metric::PeakRss && tally.at_rss_floor > 0 {
            found.push(format!(
                "{name} is so small that its peak memory cannot be told from that of the process which starts it: it \
                 used at most this much"
            ));
        }
        if tally.cut_short > 0 {
            found.push(format!(
                "{} of {} runs of {name} were cut short, being {}x slower than the longest of {}: its own times are \
                 too low, and so is the effect (--no-race runs them to the end)",
                tally.cut_short,
                tally.runs,
                trial.plan.race.unwrap_or(1.0),
                trial.plan.contenders[0].name,
            ));
        }
    }
    found.extend(cpu_time(trial));
    found
}

/// Said once, however many parameters a command is run with.
fn short(trial: &Trial<'_>) -> Option<String> {
    let timed = trial.plan.contenders.iter().zip(&trial.tallies);
    let short: Vec<&str> = timed
        .filter(|(_, tally)| tally.median(&Metric::Wall).is_some_and(|wall| wall < SHORT_S))
        .map(|(contender, _)| contender.name.as_str())
        .collect();
    let who = match short.as_slice() {
        [] => return None,
        [one] => format!("{one} takes"),
        [one, others @ ..] => format!("{one} and {} more take", others.len()),
    };
    Some(format!(
        "{who} less than {:.0} ms, much of it starting a process: let one run do more work",
        SHORT_S * 1e3
    ))
}

/// Two commands that print different things may not be doing the same work.
fn outputs(trial: &Trial<'_>) -> Option<String> {
    if !trial.plan.compares() {
        return None;
    }
    let reference = &trial.tallies[0].outputs;
    if reference.len() != 1 {
        return None;
    }
    let contenders = &trial.plan.contenders;
    // Other parameters are other work, which is what was asked for.
    let (differs, _) = contenders.iter().zip(&trial.tallies).find(|(contender, tally)| {
        contender.parameters == contenders[0].parameters && tally.runs > 0 && tally.outputs != *reference
    })?;
    Some(format!(
        "{} and {} print different things: make sure that they do the same work",
        contenders[0].name, differs.name
    ))
}

fn carried_over(trial: &Trial<'_>) -> Option<String> {
    let carried = trial.carry_over();
    (trial.plan.compares() && carried.found).then(|| {
        format!(
            "how long a run takes depends on which command ran just before it (p = {:.4}, from the random order of {} \
             rounds): one command leaves state to the next (files, caches, a busy port), so nothing can be said of \
             either alone; give each its own files, or remove what is left with --prepare",
            carried.p_value, carried.runs
        )
    })
}

fn disturbed(trial: &Trial<'_>) -> Option<String> {
    let (redone, kept) = (trial.redo.redone(), trial.redo.kept_disturbed());
    match (redone, kept) {
        (0, _) => None,
        (_, 0) => Some(format!(
            "{redone} round{} disturbed by other work on the machine, and run again",
            if redone == 1 { " was" } else { "s were" }
        )),
        _ => Some(format!(
            "{} of {} rounds were disturbed: the machine is busy, or the commands want more CPUs than there are; stop \
             other programs{}",
            redone + kept,
            redone + trial.rounds_done,
            if trial.plan.primary.metric == Metric::Wall { ", or try --metric cpu" } else { "" }
        )),
    }
}

/// A plan that cannot answer says so instead of looking like a finding.
fn too_few(trial: &Trial<'_>) -> Option<String> {
    let Purpose::Compare { alpha, .. } = trial.plan.purpose else {
        return None;
    };
    let least = pairs_needed_at_least(trial.plan.test().alpha);
    let cut = trial.compared().any(|(compared, test)| {
        test.pairs() < least
            && matches!(
                compared.closed,
                Some((_, StoppedBecause::Budget | StoppedBecause::Pairs | StoppedBecause::Futility))
            )
    });
    cut.then(|| {
        format!(
            "{} pairs can rarely show anything at α = {alpha}: it takes about {least}; raise --budget or --runs",
            trial.rounds_done
        )
    })
}

/// A guard that no number of pairs would have settled.
fn open_guards(trial: &Trial<'_>) -> Vec<String> {
    let guarded = trial.plan.guards.iter().map(|guard| &guard.objective.metric);
    let broken = guarded
        .filter(|metric| trial.comparisons.iter().any(|compared| compared.incomparable.contains(metric)));
    broken
        .map(|metric| {
            format!(
                "the guard on {metric} stays open: some of its values are not positive, and have no ratio"
            )
        })
        .collect()
}

/// CPU time is far less noisy than wall time where the program does nothing but compute.
fn cpu_time(trial: &Trial<'_>) -> Option<String> {
    if trial.plan.primary.metric != Metric::Wall {
        return None;
    }
    trial.compared().find_map(|(compared, test)| {
        let tally = &trial.tallies[compared.contender];
        let share = tally.median(&Metric::Cpu)? / tally.median(&Metric::Wall)?;
        prefer_cpu_time(share, &test.estimate(), &compared.others.get(&Metric::Cpu)?.estimate())
    })
}

/// Says so when CPU time, used for this share of the wall time, resolves far smaller effects than wall time does.
#[must_use]
pub fn prefer_cpu_time(share: f64, wall: &Estimate, cpu: &Estimate) -> Option<String> {
    let gain = wall.noise / cpu.noise;
    let is_better = share > CPU_BOUND && cpu.noise > 0.0 && gain >= RESOLVES_MORE;
    (is_better && wall.minimum_detectable.is_finite()).then(|| {
        format!(
            "CPU time resolves effects {gain:.1}x smaller than wall time here ({:.1} % against {:.1} %), and the command \
             does little but compute: try --metric cpu",
            cpu.minimum_detectable * 100.0,
            wall.minimum_detectable * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::decision::{Noise, Question};
    use crate::stats::effect::estimate;

    #[test]
    fn cpu_time_is_offered_where_it_is_far_less_noisy_and_all_that_there_is() {
        let noisy = |size: f64| {
            let ratios: Vec<f64> = (0..12).map(|pair| size * f64::from(pair % 4 - 2)).collect();
            estimate(&ratios, 0.05, Question::Different, Noise::Unknown).unwrap()
        };
        let check = |share: f64, wall: f64, cpu: f64, offered: bool| {
            let advice = prefer_cpu_time(share, &noisy(wall), &noisy(cpu));
            assert_eq!(advice.is_some(), offered, "{share} {wall} {cpu}");
            assert!(advice.is_none_or(|advice| advice.contains("--metric cpu")));
        };
        check(0.98, 0.2, 0.02, true);
        check(0.98, 0.03, 0.02, false);
        check(0.30, 0.2, 0.02, false);
        check(0.98, 0.2, 0.0, false);
    }
}
