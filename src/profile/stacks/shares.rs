//! What the stacks say in numbers: which modules, functions and lines the time is spent in.
//!
//! **Invariant**: every share is of the seconds of all samples, 0–1; none is above 1, whatever is recursive.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use super::{Frame, Kind, Stacks};

/// A function by name and by where it is from: its source file where that is known, else its module.
pub type FunctionKey = (String, String);

/// Time of one function.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionShare {
    pub function: String,
    pub module: String,
    /// The function itself was running.
    pub self_share: f64,
    /// It was running or had called what was.
    pub total_share: f64,
}

/// Time that an interpreter spends in itself.
#[derive(Debug, Clone, PartialEq)]
pub struct InterpreterShare {
    /// Its usual name: `python`, `node`, `sh`.
    pub interpreter: &'static str,
    pub share: f64,
}

/// Time in the kernel by what it was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KernelShares {
    /// All of it.
    pub share: f64,
    /// Memory that was touched for the first time, or copied, or had to be fetched.
    pub page_faults: f64,
    pub system_calls: f64,
    /// System calls by name where the stack shows it, largest first.
    pub calls: Vec<(String, f64)>,
    /// The functions that ran, largest first.
    pub functions: Vec<(String, f64)>,
}

/// Where source code was seen, each sample counted once however often its stack passes there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LineShares {
    /// By file and 1-based line.
    pub lines: HashMap<(String, u32), f64>,
    /// By file, or module where no file is known, and function.
    pub functions: HashMap<FunctionKey, f64>,
}

/// Starts of the names of programs and libraries that are the interpreter itself.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("python", &["libpython", "python", "pypy", "libpypy"]),
    ("node", &["node", "libnode"]),
    ("perl", &["perl", "libperl"]),
    ("ruby", &["ruby", "libruby"]),
    ("php", &["php", "libphp"]),
    ("lua", &["lua", "liblua", "texlua"]),
    ("sh", &["bash", "dash", "sh", "zsh", "ksh", "busybox"]),
];

/// Kernel functions below which it handles a page fault: x86, then ARM.
const PAGE_FAULTS: &[&str] = &[
    "asm_exc_page_fault",
    "exc_page_fault",
    "do_user_addr_fault",
    "handle_mm_fault",
    "do_page_fault",
    "do_mem_abort",
];

/// Kernel functions below which it serves a system call: x86, then ARM.
const SYSTEM_CALLS: &[&str] = &[
    "do_syscall_64",
    "x64_sys_call",
    "entry_SYSCALL_64_after_hwframe",
    "entry_SYSCALL_64",
    "el0_svc",
    "invoke_syscall",
];

/// What the kernel puts in front of the name of a system call, see `SYSCALL_DEFINE` in `linux/syscalls.h`.
const CALL_PREFIXES: &[&str] = &["__x64_sys_", "__arm64_sys_", "__ia32_sys_", "__do_sys_", "__se_sys_"];

/// Why the kernel ran.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    PageFault,
    SystemCall,
}

impl Stacks {
    /// Time by module of the function that ran, largest first. The kernel is the module `[kernel]`; code that a program
    /// made has none.
    #[must_use]
    pub fn leaf_shares_by_module(&self) -> Vec<(String, f64)> {
        self.by_leaf(|frame| Some(frame.module.clone()))
    }

    /// Time in which the interpreter that runs most was in itself: neither in the kernel, nor in libraries that it has
    /// loaded, nor in code that it made. Absent when there is none.
    #[must_use]
    pub fn interpreter_share(&self) -> Option<InterpreterShare> {
        let shares = self.by_leaf(|frame| match frame.kind {
            Kind::Native => interpreter(&frame.module),
            Kind::Kernel | Kind::Python | Kind::Jit => None,
        });
        let (interpreter, share) = shares.into_iter().next()?;
        Some(InterpreterShare { interpreter, share })
    }

    /// Time in the kernel. Nothing where samples of the kernel are not allowed: see the source's availability.
    #[must_use]
    pub fn kernel_shares(&self) -> KernelShares {
        let mut calls: BTreeMap<&str, f64> = BTreeMap::new();
        let mut shares = KernelShares::default();
        for (leaf, share) in self.leaf_nodes() {
            if self.frames_of(leaf).next().is_none_or(|frame| frame.kind != Kind::Kernel) {
                continue;
            }
            shares.share += share;
            let in_kernel = || self.frames_of(leaf).take_while(|frame| frame.kind == Kind::Kernel);
            // A fault may come in the middle of a call: what is nearer to what ran is the cause.
            match in_kernel().find_map(entry) {
                Some(Entry::PageFault) => shares.page_faults += share,
                Some(Entry::SystemCall) => {
                    shares.system_calls += share;
                    if let Some(call) = in_kernel().find_map(system_call) {
                        *calls.entry(call).or_default() += share;
                    }
                }
                None => {}
            }
        }
        shares.calls = sorted(calls.into_iter().map(|(call, share)| (call.to_owned(), share)));
        shares.functions = self.by_leaf(|frame| (frame.kind == Kind::Kernel).then(|| frame.function.clone()));
        shares
    }

    /// All functions, the one that ran most first.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionShare> {
        fn key(frame: &Frame) -> (&str, &str) {
            (&frame.function, &frame.module)
        }
        let mut own: HashMap<(&str, &str), f64> = HashMap::new();
        for (leaf, share) in self.leaf_nodes() {
            if let Some(frame) = self.frames_of(leaf).next() {
                *own.entry(key(frame)).or_default() += share;
            }
        }
        let total = self.once_per_sample(|frame| Some(key(frame)));
        let share = |(key, total_share): ((&str, &str), f64)| FunctionShare {
            function: key.0.to_owned(),
            module: key.1.to_owned(),
            self_share: own.get(&key).copied().unwrap_or(0.0),
            total_share,
        };
        let mut functions: Vec<FunctionShare> = total.into_iter().map(share).collect();
        functions.sort_by(|a, b| {
            let order = b.self_share.total_cmp(&a.self_share).then(b.total_share.total_cmp(&a.total_share));
            order.then_with(|| (&a.function, &a.module).cmp(&(&b.function, &b.module)))
        });
        functions
    }

    /// Time by line and by function of source code, of all that was on the stack.
    #[must_use]
    pub fn line_shares(&self) -> LineShares {
        let line = |frame: &'_ Frame| Some((frame.file.clone()?, frame.line?));
        let function = |frame: &'_ Frame| {
            let home = frame.file.as_ref().unwrap_or(&frame.module);
            Some((home.clone(), frame.function.clone()))
        };
        LineShares { lines: self.once_per_sample(line), functions: self.once_per_sample(function) }
    }

    /// Innermost nodes with their share of the seconds.
    fn leaf_nodes(&self) -> impl Iterator<Item = (u32, f64)> {
        let mut seconds: BTreeMap<u32, f64> = BTreeMap::new();
        for sample in &self.samples {
            *seconds.entry(sample.leaf).or_default() += sample.weight_s;
        }
        let all = self.seconds();
        seconds.into_iter().filter(move |_| all > 0.0).map(move |(leaf, seconds)| (leaf, seconds / all))
    }

    /// Shares by something about the function that ran, largest first.
    fn by_leaf<K: Ord>(&self, key: impl Fn(&Frame) -> Option<K>) -> Vec<(K, f64)> {
        let mut shares: BTreeMap<K, f64> = BTreeMap::new();
        for (leaf, share) in self.leaf_nodes() {
            if let Some(key) = self.frames_of(leaf).next().and_then(&key) {
                *shares.entry(key).or_default() += share;
            }
        }
        sorted(shares)
    }

    /// Shares by something about any function on the stack.
    fn once_per_sample<'a, K: Eq + Hash + Clone>(
        &'a self,
        key: impl Fn(&'a Frame) -> Option<K>,
    ) -> HashMap<K, f64> {
        let keys: Vec<Option<K>> = self.frames.iter().map(key).collect();
        let mut shares: HashMap<K, f64> = HashMap::new();
        let mut seen: HashSet<&K> = HashSet::new();
        for (leaf, share) in self.leaf_nodes() {
            seen.clear();
            for key in self.frame_ids(leaf).filter_map(|frame| keys[frame as usize].as_ref()) {
                if seen.insert(key) {
                    *shares.entry(key.clone()).or_default() += share;
                }
            }
        }
        shares
    }
}

fn sorted<K>(shares: impl IntoIterator<Item = (K, f64)>) -> Vec<(K, f64)> {
    let mut shares: Vec<(K, f64)> = shares.into_iter().collect();
    // Stable: equal ones stay in the order of their keys.
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

/// The interpreter that a program or library is, by its path. `python3.11`, `libpython3.11.so.1.0`, `dash`; not
/// `python-config` or `shuf`.
#[must_use]
pub fn interpreter(module: &str) -> Option<&'static str> {
    let name = module.rsplit('/').next().unwrap_or(module);
    let is_version = |rest: &str| {
        let rest = rest.strip_prefix("-static").unwrap_or(rest);
        let rest = rest.split(".so").next().unwrap_or(rest);
        rest.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-' || c == 'd' || c == 't')
    };
    let is_it = |start: &str| name.strip_prefix(start).is_some_and(is_version);
    INTERPRETERS.iter().find(|(_, starts)| starts.iter().any(|start| is_it(start))).map(|(name, _)| *name)
}

fn entry(frame: &Frame) -> Option<Entry> {
    let function = frame.function.as_str();
    if PAGE_FAULTS.contains(&function) {
        Some(Entry::PageFault)
    } else if SYSTEM_CALLS.contains(&function) || system_call(frame).is_some() {
        Some(Entry::SystemCall)
    } else {
        None
    }
}

fn system_call(frame: &Frame) -> Option<&str> {
    CALL_PREFIXES.iter().find_map(|prefix| frame.function.strip_prefix(prefix))
}

#[cfg(test)]
mod tests {
    use super::super::tests::stacks_of;
    use super::*;

    fn frame(function: &str, module: &str, kind: Kind) -> Frame {
        Frame { function: function.to_owned(), module: module.to_owned(), file: None, line: None, kind }
    }

    fn native(function: &str, module: &str) -> Frame {
        frame(function, module, Kind::Native)
    }

    fn kernel(function: &str) -> Frame {
        frame(function, "[kernel]", Kind::Kernel)
    }

    fn at(function: &str, line: u32) -> Frame {
        Frame { file: Some("a.c".to_owned()), line: Some(line), ..native(function, "/a") }
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn modules_count_by_what_ran() {
        let main = || native("main", "/a");
        let stacks = stacks_of(&[
            (vec![main(), native("f", "/lib/b.so")], 3.0),
            (vec![main()], 1.0),
            (vec![main(), kernel("x")], 1.0),
        ]);
        let shares = stacks.leaf_shares_by_module();
        assert_eq!(
            shares.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["/lib/b.so", "/a", "[kernel]"]
        );
        near(shares[0].1, 0.6);
        assert!(Stacks::default().leaf_shares_by_module().is_empty());
    }

    #[test]
    fn interpreters_are_known_by_their_files() {
        let check =
            |module: &str, expected: Option<&str>| assert_eq!(interpreter(module), expected, "{module}");
        check("/usr/lib/libpython3.11.so.1.0", Some("python"));
        check("/usr/bin/python3.11", Some("python"));
        check("/usr/bin/python3.13t", Some("python"));
        check("/usr/bin/pypy3", Some("python"));
        check("/usr/bin/node", Some("node"));
        check("/usr/lib/libperl.so.5.36", Some("perl"));
        check("/bin/dash", Some("sh"));
        check("/usr/bin/shuf", None);
        check("/usr/bin/lualatex", None);
        check("/usr/lib/python3.11/site-packages/numpy/core/_multiarray.so", None);
        check("/home/a/python-tool", None);
        check("", None);
    }

    #[test]
    fn an_interpreters_own_time_leaves_out_its_libraries_and_the_kernel() {
        let python = |function| native(function, "/usr/bin/python3.11");
        let stacks = stacks_of(&[
            (vec![python("main"), python("eval")], 6.0),
            (vec![python("main"), native("dot", "/numpy.so")], 3.0),
            (vec![python("main"), kernel("read")], 1.0),
        ]);
        let found = stacks.interpreter_share().unwrap();
        assert_eq!(found.interpreter, "python");
        near(found.share, 0.6);
        assert_eq!(stacks_of(&[(vec![native("main", "/a")], 1.0)]).interpreter_share(), None);
    }

    #[test]
    fn the_kernels_time_is_told_apart_by_what_it_was_asked_for() {
        let call = |name: &str| vec![native("main", "/a"), kernel("do_syscall_64"), kernel(name)];
        let fault = || [kernel("asm_exc_page_fault"), kernel("clear_page_erms")];
        let stacks = stacks_of(&[
            (call("__x64_sys_read"), 2.0),
            ([call("__x64_sys_write"), vec![kernel("copy")]].concat(), 1.0),
            ([call("__x64_sys_read"), fault().to_vec()].concat(), 1.0),
            ([vec![native("main", "/a")], fault().to_vec()].concat(), 4.0),
            (vec![kernel("ret_from_fork")], 1.0),
            (vec![native("main", "/a")], 1.0),
        ]);
        let shares = stacks.kernel_shares();
        near(shares.share, 0.9);
        near(shares.page_faults, 0.5);
        near(shares.system_calls, 0.3);
        assert_eq!(shares.calls.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["read", "write"]);
        near(shares.calls[0].1, 0.2);
        assert_eq!(shares.functions[0].0, "clear_page_erms");
    }

    #[test]
    fn a_recursive_function_counts_once() {
        let stacks = stacks_of(&[
            (vec![at("f", 1), at("f", 2), at("f", 1)], 1.0),
            (vec![at("f", 1), at("g", 9)], 3.0),
        ]);
        let functions = stacks.functions();
        assert_eq!((functions[0].function.as_str(), functions[1].function.as_str()), ("g", "f"));
        near(functions[0].self_share, 0.75);
        near(functions[1].self_share, 0.25);
        near(functions[1].total_share, 1.0);
        let shares = stacks.line_shares();
        let line = |number| shares.lines[&("a.c".to_owned(), number)];
        near(line(1), 1.0);
        near(line(2), 0.25);
        near(line(9), 0.75);
        near(shares.functions[&("a.c".to_owned(), "f".to_owned())], 1.0);
    }

    #[test]
    fn functions_without_a_file_are_known_by_their_module() {
        let shares = stacks_of(&[(vec![native("f", "/a")], 1.0)]).line_shares();
        near(shares.functions[&("/a".to_owned(), "f".to_owned())], 1.0);
        assert!(shares.lines.is_empty());
    }
}
