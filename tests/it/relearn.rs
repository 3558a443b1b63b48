//! Originals that vary more than their first runs showed, and candidates that make them do so.

use super::bench::{Bench, Ran, SLOW};

/// The slow program with lines at its end that keep a file outside every worktree, `state`.
pub fn stateful(lines: &str) -> Bench {
    let bench = Bench::new(&[]);
    let state = bench.cache().join("state");
    bench.write("slow.py", &format!("{SLOW}\nimport os\n\nstate = {state:?}\n{lines}"));
    bench.commit();
    bench
}

/// Prints `score 7`, but the original prints what `late` says, in its `count`th run, once there is a candidate: by then,
/// its output has been learned. The worktree of the first run is the original's.
pub fn counting(late: &str) -> String {
    format!(
        "here = os.path.dirname(os.path.abspath(__file__))\n\
         if not os.path.exists(state):\n    open(state, 'w').write(here + ' 0')\n\
         original, count = open(state).read().split()\n\
         others = set(os.listdir(os.path.dirname(here))) - {{'tmp', os.path.basename(here)}}\n\
         if here == original and others:\n    \
             count = int(count) + 1\n    open(state, 'w').write(original + ' ' + str(count))\n    \
             print('score', {late})\n\
         else:\n    print('score', 7)\n"
    )
}

fn run(bench: &Bench) -> Ran {
    bench.perfup(&["run", "--json", "--attempts", "1", "--no-tests", "--", "python3", "slow.py"])
}

#[test]
fn an_original_that_varies_now_and_then_is_learned_again() {
    let bench = stateful(&counting("8 if count % 3 == 0 else 7"));
    let ran = run(&bench).expect(0);
    let run = ran.json("perfup.run/1");
    assert_eq!(run["attempts"][0]["status"], "keep", "{run:#}");
    assert!(ran.stderr.contains("varies more than its first runs"), "{}", ran.stderr);
    let notes = run["notes"].to_string();
    assert!(notes.contains("was learned again") && notes.contains("\\\"score 8\\\""), "{notes}");
    let report = bench.read(format!("reports/{}.md", run["session"].as_str().expect("a name")));
    assert!(report.contains("was learned again"), "{report}");
    let states = "SELECT count(*) FROM session_states WHERE state = 'relearned'";
    let count: i64 =
        bench.database().expect("a worklog").query_row(states, [], |row| row.get(0)).expect("rows");
    assert_eq!(count, 1);
}

#[test]
fn an_original_that_changed_for_good_ends_the_session() {
    run(&stateful(&counting("8"))).fails(4, &["score 8", "did what it did before", "pin seeds"]);
    run(&stateful(&counting("count + 100"))).fails(4, &["score", "did what it did before"]);
    let failing = "__import__('sys').exit(3) if count % 3 else 7";
    run(&stateful(&counting(failing))).fails(4, &["exit code 3", "may never vary"]);
    let exact = stateful(&counting("8 if count % 3 == 0 else 7"));
    exact
        .write("perfup.toml", "[benchmark.b]\ncommand = \"python3 slow.py\"\n[verify]\noutput = \"exact\"\n");
    exact.perfup(&["run", "--no-tests"]).fails(4, &["score 8", "may never vary"]);
}

/// The candidate, and only that, leaves something behind that makes the next run of the original print what it wants.
#[test]
fn a_candidate_that_makes_the_original_vary_is_discarded() {
    let cheat = "if 'se' + 't()' in open(__file__).read():\n    open(state, 'w').write('8')\n    print('score', 7)\n\
                 elif os.path.exists(state):\n    print('score', open(state).read())\n    os.remove(state)\n\
                 else:\n    print('score', 7)\n";
    let bench = stateful(cheat);
    let run = run(&bench).expect(0).json("perfup.run/1");
    let attempt = &run["attempts"][0];
    assert_eq!(attempt["reason"], "disturbs-original", "{attempt:#}");
    assert!(attempt["explanation"].as_str().is_some_and(|why| why.contains("not by itself")), "{attempt:#}");
    assert!(run["notes"].to_string().contains("beside a candidate"), "{}", run["notes"]);
    assert_eq!(run["claim"], serde_json::Value::Null);
}
