//! `[floor]`: the work that a benchmark has to do, however it is programmed, as its owner declares it.
//!
//! Every key is a line of [`KEYS`]; `docs/floor.md` tells what each is for.

mod complexity;
mod quantity;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::error::{ConfigError, nearest};
use super::file::{Source, parse_duration};
use quantity::parse_byte_rate;

pub use complexity::Complexity;
pub use quantity::parse_bytes;

/// Work that cannot be avoided. Everything is optional; all numbers are positive and finite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeclaredWork {
    /// Different bytes of memory that must be touched.
    pub bytes: Option<f64>,
    /// Double-precision floating-point operations.
    pub flops: Option<f64>,
    /// Bytes that must come from storage, and go there.
    pub read_bytes: Option<f64>,
    pub write_bytes: Option<f64>,
    /// Separate reads from storage, at places that do not follow each other.
    pub reads: Option<f64>,
    /// Times that data must have reached storage before going on.
    pub fsyncs: Option<f64>,
    /// Calls to somebody else who answers.
    pub round_trips: Option<f64>,
    /// Time that the other side takes for one call.
    pub service_s: Option<f64>,
    /// Time that a message takes there and back.
    pub round_trip_s: Option<f64>,
    /// Calls under way at once.
    pub concurrency: Option<f64>,
    /// The call that takes longest, from request to answer.
    pub longest_call_s: Option<f64>,
    /// Calls per second that the other side allows.
    pub rate_limit: Option<f64>,
    pub network_bytes: Option<f64>,
    /// Bytes per second.
    pub network_rate: Option<f64>,
    /// Things to do one by one, and how many of them one core does in a second.
    pub rows: Option<f64>,
    pub rows_rate: Option<f64>,
    /// Translation units of a build, and how many of them one core compiles in a second.
    pub units: Option<f64>,
    pub units_rate: Option<f64>,
    /// The longest chain of steps of which each needs the one before.
    pub critical_path_s: Option<f64>,
    /// Bytes to link, and bytes per second that the linker does.
    pub link_work: Option<f64>,
    pub link_rate: Option<f64>,
    /// Share of the computing that can be done by several cores, 0–1.
    pub parallel_fraction: Option<f64>,
    /// Processes to start, system calls to make, fresh pages of memory to touch.
    pub processes: Option<f64>,
    pub syscalls: Option<f64>,
    pub pages: Option<f64>,
    /// Size of the input, for [`Self::complexity`].
    pub n: Option<f64>,
    /// Steps of the best algorithm.
    pub complexity: Option<Complexity>,
    /// Time of one of those steps.
    pub step_s: Option<f64>,
    /// Size and seconds of runs of an algorithm of that complexity.
    pub points: Vec<(f64, f64)>,
    pub gpu_flops: Option<f64>,
    pub gpu_flops_rate: Option<f64>,
    pub gpu_bytes: Option<f64>,
    pub gpu_bytes_rate: Option<f64>,
    pub pcie_bytes: Option<f64>,
    pub pcie_rate: Option<f64>,
    /// Kernels to launch, and the time of one launch.
    pub kernels: Option<f64>,
    pub launch_s: Option<f64>,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A number.
    Count,
    /// A number of bytes, or a text with a unit.
    Bytes,
    /// Bytes per second, or a text with a unit.
    ByteRate,
    /// A text as for time limits.
    Time,
    /// A share up to 1.
    Share,
}

/// One key of the table.
struct Key {
    name: &'static str,
    kind: Kind,
    slot: fn(&mut DeclaredWork) -> &mut Option<f64>,
    /// The key without which it says nothing, and why.
    needs: Option<(&'static str, &'static str)>,
}

const fn key(name: &'static str, kind: Kind, slot: fn(&mut DeclaredWork) -> &mut Option<f64>) -> Key {
    Key { name, kind, slot, needs: None }
}

impl Key {
    const fn with(self, name: &'static str, why: &'static str) -> Self {
        Self { needs: Some((name, why)), ..self }
    }
}

/// Every key but `complexity` and `points`, which are no numbers.
const KEYS: &[Key] = &[
    key("bytes", Kind::Bytes, |work| &mut work.bytes),
    key("flops", Kind::Count, |work| &mut work.flops),
    key("read_bytes", Kind::Bytes, |work| &mut work.read_bytes),
    key("write_bytes", Kind::Bytes, |work| &mut work.write_bytes),
    key("reads", Kind::Count, |work| &mut work.reads),
    key("fsyncs", Kind::Count, |work| &mut work.fsyncs),
    key("round_trips", Kind::Count, |work| &mut work.round_trips),
    key("service", Kind::Time, |work| &mut work.service_s).with("round_trips", "the number of calls"),
    key("round_trip", Kind::Time, |work| &mut work.round_trip_s).with("round_trips", "the number of calls"),
    key("concurrency", Kind::Count, |work| &mut work.concurrency).with("round_trips", "the number of calls"),
    key("longest_call", Kind::Time, |work| &mut work.longest_call_s),
    key("rate_limit", Kind::Count, |work| &mut work.rate_limit).with("round_trips", "the number of calls"),
    key("network_bytes", Kind::Bytes, |work| &mut work.network_bytes)
        .with("network_rate", "what the link carries, for example \"1 Gbit/s\""),
    key("network_rate", Kind::ByteRate, |work| &mut work.network_rate)
        .with("network_bytes", "how much has to go over the link"),
    key("rows", Kind::Count, |work| &mut work.rows)
        .with("rows_rate", "how many rows one core does in a second"),
    key("rows_rate", Kind::Count, |work| &mut work.rows_rate).with("rows", "the number of rows"),
    key("units", Kind::Count, |work| &mut work.units)
        .with("units_rate", "how many units one core compiles in a second"),
    key("units_rate", Kind::Count, |work| &mut work.units_rate).with("units", "the number of units"),
    key("critical_path", Kind::Time, |work| &mut work.critical_path_s),
    key("link_work", Kind::Bytes, |work| &mut work.link_work)
        .with("link_rate", "how much the linker does, for example \"500 MB/s\""),
    key("link_rate", Kind::ByteRate, |work| &mut work.link_rate)
        .with("link_work", "how much has to be linked"),
    key("parallel_fraction", Kind::Share, |work| &mut work.parallel_fraction),
    key("processes", Kind::Count, |work| &mut work.processes),
    key("syscalls", Kind::Count, |work| &mut work.syscalls),
    key("pages", Kind::Count, |work| &mut work.pages),
    key("n", Kind::Count, |work| &mut work.n).with("complexity", "how the steps grow with it"),
    key("step", Kind::Time, |work| &mut work.step_s).with("complexity", "how many steps there are"),
    key("gpu_flops", Kind::Count, |work| &mut work.gpu_flops)
        .with("gpu_flops_rate", "the peak of the GPU at this precision"),
    key("gpu_flops_rate", Kind::Count, |work| &mut work.gpu_flops_rate)
        .with("gpu_flops", "the operations to do"),
    key("gpu_bytes", Kind::Bytes, |work| &mut work.gpu_bytes)
        .with("gpu_bytes_rate", "the bandwidth of its memory, for example \"3.35 TB/s\""),
    key("gpu_bytes_rate", Kind::ByteRate, |work| &mut work.gpu_bytes_rate)
        .with("gpu_bytes", "the bytes that its memory has to deliver"),
    key("pcie_bytes", Kind::Bytes, |work| &mut work.pcie_bytes)
        .with("pcie_rate", "what the bus carries, for example \"25 GB/s\""),
    key("pcie_rate", Kind::ByteRate, |work| &mut work.pcie_rate)
        .with("pcie_bytes", "how much goes over the bus"),
    key("kernels", Kind::Count, |work| &mut work.kernels)
        .with("launch", "the time of one launch, for example \"4us\""),
    key("launch", Kind::Time, |work| &mut work.launch_s).with("kernels", "the number of launches"),
];

const COMPLEXITY: &str = "complexity";
const POINTS: &str = "points";

/// The table as the file has it; of a benchmark, on top of the one for all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct RawFloor(BTreeMap<Spanned<String>, Spanned<RawValue>>);

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "work is a number, or a text such as \"2 GiB\" or \"20ms\"")]
enum RawValue {
    Number(f64),
    Text(String),
    Points(Vec<(f64, f64)>),
}

impl RawFloor {
    /// The work of a benchmark: these keys, and those of `common` that are not among them.
    pub fn over(self, common: &Self, file: &Source<'_>) -> Result<DeclaredWork, ConfigError> {
        let mut all = common.0.clone();
        // Removed first: a key of a map stays when its value is replaced, and with it its place in the file.
        for (name, value) in &self.0 {
            all.remove(name);
            all.insert(name.clone(), value.clone());
        }
        let all = Self(all);
        self.check_company(&all, file)?;
        all.check(file)
    }

    /// The work as it is written, which some benchmark may complete.
    pub fn check(&self, file: &Source<'_>) -> Result<DeclaredWork, ConfigError> {
        let mut work = DeclaredWork::default();
        for (name, value) in &self.0 {
            let at = value.span().start;
            let invalid = |message: String| file.invalid(at, message, None);
            match (name.get_ref().as_str(), value.get_ref()) {
                (COMPLEXITY, RawValue::Text(text)) => {
                    work.complexity = Some(Complexity::parse(text).map_err(invalid)?);
                }
                (POINTS, RawValue::Points(points)) => {
                    let is_good = |&(n, seconds): &(f64, f64)| is_positive(n) && is_positive(seconds);
                    if !points.iter().all(is_good) || points.is_empty() {
                        return Err(invalid(
                            "points are pairs of a size and seconds, both more than 0".to_owned(),
                        ));
                    }
                    work.points.clone_from(points);
                }
                (COMPLEXITY, _) => {
                    return Err(invalid("write it as a text, for example \"n log n\"".to_owned()));
                }
                (POINTS, _) => {
                    return Err(invalid(
                        "write pairs of a size and seconds: [[1000, 0.02], [2000, 0.045]]".to_owned(),
                    ));
                }
                (other, value) => {
                    let Some(key) = KEYS.iter().find(|key| key.name == other) else {
                        return Err(file.invalid(
                            name.span().start,
                            format!("unknown field `{other}`"),
                            unknown(other),
                        ));
                    };
                    *(key.slot)(&mut work) = Some(key.read(value).map_err(invalid)?);
                }
            }
        }
        Ok(work)
    }

    /// That each of these keys has the one that gives it a meaning among all of them.
    fn check_company(&self, all: &Self, file: &Source<'_>) -> Result<(), ConfigError> {
        let has = |wanted: &str| all.0.keys().any(|name| name.get_ref() == wanted);
        for name in self.0.keys() {
            let needs = match name.get_ref().as_str() {
                COMPLEXITY => Some(("n", "the size of the input")),
                POINTS => Some((COMPLEXITY, "how the steps grow")),
                other => KEYS.iter().find(|key| key.name == other).and_then(|key| key.needs),
            };
            if let Some((needed, why)) = needs.filter(|(needed, _)| !has(needed)) {
                let message = format!("`{}` says nothing without `{needed}`", name.get_ref());
                return Err(file.invalid(name.span().start, message, Some(format!("add {needed}: {why}"))));
            }
        }
        Ok(())
    }
}

/// What may have been meant.
fn unknown(name: &str) -> Option<String> {
    let known: Vec<String> =
        KEYS.iter().map(|key| key.name).chain([COMPLEXITY, POINTS]).map(str::to_owned).collect();
    Some(match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known: {}", known.join(", ")),
    })
}

impl Key {
    /// The value in its base unit.
    fn read(&self, value: &RawValue) -> Result<f64, String> {
        let name = self.name;
        let number = match (self.kind, value) {
            (Kind::Time, RawValue::Text(text)) => parse_duration(text)?.as_secs_f64(),
            (Kind::Time, _) => {
                return Err(format!("{name} is a time; write for example \"20ms\" or \"1.5s\""));
            }
            (_, RawValue::Number(number)) => *number,
            (Kind::Bytes, RawValue::Text(text)) => parse_bytes(text)?,
            (Kind::ByteRate, RawValue::Text(text)) => parse_byte_rate(text)?,
            (Kind::Bytes, _) => return Err(format!("{name} is a size; write for example 4096 or \"2 GiB\"")),
            (Kind::ByteRate, _) => return Err(format!("{name} is a rate; write for example \"500 MB/s\"")),
            (Kind::Count | Kind::Share, _) => {
                return Err(format!("{name} is a number, for example 1000 or 1e9"));
            }
        };
        match self.kind {
            Kind::Share if !(number > 0.0 && number <= 1.0) => {
                Err(format!("{name} is a share, more than 0 and at most 1, not {number}"))
            }
            _ if is_positive(number) => Ok(number),
            _ => Err(format!("{name} must be more than 0, not {number}")),
        }
    }
}

fn is_positive(number: f64) -> bool {
    number.is_finite() && number > 0.0
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::ConfigFile;
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
        ConfigFile::parse(Path::new("perfup.toml"), text)
    }

    #[test]
    fn a_benchmark_has_its_own_work_on_top_of_what_holds_for_all() {
        let file = parse(
            r#"
            [floor]
            bytes = "2 GiB"
            network_rate = "10 Gbit/s"
            [benchmark.a]
            command = "x"
            [benchmark.a.floor]
            bytes = 4096
            network_bytes = "1 GB"
            round_trips = 1000
            service = "20ms"
            n = 1e6
            complexity = "n log n"
            points = [[1000, 0.5], [2000.0, 1]]
            [benchmark.b]
            command = "y"
            "#,
        )
        .unwrap();
        let of = |name| file.select(Some(name)).unwrap().benchmark.floor;
        let a = of("a");
        assert_eq!((a.bytes, a.network_rate, a.round_trips), (Some(4096.0), Some(1.25e9), Some(1000.0)));
        assert_eq!(a.service_s, Some(0.02));
        assert_eq!(a.complexity, Some(Complexity::Polynomial { power: 1.0, logs: 1 }));
        assert_eq!(a.points, [(1000.0, 0.5), (2000.0, 1.0)]);
        assert_eq!(of("b").bytes, Some(2.0 * 1024.0 * 1024.0 * 1024.0));
        assert_eq!(file.floor, of("b"));
    }

    #[test]
    fn mistakes_have_a_place_and_a_cure() {
        let check = |lines: &str, place: &str, words: &[&str]| {
            let error =
                parse(&format!("[benchmark.a.floor]\n{lines}\n[benchmark.a]\ncommand = \"x\"")).unwrap_err();
            let told = format!("{error} {}", error.hint().unwrap_or_default());
            assert!(told.starts_with(&format!("perfup.toml:{place}: ")), "{told}");
            assert!(words.iter().all(|word| told.contains(word)), "{told}");
        };
        check("byte = 1", "2:1", &["unknown field `byte`", "did you mean `bytes`?"]);
        check("zebra = 1", "2:1", &["known: bytes, "]);
        check("bytes = \"2 gigs\"", "2:9", &["no size"]);
        check("bytes = -1", "2:9", &["more than 0"]);
        check("flops = nan", "2:9", &["more than 0"]);
        check("flops = \"many\"", "2:9", &["a number"]);
        check("longest_call = 3", "2:16", &["a time"]);
        check("longest_call = \"soon\"", "2:16", &["not a duration"]);
        check("parallel_fraction = 1.5", "2:21", &["at most 1"]);
        check("service = \"1s\"", "2:1", &["`round_trips`", "number of calls"]);
        check("rows = 5", "2:1", &["without `rows_rate`"]);
        check("n = 5", "2:1", &["without `complexity`"]);
        check("n = 5\ncomplexity = \"n!\"", "3:14", &["no complexity"]);
        check("n = 5\ncomplexity = 2", "3:14", &["as a text"]);
        check("n = 5\ncomplexity = \"n\"\npoints = [[0, 1.0]]", "4:10", &["more than 0"]);
        check("network_bytes = 1\nnetwork_rate = \"fast\"", "3:16", &["no rate"]);
    }

    #[test]
    fn every_key_is_on_the_page() {
        let page = include_str!("../../../docs/floor.md");
        for name in KEYS.iter().map(|key| key.name).chain([COMPLEXITY, POINTS]) {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn every_key_has_a_field_of_its_own_and_its_company() {
        for key in KEYS {
            let mut work = DeclaredWork::default();
            *(key.slot)(&mut work) = Some(7.0);
            assert_ne!(work, DeclaredWork::default(), "{}", key.name);
            let filled =
                KEYS.iter().filter(|other| (other.slot)(&mut work.clone()).is_some()).map(|other| other.name);
            assert_eq!(filled.collect::<Vec<_>>(), [key.name]);
            if let Some((needed, _)) = key.needs {
                assert!(needed == COMPLEXITY || KEYS.iter().any(|key| key.name == needed), "{needed}");
            }
        }
    }
}
