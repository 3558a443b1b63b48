//! Bounds from what a program was seen to do: they hold as long as it executes the same instructions.

use super::formulas;
use super::{Basis, Bound, Machine, Observed, usable};
use crate::config::DeclaredWork;
use crate::diagnose::Class;
use crate::report::words;

/// Share of waiting from which removing it is the way down, where no class of waiting is the verdict.
const MOSTLY_WAITING: f64 = 0.5;

/// Whether time of this class is spent waiting, which could in principle be done without. Waiting for a GPU is not among
/// them: what the GPU does then is work.
fn is_wait(class: Class) -> bool {
    match class {
        Class::LockContention
        | Class::DiskRead
        | Class::DiskSync
        | Class::NetworkWait
        | Class::ChildWait
        | Class::PipeWait
        | Class::SleepPoll
        | Class::MachineBusy
        | Class::NotEnoughEvidence => true,
        Class::CpuNative
        | Class::InterpreterOverhead
        | Class::CpuKernel
        | Class::PageFaults
        | Class::SingleThreadedOnMulticore
        | Class::GilBound
        | Class::ProcessSpawn
        | Class::GpuBound
        | Class::GpuIdle
        | Class::UnbatchedInference => false,
    }
}

/// The bounds of one program.
pub(super) fn bounds(observed: &Observed, structure: &DeclaredWork, machine: &Machine<'_>) -> Vec<Bound> {
    let mut bounds = vec![cpu(observed, structure, machine)];
    bounds.extend(amdahl(observed, structure, machine));
    bounds.extend(without_waiting(observed));
    if let (Some(bytes), Some(rate)) = (usable(observed.read_bytes), usable(machine.rates.storage_read)) {
        let formula = format!("{} / {}/s", words::bytes(bytes), words::bytes(rate));
        let assumes =
            "as much has to come from storage as in these runs; the page cache may already hold it next time";
        bounds.push(Bound::new(
            "reading as much from storage",
            formulas::transfer(bytes, rate),
            formula,
            Basis::Observed,
            assumes,
        ));
    }
    bounds.extend(as_written(observed, machine));
    bounds
}

/// max(T₁/p, T∞) with T₁ the CPU seconds; T∞ is what was declared, else 0. Where starting processes is what holds the
/// program back, the CPU time of those starts is not part of the work.
fn cpu(observed: &Observed, structure: &DeclaredWork, machine: &Machine<'_>) -> Bound {
    let cpu_s = usable(Some(observed.cpu_s)).unwrap_or(0.0);
    let spawns = (observed.class == Class::ProcessSpawn)
        .then(|| usable(observed.processes).zip(usable(machine.rates.spawn_s)))
        .flatten();
    let starts_s = spawns.map_or(0.0, |(count, cost)| formulas::one_by_one(count, cost).min(cpu_s));
    let work_s = cpu_s - starts_s;
    let span_s = usable(structure.critical_path_s).unwrap_or(0.0);
    let mut formula = words::seconds(cpu_s);
    let mut assumes = "the work divides evenly over all cores".to_owned();
    if let Some((count, cost)) = spawns {
        formula = format!("({formula} − {} × {})", words::count(count), words::seconds(cost));
        assumes.push_str("; no process has to be started");
    }
    formula = format!("{formula} of CPU / {}", machine.cores_words());
    if span_s > work_s / machine.cores {
        formula = format!("{} of steps of which each needs the one before", words::seconds(span_s));
        assumes = "all else runs beside the critical path".to_owned();
    }
    let name = format!("CPU time on {}", machine.cores_words());
    Bound::new(name, formulas::parallel(work_s, machine.cores, span_s), formula, Basis::Observed, assumes)
}

/// With the declared share of the computing that can be divided.
fn amdahl(observed: &Observed, structure: &DeclaredWork, machine: &Machine<'_>) -> Option<Bound> {
    let fraction = usable(structure.parallel_fraction)?.min(1.0);
    let cpu_s = usable(Some(observed.cpu_s))?;
    let formula = format!(
        "{} of CPU × ({} + {} / {})",
        words::seconds(cpu_s),
        words::percent(1.0 - fraction),
        words::percent(fraction),
        machine.cores
    );
    let seconds = formulas::amdahl(cpu_s, fraction, machine.cores);
    let assumes = "the rest can only be done by one core";
    Some(Bound::new("the part that cannot be divided", seconds, formula, Basis::Declared, assumes))
}

/// What remains of the wall time once nothing waits; the way down for a program that mostly waits, and only one of
/// several for one that computes.
fn without_waiting(observed: &Observed) -> Option<Bound> {
    let wall_s = usable(Some(observed.wall_s))?;
    let waits: Vec<(Class, f64)> = observed
        .shares
        .iter()
        .filter_map(|&(class, share)| Some((class, usable(Some(share))?.min(1.0))))
        .filter(|(class, _)| is_wait(*class))
        .collect();
    let waiting: f64 = waits.iter().map(|(_, share)| share).sum();
    if waits.is_empty() {
        return None;
    }
    let named: Vec<String> = waits
        .iter()
        // What would show as 0.0 % says nothing.
        .filter(|(_, share)| *share >= 0.0005)
        .map(|(class, share)| {
            let word = match class {
                Class::NotEnoughEvidence => "not attributed",
                class => class.id(),
            };
            format!(" − {} {word}", words::percent(*share))
        })
        .collect();
    let formula = format!("{} × (100 %{})", words::seconds(wall_s), named.concat());
    let is_the_way = match observed.class {
        Class::MachineBusy | Class::NotEnoughEvidence => waiting >= MOSTLY_WAITING,
        class => is_wait(class),
    };
    let name = "the computing part, once nothing waits";
    let assumes = "all waiting can be removed";
    let bound = Bound::new(name, formulas::without(wall_s, waiting), formula, Basis::Observed, assumes);
    Some(if is_the_way { bound } else { bound.avoidable() })
}

/// Operations that the program does as it is written now, and that batching, caching or reuse could spare it.
fn as_written(observed: &Observed, machine: &Machine<'_>) -> Vec<Bound> {
    let rates = machine.rates;
    let costs = [
        ("starting as many processes", observed.processes, rates.spawn_s),
        ("as many system calls", observed.syscalls, rates.syscall_s),
        ("as many fresh memory pages", observed.pages, rates.page_fault_s),
    ];
    let costs = costs.into_iter().filter_map(|(name, count, cost)| {
        Some(machine.operations(name, usable(count)?, usable(cost)?, Basis::Observed).avoidable())
    });
    let flushes = usable(observed.fsyncs).zip(usable(rates.flush_s)).map(|(count, cost)| {
        let formula = format!("{} × {}", words::count(count), words::seconds(cost));
        let seconds = formulas::one_by_one(count, cost);
        Bound::new(
            "as many flushes to storage",
            seconds,
            formula,
            Basis::Observed,
            "each waits for the one before",
        )
        .avoidable()
    });
    costs.chain(flushes).collect()
}
