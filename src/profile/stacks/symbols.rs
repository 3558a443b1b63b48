//! Names for places: functions and lines of files, of the kernel, and of code that programs made.
//!
//! Files are opened when their code is first mapped, for a program may be gone, or its file replaced, when the recording
//! ends. **Invariant**: what has no name is `[unknown]`, never the nearest guess.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{CodeInfo, Input, Sym, Symbolized, Symbolizer};

use super::spaces::Place;
use super::{Frame, Kind, UNKNOWN};

/// The module of kernel code.
const KERNEL: &str = "[kernel]";

/// Files that are kept open at most; later ones must still be there at the end.
const FILES_MAX: usize = 256;

/// A list of names of made code beyond this is not a list of names.
const MAP_BYTES_MAX: u64 = 64 << 20;

/// `O_NONBLOCK`: a path that has become a pipe must not hold us.
const NEVER_WAIT: i32 = 0o4000;

thread_local! {
    /// Keeps what it has read of a file for the next run of the same program, unless the file has changed since: a short
    /// command is watched up to twenty times, and debug information takes long to read.
    static SYMBOLIZER: Symbolizer = Symbolizer::new();
}

/// The files whose code was mapped.
#[derive(Debug, Default)]
pub(super) struct Modules(Vec<Module>);

#[derive(Debug)]
struct Module {
    path: String,
    file: Option<File>,
}

impl Modules {
    /// Opens those that are new.
    pub fn follow(&mut self, paths: &[String]) {
        for path in paths.iter().skip(self.0.len()) {
            let is_room = self.0.len() < FILES_MAX && path.starts_with('/');
            let open = || OpenOptions::new().read(true).custom_flags(NEVER_WAIT).open(path).ok();
            let file = if is_room { open() } else { None };
            let file = file.filter(|file| file.metadata().is_ok_and(|found| found.is_file()));
            self.0.push(Module { path: path.clone(), file });
        }
    }
}

impl Module {
    /// Where its content can be read: by its name as long as that means the same file, for separate debug information is
    /// looked for beside it.
    fn readable(&self) -> Option<PathBuf> {
        let named = fs::metadata(&self.path).ok();
        match &self.file {
            Some(file) => {
                let held = file.metadata().ok()?;
                let is_same = |named: fs::Metadata| (named.dev(), named.ino()) == (held.dev(), held.ino());
                if named.is_some_and(is_same) {
                    return Some(PathBuf::from(&self.path));
                }
                Some(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
            }
            None => named.filter(|named| named.is_file()).map(|_| PathBuf::from(&self.path)),
        }
    }

    /// As users know it: without what the kernel says of it.
    fn name(&self) -> &str {
        self.path.strip_suffix(" (deleted)").unwrap_or(&self.path)
    }
}

/// The frames of each place, outermost first: several where functions were inlined.
pub(super) fn frames(
    places: impl IntoIterator<Item = Place>,
    modules: &Modules,
    begin: SystemTime,
) -> HashMap<Place, Vec<Frame>> {
    let mut in_files: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let mut made: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let mut in_kernel = Vec::new();
    let mut found: HashMap<Place, Vec<Frame>> = HashMap::new();
    for place in places {
        if found.contains_key(&place) {
            continue;
        }
        match place {
            Place::File { module, offset } => in_files.entry(module).or_default().push(offset),
            Place::Made { pid, address } => made.entry(pid).or_default().push(address),
            Place::Kernel(address) => in_kernel.push(address),
            Place::Nowhere => {}
        }
        found.insert(place, Vec::new());
    }
    for (module, offsets) in in_files {
        let frames =
            SYMBOLIZER.with(|symbolizer| of_file(symbolizer, modules.0.get(module as usize), &offsets));
        let places = offsets.iter().map(|&offset| Place::File { module, offset });
        found.extend(places.zip(frames));
    }
    if !in_kernel.is_empty() {
        let symbols = KernelSymbols::get();
        let frame = |address: u64| (Place::Kernel(address), vec![symbols.frame(address)]);
        found.extend(in_kernel.into_iter().map(frame));
    }
    for (pid, addresses) in made {
        let map = PerfMap::of(pid, begin);
        let place = |address: u64| (Place::Made { pid, address }, vec![map.frame(address)]);
        found.extend(addresses.into_iter().map(place));
    }
    if let Some(frames) = found.get_mut(&Place::Nowhere) {
        frames.push(nameless("", Kind::Native));
    }
    found
}

fn nameless(module: &str, kind: Kind) -> Frame {
    // The kernel's own pages have no symbols that could be read, but they are small.
    let function = if module.starts_with('[') && kind == Kind::Native { module } else { UNKNOWN };
    Frame { function: function.to_owned(), module: module.to_owned(), file: None, line: None, kind }
}

fn of_file(symbolizer: &Symbolizer, module: Option<&Module>, offsets: &[u64]) -> Vec<Vec<Frame>> {
    let name = module.map_or("", Module::name);
    let symbolized = module
        .and_then(Module::readable)
        .and_then(|path| symbolizer.symbolize(&Source::Elf(Elf::new(path)), Input::FileOffset(offsets)).ok());
    let symbolized = symbolized.unwrap_or_default();
    let frames = |at: usize| match symbolized.get(at) {
        Some(Symbolized::Sym(symbol)) => of_symbol(symbol, name, Kind::Native),
        _ => vec![nameless(name, Kind::Native)],
    };
    (0..offsets.len()).map(frames).collect()
}

fn of_symbol(symbol: &Sym<'_>, module: &str, kind: Kind) -> Vec<Frame> {
    let frame = |function: &str, code: Option<&CodeInfo<'_>>| Frame {
        function: function.to_owned(),
        module: module.to_owned(),
        file: code.map(|code| code.to_path().to_string_lossy().into_owned()),
        line: code.and_then(|code| code.line).filter(|&line| line > 0),
        kind,
    };
    let outermost = frame(&symbol.name, symbol.code_info.as_deref());
    let inlined = symbol.inlined.iter().map(|inlined| frame(&inlined.name, inlined.code_info.as_ref()));
    std::iter::once(outermost).chain(inlined).collect()
}

/// Where the kernel's functions start, lowest first.
struct KernelSymbols(Vec<(u64, Box<str>)>);

impl KernelSymbols {
    /// Read once, for it takes the kernel 50 ms to write them, and it never moves.
    fn get() -> &'static Self {
        static ALL: OnceLock<KernelSymbols> = OnceLock::new();
        ALL.get_or_init(|| {
            let text = fs::read("/proc/kallsyms").unwrap_or_default();
            Self::parse(&String::from_utf8_lossy(&text))
        })
    }

    /// Functions of `/proc/kallsyms`, which shows zeroes to those who may not know where they are.
    fn parse(text: &str) -> Self {
        let mut symbols: Vec<(u64, Box<str>)> = text.lines().filter_map(kernel_function).collect();
        symbols.sort_by_key(|(start, _)| *start);
        // Of several names for one place the first is the usual one.
        symbols.dedup_by_key(|(start, _)| *start);
        Self(symbols)
    }

    fn frame(&self, address: u64) -> Frame {
        let unnamed = nameless(KERNEL, Kind::Kernel);
        match self.0.partition_point(|(start, _)| *start <= address).checked_sub(1) {
            Some(at) => Frame { function: self.0[at].1.to_string(), ..unnamed },
            None => unnamed,
        }
    }
}

/// A line of `/proc/kallsyms`: address, kind, name, and the module if it is of one.
fn kernel_function(line: &str) -> Option<(u64, Box<str>)> {
    let mut words = line.split_ascii_whitespace();
    let start = u64::from_str_radix(words.next()?, 16).ok().filter(|&start| start > 0)?;
    words.next().filter(|kind| ["t", "T", "w", "W"].contains(kind))?;
    Some((start, words.next()?.into()))
}

/// Whether the kernel tells where its functions are.
pub(super) fn kernel_is_named() -> bool {
    let Ok(file) = File::open("/proc/kallsyms") else { return false };
    // What belongs to each CPU may stand first.
    BufReader::new(file)
        .lines()
        .map_while(Result::ok)
        .take(10_000)
        .any(|line| kernel_function(&line).is_some())
}

/// Names of the code that a process made, as it wrote them to `/tmp/perf-PID.map`: start and length in hexadecimal, then the
/// name. See `tools/perf/Documentation/jit-interface.txt` of Linux.
#[derive(Debug, Default)]
struct PerfMap(BTreeMap<u64, (u64, String)>);

impl PerfMap {
    /// Empty where there is none, or only one of an older process with this number.
    fn of(pid: u32, begin: SystemTime) -> Self {
        let path = format!("/tmp/perf-{pid}.map");
        let read = || -> Option<Self> {
            let file = OpenOptions::new().read(true).custom_flags(NEVER_WAIT).open(Path::new(&path)).ok()?;
            let found = file.metadata().ok()?;
            let is_ours = found.is_file() && found.modified().ok()? >= begin;
            let mut bytes = Vec::new();
            file.take(MAP_BYTES_MAX).read_to_end(&mut bytes).ok().filter(|_| is_ours)?;
            Some(Self::parse(&String::from_utf8_lossy(&bytes)))
        };
        read().unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let number = |word: Option<&str>| u64::from_str_radix(word?.trim_start_matches("0x"), 16).ok();
            let (start, length) = (number(words.next())?, number(words.next())?);
            Some((start, (start.checked_add(length)?, words.next()?.trim().to_owned())))
        };
        Self(text.lines().filter_map(entry).collect())
    }

    fn frame(&self, address: u64) -> Frame {
        let at = self.0.range(..=address).next_back().filter(|(_, (end, _))| address < *end);
        let Some((_, (_, name))) = at else { return nameless("", Kind::Jit) };
        // CPython's trampolines, see Doc/howto/perf_profiling.rst: `py::FUNCTION:FILE`.
        match name.strip_prefix("py::").and_then(|name| name.split_once(':')) {
            Some((function, file)) => Frame {
                function: function.to_owned(),
                file: Some(file.to_owned()),
                ..nameless("", Kind::Python)
            },
            None => Frame { function: name.clone(), ..nameless("", Kind::Jit) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_code_is_named_by_its_process() {
        let map =
            PerfMap::parse("1000 20 LazyCompile:~f a.js:1\n0x2000 10 py::g:/a b.py\nnonsense\n3000 10\n");
        let check = |address: u64, function: &str, file: Option<&str>, kind: Kind| {
            let frame = map.frame(address);
            assert_eq!(
                (frame.function.as_str(), frame.file.as_deref(), frame.kind),
                (function, file, kind),
                "{address:x}"
            );
        };
        check(0x1000, "LazyCompile:~f a.js:1", None, Kind::Jit);
        check(0x101f, "LazyCompile:~f a.js:1", None, Kind::Jit);
        check(0x1020, UNKNOWN, None, Kind::Jit);
        check(0x2008, "g", Some("/a b.py"), Kind::Python);
        check(0x3000, UNKNOWN, None, Kind::Jit);
        check(0, UNKNOWN, None, Kind::Jit);
    }

    #[test]
    fn kernel_functions_are_named_unless_they_are_hidden() {
        let text = "0 A per_cpu\nff00 T f\nff00 T alias\nff80 d data\nffc0 t g\t[module]\n";
        let symbols = KernelSymbols::parse(text);
        let name = |address: u64| symbols.frame(address).function;
        assert_eq!([0xfe00, 0xff00, 0xff90, 0xffc5].map(name), [UNKNOWN, "f", "f", "g"]);
        assert!(KernelSymbols::parse("0000 T f\n0000 T g\n").0.is_empty());
    }

    #[test]
    fn a_map_of_an_older_process_is_not_read() {
        let pid = std::process::id();
        let path = format!("/tmp/perf-{pid}.map");
        fs::write(&path, "10 10 f\n").unwrap();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        let later = written + std::time::Duration::from_secs(1);
        let names = [written, later].map(|begin| PerfMap::of(pid, begin).frame(0x10).function);
        fs::remove_file(&path).unwrap();
        assert_eq!(names, ["f", UNKNOWN]);
    }

    #[test]
    fn a_place_without_a_symbol_is_unknown() {
        let mut modules = Modules::default();
        modules.follow(&["/no/such/file (deleted)".to_owned(), "[vdso]".to_owned()]);
        let gone = Place::File { module: 0, offset: 1 };
        let vdso = Place::File { module: 1, offset: 1 };
        let found = frames([gone, vdso, Place::Nowhere, gone], &modules, SystemTime::now());
        let names = |place: Place| (found[&place][0].function.as_str(), found[&place][0].module.as_str());
        assert_eq!(names(gone), (UNKNOWN, "/no/such/file"));
        assert_eq!(names(vdso), ("[vdso]", "[vdso]"));
        assert_eq!(names(Place::Nowhere), (UNKNOWN, ""));
        assert!(found.values().all(|frames| frames.len() == 1));
    }

    #[test]
    fn a_file_that_was_removed_is_still_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        fs::copy("/proc/self/exe", &path).unwrap();
        let mut modules = Modules::default();
        modules.follow(&[path.to_string_lossy().into_owned()]);
        assert_eq!(modules.0[0].readable(), Some(path.clone()));
        fs::remove_file(&path).unwrap();
        let held = modules.0[0].readable().unwrap();
        assert!(held.starts_with("/proc/self/fd") && fs::metadata(&held).unwrap().len() > 0);
    }
}
