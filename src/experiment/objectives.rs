//! What a session's metrics are for: whether every run gives them, and whether the guarded ones have kept within bounds.
//!
//! **Invariant**: a candidate that no longer gives a metric is wrong; an original that does not give it ends the session.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::error::ExperimentError;
use crate::config::{Benchmark, Better, Metric};
use crate::machine::Facts;
use crate::measure::{Pair, Sample};
use crate::report::words;
use crate::stats::decision::{Decision, Noise, Question, TestPlan, Word, decide};
use crate::stats::effect::{Estimate, estimate};
use crate::stats::guard::{GuardWord, guard};
use crate::verify::Mismatch;

/// How a guarded metric came out, arm B against arm A.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guarded {
    pub metric: Metric,
    /// Fraction by which it may be worse.
    pub worse_max: f64,
    pub word: GuardWord,
    /// Of the value itself: 1.1 is 10 % more, which is worse or better as the metric has it.
    pub ratio: f64,
    pub pairs: usize,
}

/// `guard held: peak-rss +1.0 % in 14 pairs, may be 5.0 % worse`.
impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.word {
            GuardWord::Held => "held",
            GuardWord::Violated => "violated",
            GuardWord::Open => "open",
        };
        let change = self.ratio - 1.0;
        let sign = if change < 0.0 { "−" } else { "+" };
        write!(
            f,
            "guard {word}: {} {sign}{} in {} pairs, may be {} worse",
            self.metric,
            words::percent(change.abs()),
            self.pairs,
            words::percent(self.worse_max)
        )
    }
}

/// Every guard of the benchmark on these pairs. Each is judged at α by itself: a keep needs all of them, so asking for
/// several makes a false keep no likelier.
pub(super) fn guards(benchmark: &Benchmark, pairs: &[Pair], alpha: f64) -> Vec<Guarded> {
    let guarded = benchmark.guards.iter().map(|of| {
        let ratios: Vec<f64> = pairs.iter().filter_map(|pair| pair.log_ratio(&of.objective)).collect();
        let worse =
            estimate(&ratios, alpha, Question::Different, Noise::Unknown).unwrap_or(Estimate::unknown());
        Guarded {
            metric: of.objective.metric.clone(),
            worse_max: of.worse_max,
            word: guard(&worse, of.worse_max),
            ratio: match of.objective.better {
                Better::Lower => worse.ratio,
                Better::Higher => 1.0 / worse.ratio,
            },
            pairs: ratios.len(),
        }
    });
    guarded.collect()
}

/// Decides like [`decide`] after every pair, and goes on after a gain until the guards are settled too.
pub(super) struct Judge {
    plan: TestPlan,
    benchmark: Benchmark,
    /// Of the guards.
    alpha: f64,
    looked_at: usize,
    answer: Option<Decision>,
}

impl Judge {
    pub fn new(plan: TestPlan, context: &Context) -> Self {
        let (benchmark, alpha) = (context.config.benchmark.clone(), context.config.goal.alpha);
        Self { plan, benchmark, alpha, looked_at: 0, answer: None }
    }

    /// The answer of the first pair that gave one, once nothing is left to learn.
    pub fn look(&mut self, log_ratios: &[f64], pairs: &[Pair]) -> Option<Decision> {
        // A resumed series is looked at pair by pair, as it was the first time.
        while self.answer.is_none() && self.looked_at < log_ratios.len() {
            self.looked_at += 1;
            self.answer = super::claim::decided(decide(&log_ratios[..self.looked_at], &self.plan));
        }
        let decision = self.answer?;
        let settled = decision.word != Word::Faster
            || pairs.len() >= self.plan.pairs_max
            || self.guards(pairs).iter().all(|guarded| guarded.word != GuardWord::Open);
        settled.then_some(decision)
    }

    pub fn guards(&self, pairs: &[Pair]) -> Vec<Guarded> {
        guards(&self.benchmark, pairs, self.alpha)
    }
}

/// Ends a session before it begins where the machine cannot give a metric that it needs.
pub(super) fn refuse(benchmark: &Benchmark, facts: &Facts) -> Result<(), ExperimentError> {
    let refused = benchmark.required().find_map(|metric| Some((metric, facts.refusal(metric)?)));
    refused.map_or(Ok(()), |(metric, refused)| {
        Err(ExperimentError::Refused { metric: metric.clone(), refused: refused.clone() })
    })
}

/// That a run of the original gives every metric that is needed.
pub(super) fn given(benchmark: &Benchmark, sample: &Sample) -> Result<(), ExperimentError> {
    let missing = benchmark.required().find(|metric| sample.metric(metric).is_none());
    missing.map_or(Ok(()), |metric| Err(ExperimentError::NoValue { metric: metric.clone() }))
}

/// Whether the values of a pair can be compared; what is wrong with arm B where they cannot.
pub(super) fn comparable(benchmark: &Benchmark, pair: &Pair) -> Result<Option<Mismatch>, ExperimentError> {
    given(benchmark, &pair.a)?;
    for metric in benchmark.required() {
        let objective = benchmark.objective(metric.clone());
        if pair.log_ratio(&objective).is_some() {
            continue;
        }
        let (a, b) = (pair.a.metric(metric), pair.b.metric(metric));
        if let Some(a) = a.filter(|&a| a <= 0.0) {
            let what = format!("{metric} is {a} in the original, and only positive numbers have a ratio");
            return Err(ExperimentError::InvalidMeasurement { what });
        }
        let got = b.map_or_else(|| "no value".to_owned(), |b| b.to_string());
        return Ok(Some(Mismatch::Metric { metric: metric.to_string(), got }));
    }
    Ok(None)
}
