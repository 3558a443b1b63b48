//! Killed anywhere, a session goes on from there.
//!
//! A trigger in the worklog's own database holds perfup inside the transaction that would record a state: whatever
//! leads to that state is done then, and the row is not there. That is the worst moment to be killed at.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::bench::{Bench, PERFUP, SLOW};
use super::disturbed::{assert_redone_by_rule, crowded};
use super::relearn::{counting, stateful};

use rusqlite::{Connection, ErrorCode};
use serde_json::Value;

/// In every measured process's arguments, and in no other's.
struct Marker(String);

/// Longer than anything here takes, on a machine busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A row that perfup writes: operation and table, what tells it from others, and a name for people.
struct Write {
    name: &'static str,
    on: &'static str,
    when: &'static str,
}

const fn write(name: &'static str, on: &'static str, when: &'static str) -> Write {
    Write { name, on, when }
}

/// In the order in which a session comes to them.
const WRITES: &[Write] = &[
    write("control pair 3", "INSERT ON measurements", "NEW.phase = 'control' AND NEW.pair = 3"),
    write("baseline", "INSERT ON session_states", "NEW.state = 'baseline'"),
    write("diagnosed", "INSERT ON session_states", "NEW.state LIKE 'diagnosed%'"),
    write("planned", "INSERT ON attempts", "NEW.number = 1"),
    write("delegated", "INSERT ON attempt_states", "NEW.state = 'delegated'"),
    write("committed", "INSERT ON attempt_states", "NEW.state = 'committed'"),
    write("checked", "INSERT ON attempt_states", "NEW.state = 'checked'"),
    write("built", "INSERT ON attempt_states", "NEW.state = 'built'"),
    write("correct", "INSERT ON attempt_states", "NEW.state = 'correct'"),
    write("screen pair 1", "INSERT ON measurements", "NEW.phase = 'screen' AND NEW.pair = 1"),
    write("screened", "INSERT ON attempt_states", "NEW.state = 'screened'"),
    write("confirm pair 2", "INSERT ON measurements", "NEW.phase = 'confirm' AND NEW.pair = 2"),
    write("closed", "UPDATE ON attempts", "NEW.number = 1"),
    write("second attempt", "INSERT ON attempts", "NEW.number = 2"),
    write("second closed", "UPDATE ON attempts", "NEW.number = 2"),
    write("claim pair 2", "INSERT ON measurements", "NEW.phase = 'claim' AND NEW.pair = 2"),
    write("claimed", "INSERT ON session_states", "NEW.state = 'claimed'"),
    write("finished", "UPDATE ON sessions", "1"),
];

struct Session {
    bench: Bench,
    marker: Marker,
    user: Vec<String>,
}

impl Session {
    fn new(name: &str) -> Session {
        Session::of(Bench::slow(), name)
    }

    fn of(bench: Bench, name: &str) -> Session {
        let user = bench.user_state();
        let marker = Marker(format!("{name}-{}", std::process::id()));
        Session { bench, marker, user }
    }

    /// Starts `perfup run`, or `perfup resume` when there is something to resume.
    fn start(&self) -> Child {
        let mut command = self.bench.command(PERFUP);
        if self.bench.database().is_none() {
            command.args(["run", "--json", "--", "python3", "slow.py", &self.marker.0]);
        } else {
            command.args(["resume", "--json"]);
        }
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("perfup starts")
    }

    /// Waits for `reached`; perfup must not end before.
    fn until(&self, perfup: &mut Child, what: &str, mut reached: impl FnMut(&Connection) -> bool) {
        let start = Instant::now();
        let mut database = None;
        loop {
            if database.is_none() {
                database = self.bench.database();
            }
            if database.as_ref().is_some_and(&mut reached) {
                return;
            }
            if let Some(status) = perfup.try_wait().expect("a child") {
                let mut said = String::new();
                let stderr = perfup.stderr.as_mut().expect("piped");
                std::io::Read::read_to_string(stderr, &mut said).expect("UTF-8");
                panic!("{what}: perfup ended before, {status}: {said}");
            }
            assert!(start.elapsed() < PATIENCE, "{what} is not reached");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// SIGKILL to perfup alone; its runner must see to the measured processes.
    fn kill(&self, mut perfup: Child) {
        perfup.kill().expect("a child");
        perfup.wait().expect("a child");
        let start = Instant::now();
        loop {
            let survivors = self.survivors();
            if survivors.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "these survive: {survivors:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Processes of the benchmark that are still there, with their arguments.
    fn survivors(&self) -> Vec<String> {
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        let arguments = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        arguments
            .map(|arguments| String::from_utf8_lossy(&arguments).replace('\0', " "))
            .filter(|arguments| arguments.contains(&self.marker.0))
            .collect()
    }

    fn assert_interrupted(&self) {
        let status = self.bench.perfup(&["status", "--json"]).expect(0);
        let items = status.json("perfup.status/1")["items"].clone();
        assert_eq!(items.as_array().map(Vec::len), Some(1), "{items}");
        assert_eq!(items[0]["state"], "interrupted", "{items}");
        assert_eq!(self.bench.user_state(), self.user);
    }

    /// Resumes to the end, which must be that of a session that nobody disturbed.
    fn finish(&self) -> Value {
        let ran = self.bench.perfup(&["resume", "--json"]).expect(0);
        let run = ran.json("perfup.run/1");
        let attempts = run["attempts"].as_array().expect("attempts");
        let statuses: Vec<String> = attempts
            .iter()
            .map(|attempt| format!("{} {}", attempt["recipe"], attempt["status"]).replace('"', ""))
            .collect();
        assert_eq!(
            statuses,
            ["python-list-membership keep", "python-regex-in-loop discard"],
            "{attempts:#?}"
        );
        assert_eq!(run["claim"]["decision"]["word"], "faster");
        assert_eq!(self.bench.user_state(), self.user);
        self.bench.assert_no_worktrees();
        let tip = run["branch"].as_str().expect("a branch");
        assert_eq!(self.bench.git(&["rev-list", "--count", &format!("main..{tip}")]), "1\n");
        self.bench.perfup(&["resume"]).fails(2, &["resume"]);
        let results = self.bench.read("reports/perfup-results.tsv");
        assert_eq!(results.lines().count(), 4, "{results}");
        run
    }

    /// Every measurement, by what it is of: pairs are recorded once and never change.
    fn measurements(&self) -> BTreeMap<String, String> {
        let database = self.bench.database().expect("a worklog");
        let sql = "SELECT session_id || ' ' || ifnull(attempt_id, 0) || ' ' || phase || ' ' || pair || ' ' || arm, \
                   id || ' ' || first || ' ' || wall_ns || ' ' || created_at || ' ' || sample FROM measurements";
        let mut statement = database.prepare(sql).expect("valid SQL");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let rows: Vec<(String, String)> = rows.expect("rows").map(|row| row.expect("a row")).collect();
        let count = rows.len();
        let rows: BTreeMap<String, String> = rows.into_iter().collect();
        assert_eq!(rows.len(), count, "a pair is recorded twice");
        rows
    }

    fn assert_kept(&self, before: &BTreeMap<String, String>) {
        let after = self.measurements();
        for (of, row) in before {
            assert_eq!(after.get(of), Some(row), "{of}");
        }
    }
}

/// Whether somebody is in the middle of a transaction, and stays there.
fn is_held(database: &Connection) -> bool {
    database.busy_timeout(Duration::ZERO).expect("a setting");
    (0..20).all(|_| {
        std::thread::sleep(Duration::from_millis(5));
        match database.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
            Err(error) => error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy),
            Ok(()) => false,
        }
    })
}

/// Makes the write take for ever.
fn hold(database: &Connection, write: &Write) {
    database.busy_timeout(PATIENCE).expect("a setting");
    let sql = format!(
        "CREATE VIEW IF NOT EXISTS ages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e15)
           SELECT count(*) AS n FROM n;
         CREATE TRIGGER held AFTER {} WHEN {} BEGIN SELECT n FROM ages; END",
        write.on, write.when
    );
    database.execute_batch(&sql).expect("valid SQL");
}

fn release(database: &Connection) {
    database.busy_timeout(PATIENCE).expect("a setting");
    database.execute_batch("DROP TRIGGER held; DROP VIEW ages").expect("the trigger is there");
}

/// Whether the row is there.
fn written(database: &Connection, write: &Write) -> bool {
    match write.on.split_once(" ON ") {
        Some(("UPDATE", table)) => {
            rows(database, table, &format!("NEW.closed_at IS NOT NULL AND {}", write.when))
        }
        Some((_, table)) => rows(database, table, write.when),
        None => panic!("{} names no table", write.name),
    }
}

/// Whether a table has rows like this.
fn rows(database: &Connection, table: &str, like: &str) -> bool {
    let sql = format!("SELECT count(*) FROM {table} AS NEW WHERE {like}");
    // Before the first migration there is no such table.
    let count: rusqlite::Result<i64> = database.query_row(&sql, [], |row| row.get(0));
    count.is_ok_and(|count| count > 0)
}

/// One session, killed before each of its kinds of rows is recorded: what leads to the row has been done by then.
#[test]
fn a_session_survives_being_killed_before_each_row() {
    let session = Session::new("before");
    let mut perfup = session.start();
    session.until(&mut perfup, "a worklog", |database| {
        rows(database, "session_states", "NEW.state = 'started'")
    });
    session.kill(perfup);
    let mut kills = 1;
    for write in WRITES {
        let database = session.bench.database().expect("a worklog");
        assert!(!written(&database, write), "{} is there already", write.name);
        hold(&database, write);
        let before = session.measurements();
        let mut perfup = session.start();
        session.until(&mut perfup, write.name, is_held);
        session.kill(perfup);
        kills += 1;
        assert!(!written(&database, write), "{} was recorded", write.name);
        release(&database);
        session.assert_kept(&before);
        session.assert_interrupted();
    }
    let before = session.measurements();
    session.finish();
    session.assert_kept(&before);
    println!("{kills} kills, each before a row was recorded");
}

/// One session, killed as soon as each of its kinds of rows is there: whatever comes next has begun.
#[test]
fn a_session_survives_being_killed_after_each_row() {
    let session = Session::new("after");
    let mut kills = 0;
    for write in &WRITES[..WRITES.len() - 1] {
        let before = session.bench.database().map(|_| session.measurements());
        if session.bench.database().is_some_and(|database| written(&database, write)) {
            // The last kill came late enough.
            continue;
        }
        let mut perfup = session.start();
        session.until(&mut perfup, write.name, |database| written(database, write));
        session.kill(perfup);
        kills += 1;
        session.assert_kept(&before.unwrap_or_default());
        session.assert_interrupted();
    }
    let before = session.measurements();
    session.finish();
    session.assert_kept(&before);
    println!("{kills} kills, each after a row was recorded");
}

/// What the program starts dies with it, also in a session of its own.
#[test]
fn killing_perfup_kills_the_measured_tree() {
    let program = "import subprocess, sys, time\nsleep = 'import time; time.sleep(600)'\n\
                   subprocess.Popen([sys.executable, '-c', sleep, sys.argv[1]], start_new_session=True)\n\
                   time.sleep(600)\n";
    let session = Session::of(Bench::new(&[("slow.py", program)]), "tree");
    let perfup = session.start();
    let start = Instant::now();
    while !session.survivors().iter().any(|process| process.contains(" -c ")) {
        assert!(start.elapsed() < PATIENCE, "the program does not start");
        std::thread::sleep(Duration::from_millis(1));
    }
    session.kill(perfup);
    session.assert_interrupted();
}

fn control_pair(database: &Connection) -> bool {
    written(database, &WRITES[0])
}

#[test]
fn signals_save_the_state() {
    let session = Session::new("signals");
    for (signal, pair) in [("INT", 1), ("TERM", 4)] {
        let reached = format!("NEW.phase = 'control' AND NEW.pair = {pair}");
        let mut perfup = session.start();
        session.until(&mut perfup, &reached, |database| rows(database, "measurements", &reached));
        send(signal, &perfup);
        let output = perfup.wait_with_output().expect("a child");
        assert_eq!(output.status.code(), Some(130), "{signal}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("perfup resume"), "{said}");
        assert_eq!(session.survivors(), [""; 0]);
        session.assert_interrupted();
    }
    let before = session.measurements();
    session.finish();
    session.assert_kept(&before);
}

/// While a session rests the user commits, and the caches are emptied: it goes on from the commit it started from.
#[test]
fn a_session_goes_on_although_the_user_went_on() {
    let mut session = Session::new("moved");
    let mut perfup = session.start();
    session.until(&mut perfup, "screened", |database| {
        rows(database, "attempt_states", "NEW.state = 'screened'")
    });
    session.kill(perfup);
    session.bench.write("slow.py", "raise SystemExit('not this one')\n");
    session.bench.git(&["commit", "-qam", "went on"]);
    session.user = session.bench.user_state();
    std::fs::remove_dir_all(session.bench.cache()).expect("a cache");
    let run = session.bench.perfup(&["resume", "--json"]).expect(0);
    let run = run.json("perfup.run/1");
    assert_eq!(run["attempts"][0]["status"], "keep", "{run:#}");
    assert_eq!(run["base_commit"], session.bench.git(&["rev-parse", "main~1"]).trim());
    assert_eq!(session.bench.user_state(), session.user);
    session.bench.assert_no_worktrees();
}

#[expect(clippy::disallowed_methods, reason = "kill is the plainest way to send a signal")]
fn send(signal: &str, process: &Child) {
    let mut command = std::process::Command::new("kill");
    let status = command.args(["-s", signal, &process.id().to_string()]).status();
    assert!(status.expect("kill is installed").success());
}

#[test]
fn a_second_session_is_told_who_is_at_work() {
    let session = Session::new("second");
    let mut perfup = session.start();
    session.until(&mut perfup, "a pair", control_pair);
    let pid = perfup.id().to_string();
    for args in [&["run", "--", "python3", "slow.py"][..], &["resume"]] {
        session.bench.perfup(args).fails(2, &[&pid, "perfup status"]);
    }
    let status = session.bench.perfup(&["status"]).expect(0).stdout;
    assert!(status.contains(&pid), "{status}");
    session.kill(perfup);
    session.assert_interrupted();
}

/// One attempt is all that was asked for, however often the session is resumed.
#[test]
fn the_budget_of_attempts_survives() {
    let config = "[benchmark.slow]\ncommand = \"python3 slow.py\"\n[goal]\nattempts_max = 1\n";
    let bench = Bench::new(&[("slow.py", SLOW), ("perfup.toml", config)]);
    let session = Session::of(bench, "budget");
    let mut command = session.bench.command(PERFUP);
    let command = command.arg("run").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut perfup = command.spawn().expect("perfup starts");
    session.until(&mut perfup, "closed", |database| rows(database, "attempts", "NEW.closed_at IS NOT NULL"));
    session.kill(perfup);
    // What the session may do was settled when it started.
    session.bench.write("perfup.toml", &config.replace('1', "9"));
    let run = session.bench.perfup(&["resume", "--json"]).expect(0).json("perfup.run/1");
    assert_eq!(run["attempts"].as_array().map(Vec::len), Some(1));
}

/// What is run again follows from the disturbances alone, in whatever pieces the session was done.
#[test]
fn disturbed_pairs_are_run_again_across_kills() {
    let session = Session::of(crowded("True"), "crowded");
    for pair in [1, 2, 5] {
        let when = format!("NEW.phase = 'control' AND NEW.pair = {pair} AND NEW.arm = 'b'");
        let row = Write { name: "pair", on: "INSERT ON measurements", when: when.leak() };
        if let Some(database) = session.bench.database() {
            hold(&database, &row);
            let mut perfup = session.start();
            session.until(&mut perfup, "the pair", is_held);
            session.kill(perfup);
            release(&database);
        }
        let mut perfup = session.start();
        session.until(&mut perfup, "the pair", |database| written(database, &row));
        session.kill(perfup);
    }
    let before = session.measurements();
    let run = session.bench.perfup(&["resume", "--json"]).expect(0).json("perfup.run/1");
    session.assert_kept(&before);
    let (redone, _) = assert_redone_by_rule(&session.bench);
    assert!(redone >= 3, "nothing was disturbed");
    assert_eq!(run["baseline"]["runs"], 16);
    assert!(run["notes"].to_string().contains("run again"), "{}", run["notes"]);
}

/// The original's output is learned again, in three pieces, and what was decided by it stays decided.
#[test]
fn learning_again_survives_being_killed() {
    let session = Session::of(stateful(&counting("8 if count % 3 == 0 else 7")), "relearn");
    let rows = [
        write("a run of the original", "INSERT ON measurements", "NEW.phase = 'relearn' AND NEW.pair = 2"),
        write("relearned", "INSERT ON session_states", "NEW.state = 'relearned'"),
    ];
    let mut perfup = session.start();
    session.until(&mut perfup, "baseline", |database| {
        self::rows(database, "session_states", "NEW.state = 'baseline'")
    });
    session.kill(perfup);
    for row in &rows {
        let database = session.bench.database().expect("a worklog");
        hold(&database, row);
        let mut perfup = session.start();
        session.until(&mut perfup, row.name, is_held);
        session.kill(perfup);
        release(&database);
    }
    let before = session.measurements();
    let run = session.bench.perfup(&["resume", "--json"]).expect(0).json("perfup.run/1");
    session.assert_kept(&before);
    assert_eq!(run["attempts"][0]["status"], "keep", "{run:#}");
    assert!(run["notes"].to_string().contains("from 8 more runs"), "{}", run["notes"]);
}
