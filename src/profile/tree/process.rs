//! What is remembered of the processes and threads of a tree from look to look.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::chain::Wait;
use super::locks::Locks;
use super::times::Program;
use crate::sys::procfs::{self, Schedule};

/// Words of a command line that are kept, and characters of each.
const ARGUMENTS_MAX: usize = 12;
const ARGUMENT_LENGTH_MAX: usize = 300;

/// A file of `/proc` that is kept open between looks where descriptors allow it: opening costs more than reading. It
/// belongs to its thread for good: after that has ended it fails, even when the number is used again.
pub(super) struct Watched {
    path: String,
    kept: Option<File>,
}

impl Watched {
    pub fn new(path: String, keep: bool) -> Self {
        let kept = if keep { File::open(&path).ok() } else { None };
        Self { path, kept }
    }

    /// The file's text now, up to the length of the buffer.
    pub fn read<'a>(&self, buffer: &'a mut [u8; 512]) -> io::Result<&'a str> {
        let length = match &self.kept {
            Some(file) => file.read_at(buffer, 0)?,
            None => File::open(&self.path)?.read_at(buffer, 0)?,
        };
        std::str::from_utf8(&buffer[..length]).map_err(io::Error::other)
    }

    /// Scheduler times: exact from `schedstat`, by the clock's ticks from `stat`.
    pub fn schedule(&self) -> Option<Schedule> {
        let mut buffer = [0; 512];
        let text = self.read(&mut buffer).ok()?;
        if self.path.ends_with("schedstat") {
            return procfs::parse_schedule(text);
        }
        let stat = procfs::parse_stat(text, procfs::ticks_per_second())?;
        let used = stat.user + stat.sys;
        Some(Schedule {
            on_cpu_ns: used.as_nanos() as u64,
            runqueue_wait_ns: 0,
            // Any change tells that it ran.
            timeslices: used.as_millis() as u64,
        })
    }

    /// The numbers in it, however many.
    pub fn numbers(&self) -> Vec<u32> {
        let mut buffer = [0; 512];
        let length = buffer.len();
        match self.read(&mut buffer) {
            // Longer than the buffer: the rest has to be read as well.
            Ok(text) if text.len() == length => {
                procfs::parse_children(&fs::read_to_string(&self.path).unwrap_or_default())
            }
            Ok(text) => procfs::parse_children(text),
            Err(_) => Vec::new(),
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }
}

/// A thread, and what it did in the interval before the last look.
pub(super) struct Thread {
    pub tid: u32,
    pub schedule: Watched,
    pub syscall: Watched,
    pub children: Watched,
    pub last: Schedule,
    pub visited: Instant,
    /// Shares of the interval before the last visit.
    pub on: f64,
    pub queued: f64,
    pub stolen: f64,
    /// What it waits for, or last waited for.
    pub wait: Option<Wait>,
    /// Whether it was blocked at the last look.
    pub blocked: bool,
    pub futex: Option<super::waits::Futex>,
    /// Voluntary context switches so far.
    pub voluntary: Option<u64>,
    pub ticks_idle: u32,
    /// That of the tree when its wait was last looked at.
    pub generation: u32,
    /// Time it was seen running that the kernel has not booked yet: it does so at its own ticks.
    pub unbooked_s: f64,
    pub on_cpu_s: f64,
}

impl Thread {
    /// Absent when it has ended meanwhile.
    pub fn new(pid: u32, tid: u32, now: Instant, keep: bool, exact: bool) -> Option<Self> {
        let file = |name: &str| Watched::new(format!("/proc/{pid}/task/{tid}/{name}"), keep);
        let schedule = file(if exact { "schedstat" } else { "stat" });
        let last = schedule.schedule()?;
        Some(Self {
            tid,
            schedule,
            syscall: file("syscall"),
            children: file("children"),
            last,
            visited: now,
            on: 0.0,
            queued: 0.0,
            stolen: 0.0,
            wait: None,
            blocked: false,
            futex: None,
            voluntary: None,
            ticks_idle: 0,
            generation: 0,
            unbooked_s: 0.0,
            on_cpu_s: 0.0,
        })
    }

    /// Voluntary context switches, from its `status`.
    pub fn voluntary_switches(&self, pid: u32) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/task/{}/status", self.tid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    }
}

/// A process of the tree.
pub(super) struct Process {
    pub pid: u32,
    /// 0 directly below the runner.
    pub parent: u32,
    pub program: Program,
    pub threads: Vec<Thread>,
    pub locks: Locks,
    /// Looks at which it was alive.
    pub ticks: u32,
    /// CPU seconds of threads that have ended, or that were workers before the program was exchanged.
    pub workers_s: Vec<f64>,
    pub user_s: f64,
    pub sys_s: f64,
    /// CPU seconds that no thread that was seen accounts for.
    pub missed_s: f64,
    /// Of those, what has not been charged to any interval yet.
    pub owed_s: f64,
    /// Share of the last interval in which threads computed that came and went within it.
    pub unseen: f64,
}

impl Process {
    pub fn new(pid: u32, parent: u32) -> Self {
        Self {
            pid,
            parent,
            program: Program::default(),
            threads: Vec::new(),
            locks: Locks::default(),
            ticks: 0,
            workers_s: Vec::new(),
            user_s: 0.0,
            sys_s: 0.0,
            missed_s: 0.0,
            owed_s: 0.0,
            unseen: 0.0,
        }
    }

    /// Reads what it runs; a process becomes another program when it executes one, which nothing announces. Gives what
    /// the former program did.
    pub fn identify(&mut self) -> Option<Program> {
        let exe = fs::read_link(format!("/proc/{}/exe", self.pid)).ok()?.to_string_lossy().into_owned();
        // The file has been replaced or removed meanwhile.
        let exe = exe.strip_suffix(" (deleted)").map_or(exe.as_str(), |exe| exe).to_owned();
        if exe == self.program.exe {
            return None;
        }
        let before = std::mem::replace(&mut self.program, Program { exe, ..Program::default() });
        // Until it executes a program of its own, a child runs its parent's.
        let ended = (!before.exe.is_empty()).then_some(before);
        self.program.processes = 1;
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).take(ARGUMENTS_MAX);
        self.program.arguments = words
            .map(|word| String::from_utf8_lossy(word).chars().take(ARGUMENT_LENGTH_MAX).collect())
            .collect();
        let cwd = fs::read_link(format!("/proc/{}/cwd", self.pid)).unwrap_or_default();
        self.program.cwd = cwd.to_string_lossy().into_owned();
        ended
    }

    /// Reads what the kernel has accounted so far.
    pub fn account(&mut self) {
        let Some(stat) = procfs::stat(self.pid).filter(|stat| !stat.is_ended()) else { return };
        (self.user_s, self.sys_s) = (stat.user.as_secs_f64(), stat.sys.as_secs_f64());
        (self.program.minor_faults, self.program.major_faults) = (stat.minor_faults, stat.major_faults);
        let used_s = self.user_s + self.sys_s;
        // Ticks of 10 ms: fewer than ten say little.
        self.program.kernel_ratio = (used_s >= 0.1).then(|| self.sys_s / used_s);
    }

    /// What its program has done.
    pub fn so_far(&self) -> Program {
        let mut program = self.program.clone();
        program.workers_s.clone_from(&self.workers_s);
        program.workers_s.extend(self.threads.iter().map(|thread| thread.on_cpu_s));
        program.alternating_s = self.locks.contended_s();
        program
    }
}
