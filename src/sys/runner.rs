//! The tiny runner: perfup re-executed as one small process that starts the measured programs.
//!
//! In: a [`RunRequest`] line on standard input for every program. Out: a [`RunReply`] line on standard output for each.
//! It is a process of its own because the kernel lets a child's peak memory start at its spawner's, and because a
//! subreaper sees every descendant. Standard input is the leash: when it closes, perfup has died or cancelled, and the
//! whole tree is killed.
//!
//! **Invariant**: between the spawn and the end of the tree it does nothing but drain pipes and reap.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fmt, fs};

use super::memory::Memory;
use super::os::{self, Affinity, NoneCaught};
use super::perf;
use super::powercap::{self, Meters};
use super::procfs::{self, MachineStat, Storage};
use super::spawn::Program;
use super::stream::Stream;
use super::watch::Watch;
use super::wire::{RunFailure, RunRecord, RunReply, RunRequest};

/// The hidden first argument that makes perfup a runner; the numbers of the CPUs that it may use follow.
pub const ARGUMENT: &str = "__runner";

/// Where a program without `PATH` is looked for, as `execvp` does.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

impl RunFailure {
    pub(super) fn new(operation: impl Into<String>, object: impl fmt::Display, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        Self { operation: operation.into(), object: object.to_string(), errno }
    }
}

/// Whether this process was started as a runner; ask before anything else, while the process is still small.
#[must_use]
pub fn is_asked_for() -> bool {
    env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// Runs programs as asked on standard input, one at a time, and answers on standard output; ends with standard input, or
/// with the first program that could not be run.
#[must_use]
pub fn main() -> ExitCode {
    let mut runner = Runner::new();
    loop {
        let reply = match read_request() {
            Ok(None) => return ExitCode::SUCCESS,
            Ok(Some(request)) => match &mut runner {
                Ok(runner) => uninspected(|| runner.run(&request)),
                Err(failure) => Err(failure.clone()),
            },
            Err(failure) => Err(failure),
        };
        let reply = reply.map_or_else(RunReply::Failed, RunReply::Done);
        // Whoever asked may be gone by now; then there is nobody to tell.
        let sent = serde_json::to_string(&reply)
            .map_err(io::Error::from)
            .and_then(|line| writeln!(io::stdout(), "{line}"));
        match (sent, reply) {
            (Ok(()), RunReply::Done(_)) => {}
            (Ok(()), RunReply::Failed(_)) => return ExitCode::SUCCESS,
            (Err(_), _) => return ExitCode::FAILURE,
        }
    }
}

/// Keeps what runs meanwhile from this process: a program must not write itself a better reply through `/proc/PID/fd`.
/// While nothing runs, perfup may attach its sampler here, which for an unprivileged user is an inspection.
fn uninspected(run: impl FnOnce() -> Result<RunRecord, RunFailure>) -> Result<RunRecord, RunFailure> {
    let set = |is_allowed| {
        os::set_inspection(is_allowed).map_err(|error| RunFailure::new("set up", "the runner", &error))
    };
    set(false)?;
    let record = run()?;
    set(true)?;
    Ok(record)
}

/// The next request; absent once nobody will ask any more.
fn read_request() -> Result<Option<RunRequest>, RunFailure> {
    let mut line = String::new();
    let request = io::stdin().lock().read_line(&mut line).and_then(|count| match count {
        0 => Ok(None),
        _ => Ok(Some(serde_json::from_str(&line)?)),
    });
    request.map_err(|error| RunFailure::new(format!("read the request ({error})"), "standard input", &error))
}

/// What lasts from one program to the next.
struct Runner {
    books: Books,
    memory: Memory,
    /// Readable when a child has ended or this process is told to go.
    signals: File,
    none_caught: NoneCaught,
    /// The CPUs that this process may use.
    own: Option<Affinity>,
}

impl Runner {
    fn new() -> Result<Self, RunFailure> {
        // Once inspection is forbidden, the files in `/proc/self` belong to root.
        let (books, memory) = (Books::open(), Memory::open());
        let (signals, none_caught) =
            seclude().map_err(|error| RunFailure::new("set up", "the runner", &error))?;
        Ok(Self { books, memory, signals, none_caught, own: Affinity::current().ok() })
    }

    fn run(&mut self, request: &RunRequest) -> Result<RunRecord, RunFailure> {
        let mut counters = Counters::open(request, &mut self.books);
        let stdin = open_stdin(request)?;
        let (stdout, stdout_end) = Stream::open("stdout", request.stdout.clone())?;
        // One file for both means one pipe for both: the lines stay in the order in which they were written.
        let is_shared = request.stderr == request.stdout;
        let stderr = (!is_shared).then(|| Stream::open("stderr", request.stderr.clone())).transpose()?;
        let (stderr, stderr_end) = stderr.unzip();
        env::set_current_dir(&request.cwd)
            .map_err(|error| RunFailure::new("enter", request.cwd.display(), &error))?;
        let path = find_program(request)?;
        let standard =
            [stdin.as_fd(), stdout_end.as_fd(), stderr_end.as_ref().unwrap_or(&stdout_end).as_fd()];
        let placement = Placement::new(&request.cpus, self.own)?;
        let mut program = prepare(request, &path, standard, placement.program(), self.none_caught)?;
        let ends = [Some(stdout_end), stderr_end].into_iter().flatten().collect();
        let mut watch = Watch::new(&self.signals, stdout, stderr, ends);
        Memory::shed();
        let before = counters.read();
        program.rehearse();
        watch.rehearse()?;
        let rss_floor_bytes = self.memory.restart_peak();

        placement.hold()?;
        let started = SystemTime::now();
        let start = Instant::now();
        let pid = program.spawn().map_err(|error| spawn_failure(&path, &error));
        placement.release();
        let outcome = watch.until_gone(pid?, start, request)?;
        let after = counters.read();
        let (tree, stdout, stderr) = watch.finish()?;
        // So as not to hold on to a folder that may be removed; where to go from here comes with the next request.
        let _ = env::set_current_dir("/");
        let usage = tree.usage;
        Ok(RunRecord {
            started_unix_ns: started.duration_since(UNIX_EPOCH).map_or(0, nanoseconds),
            wall_ns: nanoseconds(outcome.wall),
            user_ns: usage.user_ns,
            sys_ns: usage.sys_ns,
            rss_bytes_max: usage.rss_bytes_max,
            rss_floor_bytes,
            minor_faults: usage.minor_faults,
            major_faults: usage.major_faults,
            voluntary_switches: usage.voluntary_switches,
            involuntary_switches: usage.involuntary_switches,
            read_bytes: difference(&before, &after, |counts| Some(counts.storage?.read_bytes)),
            write_bytes: difference(&before, &after, |counts| Some(counts.storage?.write_bytes)),
            runqueue_wait_ns: tree.runqueue_wait_ns,
            steal_ns: difference(&before, &after, |counts| {
                Some(nanoseconds(counts.machine.as_ref()?.all.steal))
            }),
            steal_cpus: after.machine.as_ref().and_then(|machine| u32::try_from(machine.cpus.len()).ok()),
            forks: difference(&before, &after, |counts| Some(counts.machine.as_ref()?.forks)),
            counts: counters.perf.read().collect(),
            energy_uj: counters.energy_uj(&before, &after),
            end: outcome.end,
            survivors: outcome.survivors,
            stdout,
            stderr,
        })
    }
}

/// On which CPUs the program and this process may run.
///
/// A new process is put on whichever CPU looks idler: one that must be woken first, or one where something else is running
/// by the time it gets there, which then takes milliseconds. So the program starts on the CPU where this process is,
/// with warm caches, and is free to go from there.
struct Placement<'a> {
    cpus: &'a [u32],
    /// The program's, and this process's own; absent where the system keeps none that we could read.
    masks: Option<(Affinity, Affinity)>,
}

impl<'a> Placement<'a> {
    /// The program gets all of `cpus`, or what this process has when there are none.
    fn new(cpus: &'a [u32], own: Option<Affinity>) -> Result<Self, RunFailure> {
        let masks = match own {
            // Where the system refuses, it decides as ever.
            Some(own) if cpus.is_empty() => own.apply().is_ok().then_some((own, own)),
            None if cpus.is_empty() => None,
            _ => {
                let both =
                    Affinity::of(cpus).and_then(|of| Ok((of, own.map_or_else(Affinity::current, Ok)?)));
                Some(both.map_err(|error| pin_failure(cpus, &error))?)
            }
        };
        Ok(Self { cpus, masks })
    }

    /// Keeps this process, and so what it starts, where it is; on one of the program's CPUs.
    fn hold(&self) -> Result<(), RunFailure> {
        let Some((program, _)) = self.masks else { return Ok(()) };
        let held = program.apply().and_then(|()| Affinity::here()?.apply());
        held.map_err(|error| pin_failure(self.cpus, &error))
    }

    /// Lets this process go anywhere again: on the program's CPU it would take time from it.
    fn release(&self) {
        if let Some((_, own)) = self.masks {
            // A refusal costs some time, not the program that runs by now.
            let _ = own.apply();
        }
    }

    fn program(&self) -> Option<Affinity> {
        self.masks.map(|(program, _)| program)
    }
}

fn pin_failure(cpus: &[u32], error: &io::Error) -> RunFailure {
    RunFailure::new("pin to CPUs", format!("{cpus:?}"), error)
}

fn open_stdin(request: &RunRequest) -> Result<File, RunFailure> {
    let path = request.stdin.as_deref().unwrap_or(Path::new("/dev/null"));
    File::open(path).map_err(|error| RunFailure::new("open stdin", path.display(), &error))
}

/// Cuts every tie through which the program and this process, or the caller's shell, could disturb each other.
fn seclude() -> io::Result<(File, NoneCaught)> {
    os::become_subreaper()?;
    os::close_on_exec_above_stderr()?;
    // First, because it leaves out what whoever started perfup has it ignore; the program does not inherit that.
    let signals = os::signal_descriptor(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
    let none_caught = os::reset_signal_actions();
    Ok((File::from(signals), none_caught))
}

fn find_program(request: &RunRequest) -> Result<PathBuf, RunFailure> {
    let name = request.argv.first().map_or("", String::as_str);
    let search = request.env.iter().find(|(key, _)| key == "PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    search_program(name, search).map_err(|error| RunFailure::new("exec", name, &error))
}

/// The search of `execvp`, done before the clock starts and in the program's folder.
fn search_program(name: &str, search: &str) -> io::Result<PathBuf> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let mut refused = libc::ENOENT;
    for folder in search.split(':').filter(|_| !name.is_empty()) {
        let path = Path::new(if folder.is_empty() { "." } else { folder }).join(name);
        match fs::metadata(&path) {
            Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => return Ok(path),
            Ok(found) if found.is_file() => refused = libc::EACCES,
            _ => {}
        }
    }
    Err(io::Error::from_raw_os_error(refused))
}

/// Lays out everything that the start needs.
fn prepare(
    request: &RunRequest,
    path: &Path,
    standard: [BorrowedFd<'_>; 3],
    affinity: Option<Affinity>,
    none_caught: NoneCaught,
) -> Result<Program, RunFailure> {
    let failure = |error: io::Error| RunFailure::new("exec", path.display(), &error);
    let c_string = |text: &str| CString::new(text).map_err(|error| failure(error.into()));
    let path = c_string(&path.to_string_lossy())?;
    let argv = request.argv.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?;
    let env = request.env.iter().map(|(key, value)| c_string(&format!("{key}={value}")));
    Program::new(path, argv, env.collect::<Result<_, _>>()?, standard, affinity, none_caught).map_err(failure)
}

fn spawn_failure(path: &Path, error: &io::Error) -> RunFailure {
    // `execve` says "not found" also of a script whose interpreter is missing.
    let is_interpreter = error.kind() == io::ErrorKind::NotFound && path.exists();
    let operation = if is_interpreter { "start the interpreter of" } else { "exec" };
    RunFailure::new(operation, path.display(), error)
}

/// Files about this process that are read for every program.
struct Books {
    /// This process with all the children it has reaped.
    with_children: Option<File>,
    /// This process alone: it has one thread.
    alone: Option<File>,
}

impl Books {
    fn open() -> Self {
        Self {
            with_children: File::open("/proc/self/io").ok(),
            alone: File::open("/proc/thread-self/io").ok(),
        }
    }

    fn storage(&mut self) -> Option<Storage> {
        let all = read_storage(&mut self.with_children)?;
        let own = read_storage(&mut self.alone)?;
        Some(Storage {
            read_bytes: all.read_bytes.saturating_sub(own.read_bytes),
            write_bytes: all.write_bytes.saturating_sub(own.write_bytes),
        })
    }
}

/// Counters that are read before and after the clock.
struct Counters<'a> {
    books: &'a mut Books,
    /// Counted by the CPU, by the tree alone.
    perf: perf::Counters,
    meters: Option<Meters>,
}

/// One reading of all counters.
struct Counts {
    machine: Option<MachineStat>,
    /// Storage traffic of the trees reaped so far.
    storage: Option<Storage>,
    energy: Option<powercap::Readings>,
}

impl<'a> Counters<'a> {
    fn open(request: &RunRequest, books: &'a mut Books) -> Self {
        Self {
            books,
            perf: perf::Counters::open(&request.counters),
            meters: request.energy.then(|| Meters::open(Path::new(powercap::FOLDER)).ok()).flatten(),
        }
    }

    fn read(&mut self) -> Counts {
        let energy = self.meters.as_mut().and_then(Meters::read);
        Counts { machine: procfs::machine_stat(), storage: self.books.storage(), energy }
    }

    fn energy_uj(&self, before: &Counts, after: &Counts) -> Option<u64> {
        self.meters.as_ref()?.used_uj(before.energy.as_ref()?, after.energy.as_ref()?)
    }
}

fn read_storage(file: &mut Option<File>) -> Option<Storage> {
    let file = file.as_mut()?;
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    procfs::parse_storage(&text)
}

fn difference(before: &Counts, after: &Counts, value: impl Fn(&Counts) -> Option<u64>) -> Option<u64> {
    Some(value(after)?.saturating_sub(value(before)?))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_execvp_would() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let search = format!("/nonexistent:{}:/bin", folder.path().display());
        let check = |name: &str, expected: Result<&str, i32>| {
            let found = search_program(name, &search).map_err(|error| error.raw_os_error().unwrap_or(0));
            assert_eq!(found, expected.map(PathBuf::from), "{name}");
        };
        check("sh", Ok("/bin/sh"));
        check("./anything/here", Ok("./anything/here"));
        check("plain", Err(libc::EACCES));
        check("no-such-program", Err(libc::ENOENT));
        check("", Err(libc::ENOENT));
    }
}
