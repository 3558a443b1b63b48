//! Where a session keeps its things: `.perfup/`, `specs/`, `reports/` in the repository, worktrees outside it.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::sys::stream::hexadecimal;

/// Every path a session writes to.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The repository's root.
    pub root: PathBuf,
    /// Holds the worktrees of this repository's sessions. Outside the checkout: a worktree inside it would inherit
    /// the checkout's `Cargo.toml` workspace, tool settings and ignore rules, and would show up in the user's status.
    pub worktrees: PathBuf,
}

impl Layout {
    /// `cache` is the user's cache folder.
    #[must_use]
    pub fn new(root: &Path, cache: &Path) -> Self {
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        // Neutral: nothing in a candidate's working directory says that it is being measured.
        let worktrees = cache.join("worktrees").join(hexadecimal(&digest[..6]));
        Self { root: root.to_owned(), worktrees }
    }

    /// perfup's own folder in the repository; ignores itself.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join(".perfup")
    }

    #[must_use]
    pub fn worklog(&self) -> PathBuf {
        self.state().join("worklog.db")
    }

    /// Captured outputs by content.
    #[must_use]
    pub fn outputs(&self) -> PathBuf {
        self.state().join("outputs")
    }

    /// What builds and tests printed.
    #[must_use]
    pub fn logs(&self, session: &str) -> PathBuf {
        self.state().join("logs").join(session)
    }

    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state().join("lock")
    }

    #[must_use]
    pub fn spec(&self, benchmark: &str) -> PathBuf {
        self.root.join("specs").join(format!("{benchmark}_speedup.md"))
    }

    #[must_use]
    pub fn results(&self) -> PathBuf {
        self.root.join("reports").join("perfup-results.tsv")
    }

    #[must_use]
    pub fn report(&self, session: &str) -> PathBuf {
        self.root.join("reports").join(format!("{session}.md"))
    }

    /// The folder of one worktree. All are equally long, so that the length of the path (which moves the stack)
    /// is the same for both arms, and none tells its place in the session.
    #[must_use]
    pub fn worktree(&self, session: &str, slot: u32) -> PathBuf {
        let digest = Sha256::digest(format!("{session}/{slot}"));
        self.worktrees.join(hexadecimal(&digest[..4]))
    }

    /// Temporary files of ours, next to the worktrees.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.worktrees.join("tmp")
    }

    /// Makes `.perfup/`, which ignores itself as caches do, so that no tracked file needs to change.
    ///
    /// # Errors
    /// The file system's.
    pub fn prepare_state(&self) -> io::Result<()> {
        std::fs::create_dir_all(self.state())?;
        let ignore = self.state().join(".gitignore");
        if ignore.exists() { Ok(()) } else { std::fs::write(ignore, "*\n") }
    }

    /// Makes every folder that a session writes to.
    ///
    /// # Errors
    /// The file system's.
    pub fn prepare(&self, session: &str) -> io::Result<()> {
        self.prepare_state()?;
        std::fs::create_dir_all(self.logs(session))?;
        std::fs::create_dir_all(self.outputs())?;
        std::fs::create_dir_all(&self.worktrees)
    }
}

/// What every measurement of this user on this machine locks.
#[must_use]
pub fn measure_lock(cache: &Path) -> PathBuf {
    cache.join("worktrees").join("measure.lock")
}

/// Writes a whole file so that a reader, or a crash, sees the old text or the new one.
///
/// # Errors
/// The file system's.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worktree_paths_are_neutral_and_equally_long() {
        let layout = Layout::new(Path::new("/home/me/perfup-demo"), Path::new("/home/me/.cache"));
        let paths: Vec<String> =
            (0..20).map(|slot| layout.worktree("s", slot).display().to_string()).collect();
        assert!(paths.iter().all(|path| path.len() == paths[0].len() && !path.contains("perfup")));
        let distinct: std::collections::BTreeSet<&String> = paths.iter().collect();
        assert_eq!(distinct.len(), paths.len());
    }
}
