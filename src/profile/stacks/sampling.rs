//! The source of native call stacks: where the threads of a process tree are while they are on a CPU.
//!
//! A thread of this process reads what the kernel has sampled, ten times a second, and keeps places in files; names are
//! looked up when the watching has ended.
//!
//! What it cannot show: stacks follow frame pointers, so in code that was compiled without them the function that runs is
//! right and its callers may be missing, and so may the caller of a function that needs no frame of its own. And a
//! process that uses less than a millisecond of CPU ends before its first sample, while each such child resets the clock
//! of its parent: where [`Stacks::seconds`] are far from the CPU time used, the samples do not stand for the whole.

use std::collections::HashMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use super::gather::{Call, Gathered};
use super::spaces::{Spaces, parse_maps};
use super::symbols::{self, Modules};
use super::{Builder, Sample, Stacks, Thread};
use crate::profile::{Absent, Availability, Observation, Recording, Source, Target};
use crate::sys::perf_records::{Event, What, events};
use crate::sys::perf_sampling::{self as perf, Depth};
use crate::sys::procfs;

/// Between two looks at the rings, unless they fill up faster.
const INTERVAL_MAX: Duration = Duration::from_millis(100);

const INTERVAL_MIN: Duration = Duration::from_millis(5);

/// From this part of a ring on, looks come sooner.
const FULL: f64 = 0.25;

/// Processes that are followed at most when one attaches to a tree.
const PROCESSES_MAX: usize = 1024;

/// The source.
pub(crate) struct Sampler;

impl Source for Sampler {
    fn id(&self) -> &'static str {
        "stacks"
    }

    fn gives(&self) -> &'static str {
        "call stacks of all threads on a CPU, 999 times a second"
    }

    fn probe(&self) -> Availability {
        match perf::Sampling::probe() {
            Ok(depth) => seen(depth, symbols::kernel_is_named()),
            Err(error) => Availability::Unavailable(absent(&error, perf::paranoia())),
        }
    }

    fn start(&self, target: Target) -> Result<Box<dyn Recording>, Absent> {
        let begin = SystemTime::now();
        let (sampling, threads, begin) = match target {
            Target::Below(runner) => (perf::Sampling::below(runner), Vec::new(), begin),
            Target::Process(pid) => {
                let threads = threads_of_tree(pid);
                let tids: Vec<u32> = threads.iter().map(|(_, tid)| *tid).collect();
                (perf::Sampling::of(&tids), threads, SystemTime::UNIX_EPOCH)
            }
        };
        let sampling = sampling.map_err(|error| match target {
            Target::Process(pid) => cannot_attach(pid, &error, perf::paranoia()),
            Target::Below(_) => absent(&error, perf::paranoia()),
        })?;
        if sampling.left_out() > 0 {
            tracing::debug!(threads = sampling.left_out(), "Not all threads are sampled.");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = thread::Builder::new().name("stacks".to_owned()).spawn(move || {
            let mut reader = Reader::new(sampling, begin);
            threads.iter().flat_map(|&(pid, tid)| known(pid, tid)).for_each(|event| reader.follow(&event));
            reader.run(&stopped)
        });
        match reader {
            Ok(reader) => Ok(Box::new(Sampling { stop, reader })),
            Err(error) => Err(absent(&error, None)),
        }
    }
}

/// All threads of a process and of those below it, with their processes; the busiest first, for not all may be watched.
fn threads_of_tree(pid: u32) -> Vec<(u32, u32)> {
    let processes = std::iter::once(pid).chain(procfs::descendants(pid)).take(PROCESSES_MAX);
    let mut threads: Vec<(u64, u32, u32)> = processes
        .flat_map(|pid| procfs::threads(pid).into_iter().map(move |tid| (pid, tid)))
        .map(|(pid, tid)| {
            let on_cpu_ns = procfs::thread_schedule(pid, tid).map_or(0, |schedule| schedule.on_cpu_ns);
            (on_cpu_ns, pid, tid)
        })
        .collect();
    threads.sort_unstable_by(|a, b| b.cmp(a));
    threads.into_iter().map(|(_, pid, tid)| (pid, tid)).collect()
}

/// What the kernel would have told of a thread that runs already.
fn known(pid: u32, tid: u32) -> Vec<Event> {
    let of = |what| Event { pid, tid, time_ns: 0, what };
    let name = fs::read(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim_end().to_owned();
    let mut events = vec![of(What::Name { name, by_exec: false })];
    if pid == tid {
        let maps = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        events.extend(parse_maps(&String::from_utf8_lossy(&maps)).map(|mapping| of(What::Mapping(mapping))));
    }
    events
}

/// A recording.
struct Sampling {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Recorded>,
}

impl Recording for Sampling {
    fn stop(self: Box<Self>) -> Observation {
        self.stop.store(true, Ordering::Release);
        self.reader.thread().unpark();
        // Whoever panicked, over a file that no compiler wrote, saw nothing.
        let named = self
            .reader
            .join()
            .and_then(|recorded| panic::catch_unwind(AssertUnwindSafe(|| recorded.stacks())));
        Observation::Stacks(named.unwrap_or_default())
    }
}

/// Reads the rings.
struct Reader {
    sampling: perf::Sampling,
    begin: SystemTime,
    buffers: Vec<Vec<u8>>,
    order: Order,
    spaces: Spaces,
    modules: Modules,
    gathered: Gathered,
}

impl Reader {
    fn new(sampling: perf::Sampling, begin: SystemTime) -> Self {
        Self {
            sampling,
            begin,
            buffers: Vec::new(),
            order: Order::default(),
            spaces: Spaces::default(),
            modules: Modules::default(),
            gathered: Gathered::default(),
        }
    }

    fn run(mut self, stop: &AtomicBool) -> Recorded {
        let mut interval = INTERVAL_MAX;
        while !stop.load(Ordering::Acquire) {
            thread::park_timeout(interval);
            let fill = self.drain();
            interval = if fill > FULL { interval / 2 } else { interval * 2 };
            interval = interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        }
        self.drain();
        for event in self.order.rest() {
            self.follow(&event);
        }
        let begin_ns = self.sampling.begin_ns();
        Recorded { begin: self.begin, begin_ns, modules: self.modules, gathered: self.gathered }
    }

    fn drain(&mut self) -> f64 {
        let fill = self.sampling.drain(&mut self.buffers);
        let fresh = self.buffers.iter().flat_map(|bytes| events(bytes)).collect();
        self.buffers.iter_mut().for_each(Vec::clear);
        for event in self.order.next(fresh) {
            self.follow(&event);
        }
        fill
    }

    fn follow(&mut self, event: &Event) {
        match &event.what {
            What::Sample(chain) => {
                let places = self.spaces.places(event.pid, chain);
                self.gathered.add(event.time_ns, self.spaces.task(event), &places);
            }
            What::Lost(count) => self.gathered.lost += count,
            _ => {
                self.spaces.apply(event);
                self.modules.follow(self.spaces.modules());
            }
        }
    }
}

/// What was seen, without names.
struct Recorded {
    /// Lists of names that are older belong to other processes.
    begin: SystemTime,
    /// When it began, on the clock of the samples.
    begin_ns: u64,
    modules: Modules,
    gathered: Gathered,
}

impl Recorded {
    /// Looks up the names.
    fn stacks(&self) -> Stacks {
        let Gathered { calls, tasks, looks, lost, .. } = &self.gathered;
        let named = symbols::frames(calls.iter().map(|call| call.place), &self.modules, self.begin);
        let mut builder = Builder::default();
        let frames: HashMap<_, Vec<u32>> = named
            .into_iter()
            .map(|(place, frames)| (place, frames.into_iter().map(|frame| builder.frame(frame)).collect()))
            .collect();
        let mut leaves: Vec<Option<u32>> = Vec::with_capacity(calls.len());
        for Call { caller, place } in calls {
            let caller = caller.and_then(|caller| leaves[caller as usize]);
            leaves.push(builder.below(caller, frames[place].iter().copied()));
        }
        let threads: Vec<u32> = tasks
            .iter()
            .map(|task| builder.thread(Thread { pid: task.pid, tid: task.tid, name: task.name.to_string() }))
            .collect();
        let period_s = 1.0 / f64::from(perf::FREQUENCY_HZ);
        for look in looks {
            let Some(leaf) = leaves[look.leaf as usize] else { continue };
            builder.sample(Sample {
                at_s: look.time_ns.saturating_sub(self.begin_ns) as f64 / 1e9,
                weight_s: f64::from(look.count) * period_s,
                thread: threads[look.task as usize],
                leaf,
                running: true,
            });
        }
        builder.lost(*lost);
        builder.finish()
    }
}

/// Puts the events of all CPUs in the order of time.
///
/// The rings are read one after another, so what was read from one may be younger than what the next one is about to
/// hold. But what is older than everything seen in the round before has been read by now.
#[derive(Debug, Default)]
struct Order {
    waiting: Vec<Event>,
    /// The youngest event of the last round.
    seen_ns: u64,
}

impl Order {
    /// Takes the events of a round, each CPU's in order; gives those after which nothing older can come.
    fn next(&mut self, fresh: Vec<Event>) -> Vec<Event> {
        let youngest = fresh.iter().map(|event| event.time_ns).fold(self.seen_ns, u64::max);
        self.waiting.extend(fresh);
        // Stable: events of one instant and CPU stay as they were.
        self.waiting.sort_by_key(|event| event.time_ns);
        let ready = self.waiting.partition_point(|event| event.time_ns <= self.seen_ns);
        self.seen_ns = youngest;
        self.waiting.drain(..ready).collect()
    }

    fn rest(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.waiting)
    }
}

/// What a source that works here shows.
fn seen(depth: Depth, kernel_is_named: bool) -> Availability {
    let degraded = |reason: &str, remedy: &str| {
        Availability::Degraded(Absent { reason: reason.to_owned(), remedy: remedy.to_owned() })
    };
    match (depth, kernel_is_named) {
        (Depth::WithKernel, true) => Availability::Usable,
        (Depth::WithKernel, false) => degraded(
            "the names of kernel functions are hidden (kernel.kptr_restrict)",
            "Show them with: sudo sysctl kernel.kptr_restrict=0",
        ),
        (Depth::UserOnly, _) => degraded(
            "user frames only: kernel.perf_event_paranoid is above 1 and no CAP_PERFMON",
            "Add kernel frames with: sudo sysctl kernel.perf_event_paranoid=1",
        ),
    }
}

/// Why nothing can be sampled, and what to do about it.
fn absent(error: &io::Error, paranoia: Option<i32>) -> Absent {
    let what = system_words(error);
    let (reason, remedy) = match (error.raw_os_error(), paranoia) {
        // Two is the most that lets users sample their own programs; Debian and Android know higher levels.
        (Some(libc::EACCES | libc::EPERM), Some(level)) if level > 2 => (
            format!("kernel.perf_event_paranoid={level} and no CAP_PERFMON"),
            "Allow with: sudo sysctl kernel.perf_event_paranoid=2",
        ),
        (Some(libc::EACCES | libc::EPERM), _) => (
            "a security policy refuses the call (the seccomp filter of a container, or a security module)"
                .to_owned(),
            "Allow with: docker run --cap-add PERFMON, or a seccomp profile that lets perf_event_open pass",
        ),
        (Some(libc::ENOSYS), _) => (
            "the kernel is built without CONFIG_PERF_EVENTS, or a container hides the call".to_owned(),
            "Run on another kernel, or with a seccomp profile that lets perf_event_open pass",
        ),
        (Some(libc::EMFILE | libc::ENFILE), _) => (
            "sampling takes a file descriptor for each CPU".to_owned(),
            "Raise the limit with: ulimit -n 4096",
        ),
        (Some(libc::ENOMEM), _) => (
            "no memory may be locked for the samples (RLIMIT_MEMLOCK)".to_owned(),
            "Raise the limit with: ulimit -l 1024",
        ),
        _ => ("it should work on Linux 4.1 and later".to_owned(), "Check with: perf record true"),
    };
    Absent { reason: format!("perf_event_open: {what}: {reason}. No call stacks"), remedy: remedy.to_owned() }
}

/// Why a process that runs already cannot be sampled.
fn cannot_attach(pid: u32, error: &io::Error, paranoia: Option<i32>) -> Absent {
    let (reason, remedy) = match error.raw_os_error() {
        Some(libc::ESRCH) => (format!("process {pid} has ended"), "Attach to one that runs"),
        Some(libc::EACCES | libc::EPERM) if paranoia.is_none_or(|level| level <= 2) => (
            format!("process {pid} belongs to another user, or forbids to be inspected"),
            "Run perfup as its user, or as root",
        ),
        _ => return absent(error, paranoia),
    };
    let what = system_words(error);
    Absent { reason: format!("perf_event_open: {what}: {reason}. No call stacks"), remedy: remedy.to_owned() }
}

/// What the system says, without the number that Rust adds.
fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_refusal_says_why_and_what_to_do() {
        let check = |errno: i32, paranoia: Option<i32>, reason: &str, remedy: &str| {
            let found = absent(&io::Error::from_raw_os_error(errno), paranoia);
            assert_eq!((found.reason.as_str(), found.remedy.as_str()), (reason, remedy));
        };
        check(
            libc::EACCES,
            Some(4),
            "perf_event_open: Permission denied: kernel.perf_event_paranoid=4 and no CAP_PERFMON. No call stacks",
            "Allow with: sudo sysctl kernel.perf_event_paranoid=2",
        );
        check(
            libc::EPERM,
            Some(2),
            "perf_event_open: Operation not permitted: a security policy refuses the call (the seccomp filter of a \
             container, or a security module). No call stacks",
            "Allow with: docker run --cap-add PERFMON, or a seccomp profile that lets perf_event_open pass",
        );
        check(
            libc::ENOSYS,
            None,
            "perf_event_open: Function not implemented: the kernel is built without CONFIG_PERF_EVENTS, or a container \
             hides the call. No call stacks",
            "Run on another kernel, or with a seccomp profile that lets perf_event_open pass",
        );
        for errno in [libc::EMFILE, libc::ENOMEM, libc::EINVAL, libc::ENOENT] {
            let found = absent(&io::Error::from_raw_os_error(errno), Some(2));
            assert!(!found.remedy.is_empty() && !found.reason.contains("os error"), "{found:?}");
        }
    }

    #[test]
    fn another_users_process_is_told_from_a_strict_kernel() {
        let reason =
            |errno: i32, paranoia| cannot_attach(7, &io::Error::from_raw_os_error(errno), paranoia).reason;
        assert!(reason(libc::EACCES, Some(2)).contains("process 7 belongs to another user"));
        assert!(reason(libc::EACCES, Some(3)).contains("perf_event_paranoid=3"));
        assert!(reason(libc::ESRCH, Some(2)).contains("process 7 has ended"));
    }

    #[test]
    fn what_is_missing_of_the_kernel_is_said() {
        assert_eq!(seen(Depth::WithKernel, true), Availability::Usable);
        let Availability::Degraded(hidden) = seen(Depth::WithKernel, false) else { panic!() };
        assert!(hidden.remedy.contains("kptr_restrict"));
        let Availability::Degraded(user_only) = seen(Depth::UserOnly, true) else { panic!() };
        assert!(user_only.reason.starts_with("user frames only") && user_only.remedy.contains("paranoid=1"));
    }

    proptest! {
        /// Each CPU writes in order; a round reads one after another, and meanwhile all go on writing.
        #[test]
        fn events_of_all_cpus_come_in_the_order_of_time(
            gaps in prop::collection::vec((0_usize..3, 1_u64..5), 0..60),
            rounds in prop::collection::vec(prop::collection::vec(0_u64..30, 3), 1..8),
        ) {
            let mut cpus: [Vec<u64>; 3] = Default::default();
            let mut now = 0;
            for (cpu, gap) in gaps {
                now += gap;
                cpus[cpu].push(now);
            }
            let mut order = Order::default();
            let mut given = Vec::new();
            let mut clock = 0;
            let mut read = [0; 3];
            for round in rounds {
                let mut fresh = Vec::new();
                for cpu in 0..3 {
                    clock += round[cpu];
                    let upto = cpus[cpu].partition_point(|time| *time <= clock);
                    fresh.extend(cpus[cpu][read[cpu]..upto].iter().map(|&time_ns| Event {
                        pid: 1,
                        tid: 1,
                        time_ns,
                        what: What::Ended,
                    }));
                    read[cpu] = upto;
                }
                given.extend(order.next(fresh).iter().map(|event| event.time_ns));
            }
            given.extend(order.rest().iter().map(|event| event.time_ns));
            prop_assert!(given.is_sorted(), "{given:?}");
            prop_assert_eq!(given.len(), read.iter().sum::<usize>());
        }
    }
}
