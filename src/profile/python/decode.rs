//! Values in bytes that were read from another process: any bytes are taken, none is trusted.

use super::layout::{Layout, Position, Text, Thread, Top};

pub(super) fn int_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn int_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// An address that may be looked at; not the null pointer, nor anything else in the first page.
pub(super) fn pointer(bytes: &[u8], at: usize) -> Option<u64> {
    int_u64(bytes, at).filter(|&address| address >= 4096)
}

/// The characters of a string object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TextPlace {
    /// From the object's address.
    pub begin: usize,
    pub length: usize,
    /// Bytes of one character: 1, 2 or 4.
    width: usize,
}

/// Characters of a name that are read; file names may be longer than names.
const CHARACTERS_MAX: u64 = 4096;

/// Where a string's characters are, from the beginning of its object. Absent for what is no compact string.
pub(super) fn text_place(layout: &Text, object: &[u8]) -> Option<TextPlace> {
    let characters = int_u64(object, layout.length)?.min(CHARACTERS_MAX) as usize;
    let state = int_u32(object, layout.state)?;
    // How often it is interned comes first: two bits, or 8 or 16 in some builds of 3.14. Then the width, which is
    // never 0, and two flags: whether all is in one piece, and whether it is ASCII.
    [2, 8, 16].into_iter().find_map(|shift| {
        let (interned, flags) = (state & ((1 << shift) - 1), state >> shift);
        let (width, compact, ascii) = (flags & 7, flags & 8 != 0, flags & 16 != 0);
        let sound = interned <= 3 && matches!(width, 1 | 2 | 4) && compact && (!ascii || width == 1);
        sound.then(|| TextPlace {
            begin: if ascii { layout.ascii } else { layout.other },
            length: characters * width as usize,
            width: width as usize,
        })
    })
}

/// The text of these characters; what is none becomes U+FFFD.
pub(super) fn text(place: TextPlace, bytes: &[u8]) -> String {
    let codes = bytes.chunks_exact(place.width).map(|bytes| match *bytes {
        [low] => u32::from(low),
        [a, b] => u32::from(u16::from_ne_bytes([a, b])),
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]),
        _ => u32::MAX,
    });
    codes.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// A thread state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ThreadState {
    pub next: Option<u64>,
    pub interpreter: Option<u64>,
    /// The innermost frame, or the structure that points to it.
    pub top: Option<u64>,
    pub id: u64,
    pub native_id: Option<u64>,
}

pub(super) fn thread_state(layout: &Thread, bytes: &[u8]) -> Option<ThreadState> {
    let (Top::Here(top) | Top::Through { c_frame: top, .. }) = layout.top;
    Some(ThreadState {
        next: pointer(bytes, layout.next),
        interpreter: pointer(bytes, layout.interpreter),
        top: pointer(bytes, top),
        id: int_u64(bytes, layout.id)?,
        native_id: match layout.native_id {
            Some(field) => Some(int_u64(bytes, field)?),
            None => None,
        },
    })
}

/// A frame, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawFrame {
    pub address: u64,
    pub previous: Option<u64>,
    /// Its code object; absent in frames that are not of Python code.
    pub code: Option<u64>,
    /// An index or an address, as the layout says.
    pub position: u64,
}

pub(super) fn frame(layout: &Layout, address: u64, bytes: &[u8]) -> Option<RawFrame> {
    /// Flags in the low bits of references, from 3.14 on (`Py_TAG_BITS`); objects lie at multiples of 8.
    const TAGS: u64 = 7;
    let fields = &layout.frame;
    let foreign = match fields.owner {
        Some(field) => *bytes.get(field)? >= super::layout::OWNED_BY_INTERPRETER,
        None => false,
    };
    let position = match fields.position {
        // Sign-extended: before the first instruction it is −1.
        Position::Index { field, .. } => i64::from(int_u32(bytes, field)?.cast_signed()).cast_unsigned(),
        Position::Address { field } => int_u64(bytes, field)?,
    };
    Some(RawFrame {
        address,
        previous: pointer(bytes, fields.previous),
        code: if foreign { None } else { Some(pointer(bytes, fields.code)? & !TAGS) },
        position,
    })
}

/// The offset in bytes of the instruction that a frame is at; absent before the first one, `Err` for nonsense.
pub(super) fn instruction(layout: &Layout, code: u64, position: u64) -> Result<Option<u32>, Nonsense> {
    let offset = match layout.frame.position {
        Position::Index { bytes, .. } => position.cast_signed().checked_mul(bytes.into()),
        Position::Address { .. } => {
            let begin = code.checked_add(layout.code.bytecode as u64).ok_or(Nonsense)?;
            Some(position.wrapping_sub(begin).cast_signed())
        }
    };
    match offset {
        // One instruction is two bytes.
        Some(-2..0) => Ok(None),
        Some(offset) => u32::try_from(offset).map(Some).map_err(|_| Nonsense),
        None => Err(Nonsense),
    }
}

/// A value that no interpreter would have there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nonsense;

/// The offset of the kernel's thread number in the C library's own record of a thread, to which `pthread_t` points:
/// where every thread has one of the numbers that exist, and no two the same.
pub(super) fn thread_number_field(records: &[&[u8]], numbers: &[u32]) -> Option<usize> {
    let shortest = records.iter().map(|record| record.len()).min()?;
    (0..shortest / 4).map(|index| index * 4).find(|&field| {
        let mut seen: Vec<u32> = records.iter().filter_map(|record| int_u32(record, field)).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len() == records.len() && seen.iter().all(|number| numbers.contains(number))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::layout::{self, Version};
    use super::*;

    const TEXT: Text = Text { length: 16, state: 32, ascii: 40, other: 56 };

    fn string(state: u32, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; 40];
        bytes[16..24].copy_from_slice(&length.to_ne_bytes());
        bytes[32..36].copy_from_slice(&state.to_ne_bytes());
        bytes
    }

    fn flags(width: u32, compact: bool, ascii: bool) -> u32 {
        width | u32::from(compact) << 3 | u32::from(ascii) << 4
    }

    #[test]
    fn strings_of_every_width_are_read() {
        let ascii = text_place(&TEXT, &string(1 | flags(1, true, true) << 2, 3)).expect("a string");
        assert_eq!((ascii.begin, ascii.length), (40, 3));
        assert_eq!(text(ascii, b"abc"), "abc");
        let latin = text_place(&TEXT, &string(flags(1, true, false) << 2, 2)).expect("a string");
        assert_eq!((latin.begin, text(latin, &[0xe4, 0x62])), (56, "äb".to_owned()));
        let wide = text_place(&TEXT, &string(flags(2, true, false) << 2, 1)).expect("a string");
        assert_eq!(text(wide, &0x20ac_u16.to_ne_bytes()), "€");
        let wider = text_place(&TEXT, &string(flags(4, true, false) << 2, 2)).expect("a string");
        let codes: Vec<u8> = [0x1f40d_u32, 0xd800].into_iter().flat_map(u32::to_ne_bytes).collect();
        assert_eq!(text(wider, &codes), "🐍\u{fffd}", "half a surrogate pair is no character");
        for shift in [8, 16] {
            let place = text_place(&TEXT, &string(3 | flags(1, true, true) << shift, 3));
            assert_eq!(place, Some(ascii));
        }
    }

    #[test]
    fn what_is_no_string_is_absent() {
        assert_eq!(text_place(&TEXT, &string(flags(3, true, false) << 2, 3)), None);
        assert_eq!(text_place(&TEXT, &string(flags(2, true, true) << 2, 3)), None);
        assert_eq!(text_place(&TEXT, &string(flags(1, false, true) << 2, 3)), None);
        assert_eq!(text_place(&TEXT, &[0; 20]), None);
        let endless = text_place(&TEXT, &string(flags(4, true, false) << 2, u64::MAX)).expect("cut");
        assert_eq!(endless.length, 4 * 4096);
    }

    #[test]
    fn instructions_are_counted_from_the_code() {
        let layout = |minor| layout::of(Version { major: 3, minor }, &[]).expect("supported");
        let code = 0x10000;
        assert_eq!(instruction(&layout(8), code, 12), Ok(Some(12)));
        assert_eq!(instruction(&layout(10), code, 6), Ok(Some(12)));
        assert_eq!(instruction(&layout(10), code, u64::MAX), Ok(None));
        assert_eq!(instruction(&layout(11), code, code + 184 + 12), Ok(Some(12)));
        assert_eq!(instruction(&layout(11), code, code + 184 - 2), Ok(None));
        assert_eq!(instruction(&layout(11), code, code), Err(Nonsense));
        assert_eq!(instruction(&layout(11), u64::MAX, 5), Err(Nonsense));
    }

    #[test]
    fn thread_numbers_are_found_in_the_records_of_the_c_library() {
        let record = |number: u32| [0, 7, number, number].map(u32::to_ne_bytes).concat();
        let (a, b) = (record(41), record(42));
        assert_eq!(thread_number_field(&[&a, &b], &[41, 42, 43]), Some(8));
        assert_eq!(thread_number_field(&[&a, &b], &[41, 7]), None, "the same in both");
        assert_eq!(thread_number_field(&[], &[41]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            address: u64, code: u64, position: u64, minor in 8_u8..13,
        ) {
            let layout = layout::of(Version { major: 3, minor }, &[]).expect("supported");
            if let Some(frame) = frame(&layout, address, &bytes) {
                let _ = instruction(&layout, frame.code.unwrap_or(code), frame.position);
            }
            let _ = instruction(&layout, code, position);
            let _ = thread_state(&layout.thread, &bytes);
            if let Some(place) = text_place(&layout.text, &bytes) {
                prop_assert!(place.length <= 4 * 4096);
                prop_assert!(text(place, &bytes).chars().count() <= bytes.len());
            }
            let _ = thread_number_field(&[&bytes, &bytes[bytes.len() / 2..]], &[1, 2]);
        }
    }
}
