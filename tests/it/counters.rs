//! What the CPU counts of a run, as far as this machine lets it.

use std::path::Path;

use perfup::sys::perf;
use perfup::sys::wire::{CounterRequest, PerfEvent, RunEnd, RunRequest};

use crate::runner::{Scene, run};

/// `PERF_TYPE_SOFTWARE` events go the way of the hardware's, and every machine has them.
fn software_counter(name: &str, config: u64) -> CounterRequest {
    CounterRequest { name: name.to_owned(), events: vec![PerfEvent { kind: 1, config }] }
}

const TASK_CLOCK: u64 = 1;
const PAGE_FAULTS: u64 = 2;

#[test]
fn counters_see_the_whole_tree_and_nothing_else() {
    let refuses = |offer: &Result<_, perfup::sys::wire::Refused>| {
        offer.as_ref().is_err_and(|refused| refused.reason.contains("refuses"))
    };
    let scene = Scene::new();
    let counters = vec![
        software_counter("faults", PAGE_FAULTS),
        software_counter("clock", TASK_CLOCK),
        // No CPU has this one.
        CounterRequest { name: "none".to_owned(), events: vec![PerfEvent { kind: 0, config: 0xffff }] },
    ];
    let count = |line: &str| run(&RunRequest { counters: counters.clone(), ..scene.shell(line) });
    let small = count("true");
    if perf::hardware().iter().any(|(_, offer)| refuses(offer)) {
        assert!(small.counts.is_empty(), "{small:?}");
        return;
    }
    // Grandchildren, one of them an orphan in a session of its own.
    let large = count(
        "i=0; while [ $i -lt 30 ]; do /bin/true; i=$((i+1)); done; setsid sh -c '/bin/true; /bin/true' &",
    );
    for record in [&small, &large] {
        let all = record.minor_faults + record.major_faults;
        let faults = record.counts["faults"];
        // Faults within the kernel, for example while it lays out a program, are left out.
        assert!(faults <= all && faults * 4 >= all, "{faults} of {all}");
        let cpu_ns = record.user_ns + record.sys_ns;
        // What runs before a program is executed is not counted; ticks and rounding take their share as well.
        assert!(record.counts["clock"] <= 2 * cpu_ns + 20_000_000, "{record:?}");
        assert!(!record.counts.contains_key("none"), "{record:?}");
    }
    assert!(large.counts["faults"] > 5 * small.counts["faults"], "{small:?} {large:?}");
    assert!(large.counts["clock"] > small.counts["clock"], "{small:?} {large:?}");
}

#[test]
fn a_counter_that_is_refused_leaves_the_run_as_it_is() {
    let scene = Scene::new();
    let none = PerfEvent { kind: 0, config: 0xffff };
    // One kind of core that cannot be counted makes the sum wrong, so there is none.
    let mut mixed = software_counter("mixed", PAGE_FAULTS);
    mixed.events.push(none);
    let record = run(&RunRequest { counters: vec![mixed], energy: true, ..scene.request(&["true"]) });
    assert_eq!(record.end, RunEnd::Exited(0));
    assert!(record.counts.is_empty(), "{record:?}");
    if !Path::new("/sys/class/powercap/intel-rapl:0").exists() {
        assert_eq!(record.energy_uj, None);
    }
}
