//! The programs that are watched: this benchmark itself with an argument, and the same in Python.
//!
//! A target says that it is ready, waits for a line, does a fixed amount of work and says how many seconds that took.

use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, hint};

use crate::Outcome;

/// The argument that makes a target of this benchmark; the kind and the amount of work follow.
const ARGUMENT: &str = "--be-watched";

/// Threads of the targets with many.
const THREADS: usize = 200;

/// Steps of the generator that make a unit of work, about 0.1 ms.
const UNIT: u64 = 60_000;

/// What a thread of the busy target does between its units.
const PAUSE: Duration = Duration::from_millis(1);

/// What a target does, and what it costs without a watcher is sized to.
pub struct Target {
    pub name: &'static str,
    kind: &'static str,
    is_python: bool,
}

pub const TARGETS: [Target; 5] = [
    Target { name: "1 thread", kind: "one", is_python: false },
    Target { name: "200 threads, 199 idle", kind: "idle", is_python: false },
    Target { name: "200 threads, all a little", kind: "busy", is_python: false },
    Target { name: "Python, 1 thread", kind: "one", is_python: true },
    Target { name: "Python, 200, 199 idle", kind: "idle", is_python: true },
];

/// The same as [`one`] and [`idle`].
const PYTHON: &str = r#"
import sys, threading, time
kind, units = sys.argv[1], int(sys.argv[2])
if kind == "idle":
    end = threading.Event()
    for _ in range(199):
        threading.Thread(target=end.wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
start = time.monotonic()
value = 1
for unit in range(units):
    for step in range(1000):
        value = (value * 31 + step) % 1000003
print(time.monotonic() - start, flush=True)
"#;

impl Target {
    /// Starts it, up to where it waits for the line.
    pub fn start(&self, units: u64) -> Outcome<Running> {
        let mut command = if self.is_python {
            let mut command = Command::new("python3");
            command.args(["-c", PYTHON]);
            command
        } else {
            let mut command = Command::new(env::current_exe()?);
            command.arg(ARGUMENT);
            command
        };
        let child = command.args([self.kind, &units.to_string()]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().ok_or("no standard input")?;
        let stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut running = Running { child, stdin, stdout };
        running.line()?;
        Ok(running)
    }

    /// Units of work that take about so long unwatched.
    pub fn units_for(&self, seconds: f64) -> Outcome<u64> {
        let mut units = 20;
        loop {
            let took = self.start(units)?.work()?;
            if took > seconds / 4.0 {
                return Ok((units as f64 * seconds / took) as u64);
            }
            units *= 3;
        }
    }

    pub fn is_python(&self) -> bool {
        self.is_python
    }
}

/// A target that is ready.
pub struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line)
    }

    /// Lets it work, and answers with the seconds that it says it took.
    pub fn work(&mut self) -> Outcome<f64> {
        writeln!(self.stdin, "go")?;
        let seconds = self.line()?.trim().parse()?;
        Ok(seconds)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; either way it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this process was started to be watched; if so, it has been when this returns.
pub fn was_watched() -> bool {
    let words: Vec<String> = env::args().skip(1).collect();
    let [argument, kind, units] = words.as_slice() else { return false };
    let (true, Ok(units)) = (argument == ARGUMENT, units.parse()) else { return false };
    match kind.as_str() {
        "one" => one(units),
        "idle" => idle(units),
        _ => busy(units),
    }
    true
}

fn one(units: u64) {
    timed(|| (0..units).for_each(unit));
}

/// All threads but one wait for a message that never comes.
fn idle(units: u64) {
    let channels: Vec<mpsc::Sender<()>> = (1..THREADS)
        .map(|_| {
            let (sender, receiver) = mpsc::channel();
            thread::spawn(move || receiver.recv());
            sender
        })
        .collect();
    one(units);
    drop(channels);
}

/// All threads compute in turns, each a little at a time.
fn busy(units: u64) {
    let (starts, threads): (Vec<_>, Vec<_>) = (0..THREADS)
        .map(|_| {
            let (start, started) = mpsc::channel::<()>();
            let work = move || {
                // The sender stays until all have been told.
                let _ = started.recv();
                for number in 0..units.div_ceil(THREADS as u64) {
                    unit(number);
                    thread::sleep(PAUSE);
                }
            };
            (start, thread::spawn(work))
        })
        .unzip();
    timed(|| {
        drop(starts);
        for thread in threads {
            // The work cannot fail.
            let _ = thread.join();
        }
    });
}

fn timed(work: impl FnOnce()) {
    println!("ready");
    let mut line = String::new();
    let told = stdin().read_line(&mut line);
    let start = Instant::now();
    work();
    println!("{}", start.elapsed().as_secs_f64());
    // Nobody to tell, nothing to do about it.
    let _ = (told, stdout().flush());
}

fn unit(number: u64) {
    let step = |x: u64, i| x.wrapping_mul(6364136223846793005).wrapping_add(hint::black_box(i));
    hint::black_box((0..UNIT).fold(number, step));
}
