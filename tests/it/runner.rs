//! The runner, spoken to in its own protocol.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use perfup::sys::stream::digest;
use perfup::sys::wire::{RunEnd, RunRecord, RunReply, RunRequest};
use tempfile::TempDir;

/// Long enough for anything here, short enough to notice a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder to run in, whose unique path marks every process that was started in it.
pub struct Scene {
    folder: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn marker(&self) -> (String, String) {
        ("MARKER".to_owned(), self.folder.path().display().to_string())
    }

    pub fn request(&self, argv: &[&str]) -> RunRequest {
        RunRequest {
            cpus: Vec::new(),
            counters: Vec::new(),
            energy: false,
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            cwd: self.folder.path().to_owned(),
            env: vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()), self.marker()],
            stdin: None,
            stdout: self.path("stdout"),
            stderr: self.path("stderr"),
            output_bytes_max: 1 << 30,
            timeout_ns: PATIENCE.as_nanos() as u64,
            grace_ns: 200_000_000,
        }
    }

    pub fn shell(&self, line: &str) -> RunRequest {
        self.request(&["sh", "-c", line])
    }

    /// Processes that carry the marker in their environment.
    fn left_over(&self) -> BTreeSet<u32> {
        let (name, value) = self.marker();
        let marker = format!("{name}={value}");
        let carries = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|&byte| byte == 0).any(|entry| entry == marker.as_bytes())
        };
        perfup::sys::procfs::process_ids().into_iter().filter(carries).collect()
    }

    fn await_none_left(&self) {
        let give_up = Instant::now() + PATIENCE;
        while !self.left_over().is_empty() {
            assert!(Instant::now() < give_up, "still there: {:?}", self.left_over());
            std::thread::yield_now();
        }
    }
}

fn start(request: &RunRequest) -> Child {
    let mut runner = Command::new(env!("CARGO_BIN_EXE_perfup"))
        .arg("__runner")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = serde_json::to_string(request).unwrap();
    writeln!(runner.stdin.as_mut().unwrap(), "{line}").unwrap();
    runner
}

fn finish(mut runner: Child) -> RunReply {
    let mut line = String::new();
    BufReader::new(runner.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    drop(runner.stdin.take());
    assert!(runner.wait().unwrap().success());
    serde_json::from_str(&line).unwrap()
}

pub fn run(request: &RunRequest) -> RunRecord {
    match finish(start(request)) {
        RunReply::Done(record) => record,
        RunReply::Failed(failure) => panic!("{failure:?}"),
    }
}

fn failure(request: &RunRequest) -> (String, i32) {
    match finish(start(request)) {
        RunReply::Failed(failure) => (failure.operation, failure.errno),
        RunReply::Done(record) => panic!("{record:?}"),
    }
}

#[test]
fn ends_are_told_apart() {
    let scene = Scene::new();
    let check = |line: &str, expected: RunEnd| assert_eq!(run(&scene.shell(line)).end, expected, "{line}");
    check("exit 0", RunEnd::Exited(0));
    check("exit 7", RunEnd::Exited(7));
    check("kill -TERM $$", RunEnd::Signaled(libc::SIGTERM));
    check("kill -SEGV $$", RunEnd::Signaled(libc::SIGSEGV));
}

#[test]
fn failures_to_start_name_operation_and_cause() {
    let scene = Scene::new();
    fs::write(scene.path("plain"), "text").unwrap();
    fs::write(scene.path("orphan"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(scene.path("orphan"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let check = |request: RunRequest, operation: &str, errno: i32| {
        assert_eq!(failure(&request), (operation.to_owned(), errno), "{:?}", request.argv.first());
    };
    check(scene.request(&["no-such-program"]), "exec", libc::ENOENT);
    check(scene.request(&["./no-such-program"]), "exec", libc::ENOENT);
    check(scene.request(&["./plain"]), "exec", libc::EACCES);
    check(scene.request(&["./orphan"]), "start the interpreter of", libc::ENOENT);
    check(scene.request(&["true", &"x".repeat(3 << 20)]), "exec", libc::E2BIG);
    check(RunRequest { cwd: scene.path("none"), ..scene.request(&["true"]) }, "enter", libc::ENOENT);
    check(
        RunRequest { stdin: Some(scene.path("none")), ..scene.request(&["cat"]) },
        "open stdin",
        libc::ENOENT,
    );
    check(
        RunRequest { stdout: scene.path("none/x"), ..scene.request(&["true"]) },
        "open stdout",
        libc::ENOENT,
    );
}

#[test]
fn a_full_disk_is_reported_with_its_stream() {
    let scene = Scene::new();
    let full = |line: &str| RunRequest { stdout: "/dev/full".into(), ..scene.shell(line) };
    let expected = ("write stdout".to_owned(), libc::ENOSPC);
    assert_eq!(failure(&full("echo small")), expected);
    // Large outputs are written while the program runs: it is killed.
    assert_eq!(failure(&full("exec head -c 100000000 /dev/zero")), expected);
    scene.await_none_left();
}

#[test]
fn the_program_gets_exactly_what_was_asked_for() {
    let scene = Scene::new();
    fs::write(scene.path("input"), "from a file\n").unwrap();
    let request =
        RunRequest { stdin: Some(scene.path("input")), ..scene.shell("cat; pwd -P; echo oops >&2") };
    let record = run(&request);
    let folder = scene.folder.path().canonicalize().unwrap();
    let stdout = fs::read_to_string(scene.path("stdout")).unwrap();
    assert_eq!(stdout, format!("from a file\n{}\n", folder.display()));
    assert_eq!(fs::read_to_string(scene.path("stderr")).unwrap(), "oops\n");
    assert_eq!(record.stdout, digest(stdout.as_bytes()).unwrap());
    assert_eq!(record.stderr.bytes, 5);

    run(&scene.request(&["env"]));
    let (name, value) = scene.marker();
    let env = fs::read_to_string(scene.path("stdout")).unwrap();
    assert_eq!(env, format!("PATH=/usr/local/bin:/usr/bin:/bin\n{name}={value}\n"));

    assert_eq!(run(&scene.request(&["cat"])).end, RunEnd::Exited(0), "no stdin is an empty stdin");
}

#[test]
fn no_descriptor_signal_setting_or_group_leaks_in() {
    let scene = Scene::new();
    let script = "import os, signal\n\
        print(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd')))\n\
        status = open('/proc/self/status').read()\n\
        print([line.split()[1] for line in status.splitlines() if line.startswith(('SigBlk', 'SigIgn'))])\n\
        print(os.getpgrp() == os.getpid())\n";
    // What Python itself ignores at its start, and glibc's two own signals, which its `posix_spawn` ignores.
    let ignored =
        [libc::SIGPIPE, libc::SIGXFSZ, 32, 33].iter().fold(0_u64, |set, signal| set | 1 << (signal - 1));
    let request = scene.request(&["python3", "-ISc", script]);
    // A caller that ignores and leaks things itself, as shells and daemons do.
    let line = serde_json::to_string(&request).unwrap();
    let binary = env!("CARGO_BIN_EXE_perfup");
    let mut caller = Command::new("sh")
        .args(["-c", "trap '' HUP INT CHLD USR1; exec 7</dev/null; exec \"$0\" __runner", binary])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(caller.stdin.as_mut().unwrap(), "{line}").unwrap();
    assert!(matches!(finish(caller), RunReply::Done(record) if record.end == RunEnd::Exited(0)));
    let seen = fs::read_to_string(scene.path("stdout")).unwrap();
    // The fourth descriptor is the one that lists the folder.
    let expected = format!("[0, 1, 2] 4\n['{:016x}', '{ignored:016x}']\nTrue\n", 0);
    assert_eq!(seen, expected);
}

#[test]
fn one_file_for_both_streams_keeps_their_order() {
    let scene = Scene::new();
    let request = RunRequest { stderr: scene.path("stdout"), ..scene.shell("echo a; echo b >&2; echo c") };
    let record = run(&request);
    assert_eq!(fs::read_to_string(scene.path("stdout")).unwrap(), "a\nb\nc\n");
    assert_eq!(record.stdout, record.stderr);
}

#[test]
fn a_large_output_is_drained_inside_the_clock_and_hashed_right() {
    let scene = Scene::new();
    let record = run(&scene.request(&["head", "-c", "100000000", "/dev/zero"]));
    assert_eq!(record.stdout.bytes, 100_000_000);
    // From `head -c 100000000 /dev/zero | sha256sum`.
    let expected = "a993f8c574e0fea8c1cdcbcd9408d9e2e107ee6e4d120edcfa11decd53fa0cae";
    assert_eq!(record.stdout.sha256, expected);
    assert_eq!(fs::metadata(scene.path("stdout")).unwrap().len(), 100_000_000);
}

#[test]
fn memory_is_that_of_the_program_and_not_of_its_predecessor_or_parent() {
    let scene = Scene::new();
    // This process is the runner's parent; make it large, as perfup may be.
    let ballast = vec![1_u8; 300_000_000];
    let large = run(&scene.request(&["python3", "-c", "x = b'a' * 200_000_000"]));
    assert!(large.rss_bytes_max > 200_000_000, "{large:?}");
    let small = run(&scene.request(&["true"]));
    // The runner's own memory is a child's least; unoptimised it is twice as large as what users get.
    let most = if cfg!(debug_assertions) { 20_000_000 } else { 10_000_000 };
    assert!(small.rss_bytes_max < most, "{small:?}");
    let floor = small.rss_floor_bytes.expect("Linux knows the peak of this process");
    assert!(small.rss_bytes_max <= floor + floor / 8 && large.rss_floor_bytes < Some(most), "{small:?}");
    println!("floor {floor}, true {}, {:?}", small.rss_bytes_max, large.rss_floor_bytes);
    assert_eq!(
        ballast.iter().step_by(4096).map(|&byte| u64::from(byte)).sum::<u64>(),
        300_000_000_u64.div_ceil(4096)
    );
}

#[test]
fn cpu_and_storage_count_orphans_too() {
    let scene = Scene::new();
    // The worker is orphaned at once and burns until its own CPU clock says 0.2 s.
    let burn = "import time\nwhile time.process_time() < 0.2: pass\n\
        import os\nos.write(f := os.open('written', os.O_WRONLY | os.O_CREAT), b'x' * 1000000); os.fsync(f)";
    let script = format!("setsid python3 -c \"{burn}\" & exit 0");
    let record = run(&RunRequest { grace_ns: PATIENCE.as_nanos() as u64, ..scene.shell(&script) });
    assert_eq!((record.end, record.survivors), (RunEnd::Exited(0), 0));
    assert!(record.user_ns + record.sys_ns >= 200_000_000, "{record:?}");
    assert!(record.wall_ns >= 200_000_000, "{record:?}");
    // In a temporary folder without storage behind it nothing is written towards storage.
    assert!(record.write_bytes.is_some_and(|bytes| bytes == 0 || bytes >= 1_000_000), "{record:?}");
    assert!(record.runqueue_wait_ns.is_some() && record.forks.is_some_and(|forks| forks >= 2));
}

#[test]
fn survivors_are_killed_after_the_grace_and_counted() {
    let scene = Scene::new();
    let record =
        run(&scene.shell("setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000; :' &) ; exit 3"));
    assert_eq!((record.end, record.survivors), (RunEnd::Exited(3), 4));
    assert!(record.wall_ns >= 200_000_000, "the grace is inside the clock: {record:?}");
    assert!(scene.left_over().is_empty());
}

#[test]
fn the_time_limit_kills_grandchildren_in_other_sessions() {
    let scene = Scene::new();
    let line = "echo before; setsid sh -c 'trap \"\" TERM HUP; setsid sleep 1000 & sleep 1000' & sleep 1000";
    let record = run(&RunRequest { timeout_ns: 500_000_000, ..scene.shell(line) });
    assert_eq!(record.end, RunEnd::TimedOut);
    assert_eq!(record.stdout.bytes, 7, "what it had printed is kept");
    assert!(scene.left_over().is_empty());
}

#[test]
fn a_stopped_tree_dies_too() {
    let scene = Scene::new();
    let record = run(&RunRequest {
        timeout_ns: 300_000_000,
        ..scene.shell("setsid sh -c 'kill -STOP $$' & kill -STOP $$")
    });
    assert_eq!(record.end, RunEnd::TimedOut);
    assert!(scene.left_over().is_empty());
}

#[test]
fn too_much_output_ends_the_run() {
    let scene = Scene::new();
    let check = |line: &str| {
        let record = run(&RunRequest { output_bytes_max: 20_000_000, ..scene.shell(line) });
        assert_eq!(record.end, RunEnd::OutputLimit, "{line}");
        assert!(scene.left_over().is_empty());
    };
    check("yes");
    check("yes >&2");
    check("setsid yes & sleep 1000");
}

/// The leash and the signals: in each case the program has started, and nothing of it may be left.
#[test]
fn a_runner_that_is_let_go_kills_its_tree() {
    let check = |let_go: fn(&mut Child), replies: bool| {
        let scene = Scene::new();
        let line = "setsid sh -c 'echo > started; sleep 1000' & sleep 1000";
        let mut runner = start(&scene.shell(line));
        let give_up = Instant::now() + PATIENCE;
        while !scene.path("started").exists() {
            assert!(Instant::now() < give_up);
            std::thread::yield_now();
        }
        let_go(&mut runner);
        if replies {
            let reply = finish(runner);
            assert!(
                matches!(&reply, RunReply::Done(record) if record.end == RunEnd::Interrupted),
                "{reply:?}"
            );
            assert!(scene.left_over().is_empty());
        } else {
            scene.await_none_left();
            runner.wait().unwrap();
        }
    };
    check(|runner| drop(runner.stdin.take()), true);
    check(|runner| send(runner, libc::SIGTERM), true);
    check(|runner| send(runner, libc::SIGINT), true);
    // Nobody listens any more, as when the parent has been killed.
    check(|runner| drop((runner.stdin.take(), runner.stdout.take())), false);
}

fn send(child: &Child, signal: i32) {
    let status = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_tree_dies_when_its_grandparent_is_killed_outright() {
    let scene = Scene::new();
    let line = serde_json::to_string(&scene.shell("setsid sleep 1000 & echo > started; sleep 1000")).unwrap();
    let request = scene.path("request");
    fs::write(&request, line + "\n").unwrap();
    // A caller that holds the leash, as perfup does, and gets SIGKILL.
    let script = "import subprocess, sys, time\n\
        runner = subprocess.Popen([sys.argv[1], '__runner'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n\
        runner.stdin.write(open(sys.argv[2], 'rb').read()); runner.stdin.flush()\n\
        time.sleep(1000)";
    let mut caller = Command::new("python3")
        .args(["-c", script, env!("CARGO_BIN_EXE_perfup")])
        .arg(&request)
        .spawn()
        .unwrap();
    let give_up = Instant::now() + PATIENCE;
    while !scene.path("started").exists() {
        assert!(Instant::now() < give_up);
        std::thread::yield_now();
    }
    caller.kill().unwrap();
    caller.wait().unwrap();
    scene.await_none_left();
}

#[test]
fn a_fork_bomb_is_cleared() {
    let scene = Scene::new();
    let many = "i=0; while [ $i -lt 200 ]; do setsid sleep 1000 & i=$((i+1)); done; echo > started; wait";
    let record = run(&RunRequest { timeout_ns: 3_000_000_000, ..scene.shell(many) });
    assert!(scene.path("started").exists());
    assert_eq!(record.end, RunEnd::TimedOut);
    assert!(scene.left_over().is_empty());

    // One that never stops forking, each time into a session of its own.
    let relentless = scene.path("relentless");
    write_script(&relentless, "#!/bin/sh\nsetsid \"$0\" &\nsetsid sleep 1000 &\nexit 0\n");
    let request =
        RunRequest { timeout_ns: 500_000_000, grace_ns: 400_000_000, ..scene.request(&["./relentless"]) };
    let record = run(&request);
    assert!(record.survivors > 0 || record.end == RunEnd::TimedOut, "{record:?}");
    assert!(scene.left_over().is_empty());
}

fn write_script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}
