//! Whole sessions: what is kept, what is discarded, what is written, and what stays as it was.

use super::bench::{Bench, Ran, SLOW};

use serde_json::Value;

/// Recipes of the attempts with this status.
fn recipes(run: &Value, status: &str) -> Vec<String> {
    let attempts = run["attempts"].as_array().expect("attempts");
    let chosen = attempts.iter().filter(|attempt| attempt["status"] == status);
    chosen.map(|attempt| attempt["recipe"].as_str().expect("a recipe").to_owned()).collect()
}

fn session(run: &Value) -> &str {
    run["session"].as_str().expect("a name")
}

/// That the list was replaced by a set, and how much faster fresh pairs say the whole is.
fn assert_kept(run: &Value) {
    assert_eq!(recipes(run, "keep"), ["python-list-membership"], "{run:#}");
    let ratio = run["claim"]["decision"]["estimate"]["ratio"].as_f64().expect("a claim");
    assert!(ratio < 0.8, "{ratio}");
}

fn assert_nothing_kept(run: &Value) {
    assert_eq!(recipes(run, "keep"), [""; 0], "{run:#}");
    assert_eq!(run["claim"], Value::Null);
    assert_eq!(run["branch"], Value::Null);
}

#[test]
fn a_session_keeps_what_helps_and_leaves_the_rest_alone() {
    let bench = Bench::new(&[("slow.py", SLOW), ("notes.txt", "one\n"), ("other.txt", "one\n")]);
    bench.write("notes.txt", "put away\n");
    bench.git(&["stash", "-q"]);
    bench.git(&["branch", "mine"]);
    bench.write("other.txt", "staged\n");
    bench.git(&["add", "other.txt"]);
    bench.write("notes.txt", "dirty\n");
    let before = bench.user_state();
    let original = bench.run("python3", &["slow.py"]).expect(0).stdout;

    let ran = bench.perfup(&["run", "--json", "--", "python3", "slow.py"]).expect(0);
    assert!(ran.stderr.contains("uncommitted changes"), "{}", ran.stderr);
    let run = ran.json("perfup.run/1");
    assert_kept(&run);
    assert_eq!(recipes(&run, "discard"), ["python-regex-in-loop"]);

    let session = session(&run);
    let tip = format!("perfup/{session}/tip");
    assert_eq!(run["branch"], tip.as_str());
    assert_eq!(bench.git(&["rev-parse", &tip]).trim(), run["tip_commit"]);
    assert_eq!(bench.git(&["diff", "--name-only", "main", &tip]), "slow.py\n");
    assert_eq!(bench.git(&["rev-list", "--count", &format!("main..{tip}")]), "1\n");
    let faster = bench.git(&["show", &format!("{tip}:slow.py")]);
    assert_eq!(bench.run("python3", &["-c", &faster]).expect(0).stdout, original);

    assert_eq!(bench.user_state(), before);
    let status = bench.git(&["status", "--porcelain"]);
    let untracked: Vec<&str> = status.lines().filter(|line| line.starts_with("??")).collect();
    assert_eq!(untracked, ["?? reports/", "?? specs/"]);
    bench.assert_no_worktrees();
    artefacts(&bench, session);
    looking_back(&bench, session);
    cleaning(&bench, &before);
}

fn artefacts(bench: &Bench, session: &str) {
    let spec = bench.read("specs/slow_speedup.md");
    assert!(spec.contains("Use a set for membership tests on seen"), "{spec}");
    let results = bench.read("reports/perfup-results.tsv");
    let rows: Vec<Vec<&str>> = results.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0], ["commit", "wall_s", "cpu_s", "rss_mib", "status", "description"]);
    let statuses: Vec<&str> = rows[1..].iter().map(|row| row[4]).collect();
    assert_eq!(statuses, ["baseline", "keep", "discard"]);
    let report = bench.read(format!("reports/{session}.md"));
    assert!(report.contains("Compile the pattern of re.search once"), "{report}");
}

fn looking_back(bench: &Bench, session: &str) {
    let status = bench.perfup(&["status", "--json"]).expect(0);
    let items = status.json("perfup.status/1")["items"].clone();
    assert_eq!(items.as_array().map(Vec::len), Some(1));
    assert_eq!(items[0]["name"], session);
    assert_eq!(items[0]["keeps"], 1);
    let status = bench.perfup(&["status"]).expect(0).stdout;
    assert!(status.contains(session), "{status}");

    let list = bench.perfup(&["log", "list"]).expect(0).stdout;
    assert!(list.contains("Use a set"), "{list}");
    let keeps = bench.perfup(&["log", "list", "--verdict", "keep", "--json"]).expect(0);
    let keeps = keeps.json("perfup.log/1")["items"].clone();
    assert_eq!(keeps.as_array().map(Vec::len), Some(1), "{keeps}");
    let id = keeps[0]["id"].to_string();
    let shown = bench.perfup(&["log", "show", &id]).expect(0).stdout;
    assert!(shown.contains("python-list-membership"), "{shown}");
    let shown = bench.perfup(&["log", "show", &id, "--json"]).expect(0);
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let states = shown["states"].as_array().expect("states");
    let states: Vec<&str> = states.iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states.join(" "), "planned delegated committed checked built correct screened closed");
    bench.perfup(&["log", "show", "99"]).fails(2, &["99"]);
}

fn cleaning(bench: &Bench, before: &[String]) {
    bench.perfup(&["clean"]).fails(2, &["--yes"]);
    assert_ne!(bench.git(&["branch", "--list", "perfup/*"]), "");
    bench.perfup(&["clean", "--yes"]).expect(0);
    let left = bench.git(&["for-each-ref", "refs/heads/perfup", "refs/perfup"]);
    assert_eq!(left, "");
    assert_eq!(bench.user_state(), before);
    let list = bench.perfup(&["log", "list"]).expect(0).stdout;
    assert!(list.contains("Use a set"), "{list}");
}

fn run(bench: &Bench, args: &[&str]) -> Value {
    let args = [&["run", "--json"], args].concat();
    bench.perfup(&args).expect(0).json("perfup.run/1")
}

#[test]
fn a_command_runs_where_the_user_stands() {
    let bench = Bench::new(&[("deep/er/slow.py", SLOW)]);
    let ran: Ran = bench
        .command(super::bench::PERFUP)
        .current_dir(bench.root().join("deep/er"))
        .args(["run", "--json", "--attempts", "1", "--", "python3", "slow.py"])
        .output()
        .expect("perfup starts")
        .into();
    let run = ran.expect(0).json("perfup.run/1");
    assert_kept(&run);
    let tip = run["branch"].as_str().expect("a branch");
    assert_eq!(bench.git(&["diff", "--name-only", "main", tip]), "deep/er/slow.py\n");
    assert!(bench.root().join("specs/slow_speedup.md").exists());
}

/// The program writes a file, and says how long it took: neither may stand in the way.
#[test]
fn a_configured_benchmark_checks_its_files_and_ignores_times() {
    let told = SLOW.replace(
        "print(",
        "import time\nstart = time.perf_counter()\nopen('out.txt', 'w').write(str(distinct(12000)))\nprint('took %.3f s' % (time.perf_counter() - start))\nprint(",
    );
    let config = "[benchmark.crunch]\ncommand = \"python3 slow.py\"\n[verify]\nfiles = [\"out.txt\"]\n[goal]\nattempts_max = 1\n";
    let bench = Bench::new(&[("slow.py", &told), ("perfup.toml", config), (".gitignore", "out.txt\n")]);
    let run = run(&bench, &["crunch"]);
    assert_kept(&run);
    assert_eq!(run["benchmark"], "crunch");
    assert!(bench.root().join("specs/crunch_speedup.md").exists());
    assert!(!bench.root().join("out.txt").exists());

    bench.write("perfup.toml", &config.replace("files", "fils"));
    bench.perfup(&["run"]).fails(2, &["perfup.toml:4:1", "`fils`", "did you mean `files`?"]);
    bench.write("perfup.toml", config);
    bench.perfup(&["run", "crunsh"]).fails(2, &["crunsh", "crunch"]);
}

/// Standard output stays the same; the declared file does not.
#[test]
fn a_change_of_a_declared_file_is_discarded() {
    let nosy = format!("{SLOW}open('out.txt', 'w').write(str(open(__file__).read().count('set()')))\n");
    let config = "[benchmark.crunch]\ncommand = \"python3 slow.py\"\n[verify]\nfiles = [\"out.txt\"]\n[goal]\nattempts_max = 1\n";
    let bench = Bench::new(&[("slow.py", &nosy), ("perfup.toml", config), (".gitignore", "out.txt\n")]);
    let run = run(&bench, &[]);
    assert_nothing_kept(&run);
    assert_eq!(run["attempts"][0]["recipe"], "python-list-membership");
}

#[test]
fn a_change_that_breaks_the_program_is_discarded() {
    let unhashable = SLOW.replace("value = state // 65536 % 1100", "value = [state // 65536 % 1100]");
    let bench = Bench::new(&[("slow.py", &unhashable)]);
    let args = ["run", "--json", "--fail-if-nothing-kept", "--", "python3", "slow.py"];
    let run = bench.perfup(&args).expect(1).json("perfup.run/1");
    assert_nothing_kept(&run);
    let attempt = &run["attempts"][0];
    assert_eq!(attempt["recipe"], "python-list-membership");
    assert!(["discard", "crash"].contains(&attempt["status"].as_str().expect("a status")), "{attempt:#}");
    let tip = format!("perfup/{}/tip", session(&run));
    assert_eq!(bench.git(&["branch", "--list", &tip]), "");
}

/// The output would be the same; only the project's tests know better.
#[test]
fn a_change_that_fails_the_tests_is_discarded() {
    let tests = "import pathlib, sys\nsys.exit('set()' in pathlib.Path('slow.py').read_text())\n";
    let bench = Bench::new(&[("slow.py", SLOW), ("tests/check.py", tests)]);
    let args = ["--attempts", "1", "--tests", "python3 tests/check.py", "--", "python3", "slow.py"];
    let run = run(&bench, &args);
    assert_nothing_kept(&run);
    assert_eq!(run["attempts"][0]["reason"], "tests-failed");
}

#[test]
fn what_needs_consent_is_withheld_and_mentioned() {
    let script = "#!/bin/sh\nmkdir -p out\nfor part in parts/*.txt; do\n    sh work.sh \"$part\" > \"out/${part##*/}\"\ndone\ncat out/*.txt\n";
    let files = [
        ("all.sh", script),
        ("work.sh", "sleep 0.02\nwc -c < \"$1\"\n"),
        ("parts/1.txt", "1\n"),
        ("parts/2.txt", "22\n"),
        (".gitignore", "out/\n"),
    ];
    let bench = Bench::new(&files);
    let ran = bench.perfup(&["run", "--json", "--", "sh", "all.sh"]).expect(0);
    assert!(ran.stderr.contains("--allow parallel"), "{}", ran.stderr);
    let run = ran.json("perfup.run/1");
    let withheld = run["withheld"].to_string();
    assert!(withheld.contains("parallel"), "{withheld}");
    assert!(!run["attempts"].to_string().contains("shell-sequential-loop"));
}
