//! `perfup measure` and `perfup calibrate`: the real binary on real programs.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::bench::{Bench, PERFUP, Ran};

/// Computes for as long as its argument says.
const SPIN: &str =
    "import sys\ntotal = 0\nfor i in range(int(sys.argv[1])):\n    total += i * i\nprint('done')\n";

const MEASURE: &str = "perfup.measure/1";

fn measured(bench: &Bench, args: &[&str], code: i32) -> Value {
    let mut all = vec!["measure", "--json"];
    all.extend(args);
    bench.perfup(&all).expect(code).json(MEASURE)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn one_command_is_described_with_every_metric() {
    let bench = Bench::bare(&[]);
    let report = measured(&bench, &["--runs", "6", "--samples", "--", "sleep", "0.02"], 0);
    let arm = &report["arms"][0];
    assert_eq!((arm["command"].as_str(), arm["runs"].as_u64()), (Some("sleep 0.02"), Some(6)));
    for key in ["wall_s", "user_s", "sys_s", "cpu_s", "peak_rss_bytes", "page_faults", "context_switches"] {
        let metric = &arm[key];
        let [min, median, max] = ["min", "median", "max"].map(|field| number(&metric[field]));
        assert!(min <= median && median <= max && number(&metric["mad"]) >= 0.0, "{key}: {metric}");
        assert_eq!(metric["samples"].as_array().map(Vec::len), Some(6), "{key}");
    }
    assert!(number(&arm["wall_s"]["min"]) >= 0.02);
    assert!(number(&arm["cpu_s"]["max"]) < 0.02);
    assert_eq!(report["comparisons"], Value::Array(Vec::new()));
    assert!(report["machine"]["fingerprint"].is_string() && report["seed"].is_u64());
}

#[test]
fn a_slower_program_is_called_slower_and_the_reverse_faster() {
    let bench = Bench::bare(&[("spin.py", SPIN)]);
    let check = |a: &str, b: &str, verdict: &str, sign: f64| {
        let report = measured(&bench, &["--vs", b, "--metric", "cpu", "--", "sh", "-c", a], 0);
        let comparison = &report["comparisons"][0];
        assert_eq!(comparison["verdict"], verdict, "{comparison}");
        assert_eq!((&comparison["arm"], &comparison["against"]), (&1.into(), &0.into()));
        assert!(number(&comparison["effect"]) * sign > 0.0);
        let [low, high] = [0, 1].map(|bound| number(&comparison["interval"][bound]));
        assert!(low <= number(&comparison["effect"]) && number(&comparison["effect"]) <= high);
        assert!(low * sign > 0.0 && high * sign > 0.0, "the interval leaves out zero: {comparison}");
        assert!(number(&comparison["evidence"]) >= number(&comparison["evidence_needed"]));
        assert_eq!(comparison["stopped_because"], "evidence");
        assert!(comparison["pairs"].as_u64().is_some_and(|pairs| (5..=60).contains(&pairs)));
    };
    check("python3 spin.py 20000", "python3 spin.py 600000", "SLOWER", 1.0);
    check("python3 spin.py 600000", "python3 spin.py 20000", "FASTER", -1.0);
}

#[test]
fn a_fixed_number_of_runs_gives_that_many_pairs_in_random_order() {
    let bench = Bench::bare(&[]);
    let args = ["--runs", "24", "--samples", "--seed", "7", "--vs", "sleep 0.05", "--", "true"];
    let report = measured(&bench, &args, 0);
    let slots = |arm: usize| -> Vec<u64> {
        let samples = report["arms"][arm]["wall_s"]["samples"].as_array().unwrap();
        assert!(samples.iter().enumerate().all(|(index, sample)| sample["pair"] == index), "{samples:?}");
        samples.iter().map(|sample| sample["slot"].as_u64().unwrap()).collect()
    };
    let (first, second) = (slots(0), slots(1));
    assert_eq!(first.len(), 24);
    assert!(first.iter().zip(&second).all(|(a, b)| a + b == 1), "each pair has one run in each slot");
    let ones: u64 = first.iter().sum();
    assert!((4..=20).contains(&ones), "a fair coin: {first:?}");
    assert_eq!(report["comparisons"][0]["pairs"], 24);
    assert_eq!(report["seed"], 7);
}

#[test]
fn too_few_pairs_are_inconclusive_and_say_what_is_missing() {
    let bench = Bench::bare(&[]);
    let ran = bench.perfup(&["measure", "--runs", "3", "--vs", "sleep 0.05", "--", "true"]).expect(3);
    assert!(ran.stdout.contains("INCONCLUSIVE"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("too few pairs to see anything") && !ran.stdout.contains('±'),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("--runs"), "{}", ran.stderr);
}

#[test]
fn bounds_that_allow_no_answer_are_refused_before_the_start() {
    let bench = Bench::bare(&[]);
    let pairs =
        |max: &'static str| ["measure", "--max-runs", max, "--vs", "sh -c 'echo >> log'", "--", "true"];
    bench.perfup(&pairs("8")).fails(2, &["8 pairs", "α = 0.01", "at least", "raise --max-runs", "--runs 8"]);
    assert!(!bench.root().join("log").exists());
    let few = measured(&bench, &["--max-runs", "5", "--", "true"], 0);
    assert!(few["arms"][0]["runs"].as_u64().is_some_and(|runs| (1..=5).contains(&runs)), "{few}");
    bench
        .perfup(&["measure", "--min-runs", "9", "--max-runs", "5", "--", "true"])
        .fails(2, &["--min-runs 9"]);
}

#[test]
fn the_same_program_by_another_name_is_nothing_to_compare() {
    let bench = Bench::bare(&[]);
    let program = std::fs::read("/bin/sleep").unwrap();
    std::fs::create_dir(bench.root().join("other")).unwrap();
    for name in ["old", "new", "other/old"] {
        let path = bench.root().join(name);
        std::fs::write(&path, &program).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let report = measured(&bench, &["--vs", "./new 0.001", "--", "./old", "0.001"], 0);
    let comparison = &report["comparisons"][0];
    assert_eq!(comparison["stopped_because"], "identical-programs");
    assert_eq!((&comparison["verdict"], &comparison["pairs"]), (&"EQUIVALENT".into(), &0.into()));
    let other = measured(&bench, &["--runs", "12", "--vs", "./new 0.05", "--", "./old", "0.001"], 0);
    assert_eq!(other["comparisons"][0]["verdict"], "SLOWER");
    // What lies beside a program may make it another one.
    let elsewhere = measured(&bench, &["--runs", "2", "--vs", "other/old 0", "--", "./old", "0"], 3);
    assert_eq!(elsewhere["comparisons"][0]["pairs"], 2);
    assert!(elsewhere["warnings"].to_string().contains("byte for byte"), "{}", elsewhere["warnings"]);
}

#[test]
fn a_failing_or_missing_arm_is_an_error() {
    let bench = Bench::bare(&[]);
    let check = |args: &[&str], code: i32, words: &[&str]| {
        let mut all = vec!["measure", "--json"];
        all.extend(args);
        bench.perfup(&all).fails(code, words);
    };
    check(&["--vs", "false", "--", "true"], 5, &["false", "exit code 1", "--ignore-failure"]);
    check(&["--vs", "sh -c 'echo because >&2; exit 3'", "--", "true"], 5, &["because", "exit code 3"]);
    check(&["--vs", "no-such-program", "--", "true"], 2, &["no-such-program"]);
    check(&["--timeout", "200ms", "--", "sleep", "600"], 5, &["time limit"]);
    check(&["--setup", "sh -c 'exit 4'", "--", "true"], 5, &["set-up", "exit 4"]);
    check(&["--metric", "wal", "--", "true"], 5, &["wal", "wall"]);
    check(&["--input", "missing.txt", "--", "cat"], 2, &["missing.txt"]);
    check(&["--export-csv", "no/such/folder/x.csv", "--", "true"], 2, &["x.csv"]);
    check(&["--cpus", "zero", "--", "true"], 2, &["zero"]);
    check(&["--cpus", "0,65535", "--", "true"], 2, &["no CPU 65535", "it may use 0"]);
    check(&[""], 2, &["empty", "sort big.txt"]);
    check(&["--alpha", "2", "--", "true"], 2, &["alpha"]);
    check(&[], 2, &["nothing to measure"]);
    measured(&bench, &["--runs", "3", "--ignore-failure", "--", "false"], 0);
    measured(&bench, &["--runs", "3", "--ignore-failure=1", "--", "false"], 0);
    check(&["--ignore-failure=2", "--", "false"], 5, &["exit code 1"]);
}

#[test]
fn commands_around_the_runs_run_when_they_should() {
    let bench = Bench::bare(&[]);
    let args = [
        "--runs",
        "3",
        "--warmup",
        "2",
        "--setup",
        "echo setup {n} >> log",
        "--prepare",
        "echo prepare {n} >> log",
        "--cleanup",
        "echo cleanup {n} >> log",
        "-L",
        "n",
        "1,2",
        "sleep 0.00{n}",
    ];
    let report = measured(&bench, &args, 3);
    let redone = usize::try_from(report["rounds_redone"].as_u64().unwrap()).unwrap();
    let log = std::fs::read_to_string(bench.root().join("log")).unwrap();
    for n in ["1", "2"] {
        let count = |what: &str| log.lines().filter(|line| *line == format!("{what} {n}")).count();
        // A disturbed round is run again, with all that belongs to it.
        let rounds = 3 + redone;
        assert_eq!((count("setup"), count("prepare"), count("cleanup")), (1, 2 + rounds, 1), "{log}");
    }
    assert!(log.starts_with("setup 1\nsetup 2\n") && log.ends_with("cleanup 1\ncleanup 2\n"), "{log}");
    // A failure does not keep the clean-up from running.
    bench.perfup(&["measure", "--cleanup", "echo swept >> swept", "--", "false"]).expect(5);
    assert_eq!(std::fs::read_to_string(bench.root().join("swept")).unwrap(), "swept\n");
}

#[test]
fn the_users_environment_reaches_the_commands() {
    let bench = Bench::bare(&[]);
    let script = "test \"$RAYON_NUM_THREADS\" = 3";
    let prepare = format!("sh -c '{script}'");
    let args = ["measure", "--runs", "2", "--prepare", &prepare, "--", "sh", "-c", script];
    let ran: Ran = bench.command(PERFUP).args(args).env("RAYON_NUM_THREADS", "3").output().unwrap().into();
    ran.expect(0);
}

#[test]
fn parameters_make_one_arm_per_combination() {
    let bench = Bench::bare(&[]);
    let args = ["--runs", "2", "-L", "a", "0,0.001", "-P", "b", "1", "3", "-D", "2", "sleep {a}; echo {b}"];
    let report = measured(&bench, &args, 3);
    let commands: Vec<&str> =
        report["arms"].as_array().unwrap().iter().map(|arm| arm["command"].as_str().unwrap()).collect();
    assert_eq!(
        commands,
        ["sleep 0; echo 1", "sleep 0; echo 3", "sleep 0.001; echo 1", "sleep 0.001; echo 3"]
    );
    assert_eq!(report["arms"][3]["parameters"], serde_json::json!({"a": "0.001", "b": "3"}));
    assert_eq!(report["comparisons"].as_array().map(Vec::len), Some(3));
    let warned = |words: &str| report["warnings"].to_string().matches(words).count();
    assert_eq!(warned("print different things"), 0, "other parameters are other work: {report}");
    assert!(warned("much of it starting a process") <= 1, "{report}");
    let args = ["--runs", "2", "-L", "a", "1,2", "echo {a}", "echo b{a}"];
    let report = measured(&bench, &args, 3);
    assert!(report["warnings"].to_string().contains("echo 1 and echo b1 print different things"), "{report}");
}

#[test]
fn metrics_of_the_program_decide_and_guard() {
    let bench = Bench::bare(&[(
        "tps.sh",
        "echo \"METRIC tps=$1 1/s\"; echo \"{\\\"mem\\\": {\\\"peak\\\": $2}}\" >&1\n",
    )]);
    let report = measured(
        &bench,
        &["--metric", "tps", "--higher", "tps", "--vs", "sh tps.sh 120 7", "--", "sh", "tps.sh", "100", "7"],
        0,
    );
    let comparison = &report["comparisons"][0];
    assert_eq!((&comparison["verdict"], &comparison["metric"]), (&"FASTER".into(), &"tps".into()));
    assert!((number(&comparison["effect"]) - 0.2).abs() < 1e-9, "{comparison}");
    assert_eq!(report["arms"][1]["tps"]["median"], 120.0);

    let regex = ["--metric-regex", "peak=\"peak\": ([0-9]+)", "--guard", "peak=5%"];
    let guarded = |b: &str, code: i32, word: &str| {
        let mut args = vec!["--runs", "20", "--metric", "tps", "--higher", "tps"];
        args.extend(regex);
        args.extend(["--vs", b, "--", "sh", "tps.sh", "100", "100"]);
        let report = measured(&bench, &args, code);
        assert_eq!(report["comparisons"][0]["guards"][0]["word"], word, "{report}");
    };
    guarded("sh tps.sh 150 102", 0, "held");
    guarded("sh tps.sh 150 130", 1, "violated");
    // The whole output is no JSON document, but its last line is.
    let json = measured(
        &bench,
        &["--runs", "3", "--metric-json", "mem=/mem/peak", "--", "sh", "tps.sh", "1", "42"],
        0,
    );
    assert_eq!(json["arms"][0]["mem"]["median"], 42.0);
}

#[test]
fn exports_are_complete() {
    let bench = Bench::bare(&[]);
    let args = [
        "measure",
        "--runs",
        "12",
        "--export-json",
        "out.json",
        "--export-csv",
        "out.csv",
        "--export-markdown",
        "out.md",
        "-n",
        "short, \"quoted\"",
        "--vs",
        "sleep 0.05",
        "--",
        "true",
    ];
    bench.perfup(&args).expect(0);
    let read = |name: &str| std::fs::read_to_string(bench.root().join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("out.json")).unwrap();
    assert_eq!(json["schema"], MEASURE);
    assert_eq!(json["arms"][1]["wall_s"]["samples"].as_array().map(Vec::len), Some(12));
    let csv = read("out.csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("command,mean,stddev,median,user,system,min,max,"), "{csv}");
    assert!(
        lines[1].starts_with("true,") && lines[2].starts_with("sleep 0.05,") && lines[2].contains("SLOWER")
    );
    let at = |name: &str| lines[0].split(',').position(|column| column == name).unwrap();
    for (column, key) in [("user", "user_s"), ("system", "sys_s")] {
        let cell = lines[1].split(',').nth(at(column)).unwrap();
        assert_eq!(cell.parse::<f64>().unwrap(), number(&json["arms"][0][key]["mean"]), "{column}: {csv}");
    }
    assert!(lines[0].contains(",context_switches,") && lines[0].contains(",page_faults"), "{csv}");
    let markdown = read("out.md");
    assert!(markdown.contains("| `short, \"quoted\"` | 12 |") && markdown.contains("SLOWER"), "{markdown}");
}

#[test]
fn an_export_that_fails_costs_no_measurement() {
    let bench = Bench::bare(&[("kept.json", "before")]);
    let full = ["measure", "--json", "--runs", "2", "--export-json", "/dev/full", "--export-csv", "x.csv"];
    let ran = bench.perfup(&[&full[..], &["--", "true"]].concat()).expect(2);
    assert_eq!(ran.json(MEASURE)["arms"][0]["runs"], 2);
    assert!(ran.stderr.contains("/dev/full") && ran.stderr.contains("space"), "{}", ran.stderr);
    assert!(bench.read("x.csv").starts_with("command,"), "the others are written");
    // Nothing to write leaves nothing behind.
    let files = ["--export-json", "kept.json", "--export-csv", "new.csv"];
    bench.perfup(&[&["measure"], &files[..], &["--", "false"]].concat()).expect(5);
    assert_eq!(bench.read("kept.json"), "before");
    assert!(!bench.root().join("new.csv").exists());
}

#[test]
fn a_person_sees_both_arms_the_verdict_and_why() {
    let bench = Bench::bare(&[]);
    let ran: Ran =
        bench.perfup(&["measure", "--min-runs", "12", "--vs", "sleep 0.05", "--", "true"]).expect(0);
    for word in
        ["A  ", "B  ", "SLOWER", "evidence", "could be seen", "stopped: the evidence is enough", "seed "]
    {
        assert!(ran.stdout.contains(word), "{word:?} is not in: {}", ran.stdout);
    }
}

#[test]
fn growth_is_fitted() {
    // Counted, not timed: what is fitted must not depend on how busy the machine is.
    let program = "import sys\nn = int(sys.argv[1])\nprint(f'METRIC steps={n * n + 7}')\n";
    let bench = Bench::bare(&[("square.py", program)]);
    let report = measured(
        &bench,
        &["--scale", "n=200..3200:x2", "--runs", "3", "--metric", "steps", "python3 square.py {n}"],
        0,
    );
    let scaling = &report["scaling"];
    assert_eq!(scaling["parameter"], "n");
    assert_eq!(report["arms"].as_array().map(Vec::len), Some(5));
    let (low, high) = (number(&scaling["exponent"]["low"]), number(&scaling["exponent"]["high"]));
    assert_eq!(scaling["law"]["power"], 2.0, "{scaling}");
    assert!(low > 1.9 && high < 2.1 && low <= high, "{scaling}");
}

#[test]
fn ctrl_c_keeps_what_was_measured() {
    let bench = Bench::bare(&[]);
    let script = "echo run >> log; sleep 0.05";
    let args =
        ["measure", "--json", "--runs", "2000", "--cleanup", "echo swept > swept", "--", "sh", "-c", script];
    let mut child =
        bench.command(PERFUP).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = bench.root().join("log");
    while std::fs::read_to_string(&log).map_or(0, |log| log.lines().count()) < 10 {
        assert!(child.try_wait().unwrap().is_none(), "it goes on until it is interrupted");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = bench.command("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let ran: Ran = child.wait_with_output().unwrap().into();
    let report = ran.expect(130).json(MEASURE);
    assert_eq!(report["interrupted"], true);
    assert!(report["arms"][0]["runs"].as_u64().is_some_and(|runs| (2..2000).contains(&runs)), "{report}");
    assert!(bench.root().join("swept").exists(), "the clean-up command ran");
}

#[test]
fn a_calibration_is_made_kept_and_cited() {
    let bench = Bench::bare(&[]);
    let args = [
        "calibrate",
        "--json",
        "--sessions",
        "2",
        "--effect",
        "400%",
        "--run-time",
        "3ms",
        "--metric",
        "cpu",
        "--noise",
        "cpu",
    ];
    let calibration = bench.perfup(&args).expect(0).json("perfup.calibration/1");
    let [none, large] = [0, 1].map(|kind| &calibration["rates"][kind]);
    assert_eq!((&none["effect"], &none["sessions"]), (&0.0.into(), &2.into()));
    assert_eq!((&large["right"], &large["wrong"]), (&2.into(), &0.into()), "{calibration}");
    assert!(number(&none["wrong_interval"][1]) > 0.5, "two trials prove little: {none}");
    let args = ["--runs", "3", "--metric", "cpu", "--vs", "sleep 0.001", "--", "true"];
    let report = measured(&bench, &args, 3);
    assert_eq!(report["calibration"]["seed"], calibration["seed"], "{report}");
}

#[test]
fn a_run_that_is_cut_short_makes_the_effect_a_lower_bound() {
    let bench = Bench::bare(&[]);
    let args = ["--runs", "14", "--vs", "sleep 0.4", "--export-csv", "x.csv", "--export-markdown", "x.md"];
    let report = measured(&bench, &[&args[..], &["--", "sleep", "0.005"]].concat(), 0);
    let comparison = &report["comparisons"][0];
    assert_eq!((&comparison["verdict"], &comparison["effect_is_bound"]), (&"SLOWER".into(), &true.into()));
    assert!(number(&comparison["interval"][0]) > 1.0 && comparison["interval"][1].is_null(), "{comparison}");
    let read = |name: &str| std::fs::read_to_string(bench.root().join(name)).unwrap();
    assert!(read("x.md").contains("at least ") && read("x.csv").contains("SLOWER,true"));
    let whole =
        measured(&bench, &["--runs", "14", "--no-race", "--vs", "sleep 0.1", "--", "sleep", "0.005"], 0);
    let comparison = &whole["comparisons"][0];
    assert_eq!(comparison["effect_is_bound"], false);
    assert!(comparison["interval"][1].is_number(), "{comparison}");
}

#[test]
fn a_command_that_spoils_the_next_run_makes_the_comparison_invalid() {
    let bench = Bench::bare(&[]);
    let (a, b) = ("sh -c 'test -e f && sleep 0.03; rm -f f'", "sh -c 'touch f'");
    let args = ["measure", "--runs", "60", "--seed", "7", "--json", "--vs", b, "--", a];
    let ran = bench.perfup(&args).expect(5);
    assert!(ran.stderr.contains("--prepare"), "{}", ran.stderr);
    let report = ran.json(MEASURE);
    let comparison = &report["comparisons"][0];
    assert_eq!(
        (&comparison["verdict"], &comparison["stopped_because"]),
        (&"INVALID".into(), &"carry-over".into())
    );
    assert!(report["carry_over"]["found"] == true && number(&report["carry_over"]["p_value"]) <= 0.001);
}
