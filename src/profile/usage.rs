//! What the baseline's samples say by themselves: medians of what the kernel accounts for.

use serde::{Deserialize, Serialize};

use crate::measure::Sample;
use crate::stats::summary;

/// Medians over samples of one arm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub wall_s: f64,
    pub user_s: f64,
    pub sys_s: f64,
    pub rss_bytes_max: f64,
    pub minor_faults: f64,
    pub major_faults: f64,
    pub voluntary_switches: f64,
    pub read_bytes: Option<f64>,
    pub write_bytes: Option<f64>,
    /// Waiting of the main thread for a CPU.
    pub runqueue_s: Option<f64>,
    /// Taken by the hypervisor, all CPUs.
    pub steal_s: Option<f64>,
    /// Processes and threads created on the whole machine.
    pub forks: Option<f64>,
    /// Fastest of the samples.
    pub wall_s_min: f64,
    pub samples: usize,
}

/// Medians; all zero for no samples.
#[must_use]
pub fn usage(samples: &[Sample]) -> Usage {
    let of = |value: fn(&Sample) -> u64| {
        let values: Vec<f64> = samples.iter().map(|sample| value(sample) as f64).collect();
        summary::median(&values).unwrap_or(0.0)
    };
    let known = |value: fn(&Sample) -> Option<u64>| {
        let values: Option<Vec<f64>> =
            samples.iter().map(|sample| value(sample).map(|value| value as f64)).collect();
        summary::median(&values?)
    };
    let fastest = samples.iter().map(|sample| sample.run.wall_ns).min().unwrap_or(0);
    Usage {
        wall_s: of(|sample| sample.run.wall_ns) * 1e-9,
        user_s: of(|sample| sample.run.user_ns) * 1e-9,
        sys_s: of(|sample| sample.run.sys_ns) * 1e-9,
        rss_bytes_max: of(|sample| sample.run.rss_bytes_max),
        minor_faults: of(|sample| sample.run.minor_faults),
        major_faults: of(|sample| sample.run.major_faults),
        voluntary_switches: of(|sample| sample.run.voluntary_switches),
        read_bytes: known(|sample| sample.run.read_bytes),
        write_bytes: known(|sample| sample.run.write_bytes),
        runqueue_s: known(|sample| sample.run.runqueue_wait_ns).map(|ns| ns * 1e-9),
        steal_s: known(|sample| sample.run.steal_ns).map(|ns| ns * 1e-9),
        forks: known(|sample| sample.run.forks),
        wall_s_min: fastest as f64 * 1e-9,
        samples: samples.len(),
    }
}
