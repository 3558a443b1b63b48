//! The floor of whole programs, and what holds for any input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::config::Complexity;

const ALL_CLASSES: [Class; 19] = [
    Class::CpuNative,
    Class::InterpreterOverhead,
    Class::CpuKernel,
    Class::PageFaults,
    Class::SingleThreadedOnMulticore,
    Class::GilBound,
    Class::LockContention,
    Class::DiskRead,
    Class::DiskSync,
    Class::NetworkWait,
    Class::ChildWait,
    Class::ProcessSpawn,
    Class::PipeWait,
    Class::SleepPoll,
    Class::GpuBound,
    Class::GpuIdle,
    Class::UnbatchedInference,
    Class::MachineBusy,
    Class::NotEnoughEvidence,
];

fn rates() -> Rates {
    Rates {
        flops_per_core: Some(40e9),
        memory: Some(20e9),
        storage_read: Some(1e9),
        storage_write: Some(0.5e9),
        storage_reads: Some(50_000.0),
        flush_s: Some(1e-3),
        round_trip_s: Some(20e-6),
        spawn_s: Some(0.5e-3),
        syscall_s: Some(100e-9),
        page_fault_s: Some(250e-9),
    }
}

/// A second of a program, 0.95 s at best.
fn second(cpu_s: f64, class: Class, shares: &[(Class, f64)]) -> Observed {
    Observed { wall_s: 1.0, wall_s_min: 0.95, cpu_s, class, shares: shares.to_vec(), ..Observed::default() }
}

fn check(work: &Work, cores: usize, seconds: f64, binds: &str, situation: Situation) -> Floor {
    let floor = floor(work, &rates(), cores);
    assert!((floor.seconds - seconds).abs() < 1e-9, "{floor:#?}");
    assert!(floor.binds.contains(binds), "{floor:#?}");
    assert_eq!(floor.situation, situation, "{floor:#?}");
    assert!(floor.candidates.iter().any(|bound| bound.name == floor.binds && !bound.avoidable), "{floor:#?}");
    floor
}

#[test]
fn what_computes_is_divided_over_the_cores() {
    let work = |cpu_s| Work {
        observed: second(cpu_s, Class::CpuNative, &[(Class::CpuNative, 1.0)]),
        ..Work::default()
    };
    check(&work(1.0), 2, 0.5, "CPU time on 2 cores", Situation::Scheduling);
    let wide = check(&work(1.0), 8, 0.125, "CPU time on 8 cores", Situation::Architectural);
    assert!(wide.assumptions.iter().any(|text| text.contains("evenly")), "{wide:?}");
    // What is as fast as it can be takes its best time.
    let best = check(&work(1.0), 1, 0.95, "CPU time on 1 core", Situation::NearOptimal);
    assert!(best.assumptions.iter().any(|text| text.contains("stands in its place")), "{best:?}");
    check(&work(2.0), 2, 0.95, "CPU", Situation::NearOptimal);
}

#[test]
fn what_waits_need_not() {
    let shares = [(Class::SleepPoll, 0.98), (Class::CpuNative, 0.02)];
    let work = Work { observed: second(0.02, Class::SleepPoll, &shares), ..Work::default() };
    let floor = check(&work, 2, 0.02, "once nothing waits", Situation::Algorithmic);
    assert!(floor.candidates[0].formula.contains("98 % sleep-poll"), "{floor:?}");
    let asleep =
        Work { observed: second(0.0, Class::SleepPoll, &[(Class::SleepPoll, 1.0)]), ..Work::default() };
    check(&asleep, 2, 0.5e-3, START, Situation::Algorithmic);
    // Two kinds of waiting: without both, the computing is left.
    let shares = [(Class::NetworkWait, 0.5), (Class::DiskRead, 0.3), (Class::CpuNative, 0.2)];
    let work = Work { observed: second(0.2, Class::NetworkWait, &shares), ..Work::default() };
    check(&work, 64, 0.2, "once nothing waits", Situation::Architectural);
    // Where most of the time could not be attributed, it may all have been waiting.
    let shares = [(Class::NotEnoughEvidence, 0.8), (Class::CpuNative, 0.2)];
    let work = Work { observed: second(0.2, Class::NotEnoughEvidence, &shares), ..Work::default() };
    check(&work, 2, 0.2, "once nothing waits", Situation::Architectural);
}

#[test]
fn what_came_from_storage_has_to_come_again() {
    let shares = [(Class::DiskRead, 0.9), (Class::CpuNative, 0.1)];
    let mut work = Work { observed: second(0.1, Class::DiskRead, &shares), ..Work::default() };
    work.observed.read_bytes = Some(0.4e9);
    check(&work, 2, 0.4, "from storage", Situation::Scheduling);
}

#[test]
fn processes_need_not_be_started() {
    let shares = [(Class::ProcessSpawn, 0.95), (Class::NotEnoughEvidence, 0.05)];
    let mut work = Work { observed: second(0.9, Class::ProcessSpawn, &shares), ..Work::default() };
    work.observed.processes = Some(1000.0);
    // 0.9 s of CPU, 0.5 s of which start processes.
    let floor = check(&work, 2, 0.2, "CPU time", Situation::Architectural);
    let starts = floor.candidates.iter().find(|bound| bound.name.contains("as many")).unwrap();
    assert!(starts.avoidable && (starts.seconds - 0.25).abs() < 1e-12, "{starts:?}");
    work.observed.processes = Some(1e9);
    check(&work, 2, 0.5e-3, START, Situation::Algorithmic);
}

#[test]
fn what_is_declared_to_be_serial_stays_so() {
    let mut work =
        Work { observed: second(1.0, Class::CpuNative, &[(Class::CpuNative, 1.0)]), ..Work::default() };
    work.declared.parallel_fraction = Some(0.6);
    check(&work, 2, 0.7, "cannot be divided", Situation::NearOptimal);
    work.declared = DeclaredWork { critical_path_s: Some(0.8), ..DeclaredWork::default() };
    check(&work, 16, 0.8, "CPU time", Situation::NearOptimal);
}

#[test]
fn declared_work_is_what_counts_where_there_is_some() {
    let observed = second(1.0, Class::InterpreterOverhead, &[(Class::InterpreterOverhead, 1.0)]);
    let check = |declared: DeclaredWork, seconds: f64, binds: &str, situation: Situation| {
        check(&Work { declared, observed: observed.clone() }, 2, seconds, binds, situation)
    };
    let none = DeclaredWork::default;
    check(DeclaredWork { bytes: Some(1e9), ..none() }, 0.05, "memory bandwidth", Situation::Algorithmic);
    check(DeclaredWork { flops: Some(8e9), ..none() }, 0.1, "floating point", Situation::Architectural);
    // The roofline: the larger of both.
    let both = DeclaredWork { bytes: Some(1e9), flops: Some(8e9), ..none() };
    check(both, 0.1, "floating point", Situation::Architectural);
    check(DeclaredWork { read_bytes: Some(0.5e9), ..none() }, 0.5, "reading from", Situation::Scheduling);
    check(DeclaredWork { write_bytes: Some(0.1e9), ..none() }, 0.2, "writing to", Situation::Architectural);
    check(DeclaredWork { reads: Some(5000.0), ..none() }, 0.1, "random reads", Situation::Architectural);
    check(DeclaredWork { fsyncs: Some(100.0), ..none() }, 0.1, "flushes", Situation::Architectural);
    check(DeclaredWork { processes: Some(100.0), ..none() }, 0.025, "processes", Situation::Algorithmic);
    check(DeclaredWork { syscalls: Some(1e6), ..none() }, 0.05, "system calls", Situation::Algorithmic);
    check(DeclaredWork { pages: Some(1e6), ..none() }, 0.125, "memory pages", Situation::Architectural);
    let calls = DeclaredWork {
        round_trips: Some(100.0),
        service_s: Some(0.02),
        round_trip_s: Some(0.01),
        concurrency: Some(10.0),
        ..none()
    };
    check(calls.clone(), 0.3, "calls, 10 at once", Situation::Architectural);
    check(DeclaredWork { concurrency: None, ..calls.clone() }, 0.03, "100 at once", Situation::Algorithmic);
    check(
        DeclaredWork { rate_limit: Some(198.0), ..calls.clone() },
        0.5,
        "rate limit",
        Situation::Scheduling,
    );
    check(DeclaredWork { longest_call_s: Some(0.4), ..calls }, 0.4, "longest call", Situation::Scheduling);
    let link = DeclaredWork { network_bytes: Some(1e8), network_rate: Some(1e9), ..none() };
    check(link, 0.1, "network bandwidth", Situation::Architectural);
    let build = DeclaredWork {
        units: Some(40.0),
        units_rate: Some(100.0),
        critical_path_s: Some(0.1),
        link_work: Some(3e6),
        link_rate: Some(1e7),
        ..none()
    };
    check(build.clone(), 0.3, "linking", Situation::Architectural);
    check(
        DeclaredWork { link_work: None, ..build.clone() },
        0.2,
        "units on 2 cores",
        Situation::Architectural,
    );
    let long = DeclaredWork { critical_path_s: Some(0.9), ..build };
    check(long, 0.9, "critical path", Situation::NearOptimal);
    let rows = DeclaredWork { rows: Some(1e6), rows_rate: Some(1e6), ..none() };
    check(rows, 0.5, "rows on 2 cores", Situation::Scheduling);
    let steps = DeclaredWork {
        n: Some(1024.0),
        complexity: Some(Complexity::Polynomial { power: 1.0, logs: 1 }),
        step_s: Some(1e-5),
        ..none()
    };
    check(steps.clone(), 0.0512, "n log n steps", Situation::Algorithmic);
    let points = vec![(512.0, 0.04608), (1024.0, 0.2)];
    check(DeclaredWork { step_s: None, points, ..steps.clone() }, 0.0512, "n log n", Situation::Algorithmic);
    let cheapest = DeclaredWork { step_s: None, n: Some((1 << 28) as f64), ..steps };
    check(cheapest, (1u64 << 28) as f64 * 28.0 / 40e9 / 2.0, "n log n", Situation::Algorithmic);
    let gpu = DeclaredWork {
        gpu_flops: Some(1e12),
        gpu_flops_rate: Some(10e12),
        gpu_bytes: Some(6e11),
        gpu_bytes_rate: Some(3e12),
        pcie_bytes: Some(1e9),
        pcie_rate: Some(25e9),
        kernels: Some(1000.0),
        launch_s: Some(5e-6),
        ..none()
    };
    check(gpu.clone(), 0.2, "GPU memory", Situation::Architectural);
    check(DeclaredWork { gpu_flops: Some(5e12), ..gpu.clone() }, 0.5, "GPU computing", Situation::Scheduling);
    check(DeclaredWork { pcie_bytes: Some(1e10), ..gpu.clone() }, 0.4, "PCIe", Situation::Scheduling);
    check(DeclaredWork { kernels: Some(1e5), ..gpu }, 0.5, "launches", Situation::Scheduling);
}

#[test]
fn declared_work_without_a_rate_is_left_out_and_said_so() {
    let declared = DeclaredWork {
        bytes: Some(1e9),
        round_trips: Some(10.0),
        complexity: Some(Complexity::Exponential { base: 2.0 }),
        n: Some(5.0),
        ..DeclaredWork::default()
    };
    let observed = second(1.0, Class::CpuNative, &[(Class::CpuNative, 1.0)]);
    let floor = floor(&Work { declared, observed }, &Rates::default(), 2);
    for word in ["bytes", "round_trips", "complexity"] {
        let said = |text: &String| text.contains(word) && text.contains("left out");
        assert!(floor.assumptions.iter().any(said), "{word}: {:?}", floor.assumptions);
    }
    assert_eq!(floor.binds, "CPU time on 2 cores");
}

#[test]
fn the_machine_is_only_probed_where_that_can_matter() {
    let check = |change: &dyn Fn(&mut Work), expected: bool| {
        let observed = second(1.0, Class::CpuNative, &[(Class::CpuNative, 1.0)]);
        let mut work = Work { observed, ..Work::default() };
        change(&mut work);
        assert_eq!(work.needs_rates(), expected, "{work:?}");
    };
    check(&|_| {}, false);
    check(&|work| work.observed.read_bytes = Some(4096.0), false);
    check(&|work| work.observed.read_bytes = Some(1e9), true);
    check(&|work| work.observed.class = Class::ProcessSpawn, true);
    check(&|work| work.declared.fsyncs = Some(1.0), true);
}

#[test]
fn situations_begin_where_they_should() {
    let check = |ratio: f64, expected: Situation| assert_eq!(Situation::of(ratio), expected, "{ratio}");
    check(1.0, Situation::NearOptimal);
    check(1.499, Situation::NearOptimal);
    check(1.5, Situation::Scheduling);
    check(2.999, Situation::Scheduling);
    check(3.0, Situation::Architectural);
    check(10.0, Situation::Architectural);
    check(10.001, Situation::Algorithmic);
    check(f64::MAX, Situation::Algorithmic);
}

/// Any number at all, mostly of a size that occurs.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 1e-9..1e12, 1 => proptest::num::f64::ANY, 1 => Just(0.0)]
}

fn any_optional() -> impl Strategy<Value = Option<f64>> {
    proptest::option::of(any_number())
}

prop_compose! {
    fn any_rates()(numbers in vec(any_optional(), 10)) -> Rates {
        Rates {
            flops_per_core: numbers[0],
            memory: numbers[1],
            storage_read: numbers[2],
            storage_write: numbers[3],
            storage_reads: numbers[4],
            flush_s: numbers[5],
            round_trip_s: numbers[6],
            spawn_s: numbers[7],
            syscall_s: numbers[8],
            page_fault_s: numbers[9],
        }
    }
}

prop_compose! {
    fn any_declared()(
        has_some in any::<bool>(),
        numbers in vec(any_optional(), 36),
        power in 0.0..10.0,
        logs in 0..3,
        points in vec((any_number(), any_number()), 0..3),
    ) -> DeclaredWork {
        if !has_some {
            return DeclaredWork::default();
        }
        DeclaredWork {
            bytes: numbers[0],
            flops: numbers[1],
            read_bytes: numbers[2],
            write_bytes: numbers[3],
            reads: numbers[4],
            fsyncs: numbers[5],
            round_trips: numbers[6],
            service_s: numbers[7],
            round_trip_s: numbers[8],
            concurrency: numbers[9],
            longest_call_s: numbers[10],
            rate_limit: numbers[11],
            network_bytes: numbers[12],
            network_rate: numbers[13],
            rows: numbers[14],
            rows_rate: numbers[15],
            units: numbers[16],
            units_rate: numbers[17],
            critical_path_s: numbers[18],
            link_work: numbers[19],
            link_rate: numbers[20],
            parallel_fraction: numbers[21],
            processes: numbers[22],
            syscalls: numbers[23],
            pages: numbers[24],
            n: numbers[25],
            complexity: Some(Complexity::Polynomial { power, logs }),
            step_s: numbers[26],
            points,
            gpu_flops: numbers[27],
            gpu_flops_rate: numbers[28],
            gpu_bytes: numbers[29],
            gpu_bytes_rate: numbers[30],
            pcie_bytes: numbers[31],
            pcie_rate: numbers[32],
            kernels: numbers[33],
            launch_s: numbers[34],
        }
    }
}

prop_compose! {
    fn any_observed()(
        seconds in vec(any_number(), 3),
        counts in vec(any_optional(), 5),
        class in proptest::sample::select(&ALL_CLASSES[..]),
        shares in vec((proptest::sample::select(&ALL_CLASSES[..]), any_number()), 0..5),
    ) -> Observed {
        Observed {
            wall_s: seconds[0],
            wall_s_min: seconds[1],
            cpu_s: seconds[2],
            read_bytes: counts[0],
            processes: counts[1],
            pages: counts[2],
            fsyncs: counts[3],
            syscalls: counts[4],
            class,
            shares,
        }
    }
}

proptest! {
    #[test]
    fn a_floor_is_never_above_the_best_measured_time(
        observed in any_observed(),
        declared in any_declared(),
        rates in any_rates(),
        cores in 0usize..1024,
    ) {
        let best = observed.wall_s_min;
        let floor = floor(&Work { declared, observed }, &rates, cores);
        let best = if best.is_finite() && best > 0.0 { best } else { 0.0 };
        prop_assert!(floor.seconds >= 0.0 && floor.seconds <= best, "{floor:?}");
        prop_assert!(floor.ratio >= 1.0 && floor.ratio.is_finite(), "{floor:?}");
        prop_assert_eq!(floor.situation, Situation::of(floor.ratio));
        prop_assert!(floor.candidates.iter().all(|bound| bound.seconds.is_finite() && bound.seconds >= 0.0));
        prop_assert!(floor.candidates.iter().any(|bound| bound.name == floor.binds && !bound.avoidable));
        prop_assert!(!floor.assumptions.is_empty());
    }

    /// More of anything never lowers a declared floor.
    #[test]
    fn more_work_takes_no_less(
        declared in any_declared(),
        bytes in 1.0..1e15,
        more in 1.0..1e3,
        cores in 1usize..64,
    ) {
        let observed = second(1e12, Class::CpuNative, &[]);
        let observed = Observed { wall_s: 1e300, wall_s_min: 1e300, ..observed };
        let of = |declared: &DeclaredWork| {
            floor(&Work { declared: declared.clone(), observed: observed.clone() }, &rates(), cores).seconds
        };
        let declared = DeclaredWork { bytes: Some(bytes), ..declared };
        let larger = DeclaredWork { bytes: Some(bytes * more), ..declared.clone() };
        prop_assert!(of(&larger) >= of(&declared));
    }
}
