//! Watching runs of a command until there is enough to see, or a process that runs already.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{ALL, Absent, Availability, Profile, Recording, SourceReport, Target};
use crate::measure::Sample;

/// How often whoever waits for the end is told what has been seen so far.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How often an attached process is asked whether it is still there.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How much to watch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// A command is run again until its runs took this long together …
    pub seconds_min: f64,
    /// … or it has run this often …
    pub runs_max: u32,
    /// … or this much time has passed, start and cleaning up included.
    pub elapsed_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // Some 200 looks: shares good to about 3 points.
        Self { seconds_min: 2.0, runs_max: 200, elapsed_max: Duration::from_secs(4) }
    }
}

/// One run of the command to watch. It is handed a function to call with the runner's process id before the program
/// starts.
pub type WatchedRun<'a, E> = dyn FnMut(&mut dyn FnMut(u32)) -> Result<Sample, E> + 'a;

type Recordings = Mutex<Vec<Box<dyn Recording>>>;

/// Watches a command run, again and again until there is enough to see. `tell` is called about once a second, from
/// another thread, with what has been seen so far.
///
/// # Errors
/// Those of `run`, if there was nothing to see at all; a later run that fails ends the watching.
pub fn record<E>(
    limits: &Limits,
    run: &mut WatchedRun<'_, E>,
    tell: &(dyn Fn(&Profile) + Sync),
) -> Result<(Profile, Vec<Sample>), E> {
    let begun = Instant::now();
    let mut profile = Profile::default();
    let mut samples: Vec<Sample> = Vec::new();
    let mut seconds = 0.0;
    loop {
        let recordings: Recordings = Mutex::new(Vec::new());
        let mut reports = Vec::new();
        let before = &profile;
        let result = while_telling(
            || told(before, &recordings),
            tell,
            || run(&mut |runner| reports = start(Target::Below(runner), &recordings)),
        );
        stop(&mut profile, recordings, reports);
        let sample = match result {
            Ok(sample) => sample,
            Err(error) if samples.is_empty() => return Err(error),
            Err(_) => break,
        };
        seconds += sample.wall_s();
        samples.push(sample);
        profile.runs += 1;
        let enough = seconds >= limits.seconds_min || profile.runs >= limits.runs_max;
        if enough || begun.elapsed() >= limits.elapsed_max {
            break;
        }
    }
    mean_cores(&mut profile);
    Ok((profile, samples))
}

/// Watches a process that runs already, and everything below it, until `is_over` says so or it has ended. Gives what was
/// seen and for how long.
///
/// # Errors
/// [`Absent`]: its times cannot be read, and why.
pub fn attach(
    pid: u32,
    is_over: &dyn Fn(Duration) -> bool,
    tell: &(dyn Fn(&Profile) + Sync),
) -> Result<(Profile, Duration), Absent> {
    let recordings: Recordings = Mutex::new(Vec::new());
    let mut profile = Profile::default();
    let begun = Instant::now();
    let reports = start(Target::Process(pid), &recordings);
    let tree = reports.iter().find(|report| report.id == "tree").map(|report| report.state.clone());
    if let Some(Availability::Unavailable(absent)) = tree {
        return Err(absent);
    }
    let nothing = Profile::default();
    while_telling(
        || told(&nothing, &recordings),
        tell,
        || {
            while crate::sys::procfs::stat(pid).is_some_and(|stat| !stat.is_ended())
                && !is_over(begun.elapsed())
            {
                std::thread::sleep(ASK_EVERY);
            }
        },
    );
    let watched = begun.elapsed();
    stop(&mut profile, recordings, reports);
    profile.runs = 1;
    Ok((profile, watched))
}

fn start(target: Target, recordings: &Recordings) -> Vec<SourceReport> {
    let mut recordings = recordings.lock().unwrap_or_else(PoisonError::into_inner);
    let report = |source: &&dyn super::Source| {
        let state = match source.start(target) {
            Ok(recording) => {
                recordings.push(recording);
                match source.probe() {
                    // It has just been started.
                    Availability::Unavailable(absent) => Availability::Degraded(absent),
                    state => state,
                }
            }
            Err(absent) => Availability::Unavailable(absent),
        };
        SourceReport { id: source.id().to_owned(), gives: source.gives().to_owned(), state }
    };
    ALL.iter().map(report).collect()
}

fn stop(profile: &mut Profile, recordings: Recordings, reports: Vec<SourceReport>) {
    if !reports.is_empty() {
        profile.sources = reports;
    }
    for recording in recordings.into_inner().unwrap_or_else(PoisonError::into_inner) {
        profile.add(recording.stop());
    }
}

/// What earlier runs showed, and this one so far.
fn told(before: &Profile, recordings: &Recordings) -> Option<Profile> {
    let recordings = recordings.lock().unwrap_or_else(PoisonError::into_inner);
    let observations: Vec<_> = recordings.iter().filter_map(|recording| recording.so_far()).collect();
    if observations.is_empty() {
        return None;
    }
    let mut profile = before.clone();
    observations.into_iter().for_each(|observation| profile.add(observation));
    Some(profile)
}

/// Does something while another thread tells what is seen.
fn while_telling<T>(
    seen: impl Fn() -> Option<Profile> + Sync,
    tell: &(dyn Fn(&Profile) + Sync),
    action: impl FnOnce() -> T,
) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let teller = scope.spawn(|| {
            loop {
                std::thread::park_timeout(TELL_EVERY);
                if over.load(Ordering::Acquire) {
                    return;
                }
                if let Some(profile) = seen() {
                    tell(&profile);
                }
            }
        });
        let result = action();
        over.store(true, Ordering::Release);
        teller.thread().unpark();
        result
    })
}

fn mean_cores(profile: &mut Profile) {
    for share in &mut profile.cores {
        *share /= f64::from(profile.runs.max(1));
    }
}
