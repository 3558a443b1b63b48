use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;

use super::*;

static TICK: AtomicI64 = AtomicI64::new(0);

/// A clock that moves by a second at each look.
fn ticking() -> i64 {
    TICK.fetch_add(1000, Ordering::SeqCst)
}

fn new_session(name: &str) -> NewSession {
    NewSession {
        name: name.to_owned(),
        benchmark: "b".to_owned(),
        command: "true".to_owned(),
        base_commit: "0".repeat(40),
        seed: u64::MAX,
        fingerprint: "f".to_owned(),
        config: json!({ "a": 1 }),
        machine: json!({}),
    }
}

fn new_attempt(session: SessionId, number: u32) -> NewAttempt {
    NewAttempt {
        session,
        number,
        key: format!("recipes/x:{number}"),
        recipe: "x".to_owned(),
        level: "L1".to_owned(),
        hypothesis: "h".to_owned(),
        proposal: json!({ "title": "h" }),
        base_commit: "0".repeat(40),
        alpha: 0.0025,
    }
}

fn result() -> AttemptResult {
    AttemptResult {
        verdict: AttemptVerdict::Keep,
        status: "keep".to_owned(),
        reason: "kept".to_owned(),
        explanation: "e".to_owned(),
        change_description: "c".to_owned(),
        baseline_metric: Some(2.0),
        result_metric: Some(1.0),
        delta_pct: Some(-50.0),
        e_value_ln: Some(7.0),
        threshold_ln: Some(6.0),
        evidence: json!({ "word": "faster" }),
        branch: Some("perfup/s/001-h".to_owned()),
        commit_id: Some("1".repeat(40)),
        diff_sha256: None,
    }
}

fn measurement(wall_ns: u64) -> Measurement {
    Measurement {
        wall_ns,
        user_ns: 1,
        sys_ns: 2,
        rss_bytes_max: 3,
        stdout_sha256: "d".to_owned(),
        sample: json!({ "wall_ns": wall_ns }),
    }
}

fn pair(index: u32) -> PairRow {
    PairRow {
        index,
        a_first: index.is_multiple_of(2),
        steal_share: None,
        wait_share: Some(0.5 * f64::from(index)),
        redone: index == 1,
        a: measurement(10),
        b: measurement(20),
    }
}

/// A worklog with one session, one closed and one pending attempt, and a few pairs.
fn filled() -> (tempfile::TempDir, Worklog, SessionId) {
    let folder = tempfile::tempdir().unwrap();
    let mut worklog = Worklog::open_with_clock(&folder.path().join("w.db"), ticking).unwrap();
    let session = worklog.begin_session(&new_session("s")).unwrap();
    worklog.begin_epoch(session, 1).unwrap();
    let closed = worklog.plan_attempt(&new_attempt(session, 1)).unwrap();
    worklog.advance(closed, "built", &json!({ "state": "built" })).unwrap();
    worklog.append_pair(session, Some(closed), "confirm", &pair(0)).unwrap();
    worklog.append_pair(session, Some(closed), "confirm", &pair(1)).unwrap();
    worklog.close_attempt(closed, &result()).unwrap();
    worklog.plan_attempt(&new_attempt(session, 2)).unwrap();
    worklog.record_session(session, "baseline", &json!({ "n": 1 })).unwrap();
    worklog.record_session(session, "baseline", &json!({ "n": 2 })).unwrap();
    (folder, worklog, session)
}

#[test]
fn what_was_written_is_read_back_after_reopening() {
    let (folder, worklog, session) = filled();
    drop(worklog);
    let path = folder.path().join("w.db");
    let worklog = Worklog::open_existing(&path).unwrap().unwrap();
    worklog.check_integrity(&path).unwrap();
    let read = worklog.session_by_name("s").unwrap().unwrap();
    assert_eq!((read.seed, read.outcome), (u64::MAX, None));
    let attempts = worklog.attempts(Some(session)).unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0].verdict, AttemptVerdict::Keep);
    assert_eq!(attempts[0].delta_pct, Some(-50.0));
    assert_eq!(attempts[1].verdict, AttemptVerdict::Pending);
    let states: Vec<String> =
        worklog.attempt_states(attempts[0].id).unwrap().into_iter().map(|row| row.state).collect();
    assert_eq!(states, ["planned", "built", "closed"]);
    assert_eq!(worklog.pairs(session, Some(attempts[0].id), "confirm").unwrap(), [pair(0), pair(1)]);
    assert_eq!(worklog.pairs(session, None, "confirm").unwrap(), []);
    let redone: Vec<bool> = worklog.hindrances(session).unwrap().iter().map(|pair| pair.redone).collect();
    assert_eq!(redone, [false, true]);
    assert_eq!(worklog.session_detail(session, "baseline").unwrap(), Some(json!({ "n": 2 })));
    assert_eq!(worklog.session_detail(session, "never").unwrap(), None);
    assert!(Worklog::open_existing(&folder.path().join("none")).unwrap().is_none());
}

#[test]
fn the_database_refuses_to_forget_or_to_rewrite() {
    let (_folder, worklog, _) = filled();
    let forbidden = [
        "UPDATE attempts SET explanation = 'better' WHERE number = 1",
        "UPDATE attempts SET hypothesis = 'other', verdict = 'keep', closed_at = 1 WHERE number = 2",
        "UPDATE attempts SET explanation = 'still open' WHERE number = 2",
        "DELETE FROM attempts",
        "INSERT OR REPLACE INTO attempts SELECT * FROM attempts WHERE number = 1",
        "REPLACE INTO attempts (id, session_id, number, key, recipe, level, hypothesis, proposal, base_commit, alpha, \
         created_at) SELECT 99, session_id, number, key, recipe, level, hypothesis, proposal, base_commit, alpha, 1 \
         FROM attempts WHERE number = 1",
        "UPDATE sessions SET seed = '1'",
        "DELETE FROM sessions",
        "REPLACE INTO sessions SELECT * FROM sessions",
        "UPDATE measurements SET wall_ns = 1",
        "DELETE FROM measurements",
        "REPLACE INTO measurements SELECT * FROM measurements",
        "REPLACE INTO measurements (session_id, attempt_id, phase, pair, arm, first, wall_ns, user_ns, sys_ns, \
         rss_bytes_max, stdout_sha256, sample, created_at) SELECT session_id, attempt_id, phase, pair, arm, first, 1, \
         1, 1, 1, stdout_sha256, sample, 1 FROM measurements",
        "UPDATE attempt_states SET state = 'x'",
        "DELETE FROM attempt_states",
        "DELETE FROM session_states",
        "UPDATE epochs SET pid = 7",
    ];
    for sql in forbidden {
        let error = worklog.connection.execute(sql, []).expect_err(sql);
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
}

#[test]
fn a_closed_row_cannot_be_closed_again() {
    let (_folder, mut worklog, session) = filled();
    let closed = worklog.attempts(Some(session)).unwrap()[0].id;
    assert!(worklog.close_attempt(closed, &result()).is_err());
    assert_eq!(worklog.attempt_states(closed).unwrap().len(), 3, "and leaves no trace of the try");
    worklog.close_session(session, "done").unwrap();
    assert!(worklog.close_session(session, "again").is_err());
}

#[test]
fn time_spent_leaves_out_the_gap_between_a_crash_and_its_resume() {
    static NOW: AtomicI64 = AtomicI64::new(0);
    let folder = tempfile::tempdir().unwrap();
    let mut worklog =
        Worklog::open_with_clock(&folder.path().join("w.db"), || NOW.load(Ordering::SeqCst)).unwrap();
    let session = worklog.begin_session(&new_session("s")).unwrap();
    worklog.begin_epoch(session, 1).unwrap();
    NOW.store(5_000, Ordering::SeqCst);
    worklog.record_session(session, "baseline", &json!({})).unwrap();
    // Killed; resumed an hour later.
    NOW.store(3_600_000, Ordering::SeqCst);
    worklog.begin_epoch(session, 2).unwrap();
    NOW.store(3_602_000, Ordering::SeqCst);
    assert_eq!(worklog.active_ms(session).unwrap(), 7_000);
}

#[test]
fn eight_writers_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut worklog = Worklog::open(&path).unwrap();
                let session = worklog.begin_session(&new_session(&format!("s{writer}"))).unwrap();
                for index in 0..25 {
                    worklog.append_pair(session, None, "control", &pair(index)).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let worklog = Worklog::open(&path).unwrap();
    worklog.check_integrity(&path).unwrap();
    let pairs: usize = worklog
        .sessions()
        .unwrap()
        .iter()
        .map(|session| worklog.pairs(session.id, None, "control").unwrap().len())
        .sum();
    assert_eq!(pairs, 200);
}

#[test]
fn older_files_are_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(MIGRATIONS[0]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO sessions (name, benchmark, command, base_commit, seed, fingerprint, config, machine, created_at)
           VALUES ('s', 'b', 'true', '', '1', 'f', '{}', '{}', 1);
         INSERT INTO measurements (session_id, phase, pair, arm, first, wall_ns, user_ns, sys_ns, rss_bytes_max, \
           stdout_sha256, sample, created_at) VALUES (1, 'control', 0, 'a', 1, 10, 1, 2, 3, 'd', '{\"wall_ns\":10}', 1),
           (1, 'control', 0, 'b', 0, 20, 1, 2, 3, 'd', '{\"wall_ns\":20}', 1);",
    )
    .unwrap();
    drop(old);
    let mut worklog = Worklog::open(&path).unwrap();
    let session = worklog.sessions().unwrap()[0].id;
    let undisturbed = PairRow { wait_share: None, ..pair(0) };
    assert_eq!(worklog.pairs(session, None, "control").unwrap(), [undisturbed]);
    assert!(worklog.connection.execute("UPDATE measurements SET redone = 1", []).is_err());
    worklog.append_pair(session, None, "control", &pair(1)).unwrap();
    assert!(worklog.pairs(session, None, "control").unwrap()[1].redone);
}

#[test]
fn strange_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    std::fs::write(&path, "this is not a database, but long enough to be looked at by SQLite".repeat(20))
        .unwrap();
    assert!(matches!(Worklog::open(&path), Err(WorklogError::Open { .. })));
    let newer = folder.path().join("newer.db");
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Worklog::open(&newer), Err(WorklogError::Newer { found: 99, .. })));
}
