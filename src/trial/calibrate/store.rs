//! Calibrations as they are kept: one JSON line each, in the user's state folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::Calibration;
use crate::config::Metric;

/// A file of calibrations.
#[derive(Debug, Clone)]
pub struct Calibrations {
    path: PathBuf,
}

impl Calibrations {
    /// `state` is the folder for what perfup remembers of this user and machine.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { path: state.join("calibrations.jsonl") }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one.
    ///
    /// # Errors
    /// The file system's.
    pub fn append(&self, calibration: &Calibration) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut line = serde_json::to_string(calibration)?;
        line.push('\n');
        // One write of one line: two processes that append at once do not mix.
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(line.as_bytes())
    }

    /// The newest one made on a machine of this fingerprint for this metric at this α; absent when there is none, or none
    /// to be read.
    #[must_use]
    pub fn latest(&self, fingerprint: &str, metric: &Metric, alpha: f64) -> Option<Calibration> {
        let lines = BufReader::new(File::open(&self.path).ok()?).lines();
        lines
            .map_while(Result::ok)
            // A line that a crash cut short, or that a later version wrote, is not ours to read.
            .filter_map(|line| serde_json::from_str::<Calibration>(&line).ok())
            .filter(|found| {
                found.fingerprint == fingerprint && found.metric == *metric && found.alpha == alpha
            })
            .last()
    }
}
