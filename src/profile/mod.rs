//! Sources that watch a program run: where the wall time of its whole process tree goes.
//!
//! In: runs, watched from outside. Out: one [`Profile`]. **Invariant**: unprivileged, never stops or slows the program
//! noticeably, and says for every source whether it could be used: missing evidence is data, never a silent zero.

mod cores;
mod tree;
mod usage;

use serde::{Deserialize, Serialize};

pub use tree::{BlockClass, TreeTimes};
pub use usage::{Usage, usage};

/// Seconds of running that a profile should rest on; a shorter command is run again.
const SECONDS_MIN: f64 = 1.0;

/// Runs after which a very short command has been watched enough.
const RUNS_MAX: u32 = 20;

/// Something that watches.
pub trait Source: Sync {
    /// Kebab-case, unique.
    fn id(&self) -> &'static str;
    /// One line: what it gives.
    fn gives(&self) -> &'static str;
    /// Starts watching the tree below the runner with this process id.
    ///
    /// # Errors
    /// [`Absent`]: why it cannot be used here.
    fn start(&self, runner: u32) -> Result<Box<dyn Recording>, Absent>;
}

/// A source at work.
pub trait Recording {
    /// Stops watching.
    fn stop(self: Box<Self>) -> Observation;
}

/// Every source, in the order of listings.
pub const ALL: &[&dyn Source] = &[&tree::Tree, &cores::Cores];

/// Why a source gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    pub reason: String,
    /// What the user can do about it.
    pub remedy: String,
}

/// What a source saw in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observation {
    Tree(TreeTimes),
    /// Busy share of each CPU of the machine, 0–1.
    Cores(Vec<f64>),
}

/// All runs that were watched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub tree: TreeTimes,
    /// Means over the runs.
    pub cores: Vec<f64>,
    pub runs: u32,
    /// Sources that could not be used.
    pub absent: Vec<(String, Absent)>,
}

/// One run of the command to watch. It is handed a function to call with the runner's process id, and answers with the
/// run's wall time in seconds.
pub type WatchedRun<'a, E> = dyn FnMut(&mut dyn FnMut(u32)) -> Result<f64, E> + 'a;

/// Watches a command run, again and again until there is enough to see.
///
/// # Errors
/// Those of `run`.
pub fn record<E>(run: &mut WatchedRun<'_, E>) -> Result<Profile, E> {
    let mut profile = Profile::default();
    let mut seconds = 0.0;
    while seconds < SECONDS_MIN && profile.runs < RUNS_MAX {
        let mut recordings: Vec<Box<dyn Recording>> = Vec::new();
        let mut absent = Vec::new();
        let result = run(&mut |runner| {
            for source in ALL {
                match source.start(runner) {
                    Ok(recording) => recordings.push(recording),
                    Err(why) => absent.push((source.id().to_owned(), why)),
                }
            }
        });
        let observations: Vec<Observation> =
            recordings.into_iter().map(|recording| recording.stop()).collect();
        seconds += result?;
        profile.runs += 1;
        profile.absent = absent;
        for observation in observations {
            profile.add(observation);
        }
    }
    for share in &mut profile.cores {
        *share /= f64::from(profile.runs.max(1));
    }
    Ok(profile)
}

impl Profile {
    fn add(&mut self, observation: Observation) {
        match observation {
            Observation::Tree(times) => self.tree.add(&times),
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
