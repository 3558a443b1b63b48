//! The frames of real Python programs, of every Python from 3.8 on that is in the search path.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use perfup::profile::stacks::{Sample, Stacks};
use perfup::profile::{ALL, Observation, PythonSeen, Recording, Target};

/// One interpreter of each version.
fn pythons() -> Vec<PathBuf> {
    let names = std::iter::once("python3".to_owned()).chain((8..=14).map(|minor| format!("python3.{minor}")));
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for name in names {
        let ask = ["-c", "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"];
        let Ok(output) = Command::new(name).args(ask).output() else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        if let Some((version, path)) = text.trim().split_once('\n') {
            found.entry(version.to_owned()).or_insert_with(|| PathBuf::from(path));
        }
    }
    if found.is_empty() {
        println!("skipped: python3 is not installed");
    }
    found.into_values().collect()
}

/// A program that runs until it is dropped.
struct Program {
    child: Child,
    /// Words it printed on its first line.
    words: Vec<String>,
}

impl Program {
    /// Starts a script, and waits for its first line of output.
    fn start(python: &PathBuf, script: &str) -> Self {
        let mut child =
            Command::new(python).args(["-u", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let words = line.split_ascii_whitespace().map(str::to_owned).collect();
        Self { child, words }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn record(target: Target) -> Box<dyn Recording> {
    let source = ALL.iter().find(|source| source.id() == "python").unwrap();
    source.start(target).map_err(|absent| absent.reason).unwrap()
}

fn stop(recording: Box<dyn Recording>) -> PythonSeen {
    let Observation::Python(seen) = recording.stop() else { panic!("the source's own kind") };
    seen
}

/// Watches for longer and longer until `enough` is seen: how long that takes is up to the machine.
fn watch(target: Target, enough: impl Fn(&PythonSeen) -> bool) -> PythonSeen {
    let mut time = Duration::from_millis(200);
    loop {
        let recording = record(target);
        std::thread::sleep(time);
        let seen = stop(recording);
        if enough(&seen) || time > Duration::from_secs(8) {
            assert_eq!(seen.absent, None);
            return seen;
        }
        time *= 2;
    }
}

/// `function:line` of each frame, outermost first.
fn stack(stacks: &Stacks, sample: &Sample) -> Vec<String> {
    let mut frames: Vec<String> = stacks
        .frames_of(sample.leaf)
        .map(|frame| {
            let function = frame.function.rsplit('.').next().unwrap();
            frame.line.map_or_else(|| function.to_owned(), |line| format!("{function}:{line}"))
        })
        .collect();
    frames.reverse();
    frames
}

/// The samples whose stack ends with these frames.
fn ending<'a>(seen: &'a PythonSeen, end: &[&str]) -> Vec<&'a Sample> {
    let stacks = &seen.stacks;
    stacks.samples.iter().filter(|sample| ends(&stack(stacks, sample), end)).collect()
}

/// Every moment of a thread counts once.
fn check_times(stacks: &Stacks) {
    for thread in 0..stacks.threads.len() as u32 {
        let mut end_s = 0.0;
        for sample in stacks.samples.iter().filter(|sample| sample.thread == thread) {
            assert!(sample.at_s >= end_s - 1e-9 && sample.weight_s > 0.0, "{sample:?} after {end_s}");
            end_s = sample.at_s + sample.weight_s;
        }
    }
}

fn ends(stack: &[String], end: &[&str]) -> bool {
    stack.len() >= end.len() && stack[stack.len() - end.len()..].iter().zip(end).all(|(a, b)| a == b)
}

#[test]
fn nested_functions_and_generators_are_at_their_lines() {
    let script = "\
import time
def outer():
    for x in inner():
        pass
def inner():
    while True:
        yield leaf(
            1)
def leaf(n):
    s = 0

    for i in range(20000): s += i

    return s
print('ready')
outer()
";
    for python in pythons() {
        let program = Program::start(&python, script);
        let end = ["<module>:16", "outer:3", "inner:7", "leaf:12"];
        let seen = watch(Target::Process(program.pid()), |seen| ending(seen, &end).len() > 5);
        let stacks = &seen.stacks;
        assert!(ending(&seen, &end).iter().any(|sample| sample.running), "{}", python.display());
        // Whatever else was seen is of this program, and nothing is invented.
        for sample in &stacks.samples {
            let stack = stack(stacks, sample);
            // Before the call it may still print its first line.
            assert!(stack[0].starts_with("<module>:1"), "{}: {stack:?}", python.display());
            assert!(stack.len() <= 4, "{}: {stack:?}", python.display());
            let frame = stacks.frames_of(sample.leaf).next().unwrap();
            assert_eq!(frame.file.as_deref(), Some("<string>"));
        }
        assert!(stacks.lost * 10 <= stacks.samples.len() as u64, "{} lost", stacks.lost);
        let thread = &stacks.threads[stacks.samples[0].thread as usize];
        assert_eq!((thread.pid, thread.tid), (program.pid(), program.pid()));
        assert!(thread.name.starts_with("python"), "{}", thread.name);
    }
}

#[test]
fn waiting_threads_are_seen_where_they_wait() {
    let script = "\
import threading, time
lock = threading.Lock()
def sleeper():
    time.sleep(
        1000)
def locked():
    with lock:
        pass
lock.acquire()
threads = [threading.Thread(target=f, daemon=True) for f in (sleeper, locked)]
for t in threads: t.start()
time.sleep(0.05)
print('ready', *[getattr(t, 'native_id', 0) for t in threads])
threads[0].join()
";
    for python in pythons() {
        let program = Program::start(&python, script);
        let at_the_sleep = ["sleeper:4"];
        let at_the_lock = ["locked:7"];
        let seen = watch(Target::Process(program.pid()), |seen| {
            ending(seen, &at_the_sleep).len() > 2 && ending(seen, &at_the_lock).len() > 2
        });
        check_times(&seen.stacks);
        for (end, native_id) in [(at_the_sleep, &program.words[1]), (at_the_lock, &program.words[2])] {
            let samples = ending(&seen, &end);
            assert!(samples.len() > 2, "{}", python.display());
            for sample in samples {
                let thread = &seen.stacks.threads[sample.thread as usize];
                assert_eq!(&thread.tid.to_string(), native_id, "{}", python.display());
                assert!(!sample.running, "{}", python.display());
            }
        }
        let joins = |sample: &Sample| stack(&seen.stacks, sample).contains(&"<module>:14".to_owned());
        assert!(seen.stacks.samples.iter().any(joins), "{}: the main thread waits", python.display());
        assert_eq!(seen.gil.values().map(|gil| gil.contended).sum::<u64>(), 0);
    }
}

#[test]
fn deep_recursion_keeps_the_innermost_frames() {
    let script = "\
import sys, time
sys.setrecursionlimit(5000)
def deep(n):
    if n:
        return deep(n - 1)
    print('ready')
    time.sleep(1000)
deep(1000)
";
    for python in pythons() {
        let program = Program::start(&python, script);
        let end = ["deep:5", "deep:5", "deep:7"];
        let seen = watch(Target::Process(program.pid()), |seen| !ending(seen, &end).is_empty());
        let samples = ending(&seen, &end);
        assert!(!samples.is_empty(), "{}: {:?}", python.display(), seen.stacks.threads);
        let stack = stack(&seen.stacks, samples[0]);
        assert_eq!(stack.len(), 257, "{}", python.display());
        assert_eq!(stack[0], "[deeper frames cut]");
    }
}

#[test]
fn processes_that_are_forked_or_spawned_are_seen() {
    for method in ["fork", "spawn"] {
        let script = format!(
            "\
import multiprocessing, os, sys, tempfile
code = '''
import os
def work(n):
    s = 0
    while True: s += n
'''
if __name__ == '__main__':
    folder = tempfile.mkdtemp()
    open(os.path.join(folder, 'worker_module.py'), 'w').write(code)
    sys.path.insert(0, folder)
    import worker_module
    context = multiprocessing.get_context('{method}')
    children = [context.Process(target=worker_module.work, args=(i,), daemon=True) for i in range(2)]
    for child in children: child.start()
    print('ready', *[child.pid for child in children])
    sys.stdin.read()
    children[0].join()
"
        );
        for python in pythons() {
            let program = Program::start(&python, &script);
            let of = |seen: &PythonSeen, pid: &str| {
                ending(seen, &["work:5"])
                    .iter()
                    .filter(|sample| seen.stacks.threads[sample.thread as usize].tid.to_string() == pid)
                    .count()
            };
            let pids = &program.words[1..3];
            let all = |seen: &PythonSeen| pids.iter().all(|pid| of(seen, pid) > 2);
            let seen = watch(Target::Process(program.pid()), all);
            for pid in pids {
                // The loop's line is the sixth, its head; 3.8 and 3.9 may say either.
                assert!(of(&seen, pid) > 0, "{} {method} {:?}", python.display(), seen.stacks.frames);
                Command::new("kill").arg(pid).status().unwrap();
            }
        }
    }
}

#[test]
fn coroutines_are_seen_below_the_loop_that_runs_them() {
    let script = "\
import asyncio
async def leaf():
    s = 0
    for i in range(100000): s += i
async def outer():
    print('ready')
    while True:
        await leaf()
asyncio.run(outer())
";
    for python in pythons() {
        let program = Program::start(&python, script);
        let end = ["outer:8", "leaf:4"];
        let seen = watch(Target::Process(program.pid()), |seen| ending(seen, &end).len() > 2);
        let samples = ending(&seen, &end);
        assert!(!samples.is_empty(), "{}", python.display());
        let stack = stack(&seen.stacks, samples[0]);
        assert_eq!(stack[0], "<module>:9", "{}", python.display());
        assert!(
            stack.iter().any(|frame| frame.starts_with("run_forever:")),
            "{}: {stack:?}",
            python.display()
        );
    }
}

#[test]
fn two_threads_that_compute_contend_for_the_lock() {
    let script = "\
import threading
def spin():
    while True: pass
threading.Thread(target=spin, daemon=True).start()
print('ready')
spin()
";
    for python in pythons() {
        let program = Program::start(&python, script);
        let share = |seen: &PythonSeen| seen.gil.get(&program.pid()).map_or(0.0, |gil| gil.contended_share());
        let seen = watch(Target::Process(program.pid()), |seen| share(seen) > 0.1);
        check_times(&seen.stacks);
        assert!(share(&seen) > 0.1, "{}: {:?}", python.display(), seen.gil);
        let gil = seen.gil[&program.pid()];
        assert!(gil.contended <= gil.held && gil.held <= gil.looks);
    }
}

#[test]
fn a_program_is_seen_from_its_start_on_and_when_it_becomes_another() {
    let script = "\
import os, sys
if len(sys.argv) == 1:
    os.execv(sys.executable, [sys.executable, '-c', open(__file__).read().replace('__file__', '0'), 'again'])
while True:
    x = 1
";
    for python in pythons() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        let recording = record(Target::Below(std::process::id()));
        let child = Command::new(&python).arg(file.path()).stdout(Stdio::null()).spawn().unwrap();
        let program = Program { child, words: Vec::new() };
        let mut recordings = vec![recording];
        let mut seen_at_all = false;
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(500));
            let seen = stop(recordings.pop().unwrap());
            let own = |sample: &&Sample| seen.stacks.threads[sample.thread as usize].pid == program.pid();
            seen_at_all = [&["<module>:4"][..], &["<module>:5"]]
                .iter()
                .any(|end| ending(&seen, end).into_iter().any(|sample| own(&sample)));
            if seen_at_all {
                break;
            }
            recordings.push(record(Target::Below(std::process::id())));
        }
        assert!(seen_at_all, "{}", python.display());
    }
}

#[test]
fn a_version_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("python3.7");
    if std::fs::copy("/bin/bash", &python).is_err() {
        println!("skipped: there is no /bin/bash to stand in for an old Python");
        return;
    }
    let child = Command::new(&python).args(["-c", "read line"]).stdin(Stdio::piped()).spawn().unwrap();
    let program = Program { child, words: Vec::new() };
    let mut absent = None;
    for _ in 0..40 {
        let recording = record(Target::Process(program.pid()));
        std::thread::sleep(Duration::from_millis(50));
        absent = stop(recording).absent;
        if absent.is_some() {
            break;
        }
    }
    let reason = absent.map(|absent| absent.reason);
    let expected = "no Python frames: Python 3.7 cannot be read, only Python 3.8 to 3.14";
    assert_eq!(reason.as_deref(), Some(expected));
}
