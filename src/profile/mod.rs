//! Sources that watch a program run: where the wall time of its whole process tree goes.
//!
//! In: runs, watched from outside. Out: one [`Profile`]. **Invariant**: unprivileged, never stops or slows the program
//! noticeably, and says for every source whether it could be used: missing evidence is data, never a silent zero.

mod cores;
mod python;
mod record;
pub mod stacks;
mod tree;
mod usage;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use python::{GilUse, Place, PythonSeen, places};
pub use record::{Limits, WatchedRun, attach, record};
pub use stacks::Stacks;
pub use tree::{BlockClass, Program, ThreadTimes, TreeTimes, WallTimes};
pub use usage::{Usage, usage};

/// Whom to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// All processes below the runner with this process id, not the runner itself. It has not started the program yet.
    Below(u32),
    /// This process, which runs already, and all processes below it.
    Process(u32),
}

/// Something that watches.
pub trait Source: Sync {
    /// Kebab-case, unique.
    fn id(&self) -> &'static str;
    /// One line: what it gives.
    fn gives(&self) -> &'static str;
    /// Whether it works on this machine, found out without running anything; for `perfup doctor`.
    fn probe(&self) -> Availability;
    /// Starts watching.
    ///
    /// # Errors
    /// [`Absent`]: why it cannot be used here.
    fn start(&self, target: Target) -> Result<Box<dyn Recording>, Absent>;
}

/// A source at work. Dropping it ends it.
pub trait Recording: Send {
    /// What it has seen until now, where it can tell before the end.
    fn so_far(&self) -> Option<Observation> {
        None
    }
    /// Stops watching.
    fn stop(self: Box<Self>) -> Observation;
}

/// Whether a source works here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    Usable,
    /// It works, and tells less than it could.
    Degraded(Absent),
    Unavailable(Absent),
}

/// Every source, in the order of listings.
pub const ALL: &[&dyn Source] = &[&tree::Tree, &python::Python, &stacks::sampling::Sampler, &cores::Cores];

/// Why a source gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    pub reason: String,
    /// What the user can do about it.
    pub remedy: String,
}

/// What a source saw in one run.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    Tree(TreeTimes),
    /// Where the program was on a CPU.
    Stacks(Stacks),
    /// Where the interpreter's threads were, on a CPU or not.
    Python(PythonSeen),
    /// Busy share of each CPU of the machine, 0–1.
    Cores(Vec<f64>),
}

/// All runs that were watched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    pub tree: TreeTimes,
    /// Native call stacks of threads on a CPU.
    pub stacks: Stacks,
    /// Python call stacks of threads on a CPU or not.
    pub python: Stacks,
    /// Use of the global interpreter lock, by process id.
    pub gil: BTreeMap<u32, GilUse>,
    /// Means over the runs.
    pub cores: Vec<f64>,
    pub runs: u32,
    pub sources: Vec<SourceReport>,
}

/// How one source fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    pub id: String,
    pub gives: String,
    pub state: Availability,
}

impl Profile {
    /// Sources that gave less than they could, or nothing: which, and why.
    pub fn missing(&self) -> impl Iterator<Item = (&str, &Absent)> {
        self.sources.iter().filter_map(|source| match &source.state {
            Availability::Usable => None,
            Availability::Degraded(absent) | Availability::Unavailable(absent) => {
                Some((source.id.as_str(), absent))
            }
        })
    }

    /// What a source was refused while at work outweighs what it promised.
    fn degrade(&mut self, id: &str, absent: Absent) {
        if let Some(report) = self.sources.iter_mut().find(|report| report.id == id) {
            report.state = Availability::Degraded(absent);
        }
    }

    fn add(&mut self, observation: Observation) {
        match observation {
            Observation::Tree(times) => {
                if let Some(absent) = &times.degraded {
                    self.degrade("tree", absent.clone());
                }
                self.tree.add(&times);
            }
            Observation::Stacks(stacks) => self.stacks.add(&stacks),
            Observation::Python(seen) => {
                self.python.add(&seen.stacks);
                for (pid, gil) in &seen.gil {
                    self.gil.entry(*pid).or_default().add(gil);
                }
                if let Some(absent) = seen.absent {
                    self.degrade("python", absent);
                }
            }
            Observation::Cores(shares) => {
                self.cores.resize(shares.len().max(self.cores.len()), 0.0);
                for (sum, share) in self.cores.iter_mut().zip(shares) {
                    *sum += share;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_ids_and_say_what_they_give() {
        let mut ids: Vec<&str> = ALL.iter().map(|source| source.id()).collect();
        assert!(ids.iter().all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        assert!(ALL.iter().all(|source| !source.gives().is_empty()));
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
    }
}
