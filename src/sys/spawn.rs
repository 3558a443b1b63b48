//! Starts a program in the fewest system calls.
//!
//! `posix_spawn` asks for the action of all 64 signals in the child, since it cannot know that none is caught: 26 µs of
//! the 525 that `true` takes here, 5 %, in which nothing of the program runs. Where no signal is caught that is a
//! detour; the rest of what it does is done here the same way: the child borrows the caller's memory and the caller
//! sleeps until the child has become the program, so the cost does not depend on how much memory the caller holds.
//!
//! **Invariant**: everything that the start needs is laid out before the clock runs; the child only makes system calls.
#![expect(unsafe_code, reason = "nothing that has a safe binding starts a program without the detour")]

use std::cell::Cell;
use std::ffi::{CString, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_char, c_int};

use super::os::{self, Affinity, NoneCaught};

/// The child needs a few hundred bytes; a first touch of each page is paid for by the rehearsal.
const STACK_BYTES: usize = 64 << 10;

/// Exit code of a child that could not become the program; never seen, the caller reads the reason.
const EXIT_FAILED: c_int = 127;

/// A program ready to start.
pub struct Program {
    path: CString,
    argv: Strings,
    env: Strings,
    standard: [c_int; 3],
    affinity: Option<Affinity>,
    unblocked: libc::sigset_t,
    stack: Box<[MaybeUninit<u8>]>,
}

impl Program {
    /// `standard` becomes the program's standard input, output and error; keep them open until it is started. It may run
    /// on the CPUs of `affinity`, wherever it is started; without one, where this process may.
    /// [`NoneCaught`] is the proof that no code of ours can interrupt the child.
    ///
    /// # Errors
    /// When a descriptor of `standard` is itself a standard one.
    pub fn new(
        path: CString,
        argv: Vec<CString>,
        env: Vec<CString>,
        standard: [BorrowedFd<'_>; 3],
        affinity: Option<Affinity>,
        _: NoneCaught,
    ) -> io::Result<Self> {
        // A copy could overwrite one that is yet to be copied, and a copy onto itself stays close-on-exec.
        let standard = standard.map(|fd| fd.as_raw_fd());
        if standard.iter().any(|&fd| fd <= libc::STDERR_FILENO) {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(Self {
            path,
            argv: Strings::new(argv),
            env: Strings::new(env),
            standard,
            affinity,
            unblocked: os::signal_set(&[]),
            stack: Box::new_uninit_slice(STACK_BYTES),
        })
    }

    /// Starts the program in its own process group with an empty signal mask.
    ///
    /// # Errors
    /// Whatever `execve` says: not found, not executable, arguments too long.
    pub fn spawn(&mut self) -> io::Result<u32> {
        let path = self.path.as_ptr();
        self.spawn_path(path)
    }

    /// Goes the whole way of a spawn and fails at its very end, for want of a program.
    ///
    /// The first spawn of a process is 5 % slower than the next, for the page faults of code not run before.
    pub fn rehearse(&mut self) {
        let started = self.spawn_path(c"".as_ptr());
        debug_assert!(started.is_err(), "a program without a name was started");
    }

    fn spawn_path(&mut self, path: *const c_char) -> io::Result<u32> {
        let start = Start {
            path,
            argv: self.argv.pointers.as_ptr(),
            env: self.env.pointers.as_ptr(),
            standard: self.standard,
            affinity: self.affinity.as_ref().map_or(ptr::null(), ptr::from_ref),
            unblocked: &raw const self.unblocked,
            errno: Cell::new(0),
        };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let stack_end = self.stack.as_mut_ptr_range().end;
        // SAFETY: the stack is exclusively ours, 64 KiB, and grows down from its end, which is aligned as `clone` itself
        // sees to. `start` outlives the child's use of it, for `CLONE_VFORK` returns only once the child has replaced or
        // ended itself. No signal is caught (`NoneCaught`), so nothing but `become_program` runs in the child, and this
        // thread sleeps meanwhile: nobody else touches the shared memory.
        let pid = unsafe {
            libc::clone(become_program, stack_end.cast(), flags, (&raw const start).cast_mut().cast())
        };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        match start.errno.get() {
            0 => Ok(pid.cast_unsigned()),
            errno => {
                os::reap(pid.cast_unsigned())?;
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }
}

/// What the child reads, and where it leaves the reason of a failure.
struct Start {
    path: *const c_char,
    argv: *const *const c_char,
    env: *const *const c_char,
    standard: [c_int; 3],
    affinity: *const Affinity,
    unblocked: *const libc::sigset_t,
    errno: Cell<c_int>,
}

/// The child's way to the program.
extern "C" fn become_program(start: *mut c_void) -> c_int {
    // SAFETY: `spawn_path` passes a live `Start`, which it does not touch until this process is done with it.
    let start = unsafe { &*start.cast::<Start>() };
    // SAFETY: only system calls, on descriptors that the caller keeps open and on NUL-terminated strings in lists that end
    // in a null pointer. `errno` is the sleeping caller's, which expects it to change.
    unsafe {
        let ready = (0..).zip(start.standard).all(|(target, source)| libc::dup2(source, target) == target)
            && libc::setpgid(0, 0) == 0
            && start.affinity.as_ref().is_none_or(|affinity| affinity.apply().is_ok())
            && libc::sigprocmask(libc::SIG_SETMASK, start.unblocked, ptr::null_mut()) == 0;
        if ready {
            libc::execve(start.path, start.argv, start.env);
        }
        start.errno.set(*libc::__errno_location());
        libc::_exit(EXIT_FAILED)
    }
}

/// Strings in the shape that `execve` wants: pointers to them, and a null pointer at the end.
struct Strings {
    /// Held for the pointers, which go to the heap and so survive a move of this.
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Self { _owned: owned, pointers }
    }
}
