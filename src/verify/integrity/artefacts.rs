//! What a benchmark executes: two commits whose builds are the same to the byte need no timing.
//!
//! **Invariant**: same means the same to the program: also the data, configuration, scripts and libraries that lie
//! around it and that it may read. Only what nothing but a build reads does not count; in doubt a file counts.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::{Benchmark, CommandLine, plain_path};
use crate::sys::stream::digest;

/// SHA-256 of the program that the benchmark executes in `worktree` and of all that it may read there, when the program
/// is a built file: named by a path and not `tracked` (asked with paths relative to the worktree). Absent for scripts,
/// interpreters and programs found along PATH, whose source is compared instead. To be taken between build and first
/// run, as runs leave files of their own.
///
/// # Errors
/// The file system's, when something that is there cannot be read.
pub fn built_artefact(
    benchmark: &Benchmark,
    worktree: &Path,
    tracked: &dyn Fn(&Path) -> bool,
) -> io::Result<Option<String>> {
    // A shell line may run anything.
    let CommandLine::Argv(words) = &benchmark.command else {
        return Ok(None);
    };
    let Some(program) = words.first().filter(|word| word.contains('/')) else {
        return Ok(None);
    };
    let Some(program) = below(worktree, benchmark, program) else {
        return Ok(None);
    };
    if tracked(&program) || !worktree.join(&program).is_file() {
        return Ok(None);
    }
    let named = named(benchmark, worktree);
    let mut listing = Vec::new();
    list(worktree, Path::new(""), &named, &mut listing)?;
    // Through symlinks, as it is executed.
    listing.extend(digest(File::open(worktree.join(&program))?)?.sha256.bytes());
    Ok(Some(digest(listing.as_slice())?.sha256))
}

/// A path that the benchmark's folder is the start of, relative to the worktree.
fn below(worktree: &Path, benchmark: &Benchmark, path: &str) -> Option<PathBuf> {
    let path = plain_path(&worktree.join(&benchmark.cwd).join(path));
    path.strip_prefix(worktree).ok().map(Path::to_owned)
}

/// What the benchmark names to be read: it counts whatever it looks like.
fn named(benchmark: &Benchmark, worktree: &Path) -> Vec<PathBuf> {
    let prepare = benchmark.prepare.iter().flat_map(CommandLine::words);
    let words = benchmark.command.words().into_iter().skip(1).chain(prepare);
    let values = benchmark.env.values().cloned();
    // `--file=PATH` names a path too.
    let parts = |word: String| word.split('=').map(str::to_owned).collect::<Vec<_>>();
    let paths = words.chain(values).flat_map(parts).filter(|word| !word.is_empty());
    let files = benchmark.stdin.iter().chain(&benchmark.inputs).map(|path| plain_path(path));
    paths.filter_map(|path| below(worktree, benchmark, &path)).chain(files).collect()
}

/// Appends path, kind, mode and content's digest of everything below `folder` that counts, in order.
fn list(worktree: &Path, folder: &Path, named: &[PathBuf], listing: &mut Vec<u8>) -> io::Result<()> {
    let mut entries = fs::read_dir(worktree.join(folder))?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        let metadata = entry.metadata()?;
        let asked_for = named.iter().any(|known| path.starts_with(known) || known.starts_with(&path));
        // Git's own differs in every worktree.
        let is_git = path == Path::new(".git");
        if is_git || (!asked_for && is_for_the_build(worktree, &path, metadata.is_dir())) {
            continue;
        }
        if metadata.is_dir() {
            list(worktree, &path, named, listing)?;
            continue;
        }
        let (kind, content) = if metadata.is_symlink() {
            (b'l', digest(fs::read_link(entry.path())?.as_os_str().as_bytes())?.sha256)
        } else if metadata.is_file() {
            (b'f', digest(File::open(entry.path())?)?.sha256)
        } else {
            (b'o', String::new())
        };
        let is_executable = metadata.permissions().mode() & 0o111 != 0;
        listing.extend([kind, u8::from(is_executable)]);
        listing.extend(content.bytes());
        listing.extend(path.as_os_str().as_bytes());
        listing.push(0);
    }
    Ok(())
}

/// Whether only a build reads this: the source of a compiled language, what steers its build, or what the build leaves
/// for its next run. A README may be read by anything.
fn is_for_the_build(worktree: &Path, path: &Path, is_dir: bool) -> bool {
    const SOURCES: &[&str] = &[
        "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "cu", "cuh", "m", "mm", "s", "S", "asm", "rs",
        "go", "zig", "swift", "f", "for", "f90", "f95", "f03", "f08", "hs", "ml", "mli", "nim", "adb", "ads",
        "pas", "cr",
    ];
    const STEERING: &[&str] = &[
        "Makefile",
        "makefile",
        "GNUmakefile",
        "CMakeLists.txt",
        "Cargo.toml",
        "Cargo.lock",
        "meson.build",
        "meson_options.txt",
        "go.mod",
        "go.sum",
        "configure.ac",
        "rust-toolchain",
        "rust-toolchain.toml",
    ];
    const LEFT: &[&str] =
        &["o", "obj", "d", "a", "lo", "la", "rlib", "rmeta", "gch", "pch", "dwo", "mk", "cmake", "ninja"];
    const LEFT_BY_NAME: &[&str] =
        &["CMakeCache.txt", "compile_commands.json", ".ninja_log", ".ninja_deps", ".rustc_info.json"];
    const CARGO_FOLDERS: &[&str] = &["deps", "build", "incremental", ".fingerprint"];
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    if is_dir {
        // target/release/deps; a cross build has one folder more.
        let of_cargo = path.ancestors().skip(2).take(2).any(|folder| {
            !folder.as_os_str().is_empty() && worktree.join(folder).join("CACHEDIR.TAG").is_file()
        });
        return name == "CMakeFiles" || (of_cargo && CARGO_FOLDERS.contains(&name));
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    SOURCES.contains(&ending)
        || LEFT.contains(&ending)
        || STEERING.contains(&name)
        || LEFT_BY_NAME.contains(&name)
        || name == ".cargo-lock"
        || path.starts_with(".cargo")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn benchmark(line: &str) -> Benchmark {
        Benchmark::for_command(CommandLine::parse(line).unwrap())
    }

    #[test]
    fn only_built_programs_have_an_artefact() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("app"), "binary").unwrap();
        let artefact = |line: &str, tracked: bool| {
            built_artefact(&benchmark(line), folder.path(), &|_| tracked).unwrap()
        };
        assert!(artefact("./app --fast", false).is_some());
        assert!(artefact("./sub/../app", false).is_some());
        assert_eq!(artefact("./app", true), None);
        assert_eq!(artefact("python3 app", false), None);
        assert_eq!(artefact("/bin/true", false), None);
        assert_eq!(artefact("../app", false), None);
        assert_eq!(artefact("./missing", false), None);
        assert_eq!(artefact("./app | cat", false), None);
    }

    /// Whether a program is still the same once a file beside it has changed.
    fn is_same(benchmark: &Benchmark, file: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        for name in ["app", "target/CACHEDIR.TAG", "lib.c", file] {
            write(name, name);
        }
        let artefact = || built_artefact(benchmark, folder.path(), &|_| false).unwrap().unwrap();
        let before = artefact();
        assert_eq!(artefact(), before);
        write(file, "changed");
        artefact() == before
    }

    #[test]
    fn all_that_the_program_may_read_counts() {
        let mut plain = benchmark("./app");
        for file in ["lib.c", "src/main.rs", "Makefile", "sub/x.o", "target/release/deps/x", "CMakeFiles/x"] {
            assert!(is_same(&plain, file), "{file}");
        }
        for file in [
            "app",
            "table.bin",
            "conf/app.toml",
            "helper.py",
            "lib/libx.so",
            "target/release/app",
            "deps/data",
            "README.md",
            ".hidden",
        ] {
            assert!(!is_same(&plain, file), "{file}");
        }
        for line in ["./app lib.c", "./app .", "./app --in=./sub/../lib.c"] {
            assert!(!is_same(&benchmark(line), "lib.c"), "{line}");
        }
        plain.stdin = Some(PathBuf::from("./lib.c"));
        assert!(!is_same(&plain, "lib.c"));
        plain.stdin = None;
        plain.inputs = vec![PathBuf::from("corpus")];
        assert!(!is_same(&plain, "corpus/x.c"));
        plain.inputs.clear();
        plain.env.insert("TABLE".to_owned(), "sub/table.h".to_owned());
        assert!(!is_same(&plain, "sub/table.h"));
    }

    #[test]
    fn modes_and_links_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("app"), "app").unwrap();
        fs::write(path("tool"), "tool").unwrap();
        std::os::unix::fs::symlink("tool", path("link")).unwrap();
        let artefact = || built_artefact(&benchmark("./app"), folder.path(), &|_| false).unwrap().unwrap();
        let first = artefact();
        fs::set_permissions(path("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let second = artefact();
        fs::remove_file(path("link")).unwrap();
        std::os::unix::fs::symlink("app", path("link")).unwrap();
        assert!(first != second && second != artefact());
    }
}
