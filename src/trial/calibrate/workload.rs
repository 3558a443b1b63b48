//! A program of known size: perfup re-executed to compute for as long as it is told.
//!
//! One unit is a fixed chain of integer operations, each of which needs the one before: no compiler, cache or vector
//! unit makes 105 units anything but 5 % more work than 100.

use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;

/// The hidden first argument that makes perfup the workload; the second is the number of units.
pub(super) const ARGUMENT: &str = "__workload";

/// Steps of a unit: some microseconds.
const STEPS: u64 = 2_000;

/// Computes so many units and prints what came out, always the same for the same number.
pub(super) fn main(units: u64) -> ExitCode {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for _ in 0..units {
        for _ in 0..STEPS {
            // Xorshift (Marsaglia 2003): each step depends on the whole of the last.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state = black_box(state);
        }
    }
    match writeln!(io::stdout(), "{state:016x}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
