//! One rule per kind of trouble. Each looks at all facts and says how much of the wall time it explains.
//!
//! **To add one**: a function here or in a file beside, one line in [`ALL`].
//! **Invariant**: two independent sources must agree before a rule is confident.

use super::{Class, Evidence, Runtime};
use crate::profile::{BlockClass, Profile, Usage};

/// Confidence with two independent sources, and with one.
const CONFIDENT: f64 = 0.9;
const TENTATIVE: f64 = 0.6;

/// Looks of the sampler from which its shares are worth something: 5 % resolution.
const TICKS_MIN: u64 = 20;

/// Share of time in the run queue above which the program's own shares are not trusted.
const QUEUED_MAX: f64 = 0.1;

/// Share of CPU time in the kernel above which the kernel is the place to look.
const KERNEL_SHARE_MIN: f64 = 0.5;

/// Forks per second above which starting processes is the work: at about 1 ms each, a tenth of the time.
const FORKS_PER_S_MIN: f64 = 100.0;

/// The sampler's rate; it meets a process of a millisecond in a tenth of its looks, and longer ones more often.
const LOOKS_PER_S: f64 = 97.0;
const SEEN_SHARE_MIN: f64 = 0.1;

/// Seconds from fork to the end of a program that does next to nothing, about; `true` takes 0.5–1.5 ms.
const SPAWN_S: f64 = 1e-3;

/// Seconds the kernel takes for one minor fault, about; from a page-touching loop on several machines (0.1–0.5 µs).
const FAULT_S: f64 = 0.25e-6;

/// All there is to look at.
pub(super) struct Facts<'a> {
    pub usage: &'a Usage,
    pub profile: &'a Profile,
    pub runtime: &'a Runtime,
    pub cores_available: usize,
}

/// A rule's opinion.
pub(super) struct Judgement {
    pub class: Class,
    /// Of wall time, 0–1.
    pub share: f64,
    pub confidence: f64,
    pub evidence: Vec<Evidence>,
}

/// A named way to judge.
pub(super) struct Rule {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the contract test reads it; explain is what users see")
    )]
    pub id: &'static str,
    pub explain: &'static str,
    pub judge: fn(&Facts<'_>) -> Option<Judgement>,
}

pub(super) const ALL: &[Rule] = &[
    Rule {
        id: "machine-busy",
        explain: "Runnable threads waited for a CPU that others used; shares of the program itself mean little.",
        judge: machine_busy,
    },
    Rule {
        id: "process-spawn",
        explain: "Most time goes into starting processes rather than into what they do.",
        judge: process_spawn,
    },
    Rule {
        id: "page-faults",
        explain: "The kernel hands out fresh memory, page by page.",
        judge: page_faults,
    },
    Rule { id: "kernel-time", explain: "CPU time is spent in system calls.", judge: kernel_time },
    Rule {
        id: "computing",
        explain: "CPU time is spent in the program's own code, native or interpreted.",
        judge: computing,
    },
    Rule {
        id: "waiting",
        explain: "Nothing of the process tree can run; it waits for something outside.",
        judge: waiting,
    },
];

/// What computing means for this kind of program.
pub(super) fn computing_class(runtime: &Runtime) -> Class {
    match runtime {
        Runtime::Interpreter(_) => Class::InterpreterOverhead,
        Runtime::Native | Runtime::Unknown => Class::CpuNative,
    }
}

impl Facts<'_> {
    fn cpu_s(&self) -> f64 {
        self.usage.user_s + self.usage.sys_s
    }

    /// Share of wall time with at least one thread computing, by accounting alone: exact for one thread.
    fn accounted_share(&self) -> f64 {
        if self.usage.wall_s > 0.0 { (self.cpu_s() / self.usage.wall_s).min(1.0) } else { 0.0 }
    }

    /// The same as sampled; absent with too few samples.
    fn sampled_share(&self) -> Option<f64> {
        let tree = &self.profile.tree;
        (tree.ticks >= TICKS_MIN && tree.wall_s > 0.0).then(|| tree.computing_s / tree.wall_s)
    }

    fn computing_share(&self) -> f64 {
        self.sampled_share().unwrap_or_else(|| self.accounted_share())
    }

    fn kernel_share(&self) -> f64 {
        if self.cpu_s() > 0.0 { self.usage.sys_s / self.cpu_s() } else { 0.0 }
    }

    fn accounting(&self) -> Evidence {
        evidence(
            "samples",
            format!(
                "{:.0} % of a core over the wall time ({:.0} % of it in the kernel), median of {} runs",
                100.0 * self.cpu_s() / self.usage.wall_s.max(f64::MIN_POSITIVE),
                100.0 * self.kernel_share(),
                self.usage.samples
            ),
        )
    }

    fn sampling(&self) -> Option<Evidence> {
        let share = self.sampled_share()?;
        Some(evidence(
            "tree",
            format!(
                "the process tree was computing in {:.0} % of {} looks",
                100.0 * share,
                self.profile.tree.ticks
            ),
        ))
    }
}

fn evidence(source: &str, text: String) -> Evidence {
    Evidence { source: source.to_owned(), text }
}

fn judgement(class: Class, share: f64, evidence: Vec<Evidence>) -> Option<Judgement> {
    let sources: std::collections::BTreeSet<&str> =
        evidence.iter().map(|piece| piece.source.as_str()).collect();
    let confidence = if sources.len() >= 2 { CONFIDENT } else { TENTATIVE };
    Some(Judgement { class, share, confidence, evidence })
}

fn machine_busy(facts: &Facts<'_>) -> Option<Judgement> {
    let tree = &facts.profile.tree;
    let sampled = if tree.ticks >= TICKS_MIN { tree.queued_s / tree.wall_s } else { 0.0 };
    let accounted = facts.usage.runqueue_s.unwrap_or(0.0) / facts.usage.wall_s.max(f64::MIN_POSITIVE);
    if sampled <= QUEUED_MAX || accounted <= QUEUED_MAX {
        return None;
    }
    let pieces = vec![
        evidence("tree", format!("the tree was runnable without a CPU in {:.0} % of looks", 100.0 * sampled)),
        evidence(
            "samples",
            format!("its main thread queued for {:.0} % of the wall time", 100.0 * accounted),
        ),
    ];
    // Above the threshold this is the verdict, whatever else there is: nothing else can be trusted.
    judgement(Class::MachineBusy, 1.0, pieces)
}

fn process_spawn(facts: &Facts<'_>) -> Option<Judgement> {
    let forks = facts.usage.forks?;
    let rate = forks / facts.usage.wall_s.max(f64::MIN_POSITIVE);
    if rate < FORKS_PER_S_MIN {
        return None;
    }
    let mut pieces = vec![evidence(
        "samples",
        format!("{forks:.0} processes or threads started on the machine per run, {rate:.0} a second"),
    )];
    let tree = &facts.profile.tree;
    let mut own_forks = forks;
    if tree.ticks >= TICKS_MIN {
        // The counter is the machine's: only processes of the program's own tree make it evidence. One that starts
        // another and waits for it is no spawner.
        let runs = u64::from(facts.profile.runs.max(1));
        let others_per_s = tree.processes.saturating_sub(2 * runs) as f64 / tree.wall_s;
        if others_per_s < SEEN_SHARE_MIN * rate.min(LOOKS_PER_S) {
            return None;
        }
        own_forks = forks.min(tree.processes as f64 / runs as f64 / SEEN_SHARE_MIN);
        pieces.push(evidence(
            "tree",
            format!(
                "they are short-lived: {:.0} different ones of its own tree seen per run, at most {} threads at once",
                tree.processes as f64 / runs as f64,
                tree.threads_max
            ),
        ));
    }
    let share =
        (own_forks * SPAWN_S / facts.usage.wall_s.max(f64::MIN_POSITIVE)).min(facts.computing_share());
    judgement(Class::ProcessSpawn, share, pieces)
}

fn page_faults(facts: &Facts<'_>) -> Option<Judgement> {
    let fault_s = facts.usage.minor_faults * FAULT_S;
    let explains = fault_s / facts.usage.sys_s.max(f64::MIN_POSITIVE);
    if facts.kernel_share() < 0.3 || explains < 0.5 {
        return None;
    }
    let share = fault_s.min(facts.usage.sys_s) / facts.usage.wall_s.max(f64::MIN_POSITIVE);
    let pieces = vec![
        evidence("samples", format!("{:.0} page faults per run", facts.usage.minor_faults)),
        evidence("cpu", format!("{:.0} % of the CPU time is in the kernel", 100.0 * facts.kernel_share())),
    ];
    judgement(Class::PageFaults, share, pieces)
}

fn kernel_time(facts: &Facts<'_>) -> Option<Judgement> {
    if facts.kernel_share() < KERNEL_SHARE_MIN {
        return None;
    }
    let mut pieces = vec![facts.accounting()];
    pieces.extend(facts.sampling());
    judgement(Class::CpuKernel, facts.computing_share() * facts.kernel_share(), pieces)
}

fn computing(facts: &Facts<'_>) -> Option<Judgement> {
    let share = facts.computing_share() * (1.0 - facts.kernel_share());
    let mut pieces = vec![facts.accounting()];
    pieces.extend(facts.sampling());
    match facts.runtime {
        Runtime::Interpreter(name) => {
            pieces.push(evidence("programs", format!("{name} used most of the CPU time")));
        }
        Runtime::Native => {
            pieces.push(evidence("programs", "a native program used most of the CPU time".to_owned()))
        }
        Runtime::Unknown => {}
    }
    if facts.cores_available > 1 && facts.profile.tree.threads_max == 1 {
        pieces.push(evidence(
            "tree",
            format!("one thread at a time, while the machine has {} cores", facts.cores_available),
        ));
    }
    judgement(computing_class(facts.runtime), share, pieces)
}

fn waiting(facts: &Facts<'_>) -> Option<Judgement> {
    let tree = &facts.profile.tree;
    if tree.ticks < TICKS_MIN {
        return None;
    }
    let (block, seconds) = tree.blocked_s.iter().max_by(|a, b| a.1.total_cmp(b.1))?;
    let class = super::class_of(*block);
    if class == Class::NotEnoughEvidence {
        return None;
    }
    let share = seconds / tree.wall_s;
    let what = match block {
        BlockClass::Sleep => "sleeping",
        BlockClass::Child => "waiting for a child process",
        BlockClass::Pipe => "waiting for a pipe",
        BlockClass::Network => "waiting for the network",
        BlockClass::File => "waiting for storage",
        BlockClass::Lock => "waiting for another thread",
        BlockClass::Poll | BlockClass::Terminal | BlockClass::Other => "waiting",
    };
    let mut pieces = vec![evidence(
        "tree",
        format!("the whole tree was {what} in {:.0} % of {} looks", 100.0 * share, tree.ticks),
    )];
    // Accounting agrees when the CPU time leaves room for that much waiting.
    if facts.accounted_share() <= 1.0 - share + QUEUED_MAX {
        pieces.push(facts.accounting());
    }
    judgement(class, share, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_unique_ids_and_explain_themselves() {
        let mut ids: Vec<&str> = ALL.iter().map(|rule| rule.id).collect();
        assert!(ids.iter().all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        assert!(ALL.iter().all(|rule| rule.explain.ends_with('.')));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
    }
}
