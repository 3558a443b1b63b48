//! Signals and waits around `perfup measure` and `perfup calibrate`: what is kept, what still runs, and who goes first.

use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use perfup::experiment::measure_lock;
use perfup::machine::MeasureLock;

use super::bench::{Bench, PERFUP, Ran};

const MEASURE: &str = "perfup.measure/1";

pub fn start(bench: &Bench, args: &[&str]) -> Child {
    let mut command = bench.command(PERFUP);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for what perfup is about to do.
pub fn until(child: &mut Child, done: impl Fn() -> bool) {
    while !done() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn send(bench: &Bench, signal: &str, child: &Child) {
    assert!(bench.command("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

pub fn end(child: Child) -> Ran {
    child.wait_with_output().unwrap().into()
}

pub fn lines(bench: &Bench, file: &str) -> usize {
    std::fs::read_to_string(bench.root().join(file)).map_or(0, |text| text.lines().count())
}

#[test]
fn ctrl_c_while_waiting_for_the_lock_keeps_what_was_measured() {
    let bench = Bench::bare(&[]);
    let mut child =
        start(&bench, &["measure", "--json", "--runs", "2000", "--", "sh", "-c", "echo >> log; sleep 0.02"]);
    until(&mut child, || lines(&bench, "log") > 8);
    // It gives way to whoever waits, although it goes on measuring.
    let lock = MeasureLock::acquire(&measure_lock(&bench.cache()), &mut |_| {}).unwrap();
    let before = lines(&bench, "log");
    send(&bench, "-INT", &child);
    let report = end(child).expect(130).json(MEASURE);
    assert_eq!(lines(&bench, "log"), before, "nothing is run without the lock");
    assert_eq!(report["interrupted"], true);
    assert!(report["arms"][0]["runs"].as_u64().is_some_and(|runs| runs >= 3), "{report}");
    drop(lock);
}

#[test]
fn warm_up_and_sizing_wait_for_the_lock() {
    for args in [&["measure", "--", "sh", "-c", "echo >> log"] as &[_], &["calibrate"]] {
        let bench = Bench::bare(&[]);
        let path = measure_lock(&bench.cache());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let lock = MeasureLock::acquire(&path, &mut |_| {}).unwrap();
        let mut child = start(&bench, args);
        let turn = std::fs::File::create(path.with_file_name("measure.lock.turn")).unwrap();
        until(&mut child, || turn.try_lock().map(|()| turn.unlock().unwrap()).is_err());
        send(&bench, "-INT", &child);
        let ran = end(child).expect(130);
        assert_eq!(lines(&bench, "log"), 0);
        assert!(ran.stderr.contains("interrupted") && !ran.stderr.contains("hint"), "{}", ran.stderr);
        drop(lock);
    }
}

#[test]
fn ctrl_c_ends_the_set_up_and_begins_no_other() {
    let bench = Bench::bare(&[]);
    let mut args = vec!["measure", "--cleanup", "echo swept >> swept", "--vs", "true", "--vs", "echo"];
    args.extend(["--setup", "sh -c 'echo begun >> begun; exec sleep 600'", "--", "true"]);
    let mut child = start(&bench, &args);
    until(&mut child, || lines(&bench, "begun") == 1);
    send(&bench, "-INT", &child);
    end(child).fails(130, &["interrupted"]);
    assert_eq!((lines(&bench, "begun"), lines(&bench, "swept")), (1, 1));
}

#[test]
fn ctrl_c_ends_a_calibration_that_has_nothing_yet() {
    let bench = Bench::bare(&[]);
    let mut child = start(&bench, &["calibrate", "--run-time", "20s"]);
    until(&mut child, || measure_lock(&bench.cache()).exists());
    send(&bench, "-INT", &child);
    end(child).fails(130, &["interrupted"]);
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let bench = Bench::bare(&[]);
    let script = "echo >> log; sleep 0.02";
    let args = ["measure", "--json", "--runs", "20", "--warmup", "0", "--", "sh", "-c", script];
    let mut command = bench.command("sh");
    // As nohup does it, for a whole process group as a closing terminal ends it.
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", PERFUP]).args(args).process_group(0);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(&mut child, || lines(&bench, "log") > 2);
    let group = format!("-{}", child.id());
    assert!(bench.command("kill").args(["-HUP", "--", &group]).status().unwrap().success());
    let report = end(child).expect(0).json(MEASURE);
    assert_eq!((&report["arms"][0]["runs"], &report["interrupted"]), (&20.into(), &false.into()));
}
