//! Makes a program of the corpus ready in a folder of its own, and has it analysed there by the real binary.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use perfup::diagnose::Class;
use perfup::stats::rng::Rng;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::catalogue::{Language, Outcome, Program};

/// By the file system standard on a disk, where `/tmp` may be memory.
const SCRATCH: &str = "/var/tmp";

/// Size of a file of noise.
const NOISE_BYTES: usize = 64 << 20;

/// An analysis that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often it is looked whether an analysis has ended.
const LOOK: Duration = Duration::from_millis(20);

/// The class of what cannot be told, among the shares.
const UNATTRIBUTED: Class = Class::NotEnoughEvidence;

/// Where programs are analysed.
pub struct Workshop {
    analysis: PathBuf,
    scratch: tempfile::TempDir,
    /// With the interpreter itself first: a version manager's shim is a program of its own.
    path: std::ffi::OsString,
}

/// A program that can be run.
pub struct Ready {
    folder: tempfile::TempDir,
    words: Vec<String>,
}

/// What was said about a program.
#[derive(Debug)]
pub struct Answer {
    pub class: Class,
    pub confidence: f64,
    /// What it would be without the load, where the machine is busy.
    pub apart_from_load: Option<Class>,
    /// Largest first.
    pub shares: Vec<(Class, f64)>,
    /// Of the whole analysis.
    pub seconds: f64,
    /// CPUs that were kept busy meanwhile by others than the analysis and what it started.
    pub others: f64,
}

impl Answer {
    /// Difference of the shares' sum from 1.
    pub fn imbalance(&self) -> f64 {
        (self.shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs()
    }

    /// Share of the time that belongs to no class.
    pub fn unattributed(&self) -> f64 {
        self.shares.iter().filter(|(class, _)| *class == UNATTRIBUTED).map(|(_, share)| share).sum()
    }
}

impl Workshop {
    pub fn new(analysis: &Path) -> Outcome<Self> {
        let on_disk = Path::new(SCRATCH);
        let scratch = if on_disk.is_dir() { tempfile::tempdir_in(on_disk)? } else { tempfile::tempdir()? };
        let own = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let python = own.ok().and_then(|output| String::from_utf8(output.stdout).ok());
        let first = python.as_deref().and_then(|path| Path::new(path.trim()).parent()).map(Path::to_owned);
        let inherited = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(first.into_iter().chain(env::split_paths(&inherited)))?;
        Ok(Self { analysis: analysis.canonicalize()?, scratch, path })
    }

    /// Copies, builds, and makes the files that it reads.
    pub fn prepare(&self, program: &Program) -> Outcome<Ready> {
        let folder = tempfile::tempdir_in(self.scratch.path())?;
        let file = program.path();
        let name = file.file_name().ok_or("a program without a file")?;
        fs::copy(&file, folder.path().join(name))?;
        // A service beside the program is started by it.
        for neighbour in fs::read_dir(file.parent().ok_or("a file without a folder")?)? {
            let neighbour = neighbour?;
            if neighbour.file_name().to_string_lossy().contains("service.") {
                fs::copy(neighbour.path(), folder.path().join(neighbour.file_name()))?;
            }
        }
        let name = name.to_string_lossy().into_owned();
        let stem = file.file_stem().ok_or("a file without a name")?.to_string_lossy().into_owned();
        let language = program.language().ok_or_else(|| format!("{name} is in no known language"))?;
        let mut words = match language {
            Language::Compiled(first, last) => {
                build(folder.path(), &[first, [name.as_str(), "-o", &stem].as_slice(), last].concat())?;
                vec![format!("./{stem}")]
            }
            Language::Java => {
                build(folder.path(), &["javac", &name])?;
                vec!["java".to_owned(), stem]
            }
            Language::Interpreted(tool) => vec![tool.to_owned(), name],
            Language::Other => {
                let command = program.command.as_ref().ok_or("neither a language nor a command")?;
                command.iter().map(|word| word.replace("{file}", &name)).collect()
            }
        };
        words.extend(program.args.iter().cloned());
        for made in &program.files {
            noise(&folder.path().join(made))?;
        }
        Ok(Ready { folder, words })
    }

    /// Has a program analysed.
    ///
    /// # Errors
    /// What perfup said when it gave no answer.
    pub fn analyse(&self, ready: &Ready) -> Outcome<Answer> {
        let home = self.scratch.path().join("home");
        fs::create_dir_all(&home)?;
        let (out, err) = (home.join("stdout"), home.join("stderr"));
        let before = CpuTicks::now()?;
        let start = Instant::now();
        let mut child = Command::new(&self.analysis)
            .arg("--json")
            .arg("--")
            .args(&ready.words)
            .current_dir(ready.folder.path())
            .env("PATH", &self.path)
            .env("HOME", &home)
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?)
            .spawn()?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if start.elapsed() > PATIENCE {
                child.kill()?;
                break child.wait()?;
            }
            thread::sleep(LOOK);
        };
        let seconds = start.elapsed().as_secs_f64();
        if !status.success() {
            let said = fs::read_to_string(&err)?;
            let last: Vec<&str> = said.lines().rev().take(3).collect();
            return Err(format!("{status}: {}", last.join(" / ")).into());
        }
        let others = CpuTicks::now()?.others_since(&before);
        let document = serde_json::from_slice(&fs::read(&out)?)?;
        read(&document, seconds, others)
    }
}

/// CPU time since the machine has started, in clock ticks.
struct CpuTicks {
    /// Of all CPUs together, with and without the idle time.
    all: f64,
    busy: f64,
    /// Of this process' children that have ended, and theirs.
    children: f64,
    cpus: f64,
}

impl CpuTicks {
    fn now() -> Outcome<Self> {
        let machine = fs::read_to_string("/proc/stat")?;
        // user nice system idle iowait irq softirq steal; the times of guests are in user already (proc_stat(5)).
        let first = machine.lines().next().ok_or("/proc/stat is empty")?;
        let ticks: Vec<f64> =
            first.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let all: f64 = ticks.iter().sum();
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        let cpus = machine.lines().filter(|line| line.starts_with("cpu")).count() - 1;
        let own = fs::read_to_string("/proc/self/stat")?;
        // Fields 16 and 17 (proc_pid_stat(5)); the name, which is the second, may contain spaces.
        let (_, fields) = own.rsplit_once(')').ok_or("/proc/self/stat has no name")?;
        let children =
            fields.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
        Ok(Self { all, busy: all - idle, children, cpus: cpus as f64 })
    }

    fn others_since(&self, before: &Self) -> f64 {
        let others = (self.busy - before.busy) - (self.children - before.children);
        (others / (self.all - before.all).max(1.0) * self.cpus).max(0.0)
    }
}

fn build(folder: &Path, words: &[&str]) -> Outcome<()> {
    let (tool, rest) = words.split_first().ok_or("no compiler")?;
    let output = Command::new(tool).args(rest).current_dir(folder).output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}

/// Reads the document of an analysis.
fn read(document: &Value, seconds: f64, others: f64) -> Outcome<Answer> {
    let bottleneck = &document["bottleneck"];
    // A map, or pairs in an order.
    let shares: BTreeMap<Class, f64> = parsed(&document["shares"])?;
    let mut shares: Vec<(Class, f64)> = shares.into_iter().collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(Answer {
        class: parsed(&bottleneck["class"])?,
        confidence: parsed(&bottleneck["confidence"])?,
        apart_from_load: parsed(&bottleneck["apart_from_load"])?,
        shares,
        seconds,
        others,
    })
}

fn parsed<T: DeserializeOwned>(value: &Value) -> Outcome<T> {
    Ok(T::deserialize(value)?)
}

/// A file that nothing compresses, on the disk.
fn noise(path: &Path) -> Outcome<()> {
    let mut rng = Rng::new(1);
    let bytes: Vec<u8> = (0..NOISE_BYTES / 8).flat_map(|_| rng.bits().to_le_bytes()).collect();
    let mut file = File::create(path)?;
    file.write_all(&bytes)?;
    Ok(file.sync_all()?)
}
