//! What is running, and removing what sessions leave behind.

use serde::Serialize;

use super::context::{Context, Setup};
use super::error::ExperimentError;
use super::layout::Layout;
use super::lock::{Locking, SessionLock};
use crate::worklog::{AttemptVerdict, Worklog};
use crate::workspace::Repository;

/// One session in a listing.
#[derive(Debug, Clone, Serialize)]
pub struct SessionStatus {
    pub name: String,
    pub benchmark: String,
    /// `running`, `interrupted`, or why it ended.
    pub state: String,
    /// The process that works on it.
    pub pid: Option<u32>,
    pub attempts: usize,
    pub keeps: usize,
    pub active_s: f64,
}

/// What [`clean`] removed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cleaned {
    pub sessions: Vec<String>,
    pub worktrees: usize,
    pub branches: Vec<String>,
    pub refs: usize,
    /// Branches that somebody has checked out.
    pub in_use: Vec<String>,
}

/// All sessions of the repository, oldest first.
///
/// # Errors
/// [`ExperimentError`].
pub fn status(setup: &Setup) -> Result<Vec<SessionStatus>, ExperimentError> {
    let repository = Repository::open(&setup.folder)?;
    let layout = Layout::new(repository.root(), &setup.cache);
    let Some(worklog) = Worklog::open_existing(&layout.worklog())? else {
        return Ok(Vec::new());
    };
    let holder = SessionLock::holder(&layout.lock()).map_err(ExperimentError::io("read", layout.lock()))?;
    let sessions = worklog.sessions()?;
    let newest_open = sessions.iter().rfind(|session| session.closed_at.is_none()).map(|session| session.id);
    sessions
        .into_iter()
        .map(|session| {
            let attempts = worklog.attempts(Some(session.id))?;
            let running = holder.is_some() && newest_open == Some(session.id);
            Ok(SessionStatus {
                state: match session.outcome {
                    Some(outcome) => outcome,
                    None if running => "running".to_owned(),
                    None => "interrupted".to_owned(),
                },
                pid: holder.as_ref().filter(|_| running).and_then(|holder| holder.pid),
                keeps: attempts.iter().filter(|attempt| attempt.verdict == AttemptVerdict::Keep).count(),
                attempts: attempts.len(),
                active_s: if session.closed_at.is_some() {
                    0.0
                } else {
                    worklog.active_ms(session.id)? as f64 * 1e-3
                },
                name: session.name,
                benchmark: session.benchmark,
            })
        })
        .collect()
}

/// Removes worktrees, branches and refs of the named session, or of all. The worklog and the reports stay.
///
/// # Errors
/// [`ExperimentError`]; also when a session is at work.
pub fn clean(setup: &Setup, session: Option<&str>) -> Result<Cleaned, ExperimentError> {
    let repository = Repository::open(&setup.folder)?;
    let layout = Layout::new(repository.root(), &setup.cache);
    layout.prepare_state().map_err(ExperimentError::io("create", layout.state()))?;
    let _lock = match SessionLock::take(&layout.lock()).map_err(ExperimentError::io("lock", layout.lock()))? {
        Locking::Ours(lock) => lock,
        Locking::Theirs(holder) => return Err(ExperimentError::Busy { pid: holder.pid }),
    };
    let known = repository.sessions_with_refs()?;
    let sessions: Vec<String> = match session {
        None => known,
        Some(name) if known.iter().any(|known| known == name) => vec![name.to_owned()],
        Some(name) => {
            return Err(ExperimentError::NoSuchSession { name: name.to_owned() });
        }
    };
    let mut cleaned = Cleaned { worktrees: repository.clean_leftovers()?, ..Cleaned::default() };
    for worktree in repository.list_worktrees()? {
        if sessions.iter().any(|session| session == worktree.branch.session()) {
            repository.remove_worktree(&worktree.path)?;
            cleaned.worktrees += 1;
        }
    }
    for session in &sessions {
        let branches = repository.delete_branches(session)?;
        cleaned.branches.extend(branches.deleted.iter().map(|branch| branch.as_str().to_owned()));
        cleaned.in_use.extend(branches.in_use.iter().map(|(branch, _)| branch.as_str().to_owned()));
        cleaned.refs += repository.delete_refs(session)?;
    }
    cleaned.sessions = sessions;
    remove_folders(&layout)?;
    Ok(cleaned)
}

/// At the end of a session its worktrees are of no more use; its commits stay on their branches. The branch that only
/// held the original goes as well.
pub(super) fn remove_worktrees(context: &Context) -> Result<(), ExperimentError> {
    for worktree in context.repository.list_worktrees()? {
        if worktree.branch.session() == context.session_name {
            context.repository.remove_worktree(&worktree.path)?;
        }
    }
    context.repository.delete_branch(&context.branch("base")?)?;
    remove_folders(&context.layout)
}

/// Removes our temporary files, and the folder of worktrees once it is empty.
fn remove_folders(layout: &Layout) -> Result<(), ExperimentError> {
    let scratch = layout.scratch();
    match std::fs::remove_dir_all(&scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(ExperimentError::io("remove", scratch)(error));
        }
        _ => {}
    }
    // Not empty means that another session's worktrees are still there.
    let _ = std::fs::remove_dir(&layout.worktrees);
    Ok(())
}
