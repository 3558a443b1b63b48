//! Pure functions on numbers: estimates, evidence, decisions.
//!
//! The unit of evidence is a pair: one run of A and one of B back to back, in an order that a seeded fair coin
//! draws ([`rng::coin`]), reduced to its log ratio `L = ln(time B / time A)`. If the arms are the same, the coin alone
//! decides the sign of L, whatever noise, drift or autocorrelation the machine adds: everything here rests on that.
//!
//! A loop pushes each pair into a [`sequential::Test`] and asks for its status; the answer is valid at any stopping
//! time. [`decision::decide`] answers the same about a finished list.
//!
//! **Invariant**: no clock, no I/O, no global random state; the same numbers always give the same answer.

pub mod carry_over;
pub mod decision;
pub mod distribution;
pub mod effect;
pub mod evidence;
mod forecast;
pub mod guard;
mod log_ratios;
pub mod lond;
mod noise;
pub mod proportion;
pub mod racing;
pub mod rng;
pub mod scaling;
pub mod screen;
pub mod sequential;
mod sign;
mod size;
pub mod summary;

#[cfg(test)]
mod simulation;
