//! What a descriptor of another process leads to, and who holds its other end.
//!
//! Everything here is read from `/proc` of a process that goes on running: an answer may be a moment old, and what has
//! gone is absent.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::time::{Duration, Instant};

/// How long a list of a process's descriptors is believed.
const TABLE_AGE_MAX: Duration = Duration::from_millis(200);

/// Descriptors of one process that are looked at.
const DESCRIPTORS_MAX: usize = 512;

/// What a descriptor leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    File,
    /// A pipe or a FIFO, by inode.
    Pipe(u64),
    /// A socket, by inode.
    Socket(u64),
    Terminal,
    Gpu,
    Timer,
    Epoll,
    /// Something by which threads of one process wake each other, such as an eventfd.
    Wakeup,
}

/// The end of a descriptor of a process; absent when it is gone or may not be seen.
pub(super) fn end(pid: u32, descriptor: u64) -> Option<End> {
    let path = format!("/proc/{pid}/fd/{descriptor}");
    let target = fs::read_link(&path).ok()?;
    Some(end_of(target.to_str()?, || {
        fs::metadata(&path).ok().filter(|file| file.file_type().is_fifo()).map(|file| file.ino())
    }))
}

fn end_of(target: &str, fifo: impl FnOnce() -> Option<u64>) -> End {
    let inode = |text: &str| text.trim_matches(['[', ']']).parse().unwrap_or(0);
    match target.split_once(':') {
        Some(("pipe", number)) => End::Pipe(inode(number)),
        Some(("socket", number)) => End::Socket(inode(number)),
        Some(("anon_inode", "[timerfd]")) => End::Timer,
        Some(("anon_inode", "[eventpoll]")) => End::Epoll,
        Some(("anon_inode", _)) => End::Wakeup,
        _ if target.starts_with("/dev/pts/") || target.starts_with("/dev/tty") => End::Terminal,
        _ if ["/dev/nvidia", "/dev/kfd", "/dev/dri/"].iter().any(|gpu| target.starts_with(gpu)) => End::Gpu,
        // A pipe with a name: only its file tells.
        _ if !target.starts_with("/dev/") => fifo().map_or(End::File, End::Pipe),
        _ => End::File,
    }
}

/// Descriptors of a `pollfd` array (8 bytes each, the descriptor first) in a process's memory.
pub(super) fn polled(pid: u32, address: u64, count: u64) -> Option<Vec<u64>> {
    let mut array = [0; 8 * 64];
    let wanted = 8 * usize::try_from(count.min(64)).unwrap_or(64);
    read_memory(pid, address, &mut array[..wanted])?;
    let descriptors = array[..wanted]
        .chunks_exact(8)
        .filter_map(|entry| u64::try_from(i32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]])).ok());
    Some(descriptors.collect())
}

/// Descriptors that are set in any of the bit sets of `select`.
pub(super) fn selected(pid: u32, count: u64, sets: &[u64]) -> Vec<u64> {
    let count = count.min(1024);
    let mut descriptors = Vec::new();
    for &address in sets.iter().filter(|&&address| address != 0) {
        let mut bits = [0; 128];
        // The kernel reads whole longs.
        let wanted = usize::try_from(count.div_ceil(64) * 8).unwrap_or(128);
        if read_memory(pid, address, &mut bits[..wanted]).is_some() {
            descriptors.extend((0..count).filter(|bit| bits[(bit / 8) as usize] >> (bit % 8) & 1 == 1));
        }
    }
    descriptors
}

/// Descriptors that an epoll set watches.
pub(super) fn watched(pid: u32, descriptor: u64) -> Vec<u64> {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).unwrap_or_default();
    parse_epoll(&info)
}

fn parse_epoll(info: &str) -> Vec<u64> {
    let lines = info.lines().filter_map(|line| line.strip_prefix("tfd:"));
    lines.filter_map(|line| line.split_ascii_whitespace().next()?.parse().ok()).collect()
}

/// Reads memory of another process, all of it or nothing.
pub(super) fn read_memory(pid: u32, address: u64, buffer: &mut [u8]) -> Option<()> {
    if buffer.is_empty() {
        return None;
    }
    let file = File::open(format!("/proc/{pid}/mem")).ok()?;
    file.read_exact_at(buffer, address).ok()
}

/// A descriptor that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    end: End,
    reads: bool,
    writes: bool,
}

/// What the processes of a tree hold, kept for a moment.
#[derive(Debug, Default)]
pub(super) struct Tables {
    of: HashMap<u32, (Instant, Vec<Held>)>,
    peers: HashMap<u64, Peer>,
}

/// The other side of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A TCP or UDP socket of this machine, by inode.
    Inode(u64),
    /// A local (Unix) socket; the kernel does not say in `/proc` with whom it is connected.
    Local,
    /// Another machine, or nobody yet.
    Elsewhere,
}

impl Tables {
    /// Whether a process holds an end of a pipe from which it reads (or into which it writes).
    pub(super) fn holds_pipe(&mut self, pid: u32, inode: u64, writes: bool) -> bool {
        let fits =
            |held: &Held| held.end == End::Pipe(inode) && if writes { held.writes } else { held.reads };
        self.table(pid).iter().any(fits)
    }

    pub(super) fn holds_socket(&mut self, pid: u32, inode: u64) -> bool {
        self.table(pid).iter().any(|held| held.end == End::Socket(inode))
    }

    /// Who of these processes holds a socket that is the other end of `inode`. A connection may be younger than the lists:
    /// they are read once more before it is taken for one of another program.
    pub(super) fn holders_of_peer(&mut self, pids: &[u32], inode: u64, peer: u64) -> Vec<u32> {
        let holding = |tables: &mut Self| -> Vec<u32> {
            pids.iter().copied().filter(|&pid| tables.holds_socket(pid, peer)).collect()
        };
        let known = holding(self);
        if !known.is_empty() {
            return known;
        }
        self.of.clear();
        let found = holding(self);
        if found.is_empty() {
            self.peers.insert(inode, Peer::Elsewhere);
        }
        found
    }

    /// Whether a process holds sockets or pipes of its own machine at all.
    pub(super) fn holds_local(&mut self, pid: u32, but: u64) -> bool {
        let others: Vec<u64> = self
            .table(pid)
            .iter()
            .filter_map(|held| match held.end {
                End::Socket(inode) if inode != but => Some(inode),
                _ => None,
            })
            .collect();
        others.into_iter().any(|inode| self.peer(pid, inode) == Peer::Local)
    }

    fn table(&mut self, pid: u32) -> &[Held] {
        let now = Instant::now();
        let entry = self.of.entry(pid);
        let (_, table) = entry
            .and_modify(|(read, table)| {
                if now.duration_since(*read) > TABLE_AGE_MAX {
                    (*read, *table) = (now, read_table(pid));
                }
            })
            .or_insert_with(|| (now, read_table(pid)));
        table
    }

    /// Whoever is at the other end of a socket.
    pub(super) fn peer(&mut self, pid: u32, inode: u64) -> Peer {
        if let Some(peer) = self.peers.get(&inode) {
            return *peer;
        }
        let peer = find_peer(pid, inode);
        self.peers.insert(inode, peer);
        peer
    }

    /// Forgets what changes: a socket may be connected yet, and its number used again.
    pub(super) fn forget(&mut self) {
        self.peers.clear();
        let now = Instant::now();
        self.of.retain(|_, (read, _)| now.duration_since(*read) < 5 * TABLE_AGE_MAX);
    }
}

fn read_table(pid: u32) -> Vec<Held> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .take(DESCRIPTORS_MAX)
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let path = entry.path();
            let end = end_of(target.to_str()?, || {
                fs::metadata(&path).ok().filter(|file| file.file_type().is_fifo()).map(|file| file.ino())
            });
            // The link's own permissions say how the descriptor was opened.
            let mode = fs::symlink_metadata(&path).ok()?.mode();
            Some(Held { end, reads: mode & 0o400 != 0, writes: mode & 0o200 != 0 })
        })
        .collect()
}

fn find_peer(pid: u32, inode: u64) -> Peer {
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        if let Some(found) = peer_in(&text, inode) {
            return found.map_or(Peer::Elsewhere, Peer::Inode);
        }
    }
    // Of a process that has ended meanwhile nothing can be read; its sockets were mostly local.
    let Ok(local) = fs::read_to_string(format!("/proc/{pid}/net/unix")) else { return Peer::Local };
    if local.lines().any(|line| line.split_ascii_whitespace().nth(6) == Some(&inode.to_string())) {
        Peer::Local
    } else {
        Peer::Elsewhere
    }
}

/// In a table of the form of `/proc/net/tcp`: absent when the socket is not in it, else the inode of the socket with the
/// reversed addresses, if that is there.
fn peer_in(table: &str, inode: u64) -> Option<Option<u64>> {
    let rows = || {
        table.lines().skip(1).filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            Some((*words.get(1)?, *words.get(2)?, words.get(9)?.parse::<u64>().ok()?))
        })
    };
    let (local, remote, _) = rows().find(|row| row.2 == inode)?;
    let reversed = rows().find(|row| row.0 == remote && row.1 == local && row.2 != inode && row.2 != 0);
    Some(reversed.map(|row| row.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_tell_what_a_descriptor_is() {
        let none = || None;
        assert_eq!(end_of("pipe:[77]", none), End::Pipe(77));
        assert_eq!(end_of("socket:[9]", none), End::Socket(9));
        assert_eq!(end_of("anon_inode:[timerfd]", none), End::Timer);
        assert_eq!(end_of("anon_inode:[eventfd]", none), End::Wakeup);
        assert_eq!(end_of("/dev/pts/3", none), End::Terminal);
        assert_eq!(end_of("/dev/nvidia0", none), End::Gpu);
        assert_eq!(end_of("/dev/null", none), End::File);
        assert_eq!(end_of("/tmp/a:b", none), End::File);
        assert_eq!(end_of("/tmp/fifo", || Some(5)), End::Pipe(5));
    }

    #[test]
    fn a_connection_is_found_from_both_sides() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1\n\
            1: 0100007F:1F90 0100007F:A0B2 01 00000000:00000000 00:00000000 00000000     0        0 101 1\n\
            2: 0100007F:A0B2 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 102 1\n";
        assert_eq!(peer_in(table, 101), Some(Some(102)));
        assert_eq!(peer_in(table, 102), Some(Some(101)));
        assert_eq!(peer_in(table, 100), Some(None), "it only listens");
        assert_eq!(peer_in(table, 7), None);
    }

    #[test]
    fn an_epoll_set_lists_its_targets() {
        let info = "pos:\t0\nflags:\t02000002\ntfd:        5 events: 19 data: 5 pos:0 ino:4 sdev:d\ntfd: 12 events: 1\n";
        assert_eq!(parse_epoll(info), [5, 12]);
    }

    #[test]
    fn own_memory_can_be_read() {
        let value = 0x1234_5678_9abc_def0_u64;
        let mut bytes = [0; 8];
        let read = read_memory(std::process::id(), &raw const value as u64, &mut bytes);
        assert_eq!((read, u64::from_ne_bytes(bytes)), (Some(()), value));
        assert_eq!(read_memory(std::process::id(), 8, &mut bytes), None);
    }

    #[test]
    fn own_pipes_are_held_at_both_ends() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        use std::os::fd::AsRawFd;
        let pid = std::process::id();
        let Some(End::Pipe(inode)) = end(pid, reader.as_raw_fd() as u64) else { panic!("a pipe") };
        let mut tables = Tables::default();
        assert!(tables.holds_pipe(pid, inode, true));
        assert!(tables.holds_pipe(pid, inode, false));
        drop((reader, writer));
    }
}
