//! The only number that is claimed: the tip against the origin, from fresh pairs.

use serde::{Deserialize, Serialize};

use super::comparison::{Compared, Series, compare};
use super::context::Context;
use super::error::ExperimentError;
use super::event::Phase;
use super::incumbent::{self, Incumbent};
use super::objectives::{Guarded, Judge};
use super::record;
use crate::config::{Metric, Objective};
use crate::measure::Pair;
use crate::stats::carry_over::{FirstRun, carry_over};
use crate::stats::decision::{Decision, Noise, Question, Status, TestPlan, Word};
use crate::stats::effect::{Estimate, estimate};
use crate::stats::rng;

/// Fewest pairs of a claim: its interval is what people will quote.
const PAIRS_MIN: usize = 10;

/// What the session achieved, start to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub metric: Metric,
    /// Tip against origin.
    pub decision: Decision,
    /// Medians of the metric, origin and tip.
    pub before: f64,
    pub after: f64,
    /// CPU time and peak memory, tip / origin.
    pub cpu: Option<Estimate>,
    pub memory: Option<Estimate>,
    /// The guarded metrics, tip / origin: steps that each keep within a bound may add up to more.
    #[serde(default)]
    pub guards: Vec<Guarded>,
}

/// Measures the tip against the origin; absent when nothing was kept.
pub(super) fn claim(
    context: &mut Context,
    incumbent: &mut Incumbent,
) -> Result<Option<Claim>, ExperimentError> {
    if incumbent.checkout.commit == context.base {
        return Ok(None);
    }
    if let Some(claim) = context.worklog.session_detail(context.session, "claimed")? {
        return record::from_json("claim", claim).map(Some);
    }
    let origin = incumbent::original(context)?;
    let (a, b) = (context.arm(&origin.path), context.arm(&incumbent.checkout.path));
    let goal = &context.config.goal;
    let plan = TestPlan {
        alpha: goal.alpha,
        pairs_max: (goal.pairs_max as usize).max(PAIRS_MIN),
        pairs_min: PAIRS_MIN,
        min_effect: goal.min_effect,
        noise: incumbent.facts.noise.into(),
        question: Question::Faster,
    };
    let series = Series {
        attempt: None,
        number: 0,
        phase: Phase::Claim,
        most: u32::try_from(plan.pairs_max).unwrap_or(u32::MAX),
    };
    let mut judge = Judge::new(plan, context);
    let compared = compare(context, series, (&a, &b), Some(&mut incumbent.expectation), |ratios, pairs| {
        judge.look(ratios, pairs)
    })?;
    let Compared::Decided { decision, pairs } = compared else {
        return Err(ExperimentError::InvalidMeasurement {
            what: "the tip's output, checked many times before, now differs from the original's".to_owned(),
        });
    };
    let metric = context.config.benchmark.metric.clone();
    let seed = context.seed_for(series.number, series.phase.stream());
    let decision = if carry_over(&first_runs(&pairs, seed, &metric), seed).found {
        context.events.warn(
            "how long a run takes depends on whether the original or the result ran just before it: one leaves state \
             to the other, and the claim is invalid",
            Some("look for files, caches or a port that both use"),
        );
        Decision { word: Word::Invalid, ..decision }
    } else {
        decision
    };
    let (before, after) = record::medians(&pairs, &metric);
    let other = |metric: Metric| {
        let objective = Objective::lower(metric);
        let ratios: Vec<f64> = pairs.iter().filter_map(|pair| pair.log_ratio(&objective)).collect();
        estimate(&ratios, plan.alpha, Question::Different, Noise::Unknown)
    };
    let claim = Claim {
        metric,
        decision,
        before,
        after,
        cpu: other(Metric::Cpu),
        memory: other(Metric::PeakRss),
        guards: judge.guards(&pairs),
    };
    context.worklog.record_session(context.session, "claimed", &record::to_json(&claim)?)?;
    Ok(Some(claim))
}

/// The first run of each pair (0 for A, 1 for B) with what ran before it, in the pair before, whether that counts or
/// not: its order is known from its coin.
fn first_runs(pairs: &[Pair], seed: u64, metric: &Metric) -> Vec<FirstRun> {
    let first_run = |pair: &Pair| {
        let before = usize::from(rng::coin(seed, u64::from(pair.index.checked_sub(1)?)));
        let (command, first) = if pair.a_first { (0, &pair.a) } else { (1, &pair.b) };
        let value = first.metric(metric).filter(|&value| value > 0.0)?;
        Some(FirstRun { round: pair.index, command, value, before, candidates: vec![0, 1] })
    };
    pairs.iter().filter_map(first_run).collect()
}

/// The decision, once there is one.
pub(super) fn decided(status: Status) -> Option<Decision> {
    match status {
        Status::Continue => None,
        Status::Decided(decision) => Some(decision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Sample;
    use crate::sys::wire::RunRecord;

    #[test]
    fn a_result_that_slows_the_original_after_it_is_found() {
        let sample = |wall_ns: u64| Sample {
            run: RunRecord::of(wall_ns),
            files: Vec::new(),
            custom: std::collections::BTreeMap::new(),
        };
        let check = |slowed: u64, found: bool| {
            let seed = 11;
            let mut last_was_b = false;
            let pairs: Vec<Pair> = (0..60)
                .map(|index| {
                    let a_first = rng::coin(seed, index.into());
                    let noise = rng::draw(seed, 9, index.into()) % 1000;
                    let is_slowed = !a_first || last_was_b;
                    last_was_b = a_first;
                    let a = sample(100_000 + noise + if is_slowed { slowed } else { 0 });
                    Pair { index, a_first, a, b: sample(50_000 + noise) }
                })
                .collect();
            let runs = first_runs(&pairs, seed, &Metric::Wall);
            assert_eq!((runs.len(), carry_over(&runs, seed).found), (59, found), "{slowed}");
        };
        check(30_000, true);
        check(0, false);
    }
}
