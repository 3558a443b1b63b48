//! Which number decides, which ones must not get worse, and where a program's own stand in its output.

use clap::Args;

use crate::config::{
    Benchmark, Better, ConfigError, CustomMetric, Guard, Metric, MetricSource, parse_fraction,
};

/// The options on metrics, the same for every command that measures.
#[derive(Debug, Default, Args)]
pub struct MetricArgs {
    /// The metric that decides: wall, cpu, user, sys, peak-rss, instructions, … or one of your own, which the program
    /// prints as `METRIC name=value` [default: wall]
    #[arg(long, value_name = "NAME", help_heading = "Metrics")]
    pub metric: Option<String>,

    /// A metric of your own: the number in the first group of a regular expression on the output (repeatable)
    #[arg(long, value_name = "NAME=REGEX", help_heading = "Metrics")]
    pub metric_regex: Vec<String>,

    /// A metric of your own: the number at a JSON pointer in the output (repeatable)
    #[arg(long, value_name = "NAME=POINTER", help_heading = "Metrics")]
    pub metric_json: Vec<String>,

    /// Higher values of this metric of your own are better (repeatable)
    #[arg(long, value_name = "NAME", help_heading = "Metrics")]
    pub higher: Vec<String>,

    /// This metric must not get worse by more than so much: a win that breaks it is none (repeatable)
    #[arg(long, value_name = "NAME=PERCENT", help_heading = "Metrics")]
    pub guard: Vec<String>,
}

impl MetricArgs {
    /// Puts what is asked for in the place of what the benchmark has.
    ///
    /// # Errors
    /// [`ConfigError::Option`].
    pub fn apply(&self, benchmark: &mut Benchmark) -> Result<(), ConfigError> {
        for text in &self.metric_regex {
            declare(benchmark, "--metric-regex", text, MetricSource::Regex)?;
        }
        for text in &self.metric_json {
            declare(benchmark, "--metric-json", text, MetricSource::JsonPointer)?;
        }
        if let Some(name) = &self.metric {
            benchmark.metric = named(benchmark, "--metric", name)?;
        }
        let mut guards = Vec::new();
        for text in &self.guard {
            let (name, worse) = parts("--guard", text, "peak-rss=5%")?;
            let worse_max =
                parse_fraction(worse).map_err(|message| wrong("--guard", format!("{text}: {message}")))?;
            guards.push((named(benchmark, "--guard", name)?, worse_max));
        }
        for name in &self.higher {
            if let metric @ Metric::Custom(_) = named(benchmark, "--higher", name)? {
                let custom = benchmark.metrics.iter_mut().filter(|custom| custom.name == metric.id());
                custom.for_each(|custom| custom.better = Better::Higher);
            } else {
                return Err(wrong("--higher", format!("{name} is built in: lower values are better")));
            }
        }
        let configured = std::mem::take(&mut benchmark.guards).into_iter();
        let configured = configured.map(|guard| (guard.objective.metric, guard.worse_max));
        let kept: Vec<_> =
            configured.filter(|(metric, _)| guards.iter().all(|(asked, _)| asked != metric)).collect();
        for (metric, worse_max) in kept.into_iter().chain(guards) {
            // Only now is it known which way every metric is better.
            benchmark.guards.push(Guard { objective: benchmark.objective(metric), worse_max });
        }
        Ok(())
    }
}

fn wrong(option: &'static str, message: String) -> ConfigError {
    ConfigError::Option { option, message }
}

fn parts<'a>(option: &'static str, text: &'a str, example: &str) -> Result<(&'a str, &'a str), ConfigError> {
    text.split_once('=')
        .ok_or_else(|| wrong(option, format!("{text:?} has no `=`; for example {option} {example}")))
}

fn declare(
    benchmark: &mut Benchmark,
    option: &'static str,
    text: &str,
    source: fn(String) -> MetricSource,
) -> Result<(), ConfigError> {
    let (name, place) = parts(option, text, "NAME=…")?;
    let metric =
        CustomMetric { name: name.to_owned(), source: source(place.to_owned()), better: Better::Lower };
    metric.check().map_err(|message| wrong(option, format!("{text}: {message}")))?;
    benchmark.metrics.retain(|known| known.name != name);
    benchmark.metrics.push(metric);
    Ok(())
}

/// The metric of this name; one that nobody has declared is taken from a `METRIC` line.
fn named(benchmark: &mut Benchmark, option: &'static str, name: &str) -> Result<Metric, ConfigError> {
    let metric = Metric::named(name);
    if metric.is_custom() && benchmark.metrics.iter().all(|known| known.name != name) {
        let line = CustomMetric { name: name.to_owned(), source: MetricSource::Line, better: Better::Lower };
        line.check().map_err(|message| wrong(option, message))?;
        benchmark.metrics.push(line);
    }
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CommandLine;

    fn applied(args: &MetricArgs) -> Result<Benchmark, String> {
        let mut benchmark = Benchmark::for_command(CommandLine::Argv(vec!["x".to_owned()]));
        let peak = Guard { objective: benchmark.objective(Metric::PeakRss), worse_max: 0.5 };
        benchmark.guards.push(peak);
        args.apply(&mut benchmark).map_err(|error| error.to_string())?;
        Ok(benchmark)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn options_override_what_is_configured() {
        let args = MetricArgs {
            metric: Some("tps".to_owned()),
            metric_json: words(&["p99=/p99"]),
            higher: words(&["tps"]),
            guard: words(&["peak-rss=5%", "tps=10%"]),
            ..MetricArgs::default()
        };
        let benchmark = applied(&args).unwrap();
        assert_eq!(benchmark.primary().better, Better::Higher);
        let guards: Vec<_> = benchmark
            .guards
            .iter()
            .map(|guard| (guard.objective.metric.id(), guard.objective.better, guard.worse_max))
            .collect();
        assert_eq!(guards, [("peak-rss", Better::Lower, 0.05), ("tps", Better::Higher, 0.1)]);
        let names: Vec<&str> = benchmark.metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["p99", "tps"]);
        assert_eq!(applied(&MetricArgs::default()).unwrap().metric, Metric::Wall);
    }

    #[test]
    fn mistakes_name_the_option() {
        let check = |args: MetricArgs, expected: &[&str]| {
            let message = applied(&args).unwrap_err();
            assert!(expected.iter().all(|word| message.contains(word)), "{message}");
        };
        let none = MetricArgs::default;
        check(MetricArgs { higher: words(&["wall"]), ..none() }, &["--higher", "built in"]);
        check(MetricArgs { guard: words(&["cpu"]), ..none() }, &["--guard", "peak-rss=5%"]);
        check(MetricArgs { guard: words(&["cpu=much"]), ..none() }, &["--guard", "cpu=much", "not a number"]);
        check(MetricArgs { metric_regex: words(&["x=("]), ..none() }, &["--metric-regex", "unclosed"]);
        check(MetricArgs { metric_json: words(&["wall=/x"]), ..none() }, &["--metric-json", "built-in"]);
        check(MetricArgs { metric: Some("two words".to_owned()), ..none() }, &["--metric", "no name"]);
    }
}
