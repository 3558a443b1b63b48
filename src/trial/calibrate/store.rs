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

    /// The newest one that says something of verdicts like those asked for; absent when there is none, or none to be
    /// read.
    #[must_use]
    pub fn latest(&self, asked: &Asked<'_>) -> Option<Calibration> {
        let lines = BufReader::new(File::open(&self.path).ok()?).lines();
        lines
            .map_while(Result::ok)
            // A line that a crash cut short, or that a later version wrote, is not ours to read.
            .filter_map(|line| serde_json::from_str::<Calibration>(&line).ok())
            .filter(|found| asked.fits(found))
            .last()
    }
}

/// The verdicts of which a calibration should tell how often they are right.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The machine's.
    pub fingerprint: &'a str,
    pub metric: &'a Metric,
    pub alpha: f64,
    pub min_effect: f64,
}

impl Asked<'_> {
    /// Another version of perfup may decide by other rules. How many pairs there were and how long a run took is told with
    /// the citation: those differ from one measurement to the next.
    fn fits(&self, found: &Calibration) -> bool {
        found.perfup == env!("CARGO_PKG_VERSION")
            && found.fingerprint == self.fingerprint
            && found.metric == *self.metric
            && found.alpha == self.alpha
            && found.min_effect == self.min_effect
    }
}

#[cfg(test)]
mod tests {
    use super::super::Noise;
    use super::*;

    fn calibration(seed: u64) -> Calibration {
        Calibration {
            fingerprint: "here".to_owned(),
            created_at: 0,
            perfup: env!("CARGO_PKG_VERSION").to_owned(),
            noise: Noise::Present,
            metric: Metric::Wall,
            alpha: 0.01,
            min_effect: 0.01,
            pairs_max: 60,
            run_s: 0.005,
            load_1min: None,
            rates: Vec::new(),
            seed,
            cut_short: false,
        }
    }

    #[test]
    fn only_a_calibration_of_the_same_rules_is_cited() {
        let folder = tempfile::tempdir().unwrap();
        let store = Calibrations::new(folder.path());
        let asked = Asked { fingerprint: "here", metric: &Metric::Wall, alpha: 0.01, min_effect: 0.01 };
        assert_eq!(store.latest(&asked), None);
        let fitting = calibration(1);
        store.append(&fitting).unwrap();
        let others = [
            Calibration { fingerprint: "there".to_owned(), ..calibration(2) },
            Calibration { perfup: "0.0.0".to_owned(), ..calibration(3) },
            Calibration { metric: Metric::Cpu, ..calibration(4) },
            Calibration { alpha: 0.05, ..calibration(5) },
            Calibration { min_effect: 0.02, ..calibration(6) },
        ];
        for other in &others {
            store.append(other).unwrap();
            assert_eq!(store.latest(&asked).as_ref(), Some(&fitting), "{other:?}");
        }
        let newer = calibration(7);
        store.append(&newer).unwrap();
        assert_eq!(store.latest(&asked), Some(newer));
    }
}
