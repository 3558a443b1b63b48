//! The least time that the machine and the work allow, as far as is known.
//!
//! In: [`Work`], declared or observed, and [`Rates`]. Out: a [`Floor`] with every [`Bound`] that was computed, so that a
//! reader sees which one binds and on what it rests.
//!
//! Where work is declared, the floor is the largest bound of what was declared: it holds for every program. Else it is
//! the largest of the bounds of what was seen, and holds for the same instructions: dividing them over the cores and
//! removing all waiting. Bounds of operations that could be spared (starting processes, flushing) are listed but do not
//! bind.
//!
//! **Invariant**: pure; a floor is never above the best measured time, whatever was declared or probed.

mod declared;
mod formulas;
mod observed;
mod rates;

use serde::{Deserialize, Serialize};

use super::Class;
use crate::config::DeclaredWork;
use crate::profile::Usage;
use crate::report::words;

pub use rates::Rates;

/// What a program has to do, and what it was seen doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Work {
    pub declared: DeclaredWork,
    pub observed: Observed,
}

impl Work {
    /// Whether the floor depends on what the machine can do. Without, time on its cores is all that counts.
    #[must_use]
    pub fn needs_rates(&self) -> bool {
        self.declared != DeclaredWork::default()
            || self.observed.class == Class::ProcessSpawn
            || self.observed.read_bytes.is_some_and(|bytes| bytes > UNNOTICED_BYTES)
    }
}

/// Reading so much takes a few milliseconds from any storage: it never binds.
const UNNOTICED_BYTES: f64 = 1e6;

/// What was seen of a program, medians over its runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub wall_s: f64,
    /// The best measured time.
    pub wall_s_min: f64,
    /// User and system time of the whole process tree.
    pub cpu_s: f64,
    /// Bytes that came from storage.
    pub read_bytes: Option<f64>,
    /// Processes that it started.
    pub processes: Option<f64>,
    /// Pages of memory that it touched for the first time.
    pub pages: Option<f64>,
    pub fsyncs: Option<f64>,
    pub syscalls: Option<f64>,
    /// What holds it back.
    pub class: Class,
    /// Share of the wall time per class, 0–1.
    pub shares: Vec<(Class, f64)>,
}

impl Observed {
    /// Of runs that were measured, and what was made of them.
    #[must_use]
    pub fn of(usage: &Usage, class: Class, shares: &[(Class, f64)]) -> Self {
        Self {
            wall_s: usage.wall_s,
            wall_s_min: usage.wall_s_min,
            cpu_s: usage.user_s + usage.sys_s,
            read_bytes: usage.read_bytes,
            // Everybody's on the machine; only this verdict has made sure that they are the program's.
            processes: usage.forks.filter(|_| class == Class::ProcessSpawn),
            pages: Some(usage.minor_faults),
            class,
            shares: shares.to_vec(),
            ..Self::default()
        }
    }
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            wall_s: 0.0,
            wall_s_min: 0.0,
            cpu_s: 0.0,
            read_bytes: None,
            processes: None,
            pages: None,
            fsyncs: None,
            syscalls: None,
            class: Class::NotEnoughEvidence,
            shares: Vec::new(),
        }
    }
}

/// The least time that the machine and the work allow, as far as is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    pub seconds: f64,
    /// Measured wall / floor, ≥ 1.
    pub ratio: f64,
    /// What binds, for example `CPU time on 2 cores`: the name of a candidate.
    pub binds: String,
    pub situation: Situation,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
    /// Every bound, largest first.
    #[serde(default)]
    pub candidates: Vec<Bound>,
}

/// A time that something about the program cannot go below.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    pub name: String,
    pub seconds: f64,
    /// How it comes about, with its numbers.
    pub formula: String,
    pub basis: Basis,
    /// Whether the program could do without this work; such a bound does not bind.
    pub avoidable: bool,
    /// What is taken for granted.
    pub assumes: String,
}

/// On what a bound rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Work that the owner of the benchmark has declared.
    Declared,
    /// What the program was seen to do.
    Observed,
    /// Neither.
    Assumed,
}

/// How far from its floor a program is, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Situation {
    /// Ratio below 1.5.
    NearOptimal,
    /// 1.5–3: scheduling or pipelining.
    Scheduling,
    /// 3–10.
    Architectural,
    /// Above 10.
    Algorithmic,
}

impl Situation {
    /// By the ratio of the measured time to the floor.
    #[must_use]
    pub fn of(ratio: f64) -> Self {
        match ratio {
            ratio if ratio < 1.5 => Self::NearOptimal,
            ratio if ratio < 3.0 => Self::Scheduling,
            ratio if ratio <= 10.0 => Self::Architectural,
            _ => Self::Algorithmic,
        }
    }

    /// For people: what the gap is usually made of.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NearOptimal => "near optimal: little is left without other work or another machine",
            Self::Scheduling => "a gap of scheduling: overlap, pipeline, use all cores",
            Self::Architectural => "an architectural gap: another structure of the same work",
            Self::Algorithmic => "an algorithmic gap: other work, or most of the time is no work at all",
        }
    }
}

impl Basis {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Observed => "observed",
            Self::Assumed => "assumed",
        }
    }
}

impl Bound {
    fn new(
        name: impl Into<String>,
        seconds: f64,
        formula: impl Into<String>,
        basis: Basis,
        assumes: impl Into<String>,
    ) -> Self {
        let (name, formula, assumes) = (name.into(), formula.into(), assumes.into());
        Self { name, seconds, formula, basis, avoidable: false, assumes }
    }

    fn avoidable(self) -> Self {
        Self { avoidable: true, ..self }
    }
}

/// Where the work is done.
#[derive(Debug, Clone, Copy)]
struct Machine<'a> {
    rates: &'a Rates,
    /// At least 1.
    cores: f64,
}

impl Machine<'_> {
    fn cores_words(&self) -> String {
        format!("{} core{}", self.cores, if self.cores == 1.0 { "" } else { "s" })
    }

    /// n · t / p of something that takes a core.
    fn operations(&self, name: &str, count: f64, cost_s: f64, basis: Basis) -> Bound {
        let formula =
            format!("{} × {} / {}", words::count(count), words::seconds(cost_s), self.cores_words());
        let seconds = formulas::divided(count, cost_s, self.cores);
        Bound::new(name, seconds, formula, basis, "they divide evenly over all cores")
    }
}

/// A number that a formula may use.
fn usable(number: Option<f64>) -> Option<f64> {
    number.filter(|number| number.is_finite() && *number > 0.0)
}

/// No program starts and ends faster, about; keeps the ratio of a program that only sleeps finite. Used where the probe
/// gave nothing.
const START_S: f64 = 5e-4;

const START: &str = "starting a program at all";

/// The floor of a program on `cores` cores.
#[must_use]
pub fn floor(work: &Work, rates: &Rates, cores: usize) -> Floor {
    let machine = Machine { rates, cores: cores.max(1) as f64 };
    let declared = declared::bounds(&work.declared, &machine);
    let holds_for_all = !declared.bounds.is_empty();
    let mut candidates = declared.bounds;
    candidates.push(start(rates));
    let mut seen = observed::bounds(&work.observed, &work.declared, &machine);
    if holds_for_all {
        // The same instructions need not be executed to do the declared work.
        seen.iter_mut().for_each(|bound| bound.avoidable = true);
        candidates.extend(critical_path(&work.declared));
    }
    candidates.extend(seen);
    candidates.retain(|bound| bound.seconds.is_finite() && bound.seconds >= 0.0);
    candidates.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let binding = candidates.iter().find(|bound| !bound.avoidable).cloned().unwrap_or_else(|| start(rates));
    let mut assumptions = vec![binding.assumes.clone()];
    assumptions.retain(|text| !text.is_empty());
    assumptions.extend(declared.left_out);
    assumptions.push(if holds_for_all {
        "the declared work is all there is to do".to_owned()
    } else {
        "the same instructions are executed; a better algorithm or better code goes below this".to_owned()
    });
    let known = |seconds| usable(Some(seconds)).unwrap_or(0.0);
    let (wall_s, best_s) = (known(work.observed.wall_s), known(work.observed.wall_s_min));
    if binding.seconds > best_s && best_s > 0.0 {
        assumptions.push(above_the_best(&binding, best_s));
    }
    let seconds = binding.seconds.min(best_s);
    let ratio = if seconds > 0.0 { (wall_s / seconds).clamp(1.0, f64::MAX) } else { f64::MAX };
    Floor { seconds, ratio, binds: binding.name, situation: Situation::of(ratio), assumptions, candidates }
}

/// Why a bound that a measurement has beaten is no bound.
fn above_the_best(bound: &Bound, best_s: f64) -> String {
    let why = match bound.basis {
        Basis::Declared => "less was done than declared, or sooner than declared",
        Basis::Observed | Basis::Assumed => "the program does as well as the machine was seen to",
    };
    let (computed, best) = (words::seconds(bound.seconds), words::seconds(best_s));
    format!("the bound comes to {computed}, and the program took {best}, which stands in its place: {why}")
}

fn start(rates: &Rates) -> Bound {
    match usable(rates.spawn_s) {
        Some(seconds) => {
            let formula = format!("{} from start to end of `true`", words::seconds(seconds));
            Bound::new(START, seconds, formula, Basis::Observed, "")
        }
        None => Bound::new(START, START_S, words::seconds(START_S), Basis::Assumed, ""),
    }
}

/// T∞ of declared work.
fn critical_path(work: &DeclaredWork) -> Option<Bound> {
    let seconds = usable(work.critical_path_s)?;
    let formula = words::seconds(seconds);
    Some(Bound::new("the critical path", seconds, formula, Basis::Declared, "all else runs beside it"))
}

#[cfg(test)]
mod tests;
