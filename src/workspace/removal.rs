//! Removing what is ours from the disk, in an order that a kill cannot turn against us.
//!
//! **Invariant**: follows no symlink; decides nothing: whose a folder is, its caller knows.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::{self, WorkspaceError};

/// Removes a worktree's folder, its `.git` file last.
pub(super) fn remove_folder(path: &Path) -> Result<(), WorkspaceError> {
    let remove = || -> io::Result<()> {
        for item in fs::read_dir(path)? {
            let item = item?;
            if item.file_name() != ".git" {
                remove_tree(&item.path())?;
            }
        }
        remove_tree(&path.join(".git"))?;
        fs::remove_dir(path)
    };
    remove().map_err(error::io("remove the worktree", path))
}

/// Removes a file or folder; folders that a program made read-only are opened up first. Symlinks are not followed.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    let is_folder = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_folder {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        result => result,
    }
}

/// Gives the owner access to a folder and all folders below it.
fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for item in fs::read_dir(folder)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            open_up(&item.path())?;
        }
    }
    Ok(())
}

/// Removes `*.lock` files below a folder of references or a worktree's entry; returns how many.
pub(super) fn remove_locks(folder: &Path) -> Result<usize, WorkspaceError> {
    let mut removed = 0;
    let Ok(listing) = fs::read_dir(folder) else {
        return Ok(0);
    };
    for path in listing.flatten().map(|item| item.path()) {
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        if is_folder {
            removed += remove_locks(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            fs::remove_file(&path).map_err(error::io("remove the stale lock", &path))?;
            removed += 1;
        }
    }
    Ok(removed)
}
