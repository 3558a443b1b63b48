//! The one loop that runs while the clock runs: drains pipes, reaps, and keeps the limits.
//!
//! **Invariant**: the clock stops at the event after which nothing was left, not when we got around to noticing; reading
//! `/proc` and hashing are outside of it.

use std::fs::File;
use std::io::{self, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::os;
use super::stream::Stream;
use super::tree::Tree;
use super::wire::{Captured, RunEnd, RunFailure, RunRequest};

/// Read at once from a pipe; more only costs memory.
const BUFFER_BYTES: usize = 256 << 10;

/// How a watched tree ended.
pub struct Outcome {
    pub end: RunEnd,
    pub survivors: u32,
    /// From the start until the tree was gone and its pipes were drained.
    pub wall: Duration,
}

/// Watches over one program's tree and streams, and over the leash on standard input.
pub struct Watch<'a> {
    /// Readable when a child has ended or the runner is told to go.
    signals: &'a File,
    stdout: Stream,
    stderr: Option<Stream>,
    /// Our copies of the program's ends of the pipes. Kept until a child has ended, a pipe does not wake us in the
    /// middle of the program's exit, which would take the CPU from it twice: 25 µs of 500 for `true`.
    own_ends: Vec<PipeWriter>,
    tree: Tree,
    buffer: Vec<u8>,
    /// The leash was cut, or the runner was told to go.
    is_cancelled: bool,
    /// When something last happened.
    last_event: Instant,
}

/// What one turn of the loop saw.
#[derive(Clone, Copy)]
struct Seen {
    child_ended: bool,
    output: bool,
}

impl<'a> Watch<'a> {
    /// Takes `signals` from [`os::signal_descriptor`], the streams (one alone serves for both), and the program's ends of
    /// their pipes.
    pub fn new(signals: &'a File, stdout: Stream, stderr: Option<Stream>, own_ends: Vec<PipeWriter>) -> Self {
        Self {
            signals,
            stdout,
            stderr,
            own_ends,
            tree: Tree::new(0),
            // By its kind of zeroes allocated but not touched: it does not count towards the program's memory.
            buffer: vec![0; BUFFER_BYTES],
            is_cancelled: false,
            last_event: Instant::now(),
        }
    }

    /// Runs the code of the loop once before it matters, so that its page faults are outside the clock.
    pub fn rehearse(&mut self) -> Result<(), RunFailure> {
        self.turn(Some(Duration::ZERO))?;
        self.tree.reap_ended()
    }

    /// Waits until the tree of `program`, started at `start`, is gone and its pipes are drained; kills it at a limit.
    ///
    /// # Errors
    /// When output cannot be saved or the system refuses to watch; the tree has been killed then.
    pub fn until_gone(
        &mut self,
        program: u32,
        start: Instant,
        limits: &RunRequest,
    ) -> Result<Outcome, RunFailure> {
        self.tree = Tree::new(program);
        self.last_event = start;
        let ended = self.follow(start, limits);
        if ended.is_err() {
            self.tree.kill(self.signals.as_fd())?;
        }
        let (end, survivors) = ended?;
        Ok(Outcome { end, survivors, wall: self.last_event - start })
    }

    /// The tree's accounts, and both streams; to be called once the tree is gone.
    pub fn finish(self) -> Result<(Tree, Captured, Captured), RunFailure> {
        let stdout = self.stdout.finish()?;
        let stderr = self.stderr.map_or_else(|| Ok(stdout.clone()), Stream::finish)?;
        Ok((self.tree, stdout, stderr))
    }

    fn follow(&mut self, start: Instant, limits: &RunRequest) -> Result<(RunEnd, u32), RunFailure> {
        let deadline = start + Duration::from_nanos(limits.timeout_ns);
        let grace = Duration::from_nanos(limits.grace_ns);
        let mut grace_end: Option<Instant> = None;
        loop {
            let next_limit = grace_end.map_or(deadline, |end| end.min(deadline));
            let seen = self.turn(Some(next_limit.saturating_duration_since(Instant::now())))?;
            if seen.child_ended {
                self.drain_last()?;
                self.tree.reap_ended()?;
            }
            let own_end = self.tree.status.map(end_of);
            if let Some(end) = own_end
                && self.tree.is_gone
                && !self.is_output_open()
            {
                return Ok((end, 0));
            }
            let now = Instant::now();
            if self.is_cancelled {
                return self.kill(RunEnd::Interrupted, limits);
            }
            if self.is_output_over(limits.output_bytes_max) {
                return self.kill(RunEnd::OutputLimit, limits);
            }
            if now >= deadline {
                return self.kill(RunEnd::TimedOut, limits);
            }
            let Some(end) = own_end else { continue };
            if now >= *grace_end.get_or_insert(self.last_event + grace) {
                // With nothing running, a stranger outside the tree was handed the pipe: it survives all the same.
                let survivors = self.tree.count_running().max(u32::from(self.is_output_open()));
                return Ok((self.kill(end, limits)?.0, survivors));
            }
        }
    }

    /// Takes what an ended program has left in its pipes, before reaping costs time.
    fn drain_last(&mut self) -> Result<(), RunFailure> {
        let (ended, bytes) = (self.last_event, self.bytes());
        self.own_ends.clear();
        if self.is_output_open() {
            self.turn(Some(Duration::ZERO))?;
        }
        if self.bytes() == bytes {
            // Only our own copies had kept the pipes open: that they end now is no event of the program's.
            self.last_event = ended;
        }
        Ok(())
    }

    /// Waits once, drains what is there, and says what else has happened.
    fn turn(&mut self, timeout: Option<Duration>) -> Result<Seen, RunFailure> {
        let leash = io::stdin();
        let stderr = self.stderr.as_ref().and_then(Stream::descriptor);
        let watched = [self.stdout.descriptor(), stderr, Some(self.signals.as_fd()), Some(leash.as_fd())];
        let [stdout, stderr, signalled, unleashed] = os::wait_ready(watched, timeout)
            .map_err(|error| RunFailure::new("poll", "the program", &error))?;
        if stdout || stderr || signalled || unleashed {
            self.last_event = Instant::now();
        }
        if stdout {
            self.stdout.pull(&mut self.buffer)?;
        }
        if let (true, Some(stream)) = (stderr, &mut self.stderr) {
            stream.pull(&mut self.buffer)?;
        }
        self.is_cancelled |= unleashed;
        let mut seen = Seen { output: stdout || stderr, child_ended: false };
        // Each read takes one `signalfd_siginfo` of 128 bytes; its first word is the signal's number.
        let mut signal = [0; 128];
        while signalled && self.signals.read(&mut signal).is_ok_and(|count| count == signal.len()) {
            let is_child = signal[..4] == libc::SIGCHLD.to_ne_bytes();
            seen.child_ended |= is_child;
            self.is_cancelled |= !is_child;
        }
        Ok(seen)
    }

    /// Kills the tree; what it had already written is kept.
    fn kill(&mut self, end: RunEnd, limits: &RunRequest) -> Result<(RunEnd, u32), RunFailure> {
        self.tree.kill(self.signals.as_fd())?;
        let gone = Instant::now();
        self.drain_last()?;
        while self.is_output_open() && !self.is_output_over(limits.output_bytes_max) {
            if !self.turn(Some(Duration::ZERO))?.output {
                break;
            }
        }
        self.last_event = gone;
        Ok((end, 0))
    }

    fn is_output_open(&self) -> bool {
        self.stdout.is_open() || self.stderr.as_ref().is_some_and(Stream::is_open)
    }

    fn bytes(&self) -> u64 {
        self.stdout.bytes() + self.stderr.as_ref().map_or(0, Stream::bytes)
    }

    fn is_output_over(&self, bytes_max: u64) -> bool {
        self.stdout.bytes().max(self.stderr.as_ref().map_or(0, Stream::bytes)) > bytes_max
    }
}

fn end_of(status: ExitStatus) -> RunEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => RunEnd::Exited(code),
        (None, signal) => RunEnd::Signaled(signal.unwrap_or(0)),
    }
}
