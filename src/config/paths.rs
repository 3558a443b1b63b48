//! One name for each declared file, however it was written.
//!
//! **Invariant**: afterwards two declared paths are equal where they name the same file, and all lie below the root.

use std::path::{Component, Path, PathBuf};

use super::{Config, ConfigError};

/// The path without `.`, and without `..` where a folder stands before it; follows no symlink.
#[must_use]
pub fn plain_path(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match (part, plain.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                plain.pop();
            }
            (other, _) => plain.push(other),
        }
    }
    plain
}

/// The file that a path below `root` leads to through symlinks, relative to the root; absent when that is outside. What
/// does not exist yet is found through the folders that do.
#[must_use]
pub fn real_path(root: &Path, path: &Path) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    let mut real = root.clone();
    for part in root.join(path).strip_prefix(&root).map_or(path, |below| below).components() {
        match part {
            Component::CurDir => {}
            // By now without symlinks, so that the folder above is the one that the kernel would find.
            Component::ParentDir => {
                real.pop();
            }
            other => real.push(other),
        }
        real = real.canonicalize().unwrap_or(real);
    }
    real.strip_prefix(&root).ok().map(Path::to_owned)
}

impl Config {
    /// Gives every declared path its one name, relative to what its field says. Absolute paths and `..` are welcome as
    /// long as they end below `root`, which must be absolute.
    ///
    /// # Errors
    /// [`ConfigError::Outside`].
    pub fn settle_paths(&mut self, root: &Path) -> Result<(), ConfigError> {
        let outside = |path: &Path| ConfigError::Outside { path: path.to_owned(), root: root.to_owned() };
        let real_root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        // Inputs are copied as they stand, symlinks as symlinks, so that their names must stay.
        let below = |path: &Path| {
            let plain = plain_path(&root.join(path));
            let relative = plain.strip_prefix(root).or_else(|_| plain.strip_prefix(&real_root));
            relative.map(Path::to_owned).map_err(|_| outside(path))
        };
        let benchmark = &mut self.benchmark;
        benchmark.stdin = benchmark.stdin.as_deref().map(below).transpose()?;
        benchmark.inputs = benchmark.inputs.iter().map(|path| below(path)).collect::<Result<_, _>>()?;
        distinct(&mut benchmark.inputs);
        let cwd = real_path(root, &benchmark.cwd).ok_or_else(|| outside(&benchmark.cwd))?;
        let written = |path: &PathBuf| {
            let real = real_path(root, &benchmark.cwd.join(path)).ok_or_else(|| outside(path))?;
            Ok(relative_to(&cwd, &real))
        };
        self.verify.files = self.verify.files.iter().map(written).collect::<Result<_, ConfigError>>()?;
        distinct(&mut self.verify.files);
        Ok(())
    }
}

/// `path` as seen from `folder`, both relative to the same root.
fn relative_to(folder: &Path, path: &Path) -> PathBuf {
    let common = folder.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(path.components().skip(common)).collect()
}

/// Drops all but the first of equal paths.
fn distinct(paths: &mut Vec<PathBuf>) {
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CommandLine;

    #[test]
    fn plain_paths_have_no_detours() {
        let check = |path: &str, expected: &str| {
            assert_eq!(plain_path(Path::new(path)), Path::new(expected), "{path}");
        };
        check("./a/./b", "a/b");
        check("a/../b", "b");
        check("/a/../../b", "/b");
        check("../a/../../b", "../../b");
        check("a//b/", "a/b");
        check(".", "");
    }

    /// A root with `real/`, a link `link` to it, and a folder `sub`.
    fn root() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("root");
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::fs::create_dir(root.join("sub")).unwrap();
        std::fs::write(root.join("real/old.txt"), "").unwrap();
        for (target, name) in
            [("real", "link"), ("real/deep", "down"), ("../real/old.txt", "sub/latest"), ("..", "out")]
        {
            std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        }
        (folder, root)
    }

    fn settled(root: &Path, cwd: &str, files: &[&str]) -> Result<Vec<String>, ConfigError> {
        let mut config = Config::for_command(CommandLine::Argv(vec!["x".to_owned()]));
        config.benchmark.cwd = PathBuf::from(cwd);
        config.benchmark.inputs = files.iter().map(PathBuf::from).collect();
        config.verify.files = files.iter().map(PathBuf::from).collect();
        config.settle_paths(root)?;
        Ok(config.verify.files.iter().map(|path| path.display().to_string()).collect())
    }

    #[test]
    fn one_file_has_one_name() {
        let (_folder, root) = root();
        let check = |cwd: &str, files: &[&str], expected: &[&str]| {
            assert_eq!(settled(&root, cwd, files).unwrap(), expected, "{files:?}");
        };
        let absolute = root.join("real/new.txt").display().to_string();
        let winding = format!("{}/sub/../link/new.txt", root.display());
        check(
            "",
            &["real/new.txt", "./real/new.txt", "link/new.txt", "sub/../real/new.txt", &absolute, &winding],
            &["real/new.txt"],
        );
        // The kernel's way: `..` of where the link leads.
        check("", &["down/../new.txt"], &["real/new.txt"]);
        check("", &["sub/latest", "real/old.txt"], &["real/old.txt"]);
        check("sub", &[&absolute, "new.txt", "./latest"], &["../real/new.txt", "new.txt", "../real/old.txt"]);
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let (_folder, root) = root();
        for path in ["../x", "out/x", "/etc/hostname", "sub/../../x"] {
            let error = settled(&root, "", &[path]).unwrap_err();
            assert!(matches!(error, ConfigError::Outside { .. }), "{path}: {error}");
        }
    }
}
