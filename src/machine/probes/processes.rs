//! What it takes to start somebody else.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use super::{BUDGET, Bench, Measured, Of, Probe, REPEATS_MIN, Unit};

pub const SPAWN: Probe = Probe {
    id: "spawn",
    what: "process, start to end",
    unit: Unit::Seconds,
    of: Of::Host,
    how: "posix_spawn of `true` and wait for it",
    measure: spawn,
};

pub const THREAD: Probe = Probe {
    id: "thread",
    what: "thread, start to end",
    unit: Unit::Seconds,
    of: Of::Host,
    how: "a thread that does nothing, created and joined",
    measure: thread,
};

fn thread(bench: &Bench<'_>) -> Result<Measured, String> {
    let value = bench.least(BUDGET / 3, REPEATS_MIN, || {
        let start = Instant::now();
        let started = thread::Builder::new().spawn(|| ());
        let thread = started.map_err(|error| format!("cannot start a thread: {error}"))?;
        thread.join().map_err(|_| "a thread that does nothing failed")?;
        Ok::<_, String>(start.elapsed().as_secs_f64())
    })?;
    Ok(value.into())
}

/// Where `true` lives; a name alone would be looked for in folders of the user's.
const PROGRAMS: [&str; 2] = ["/bin/true", "/usr/bin/true"];

fn spawn(bench: &Bench<'_>) -> Result<Measured, String> {
    let program = PROGRAMS
        .into_iter()
        .find(|program| Path::new(program).exists())
        .ok_or("there is no /bin/true and no /usr/bin/true")?;
    let failed = |error| format!("cannot run {program}: {error}");
    let value = bench.least(BUDGET * 2, REPEATS_MIN, || {
        #[expect(clippy::disallowed_methods, reason = "the start of a process is what is measured")]
        let mut command = Command::new(program);
        // Without an environment no preloaded library comes along.
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status().map_err(failed)?;
        let seconds = start.elapsed().as_secs_f64();
        if status.success() { Ok(seconds) } else { Err(format!("{program} failed: {status}")) }
    })?;
    Ok(value.into())
}
