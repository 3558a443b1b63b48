//! Which threads the interpreters of a process have.

use std::collections::HashMap;
use std::io;

use super::decode::{self, ThreadState, int_u32};
use super::layout::GilPlace;
use super::process::{Moment, Process, Seen, read_pointer};
use super::thread::{self, ThreadFiles};
use crate::profile::stacks::Thread;
use crate::sys::peek::Span;

/// Threads and interpreters that are followed in one process.
const THREADS_MAX: usize = 4096;
const INTERPRETERS_MAX: usize = 64;

/// Bytes of the C library's record of a thread that are searched for its number; then of a smaller library.
const RECORD_SIZES: [usize; 2] = [1024, 128];

/// Interpreters with their first threads, and all thread states with their addresses.
type List = (Vec<(u64, u64)>, Vec<(u64, ThreadState)>);

/// What tells threads apart: the address of the state, the C library's name of the thread, and the kernel's if told.
pub(super) type Identity = (u64, u64, Option<u64>);

fn identity(address: u64, state: &ThreadState) -> Identity {
    (address, state.id, state.native_id)
}

impl Process {
    /// Reads the list of threads, and keeps what is known of those that are still there.
    pub(super) fn list(&mut self, moment: &mut Moment<'_>) -> io::Result<()> {
        self.listed_tick = Some(moment.tick);
        let known: Vec<u64> = self.threads.iter().map(|thread| thread.identity.0).collect();
        let (interpreters, states) = self.read_list(&known)?;
        self.interpreters = interpreters;
        self.gil = self.gil_address()?;
        let mut old: HashMap<Identity, Seen> = self
            .threads
            .drain(..)
            .filter(|thread| !thread.ended)
            .map(|thread| (thread.identity, thread))
            .collect();
        let all_known = states.iter().all(|(address, state)| old.contains_key(&identity(*address, state)));
        let ids = if all_known { Vec::new() } else { self.native_ids(&states)? };
        for (index, (address, state)) in states.into_iter().enumerate() {
            let identity = identity(address, &state);
            if let Some(thread) = old.remove(&identity) {
                self.threads.push(thread);
                continue;
            }
            let (Some(interpreter), Some(&Some(tid))) = (state.interpreter, ids.get(index)) else { continue };
            let number = moment.builder.thread(Thread { pid: self.pid, tid, name: self.program.clone() });
            let files = ThreadFiles::new(self.pid, tid, self.threads.len() < moment.files_max);
            let begin_s = (moment.now_s - moment.interval_s).max(0.0);
            self.threads.push(Seen::new(identity, interpreter, files, number, begin_s));
        }
        Ok(())
    }

    fn read_list(&mut self, known: &[u64]) -> io::Result<List> {
        let layout = &self.found.layout;
        let size = layout.thread_size();
        let span = |address| Span { address, length: size };
        self.spans.clear();
        self.spans.extend(known.iter().map(|&address| span(address)));
        self.peek.read(&self.spans)?;
        let ahead: HashMap<u64, ThreadState> = known
            .iter()
            .enumerate()
            .filter_map(|(index, &address)| {
                Some((address, decode::thread_state(&layout.thread, self.peek.part(index)?)?))
            })
            .collect();
        let (mut interpreters, mut states) = (Vec::new(), Vec::new());
        let runtime = self.found.runtime;
        let mut next = read_pointer(&mut self.peek, runtime + layout.runtime.interpreters as u64)?;
        while let Some(interpreter) = next.filter(|_| interpreters.len() < INTERPRETERS_MAX) {
            let field = |offset: usize| interpreter.wrapping_add(offset as u64);
            let head = read_pointer(&mut self.peek, field(layout.interpreter.threads))?;
            interpreters.push((interpreter, head.unwrap_or(0)));
            let mut thread = head;
            while let Some(address) = thread.filter(|_| states.len() < THREADS_MAX) {
                let state = match ahead.get(&address) {
                    Some(state) => Some(*state),
                    None => {
                        self.peek.read(&[span(address)])?;
                        self.peek.part(0).and_then(|bytes| decode::thread_state(&layout.thread, bytes))
                    }
                };
                // A list that changes meanwhile ends early, and is read again.
                let Some(state) = state.filter(|state| state.interpreter == Some(interpreter)) else { break };
                states.push((address, state));
                thread = state.next;
            }
            next = read_pointer(&mut self.peek, field(layout.interpreter.next))?;
        }
        Ok((interpreters, states))
    }

    /// The lock of the main interpreter, which is the last of the list: others may have locks of their own.
    fn gil_address(&mut self) -> io::Result<Option<u64>> {
        match self.found.layout.gil.map(|gil| gil.place) {
            None => Ok(None),
            Some(GilPlace::Runtime(offset)) => Ok(Some(self.found.runtime + offset as u64)),
            Some(GilPlace::Interpreter(offset)) => match self.interpreters.last() {
                None => Ok(None),
                Some(&(interpreter, _)) => {
                    read_pointer(&mut self.peek, interpreter.wrapping_add(offset as u64))
                }
            },
        }
    }

    /// The kernel's number of each thread; absent for those that have ended.
    fn native_ids(&mut self, states: &[(u64, ThreadState)]) -> io::Result<Vec<Option<u32>>> {
        let numbers = thread::numbers(self.pid);
        let outer = |inner: u64| {
            numbers.iter().find(|&&(number, _)| u64::from(number) == inner).map(|&(_, outer)| outer)
        };
        let told: Vec<Option<u32>> = states.iter().map(|(_, state)| outer(state.native_id?)).collect();
        if told.iter().all(Option::is_some) {
            return Ok(told);
        }
        // Before 3.11, and in a process that was forked: from the C library's own record of the thread.
        let known: Vec<u32> = numbers.iter().map(|&(inner, _)| inner).collect();
        for size in RECORD_SIZES {
            self.spans.clear();
            self.spans.extend(states.iter().map(|(_, state)| Span { address: state.id, length: size }));
            self.peek.read(&self.spans)?;
            let records: Vec<&[u8]> = (0..states.len()).filter_map(|index| self.peek.part(index)).collect();
            if let Some(field) = decode::thread_number_field(&records, &known) {
                let number = |index| outer(int_u32(self.peek.part(index)?, field)?.into());
                return Ok(told
                    .iter()
                    .enumerate()
                    .map(|(index, told)| told.or_else(|| number(index)))
                    .collect());
            }
        }
        Ok(told)
    }
}
