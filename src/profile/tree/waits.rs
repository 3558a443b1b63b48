//! What a blocked thread waits for, and whom: from its system call, its descriptors and the word of its lock.

use std::time::Duration;

use super::BlockClass;
use super::calls::{self, Call, ChannelClass};
use super::chain::{Wait, Whom};
use super::descriptors::{self, End, Peer, Tables};
use crate::profile::Absent;
use crate::sys::clock;

/// A wait for Python's global interpreter lock has a limit of 5 ms (`sys.setswitchinterval`); this is a little more.
const GIL_LIMIT: Duration = Duration::from_millis(6);

/// A time limit below this is a precaution of somebody who waits for something else.
const PRECAUTION: Duration = Duration::from_millis(20);

/// Positions and values of `linux/futex.h`.
const FUTEX_COMMAND: u64 = 0x7f;
const FUTEX_PRIVATE: u64 = 0x80;
const FUTEX_CLOCK_REALTIME: u64 = 0x100;
const FUTEX_WAIT: u64 = 0;
const FUTEX_LOCK_PI: u64 = 6;
const FUTEX_WAIT_BITSET: u64 = 9;

/// The word of a lock that is held and that somebody waits for, in glibc, musl and Rust's standard library alike.
const LOCKED_AND_WAITED_FOR: u32 = 2;

/// Where glibc keeps the holder's thread id, from the word of the lock.
const GLIBC_OWNER_OFFSET: usize = 8;

/// The lock side of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Futex {
    pub address: u64,
    /// Its word says that somebody holds it; another thread of the process is known to.
    pub held: bool,
    pub owned: bool,
    /// Other processes may wait for it too.
    pub shared: bool,
    /// It has a time limit as Python's global interpreter lock has.
    pub like_gil: bool,
}

/// What was seen of a blocked thread.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blocked {
    pub wait: Wait,
    pub futex: Option<Futex>,
}

impl Blocked {
    pub fn of_class(class: BlockClass) -> Self {
        Self { wait: Wait { whom: Vec::new(), class }, futex: None }
    }

    fn on(whom: Whom, class: BlockClass) -> Self {
        Self { wait: Wait { whom: vec![whom], class }, futex: None }
    }
}

/// The thread that is looked at, and what is known around it.
pub(super) struct Around<'a> {
    pub pid: u32,
    pub tid: u32,
    /// Threads of its process.
    pub threads: &'a [u32],
    /// Processes of the tree.
    pub tree: &'a [u32],
    /// The process that takes the program's output; 0 when there is none.
    pub runner: u32,
    pub tables: &'a mut Tables,
}

impl Around<'_> {
    /// What the thread waits for in this system call.
    pub fn blocked(&mut self, number: i64, arguments: &[u64; 6]) -> Blocked {
        let [first, second, ..] = *arguments;
        match calls::call(number) {
            // A file that is made or emptied is written to storage.
            Call::Class(BlockClass::DiskRead) if calls::opens_for_writing(number, arguments) => {
                Blocked::of_class(BlockClass::DiskSync)
            }
            Call::Class(class) => Blocked::of_class(class),
            Call::Wait if first as i32 > 0 => Blocked::on(Whom::Child(first as u32), BlockClass::Child),
            Call::WaitId if first == u64::from(libc::P_PID) => {
                Blocked::on(Whom::Child(second as u32), BlockClass::Child)
            }
            Call::Wait | Call::WaitId | Call::Fork => Blocked::on(Whom::Children, BlockClass::Child),
            // The signal may be that of a child, where there is one.
            Call::Signal => Blocked::on(Whom::Children, BlockClass::Sleep),
            Call::Descriptor { file, writing } => match descriptors::end(self.pid, first) {
                None | Some(End::File) => Blocked::of_class(file),
                Some(end) => self.waits_for(&[end], writing, false),
            },
            Call::Futex => self.futex(arguments),
            Call::Poll => {
                let timed =
                    if number == libc::SYS_ppoll { arguments[2] != 0 } else { arguments[2] as i32 >= 0 };
                match descriptors::polled(self.pid, first, second) {
                    Some(polled) => self.polls(&polled, timed),
                    None if second == 0 => Blocked::of_class(BlockClass::Sleep),
                    None => Blocked::on(Whom::Others, BlockClass::Poll),
                }
            }
            Call::Select => {
                let selected = descriptors::selected(self.pid, first, &arguments[1..4]);
                self.polls(&selected, arguments[4] != 0)
            }
            Call::Epoll => {
                // The limit of epoll_pwait2 is a pointer: null for none.
                let pointer = number == libc::SYS_epoll_pwait2;
                let timed = if pointer { arguments[3] != 0 } else { arguments[3] as i32 >= 0 };
                let watched = descriptors::watched(self.pid, first);
                if watched.is_empty() {
                    return Blocked::on(
                        Whom::Others,
                        if timed { BlockClass::Sleep } else { BlockClass::Poll },
                    );
                }
                self.polls(&watched, timed)
            }
        }
    }

    /// As [`Self::blocked`], from the kernel's wait channel alone.
    pub fn blocked_in(channel: &str) -> Blocked {
        match calls::class_of_channel(channel) {
            Some(ChannelClass::Is(class)) => Blocked::of_class(class),
            Some(ChannelClass::Child) => Blocked::on(Whom::Children, BlockClass::Child),
            Some(ChannelClass::Futex) => Blocked::on(Whom::Others, BlockClass::Lock),
            Some(ChannelClass::Poll) => Blocked::on(Whom::Others, BlockClass::Poll),
            None => Blocked::of_class(BlockClass::Other),
        }
    }

    fn polls(&mut self, descriptors: &[u64], timed: bool) -> Blocked {
        if descriptors.is_empty() {
            return Blocked::of_class(BlockClass::Sleep);
        }
        let ends: Vec<End> =
            descriptors.iter().filter_map(|&descriptor| descriptors::end(self.pid, descriptor)).collect();
        self.waits_for(&ends, false, timed)
    }

    /// Waiting for any of several ends: the one that says most names it; all who can end it are asked.
    fn waits_for(&mut self, ends: &[End], writing: bool, timed: bool) -> Blocked {
        let mut whom = Vec::new();
        let mut named: Option<BlockClass> = None;
        let mut name = |found: BlockClass| named = Some(named.map_or(found, |class| class.min(found)));
        let (mut asks_own, mut timer) = (false, false);
        for &end in ends {
            match end {
                End::Pipe(inode) => {
                    let holders = self.holders(|tables, pid| tables.holds_pipe(pid, inode, !writing));
                    if holders.is_empty() && self.tables.holds_pipe(self.pid, inode, !writing) {
                        asks_own = true;
                    } else if holders.is_empty() && writing && self.is_taken(inode) {
                        name(BlockClass::Output);
                    } else {
                        name(BlockClass::Pipe);
                        whom.push(Whom::Processes(holders));
                    }
                }
                End::Socket(inode) => match self.tables.peer(self.pid, inode) {
                    Peer::Inode(other) => {
                        name(BlockClass::Network);
                        whom.push(Whom::Server(self.tables.holders_of_peer(self.tree, inode, other)));
                    }
                    Peer::Elsewhere => name(BlockClass::Network),
                    // Both halves of a pair lie side by side.
                    Peer::Local
                        if self.tables.holds_socket(self.pid, inode + 1)
                            || self.tables.holds_socket(self.pid, inode.saturating_sub(1)) =>
                    {
                        asks_own = true;
                    }
                    Peer::Local => {
                        let holders = self.holders(|tables, pid| tables.holds_local(pid, inode));
                        name(BlockClass::Pipe);
                        whom.push(Whom::Processes(holders));
                    }
                },
                End::Terminal => name(BlockClass::Terminal),
                End::Gpu => name(BlockClass::Gpu),
                End::Timer => timer = true,
                End::Wakeup | End::Epoll => asks_own = true,
                End::File => {}
            }
        }
        // Beside a connection, the local sockets of an event loop are its own affair.
        if whom.iter().any(|asked| matches!(asked, Whom::Server(_))) {
            whom.retain(|asked| matches!(asked, Whom::Server(_)));
        }
        if asks_own {
            whom.push(Whom::Others);
        }
        let nothing = if timed || timer { BlockClass::Sleep } else { BlockClass::Poll };
        let class = named.unwrap_or(nothing);
        Blocked { wait: Wait { whom, class }, futex: None }
    }

    fn holders(&mut self, mut holds: impl FnMut(&mut Tables, u32) -> bool) -> Vec<u32> {
        let (own, tree) = (self.pid, self.tree);
        tree.iter().copied().filter(|&pid| pid != own && holds(self.tables, pid)).collect()
    }

    /// Whether perfup itself reads this pipe.
    fn is_taken(&mut self, inode: u64) -> bool {
        self.runner != 0 && self.tables.holds_pipe(self.runner, inode, false)
    }

    fn futex(&self, arguments: &[u64; 6]) -> Blocked {
        let [address, operation, expected, limit, ..] = *arguments;
        let command = operation & FUTEX_COMMAND;
        let is_wait = matches!(command, FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI);
        let expected = expected as u32;
        let other = |tid: u32| tid != self.tid && self.threads.contains(&tid);
        let remaining = (is_wait && limit != 0).then(|| self.remaining(command, operation, limit)).flatten();
        let mut futex = Futex {
            address,
            held: false,
            owned: false,
            shared: operation & FUTEX_PRIVATE == 0,
            like_gil: remaining.is_some_and(|remaining| remaining <= GIL_LIMIT),
        };
        // Who joins a thread waits for its id to be cleared, which the kernel does for a shared word. The thread may have
        // come and gone between two looks.
        if is_wait && expected > LOCKED_AND_WAITED_FOR && (futex.shared || other(expected)) {
            return Blocked::on(Whom::Thread(expected), BlockClass::Child);
        }
        let mut words = [0; 12];
        if (expected == LOCKED_AND_WAITED_FOR || command == FUTEX_LOCK_PI)
            && descriptors::read_memory(self.pid, address, &mut words).is_some()
        {
            let word =
                |at: usize| u32::from_ne_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
            let owner =
                if command == FUTEX_LOCK_PI { word(0) & 0x3fff_ffff } else { word(GLIBC_OWNER_OFFSET) };
            futex.held = command == FUTEX_LOCK_PI || word(0) == LOCKED_AND_WAITED_FOR;
            futex.owned = futex.held && other(owner);
            if futex.owned {
                return Blocked { futex: Some(futex), ..Blocked::on(Whom::Thread(owner), BlockClass::Lock) };
            }
        }
        let class = match remaining {
            Some(remaining) if remaining > PRECAUTION => BlockClass::Sleep,
            _ => BlockClass::Lock,
        };
        Blocked { futex: Some(futex), ..Blocked::on(Whom::Others, class) }
    }

    /// Time until the limit of a wait; relative for `FUTEX_WAIT`, else an instant of the clock it names.
    fn remaining(&self, command: u64, operation: u64, limit: u64) -> Option<Duration> {
        let mut time = [0; 16];
        descriptors::read_memory(self.pid, limit, &mut time)?;
        let (seconds, nanoseconds) = time.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_ne_bytes);
        let limit =
            Duration::from_secs(number(seconds)?).checked_add(Duration::from_nanos(number(nanoseconds)?))?;
        if command == FUTEX_WAIT {
            return Some(limit);
        }
        let now = if operation & FUTEX_CLOCK_REALTIME != 0 { clock::realtime() } else { clock::monotonic() };
        Some(limit.saturating_sub(now))
    }
}

/// What is lost, and how to get it, where system calls may not be read.
pub(super) fn refused(path: &str, error: &std::io::Error) -> Absent {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let because = match scope.trim() {
        "" | "0" => "the process belongs to somebody else, or forbids it".to_owned(),
        scope => {
            format!("kernel.yama.ptrace_scope={scope} forbids inspecting a process perfup did not start")
        }
    };
    Absent {
        reason: format!(
            "cannot read {path} ({error}): {because}. Waits are classed by kernel wait channel only"
        ),
        remedy: "start the command under perfup, or run: sudo sysctl kernel.yama.ptrace_scope=0".to_owned(),
    }
}
