//! The bundled noise generator: perfup re-executed to disturb the machine in random bursts until it is stopped.
//!
//! Bursts and pauses are exponentially distributed around [`BURST_S`]: longer than a short run and shorter than a long
//! one, so that some runs are hit and others are not, as by a neighbour's build or a browser.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::machine::cores_available;
use crate::stats::rng::Rng;

/// The hidden first argument that makes perfup the noise; the second is the kind.
pub(super) const ARGUMENT: &str = "__noise";

/// Mean length of a burst and of a pause, seconds.
const BURST_S: f64 = 0.03;

/// Memory that a memory burst walks over: larger than most last-level caches' share of a core.
const MEMORY_BYTES: usize = 48 << 20;

/// Written and synced in each step of a disk burst.
const BLOCK_BYTES: usize = 256 << 10;

/// A file of noise is rewritten in place once it is so long.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the generator disturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// Whatever the machine does by itself.
    Present,
    /// One thread per CPU that computes in bursts.
    Cpu,
    /// As many that walk over memory in bursts.
    Memory,
    /// One thread that writes and syncs a file in bursts.
    Disk,
    /// All of them.
    Mixed,
}

impl Noise {
    pub const ALL: [Self; 5] = [Self::Present, Self::Cpu, Self::Memory, Self::Disk, Self::Mixed];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Mixed => "mixed",
        }
    }

    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|noise| noise.word() == word)
    }

    fn threads(self) -> Vec<fn(&mut Rng, &AtomicBool)> {
        let cores = cores_available() as usize;
        let mut threads: Vec<fn(&mut Rng, &AtomicBool)> = Vec::new();
        if matches!(self, Self::Cpu | Self::Mixed) {
            threads.extend(std::iter::repeat_n(compute as fn(&mut Rng, &AtomicBool), cores));
        }
        if matches!(self, Self::Memory | Self::Mixed) {
            threads.extend(std::iter::repeat_n(walk as fn(&mut Rng, &AtomicBool), cores));
        }
        if matches!(self, Self::Disk | Self::Mixed) {
            threads.push(write as fn(&mut Rng, &AtomicBool));
        }
        threads
    }
}

/// Noise that is being made; ends with this value, and with perfup however that ends.
#[derive(Debug)]
pub(super) struct Generator {
    child: Option<Child>,
}

impl Generator {
    /// Starts perfup (`exe`) as a generator; nothing for [`Noise::Present`].
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(exe: &Path, noise: Noise) -> io::Result<Self> {
        if noise == Noise::Present {
            return Ok(Self { child: None });
        }
        #[expect(clippy::disallowed_methods, reason = "noise is neither measured nor a tool")]
        let mut command = Command::new(exe);
        command.args([ARGUMENT, noise.word()]);
        // Standard input is its leash: when perfup is gone, however it went, it reads the end and goes.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: Some(command.spawn()?) })
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may be gone already; either way it is reaped.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Makes noise until standard input ends.
pub(super) fn main(noise: Noise) -> ExitCode {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for (index, make) in noise.threads().into_iter().enumerate() {
            let stop = &stop;
            scope.spawn(move || {
                let mut rng = Rng::new(u64::from(std::process::id()) << 8 | index as u64);
                while !stop.load(Ordering::Relaxed) {
                    make(&mut rng, stop);
                    thread::sleep(duration(&mut rng));
                }
            });
        }
        // Nothing is ever written to it; an error ends the noise as the end does.
        let _ = io::stdin().read(&mut [0]);
        stop.store(true, Ordering::Relaxed);
    });
    ExitCode::SUCCESS
}

fn duration(rng: &mut Rng) -> Duration {
    Duration::from_secs_f64((-BURST_S * rng.uniform().ln()).min(20.0 * BURST_S))
}

/// Repeats `step` for the length of a burst.
fn burst(rng: &mut Rng, stop: &AtomicBool, mut step: impl FnMut()) {
    let end = Instant::now() + duration(rng);
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        step();
    }
}

fn compute(rng: &mut Rng, stop: &AtomicBool) {
    let mut state = rng.bits();
    burst(rng, stop, || {
        for _ in 0..10_000 {
            state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    });
}

fn walk(rng: &mut Rng, stop: &AtomicBool) {
    let mut memory = vec![1_u8; MEMORY_BYTES];
    burst(rng, stop, || {
        // One write per cache line.
        for line in memory.chunks_mut(64) {
            line[0] = line[0].wrapping_add(1);
        }
        black_box(&mut memory);
    });
}

fn write(rng: &mut Rng, stop: &AtomicBool) {
    // No disk to write to is silence, not a reason to stop the other noise.
    let Ok(mut file) = tempfile::tempfile() else {
        return;
    };
    let block = vec![0_u8; BLOCK_BYTES];
    burst(rng, stop, || {
        let _ = step(&mut file, &block);
    });
}

fn step(file: &mut File, block: &[u8]) -> io::Result<()> {
    if file.stream_position()? > FILE_BYTES_MAX {
        file.rewind()?;
    }
    file.write_all(block)?;
    file.sync_data()
}
