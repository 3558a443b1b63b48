//! Whether something else got in the way of a round, so that the whole round should be run again.
//!
//! The rule sees two facts of each run: CPU time that the hypervisor took from the machine, and time that the program
//! was ready to run but something else had the CPU. It never sees the times that are compared, and it treats all runs
//! of a round alike. So if the commands of a round are the same program, swapping two of them changes neither whether
//! the round is kept nor anything else: each is still as likely to be the slower one in the rounds that are kept, and
//! the evidence stays valid. That takes runs whose facts are known to their ends: a round in which a run was cut short,
//! or another one took as long, must not be asked about here (a trial keeps it).
//!
//! **Invariant**: pure; no verdict is known here.

use crate::sys::procfs::ticks_per_second;
use crate::sys::wire::RunRecord;

/// Share of the machine's CPU time during a run that the hypervisor may take.
const STEAL_MAX: f64 = 0.02;

/// Less is the rounding of the kernel's clock, ticks.
const STEAL_TICKS_MIN: u64 = 2;

/// Share of a run's wall time that its main thread may wait for a CPU.
const WAIT_MAX: f64 = 0.10;

/// A wait below this is the scheduler's ordinary granularity, nanoseconds.
const WAIT_NS_MIN: u64 = 1_000_000;

/// Rounds that may be thrown away before any is kept, and one more for each so many kept.
const ALLOWED_AT_FIRST: u32 = 3;
const ONE_PER_ROUNDS: u32 = 4;

/// What else went on during a round: the worst of its runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Disturbance {
    /// Stolen CPU time as a share of what all CPUs have in that time, a tick or none left out; absent where it is not told.
    pub steal: Option<f64>,
    /// Time spent waiting for a CPU as a share of the wall time, short waits left out.
    pub wait: Option<f64>,
}

impl Disturbance {
    /// Of all runs of a round.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a RunRecord>) -> Self {
        let share = |part_ns: u64, least_ns: u64, run: &RunRecord| {
            if part_ns < least_ns { 0.0 } else { part_ns as f64 / run.wall_ns.max(1) as f64 }
        };
        let steal_ns_min = STEAL_TICKS_MIN * 1_000_000_000 / ticks_per_second();
        let worst = |now: Option<f64>, next: Option<f64>| match (now, next) {
            (Some(now), Some(next)) => Some(now.max(next)),
            (now, next) => now.or(next),
        };
        runs.into_iter().fold(Self::default(), |sum, run| Self {
            steal: worst(
                sum.steal,
                run.steal_ns.map(|steal| {
                    share(steal, steal_ns_min, run) / f64::from(run.steal_cpus.unwrap_or(1).max(1))
                }),
            ),
            wait: worst(sum.wait, run.runqueue_wait_ns.map(|wait| share(wait, WAIT_NS_MIN, run))),
        })
    }

    /// Whether it was more than an ordinary machine does.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.steal.is_some_and(|steal| steal > STEAL_MAX) || self.wait.is_some_and(|wait| wait > WAIT_MAX)
    }
}

/// Which rounds are run again, and when to stop doing so: a machine that is always busy, or a program that waits for
/// itself with more threads than there are CPUs, has no undisturbed rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redo {
    redone: u32,
    /// Rounds that were kept although they were disturbed.
    kept_disturbed: u32,
}

impl Redo {
    /// Whether a round is thrown away, after so many were kept.
    pub fn wants(&mut self, disturbance: &Disturbance, kept: u32) -> bool {
        if !disturbance.is_large() {
            return false;
        }
        let allowed = self.redone < ALLOWED_AT_FIRST + kept / ONE_PER_ROUNDS;
        *(if allowed { &mut self.redone } else { &mut self.kept_disturbed }) += 1;
        allowed
    }

    /// Counts a round of which this has been decided already: by an earlier process, or since it must be kept.
    pub fn recall(&mut self, disturbance: &Disturbance, redone: bool) {
        if redone {
            self.redone += 1;
        } else if disturbance.is_large() {
            self.kept_disturbed += 1;
        }
    }

    /// Rounds thrown away.
    #[must_use]
    pub fn redone(&self) -> u32 {
        self.redone
    }

    /// Rounds that count although they were disturbed.
    #[must_use]
    pub fn kept_disturbed(&self) -> u32 {
        self.kept_disturbed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(wall_ns: u64, steal_ns: Option<u64>, runqueue_wait_ns: Option<u64>) -> RunRecord {
        RunRecord { steal_ns, runqueue_wait_ns, ..RunRecord::of(wall_ns) }
    }

    #[test]
    fn only_what_others_took_disturbs() {
        let check = |steal, wait, expected: bool| {
            let quiet = run(100_000_000, Some(0), Some(0));
            let runs = [quiet, run(100_000_000, steal, wait)];
            assert_eq!(Disturbance::of(&runs).is_large(), expected, "{steal:?} {wait:?}");
            // Whoever it hits, the round is disturbed.
            assert_eq!(Disturbance::of(runs.iter().rev()).is_large(), expected);
        };
        check(None, None, false);
        check(Some(0), Some(0), false);
        check(Some(1_000_000), Some(9_000_000), false);
        check(Some(10_000_000), Some(0), false);
        check(Some(20_000_000), Some(0), true);
        check(None, Some(11_000_000), true);
        assert!(!Disturbance::of(&[run(1_000_000, None, Some(900_000))]).is_large(), "below the granularity");
    }

    #[test]
    fn steal_is_a_share_of_all_cpus() {
        let check = |steal_ms: u64, cpus: u32, expected: bool| {
            let run =
                RunRecord { steal_cpus: Some(cpus), ..run(1_000_000_000, Some(steal_ms * 1_000_000), None) };
            assert_eq!(Disturbance::of(&[run]).is_large(), expected, "{steal_ms} ms of {cpus} CPUs");
        };
        check(30, 1, true);
        check(30, 2, false);
        check(1_000, 64, false);
        check(1_300, 64, true);
    }

    #[test]
    fn a_machine_that_is_always_busy_is_not_waited_for() {
        let busy = Disturbance { steal: None, wait: Some(0.5) };
        let mut redo = Redo::default();
        let mut kept = 0;
        for _ in 0..100 {
            kept += u32::from(!redo.wants(&busy, kept));
        }
        // 3 + kept/4 of 100.
        assert_eq!((redo.redone(), kept), (22, 78));
        assert_eq!(redo.kept_disturbed(), 78);
        assert!(!Redo::default().wants(&Disturbance::default(), 0));
    }
}
