//! What a benchmark's metrics are for: the primary one decides, guards must not get worse, the rest are recorded.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, nearest};
use super::file::{Source, parse_fraction};
use super::{Benchmark, Better, CustomMetric, Guard, Metric, MetricSource, Objective};

impl Benchmark {
    /// The metric that decides, and which way it is better.
    #[must_use]
    pub fn primary(&self) -> Objective {
        self.objective(self.metric.clone())
    }

    /// A metric with the direction that was declared for it; lower is better where none was.
    #[must_use]
    pub fn objective(&self, metric: Metric) -> Objective {
        let declared = self
            .metrics
            .iter()
            .find(|custom| matches!(&metric, Metric::Custom(name) if *name == custom.name));
        let better = declared.map_or(Better::Lower, |custom| custom.better);
        Objective { metric, better }
    }

    /// The metrics that every run must give.
    pub fn required(&self) -> impl Iterator<Item = &Metric> {
        std::iter::once(&self.metric).chain(self.guards.iter().map(|guard| &guard.objective.metric))
    }
}

/// `[benchmark.NAME.metrics]`: where a number of the program's own stands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetric {
    regex: Option<Spanned<String>>,
    json: Option<Spanned<String>>,
    #[serde(default)]
    better: Better,
}

/// How much worse a guarded metric may be.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a share is a number such as 0.05, or a text such as \"5%\"")]
pub(super) enum RawShare {
    Number(f64),
    Text(String),
}

/// The metrics of one benchmark, as the file has them.
#[derive(Debug, Default)]
pub(super) struct RawObjectives {
    pub metric: Option<Spanned<String>>,
    pub metrics: BTreeMap<Spanned<String>, RawMetric>,
    pub guards: BTreeMap<Spanned<String>, Spanned<RawShare>>,
}

impl RawObjectives {
    /// Fills in the metrics of `benchmark`.
    pub fn check(self, benchmark: &mut Benchmark, file: &Source<'_>) -> Result<(), ConfigError> {
        for (name, metric) in self.metrics {
            benchmark.metrics.push(metric.check(&name, file)?);
        }
        if let Some(name) = &self.metric {
            benchmark.metric = known(benchmark, name, file)?;
        }
        for (name, share) in self.guards {
            let metric = known(benchmark, &name, file)?;
            let at = share.span().start;
            let worse_max = match share.into_inner() {
                RawShare::Number(number) => parse_fraction(&number.to_string()),
                RawShare::Text(text) => parse_fraction(&text),
            };
            let worse_max = worse_max.map_err(|message| file.invalid(at, message, None))?;
            benchmark.guards.push(Guard { objective: benchmark.objective(metric), worse_max });
        }
        Ok(())
    }
}

impl RawMetric {
    fn check(self, name: &Spanned<String>, file: &Source<'_>) -> Result<CustomMetric, ConfigError> {
        let (at, source) = match (self.regex, self.json) {
            (None, None) => (name.span().start, MetricSource::Line),
            (Some(regex), None) => (regex.span().start, MetricSource::Regex(regex.into_inner())),
            (None, Some(json)) => (json.span().start, MetricSource::JsonPointer(json.into_inner())),
            (Some(_), Some(json)) => {
                let message =
                    format!("`{}` is read by a regex or by a JSON pointer, not by both", name.get_ref());
                return Err(file.invalid(json.span().start, message, None));
            }
        };
        let metric = CustomMetric { name: name.get_ref().clone(), source, better: self.better };
        metric.check().map_err(|message| file.invalid(at, message, None))?;
        Ok(metric)
    }
}

/// The metric of this name: built in, or declared.
fn known(benchmark: &Benchmark, name: &Spanned<String>, file: &Source<'_>) -> Result<Metric, ConfigError> {
    let metric = Metric::named(name.get_ref());
    let declared = || benchmark.metrics.iter().map(|custom| custom.name.clone());
    if let Metric::Custom(name_only) = &metric
        && !declared().any(|known| known == *name_only)
    {
        let known: Vec<String> =
            Metric::BUILT_IN.iter().map(|metric| metric.id().to_owned()).chain(declared()).collect();
        let hint = match nearest(name_only, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "known: {}; a number that the program reports is declared under [benchmark.{}.metrics]",
                known.join(", "),
                benchmark.name
            ),
        };
        return Err(file.invalid(name.span().start, format!("unknown metric `{name_only}`"), Some(hint)));
    }
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::ConfigFile;
    use super::*;

    #[test]
    fn metrics_and_guards_are_read() {
        let text = r#"
            [benchmark.decode]
            command = "decode"
            metric = "tps"
            guards = { peak-rss = "5%", p99 = 0.1 }
            [benchmark.decode.metrics]
            tps = { regex = "tps=([0-9.]+)", better = "higher" }
            p99 = { json = "/latency/p99" }
            loads = {}
        "#;
        let benchmark = ConfigFile::parse(Path::new("perfup.toml"), text).unwrap().benchmarks.remove(0);
        let tps = Metric::Custom("tps".to_owned());
        assert_eq!(benchmark.primary(), Objective { metric: tps, better: Better::Higher });
        let sources: Vec<&MetricSource> = benchmark.metrics.iter().map(|metric| &metric.source).collect();
        assert_eq!(sources[0], &MetricSource::Line);
        assert_eq!(sources[1], &MetricSource::JsonPointer("/latency/p99".to_owned()));
        let guards: Vec<(&str, f64)> =
            benchmark.guards.iter().map(|guard| (guard.objective.metric.id(), guard.worse_max)).collect();
        assert_eq!(guards, [("p99", 0.1), ("peak-rss", 0.05)]);
        assert_eq!(benchmark.required().count(), 3);
    }

    #[test]
    fn mistakes_have_a_place_and_a_cure() {
        let check = |lines: &str, place: &str, words: &[&str]| {
            let text = format!("[benchmark.a]\ncommand = \"x\"\n{lines}\n");
            let error = ConfigFile::parse(Path::new("perfup.toml"), &text).unwrap_err();
            let told = format!("{error} {}", error.hint().unwrap_or_default());
            assert!(told.starts_with(&format!("perfup.toml:{place}: ")), "{told}");
            assert!(words.iter().all(|word| told.contains(word)), "{told}");
        };
        check("metric = \"tps\"", "3:10", &["unknown metric `tps`", "[benchmark.a.metrics]"]);
        check("metric = \"instruction\"", "3:10", &["did you mean `instructions`?"]);
        check("guards = { peak-rs = \"5%\" }", "3:12", &["unknown metric `peak-rs`", "`peak-rss`"]);
        check("guards = { peak-rss = \"much\" }", "3:23", &["not a number"]);
        check("guards = { peak-rss = -0.1 }", "3:23", &["-0.1"]);
        check("metrics.wall = {}", "3:9", &["built-in metric wall"]);
        check("metrics.x = { regex = \"(\" }", "3:23", &["unclosed group"]);
        check("metrics.x = { regex = \"(a)\", json = \"/a\" }", "3:37", &["not by both"]);
        check("metrics.x = { json = \"a\" }", "3:22", &["begins with /"]);
        check("metrics.x = { beter = \"higher\" }", "3:15", &["did you mean `better`?"]);
    }
}
