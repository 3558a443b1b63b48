//! A trial: commands run in rounds of random order until the question about them is answered.
//!
//! In: a [`Plan`] with its [`Contender`]s. Out: a [`Report`]. The first contender is the reference; each other one is
//! compared with it, pair by pair. In a round every contender still in question runs once, in an order drawn by the
//! seed, so that under "no difference" each of a pair's two values is as likely to be the larger one: all that the
//! evidence of [`stats`](crate::stats) rests on. A contender whose question is answered drops out of later rounds.
//!
//! Runs that depend on what ran just before them void the trial ([`carry_over`](crate::stats::carry_over)).
//!
//! **Invariant**: which rounds are thrown away is decided by the disturbance around them, never by the times in them;
//! a contender that fails ends the trial with an error, never with a verdict.

mod advice;
pub mod calibrate;
mod conclude;
mod error;
mod order;
mod plan;
mod report;
mod rounds;
mod run;
mod tally;

pub use advice::prefer_cpu_time;
pub use error::TrialError;
pub use plan::{Contender, Failures, Plan, Purpose, Rounds};
pub use report::{ArmReport, ComparisonReport, GuardReport, MetricReport, Report, Sampled, StoppedBecause};
pub use run::{Hands, Progress, run};
