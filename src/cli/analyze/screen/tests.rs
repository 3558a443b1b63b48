use super::*;
use crate::diagnose::{Evidence, Floor, Level, Runtime, Times};
use crate::experiment::Ending;
use crate::findings::Grade;
use crate::plan::{Scores, Site, Soundness};
use crate::profile::{Absent, Availability, Profile, SourceReport};

fn diagnosis(class: Class, confidence: f64, shares: Vec<(Class, f64)>) -> Diagnosis {
    Diagnosis {
        class,
        apart_from_load: None,
        also: Vec::new(),
        level: class.level(),
        confidence,
        explanation: "CPU time is spent in the program's own code.".to_owned(),
        evidence: vec![
            Evidence { source: "samples".to_owned(), text: "98 % of a core over the wall time".to_owned() },
            Evidence { source: "tree".to_owned(), text: "computing in 98 % of 194 looks".to_owned() },
        ],
        shares,
        runtime: Runtime::Native,
        times: Times {
            wall_s: 1.234,
            user_s: 1.2,
            sys_s: 0.01,
            rss_bytes_max: 12 << 20,
            read_bytes: None,
            write_bytes: None,
            cores_used: 0.98,
            cores_available: 2,
            core_busy: Vec::new(),
            blocked: 0.0,
            samples: 3,
        },
        floor: Floor {
            seconds: 0.61,
            ratio: 2.02,
            binds: "CPU time on 2 cores".to_owned(),
            situation: Situation::Scheduling,
            assumptions: Vec::new(),
            candidates: Vec::new(),
        },
        payoff_max: None,
        doubts: Vec::new(),
        absent: Vec::new(),
    }
}

fn report(id: &str, state: Availability) -> SourceReport {
    SourceReport { id: id.to_owned(), gives: String::new(), state }
}

fn hypothesis(title: &str, lines: &[u32]) -> Hypothesis {
    Hypothesis {
        key: "recipes/x:a.py:f".to_owned(),
        executor: "recipes".to_owned(),
        recipe: "x".to_owned(),
        title: title.to_owned(),
        rationale: String::new(),
        sites: lines.iter().map(|&line| Site { path: "a.py".to_owned(), line: Some(line) }).collect(),
        level: Level::L2,
        soundness: Soundness::NeedsOracle,
        expected: (1.2, 10.0),
        scores: Scores { impact: 4, ease: 5, coverage: 3, safety: 4 },
    }
}

fn analysis(diagnosis: Diagnosis) -> Analysis {
    Analysis {
        name: "slow".to_owned(),
        command: "python3 slow.py data.csv".to_owned(),
        pid: None,
        diagnosis,
        profile: Profile::default(),
        samples: Vec::new(),
        ending: Ending::Finished,
        findings: Vec::new(),
        hypotheses: vec![hypothesis("Use a set for membership tests on seen", &[3])],
        withheld: vec!["Build for this machine's CPU (--allow native-cpu)".to_owned()],
        correctness: Vec::new(),
        spec: "/project/specs/slow_speedup.md".into(),
    }
}

fn finding(line: u32, confirmed: bool) -> Finding {
    Finding {
        rule: "python-list-membership-in-loop".to_owned(),
        path: "a.py".into(),
        line,
        end_line: line,
        function: None,
        text: String::new(),
        message: String::new(),
        confirmed,
        share: None,
        payoff: Some((1.0, 4.0)),
        why: String::new(),
        fix: "Keep a set of the same elements beside the list, and test that.".to_owned(),
        level: Level::L2,
        effort: Grade::Low,
        risk: Grade::Low,
        hint: false,
    }
}

#[test]
fn confirmed_places_come_first_and_each_place_once() {
    let mut found = analysis(diagnosis(Class::CpuNative, 0.9, vec![(Class::CpuNative, 1.0)]));
    found.findings = vec![finding(9, true), finding(3, true), finding(7, false), finding(8, false)];
    let words: Vec<(String, &str)> =
        ranked_fixes(&found).into_iter().map(|fix| (fix.place, fix.word)).collect();
    let places = ["a.py:9", "a.py:3", "a.py:7", "a.py:8"];
    let kinds = ["confirmed", "confirmed, recipe", "possible", "possible"];
    let expected: Vec<(String, &str)> =
        places.into_iter().zip(kinds).map(|(place, kind)| (place.to_owned(), kind)).collect();
    assert_eq!(words, expected);
    found.findings = vec![finding(3, false)];
    assert_eq!(ranked_fixes(&found).len(), 1);
    assert_eq!(ranked_fixes(&found)[0].word, "recipe");
}

/// The screen as it is without colours.
fn plain(analysis: &Analysis) -> String {
    anstream::adapter::strip_str(&screen(analysis)).to_string()
}

#[test]
fn a_program_that_computes() {
    let shares =
        vec![(Class::CpuNative, 0.953), (Class::PageFaults, 0.03), (Class::NotEnoughEvidence, 0.017)];
    insta::assert_snapshot!(plain(&analysis(diagnosis(Class::CpuNative, 0.92, shares))));
}

#[test]
fn a_program_that_waits_for_the_network() {
    let shares = vec![(Class::NetworkWait, 0.9), (Class::InterpreterOverhead, 0.1)];
    let mut waiting = analysis(diagnosis(Class::NetworkWait, 0.85, shares));
    waiting.hypotheses.clear();
    waiting.withheld.clear();
    let why = Absent {
        reason: "perf_event_open: Permission denied: kernel.perf_event_paranoid=4 and no CAP_PERFMON"
            .to_owned(),
        remedy: "sudo sysctl kernel.perf_event_paranoid=2".to_owned(),
    };
    waiting.profile.sources =
        vec![report("tree", Availability::Usable), report("stacks", Availability::Unavailable(why))];
    insta::assert_snapshot!(plain(&waiting));
}

#[test]
fn a_busy_machine_and_too_little_to_see_point_to_no_branch() {
    for class in [Class::MachineBusy, Class::NotEnoughEvidence] {
        let text = plain(&analysis(diagnosis(class, 0.2, vec![(class, 1.0)])));
        assert!(!text.contains('▸') && text.contains("no branch"), "{text}");
    }
}

#[test]
fn apart_from_the_load_there_may_still_be_a_branch() {
    let mut busy =
        diagnosis(Class::MachineBusy, 0.9, vec![(Class::MachineBusy, 0.6), (Class::CpuNative, 0.4)]);
    busy.apart_from_load = Some(Class::CpuNative);
    busy.doubts = vec!["it was looked at only 14 times".to_owned()];
    insta::assert_snapshot!(plain(&analysis(busy)));
}

/// Whatever is found, it stays one screen.
#[test]
fn forty_lines_of_a_hundred_columns_are_never_exceeded() {
    let long = "extraordinarily long words about what was seen ".repeat(9);
    let classes = [
        Class::CpuNative,
        Class::InterpreterOverhead,
        Class::CpuKernel,
        Class::PageFaults,
        Class::GilBound,
        Class::LockContention,
        Class::DiskRead,
        Class::NetworkWait,
    ];
    for class in classes {
        let mut diagnosis = diagnosis(class, 0.9, classes.map(|class| (class, 0.125)).to_vec());
        diagnosis.explanation.clone_from(&long);
        diagnosis.evidence = vec![Evidence { source: "samples".to_owned(), text: long.clone() }; 9];
        diagnosis.floor.binds.clone_from(&long);
        diagnosis.doubts = vec![long.clone(); 3];
        let mut much = analysis(diagnosis);
        much.command.clone_from(&long);
        much.hypotheses = vec![hypothesis(&long, &[1, 22, 333, 4444]); 9];
        much.withheld = vec![long.clone(); 3];
        let why = Absent { reason: long.clone(), remedy: long.clone() };
        much.profile.sources = vec![report("stacks", Availability::Degraded(why)); 5];
        let text = plain(&much);
        assert!(text.lines().count() <= 40, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    }
}

#[test]
fn bars_are_as_long_as_their_share() {
    assert_eq!(bar(1.0), "█".repeat(BAR));
    assert_eq!(bar(0.0), "");
    assert_eq!(bar(0.5), "█".repeat(BAR / 2));
    assert_eq!(bar(0.0125 / 2.0), "▎");
}
