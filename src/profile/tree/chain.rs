//! Wait chains: whom the wall clock of a tree is to be charged to. Pure.
//!
//! The program's main thread has one interval of wall time to account for. What it spent on a CPU is computing; what it
//! spent waiting is charged to whatever those did whom it waited for, and so on: a shell that waits for a child that
//! reads a pipe from a program that computes is computing. **Invariant**: every answer sums to 1.

use std::collections::BTreeMap;

use super::BlockClass;

/// Share of the heaviest wait from which another one can stand for a group that does nothing.
const WAIT_NOTED: f64 = 0.25;

/// The thread id that stands for threads which came and went within the interval.
pub(super) const UNSEEN: u32 = 0;

/// One thread during one interval. The four shares sum to at most 1; the rest is spent waiting.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ThreadView {
    pub tid: u32,
    /// Index into the processes.
    pub process: usize,
    pub on: f64,
    /// Ready, while others used the CPU.
    pub queued: f64,
    pub stolen: f64,
    /// Absent when it did not wait, or nobody saw for what.
    pub wait: Option<Wait>,
}

/// A process of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessView {
    pub pid: u32,
    /// 0 directly below the runner.
    pub parent: u32,
}

/// What a thread waits for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wait {
    /// Empty when nobody within the tree can end it.
    pub whom: Vec<Whom>,
    /// What the wait is when there is nobody whose doings explain it.
    pub class: BlockClass,
}

/// Those who can end a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    /// Any child of the own process.
    Children,
    Child(u32),
    Thread(u32),
    /// The other threads of the own process; where there are none, the other processes.
    Others,
    /// Whoever is at the other end of a pipe.
    Processes(Vec<u32>),
    /// Whoever is at the other end of a connection. A sleep behind one is a slow answer, not a pause.
    Server(Vec<u32>),
}

/// Where one interval of a tree's wall time went; shares of it, summing to 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shares {
    /// By index of the process.
    pub computing: BTreeMap<usize, f64>,
    pub queued: f64,
    pub stolen: f64,
    pub blocked: BTreeMap<BlockClass, f64>,
}

impl Shares {
    fn blocked(class: BlockClass) -> Self {
        Self { blocked: BTreeMap::from([(class, 1.0)]), ..Self::default() }
    }

    fn add(&mut self, other: &Self, weight: f64) {
        for (process, share) in &other.computing {
            *self.computing.entry(*process).or_default() += share * weight;
        }
        self.queued += other.queued * weight;
        self.stolen += other.stolen * weight;
        for (class, share) in &other.blocked {
            *self.blocked.entry(*class).or_default() += share * weight;
        }
    }

    /// A group as one: it computes while anybody does, else it queues, else it waits for the most concrete thing.
    fn group(members: &[Self]) -> Self {
        let mut sum = Self::default();
        members.iter().for_each(|member| sum.add(member, 1.0));
        let computing: f64 = sum.computing.values().sum();
        let scale = if computing > 1.0 { 1.0 / computing } else { 1.0 };
        let computing = computing.min(1.0);
        let queued = sum.queued.min(1.0 - computing);
        let stolen = sum.stolen.min(1.0 - computing - queued);
        let rest = 1.0 - computing - queued - stolen;
        let heaviest = sum.blocked.values().copied().fold(0.0, f64::max);
        let mut noted = sum.blocked.iter().filter(|(_, share)| **share >= WAIT_NOTED * heaviest);
        let class = noted.next().map_or(BlockClass::Other, |(class, _)| *class);
        Self {
            computing: sum.computing.into_iter().map(|(process, share)| (process, share * scale)).collect(),
            queued,
            stolen,
            blocked: if rest > 0.0 { BTreeMap::from([(class, rest)]) } else { BTreeMap::new() },
        }
    }

    fn behind_a_connection(mut self) -> Self {
        if let Some(share) = self.blocked.remove(&BlockClass::Sleep) {
            *self.blocked.entry(BlockClass::Network).or_default() += share;
        }
        self
    }
}

/// A tree at one look.
pub(super) struct Chain<'a> {
    pub processes: &'a [ProcessView],
    pub threads: &'a [ThreadView],
}

impl Chain<'_> {
    /// Where the interval went, for the whole tree.
    pub fn resolve(&self) -> Shares {
        let mut seen = vec![false; self.threads.len()];
        let roots: Vec<u32> =
            self.processes.iter().filter(|process| process.parent == 0).map(|process| process.pid).collect();
        let main = roots.iter().find_map(|pid| self.main_thread(*pid));
        main.and_then(|main| self.thread(main, &mut seen)).unwrap_or_else(|| {
            // The program has ended, or its main thread has: whoever is left.
            let all: Vec<usize> = (0..self.threads.len()).collect();
            self.group(&all, &mut seen).unwrap_or_else(|| Shares::blocked(BlockClass::Other))
        })
    }

    fn main_thread(&self, pid: u32) -> Option<usize> {
        self.threads.iter().position(|thread| thread.tid == pid)
    }

    /// Absent for a thread that the chain has been at before.
    fn thread(&self, at: usize, seen: &mut [bool]) -> Option<Shares> {
        if std::mem::replace(&mut seen[at], true) {
            return None;
        }
        let thread = &self.threads[at];
        let on = thread.on.clamp(0.0, 1.0);
        let queued = thread.queued.clamp(0.0, 1.0 - on);
        let stolen = thread.stolen.clamp(0.0, 1.0 - on - queued);
        let rest = 1.0 - on - queued - stolen;
        let mut shares = Shares { queued, stolen, ..Shares::default() };
        if on > 0.0 {
            shares.computing.insert(thread.process, on);
        }
        if rest > 0.0 {
            let followed = match &thread.wait {
                Some(wait) => self.follow(thread, wait, seen),
                None => Shares::blocked(BlockClass::Other),
            };
            shares.add(&followed, rest);
        }
        Some(shares)
    }

    fn group(&self, members: &[usize], seen: &mut [bool]) -> Option<Shares> {
        let shares: Vec<Shares> = members.iter().filter_map(|&at| self.thread(at, seen)).collect();
        (!shares.is_empty()).then(|| Shares::group(&shares))
    }

    fn follow(&self, thread: &ThreadView, wait: &Wait, seen: &mut [bool]) -> Shares {
        let answers: Vec<Shares> =
            wait.whom.iter().filter_map(|whom| self.ask(thread, whom, seen)).filter(says_something).collect();
        if answers.is_empty() {
            return Shares::blocked(wait.class);
        }
        let mut answer = Shares::group(&answers);
        // Who in turn waits for us, or is only parked, explains nothing: then the wait is what it looks like.
        for parked in [BlockClass::Other, BlockClass::Poll, BlockClass::Lock] {
            if wait.class < parked
                && let Some(nothing) = answer.blocked.remove(&parked)
            {
                *answer.blocked.entry(wait.class).or_default() += nothing;
            }
        }
        answer
    }

    fn ask(&self, thread: &ThreadView, whom: &Whom, seen: &mut [bool]) -> Option<Shares> {
        let own = self.processes[thread.process].pid;
        match whom {
            Whom::Child(pid) => self.group(&self.main_threads(&[*pid]), seen),
            Whom::Children => {
                let children = self.processes.iter().filter(|process| process.parent == own);
                let children: Vec<u32> = children.map(|child| child.pid).collect();
                self.group(&self.main_threads(&children), seen)
            }
            Whom::Thread(tid) => {
                let own = |other: &ThreadView| other.process == thread.process;
                let it = self.threads_where(|other| own(other) && other.tid == *tid);
                let it = if it.is_empty() {
                    self.threads_where(|other| own(other) && other.tid == UNSEEN)
                } else {
                    it
                };
                self.group(&it, seen)
            }
            Whom::Others => {
                let same = self.threads_where(|other| other.process == thread.process);
                self.group(&same, seen).filter(says_something).or_else(|| {
                    let others = self.threads_where(|other| other.process != thread.process);
                    self.group(&others, seen)
                })
            }
            Whom::Processes(pids) => self.group(&self.threads_of(pids), seen),
            Whom::Server(pids) => self.group(&self.threads_of(pids), seen).map(Shares::behind_a_connection),
        }
    }

    fn main_threads(&self, pids: &[u32]) -> Vec<usize> {
        pids.iter().filter_map(|pid| self.main_thread(*pid)).collect()
    }

    fn threads_where(&self, wanted: impl Fn(&ThreadView) -> bool) -> Vec<usize> {
        (0..self.threads.len()).filter(|&at| wanted(&self.threads[at])).collect()
    }

    fn threads_of(&self, pids: &[u32]) -> Vec<usize> {
        self.threads_where(|thread| pids.contains(&self.processes[thread.process].pid))
    }
}

/// Whether a group does or waits for anything of its own; threads that are only parked say nothing.
fn says_something(shares: &Shares) -> bool {
    let parked: f64 = shares
        .blocked
        .iter()
        .filter(|(class, _)| matches!(class, BlockClass::Lock | BlockClass::Other | BlockClass::Poll))
        .map(|(_, share)| share)
        .sum();
    parked < 0.99
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::BlockClass::{Child, DiskSync, Lock, Network, Pipe, Poll, Sleep};
    use super::*;

    fn waits(tid: u32, process: usize, whom: impl Into<Option<Whom>>, class: BlockClass) -> ThreadView {
        let whom = whom.into().into_iter().collect();
        ThreadView { tid, process, on: 0.0, queued: 0.0, stolen: 0.0, wait: Some(Wait { whom, class }) }
    }

    fn computes(tid: u32, process: usize, on: f64) -> ThreadView {
        ThreadView { on, ..waits(tid, process, None, Sleep) }
    }

    fn resolve(parents: &[(u32, u32)], threads: &[ThreadView]) -> Shares {
        let processes: Vec<ProcessView> =
            parents.iter().map(|&(pid, parent)| ProcessView { pid, parent }).collect();
        Chain { processes: &processes, threads }.resolve()
    }

    fn check(
        parents: &[(u32, u32)],
        threads: &[ThreadView],
        computing: &[(usize, f64)],
        blocked: &[(BlockClass, f64)],
    ) {
        let shares = resolve(parents, threads);
        assert_eq!(shares.computing, computing.iter().copied().collect(), "{shares:?}");
        assert_eq!(shares.blocked, blocked.iter().copied().collect(), "{shares:?}");
    }

    #[test]
    fn a_parent_is_charged_for_what_its_child_does() {
        let family = [(1, 0), (2, 1)];
        let parent = || waits(1, 0, Whom::Children, Child);
        check(&family, &[parent(), computes(2, 1, 1.0)], &[(1, 1.0)], &[]);
        check(&family, &[parent(), computes(2, 1, 0.25)], &[(1, 0.25)], &[(Sleep, 0.75)]);
        check(&family[..1], &[parent()], &[], &[(Child, 1.0)]);
    }

    #[test]
    fn a_reader_of_a_pipe_is_charged_for_what_its_writer_does() {
        let family = [(1, 0), (2, 1), (3, 1)];
        let shell = waits(1, 0, Whom::Children, Child);
        let reader = waits(3, 2, Whom::Processes(vec![2]), Pipe);
        check(&family, &[shell.clone(), computes(2, 1, 1.0), reader.clone()], &[(1, 1.0)], &[]);
        let sleeper = waits(2, 1, None, Sleep);
        check(&family, &[shell, sleeper, reader.clone()], &[], &[(Sleep, 1.0)]);
        // Both ends wait for each other.
        let other = waits(2, 1, Whom::Processes(vec![3]), Pipe);
        check(
            &[(3, 0), (2, 3)],
            &[waits(3, 0, Whom::Processes(vec![2]), Pipe), ThreadView { process: 1, ..other }],
            &[],
            &[(Pipe, 1.0)],
        );
    }

    #[test]
    fn a_client_waits_for_its_server() {
        let family = [(1, 0), (2, 1)];
        let client = || waits(1, 0, Whom::Server(vec![2]), Network);
        check(&family, &[client(), computes(2, 1, 1.0)], &[(1, 1.0)], &[]);
        check(&family, &[client(), waits(2, 1, None, Sleep)], &[], &[(Network, 1.0)]);
        check(&family, &[client(), waits(2, 1, None, DiskSync)], &[], &[(DiskSync, 1.0)]);
        check(&family, &[client(), waits(2, 1, Whom::Server(vec![1]), Network)], &[], &[(Network, 1.0)]);
    }

    #[test]
    fn joins_and_locks_lead_to_the_thread_that_is_waited_for() {
        let one = [(1, 0)];
        let join = || waits(1, 0, Whom::Thread(3), Lock);
        check(&one, &[join(), waits(2, 0, None, Sleep), computes(3, 0, 1.0)], &[(0, 1.0)], &[]);
        check(
            &one,
            &[waits(1, 0, Whom::Others, Lock), computes(2, 0, 0.5), computes(3, 0, 0.5)],
            &[(0, 1.0)],
            &[],
        );
        // Idle workers do not hide what the one busy thread waits for.
        let idle = |tid| waits(tid, 0, Whom::Others, Lock);
        check(&one, &[idle(1), idle(2), idle(3), waits(4, 0, None, Network)], &[], &[(Network, 1.0)]);
        check(&one, &[idle(1), idle(2)], &[], &[(Lock, 1.0)]);
    }

    #[test]
    fn a_main_thread_with_its_own_wait_does_not_inherit_a_workers() {
        let main = waits(1, 0, None, Network);
        check(&[(1, 0)], &[main, computes(2, 0, 1.0)], &[], &[(Network, 1.0)]);
        let event_loop = waits(1, 0, Whom::Others, Poll);
        check(&[(1, 0)], &[event_loop, computes(2, 0, 1.0)], &[(0, 1.0)], &[]);
    }

    #[test]
    fn whoever_is_left_answers_for_a_program_that_has_ended() {
        check(&[(7, 1)], &[computes(7, 0, 1.0)], &[(0, 1.0)], &[]);
        check(&[], &[], &[], &[(BlockClass::Other, 1.0)]);
    }

    fn any_whom() -> impl Strategy<Value = Whom> {
        prop_oneof![
            Just(Whom::Children),
            (1..8u32).prop_map(Whom::Child),
            (1..20u32).prop_map(Whom::Thread),
            Just(Whom::Others),
            proptest::collection::vec(1..8u32, 0..3).prop_map(Whom::Processes),
            proptest::collection::vec(1..8u32, 0..3).prop_map(Whom::Server),
        ]
    }

    proptest! {
        #[test]
        fn every_tree_sums_to_one(
            parents in proptest::collection::vec(0..8u32, 1..6),
            threads in proptest::collection::vec((0..6usize, 0.0..1.2f64, 0.0..1.2f64, 0.0..1.2f64, proptest::collection::vec(any_whom(), 0..3)), 0..12),
        ) {
            let processes: Vec<ProcessView> =
                parents.iter().zip(1..).map(|(&parent, pid)| ProcessView { pid, parent }).collect();
            let threads: Vec<ThreadView> = threads
                .into_iter()
                .zip(1..)
                .map(|((process, on, queued, stolen, whom), tid)| ThreadView {
                    tid,
                    process: process % processes.len(),
                    on,
                    queued,
                    stolen,
                    wait: Some(Wait { whom, class: Pipe }),
                })
                .collect();
            let shares = Chain { processes: &processes, threads: &threads }.resolve();
            let parts = shares.computing.values().chain(shares.blocked.values());
            prop_assert!(parts.clone().all(|part| *part >= -1e-12));
            let sum: f64 = parts.sum::<f64>() + shares.queued + shares.stolen;
            prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
        }
    }
}
