//! Real runs, recorded once so that every rule can be asked about the same ones.
//!
//! Two orders are recorded one after the other, since rivals differ in it: pairs in random order, and a block of A
//! followed at once by a block of B.

use perfup::stats::rng::draw;

use crate::launcher::{Launcher, PERFUP};
use crate::recording::{Outcome, Run, Session};

/// Runs the bundled workload.
pub struct Recorder {
    launcher: Launcher,
    /// Units of the workload that take the wanted time.
    units: u64,
    unit_s: f64,
    /// Median of a run of that size, seconds.
    pub run_s: f64,
    seed: u64,
}

impl Recorder {
    /// Sizes the workload so that a run takes about `run_s` seconds.
    pub fn new(run_s: f64, seed: u64) -> Outcome<Self> {
        let mut launcher = Launcher::new(seed)?;
        let mut median_s =
            |units: u64| launcher.median_s(&[PERFUP, "__workload", units.to_string().as_str()]);
        // Two sizes tell the start of the process from the work.
        let (few, many) = (100, 2_100);
        let (fast, slow) = (median_s(few)?, median_s(many)?);
        let unit_s = (slow - fast) / (many - few) as f64;
        let start_s = fast - unit_s * few as f64;
        let units = (((run_s - start_s) / unit_s) as u64).max(few);
        let run_s = median_s(units)?;
        Ok(Self { launcher, units, unit_s, run_s, seed })
    }

    fn run(&mut self, units: u64) -> Outcome<Run> {
        self.launcher.run(&[PERFUP, "__workload", units.to_string().as_str()])
    }

    /// Records a session: pairs in the order of fair coins, then a block of A and a block of B.
    pub fn session(&mut self, percent: u32, pairs: usize, block: usize, session: u32) -> Outcome<Session> {
        let more = f64::from(percent) / 100.0 * self.run_s / self.unit_s;
        let (a, b) = (self.units, self.units + more.round() as u64);
        let mut recorded = Session::default();
        for pair in 0..pairs {
            let a_first =
                draw(self.seed, u64::from(session) << 32 | u64::from(percent), pair as u64) >> 63 == 1;
            let (first, second) = if a_first { (a, b) } else { (b, a) };
            let (first, second) = (self.run(first)?, self.run(second)?);
            let (own, other) = if a_first { (first, second) } else { (second, first) };
            recorded.pairs.a.push(own);
            recorded.pairs.b.push(other);
            recorded.a_first.push(a_first);
        }
        for _ in 0..block {
            recorded.blocks.a.push(self.run(a)?);
        }
        for _ in 0..block {
            recorded.blocks.b.push(self.run(b)?);
        }
        Ok(recorded)
    }
}
