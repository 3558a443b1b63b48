//! The caller's side of the runner: one that is kept from program to program.

use std::fs;
use std::process::Command;
use std::time::Duration;

use perfup::sys::launch::Launcher;
use perfup::sys::wire::{RunEnd, RunRecord, RunReply, RunRequest};

use crate::runner::Scene;

#[test]
fn a_program_may_go_where_its_caller_may() {
    let allowed = || {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned()
    };
    let (scene, before) = (Scene::new(), allowed());
    let request = scene.request(&["grep", "Cpus_allowed_list", "/proc/self/status"]);
    let reply = Launcher::new(env!("CARGO_BIN_EXE_perfup").into()).launch(&request, &mut |_| {}).unwrap();
    assert!(matches!(reply, RunReply::Done(record) if record.end == RunEnd::Exited(0)));
    assert_eq!(fs::read_to_string(scene.path("stdout")).unwrap().trim(), before);
    assert_eq!(allowed(), before);
}

#[test]
fn a_kept_runner_starts_each_program_like_the_first() {
    let scene = Scene::new();
    let launcher = Launcher::new(env!("CARGO_BIN_EXE_perfup").into());
    let mut runners = Vec::new();
    let mut launch = |request: &RunRequest| {
        let reply = launcher.launch(request, &mut |pid| runners.push(pid)).unwrap();
        (reply, runners.last().copied().unwrap())
    };
    let record = |(reply, pid): (RunReply, u32)| match reply {
        RunReply::Done(record) => (record, pid),
        RunReply::Failed(failure) => panic!("{failure:?}"),
    };
    let (first, runner) = record(launch(&scene.request(&["true"])));
    let (large, same) = record(launch(&scene.request(&["head", "-c", "60000000", "/dev/zero"])));
    assert_eq!((large.stdout.bytes, same), (60_000_000, runner));
    // Neither the output nor the time, nor the traffic of one program is the next one's.
    let (again, same) = record(launch(&scene.request(&["true"])));
    assert_eq!((again.end, again.stdout.bytes, same), (RunEnd::Exited(0), 0, runner));
    let floors = [&first, &again].map(|record| record.rss_floor_bytes.unwrap());
    assert!(floors[1] < floors[0] + (2 << 20), "{floors:?}");
    let cpu = |record: &RunRecord| record.user_ns + record.sys_ns;
    assert!(cpu(&again) < cpu(&large), "{again:?}");
    assert_eq!(again.write_bytes.unwrap_or(0), 0);
    // Where it was is free, whatever came of it.
    let folder = scene.path("folder");
    fs::create_dir(&folder).unwrap();
    record(launch(&RunRequest { cwd: folder.clone(), ..scene.request(&["true"]) }));
    match fs::read_link(format!("/proc/{runner}/cwd")) {
        Ok(cwd) => assert_ne!(cwd, folder),
        // Only root may look into a runner.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }

    assert!(matches!(launch(&scene.request(&["no-such-program"])).0, RunReply::Failed(_)));
    let (_, fresh) = record(launch(&scene.request(&["true"])));
    assert_ne!(fresh, runner, "after a failure");
    assert!(Command::new("kill").args(["-KILL", &fresh.to_string()]).status().unwrap().success());
    let dead = || fs::read_to_string(format!("/proc/{fresh}/stat")).map_or(true, |stat| stat.contains(") Z"));
    while !dead() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (_, another) = record(launch(&scene.request(&["true"])));
    assert_ne!(another, fresh, "after its death");
}
