//! The operating system: the tiny runner process, hot `/proc` reads, signals.
//!
//! **Invariant**: the only room with `unsafe`, and it knows nothing of benchmarks, git or statistics.

pub mod launch;
mod memory;
mod os;
pub mod perf;
pub mod powercap;
pub mod procfs;
pub mod runner;
pub mod signals;
mod spawn;
pub mod stream;
mod tree;
mod watch;
pub mod wire;

pub use os::cpus_allowed;
