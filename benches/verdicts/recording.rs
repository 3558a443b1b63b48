//! Recorded runs, and the files that they are kept in.
//!
//! `pairs.csv` has a row for each pair, in the order of time; `blocks.csv` one for each run.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

const PAIRS_HEADER: &str = "percent,session,first,a_wall_ns,b_wall_ns,a_cpu_ns,b_cpu_ns";
const BLOCKS_HEADER: &str = "percent,session,arm,wall_ns,cpu_ns";

/// Both metrics of one run, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub wall_s: f64,
    pub cpu_s: f64,
}

/// A's and B's runs; in a session of pairs equal indices belong together.
#[derive(Debug, Clone, Default)]
pub struct Arms {
    pub a: Vec<Run>,
    pub b: Vec<Run>,
}

/// One session at one injected slow-down.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub pairs: Arms,
    /// Whether A ran first, pair by pair.
    pub a_first: Vec<bool>,
    pub blocks: Arms,
}

/// Sessions by injected slow-down in per cent and number.
pub type Recording = BTreeMap<(u32, u32), Session>;

/// Writes `pairs.csv` and `blocks.csv` into a folder.
pub fn save(recording: &Recording, folder: &Path) -> Outcome<()> {
    let (mut pairs, mut blocks) = (format!("{PAIRS_HEADER}\n"), format!("{BLOCKS_HEADER}\n"));
    let ns = |seconds: f64| (seconds * 1e9).round() as u64;
    for ((percent, number), session) in recording {
        for ((a, b), a_first) in session.pairs.a.iter().zip(&session.pairs.b).zip(&session.a_first) {
            let first = if *a_first { 'a' } else { 'b' };
            let (a_wall, b_wall, a_cpu, b_cpu) = (ns(a.wall_s), ns(b.wall_s), ns(a.cpu_s), ns(b.cpu_s));
            writeln!(pairs, "{percent},{number},{first},{a_wall},{b_wall},{a_cpu},{b_cpu}")?;
        }
        for (arm, runs) in [('a', &session.blocks.a), ('b', &session.blocks.b)] {
            for run in runs {
                writeln!(blocks, "{percent},{number},{arm},{},{}", ns(run.wall_s), ns(run.cpu_s))?;
            }
        }
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("pairs.csv"), pairs)?;
    Ok(fs::write(folder.join("blocks.csv"), blocks)?)
}

/// Reads what [`save`] has written.
pub fn load(folder: &Path) -> Outcome<Recording> {
    let mut recording = Recording::new();
    for line in fs::read_to_string(folder.join("pairs.csv"))?.lines().skip(1) {
        let [percent, number, first, a_wall, b_wall, a_cpu, b_cpu] = fields(line)?;
        let session = recording.entry((percent.parse()?, number.parse()?)).or_default();
        session.pairs.a.push(run(a_wall, a_cpu)?);
        session.pairs.b.push(run(b_wall, b_cpu)?);
        session.a_first.push(first == "a");
    }
    for line in fs::read_to_string(folder.join("blocks.csv"))?.lines().skip(1) {
        let [percent, number, arm, wall, cpu] = fields(line)?;
        let blocks = &mut recording.entry((percent.parse()?, number.parse()?)).or_default().blocks;
        if arm == "a" { &mut blocks.a } else { &mut blocks.b }.push(run(wall, cpu)?);
    }
    Ok(recording)
}

fn fields<const N: usize>(line: &str) -> Outcome<[&str; N]> {
    let fields: Vec<&str> = line.split(',').collect();
    fields.try_into().map_err(|_| format!("{line:?} has not {N} fields").into())
}

fn run(wall_ns: &str, cpu_ns: &str) -> Outcome<Run> {
    Ok(Run { wall_s: wall_ns.parse::<f64>()? * 1e-9, cpu_s: cpu_ns.parse::<f64>()? * 1e-9 })
}
