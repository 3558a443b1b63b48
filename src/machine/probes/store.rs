//! Readings as they are kept: a JSON file for each machine, and for each machine and device, in the user's cache folder.
//!
//! **Invariant**: a file that is torn, old or of somebody else is as good as none.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{ALL, Of, Reading, Set};
use crate::machine::Facts;

/// After this time readings are made again: drives fill up, firmware changes, and a reading that was too good to be true
/// must not stay for ever.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// A folder of readings.
#[derive(Debug, Clone)]
pub struct ProbeStore {
    folder: PathBuf,
}

/// What came of keeping them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Sets that had to be measured, of two: the host's and the device's.
    pub measured: u32,
    /// Why what was measured could not be kept.
    pub unwritable: Option<String>,
}

/// What a set of readings is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// The machine's, which its kernel is part of.
    fingerprint: String,
    /// The device's number, for readings of a device.
    device: Option<u64>,
    /// Another version may probe otherwise.
    perfup: String,
    /// Loops that are not optimised say nothing of the machine.
    optimised: bool,
}

/// The content of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    key: Key,
    set: Set,
}

impl Kept {
    /// Whether nothing had to be measured.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        self.measured == 0
    }
}

impl Key {
    /// Absent where the folder has no device that could be told.
    pub fn new(facts: &Facts, folder: &Path, of: Of) -> Option<Self> {
        let device = match of {
            Of::Host => None,
            Of::Device => Some(fs::metadata(folder).ok()?.dev()),
        };
        Some(Self {
            fingerprint: facts.fingerprint(),
            device,
            perfup: env!("CARGO_PKG_VERSION").to_owned(),
            optimised: !cfg!(debug_assertions),
        })
    }

    fn file_name(&self) -> String {
        match self.device {
            None => format!("{}.json", self.fingerprint),
            Some(device) => format!("{}-{device:x}.json", self.fingerprint),
        }
    }

    fn of(&self) -> Of {
        if self.device.is_some() { Of::Device } else { Of::Host }
    }
}

impl ProbeStore {
    /// `cache` is the user's cache folder.
    #[must_use]
    pub fn new(cache: &Path) -> Self {
        Self { folder: cache.join("perfup").join("probes") }
    }

    /// What was kept of exactly this, and is complete and young enough.
    pub(super) fn find(&self, key: &Key) -> Option<Set> {
        let text = fs::read(self.folder.join(key.file_name())).ok()?;
        let entry: Entry = serde_json::from_slice(&text).ok()?;
        let set = entry.set;
        let wanted = ALL.iter().filter(|probe| probe.of == key.of());
        let is_complete = wanted.clone().all(|probe| match set.readings.get(probe.id) {
            Some(Reading::Value { value, .. }) => value.is_finite() && *value > 0.0,
            Some(Reading::Absent { .. }) => true,
            None => false,
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        let is_young = (0..=AGE_MAX.as_millis() as i64).contains(&(now - set.measured_at));
        let is_ours = entry.key == *key && set.readings.len() == wanted.count();
        (is_ours && is_complete && is_young).then_some(set)
    }

    /// Replaces what was kept of this, in one step.
    pub(super) fn keep(&self, key: &Key, set: &Set) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer(&mut file, &Entry { key: key.clone(), set: set.clone() })?;
        file.flush()?;
        file.persist(self.folder.join(key.file_name()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(device: Option<u64>) -> Key {
        Key { fingerprint: "here".to_owned(), device, perfup: "1".to_owned(), optimised: true }
    }

    fn set(of: Of) -> Set {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let probes = ALL.iter().filter(|probe| probe.of == of);
        Set {
            measured_at: now - 1000,
            load_1min: Some(0.5),
            readings: probes
                .map(|probe| {
                    (probe.id.to_owned(), Reading::Value { value: 1.5, note: None, flattered: None })
                })
                .collect(),
        }
    }

    #[test]
    fn what_was_kept_is_found_under_its_own_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = ProbeStore::new(folder.path());
        let (host, device) = (key(None), key(Some(0xfe01)));
        assert_eq!(store.find(&host), None);
        store.keep(&host, &set(Of::Host)).unwrap();
        store.keep(&device, &set(Of::Device)).unwrap();
        assert!(store.find(&host).is_some() && store.find(&device).is_some());
        let others = [
            Key { perfup: "2".to_owned(), ..host.clone() },
            Key { optimised: false, ..host.clone() },
            Key { fingerprint: "there".to_owned(), ..host.clone() },
            key(Some(0xfe02)),
        ];
        assert!(others.iter().all(|other| store.find(other).is_none()));
        assert_eq!(store.folder.read_dir().unwrap().count(), 2, "nothing but the two files");
    }

    #[test]
    fn broken_old_and_incomplete_files_are_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = ProbeStore::new(folder.path());
        let key = key(None);
        let check = |change: &dyn Fn(&mut Set), expected: bool| {
            let mut changed = set(Of::Host);
            change(&mut changed);
            store.keep(&key, &changed).unwrap();
            assert_eq!(store.find(&key).is_some(), expected, "{changed:?}");
        };
        check(&|_| {}, true);
        check(&|set| set.measured_at -= AGE_MAX.as_millis() as i64, false);
        check(&|set| set.measured_at += 60_000, false);
        check(&|set| drop(set.readings.pop_first()), false);
        let put = |set: &mut Set, reading| set.readings.insert("syscall".to_owned(), reading);
        check(&|set| drop(put(set, Reading::Value { value: 0.0, note: None, flattered: None })), false);
        check(&|set| drop(put(set, Reading::Absent { reason: "x".to_owned() })), true);
        store.keep(&key, &set(Of::Host)).unwrap();
        let path = store.folder.join(key.file_name());
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(store.find(&key), None, "{length} bytes");
        }
        fs::write(&path, [0xff; 100]).unwrap();
        assert_eq!(store.find(&key), None);
    }
}
