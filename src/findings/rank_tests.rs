//! What confirms a match, and what does not.

use std::path::Path;

use super::*;
use crate::findings::Rules;

const PYTHON: &str = "import requests\n\ndef pages(urls):\n    for url in urls:\n        requests.get(url)\n\n\
                      def numbers(lines):\n    for line in lines:\n        re.search('a+', line)\n";

fn scanned(path: &str, text: &str) -> Vec<Found> {
    Rules::built_in().scan(Path::new(path), text).into_iter().filter(|one| !one.hint).collect()
}

fn line(path: &str, function: &str, line: u32, share: f64, waiting: bool) -> LineShare {
    let line = (line > 0).then_some(line);
    LineShare { path: path.into(), function: Some(function.to_owned()), line, share, waiting }
}

/// Of the findings in `PYTHON` the one about requests.
fn request(shares: &[(Class, f64)], lines: &[LineShare]) -> Finding {
    let measured = Measured { shares: shares.to_vec(), lines: lines.to_vec(), entry: vec!["app.py".into()] };
    let findings = rank(scanned("app.py", PYTHON), &measured);
    assert_eq!(findings.len(), 2);
    findings.into_iter().find(|one| one.rule == "python-request-in-loop").unwrap()
}

#[test]
fn a_match_is_confirmed_by_its_class_and_by_the_stacks() {
    let lines =
        [line("/home/me/app.py", "pages", 5, 0.92, true), line("/home/me/app.py", "pages", 4, 0.02, true)];
    let finding = request(&[(Class::NetworkWait, 0.9)], &lines);
    assert!(finding.confirmed, "{finding:?}");
    assert_eq!(finding.share, Some(0.92));
    assert_eq!(
        finding.why,
        "confirmed: 92 % of the samples are in line 5, and network-wait takes 90 % of the time"
    );
    // Amdahl on 90 %, the part becoming 5 to 50 times as fast: 1 / (1 − 0.9·0.8), 1 / (1 − 0.9·0.98).
    let (low, high) = finding.payoff.unwrap();
    assert!((low - 1.0 / 0.28).abs() < 1e-9 && (high - 1.0 / 0.118).abs() < 1e-9, "{low} {high}");
}

#[test]
fn time_elsewhere_does_not_confirm() {
    let here = line("app.py", "pages", 5, 0.9, true);
    let other_class = request(&[(Class::DiskSync, 0.9)], std::slice::from_ref(&here));
    let small_class = request(&[(Class::NetworkWait, 0.19)], std::slice::from_ref(&here));
    let other_line = request(&[(Class::NetworkWait, 0.9)], &[line("app.py", "main", 20, 0.9, true)]);
    let other_file = request(&[(Class::NetworkWait, 0.9)], &[line("lib.py", "pages", 5, 0.9, true)]);
    let computing = request(&[(Class::NetworkWait, 0.9)], &[line("app.py", "pages", 5, 0.9, false)]);
    let nothing = request(&[], &[]);
    for finding in [&other_class, &small_class, &other_line, &other_file, &computing, &nothing] {
        assert!(!finding.confirmed && finding.why.starts_with("possible: "), "{finding:?}");
    }
    assert_eq!(
        other_line.why,
        "possible: network-wait takes 90 % of the time, but only 0 % of the samples are in line 5"
    );
    assert_eq!(other_line.share, Some(0.0));
    assert_eq!((nothing.share, nothing.payoff), (None, None));
}

#[test]
fn without_stacks_the_only_place_of_a_script_is_confirmed() {
    let shell = "while read -r url; do\n    curl -s \"$url\"\ndone < urls\n";
    let two = format!("{shell}sleep 1\n{shell}");
    let measured = |entry: &str| Measured {
        shares: vec![(Class::NetworkWait, 0.8)],
        lines: vec![line("app.py", "main", 3, 0.9, true)],
        entry: vec![entry.into()],
    };
    let one = |text: &str, entry: &str| rank(scanned("run.sh", text), &measured(entry)).remove(0);
    let only = one(shell, "./run.sh");
    assert!(only.confirmed, "{only:?}");
    assert_eq!(
        only.why,
        "confirmed: network-wait takes 80 % of the time, and run.sh has no other such place"
    );
    assert!(!one(shell, "other.sh").confirmed);
    let rival = one(&two, "run.sh");
    assert!(!rival.confirmed && rival.why.ends_with("run.sh has 2 such places"), "{rival:?}");
}

#[test]
fn machine_code_is_known_by_its_functions() {
    let text = "fn find(all: &[u32], wanted: &[u32]) -> usize {\n    wanted.iter().filter(|one| all.contains(one)).count()\n}\n";
    let confirmed = |shares: &[(Class, f64)], lines: &[LineShare]| {
        let measured = Measured { shares: shares.to_vec(), lines: lines.to_vec(), entry: Vec::new() };
        rank(scanned("src/lib.rs", text), &measured).remove(0)
    };
    let computing = [(Class::CpuNative, 0.95)];
    let symbol = line("", "app::search::find::h0123456789abcdef", 0, 0.8, false);
    let finding = confirmed(&computing, std::slice::from_ref(&symbol));
    assert!(finding.confirmed && finding.why.contains("the function find"), "{finding:?}");
    assert!(!confirmed(&computing, &[line("", "app::search::other", 0, 0.8, false)]).confirmed);
    assert!(confirmed(&computing, &[line("/x/src/lib.rs", "find", 2, 0.8, false)]).confirmed);
    // The file has lines, and they are not these.
    assert!(!confirmed(&computing, &[symbol, line("src/lib.rs", "find", 9, 0.8, false)]).confirmed);
}

#[test]
fn stacks_of_computing_threads_say_nothing_about_waits() {
    let text = "fn f(urls: &[String]) {\n    for url in urls {\n        ureq::get(url);\n    }\n}\n";
    let measured = Measured {
        shares: vec![(Class::NetworkWait, 0.9)],
        lines: vec![line("", "app::f", 0, 1.0, false)],
        entry: Vec::new(),
    };
    let finding = rank(scanned("src/lib.rs", text), &measured).remove(0);
    assert!(!finding.confirmed && finding.why.contains("no stacks show"), "{finding:?}");
}

#[test]
fn nested_calls_are_not_counted_twice() {
    let text = "def f(rows):\n    return [row for _, row in table.iterrows()]\n";
    let lines = [line("a.py", "f", 2, 0.7, false), line("a.py", "f.<locals>.<listcomp>", 2, 0.6, false)];
    let measured =
        Measured { shares: vec![(Class::InterpreterOverhead, 0.9)], lines: lines.to_vec(), entry: vec![] };
    assert_eq!(rank(scanned("a.py", text), &measured)[0].share, Some(0.7));
}

#[test]
fn confirmed_findings_come_first_then_those_with_more_time() {
    let lines = [line("app.py", "pages", 5, 0.3, true), line("app.py", "numbers", 9, 0.6, false)];
    let shares = vec![(Class::NetworkWait, 0.4), (Class::InterpreterOverhead, 0.1)];
    let measured = Measured { shares, lines: lines.to_vec(), entry: Vec::new() };
    let order: Vec<String> = rank(Rules::built_in().scan(Path::new("app.py"), PYTHON), &measured)
        .into_iter()
        .map(|one| one.rule)
        .collect();
    assert_eq!(
        order,
        ["python-request-in-loop", "python-regex-compiled-in-loop", "python-no-progress", "python-no-retry"]
    );
}

#[test]
fn remarks_are_never_confirmed() {
    let lines = [line("app.py", "pages", 5, 0.9, true)];
    let measured =
        Measured { shares: vec![(Class::NetworkWait, 0.9)], lines: lines.to_vec(), entry: Vec::new() };
    let findings = rank(Rules::built_in().scan(Path::new("app.py"), PYTHON), &measured);
    let hints: Vec<&Finding> = findings.iter().filter(|one| one.hint).collect();
    assert!(hints.len() == 2 && hints.iter().all(|one| !one.confirmed && one.payoff.is_none()), "{hints:?}");
}

#[test]
fn amdahls_law_bounds_the_whole_by_the_part() {
    assert!((amdahl(0.5, 2.0) - 4.0 / 3.0).abs() < 1e-12);
    assert!((amdahl(1.0, 10.0) - 10.0).abs() < 1e-9);
    assert!((amdahl(0.0, 10.0) - 1.0).abs() < 1e-12);
}
