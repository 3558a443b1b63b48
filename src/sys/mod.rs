//! The operating system: the tiny runner process, hot `/proc` reads, signals.
//!
//! **Invariant**: the only room with `unsafe`, and it knows nothing of benchmarks, git or statistics.

pub mod clock;
pub mod kernels;
pub mod launch;
mod memory;
mod os;
pub mod pages;
pub mod peek;
pub mod perf;
mod perf_event;
pub mod perf_records;
pub mod perf_sampling;
pub mod powercap;
pub mod process;
pub mod procfs;
pub mod runner;
pub mod signals;
mod spawn;
pub mod stream;
mod tree;
mod watch;
pub mod wire;

pub use os::{cpus_allowed, terminate};
