//! Makes runs: lays out a fresh place for each, hands it to a runner, and keeps what it wrote.
//!
//! **Invariant**: every run is a fresh process with a fresh temporary folder and a known environment; nothing of a run
//! but its outputs outlives it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::{Arm, MeasureError, Outputs, Pair, Sample};
use super::{custom, environment};
use crate::config::CommandLine;
use crate::stats::rng::coin;
use crate::sys::launch::{Launcher, launch_regardless};
use crate::sys::perf;
use crate::sys::powercap::{self, Meters};
use crate::sys::signals;
use crate::sys::stream::digest;
use crate::sys::wire::{Captured, CounterRequest, RunEnd, RunRecord, RunReply, RunRequest};

/// Bytes of one output stream after which a program is killed: no honest benchmark needs more, and disks do end.
pub const OUTPUT_BYTES_MAX: u64 = 1 << 30;

/// How long processes may outlive the program that started them before they count as survivors: enough for a pipeline
/// or a helper to notice that it is over.
const GRACE: Duration = Duration::from_millis(500);

/// The part of a task's log that is handed back for messages.
const TAIL_BYTES: u64 = 8 << 10;

/// Where a [`Measurer`] works.
#[derive(Debug, Clone)]
pub struct MeasurerOptions {
    /// perfup itself, to be re-executed as runner.
    pub runner_exe: PathBuf,
    /// A temporary folder of ours; its name is visible to the programs, so it should be neutral.
    pub scratch: PathBuf,
    /// Where captured outputs are kept by content.
    pub outputs: PathBuf,
    /// The environment of every measured program: the user's, or its neutral part ([`super::neutral_environment`]).
    pub environment: Vec<(String, String)>,
}

/// Runs arms and tasks, one at a time.
#[derive(Debug)]
pub struct Measurer {
    options: MeasurerOptions,
    launcher: Launcher,
    outputs: Outputs,
    /// Those that this machine gives.
    counters: Vec<CounterRequest>,
    has_energy: bool,
}

/// How a build or a test command went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOutcome {
    pub end: RunEnd,
    /// The last lines of standard output and error together.
    pub tail: String,
    pub duration: Duration,
}

/// A command around the runs of an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// Before the first run.
    SetUp,
    /// After the last run, also after an interruption.
    CleanUp,
}

impl fmt::Display for Around {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::SetUp => "set-up",
            Self::CleanUp => "clean-up",
        })
    }
}

impl TaskOutcome {
    /// Whether the command exited with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.end == RunEnd::Exited(0)
    }
}

impl Measurer {
    /// Makes the folders it needs.
    ///
    /// # Errors
    /// When a folder cannot be created.
    pub fn new(options: MeasurerOptions) -> Result<Self, MeasureError> {
        let failure = |path: &Path, error| MeasureError::io("create the folder", path, error);
        fs::create_dir_all(&options.scratch).map_err(|error| failure(&options.scratch, error))?;
        let outputs =
            Outputs::open(options.outputs.clone()).map_err(|error| failure(&options.outputs, error))?;
        // Asked once: what the machine refuses costs the runs nothing.
        let counters = perf::hardware().into_iter().filter_map(|(_, offer)| offer.ok()).collect();
        let has_energy = Meters::open(Path::new(powercap::FOLDER)).is_ok();
        let launcher = Launcher::new(options.runner_exe.clone());
        Ok(Self { options, launcher, outputs, counters, has_energy })
    }

    /// What the runs have written.
    #[must_use]
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// Runs one arm once. The seed only decides the harmless noise, so that layout luck averages out.
    ///
    /// # Errors
    /// When no run could be made. A program that fails, hangs or floods is a sample that says so.
    pub fn run(&self, arm: &Arm, noise_seed: u64) -> Result<Sample, MeasureError> {
        self.run_watched(arm, noise_seed, &mut |_| {})
    }

    /// As [`Self::run`]; `on_start` gets the process id of the runner before it starts the program.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_watched(
        &self,
        arm: &Arm,
        noise_seed: u64,
        on_start: &mut dyn FnMut(u32),
    ) -> Result<Sample, MeasureError> {
        let sample = self.run_to_any_end(arm, noise_seed, on_start)?;
        if signals::interrupted() || sample.run.end == RunEnd::Interrupted {
            return Err(MeasureError::Interrupted);
        }
        Ok(sample)
    }

    /// As [`Self::run_watched`], but a run that an interruption cut short is a sample too, which says so: for whoever
    /// wants to know where the time has gone so far.
    ///
    /// # Errors
    /// As [`Self::run`]; [`MeasureError::Interrupted`] only when the interruption came before the start.
    pub fn run_to_any_end(
        &self,
        arm: &Arm,
        noise_seed: u64,
        on_start: &mut dyn FnMut(u32),
    ) -> Result<Sample, MeasureError> {
        let place = Place::new(&self.options.scratch)?;
        let env = environment::for_run(&self.options.environment, &arm.env, &place.temporary, noise_seed);
        for file in &arm.files {
            remove_declared(&arm.cwd, file)?;
        }
        let request = |command: &CommandLine| RunRequest {
            argv: command.argv(),
            cwd: arm.cwd.clone(),
            env: env.clone(),
            stdin: arm.stdin.clone(),
            stdout: place.stdout.clone(),
            stderr: place.stderr.clone(),
            output_bytes_max: OUTPUT_BYTES_MAX,
            timeout_ns: nanoseconds(arm.timeout),
            grace_ns: nanoseconds(GRACE),
            cpus: arm.cpus.clone(),
            counters: if arm.counters { self.counters.clone() } else { Vec::new() },
            energy: self.has_energy,
        };
        if let Some(command) = &arm.prepare {
            let log = place.stdout.clone();
            let asked = RunRequest {
                stdin: None,
                stderr: log.clone(),
                counters: Vec::new(),
                energy: false,
                ..request(command)
            };
            let end = self.launch(&asked, &mut |_| {})?.end;
            if end != RunEnd::Exited(0) {
                return Err(MeasureError::Prepare { command: command.clone(), end, tail: tail(&log)? });
            }
        }
        let mut run = self.launch_to_any_end(&request(&arm.command), on_start)?;
        let reported = custom::read(&place.stdout, &place.stderr, &arm.metrics)
            .map_err(|error| MeasureError::io("read the output", &place.stdout, error))?;
        let blanked = reported
            .blank(&place.stdout)
            .map_err(|error| MeasureError::io("blank the metrics in the output", &place.stdout, error))?;
        run.stdout = blanked.unwrap_or(run.stdout);
        for (file, captured) in [(&place.stdout, &run.stdout), (&place.stderr, &run.stderr)] {
            self.outputs
                .take(file, captured)
                .map_err(|error| MeasureError::io("keep the output", file, error))?;
        }
        let files =
            arm.files.iter().map(|file| self.capture_declared(&arm.cwd, file)).collect::<Result<_, _>>()?;
        Ok(Sample { run, files, custom: reported.values })
    }

    /// Runs both arms back to back, in the order of a fair coin that `seed` and `index` decide.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn pair(&self, a: &Arm, b: &Arm, seed: u64, index: u32) -> Result<Pair, MeasureError> {
        let a_first = coin(seed, index.into());
        // Two noises per pair, none of which tells which arm or which slot it belongs to.
        let noise = |slot: u64| seed.rotate_left(32) ^ (u64::from(index) << 1 | slot);
        let (a, b) = if a_first {
            let a = self.run(a, noise(0))?;
            (a, self.run(b, noise(1))?)
        } else {
            let b = self.run(b, noise(0))?;
            (self.run(a, noise(1))?, b)
        };
        Ok(Pair { index, a_first, a, b })
    }

    /// Runs a build or a test command, untimed, with exactly the environment given; its whole output goes to `log`.
    ///
    /// # Errors
    /// When the command could not be run. A command that fails is an outcome.
    pub fn task(
        &self,
        command: &CommandLine,
        cwd: &Path,
        env: &[(String, String)],
        timeout: Duration,
        log: &Path,
    ) -> Result<TaskOutcome, MeasureError> {
        task_outcome(self.launch(&task_request(command, cwd, env, timeout, log), &mut |_| {})?, log)
    }

    /// Runs a command around the runs, untimed; its output is only for messages.
    ///
    /// # Errors
    /// As [`Self::task`]. An interruption ends and prevents set-ups, but no clean-up.
    pub fn around(
        &self,
        what: Around,
        command: &CommandLine,
        cwd: &Path,
        env: &[(String, String)],
        timeout: Duration,
    ) -> Result<TaskOutcome, MeasureError> {
        let place = Place::new(&self.options.scratch)?;
        let request = task_request(command, cwd, env, timeout, &place.stdout);
        let record = match what {
            Around::SetUp => self.launch(&request, &mut |_| {}),
            Around::CleanUp => launch_regardless(&self.options.runner_exe, &request)
                .map_err(MeasureError::from_launch)
                .and_then(|reply| reply_record(reply, cwd)),
        };
        task_outcome(record?, &place.stdout)
    }

    fn launch(&self, request: &RunRequest, on_start: &mut dyn FnMut(u32)) -> Result<RunRecord, MeasureError> {
        let record = self.launch_to_any_end(request, on_start)?;
        if signals::interrupted() || record.end == RunEnd::Interrupted {
            return Err(MeasureError::Interrupted);
        }
        Ok(record)
    }

    fn launch_to_any_end(
        &self,
        request: &RunRequest,
        on_start: &mut dyn FnMut(u32),
    ) -> Result<RunRecord, MeasureError> {
        if signals::interrupted() {
            return Err(MeasureError::Interrupted);
        }
        let reply = self.launcher.launch(request, on_start).map_err(MeasureError::from_launch)?;
        reply_record(reply, &request.cwd)
    }

    /// Hashes and keeps a declared output file; `None` when there is no regular file of that name.
    fn capture_declared(&self, cwd: &Path, file: &Path) -> Result<Option<Captured>, MeasureError> {
        let path = declared_path(cwd, file)?;
        let failure = |error| MeasureError::io("keep the declared file", &path, error);
        // A symbolic link could show us a file that the program never wrote, and a named pipe could hang us.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut opened = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(opened) => opened,
            Err(error) if is_not_a_file(&error) => return Ok(None),
            Err(error) => return Err(failure(error)),
        };
        if !opened.metadata().map_err(failure)?.is_file() {
            return Ok(None);
        }
        let captured = digest(&opened).map_err(failure)?;
        opened.rewind().and_then(|()| self.outputs.add(&opened, &captured)).map_err(failure)?;
        Ok(Some(captured))
    }
}

fn reply_record(reply: RunReply, cwd: &Path) -> Result<RunRecord, MeasureError> {
    match reply {
        RunReply::Failed(failure) => Err(MeasureError::from_failure(failure, cwd)),
        RunReply::Done(record) => Ok(record),
    }
}

fn task_request(
    command: &CommandLine,
    cwd: &Path,
    env: &[(String, String)],
    timeout: Duration,
    log: &Path,
) -> RunRequest {
    RunRequest {
        argv: command.argv(),
        cwd: cwd.to_owned(),
        env: env.to_vec(),
        stdin: None,
        stdout: log.to_owned(),
        stderr: log.to_owned(),
        output_bytes_max: OUTPUT_BYTES_MAX,
        timeout_ns: nanoseconds(timeout),
        grace_ns: nanoseconds(GRACE),
        cpus: Vec::new(),
        counters: Vec::new(),
        energy: false,
    }
}

fn task_outcome(record: RunRecord, log: &Path) -> Result<TaskOutcome, MeasureError> {
    Ok(TaskOutcome { end: record.end, tail: tail(log)?, duration: Duration::from_nanos(record.wall_ns) })
}

fn is_not_a_file(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENXIO))
}

/// A declared file is reached through real folders only: a link on its way could lead to files that are not ours.
fn declared_path(cwd: &Path, file: &Path) -> Result<PathBuf, MeasureError> {
    let mut path = cwd.to_owned();
    for part in file.parent().into_iter().flat_map(Path::components) {
        path.push(part);
        if matches!(part, Component::Normal(_)) && path.is_symlink() {
            let error =
                io::Error::new(io::ErrorKind::InvalidInput, "a folder on its path is a symbolic link");
            return Err(MeasureError::io("reach the declared file", &cwd.join(file), error));
        }
    }
    Ok(cwd.join(file))
}

fn remove_declared(cwd: &Path, file: &Path) -> Result<(), MeasureError> {
    let path = declared_path(cwd, file)?;
    match fs::remove_file(&path) {
        Err(error) if !is_not_a_file(&error) => {
            Err(MeasureError::io("remove the declared file", &path, error))
        }
        _ => Ok(()),
    }
}

/// The end of a log, cut at a line where it is cut.
pub(super) fn tail(log: &Path) -> Result<String, MeasureError> {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let whole = if start == 0 { &text } else { text.split_once('\n').map_or(&*text, |(_, rest)| rest) };
        Ok(whole.trim_end().to_owned())
    };
    read().map_err(|error| MeasureError::io("read the log", log, error))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The files of one run, removed with it.
struct Place {
    temporary: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
    /// Held for its drop.
    _folder: tempfile::TempDir,
}

impl Place {
    fn new(scratch: &Path) -> Result<Self, MeasureError> {
        let failure = |error| MeasureError::io("create a folder in", scratch, error);
        // A random name of constant length: it tells nothing, and paths stay equally long.
        let folder = tempfile::Builder::new().prefix("tmp").tempdir_in(scratch).map_err(failure)?;
        let path = |name| folder.path().join(name);
        let (temporary, stdout, stderr) = (path("tmp"), path("out"), path("err"));
        fs::create_dir(&temporary).map_err(failure)?;
        Ok(Self { temporary, stdout, stderr, _folder: folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_starts_at_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let check = |content: String, expected: &str| {
            fs::write(&log, content).unwrap();
            assert_eq!(tail(&log).unwrap(), expected);
        };
        check(String::new(), "");
        check("one\ntwo\n".to_owned(), "one\ntwo");
        check(format!("{}\nlast\n", "x".repeat(9000)), "last");
    }

    #[test]
    fn links_on_the_way_to_a_declared_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cwd = folder.path().join("cwd");
        fs::create_dir_all(cwd.join("real")).unwrap();
        fs::create_dir(folder.path().join("precious")).unwrap();
        let precious = folder.path().join("precious/result");
        fs::write(&precious, "keep me").unwrap();
        std::os::unix::fs::symlink("../precious", cwd.join("linked")).unwrap();
        std::os::unix::fs::symlink("../precious/result", cwd.join("result")).unwrap();
        let check = |file: &str, expected: bool| {
            assert_eq!(remove_declared(&cwd, Path::new(file)).is_ok(), expected, "{file}");
        };
        check("real/none-yet", true);
        check("linked/result", false);
        // The link itself is what the program made; what it points at is not.
        check("result", true);
        assert!(!cwd.join("result").is_symlink());
        assert_eq!(fs::read(&precious).unwrap(), b"keep me");
    }
}
