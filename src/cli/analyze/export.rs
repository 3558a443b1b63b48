//! Call stacks as files for other tools.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::failure::Failure;
use super::super::outfile::OutFile;
use super::super::terminal::Terminal;
use crate::experiment::Analysis;
use crate::profile::Stacks;
use crate::profile::stacks::formats::{ALL, Format};

/// Where to write the call stacks.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Write a flame graph, which a browser opens (SVG)
    #[arg(long, visible_alias = "flamegraph", value_name = "FILE", help_heading = "Results")]
    export_flamegraph: Option<PathBuf>,

    /// Write collapsed stacks, one a line with its count
    #[arg(long, visible_alias = "collapsed", value_name = "FILE", help_heading = "Results")]
    export_collapsed: Option<PathBuf>,

    /// Write a profile for speedscope.app
    #[arg(long, visible_alias = "speedscope", value_name = "FILE", help_heading = "Results")]
    export_speedscope: Option<PathBuf>,

    /// Write a profile for profiler.firefox.com
    #[arg(long, visible_alias = "firefox", value_name = "FILE", help_heading = "Results")]
    export_firefox: Option<PathBuf>,
}

/// Files that are opened before anything is watched: a wrong path must not cost a run.
pub(super) struct Exports(Vec<(&'static dyn Format, OutFile)>);

impl Exports {
    pub fn open(args: &ExportArgs, folder: &Path) -> Result<Self, Failure> {
        let asked = [
            ("flamegraph", &args.export_flamegraph),
            ("collapsed", &args.export_collapsed),
            ("speedscope", &args.export_speedscope),
            ("firefox", &args.export_firefox),
        ];
        let asked = asked
            .into_iter()
            .filter_map(|(id, path)| Some((*ALL.iter().find(|format| format.id() == id)?, path.as_ref()?)));
        let open = asked.map(|(format, path)| Ok((format, OutFile::open(&folder.join(path))?)));
        Ok(Self(open.collect::<Result<_, Failure>>()?))
    }

    /// Writes every file, also after one that fails; the first failure is what is told. Says whether there was what was
    /// asked for.
    pub fn write(self, analysis: &Analysis, terminal: &Terminal) -> Result<bool, Failure> {
        if self.0.is_empty() {
            return Ok(true);
        }
        let Some(stacks) = stacks(analysis) else {
            let reasons = analysis.profile.missing().filter(|(id, _)| ["stacks", "python"].contains(id));
            let (why, remedies): (Vec<String>, Vec<&str>) =
                reasons.map(|(_, absent)| (absent.reason.clone(), absent.remedy.as_str())).unzip();
            let why = if why.is_empty() { "nothing of it ran on a CPU".to_owned() } else { why.join("; ") };
            let remedy = remedies.into_iter().find(|remedy| !remedy.is_empty());
            terminal.warn(&format!("no call stacks were seen, so none are written: {why}"), remedy);
            return Ok(false);
        };
        let written = self.0.into_iter().map(|(format, file)| {
            let mut content = Vec::new();
            format
                .write(stacks, &mut content)
                .map_err(|error| Failure::io(format!("write stacks as {}", format.id()), error))?;
            file.write(&content)
        });
        written.fold(Ok(()), Result::and)?;
        Ok(true)
    }
}

/// Those of the program's own language where they were seen: the frames of an interpreter tell little of its script.
fn stacks(analysis: &Analysis) -> Option<&Stacks> {
    let profile = &analysis.profile;
    [&profile.python, &profile.stacks].into_iter().find(|stacks| !stacks.samples.is_empty())
}
