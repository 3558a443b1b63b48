//! Hypotheses: what might help, ranked.
//!
//! **Invariant**: pure; it orders proposals and never makes or measures one.

mod rank;

use serde::{Deserialize, Serialize};

use crate::config::Policy;
use crate::diagnose::Level;

pub use rank::{Ranked, rank};

/// A change that somebody proposes, before it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// Stable across rounds and sessions while the code it speaks of is the same:
    /// `<executor>/<what>:<path>:<scope>`, never a line number.
    pub key: String,
    /// Who makes it: an id of `delegate::EXECUTORS`.
    pub executor: String,
    /// The recipe, or other maker within the executor.
    pub recipe: String,
    /// One line in the imperative, at most 72 characters; becomes the commit's subject.
    pub title: String,
    /// Why this should help, in one to three sentences.
    pub rationale: String,
    pub sites: Vec<Site>,
    pub level: Level,
    pub soundness: Soundness,
    /// Expected speed-up of the whole program, as a range of factors.
    pub expected: (f64, f64),
    pub scores: Scores,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Relative to the root.
    pub path: String,
    /// 1-based; absent for a whole file.
    pub line: Option<u32>,
}

/// How far a change can be trusted to keep the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Soundness {
    /// Keeps the meaning of every program it applies to.
    Sound,
    /// Keeps it for usual programs; the oracle must agree.
    NeedsOracle,
    /// Legitimate only where the user allowed it.
    PolicyOnly(Policy),
}

/// Each 1–5; the priority is their product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores {
    pub impact: u8,
    pub ease: u8,
    pub coverage: u8,
    pub safety: u8,
}

impl Scores {
    /// Impact × ease × coverage × safety, 1–625.
    #[must_use]
    pub fn priority(self) -> u16 {
        [self.impact, self.ease, self.coverage, self.safety].into_iter().map(u16::from).product()
    }
}

/// The queue's four shelves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    P0,
    P1,
    P2,
    P3,
}

impl Priority {
    /// Bounds are the products of four 4s, of 3.5s rounded, and of 2.5s.
    #[must_use]
    pub fn of(scores: Scores) -> Self {
        match scores.priority() {
            256.. => Self::P0,
            150..=255 => Self::P1,
            40..=149 => Self::P2,
            _ => Self::P3,
        }
    }
}
