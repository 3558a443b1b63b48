//! Where the fields of CPython's structures are, for each version of it.
//!
//! From 3.13 on the interpreter says so itself (`_Py_DebugOffsets`, at the start of `_PyRuntime`). For 3.8 to 3.12 they
//! are what `offsetof` gives for the headers of these releases on 64-bit Linux; no release of one minor version moved
//! them. All versions up to 3.13 are tried with real interpreters by the tests; 3.14 is read from its
//! `Include/internal/pycore_debug_offsets.h`, and was not tried.

use std::fmt;

use super::decode::{int_u64, pointer};
use super::lines::Format;

/// The oldest and the newest minor version of Python 3 that can be read.
pub(super) const MINORS: std::ops::RangeInclusive<u8> = 8..=14;

/// A release of CPython.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Version {
    pub major: u8,
    pub minor: u8,
}

impl Version {
    /// From `PY_VERSION_HEX`.
    pub fn from_hex(hex: u64) -> Option<Self> {
        let [.., major, minor, _, _] = hex.to_be_bytes();
        (hex >> 32 == 0 && (2..=9).contains(&major)).then_some(Self { major, minor })
    }

    pub fn is_supported(self) -> bool {
        self.major == 3 && MINORS.contains(&self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Python {}.{}", self.major, self.minor)
    }
}

/// How a thread's innermost frame is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Top {
    /// In the thread state.
    Here(usize),
    /// In a structure on the C stack (`_PyCFrame`) that the thread state points to.
    Through { c_frame: usize, frame: usize },
}

/// Where a frame stands in its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// An index, in bytes of bytecode after this factor; negative before the first instruction.
    Index { field: usize, bytes: i32 },
    /// The address of an instruction.
    Address { field: usize },
}

/// Offsets in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub runtime: Runtime,
    pub interpreter: Interpreter,
    pub gil: Option<Gil>,
    pub thread: Thread,
    pub frame: Frame,
    pub code: Code,
    pub object_type: usize,
    pub type_name: usize,
    pub text: Text,
    pub bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Runtime {
    pub interpreters: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interpreter {
    pub next: usize,
    pub threads: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gil {
    pub place: GilPlace,
    pub locked: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GilPlace {
    /// One for all, part of `_PyRuntime`.
    Runtime(usize),
    /// The interpreter points to it.
    Interpreter(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thread {
    pub next: usize,
    pub interpreter: usize,
    pub top: Top,
    /// `pthread_t`.
    pub id: usize,
    /// The kernel's number of it.
    pub native_id: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub previous: usize,
    pub code: usize,
    pub position: Position,
    /// Who owns it: from [`OWNED_BY_INTERPRETER`] on it is no frame of Python code.
    pub owner: Option<usize>,
    pub size: usize,
}

/// `FRAME_OWNED_BY_CSTACK` of 3.12 and 3.13, `FRAME_OWNED_BY_INTERPRETER` of 3.14.
pub(super) const OWNED_BY_INTERPRETER: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub file: usize,
    /// The qualified name where there is one.
    pub name: usize,
    pub first_line: usize,
    pub table: usize,
    /// The bytecode, where it is part of the code object.
    pub bytecode: usize,
    pub format: Format,
    pub size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    pub length: usize,
    pub state: usize,
    /// Where the characters of an ASCII string begin.
    pub ascii: usize,
    /// Where those of another one begin.
    pub other: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes {
    pub length: usize,
    pub data: usize,
}

/// What one must read at `_PyRuntime` to ask it for its layout.
pub(super) const DEBUG_OFFSETS_SIZE: usize = 1024;

/// The layout of a version; `runtime` is the start of its `_PyRuntime`. Absent for other versions and for a runtime that
/// does not say what its version should.
pub(super) fn of(version: Version, runtime: &[u8]) -> Option<Layout> {
    match version.minor {
        _ if version.major != 3 => None,
        8 => Some(frames_on_heap(1152, 104, 1, Format::Steps)),
        9 => Some(frames_on_heap(352, 104, 1, Format::Steps)),
        10 => Some(frames_on_heap(352, 96, 2, Format::Ranges)),
        11 => Some(python_3_11()),
        12 => Some(python_3_12()),
        13 | 14 => self_described(version, runtime),
        _ => None,
    }
}

/// 3.8, 3.9 and 3.10.
fn frames_on_heap(gil: usize, position: usize, bytes: i32, format: Format) -> Layout {
    Layout {
        runtime: Runtime { interpreters: 32 },
        interpreter: Interpreter { next: 0, threads: 8 },
        gil: Some(Gil { place: GilPlace::Runtime(gil), locked: 16 }),
        thread: Thread { next: 8, interpreter: 16, top: Top::Here(24), id: 176, native_id: None },
        frame: Frame {
            previous: 24,
            code: 32,
            position: Position::Index { field: position, bytes },
            owner: None,
            size: 112,
        },
        code: Code { file: 104, name: 112, first_line: 40, table: 120, bytecode: 0, format, size: 176 },
        object_type: 8,
        type_name: 24,
        text: Text { length: 16, state: 32, ascii: 48, other: 72 },
        bytes: Bytes { length: 16, data: 32 },
    }
}

fn python_3_11() -> Layout {
    Layout {
        runtime: Runtime { interpreters: 40 },
        interpreter: Interpreter { next: 0, threads: 16 },
        gil: Some(Gil { place: GilPlace::Runtime(360), locked: 16 }),
        thread: Thread {
            next: 8,
            interpreter: 16,
            top: Top::Through { c_frame: 56, frame: 8 },
            id: 152,
            native_id: Some(160),
        },
        frame: Frame {
            previous: 48,
            code: 32,
            position: Position::Address { field: 56 },
            owner: Some(69),
            size: 80,
        },
        code: Code {
            file: 112,
            name: 128,
            first_line: 72,
            table: 136,
            bytecode: 184,
            format: Format::Locations,
            size: 192,
        },
        object_type: 8,
        type_name: 24,
        text: Text { length: 16, state: 32, ascii: 48, other: 72 },
        bytes: Bytes { length: 16, data: 32 },
    }
}

fn python_3_12() -> Layout {
    Layout {
        runtime: Runtime { interpreters: 40 },
        interpreter: Interpreter { next: 0, threads: 72 },
        gil: Some(Gil { place: GilPlace::Interpreter(384), locked: 16 }),
        thread: Thread {
            next: 8,
            interpreter: 16,
            top: Top::Through { c_frame: 56, frame: 0 },
            id: 136,
            native_id: Some(144),
        },
        frame: Frame {
            previous: 8,
            code: 0,
            position: Position::Address { field: 56 },
            owner: Some(70),
            size: 80,
        },
        code: Code {
            file: 112,
            name: 128,
            first_line: 68,
            table: 136,
            bytecode: 192,
            format: Format::Locations,
            size: 200,
        },
        object_type: 8,
        type_name: 24,
        text: Text { length: 16, state: 32, ascii: 40, other: 56 },
        bytes: Bytes { length: 16, data: 32 },
    }
}

/// `_Py_Debug_Cookie`.
const COOKIE: &[u8] = b"xdebugpy";

/// The version that a runtime says it is; absent before 3.13.
pub(super) fn described_version(runtime: &[u8]) -> Option<Version> {
    runtime.starts_with(COOKIE).then(|| Version::from_hex(pointer(runtime, 8)?)).flatten()
}

/// The groups of `_Py_DebugOffsets` that are used here, as indices of its 64-bit numbers after the cookie. Each group
/// grew by some fields in 3.14.
struct Groups {
    interpreter: usize,
    gil: usize,
    thread: usize,
    frame: usize,
    code: usize,
    object: usize,
    class: usize,
    bytes: usize,
    text: usize,
}

/// 3.13.
const GROUPS_13: Groups = Groups {
    interpreter: 6,
    gil: 14,
    thread: 19,
    frame: 28,
    code: 34,
    object: 44,
    class: 46,
    bytes: 64,
    text: 67,
};

/// 3.14: `threads_main` and two generations in the interpreter's, two fields in the frame's, one in the code's, and the
/// group of sets.
const GROUPS_14: Groups = Groups {
    interpreter: 6,
    gil: 15,
    thread: 22,
    frame: 31,
    code: 39,
    object: 50,
    class: 52,
    bytes: 74,
    text: 77,
};

/// Offsets beyond this are of no structure of CPython: the largest, the interpreter's, has some hundred kilobytes.
const OFFSET_MAX: u64 = 1 << 22;

fn self_described(version: Version, runtime: &[u8]) -> Option<Layout> {
    if described_version(runtime)? != version {
        return None;
    }
    let groups = if version.minor == 13 { GROUPS_13 } else { GROUPS_14 };
    let number = |index: usize| int_u64(runtime, index * 8).filter(|&value| value < OFFSET_MAX);
    let offset = |index: usize| number(index).map(|value| value as usize);
    let free_threaded = number(2)? != 0;
    let gil = || {
        let [gil, _enabled, locked] =
            [offset(groups.gil + 1)?, offset(groups.gil + 2)?, offset(groups.gil + 3)?];
        let place = GilPlace::Interpreter(offset(groups.gil)?);
        Some(Gil { place, locked: locked.checked_sub(gil)? })
    };
    let ascii = offset(groups.text + 3)?;
    let layout = Layout {
        runtime: Runtime { interpreters: offset(5)? },
        interpreter: Interpreter {
            next: offset(groups.interpreter + 2)?,
            threads: offset(groups.interpreter + 3)?,
        },
        // Without a lock nobody waits for it.
        gil: if free_threaded { None } else { gil() },
        thread: Thread {
            next: offset(groups.thread + 2)?,
            interpreter: offset(groups.thread + 3)?,
            top: Top::Here(offset(groups.thread + 4)?),
            id: offset(groups.thread + 5)?,
            native_id: Some(offset(groups.thread + 6)?),
        },
        frame: Frame {
            size: offset(groups.frame)?,
            previous: offset(groups.frame + 1)?,
            code: offset(groups.frame + 2)?,
            position: Position::Address { field: offset(groups.frame + 3)? },
            owner: Some(offset(groups.frame + 5)?),
        },
        code: Code {
            size: offset(groups.code)?,
            file: offset(groups.code + 1)?,
            name: offset(groups.code + 3)?,
            table: offset(groups.code + 4)?,
            first_line: offset(groups.code + 5)?,
            bytecode: offset(groups.code + 9)?,
            format: Format::Locations,
        },
        object_type: offset(groups.object + 1)?,
        type_name: offset(groups.class + 1)?,
        text: Text {
            state: offset(groups.text + 1)?,
            length: offset(groups.text + 2)?,
            ascii,
            // `PyCompactUnicodeObject` adds a length and a pointer.
            other: ascii + 16,
        },
        bytes: Bytes { length: offset(groups.bytes + 1)?, data: offset(groups.bytes + 2)? },
    };
    layout.is_sound().then_some(layout)
}

/// Bytes that are read of a thread state, a frame or a code object at once; they have at most 300 in any version.
pub(super) const STRUCTURE_MAX: usize = 4096;

impl Layout {
    /// What is read of a thread state.
    pub fn thread_size(&self) -> usize {
        let (Top::Here(top) | Top::Through { c_frame: top, .. }) = self.thread.top;
        [self.thread.next, self.thread.interpreter, top, self.thread.id, self.thread.native_id.unwrap_or(0)]
            .into_iter()
            .max()
            .unwrap_or(0)
            + 8
    }

    /// Whether everything that is read at once has a sensible size.
    fn is_sound(&self) -> bool {
        [
            self.thread_size(),
            self.frame.size,
            self.code.size,
            self.text.other,
            self.bytes.data,
            self.object_type,
            self.type_name,
        ]
        .into_iter()
        .all(|size| size <= STRUCTURE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(minor: u8) -> Version {
        Version { major: 3, minor }
    }

    /// A runtime of 3.13 whose numbers are those of a real 3.13.0 on x86-64, where they are used.
    fn runtime_13() -> Vec<u8> {
        let mut numbers = vec![0_u64; 80];
        numbers[0] = u64::from_le_bytes(*b"xdebugpy");
        numbers[1] = 0x030d_00f0;
        numbers[5] = 632;
        numbers[8..10].copy_from_slice(&[7264, 7344]);
        numbers[14..18].copy_from_slice(&[16, 7000, 0, 7016]);
        numbers[21..26].copy_from_slice(&[8, 16, 72, 152, 160]);
        numbers[28..34].copy_from_slice(&[88, 8, 0, 56, 72, 70]);
        numbers[34..44].copy_from_slice(&[208, 112, 120, 128, 136, 68, 52, 96, 104, 200]);
        numbers[44..48].copy_from_slice(&[16, 8, 416, 24]);
        numbers[64..67].copy_from_slice(&[40, 16, 32]);
        numbers[67..71].copy_from_slice(&[64, 32, 16, 40]);
        numbers.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    #[test]
    fn a_runtime_describes_itself() {
        let layout = of(version(13), &runtime_13()).expect("a sound one");
        assert_eq!(layout.runtime.interpreters, 632);
        assert_eq!(layout.interpreter, Interpreter { next: 7264, threads: 7344 });
        assert_eq!(layout.gil, Some(Gil { place: GilPlace::Interpreter(16), locked: 16 }));
        assert_eq!((layout.thread.top, layout.thread.native_id), (Top::Here(72), Some(160)));
        assert_eq!((layout.frame.previous, layout.frame.owner), (8, Some(70)));
        assert_eq!((layout.code.name, layout.code.first_line, layout.code.bytecode), (128, 68, 200));
        assert_eq!(layout.text, Text { length: 16, state: 32, ascii: 40, other: 56 });
        assert_eq!(layout.bytes, Bytes { length: 16, data: 32 });
    }

    #[test]
    fn a_description_that_does_not_fit_is_refused() {
        let mut broken = runtime_13();
        assert_eq!(of(version(14), &broken), None, "of another version");
        broken[34 * 8 + 1] = 0xff;
        assert_eq!(of(version(13), &broken), None, "a code object of 65 kilobytes");
        assert_eq!(of(version(13), &runtime_13()[..300]), None);
        assert_eq!(of(version(13), b"xdebugpx"), None);
        assert_eq!(of(version(15), &runtime_13()), None);
        assert_eq!(of(Version { major: 2, minor: 8 }, &[]), None);
    }

    #[test]
    fn every_supported_version_has_a_layout_and_no_other() {
        for minor in 8..13 {
            let layout = of(version(minor), &[]).expect("by its version alone");
            assert!(layout.is_sound() && version(minor).is_supported());
        }
        assert_eq!(Version::from_hex(0x030b_07f0), Some(version(11)));
        assert_eq!(Version::from_hex(0x1_030b_07f0), None);
        assert!([7, 15].into_iter().all(|minor| of(version(minor), &[]).is_none()));
    }

    proptest! {
        #[test]
        fn any_runtime_is_taken(bytes in prop::collection::vec(any::<u8>(), 0..800), minor: u8, cookie: bool) {
            let mut bytes = bytes;
            if cookie && bytes.len() >= 16 {
                bytes[..8].copy_from_slice(COOKIE);
                bytes[8..16].fill(0);
                bytes[10..12].copy_from_slice(&[minor, 3]);
            }
            let layout = of(version(minor), &bytes);
            prop_assert!(layout.is_none_or(|layout| layout.is_sound()));
        }
    }
}
