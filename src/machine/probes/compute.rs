//! How fast one core computes.

use std::hint::black_box;

use super::{BUDGET, Bench, Measured, Of, Probe, REPEATS_MIN, Unit, build_note, seconds_each};
use crate::sys::kernels;

/// Floating-point operations that one core can do in a second, with operands in registers.
pub const MULTIPLY_ADD: Probe = Probe {
    id: "multiply-add",
    what: "FP64 multiply-add, one core",
    unit: Unit::FlopsPerSecond,
    of: Of::Host,
    how: "independent chains in registers, the widest instructions of this CPU; a multiply-add is two operations",
    measure: multiply_add,
};

/// Long enough for the clock: about 20 µs.
const STEPS: u64 = 5000;

fn multiply_add(bench: &Bench<'_>) -> Result<Measured, String> {
    let kernels = kernels::multiply_adds();
    let mut turns = kernels.iter().cycle();
    let mut best = "";
    let mut fastest = 0.0;
    // Seconds of one operation, by turns: what disturbs one loop disturbs the others as well.
    let seconds = bench.least(BUDGET, REPEATS_MIN * kernels.len() as u32, || {
        let kernel = turns.next().ok_or("no loop for this CPU")?;
        let run = || {
            black_box((kernel.run)(black_box(STEPS)));
        };
        let seconds = seconds_each(1, run)? / (STEPS as f64 * kernel.flops_per_step);
        if 1.0 / seconds > fastest {
            (fastest, best) = (1.0 / seconds, kernel.name);
        }
        Ok::<_, String>(seconds)
    })?;
    let note = build_note().or_else(|| Some(best.to_owned()));
    Ok(Measured { note, ..Measured::from(1.0 / seconds) })
}
