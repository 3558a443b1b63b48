//! The frames that a thread is in.

use super::codes::Missed;
use super::decode::{self, RawFrame, int_u32, pointer};
use super::layout::{Layout, Position, Top};
use super::process::{Process, read_pointer};
use crate::profile::stacks::{Builder, Frame, Kind};
use crate::sys::peek::{Peek, Span};

/// Frames that are kept of a stack, the innermost.
const DEPTH_MAX: usize = 256;

/// Bytes before a frame that are read with it: some twenty frames.
const BLOCK: usize = 4096;

/// Frames that are read ahead where they stood last time, if the others come in blocks.
const AHEAD: usize = 24;

/// A stack that was not of one moment is read again this often.
const ATTEMPTS: u32 = 3;

impl Process {
    pub(super) fn stack(&mut self, index: usize, builder: &mut Builder) -> Result<Option<u32>, Missed> {
        let mut attempt = 1;
        loop {
            match self.read_stack(index, builder) {
                Err(Missed::Torn) if attempt < ATTEMPTS => attempt += 1,
                Err(missed) => {
                    let thread = &mut self.threads[index];
                    thread.places.clear();
                    thread.leaf = None;
                    return Err(missed);
                }
                stack => return stack,
            }
        }
    }

    /// The innermost node of what a thread does; absent when it is in no Python code.
    fn read_stack(&mut self, index: usize, builder: &mut Builder) -> Result<Option<u32>, Missed> {
        let truncated = self.read_frames(index)?;
        let layout = &self.found.layout;
        let thread = &mut self.threads[index];
        thread.frames.clear();
        thread.frames.extend(self.raw.iter().map(|frame| frame.address));
        self.raw.retain(|frame| frame.code.is_some());
        let places = || self.raw.iter().filter_map(|frame| Some((frame.code?, frame.position)));
        if thread.leaf.is_some() && places().eq(thread.places.iter().copied()) {
            return Ok(thread.leaf);
        }
        // Code that a frame was in all the time has not changed.
        if !places().map(|(code, _)| code).eq(thread.places.iter().map(|&(code, _)| code)) {
            let mut addresses: Vec<u64> = places().map(|(code, _)| code).collect();
            addresses.sort_unstable();
            addresses.dedup();
            self.codes.update(layout, &mut self.peek, &addresses)?;
        }
        let mut frames = Vec::with_capacity(self.raw.len() + 1);
        for (code, position) in places() {
            let offset = decode::instruction(layout, code, position).map_err(|_| Missed::Torn)?;
            frames.push(self.codes.frame(builder, code, offset)?);
        }
        if truncated {
            frames.push(builder.frame(Frame {
                function: "[deeper frames cut]".to_owned(),
                module: String::new(),
                file: None,
                line: None,
                kind: Kind::Python,
            }));
        }
        let leaf = builder.stack(frames.into_iter().rev());
        thread.places.clear();
        thread.places.extend(self.raw.iter().filter_map(|frame| Some((frame.code?, frame.position))));
        thread.leaf = leaf;
        Ok(leaf)
    }

    /// Reads the frames of a thread, innermost first, into `raw`; whether there were more than are kept.
    fn read_frames(&mut self, index: usize) -> Result<bool, Missed> {
        let layout = &self.found.layout;
        let thread = &mut self.threads[index];
        // One system call for all that stands where it stood last time.
        let through = match layout.thread.top {
            Top::Through { frame, .. } if thread.through != 0 => {
                Some(Span { address: thread.through.wrapping_add(frame as u64), length: 8 })
            }
            _ => None,
        };
        self.spans.clear();
        self.spans.push(Span { address: thread.identity.0, length: layout.thread_size() });
        let locked = |gil: u64, field: usize| Span { address: gil.wrapping_add(field as u64), length: 4 };
        self.spans.extend(layout.gil.zip(self.gil).map(|(gil, address)| locked(address, gil.locked)));
        let gil_known = self.spans.len() > 1;
        self.spans.extend(through);
        let first_frame = self.spans.len();
        let frame_span = |&address: &u64| Span { address, length: layout.frame.size };
        let ahead = match layout.frame.position {
            Position::Address { .. } => AHEAD,
            Position::Index { .. } => DEPTH_MAX,
        };
        self.spans.extend(thread.frames.iter().take(ahead).map(frame_span));
        self.peek.read(&self.spans)?;
        let state = self.peek.part(0).and_then(|bytes| decode::thread_state(&layout.thread, bytes));
        let state =
            state.filter(|state| state.interpreter == Some(thread.interpreter)).ok_or(Missed::Torn)?;
        let at_same_place = through.is_some() && state.top == Some(thread.through);
        let through_now =
            at_same_place.then(|| self.peek.part(first_frame - 1).and_then(|bytes| pointer(bytes, 0)));
        self.gil_held = gil_known && self.peek.part(1).and_then(|bytes| int_u32(bytes, 0)) == Some(1);
        let predicted: Vec<Option<RawFrame>> = (first_frame..self.spans.len())
            .map(|part| decode::frame(layout, self.spans[part].address, self.peek.part(part)?))
            .collect();
        let mut next = match (layout.thread.top, state.top) {
            (Top::Here(_), top) => top,
            (Top::Through { .. }, None) => None,
            (Top::Through { frame, .. }, Some(top)) => {
                thread.through = top;
                match through_now {
                    Some(now) => now,
                    None => read_pointer(&mut self.peek, top.wrapping_add(frame as u64))?,
                }
            }
        };
        self.raw.clear();
        self.block.1.clear();
        let mut expected = 0;
        while let Some(address) = next {
            if self.raw.len() == DEPTH_MAX {
                break;
            }
            let known = predicted[expected..]
                .iter()
                .position(|frame| frame.is_some_and(|frame| frame.address == address));
            let frame = match known.and_then(|steps| {
                expected += steps;
                predicted[expected]
            }) {
                Some(frame) => frame,
                None => read_frame(layout, &mut self.peek, &mut self.block, address)?,
            };
            self.raw.push(frame);
            next = frame.previous;
        }
        if next.is_some() && has_cycle(&self.raw) {
            return Err(Missed::Torn);
        }
        Ok(next.is_some())
    }
}

/// Reads one frame, from a block that was read already if it lies there. From 3.11 on, frames lie behind those that
/// called them, so that one call reads many.
fn read_frame(
    layout: &Layout,
    peek: &mut Peek,
    block: &mut (u64, Vec<u8>),
    address: u64,
) -> Result<RawFrame, Missed> {
    let size = layout.frame.size;
    let within = address
        .checked_sub(block.0)
        .and_then(|offset| block.1.get(usize::try_from(offset).ok()?..)?.get(..size));
    if let Some(bytes) = within {
        return decode::frame(layout, address, bytes).ok_or(Missed::Torn);
    }
    let before = match layout.frame.position {
        Position::Address { .. } => BLOCK,
        Position::Index { .. } => 0,
    };
    let begin = address.saturating_sub(before as u64);
    peek.read(&[Span { address, length: size }, Span { address: begin, length: before }])?;
    block.0 = begin;
    block.1.clear();
    block.1.extend_from_slice(peek.part(1).unwrap_or_default());
    peek.part(0).and_then(|bytes| decode::frame(layout, address, bytes)).ok_or(Missed::Torn)
}

fn has_cycle(frames: &[RawFrame]) -> bool {
    let mut addresses: Vec<u64> = frames.iter().map(|frame| frame.address).collect();
    addresses.sort_unstable();
    addresses.windows(2).any(|pair| pair[0] == pair[1])
}
