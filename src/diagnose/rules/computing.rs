//! Classes of a program that computes.

use super::{Rule, evidence, no_doubts, percent};
use crate::diagnose::facts::{Facts, is_interpreted};
use crate::diagnose::{Class, Evidence};

/// Cores at work below which several threads that all did their part hardly ran side by side.
const TURNS_CORES_MAX: f64 = 1.3;

pub(super) const NATIVE: Rule = Rule {
    class: Class::CpuNative,
    explain: "CPU time is spent in machine code: the algorithm, its data, and how well the compiler could optimise it.",
    evidence: |facts| {
        vec![
            facts.computes(),
            facts.accounting(),
            facts.program().and_then(|program| {
                let what =
                    if is_interpreted(program) { "native libraries that it calls" } else { "machine code" };
                evidence("programs", format!("{} spends its time in {what}", program.name()))
            }),
            hottest(facts),
        ]
    },
    doubts: |facts| {
        let takes_turns = facts.program().is_some_and(|program| program.workers() >= 2)
            && facts.cores_used() < TURNS_CORES_MAX
            && facts.profile.tree.lock_waits.values().sum::<f64>() >= 0.5 * facts.wall_s();
        vec![takes_turns.then(|| "several threads did the work, and about one at a time".to_owned())]
    },
};

pub(super) const INTERPRETER: Rule = Rule {
    class: Class::InterpreterOverhead,
    explain: "CPU time is spent stepping through the program's code in an interpreter, not in the work itself.",
    evidence: |facts| {
        let program = facts.program().filter(|program| is_interpreted(program));
        vec![
            facts.computes(),
            facts.accounting(),
            program.and_then(|program| {
                let native = facts.native_ratio(program)?;
                let text = format!(
                    "{} of {}'s samples are in the interpreter itself",
                    percent(1.0 - native),
                    program.name()
                );
                evidence("stacks", text)
            }),
            hottest_python(facts),
        ]
    },
    doubts: |facts| {
        let unseen = facts
            .program()
            .filter(|program| facts.native_ratio(program).is_none() && program.name().starts_with("python"));
        vec![unseen.map(|_| {
            "without call stacks, time in native libraries cannot be told from that in the interpreter".to_owned()
        })
        // Frames of Python that were seen running speak for the interpreter.
        .filter(|_| facts.profile.python.samples.is_empty())]
    },
};

pub(super) const KERNEL: Rule = Rule {
    class: Class::CpuKernel,
    explain: "CPU time is spent in system calls: many small ones, or much data copied by the kernel.",
    evidence: |facts| vec![facts.computes(), facts.accounting(), kernel_stacks(facts)],
    doubts: no_doubts,
};

pub(super) const FAULTS: Rule = Rule {
    class: Class::PageFaults,
    explain: "The kernel hands out fresh memory page by page, and zeroes each.",
    evidence: |facts| {
        let text = format!(
            "{:.0} page faults a run explain {} of the kernel's CPU time",
            facts.usage.minor_faults,
            percent(facts.fault_ratio())
        );
        vec![evidence("faults", text), facts.accounting(), facts.computes(), kernel_stacks(facts)]
    },
    doubts: no_doubts,
};

pub(super) const SPAWN: Rule = Rule {
    class: Class::ProcessSpawn,
    explain: "Time goes into starting processes rather than into what they do.",
    evidence: |facts| {
        let tree = &facts.profile.tree;
        let seen = format!(
            "{:.0} different processes a second seen, {} of them gone within two looks",
            facts.spawns_per_s(),
            percent(tree.processes_brief as f64 / tree.processes.max(1) as f64)
        );
        let forks = facts.forks().and_then(|forks| {
            let cost = forks * facts.machine.spawn_s / facts.usage.wall_s.max(f64::MIN_POSITIVE);
            let text = format!(
                "{forks:.0} processes or threads started per run; at {:.1} ms each that is {} of the wall time",
                facts.machine.spawn_s * 1e3,
                percent(cost.min(1.0))
            );
            evidence("forks", text)
        });
        vec![evidence("tree", seen), forks, facts.accounting()]
    },
    doubts: no_doubts,
};

/// The function with the most samples of its own.
fn hottest(facts: &Facts<'_>) -> Option<Evidence> {
    let hottest = facts.profile.stacks.functions().into_iter().next()?;
    let function = hottest.function;
    evidence("stacks", format!("{} of the samples are in {function}", percent(hottest.self_share)))
}

/// The line of Python that most samples of running threads are in.
fn hottest_python(facts: &Facts<'_>) -> Option<Evidence> {
    let python = &facts.profile.python;
    let mut by_frame: std::collections::HashMap<u32, f64> = std::collections::HashMap::new();
    let mut all_s = 0.0;
    for sample in python.samples.iter().filter(|sample| sample.running) {
        *by_frame.entry(python.nodes[sample.leaf as usize].frame).or_default() += sample.weight_s;
        all_s += sample.weight_s;
    }
    let (frame, seconds) = by_frame.into_iter().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
    let frame = &python.frames[frame as usize];
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        _ => frame.function.clone(),
    };
    evidence(
        "python",
        format!("{} of the running samples are at {place} ({})", percent(seconds / all_s), frame.function),
    )
}

fn kernel_stacks(facts: &Facts<'_>) -> Option<Evidence> {
    let seen = facts.profile.stacks.kernel_shares();
    (seen.share > 0.0).then_some(())?;
    let part = |share: f64| percent(share / seen.share);
    let call =
        seen.calls.first().map_or_else(String::new, |(call, share)| format!(", {} in {call}", part(*share)));
    let text = format!(
        "{} of the samples are in the kernel: {} of those handle page faults, {} serve system calls{call}",
        percent(seen.share),
        part(seen.page_faults),
        part(seen.system_calls)
    );
    evidence("stacks", text)
}
