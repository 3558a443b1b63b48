//! Is the candidate an honest change? Checked before anything of it is run.

mod artefacts;
mod protected;

pub use artefacts::built_artefact;
pub use protected::{Protection, Tamper};
