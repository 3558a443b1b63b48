//! Hardware counters of a whole process tree, through `perf_event_open`.
//!
//! A counter is opened on this process, switched off, and inherited by every child; the kernel switches a child's copy
//! on when the child executes a program. So this process is never counted, and everything that the program starts is.
//! Only user mode is counted, which is all that `kernel.perf_event_paranoid` = 2 (the default) allows.
//!
//! **Invariant**: a counter that did not run is absent, never zero.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::perf_event::{self, Attributes, Flag};
use super::wire::{CounterRequest, PerfEvent, Refused};

/// `PERF_TYPE_HARDWARE` of `linux/perf_event.h`, and two of its events.
const HARDWARE: u32 = 0;
const CYCLES: u64 = 0;
const INSTRUCTIONS: u64 = 1;

/// The kind of core that a general event is meant for stands in its upper half (`PERF_PMU_TYPE_SHIFT`).
const CORE_KIND_SHIFT: u32 = 32;

/// The kinds of core of a hybrid CPU, as the kernel names their counters.
const CORE_KINDS: &[&str] = &["cpu_core", "cpu_atom"];

/// `PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING`.
const READ_TIMES: u64 = 0b11;

/// What one event has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub value: u64,
    /// Time in which it should have counted, summed over all threads.
    pub enabled_ns: u64,
    /// Time in which it did: less when more events are asked for than the CPU has counters.
    pub running_ns: u64,
}

/// The count that several events, one for each kind of core, stand for: what they saw, scaled to the whole time.
/// Absent when they never ran.
#[must_use]
pub fn total(readings: &[Reading]) -> Option<u64> {
    // All events of a counter are enabled together, but each one runs only on its own kind of core.
    let enabled = readings.iter().map(|reading| u128::from(reading.enabled_ns)).max()?;
    let running: u128 = readings.iter().map(|reading| u128::from(reading.running_ns)).sum();
    let value: u128 = readings.iter().map(|reading| u128::from(reading.value)).sum();
    if running == 0 {
        return None;
    }
    let scaled = if running >= enabled { value } else { (value * enabled + running / 2) / running };
    u64::try_from(scaled).ok()
}

/// One event of this process's children.
#[derive(Debug)]
struct Open(File);

impl Open {
    /// For the programs that children execute; or for this thread itself, at once.
    fn new(event: PerfEvent, on_exec: bool) -> io::Result<Self> {
        let mut flags = vec![Flag::ExcludeKernel, Flag::ExcludeHypervisor];
        if on_exec {
            flags.extend([Flag::Disabled, Flag::Inherit, Flag::EnableOnExec]);
        }
        let mut attributes = Attributes::new(event.kind, event.config, &flags);
        attributes.read_format = READ_TIMES;
        perf_event::open(&attributes, None, None).map(Self)
    }

    fn read(&self) -> io::Result<Reading> {
        let mut bytes = [0; 24];
        (&self.0).read_exact(&mut bytes)?;
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
        let mut next = || words.next().unwrap_or(0);
        Ok(Reading { value: next(), enabled_ns: next(), running_ns: next() })
    }
}

/// The counters of one run.
#[derive(Debug)]
pub struct Counters(Vec<(String, Vec<Open>)>);

impl Counters {
    /// Opens what is asked for, before the program is started; those that the system refuses are left out.
    #[must_use]
    pub fn open(requests: &[CounterRequest]) -> Self {
        let open = |request: &CounterRequest| {
            let events = request.events.iter().map(|&event| Open::new(event, true));
            Some((request.name.clone(), events.collect::<io::Result<_>>().ok()?))
        };
        Self(requests.iter().filter_map(open).collect())
    }

    /// Counts of the whole tree, by name; those that never ran are left out.
    pub fn read(&self) -> impl Iterator<Item = (String, u64)> {
        self.0.iter().filter_map(|(name, events)| {
            let readings = events.iter().map(Open::read).collect::<io::Result<Vec<_>>>().ok()?;
            Some((name.clone(), total(&readings)?))
        })
    }
}

/// The hardware counters to ask for, each with the reason where this machine refuses it.
#[must_use]
pub fn hardware() -> Vec<(&'static str, Result<CounterRequest, Refused>)> {
    let kinds = core_kinds(Path::new("/sys"));
    [("instructions", INSTRUCTIONS), ("cycles", CYCLES)]
        .into_iter()
        .map(|(name, config)| (name, probe(events(name, config, &kinds))))
        .collect()
}

/// One event for each kind of core, or one for all where there is but one kind.
fn events(name: &str, config: u64, kinds: &[u32]) -> CounterRequest {
    let general = PerfEvent { kind: HARDWARE, config };
    let of_kind =
        |&kind: &u32| PerfEvent { kind: HARDWARE, config: u64::from(kind) << CORE_KIND_SHIFT | config };
    let events = if kinds.is_empty() { vec![general] } else { kinds.iter().map(of_kind).collect() };
    CounterRequest { name: name.to_owned(), events }
}

/// The numbers of a hybrid CPU's kinds of core; none on any other.
fn core_kinds(sys: &Path) -> Vec<u32> {
    let kind = |name: &&str| {
        let path = sys.join("bus/event_source/devices").join(name).join("type");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    CORE_KINDS.iter().filter_map(kind).collect()
}

/// Counts a little work of this thread: some machines open a counter that then never runs.
fn probe(request: CounterRequest) -> Result<CounterRequest, Refused> {
    let counted = || -> io::Result<Option<u64>> {
        let open: Vec<Open> =
            request.events.iter().map(|&event| Open::new(event, false)).collect::<io::Result<_>>()?;
        std::hint::black_box((0..10_000_u64).fold(0, |sum, next| sum ^ std::hint::black_box(next)));
        let readings = open.iter().map(Open::read).collect::<io::Result<Vec<_>>>()?;
        Ok(total(&readings))
    };
    match counted() {
        Ok(Some(count)) if count > 0 => Ok(request),
        Ok(_) => Err(Refused {
            reason: "the CPU's counter opens but does not count".to_owned(),
            hint: Some(
                "another profiler may hold it; virtual machines may only pretend to have it".to_owned(),
            ),
        }),
        Err(error) => Err(refused(&error, perf_event::paranoia())),
    }
}

fn refused(error: &io::Error, paranoia: Option<i32>) -> Refused {
    let (reason, hint) = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP | libc::EINVAL) => (
            "this machine shows no hardware counters".to_owned(),
            "virtual machines often hide them: switch the virtual PMU on in the hypervisor, or measure on the bare \
             machine",
        ),
        Some(libc::EACCES | libc::EPERM) => (
            match paranoia {
                Some(level) => format!("the kernel refuses them (kernel.perf_event_paranoid is {level})"),
                None => "the kernel refuses them".to_owned(),
            },
            "`sudo sysctl kernel.perf_event_paranoid=2` allows them; in a container also let the system call \
             perf_event_open pass (Docker: --cap-add PERFMON)",
        ),
        Some(libc::ENOSYS) => (
            "the kernel is built without performance counters".to_owned(),
            "it takes a kernel with CONFIG_PERF_EVENTS, and a container that lets perf_event_open pass",
        ),
        _ => return Refused { reason: format!("a counter cannot be opened: {error}"), hint: None },
    };
    Refused { reason, hint: Some(hint.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: u64, enabled_ns: u64, running_ns: u64) -> Reading {
        Reading { value, enabled_ns, running_ns }
    }

    #[test]
    fn a_counter_that_ran_part_of_the_time_is_scaled_and_one_that_never_ran_is_absent() {
        let check = |readings: &[Reading], expected: Option<u64>| {
            assert_eq!(total(readings), expected, "{readings:?}")
        };
        check(&[reading(1000, 50, 50)], Some(1000));
        check(&[reading(1000, 100, 50)], Some(2000));
        check(&[reading(10, 3, 2)], Some(15));
        check(&[reading(0, 100, 50)], Some(0));
        check(&[reading(0, 100, 0)], None);
        check(&[reading(0, 0, 0)], None);
        check(&[], None);
        // Larger than what fits must not wrap around.
        check(&[reading(u64::MAX / 2, 1 << 40, 1 << 39)], Some(u64::MAX - 1));
        check(&[reading(u64::MAX, 100, 1)], None);
    }

    #[test]
    fn kinds_of_core_are_added_up() {
        // Three quarters of the time on one kind, a quarter on the other.
        let parts = [reading(900, 100, 75), reading(100, 100, 25)];
        assert_eq!(total(&parts), Some(1000));
        // And both shared their counters for half of it.
        let shared = [reading(450, 100, 38), reading(50, 100, 12)];
        assert_eq!(total(&shared), Some(1000));
    }

    #[test]
    fn hybrid_cpus_get_an_event_for_each_kind_of_core() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(core_kinds(sys.path()), [0; 0]);
        for (name, number) in [("cpu_core", "4\n"), ("cpu_atom", "10\n")] {
            let folder = sys.path().join("bus/event_source/devices").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("type"), number).unwrap();
        }
        let request = events("instructions", INSTRUCTIONS, &core_kinds(sys.path()));
        let configs: Vec<u64> = request.events.iter().map(|event| event.config).collect();
        assert_eq!(configs, [0x4_0000_0001, 0xa_0000_0001]);
    }

    #[test]
    fn reasons_say_what_to_do() {
        let check = |errno: i32, reason: &str, hint: &str| {
            let refused = refused(&io::Error::from_raw_os_error(errno), Some(3));
            assert!(refused.reason.contains(reason), "{refused:?}");
            assert!(refused.hint.as_deref().unwrap_or("").contains(hint), "{refused:?}");
        };
        check(libc::ENOENT, "no hardware counters", "PMU");
        check(libc::EACCES, "perf_event_paranoid is 3", "sysctl");
        check(libc::ENOSYS, "without performance counters", "CONFIG_PERF_EVENTS");
        check(libc::EMFILE, "cannot be opened", "");
    }

    #[test]
    fn what_this_machine_offers_counts_and_what_it_refuses_has_a_reason() {
        for (name, offer) in hardware() {
            match offer {
                Ok(request) => assert_eq!(request.name, name),
                Err(refused) => assert!(!refused.reason.is_empty(), "{name}"),
            }
        }
    }
}
