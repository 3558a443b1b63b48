//! The caller's side of the runner: starts one, hands it requests, waits for its replies.
//!
//! **Invariant**: always reaps the runner it started, and never leaves a request before the runner has answered or died:
//! so when [`Launcher::launch`] returns, the program's tree is gone.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use super::os;
use super::wire::{RunReply, RunRequest};
use super::{runner, signals};

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("start the runner {}", exe.display())]
    Start { exe: PathBuf, source: io::Error },
    #[error("encode the request")]
    Encode(#[source] serde_json::Error),
    #[error("talk to the runner")]
    Talk(#[source] io::Error),
    #[error("the runner died ({status}): {message}")]
    Died { status: ExitStatus, message: String },
}

/// Starts programs, one at a time, through a runner that it keeps: a process that has done so before does it sooner and
/// more evenly than a fresh one, by 4 % of the time of `true`, and takes a quarter of the time around it.
#[derive(Debug)]
pub struct Launcher {
    exe: PathBuf,
    runner: Mutex<Option<Runner>>,
}

impl Launcher {
    /// `exe` is perfup itself, which becomes the runner with the first request.
    #[must_use]
    pub fn new(exe: PathBuf) -> Self {
        Self { exe, runner: Mutex::new(None) }
    }

    /// Runs one program; others wait.
    ///
    /// `on_start` gets the runner's process id before the runner knows what to start: a profiler that follows children
    /// can attach to it and miss nothing. When a signal asks perfup to stop, the tree is killed and the reply says so.
    ///
    /// # Errors
    /// When the runner cannot be started or dies; never because of what the program does.
    pub fn launch(
        &self,
        request: &RunRequest,
        on_start: &mut dyn FnMut(u32),
    ) -> Result<RunReply, LaunchError> {
        let mut line = serde_json::to_vec(request).map_err(LaunchError::Encode)?;
        line.push(b'\n');
        let mut kept = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut runner = match kept.take() {
            // It may have died since; what it was asked before is no longer its concern.
            Some(runner) if runner.is_waiting() => runner,
            _ => Runner::start(&self.exe)?,
        };
        on_start(runner.child.id());
        let reply = runner.ask(&line, signals::wake_descriptor())?;
        // After anything out of the ordinary a fresh one is started.
        if matches!(reply, RunReply::Done(_)) && runner.leash.is_some() {
            *kept = Some(runner);
        }
        Ok(reply)
    }
}

/// Runs one program through a runner of its own, which a signal that asks perfup to stop does not end: for cleaning up
/// after one.
///
/// # Errors
/// As [`Launcher::launch`].
pub fn launch_regardless(exe: &Path, request: &RunRequest) -> Result<RunReply, LaunchError> {
    let mut line = serde_json::to_vec(request).map_err(LaunchError::Encode)?;
    line.push(b'\n');
    Runner::start(exe)?.ask(&line, None)
}

/// A runner process.
#[derive(Debug)]
struct Runner {
    child: Child,
    /// Its standard input: once this is closed, it kills what it has started, and goes.
    leash: Option<ChildStdin>,
    replies: ChildStdout,
}

impl Runner {
    fn start(exe: &Path) -> Result<Self, LaunchError> {
        let failed = |source| LaunchError::Start { exe: exe.to_owned(), source };
        #[expect(clippy::disallowed_methods, reason = "this is where runners are started")]
        let mut command = Command::new(exe);
        // A group of its own keeps the terminal's Ctrl-C from the runner: perfup decides how a run ends. An empty
        // environment keeps preloaded libraries out of it.
        command.arg(runner::ARGUMENT).env_clear().process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let leash = child.stdin.take();
        let replies = child.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { child, leash, replies })
    }

    /// Whether it is there, and has nothing to say before it is asked.
    fn is_waiting(&self) -> bool {
        let said = os::wait_ready([Some(self.replies.as_fd())], Some(std::time::Duration::ZERO));
        matches!(said, Ok([false]))
    }

    /// Hands it a request and waits for the reply; cuts the leash when `cancel` becomes readable.
    fn ask(&mut self, line: &[u8], mut cancel: Option<BorrowedFd<'_>>) -> Result<RunReply, LaunchError> {
        if let Some(leash) = &mut self.leash {
            match leash.write_all(line) {
                // It died early: what it has said is read below, and its end is reported as such.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                written => written.map_err(LaunchError::Talk)?,
            }
        }
        let mut reply = Vec::new();
        let mut buffer = [0; 4096];
        while reply.last() != Some(&b'\n') {
            let ready = os::wait_ready([Some(self.replies.as_fd()), cancel], None);
            let [answered, cancelled] = ready.map_err(LaunchError::Talk)?;
            if cancelled {
                self.leash = None;
                cancel = None;
            }
            if answered {
                match self.replies.read(&mut buffer).map_err(LaunchError::Talk)? {
                    0 => return Err(self.died("no reply")),
                    count => reply.extend_from_slice(&buffer[..count]),
                }
            }
        }
        serde_json::from_slice(&reply).map_err(|error| self.died(&format!("no usable reply: {error}")))
    }

    /// What it said at its end.
    fn died(&mut self, otherwise: &str) -> LaunchError {
        self.leash = None;
        let mut complaint = String::new();
        let said = self.child.stderr.take().map_or(Ok(0), |mut stderr| stderr.read_to_string(&mut complaint));
        let message = match said {
            Ok(count) if count > 0 => complaint.trim().to_owned(),
            _ => otherwise.to_owned(),
        };
        match self.child.wait() {
            Ok(status) => LaunchError::Died { status, message },
            Err(error) => LaunchError::Talk(error),
        }
    }
}

impl Drop for Runner {
    /// Without its leash it kills what it has started, and goes.
    fn drop(&mut self) {
        self.leash = None;
        let _ = self.child.wait();
    }
}
