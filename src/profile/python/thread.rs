//! One thread, as the kernel sees it: whether it ran since the last look, and what it does now.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::sys::procfs::{self, Schedule};

/// Files that are held open at most; those of other threads are opened each time.
pub(super) const OPEN_MAX: usize = 384;

/// Files of one thread.
pub(super) const FILES: usize = 2;

/// What a thread does at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// On a CPU, or ready for one.
    Running,
    /// Waiting; in a system call, for what its first argument says.
    Waiting { argument: u64 },
}

/// The files of `/proc` about one thread.
pub(super) struct ThreadFiles {
    pid: u32,
    pub tid: u32,
    schedule: Option<File>,
    call: Option<File>,
}

impl ThreadFiles {
    pub fn new(pid: u32, tid: u32, keep_open: bool) -> Self {
        let open = |name| if keep_open { File::open(path(pid, tid, name)).ok() } else { None };
        Self { pid, tid, schedule: open("schedstat"), call: open("syscall") }
    }

    /// Absent when the thread has ended.
    pub fn schedule(&self) -> Option<Schedule> {
        self.read(self.schedule.as_ref(), "schedstat", procfs::parse_schedule)
    }

    /// Absent when the thread has ended or must not be looked at.
    pub fn doing(&self) -> Option<Doing> {
        self.read(self.call.as_ref(), "syscall", parse_call).or_else(|| {
            let state = procfs::thread_stat(self.pid, self.tid)?.state;
            Some(if state == 'R' { Doing::Running } else { Doing::Waiting { argument: 0 } })
        })
    }

    fn read<T>(&self, file: Option<&File>, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        // Both files have one line: nine numbers at most.
        let mut room = [0; 256];
        let length = match file {
            Some(file) => file.read_at(&mut room, 0).ok()?,
            None => File::open(path(self.pid, self.tid, name)).ok()?.read_at(&mut room, 0).ok()?,
        };
        parse(std::str::from_utf8(&room[..length]).ok()?)
    }
}

fn path(pid: u32, tid: u32, name: &str) -> String {
    format!("/proc/{pid}/task/{tid}/{name}")
}

/// Parses `/proc/PID/task/TID/syscall`: `running`, or the number of the call and its arguments, or −1 and two registers.
fn parse_call(text: &str) -> Option<Doing> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    if first == "running" {
        return Some(Doing::Running);
    }
    let _number: i64 = first.parse().ok()?;
    let argument = words.next().and_then(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    Some(Doing::Waiting { argument: argument.unwrap_or(0) })
}

/// The numbers of all threads of a process: as the process itself knows them, and as this one does. They differ when it
/// runs in a container of its own.
pub(super) fn numbers(pid: u32) -> Vec<(u32, u32)> {
    let nested = innermost_number(&format!("/proc/{pid}/status")).is_some_and(|inner| inner != pid);
    let outer = procfs::threads(pid).into_iter();
    if !nested {
        return outer.map(|number| (number, number)).collect();
    }
    outer.filter_map(|number| Some((innermost_number(&path(pid, number, "status"))?, number))).collect()
}

fn innermost_number(status: &str) -> Option<u32> {
    parse_innermost_number(&String::from_utf8_lossy(&std::fs::read(status).ok()?))
}

/// The last number of `NSpid` in `/proc/PID/status`; absent on kernels that do not tell.
fn parse_innermost_number(text: &str) -> Option<u32> {
    let numbers = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_parsed() {
        assert_eq!(parse_call("running\n"), Some(Doing::Running));
        let text = "202 0x7f00deadbee0 0x80 0x0 0x0 0x0 0x0 0x7ffd 0x7f00\n";
        assert_eq!(parse_call(text), Some(Doing::Waiting { argument: 0x7f00_dead_bee0 }));
        assert_eq!(parse_call("-1 0x7ffd 0x7f00"), Some(Doing::Waiting { argument: 0x7ffd }));
        assert_eq!((parse_call(""), parse_call("x 0x1")), (None, None));
    }

    #[test]
    fn numbers_inside_and_outside_of_a_container() {
        assert_eq!(parse_innermost_number("Name:\tx\nNSpid:\t4242\t17\nNSpgid:\t1"), Some(17));
        assert_eq!(parse_innermost_number("Name:\tx\n"), None);
        let own = std::process::id();
        assert!(numbers(own).iter().any(|&(_, outer)| outer == own));
    }

    #[test]
    fn this_thread_runs() {
        let own = std::process::id();
        for keep_open in [true, false] {
            let files = ThreadFiles::new(own, own, keep_open);
            assert!(files.schedule().is_some_and(|schedule| schedule.timeslices > 0));
            assert!(files.doing().is_some());
        }
        assert_eq!(ThreadFiles::new(own, u32::MAX >> 1, true).doing(), None);
    }
}
