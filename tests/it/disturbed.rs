//! Machines on which something else gets in the way: pairs that are run again, and when that stops.

use super::bench::Bench;

/// A program that counts its runs; where `when` holds, its main thread shares one CPU with a helper, and so waits for a
/// CPU half of its time.
pub fn crowded(when: &str) -> Bench {
    let bench = Bench::new(&[]);
    let state = bench.cache().join("count");
    let program = format!(
        r#"import os

state = {state:?}
count = int(open(state).read() if os.path.exists(state) else 0) + 1
open(state, 'w').write(str(count))
os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})


def burn():
    total = 0
    for number in range(400000):
        total += number * number
    return total


helper = os.fork() if {when} else -1
total = burn()
if helper == 0:
    os._exit(0)
if helper > 0:
    os.waitpid(helper, 0)
print(total)
"#
    );
    bench.write("slow.py", &program);
    bench.commit();
    bench
}

/// Checks what became of each pair of the control against its disturbance alone; pairs that were run again, and which
/// pairs were disturbed.
pub fn assert_redone_by_rule(bench: &Bench) -> (u32, Vec<bool>) {
    let database = bench.database().expect("a worklog");
    let sql = "SELECT ifnull(wait_share > 0.1, 0) OR ifnull(steal_share > 0.02, 0), redone FROM measurements
               WHERE phase = 'control' AND arm = 'a' ORDER BY pair";
    let mut statement = database.prepare(sql).expect("valid SQL");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let pairs: Vec<(bool, bool)> = rows.map(|row| row.expect("a row")).collect();
    let (mut kept, mut redone) = (0, 0);
    for (index, &(disturbed, again)) in pairs.iter().enumerate() {
        assert_eq!(again, disturbed && redone < 3 + kept / 4, "pair {index} of {pairs:?}");
        *(if again { &mut redone } else { &mut kept }) += 1;
    }
    assert_eq!(kept, 8, "{pairs:?}");
    (redone, pairs.into_iter().map(|(disturbed, _)| disturbed).collect())
}

const RUN: &[&str] = &["run", "--json", "--no-tests", "--", "python3", "slow.py"];

/// The first run is the warm-up, the next two are the first pair.
#[test]
fn a_pair_in_which_one_run_was_disturbed_is_run_again() {
    let bench = crowded("count == 4");
    let run = bench.perfup(RUN).expect(0).json("perfup.run/1");
    let (redone, disturbed) = assert_redone_by_rule(&bench);
    assert!(redone >= 1 && disturbed[1], "{disturbed:?}");
    assert_eq!(run["baseline"]["runs"], 16);
    assert!(run["notes"].to_string().contains("run again"), "{}", run["notes"]);
}

#[test]
fn a_machine_that_is_always_busy_ends_with_a_warning() {
    let bench = crowded("True");
    let ran = bench.perfup(RUN).expect(0);
    let (redone, disturbed) = assert_redone_by_rule(&bench);
    assert!((3..=4).contains(&redone), "{redone} of {disturbed:?}");
    assert_eq!(ran.stderr.matches("the machine is busy").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("--metric cpu"), "{}", ran.stderr);
    let notes = ran.json("perfup.run/1")["notes"].to_string();
    assert!(notes.contains("count although they were disturbed"), "{notes}");
    let session = ran.json("perfup.run/1")["session"].as_str().expect("a name").to_owned();
    assert!(bench.read(format!("reports/{session}.md")).contains("although they were disturbed"));
}
