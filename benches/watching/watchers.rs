//! Those who watch: perfup's sources through the library, and other tools where they are installed.

use std::fs;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use perfup::profile::{ALL, Recording, Source, Target};

use crate::Outcome;

/// CPU time that another tool needs at least before it has attached.
const START_CPU_S: f64 = 0.01;

/// By which time it has attached: its CPU time has not risen for so long. One that does not come to rest is not waited
/// for any longer than the second.
const SETTLED: Duration = Duration::from_millis(300);
const ATTACHED_MAX: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// Somebody who may watch a target.
pub struct Watcher {
    pub name: String,
    kind: Kind,
    /// Whether it can only look at Python.
    pub is_for_python: bool,
}

enum Kind {
    Nobody,
    /// Sources of perfup.
    Sources(Vec<&'static dyn Source>),
    /// A tool: its words, in which `{pid}` and `{file}` are filled in.
    Tool(&'static [&'static str]),
}

/// What watching cost the watcher.
#[derive(Clone, Copy)]
pub struct Cost {
    /// CPU seconds while the target worked.
    pub cpu_s: f64,
    /// Seconds until it had ended.
    pub stop_s: f64,
}

const TOOLS: [(&str, &[&str]); 3] = [
    ("perf record 999 Hz", &["perf", "record", "-q", "-F", "999", "-g", "-p", "{pid}", "-o", "{file}"]),
    (
        "py-spy 97 Hz",
        &["py-spy", "record", "-r", "97", "-d", "600", "-f", "raw", "-p", "{pid}", "-o", "{file}"],
    ),
    (
        "py-spy 97 Hz, nonblocking",
        &[
            "py-spy",
            "record",
            "--nonblocking",
            "-r",
            "97",
            "-d",
            "600",
            "-f",
            "raw",
            "-p",
            "{pid}",
            "-o",
            "{file}",
        ],
    ),
];

/// Nobody twice, the sources of perfup (the tree alone, with each other one, and all), and the tools that are there.
pub fn watchers() -> Outcome<Vec<Watcher>> {
    let watcher = |name: &str, kind, is_for_python| Watcher { name: name.to_owned(), kind, is_for_python };
    let mut all = vec![watcher("nobody", Kind::Nobody, false), watcher("nobody again", Kind::Nobody, false)];
    let tree = *ALL.iter().find(|source| source.id() == "tree").ok_or("perfup has lost its tree")?;
    all.push(watcher("tree", Kind::Sources(vec![tree]), false));
    for source in ALL.iter().filter(|source| source.id() != tree.id()) {
        let name = format!("tree + {}", source.id());
        all.push(watcher(&name, Kind::Sources(vec![tree, *source]), source.id() == "python"));
    }
    all.push(watcher("all sources", Kind::Sources(ALL.to_vec()), false));
    for (name, words) in TOOLS {
        let version =
            Command::new(words[0]).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if version.is_ok_and(|status| status.success()) {
            all.push(watcher(name, Kind::Tool(words), words[0] == "py-spy"));
        } else {
            println!("{} is not installed: compared without {name}", words[0]);
        }
    }
    Ok(all)
}

impl Watcher {
    /// Watches a process, until the returned value is asked to end.
    pub fn start(&self, pid: u32, folder: &Path) -> Outcome<Watching> {
        Ok(match &self.kind {
            Kind::Nobody => Watching::Nobody,
            Kind::Sources(sources) => {
                let start = |source: &&'static dyn Source| {
                    source
                        .start(Target::Process(pid))
                        .map_err(|why| format!("{}: {}", source.id(), why.reason))
                };
                let recordings = sources.iter().map(start).collect::<Result<_, _>>()?;
                Watching::Recordings { recordings, cpu_before_s: own_cpu_s() }
            }
            Kind::Tool(words) => {
                let file = folder.join("recorded");
                let fill = |word: &&str| {
                    word.replace("{pid}", &pid.to_string()).replace("{file}", &file.to_string_lossy())
                };
                let words: Vec<String> = words.iter().map(fill).collect();
                let mut command = Command::new(&words[0]);
                let child = command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
                attached(&child)?;
                let cpu_before_s = cpu_s(child.id())?;
                Watching::Tool { child, cpu_before_s }
            }
        })
    }
}

/// Waits until a tool has done what it does at first.
fn attached(child: &Child) -> Outcome<()> {
    let start = Instant::now();
    let (mut last_s, mut since) = (cpu_s(child.id())?, Instant::now());
    while since.elapsed() < SETTLED && start.elapsed() < ATTACHED_MAX {
        thread::sleep(LOOK);
        let now_s = cpu_s(child.id())?;
        // One that samples an idle target uses a little.
        if now_s < START_CPU_S || now_s - last_s > 0.1 * LOOK.as_secs_f64() {
            since = Instant::now();
        }
        last_s = now_s;
    }
    Ok(())
}

/// A watcher at work.
pub enum Watching {
    Nobody,
    Recordings { recordings: Vec<Box<dyn Recording>>, cpu_before_s: f64 },
    Tool { child: Child, cpu_before_s: f64 },
}

impl Watching {
    pub fn end(self) -> Outcome<Cost> {
        let (cpu_s, start) = match &self {
            Self::Nobody => (0.0, Instant::now()),
            Self::Recordings { cpu_before_s, .. } => (own_cpu_s() - cpu_before_s, Instant::now()),
            Self::Tool { child, cpu_before_s } => (cpu_s(child.id())? - cpu_before_s, Instant::now()),
        };
        match self {
            Self::Nobody => {}
            Self::Recordings { recordings, .. } => {
                for recording in recordings {
                    recording.stop();
                }
            }
            Self::Tool { mut child, .. } => {
                interrupt(&child)?;
                child.wait()?;
            }
        }
        Ok(Cost { cpu_s, stop_s: start.elapsed().as_secs_f64() })
    }
}

fn interrupt(child: &Child) -> Outcome<()> {
    // SAFETY: the child has not been waited for, so the number is still its own.
    match unsafe { libc::kill(i32::try_from(child.id())?, libc::SIGINT) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().into()),
    }
}

/// CPU seconds of this process so far.
fn own_cpu_s() -> f64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a live local of the right type; the call cannot fail for this process, and all-zero is a
    // valid value even so.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// CPU seconds of another process' living threads.
fn cpu_s(pid: u32) -> Outcome<f64> {
    let mut nanoseconds = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let times = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += times.split_whitespace().next().unwrap_or("0").parse::<f64>()?;
    }
    Ok(nanoseconds * 1e-9)
}
