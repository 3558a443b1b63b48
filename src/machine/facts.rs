//! What kind of machine this is, and how busy.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::files::Files;
use super::{Cgroup, Gpus};
use crate::config::Metric;
use crate::sys::powercap::{self, Meters};
use crate::sys::wire::Refused;
use crate::sys::{perf, procfs};

/// Hexadecimal digits of a fingerprint: 48 bits tell apart more machines than anyone compares.
const FINGERPRINT_DIGITS: usize = 12;

const GIB: u64 = 1 << 30;

/// Load per hardware thread above which two busy threads are likely to share a core.
const SMT_LOAD_MAX: f64 = 0.35;

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
    /// Whether the CPU may run above its base frequency; absent where the kernel does not say.
    pub turbo: Option<bool>,
    /// Whether two hardware threads share one core; absent where the kernel does not say.
    pub smt: Option<bool>,
    /// Whether the machine runs on its battery; absent where it has none.
    #[serde(default)]
    pub on_battery: Option<bool>,
    /// Whether a hypervisor shows itself.
    pub virtualised: bool,
    /// What this process's control groups allow it.
    #[serde(default)]
    pub cgroup: Cgroup,
    /// Whether the metrics that not every machine gives are there: instructions, cycles, energy.
    #[serde(default)]
    pub sources: BTreeMap<Metric, Source>,
    pub gpus: Gpus,
    /// Mean number of running or waiting tasks over the last minute, when the facts were read.
    pub load_1min: Option<f64>,
    /// Share of the last 10 seconds (0–1) in which some task waited for a CPU; absent where not measured.
    pub cpu_pressure_10s: Option<f64>,
    /// The same for memory that had to be freed first, and for storage.
    pub memory_pressure_10s: Option<f64>,
    pub io_pressure_10s: Option<f64>,
}

/// Whether the machine gives a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Available,
    Refused(Refused),
}

impl<T> From<Result<T, Refused>> for Source {
    fn from(offer: Result<T, Refused>) -> Self {
        offer.map_or_else(Self::Refused, |_| Self::Available)
    }
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
        let files = Files::of_this_machine();
        let pressure = |resource| procfs::pressure(resource).map(|pressure| pressure.some.ratio_10s);
        Ok(Self {
            cpu_model: cpus.first().map_or("", |cpu| cpu.brand()).trim().to_owned(),
            cores_logical: u32::try_from(cpus.len()).unwrap_or(u32::MAX),
            cores_available: cores_available(),
            memory_bytes: system.total_memory(),
            kernel_release: System::kernel_version().map_err(|error| FactsError(error.into()))?,
            arch: System::cpu_arch(),
            governor: files.governor(),
            turbo: files.turbo(),
            smt: files.smt(),
            on_battery: files.on_battery(),
            virtualised: files.virtualised(),
            cgroup: Cgroup::read(&files),
            sources: sources(),
            gpus: Gpus::read(),
            load_1min: procfs::load().map(|load| load.average[0]),
            cpu_pressure_10s: pressure("cpu"),
            memory_pressure_10s: pressure("memory"),
            io_pressure_10s: pressure("io"),
        })
    }

    /// Why the machine does not give a metric; absent where it does.
    #[must_use]
    pub fn refusal(&self, metric: &Metric) -> Option<&Refused> {
        match self.sources.get(metric)? {
            Source::Available => None,
            Source::Refused(refused) => Some(refused),
        }
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
        if self.on_battery == Some(true) {
            found.push("the machine runs on its battery, which slows it down: plug it in".to_owned());
        }
        if self.governor.as_deref() == Some("powersave") {
            found.push(
                "the frequency governor is powersave: speeds vary with the load; `cpupower frequency-set -g \
                 performance` steadies them"
                    .to_owned(),
            );
        }
        // Hypervisors show no frequencies that a guest could hold still.
        if self.turbo == Some(true) && !self.virtualised {
            found.push(
                "turbo is on: speeds vary with heat and with how many cores are busy; `echo 1 | sudo tee \
                 /sys/devices/system/cpu/intel_pstate/no_turbo` (elsewhere `echo 0 | sudo tee \
                 /sys/devices/system/cpu/cpufreq/boost`) steadies them"
                    .to_owned(),
            );
        }
        if self.smt == Some(true)
            && self.load_1min.is_some_and(|load| load > f64::from(self.cores_logical) * SMT_LOAD_MAX)
        {
            found.push(
                "cores are shared by two hardware threads (SMT), and there is enough other work that some share with \
                 the command, at about half speed: stop other programs, or `echo off | sudo tee \
                 /sys/devices/system/cpu/smt/control` while measuring"
                    .to_owned(),
            );
        }
        // A single thread never uses up a quota of one CPU or more; what several do is seen in the throttling.
        if let Some(cpus) = self.cgroup.cpus_max.filter(|&cpus| cpus < 1.0) {
            found.push(format!(
                "the control group allows {cpus:.2} CPUs: any busy program is stopped again and again; raise the \
                 quota (docker --cpus, Kubernetes limits.cpu, systemd CPUQuota) to 1 or more"
            ));
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

/// Tries them: whether a counter or a meter may be read shows only then.
fn sources() -> BTreeMap<Metric, Source> {
    let counters = perf::hardware().into_iter().map(|(name, offer)| (Metric::named(name), offer.into()));
    let energy = (Metric::Energy, Meters::open(Path::new(powercap::FOLDER)).into());
    counters.chain([energy]).collect()
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
            turbo: None,
            smt: None,
            on_battery: None,
            virtualised: false,
            cgroup: Cgroup::default(),
            sources: BTreeMap::from([(Metric::Energy, Source::Available)]),
            gpus: Gpus::Absent { reason: "none".to_owned() },
            load_1min: Some(0.5),
            cpu_pressure_10s: None,
            memory_pressure_10s: None,
            io_pressure_10s: None,
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
        check(|facts| facts.on_battery = Some(true), true);
        check(|facts| facts.io_pressure_10s = Some(0.9), true);
        check(|facts| facts.sources.clear(), true);
        check(|facts| facts.memory_bytes += 4096, true);
        check(|facts| facts.memory_bytes *= 2, false);
        check(|facts| facts.cpu_model.push('x'), false);
        check(|facts| facts.cores_available = 1, false);
        check(|facts| facts.governor = Some("powersave".to_owned()), false);
        check(|facts| facts.gpus = Gpus::Present(vec![]), false);
        assert_eq!(facts().fingerprint().len(), FINGERPRINT_DIGITS);
    }

    #[test]
    fn warnings_say_what_to_do() {
        let check = |change: fn(&mut Facts), words: &[&str]| {
            let mut changed = facts();
            change(&mut changed);
            let warnings = changed.warnings().join("\n");
            assert_eq!(words.is_empty(), warnings.is_empty(), "{warnings}");
            assert!(words.iter().all(|word| warnings.contains(word)), "{warnings}");
        };
        check(|_| {}, &[]);
        check(|facts| facts.load_1min = Some(1.9), &["load is 1.9"]);
        check(|facts| facts.governor = Some("powersave".to_owned()), &["cpupower"]);
        check(|facts| facts.on_battery = Some(true), &["battery", "plug it in"]);
        check(|facts| facts.on_battery = Some(false), &[]);
        check(|facts| facts.turbo = Some(true), &["no_turbo"]);
        check(|facts| (facts.turbo, facts.virtualised) = (Some(true), true), &[]);
        check(|facts| facts.turbo = Some(false), &[]);
        check(|facts| facts.smt = Some(true), &[]);
        check(|facts| (facts.smt, facts.load_1min) = (Some(true), Some(1.45)), &["SMT", "smt/control"]);
        check(|facts| facts.cgroup.cpus_max = Some(0.5), &["0.50 CPUs", "raise the quota"]);
        check(|facts| facts.cgroup.cpus_max = Some(1.5), &[]);
    }

    #[test]
    fn this_machine_has_facts() {
        let facts = Facts::read().unwrap();
        assert!(!facts.cpu_model.is_empty() && !facts.kernel_release.is_empty() && facts.memory_bytes > 0);
        assert!((1..=facts.cores_logical).contains(&facts.cores_available));
        for metric in [Metric::Instructions, Metric::Cycles, Metric::Energy] {
            let refusal = facts.refusal(&metric);
            assert!(refusal.is_none_or(|refused| !refused.reason.is_empty()), "{facts:?}");
            assert_eq!(facts.sources[&metric] == Source::Available, refusal.is_none());
        }
        assert_eq!(facts.refusal(&Metric::Wall), None);
    }

    #[test]
    fn facts_are_stored_and_read_back() {
        let text = serde_json::to_string(&facts()).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts());
    }
}
