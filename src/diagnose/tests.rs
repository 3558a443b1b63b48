use proptest::prelude::*;

use super::*;
use crate::profile::{BlockClass, Program, ThreadTimes, TreeTimes, WallTimes};

/// One second of a program on two cores, seen a hundred times.
struct Case {
    usage: Usage,
    profile: Profile,
}

impl Case {
    /// Seconds computing, CPU seconds in user mode and in the kernel, the program.
    fn new(computing_s: f64, (user_s, sys_s): (f64, f64), exe: &str) -> Self {
        let usage = Usage { wall_s: 1.0, user_s, sys_s, wall_s_min: 0.95, samples: 3, ..Usage::default() };
        let cpu_s = user_s + sys_s;
        let program = Program {
            exe: exe.to_owned(),
            wall_s: computing_s,
            cpu_s,
            kernel_ratio: (cpu_s > 0.1).then(|| sys_s / cpu_s),
            processes: 1,
            workers_s: vec![cpu_s],
            ..Program::default()
        };
        let tree = TreeTimes {
            wall: WallTimes { computing_s, alone_s: computing_s, ..WallTimes::default() },
            threads: ThreadTimes { on_cpu_s: cpu_s, ..ThreadTimes::default() },
            programs: vec![program],
            ticks: 100,
            processes: 1,
            threads_max: 1,
            ..TreeTimes::default()
        };
        Self { usage, profile: Profile { tree, runs: 1, ..Profile::default() } }
    }

    fn waiting(mut self, class: BlockClass, seconds: f64) -> Self {
        self.profile.tree.wall.blocked_s.insert(class, seconds);
        self.profile.tree.threads.blocked_s.insert(class, seconds);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Usage, &mut TreeTimes)) -> Self {
        change(&mut self.usage, &mut self.profile.tree);
        self
    }

    fn check(&self, expected: Class) -> Diagnosis {
        let diagnosis = diagnose(&self.usage, &self.profile, &Machine::of_cores(2));
        assert_eq!(diagnosis.class, expected, "{diagnosis:#?}");
        let sum: f64 = diagnosis.shares.iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 0.005, "{:?}", diagnosis.shares);
        assert!(diagnosis.floor.seconds <= self.usage.wall_s_min && diagnosis.floor.ratio >= 1.0);
        diagnosis
    }

    /// Sure, and with at least two independent pieces of evidence.
    fn check_sure(&self, expected: Class) {
        let diagnosis = self.check(expected);
        assert!(diagnosis.confidence >= 0.8, "{diagnosis:#?}");
        let mut sources: Vec<&str> = diagnosis.evidence.iter().map(|piece| piece.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        assert!(sources.len() >= 2, "{diagnosis:#?}");
    }

    fn check_doubtful(&self, expected: Class) {
        let diagnosis = self.check(expected);
        assert!(diagnosis.confidence < 0.8 && !diagnosis.doubts.is_empty(), "{diagnosis:#?}");
    }
}

#[test]
fn programs_that_compute() {
    Case::new(1.0, (0.98, 0.01), "/app").check_sure(Class::CpuNative);
    Case::new(1.0, (0.98, 0.01), "/usr/bin/perl").check_sure(Class::InterpreterOverhead);
    Case::new(1.0, (0.98, 0.01), "/usr/bin/node").check_sure(Class::CpuNative);
    Case::new(1.0, (0.1, 0.88), "/app").check_sure(Class::CpuKernel);
    // Nobody saw whether it was in the interpreter or in a library.
    Case::new(1.0, (0.98, 0.01), "/usr/bin/python3.11").check_doubtful(Class::InterpreterOverhead);
}

#[test]
fn programs_that_wait() {
    for (block, class) in [
        (BlockClass::Sleep, Class::SleepPoll),
        (BlockClass::Network, Class::NetworkWait),
        (BlockClass::DiskRead, Class::DiskRead),
        (BlockClass::DiskSync, Class::DiskSync),
        (BlockClass::Pipe, Class::PipeWait),
        (BlockClass::Child, Class::ChildWait),
    ] {
        Case::new(0.05, (0.05, 0.0), "/app").waiting(block, 0.95).check_sure(class);
    }
    Case::new(0.0, (0.0, 0.0), "/app").waiting(BlockClass::Other, 1.0).check(Class::NotEnoughEvidence);
}

#[test]
fn fresh_memory_is_told_from_system_calls() {
    let faults = |count| Case::new(1.0, (0.1, 0.9), "/app").with(|usage, _| usage.minor_faults = count);
    faults(0.8e6).check_sure(Class::PageFaults);
    faults(1e5).check_sure(Class::CpuKernel);
}

#[test]
fn processes_that_come_and_go() {
    let spawner = |seen, brief| {
        Case::new(0.6, (0.4, 0.55), "/usr/bin/dash").with(|usage, tree| {
            usage.forks = Some(900.0);
            tree.wall.brief_s = 0.4;
            (tree.processes, tree.processes_brief) = (seen, brief);
        })
    };
    spawner(80, 70).check_sure(Class::ProcessSpawn);
    // A few longer ones, while others on the machine start many.
    spawner(10, 2).check(Class::CpuKernel);
    Case::new(1.0, (0.98, 0.01), "/app").with(|usage, _| usage.forks = Some(2000.0)).check(Class::CpuNative);
}

#[test]
fn threads_that_take_turns() {
    let two = |change: &dyn Fn(&mut Program)| {
        Case::new(1.0, (0.98, 0.02), "/usr/bin/python3.11").with(|_, tree| {
            tree.threads_max = 3;
            tree.programs[0].workers_s = vec![0.5, 0.5];
            change(&mut tree.programs[0]);
        })
    };
    two(&|program| program.gil_s = 1.0).check_sure(Class::GilBound);
    let waits = |_: &mut Usage, tree: &mut TreeTimes| tree.lock_waits = [(2, 0.5), (3, 0.5)].into();
    two(&|program| program.gil_s = 1.0).with(waits).check_sure(Class::GilBound);
    two(&|program| program.exe = "/app".to_owned()).with(waits).check(Class::LockContention);
    two(&|program| program.contended_s = 1.0).check_sure(Class::LockContention);
    two(&|program| program.alternating_s = 1.0).check_doubtful(Class::LockContention);
    // Held while asleep: the others wait in line.
    Case::new(0.02, (0.02, 0.0), "/app")
        .waiting(BlockClass::Sleep, 0.98)
        .with(|_, tree| tree.programs[0].contended_s = 3.0)
        .check_sure(Class::LockContention);
    // An idle worker's wait is nobody's loss.
    Case::new(1.0, (1.0, 0.0), "/app").check_sure(Class::CpuNative);
}

#[test]
fn one_part_that_takes_longer_than_the_others() {
    let uneven = |together_s, workers| {
        Case::new(1.0, (1.2, 0.0), "/app").with(|_, tree| {
            (tree.wall.together_s, tree.wall.alone_s) = (together_s, 1.0 - together_s);
            tree.wall.beside_s = together_s;
            tree.programs[0].workers_s = vec![1.2 / f64::from(workers); workers as usize];
        })
    };
    uneven(0.2, 2).check_sure(Class::SingleThreadedOnMulticore);
    uneven(0.9, 2).check_sure(Class::CpuNative);
    uneven(0.2, 1).check_sure(Class::CpuNative);
}

#[test]
fn a_busy_machine_is_not_the_programs_fault() {
    let busy = Case::new(0.5, (0.5, 0.0), "/app").with(|usage, tree| {
        usage.runqueue_s = Some(0.45);
        tree.wall.queued_s = 0.5;
    });
    let diagnosis = busy.check(Class::MachineBusy);
    assert_eq!(diagnosis.apart_from_load, Some(Class::CpuNative));
    assert_eq!(diagnosis.payoff_max, None);
}

#[test]
fn little_evidence_gives_little_confidence() {
    let few = |ticks| Case::new(1.0, (0.98, 0.01), "/app").with(|_, tree| tree.ticks = ticks);
    few(20).check_doubtful(Class::CpuNative);
    few(5).check(Class::NotEnoughEvidence);
    let nothing = Case::new(1.0, (0.98, 0.01), "/app").with(|_, tree| *tree = TreeTimes::default());
    nothing.check(Class::NotEnoughEvidence);
    // No class has enough of it.
    let mixed = Case::new(0.3, (0.15, 0.15), "/app")
        .waiting(BlockClass::Sleep, 0.28)
        .waiting(BlockClass::Network, 0.22)
        .waiting(BlockClass::DiskRead, 0.2);
    mixed.check(Class::NotEnoughEvidence);
}

proptest! {
    #[test]
    fn parts_sum_to_one_whatever_was_seen(
        walls in proptest::collection::vec(0.0..10.0f64, 6),
        threads in proptest::collection::vec(0.0..20.0f64, 5),
        processes in 0..500u64,
        brief in 0..500u64,
        runs in 0..30u32,
    ) {
        let mut case = Case::new(walls[0], (threads[0], threads[1]), "/usr/bin/python3.11")
            .waiting(BlockClass::Sleep, walls[1])
            .waiting(BlockClass::Lock, walls[2]);
        let tree = &mut case.profile.tree;
        (tree.wall.queued_s, tree.wall.stolen_s, tree.wall.brief_s) = (walls[3], walls[4] * 0.1, walls[5]);
        (tree.processes, tree.processes_brief) = (processes, brief);
        tree.programs[0].gil_s = threads[2];
        tree.programs[0].contended_s = threads[3];
        tree.wall.together_s = threads[4];
        case.profile.runs = runs;
        let diagnosis = diagnose(&case.usage, &case.profile, &Machine::of_cores(2));
        let sum: f64 = diagnosis.shares.iter().map(|(_, share)| share).sum();
        prop_assert!((sum - 1.0).abs() < 1e-6, "{}: {:?}", sum, diagnosis.shares);
        prop_assert!(diagnosis.shares.iter().all(|(_, share)| *share >= -1e-9));
        prop_assert!((0.0..=1.0).contains(&diagnosis.confidence));
        prop_assert!(!diagnosis.evidence.is_empty());
    }
}
