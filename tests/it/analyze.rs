//! `perfup analyze` and `speedup-analysis`: what is meant, what is watched, and what is told in the end.

use std::process::{Child, Stdio};

use serde_json::Value;

use super::bench::{ANALYSIS, Bench, PERFUP, Ran, SLOW};
use super::interrupted::{end, lines, send, start, until};

const SCHEMA: &str = "perfup.analysis/1";

const WAIT: &str = "import time\ntime.sleep(0.3)\nprint('done')\n";

/// Every document has these, whatever was found.
fn whole(document: &Value) {
    let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_f64).expect(pointer);
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).expect(pointer);
    assert!((0.0..=1.0).contains(&number("/bottleneck/confidence")));
    assert!(text("/bottleneck/level").starts_with('L'));
    let shares = document["shares"].as_object().unwrap();
    let sum: f64 = shares.values().filter_map(Value::as_f64).sum();
    assert!((sum - 1.0).abs() <= 0.005, "{shares:?}");
    assert!(number("/floor/seconds") > 0.0 && number("/floor/ratio") >= 1.0);
    assert!(!text("/floor/binds").is_empty() && !text("/floor/situation").is_empty());
    assert_eq!(document["advice"]["tree"].as_array().map(Vec::len), Some(3));
    assert!(document["advice"]["steps"].as_array().is_some_and(|steps| !steps.is_empty()));
    for source in document["sources"].as_array().unwrap() {
        let state = source["state"].as_str().unwrap();
        assert!(["used", "degraded", "unavailable"].contains(&state), "{source}");
        assert_eq!(state == "used", source["reason"].is_null(), "{source}");
    }
    for piece in document["evidence"].as_array().unwrap() {
        assert!(piece["source"].is_string() && piece["text"].is_string(), "{piece}");
    }
}

/// The largest share that is the program's own: next to other tests the machine may well be busy.
pub fn own(document: &Value) -> String {
    let shares = document["shares"].as_object().unwrap();
    let own = shares.iter().filter(|(class, _)| *class != "machine-busy");
    own.max_by(|a, b| a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap())).unwrap().0.clone()
}

#[test]
fn an_analysis_needs_no_repository() {
    let bench = Bench::bare(&[("slow.py", SLOW), ("wait.py", WAIT)]);
    let check = |program: &str, args: &[&str], class: &str| {
        let document = bench.run(program, args).expect(0).json(SCHEMA);
        whole(&document);
        let verdict = &document["bottleneck"]["class"];
        assert!(verdict == class || verdict == "machine-busy", "{document:#}");
        assert_eq!(own(&document), class, "{document:#}");
        assert_eq!(document["ending"], "finished");
        assert!(document["evidence"].as_array().is_some_and(|evidence| evidence.len() >= 2));
        assert!(document["runs"].as_array().is_some_and(|runs| !runs.is_empty()));
        assert!(document["spec"].as_str().is_some_and(|path| path.ends_with("_speedup.md")));
        document
    };
    check(ANALYSIS, &["--json", "--", "python3", "slow.py"], "interpreter-overhead");
    let computing = check(ANALYSIS, &["--json", "slow.py"], "interpreter-overhead");
    let hypotheses = computing["hypotheses"].as_array().unwrap();
    assert!(hypotheses.iter().any(|hypothesis| hypothesis["sites"][0]["path"] == "slow.py"), "{computing:#}");
    let waiting = check(PERFUP, &["analyze", "--json", "--", "python3", "wait.py"], "sleep-poll");
    assert!(waiting["advice"]["branch"] == "io" || waiting["bottleneck"]["class"] == "machine-busy");
    assert!(bench.root().join("specs/wait_speedup.md").exists());
    assert!(!bench.root().join(".perfup").exists());
}

#[test]
fn the_answer_is_one_plain_screen() {
    let bench = Bench::bare(&[("slow.py", SLOW)]);
    let ran = bench.run(ANALYSIS, &["slow.py"]).expect(0);
    let screen = &ran.stdout;
    assert!(
        screen.lines().count() <= 40 && screen.lines().all(|line| line.chars().count() <= 100),
        "{screen}"
    );
    assert!(!screen.contains('\u{1b}'), "{screen}");
    for words in [
        "where the time goes",
        "█",
        "evidence",
        "I/O-bound",
        "CPU-bound",
        "GPU-bound",
        "slow.py:10",
        "floor",
        "spec",
    ] {
        assert!(screen.contains(words), "{words:?} is not in: {screen}");
    }
}

const TWO: &str =
    "[benchmark.import]\ncommand = \"python3 wait.py\"\n\n[benchmark.export-all]\ncommand = \"true\"\n";

#[test]
fn words_mean_a_benchmark() {
    let bench = Bench::new(&[("wait.py", WAIT), ("perfup.toml", TWO), ("sub/keep", "")]);
    let check = |program: &str, args: &[&str], name: &str, told: bool| {
        let ran = bench.run(program, args).expect(0);
        assert_eq!(ran.json(SCHEMA)["benchmark"], name, "{args:?}");
        assert_eq!(
            ran.stderr.contains("is taken for import: python3 wait.py (perfup.toml)"),
            told,
            "{}",
            ran.stderr
        );
    };
    check(PERFUP, &["analyze", "--json", "import"], "import", false);
    check(PERFUP, &["analyze", "the", "slow", "import", "step", "--json"], "import", true);
    check(ANALYSIS, &["--json", "the slow import step"], "import", true);
    // A benchmark stands relative to the root, also from a folder below it.
    check(PERFUP, &["-C", "sub", "analyze", "--json", "importing"], "import", true);
}

#[test]
fn what_is_not_clear_is_asked() {
    let bench = Bench::new(&[("wait.py", WAIT), ("perfup.toml", TWO)]);
    bench
        .run(ANALYSIS, &["train", "the", "model"])
        .fails(2, &["fits no benchmark", "import: python3 wait.py", "hint:"]);
    let similar = TWO.replace("export-all", "import-all");
    bench.write("perfup.toml", &similar);
    bench.run(ANALYSIS, &["the", "imports"]).fails(2, &["which one", "import: ", "import-all: ", "hint:"]);
    bench.perfup(&["analyze"]).fails(2, &["import-all"]);
    bench.perfup(&["analyze", "--", "no-such-program"]).fails(2, &["no-such-program", "PATH"]);
    bench.run(ANALYSIS, &["./not-built"]).fails(2, &["./not-built", "is it built"]);
    let bare = Bench::bare(&[]);
    bare.run(ANALYSIS, &["the", "slow", "step"]).fails(2, &["no benchmark is known here", "hint:"]);
}

#[test]
fn words_mean_what_an_earlier_session_ran() {
    let bench = Bench::new(&[("wait.py", WAIT)]);
    bench.perfup(&["run", "--attempts", "1", "--", "python3", "wait.py"]).expect(0);
    let ran = bench.run(ANALYSIS, &["--json", "waiting", "for", "it"]).expect(0);
    assert_eq!(ran.json(SCHEMA)["command"], "python3 wait.py");
    assert!(ran.stderr.contains("(an earlier session)"), "{}", ran.stderr);
}

#[test]
fn a_command_that_fails_at_once_is_named_and_one_that_fails_late_is_analysed() {
    let bench = Bench::bare(&[
        ("fails.py", "import sys\nsys.exit('the reason of it')\n"),
        ("late.py", "import sys, time\ntime.sleep(1.3)\nsys.exit('the reason of it')\n"),
    ]);
    bench.run(ANALYSIS, &["fails.py"]).fails(5, &["the reason of it", "exit code 1", "hint:"]);
    bench.run(PERFUP, &["analyze", "--timeout", "200ms", "--", "sleep", "600"]).fails(5, &["time limit"]);
    let ran = bench.run(ANALYSIS, &["--json", "late.py"]).expect(0);
    let document = ran.json(SCHEMA);
    whole(&document);
    assert_eq!(document["ending"], "failed");
    assert_eq!(own(&document), "sleep-poll");
    assert!(ran.stderr.contains("the command failed (exit code 1): the reason of it"), "{}", ran.stderr);
}

/// Nothing of the tree outlives it, not even what will not listen.
#[test]
fn a_command_is_ended_after_the_time_given() {
    let bench = Bench::bare(&[]);
    let check = |script: &str, code_of: &str| {
        let args = ["--json", "--for", "600ms", "--", "sh", "-c", script];
        let ran = bench.run(ANALYSIS, &args).expect(0);
        let document = ran.json(SCHEMA);
        whole(&document);
        assert_eq!(document["ending"], "stopped");
        assert_eq!(document["runs"][0]["end"], code_of, "{document:#}");
        assert_eq!(document["runs"].as_array().map(Vec::len), Some(1));
    };
    check("echo $$ > pid; exec sleep 600", "killed by signal 15");
    let pid = bench.read("pid");
    assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists());
    check("trap 'echo bye > said; exit 0' TERM; sleep 600 & wait", "exit code 0");
    assert_eq!(bench.read("said"), "bye\n");
    check("trap '' TERM; for i in 1 2 3 4 5 6 7 8 9; do sleep 600; done", "killed at the time limit");
}

/// Five seconds of the same are enough for a first verdict; it comes once.
#[test]
fn a_long_run_is_told_about_while_it_goes_on() {
    let bench = Bench::bare(&[]);
    let ran = bench.perfup(&["analyze", "--json", "--for", "9s", "--", "sleep", "600"]).expect(0);
    assert_eq!(ran.stderr.matches("sleep-poll, steadily").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.json(SCHEMA)["ending"], "stopped");
}

#[test]
fn ctrl_c_reports_what_was_seen_so_far() {
    let bench = Bench::bare(&[("spin.py", "open('log', 'a').write('x\\n')\nwhile True: pass\n")]);
    let mut child = start(&bench, &["analyze", "--json", "--", "python3", "spin.py"]);
    until(&mut child, || lines(&bench, "log") > 0);
    // Long enough to be worth a report.
    std::thread::sleep(std::time::Duration::from_millis(900));
    send(&bench, "-INT", &child);
    let document = end(child).expect(130).json(SCHEMA);
    whole(&document);
    assert_eq!(document["ending"], "interrupted");
    assert_eq!(own(&document), "interpreter-overhead", "{document:#}");
    assert!(bench.root().join("specs/spin_speedup.md").exists());
}

/// A program that runs beside the test, and no longer than it.
struct Beside(Child);

impl Beside {
    fn start(bench: &Bench, program: &str, args: &[&str]) -> Beside {
        Beside(bench.command(program).args(args).stdout(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_that_runs_already_is_watched() {
    let bench = Bench::bare(&[("spin.py", "while True: pass\n")]);
    let check = |pid: &str, class: &str| -> Ran {
        let ran = bench.perfup(&["analyze", "--json", "--pid", pid, "--for", "1s"]).expect(0);
        let document = ran.json(SCHEMA);
        whole(&document);
        assert_eq!(document["ending"], "goes-on");
        assert_eq!(document["pid"].to_string(), pid);
        assert_eq!(own(&document), class, "{document:#}");
        ran
    };
    let spinning = Beside::start(&bench, "python3", &["spin.py"]);
    let ran = check(&spinning.pid(), "interpreter-overhead");
    assert_eq!(ran.json(SCHEMA)["command"], "python3 spin.py");
    assert!(ran.stderr.contains("watching process"), "{}", ran.stderr);
    assert!(bench.root().join("specs/spin_speedup.md").exists());
    drop(spinning);
    let sleeping = Beside::start(&bench, "sleep", &["600"]);
    check(&sleeping.pid(), "sleep-poll");
    let ending = Beside::start(&bench, "sleep", &["3"]);
    let document = bench.perfup(&["analyze", "--json", "--pid", &ending.pid()]).expect(0).json(SCHEMA);
    assert_eq!(document["ending"], "gone");
}

#[test]
fn a_process_that_cannot_be_watched_is_named() {
    let bench = Bench::bare(&[]);
    let check =
        |pid: &str, words: &[&str]| bench.perfup(&["analyze", "--pid", pid, "--for", "1s"]).fails(2, words);
    check("1073741824", &["there is no process 1073741824", "hint:"]);
    check(&std::process::id().to_string(), &["perfup itself, or what started it"]);
    bench.perfup(&["analyze", "--pid", "1", "--", "true"]).fails(2, &["--pid"]);
    bench.perfup(&["analyze", "--pid", "x"]).fails(2, &["--pid"]);
    // Ended, and nobody has waited for it yet.
    let mut zombie = bench.command("true").spawn().unwrap();
    let stat = format!("/proc/{}/stat", zombie.id());
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    check(&zombie.id().to_string(), &["has ended", "zombie", "hint:"]);
    zombie.wait().unwrap();
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        check("2", &["thread of the kernel"]);
    } else {
        println!("SKIPPED: no thread of the kernel is seen here");
    }
}

const FLAME: &str = "s = 0\nfor i in range(9000000): s += i * i\nprint(s)\n";

/// Either all files are there, or none, with the reason.
#[test]
fn call_stacks_are_written_for_other_tools() {
    let bench = Bench::bare(&[("spin.py", FLAME)]);
    let all = [
        "--flamegraph",
        "out.svg",
        "--export-collapsed",
        "out.txt",
        "--speedscope",
        "speedscope.json",
        "--export-firefox",
        "firefox.json",
    ];
    let files = ["out.svg", "out.txt", "speedscope.json", "firefox.json"];
    let args = [&["analyze", "--json"] as &[_], &all, &["--", "python3", "spin.py"]].concat();
    let ran = bench.perfup(&args);
    whole(&ran.json(SCHEMA));
    if ran.code == Some(5) {
        assert!(ran.stderr.contains("no call stacks were seen"), "{}", ran.stderr);
        assert!(files.iter().all(|file| !bench.root().join(file).exists()));
        println!("SKIPPED: no call stacks here: {}", ran.stderr);
        return;
    }
    let ran = ran.expect(0);
    assert!(!ran.stderr.contains("no call stacks"), "{}", ran.stderr);
    assert!(bench.read("out.svg").contains("<svg"));
    assert!(
        bench
            .read("out.txt")
            .lines()
            .all(|line| line.rsplit_once(' ').is_some_and(|(_, count)| count.parse::<u64>().is_ok()))
    );
    for file in ["speedscope.json", "firefox.json"] {
        serde_json::from_str::<Value>(&bench.read(file)).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_written_costs_no_run() {
    let bench = Bench::bare(&[]);
    let args = ["analyze", "--flamegraph", "nowhere/out.svg", "--", "sh", "-c", "echo > ran"];
    bench.perfup(&args).fails(2, &["nowhere/out.svg"]);
    bench.write(".perfup/rules/own.yml", "id: own\nlanguage: Python\nrule: { kind: no-such-kind }\n");
    bench.perfup(&["analyze", "--", "sh", "-c", "echo > ran"]).fails(2, &["own.yml"]);
    assert!(!bench.root().join("ran").exists());
}

/// What is slow is named by file and line, in the answer, the document and the spec.
#[test]
fn places_in_the_source_are_named() {
    let bench = Bench::bare(&[("slow.py", SLOW)]);
    let document = bench.run(ANALYSIS, &["--json", "slow.py"]).expect(0).json(SCHEMA);
    let findings = document["findings"].as_array().unwrap();
    let place = findings.iter().find(|finding| finding["line"] == 10).expect("the membership test");
    assert_eq!(
        (&place["path"], &place["rule"]),
        (&"slow.py".into(), &"python-list-membership-in-loop".into())
    );
    assert!(place["confirmed"].is_boolean() && place["fix"].is_string(), "{place}");
    let spec = bench.read("specs/slow_speedup.md");
    assert!(spec.contains("**slow.py:10**") && spec.contains("## What to do"), "{spec}");
}
