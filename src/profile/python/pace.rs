//! How often to look: as often as 1 % of a CPU allows.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::sys::procfs;

/// Looks per second: primes, against lock-step with timers of the program.
const RATES: [u32; 4] = [97, 61, 41, 29];

/// Looks between two checks of what they cost.
const WINDOW: u32 = 48;

/// Share of a CPU above which looks become fewer, and below which the next higher rate must stay to be taken.
const COST_MAX: f64 = 0.009;
const COST_GOAL: f64 = 0.008;

/// The pace of the thread that made it.
pub(super) struct Pace {
    level: usize,
    looks: u32,
    /// `/proc/thread-self/schedstat`; without it the pace stays.
    own: Option<File>,
    /// When the window began, and the CPU time until then. The first window only learns which files there are.
    begin: Option<(Instant, Duration)>,
}

impl Pace {
    pub fn new() -> Self {
        Self { level: 0, looks: 0, own: File::open("/proc/thread-self/schedstat").ok(), begin: None }
    }

    pub fn interval(&self) -> Duration {
        Duration::from_secs(1) / RATES[self.level]
    }

    /// To be called after each look.
    pub fn looked(&mut self) {
        self.looks += 1;
        if self.looks < WINDOW {
            return;
        }
        self.looks = 0;
        let Some(cpu) = self.cpu() else { return };
        let now = Instant::now();
        if let Some((begin, before)) = self.begin.replace((now, cpu)) {
            let cost = cpu.saturating_sub(before).as_secs_f64() / (now - begin).as_secs_f64().max(1e-9);
            self.level = next_level(self.level, cost);
        }
    }

    fn cpu(&self) -> Option<Duration> {
        let mut room = [0; 128];
        let length = self.own.as_ref()?.read_at(&mut room, 0).ok()?;
        let schedule = procfs::parse_schedule(std::str::from_utf8(&room[..length]).ok()?)?;
        Some(Duration::from_nanos(schedule.on_cpu_ns))
    }
}

fn next_level(level: usize, cost: f64) -> usize {
    if cost > COST_MAX {
        return (level + 1).min(RATES.len() - 1);
    }
    let Some(faster) = level.checked_sub(1) else { return level };
    let cost_there = cost * f64::from(RATES[faster]) / f64::from(RATES[level]);
    if cost_there < COST_GOAL { faster } else { level }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_the_cost_and_settles() {
        assert_eq!(next_level(0, 0.005), 0);
        assert_eq!(next_level(0, 0.012), 1);
        assert_eq!(next_level(3, 0.5), 3);
        // What a rate costs that was too much brings no return to it.
        for cost in [0.0091, 0.011, 0.013] {
            let there = cost * f64::from(RATES[1]) / f64::from(RATES[0]);
            assert_eq!(next_level(1, there), 1);
        }
        assert_eq!(next_level(1, 0.001), 0);
    }

    #[test]
    fn the_cost_of_this_thread_is_known() {
        let mut pace = Pace::new();
        // The kernel counts the time of a thread that runs at its ticks.
        while pace.cpu().expect("/proc is there").is_zero() {
            std::hint::spin_loop();
        }
        for _ in 0..2 * WINDOW {
            pace.looked();
        }
        assert!(pace.begin.is_some());
        assert!(RATES.iter().any(|rate| Duration::from_secs(1) / *rate == pace.interval()));
    }
}
