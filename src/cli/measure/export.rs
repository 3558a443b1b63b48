//! The result as files: JSON with every value, CSV with the columns that hyperfine writes, a Markdown table.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::failure::Failure;
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
    path: PathBuf,
    file: File,
    format: Format,
    /// An empty file of ours that nothing has been written to yet; removed when nothing comes.
    is_new: bool,
}

impl Exports {
    pub fn open(args: &MeasureArgs, folder: &Path) -> Result<Self, Failure> {
        let asked: [(&Option<PathBuf>, Format); 3] = [
            (&args.export_json, json),
            (&args.export_csv, |report| Ok(csv(report))),
            (&args.export_markdown, |report| Ok(markdown(report))),
        ];
        let mut files = Vec::new();
        for (path, format) in asked {
            let Some(path) = path else {
                continue;
            };
            let path = folder.join(path);
            let (file, is_new) =
                open(&path).map_err(|error| Failure::io(format!("write {}", path.display()), error))?;
            files.push(Export { path, file, format, is_new });
        }
        Ok(Self { files })
    }

    /// Writes every file, also after one that fails; the first failure is what is told.
    pub fn write(mut self, report: &Report) -> Result<(), Failure> {
        self.files.iter_mut().map(|export| export.write(report)).fold(Ok(()), Result::and)
    }
}

impl Export {
    fn write(&mut self, report: &Report) -> Result<(), Failure> {
        let text = (self.format)(report)?;
        self.is_new = false;
        // A pipe or a terminal has no length to cut.
        let cut = self.file.metadata().is_ok_and(|kind| kind.is_file());
        if cut { self.file.set_len(0) } else { Ok(()) }
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(|error| Failure::io(format!("write {}", self.path.display()), error))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if self.is_new {
            // Gone already is as good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file, and whether it was not there before. What stands there is replaced only once there is something to replace
/// it by.
fn open(path: &Path) -> io::Result<(File, bool)> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link that leads nowhere is there too.
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            Ok((file, false))
        }
        created => Ok((created?, true)),
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
