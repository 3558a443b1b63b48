//! Classes of programs whose threads do not run side by side.

use super::{Rule, evidence, percent};
use crate::diagnose::Class;
use crate::diagnose::facts::Facts;
use crate::profile::BlockClass;

/// Threads on average that wait for a lock or a condition, from which they may be more than idle.
const PARKED_MIN: f64 = 0.5;

pub(super) const SINGLE_THREADED: Rule = Rule {
    class: Class::SingleThreadedOnMulticore,
    explain: "The program divides its work over threads or processes, but most of the time only one of them computes.",
    evidence: |facts| {
        let wall = &facts.profile.tree.wall;
        let alone = wall.alone_s / (wall.alone_s + wall.together_s).max(f64::MIN_POSITIVE);
        let text = format!(
            "one thread computed alone for {} of the computing time, though others had their part",
            percent(alone)
        );
        vec![evidence("tree", text), used(facts), facts.accounting()]
    },
    doubts: |facts| {
        let parked = facts.profile.tree.threads.blocked_s.get(&BlockClass::Lock).copied().unwrap_or(0.0);
        vec![(parked / facts.wall_s() >= PARKED_MIN).then(|| {
            "threads waited for one another: for work, or for a lock whose holder could not be read"
                .to_owned()
        })]
    },
};

pub(super) const GIL: Rule = Rule {
    class: Class::GilBound,
    explain: "Several Python threads compute in turns: only one may run Python code at a time.",
    evidence: |facts| {
        let waited = facts.sum(|program| program.gil_s) / facts.wall_s();
        let contended = facts.gil_contended();
        let wanted = || {
            let share = percent(contended);
            evidence(
                "python",
                format!("the interpreter lock was held and wanted by another thread in {share} of looks"),
            )
        };
        vec![
            evidence(
                "tree",
                format!("{waited:.2} threads on average waited with the 5 ms limit of the interpreter lock"),
            ),
            (contended > 0.0).then(wanted).flatten(),
            used(facts),
            facts.accounting(),
        ]
    },
    doubts: |facts| vec![(facts.cores_used() > 1.4).then(|| "more than one core was at work".to_owned())],
};

pub(super) const LOCKS: Rule = Rule {
    class: Class::LockContention,
    explain: "Threads wait in line for a lock that another thread holds.",
    evidence: |facts| {
        let held = facts.sum(|program| program.contended_s + program.held_s) / facts.wall_s();
        let turns = facts.sum(|program| program.alternating_s) / facts.wall_s();
        let switches_per_s = facts.usage.voluntary_switches / facts.usage.wall_s.max(f64::MIN_POSITIVE);
        vec![
            (held > 0.01)
                .then(|| {
                    evidence("tree", format!("{held:.2} threads on average waited for a lock that is held"))
                })
                .flatten(),
            (turns > 0.01)
                .then(|| evidence("tree", format!("{turns:.2} threads on average took turns on one lock")))
                .flatten(),
            asked(facts),
            (switches_per_s >= 20.0)
                .then(|| {
                    evidence("accounting", format!("{switches_per_s:.0} voluntary context switches a second"))
                })
                .flatten(),
            used(facts),
        ]
    },
    doubts: |facts| {
        let known_s =
            facts.sum(|program| program.contended_s + program.held_s).max(facts.asked_for_locks_s());
        let doubt = "who holds the lock could not be read; the pattern of the waits speaks for one";
        vec![(known_s < 0.5 * facts.contended_s()).then(|| doubt.to_owned())]
    },
};

fn asked(facts: &Facts<'_>) -> Option<super::Evidence> {
    let asked = facts.asked_for_locks_s() / facts.wall_s();
    (asked > 0.01).then_some(())?;
    evidence(
        "python",
        format!("{asked:.2} threads on average stood at a line of the program that takes a lock"),
    )
}

fn used(facts: &Facts<'_>) -> Option<super::Evidence> {
    let cores = facts.machine.cores;
    (cores > 1).then_some(())?;
    let text = format!(
        "{:.2} of {cores} cores at work on average, with up to {} threads alive",
        facts.cores_used(),
        facts.profile.tree.threads_max
    );
    evidence("schedstat", text)
}
