//! What the machine can do at best, as plain numbers.

use serde::{Deserialize, Serialize};

use crate::machine::probes::{Probe, Probes, compute, kernel, memory, messages, processes, storage};

/// Rates per second and costs in seconds; absent where they could not be measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Double-precision operations of one core.
    pub flops_per_core: Option<f64>,
    /// Bytes of memory, all cores, the best mixture of reads and writes.
    pub memory: Option<f64>,
    /// Bytes from and to storage.
    pub storage_read: Option<f64>,
    pub storage_write: Option<f64>,
    /// Random reads from storage, many at once.
    pub storage_reads: Option<f64>,
    /// Seconds until a written page has reached storage.
    pub flush_s: Option<f64>,
    /// Seconds of a message to somebody on this machine and back: nobody farther away answers sooner.
    pub round_trip_s: Option<f64>,
    pub spawn_s: Option<f64>,
    pub syscall_s: Option<f64>,
    pub page_fault_s: Option<f64>,
}

impl From<&Probes> for Rates {
    fn from(probes: &Probes) -> Self {
        let value = |probe: &Probe| probes.value(probe);
        let all_cores = [&memory::READ_ONE, &memory::READ_ALL, &memory::COPY_ONE, &memory::COPY_ALL];
        Self {
            flops_per_core: value(&compute::MULTIPLY_ADD),
            memory: all_cores.into_iter().filter_map(value).reduce(f64::max),
            storage_read: value(&storage::READ),
            storage_write: value(&storage::WRITE),
            storage_reads: value(&storage::RANDOM_READS),
            flush_s: value(&storage::FLUSH),
            round_trip_s: value(&messages::LOOPBACK),
            spawn_s: value(&processes::SPAWN),
            syscall_s: value(&kernel::SYSCALL),
            page_fault_s: value(&kernel::PAGE_FAULT),
        }
    }
}
