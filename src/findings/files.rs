//! Which files are worth scanning.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::languages::Language;

/// Folders that hold what others wrote, or what a program wrote.
const FOREIGN: &[&str] = &[
    "node_modules",
    "bower_components",
    "site-packages",
    "dist-packages",
    "vendor",
    "vendored",
    "third_party",
    "third-party",
    "external",
    "target",
    "build",
    "dist",
    "out",
    "venv",
    "env",
    "__pycache__",
    "generated",
];

/// Ends of names of generated or minified files.
const GENERATED: &[&str] = &[
    ".min.js",
    ".bundle.js",
    ".d.ts",
    "_pb2.py",
    "_pb2_grpc.py",
    ".pb.go",
    "_generated.go",
    ".pb.cc",
    ".pb.h",
    ".generated.rs",
];

/// Files that decide how a program is built.
const BUILD: &[&str] =
    &["Cargo.toml", "Makefile", "makefile", "GNUmakefile", "CMakeLists.txt", "meson.build"];

/// The files that the command or the hot stacks name, with what builds them; on request the whole project.
///
/// `tracked`: the project's files; `entry`: the scripts that the command names; `hot`: the files that the stacks name,
/// relative to the project where they are part of it. A hot file that the project does not track belongs to somebody
/// else. All paths of the result are in `tracked` or `entry`, without those of vendored and generated code, each once,
/// `entry` first.
#[must_use]
pub fn files_to_scan(tracked: &[PathBuf], entry: &[PathBuf], hot: &[PathBuf], whole: bool) -> Vec<PathBuf> {
    let mut files: Vec<&PathBuf> = entry.iter().collect();
    let own = |path: &&PathBuf| !is_foreign(path);
    for hot in hot {
        files.extend(tracked.iter().filter(own).filter(|tracked| same_file(tracked, hot)));
    }
    let around: BTreeSet<&Path> = files.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let builds = |path: &&PathBuf| {
        is_build_file(path)
            && path.parent().is_some_and(|folder| folder == Path::new("") || around.contains(folder))
    };
    files.extend(tracked.iter().filter(own).filter(builds));
    if whole {
        let known = |path: &&PathBuf| Language::of_path(path).is_some() || path.extension().is_none();
        files.extend(tracked.iter().filter(own).filter(|path| known(path) || is_build_file(path)));
    }
    let mut seen = BTreeSet::new();
    files.into_iter().filter(|path| seen.insert(*path)).cloned().collect()
}

/// Whether two names may be the same file: one may be the end of the other, as stacks name files in their own ways.
pub(super) fn same_file(one: &Path, other: &Path) -> bool {
    let plain =
        |path: &'_ Path| -> PathBuf { path.components().filter(|part| part.as_os_str() != ".").collect() };
    let (one, other) = (plain(one), plain(other));
    let named = one.file_name().is_some() && other.file_name().is_some();
    named && (one.ends_with(&other) || other.ends_with(&one))
}

fn is_build_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| BUILD.iter().any(|build| name == *build))
}

fn is_foreign(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folders = path.parent().into_iter().flat_map(Path::components);
    GENERATED.iter().any(|end| name.ends_with(end))
        || folders.into_iter().any(|folder| {
            let folder = folder.as_os_str().to_string_lossy();
            (folder.starts_with('.') && folder.len() > 1 && folder != "..")
                || FOREIGN.contains(&folder.as_ref())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(all: &[&str]) -> Vec<PathBuf> {
        all.iter().map(PathBuf::from).collect()
    }

    const TRACKED: &[&str] = &[
        "Makefile",
        "README.md",
        "app/main.py",
        "app/load.py",
        "app/Makefile",
        "app/api_pb2.py",
        "lib/Makefile",
        "lib/vendor/fast.py",
        ".github/x.sh",
        "tool",
    ];

    #[test]
    fn only_what_the_command_and_the_stacks_name_is_scanned() {
        let hot = paths(&[
            "/home/me/project/app/load.py",
            "/usr/lib/python3.11/json/decoder.py",
            "lib/vendor/fast.py",
        ]);
        assert_eq!(
            files_to_scan(&paths(TRACKED), &paths(&["app/main.py"]), &hot, false),
            paths(&["app/main.py", "app/load.py", "Makefile", "app/Makefile"])
        );
    }

    #[test]
    fn the_whole_project_is_without_what_others_wrote() {
        assert_eq!(
            files_to_scan(&paths(TRACKED), &[], &[], true),
            paths(&["Makefile", "app/main.py", "app/load.py", "app/Makefile", "lib/Makefile", "tool"])
        );
    }

    #[test]
    fn a_script_outside_of_the_project_is_scanned_when_it_is_the_command() {
        let entry = paths(&["/opt/build/run.py"]);
        assert_eq!(files_to_scan(&[], &entry, &[], false), entry);
    }

    #[test]
    fn files_are_the_same_when_one_name_ends_in_the_other() {
        assert!(same_file(Path::new("./src/a.rs"), Path::new("/x/src/a.rs")));
        assert!(!same_file(Path::new("src/a.rs"), Path::new("/x/other/a.rs")));
        assert!(!same_file(Path::new(""), Path::new("/x/a.rs")));
    }
}
