//! The measurer on real programs, through the real runner.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use perfup::config::CommandLine;
use perfup::measure::{Arm, MeasureError, Measurer, MeasurerOptions};
use perfup::sys::wire::RunEnd;
use tempfile::TempDir;

fn scene() -> (TempDir, Measurer) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cwd")).unwrap();
    let measurer = Measurer::new(MeasurerOptions {
        runner_exe: env!("CARGO_BIN_EXE_perfup").into(),
        scratch: folder.path().join("scratch"),
        outputs: folder.path().join("outputs"),
        environment: vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())],
    });
    (folder, measurer.unwrap())
}

fn arm(folder: &Path, line: &str) -> Arm {
    Arm::new(CommandLine::Shell(line.to_owned()), folder.join("cwd"), Duration::from_secs(30))
}

#[test]
fn a_sample_keeps_what_the_program_wrote() {
    let (folder, measurer) = scene();
    let cwd = folder.path().join("cwd");
    fs::create_dir(cwd.join("out")).unwrap();
    fs::write(cwd.join("out/old"), "from before").unwrap();
    let mut arm =
        arm(folder.path(), "echo said; echo \"$NAME\" > out/new; ln -s /etc/hosts out/link; cat stamp");
    arm.prepare = Some(CommandLine::Shell("echo prepared > stamp; echo noise".to_owned()));
    arm.env.insert("NAME".to_owned(), "value".to_owned());
    arm.files = ["out/new", "out/old", "out/link"].map(Into::into).into();
    for seed in 0..2 {
        let sample = measurer.run(&arm, seed).unwrap();
        assert_eq!(sample.run.end, RunEnd::Exited(0));
        assert_eq!(measurer.outputs().read(&sample.run.stdout.sha256).unwrap(), b"said\nprepared\n");
        let [new, old, link] = sample.files.as_slice() else { panic!("{:?}", sample.files) };
        assert_eq!(measurer.outputs().read(&new.as_ref().unwrap().sha256).unwrap(), b"value\n");
        assert_eq!((old, link), (&None, &None), "removed before, and not a regular file");
    }
    let left = fs::read_dir(folder.path().join("scratch")).unwrap().count();
    assert_eq!(left, 0, "nothing of a run outlives it but its outputs");
}

#[test]
fn every_run_has_a_fresh_temporary_folder_and_other_padding() {
    let (folder, measurer) = scene();
    let arm = arm(
        folder.path(),
        "ls -A \"$TMPDIR\"; echo mess > \"$TMPDIR/mess\"; echo \"$TMPDIR\"; env | grep -ci perfup; env | wc -c",
    );
    let seen: Vec<String> = (0..4)
        .map(|seed| {
            let sample = measurer.run(&arm, seed).unwrap();
            String::from_utf8(measurer.outputs().read(&sample.run.stdout.sha256).unwrap()).unwrap()
        })
        .collect();
    let lines: Vec<Vec<&str>> = seen.iter().map(|text| text.lines().collect()).collect();
    let column =
        |index: usize| lines.iter().map(|line| line[index]).collect::<std::collections::BTreeSet<_>>();
    assert!(lines.iter().all(|line| line.len() == 3), "the folder is empty at the start: {lines:?}");
    assert_eq!(column(0).len(), 4);
    assert_eq!(column(1).into_iter().collect::<Vec<_>>(), ["0"], "nothing names perfup");
    assert_eq!(column(2).len(), 4);
}

#[test]
fn pairs_come_in_both_orders_and_repeat_with_their_seed() {
    let (folder, measurer) = scene();
    let (a, b) = (arm(folder.path(), "echo a >> order"), arm(folder.path(), "echo b >> order"));
    let firsts = |seed: u64| -> Vec<bool> {
        let _ = fs::remove_file(folder.path().join("cwd/order"));
        (0..12).map(|index| measurer.pair(&a, &b, seed, index).unwrap().a_first).collect()
    };
    let order = firsts(5);
    let expected: String = order.iter().map(|&a_first| if a_first { "a\nb\n" } else { "b\na\n" }).collect();
    assert_eq!(fs::read_to_string(folder.path().join("cwd/order")).unwrap(), expected);
    assert!(order.contains(&true) && order.contains(&false));
    assert_eq!(firsts(5), order);
    assert_ne!(firsts(6), order);
}

#[test]
fn what_prevents_a_run_is_typed() {
    let (folder, measurer) = scene();
    let words = |words: &[&str]| CommandLine::Argv(words.iter().map(|&word| word.to_owned()).collect());
    let run = |change: &dyn Fn(&mut Arm)| {
        let mut arm = arm(folder.path(), "true");
        change(&mut arm);
        measurer.run(&arm, 0).unwrap_err()
    };
    let error = run(&|arm| arm.command = words(&["no-such-program"]));
    assert!(
        matches!(&error, MeasureError::CommandNotFound { program, .. } if program == "no-such-program"),
        "{error:?}"
    );
    let error = run(&|arm| arm.command = words(&["/etc/passwd"]));
    assert!(matches!(&error, MeasureError::NotExecutable { .. }), "{error:?}");
    let error = run(&|arm| arm.cwd = "/nonexistent".into());
    assert!(matches!(&error, MeasureError::Spawn { operation, .. } if operation == "enter"), "{error:?}");
    let error = run(&|arm| arm.prepare = Some(CommandLine::Shell("echo why >&2; exit 4".to_owned())));
    let is_prepare = |error: &MeasureError| matches!(error, MeasureError::Prepare { end: RunEnd::Exited(4), tail, .. } if tail == "why");
    assert!(is_prepare(&error), "{error:?}");
    let broken = Measurer::new(MeasurerOptions {
        runner_exe: "/bin/false".into(),
        scratch: folder.path().join("scratch"),
        outputs: folder.path().join("outputs"),
        environment: Vec::new(),
    });
    let error = broken.unwrap().run(&arm(folder.path(), "true"), 0).unwrap_err();
    assert!(matches!(&error, MeasureError::RunnerDied { .. }), "{error:?}");
}

#[test]
fn a_program_that_fails_or_hangs_is_a_sample() {
    let (folder, measurer) = scene();
    let mut hanging = arm(folder.path(), "sleep 1000");
    hanging.timeout = Duration::from_millis(200);
    assert_eq!(measurer.run(&hanging, 0).unwrap().run.end, RunEnd::TimedOut);
    assert_eq!(measurer.run(&arm(folder.path(), "exit 9"), 0).unwrap().run.end, RunEnd::Exited(9));
}

#[test]
fn a_task_keeps_its_log_and_hands_back_the_end_of_it() {
    let (folder, measurer) = scene();
    let log = folder.path().join("build.log");
    let env = [("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("WHO".to_owned(), "me".to_owned())];
    let line = "echo start; seq 5000; echo broken by $WHO >&2; exit 2";
    let command = CommandLine::Shell(line.to_owned());
    let outcome =
        measurer.task(&command, &folder.path().join("cwd"), &env, Duration::from_secs(30), &log).unwrap();
    assert_eq!(outcome.end, RunEnd::Exited(2));
    assert!(!outcome.is_success());
    assert!(
        outcome.tail.ends_with("5000\nbroken by me") && !outcome.tail.contains("start"),
        "{}",
        outcome.tail
    );
    assert!(fs::read_to_string(&log).unwrap().starts_with("start\n1\n"));
}

#[test]
fn the_runner_can_be_followed_from_before_the_program_starts() {
    let (folder, measurer) = scene();
    let mut seen = None;
    let arm = arm(folder.path(), "echo > started");
    let started = folder.path().join("cwd/started");
    measurer
        .run_watched(&arm, 0, &mut |runner| {
            let stat = perfup::sys::procfs::stat(runner).unwrap();
            seen = Some((stat.parent, started.exists()));
        })
        .unwrap();
    assert_eq!(seen, Some((std::process::id(), false)));
    assert!(started.exists());
}

/// Signals are for whole processes, so the test starts itself again as the process that gets them.
#[test]
fn a_signal_ends_the_run_and_leaves_nothing_behind() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "measure::interrupted_child", "--ignored", "--nocapture"])
            .env("SCENE", folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = folder.path().join("cwd/started");
        while !started.exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before its program started");
            std::thread::yield_now();
        }
        let sent =
            Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert!(child.wait().unwrap().success(), "its own assertions hold");
    }
}

#[test]
#[ignore = "the subject of a_signal_ends_the_run_and_leaves_nothing_behind"]
fn interrupted_child() {
    let folder = std::env::var_os("SCENE").map(std::path::PathBuf::from).unwrap();
    fs::create_dir(folder.join("cwd")).unwrap();
    perfup::sys::signals::install().unwrap();
    let measurer = Measurer::new(MeasurerOptions {
        runner_exe: env!("CARGO_BIN_EXE_perfup").into(),
        scratch: folder.join("scratch"),
        outputs: folder.join("outputs"),
        environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
    })
    .unwrap();
    let mut runner = 0;
    let arm = arm(&folder, "setsid sleep 1000 & echo > started; sleep 1000");
    let error = measurer.run_watched(&arm, 0, &mut |pid| runner = pid).unwrap_err();
    assert!(matches!(error, MeasureError::Interrupted), "{error:?}");
    assert!(perfup::sys::signals::interrupted());
    assert!(perfup::sys::procfs::stat(runner).is_none(), "the runner has been waited for");
    assert!(matches!(measurer.run(&arm, 0), Err(MeasureError::Interrupted)), "and no new run starts");
    assert_eq!(fs::read_dir(folder.join("scratch")).unwrap().count(), 0);
}
