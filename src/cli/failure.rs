//! Errors as users see them: what happened, why, what to do, and the exit code. The one map from errors to codes.

use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;

use super::terminal::{BAD, HINT, Terminal, paint};
use crate::config::{ConfigError, Metric};
use crate::experiment::{AttachError, ExperimentError};
use crate::measure::MeasureError;
use crate::sys::wire::RunEnd;
use crate::trial::TrialError;
use crate::trial::calibrate::CalibrationError;
use crate::verify::LearnError;
use crate::worklog::WorklogError;
use crate::workspace::WorkspaceError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// Of an analysis, which nothing can resume.
    #[error(transparent)]
    Analysis(ExperimentError),
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error(transparent)]
    Calibration(CalibrationError),
    #[error(transparent)]
    Worklog(#[from] WorklogError),
    #[error("cannot {operation}")]
    Io {
        operation: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
}

/// Codes of the manual.
pub(super) const REGRESSION: u8 = 1;
const USAGE: u8 = 2;
pub(super) const INCONCLUSIVE: u8 = 3;
const WRONG_OUTPUT: u8 = 4;
pub(super) const INVALID: u8 = 5;
pub(super) const INTERRUPTED: u8 = 130;

impl From<WorkspaceError> for Failure {
    fn from(error: WorkspaceError) -> Self {
        Self::Experiment(error.into())
    }
}

impl From<MeasureError> for Failure {
    fn from(error: MeasureError) -> Self {
        Self::Trial(error.into())
    }
}

impl From<CalibrationError> for Failure {
    fn from(error: CalibrationError) -> Self {
        match error {
            CalibrationError::Trial(error) => Self::Trial(error),
            other => Self::Calibration(other),
        }
    }
}

impl Failure {
    pub fn io(operation: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { operation: operation.into(), source }
    }

    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// Prints the failure and answers with its code.
    pub fn show(&self, terminal: &Terminal) -> ExitCode {
        let mut text = format!("{} {self}", paint(BAD, "error:"));
        let mut cause = self.source();
        let mut said = self.to_string();
        while let Some(error) = cause {
            let message = error.to_string();
            // Wrappers that quote their cause would say it again.
            if !said.contains(&message) {
                let _ = write!(text, "\n  cause: {message}");
            }
            said = message;
            cause = error.source();
        }
        if let Some(tail) = self.tail().map(str::trim).filter(|tail| !tail.is_empty()) {
            let lines: Vec<&str> = tail.lines().collect();
            for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
                let _ = write!(text, "\n  | {line}");
            }
        }
        if let Some(hint) = self.hint() {
            let _ = write!(text, "\n   {} {hint}", paint(HINT, "hint:"));
        }
        terminal.error_line(&text);
        ExitCode::from(self.code())
    }

    /// What a failing program printed last.
    fn tail(&self) -> Option<&str> {
        match self {
            Self::Experiment(error) | Self::Analysis(error) => experiment_tail(error),
            Self::Trial(
                TrialError::Measure(MeasureError::Prepare { tail, .. })
                | TrialError::Failed { tail, .. }
                | TrialError::Task { tail, .. },
            ) => Some(tail),
            _ => None,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage { .. } | Self::Io { .. } => USAGE,
            Self::Worklog(_) | Self::Json(_) | Self::Calibration(_) => INVALID,
            Self::Trial(TrialError::Interrupted) => INTERRUPTED,
            Self::Trial(TrialError::Measure(error)) => measure_code(error),
            Self::Trial(_) => INVALID,
            Self::Experiment(error) | Self::Analysis(error) => experiment_code(error),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Usage { hint, .. } => hint.clone(),
            Self::Worklog(error) => worklog_hint(error),
            Self::Experiment(ExperimentError::Measure(error)) => {
                checkout_hint(error).or_else(|| measure_hint(error)).map(str::to_owned)
            }
            Self::Experiment(error) => experiment_hint(error),
            Self::Analysis(error) => analysis_hint(error),
            Self::Trial(error) => trial_hint(error),
            Self::Calibration(CalibrationError::NothingFinished) => {
                Some("give it more time with --budget, or ask for shorter runs with --run-time".to_owned())
            }
            Self::Calibration(_) | Self::Io { .. } | Self::Json(_) => None,
        }
    }
}

/// Lines of a failing program's output worth showing; the rest is in the log.
const TAIL_LINES: usize = 15;

fn experiment_tail(error: &ExperimentError) -> Option<&str> {
    match error {
        ExperimentError::BaseBuild { tail, .. }
        | ExperimentError::BaseTests { tail, .. }
        | ExperimentError::Measure(MeasureError::Prepare { tail, .. }) => Some(tail),
        ExperimentError::Unlearnable(LearnError::BaseFails { stderr, .. }) => Some(stderr),
        _ => None,
    }
}

fn experiment_code(error: &ExperimentError) -> u8 {
    match error {
        ExperimentError::Interrupted => INTERRUPTED,
        ExperimentError::Measure(error) => measure_code(error),
        ExperimentError::Workspace(WorkspaceError::NoSpace { .. }) => INVALID,
        ExperimentError::Io { source, .. } if is_refused(source) => USAGE,
        ExperimentError::Workspace(_)
        | ExperimentError::Config(_)
        | ExperimentError::Protect(_)
        | ExperimentError::Busy { .. }
        | ExperimentError::Attach(_)
        | ExperimentError::Findings(_)
        | ExperimentError::NoSuchSession { .. }
        | ExperimentError::NothingToResume => USAGE,
        ExperimentError::BaseChanged { .. } | ExperimentError::KeepChanged { .. } => WRONG_OUTPUT,
        _ => INVALID,
    }
}

fn measure_code(error: &MeasureError) -> u8 {
    match error {
        MeasureError::Interrupted => INTERRUPTED,
        MeasureError::CommandNotFound { .. } | MeasureError::NotExecutable { .. } => USAGE,
        _ => INVALID,
    }
}

fn trial_hint(error: &TrialError) -> Option<String> {
    let text = match error {
        TrialError::Measure(error) => return measure_hint(error).map(str::to_owned),
        TrialError::Failed { end: RunEnd::TimedOut, .. } => "give it more time with --timeout".to_owned(),
        TrialError::Failed { .. } => {
            "a failing command cannot be compared; if that is how it should end, say --ignore-failure"
                .to_owned()
        }
        TrialError::Refused { refused, .. } => return refused.hint.clone(),
        TrialError::NoValue { metric, .. } => return Some(no_value_hint(metric)),
        _ => return None,
    };
    Some(text)
}

/// Why a run may lack a metric, and what to do.
fn no_value_hint(metric: &Metric) -> String {
    match metric {
        Metric::Custom(_) => {
            let known: Vec<&str> = Metric::BUILT_IN.iter().map(Metric::id).collect();
            format!(
                "built in are {}; any other must be printed as `METRIC name=value`, or be read by a regular expression \
                 or a JSON pointer (--metric-regex, --metric-json, [benchmark.NAME.metrics])",
                known.join(", ")
            )
        }
        Metric::ReadBytes | Metric::WriteBytes => {
            "the system does not show /proc/PID/io: it takes a kernel with CONFIG_TASK_IO_ACCOUNTING and a container that \
             does not hide it"
                .to_owned()
        }
        Metric::RunqueueWait => {
            "the system does not show /proc/PID/schedstat: it takes a kernel with CONFIG_SCHED_INFO".to_owned()
        }
        Metric::Energy => {
            "the energy meter could not be read, or may have gone round, which takes some minutes; use --metric cpu"
                .to_owned()
        }
        _ => "other programs may hold the CPU's counters: stop other profilers, or use --metric cpu".to_owned(),
    }
}

fn is_refused(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied)
}

fn experiment_hint(error: &ExperimentError) -> Option<String> {
    let text = match error {
        ExperimentError::Workspace(error) => return workspace_hint(error),
        ExperimentError::Worklog(error) => return worklog_hint(error),
        ExperimentError::Config(error) => return error.hint(),
        ExperimentError::Busy { .. } => "wait for it, or see `perfup status`".to_owned(),
        ExperimentError::BaseBuild { log, .. } => {
            format!("the whole output is in {}; name the right command with --build", log.display())
        }
        ExperimentError::BaseTests { log, .. } => {
            format!("the whole output is in {}; mend the tests, or say --no-tests", log.display())
        }
        ExperimentError::Unlearnable(error) => return learn_hint(error),
        ExperimentError::Refused { refused, .. } => return refused.hint.clone(),
        ExperimentError::NoValue { metric } => no_value_hint(metric),
        ExperimentError::BaseChanged { .. } | ExperimentError::KeepChanged { .. } => {
            "its output is not reproducible enough to check candidates against: pin seeds and dates"
                .to_owned()
        }
        ExperimentError::InvalidMeasurement { .. } => {
            "try again when the machine is quieter, or make one run longer".to_owned()
        }
        ExperimentError::NoSuchSession { .. } => "`perfup status` lists the sessions".to_owned(),
        ExperimentError::OtherMachine { .. } => {
            "times of two machines must not be mixed; start afresh with `perfup run`".to_owned()
        }
        ExperimentError::Interrupted => RESUME.to_owned(),
        ExperimentError::Io { source, .. } if is_refused(source) => {
            "perfup needs to write .perfup/, specs/ and reports/ in the repository, and its cache folder"
                .to_owned()
        }
        ExperimentError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            "free some space, then `perfup resume`".to_owned()
        }
        _ => return None,
    };
    Some(text)
}

/// Where nothing can be resumed, and the command runs where the user stands.
fn analysis_hint(error: &ExperimentError) -> Option<String> {
    match error {
        ExperimentError::Measure(error) => measure_hint(error).map(str::to_owned),
        ExperimentError::Unlearnable(LearnError::BaseFails { end, .. }) if !end.contains("time limit") => {
            Some("only a command that succeeds can be analysed".to_owned())
        }
        ExperimentError::Interrupted => None,
        ExperimentError::Attach(error) => attach_hint(error),
        ExperimentError::Findings(error) => error.hint().map(str::to_owned),
        ExperimentError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            Some("free some space".to_owned())
        }
        ExperimentError::Io { source, .. } if is_refused(source) => {
            Some("perfup needs to write specs/ here, and its cache folder".to_owned())
        }
        other => experiment_hint(other),
    }
}

fn attach_hint(error: &AttachError) -> Option<String> {
    let text = match error {
        AttachError::NotThere { .. } => {
            "`pgrep -f NAME` finds its process id; in a container only its own processes are seen".to_owned()
        }
        AttachError::NotPermitted { pid, .. } => {
            format!("watch it as its own user, or as root: sudo perfup analyze --pid {pid}")
        }
        AttachError::OfTheKernel { .. } => "`perf top` shows what the kernel does".to_owned(),
        AttachError::Own { .. } => "name another process, or give the command itself".to_owned(),
        AttachError::Unwatchable { remedy, .. } => remedy.clone(),
        AttachError::Ended { .. } | AttachError::TooShort { .. } => {
            "start it under perfup: perfup analyze -- CMD".to_owned()
        }
    };
    Some(text)
}

const RESUME: &str = "`perfup resume` goes on from here";

/// What is different for a session: it runs in a checkout of its own, and can go on later.
fn checkout_hint(error: &MeasureError) -> Option<&'static str> {
    match error {
        MeasureError::CommandNotFound { program, .. } if program.contains('/') => {
            Some("it was looked for in a checkout of HEAD: is it built? name the command with --build")
        }
        MeasureError::NotExecutable { .. } => Some("make it executable (chmod +x), and commit that"),
        MeasureError::DiskFull { .. } => Some("free some space, then `perfup resume`"),
        MeasureError::Interrupted => Some(RESUME),
        _ => None,
    }
}

fn measure_hint(error: &MeasureError) -> Option<&'static str> {
    match error {
        MeasureError::CommandNotFound { program, .. } if program.contains('/') => {
            Some("is it built? a relative path starts at the folder that it was looked for from")
        }
        MeasureError::CommandNotFound { .. } => Some("check the spelling, and PATH"),
        MeasureError::NotExecutable { .. } => Some("make it executable (chmod +x); a script begins with #!"),
        MeasureError::DiskFull { .. } => {
            Some("free some space, or name a folder on a larger disk with TMPDIR")
        }
        _ => None,
    }
}

fn learn_hint(error: &LearnError) -> Option<String> {
    let text = match error {
        LearnError::BaseFails { end, .. } if end.contains("time limit") => "raise --timeout".to_owned(),
        LearnError::BaseFails { .. } => {
            "it must succeed in a clean checkout of HEAD; untracked files it needs are named with --input"
                .to_owned()
        }
        LearnError::Survivors { .. } => "let it wait for the processes that it starts".to_owned(),
        LearnError::NotDeterministic { .. } => {
            "fix its random seed or its order (for Python: PYTHONHASHSEED=0 under [benchmark.NAME.env])"
                .to_owned()
        }
        _ => return None,
    };
    Some(text)
}

fn workspace_hint(error: &WorkspaceError) -> Option<String> {
    let text = match error {
        WorkspaceError::NotARepository { .. } => {
            "perfup needs one to keep its changes apart from yours: git init && git add -A && git commit -m start"
        }
        WorkspaceError::NoCommits { .. } => "perfup starts from a commit: git add -A && git commit -m start",
        WorkspaceError::Bare { .. } => "run it in a clone",
        WorkspaceError::NotOwned { .. } => "git config --global --add safe.directory <path> if you trust it",
        WorkspaceError::NoSpace { .. } => "free some space, then `perfup resume`",
        WorkspaceError::PermissionDenied { .. } => "perfup needs to write branches below .git, and .perfup/",
        WorkspaceError::Locked { .. } => "another git command is at work; try again when it has ended",
        _ => return None,
    };
    Some(text.to_owned())
}

fn worklog_hint(error: &WorklogError) -> Option<String> {
    let text = match error {
        WorklogError::Full => "free some space, then `perfup resume`",
        WorklogError::Newer { .. } => "update perfup",
        WorklogError::ReadOnly => "make .perfup/ writable",
        WorklogError::Open { .. } | WorklogError::Corrupt { .. } => {
            "if it is damaged, move .perfup/worklog.db away; nothing of git depends on it"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_manual() {
        let check = |failure: Failure, code: u8| assert_eq!(failure.code(), code, "{failure}");
        check(ExperimentError::Interrupted.into(), 130);
        check(ExperimentError::NothingToResume.into(), 2);
        check(ExperimentError::BaseChanged { what: String::new() }.into(), 4);
        check(ExperimentError::InvalidMeasurement { what: String::new() }.into(), 5);
        check(Failure::usage("x", "y"), 2);
    }

    #[test]
    fn hints_fit_the_command() {
        type Error = fn() -> MeasureError;
        let missing: Error = || MeasureError::CommandNotFound { program: "./x".to_owned(), cwd: "/w".into() };
        let full: Error = || MeasureError::DiskFull { path: "/w".into() };
        let check = |error: Error, session: &str, others: &str| {
            let hints = [
                Failure::Experiment(error().into()),
                Failure::Analysis(error().into()),
                Failure::from(error()),
            ]
            .map(|failure| failure.hint().unwrap_or_default());
            assert!(hints[0].contains(session), "{hints:?}");
            assert!(hints[1..].iter().all(|hint| hint.contains(others)), "{hints:?}");
            assert!(
                hints[1..].iter().all(|hint| !hint.contains("resume") && !hint.contains("HEAD")),
                "{hints:?}"
            );
        };
        check(missing, "checkout of HEAD", "is it built");
        check(full, "perfup resume", "TMPDIR");
        check(|| MeasureError::Interrupted, "perfup resume", "");
        assert_eq!(Failure::Analysis(ExperimentError::Interrupted).hint(), None);
    }
}
