//! `perfup floor`: probes that are kept, and floors of commands.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::bench::Bench;

/// Sleeps, so that its time hardly depends on what else runs.
const CONFIGURED: &str = r#"
[benchmark.nap]
command = "sleep 0.05"

[benchmark.nap.floor]
bytes = "1 GiB"
processes = 1
"#;

fn probes(bench: &Bench, args: &[&str]) -> Value {
    bench.perfup(&[&["floor", "--json"], args].concat()).expect(0).json("perfup.floor/1")
}

fn kept(bench: &Bench) -> Vec<PathBuf> {
    let entries = fs::read_dir(bench.cache().join("perfup/probes")).expect("a folder of probes");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn the_machine_is_probed_once_and_remembered() {
    let bench = Bench::bare(&[]);
    let table = bench.perfup(&["floor"]).expect(0);
    for word in ["probes of this machine", "measured now", "memory read, all cores", "fsync", "system call"] {
        assert!(table.stdout.contains(word), "{word:?} is not in: {}", table.stdout);
    }
    let files = kept(&bench);
    assert_eq!(files.len(), 2, "one of the machine and one of the device: {files:?}");
    assert_eq!(fs::read_dir(bench.root()).unwrap().count(), 0, "nothing is left in the user's folder");

    let document = probes(&bench, &[]);
    assert_eq!(document["cached"], true);
    assert!(document["program"].is_null() && document["floor"].is_null());
    let again = probes(&bench, &[]);
    assert_eq!((&again["measured_at"], &again["probes"]), (&document["measured_at"], &document["probes"]));
    assert!(bench.perfup(&["floor"]).expect(0).stdout.contains("--fresh measures again"));

    let fresh = probes(&bench, &["--fresh"]);
    assert_eq!(fresh["cached"], false);
    let lines = document["probes"].as_array().unwrap();
    for (before, now) in lines.iter().zip(fresh["probes"].as_array().unwrap()) {
        let (Some(old), Some(new)) = (before["value"].as_f64(), now["value"].as_f64()) else {
            let reason = if before["value"].is_null() { before } else { now };
            assert!(!reason["absent"].as_str().unwrap().is_empty(), "{reason}");
            continue;
        };
        let is_cost = now["unit"] == "seconds";
        assert!(if is_cost { new <= old } else { new >= old }, "the better one stays: {before} {now}");
    }
}

#[test]
fn a_broken_cache_is_measured_again_and_an_unwritable_one_is_named() {
    let bench = Bench::bare(&[]);
    let first = probes(&bench, &[]);
    assert_eq!(first["cached"], false);
    for file in kept(&bench) {
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    }
    assert_eq!(probes(&bench, &[])["cached"], false);
    assert_eq!(probes(&bench, &[])["cached"], true, "and kept again");

    fs::remove_dir_all(bench.cache().join("perfup")).unwrap();
    fs::write(bench.cache().join("perfup"), "no folder").unwrap();
    let ran = bench.perfup(&["floor", "--json"]).expect(0);
    assert!(
        ran.stderr.contains("could not be kept") && ran.stderr.contains("XDG_CACHE_HOME"),
        "{}",
        ran.stderr
    );
    let document = ran.json("perfup.floor/1");
    assert!(document["unwritable"].as_str().is_some_and(|why| !why.is_empty()), "{document}");
    assert!(document["probes"][0]["value"].as_f64().is_some_and(|value| value > 0.0), "{document}");
}

#[test]
fn where_nothing_can_be_written_only_storage_is_not_probed() {
    let bench = Bench::bare(&[]);
    let document = probes(&bench, &["-C", "/proc"]);
    for line in document["probes"].as_array().unwrap() {
        let is_storage = line["id"].as_str().unwrap().starts_with("storage-");
        let absent = line["absent"].as_str();
        assert!(!is_storage || absent.is_some_and(|reason| reason.contains("/proc")), "{line}");
    }
    let table = bench.perfup(&["floor", "-C", "/proc"]).expect(0);
    assert!(table.stdout.contains("not measured: cannot write a file in /proc"), "{}", table.stdout);
}

/// What holds for every floor.
fn check(document: &Value) -> String {
    let (floor, program) = (&document["floor"], &document["program"]);
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{document}"));
    let seconds = number(&floor["seconds"]);
    assert!(seconds > 0.0 && seconds <= number(&program["wall_s_min"]), "{document}");
    let ratio = number(&program["wall_s"]) / seconds;
    assert!((number(&floor["ratio"]) / ratio - 1.0).abs() < 1e-9, "{document}");
    let binds = floor["binds"].as_str().unwrap();
    let candidates = floor["candidates"].as_array().unwrap();
    let binding = candidates.iter().find(|bound| bound["name"] == binds).unwrap();
    assert_eq!(binding["avoidable"], false, "{document}");
    assert!(candidates.iter().all(|bound| !bound["formula"].as_str().unwrap().is_empty()), "{document}");
    binds.to_owned()
}

#[test]
fn a_command_has_a_floor_and_declared_work_is_a_floor_for_all() {
    let bench = Bench::bare(&[("perfup.toml", CONFIGURED)]);
    let bare = probes(&bench, &["--", "sleep", "0.05"]);
    check(&bare);
    assert!(
        bare["floor"]["candidates"].as_array().unwrap().iter().all(|bound| bound["basis"] != "declared"),
        "{bare}"
    );
    let configured = probes(&bench, &["nap"]);
    assert_eq!(check(&configured), "memory bandwidth");
    assert_eq!(configured["cached"], true);
    assert_eq!(configured["program"]["benchmark"], "nap");

    let text = bench.perfup(&["floor", "nap"]).expect(0).stdout;
    for word in [
        "sleep 0.05",
        "floor",
        "→  memory bandwidth",
        "1.00 GiB / ",
        "declared",
        "observed, avoidable",
        "assumed:",
    ] {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    let analysis = bench.perfup(&["analyze", "--json", "nap"]).expect(0).json("perfup.analysis/1");
    assert_eq!(analysis["floor"]["binds"], "memory bandwidth");
}

#[test]
fn mistakes_are_named() {
    let bench = Bench::bare(&[("perfup.toml", "[floor]\nbyte = 1\n[benchmark.a]\ncommand = \"true\"\n")]);
    bench
        .perfup(&["floor", "a"])
        .fails(2, &["perfup.toml:2:1", "unknown field `byte`", "did you mean `bytes`?"]);
    bench.write("perfup.toml", "[benchmark.a]\ncommand = \"true\"\nfloor = { rows = 7 }\n");
    bench.perfup(&["floor", "a"]).fails(2, &["perfup.toml:3:11", "without `rows_rate`", "add rows_rate"]);
    bench.write("perfup.toml", "[benchmark.a]\ncommand = \"true\"\n");
    bench.perfup(&["floor", "b"]).fails(2, &["no benchmark named \"b\"", "known: a"]);
    bench.perfup(&["floor", "--", "no-such-program"]).fails(2, &["no-such-program", "hint:"]);
    bench.perfup(&["floor", "--", "false"]).fails(5, &["exit code 1", "only a command that succeeds"]);
}
