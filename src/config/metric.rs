//! The numbers that runs give: built-in ones, and those that a program reports itself.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that every run gives, lower is better unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Wall-clock seconds of the whole process tree.
    Wall,
    /// CPU seconds in user mode of the whole process tree.
    User,
    /// CPU seconds in the kernel of the whole process tree.
    Sys,
    /// User plus system CPU seconds.
    Cpu,
    /// Peak resident set of the largest process, bytes.
    PeakRss,
    /// Page faults served without storage.
    PageFaults,
    /// Page faults that had to wait for storage.
    MajorFaults,
    /// Voluntary context switches: the program waited.
    ContextSwitches,
    /// Involuntary context switches: something else took the CPU.
    InvoluntarySwitches,
    /// Bytes fetched from storage.
    ReadBytes,
    /// Bytes sent towards storage.
    WriteBytes,
    /// Instructions in user mode, where the machine counts them.
    Instructions,
    /// CPU cycles in user mode, where the machine counts them.
    Cycles,
    /// Joules that the CPU packages used during the run, whoever used them.
    Energy,
    /// Seconds in which the program could have run but had no CPU.
    RunqueueWait,
    /// A number that the program reports itself.
    Custom(String),
}

impl Metric {
    pub const BUILT_IN: &[Self] = &[
        Self::Wall,
        Self::User,
        Self::Sys,
        Self::Cpu,
        Self::PeakRss,
        Self::PageFaults,
        Self::MajorFaults,
        Self::ContextSwitches,
        Self::InvoluntarySwitches,
        Self::ReadBytes,
        Self::WriteBytes,
        Self::Instructions,
        Self::Cycles,
        Self::Energy,
        Self::RunqueueWait,
    ];

    /// The metric of this name: a built-in one, else one of the program's own.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let built_in = Self::BUILT_IN.iter().find(|metric| metric.id() == name);
        built_in.cloned().unwrap_or_else(|| Self::Custom(name.to_owned()))
    }

    /// The word by which it is asked for.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Wall => "wall",
            Self::User => "user",
            Self::Sys => "sys",
            Self::Cpu => "cpu",
            Self::PeakRss => "peak-rss",
            Self::PageFaults => "page-faults",
            Self::MajorFaults => "major-faults",
            Self::ContextSwitches => "context-switches",
            Self::InvoluntarySwitches => "involuntary-switches",
            Self::ReadBytes => "read-bytes",
            Self::WriteBytes => "write-bytes",
            Self::Instructions => "instructions",
            Self::Cycles => "cycles",
            Self::Energy => "energy",
            Self::RunqueueWait => "runqueue-wait",
            Self::Custom(name) => name,
        }
    }

    /// Its key in JSON and CSV, with its unit.
    #[must_use]
    pub fn key(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Wall => "wall_s",
            Self::User => "user_s",
            Self::Sys => "sys_s",
            Self::Cpu => "cpu_s",
            Self::PeakRss => "peak_rss_bytes",
            Self::PageFaults => "page_faults",
            Self::MajorFaults => "major_faults",
            Self::ContextSwitches => "context_switches",
            Self::InvoluntarySwitches => "involuntary_switches",
            Self::ReadBytes => "read_bytes",
            Self::WriteBytes => "write_bytes",
            Self::Instructions => "instructions",
            Self::Cycles => "cycles",
            Self::Energy => "energy_j",
            Self::RunqueueWait => "runqueue_wait_s",
            Self::Custom(name) => name,
        })
    }
}

impl Metric {
    /// Whether its values are seconds.
    #[must_use]
    pub fn is_time(&self) -> bool {
        matches!(self, Self::Wall | Self::User | Self::Sys | Self::Cpu | Self::RunqueueWait)
    }

    /// Whether its values are bytes.
    #[must_use]
    pub fn is_bytes(&self) -> bool {
        matches!(self, Self::PeakRss | Self::ReadBytes | Self::WriteBytes)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Stored as its id.
impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::named(&Cow::<str>::deserialize(deserializer)?))
    }
}

/// Which way a metric should go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    #[default]
    Lower,
    Higher,
}

/// A number that is read from a program's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomMetric {
    pub name: String,
    pub source: MetricSource,
    pub better: Better,
    pub unit: Option<String>,
}

/// Where a custom metric stands in the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricSource {
    /// A line `METRIC name=value unit`.
    Line,
    /// The first group of a regular expression; the last match counts.
    Regex(String),
    /// An RFC 6901 pointer into standard output as one JSON document, else into its last line that is one.
    JsonPointer(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_unique_and_lead_back() {
        for metric in Metric::BUILT_IN {
            assert_eq!(&Metric::named(metric.id()), metric);
            let stored = serde_json::to_string(metric).unwrap();
            assert_eq!(&serde_json::from_str::<Metric>(&stored).unwrap(), metric);
        }
        let keys: std::collections::BTreeSet<_> = Metric::BUILT_IN.iter().map(Metric::key).collect();
        assert_eq!(keys.len(), Metric::BUILT_IN.len());
        assert_eq!(Metric::named("tokens"), Metric::Custom("tokens".to_owned()));
    }
}
