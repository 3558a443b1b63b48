//! What the runner adds to the time of a program: `true`, started several ways in turn.
//!
//! 1. bare: a `posix_spawn` + `wait4` loop in this process, standard streams on `/dev/null`;
//! 2. runner: `perfup __runner`, one fresh runner process per program, as perfup measures;
//! 3. counters: the same with two software counters inherited by the whole tree, as hardware counters are, which not
//!    every machine has;
//! 4. hyperfine: `hyperfine -N`, when it is installed.
//!
//! All of them see the same machine at the same time: a round makes some runs of each. Printed are medians, and the
//! ratio to the bare loop: the median over rounds of the ratio of the round's medians, with its quartiles.
//!
//! `cargo bench --bench overhead [-- ROUNDS]`. A loop in one process learns to keep its children on its own CPU, which
//! a fresh runner cannot: `taskset -c 1 cargo bench --bench overhead` takes the scheduler out of the comparison.
#![expect(unsafe_code, reason = "the yardstick is the bare system calls")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::disallowed_methods, reason = "starts the yardsticks itself")]

use std::error::Error;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs, io, ptr};

use perfup::sys::launch::launch;
use perfup::sys::wire::{CounterRequest, PerfEvent, RunReply, RunRequest};

const ROUNDS: usize = 40;
const RUNS_PER_ROUND: usize = 25;
const PROGRAM: &str = "/bin/true";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// One way to start the program: its name and the seconds of some runs.
struct Way {
    name: &'static str,
    run: fn(&Path) -> Outcome<Vec<f64>>,
}

const WAYS: &[Way] = &[
    Way { name: "bare", run: bare },
    Way { name: "runner", run: runner },
    Way { name: "counters", run: runner_with_counters },
    // The same loop again: how far from 1 a ratio is by chance.
    Way { name: "bare again", run: bare },
    Way { name: "hyperfine", run: hyperfine },
];

fn main() -> Outcome<()> {
    let rounds = env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let scratch = tempfile::tempdir()?;
    let has_hyperfine = Command::new("hyperfine").arg("--version").stdout(Stdio::null()).status().is_ok();
    let ways: Vec<&Way> = WAYS.iter().filter(|way| way.name != "hyperfine" || has_hyperfine).collect();
    let mut times: Vec<Vec<Vec<f64>>> = vec![Vec::new(); ways.len()];
    for round in 0..rounds {
        // Each way comes first equally often.
        for turn in 0..ways.len() {
            let index = (round + turn) % ways.len();
            times[index].push((ways[index].run)(scratch.path())?);
        }
    }
    println!("{PROGRAM}: {rounds} rounds of {RUNS_PER_ROUND} runs each");
    println!("{:<12}{:>12}{:>12}{:>24}", "way", "median ms", "iqr ms", "ratio to bare [iqr]");
    for (way, rounds) in ways.iter().zip(&times) {
        let [low, middle, high] = quartiles(rounds.concat());
        let ratios = rounds.iter().zip(&times[0]).map(|(own, bare)| median(own) / median(bare)).collect();
        let [ratio_low, ratio, ratio_high] = quartiles(ratios);
        let (middle, spread) = (middle * 1e3, (high - low) * 1e3);
        println!(
            "{:<12}{middle:>12.3}{spread:>12.3}{ratio:>10.3} [{ratio_low:.3}, {ratio_high:.3}]",
            way.name
        );
    }
    Ok(())
}

fn bare(_scratch: &Path) -> Outcome<Vec<f64>> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    (0..RUNS_PER_ROUND).map(|_| Ok(spawn_and_wait(&null)?)).collect()
}

fn spawn_and_wait(null: &File) -> io::Result<f64> {
    let argv = [c"true".as_ptr().cast_mut(), ptr::null_mut()];
    let env = [c"PATH=/usr/bin:/bin".as_ptr().cast_mut(), ptr::null_mut()];
    let mut actions = std::mem::MaybeUninit::uninit();
    let (mut pid, mut status) = (0, 0);
    // SAFETY: the actions are initialised before they are used and destroyed after; both lists end in a null pointer
    // and hold static strings; all other pointers are to live locals, and null where the call allows it.
    unsafe {
        libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        for target in 0..3 {
            libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), null.as_raw_fd(), target);
        }
        let start = Instant::now();
        let error = libc::posix_spawn(
            &raw mut pid,
            c"/bin/true".as_ptr(),
            actions.as_ptr(),
            ptr::null(),
            argv.as_ptr(),
            env.as_ptr(),
        );
        let waited = if error == 0 { libc::wait4(pid, &raw mut status, 0, ptr::null_mut()) } else { 0 };
        let time = start.elapsed();
        libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr());
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        if waited < 0 || status != 0 {
            return Err(io::Error::other("the program failed"));
        }
        Ok(time.as_secs_f64())
    }
}

fn runner(scratch: &Path) -> Outcome<Vec<f64>> {
    runner_counting(scratch, Vec::new())
}

fn runner_with_counters(scratch: &Path) -> Outcome<Vec<f64>> {
    // `PERF_TYPE_SOFTWARE`: CPU clock of the task, page faults.
    let counter = |name: &str, config| CounterRequest {
        name: name.to_owned(),
        events: vec![PerfEvent { kind: 1, config }],
    };
    runner_counting(scratch, vec![counter("task-clock", 1), counter("page-faults", 2)])
}

fn runner_counting(scratch: &Path, counters: Vec<CounterRequest>) -> Outcome<Vec<f64>> {
    let count = counters.len();
    let request = RunRequest {
        cpus: Vec::new(),
        argv: vec![PROGRAM.to_owned()],
        cwd: scratch.to_owned(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        stdin: None,
        stdout: scratch.join("out"),
        stderr: scratch.join("err"),
        output_bytes_max: 1 << 30,
        timeout_ns: 10_000_000_000,
        grace_ns: 100_000_000,
        counters,
        energy: false,
    };
    let exe = Path::new(env!("CARGO_BIN_EXE_perfup"));
    (0..RUNS_PER_ROUND)
        .map(|_| match launch(exe, &request, &mut |_| {})? {
            RunReply::Done(record) if record.counts.len() < count => {
                Err("the kernel refuses counters".into())
            }
            RunReply::Done(record) => Ok(record.wall_ns as f64 * 1e-9),
            RunReply::Failed(failure) => Err(format!("{failure:?}").into()),
        })
        .collect()
}

fn hyperfine(scratch: &Path) -> Outcome<Vec<f64>> {
    let export = scratch.join("hyperfine.json");
    let runs = RUNS_PER_ROUND.to_string();
    let status = Command::new("hyperfine")
        // Its environment is what its programs get: an inherited library path would slow them down.
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .args(["-N", "--style", "none", "--runs", &runs, "--export-json"])
        .arg(&export)
        .arg(PROGRAM)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err("hyperfine failed".into());
    }
    let json: serde_json::Value = serde_json::from_slice(&fs::read(export)?)?;
    let times = json["results"][0]["times"].as_array().ok_or("hyperfine exported no times")?;
    Ok(times.iter().filter_map(serde_json::Value::as_f64).collect())
}

fn median(times: &[f64]) -> f64 {
    quartiles(times.to_vec())[1]
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values.get(values.len() * quarter / 4).copied().unwrap_or(f64::NAN))
}
