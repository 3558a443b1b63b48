//! Which process runs CPython, where in its memory the interpreter's state is, and which version it has.
//!
//! The state is the variable `_PyRuntime` of the executable or of `libpython`, whichever has it.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD, SHT_DYNSYM, SHT_SYMTAB};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::read::{ReadCache, ReadRef};

use super::decode::int_u64;
use super::layout::{self, DEBUG_OFFSETS_SIZE, Layout, Version};
use crate::sys::peek::{Peek, Span};

/// What stands in the name of an executable that may hold an interpreter.
const PROGRAM: &str = "python";

/// What the name of an interpreter in a library begins with.
const LIBRARY: &str = "libpython";

/// Why a process of which one would expect it gives no frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Not yet, or never: no interpreter is there.
    NoInterpreter,
    /// It is another version, or a build that is laid out in another way.
    Version(String),
    /// The kernel refuses to read it.
    Refused(std::io::ErrorKind),
}

/// An interpreter in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The address of `_PyRuntime`.
    pub runtime: u64,
    pub layout: Layout,
}

/// A file that is mapped, from `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapped<'a> {
    begin: u64,
    offset: u64,
    device: &'a str,
    inode: u64,
    path: &'a str,
}

/// Addresses as the file counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Symbols {
    runtime: u64,
    /// `Py_Version`, from 3.11 on.
    version: Option<u64>,
    /// Of each loaded segment: offset in the file, size there, address.
    segments: Vec<(u64, u64, u64)>,
}

/// Finds interpreters; remembers the files that it has read.
#[derive(Default)]
pub(super) struct Finder {
    files: HashMap<(String, u64), Option<Symbols>>,
}

/// Whether the executable's name says that it is Python. Others may still have mapped `libpython`.
pub(super) fn is_named_python(executable: &Path) -> bool {
    executable.file_name().is_some_and(|name| name.to_string_lossy().contains(PROGRAM))
}

impl Finder {
    pub fn find(&mut self, pid: u32, executable: &Path, peek: &mut Peek) -> Result<Found, Failure> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/maps"))
            .map_err(|error| Failure::Refused(error.kind()))?;
        let executable = executable.to_string_lossy();
        let candidates = candidates(&text, &executable);
        for mapped in &candidates {
            let key = (mapped.device.to_owned(), mapped.inode);
            let symbols = self.files.entry(key).or_insert_with(|| {
                // The process may see other files at this path than this one does. The executable can be had even
                // if it was deleted.
                let path = if mapped.path == executable {
                    format!("/proc/{pid}/exe")
                } else {
                    format!("/proc/{pid}/root{}", mapped.path)
                };
                symbols(Path::new(&path))
            });
            if let Some(symbols) = symbols {
                return interpreter(symbols, mapped, &text, peek);
            }
        }
        // Versions before 3.7 have no such variable.
        let version = candidates.iter().find_map(|mapped| named_version(mapped.path));
        match version.filter(|version| !version.is_supported()) {
            Some(version) => Err(Failure::Version(version.to_string())),
            None => Err(Failure::NoInterpreter),
        }
    }
}

/// The interpreter whose file has these symbols and is mapped here.
fn interpreter(
    symbols: &Symbols,
    mapped: &Mapped<'_>,
    maps: &str,
    peek: &mut Peek,
) -> Result<Found, Failure> {
    let bias = bias(symbols, mapped).ok_or(Failure::NoInterpreter)?;
    let runtime = bias.wrapping_add(symbols.runtime);
    let version = symbols.version.map_or(0, |address| bias.wrapping_add(address));
    let spans = [Span { address: runtime, length: DEBUG_OFFSETS_SIZE }, Span { address: version, length: 8 }];
    peek.read(&spans).map_err(|error| Failure::Refused(error.kind()))?;
    let head = peek.part(0).ok_or(Failure::NoInterpreter)?;
    let version = layout::described_version(head)
        .or_else(|| Version::from_hex(int_u64(peek.part(1)?, 0)?))
        .or_else(|| named_version(mapped.path))
        .or_else(|| maps.lines().find_map(|line| named_version(line.rsplit_once("/lib/")?.1)))
        .ok_or_else(|| Failure::Version("a Python of unknown version".to_owned()))?;
    let layout = layout::of(version, head).ok_or_else(|| Failure::Version(version.to_string()))?;
    Ok(Found { runtime, layout })
}

/// The first mappings of the files that may hold an interpreter, libraries first: an executable that uses one does not
/// hold it itself.
fn candidates<'a>(maps: &'a str, executable: &str) -> Vec<Mapped<'a>> {
    let mut found: Vec<Mapped<'_>> = Vec::new();
    for line in maps.lines() {
        let Some(mapped) = parse_mapped(line) else { continue };
        let name = mapped.path.rsplit('/').next().unwrap_or_default();
        // The executable counts only under its name: to read the symbols of any program would be slow.
        let fits = name.starts_with(LIBRARY) || (mapped.path == executable && name.contains(PROGRAM));
        if fits && !found.iter().any(|other| other.path == mapped.path) {
            found.push(mapped);
        }
    }
    found.sort_by_key(|mapped| mapped.path == executable);
    found
}

fn parse_mapped(line: &str) -> Option<Mapped<'_>> {
    // `begin-end rights offset device inode      path`, where the path may hold spaces.
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once(' ')?;
        rest = after;
        Some(word)
    };
    let (begin, _) = word()?.split_once('-')?;
    let _rights = word()?;
    let offset = word()?;
    let device = word()?;
    let inode = word()?.parse().ok().filter(|&inode| inode != 0)?;
    Some(Mapped {
        begin: u64::from_str_radix(begin, 16).ok()?,
        offset: u64::from_str_radix(offset, 16).ok()?,
        device,
        inode,
        path: rest.trim_start(),
    })
}

/// The version that the name of a file tells: `python3.9`, `libpython3.9.so.1.0`, `python3.9/lib-dynload/…`.
fn named_version(path: &str) -> Option<Version> {
    let (_, after) = path.rsplit_once(PROGRAM)?;
    let (major, after) = after.split_once('.')?;
    let minor: String = after.chars().take_while(char::is_ascii_digit).collect();
    Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// What to add to the file's addresses to have those in memory.
fn bias(symbols: &Symbols, mapped: &Mapped<'_>) -> Option<u64> {
    // The loader maps whole pages; none is larger than this.
    const PAGE_MAX: u64 = 1 << 16;
    let &(offset, _, address) = symbols.segments.iter().find(|&&(offset, size, _)| {
        mapped.offset.saturating_add(PAGE_MAX) > offset && mapped.offset < offset.saturating_add(size)
    })?;
    Some(mapped.begin.wrapping_sub(mapped.offset).wrapping_add(offset).wrapping_sub(address))
}

/// The interpreter's symbols in a file; absent when it has none.
fn symbols(path: &Path) -> Option<Symbols> {
    let data = ReadCache::new(File::open(path).ok()?);
    read_symbols(&data)
}

fn read_symbols<'data, R: ReadRef<'data>>(data: R) -> Option<Symbols> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let mut found = None;
    // The second is there only in files that are not stripped.
    for kind in [SHT_DYNSYM, SHT_SYMTAB] {
        let table = sections.symbols(endian, data, kind).ok()?;
        // All names in one piece: to look each one up in the file would take a system call for each.
        let Some(names) =
            sections.section(table.string_section()).ok().and_then(|section| section.data(endian, data).ok())
        else {
            continue;
        };
        let named = |name: &[u8]| {
            table.iter().find(|symbol| {
                let begin = symbol.st_name(endian) as usize;
                symbol.st_value(endian) != 0
                    && names.get(begin..).is_some_and(|rest| {
                        rest.starts_with(name) && rest.get(name.len()).is_none_or(|&end| end == 0)
                    })
            })
        };
        if let Some(runtime) = named(b"_PyRuntime") {
            let version = named(b"Py_Version").map(|symbol| symbol.st_value(endian));
            found = Some((runtime.st_value(endian), version));
            break;
        }
    }
    let (runtime, version) = found?;
    let segments = header.program_headers(endian, data).ok()?.iter();
    let segments = segments
        .filter(|segment| segment.p_type(endian) == PT_LOAD)
        .map(|segment| (segment.p_offset(endian), segment.p_filesz(endian), segment.p_vaddr(endian)))
        .collect();
    Some(Symbols { runtime, version, segments })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAPS: &str = "\
55d0c0a00000-55d0c0a01000 r--p 00000000 08:01 77 /opt/my python/bin/python3.9\n\
55d0c0a01000-55d0c0a02000 r-xp 00001000 08:01 77 /opt/my python/bin/python3.9\n\
7f0000000000-7f0000100000 rw-p 00000000 00:00 0 \n\
7f0000200000-7f0000300000 r--p 00000000 08:01 99                         /usr/lib/libpython3.9.so.1.0\n\
7f0000300000-7f0000400000 r-xp 00100000 08:01 99                         /usr/lib/libpython3.9.so.1.0\n";

    #[test]
    fn libraries_come_before_the_executable() {
        let found = candidates(MAPS, "/opt/my python/bin/python3.9");
        let places: Vec<(u64, u64)> = found.iter().map(|mapped| (mapped.inode, mapped.begin)).collect();
        assert_eq!(places, [(99, 0x7f00_0020_0000), (77, 0x55d0_c0a0_0000)]);
        assert_eq!(found[1].path, "/opt/my python/bin/python3.9");
        assert_eq!(candidates(MAPS, "/usr/bin/uwsgi").len(), 1);
        assert_eq!(candidates("", "/usr/bin/python3"), []);
    }

    #[test]
    fn names_tell_versions() {
        let version = |minor| Some(Version { major: 3, minor });
        assert_eq!(named_version("/usr/bin/python3.9"), version(9));
        assert_eq!(named_version("/usr/lib/libpython3.10.so.1.0"), version(10));
        assert_eq!(named_version("python3.12/lib-dynload/_json.so"), version(12));
        assert_eq!(named_version("/usr/bin/python3"), None);
        assert_eq!(named_version("/usr/bin/perl5.36"), None);
        assert!(is_named_python(Path::new("/usr/bin/python3")) && !is_named_python(Path::new("/python/sh")));
    }

    #[test]
    fn the_bias_is_of_the_segment_that_is_mapped() {
        let segments = vec![(0, 0x1000, 0x40_0000), (0x1f00, 0x800, 0x60_2f00)];
        let symbols = Symbols { runtime: 0, version: None, segments };
        let mapped = |begin, offset| Mapped { begin, offset, device: "08:01", inode: 1, path: "" };
        assert_eq!(bias(&symbols, &mapped(0x40_0000, 0)), Some(0));
        assert_eq!(bias(&symbols, &mapped(0x55d0_0000_0000, 0)), Some(0x55d0_0000_0000 - 0x40_0000));
        assert_eq!(bias(&symbols, &mapped(0x10_0000, 0x9_0000)), None);
    }

    #[test]
    fn a_file_without_an_interpreter_has_no_symbols() {
        assert_eq!(symbols(Path::new("/proc/self/exe")), None);
        assert_eq!(symbols(Path::new("/proc/self/maps")), None);
        assert_eq!(symbols(Path::new("/nowhere")), None);
    }

    proptest! {
        #[test]
        fn any_maps_and_files_are_taken(text: String, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = candidates(&text, "python");
            let _ = named_version(&text);
            prop_assert_eq!(read_symbols(bytes.as_slice()), None);
            let mut file = b"\x7fELF\x02\x01\x01".to_vec();
            file.extend(bytes);
            let _ = read_symbols(file.as_slice());
        }
    }
}
