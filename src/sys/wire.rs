//! What perfup and its runner process say to each other: one JSON line each way.
//!
//! **Invariant**: plain data, no behaviour; both ends are the same binary, so the format is not stored as such.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One process launch, as the runner is asked for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRequest {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    pub cwd: PathBuf,
    /// The whole environment of the program; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// A file to read as standard input; `/dev/null` when absent.
    pub stdin: Option<PathBuf>,
    /// Where standard output is saved (created or truncated).
    pub stdout: PathBuf,
    /// Where standard error is saved (created or truncated).
    pub stderr: PathBuf,
    /// Bytes of either stream after which the tree is killed.
    pub output_bytes_max: u64,
    /// Wall time after which the tree is killed.
    pub timeout_ns: u64,
    /// How long descendants may outlive the program before they are killed and counted as survivors.
    pub grace_ns: u64,
    /// The program may only use these CPUs; empty for all that this process may use.
    pub cpus: Vec<u32>,
    /// Counters of the program's whole tree; those that the system refuses are left out of the record.
    pub counters: Vec<CounterRequest>,
    /// Whether the energy meters are read before and after.
    pub energy: bool,
}

/// A number that the CPU or the kernel counts while the tree runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterRequest {
    /// Key in [`RunRecord::counts`].
    pub name: String,
    /// Added up; more than one on CPUs with several kinds of core.
    pub events: Vec<PerfEvent>,
}

/// `type` and `config` of `perf_event_open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerfEvent {
    pub kind: u32,
    pub config: u64,
}

/// Why the system does not give a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// A clause for people.
    pub reason: String,
    /// What would change that.
    pub hint: Option<String>,
}

/// The runner's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one a run, and nearly always the large one")]
pub enum RunReply {
    Done(RunRecord),
    Failed(RunFailure),
}

/// Why a program could not be started (or watched) at all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunFailure {
    /// The operation that failed, for example `exec` or `open stdout`.
    pub operation: String,
    /// What it was tried on.
    pub object: String,
    /// The operating system's error number, 0 when there is none.
    pub errno: i32,
}

/// What one launch of the whole process tree cost and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Wall-clock start, nanoseconds since the Unix epoch.
    pub started_unix_ns: u64,
    /// Monotonic time from just before the spawn until the whole tree is gone and both pipes are drained.
    pub wall_ns: u64,
    /// CPU time of all descendants in user mode.
    pub user_ns: u64,
    /// CPU time of all descendants in the kernel.
    pub sys_ns: u64,
    /// Peak resident set of the largest single process of the tree.
    pub rss_bytes_max: u64,
    /// The least that [`Self::rss_bytes_max`] can show: the runner's own size when it started the program.
    pub rss_floor_bytes: Option<u64>,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    /// Bytes fetched from storage (not the page cache); absent where `/proc/PID/io` is refused.
    pub read_bytes: Option<u64>,
    /// Bytes sent towards storage.
    pub write_bytes: Option<u64>,
    /// Time the program's main thread was runnable but had no CPU.
    pub runqueue_wait_ns: Option<u64>,
    /// Time the hypervisor took from this machine during the run, summed over its CPUs.
    pub steal_ns: Option<u64>,
    /// How many CPUs that is the sum of.
    #[serde(default)]
    pub steal_cpus: Option<u32>,
    /// Processes and threads created on the whole machine during the run.
    pub forks: Option<u64>,
    /// User-mode counts of the whole tree, by [`CounterRequest::name`]; absent where they did not run.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// What all CPU packages used during the run, whoever used it, µJ.
    pub energy_uj: Option<u64>,
    pub end: RunEnd,
    /// Descendants that had to be killed after the program's own exit.
    pub survivors: u32,
    pub stdout: Captured,
    pub stderr: Captured,
}

/// How a launch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEnd {
    Exited(i32),
    Signaled(i32),
    /// Killed by the runner at the time limit.
    TimedOut,
    /// Killed by the runner because an output stream passed its limit.
    OutputLimit,
    /// Killed because perfup was interrupted.
    Interrupted,
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signaled(signal) => write!(f, "killed by signal {signal}"),
            Self::TimedOut => f.write_str("killed at the time limit"),
            Self::OutputLimit => f.write_str("killed at the output limit"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// One captured stream or file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    pub bytes: u64,
    /// Lower-case hexadecimal SHA-256 of the content.
    pub sha256: String,
}

#[cfg(test)]
impl RunRecord {
    /// A run that ended well, printed nothing and used nothing but this time.
    pub fn of(wall_ns: u64) -> Self {
        let nothing = Captured { bytes: 0, sha256: String::new() };
        Self {
            started_unix_ns: 0,
            wall_ns,
            user_ns: 0,
            sys_ns: 0,
            rss_bytes_max: 0,
            rss_floor_bytes: None,
            minor_faults: 0,
            major_faults: 0,
            voluntary_switches: 0,
            involuntary_switches: 0,
            read_bytes: None,
            write_bytes: None,
            runqueue_wait_ns: None,
            steal_ns: None,
            steal_cpus: None,
            forks: None,
            counts: Default::default(),
            energy_uj: None,
            end: RunEnd::Exited(0),
            survivors: 0,
            stdout: nothing.clone(),
            stderr: nothing,
        }
    }
}
