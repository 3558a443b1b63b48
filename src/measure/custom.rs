//! Numbers that a program reports itself: `METRIC name=value unit` lines, regular expressions, JSON pointers.
//!
//! Read after the run, outside the clock. **Invariant**: no output, however strange, is an error: a number that is not
//! there is absent, and of several the last one counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use regex::bytes::RegexBuilder;
use serde_json::Value;

use crate::config::{CustomMetric, MetricSource};

/// Only so much of an output's end is looked at: programs report when they are done.
const BYTES_MAX: u64 = 64 << 20;

/// What a line of a program's own metric begins with.
const LINE_START: &str = "METRIC ";

/// Longest name that is one; a longer word is a sentence.
const NAME_BYTES_MAX: usize = 100;

/// Most metrics that one run may report.
const METRICS_MAX: usize = 1000;

/// Reads every `METRIC` line of both streams, and the metrics that are asked for.
pub(super) fn read(
    stdout: &Path,
    stderr: &Path,
    asked: &[CustomMetric],
) -> io::Result<BTreeMap<String, f64>> {
    let stdout = end_of(stdout)?;
    let mut found = BTreeMap::new();
    for stream in [&end_of(stderr)?, &stdout] {
        lines(stream, &mut found);
    }
    for metric in asked {
        let value = match &metric.source {
            MetricSource::Line => continue,
            MetricSource::Regex(pattern) => matched(pattern, &stdout),
            MetricSource::JsonPointer(pointer) => pointed(pointer, &stdout),
        };
        found.extend(value.map(|value| (metric.name.clone(), value)));
    }
    Ok(found)
}

/// Whether a metric's source can be read at all; else what is wrong with it.
///
/// # Errors
/// A sentence for the user.
pub fn check_source(source: &MetricSource) -> Result<(), String> {
    match source {
        MetricSource::Line => Ok(()),
        MetricSource::Regex(pattern) => match compiled(pattern) {
            Ok(regex) if regex.captures_len() < 2 => {
                Err("the number must be in a group, for example ([0-9.]+)".to_owned())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        MetricSource::JsonPointer(pointer) if pointer.is_empty() || pointer.starts_with('/') => Ok(()),
        MetricSource::JsonPointer(_) => {
            Err("a JSON pointer begins with /, for example /stats/tps".to_owned())
        }
    }
}

fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn lines(bytes: &[u8], found: &mut BTreeMap<String, f64>) {
    for line in bytes.split(|&byte| byte == b'\n') {
        if !line.starts_with(LINE_START.as_bytes()) {
            continue;
        }
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(metric_line) else {
            continue;
        };
        if found.len() < METRICS_MAX || found.contains_key(name) {
            found.insert(name.to_owned(), value);
        }
    }
}

/// `METRIC name=value unit` → name and value; the unit is for people.
fn metric_line(line: &str) -> Option<(&str, f64)> {
    let (name, rest) = line.strip_prefix(LINE_START)?.trim_start().split_once('=')?;
    let name = name.trim_end();
    let is_name = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.chars().all(|c| c.is_alphanumeric() || "_-./:%".contains(c));
    let value = rest.split_ascii_whitespace().next()?;
    is_name.then_some(())?;
    Some((name, number(value)?))
}

fn compiled(pattern: &str) -> Result<regex::bytes::Regex, regex::Error> {
    RegexBuilder::new(pattern).multi_line(true).build()
}

/// The first group of the last match that holds a number.
fn matched(pattern: &str, bytes: &[u8]) -> Option<f64> {
    let regex = compiled(pattern).ok()?;
    let groups = regex.captures_iter(bytes).filter_map(|captures| captures.get(1));
    groups.filter_map(|group| number(std::str::from_utf8(group.as_bytes()).ok()?)).last()
}

/// The number at a pointer into the whole output, else into its last line that is JSON.
fn pointed(pointer: &str, bytes: &[u8]) -> Option<f64> {
    let at = |bytes: &[u8]| -> Option<Value> { serde_json::from_slice(bytes).ok() };
    let document = at(bytes).or_else(|| {
        bytes.rsplit(|&byte| byte == b'\n').find_map(|line| at(line).filter(|value| !value.is_number()))
    })?;
    match document.pointer(pointer)? {
        Value::Number(number) => number.as_f64().filter(|value| value.is_finite()),
        Value::String(text) => number(text),
        _ => None,
    }
}

/// A finite decimal number.
fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Better;

    fn asked(source: MetricSource) -> CustomMetric {
        CustomMetric { name: "x".to_owned(), source, better: Better::Lower, unit: None }
    }

    fn from(stdout: &[u8], stderr: &[u8], asked: &[CustomMetric]) -> BTreeMap<String, f64> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        read(&path("out", stdout), &path("err", stderr), asked).unwrap()
    }

    #[test]
    fn metric_lines() {
        let check =
            |line: &str, expected: Option<(&str, f64)>| assert_eq!(metric_line(line), expected, "{line}");
        check("METRIC tps=12.5 1/s", Some(("tps", 12.5)));
        check("METRIC  a.b-c/d_e:p99 = 1e3 ms", Some(("a.b-c/d_e:p99", 1000.0)));
        check("METRIC n=-4", Some(("n", -4.0)));
        check("METRIC n=nan", None);
        check("METRIC n=inf", None);
        check("METRIC n=", None);
        check("METRIC =4", None);
        check("METRIC two words=4", None);
        check("METRIC n=1,000", None);
        check("METRICS n=4", None);
        check(" METRIC n=4", None);
    }

    #[test]
    fn the_last_value_of_both_streams_counts() {
        let found = from(b"METRIC a=1\nnoise\nMETRIC a=2\r\n", b"METRIC a=9\nMETRIC b=3\n", &[]);
        assert_eq!(found, BTreeMap::from([("a".to_owned(), 2.0), ("b".to_owned(), 3.0)]));
    }

    #[test]
    fn patterns_and_pointers() {
        let check = |source: MetricSource, output: &str, expected: Option<f64>| {
            assert_eq!(check_source(&source), Ok(()));
            assert_eq!(
                from(output.as_bytes(), b"", &[asked(source.clone())]).get("x").copied(),
                expected,
                "{source:?}"
            );
        };
        let regex = |pattern: &str| MetricSource::Regex(pattern.to_owned());
        check(regex(r"^rate: ([0-9.]+)"), "rate: 1.5\nrate: 2.5\n", Some(2.5));
        check(regex(r"rate: (\S+)"), "rate: 1.5\nrate: none\n", Some(1.5));
        check(regex(r"rate: (\d+)"), "nothing", None);
        let pointer = |pointer: &str| MetricSource::JsonPointer(pointer.to_owned());
        check(pointer("/a/0/b~1c"), r#"{"a": [{"b/c": 4}]}"#, Some(4.0));
        check(pointer("/a"), "log\n{\"a\": \"5.5\"}\n3\n", Some(5.5));
        check(pointer("/a"), "{\"a\": true}", None);
        check(pointer(""), "7\n", Some(7.0));
        for source in [regex("("), regex("no group"), pointer("a/b")] {
            assert!(check_source(&source).is_err(), "{source:?}");
        }
    }

    proptest! {
        #[test]
        fn no_output_is_an_error_and_no_number_is_infinite(
            stdout in prop::collection::vec(any::<u8>(), 0..300),
            text in "(METRIC [a-z ]{0,4}=?[-+0-9.eE]{0,8}[ \n]){0,6}",
        ) {
            let sources = [
                MetricSource::Line,
                MetricSource::Regex("([0-9.e+-]+)".to_owned()),
                MetricSource::JsonPointer("/a/0".to_owned()),
            ];
            let found = from(&stdout, text.as_bytes(), &sources.map(asked));
            prop_assert!(found.values().all(|value| value.is_finite()));
        }
    }
}
