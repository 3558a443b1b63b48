//! The result as files: JSON with every value, CSV with the columns that hyperfine writes, a Markdown table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::super::outfile::OutFile;
use super::arguments::MeasureArgs;
use crate::report::{self, words};
use crate::trial::{ArmReport, Report};

/// A report as the text of one format.
type Format = fn(&Report) -> Result<String, Failure>;

/// Files that are opened before anything is measured: a wrong path must not cost a measurement.
pub(super) struct Exports {
    files: Vec<Export>,
}

struct Export {
    file: OutFile,
    format: Format,
}

impl Exports {
    pub fn open(args: &MeasureArgs, folder: &Path) -> Result<Self, Failure> {
        let asked: [(&Option<PathBuf>, Format); 3] = [
            (&args.export_json, json),
            (&args.export_csv, |report| Ok(csv(report))),
            (&args.export_markdown, |report| Ok(markdown(report))),
        ];
        let asked = asked.into_iter().filter_map(|(path, format)| Some((path.as_ref()?, format)));
        let files =
            asked.map(|(path, format)| Ok(Export { file: OutFile::open(&folder.join(path))?, format }));
        Ok(Self { files: files.collect::<Result<_, Failure>>()? })
    }

    /// Writes every file, also after one that fails; the first failure is what is told.
    pub fn write(self, report: &Report) -> Result<(), Failure> {
        let written =
            self.files.into_iter().map(|export| export.file.write((export.format)(report)?.as_bytes()));
        written.fold(Ok(()), Result::and)
    }
}

fn json(report: &Report) -> Result<String, Failure> {
    Ok(format!("{}\n", report::json("measure", report)?))
}

/// `command,mean,stddev,median,user,system,min,max` as hyperfine writes them (seconds; user and system are means), then
/// what it does not know, and the medians of all other metrics.
fn csv(report: &Report) -> String {
    let parameters: Vec<&String> =
        report.arms.first().map(|arm| arm.parameters.keys().collect()).unwrap_or_default();
    let mut header = vec!["command", "mean", "stddev", "median", "user", "system", "min", "max"];
    header.extend(["mad", "runs", "cpu", "peak_rss_bytes", "effect", "effect_low", "effect_high", "verdict"]);
    header.extend(["effect_is_bound"]);
    let mut lines = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    // Last, because which of them there are depends on the machine and the command.
    let shown = ["wall_s", "user_s", "sys_s", "cpu_s", "peak_rss_bytes"];
    let keys: BTreeSet<&String> = report.arms.iter().flat_map(|arm| arm.metrics.keys()).collect();
    let others: Vec<&String> = keys.into_iter().filter(|key| !shown.contains(&key.as_str())).collect();
    lines[0].extend(parameters.iter().map(|name| format!("parameter_{name}")));
    for key in &others {
        let column = unlike(&lines[0], key);
        lines[0].push(column);
    }
    for (index, arm) in report.arms.iter().enumerate() {
        let wall = |value: fn(&crate::trial::MetricReport) -> f64| number(arm, "wall_s", value);
        let mean = |key: &str| number(arm, key, |metric| metric.mean);
        let median = |key: &str| number(arm, key, |metric| metric.median);
        let comparison = report.comparisons.iter().find(|comparison| comparison.arm == index);
        let bound = |bound: Option<f64>| bound.map(digits).unwrap_or_default();
        let mut line = vec![
            arm.command.clone(),
            wall(|metric| metric.mean),
            wall(|metric| metric.stddev),
            wall(|metric| metric.median),
            mean("user_s"),
            mean("sys_s"),
            wall(|metric| metric.min),
            wall(|metric| metric.max),
            wall(|metric| metric.mad),
            arm.runs.to_string(),
            median("cpu_s"),
            median("peak_rss_bytes"),
        ];
        line.extend(match comparison {
            None => vec![String::new(); 5],
            Some(comparison) => vec![
                digits(comparison.effect),
                bound(comparison.interval.0),
                bound(comparison.interval.1),
                comparison.verdict.to_owned(),
                comparison.effect_is_bound.to_string(),
            ],
        });
        line.extend(parameters.iter().map(|name| arm.parameters.get(*name).cloned().unwrap_or_default()));
        line.extend(others.iter().map(|key| median(key)));
        lines.push(line);
    }
    lines
        .iter()
        .map(|line| line.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n")
        .collect()
}

/// The key, moved out of the way of the columns that there are.
fn unlike(columns: &[String], key: &str) -> String {
    let mut column = key.to_owned();
    while columns.contains(&column) {
        column.insert_str(0, "metric_");
    }
    column
}

fn number(arm: &ArmReport, key: &str, value: fn(&crate::trial::MetricReport) -> f64) -> String {
    arm.metrics.get(key).map(|metric| digits(value(metric))).unwrap_or_default()
}

/// All digits that tell the number from its neighbours, with a power of ten where that is shorter.
fn digits(value: f64) -> String {
    format!("{value:?}")
}

/// A cell as RFC 4180 wants it.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn markdown(report: &Report) -> String {
    let metric = &report.primary;
    let mut text = format!(
        "| Command | Runs | Median {metric} | Min | Max | Against the first | Verdict |\n|:---|---:|---:|---:|---:|---:|:---|\n",
        metric = metric.id()
    );
    for (index, arm) in report.arms.iter().enumerate() {
        let shown = |value: fn(&crate::trial::MetricReport) -> f64| {
            arm.metrics
                .get(&report.metric)
                .map(|found| words::value(metric, value(found)))
                .unwrap_or_default()
        };
        let (against, verdict) = match report.comparisons.iter().find(|comparison| comparison.arm == index) {
            Some(comparison) => (comparison.words(metric), comparison.verdict),
            None => (if report.arms.len() > 1 { "1" } else { "" }.to_owned(), ""),
        };
        text.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {against} | {verdict} |\n",
            arm.name.replace('|', "\\|").replace('`', "'"),
            arm.runs,
            shown(|metric| metric.median),
            shown(|metric| metric.min),
            shown(|metric| metric.max),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_name_of_its_own() {
        let columns = ["mean", "metric_mean", "n"].map(str::to_owned);
        assert_eq!(
            ["mean", "n", "tps"].map(|key| unlike(&columns, key)),
            ["metric_metric_mean", "metric_n", "tps"]
        );
    }

    #[test]
    fn cells_with_commas_quotes_and_lines_are_quoted() {
        assert_eq!(
            ["a b", "a,b", "say \"x\"", "a\nb"].map(quoted),
            ["a b", "\"a,b\"", "\"say \"\"x\"\"\"", "\"a\nb\""]
        );
    }
}
