//! What else went on while something was measured: stolen time, stalls, throttling.
//!
//! Everything is the difference of two readings of the kernel's counters. The measured programs are part of what is
//! seen: a program with more threads than CPUs stalls itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cgroup::{self, Throttling};
use super::files::Files;
use crate::sys::procfs::{self, CpuTime};

/// Share of the CPUs' time that the hypervisor may take, as for a single round.
const STEAL_MAX: f64 = 0.02;

/// Less is the rounding of the kernel's clock, ticks, as for a single round.
const STEAL_TICKS_MIN: u32 = 2;

/// Shares of the time in which something may be stalled. A quiet machine that runs one program at a time shows less
/// than a hundredth of each; waiting for storage also comes with honest reading and writing.
const CPU_STALL_MAX: f64 = 0.10;
const MEMORY_STALL_MAX: f64 = 0.01;
const IO_STALL_MAX: f64 = 0.20;

/// The kernel's counters at one moment.
#[derive(Debug, Clone)]
pub struct Moment {
    files: Files,
    counters: Counters,
}

#[derive(Debug, Clone, PartialEq)]
struct Counters {
    uptime_s: Option<f64>,
    cpu: Option<CpuTime>,
    system: [Option<Duration>; 3],
    cgroup: [Option<Duration>; 3],
    throttling: Option<Throttling>,
}

/// What the machine went through between two moments. Shares are 0–1; absent where the kernel does not say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Strain {
    pub elapsed_s: f64,
    /// Share of all CPUs' time that the hypervisor gave to others, a tick or none left out.
    pub steal: Option<f64>,
    /// Share of all CPUs' time in which they worked, for whomever.
    pub busy: Option<f64>,
    /// Of the whole machine.
    pub system: Stalls,
    /// Of this process's control group (version 2).
    pub cgroup: Stalls,
    /// Periods in which a CPU quota stopped the control group, and for how long, summed over its CPUs.
    pub throttled_periods: Option<u64>,
    pub throttled_s: Option<f64>,
}

/// Share of the time in which at least one task waited for a resource (pressure stall information).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stalls {
    pub cpu: Option<f64>,
    pub memory: Option<f64>,
    pub io: Option<f64>,
}

const RESOURCES: [&str; 3] = ["cpu", "memory", "io"];

impl Moment {
    /// Reads a dozen small files: never while something is being measured.
    #[must_use]
    pub fn now() -> Self {
        Self::of(Files::of_this_machine())
    }

    fn of(files: Files) -> Self {
        Self { counters: Counters::read(&files), files }
    }

    /// What has happened since.
    #[must_use]
    pub fn until_now(&self) -> Strain {
        Counters::read(&self.files).since(&self.counters)
    }
}

impl Counters {
    fn read(files: &Files) -> Self {
        let stalled = |path: PathBuf| Some(procfs::parse_pressure(&files.text(path)?)?.some.total);
        Self {
            uptime_s: files.value("proc/uptime"),
            cpu: files
                .text("proc/stat")
                .and_then(|text| procfs::parse_machine_stat(&text, procfs::ticks_per_second()))
                .map(|stat| stat.all),
            system: RESOURCES.map(|name| stalled(Path::new("proc/pressure").join(name))),
            cgroup: RESOURCES.map(|name| stalled(cgroup::pressure_file(name, files)?)),
            throttling: Throttling::read(files),
        }
    }

    fn since(&self, before: &Self) -> Strain {
        let elapsed_s = self.uptime_s.zip(before.uptime_s).map_or(0.0, |(now, then)| (now - then).max(0.0));
        let share = |now: Option<Duration>, then: Option<Duration>| {
            let part = now?.saturating_sub(then?).as_secs_f64() / elapsed_s;
            // Readings are moments apart, so a full share may come out as a little more.
            part.is_finite().then(|| part.min(1.0))
        };
        let stalls = |now: &[Option<Duration>; 3], then: &[Option<Duration>; 3]| {
            let [cpu, memory, io] = [0, 1, 2].map(|which| share(now[which], then[which]));
            Stalls { cpu, memory, io }
        };
        let cpu_share = |part: fn(&CpuTime) -> Duration| {
            let (now, then) = (self.cpu.as_ref()?, before.cpu.as_ref()?);
            let whole = |time: &CpuTime| time.busy + time.idle + time.steal;
            let all = whole(now).saturating_sub(whole(then)).as_secs_f64();
            (all > 0.0).then(|| part(now).saturating_sub(part(then)).as_secs_f64() / all)
        };
        let steal = cpu_share(|time| time.steal).map(|share| {
            let ticks_s = f64::from(STEAL_TICKS_MIN) / procfs::ticks_per_second() as f64;
            let stolen = self.cpu.zip(before.cpu).map(|(now, then)| now.steal.saturating_sub(then.steal));
            if stolen.is_some_and(|stolen| stolen.as_secs_f64() < ticks_s) { 0.0 } else { share }
        });
        let throttled = self.throttling.zip(before.throttling);
        Strain {
            elapsed_s,
            steal,
            busy: cpu_share(|time| time.busy),
            system: stalls(&self.system, &before.system),
            cgroup: stalls(&self.cgroup, &before.cgroup),
            throttled_periods: throttled.map(|(now, then)| now.periods.saturating_sub(then.periods)),
            throttled_s: throttled.map(|(now, then)| now.time.saturating_sub(then.time).as_secs_f64()),
        }
    }
}

impl Strain {
    /// What of it makes the measurement worse, and what to do about it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let mut found = Vec::new();
        if let Some(periods) = self.throttled_periods.filter(|&periods| periods > 0) {
            found.push(format!(
                "the CPU quota of the control group stopped programs {periods} times, for {:.2} s in all: raise it \
                 (docker --cpus, Kubernetes limits.cpu, systemd CPUQuota), or let the command use fewer threads",
                self.throttled_s.unwrap_or(0.0)
            ));
        }
        if let Some(steal) = self.steal.filter(|&steal| steal > STEAL_MAX) {
            found.push(format!(
                "the hypervisor gave {} of the CPUs' time to others: measure on a machine of your own, or try \
                 --metric cpu",
                percent(steal)
            ));
        }
        if let Some(stall) = self.system.cpu.filter(|&stall| stall > CPU_STALL_MAX) {
            found.push(format!(
                "during {} of the time something waited for a CPU: stop other programs, or let the command use fewer \
                 threads",
                percent(stall)
            ));
        }
        if let Some(stall) = self.memory_stall().filter(|&stall| stall > MEMORY_STALL_MAX) {
            found.push(format!(
                "during {} of the time something waited for memory to be freed: stop other programs, or raise the \
                 memory limit",
                percent(stall)
            ));
        }
        if let Some(stall) = self.system.io.filter(|&stall| stall > IO_STALL_MAX) {
            found.push(format!(
                "during {} of the time something waited for storage: if it is not the command, another program uses \
                 the disk; if it is, warm the caches with --warmup, or put its files on a tmpfs",
                percent(stall)
            ));
        }
        found
    }

    fn memory_stall(&self) -> Option<f64> {
        [self.system.memory, self.cgroup.memory].into_iter().flatten().reduce(f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::Tree;
    use super::*;

    fn pressure(total_us: u64) -> String {
        format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={total_us}\n")
    }

    #[test]
    fn strain_is_the_difference_of_two_moments() {
        let tree = Tree::new(&[
            ("proc/uptime", "100.00 50.00\n"),
            ("proc/stat", "cpu 0 0 0 1000 0 0 0 0 0 0\n"),
            ("proc/pressure/cpu", &pressure(1_000_000)),
            ("proc/pressure/memory", &pressure(0)),
            ("proc/self/cgroup", "0::/job\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
            ("sys/fs/cgroup/job/cpu.pressure", &pressure(0)),
            ("sys/fs/cgroup/job/cpu.stat", "nr_periods 1\nnr_throttled 2\nthrottled_usec 500\n"),
        ]);
        let before = Moment::of(tree.files());
        assert_eq!(before.until_now().system.cpu, None, "no time has passed");
        tree.write("proc/uptime", "110.00 50.00\n");
        tree.write("proc/stat", "cpu 50 0 0 1040 0 0 0 10 0 0\n");
        tree.write("proc/pressure/cpu", &pressure(3_500_000));
        tree.write("sys/fs/cgroup/job/cpu.pressure", &pressure(20_000_000));
        tree.write("sys/fs/cgroup/job/cpu.stat", "nr_periods 9\nnr_throttled 5\nthrottled_usec 2000500\n");
        let strain = before.until_now();
        let expected = Strain {
            elapsed_s: 10.0,
            steal: Some(0.1),
            busy: Some(0.5),
            system: Stalls { cpu: Some(0.25), memory: Some(0.0), io: None },
            cgroup: Stalls { cpu: Some(1.0), memory: None, io: None },
            throttled_periods: Some(3),
            throttled_s: Some(2.0),
        };
        assert_eq!(strain, expected);
        let stored = serde_json::to_string(&strain).unwrap();
        assert_eq!(serde_json::from_str::<Strain>(&stored).unwrap(), strain);
    }

    #[test]
    fn one_tick_of_steal_is_none() {
        let check = |ticks: u32, expected: f64| {
            let tree = Tree::new(&[("proc/stat", "cpu 0 0 0 1000 0 0 0 0 0 0\n")]);
            let before = Moment::of(tree.files());
            tree.write("proc/stat", &format!("cpu {} 0 0 1000 0 0 0 {ticks} 0 0\n", 10 - ticks));
            let steal = before.until_now().steal.unwrap();
            assert!((steal - expected).abs() < 1e-9, "{ticks}: {steal}");
        };
        check(1, 0.0);
        check(2, 0.2);
    }

    #[test]
    fn warnings_name_the_trouble_and_the_cure() {
        let check = |strain: Strain, words: &[&str]| {
            let warnings = strain.warnings().join("\n");
            assert_eq!(words.is_empty(), warnings.is_empty(), "{warnings}");
            assert!(words.iter().all(|word| warnings.contains(word)), "{warnings}");
        };
        let quiet = Stalls { cpu: Some(0.05), memory: Some(0.0), io: Some(0.1) };
        let calm =
            Strain { system: quiet, steal: Some(0.01), throttled_periods: Some(0), ..Strain::default() };
        check(Strain::default(), &[]);
        check(calm.clone(), &[]);
        check(
            Strain { throttled_periods: Some(4), throttled_s: Some(0.5), ..calm.clone() },
            &["4 times", "0.50 s", "raise it"],
        );
        check(Strain { steal: Some(0.1), ..calm.clone() }, &["10 %", "hypervisor"]);
        check(Strain { system: Stalls { cpu: Some(0.3), ..quiet }, ..calm.clone() }, &["30 %", "CPU"]);
        check(Strain { system: Stalls { io: Some(0.5), ..quiet }, ..calm.clone() }, &["50 %", "storage"]);
        let short = Stalls { memory: Some(0.2), ..Stalls::default() };
        check(Strain { cgroup: short, ..calm }, &["20 %", "memory"]);
    }
}
