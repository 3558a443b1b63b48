//! The loop: from "it is slow" to a verified, committed speed-up.
//!
//! A session measures the original against itself, learns what it does, finds where the time goes, then tries one
//! hypothesis after another, each in a worktree of its own, keeps what is proven and logs everything; at the end it
//! measures the tip against the origin afresh. **Invariant**: this room decides the order of things and nothing else:
//! what is true is for `stats`, `verify` and `diagnose` to say, and it tells people through [`Event`]s only.

mod analysis;
mod attempt;
mod claim;
mod closing;
mod comparison;
mod context;
mod error;
mod event;
mod floor;
mod housekeeping;
mod incumbent;
mod layout;
mod lock;
mod objectives;
mod record;
mod relearning;
mod rounds;
mod session;
mod written;

pub use analysis::{
    Analysis, AttachError, Document, Ending, SourceState, Watch, analyse, attach, document, sources,
};
pub use claim::Claim;
pub use context::Setup;
pub use error::ExperimentError;
pub use event::{Event, Events, Phase};
pub use floor::{FloorReport, ProbeLine, Program, floor_report};
pub use housekeeping::{Cleaned, SessionStatus, clean, status};
pub use layout::{Layout, measure_lock};
pub use objectives::Guarded;
pub use session::{Guesses, Summary, resume, run};
