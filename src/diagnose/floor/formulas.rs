//! The formulas of floors: each gives the least seconds that some amount of work takes.
//!
//! All take positive numbers in base units: seconds, bytes, operations, and rates of those per second.

use crate::config::Complexity;

/// bytes / bandwidth: of memory, storage, a link, a bus.
pub fn transfer(bytes: f64, bytes_per_s: f64) -> f64 {
    bytes / bytes_per_s
}

/// operations / (operations per second).
pub fn operations(count: f64, per_s: f64) -> f64 {
    count / per_s
}

/// n · t: one after the other, each waiting for the one before.
pub fn one_by_one(count: f64, seconds_each: f64) -> f64 {
    count * seconds_each
}

/// n · t / p: independent ones, divided evenly over all cores.
pub fn divided(count: f64, seconds_each: f64, cores: f64) -> f64 {
    count * seconds_each / cores
}

/// ⌈n/c⌉ · (round trip + service): with c calls under way no more than c are answered in that time (Little, 1961, "A
/// proof for the queuing formula L = λW"). With c = 1 it is the sequential n · (RTT + service).
pub fn calls(count: f64, at_once: f64, round_trip_s: f64, service_s: f64) -> f64 {
    (count / at_once).ceil() * (round_trip_s + service_s)
}

/// (n − 1) / rate: the first call goes at once.
pub fn rate_limited(count: f64, per_s: f64) -> f64 {
    (count - 1.0).max(0.0) / per_s
}

/// FLOP / (cores · peak).
pub fn compute(flops: f64, cores: f64, flops_per_core_s: f64) -> f64 {
    flops / (cores * flops_per_core_s)
}

/// max(T₁/p, T∞), the work law and the span law (Brent 1974, "The parallel evaluation of general arithmetic
/// expressions"; Cormen et al., Introduction to Algorithms, chapter on multithreading).
pub fn parallel(work_s: f64, cores: f64, span_s: f64) -> f64 {
    (work_s / cores).max(span_s)
}

/// T₁ · ((1 − f) + f/p) (Amdahl 1967, "Validity of the single processor approach").
pub fn amdahl(work_s: f64, parallel_fraction: f64, cores: f64) -> f64 {
    work_s * ((1.0 - parallel_fraction) + parallel_fraction / cores)
}

/// c · f(n) / p.
pub fn complexity(steps: f64, step_s: f64, cores: f64) -> f64 {
    steps * step_s / cores
}

/// c of c·f(n) from runs: the least time of a step that any of them shows. A least-squares fit would be higher than some
/// of the runs, and so would be a floor with it. Absent without runs.
pub fn fitted_step(law: Complexity, points: &[(f64, f64)]) -> Option<f64> {
    let steps = points.iter().map(|&(n, seconds)| seconds / law.steps(n));
    steps.filter(|step| step.is_finite() && *step > 0.0).reduce(f64::min)
}

/// wall − share · wall.
pub fn without(wall_s: f64, share: f64) -> f64 {
    wall_s - share.clamp(0.0, 1.0) * wall_s
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} is not {expected}");
    }

    /// Numbers worked out by hand.
    #[test]
    fn the_formulas_give_what_paper_gives() {
        check(transfer(30e9, 20e9), 1.5);
        check(operations(5000.0, 20_000.0), 0.25);
        check(one_by_one(100.0, 0.002), 0.2);
        check(divided(1000.0, 0.0005, 2.0), 0.25);
        // 95 calls, ten at a time: ten rounds of 30 ms.
        check(calls(95.0, 10.0, 0.01, 0.02), 0.3);
        check(calls(95.0, 1.0, 0.01, 0.02), 2.85);
        check(calls(95.0, 1000.0, 0.01, 0.02), 0.03);
        check(rate_limited(101.0, 50.0), 2.0);
        check(rate_limited(0.5, 50.0), 0.0);
        check(compute(8e9, 4.0, 1e9), 2.0);
        check(parallel(8.0, 4.0, 1.0), 2.0);
        check(parallel(8.0, 16.0, 1.0), 1.0);
        // 90 % of 10 s on nine cores: 1 s and 1 s.
        check(amdahl(10.0, 0.9, 9.0), 2.0);
        check(amdahl(10.0, 1.0, 4.0), 2.5);
        check(complexity(1e6, 2e-9, 2.0), 1e-3);
        check(without(2.0, 0.75), 0.5);
        check(without(2.0, 1.5), 0.0);
    }

    #[test]
    fn a_step_is_as_short_as_the_best_run_shows() {
        let law = Complexity::Polynomial { power: 2.0, logs: 0 };
        let step = fitted_step(law, &[(10.0, 0.5), (100.0, 4.0), (1000.0, 500.0)]).unwrap();
        check(step, 4e-4);
        assert_eq!(fitted_step(law, &[]), None);
        let beyond = Complexity::Exponential { base: 2.0 };
        assert_eq!(fitted_step(beyond, &[(1e9, 1.0)]), None);
    }
}
