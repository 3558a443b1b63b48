//! What perfup adds to the time of a program: the time that it reports against that of bare system calls, and the time
//! of its own that a run takes.
//!
//! Ways to run the same program, all with `PATH` as the whole environment and in the same folder:
//!
//! 1. bare: `posix_spawn` + `wait4` in this process, standard streams on `/dev/null`;
//! 2. bare again: the same once more, which shows how far from 1 a ratio is by chance;
//! 3. runner: `perfup __runner`, a runner process that is kept, both outputs captured through pipes;
//! 4. measure: a run as `perfup measure` makes it: the runner, a fresh temporary folder, and a padded environment;
//! 5. hyperfine: `hyperfine -N`, when it is installed.
//!
//! A turn runs each of the first four once, in random order; a ratio is that of a turn's two times. hyperfine cannot make
//! single runs: its ratios are those of the medians of a round's runs. Printed is the median of the ratios with its 95 %
//! interval by order statistics.
//!
//! `cargo bench --bench overhead [-- ROUNDS]`. `taskset -c 1 cargo bench --bench overhead` takes the choice of a CPU out of the
//! comparison.
#![expect(unsafe_code, reason = "the yardstick is the bare system calls")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::disallowed_methods, reason = "starts the yardsticks itself")]

use std::error::Error;
use std::ffi::{CString, c_char};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, ptr};

use perfup::config::CommandLine;
use perfup::measure::{Arm, Measurer, MeasurerOptions};
use perfup::stats::rng::Rng;
use perfup::sys::launch::Launcher;
use perfup::sys::wire::{RunReply, RunRequest};

const PERFUP: &str = env!("CARGO_BIN_EXE_perfup");
const SEARCH_PATH: &str = "/usr/bin:/bin";

/// For `true`; a program of 50 ms gets a quarter of them.
const ROUNDS: usize = 40;
/// Turns of a round, and runs of each of hyperfine's.
const TURNS: usize = 25;

/// Units of the bundled workload are sized to about this time.
const SPIN_S: f64 = 0.05;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What a run took: as reported, and with all that was around it.
#[derive(Clone, Copy)]
struct Time {
    reported_s: f64,
    turnaround_s: f64,
}

fn main() -> Outcome<()> {
    let rounds = env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let bench = Bench::new()?;
    println!(
        "{:<12}{:<12}{:>11}{:>10}  {:<26}{:>10}",
        "program", "way", "median ms", "iqr ms", "ratio to bare [95 %]", "own ms"
    );
    bench.compare("true", &["/bin/true"], rounds)?;
    let units = bench.units_for(SPIN_S)?.to_string();
    bench.compare("spin 50 ms", &[PERFUP, "__workload", &units], rounds.div_ceil(4))?;
    bench.compare("sleep 50 ms", &["/bin/sleep", "0.05"], rounds.div_ceil(4))?;
    if !bench.has_hyperfine {
        println!("hyperfine is not installed: compared without it");
    }
    println!("own: time per run beyond what the way reports");
    Ok(())
}

struct Bench {
    scratch: tempfile::TempDir,
    null: File,
    measurer: Measurer,
    launcher: Launcher,
    has_hyperfine: bool,
}

/// A way to make a single run.
type Way = fn(&Bench, &[&str]) -> Outcome<Time>;

/// The ways that can make single runs, in the order of the table.
const WAYS: [(&str, Way); 4] = [
    ("bare", Bench::bare),
    ("bare again", Bench::bare),
    ("runner", Bench::runner),
    ("measure", Bench::measure),
];

impl Bench {
    fn new() -> Outcome<Self> {
        let scratch = tempfile::tempdir()?;
        env::set_current_dir(scratch.path())?;
        let measurer = Measurer::new(MeasurerOptions {
            runner_exe: PathBuf::from(PERFUP),
            scratch: scratch.path().join("scratch"),
            outputs: scratch.path().join("outputs"),
            environment: vec![("PATH".to_owned(), SEARCH_PATH.to_owned())],
        })?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let version = Command::new("hyperfine").arg("--version").stdout(Stdio::null()).status();
        let launcher = Launcher::new(PathBuf::from(PERFUP));
        Ok(Self {
            scratch,
            null,
            measurer,
            launcher,
            has_hyperfine: version.is_ok_and(|status| status.success()),
        })
    }

    /// Units of the bundled workload that take about so long.
    fn units_for(&self, seconds: f64) -> Outcome<u64> {
        let timed = |units: u64| -> Outcome<f64> {
            let times =
                (0..9).map(|_| Ok(self.bare(&[PERFUP, "__workload", &units.to_string()])?.reported_s));
            Ok(median(&times.collect::<Outcome<Vec<f64>>>()?))
        };
        let (few, many) = (100, 4_100);
        let (fast, slow) = (timed(few)?, timed(many)?);
        Ok((few as f64 + (seconds - fast) / (slow - fast) * (many - few) as f64).max(1.0) as u64)
    }

    fn compare(&self, name: &str, argv: &[&str], rounds: usize) -> Outcome<()> {
        let mut rng = Rng::new(1);
        let mut times: [Vec<Time>; WAYS.len()] = Default::default();
        let mut rival: Vec<Vec<Time>> = Vec::new();
        for _ in 0..rounds {
            for _ in 0..TURNS {
                for way in order(WAYS.len(), &mut rng) {
                    times[way].push((WAYS[way].1)(self, argv)?);
                }
            }
            if self.has_hyperfine {
                rival.push(self.hyperfine(argv)?);
            }
        }
        let reported = |times: &[Time]| times.iter().map(|time| time.reported_s).collect::<Vec<f64>>();
        for ((way, _), own) in WAYS.iter().zip(&times) {
            let ratios = own.iter().zip(&times[0]).map(|(own, bare)| own.reported_s / bare.reported_s);
            row(name, way, own, ratios.collect());
        }
        let ratios = rival.iter().zip(times[0].chunks(TURNS));
        let ratios = ratios.map(|(own, bare)| median(&reported(own)) / median(&reported(bare))).collect();
        if self.has_hyperfine {
            row(name, "hyperfine", &rival.concat(), ratios);
        }
        Ok(())
    }

    fn bare(&self, argv: &[&str]) -> Outcome<Time> {
        let start = Instant::now();
        let reported_s = spawn_and_wait(&self.null, argv)?;
        Ok(Time { reported_s, turnaround_s: start.elapsed().as_secs_f64() })
    }

    fn runner(&self, argv: &[&str]) -> Outcome<Time> {
        let folder = self.scratch.path();
        let request = RunRequest {
            cpus: Vec::new(),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            cwd: folder.to_owned(),
            env: vec![("PATH".to_owned(), SEARCH_PATH.to_owned())],
            stdin: None,
            stdout: folder.join("out"),
            stderr: folder.join("err"),
            output_bytes_max: 1 << 30,
            timeout_ns: 10_000_000_000,
            grace_ns: 100_000_000,
            counters: Vec::new(),
            energy: false,
        };
        let start = Instant::now();
        match self.launcher.launch(&request, &mut |_| {})? {
            RunReply::Done(record) => {
                let turnaround_s = start.elapsed().as_secs_f64();
                Ok(Time { reported_s: record.wall_ns as f64 * 1e-9, turnaround_s })
            }
            RunReply::Failed(failure) => Err(format!("{failure:?}").into()),
        }
    }

    fn measure(&self, argv: &[&str]) -> Outcome<Time> {
        let arm = Arm::new(
            CommandLine::Argv(argv.iter().map(|&word| word.to_owned()).collect()),
            self.scratch.path().to_owned(),
            Duration::from_secs(10),
        );
        let start = Instant::now();
        // The padding of the environment follows the seed.
        let sample = self.measurer.run(&arm, u64::from(start.elapsed().subsec_nanos()))?;
        self.measurer.outputs().forget(&sample);
        Ok(Time { reported_s: sample.wall_s(), turnaround_s: start.elapsed().as_secs_f64() })
    }

    fn hyperfine(&self, argv: &[&str]) -> Outcome<Vec<Time>> {
        let export = self.scratch.path().join("hyperfine.json");
        let start = Instant::now();
        let status = Command::new("hyperfine")
            // Its environment is what its programs get: an inherited library path would slow them down.
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .args(["-N", "--style", "none", "--runs", &TURNS.to_string(), "--export-json"])
            .arg(&export)
            .arg(argv.join(" "))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        let elapsed_s = start.elapsed().as_secs_f64();
        if !status.success() {
            return Err("hyperfine failed".into());
        }
        let json: serde_json::Value = serde_json::from_slice(&fs::read(export)?)?;
        let times = json["results"][0]["times"].as_array().ok_or("hyperfine exported no times")?;
        let times: Vec<f64> = times.iter().filter_map(serde_json::Value::as_f64).collect();
        let own_s = (elapsed_s - times.iter().sum::<f64>()) / times.len() as f64;
        Ok(times
            .into_iter()
            .map(|reported_s| Time { reported_s, turnaround_s: reported_s + own_s })
            .collect())
    }
}

/// A random order of `0..count` (Fisher and Yates).
fn order(count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, (rng.uniform() * (last + 1) as f64) as usize);
    }
    order
}

/// Seconds from before the spawn until the program has been reaped.
fn spawn_and_wait(null: &File, argv: &[&str]) -> Outcome<f64> {
    let words = argv.iter().map(|&word| CString::new(word)).collect::<Result<Vec<_>, _>>()?;
    let argv: Vec<*mut c_char> =
        words.iter().map(|word| word.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect();
    let path = CString::new(format!("PATH={SEARCH_PATH}"))?;
    let env = [path.as_ptr().cast_mut(), ptr::null_mut()];
    let mut actions = std::mem::MaybeUninit::uninit();
    let (mut pid, mut status) = (0, 0);
    // SAFETY: the actions are initialised before they are used and destroyed after; both lists end in a null pointer
    // and hold strings that live on; all other pointers are to live locals, and null where the call allows it.
    unsafe {
        libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        for target in 0..3 {
            libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), null.as_raw_fd(), target);
        }
        let start = Instant::now();
        let error = libc::posix_spawn(
            &raw mut pid,
            argv[0],
            actions.as_ptr(),
            ptr::null(),
            argv.as_ptr(),
            env.as_ptr(),
        );
        let waited = if error == 0 { libc::wait4(pid, &raw mut status, 0, ptr::null_mut()) } else { 0 };
        let time = start.elapsed();
        libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr());
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error).into());
        }
        if waited < 0 || status != 0 {
            return Err("the program failed".into());
        }
        Ok(time.as_secs_f64())
    }
}

fn row(program: &str, way: &str, times: &[Time], mut ratios: Vec<f64>) {
    let of = |value: fn(&Time) -> f64| times.iter().map(value).collect::<Vec<f64>>();
    let [low, middle, high] = quartiles(of(|time| time.reported_s)).map(|seconds| seconds * 1e3);
    let own = median(&of(|time| time.turnaround_s - time.reported_s)) * 1e3;
    ratios.sort_by(f64::total_cmp);
    // Ranks that hold the median at 95 %: a normal approximation of the sign test's.
    let reach = 0.98 * (ratios.len() as f64).sqrt();
    let at = |rank: f64| ratios[(rank.max(0.0) as usize).min(ratios.len() - 1)];
    let half = ratios.len() as f64 / 2.0;
    let interval = format!("{:.3} [{:.3}, {:.3}]", at(half), at(half - reach), at(half + reach));
    println!("{program:<12}{way:<12}{middle:>11.3}{:>10.3}  {interval:<26}{own:>10.3}", high - low);
}

fn median(values: &[f64]) -> f64 {
    quartiles(values.to_vec())[1]
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values.get(values.len() * quarter / 4).copied().unwrap_or(f64::NAN))
}
