//! The least time that the machine allows for this work, as far as measurements tell.

use super::{Floor, Situation, Times};
use crate::profile::Usage;

/// Share of blocked time from which removing the wait is the way down.
const MOSTLY_BLOCKED: f64 = 0.5;

/// No program starts and ends faster, about; keeps the ratio of a program that only sleeps finite.
const START_S: f64 = 5e-4;

/// The floor of what dominates, never above the best measured time.
///
/// - parallel: max(T₁/p, T∞) with T₁ the CPU seconds; T∞ is not known and taken as 0;
/// - "remove the wait": the wall time without the share in which nothing of the tree could run.
#[must_use]
pub(super) fn floor(usage: &Usage, times: &Times) -> Floor {
    let cores = times.cores_available.max(1);
    let parallel = (usage.user_s + usage.sys_s) / cores as f64;
    let without_wait = times.wall_s * (1.0 - times.blocked);
    let (seconds, binds, assumption) = if times.blocked >= MOSTLY_BLOCKED {
        let computing = "the computing part, once nothing waits".to_owned();
        (without_wait.max(parallel).max(START_S), computing, "all waiting can be removed")
    } else {
        let plural = if cores == 1 { "" } else { "s" };
        let cpu = format!("CPU time on {cores} core{plural}");
        (parallel.max(START_S), cpu, "the work divides evenly over all cores")
    };
    let seconds = seconds.min(usage.wall_s_min);
    let ratio = if seconds > 0.0 { (times.wall_s / seconds).max(1.0) } else { f64::MAX };
    Floor {
        seconds,
        ratio,
        binds,
        situation: situation(ratio),
        assumptions: vec![
            assumption.to_owned(),
            "the same instructions are executed; a better algorithm or better code goes below this"
                .to_owned(),
        ],
    }
}

fn situation(ratio: f64) -> Situation {
    match ratio {
        ratio if ratio < 1.5 => Situation::NearOptimal,
        ratio if ratio < 3.0 => Situation::Scheduling,
        ratio if ratio <= 10.0 => Situation::Architectural,
        _ => Situation::Algorithmic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cpu_s: f64, blocked: f64, cores: usize, seconds: f64, expected: Situation) {
        let usage = Usage { wall_s: 1.0, user_s: cpu_s, wall_s_min: 0.9, ..Usage::default() };
        let times = Times {
            wall_s: 1.0,
            user_s: cpu_s,
            sys_s: 0.0,
            rss_bytes_max: 0,
            read_bytes: None,
            write_bytes: None,
            cores_used: cpu_s,
            cores_available: cores,
            core_busy: Vec::new(),
            blocked,
            samples: 1,
        };
        let floor = floor(&usage, &times);
        assert!((floor.seconds - seconds).abs() < 1e-9, "{floor:?}");
        assert_eq!(floor.situation, expected, "{floor:?}");
    }

    #[test]
    fn floors_bind_where_they_should() {
        check(1.0, 0.0, 2, 0.5, Situation::Scheduling);
        check(1.0, 0.0, 8, 0.125, Situation::Architectural);
        check(0.02, 0.98, 2, 0.02, Situation::Algorithmic);
        check(0.0, 1.0, 2, START_S, Situation::Algorithmic);
        check(1.0, 0.0, 1, 0.9, Situation::NearOptimal);
        check(2.0, 0.0, 2, 0.9, Situation::NearOptimal);
    }
}
