//! A trial under way → its report.

use super::error::TrialError;
use super::plan::{Plan, Purpose};
use super::report::{
    ArmReport, ComparisonReport, Effect, GuardReport, Histogram, Machine, MetricReport, Report, Scaling,
    StoppedBecause, verdict,
};
use super::run::Trial;
use super::tally::{Compared, Tally};
use crate::config::{Better, Guard, Metric, Objective};
use crate::stats::decision::{Decision, Word};
use crate::stats::distribution::Distribution;
use crate::stats::effect::Estimate;
use crate::stats::evidence::Side;
use crate::stats::guard::{GuardWord, guard};
use crate::stats::scaling::fit;
use crate::stats::sequential::Test;

/// Bins of a histogram, each a column: a strip leaves room for a name and the numbers in 80 columns.
const BINS: usize = 24;

/// Fields of an arm's report, which no metric of a program may take the place of.
const RESERVED: &[&str] = &["name", "command", "parameters", "runs"];

/// Put before a name that is taken.
const MOVED: &str = "metric_";

pub(super) fn report(trial: Trial<'_>) -> Result<Report, TrialError> {
    let plan = trial.plan;
    let primary = &plan.primary.metric;
    let measured = trial.rounds_done > 0;
    if !measured && trial.comparisons.iter().all(|compared| compared.pairs > 0) {
        return Err(TrialError::Interrupted);
    }
    let carry_over = plan.compares().then(|| trial.carry_over());
    let comparisons = trial
        .compared()
        .filter_map(|(compared, test)| {
            let (decision, why) = compared.closed?;
            let spoilt = carry_over.is_some_and(|carried| carried.found);
            Some(match why {
                // Nothing was run for it.
                StoppedBecause::IdenticalPrograms => comparison(&trial, compared, test, decision, why),
                _ if spoilt => {
                    let voided = Decision { word: Word::Invalid, ..decision };
                    comparison(&trial, compared, test, voided, StoppedBecause::CarryOver)
                }
                _ => comparison(&trial, compared, test, decision, why),
            })
        })
        .collect();
    let (alpha, min_effect) = match plan.purpose {
        Purpose::Compare { alpha, min_effect } => (Some(alpha), Some(min_effect)),
        Purpose::Describe { .. } => (None, None),
    };
    Ok(Report {
        comparisons,
        metric: field(primary),
        primary: primary.clone(),
        alpha,
        min_effect,
        seed: plan.seed,
        rounds: trial.rounds_done,
        rounds_redone: trial.redo.redone(),
        elapsed_s: trial.elapsed.as_secs_f64(),
        carry_over,
        machine: Machine {
            fingerprint: trial.facts.fingerprint(),
            facts: trial.facts.clone(),
            during: trial.strain.clone(),
        },
        interrupted: trial.interrupted,
        arms: arms(&trial),
        scaling: plan.scale.as_deref().and_then(|parameter| scaling(&trial, parameter)),
        calibration: None,
        warnings: trial.warnings,
    })
}

/// How the primary metric grows with the parameter.
fn scaling(trial: &Trial<'_>, parameter: &str) -> Option<Scaling> {
    let arms = trial.plan.contenders.iter().zip(&trial.tallies);
    let points: Vec<(f64, f64)> = arms
        .filter_map(|(contender, tally)| {
            let size = contender.parameters.get(parameter)?.parse().ok()?;
            Some((size, tally.median(&trial.plan.primary.metric)?))
        })
        .collect();
    let (fit, words) = match fit(&points) {
        Ok(fit) => {
            let words = fit.to_string();
            (Some(fit), words)
        }
        Err(why) => (None, why.to_string()),
    };
    Some(Scaling { parameter: parameter.to_owned(), points, fit, words })
}

fn arms(trial: &Trial<'_>) -> Vec<ArmReport> {
    let contenders = trial.plan.contenders.iter().zip(&trial.tallies);
    contenders
        .map(|(contender, tally)| ArmReport {
            name: contender.name.clone(),
            command: contender.arm.command.to_string(),
            parameters: contender.parameters.clone(),
            runs: tally.runs,
            metrics: tally
                .metrics
                .iter()
                .filter_map(|(metric, values)| {
                    let shared = extent(&trial.tallies, metric);
                    Some((field(metric), metric_report(metric, values, tally, shared)?))
                })
                .collect(),
        })
        .collect()
}

/// The metric's key; one that a program chose is moved out of the way of an arm's own fields and of built-in metrics.
fn field(metric: &Metric) -> String {
    let key = metric.key();
    if metric.is_custom() && is_taken(&key) { format!("{MOVED}{key}") } else { key.to_string() }
}

/// What is moved must not push another name away, so a name that looks moved is taken as well.
fn is_taken(key: &str) -> bool {
    RESERVED.contains(&key)
        || Metric::BUILT_IN.iter().any(|known| known.key() == key)
        || key.strip_prefix(MOVED).is_some_and(is_taken)
}

/// Smallest and largest value of a metric over all arms: one axis for all histograms.
fn extent(tallies: &[Tally], metric: &Metric) -> (f64, f64) {
    let all = || tallies.iter().filter_map(|tally| tally.metrics.get(metric));
    let low = all().filter_map(Distribution::min).fold(f64::INFINITY, f64::min);
    let high = all().filter_map(Distribution::max).fold(f64::NEG_INFINITY, f64::max);
    (low, high)
}

fn metric_report(
    metric: &Metric,
    values: &Distribution,
    tally: &Tally,
    (low, high): (f64, f64),
) -> Option<MetricReport> {
    Some(MetricReport {
        median: values.median()?,
        mean: values.mean()?,
        min: values.min()?,
        max: values.max()?,
        mad: values.mad()?,
        stddev: values.stddev()?,
        median_interval: values.median_interval(),
        samples: tally.samples.get(metric).cloned(),
        histogram: Histogram { low, high, counts: values.histogram(low, high, BINS) },
    })
}

/// Half the width of the median's interval as a fraction of the median; infinite where there is none.
pub(super) fn half_width(values: &Distribution) -> f64 {
    let known = values.median().filter(|&median| median > 0.0).zip(values.median_interval());
    known.map_or(f64::INFINITY, |(median, (low, high))| (high - low) / 2.0 / median)
}

fn comparison(
    trial: &Trial<'_>,
    compared: &Compared,
    test: &Test,
    decision: Decision,
    stopped_because: StoppedBecause,
) -> ComparisonReport {
    let plan = trial.plan;
    let estimate = &decision.estimate;
    let (effect, interval) = of_values(estimate, plan.primary.better);
    let guards = match stopped_because {
        // The same program breaks no guard.
        StoppedBecause::IdenticalPrograms => Vec::new(),
        _ => plan.guards.iter().map(|guard| guard_report(guard, compared, test, plan)).collect(),
    };
    let is_void = stopped_because == StoppedBecause::CarryOver;
    let settled = matches!(decision.word, Word::Faster | Word::Slower | Word::Equivalent);
    ComparisonReport {
        arm: compared.contender,
        against: 0,
        metric: field(&plan.primary.metric),
        effect,
        effect_is_bound: test.is_cut_off(Side::Above),
        interval,
        confidence: estimate.confidence,
        evidence: decision.e_value_ln.exp().min(f64::MAX),
        evidence_needed: decision.threshold_ln.exp().min(f64::MAX),
        verdict: verdict(decision.word),
        mde: test.minimum_detectable().filter(|mde| mde.is_finite() && !is_void),
        noise: estimate.noise,
        pairs: test.pairs(),
        stopped_because,
        pairs_still_needed: test.pairs_still_needed().filter(|_| !settled && !is_void),
        win: decision.word == Word::Faster && guards.iter().all(|guard| guard.word == GuardWord::Held),
        guards,
        others: compared
            .others
            .iter()
            .map(|(metric, test)| {
                let estimate = test.estimate();
                let (effect, interval) = of_values(&estimate, Better::Lower);
                let noise = estimate.noise;
                (field(metric), Effect { effect, interval, noise, metric: metric.clone(), estimate })
            })
            .collect(),
        decision,
    }
}

/// The change of the value itself and its bounds, as fractions.
fn of_values(estimate: &Estimate, better: Better) -> (f64, (Option<f64>, Option<f64>)) {
    let (ratio, low, high) = match better {
        Better::Lower => (estimate.ratio, estimate.low, estimate.high),
        Better::Higher => (1.0 / estimate.ratio, 1.0 / estimate.high, 1.0 / estimate.low),
    };
    // A ratio beyond all numbers is at least the largest one.
    let change = |ratio: f64| (ratio - 1.0).min(f64::MAX);
    (
        change(ratio),
        (Some(change(low)).filter(|_| low > 0.0), Some(change(high)).filter(|_| high.is_finite())),
    )
}

fn guard_report(of: &Guard, compared: &Compared, test: &Test, plan: &Plan) -> GuardReport {
    let primary = &plan.primary;
    let Objective { metric, better } = &of.objective;
    // `others` holds plain ratios of values, the primary metric's are turned; only what counts as worse depends on the
    // guard.
    let (estimate, turned) = match compared.others.get(metric) {
        Some(test) => (test.estimate(), Better::Lower),
        None if *metric == primary.metric => (test.estimate(), primary.better),
        None => (Estimate::unknown(), Better::Lower),
    };
    let (effect, interval) = of_values(&estimate, turned);
    let worse = if *better == turned { estimate } else { inverted(&estimate) };
    // A pair that has no ratio may be the one that breaks it.
    let word =
        if compared.incomparable.contains(metric) { GuardWord::Open } else { guard(&worse, of.worse_max) };
    GuardReport { metric: field(metric), worse_max: of.worse_max, word, effect, interval }
}

/// Whether more pairs would tell nothing new of a guard.
pub(super) fn is_settled(of: &Guard, compared: &Compared, test: &Test, plan: &Plan) -> bool {
    guard_report(of, compared, test, plan).word != GuardWord::Open
}

/// A / B from B / A.
fn inverted(estimate: &Estimate) -> Estimate {
    let Estimate { ratio, low, high, .. } = *estimate;
    Estimate { ratio: 1.0 / ratio, low: 1.0 / high, high: 1.0 / low, ..*estimate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_metric_takes_the_place_of_a_field() {
        let check = |name: &str, expected: &str| {
            assert_eq!(field(&Metric::Custom(name.to_owned())), expected);
        };
        check("tps", "tps");
        check("runs", "metric_runs");
        check("wall_s", "metric_wall_s");
        check("metric_runs", "metric_metric_runs");
        check("metric_tps", "metric_tps");
        assert_eq!(field(&Metric::Wall), "wall_s");
    }
}
