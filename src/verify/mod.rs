//! Is a candidate honest, and does it still do what the original does? Speed comes after that.
//!
//! In: samples, changed paths, test output. Out: words for what is wrong, and the [`Outcome`] of an attempt.
//! **Invariant**: rules are pure; content is loaded through a function handed in, and nobody's opinion counts.

mod integrity;
mod oracles;
mod outcome;
mod tests_run;

pub use integrity::{Protection, Tamper, built_artefact};
pub use oracles::{Expectation, LearnError, Mismatch, NotWidened, Relearned};
pub use outcome::{CrashReason, DiscardReason, Outcome};
pub use tests_run::{Counts, TestMismatch, TestRun};
