//! Who a running process is, for whoever wants to look at it from outside.
//!
//! **Invariant**: reads only, and never stops the process.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::procfs;

/// `PF_KTHREAD` of `linux/sched.h`, in the ninth field of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Program and arguments; absent when the process is gone, empty for threads of the kernel and ended processes.
#[must_use]
pub fn command_line(pid: u32) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words: Vec<String> =
        bytes.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    // Each word ends with a zero byte.
    if words.last().is_some_and(String::is_empty) {
        words.pop();
    }
    Some(words)
}

/// Whether it is a thread of the kernel, which runs no program.
#[must_use]
pub fn is_of_the_kernel(pid: u32) -> bool {
    let flags = || {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let text = String::from_utf8_lossy(&text);
        // The name may hold anything; the state, field 3, comes after its last parenthesis.
        text.rsplit_once(')')?.1.split_ascii_whitespace().nth(9 - 3)?.parse::<u64>().ok()
    };
    flags().is_some_and(|flags| flags & KERNEL_THREAD != 0)
}

/// Whether this process may look into it: what it executes, its files, its storage traffic.
///
/// # Errors
/// The system's refusal.
pub fn may_inspect(pid: u32) -> io::Result<()> {
    fs::read_link(format!("/proc/{pid}/exe")).map(drop)
}

/// The folder it works in, where that may be known.
#[must_use]
pub fn folder(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// The user id it runs as.
#[must_use]
pub fn user(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().next()?.parse().ok()
}

/// Its largest resident set so far, bytes.
#[must_use]
pub fn peak_rss_bytes(pid: u32) -> Option<u64> {
    procfs::parse_peak_rss(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// The process, its parent, and so on up to the first.
#[must_use]
pub fn line_of(pid: u32) -> Vec<u32> {
    let mut line = vec![pid];
    while let Some(stat) = line.last().and_then(|&pid| procfs::stat(pid)) {
        // A parent outside this namespace is 0; a tree read while it changes must not become a ring.
        if stat.parent == 0 || line.contains(&stat.parent) {
            break;
        }
        line.push(stat.parent);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let pid = std::process::id();
        assert!(command_line(pid).is_some_and(|words| !words.is_empty()));
        assert!(!is_of_the_kernel(pid) && may_inspect(pid).is_ok());
        assert_eq!(folder(pid), std::env::current_dir().ok());
        assert!(user(pid).is_some() && peak_rss_bytes(pid) > Some(4096));
        assert_eq!(line_of(pid)[0], pid);
        assert_eq!(command_line(u32::MAX), None);
        assert!(!is_of_the_kernel(u32::MAX));
    }
}
