//! The energy meters of CPU packages (RAPL), as `/sys/class/powercap` shows them.
//!
//! A meter covers the whole package, whoever uses it: what a run adds to it includes everything else that ran meanwhile,
//! and the package's idle power.
//!
//! **Invariant**: a meter that cannot be read, or that may have gone round, makes the energy absent, never smaller.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::wire::Refused;

/// Where the kernel shows its meters.
pub const FOLDER: &str = "/sys/class/powercap";

/// No package takes more for long, watts: the largest ones are built for about half of it.
const POWER_MAX_W: f64 = 1000.0;

/// All packages' meters, held open.
#[derive(Debug)]
pub struct Meters(Vec<Meter>);

#[derive(Debug)]
struct Meter {
    file: File,
    /// The meter starts again at 0 after this, in µJ.
    range_uj: u64,
}

/// One reading of every meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readings {
    at: Instant,
    uj: Vec<u64>,
}

impl Meters {
    /// Opens the meters of all packages below `folder` ([`FOLDER`]).
    ///
    /// # Errors
    /// Why there is none, or none that may be read.
    pub fn open(folder: &Path) -> Result<Self, Refused> {
        let packages = packages(folder);
        if packages.is_empty() {
            return Err(Refused {
                reason: "this machine shows no energy meter".to_owned(),
                hint: Some(
                    "virtual machines hide them; on a bare machine `modprobe intel_rapl_msr` (Intel and AMD) shows \
                     them below /sys/class/powercap"
                        .to_owned(),
                ),
            });
        }
        let open = |package: &PathBuf| -> io::Result<Meter> {
            let range = fs::read_to_string(package.join("max_energy_range_uj"))?;
            let range_uj = range.trim().parse().map_err(io::Error::other)?;
            let mut meter = Meter { file: File::open(package.join("energy_uj"))?, range_uj };
            meter.read()?;
            Ok(meter)
        };
        packages.iter().map(open).collect::<io::Result<_>>().map(Self).map_err(|error| {
            let hint = "it takes root, or `sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj`: any program \
                        may then read them, which tells it something of what others compute";
            Refused {
                reason: format!("the energy meter cannot be read: {error}"),
                hint: (error.kind() == io::ErrorKind::PermissionDenied).then(|| hint.to_owned()),
            }
        })
    }

    /// Reads all of them; absent when any fails.
    pub fn read(&mut self) -> Option<Readings> {
        let uj = self.0.iter_mut().map(|meter| meter.read().ok()).collect::<Option<_>>()?;
        Some(Readings { at: Instant::now(), uj })
    }

    /// Energy between two readings in µJ, all packages together; absent when a meter may have gone round in between: the
    /// usual range of 262 kJ takes 262 s at the most power that a package may use.
    #[must_use]
    pub fn used_uj(&self, before: &Readings, after: &Readings) -> Option<u64> {
        let elapsed = after.at.saturating_duration_since(before.at);
        let used = self.0.iter().zip(before.uj.iter().zip(&after.uj)).map(|(meter, (&before, &after))| {
            // Below one whole round the difference is right, whether it has started again at 0 or not.
            let used =
                if after >= before { after - before } else { meter.range_uj.saturating_sub(before) + after };
            meter.lasts(elapsed).then_some(used)
        });
        used.sum()
    }
}

impl Meter {
    /// Whether its range takes longer than this, however much is used.
    fn lasts(&self, elapsed: Duration) -> bool {
        elapsed.as_secs_f64() * POWER_MAX_W < self.range_uj as f64 * 1e-6
    }

    fn read(&mut self) -> io::Result<u64> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        text.trim().parse().map_err(io::Error::other)
    }
}

/// Folders of the zones that are whole packages: their parts (cores, memory) are counted in them or not at all, and
/// the zone of the whole platform counts them again.
fn packages(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        // `intel-rapl-mmio:0` is the same package seen another way.
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("intel-rapl:")))
        .filter(|path| fs::read_to_string(path.join("name")).is_ok_and(|name| name.starts_with("package-")))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(root: &Path, folder: &str, name: &str, energy_uj: &str) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        fs::write(folder.join("max_energy_range_uj"), "262000000000\n").unwrap();
        fs::write(folder.join("energy_uj"), energy_uj).unwrap();
    }

    #[test]
    fn packages_are_added_up_and_may_start_again() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        zone(root, "intel-rapl:0", "package-0", "100\n");
        zone(root, "intel-rapl:1", "package-1", "261999999990\n");
        zone(root, "intel-rapl:0:0", "core", "50\n");
        zone(root, "intel-rapl:2", "psys", "7\n");
        zone(root, "intel-rapl-mmio:0", "package-0", "100\n");
        let mut meters = Meters::open(root).unwrap();
        let before = meters.read().unwrap();
        assert_eq!(before.uj, [100, 261_999_999_990]);
        fs::write(root.join("intel-rapl:0/energy_uj"), "600\n").unwrap();
        fs::write(root.join("intel-rapl:1/energy_uj"), "5\n").unwrap();
        fs::write(root.join("intel-rapl:0:0/energy_uj"), "90\n").unwrap();
        let after = meters.read().unwrap();
        assert_eq!(meters.used_uj(&before, &after), Some(500 + 10 + 5));
        assert_eq!(meters.used_uj(&after, &after), Some(0));
        // A run so long that a meter may have gone round has no energy, whether the meter shows less or more.
        let later = |seconds: u64| Readings { at: before.at + Duration::from_secs(seconds), ..after.clone() };
        assert_eq!(meters.used_uj(&before, &later(261)), Some(500 + 10 + 5));
        assert_eq!(meters.used_uj(&before, &later(263)), None);
        // A meter that breaks off makes no number.
        fs::write(root.join("intel-rapl:1/energy_uj"), "").unwrap();
        assert_eq!(meters.read(), None);
    }

    #[test]
    fn machines_without_meters_say_so() {
        let root = tempfile::tempdir().unwrap();
        let check = |folder: &Path, reason: &str| {
            let refused = Meters::open(folder).unwrap_err();
            assert!(refused.reason.contains(reason), "{refused:?}");
        };
        check(&root.path().join("none"), "no energy meter");
        zone(root.path(), "intel-rapl:0:0", "core", "50\n");
        check(root.path(), "no energy meter");
        zone(root.path(), "intel-rapl:0", "package-0", "what?\n");
        check(root.path(), "cannot be read");
    }
}
