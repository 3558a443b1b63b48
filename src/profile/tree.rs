//! Wall-time decomposition of a process tree, by sampling `/proc` 97 times a second.
//!
//! For every thread: on-CPU and run-queue time are exact differences of `schedstat`. The wall-time view asks at each
//! tick what the tree as a whole was doing: computing if any thread was on a CPU, queued if any was runnable, else
//! blocked on what the deepest process waits for: a parent waiting for its child never hides what the child does.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Absent, Observation, Recording, Source};
use crate::sys::procfs;

/// A prime, against lock-step with timers of the program; 97 Hz.
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 97);

/// What a thread that is not runnable waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockClass {
    Sleep,
    Child,
    Pipe,
    Network,
    File,
    Lock,
    Poll,
    Terminal,
    /// In the kernel without a system call: a page fault, or not readable.
    Other,
}

/// Where the time of a tree went. Seconds of wall time; the three parts sum to `wall_s`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TreeTimes {
    pub wall_s: f64,
    /// At least one thread was on a CPU.
    pub computing_s: f64,
    /// None was, but one was runnable.
    pub queued_s: f64,
    pub blocked_s: BTreeMap<BlockClass, f64>,
    /// CPU and run-queue seconds summed over threads.
    pub cpu_s: f64,
    pub runqueue_s: f64,
    pub ticks: u64,
    /// Distinct processes seen; short-lived ones between two looks are missed.
    pub processes: u64,
    /// Most threads alive at once.
    pub threads_max: u64,
    /// CPU seconds by executable file.
    pub programs: BTreeMap<String, f64>,
    /// Whether system calls of blocked threads could be read; without, all blocking is `other`.
    pub syscalls_readable: bool,
}

impl TreeTimes {
    pub(super) fn add(&mut self, other: &Self) {
        self.wall_s += other.wall_s;
        self.computing_s += other.computing_s;
        self.queued_s += other.queued_s;
        self.cpu_s += other.cpu_s;
        self.runqueue_s += other.runqueue_s;
        self.ticks += other.ticks;
        self.processes += other.processes;
        self.threads_max = self.threads_max.max(other.threads_max);
        self.syscalls_readable |= other.syscalls_readable;
        for (class, seconds) in &other.blocked_s {
            *self.blocked_s.entry(*class).or_default() += seconds;
        }
        for (program, seconds) in &other.programs {
            *self.programs.entry(program.clone()).or_default() += seconds;
        }
    }
}

pub(super) struct Tree;

impl Source for Tree {
    fn id(&self) -> &'static str {
        "tree"
    }

    fn gives(&self) -> &'static str {
        "computing, queueing and blocking time of the whole process tree"
    }

    fn start(&self, runner: u32) -> Result<Box<dyn Recording>, Absent> {
        if procfs::schedule(std::process::id()).is_none() {
            return Err(Absent {
                reason: "/proc/PID/schedstat cannot be read".to_owned(),
                remedy: "run on a kernel with CONFIG_SCHED_INFO and a mounted /proc".to_owned(),
            });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || Sampler::new(runner).run(&stopped));
        Ok(Box::new(Sampling { stop, thread }))
    }
}

struct Sampling {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<TreeTimes>,
}

impl Recording for Sampling {
    fn stop(self: Box<Self>) -> Observation {
        self.stop.store(true, Ordering::Release);
        // A sampler that panicked saw nothing.
        Observation::Tree(self.thread.join().unwrap_or_default())
    }
}

/// What is remembered of a thread from tick to tick.
struct Seen {
    on_cpu_ns: u64,
    runqueue_ns: u64,
    program: String,
}

struct Sampler {
    runner: u32,
    threads: HashMap<(u32, u32), Seen>,
    processes: HashMap<u32, ()>,
    times: TreeTimes,
}

/// What the tree was doing at a tick, strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    Computing,
    Queued,
    Blocked(BlockClass),
}

impl Sampler {
    fn new(runner: u32) -> Self {
        Self { runner, threads: HashMap::new(), processes: HashMap::new(), times: TreeTimes::default() }
    }

    fn run(mut self, stop: &AtomicBool) -> TreeTimes {
        let start = Instant::now();
        let mut last = start;
        while !stop.load(Ordering::Acquire) {
            std::thread::sleep(INTERVAL);
            let now = Instant::now();
            self.tick((now - last).as_secs_f64());
            last = now;
        }
        self.times.processes = self.processes.len() as u64;
        self.times
    }

    fn tick(&mut self, seconds: f64) {
        let pids = procfs::descendants(self.runner);
        if pids.is_empty() {
            return;
        }
        let mut alive = 0;
        let mut doing: Option<Doing> = None;
        // Parents come before their children: the last blocked one is the deepest.
        for pid in pids {
            self.processes.insert(pid, ());
            for thread in procfs::threads(pid) {
                alive += 1;
                let Some(now) = self.thread(pid, thread) else {
                    continue;
                };
                doing = Some(match (doing, now) {
                    (Some(Doing::Blocked(_)) | None, now) => now,
                    (Some(before), now) => before.min(now),
                });
            }
        }
        self.times.threads_max = self.times.threads_max.max(alive);
        self.times.ticks += 1;
        self.times.wall_s += seconds;
        match doing {
            Some(Doing::Computing) => self.times.computing_s += seconds,
            Some(Doing::Queued) => self.times.queued_s += seconds,
            Some(Doing::Blocked(class)) => *self.times.blocked_s.entry(class).or_default() += seconds,
            None => *self.times.blocked_s.entry(BlockClass::Other).or_default() += seconds,
        }
    }

    /// What one thread has done since the last tick, or does now.
    fn thread(&mut self, pid: u32, thread: u32) -> Option<Doing> {
        let schedule = procfs::thread_schedule(pid, thread)?;
        let seen = self.threads.entry((pid, thread)).or_insert_with(|| Seen {
            on_cpu_ns: 0,
            runqueue_ns: 0,
            program: String::new(),
        });
        let on_cpu = schedule.on_cpu_ns.saturating_sub(seen.on_cpu_ns);
        let queued = schedule.runqueue_wait_ns.saturating_sub(seen.runqueue_ns);
        (seen.on_cpu_ns, seen.runqueue_ns) = (schedule.on_cpu_ns, schedule.runqueue_wait_ns);
        self.times.cpu_s += on_cpu as f64 * 1e-9;
        self.times.runqueue_s += queued as f64 * 1e-9;
        if on_cpu > 0 {
            // Read each time: a process becomes another program when it executes one.
            if let Some(program) = executable(pid) {
                seen.program = program;
            }
            *self.times.programs.entry(seen.program.clone()).or_default() += on_cpu as f64 * 1e-9;
        }
        // A thread that used most of the interval was computing, whatever it does at this very moment.
        let half = INTERVAL.as_nanos() as u64 / 2;
        if on_cpu >= half {
            return Some(Doing::Computing);
        }
        if queued >= half {
            return Some(Doing::Queued);
        }
        match procfs::thread_stat(pid, thread)?.state {
            'R' => Some(if on_cpu >= queued { Doing::Computing } else { Doing::Queued }),
            'Z' | 'X' | 'x' => None,
            _ => Some(Doing::Blocked(self.blocked_on(pid, thread))),
        }
    }

    fn blocked_on(&mut self, pid: u32, thread: u32) -> BlockClass {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")) else {
            return BlockClass::Other;
        };
        self.times.syscalls_readable = true;
        let mut words = text.split_ascii_whitespace();
        let Some(number) = words.next().and_then(|word| word.parse().ok()) else {
            return BlockClass::Other;
        };
        let argument =
            words.next().and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
        let poll_count =
            words.next().and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
        class_of(number, poll_count, || argument.map_or(BlockClass::Other, |fd| descriptor(pid, fd)))
    }
}

/// The class of a blocking system call (x86-64 and aarch64 numbers); `descriptor` looks at its first argument.
fn class_of(number: i64, second: Option<u64>, descriptor: impl FnOnce() -> BlockClass) -> BlockClass {
    #[cfg(target_arch = "x86_64")]
    let calls: [(&[i64], BlockClass); 6] = [
        (&[35, 230, 34], BlockClass::Sleep),
        (&[61, 247], BlockClass::Child),
        (&[202], BlockClass::Lock),
        (&[43, 288, 45, 47, 44, 46, 42], BlockClass::Network),
        (&[74, 75, 26, 277, 162], BlockClass::File),
        (&[232, 281, 23, 270], BlockClass::Poll),
    ];
    #[cfg(target_arch = "x86_64")]
    const POLLS: &[i64] = &[7, 271];
    #[cfg(target_arch = "x86_64")]
    const TRANSFERS: &[i64] = &[0, 1, 17, 18, 19, 20, 295, 296, 327, 328];
    #[cfg(not(target_arch = "x86_64"))]
    let calls: [(&[i64], BlockClass); 6] = [
        (&[101, 115, 133], BlockClass::Sleep),
        (&[260, 95], BlockClass::Child),
        (&[98], BlockClass::Lock),
        (&[202, 242, 207, 212, 206, 211, 203], BlockClass::Network),
        (&[82, 83, 84, 81], BlockClass::File),
        (&[22, 72], BlockClass::Poll),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const POLLS: &[i64] = &[73];
    #[cfg(not(target_arch = "x86_64"))]
    const TRANSFERS: &[i64] = &[63, 64, 65, 66, 67, 68, 69, 70];
    if let Some((_, class)) = calls.iter().find(|(numbers, _)| numbers.contains(&number)) {
        return *class;
    }
    if POLLS.contains(&number) {
        // Waiting for nothing but the time limit is sleeping.
        return if second == Some(0) { BlockClass::Sleep } else { BlockClass::Poll };
    }
    if TRANSFERS.contains(&number) { descriptor() } else { BlockClass::Other }
}

fn descriptor(pid: u32, fd: u64) -> BlockClass {
    let Ok(target) = fs::read_link(format!("/proc/{pid}/fd/{fd}")) else {
        return BlockClass::Other;
    };
    let target = target.to_string_lossy();
    if target.starts_with("pipe:") {
        BlockClass::Pipe
    } else if target.starts_with("socket:") {
        BlockClass::Network
    } else if target.starts_with("/dev/pts/") || target.starts_with("/dev/tty") {
        BlockClass::Terminal
    } else if target.starts_with("anon_inode:") {
        BlockClass::Poll
    } else {
        BlockClass::File
    }
}

fn executable(pid: u32) -> Option<String> {
    fs::read_link(format!("/proc/{pid}/exe")).ok().map(|path| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Watches `script` as a child of this very process, like a runner's.
    #[expect(clippy::disallowed_methods, reason = "a program to watch")]
    fn watch(script: &str) -> TreeTimes {
        let mut parent = Command::new("sh")
            .args(["-c", &format!("{script}; true")])
            .stdout(Stdio::null())
            .spawn()
            .expect("sh is everywhere");
        let recording = Tree.start(parent.id()).expect("/proc is there");
        parent.wait().expect("ours to wait for");
        let Observation::Tree(times) = recording.stop() else { panic!("the tree's own kind") };
        times
    }

    fn dominant(times: &TreeTimes) -> String {
        let blocked = times.blocked_s.iter().map(|(class, seconds)| (format!("{class:?}"), *seconds));
        [("computing".to_owned(), times.computing_s + times.queued_s)]
            .into_iter()
            .chain(blocked)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(name, _)| name)
            .expect("never empty")
    }

    #[test]
    fn programs_are_seen_doing_what_they_do() {
        let check = |script: &str, expected: &str| {
            let times = watch(script);
            assert_eq!(dominant(&times), expected, "{script}: {times:?}");
            let parts = times.computing_s + times.queued_s + times.blocked_s.values().sum::<f64>();
            assert!((parts - times.wall_s).abs() < 1e-9, "the parts sum to the whole");
        };
        check("i=0; sh -c 'while [ $i -lt 300000 ]; do i=$((i+1)); done' i=0", "computing");
        check("sleep 0.4", "Sleep");
        check("sh -c 'sleep 0.4; true'", "Sleep");
    }

    #[test]
    fn blocking_calls_have_their_class() {
        let none = || BlockClass::Other;
        #[cfg(target_arch = "x86_64")]
        {
            assert_eq!(class_of(230, None, none), BlockClass::Sleep);
            assert_eq!(class_of(7, Some(0), none), BlockClass::Sleep);
            assert_eq!(class_of(7, Some(2), none), BlockClass::Poll);
            assert_eq!(class_of(61, None, none), BlockClass::Child);
            assert_eq!(class_of(0, None, || BlockClass::Pipe), BlockClass::Pipe);
        }
        assert_eq!(class_of(-1, None, none), BlockClass::Other);
    }
}
