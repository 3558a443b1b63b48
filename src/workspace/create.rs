//! New repositories, for the bundled examples.

use std::path::Path;

use super::error::{self, WorkspaceError};

/// Makes `root` a repository whose first commit holds all its files that are not ignored.
///
/// # Errors
/// When git or the file system refuses.
pub fn create_repository(root: &Path, message: &str) -> Result<(), WorkspaceError> {
    let operation = "create a repository";
    let git = git2::Repository::init(root).map_err(error::git(operation))?;
    let mut index = git.index().map_err(error::git(operation))?;
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).map_err(error::git(operation))?;
    index.write().map_err(error::git(operation))?;
    let tree = index.write_tree().map_err(error::git(operation))?;
    let tree = git.find_tree(tree).map_err(error::git(operation))?;
    let author = git2::Signature::now("perfup", "perfup@localhost").map_err(error::git(operation))?;
    git.commit(Some("HEAD"), &author, &author, message, &tree, &[]).map_err(error::git(operation))?;
    Ok(())
}
