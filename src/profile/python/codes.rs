//! Code objects: read once, and known again by their address and by what they point to, since addresses are used again.

use std::collections::HashMap;
use std::io;

use super::decode::{int_u32, int_u64, pointer, text, text_place};
use super::layout::Layout;
use super::lines::Lines;
use crate::profile::stacks::{Builder, Frame, Kind};
use crate::sys::peek::{Peek, Span};

/// Code objects that are remembered of one process; a program that makes more makes them anew all the time.
const CODES_MAX: usize = 100_000;

/// Bytes of a table of lines; a function of 10 000 lines has some 50 kilobytes.
const TABLE_MAX: u64 = 1 << 20;

/// Bytes of a string object without its characters, at most (`PyCompactUnicodeObject` of a free-threaded build).
const TEXT_HEAD: usize = 40;

/// Why a look at a process gave nothing.
#[derive(Debug)]
pub(super) enum Missed {
    /// What was read was not of one moment: the program went on meanwhile.
    Torn,
    /// The process is gone, or may not be read any more.
    Gone(io::Error),
}

impl From<io::Error> for Missed {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// What tells code objects at one address apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    class: u64,
    file: u64,
    name: u64,
    table: u64,
    first_line: u32,
}

struct Code {
    key: Key,
    file: String,
    name: String,
    lines: Lines,
    /// Frames by line, as the builder numbers them.
    frames: Vec<(Option<u32>, u32)>,
}

/// The code objects of one process.
#[derive(Default)]
pub(super) struct Codes {
    known: HashMap<u64, Code>,
    /// The address of their type.
    class: Option<u64>,
    spans: Vec<Span>,
    keys: Vec<Option<Key>>,
}

impl Codes {
    /// Reads what is not known yet of these code objects, and makes sure that the others are still what they were.
    pub fn update(&mut self, layout: &Layout, peek: &mut Peek, addresses: &[u64]) -> Result<(), Missed> {
        let size = layout.code.size.max(layout.code.table + 8);
        self.spans.clear();
        self.spans.extend(addresses.iter().map(|&address| Span { address, length: size }));
        peek.read(&self.spans)?;
        self.keys.clear();
        self.keys.extend((0..addresses.len()).map(|index| key(layout, peek.part(index)?)));
        for (index, &address) in addresses.iter().enumerate() {
            let key = self.keys[index].ok_or(Missed::Torn)?;
            if self.known.get(&address).is_some_and(|code| code.key == key) {
                continue;
            }
            self.check_class(layout, peek, key.class)?;
            if self.known.len() >= CODES_MAX {
                self.known.clear();
            }
            let code = load(layout, peek, key)?;
            self.known.insert(address, code);
        }
        Ok(())
    }

    /// The frame of an offset in a code object that [`Self::update`] was called with; without an offset it has not
    /// begun.
    pub fn frame(&mut self, builder: &mut Builder, address: u64, offset: Option<u32>) -> Result<u32, Missed> {
        let code = self.known.get_mut(&address).ok_or(Missed::Torn)?;
        let line = match offset {
            None => Some(code.key.first_line),
            Some(offset) => code.lines.at(offset).map_err(|_| Missed::Torn)?,
        };
        if let Some(&(_, frame)) = code.frames.iter().find(|(known, _)| *known == line) {
            return Ok(frame);
        }
        let frame = builder.frame(Frame {
            function: code.name.clone(),
            module: String::new(),
            file: Some(code.file.clone()),
            line,
            kind: Kind::Python,
        });
        code.frames.push((line, frame));
        Ok(frame)
    }

    /// Whether an address is that of the type of code objects.
    fn check_class(&mut self, layout: &Layout, peek: &mut Peek, class: u64) -> Result<(), Missed> {
        const NAME: &[u8] = b"code\0";
        if let Some(known) = self.class {
            return if known == class { Ok(()) } else { Err(Missed::Torn) };
        }
        peek.read(&[Span { address: class.wrapping_add(layout.type_name as u64), length: 8 }])?;
        let address = peek.part(0).and_then(|bytes| pointer(bytes, 0)).ok_or(Missed::Torn)?;
        peek.read(&[Span { address, length: NAME.len() }])?;
        if peek.part(0) != Some(NAME) {
            return Err(Missed::Torn);
        }
        self.class = Some(class);
        Ok(())
    }
}

fn key(layout: &Layout, object: &[u8]) -> Option<Key> {
    Some(Key {
        class: pointer(object, layout.object_type)?,
        file: pointer(object, layout.code.file)?,
        name: pointer(object, layout.code.name)?,
        table: pointer(object, layout.code.table)?,
        first_line: int_u32(object, layout.code.first_line)?,
    })
}

fn load(layout: &Layout, peek: &mut Peek, key: Key) -> Result<Code, Missed> {
    let text_head = TEXT_HEAD.max(layout.text.state + 4);
    let span = |address, length| Span { address, length };
    peek.read(&[span(key.file, text_head), span(key.name, text_head), span(key.table, layout.bytes.data)])?;
    let place = |index| text_place(&layout.text, peek.part(index)?);
    let (file, name) = (place(0).ok_or(Missed::Torn)?, place(1).ok_or(Missed::Torn)?);
    let table = peek.part(2).and_then(|head| int_u64(head, layout.bytes.length));
    let table = table.filter(|&length| length <= TABLE_MAX).ok_or(Missed::Torn)?;
    let behind = |address: u64, begin: usize, length| span(address.wrapping_add(begin as u64), length);
    peek.read(&[
        behind(key.file, file.begin, file.length),
        behind(key.name, name.begin, name.length),
        behind(key.table, layout.bytes.data, table as usize),
    ])?;
    let part = |index| peek.part(index).ok_or(Missed::Torn);
    Ok(Code {
        key,
        file: text(file, part(0)?),
        name: text(name, part(1)?),
        lines: Lines::decode(layout.code.format, part(2)?, key.first_line),
        frames: Vec::new(),
    })
}
