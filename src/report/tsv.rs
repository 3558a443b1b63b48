//! `reports/perfup-results.tsv`: one line per attempt, for spreadsheets and scripts. Append-only.
//!
//! Columns: `commit`, the metrics, `status`, `description`. The worklog is the truth; this file follows it, and is
//! brought up to date by [`sync`], which never rewrites a line that stands.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Abbreviated commit; `-` when there is none.
    pub commit: String,
    /// Seconds of wall time and of CPU time, and peak memory in MiB; absent when not measured.
    pub wall_s: Option<f64>,
    pub cpu_s: Option<f64>,
    pub rss_mib: Option<f64>,
    /// `baseline`, `keep`, `discard` or `crash`.
    pub status: String,
    pub description: String,
}

/// The header line.
pub const HEADER: &str = "commit\twall_s\tcpu_s\trss_mib\tstatus\tdescription";

impl Row {
    fn line(&self) -> String {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.6}"));
        [
            plain(&self.commit),
            number(self.wall_s),
            number(self.cpu_s),
            number(self.rss_mib),
            plain(&self.status),
            plain(&self.description),
        ]
        .join("\t")
    }
}

/// Appends the rows that are not in the file yet. Descriptions name the session and attempt, so that no two rows are
/// the same. A last line without its line break, left by a full disk, is ended first.
///
/// # Errors
/// The file system's.
pub fn sync(path: &Path, rows: &[Row]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let present = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let known: std::collections::HashSet<&str> =
        present.lines().map(|line| line.trim_end_matches('\r')).collect();
    let mut added = String::new();
    if !present.is_empty() && !present.ends_with('\n') {
        added.push('\n');
    }
    if present.is_empty() {
        added.push_str(HEADER);
        added.push('\n');
    }
    for row in rows {
        let line = row.line();
        if !known.contains(line.as_str()) {
            added.push_str(&line);
            added.push('\n');
        }
    }
    if added.is_empty() {
        return Ok(());
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(added.as_bytes())
}

/// Without what would break a line or a column.
fn plain(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(description: &str) -> Row {
        Row {
            commit: "abc".to_owned(),
            wall_s: Some(1.5),
            cpu_s: None,
            rss_mib: Some(2.0),
            status: "keep".to_owned(),
            description: description.to_owned(),
        }
    }

    #[test]
    fn rows_are_added_once_and_lines_that_stand_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reports/r.tsv");
        sync(&path, &[row("one")]).unwrap();
        sync(&path, &[row("one"), row("two\twith tab\n")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let expected = format!(
            "{HEADER}\nabc\t1.500000\t-\t2.000000\tkeep\tone\nabc\t1.500000\t-\t2.000000\tkeep\ttwo with tab \n"
        );
        assert_eq!(text, expected);
        fs::write(&path, text.trim_end()).unwrap();
        sync(&path, &[row("three")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 4, "the unfinished line was ended: {text}");
    }
}
