//! Places in the source that are known to be slow, and whether the measured time agrees.
//!
//! Rules are data (`rules/`, and the user's in `.perfup/rules/`): [`Rules::scan`] matches them against the text of a
//! file, [`rank`] holds each match against what was measured. **Invariant**: pure but for reading the user's rules; a
//! finding is confirmed by measured time only, never by its looks.

mod error;
mod files;
mod languages;
mod rank;
mod rule;
mod rules;
mod scan;
mod text;

pub use error::FindingsError;
pub use files::files_to_scan;
pub use rank::{Finding, LineShare, Measured, rank};
pub use rule::Grade;
pub use rules::Rules;
pub use scan::{FILE_BYTES_MAX, Found};
