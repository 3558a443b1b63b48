//! Numbers that a program reports itself: `METRIC name=value unit` lines, regular expressions, JSON pointers.
//!
//! Read after the run, outside the clock. **Invariant**: no output, however strange, is an error: a number that is not
//! there is absent, and of several the last one counts.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use serde_json::value::RawValue;

use crate::config::{CustomMetric, MetricSource};
use crate::sys::stream::digest;
use crate::sys::wire::Captured;

/// Only so much of an output's end is looked at: programs report when they are done.
const BYTES_MAX: u64 = 64 << 20;

/// What a line of a program's own metric begins with.
const LINE_START: &str = "METRIC ";

/// Most metrics that one run may report.
const METRICS_MAX: usize = 1000;

/// Stands in the kept output for a number that was read from it.
const BLANK: &[u8] = b"<metric>";

/// What a run reported.
#[derive(Debug, Default)]
pub(super) struct Reported {
    pub values: BTreeMap<String, f64>,
    /// Where the metrics that were asked for stand in standard output, from [`Self::base`] on.
    spans: Vec<Range<usize>>,
    base: u64,
    /// Standard output from `base` on.
    stdout: Vec<u8>,
}

/// Reads every `METRIC` line of both streams, and the metrics that are asked for.
pub(super) fn read(stdout: &Path, stderr: &Path, asked: &[CustomMetric]) -> io::Result<Reported> {
    let (base, stdout) = end_of(stdout)?;
    let mut values = BTreeMap::new();
    let mut spans = Vec::new();
    lines(&end_of(stderr)?.1, &mut |name, number| take_line(&mut values, name, number));
    lines(&stdout, &mut |name, number| {
        if asked.iter().any(|metric| metric.source == MetricSource::Line && metric.name == name) {
            spans.push(span(&stdout, number.as_bytes()));
        }
        take_line(&mut values, name, number);
    });
    for metric in asked {
        let found = match &metric.source {
            MetricSource::Line => continue,
            MetricSource::Regex(pattern) => matches(pattern, &stdout),
            MetricSource::JsonPointer(pointer) => pointed(pointer, &stdout).into_iter().collect(),
        };
        // What is no number is part of the result, and must stay to be compared.
        let numbers = found.iter().filter_map(|text| Some((number(text)?, span(&stdout, text.as_bytes()))));
        for (value, span) in numbers {
            values.insert(metric.name.clone(), value);
            spans.push(span);
        }
    }
    spans.sort_by_key(|span| span.start);
    Ok(Reported { values, spans, base, stdout })
}

impl Reported {
    /// Blanks the asked metrics out of standard output, which then shows the result alone: a better number must not look
    /// like another result. The output as it is now; absent where there was nothing to blank.
    pub fn blank(&self, stdout: &Path) -> io::Result<Option<Captured>> {
        if self.spans.is_empty() {
            return Ok(None);
        }
        let mut file = OpenOptions::new().read(true).write(true).open(stdout)?;
        file.set_len(self.base)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(&blanked(&self.stdout, &self.spans))?;
        file.rewind()?;
        digest(&file).map(Some)
    }
}

/// `text` with all `spans`, which are sorted, blanked; what overlaps is blanked once.
fn blanked(text: &[u8], spans: &[Range<usize>]) -> Vec<u8> {
    let mut blanked = Vec::with_capacity(text.len());
    let mut done = 0;
    for span in spans {
        if span.start >= done {
            blanked.extend_from_slice(&text[done..span.start]);
            blanked.extend_from_slice(BLANK);
        }
        done = done.max(span.end);
    }
    blanked.extend_from_slice(&text[done..]);
    blanked
}

/// Where a part of `whole` stands in it.
fn span(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

fn end_of(path: &Path) -> io::Result<(u64, Vec<u8>)> {
    let mut file = File::open(path)?;
    let base = file.metadata()?.len().saturating_sub(BYTES_MAX);
    file.seek(SeekFrom::Start(base))?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok((base, bytes))
}

fn take_line(values: &mut BTreeMap<String, f64>, name: &str, text: &str) {
    if let Some(value) = number(text)
        && (values.len() < METRICS_MAX || values.contains_key(name))
    {
        values.insert(name.to_owned(), value);
    }
}

/// Hands over name and number of every `METRIC` line.
fn lines<'a>(bytes: &'a [u8], take: &mut dyn FnMut(&'a str, &'a str)) {
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| line.starts_with(LINE_START.as_bytes())) {
        if let Some((name, value)) = std::str::from_utf8(line).ok().and_then(metric_line) {
            take(name, value);
        }
    }
}

/// `METRIC name=value unit` → name and value; the unit is for people.
fn metric_line(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix(LINE_START)?.trim_start().split_once('=')?;
    let name = name.trim_end();
    let value = rest.split_ascii_whitespace().next()?;
    (CustomMetric::is_name(name) && number(value).is_some()).then_some((name, value))
}

/// The first group of every match that is text.
fn matches<'a>(pattern: &str, bytes: &'a [u8]) -> Vec<&'a str> {
    let Ok(regex) = MetricSource::compiled(pattern) else {
        return Vec::new();
    };
    let groups = regex.captures_iter(bytes).filter_map(|captures| captures.get(1));
    groups.filter_map(|group| std::str::from_utf8(group.as_bytes()).ok()).collect()
}

/// The number at a pointer into the whole output, else into its last line that is JSON.
fn pointed<'a>(pointer: &str, bytes: &'a [u8]) -> Option<&'a str> {
    let document = |bytes: &'a [u8]| serde_json::from_slice::<&RawValue>(bytes).ok();
    let is_structure = |value: &&RawValue| value.get().starts_with(['{', '[']);
    let found = document(bytes).or_else(|| {
        bytes.rsplit(|&byte| byte == b'\n').find_map(|line| document(line).filter(is_structure))
    })?;
    let text = follow(pointer, found)?.get();
    // A number may stand in quotes.
    Some(text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text))
}

/// RFC 6901, on the text itself so that it is known where the value stands.
fn follow<'a>(pointer: &str, document: &'a RawValue) -> Option<&'a RawValue> {
    pointer.split('/').skip(1).try_fold(document, |value, token| {
        let token = token.replace("~1", "/").replace("~0", "~");
        let text = value.get();
        if text.starts_with('{') {
            serde_json::from_str::<BTreeMap<String, &'a RawValue>>(text).ok()?.remove(&token)
        } else if text.starts_with('[') {
            let index: usize = token.parse().ok()?;
            serde_json::from_str::<Vec<&'a RawValue>>(text).ok()?.get(index).copied()
        } else {
            None
        }
    })
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
        CustomMetric { name: "x".to_owned(), source, better: Better::Lower }
    }

    fn from(stdout: &[u8], stderr: &[u8], asked: &[CustomMetric]) -> BTreeMap<String, f64> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        read(&path("out", stdout), &path("err", stderr), asked).unwrap().values
    }

    #[test]
    fn metric_lines() {
        let check =
            |line: &str, expected: Option<(&str, &str)>| assert_eq!(metric_line(line), expected, "{line}");
        check("METRIC tps=12.5 1/s", Some(("tps", "12.5")));
        check("METRIC  a.b-c/d_e:p99 = 1e3 ms", Some(("a.b-c/d_e:p99", "1e3")));
        check("METRIC n=-4", Some(("n", "-4")));
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
        check(pointer("/a/01"), "{\"a\": [4, 5]}", Some(5.0));
        check(pointer("/a/2"), "{\"a\": [4, 5]}", None);
    }

    #[test]
    fn what_was_asked_for_is_blanked_and_nothing_else() {
        let check = |source: MetricSource, output: &str, expected: &str| {
            let folder = tempfile::tempdir().unwrap();
            let [stdout, stderr] = ["out", "err"].map(|name| folder.path().join(name));
            std::fs::write(&stdout, output).unwrap();
            std::fs::write(&stderr, "").unwrap();
            let reported = read(&stdout, &stderr, &[asked(source)]).unwrap();
            let captured = reported.blank(&stdout).unwrap();
            assert_eq!(std::fs::read_to_string(&stdout).unwrap(), expected);
            assert_eq!(captured.is_some(), output != expected);
            assert!(captured.is_none_or(|captured| captured.bytes == expected.len() as u64));
        };
        check(MetricSource::Line, "a\nMETRIC x=1 s\nMETRIC y=2\n", "a\nMETRIC x=<metric> s\nMETRIC y=2\n");
        check(MetricSource::Line, "nothing\n", "nothing\n");
        let regex = MetricSource::Regex(r"x: (\S+)".to_owned());
        check(regex, "x: 1\nx: none y: 2", "x: <metric>\nx: none y: 2");
        let pointer = MetricSource::JsonPointer("/a/1".to_owned());
        check(pointer.clone(), "{\"a\": [1, \"2\"], \"b\": 2}", "{\"a\": [1, \"<metric>\"], \"b\": 2}");
        check(pointer.clone(), "log\n{\"a\":[1,2.5]}\n", "log\n{\"a\":[1,<metric>]}\n");
        for other in ["{\"b\": 2}", "[2]", "\"two\"", "true", "null"] {
            let output = format!("{{\"a\": [1, {other}]}}");
            check(pointer.clone(), &output, &output);
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
