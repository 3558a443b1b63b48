//! What this room cannot handle truthfully, found before anything is written.
//!
//! libgit2 checks out and commits without external filters, sparse patterns or lazy fetching: the files would be
//! wrong without any error. So such repositories are refused, with the reason.
//!
//! **Invariant**: reads only.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{self, WorkspaceError};
use super::{CommitId, Repository, path_from_bytes};

/// The folder that a git folder shares with all worktrees, canonical.
pub(super) fn common_dir(git_dir: &Path) -> Result<PathBuf, WorkspaceError> {
    let link = git_dir.join("commondir");
    let common = match fs::read(&link) {
        Ok(bytes) => git_dir.join(path_from_bytes(&bytes)),
        Err(_) => git_dir.to_owned(),
    };
    common.canonicalize().map_err(error::io("find the git folder", &common))
}

/// Refuses storage formats, from the configuration alone: libgit2 cannot even open some of them.
pub(super) fn refuse_format(common_dir: &Path) -> Result<(), WorkspaceError> {
    let path = common_dir.join("config");
    if let Err(source) = fs::metadata(&path) {
        return match source.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error::io("read", &path)(source)),
        };
    }
    let config = git2::Config::open(&path).map_err(error::git("read the repository's configuration"))?;
    let is = |name: &str, value: &str| config.get_string(name).is_ok_and(|found| found == value);
    let refused = if is("extensions.objectformat", "sha256") {
        Some(("sha256 objects", "only repositories with sha1 object ids can be read"))
    } else if config.get_string("extensions.refstorage").is_ok_and(|found| found != "files") {
        Some(("reftable", "only branches stored as files can be read"))
    } else if config.get_string("extensions.partialclone").is_ok() || has_promisor(&config) {
        Some(("partial clone", "files that were not fetched cannot be checked out; fetch everything first"))
    } else if config.get_bool("core.sparsecheckout").unwrap_or(false) {
        Some(("sparse checkout", "a worktree would hold all files, not the ones you chose"))
    } else {
        None
    };
    match refused {
        Some((what, why)) => Err(unsupported(what, why)),
        None => Ok(()),
    }
}

fn has_promisor(config: &git2::Config) -> bool {
    let Ok(mut entries) = config.entries(Some("^remote\\..*\\.promisor$")) else {
        return false;
    };
    entries.next().is_some()
}

/// Refuses submodules, and files behind an external filter such as git-lfs, in `commit`.
///
/// Attributes are looked up as the user's checkout has them; a commit's changed files are checked again when it is made.
pub(super) fn refuse_contents(repository: &Repository, commit: &CommitId) -> Result<(), WorkspaceError> {
    let config = repository.git.config().map_err(error::git("read the configuration"))?;
    if config.get_bool("core.sparsecheckout").unwrap_or(false) {
        return Err(unsupported(
            "sparse checkout",
            "a worktree would hold all files, not the ones you chose",
        ));
    }
    let mut files = Vec::new();
    let mut any_filter = mentions_filter(&repository.common_dir.join("info/attributes"))
        || config.get_path("core.attributesfile").is_ok_and(|path| mentions_filter(&path));
    repository.each_entry(commit, &mut |path, entry| {
        if entry.kind() == Some(git2::ObjectType::Commit) {
            return Err(unsupported("submodules", format!("{} is another repository", path.display())));
        }
        if entry.name_bytes() == b".gitattributes" {
            let blob = repository.git.find_blob(entry.id()).map_err(error::git("read .gitattributes"))?;
            any_filter |= has_filter(blob.content());
        }
        files.push(path.to_owned());
        Ok(())
    })?;
    if any_filter {
        for path in &files {
            refuse_filter(&repository.git, &config, path)?;
        }
    }
    Ok(())
}

/// Refuses `path` when an external program stands between its stored and its checked-out bytes.
pub(super) fn refuse_filter(
    git: &git2::Repository,
    config: &git2::Config,
    path: &Path,
) -> Result<(), WorkspaceError> {
    let filter = git
        .get_attr_bytes(path, "filter", git2::AttrCheckFlags::FILE_THEN_INDEX)
        .map_err(error::git("look up attributes"))?;
    let git2::AttrValue::String(name) = git2::AttrValue::from_bytes(filter) else {
        return Ok(());
    };
    // git itself ignores a filter that is not configured; git-lfs leaves pointer files then, which run nowhere.
    let configured = ["clean", "smudge", "process"]
        .iter()
        .any(|kind| config.get_string(&format!("filter.{name}.{kind}")).is_ok());
    match configured || name == "lfs" {
        true => Err(unsupported(
            &format!("the git filter {name:?}"),
            format!("{} is stored in another form than it is used", path.display()),
        )),
        false => Ok(()),
    }
}

pub(super) fn unsupported(what: &str, why: impl Into<String>) -> WorkspaceError {
    WorkspaceError::Unsupported { what: what.to_owned(), why: why.into() }
}

fn mentions_filter(path: &Path) -> bool {
    fs::read(path).is_ok_and(|text| has_filter(&text))
}

fn has_filter(text: &[u8]) -> bool {
    text.windows(b"filter=".len()).any(|window| window == b"filter=")
}
