//! The machine: what it is, how busy it is, and the lock that lets one measurement at a time have it.
//!
//! **Invariant**: never starts a process (but for the one of a probe) and never reads while one is being measured; holds
//! nothing that names the machine's owner (no host name, no serial number).

mod access;
mod cgroup;
mod facts;
mod files;
mod gpu;
mod lock;
pub mod probes;
mod strain;

pub use access::Access;
pub use cgroup::Cgroup;
pub use facts::{Facts, FactsError, Source, cores_available};
pub use gpu::{Gpu, Gpus};
pub use lock::{LockError, MeasureLock};
pub use strain::{Moment, Stalls, Strain};
