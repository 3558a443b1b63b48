//! Classes of programs that wait, and the load of others.

use super::{Rule, evidence, no_doubts, percent};
use crate::diagnose::facts::Facts;
use crate::diagnose::{Class, Evidence};
use crate::profile::BlockClass;

pub(super) const DISK_READ: Rule = Rule {
    class: Class::DiskRead,
    explain: "The program waits for data from storage.",
    evidence: |facts| {
        let share = facts.waiting_for(BlockClass::DiskRead) + facts.waiting_for(BlockClass::PageIn);
        let read = facts.usage.read_bytes.filter(|bytes| *bytes > 0.0).and_then(|bytes| {
            evidence("storage", format!("{:.1} MB read from storage per run", bytes / 1e6))
        });
        vec![waits(facts, share, "reading from storage"), facts.room_for(share), read]
    },
    doubts: no_doubts,
};

pub(super) const DISK_SYNC: Rule = Rule {
    class: Class::DiskSync,
    explain: "The program waits until storage has what it wrote.",
    evidence: |facts| {
        let share = facts.waiting_for(BlockClass::DiskSync);
        let written = facts.usage.write_bytes.filter(|bytes| *bytes > 0.0).and_then(|bytes| {
            evidence("storage", format!("{:.1} MB written to storage per run", bytes / 1e6))
        });
        vec![waits(facts, share, "writing to storage"), facts.room_for(share), written, switches(facts)]
    },
    doubts: no_doubts,
};

pub(super) const NETWORK: Rule = Rule {
    class: Class::NetworkWait,
    explain: "The program waits for answers over the network.",
    evidence: |facts| {
        let share = facts.waiting_for(BlockClass::Network);
        let threads = facts.profile.tree.threads.blocked_s.get(&BlockClass::Network).copied().unwrap_or(0.0);
        let at_once = threads / (share * facts.wall_s()).max(f64::MIN_POSITIVE);
        let how = if at_once < 1.5 {
            "one thread waits at a time".to_owned()
        } else {
            format!("{at_once:.1} threads wait at a time")
        };
        vec![
            waits(facts, share, "waiting for the network"),
            facts.room_for(share),
            evidence("threads", how),
            switches(facts),
        ]
    },
    doubts: no_doubts,
};

pub(super) const CHILD: Rule = Rule {
    class: Class::ChildWait,
    explain: "The program waits for child processes that do nothing that could be seen.",
    evidence: |facts| {
        let share = facts.waiting_for(BlockClass::Child);
        vec![waits(facts, share, "waiting for a child process"), facts.room_for(share)]
    },
    doubts: no_doubts,
};

pub(super) const PIPE: Rule = Rule {
    class: Class::PipeWait,
    explain: "The program waits for the other end of a pipe, or for somebody at a terminal.",
    evidence: |facts| {
        let share = facts.waiting_for(BlockClass::Pipe) + facts.waiting_for(BlockClass::Terminal);
        vec![
            waits(facts, share, "waiting for a pipe, a local socket or a terminal"),
            facts.room_for(share),
            switches(facts),
        ]
    },
    doubts: no_doubts,
};

pub(super) const SLEEP: Rule = Rule {
    class: Class::SleepPoll,
    explain: "The program sleeps until a time that it has set itself, or looks again and again whether something is there.",
    evidence: |facts| {
        let share = facts.waiting_for(BlockClass::Sleep);
        vec![waits(facts, share, "sleeping"), facts.room_for(share), switches(facts)]
    },
    doubts: no_doubts,
};

pub(super) const GPU: Rule = Rule {
    class: Class::GpuBound,
    explain: "The program waits for a GPU that is at work.",
    evidence: |facts| {
        let share = facts.waiting_for(BlockClass::Gpu);
        vec![waits(facts, share, "waiting for a GPU"), facts.room_for(share)]
    },
    // That the GPU is busy, and with what, only its driver knows.
    doubts: |_| vec![Some("how busy the GPU was is not known".to_owned())],
};

pub(super) const GPU_IDLE: Rule = Rule {
    class: Class::GpuIdle,
    explain: "A GPU is there and waits for the program to give it work.",
    evidence: |facts| vec![facts.computes(), facts.accounting()],
    doubts: |_| vec![Some("how busy the GPU was is not known".to_owned())],
};

pub(super) const UNBATCHED: Rule = Rule {
    class: Class::UnbatchedInference,
    explain: "A model is asked one sample at a time, so that most of each call is its fixed cost.",
    evidence: |facts| vec![facts.computes(), facts.accounting()],
    doubts: |_| vec![Some("how busy the GPU was is not known".to_owned())],
};

pub(super) const BUSY: Rule = Rule {
    class: Class::MachineBusy,
    explain: "Other programs had the CPUs while this one could have run: its own times mean little. Run it again on an \
              idle machine, or give it CPUs of its own.",
    evidence: |facts| {
        let cores = facts.machine.cores as f64;
        let busy: f64 = facts.profile.cores.iter().sum();
        let others = (busy - facts.cores_used()).max(0.0);
        let wall = &facts.profile.tree.wall;
        let text = format!(
            "it waited {} of the time for a CPU that others used ({} taken by the hypervisor)",
            percent(facts.busy_share()),
            percent(facts.share(wall.stolen_s))
        );
        vec![
            evidence("tree", text),
            (!facts.profile.cores.is_empty())
                .then(|| {
                    evidence("cores", format!("other programs kept {others:.1} of {cores:.0} CPUs busy"))
                })
                .flatten(),
            facts.usage.runqueue_s.and_then(|queued_s| {
                let share = queued_s / facts.usage.wall_s.max(f64::MIN_POSITIVE);
                evidence(
                    "accounting",
                    format!("its main thread was ready but not running for {}", percent(share)),
                )
            }),
        ]
    },
    doubts: no_doubts,
};

fn waits(facts: &Facts<'_>, share: f64, doing: &str) -> Option<Evidence> {
    let tree = &facts.profile.tree;
    evidence(
        "tree",
        format!(
            "{doing} in {} of the wall time, in {} looks along the chain of waits",
            percent(share),
            tree.ticks
        ),
    )
}

fn switches(facts: &Facts<'_>) -> Option<Evidence> {
    let per_s = facts.usage.voluntary_switches / facts.usage.wall_s.max(f64::MIN_POSITIVE);
    (facts.usage.samples > 0 && per_s >= 1.0).then_some(())?;
    evidence("switches", format!("it gave up its CPU {per_s:.0} times a second of its own will"))
}
