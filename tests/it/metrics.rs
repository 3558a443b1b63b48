//! Every metric, role and fact on real programs, through the real binary.
//!
//! A machine need not have a PMU, energy meters or pressure files; where it has none, its reason is what is checked.

use serde_json::Value;

use super::bench::{Bench, SLOW};

const MEASURE: &str = "perfup.measure/1";

fn measured(bench: &Bench, args: &[&str], code: i32) -> Value {
    let mut all = vec!["measure", "--json"];
    all.extend(args);
    bench.perfup(&all).expect(code).json(MEASURE)
}

/// One metric of a Python program: its median over some runs, absent where the machine does not give it.
fn median(key: &str, program: &str) -> Option<f64> {
    let bench = Bench::bare(&[("program.py", program)]);
    let report = measured(&bench, &["--runs", "5", "--", "python3", "program.py"], 0);
    report["arms"][0][key]["median"].as_f64()
}

fn given(key: &str, program: &str) -> f64 {
    median(key, program).unwrap_or_else(|| panic!("{key} is always there"))
}

#[test]
fn memory_and_faults_are_those_of_the_program() {
    let memory = given("peak_rss_bytes", "x = b'a' * 200_000_000");
    assert!((200e6..300e6).contains(&memory), "{memory}");
    // Shared memory is not given in huge pages.
    let touched =
        "import mmap\nm = mmap.mmap(-1, 50_000_000)\nfor at in range(0, 50_000_000, 4096): m[at] = 1";
    let faults = given("page_faults", touched);
    assert!(faults >= 12_000.0, "{faults}");
    let major = given("major_faults", touched);
    assert!(major < 1_000.0, "{major}");
}

#[test]
fn switches_tell_waiting_from_being_pushed_aside() {
    let sleeper = "import time\nfor _ in range(60): time.sleep(0.001)";
    let waited = given("context_switches", sleeper);
    assert!((60.0..1_000.0).contains(&waited), "{waited}");
    // Two that never wait take turns on one CPU.
    let bench = Bench::bare(&[]);
    let burn = "import time\nwhile time.process_time() < 0.15: pass";
    bench.write("burn.py", burn);
    let script = "python3 burn.py & python3 burn.py; wait";
    let cpus = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = cpus.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = allowed.split([',', '-']).next().unwrap();
    let report = measured(&bench, &["--runs", "3", "--cpus", first, "--", "sh", "-c", script], 0);
    let arm = &report["arms"][0];
    assert!(arm["involuntary_switches"]["median"].as_f64().unwrap() >= 5.0, "{arm}");
    // Both children count, on one CPU one after the other.
    for (key, least) in [("cpu_s", 0.3), ("user_s", 0.05), ("wall_s", 0.3)] {
        assert!(arm[key]["median"].as_f64().unwrap() >= least, "{key}: {arm}");
    }
    let of = |key: &str| arm[key]["mean"].as_f64().unwrap();
    assert!((of("user_s") + of("sys_s") - of("cpu_s")).abs() < 1e-6, "{arm}");
}

#[test]
fn bytes_that_go_to_storage_are_counted() {
    let writer = "import os\nf = os.open('written', os.O_WRONLY | os.O_CREAT)\nos.write(f, b'x' * 10_000_000)\nos.fsync(f)";
    match median("write_bytes", writer) {
        // A temporary folder may have no storage behind it.
        Some(bytes) => assert!(bytes == 0.0 || bytes >= 10e6, "{bytes}"),
        None => Bench::bare(&[])
            .perfup(&["measure", "--metric", "write-bytes", "--", "true"])
            .fails(5, &["write-bytes", "/proc/PID/io"]),
    }
    if let Some(bytes) = median("read_bytes", "print(1)") {
        assert!(bytes >= 0.0);
    }
}

#[test]
fn time_in_the_run_queue_is_there_or_the_reason_is() {
    let bench = Bench::bare(&[]);
    let report = measured(&bench, &["--runs", "3", "--samples", "--", "true"], 0);
    let waited = &report["arms"][0]["runqueue_wait_s"];
    if waited.is_null() {
        bench
            .perfup(&["measure", "--metric", "runqueue-wait", "--", "true"])
            .fails(5, &["runqueue-wait", "schedstat"]);
        return;
    }
    assert_eq!(waited["samples"].as_array().map(Vec::len), Some(3), "{waited}");
}

#[test]
fn what_only_some_machines_give_is_a_number_or_a_reason_and_never_zero() {
    let bench = Bench::bare(&[]);
    let burn = ["python3", "-c", "sum(i * i for i in range(2_000_000))"];
    let everything = measured(&bench, &[&["--runs", "3", "--"][..], &burn].concat(), 0);
    for (metric, key) in [("instructions", "instructions"), ("cycles", "cycles"), ("energy", "energy_j")] {
        let source = &everything["machine"]["sources"][metric];
        let asked = [&["measure", "--json", "--runs", "3", "--metric", metric, "--"][..], &burn].concat();
        let ran = bench.perfup(&asked);
        let Some(reason) = source["refused"]["reason"].as_str() else {
            assert_eq!(source, "available");
            let report = ran.expect(0).json(MEASURE);
            assert!(report["arms"][0][key]["median"].as_f64().unwrap() > 0.0, "{report}");
            continue;
        };
        assert!(everything["arms"][0].get(key).is_none(), "{everything}");
        ran.fails(5, &[metric, "cannot be measured here", reason]);
        // A guard is refused as well: nothing may pass unseen.
        let guard = format!("{metric}=5%");
        let args = ["measure", "--guard", &guard, "--vs", "true", "--", "false"];
        bench.perfup(&args).fails(5, &[metric, reason]);
        bench
            .perfup(&["analyze", "--metric", metric, "--", "true"])
            .fails(5, &[metric, "cannot be measured here", reason]);
        let session = Bench::slow();
        session
            .perfup(&["run", "--metric", metric, "--", "python3", "slow.py"])
            .fails(5, &[metric, "cannot be measured here", reason]);
    }
}

/// Prints what its arguments say, in three ways.
const REPORTER: &str = "import json, random, sys\n\
    tps, p99, loads = sys.argv[1:4]\n\
    p99 = random.choice(['35', '75']) if p99 == 'any' else p99\n\
    print('METRIC tps=' + tps + ' 1/s')\n\
    print('p99: ' + p99 + ' ms')\n\
    print(json.dumps({'cache': {'loads': float(loads)}}))\n";

#[test]
fn a_programs_own_metrics_decide_whichever_way_they_are_read() {
    let bench = Bench::bare(&[("report.py", REPORTER)]);
    let compare = |options: &[&str], a: &str, b: &str, verdict: &str, effect: f64| {
        let (a, b) = (format!("python3 report.py {a}"), format!("python3 report.py {b}"));
        let report = measured(&bench, &[options, &[a.as_str(), b.as_str()]].concat(), 0);
        let comparison = &report["comparisons"][0];
        assert_eq!(comparison["verdict"], verdict, "{comparison}");
        assert!((comparison["effect"].as_f64().unwrap() - effect).abs() < 1e-9, "{comparison}");
        assert_eq!(comparison["win"], verdict == "FASTER");
        report
    };
    let line = ["--metric", "tps", "--higher", "tps"];
    let report = compare(&line, "100 5 7", "125 5 7", "FASTER", 0.25);
    // Only the numbers differ that were asked for, so both have the same result.
    let warnings = report["warnings"].to_string();
    assert!(!warnings.contains("print different things"), "{warnings}");
    compare(&["--metric", "tps"], "100 5 7", "125 5 7", "SLOWER", 0.25);
    let regex = ["--metric", "p99", "--metric-regex", "p99=^p99: ([0-9.]+) ms$"];
    let report = compare(&regex, "1 5 7", "1 4 8", "FASTER", -0.2);
    assert!(report["warnings"].to_string().contains("print different things"), "the loads differ: {report}");
    let json = ["--metric", "loads", "--metric-json", "loads=/cache/loads"];
    compare(&json, "1 5 8", "1 5 4", "FASTER", -0.5);
    // What is only recorded is shown all the same.
    let args = ["measure", "--runs", "12", "--metric-json", "loads=/cache/loads"];
    let args = [&args[..], &["python3 report.py 1 5 8", "python3 report.py 1 5 4"]].concat();
    let ran = bench.perfup(&args);
    assert!(ran.stdout.contains("loads −50 %"), "{}", ran.stdout);
}

#[test]
fn a_metric_that_is_not_there_is_an_error_and_never_a_pass() {
    let bench = Bench::bare(&[("report.py", REPORTER)]);
    let check = |options: &[&str], code: i32, words: &[&str]| {
        let args =
            [&["measure", "--json"][..], options, &["--", "python3", "report.py", "1", "2", "3"]].concat();
        bench.perfup(&args).fails(code, words);
    };
    check(&["--metric", "tsp"], 5, &["gave no value for tsp", "METRIC name=value"]);
    check(&["--vs", "true", "--guard", "tps=5%"], 5, &["true gave no value for tps"]);
    check(&["--metric", "x", "--metric-regex", "x=none: ([0-9]+)"], 5, &["no value for x"]);
    check(&["--metric", "x", "--metric-json", "x=/cache/none"], 5, &["no value for x"]);
    check(&["--metric-regex", "x=none"], 2, &["--metric-regex", "in a group"]);
    check(&["--metric-json", "x=cache"], 2, &["--metric-json", "begins with /"]);
    check(&["--metric-json", "wall=/cache"], 2, &["built-in metric wall"]);
    check(&["--higher", "cpu"], 2, &["--higher", "built in"]);
    check(&["--vs", "true", "--guard", "cpu"], 2, &["--guard", "peak-rss=5%"]);
    check(&["--guard", "cpu=5%"], 2, &["nothing to compare"]);
}

#[test]
fn a_win_that_breaks_its_guard_is_none() {
    let bench = Bench::bare(&[("report.py", REPORTER)]);
    let a = "python3 report.py 100 50 7";
    let options =
        ["--runs", "14", "--metric", "tps", "--higher", "tps", "--metric-regex", "p99=p99: (.*) ms"];
    let compare = |guards: &[&str], b: &str, code: i32, word: &str| {
        let b = format!("python3 report.py {b}");
        let report = measured(&bench, &[&options, guards, &["--vs", &b, a]].concat(), code);
        let comparison = &report["comparisons"][0];
        assert_eq!(comparison["verdict"], "FASTER", "{comparison}");
        assert_eq!(comparison["guards"][0]["word"], word, "{comparison}");
        assert_eq!(comparison["win"], word == "held", "{comparison}");
    };
    compare(&["--guard", "p99=5%"], "120 51 7", 0, "held");
    compare(&["--guard", "p99=5%"], "120 55 7", 1, "violated");
    // More can be worse too.
    compare(&["--guard", "p99=5%", "--higher", "p99"], "120 40 7", 1, "violated");
    // What varies by more than its limit is neither shown to be within it nor to be beyond it.
    compare(&["--guard", "p99=5%"], "120 any 7", 3, "open");
    // A number that has no ratio cannot be shown to be within anything.
    compare(&["--guard", "p99=5%"], "120 -1 7", 3, "open");
    let args = [&["measure"][..], &options, &["--guard", "p99=5%", "--vs", "python3 report.py 120 70 7", a]]
        .concat();
    let ran = bench.perfup(&args).expect(1);
    for words in ["FASTER", "no win", "guard violated: p99 +40 %, may be 5.0 % worse"] {
        assert!(ran.stdout.contains(words), "{words:?} is not in: {}", ran.stdout);
    }
}

#[test]
fn names_that_programs_choose_take_no_ones_place() {
    let bench = Bench::bare(&[]);
    let script = "echo METRIC runs=3; echo METRIC wall_s=7; echo METRIC own=1";
    let report = measured(&bench, &["--runs", "4", "--", "sh", "-c", script], 0);
    let arm = &report["arms"][0];
    assert_eq!(arm["runs"], 4);
    assert_eq!(arm["metric_runs"]["median"], 3.0);
    assert!(arm["wall_s"]["median"].as_f64().unwrap() < 7.0);
    assert_eq!((&arm["metric_wall_s"]["median"], &arm["own"]["median"]), (&7.0.into(), &1.0.into()));
    // Such a metric may decide and guard, and is found where the document says.
    let options = ["measure", "--runs", "12", "--export-json", "out.json", "--export-markdown", "out.md"];
    let asked =
        ["--metric", "runs", "--guard", "name=5%", "--vs", "sh -c 'echo METRIC runs=2; echo METRIC name=1'"];
    let reference = ["--", "sh", "-c", "echo METRIC runs=4; echo METRIC name=1"];
    let ran = bench.perfup(&[&options[..], &asked, &reference].concat()).expect(0);
    let read = |name: &str| std::fs::read_to_string(bench.root().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("out.json")).unwrap();
    let comparison = &report["comparisons"][0];
    for key in [&report["metric"], &comparison["metric"], &comparison["guards"][0]["metric"]] {
        assert!(report["arms"][1][key.as_str().unwrap()]["median"].is_number(), "{key}");
    }
    assert!(!ran.stdout.contains("not run") && ran.stdout.contains("FASTER"), "{}", ran.stdout);
    assert!(read("out.md").contains("| 12 | 4 | 4 | 4 |"), "{}", read("out.md"));
}

#[test]
fn more_metrics_than_anyone_reads_are_left_out_and_it_is_said() {
    let bench = Bench::bare(&[]);
    let script = "for i in $(seq 120); do echo METRIC m$i=$i; done; echo METRIC z=1";
    let args =
        ["measure", "--runs", "2", "--metric", "z", "--export-json", "out.json", "--", "sh", "-c", script];
    let ran = bench.perfup(&args).expect(0);
    assert!(ran.stdout.contains("and 80 more, which --json shows"), "{}", ran.stdout);
    assert!(ran.stderr.contains("more than 100 metrics of its own"), "{}", ran.stderr);
    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(bench.root().join("out.json")).unwrap()).unwrap();
    let arm = report["arms"][0].as_object().unwrap();
    assert_eq!(arm.keys().filter(|key| key.starts_with('m') && key[1..].parse::<u32>().is_ok()).count(), 100);
    assert_eq!(arm["z"]["median"], 1.0);
}

#[test]
fn numbers_at_both_ends_have_a_ratio() {
    let bench = Bench::bare(&[]);
    let [small, large] = ["1e-308", "1e308"].map(|number| format!("echo METRIC x={number}"));
    let args = ["measure", "--shell", "--metric", "x", "--export-json", "out.json", &small, &large];
    let ran = bench.perfup(&args).expect(0);
    assert!(
        ran.stdout.contains("1.80e308x worse (at least 1.80e308") && ran.stdout.len() < 2000,
        "{}",
        ran.stdout
    );
    let text = std::fs::read_to_string(bench.root().join("out.json")).unwrap();
    assert!(
        text.starts_with("{\n  \"schema\": \"perfup.measure/1\""),
        "the first field names the format: {text}"
    );
    let report: Value = serde_json::from_str(&text).unwrap();
    let comparison = &report["comparisons"][0];
    assert_eq!(comparison["verdict"], "SLOWER", "{comparison}");
    assert!(comparison["effect"].as_f64().unwrap() > 1e300, "{comparison}");
}

#[test]
fn the_machine_stands_in_the_document() {
    let bench = Bench::bare(&[]);
    let report = measured(&bench, &["--runs", "3", "--", "sleep", "0.01"], 0);
    let machine = &report["machine"];
    for key in ["fingerprint", "cpu_model", "kernel_release", "arch"] {
        assert!(machine[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {machine}");
    }
    for key in ["cores_logical", "cores_available", "memory_bytes"] {
        assert!(machine[key].as_u64().is_some_and(|count| count > 0), "{key}: {machine}");
    }
    // What this machine does not show is null, and stands there as such.
    let maybe =
        ["governor", "turbo", "smt", "on_battery", "load_1min", "cpu_pressure_10s", "memory_pressure_10s"];
    let during = ["elapsed_s", "steal", "busy", "system", "cgroup", "throttled_periods", "throttled_s"];
    for key in maybe {
        assert!(machine.get(key).is_some(), "{key}: {machine}");
    }
    for key in during {
        assert!(machine["during"].get(key).is_some(), "{key}: {machine}");
    }
    for key in ["version", "cpus_max", "memory_bytes_max"] {
        assert!(machine["cgroup"].get(key).is_some(), "{key}: {machine}");
    }
    let shows_pressure = std::fs::read_to_string("/proc/pressure/cpu").is_ok();
    assert_eq!(machine["cpu_pressure_10s"].is_number(), shows_pressure, "{machine}");
    assert!(machine["virtualised"].is_boolean());
}

/// The slow program, which also says how long its work took and what it had allocated at most.
fn reporting() -> String {
    let slow = SLOW.strip_suffix('\n').unwrap();
    let (before, call) = slow.rsplit_once("print(").unwrap();
    format!(
        "import time\nimport tracemalloc\n{before}\
         tracemalloc.start()\nstart = time.process_time()\nprint({call}\n\
         print(f'METRIC work_s={{time.process_time() - start:.6f}} s')\n\
         print(f'METRIC allocated={{tracemalloc.get_traced_memory()[1]}} bytes')\n"
    )
}

fn configured(guard: &str) -> Bench {
    let config = format!(
        "[benchmark.slow]\ncommand = \"python3 slow.py\"\nmetric = \"work_s\"\nguards = {{ allocated = \"{guard}\" }}\n\
         metrics = {{ work_s = {{}}, allocated = {{}} }}\n[verify]\noutput = \"exact\"\n"
    );
    Bench::new(&[("slow.py", &reporting()), ("perfup.toml", &config)])
}

fn text(bench: &Bench, query: &str) -> String {
    let database = bench.database().expect("a worklog");
    database.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_session_keeps_by_a_programs_own_metric_within_its_guards() {
    let bench = configured("2000%");
    let run = bench.perfup(&["run", "--json"]).expect(0).json("perfup.run/1");
    // Its times differ from run to run, and are no part of the result.
    let claim = &run["claim"];
    assert_eq!(
        (&run["baseline"]["metric"], &claim["metric"]),
        (&"work_s".into(), &"work_s".into()),
        "{run:#}"
    );
    assert!(claim["decision"]["estimate"]["ratio"].as_f64().unwrap() < 0.8, "{claim}");
    let guard = &claim["guards"][0];
    assert_eq!((&guard["metric"], &guard["word"]), (&"allocated".into(), &"held".into()), "{guard}");
    assert!(guard["ratio"].as_f64().unwrap() > 1.1, "the set takes memory: {guard}");

    let machine: Value = serde_json::from_str(&text(&bench, "SELECT machine FROM sessions")).unwrap();
    assert!(machine["cpu_model"].is_string() && machine["sources"]["energy"] != Value::Null, "{machine}");
    for phase in ["control 0", "claim 0"] {
        let query = format!("SELECT detail FROM session_states WHERE state = 'strain {phase}'");
        let strain: Value = serde_json::from_str(&text(&bench, &query)).unwrap();
        assert!(strain["elapsed_s"].as_f64().unwrap() > 0.0, "{strain}");
    }
    let report = std::fs::read_to_string(run["artefacts"]["report"].as_str().unwrap()).unwrap();
    assert!(report.contains("machine fingerprint"), "{report}");
}

#[test]
fn a_session_keeps_nothing_that_breaks_a_guard() {
    let bench = configured("10%");
    let run = bench.perfup(&["run", "--json"]).expect(0).json("perfup.run/1");
    assert_eq!(run["claim"], Value::Null, "{run:#}");
    let attempts = run["attempts"].as_array().unwrap();
    let set = attempts.iter().find(|attempt| attempt["recipe"] == "python-list-membership").unwrap();
    assert_eq!((&set["status"], &set["reason"]), (&"discard".into(), &"guard-violated".into()), "{set:#}");
    assert!(set["explanation"].as_str().unwrap().contains("allocated got worse: +"), "{set:#}");
    assert_eq!(set["evidence"]["word"], "faster");
    assert_eq!(set["evidence"]["guards"][0]["word"], "violated", "{set:#}");
}

#[test]
fn a_session_says_what_it_cannot_measure() {
    let check = |lines: &str, code: i32, words: &[&str]| {
        let config = format!("[benchmark.slow]\ncommand = \"python3 slow.py\"\n{lines}\n");
        Bench::new(&[("slow.py", SLOW), ("perfup.toml", &config)]).perfup(&["run"]).fails(code, words);
    };
    check("metric = \"tps\"", 2, &["perfup.toml:3:10", "unknown metric `tps`", "[benchmark.slow.metrics]"]);
    check("guards = { peak-rss = \"lots\" }", 2, &["perfup.toml:3:23", "not a number"]);
    check("metrics = { tps = { regex = \"(\" } }", 2, &["perfup.toml:3:29"]);
    check("metric = \"tps\"\nmetrics = { tps = {} }", 5, &["the original gave no value for tps"]);
    check("guards = { tps = 0.1 }\nmetrics = { tps = { json = \"/tps\" } }", 5, &["gave no value for tps"]);
}
