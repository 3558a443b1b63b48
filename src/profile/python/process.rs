//! One process that runs CPython: its interpreters' threads, and the frames that each is in.

use std::io;

use super::GilUse;
use super::codes::{Codes, Missed};
use super::decode::{RawFrame, pointer};
use super::find::Found;
use super::list::Identity;
use super::thread::{Doing, ThreadFiles};
use crate::profile::stacks::{Builder, Sample};
use crate::sys::peek::{Peek, Span};
use crate::sys::procfs::Schedule;

/// Looks after which the list of threads is read again, whether or not it seems to have changed.
const RELIST_TICKS: u64 = 64;

/// Ticks between two looks at whether it has.
const CHECK_TICKS: u64 = 4;

/// Ticks that a waiting thread is left alone at most, and how many threads of a process take one more: nothing is lost
/// by it but the moment within that time at which it woke.
const REST_TICKS_MAX: u64 = 8;
const REST_THREADS: usize = 4;

/// Bytes of the interpreter's lock (`struct _gil_runtime_state`): 208 on x86-64, 224 on aarch64.
const GIL_SIZE: u64 = 224;

/// What is remembered of a thread from look to look.
pub(super) struct Seen {
    pub identity: Identity,
    pub interpreter: u64,
    pub tid: u32,
    pub files: ThreadFiles,
    /// As the builder numbers it.
    pub number: u32,
    pub before: Option<Schedule>,
    /// Seconds since the recording began.
    pub looked_s: f64,
    pub due_tick: u64,
    /// Looks in a row in which it had not moved.
    pub still: u64,
    pub was_running: bool,
    pub was_torn: bool,
    pub waits_for_gil: bool,
    /// Where the structure was that points to the innermost frame.
    pub through: u64,
    /// The addresses of its frames, innermost first: where to look first next time.
    pub frames: Vec<u64>,
    /// Code and position of each.
    pub places: Vec<(u64, u64)>,
    pub leaf: Option<u32>,
    pub ended: bool,
}

/// A process with an interpreter.
pub(super) struct Process {
    pub pid: u32,
    pub program: String,
    pub found: Found,
    pub peek: Peek,
    pub codes: Codes,
    pub threads: Vec<Seen>,
    /// Each with the first thread of its list.
    pub interpreters: Vec<(u64, u64)>,
    pub gil: Option<u64>,
    pub gil_held: bool,
    pub gil_use: GilUse,
    pub listed_tick: Option<u64>,
    pub checked_tick: Option<u64>,
    /// Whether something moved since the last tick.
    pub active: bool,
    pub spans: Vec<Span>,
    pub raw: Vec<RawFrame>,
    /// What lies before a frame that was read, and where it begins: often the frames that called it.
    pub block: (u64, Vec<u8>),
    /// Stacks that were read, and that were torn, so far.
    pub read: u64,
    pub torn: u64,
}

/// What a process does for the recording as a whole.
pub(super) struct Moment<'a> {
    pub tick: u64,
    /// Seconds since the recording began.
    pub now_s: f64,
    /// Seconds between two ticks.
    pub interval_s: f64,
    pub builder: &'a mut Builder,
    /// Threads of a process whose files are held open.
    pub files_max: usize,
}

impl Seen {
    pub fn new(identity: Identity, interpreter: u64, files: ThreadFiles, number: u32, begin_s: f64) -> Self {
        Self {
            identity,
            interpreter,
            tid: files.tid,
            files,
            number,
            before: None,
            looked_s: begin_s,
            due_tick: 0,
            still: 0,
            was_running: false,
            was_torn: false,
            waits_for_gil: false,
            through: 0,
            frames: Vec::new(),
            places: Vec::new(),
            leaf: None,
            ended: false,
        }
    }
}

impl Process {
    pub fn new(pid: u32, program: String, found: Found, peek: Peek) -> Self {
        Self {
            pid,
            program,
            found,
            peek,
            codes: Codes::default(),
            threads: Vec::new(),
            interpreters: Vec::new(),
            gil: None,
            gil_held: false,
            gil_use: GilUse::default(),
            listed_tick: None,
            checked_tick: None,
            active: true,
            spans: Vec::new(),
            raw: Vec::new(),
            block: (0, Vec::new()),
            read: 0,
            torn: 0,
        }
    }

    /// Looks whether threads came or went.
    pub fn begin(&mut self, moment: &mut Moment<'_>) -> io::Result<()> {
        let due = |last: Option<u64>, ticks| last.is_none_or(|last| moment.tick >= last + ticks);
        let relist = due(self.listed_tick, RELIST_TICKS);
        if !(relist || self.active && due(self.checked_tick, CHECK_TICKS)) {
            return Ok(());
        }
        self.checked_tick = Some(moment.tick);
        let layout = &self.found.layout;
        let field =
            |address: u64, offset: usize| Span { address: address.wrapping_add(offset as u64), length: 8 };
        self.spans.clear();
        self.spans.push(field(self.found.runtime, layout.runtime.interpreters));
        let threads = layout.interpreter.threads;
        self.spans.extend(self.interpreters.iter().map(|&(interpreter, _)| field(interpreter, threads)));
        self.peek.read(&self.spans)?;
        if self.peek.part(0).is_none() {
            // The process executes another program.
            return Err(io::ErrorKind::NotFound.into());
        }
        let read = |index| self.peek.part(index).and_then(|bytes| pointer(bytes, 0)).unwrap_or(0);
        let changed = read(0) != self.interpreters.first().map_or(0, |&(interpreter, _)| interpreter)
            || self.interpreters.iter().enumerate().any(|(index, &(_, head))| read(index + 1) != head)
            || self.threads.iter().any(|thread| thread.ended);
        if changed || relist {
            self.list(moment)?;
        }
        Ok(())
    }

    /// Counts what was seen of the lock.
    pub fn end(&mut self) {
        self.active = self.threads.is_empty() || self.threads.iter().any(|thread| thread.still == 0);
        if self.gil.is_some() && !self.threads.is_empty() {
            let wanted = self.gil_held && self.threads.iter().any(|thread| thread.waits_for_gil);
            self.gil_use.looks += 1;
            self.gil_use.held += u64::from(self.gil_held);
            self.gil_use.contended += u64::from(wanted);
        }
    }

    /// The threads that it is time to look at, each with the time of its last look.
    pub fn due(&self, tick: u64) -> impl Iterator<Item = (usize, f64)> {
        let due = move |thread: &Seen| !thread.ended && thread.due_tick <= tick;
        self.threads
            .iter()
            .enumerate()
            .filter(move |(_, thread)| due(thread))
            .map(|(index, thread)| (index, thread.looked_s))
    }

    /// Whether this is the process's first thread.
    pub fn is_main(&self, index: usize) -> bool {
        self.threads.get(index).is_some_and(|thread| thread.tid == self.pid)
    }

    /// Looks at one thread.
    pub fn look(&mut self, index: usize, moment: &mut Moment<'_>) -> io::Result<()> {
        let rest_ticks_max = REST_TICKS_MAX + (self.threads.len() / REST_THREADS) as u64;
        let Some(thread) = self.threads.get_mut(index) else { return Ok(()) };
        let Some(schedule) = thread.files.schedule() else {
            thread.ended = true;
            self.active = true;
            return Ok(());
        };
        let elapsed_s = moment.now_s - thread.looked_s;
        let before = thread.before.replace(schedule);
        let sample = |thread: &Seen, leaf, weight_s: f64, end_s: f64, running| Sample {
            at_s: end_s - weight_s,
            weight_s,
            thread: thread.number,
            leaf,
            running,
        };
        if before == Some(schedule) && !thread.was_running && !thread.was_torn {
            // It did not run since, so that it still waits where it did.
            thread.still += 1;
            thread.due_tick = moment.tick + thread.still.min(rest_ticks_max);
            thread.looked_s = moment.now_s;
            if let Some(leaf) = thread.leaf {
                moment.builder.sample(sample(thread, leaf, elapsed_s, moment.now_s, false));
            }
            return Ok(());
        }
        let doing = thread.files.doing();
        let running = doing == Some(Doing::Running);
        thread.waits_for_gil = match (doing, self.gil) {
            // Whatever waits there waits for the lock: its condition variable and its mutex are part of it.
            (Some(Doing::Waiting { argument }), Some(gil)) => (gil..gil + GIL_SIZE).contains(&argument),
            _ => false,
        };
        // Of the time since the last look, what it did not run before it moved was spent where it was.
        let busy_s = before.map_or(0.0, |before| {
            let ns = |schedule: Schedule| schedule.on_cpu_ns + schedule.runqueue_wait_ns;
            ns(schedule).saturating_sub(ns(before)) as f64 * 1e-9
        });
        let mut weight_s = elapsed_s;
        if let (Some(leaf), true) = (thread.leaf, thread.still > 0 && !thread.was_running) {
            weight_s = busy_s.max(moment.interval_s).min(elapsed_s);
            let rest_s = elapsed_s - weight_s;
            if rest_s > 0.0 {
                moment.builder.sample(sample(thread, leaf, rest_s, moment.now_s - weight_s, false));
            }
        }
        thread.still = 0;
        thread.due_tick = moment.tick + 1;
        thread.looked_s = moment.now_s;
        thread.was_running = running;
        let stack = self.stack(index, moment.builder);
        self.threads[index].was_torn = stack.is_err();
        match stack {
            Ok(leaf) => {
                self.read += 1;
                if let Some(leaf) = leaf {
                    let sample = sample(&self.threads[index], leaf, weight_s, moment.now_s, running);
                    moment.builder.sample(sample);
                }
                Ok(())
            }
            Err(Missed::Torn) => {
                self.torn += 1;
                moment.builder.lost(1);
                Ok(())
            }
            Err(Missed::Gone(error)) => Err(error),
        }
    }
}

pub(super) fn read_pointer(peek: &mut Peek, address: u64) -> io::Result<Option<u64>> {
    peek.read(&[Span { address, length: 8 }])?;
    Ok(peek.part(0).and_then(|bytes| pointer(bytes, 0)))
}
