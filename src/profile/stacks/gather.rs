//! Samples as they come in, few bytes each: places in files, not names.
//!
//! **Invariant**: memory is bounded however long one watches. Above [`SAMPLES_MAX`] samples, equal stacks of a thread
//! within a window of time become one that stands for all of them; the window doubles until half of the room is free. So
//! an hour keeps every stack with its exact weight, and loses only at which instant within a window each was seen. What
//! finds no place even then is counted as lost.

use std::collections::HashMap;

use super::intern;
use super::spaces::{Place, Task};

/// A thousand seconds of one thread; 24 bytes each.
const SAMPLES_MAX: usize = 1 << 20;

/// Distinct frames below distinct callers, about 60 bytes each.
const NODES_MAX: usize = 1 << 20;

/// The first window; still far below what a person sees on a time line.
const WINDOW_NS_MIN: u64 = 16_000_000;

/// A place that was called from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub caller: Option<u32>,
    pub place: Place,
}

/// A look at a thread, or several equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub time_ns: u64,
    /// How many looks this is.
    pub count: u32,
    /// Index into [`Gathered::tasks`].
    pub task: u32,
    /// Index into [`Gathered::calls`].
    pub leaf: u32,
}

/// All samples of one recording.
#[derive(Debug)]
pub(super) struct Gathered {
    pub calls: Vec<Call>,
    pub tasks: Vec<Task>,
    pub looks: Vec<Look>,
    pub lost: u64,
    call_ids: HashMap<Call, u32>,
    task_ids: HashMap<Task, u32>,
    window_ns: u64,
    looks_max: usize,
    calls_max: usize,
}

impl Default for Gathered {
    fn default() -> Self {
        Self::new(SAMPLES_MAX, NODES_MAX)
    }
}

impl Gathered {
    fn new(looks_max: usize, calls_max: usize) -> Self {
        Self {
            calls: Vec::new(),
            tasks: Vec::new(),
            looks: Vec::new(),
            lost: 0,
            call_ids: HashMap::new(),
            task_ids: HashMap::new(),
            window_ns: WINDOW_NS_MIN,
            looks_max,
            calls_max,
        }
    }

    /// Adds a look at a thread with this stack, innermost first.
    pub fn add(&mut self, time_ns: u64, task: Task, places: &[Place]) {
        if self.looks.len() >= self.looks_max {
            self.merge();
        }
        if self.looks.len() >= self.looks_max || self.calls.len() + places.len() > self.calls_max {
            self.lost += 1;
            return;
        }
        let leaf = places.iter().rev().fold(None, |caller, &place| {
            Some(intern(&mut self.call_ids, &mut self.calls, Call { caller, place }))
        });
        let Some(leaf) = leaf else { return };
        let task = intern(&mut self.task_ids, &mut self.tasks, task);
        self.looks.push(Look { time_ns, count: 1, task, leaf });
    }

    /// Makes one of equal looks that are close to each other, until half of the room is free or all are in one window.
    fn merge(&mut self) {
        let first = self.looks.iter().map(|look| look.time_ns).min().unwrap_or(0);
        let last = self.looks.iter().map(|look| look.time_ns).max().unwrap_or(0);
        loop {
            let mut kept: HashMap<(u64, u32, u32), usize> = HashMap::new();
            let mut merged: Vec<Look> = Vec::new();
            for look in &self.looks {
                let window = (look.time_ns - first) / self.window_ns;
                let at = *kept.entry((window, look.task, look.leaf)).or_insert(merged.len());
                match merged.get_mut(at) {
                    Some(same) => same.count = same.count.saturating_add(look.count),
                    None => merged.push(*look),
                }
            }
            self.looks = merged;
            if self.looks.len() <= self.looks_max / 2 || self.window_ns > last - first {
                return;
            }
            self.window_ns *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn task(tid: u32) -> Task {
        Task { pid: 1, tid, name: "a".into() }
    }

    #[test]
    fn equal_stacks_take_one_place() {
        let mut gathered = Gathered::default();
        gathered.add(5, task(1), &[Place::Kernel(3), Place::Nowhere]);
        gathered.add(6, task(1), &[Place::Kernel(3), Place::Nowhere]);
        gathered.add(7, task(2), &[Place::Nowhere]);
        gathered.add(8, task(2), &[]);
        let calls =
            [Call { caller: None, place: Place::Nowhere }, Call { caller: Some(0), place: Place::Kernel(3) }];
        assert_eq!(gathered.calls, calls);
        let looks: Vec<(u64, u32, u32)> =
            gathered.looks.iter().map(|look| (look.time_ns, look.task, look.leaf)).collect();
        assert_eq!(looks, [(5, 0, 1), (6, 0, 1), (7, 1, 0)]);
    }

    #[test]
    fn too_many_frames_are_counted_as_lost() {
        let mut gathered = Gathered::new(100, 10);
        for address in 0..50 {
            gathered.add(address, task(1), &[Place::Kernel(address), Place::Nowhere]);
        }
        assert_eq!(gathered.looks.len() as u64 + gathered.lost, 50);
        assert!(gathered.lost > 0 && gathered.calls.len() <= 10);
    }

    proptest! {
        #[test]
        fn a_long_recording_keeps_all_its_weight_in_little_room(
            looks in prop::collection::vec((0_u64..200_000_000, 0_u32..2, 0_u64..3), 1..2000),
        ) {
            let mut gathered = Gathered::new(64, 1000);
            let mut looks = looks;
            looks.sort_unstable();
            for (time_ns, thread, address) in &looks {
                gathered.add(*time_ns, task(*thread), &[Place::Kernel(*address)]);
            }
            prop_assert!(gathered.looks.len() <= 64 && gathered.lost == 0);
            for thread in 0..2 {
                for address in 0..3 {
                    let expected = looks.iter().filter(|look| (look.1, look.2) == (thread, address)).count();
                    let is_same = |look: &&Look| {
                        gathered.tasks[look.task as usize].tid == thread
                            && gathered.calls[look.leaf as usize].place == Place::Kernel(address)
                    };
                    let found: u32 = gathered.looks.iter().filter(is_same).map(|look| look.count).sum();
                    prop_assert_eq!(found as usize, expected);
                }
            }
        }
    }
}
