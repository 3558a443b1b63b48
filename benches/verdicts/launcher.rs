//! Runs programs as `perfup measure` does.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use perfup::config::{CommandLine, Metric};
use perfup::measure::{Arm, Measurer, MeasurerOptions, neutral_environment};
use perfup::stats::summary::median;

use crate::recording::{Outcome, Run};

/// perfup itself, which is also the workload of known size and the noise.
pub const PERFUP: &str = env!("CARGO_BIN_EXE_perfup");

/// Runs of which a median is taken to learn how long a program takes.
const TRIAL_RUNS: usize = 15;

/// Runs one program after the other.
pub struct Launcher {
    measurer: Measurer,
    seed: u64,
    runs: u64,
    _folder: tempfile::TempDir,
}

impl Launcher {
    pub fn new(seed: u64) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let measurer = Measurer::new(MeasurerOptions {
            runner_exe: PathBuf::from(PERFUP),
            scratch: folder.path().join("s"),
            outputs: folder.path().join("o"),
            environment: neutral_environment(std::env::vars()),
        })?;
        Ok(Self { measurer, seed, runs: 0, _folder: folder })
    }

    pub fn run(&mut self, words: &[&str]) -> Outcome<Run> {
        let arm = Arm::new(
            CommandLine::Argv(words.iter().map(|&word| word.to_owned()).collect()),
            PathBuf::from("/"),
            Duration::from_secs(60),
        );
        self.runs += 1;
        // The padding of the environment follows the seed.
        let sample = self.measurer.run(&arm, self.seed ^ self.runs)?;
        self.measurer.outputs().forget(&sample);
        let value = |metric| sample.metric(&metric).ok_or("a run without times");
        Ok(Run { wall_s: value(Metric::Wall)?, cpu_s: value(Metric::Cpu)? })
    }

    /// Median wall time of a few runs, seconds.
    pub fn median_s(&mut self, words: &[&str]) -> Outcome<f64> {
        let times = (0..TRIAL_RUNS).map(|_| Ok(self.run(words)?.wall_s)).collect::<Outcome<Vec<f64>>>()?;
        median(&times).ok_or_else(|| "no runs".into())
    }
}

/// Noise that ends with this value.
pub struct Noise(Child);

impl Noise {
    #[expect(clippy::disallowed_methods, reason = "noise is neither measured nor a tool")]
    pub fn start(kind: &str) -> Outcome<Self> {
        let child = Command::new(PERFUP)
            .args(["__noise", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        // It may be gone already; either way it is reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
