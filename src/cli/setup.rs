//! What the rooms below need of the outside world, gathered once.

use std::path::PathBuf;

use super::Global;
use super::failure::Failure;
use crate::config::{Config, ConfigFile};
use crate::experiment::{Events, Setup};
use crate::workspace::Repository;

/// Folder, caches, environment, and where events go.
pub(super) fn setup(global: &Global, events: Events) -> Result<Setup, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::io("find out the current folder", error))?;
    let folder = match &global.directory {
        None => here,
        Some(folder) => here
            .join(folder)
            .canonicalize()
            .map_err(|error| Failure::io(format!("enter {}", folder.display()), error))?,
    };
    let runner = std::env::current_exe().map_err(|error| Failure::io("find perfup's own program", error))?;
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .filter(|path| std::fs::create_dir_all(path).is_ok())
        .unwrap_or_else(std::env::temp_dir);
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Setup { folder, cache, runner, environment, events })
}

/// Where perfup remembers what it has learned of this user's machine: `$XDG_STATE_HOME/perfup`.
pub(super) fn state_folder() -> PathBuf {
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("perfup")
}

/// perfup.toml, from the repository's root, else from the folder itself.
pub(super) fn config_file(setup: &Setup) -> Result<Option<ConfigFile>, Failure> {
    Ok(ConfigFile::read(&root(setup))?)
}

pub(super) fn root(setup: &Setup) -> PathBuf {
    Repository::open(&setup.folder)
        .map_or_else(|_| setup.folder.clone(), |repository| repository.root().to_owned())
}

/// A bare command runs where the user stands, also in a subfolder of the repository; declared paths get one name each.
pub(super) fn settle_paths(config: &mut Config, setup: &Setup, bare_command: bool) -> Result<(), Failure> {
    let root = root(setup);
    let folder = setup.folder.canonicalize().unwrap_or_else(|_| setup.folder.clone());
    if let (true, Ok(relative)) = (bare_command, folder.strip_prefix(&root)) {
        config.benchmark.cwd = relative.to_owned();
    }
    Ok(config.settle_paths(&root)?)
}
