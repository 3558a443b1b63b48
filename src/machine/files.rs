//! The kernel's files about the machine, below a root that is `/` but for tests.
//!
//! **Invariant**: a file that is missing, refused or strange is `None`, never a made-up number.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A tree with `proc` and `sys`.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::below("/")
    }

    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The text of a file, which is named relative to the root.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read(self.root.join(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first word of a file.
    pub fn value<T: FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        self.text(path)?.split_ascii_whitespace().next()?.parse().ok()
    }

    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.root.join(path).exists()
    }

    /// The frequency governor of the first CPU; absent where the kernel does not scale frequencies.
    #[must_use]
    pub fn governor(&self) -> Option<String> {
        self.value("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    }

    /// Whether the CPU may run above its base frequency while it is cool and few cores are busy.
    #[must_use]
    pub fn turbo(&self) -> Option<bool> {
        let cpu = Path::new("sys/devices/system/cpu");
        let intel = self.value::<u8>(cpu.join("intel_pstate/no_turbo")).map(|off| off == 0);
        intel.or_else(|| self.value::<u8>(cpu.join("cpufreq/boost")).map(|on| on == 1))
    }

    /// Whether two hardware threads share a core's units.
    #[must_use]
    pub fn smt(&self) -> Option<bool> {
        self.value::<u8>("sys/devices/system/cpu/smt/active").map(|active| active == 1)
    }

    /// Whether the machine runs on its battery; absent where it shows neither a battery nor a plug.
    #[must_use]
    pub fn on_battery(&self) -> Option<bool> {
        let supplies = Path::new("sys/class/power_supply");
        let mut discharging = None;
        for entry in fs::read_dir(self.root.join(supplies)).ok()?.flatten() {
            let supply = supplies.join(entry.file_name());
            let is =
                |file: &str, word: &str| self.value::<String>(supply.join(file)).as_deref() == Some(word);
            // Mice and keyboards have batteries too.
            if is("type", "Battery") && !is("scope", "Device") {
                discharging = Some(discharging == Some(true) || is("status", "Discharging"));
            } else if is("type", "Mains") && is("online", "1") {
                return Some(false);
            }
        }
        discharging
    }

    /// Whether a hypervisor shows itself: as a CPU flag on x86, in the device tree elsewhere.
    #[must_use]
    pub fn virtualised(&self) -> bool {
        let cpuinfo = self.text("proc/cpuinfo").unwrap_or_default();
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
        flags.is_some_and(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
            || self.has("proc/device-tree/hypervisor")
    }
}

#[cfg(test)]
pub(super) mod fixture {
    use super::Files;

    /// A tree of these files.
    pub struct Tree(tempfile::TempDir);

    impl Tree {
        pub fn new(files: &[(&str, &str)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                tree.write(path, text);
            }
            tree
        }

        pub fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub fn files(&self) -> Files {
            Files::below(self.0.path())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::Tree;

    const CPU: &str = "sys/devices/system/cpu";

    #[test]
    fn batteries_and_plugs() {
        let check = |files: &[(&str, &str)], expected: Option<bool>| {
            let files: Vec<(String, &str)> =
                files.iter().map(|(path, text)| (format!("sys/class/power_supply/{path}"), *text)).collect();
            let borrowed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, *text)).collect();
            assert_eq!(Tree::new(&borrowed).files().on_battery(), expected, "{files:?}");
        };
        let battery = [("BAT0/type", "Battery\n"), ("BAT0/status", "Discharging\n")];
        check(&[], None);
        check(&battery, Some(true));
        check(&[battery[0], ("BAT0/status", "Full\n")], Some(false));
        check(&[battery[0], battery[1], ("AC/type", "Mains\n"), ("AC/online", "1\n")], Some(false));
        check(&[battery[0], battery[1], ("AC/type", "Mains\n"), ("AC/online", "0\n")], Some(true));
        check(&[battery[0], battery[1], ("BAT0/scope", "Device\n")], None);
    }

    #[test]
    fn frequencies_and_threads() {
        let check = |files: &[(&str, &str)], governor: Option<&str>, turbo, smt| {
            let files: Vec<(String, &str)> =
                files.iter().map(|(path, text)| (format!("{CPU}/{path}"), *text)).collect();
            let borrowed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, *text)).collect();
            let tree = Tree::new(&borrowed);
            let files = tree.files();
            assert_eq!((files.governor().as_deref(), files.turbo(), files.smt()), (governor, turbo, smt));
        };
        check(&[], None, None, None);
        check(
            &[
                ("cpu0/cpufreq/scaling_governor", "powersave\n"),
                ("intel_pstate/no_turbo", "0\n"),
                ("smt/active", "1\n"),
            ],
            Some("powersave"),
            Some(true),
            Some(true),
        );
        check(&[("intel_pstate/no_turbo", "1\n"), ("smt/active", "0\n")], None, Some(false), Some(false));
        check(&[("cpufreq/boost", "1\n")], None, Some(true), None);
        check(&[("cpufreq/boost", "0\n")], None, Some(false), None);
        check(&[("cpufreq/boost", "\n"), ("smt/active", "yes\n")], None, None, None);
    }

    #[test]
    fn hypervisors_are_seen_in_the_flags_only() {
        let check = |path: &str, text: &str, expected: bool| {
            assert_eq!(Tree::new(&[(path, text)]).files().virtualised(), expected, "{text}");
        };
        check("proc/cpuinfo", "model name : a hypervisor\nflags\t\t: fpu hypervisor lm\n", true);
        check("proc/cpuinfo", "model name : a hypervisor\nflags\t\t: fpu lm\n", false);
        check("proc/cpuinfo", "", false);
        check("proc/device-tree/hypervisor/compatible", "linux,kvm", true);
    }
}
