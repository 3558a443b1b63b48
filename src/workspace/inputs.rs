//! Untracked inputs that a benchmark declares, copied into a worktree.
//!
//! **Invariant**: reads only below the root and writes only below the worktree; symlinks are copied, never followed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use super::error::{self, WorkspaceError};

/// Copies the file or folder `root/relative` to `worktree/relative`, replacing what stands there. Symlinks stay links
/// (relative ones that end inside the root); permission bits are kept; `.git` folders are left out.
///
/// # Errors
/// [`WorkspaceError::RefusedInput`] for a path that is absolute, climbs with `..`, or leads through or to a symlink out
/// of the root, and for devices, sockets and pipes; [`WorkspaceError::Io`] otherwise.
pub fn copy_input(root: &Path, relative: &Path, worktree: &Path) -> Result<(), WorkspaceError> {
    let root = root.canonicalize().map_err(error::io("find the checkout", root))?;
    let relative = plain_relative(relative)?;
    refuse_links_on_the_way(&root, &relative, "it leads through a symlink")?;
    refuse_links_on_the_way(worktree, &relative, "a symlink stands on its way in the worktree")?;
    let target = worktree.join(&relative);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(error::io("create", parent))?;
    }
    copy(&root, &relative, &target)
}

/// The path without `.` components, when it is one below the root.
fn plain_relative(path: &Path) -> Result<PathBuf, WorkspaceError> {
    let refused = |reason| Err(WorkspaceError::RefusedInput { path: path.to_owned(), reason });
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => return refused("it climbs with '..'"),
            Component::RootDir | Component::Prefix(_) => return refused("it is not relative to the root"),
            Component::Normal(name) if name == ".git" => return refused("it is git's own"),
            Component::Normal(name) => plain.push(name),
        }
    }
    match plain.as_os_str().is_empty() {
        true => refused("it is the whole root"),
        false => Ok(plain),
    }
}

/// Refuses when a folder between `base` and the last component of `relative` is a symlink.
fn refuse_links_on_the_way(base: &Path, relative: &Path, reason: &'static str) -> Result<(), WorkspaceError> {
    let folders = relative.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    for folder in folders {
        if fs::symlink_metadata(base.join(folder)).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(WorkspaceError::RefusedInput { path: relative.to_owned(), reason });
        }
    }
    Ok(())
}

fn copy(root: &Path, relative: &Path, target: &Path) -> Result<(), WorkspaceError> {
    let source = root.join(relative);
    let kind = fs::symlink_metadata(&source).map_err(error::io("read the input", &source))?.file_type();
    if kind.is_dir() {
        return copy_folder(root, relative, target);
    }
    if kind.is_symlink() {
        let link = fs::read_link(&source).map_err(error::io("read the input", &source))?;
        refuse_link_out(root, relative, &link)?;
        make_room(target)?;
        return symlink(&link, target).map_err(error::io("link", target));
    }
    if !kind.is_file() {
        let reason = "it is neither a file, a folder nor a symlink";
        return Err(WorkspaceError::RefusedInput { path: relative.to_owned(), reason });
    }
    make_room(target)?;
    fs::copy(&source, target).map_err(error::io("copy the input to", target))?;
    Ok(())
}

fn copy_folder(root: &Path, relative: &Path, target: &Path) -> Result<(), WorkspaceError> {
    if !fs::symlink_metadata(target).is_ok_and(|metadata| metadata.is_dir()) {
        make_room(target)?;
        fs::create_dir(target).map_err(error::io("create", target))?;
    }
    let source = root.join(relative);
    for item in fs::read_dir(&source).map_err(error::io("read the input", &source))? {
        let name = item.map_err(error::io("read the input", &source))?.file_name();
        if name != ".git" {
            copy(root, &relative.join(&name), &target.join(&name))?;
        }
    }
    let permissions = fs::metadata(&source).map_err(error::io("read the input", &source))?.permissions();
    fs::set_permissions(target, permissions).map_err(error::io("set the permissions of", target))
}

/// A link may name what the root holds (the worktree has its own copy of that), nothing else.
fn refuse_link_out(root: &Path, relative: &Path, link: &Path) -> Result<(), WorkspaceError> {
    let refused = |reason| Err(WorkspaceError::RefusedInput { path: relative.to_owned(), reason });
    if link.is_absolute() {
        return refused("it is an absolute symlink");
    }
    let mut depth = relative.components().count() - 1;
    for component in link.components() {
        match component {
            Component::ParentDir if depth == 0 => return refused("it is a symlink out of the root"),
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    // A chain of links may leave the root although this one does not; a dangling link leads nowhere.
    match root.join(relative).canonicalize() {
        Ok(end) if !end.starts_with(root) => refused("it is a symlink out of the root"),
        _ => Ok(()),
    }
}

/// Removes a file, symlink or folder that stands where the copy goes.
fn make_room(target: &Path) -> Result<(), WorkspaceError> {
    let removed = match fs::symlink_metadata(target) {
        Err(_) => return Ok(()),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(target),
        Ok(_) => fs::remove_file(target),
    };
    removed.map_err(error::io("replace", target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Folders {
        _scratch: tempfile::TempDir,
        root: PathBuf,
        worktree: PathBuf,
    }

    fn folders() -> Folders {
        let scratch = tempfile::tempdir().unwrap();
        let (root, worktree) = (scratch.path().join("root"), scratch.path().join("worktree"));
        fs::create_dir_all(root.join("data/deep")).unwrap();
        fs::create_dir(&worktree).unwrap();
        fs::write(scratch.path().join("secret"), "secret").unwrap();
        fs::write(root.join("data/a b\nc"), "bytes").unwrap();
        fs::write(root.join("data/deep/run.sh"), "#!/bin/sh").unwrap();
        fs::set_permissions(root.join("data/deep/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        Folders { _scratch: scratch, root, worktree }
    }

    #[test]
    fn files_and_folders_arrive_with_modes_and_links() {
        let f = folders();
        symlink("deep/run.sh", f.root.join("data/link")).unwrap();
        symlink("nowhere", f.root.join("data/dangling")).unwrap();
        fs::create_dir(f.root.join("data/.git")).unwrap();
        for _ in 0..2 {
            copy_input(&f.root, Path::new("./data"), &f.worktree).unwrap();
            let data = f.worktree.join("data");
            assert_eq!(fs::read(data.join("a b\nc")).unwrap(), b"bytes");
            let mode = fs::metadata(data.join("deep/run.sh")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
            assert_eq!(fs::read_link(data.join("link")).unwrap(), Path::new("deep/run.sh"));
            assert_eq!(fs::read_link(data.join("dangling")).unwrap(), Path::new("nowhere"));
            assert!(!data.join(".git").exists());
        }
        fs::remove_dir_all(f.worktree.join("data")).unwrap();
        copy_input(&f.root, Path::new("data/deep/run.sh"), &f.worktree).unwrap();
        assert!(f.worktree.join("data/deep/run.sh").is_file());
    }

    #[test]
    fn nothing_outside_the_root_is_read() {
        let f = folders();
        let secret = f.root.parent().unwrap().join("secret");
        symlink(&secret, f.root.join("absolute")).unwrap();
        symlink("../secret", f.root.join("climbing")).unwrap();
        symlink("data/../../secret", f.root.join("winding")).unwrap();
        symlink("climbing", f.root.join("chained")).unwrap();
        symlink("..", f.root.join("up")).unwrap();
        fs::create_dir(f.root.join("folder")).unwrap();
        symlink("../../secret", f.root.join("folder/inner")).unwrap();
        let inputs = [
            "absolute",
            "climbing",
            "winding",
            "chained",
            "up/secret",
            "folder",
            "../secret",
            "data/../../secret",
            "",
            ".",
            ".git/config",
            "/etc/hostname",
        ];
        for input in inputs {
            let result = copy_input(&f.root, Path::new(input), &f.worktree);
            assert!(matches!(result, Err(WorkspaceError::RefusedInput { .. })), "{input}: {result:?}");
        }
        let missing = copy_input(&f.root, Path::new("missing"), &f.worktree);
        assert!(matches!(missing, Err(WorkspaceError::Io { .. })), "{missing:?}");
    }

    #[test]
    fn nothing_outside_the_worktree_is_written() {
        let f = folders();
        let outside = f.root.parent().unwrap().join("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, f.worktree.join("data")).unwrap();
        let result = copy_input(&f.root, Path::new("data/deep/run.sh"), &f.worktree);
        assert!(matches!(result, Err(WorkspaceError::RefusedInput { .. })), "{result:?}");
        // The folder itself replaces the link.
        copy_input(&f.root, Path::new("data"), &f.worktree).unwrap();
        assert!(f.worktree.join("data/deep").is_dir());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        // A file does not write through a link either.
        fs::remove_file(f.worktree.join("data/a b\nc")).unwrap();
        symlink(outside.join("written"), f.worktree.join("data/a b\nc")).unwrap();
        copy_input(&f.root, Path::new("data/a b\nc"), &f.worktree).unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
