//! The numbers that runs give: built-in ones, and those that a program reports itself.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::RegexBuilder;
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
    /// Whether the CPU counts it, where it does: then it costs time to count, and is counted only when that is cheap
    /// or asked for.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        matches!(self, Self::Instructions | Self::Cycles)
    }

    /// Whether the program reports it itself.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        matches!(self, Self::Custom(_))
    }

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

/// A metric, and which way it is better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    pub metric: Metric,
    pub better: Better,
}

impl Objective {
    /// Less of this metric is better, as of every built-in one.
    #[must_use]
    pub fn lower(metric: Metric) -> Self {
        Self { metric, better: Better::Lower }
    }
}

/// A metric that must not get worse by more than a fraction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    pub objective: Objective,
    /// 0.05 lets it be 5 % worse.
    pub worse_max: f64,
}

/// A number that is read from a program's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomMetric {
    pub name: String,
    pub source: MetricSource,
    pub better: Better,
}

/// Longest name of a custom metric in bytes; a longer word is a sentence.
const NAME_BYTES_MAX: usize = 100;

impl CustomMetric {
    /// Whether a program can report a metric of this name.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name.chars().all(|c| c.is_alphanumeric() || "_-./:%".contains(c))
    }

    /// Whether the metric can be read at all.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn check(&self) -> Result<(), String> {
        if !Self::is_name(&self.name) {
            return Err(format!("{:?} is no name of a metric: letters, digits and _-./:% only", self.name));
        }
        if let Some(metric) =
            Metric::BUILT_IN.iter().find(|metric| [metric.id(), &*metric.key()].contains(&self.name.as_str()))
        {
            return Err(format!("`{}` is the built-in metric {metric}; choose another name", self.name));
        }
        self.source.check()
    }
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

impl MetricSource {
    /// A regular expression of a metric: `^` and `$` stand for the ends of a line.
    ///
    /// # Errors
    /// The pattern's mistake.
    pub fn compiled(pattern: &str) -> Result<regex::bytes::Regex, regex::Error> {
        RegexBuilder::new(pattern).multi_line(true).build()
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Line => Ok(()),
            Self::Regex(pattern) => match Self::compiled(pattern) {
                Ok(regex) if regex.captures_len() < 2 => {
                    Err("the number must be in a group, for example ([0-9.]+)".to_owned())
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            Self::JsonPointer(pointer) if pointer.is_empty() || pointer.starts_with('/') => Ok(()),
            Self::JsonPointer(_) => Err("a JSON pointer begins with /, for example /stats/tps".to_owned()),
        }
    }
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

    #[test]
    fn custom_metrics_are_checked() {
        let check = |name: &str, source: MetricSource, word: &str| {
            let checked = CustomMetric { name: name.to_owned(), source, better: Better::Lower }.check();
            assert_eq!(checked.is_ok(), word.is_empty(), "{checked:?}");
            assert!(checked.err().unwrap_or_default().contains(word), "{name}");
        };
        let regex = |pattern: &str| MetricSource::Regex(pattern.to_owned());
        check("tps", MetricSource::Line, "");
        check("a.b-c/d_e:p99", regex("x=([0-9]+)"), "");
        check("two words", MetricSource::Line, "no name");
        check("", MetricSource::Line, "no name");
        check("wall", MetricSource::Line, "built-in metric wall");
        check("peak_rss_bytes", MetricSource::Line, "built-in metric peak-rss");
        check("x", regex("("), "unclosed group");
        check("x", regex("no group"), "in a group");
        check("x", MetricSource::JsonPointer("a/b".to_owned()), "begins with /");
    }
}
