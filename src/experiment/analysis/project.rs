//! What the folder of a command holds, and what the recipes propose for it.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::delegate::{self, Project};
use crate::diagnose::Diagnosis;
use crate::plan::{Ranked, rank};
use crate::spec::Proposed;
use crate::workspace::Repository;

/// Source files that are looked at where there is no repository to list them.
const FILES_MAX: usize = 2000;

/// The files of a project: those that git knows, else those that lie there.
pub(super) fn files(root: &Path, repository: Option<&Repository>) -> Vec<PathBuf> {
    let tracked = repository.and_then(|repository| repository.tracked_files(&repository.head().ok()?).ok());
    tracked.unwrap_or_else(|| files_below(root))
}

pub(super) fn hypotheses(config: &Config, root: &Path, files: &[PathBuf], diagnosis: &Diagnosis) -> Ranked {
    let project = Project {
        root: root.to_owned(),
        files: files.to_owned(),
        command: config.benchmark.command.clone(),
        build: config.benchmark.build.clone(),
        cwd: config.benchmark.cwd.clone(),
        runtime: diagnosis.runtime.clone(),
        allow: config.delegate.allow.clone(),
    };
    let proposals = delegate::EXECUTORS.iter().flat_map(|executor| executor.propose(&project)).collect();
    rank(proposals, diagnosis, &[], &config.delegate.allow)
}

pub(super) fn proposed(ranked: &Ranked) -> Vec<Proposed<'_>> {
    let open = ranked.queue.iter().map(|hypothesis| Proposed { hypothesis, state: None });
    let withheld = ranked.withheld.iter().map(|(hypothesis, policy)| Proposed {
        hypothesis,
        state: Some(format!("not tried; needs --allow {}", policy.word())),
    });
    open.chain(withheld).collect()
}

/// Files of a folder that is no repository, relative to it; hidden and dependency folders left out.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let skipped =
                name.starts_with('.') || ["target", "node_modules", "__pycache__", "venv"].contains(&&*name);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !skipped => folders.push(entry.path()),
                Ok(kind) if kind.is_file() && found.len() < FILES_MAX => {
                    found.extend(entry.path().strip_prefix(root).map(Path::to_owned));
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}
