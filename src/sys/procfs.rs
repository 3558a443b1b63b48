//! `/proc`: pure parsers of its files, and thin readers around them.
//!
//! **Invariant**: a file that is missing, refused or strange is `None` or empty, never a made-up number.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use super::os;

/// The parts of `/proc/PID/stat` that say who a process is and what it has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The name of the program, cut to 15 bytes by the kernel.
    pub name: String,
    /// `R` running, `S` sleeping, `D` waiting for a device, `Z` ended but not reaped, `T` stopped.
    pub state: char,
    pub parent: u32,
    pub group: u32,
    pub user: Duration,
    pub sys: Duration,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub threads: u32,
}

impl Stat {
    /// Whether the process has ended and only waits to be reaped.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// `/proc/PID/schedstat`: of one thread (for a process: its main thread).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    pub on_cpu_ns: u64,
    /// Time it could have run but had no CPU.
    pub runqueue_wait_ns: u64,
    pub timeslices: u64,
}

/// What one CPU, or all together, did since the machine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// User, nice, system and interrupt time (guest time is part of user time).
    pub busy: Duration,
    /// Idle time, waiting for storage included.
    pub idle: Duration,
    /// The part of the idle time during which a task of this CPU waited for storage.
    pub iowait: Duration,
    /// Time the hypervisor gave to others.
    pub steal: Duration,
}

/// `/proc/stat`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineStat {
    pub all: CpuTime,
    /// By position in the file; offline CPUs are missing.
    pub cpus: Vec<CpuTime>,
    /// Processes and threads created since the machine started.
    pub forks: u64,
}

/// `/proc/loadavg`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Mean number of tasks running or waiting, over 1, 5 and 15 minutes.
    pub average: [f64; 3],
    pub running: u32,
    pub tasks: u32,
}

/// One line of `/proc/pressure/*`: the share of time in which tasks were stalled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stall {
    /// 0–1, over the last 10 seconds.
    pub ratio_10s: f64,
    /// 0–1, over the last minute.
    pub ratio_60s: f64,
    pub total: Duration,
}

/// `/proc/pressure/RESOURCE`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// At least one task was stalled.
    pub some: Stall,
    /// Every task was stalled at once; absent on kernels that do not say.
    pub full: Option<Stall>,
}

/// `/proc/PID/io`: traffic with storage, not with the page cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Storage {
    pub read_bytes: u64,
    pub write_bytes: u64,
}

/// The direct children of a process, of all its threads.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let threads = threads(pid);
    let lists = threads.iter().filter_map(|thread| read(&format!("/proc/{pid}/task/{thread}/children")));
    lists.flat_map(|list| parse_children(&list)).collect()
}

/// All descendants of a process, parents before their children, without the process itself.
///
/// The tree may change while it is read: whoever kills must look again until it is empty.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    // The per-thread lists cost a few reads per process, but not every kernel is built with them.
    if fs::exists(format!("/proc/{pid}/task/{pid}/children")).unwrap_or(false) {
        collect_tree(pid, children)
    } else {
        let parents: Vec<(u32, u32)> =
            process_ids().into_iter().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
        collect_tree(pid, |of| {
            parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid).collect()
        })
    }
}

fn collect_tree(root: u32, children: impl Fn(u32) -> Vec<u32>) -> Vec<u32> {
    // A process that changes parents while we look could show up twice; once is enough, and cycles end.
    let mut seen = HashSet::from([root]);
    let mut found = Vec::new();
    let mut parent = root;
    let mut next = 0;
    loop {
        found.extend(children(parent).into_iter().filter(|&child| seen.insert(child)));
        let Some(&pid) = found.get(next) else { return found };
        parent = pid;
        next += 1;
    }
}

/// The thread ids of a process; empty when it is gone.
#[must_use]
pub fn threads(pid: u32) -> Vec<u32> {
    numbered_entries(&format!("/proc/{pid}/task"))
}

/// All processes that this one may see.
#[must_use]
pub fn process_ids() -> Vec<u32> {
    numbered_entries("/proc")
}

fn numbered_entries(folder: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// `/proc/PID/stat`.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&read(&format!("/proc/{pid}/stat"))?, os::ticks_per_second())
}

/// `/proc/PID/task/TID/stat`: the same, of one thread.
#[must_use]
pub fn thread_stat(pid: u32, thread: u32) -> Option<Stat> {
    parse_stat(&read(&format!("/proc/{pid}/task/{thread}/stat"))?, os::ticks_per_second())
}

/// Scheduling of the main thread of a process, also when it has ended but was not reaped.
#[must_use]
pub fn schedule(pid: u32) -> Option<Schedule> {
    parse_schedule(&read(&format!("/proc/{pid}/schedstat"))?)
}

/// Scheduling of one thread.
#[must_use]
pub fn thread_schedule(pid: u32, thread: u32) -> Option<Schedule> {
    parse_schedule(&read(&format!("/proc/{pid}/task/{thread}/schedstat"))?)
}

/// `/proc/stat`.
#[must_use]
pub fn machine_stat() -> Option<MachineStat> {
    parse_machine_stat(&read("/proc/stat")?, os::ticks_per_second())
}

/// `/proc/loadavg`.
#[must_use]
pub fn load() -> Option<Load> {
    parse_load(&read("/proc/loadavg")?)
}

/// `/proc/pressure/RESOURCE` for `cpu`, `io` or `memory`; absent where the kernel does not measure it.
#[must_use]
pub fn pressure(resource: &str) -> Option<Pressure> {
    parse_pressure(&read(&format!("/proc/pressure/{resource}"))?)
}

/// Clock ticks per second of the times in `/proc`.
#[must_use]
pub fn ticks_per_second() -> u64 {
    os::ticks_per_second()
}

fn read(path: &str) -> Option<String> {
    // Names of processes may hold any bytes.
    fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Parses `/proc/PID/task/TID/children`.
#[must_use]
pub fn parse_children(text: &str) -> Vec<u32> {
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Parses `/proc/PID/stat`, whose times are in clock ticks.
#[must_use]
pub fn parse_stat(text: &str, ticks_per_second: u64) -> Option<Stat> {
    // The name may hold spaces and parentheses itself: it ends at the last one.
    let (_, rest) = text.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    // proc(5) counts from 1 with the pid; the first field after the name is the third.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        name: name.to_owned(),
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        minor_faults: field(10)?.parse().ok()?,
        major_faults: field(12)?.parse().ok()?,
        user: ticks(field(14)?.parse().ok()?, ticks_per_second),
        sys: ticks(field(15)?.parse().ok()?, ticks_per_second),
        threads: field(20)?.parse().ok()?,
    })
}

/// Parses `/proc/PID/schedstat`.
#[must_use]
pub fn parse_schedule(text: &str) -> Option<Schedule> {
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
    Some(Schedule {
        on_cpu_ns: numbers.next()??,
        runqueue_wait_ns: numbers.next()??,
        timeslices: numbers.next()??,
    })
}

/// Parses `/proc/stat`, whose times are in clock ticks.
#[must_use]
pub fn parse_machine_stat(text: &str, ticks_per_second: u64) -> Option<MachineStat> {
    let mut stat = MachineStat::default();
    let mut seen_total = false;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("cpu") => {
                stat.all = parse_cpu_time(words, ticks_per_second)?;
                seen_total = true;
            }
            Some("processes") => stat.forks = words.next()?.parse().ok()?,
            Some(name) if name.starts_with("cpu") => stat.cpus.push(parse_cpu_time(words, ticks_per_second)?),
            _ => {}
        }
    }
    seen_total.then_some(stat)
}

fn parse_cpu_time<'a>(words: impl Iterator<Item = &'a str>, ticks_per_second: u64) -> Option<CpuTime> {
    let fields: Vec<u64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let field = |index: usize| fields.get(index).copied().unwrap_or(0);
    // user nice system idle iowait irq softirq steal; guest times are counted in user and nice already.
    let (idle, iowait) = (*fields.get(3)?, field(4));
    Some(CpuTime {
        busy: ticks(field(0) + field(1) + field(2) + field(5) + field(6), ticks_per_second),
        idle: ticks(idle + iowait, ticks_per_second),
        iowait: ticks(iowait, ticks_per_second),
        steal: ticks(field(7), ticks_per_second),
    })
}

/// Parses `/proc/loadavg`.
#[must_use]
pub fn parse_load(text: &str) -> Option<Load> {
    let mut words = text.split_ascii_whitespace();
    let mut average = [0.0; 3];
    for value in &mut average {
        *value = words.next()?.parse().ok()?;
    }
    let (running, tasks) = words.next()?.split_once('/')?;
    Some(Load { average, running: running.parse().ok()?, tasks: tasks.parse().ok()? })
}

/// Parses `/proc/pressure/*`, whose shares are in percent and whose totals are in microseconds.
#[must_use]
pub fn parse_pressure(text: &str) -> Option<Pressure> {
    let stall = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        let value = |key: &str| line.split_ascii_whitespace().find_map(|word| word.strip_prefix(key));
        Some(Stall {
            ratio_10s: value("avg10=")?.parse::<f64>().ok()? / 100.0,
            ratio_60s: value("avg60=")?.parse::<f64>().ok()? / 100.0,
            total: Duration::from_micros(value("total=")?.parse().ok()?),
        })
    };
    Some(Pressure { some: stall("some")?, full: stall("full") })
}

/// Peak resident set size in bytes, from `/proc/PID/status`.
#[must_use]
pub fn parse_peak_rss(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Parses `/proc/PID/io`.
#[must_use]
pub fn parse_storage(text: &str) -> Option<Storage> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    Some(Storage { read_bytes: value("read_bytes:")?, write_bytes: value("write_bytes:")? })
}

fn ticks(count: u64, ticks_per_second: u64) -> Duration {
    Duration::from_nanos(count.saturating_mul(1_000_000_000 / ticks_per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_process_name_may_hold_spaces_and_parentheses() {
        let line = "812 (a ) S 9 (b)) R 7 800 1 0 -1 4194560 9 0 2 0 12 34 0 0 20 0 5 0 100 0 0";
        let expected = Stat {
            name: "a ) S 9 (b)".to_owned(),
            state: 'R',
            parent: 7,
            group: 800,
            user: ms(120),
            sys: ms(340),
            minor_faults: 9,
            major_faults: 2,
            threads: 5,
        };
        assert_eq!(parse_stat(line, 100), Some(expected));
    }

    #[test]
    fn broken_files_are_absent_rather_than_zero() {
        assert_eq!(parse_stat("812 (a) S 1", 100), None);
        assert_eq!(parse_stat("", 100), None);
        assert_eq!(parse_schedule("1 2"), None);
        assert_eq!(parse_schedule("1 x 3"), None);
        assert_eq!(parse_machine_stat("intr 5\n", 100), None);
        assert_eq!(parse_load("0.1 0.2"), None);
        assert_eq!(parse_pressure("full avg10=0.00 avg60=0.00 avg300=0.00 total=0"), None);
        assert_eq!(parse_storage("read_bytes: 4\n"), None);
        assert_eq!(parse_children(""), Vec::<u32>::new());
    }

    #[test]
    fn scheduling_and_children_are_plain_numbers() {
        let expected = Schedule { on_cpu_ns: 20_069_581, runqueue_wait_ns: 3_923_002, timeslices: 62 };
        assert_eq!(parse_schedule("20069581 3923002 62\n"), Some(expected));
        assert_eq!(parse_children("12 13 99 "), vec![12, 13, 99]);
    }

    #[test]
    fn cpu_times_split_into_busy_idle_and_stolen() {
        let text = "cpu  10 1 5 100 20 2 3 4 6 0\ncpu0 5 0 5 50 10 1 1 2 0 0\ncpu1 1 2 3 4\nintr 9 9\nprocesses 77\n";
        let stat = parse_machine_stat(text, 100).unwrap();
        let all = CpuTime { busy: ms(210), idle: ms(1200), iowait: ms(200), steal: ms(40) };
        assert_eq!(stat.all, all);
        assert_eq!(stat.cpus.len(), 2);
        assert_eq!(stat.cpus[1], CpuTime { busy: ms(60), idle: ms(40), ..CpuTime::default() });
        assert_eq!(stat.forks, 77);
    }

    #[test]
    fn load_and_pressure_are_ratios() {
        let load = Load { average: [0.61, 0.5, 0.25], running: 2, tasks: 345 };
        assert_eq!(parse_load("0.61 0.50 0.25 2/345 6789\n"), Some(load));
        let text = "some avg10=12.50 avg60=0.50 avg300=0.37 total=13120201\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=7\n";
        let pressure = parse_pressure(text).unwrap();
        let some = Stall { ratio_10s: 0.125, ratio_60s: 0.005, total: Duration::from_micros(13_120_201) };
        assert_eq!(pressure.some, some);
        assert_eq!(pressure.full.map(|full| full.ratio_10s), Some(0.01));
    }

    #[test]
    fn storage_ignores_cancelled_writes() {
        let text = "rchar: 9\nwchar: 8\nsyscr: 7\nsyscw: 6\nread_bytes: 4096\nwrite_bytes: 512\ncancelled_write_bytes: 106\n";
        assert_eq!(parse_storage(text), Some(Storage { read_bytes: 4096, write_bytes: 512 }));
    }

    #[test]
    fn a_tree_is_collected_once_even_when_it_has_a_cycle() {
        let tree = |pid| match pid {
            1 => vec![2, 3],
            2 => vec![4],
            4 => vec![2, 1, 5],
            _ => vec![],
        };
        assert_eq!(collect_tree(1, tree), vec![2, 3, 4, 5]);
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        assert!(threads(pid).contains(&pid));
        assert!(process_ids().contains(&pid));
        assert!(stat(pid).is_some_and(|stat| !stat.is_ended()));
        assert!(machine_stat().is_some_and(|stat| !stat.cpus.is_empty()));
    }
}
