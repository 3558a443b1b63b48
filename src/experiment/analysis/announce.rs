//! What is told while a long run goes on.

use std::sync::{Mutex, PoisonError};

use super::super::event::{Event, Events};
use super::steady::Steadiness;
use crate::diagnose::{Machine, diagnose};
use crate::machine::cores_available;
use crate::profile::{Profile, Usage};

/// Looks at what has been seen so far, about once a second, and says what it is.
pub(super) struct Announcer {
    events: Events,
    cores: usize,
    steadiness: Mutex<Steadiness>,
}

impl Announcer {
    pub fn new(events: &Events) -> Self {
        Self { events: events.clone(), cores: cores_available() as usize, steadiness: Mutex::default() }
    }

    /// To be called from one thread at a time.
    pub fn look(&self, profile: &Profile) {
        let diagnosis = diagnose(&usage_so_far(profile), profile, &Machine::of_cores(self.cores));
        let seconds = profile.tree.wall.total_s();
        let mut steadiness = self.steadiness.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((class, share)) = steadiness.look(seconds, &diagnosis.shares) {
            self.events.send(Event::Steady { seconds, class, share });
        }
        self.events.send(Event::Watching { seconds, shares: diagnosis.shares });
    }
}

/// What the sampler saw, in the place of what the kernel accounts for at the end of a run.
pub(super) fn usage_so_far(profile: &Profile) -> Usage {
    let tree = &profile.tree;
    let cpu_s = tree.threads.on_cpu_s;
    let known: Vec<(f64, f64)> = tree
        .programs
        .iter()
        .filter_map(|program| Some((program.cpu_s, program.kernel_ratio? * program.cpu_s)))
        .collect();
    let (of_s, kernel_s) = known.iter().fold((0.0, 0.0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    let sys_s = if of_s > 0.0 { cpu_s * kernel_s / of_s } else { 0.0 };
    Usage {
        wall_s: tree.wall.total_s(),
        user_s: cpu_s - sys_s,
        sys_s,
        minor_faults: tree.programs.iter().map(|program| program.minor_faults as f64).sum(),
        major_faults: tree.programs.iter().map(|program| program.major_faults as f64).sum(),
        runqueue_s: Some(tree.threads.queued_s),
        wall_s_min: tree.wall.total_s(),
        samples: 1,
        ..Usage::default()
    }
}
