//! Other people's tools, run with a wall-clock limit that kills their whole process group.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::DelegateError;

/// What a tool printed, and whether it exited with 0.
#[derive(Debug, Clone)]
pub(super) struct ToolOutput {
    pub succeeded: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a tool in a folder; absent when it is not installed.
///
/// # Errors
/// [`DelegateError::Tool`] when it cannot be run or takes longer than `limit`.
pub(super) fn run_tool(
    program: &str,
    arguments: &[&str],
    folder: &Path,
    limit: Duration,
) -> Result<Option<ToolOutput>, DelegateError> {
    let failed = |reason: String| DelegateError::Tool { tool: program.to_owned(), reason };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("no async run time: {error}")))?;
    runtime.block_on(async {
        let spawned = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        match tokio::time::timeout(limit, child.wait_with_output()).await {
            Ok(Ok(output)) => Ok(Some(ToolOutput {
                succeeded: output.status.success(),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            })),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("it took longer than {} s", limit.as_secs()))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_answer_are_missing_or_are_stopped() {
        let run = |program, arguments: &[&str], limit_ms| {
            run_tool(program, arguments, Path::new("/"), Duration::from_millis(limit_ms))
        };
        let said = run("sh", &["-c", "echo out; echo err >&2; exit 3"], 10_000).unwrap().unwrap();
        assert_eq!((said.succeeded, said.stdout.as_str(), said.stderr.as_str()), (false, "out\n", "err\n"));
        assert!(run("no-such-tool-here", &[], 10_000).unwrap().is_none());
        assert!(run("sleep", &["60"], 50).unwrap_err().to_string().contains("took longer"));
    }
}
