//! Values of the upper rooms as the worklog's plain rows, and back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ExperimentError;
use crate::config::Metric;
use crate::measure::{Pair, Sample};
use crate::stats::summary;
use crate::worklog::{Measurement, PairRow};

pub(super) fn to_json(value: &impl Serialize) -> Result<Value, ExperimentError> {
    serde_json::to_value(value).map_err(ExperimentError::Unwritable)
}

/// `what` is for the message when the record is damaged or of another version.
pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, value: Value) -> Result<T, ExperimentError> {
    serde_json::from_value(value).map_err(|source| ExperimentError::BadRecord { what, source })
}

fn measurement(sample: &Sample) -> Result<Measurement, ExperimentError> {
    Ok(Measurement {
        wall_ns: sample.run.wall_ns,
        user_ns: sample.run.user_ns,
        sys_ns: sample.run.sys_ns,
        rss_bytes_max: sample.run.rss_bytes_max,
        stdout_sha256: sample.run.stdout.sha256.clone(),
        sample: to_json(sample)?,
    })
}

/// A pair, and whether another one stands in for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recorded {
    pub pair: Pair,
    pub redone: bool,
}

pub(super) fn recorded(row: PairRow) -> Result<Recorded, ExperimentError> {
    let pair = Pair {
        index: row.index,
        a_first: row.a_first,
        a: from_json("sample", row.a.sample)?,
        b: from_json("sample", row.b.sample)?,
    };
    Ok(Recorded { pair, redone: row.redone })
}

pub(super) fn pair_row(recorded: &Recorded) -> Result<PairRow, ExperimentError> {
    let pair = &recorded.pair;
    let disturbance = pair.disturbance();
    Ok(PairRow {
        index: pair.index,
        a_first: pair.a_first,
        steal_share: disturbance.steal,
        wait_share: disturbance.wait,
        redone: recorded.redone,
        a: measurement(&pair.a)?,
        b: measurement(&pair.b)?,
    })
}

/// Medians of the metric over arm A and arm B.
pub(super) fn medians(pairs: &[Pair], metric: &Metric) -> (f64, f64) {
    let median = |arm: fn(&Pair) -> &Sample| {
        let values: Vec<f64> = pairs.iter().filter_map(|pair| arm(pair).metric(metric)).collect();
        summary::median(&values).unwrap_or(f64::NAN)
    };
    (median(|pair| &pair.a), median(|pair| &pair.b))
}
