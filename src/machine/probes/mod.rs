//! What this machine can do at best: rates and costs from which floors are computed.
//!
//! A probe repeats a small piece of work within a time budget and keeps the best that it saw, over all of its loops:
//! other work on the machine only ever makes it slower, so the best comes closest to the machine. What computes on one
//! core is timed by the CPU time of its thread, which a busy machine hardly changes; what waits, by the wall. Floors that rest on it
//! are therefore optimistic: rather too low than too high.
//!
//! **Invariant**: a probe that cannot be made is [`Reading::Absent`] with its reason, never a zero and never an error.

pub mod compute;
pub mod kernel;
pub mod memory;
pub mod messages;
pub mod processes;
pub mod storage;
mod store;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use self::memory::Field;
use self::storage::ScratchFile;
use super::Facts;
use crate::sys::clock::thread_cpu_time;

pub use store::{Kept, ProbeStore};

/// Every probe, in the order of the table. A new one is a constant in a file of this folder, and a line here.
pub const ALL: &[&Probe] = &[
    &compute::MULTIPLY_ADD,
    &kernel::SYSCALL,
    &kernel::PAGE_FAULT,
    &messages::PIPE,
    &messages::LOOPBACK,
    &processes::SPAWN,
    &processes::THREAD,
    &memory::READ_ONE,
    &memory::READ_ALL,
    &memory::COPY_ONE,
    &memory::COPY_ALL,
    &memory::LATENCY,
    &storage::WRITE,
    &storage::READ,
    &storage::RANDOM_READ,
    &storage::RANDOM_READS,
    &storage::FLUSH,
];

/// A cost or a rate that can be measured here.
#[derive(Debug)]
pub struct Probe {
    /// Kebab-case, unique; the stable name in `--json` and in the cache.
    pub id: &'static str,
    /// For people, short.
    pub what: &'static str,
    pub unit: Unit,
    pub of: Of,
    /// How it is measured, in a line.
    pub how: &'static str,
    measure: fn(&Bench<'_>) -> Result<Measured, String>,
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Time of one operation; less is better.
    Seconds,
    BytesPerSecond,
    /// 64-bit floating-point operations.
    FlopsPerSecond,
    OperationsPerSecond,
}

impl Unit {
    /// The better of two values.
    fn best(self, a: f64, b: f64) -> f64 {
        if self == Self::Seconds { a.min(b) } else { a.max(b) }
    }
}

/// What a value is a property of, and so how long it can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Host,
    /// The device below the folder that the user works in.
    Device,
}

/// What a probe gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// In the probe's unit; always positive and finite.
    Value {
        value: f64,
        /// What one should know about it, for example which loop was the best.
        note: Option<String>,
        /// Why it may be better than the machine, where that is so.
        flattered: Option<String>,
    },
    Absent {
        reason: String,
    },
}

/// The readings of one machine and one folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Probes {
    readings: BTreeMap<String, Reading>,
    /// Of the oldest reading, milliseconds since the Unix epoch.
    pub measured_at: i64,
    /// Mean number of running or waiting tasks over the minute before; absent where the kernel does not say.
    pub load_1min: Option<f64>,
}

impl Probes {
    /// The value of a probe, in its unit; absent where it could not be measured.
    #[must_use]
    pub fn value(&self, probe: &Probe) -> Option<f64> {
        match self.readings.get(probe.id)? {
            Reading::Value { value, .. } => Some(*value),
            Reading::Absent { .. } => None,
        }
    }

    /// What a probe gave; absent when it was never made.
    #[must_use]
    pub fn reading(&self, probe: &Probe) -> Option<&Reading> {
        self.readings.get(probe.id)
    }

    /// Whether so much else ran in the minute before that the readings may be worse than the machine.
    #[must_use]
    pub fn were_disturbed(&self, cores: u32) -> bool {
        self.load_1min.is_some_and(|load| load > LOAD_MAX * f64::from(cores))
    }
}

/// Load per core above which some probe is likely to share its core all the time: half, for the average lags.
const LOAD_MAX: f64 = 0.5;

/// The probes of this machine as they are kept, and those that are not kept, measured now and kept.
///
/// `folder` is where the user works: its device is probed, through a nameless file that is gone afterwards. With `fresh`
/// all is measured again, and of what was kept the better value stays. `before` is called once before anything is
/// measured, and what it gives is held until all is; measuring takes about two seconds at most.
///
/// # Errors
/// Those of `before`.
pub fn probes<G, E>(
    facts: &Facts,
    folder: &Path,
    store: &ProbeStore,
    fresh: bool,
    before: impl FnOnce() -> Result<G, E>,
) -> Result<(Probes, Kept), E> {
    let bench = Bench::new(folder, facts);
    let (mut before, mut held) = (Some(before), None);
    let mut all = Probes { measured_at: i64::MAX, load_1min: None, readings: BTreeMap::new() };
    let mut kept = Kept::default();
    for of in [Of::Host, Of::Device] {
        let key = store::Key::new(facts, folder, of);
        let found = key.as_ref().and_then(|key| store.find(key));
        let set = match found {
            Some(found) if !fresh => found,
            found => {
                kept.measured += 1;
                if let Some(before) = before.take() {
                    held = Some(before()?);
                }
                let mut set = bench.measure(of, facts);
                if let Some(found) = found {
                    set.keep_better(found);
                }
                if let Some(key) = &key
                    && let Err(error) = store.keep(key, &set)
                {
                    kept.unwritable = Some(error.to_string());
                }
                set
            }
        };
        all.measured_at = all.measured_at.min(set.measured_at);
        all.load_1min = [all.load_1min, set.load_1min].into_iter().flatten().reduce(f64::max);
        all.readings.extend(set.readings);
    }
    drop(held);
    Ok((all, kept))
}

/// The probes as they are kept; absent where some are not.
#[must_use]
pub fn kept_probes(facts: &Facts, folder: &Path, store: &ProbeStore) -> Option<Probes> {
    /// There is something to measure.
    struct Missing;
    probes(facts, folder, store, false, || Err::<(), _>(Missing)).ok().map(|(probes, _)| probes)
}

/// One set of readings, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Set {
    measured_at: i64,
    load_1min: Option<f64>,
    readings: BTreeMap<String, Reading>,
}

impl Set {
    /// Takes an earlier reading where it is better: other work can only have made the later one worse.
    fn keep_better(&mut self, earlier: Self) {
        for probe in ALL {
            let Some(before @ Reading::Value { value, flattered: is_before, .. }) =
                earlier.readings.get(probe.id)
            else {
                continue;
            };
            let is_better = match self.readings.get(probe.id) {
                // What is better than the machine does not count beside what is not.
                Some(Reading::Value { value: now, flattered: is_now, .. }) => {
                    match (is_before.is_some(), is_now.is_some()) {
                        (true, false) => false,
                        (false, true) => true,
                        _ => probe.unit.best(*value, *now).total_cmp(now).is_ne(),
                    }
                }
                Some(Reading::Absent { .. }) => true,
                None => false,
            };
            if is_better {
                self.readings.insert(probe.id.to_owned(), before.clone());
            }
        }
    }
}

/// A value and what there is to say about it.
#[derive(Debug)]
struct Measured {
    value: f64,
    note: Option<String>,
    flattered: Option<String>,
}

impl From<f64> for Measured {
    fn from(value: f64) -> Self {
        Self { value, note: None, flattered: None }
    }
}

/// What the probes of one folder share: large things that are made once, when the first one needs them.
#[derive(Debug)]
struct Bench<'a> {
    folder: &'a Path,
    started: Instant,
    /// Threads that "all cores" means.
    cores: usize,
    /// Bytes of memory that may be used for a while.
    memory_bytes_max: u64,
    field: OnceCell<Result<RefCell<Field>, String>>,
    file: OnceCell<Result<ScratchFile, String>>,
}

/// Share of the memory that probes may use for a while.
const MEMORY_SHARE: u64 = 8;

impl<'a> Bench<'a> {
    fn new(folder: &'a Path, facts: &Facts) -> Self {
        let limit = facts.cgroup.memory_bytes_max.unwrap_or(u64::MAX);
        Self {
            folder,
            started: Instant::now(),
            cores: facts.cores_available.max(1) as usize,
            memory_bytes_max: facts.memory_bytes.min(limit) / MEMORY_SHARE,
            field: OnceCell::new(),
            file: OnceCell::new(),
        }
    }

    /// Seconds of one operation at best: `once` does some, and says what one of them took.
    ///
    /// # Errors
    /// Those of `once`.
    fn least<E>(
        &self,
        budget: Duration,
        repeats_min: u32,
        mut once: impl FnMut() -> Result<f64, E>,
    ) -> Result<f64, E> {
        let start = Instant::now();
        let (budget, repeats_min) =
            if self.started.elapsed() < LATE { (budget, repeats_min) } else { (budget / 4, 1) };
        let mut least = once()?;
        let mut repeats = 1;
        while repeats < repeats_min || start.elapsed() < budget {
            least = least.min(once()?);
            repeats += 1;
        }
        Ok(least)
    }

    /// Makes all probes of one kind.
    fn measure(&self, of: Of, facts: &Facts) -> Set {
        let readings = ALL.iter().filter(|probe| probe.of == of).map(|probe| {
            let reading = match (probe.measure)(self) {
                Ok(Measured { value, note, flattered }) if value.is_finite() && value > 0.0 => {
                    Reading::Value { value, note, flattered }
                }
                Ok(Measured { value, .. }) => {
                    Reading::Absent { reason: format!("the clock gave {value}, which is no rate or cost") }
                }
                Err(reason) => Reading::Absent { reason },
            };
            (probe.id.to_owned(), reading)
        });
        let readings = readings.collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Set { measured_at: now.as_millis() as i64, load_1min: facts.load_1min, readings }
    }
}

/// Time that a probe of something quick may take.
const BUDGET: Duration = Duration::from_millis(60);

/// Repeats that are made however long they take, as long as there is time for all probes.
const REPEATS_MIN: u32 = 2;

/// Time after which every further probe has to hurry: the machine is far too busy for the best to be seen.
const LATE: Duration = Duration::from_millis(1600);

/// Seconds of one of `count` calls of something that never waits: time in which others had the CPU does not count.
///
/// # Errors
/// Where the kernel has no such clock.
fn seconds_each(count: u32, mut call: impl FnMut()) -> Result<f64, String> {
    let start = thread_cpu_time();
    for _ in 0..count {
        call();
    }
    let seconds = thread_cpu_time().saturating_sub(start).as_secs_f64() / f64::from(count);
    if seconds > 0.0 {
        Ok(seconds)
    } else {
        Err("the clock of this thread's CPU time does not advance".to_owned())
    }
}

/// Does `work` on every part, each in a thread of its own, and says how many seconds passed from the first start to the
/// last end.
///
/// # Errors
/// When a thread cannot be started, or what `work` says.
fn together<T: Send>(parts: Vec<T>, work: impl Fn(T) -> Result<(), String> + Sync) -> Result<f64, String> {
    let all_ready = Barrier::new(parts.len());
    let (all_ready, work) = (&all_ready, &work);
    let spans = thread::scope(|scope| {
        let threads: Vec<_> = parts
            .into_iter()
            .map(|part| {
                scope.spawn(move || {
                    all_ready.wait();
                    let start = Instant::now();
                    work(part).map(|()| (start, Instant::now()))
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err("a thread of the probe ended early".to_owned()))
        });
        joined.collect::<Result<Vec<_>, String>>()
    })?;
    let start = spans.iter().map(|(start, _)| *start).min();
    let end = spans.iter().map(|(_, end)| *end).max();
    match (start, end) {
        (Some(start), Some(end)) => Ok(end.duration_since(start).as_secs_f64()),
        _ => Err("there was nothing to do".to_owned()),
    }
}

/// Said where loops were not compiled to be fast.
fn build_note() -> Option<String> {
    cfg!(debug_assertions)
        .then(|| "this perfup was built without optimisation: far from the machine".to_owned())
}

#[cfg(test)]
mod tests;
