//! The caller's side of the runner: starts one, hands it a request, waits for its reply.
//!
//! **Invariant**: always reaps the runner it started, and never leaves before the runner has answered or died: so when
//! [`launch`] returns, the program's tree is gone.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use super::os::{self, Affinity};
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

/// Runs one program through the runner `exe` (perfup itself).
///
/// `on_start` gets the runner's process id before the runner knows what to start: a profiler that follows children can
/// attach to it and miss nothing. When a signal asks perfup to stop, the tree is killed and the reply says so.
///
/// # Errors
/// When the runner cannot be started or dies; never because of what the program does.
pub fn launch(
    exe: &Path,
    request: &RunRequest,
    on_start: &mut dyn FnMut(u32),
) -> Result<RunReply, LaunchError> {
    launch_until(exe, request, on_start, signals::wake_descriptor())
}

/// As [`launch`], but a signal that asks perfup to stop does not end it: for cleaning up after one.
///
/// # Errors
/// As [`launch`].
pub fn launch_regardless(exe: &Path, request: &RunRequest) -> Result<RunReply, LaunchError> {
    launch_until(exe, request, &mut |_| {}, None)
}

fn launch_until(
    exe: &Path,
    request: &RunRequest,
    on_start: &mut dyn FnMut(u32),
    cancel: Option<BorrowedFd<'_>>,
) -> Result<RunReply, LaunchError> {
    let mut line = serde_json::to_vec(request).map_err(LaunchError::Encode)?;
    line.push(b'\n');
    let mut runner = start(exe).map_err(|source| LaunchError::Start { exe: exe.to_owned(), source })?;
    on_start(runner.id());
    let leash = runner.stdin.take();
    let talk = converse(&mut runner, leash, &line, cancel);
    // Its leash is cut by now, so a runner that has not answered kills the tree and goes.
    let mut message = String::new();
    let complaint = runner.stderr.take().map_or(Ok(0), |mut stderr| stderr.read_to_string(&mut message));
    let status = runner.wait().map_err(LaunchError::Talk)?;
    let reply = talk.map_err(LaunchError::Talk)?;
    serde_json::from_slice(&reply).map_err(|error| {
        let message = match complaint {
            Ok(count) if count > 0 => message.trim().to_owned(),
            _ => format!("no usable reply: {error}"),
        };
        LaunchError::Died { status, message }
    })
}

/// Starts a runner on the CPU where this thread is, which sleeps from then on: the caches there are warm, and nothing
/// else was running there. Worth 3 % of the time of `true` on two idle CPUs. The runner is told where it may go later.
fn start(exe: &Path) -> io::Result<Child> {
    #[expect(clippy::disallowed_methods, reason = "this is where runners are started")]
    let mut command = Command::new(exe);
    // A group of its own keeps the terminal's Ctrl-C from the runner: perfup decides how a run ends. An empty
    // environment keeps preloaded libraries out of it.
    command.arg(runner::ARGUMENT).env_clear().process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(own) = Affinity::current() else {
        return command.spawn();
    };
    command.args(own.cpus().iter().map(u32::to_string));
    // Where either is refused, the system decides as ever.
    let _ = Affinity::here().and_then(|here| here.apply());
    let child = command.spawn();
    let _ = own.apply();
    child
}

/// Sends the request and reads until the runner closes its side; cuts the leash when `cancel` becomes readable.
fn converse(
    runner: &mut Child,
    mut leash: Option<ChildStdin>,
    line: &[u8],
    mut cancel: Option<BorrowedFd<'_>>,
) -> io::Result<Vec<u8>> {
    if let Some(stdin) = &mut leash {
        match stdin.write_all(line) {
            // It died early: what it has said is read below, and its end is reported as such.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    let mut reply = Vec::new();
    let Some(stdout) = &mut runner.stdout else {
        return Ok(reply);
    };
    let mut buffer = [0; 4096];
    loop {
        let [answered, cancelled] = os::wait_ready([Some(stdout.as_fd()), cancel], None)?;
        if cancelled {
            leash = None;
            cancel = None;
        }
        if answered {
            match stdout.read(&mut buffer)? {
                0 => break,
                count => reply.extend_from_slice(&buffer[..count]),
            }
        }
    }
    drop(leash);
    Ok(reply)
}
