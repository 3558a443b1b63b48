//! The wall time of a tree, divided among classes.
//!
//! Waits have their class from the sampler. Computing time is divided by program into user and kernel mode, and from
//! there by what the kernel was busy with and who ran the code; then a part of it goes to what keeps the program's threads
//! from running side by side. **Invariant**: the parts sum to 1.

use std::collections::BTreeMap;

use super::Class;
use super::facts::{Facts, is_interpreted};
use crate::profile::{BlockClass, Program};

/// Share of the time with anybody computing in which several did, from which a program counts as parallel by intent.
const BESIDE_MIN: f64 = 0.05;

/// Share of the wall time in which one thread computes alone, from which that is worth naming.
const ALONE_MIN: f64 = 0.5;

/// Share of the time with nobody computing up to which uneven parts explain that one computes alone.
const WAITING_MAX: f64 = 0.25;

/// Time lost to something structural, as a share of wall time, from which it is called the bottleneck: it caps what any
/// number of cores can do.
const STRUCTURAL_MIN: f64 = 0.2;

/// Share of waiting for storage from which the kernel's CPU time is taken to serve that.
const STORAGE_MIN: f64 = 0.25;

const COMPUTING: &[Class] =
    &[Class::CpuNative, Class::InterpreterOverhead, Class::CpuKernel, Class::PageFaults];

const WAITING: &[Class] =
    &[Class::DiskRead, Class::DiskSync, Class::NetworkWait, Class::SleepPoll, Class::PipeWait];

/// Share of each class in the wall time.
pub(super) struct Parts {
    of: BTreeMap<Class, f64>,
}

impl Parts {
    pub fn new(facts: &Facts<'_>) -> Self {
        let mut parts = Self { of: BTreeMap::new() };
        let wall = &facts.profile.tree.wall;
        if facts.ticks() == 0 {
            parts.add(Class::NotEnoughEvidence, 1.0);
            return parts;
        }
        for (class, seconds) in &wall.blocked_s {
            parts.add(class_of(*class, facts), facts.share(*seconds));
        }
        parts.add(Class::MachineBusy, facts.busy_share());
        parts.compute(facts);
        parts.serve_storage();
        parts.overlay(facts);
        parts.of.retain(|_, share| *share > 0.0);
        parts
    }

    fn add(&mut self, class: Class, share: f64) {
        *self.of.entry(class).or_default() += share;
    }

    /// Divides computing time, program by program.
    fn compute(&mut self, facts: &Facts<'_>) {
        let wall = &facts.profile.tree.wall;
        let mut left = facts.share(wall.computing_s);
        for program in &facts.profile.tree.programs {
            let share = facts.share(program.wall_s).min(left);
            left -= share;
            let interpreted = if is_interpreted(program) { facts.interpreted_ratio(program) } else { 0.0 };
            self.divide(facts, share, facts.kernel_ratio_of(program), interpreted);
        }
        // Queueing behind its own processes is part of what these do.
        let brief = facts.share(wall.brief_s) + facts.unserved() - facts.busy_share();
        if facts.spawns() {
            self.add(Class::ProcessSpawn, brief);
        } else {
            left += brief;
        }
        self.divide(facts, left, facts.kernel_ratio(), 0.0);
    }

    /// Divides computing time of which these parts were spent in the kernel and, of the rest, in an interpreter.
    fn divide(&mut self, facts: &Facts<'_>, share: f64, kernel: f64, interpreted: f64) {
        let (kernel, user) = (share * kernel, share * (1.0 - kernel));
        if facts.spawns() {
            // Who starts that many processes spends its kernel time on that.
            self.add(Class::ProcessSpawn, kernel);
        } else {
            let faults = facts.fault_ratio();
            self.add(Class::PageFaults, kernel * faults);
            self.add(Class::CpuKernel, kernel * (1.0 - faults));
        }
        self.add(Class::InterpreterOverhead, user * interpreted);
        self.add(Class::CpuNative, user * (1.0 - interpreted));
    }

    /// Moves the computing time that would vanish if threads did not stand in each other's way: no more than they waited
    /// for each other, than what the others than the busiest one did, and than what the cores can take.
    fn overlay(&mut self, facts: &Facts<'_>) {
        let gil = facts.could_overlap(|program| program.gil_s.max(facts.gil_contended() * program.wall_s));
        let lock = facts.could_overlap(|program| facts.waited_for_locks_s(program));
        self.take(Class::GilBound, gil, COMPUTING);
        self.take(Class::LockContention, lock, COMPUTING);
        // Who waits while holding a lock makes the others wait in line: w of them could have waited at the same time.
        let in_line = facts.contended_s() / facts.wall_s();
        self.take(Class::LockContention, in_line / (1.0 + in_line), WAITING);
        if gil < STRUCTURAL_MIN && lock < STRUCTURAL_MIN {
            self.take(Class::SingleThreadedOnMulticore, serial_loss(facts), COMPUTING);
        }
    }

    /// The kernel's part of serving storage belongs to storage, where that is waited for.
    fn serve_storage(&mut self) {
        // What is read through a mapping comes by page faults.
        let read = &[Class::CpuKernel, Class::PageFaults];
        for (class, kernel) in [(Class::DiskRead, &read[..]), (Class::DiskSync, &read[..1])] {
            let waited = self.share(class);
            let served: f64 = kernel.iter().map(|class| self.share(*class)).sum();
            if waited >= STORAGE_MIN && waited >= 0.5 * served {
                self.take(class, 1.0, kernel);
            }
        }
    }

    /// Moves a share of some classes to another.
    fn take(&mut self, class: Class, lost: f64, classes: &[Class]) {
        let mut moved = 0.0;
        for from in classes {
            if let Some(share) = self.of.get_mut(from) {
                moved += *share * lost;
                *share *= 1.0 - lost;
            }
        }
        self.add(class, moved);
    }

    pub fn share(&self, class: Class) -> f64 {
        self.of.get(&class).copied().unwrap_or(0.0)
    }

    /// Largest first.
    pub fn ranked(&self) -> Vec<(Class, f64)> {
        let mut ranked: Vec<(Class, f64)> = self.of.iter().map(|(class, share)| (*class, *share)).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked
    }

    /// The class to name, and its lead over the next one; absent when nothing is left of the program.
    pub fn leader(&self) -> Option<(Class, f64)> {
        let ranked: Vec<(Class, f64)> =
            self.ranked().into_iter().filter(|(class, _)| *class != Class::MachineBusy).collect();
        // Of the time that others left it.
        let enough = STRUCTURAL_MIN * (1.0 - self.share(Class::MachineBusy));
        let structural =
            ranked.iter().find(|(class, share)| class.is_structural() && *share >= enough).copied();
        let waiting = Class::is_waiting;
        // What stands in the way of computing is no answer for a program that mostly waits.
        let mostly_waits = ranked.first().is_some_and(|(class, share)| waiting(*class) && *share >= 0.5);
        if let (Some((class, share)), false) = (structural, mostly_waits) {
            return Some((class, share));
        }
        let (class, share) = ranked.iter().copied().find(|(class, _)| *class != Class::NotEnoughEvidence)?;
        let next =
            ranked.iter().filter(|(other, _)| *other != class).map(|(_, share)| *share).fold(0.0, f64::max);
        (next <= share || class.is_structural()).then_some((class, share - next))
    }
}

/// The share of the computing time that even division over the cores would save, where a program divides its work and one
/// part takes longer than the others.
fn serial_loss(facts: &Facts<'_>) -> f64 {
    let wall = &facts.profile.tree.wall;
    let computing_s = (wall.alone_s + wall.together_s).max(f64::MIN_POSITIVE);
    let workers = facts.profile.tree.programs.iter().map(Program::workers).max().unwrap_or(0);
    // A run time's own helpers compile and clean up beside the program.
    let least = if facts.compiles_at_run_time() { 10.0 * BESIDE_MIN } else { BESIDE_MIN };
    let parallel_by_intent = workers >= 2 && wall.beside_s / computing_s >= least;
    // Who waits for something else in between is not waiting for the longest part.
    if !parallel_by_intent || facts.waiting() > WAITING_MAX || facts.share(wall.alone_s) < ALONE_MIN {
        return 0.0;
    }
    let side_by_side = (facts.machine.cores as f64).min(workers as f64);
    (wall.alone_s / computing_s) * (1.0 - 1.0 / side_by_side)
}

fn class_of(block: BlockClass, facts: &Facts<'_>) -> Class {
    match block {
        BlockClass::DiskSync => Class::DiskSync,
        BlockClass::DiskRead | BlockClass::PageIn => Class::DiskRead,
        BlockClass::Network => Class::NetworkWait,
        BlockClass::Gpu => Class::GpuBound,
        BlockClass::Sleep => Class::SleepPoll,
        BlockClass::Output => Class::CpuKernel,
        BlockClass::Lock => Class::LockContention,
        // The child at the other end came and went between two looks.
        BlockClass::Child | BlockClass::Pipe | BlockClass::Poll | BlockClass::Other if facts.spawns() => {
            Class::ProcessSpawn
        }
        BlockClass::Pipe | BlockClass::Terminal => Class::PipeWait,
        BlockClass::Child => Class::ChildWait,
        BlockClass::Poll | BlockClass::Other => Class::NotEnoughEvidence,
    }
}
