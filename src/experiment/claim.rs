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
use crate::stats::decision::{Decision, Noise, Question, Status, TestPlan};
use crate::stats::effect::{Estimate, estimate};

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

/// The decision, once there is one.
pub(super) fn decided(status: Status) -> Option<Decision> {
    match status {
        Status::Continue => None,
        Status::Decided(decision) => Some(decision),
    }
}
