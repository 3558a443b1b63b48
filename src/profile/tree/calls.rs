//! What a thread does right now, from `/proc/PID/task/TID/syscall`: pure parsing and tables.

use super::BlockClass::{self, DiskRead, DiskSync, Other, Sleep};

/// What a thread is doing at the moment it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Now {
    /// On a CPU, or ready for one.
    Running,
    /// Blocked in a system call.
    Call { number: i64, arguments: [u64; 6] },
    /// Blocked outside any system call: the kernel fetches a page for it.
    Fault,
    /// Ended and not reaped.
    Gone,
}

/// Parses `/proc/PID/task/TID/syscall`.
pub(super) fn parse(text: &str) -> Option<Now> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    if first == "running" {
        return Some(Now::Running);
    }
    let number: i64 = first.parse().ok()?;
    let mut values = words.map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    if number < 0 {
        // The stack and the program counter follow; who has neither has ended.
        let (stack, counter) = (values.next()??, values.next()??);
        return Some(if stack == 0 && counter == 0 { Now::Gone } else { Now::Fault });
    }
    let mut arguments = [0; 6];
    for argument in &mut arguments {
        *argument = values.next()??;
    }
    Some(Now::Call { number, arguments })
}

/// What a system call waits for, as far as its number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Class(BlockClass),
    /// The descriptor in the first argument decides; the class is that for a regular file.
    Descriptor {
        file: BlockClass,
        writing: bool,
    },
    /// The child with this number in the first argument (`wait4`), or any.
    Wait,
    /// `waitid`: kind and number in the first two arguments.
    WaitId,
    /// A parent stands still in fork only for `CLONE_VFORK`, until its child executes a program or ends.
    Fork,
    Futex,
    Poll,
    Select,
    Epoll,
    /// Waits for a signal: of a child, where there is one.
    Signal,
}

/// The call with this number on this architecture.
pub(super) fn call(number: i64) -> Call {
    #[cfg(target_arch = "x86_64")]
    match number {
        libc::SYS_poll => return Call::Poll,
        libc::SYS_select => return Call::Select,
        libc::SYS_epoll_wait => return Call::Epoll,
        libc::SYS_pause => return Call::Signal,
        libc::SYS_vfork | libc::SYS_fork => return Call::Fork,
        libc::SYS_open | libc::SYS_stat | libc::SYS_lstat | libc::SYS_access => return Call::Class(DiskRead),
        libc::SYS_unlink | libc::SYS_rename | libc::SYS_mkdir | libc::SYS_rmdir | libc::SYS_creat => {
            return Call::Class(DiskSync);
        }
        _ => {}
    }
    match number {
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => Call::Class(Sleep),
        libc::SYS_wait4 => Call::Wait,
        libc::SYS_waitid => Call::WaitId,
        libc::SYS_clone | libc::SYS_clone3 => Call::Fork,
        libc::SYS_futex => Call::Futex,
        libc::SYS_rt_sigsuspend | libc::SYS_rt_sigtimedwait => Call::Signal,
        libc::SYS_ppoll => Call::Poll,
        libc::SYS_pselect6 => Call::Select,
        libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => Call::Epoll,
        libc::SYS_fsync
        | libc::SYS_fdatasync
        | libc::SYS_sync
        | libc::SYS_syncfs
        | libc::SYS_msync
        | libc::SYS_sync_file_range
        | libc::SYS_fallocate
        | libc::SYS_truncate
        | libc::SYS_ftruncate
        | libc::SYS_unlinkat
        | libc::SYS_renameat2
        | libc::SYS_mkdirat => Call::Class(DiskSync),
        libc::SYS_openat
        | libc::SYS_newfstatat
        | libc::SYS_statx
        | libc::SYS_getdents64
        | libc::SYS_execve
        | libc::SYS_readahead
        | libc::SYS_io_getevents => Call::Class(DiskRead),
        // What is in the ring cannot be seen from outside.
        libc::SYS_io_uring_enter => Call::Class(DiskRead),
        libc::SYS_read
        | libc::SYS_readv
        | libc::SYS_pread64
        | libc::SYS_preadv
        | libc::SYS_preadv2
        | libc::SYS_recvfrom
        | libc::SYS_recvmsg
        | libc::SYS_recvmmsg
        | libc::SYS_accept
        | libc::SYS_accept4
        | libc::SYS_connect => Call::Descriptor { file: DiskRead, writing: false },
        libc::SYS_write
        | libc::SYS_writev
        | libc::SYS_pwrite64
        | libc::SYS_pwritev
        | libc::SYS_pwritev2
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        | libc::SYS_sendmmsg
        | libc::SYS_sendfile
        | libc::SYS_splice
        | libc::SYS_copy_file_range
        | libc::SYS_close => Call::Descriptor { file: DiskSync, writing: true },
        libc::SYS_ioctl => Call::Descriptor { file: Other, writing: false },
        libc::SYS_flock | libc::SYS_fcntl => Call::Class(BlockClass::Lock),
        libc::SYS_sched_yield => Call::Class(Other),
        _ => Call::Class(Other),
    }
}

/// Whether this call opens a file to make or to empty it.
pub(super) fn opens_for_writing(number: i64, arguments: &[u64; 6]) -> bool {
    let flags = match number {
        libc::SYS_openat => arguments[2],
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => arguments[1],
        _ => return false,
    };
    flags & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0
}

/// The class by kernel wait channel, for threads whose system call may not be read.
pub(super) fn class_of_channel(channel: &str) -> Option<ChannelClass> {
    const CHANNELS: &[(&str, ChannelClass)] = &[
        ("nanosleep", ChannelClass::Is(Sleep)),
        ("do_wait", ChannelClass::Child),
        ("kernel_clone", ChannelClass::Child),
        ("pipe_", ChannelClass::Is(BlockClass::Pipe)),
        ("unix_", ChannelClass::Is(BlockClass::Pipe)),
        ("futex_", ChannelClass::Futex),
        ("ep_poll", ChannelClass::Poll),
        ("do_poll", ChannelClass::Poll),
        ("do_sys_poll", ChannelClass::Poll),
        ("do_select", ChannelClass::Poll),
        ("poll_schedule", ChannelClass::Poll),
        ("sk_wait", ChannelClass::Is(BlockClass::Network)),
        ("inet_", ChannelClass::Is(BlockClass::Network)),
        ("tcp_", ChannelClass::Is(BlockClass::Network)),
        ("skb_", ChannelClass::Is(BlockClass::Network)),
        ("n_tty", ChannelClass::Is(BlockClass::Terminal)),
        ("jbd2", ChannelClass::Is(DiskSync)),
        ("fsync", ChannelClass::Is(DiskSync)),
        ("writeback", ChannelClass::Is(DiskSync)),
        ("folio_wait", ChannelClass::Is(DiskRead)),
        ("io_schedule", ChannelClass::Is(DiskRead)),
    ];
    CHANNELS.iter().find(|(part, _)| channel.contains(part)).map(|&(_, class)| class)
}

/// What a kernel wait channel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelClass {
    Is(BlockClass),
    Child,
    Futex,
    Poll,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms_of_the_file() {
        assert_eq!(parse("running\n"), Some(Now::Running));
        assert_eq!(parse("-1 0x7ffc0 0x7f12\n"), Some(Now::Fault));
        assert_eq!(parse("-1 0x0 0x0\n"), Some(Now::Gone));
        let arguments = [3, 0x7f00, 0x10, 0, 0, 0];
        assert_eq!(
            parse("0 0x3 0x7f00 0x10 0x0 0x0 0x0 0x7ffe 0x7f12\n"),
            Some(Now::Call { number: 0, arguments })
        );
        for broken in ["", "x", "0 0x3", "-1", "0 3 4 5 6 7 8"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn calls_and_wait_channels_have_their_class() {
        assert_eq!(call(libc::SYS_clock_nanosleep), Call::Class(Sleep));
        assert_eq!(call(libc::SYS_fdatasync), Call::Class(DiskSync));
        assert_eq!(call(libc::SYS_wait4), Call::Wait);
        assert_eq!(call(-7), Call::Class(Other));
        assert!(opens_for_writing(libc::SYS_openat, &[0, 0, libc::O_CREAT as u64, 0, 0, 0]));
        assert!(!opens_for_writing(libc::SYS_openat, &[0, 0, libc::O_RDONLY as u64, 0, 0, 0]));
        assert!(!opens_for_writing(libc::SYS_statx, &[0, 0, libc::O_CREAT as u64, 0, 0, 0]));
        assert_eq!(class_of_channel("hrtimer_nanosleep"), Some(ChannelClass::Is(Sleep)));
        assert_eq!(class_of_channel("anon_pipe_read"), Some(ChannelClass::Is(BlockClass::Pipe)));
        assert_eq!(class_of_channel("0"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = parse(&text);
        }
    }
}
