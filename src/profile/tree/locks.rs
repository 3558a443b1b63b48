//! Whether threads contend for a lock, where its word does not say so: semaphores, locks of language run times.
//!
//! A condition variable on which idle workers wait looks the same at any one moment. Over time it does not: of the
//! threads that contend for one lock, one is always out, and each waits many times and briefly.

use std::collections::HashMap;

/// Separate waits of a thread from which it takes part.
const WAITS_MIN: u32 = 3;

/// Share of the looks with anybody waiting in which exactly one of those who take part does not.
const ONE_OUT_MIN: f64 = 0.8;

/// Longest mean wait; who waits longer waits for work.
const MEAN_WAIT_S_MAX: f64 = 0.25;

/// Addresses that are followed in one process.
const ADDRESSES_MAX: usize = 256;

/// The locks of one process.
#[derive(Debug, Default)]
pub(super) struct Locks {
    of: HashMap<u64, Lock>,
}

#[derive(Debug, Default)]
struct Lock {
    waiters: Vec<Waiter>,
    waited_s: f64,
    /// Looks at which anybody waited, and at which all but one did.
    looks: u32,
    looks_one_out: u32,
    waiting_now: usize,
}

#[derive(Debug)]
struct Waiter {
    tid: u32,
    waits: u32,
}

impl Locks {
    /// A thread has waited at this address; `again` when it has run since it was last seen there, `still` when it waits
    /// now.
    pub fn note(&mut self, address: u64, tid: u32, seconds: f64, again: bool, still: bool) {
        // The words of one lock lie side by side: a reader-writer lock has one for its state and one for its writers.
        let near = [address, address.wrapping_sub(4), address.wrapping_add(4)];
        let lock = near.into_iter().find(|near| self.of.contains_key(near)).unwrap_or(address);
        if self.of.len() >= ADDRESSES_MAX && !self.of.contains_key(&lock) {
            return;
        }
        let lock = self.of.entry(lock).or_default();
        lock.waited_s += seconds;
        lock.waiting_now += usize::from(still);
        match lock.waiters.iter_mut().find(|waiter| waiter.tid == tid) {
            Some(waiter) => waiter.waits += u32::from(again),
            None => lock.waiters.push(Waiter { tid, waits: 1 }),
        }
    }

    /// All threads have been looked at.
    pub fn end_of_look(&mut self) {
        for lock in self.of.values_mut().filter(|lock| lock.waiting_now > 0) {
            lock.looks += 1;
            lock.looks_one_out += u32::from(lock.waiting_now + 1 == lock.waiters.len());
            lock.waiting_now = 0;
        }
    }

    /// Thread-seconds spent waiting for locks that others held, by the pattern of the waits.
    pub fn contended_s(&self) -> f64 {
        self.of.values().filter(|lock| lock.is_contended()).map(|lock| lock.waited_s).sum()
    }
}

impl Lock {
    fn is_contended(&self) -> bool {
        let waits: u32 = self.waiters.iter().map(|waiter| waiter.waits).sum();
        let taking_part = self.waiters.iter().filter(|waiter| waiter.waits >= WAITS_MIN).count();
        taking_part >= 2
            && taking_part == self.waiters.len()
            && f64::from(self.looks_one_out) >= ONE_OUT_MIN * f64::from(self.looks)
            && self.waited_s <= MEAN_WAIT_S_MAX * f64::from(waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_that_take_turns_contend() {
        let mut locks = Locks::default();
        for look in 0..20 {
            locks.note(64, 1 + look % 2, 0.01, true, true);
            locks.note(64, 1 + (look + 1) % 2, 0.01, false, false);
            locks.end_of_look();
        }
        assert!((locks.contended_s() - 0.4).abs() < 1e-9);
    }

    #[test]
    fn idle_workers_do_not() {
        let mut locks = Locks::default();
        for look in 0..60 {
            for worker in 0..4 {
                // Each gets something to do once in a while.
                locks.note(64, worker, 0.01, look % 20 == worker, true);
            }
            locks.end_of_look();
        }
        assert_eq!(locks.contended_s(), 0.0);
        // One worker of two is always busy, the other always idle.
        let mut locks = Locks::default();
        (0..60).for_each(|_| {
            locks.note(64, 1, 0.01, false, true);
            locks.end_of_look();
        });
        assert_eq!(locks.contended_s(), 0.0);
    }
}
