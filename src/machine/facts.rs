//! What kind of machine this is, and how busy.

use std::error::Error;
use std::fmt::Write;
use std::fs;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::Gpus;
use crate::sys::procfs;

/// Hexadecimal digits of a fingerprint: 48 bits tell apart more machines than anyone compares.
const FINGERPRINT_DIGITS: usize = 12;

const GIB: u64 = 1 << 30;

/// Everything about the machine that a measurement should be read with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub cpu_model: String,
    /// CPUs the kernel has online, whoever may use them.
    pub cores_logical: u32,
    /// CPUs this process may use, see [`cores_available`].
    pub cores_available: u32,
    pub memory_bytes: u64,
    pub kernel_release: String,
    /// For example `x86_64`.
    pub arch: String,
    /// The frequency governor of the first CPU; absent where the kernel does not scale frequencies.
    pub governor: Option<String>,
    /// Whether a hypervisor shows itself.
    pub virtualised: bool,
    pub gpus: Gpus,
    /// Mean number of running or waiting tasks over the last minute, when the facts were read.
    pub load_1min: Option<f64>,
    /// Share of the last 10 seconds (0–1) in which some task waited for a CPU; absent where not measured.
    pub cpu_pressure_10s: Option<f64>,
}

/// The machine does not say what it is.
#[derive(Debug, thiserror::Error)]
#[error("read what the system says of its CPUs and memory")]
pub struct FactsError(#[source] Box<dyn Error + Send + Sync>);

impl Facts {
    /// Reads them now: some milliseconds, so never while something is being measured.
    ///
    /// # Errors
    /// When the system shows neither CPUs nor memory, for example without `/proc`.
    pub fn read() -> Result<Self, FactsError> {
        let wanted = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(wanted).map_err(|error| FactsError(error.into()))?;
        let cpus = system.cpus();
        Ok(Self {
            cpu_model: cpus.first().map_or("", |cpu| cpu.brand()).trim().to_owned(),
            cores_logical: u32::try_from(cpus.len()).unwrap_or(u32::MAX),
            cores_available: cores_available(),
            memory_bytes: system.total_memory(),
            kernel_release: System::kernel_version().map_err(|error| FactsError(error.into()))?,
            arch: System::cpu_arch(),
            governor: read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            virtualised: is_virtualised(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
                || fs::exists("/proc/device-tree/hypervisor").unwrap_or(false),
            gpus: Gpus::read(),
            load_1min: procfs::load().map(|load| load.average[0]),
            cpu_pressure_10s: procfs::pressure("cpu").map(|pressure| pressure.some.ratio_10s),
        })
    }

    /// What about the machine makes measurements worse, and what to do about it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let cores = f64::from(self.cores_available);
        if let Some(load) = self.load_1min.filter(|&load| load > cores * 0.75) {
            found.push(format!(
                "the load is {load:.1} on {} CPUs: other programs are running; stop them, or expect to need more pairs",
                self.cores_available
            ));
        }
        if self.governor.as_deref() == Some("powersave") {
            found.push(
                "the frequency governor is powersave: speeds vary with the load; `cpupower frequency-set -g \
                 performance` steadies them"
                    .to_owned(),
            );
        }
        found
    }

    /// A short hash of what stays: equal fingerprints mean that measurements may be compared.
    ///
    /// Memory counts in whole GiB, because kernels reserve a little more or less at each boot.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let stable = (
            &self.cpu_model,
            self.cores_logical,
            self.cores_available,
            (self.memory_bytes + GIB / 2) / GIB,
            (&self.kernel_release, &self.arch, &self.governor, self.virtualised, &self.gpus),
        );
        let mut digits = String::new();
        for byte in Sha256::digest(format!("{stable:?}")).iter().take(FINGERPRINT_DIGITS / 2) {
            // Writing to a `String` cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }
}

/// CPUs that this process can keep busy: the affinity mask, and the quota of its control groups (v1 and v2) in whole
/// CPUs.
#[must_use]
pub fn cores_available() -> u32 {
    // The standard library looks at exactly these; where it cannot, one is what there is for sure.
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

fn read_line(path: &str) -> Option<String> {
    let line = fs::read_to_string(path).ok()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}

/// x86 hypervisors show themselves as a CPU flag.
fn is_virtualised(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            cpu_model: "Some CPU @ 2.00GHz".to_owned(),
            cores_logical: 4,
            cores_available: 2,
            memory_bytes: 16 * GIB - 300_000_000,
            kernel_release: "6.1.0".to_owned(),
            arch: "x86_64".to_owned(),
            governor: None,
            virtualised: false,
            gpus: Gpus::Absent { reason: "none".to_owned() },
            load_1min: Some(0.5),
            cpu_pressure_10s: None,
        }
    }

    #[test]
    fn the_fingerprint_follows_the_machine_and_not_its_load() {
        let check = |change: fn(&mut Facts), expected: bool| {
            let mut changed = facts();
            change(&mut changed);
            assert_eq!(changed.fingerprint() == facts().fingerprint(), expected, "{changed:?}");
        };
        check(|_| {}, true);
        check(|facts| facts.load_1min = Some(9.0), true);
        check(|facts| facts.cpu_pressure_10s = Some(0.9), true);
        check(|facts| facts.memory_bytes += 4096, true);
        check(|facts| facts.memory_bytes *= 2, false);
        check(|facts| facts.cpu_model.push('x'), false);
        check(|facts| facts.cores_available = 1, false);
        check(|facts| facts.governor = Some("powersave".to_owned()), false);
        check(|facts| facts.gpus = Gpus::Present(vec![]), false);
        assert_eq!(facts().fingerprint().len(), FINGERPRINT_DIGITS);
    }

    #[test]
    fn hypervisors_are_seen_in_the_flags_only() {
        assert!(is_virtualised("model name : a hypervisor\nflags\t\t: fpu hypervisor lm\n"));
        assert!(!is_virtualised("model name : a hypervisor\nflags\t\t: fpu lm\n"));
        assert!(!is_virtualised(""));
    }

    #[test]
    fn this_machine_has_facts() {
        let facts = Facts::read().unwrap();
        assert!(!facts.cpu_model.is_empty() && !facts.kernel_release.is_empty() && facts.memory_bytes > 0);
        assert!((1..=facts.cores_logical).contains(&facts.cores_available));
    }

    #[test]
    fn facts_are_stored_and_read_back() {
        let text = serde_json::to_string(&facts()).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts());
    }
}
