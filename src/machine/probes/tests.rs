//! This machine's probes, whatever the machine is and whoever else uses it.

use super::*;

#[test]
fn ids_are_unique_and_kebab_case() {
    let mut ids: Vec<&str> = ALL.iter().map(|probe| probe.id).collect();
    assert!(ids.iter().all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-')), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), ALL.len());
    assert!(ALL.iter().all(|probe| !probe.how.is_empty() && !probe.what.is_empty()));
}

/// Nothing on this earth is as slow or as fast as the ends of these ranges, also without optimisation and under load.
fn sane(unit: Unit) -> std::ops::Range<f64> {
    match unit {
        Unit::Seconds => 1e-10..10.0,
        Unit::BytesPerSecond => 1e4..1e14,
        Unit::FlopsPerSecond => 1e5..1e13,
        Unit::OperationsPerSecond => 0.1..1e9,
    }
}

#[test]
fn this_machine_is_probed_and_the_second_time_remembered() {
    let facts = Facts::read().unwrap();
    let (cache, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = ProbeStore::new(cache.path());
    let probes = |fresh| {
        let mut asked = 0;
        let before = || {
            asked += 1;
            Ok::<_, std::convert::Infallible>(())
        };
        let Ok((probes, kept)) = probes(&facts, folder.path(), &store, fresh, before);
        (probes, kept, asked)
    };
    assert_eq!(kept_probes(&facts, folder.path(), &store), None);
    let (first, kept, asked) = probes(false);
    assert_eq!(asked, 1);
    assert_eq!((kept.measured, &kept.unwritable), (2, &None));
    for probe in ALL {
        match first.reading(probe).unwrap() {
            Reading::Value { value, .. } => {
                assert!(sane(probe.unit).contains(value), "{}: {value}", probe.id);
            }
            Reading::Absent { reason } => {
                assert!(!reason.is_empty());
                println!("{} is absent: {reason}", probe.id);
            }
        }
    }
    for needed in [&compute::MULTIPLY_ADD, &memory::READ_ONE, &kernel::SYSCALL, &messages::PIPE] {
        assert!(first.value(needed).is_some(), "{:?}", first.reading(needed));
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing is left in the user's folder");
    let (second, kept, asked) = probes(false);
    assert_eq!((second, kept.is_cached(), asked), (first.clone(), true, 0));
    assert_eq!(kept_probes(&facts, folder.path(), &store), Some(first.clone()));
    let (third, kept, asked) = probes(true);
    assert_eq!((kept.is_cached(), asked), (false, 1));
    for probe in ALL {
        let (Some(before), Some(now)) = (first.value(probe), third.value(probe)) else { continue };
        assert_eq!(probe.unit.best(before, now).total_cmp(&now), std::cmp::Ordering::Equal, "{}", probe.id);
    }
}

#[test]
fn a_folder_that_cannot_be_written_costs_only_the_storage_probes() {
    let facts = Facts::read().unwrap();
    let bench = Bench::new(Path::new("/proc"), &facts);
    let set = bench.measure(Of::Device, &facts);
    for (id, reading) in &set.readings {
        assert!(
            matches!(reading, Reading::Absent { reason } if reason.contains("/proc")),
            "{id}: {reading:?}"
        );
    }
    assert_eq!(set.readings.len(), ALL.iter().filter(|probe| probe.of == Of::Device).count());
}

#[test]
fn the_better_of_two_readings_stays() {
    let value = |value| Reading::Value { value, note: None, flattered: None };
    let flattered = |value| Reading::Value { value, note: None, flattered: Some("so".to_owned()) };
    let absent = || Reading::Absent { reason: "no".to_owned() };
    let set = |call: Reading, rate: Reading| Set {
        measured_at: 2,
        load_1min: None,
        readings: [(kernel::SYSCALL.id, call), (memory::READ_ONE.id, rate)]
            .map(|(id, reading)| (id.to_owned(), reading))
            .into(),
    };
    let check = |mut now: Set, before: Set, expected: Set| {
        now.keep_better(before);
        assert_eq!(now, expected);
    };
    check(set(value(2.0), value(2.0)), set(value(1.0), value(1.0)), set(value(1.0), value(2.0)));
    check(set(absent(), value(2.0)), set(value(3.0), absent()), set(value(3.0), value(2.0)));
    check(set(absent(), absent()), set(absent(), absent()), set(absent(), absent()));
    let better = || set(flattered(1.0), flattered(9.0));
    let honest = || set(value(2.0), value(2.0));
    check(honest(), better(), honest());
    check(better(), honest(), honest());
    check(better(), better(), better());
}
