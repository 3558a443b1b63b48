use std::process::{Command, Stdio};

use super::*;

/// Watches `script` as a child of a shell, like a runner's.
#[expect(clippy::disallowed_methods, reason = "a program to watch")]
fn watch_script(script: &str) -> TreeTimes {
    let mut parent = Command::new("sh")
        .args(["-c", &format!("sh -c '{script}'; true")])
        .stdout(Stdio::null())
        .spawn()
        .expect("sh is everywhere");
    let recording = Tree.start(Target::Below(parent.id())).expect("/proc is there");
    parent.wait().expect("ours to wait for");
    let Observation::Tree(times) = recording.stop() else { panic!("the tree's own kind") };
    times
}

fn dominant(times: &TreeTimes) -> String {
    let wall = &times.wall;
    let blocked = wall.blocked_s.iter().map(|(class, seconds)| (format!("{class:?}"), *seconds));
    let computing = ("computing".to_owned(), wall.computing_s + wall.queued_s + wall.stolen_s);
    let brief = ("brief".to_owned(), wall.brief_s);
    let all = [computing, brief].into_iter().chain(blocked);
    all.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name).expect("never empty")
}

#[test]
fn programs_are_seen_doing_what_they_do() {
    let check = |script: &str, expected: &str| {
        let times = watch_script(script);
        assert_eq!(dominant(&times), expected, "{script}: {times:#?}");
    };
    check("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done", "computing");
    check("sleep 0.4", "Sleep");
    check("sh -c \"sleep 0.4; true\"; true", "Sleep");
    check("sleep 0.4 | cat | cat", "Sleep");
    check("{ i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo x; } | cat | cat", "computing");
}

#[test]
fn a_process_that_runs_already_can_be_watched() {
    #[expect(clippy::disallowed_methods, reason = "a program to watch")]
    let mut program = Command::new("sleep").arg("30").spawn().expect("sleep is everywhere");
    let recording = Tree.start(Target::Process(program.id())).expect("/proc is there");
    std::thread::sleep(Duration::from_millis(300));
    let Observation::Tree(times) = recording.stop() else { panic!("the tree's own kind") };
    program.kill().expect("ours");
    program.wait().expect("ours");
    assert_eq!(dominant(&times), "Sleep", "{times:#?}");
    assert!(times.programs[0].arguments.iter().any(|word| word == "30"), "{times:#?}");
}
