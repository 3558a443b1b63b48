//! How busy each CPU of the machine was meanwhile, whoever kept it so.

use super::{Absent, Availability, Observation, Recording, Source, Target};
use crate::sys::procfs::{self, MachineStat};

pub(super) struct Cores;

impl Source for Cores {
    fn id(&self) -> &'static str {
        "cores"
    }

    fn gives(&self) -> &'static str {
        "busy share of each CPU of the machine"
    }

    fn probe(&self) -> Availability {
        match procfs::machine_stat() {
            Some(_) => Availability::Usable,
            None => Availability::Unavailable(unreadable()),
        }
    }

    fn start(&self, _target: Target) -> Result<Box<dyn Recording>, Absent> {
        let before = procfs::machine_stat().ok_or_else(unreadable)?;
        Ok(Box::new(Since { before }))
    }
}

fn unreadable() -> Absent {
    Absent {
        reason: "/proc/stat cannot be read".to_owned(),
        remedy: "mount /proc in this container".to_owned(),
    }
}

struct Since {
    before: MachineStat,
}

impl Recording for Since {
    fn stop(self: Box<Self>) -> Observation {
        let after = procfs::machine_stat().unwrap_or_default();
        let shares = self.before.cpus.iter().zip(&after.cpus).map(|(before, after)| {
            let busy = after.busy.saturating_sub(before.busy).as_secs_f64();
            let idle = after.idle.saturating_sub(before.idle).as_secs_f64();
            if busy + idle > 0.0 { busy / (busy + idle) } else { 0.0 }
        });
        Observation::Cores(shares.collect())
    }
}
