//! Which file each address of each process shows, at the moment of the sample.
//!
//! A program that has ended leaves no `/proc/PID/maps`, and one that executes another has new ones: so the kernel's own
//! records are followed, and an address becomes a place in a file at once. Places of different processes that run the same
//! program are equal.
//!
//! **Invariant**: pure; the addresses and names of a process are forgotten with its last thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::sys::perf_records::{Address, Event, Mapping, What};

/// Where code lies, whoever runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Position in a file of [`Spaces::modules`].
    File {
        module: u32,
        offset: u64,
    },
    /// Memory that the process has filled itself.
    Made {
        pid: u32,
        address: u64,
    },
    Kernel(u64),
    /// No executable memory is known there.
    Nowhere,
}

/// A thread as it is called now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Task {
    pub pid: u32,
    pub tid: u32,
    pub name: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    end: u64,
    /// Absent for memory without a file.
    module: Option<u32>,
    offset: u64,
}

/// Regions by where they start; they do not overlap.
type Regions = BTreeMap<u64, Region>;

#[derive(Debug, Default)]
struct Process {
    /// Shared with the processes it has forked, as long as neither gets other memory.
    regions: Arc<Regions>,
    threads: u32,
}

/// The address spaces of all processes that were seen and have not ended.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    processes: HashMap<u32, Process>,
    tasks: HashMap<u32, Task>,
    modules: Vec<String>,
    module_ids: HashMap<String, u32>,
}

impl Spaces {
    /// Paths of all files whose code was mapped.
    pub fn modules(&self) -> &[String] {
        &self.modules
    }

    /// Follows what happened; samples change nothing.
    pub fn apply(&mut self, event: &Event) {
        match &event.what {
            What::Mapping(mapping) => self.map(event.pid, mapping),
            What::Name { name, by_exec } => {
                if *by_exec {
                    self.process(event.pid).regions = Arc::default();
                }
                self.name(event.pid, event.tid, name);
            }
            What::Started { parent_pid, parent_tid } => {
                let name = self.tasks.get(parent_tid).map_or_else(|| "".into(), |task| task.name.clone());
                if event.pid != *parent_pid {
                    let regions = self.process(*parent_pid).regions.clone();
                    self.process(event.pid).regions = regions;
                }
                self.name(event.pid, event.tid, &name);
            }
            What::Ended => self.end(event.pid, event.tid),
            What::Sample(_) | What::Lost(_) => {}
        }
    }

    fn process(&mut self, pid: u32) -> &mut Process {
        self.processes.entry(pid).or_default()
    }

    fn name(&mut self, pid: u32, tid: u32, name: &str) {
        let task = Task { pid, tid, name: name.into() };
        if self.tasks.insert(tid, task).is_none() {
            self.process(pid).threads += 1;
        }
    }

    fn end(&mut self, pid: u32, tid: u32) {
        if self.tasks.remove(&tid).is_none() {
            return;
        }
        let process = self.process(pid);
        process.threads = process.threads.saturating_sub(1);
        if process.threads == 0 {
            self.processes.remove(&pid);
        }
    }

    fn map(&mut self, pid: u32, mapping: &Mapping) {
        let Some(end) = mapping.start.checked_add(mapping.length).filter(|_| mapping.length > 0) else {
            return;
        };
        let module = is_file(&mapping.path).then(|| self.module(&mapping.path));
        let region = Region { end, module, offset: mapping.offset };
        let regions = Arc::make_mut(&mut self.process(pid).regions);
        make_room(regions, mapping.start, end);
        regions.insert(mapping.start, region);
    }

    fn module(&mut self, path: &str) -> u32 {
        if let Some(&id) = self.module_ids.get(path) {
            return id;
        }
        let id = self.modules.len() as u32;
        self.modules.push(path.to_owned());
        self.module_ids.insert(path.to_owned(), id);
        id
    }

    /// The thread of an event; one that was never named is called by its number.
    pub fn task(&self, event: &Event) -> Task {
        let known = self.tasks.get(&event.tid).filter(|task| task.pid == event.pid);
        let unnamed =
            || Task { pid: event.pid, tid: event.tid, name: format!("process {}", event.pid).into() };
        known.cloned().unwrap_or_else(unnamed)
    }

    /// The places of a call chain, innermost first. A program that was compiled without frame pointers leaves nonsense in
    /// it: it ends before the first address that is no code.
    pub fn places(&self, pid: u32, chain: &[Address]) -> Vec<Place> {
        let regions = self.processes.get(&pid).map(|process| &*process.regions);
        let mut places = Vec::with_capacity(chain.len());
        let mut is_innermost = true;
        for entry in chain {
            if entry.is_kernel {
                places.push(Place::Kernel(entry.address));
                continue;
            }
            match regions.and_then(|regions| place(regions, pid, entry.address)) {
                Some(place) => places.push(place),
                None if is_innermost => places.push(Place::Nowhere),
                None => break,
            }
            is_innermost = false;
        }
        places
    }
}

fn place(regions: &Regions, pid: u32, address: u64) -> Option<Place> {
    let (start, region) = regions.range(..=address).next_back().filter(|(_, region)| address < region.end)?;
    Some(match region.module {
        Some(module) => Place::File { module, offset: region.offset.wrapping_add(address - start) },
        None => Place::Made { pid, address },
    })
}

/// Cuts what lies between two addresses out of all regions.
fn make_room(regions: &mut Regions, start: u64, end: u64) {
    let overlapping: Vec<u64> =
        regions.range(..end).rev().take_while(|(_, region)| region.end > start).map(|(at, _)| *at).collect();
    for at in overlapping {
        let Some(old) = regions.remove(&at) else { continue };
        if at < start {
            regions.insert(at, Region { end: start, ..old });
        }
        if old.end > end {
            regions.insert(end, Region { offset: old.offset.wrapping_add(end - at), ..old });
        }
    }
}

/// Whether executable memory shows a file, as opposed to what the process wrote there. The kernel's own pages, like
/// `[vdso]`, count as a file; memory that is shared to be written to elsewhere does not.
fn is_file(path: &str) -> bool {
    let made =
        ["//anon", "[anon", "[heap]", "[stack", "/memfd:", "/dev/zero", "/SYSV", "/dev/shm/", "anon_inode:"];
    !path.is_empty() && !made.iter().any(|start| path.starts_with(start))
}

/// Executable memory by `/proc/PID/maps`, for a process that runs already.
pub(super) fn parse_maps(text: &str) -> impl Iterator<Item = Mapping> {
    text.lines().filter_map(|line| {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        let is_executable = words.next()?.contains('x');
        let offset = number(words.next()?)?;
        let path = words.nth(2)?.trim_start();
        let length = end.checked_sub(start)?;
        is_executable.then(|| Mapping { start, length, offset, path: path.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(pid: u32, tid: u32, what: What) -> Event {
        Event { pid, tid, time_ns: 0, what }
    }

    fn mapping(start: u64, length: u64, offset: u64, path: &str) -> What {
        What::Mapping(Mapping { start, length, offset, path: path.to_owned() })
    }

    fn named(name: &str, by_exec: bool) -> What {
        What::Name { name: name.to_owned(), by_exec }
    }

    fn user(addresses: &[u64]) -> Vec<Address> {
        addresses.iter().map(|&address| Address { is_kernel: false, address }).collect()
    }

    #[test]
    fn addresses_become_places_in_files() {
        let mut spaces = Spaces::default();
        spaces.apply(&event(1, 1, named("a", true)));
        spaces.apply(&event(1, 1, mapping(0x1000, 0x1000, 0x400, "/bin/a")));
        spaces.apply(&event(1, 1, mapping(0x5000, 0x1000, 0, "//anon")));
        let file = |offset| Place::File { module: 0, offset };
        let made = Place::Made { pid: 1, address: 0x5008 };
        let kernel = [Address { is_kernel: true, address: 7 }];
        let check = |chain: &[Address], expected: &[Place]| {
            assert_eq!(spaces.places(1, chain), expected, "{chain:?}")
        };
        check(&user(&[0x1010, 0x5008, 0x1020]), &[file(0x410), made, file(0x420)]);
        // Frame pointers that are none end the chain, but the leaf is kept.
        check(&user(&[0x1010, 0x9999, 0x1020]), &[file(0x410)]);
        check(&user(&[0x2000, 0x1020]), &[Place::Nowhere, file(0x420)]);
        check(&[&kernel[..], &user(&[0x1010])].concat(), &[Place::Kernel(7), file(0x410)]);
        assert_eq!(spaces.places(2, &user(&[0x1010])), [Place::Nowhere]);
    }

    #[test]
    fn a_child_has_its_parents_memory_until_it_executes_something() {
        let mut spaces = Spaces::default();
        spaces.apply(&event(1, 1, named("a", true)));
        spaces.apply(&event(1, 1, mapping(0x1000, 0x1000, 0, "/bin/a")));
        spaces.apply(&event(2, 2, What::Started { parent_pid: 1, parent_tid: 1 }));
        let leaf = |spaces: &Spaces, pid| spaces.places(pid, &user(&[0x1010]))[0];
        let in_a = Place::File { module: 0, offset: 0x10 };
        assert_eq!((leaf(&spaces, 2), &*spaces.task(&event(2, 2, What::Ended)).name), (in_a, "a"));
        spaces.apply(&event(2, 2, named("b", true)));
        spaces.apply(&event(2, 2, mapping(0x1000, 0x1000, 0, "/bin/b")));
        assert_eq!(leaf(&spaces, 2), Place::File { module: 1, offset: 0x10 });
        assert_eq!(
            (leaf(&spaces, 1), spaces.modules()),
            (in_a, &["/bin/a".to_owned(), "/bin/b".to_owned()][..])
        );
    }

    #[test]
    fn a_process_is_forgotten_with_its_last_thread() {
        let mut spaces = Spaces::default();
        spaces.apply(&event(1, 1, named("a", true)));
        spaces.apply(&event(1, 1, mapping(0x1000, 0x1000, 0, "/bin/a")));
        spaces.apply(&event(1, 5, What::Started { parent_pid: 1, parent_tid: 1 }));
        spaces.apply(&event(1, 5, named("worker", false)));
        spaces.apply(&event(1, 1, What::Ended));
        assert_ne!(spaces.places(1, &user(&[0x1010])), [Place::Nowhere]);
        assert_eq!(&*spaces.task(&event(1, 5, What::Ended)).name, "worker");
        spaces.apply(&event(1, 5, What::Ended));
        spaces.apply(&event(1, 5, What::Ended));
        assert!(spaces.processes.is_empty() && spaces.tasks.is_empty());
        assert_eq!(&*spaces.task(&event(1, 5, What::Ended)).name, "process 1");
    }

    #[test]
    fn maps_of_a_running_process_are_read() {
        let text = "55-66 r-xp 00001000 08:01 12   /a b/c (deleted)\n66-77 rw-p 00 00:00 0 [heap]\n77-88 r-xp 00 00:00 0 \nx\n";
        let found: Vec<Mapping> = parse_maps(text).collect();
        let of = |start, offset, path: &str| Mapping { start, length: 0x11, offset, path: path.to_owned() };
        assert_eq!(found, [of(0x55, 0x1000, "/a b/c (deleted)"), of(0x77, 0, "")]);
        let own = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(parse_maps(&own).any(|mapping| mapping.path == "[vdso]"));
    }

    proptest! {
        #[test]
        fn the_last_mapping_of_an_address_counts(
            mappings in prop::collection::vec((0_u64..60, 1_u64..30, 0_u64..4), 1..20),
            address in 0_u64..90,
        ) {
            let mut spaces = Spaces::default();
            for (start, length, file) in &mappings {
                spaces.apply(&event(1, 1, mapping(*start, *length, 1000 * file, &format!("/{file}"))));
            }
            let last = mappings.iter().rev().find(|(start, length, _)| (*start..start + length).contains(&address));
            let place = spaces.places(1, &user(&[address]))[0];
            match last {
                None => prop_assert_eq!(place, Place::Nowhere),
                Some((start, _, file)) => {
                    let Place::File { module, offset } = place else { panic!("{place:?}") };
                    prop_assert_eq!(&spaces.modules()[module as usize], &format!("/{file}"));
                    prop_assert_eq!(offset, 1000 * file + address - start);
                }
            }
        }
    }
}
