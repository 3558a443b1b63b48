//! Whether two arms are one and the same program: then there is nothing to compare.
//!
//! **Invariant**: says so only where nothing that the program can see of itself differs but the version in its name. A
//! copy in another folder may load other files (a Python of another virtual environment does), and a copy of another
//! name may be another program (as of busybox): these are measured.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Arm, MeasureError};
use crate::config::CommandLine;
use crate::sys::stream::digest;

/// How two arms relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The same machine code from one folder, under names that differ by a version, with the same arguments, environment
    /// and input.
    SameProgram,
    /// The same, but from another folder or under another name, on which what it does may depend.
    SameBytes,
    /// The very same command: running it twice is asked for, as a test of the machine.
    SameCommand,
    Different,
}

/// First bytes of machine code on Linux.
const ELF: &[u8] = b"\x7fELF";

/// Words of a file's name that tell versions of one program apart. None of them is a program that a multi-call binary
/// holds.
const VERSION_WORDS: &[&str] = &[
    "a",
    "after",
    "b",
    "backup",
    "bak",
    "base",
    "baseline",
    "before",
    "candidate",
    "copy",
    "new",
    "old",
    "orig",
    "original",
    "patched",
    "prev",
    "previous",
    "ref",
    "reference",
];

/// Compares what the arms would run. A program that cannot be found is different; running it says why.
///
/// # Errors
/// When a program that is there cannot be read.
pub fn identity(a: &Arm, b: &Arm) -> Result<Identity, MeasureError> {
    let same_around = (&a.cwd, &a.env, &a.stdin, &a.prepare, &a.cpus, &a.files)
        == (&b.cwd, &b.env, &b.stdin, &b.prepare, &b.cpus, &b.files);
    if !same_around {
        return Ok(Identity::Different);
    }
    if a.command == b.command {
        return Ok(Identity::SameCommand);
    }
    let (CommandLine::Argv(first), CommandLine::Argv(second)) = (&a.command, &b.command) else {
        return Ok(Identity::Different);
    };
    if first.get(1..) != second.get(1..) {
        return Ok(Identity::Different);
    }
    let (Some(first), Some(second)) = (resolve(first, &a.cwd), resolve(second, &b.cwd)) else {
        return Ok(Identity::Different);
    };
    let compare = || {
        Ok(match same_code(&first, &second)? {
            false => Identity::Different,
            true if same_place(&first, &second)? && stem(&first) == stem(&second) => Identity::SameProgram,
            true => Identity::SameBytes,
        })
    };
    compare().map_err(|error| MeasureError::io("read the program", &first, error))
}

fn resolve(words: &[String], cwd: &Path) -> Option<PathBuf> {
    let name = words.first()?;
    // A bare name is searched for; two bare names that differ are different programs to their users.
    name.contains('/').then(|| cwd.join(name)).filter(|path| path.is_file())
}

fn same_code(first: &Path, second: &Path) -> io::Result<bool> {
    let (mut one, other) = (File::open(first)?, File::open(second)?);
    let mut start = [0; ELF.len()];
    // Scripts call their neighbours; only machine code stands for itself.
    if one.read(&mut start)? < ELF.len() || start != ELF {
        return Ok(false);
    }
    let (about_one, about_other) = (one.metadata()?, other.metadata()?);
    if same_file(&about_one, &about_other) || about_one.len() != about_other.len() {
        return Ok(same_file(&about_one, &about_other));
    }
    one.rewind()?;
    Ok(digest(&one)? == digest(&other)?)
}

fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Whether a program finds the same neighbours by either path, both as it was called and where links lead.
fn same_place(first: &Path, second: &Path) -> io::Result<bool> {
    let called = |path: &Path| path.parent().map(fs::canonicalize).transpose();
    let real = |path: &Path| fs::canonicalize(path).map(|path| path.parent().map(Path::to_owned));
    Ok(called(first)? == called(second)? && real(first)? == real(second)?)
}

/// The words of a file's name that do not tell its version: `crunch` of `crunch-new`, `old_crunch` and `crunch.v2`.
fn stem(path: &Path) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let words = name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_version = |word: &str| {
        let number = word.strip_prefix('v').unwrap_or(word);
        VERSION_WORDS.contains(&word)
            || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    words.filter(|word| !is_version(word)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn arm(cwd: &Path, words: &[&str]) -> Arm {
        Arm::new(
            CommandLine::Argv(words.iter().map(|&word| word.to_owned()).collect()),
            cwd.to_owned(),
            Duration::from_secs(1),
        )
    }

    #[test]
    fn only_equal_machine_code_in_one_folder_is_the_same_program() {
        let folder = tempfile::tempdir().unwrap();
        let cwd = folder.path();
        let write = |name: &str, content: &[u8]| {
            fs::create_dir_all(cwd.join(name).parent().unwrap()).unwrap();
            fs::write(cwd.join(name), content).unwrap();
        };
        for name in ["old", "new", "crunch", "crunch-new", "ls", "sort", "x/bin/python", "y/bin/python"] {
            write(name, b"\x7fELF code");
        }
        write("other", b"\x7fELF CODE");
        write("old.sh", b"#!/bin/sh\n");
        write("new.sh", b"#!/bin/sh\n");
        for (original, link) in [("sort", "linked/sort"), ("sort", "linked/uniq"), ("crunch", "crunch.v2")] {
            fs::create_dir_all(cwd.join(link).parent().unwrap()).unwrap();
            fs::hard_link(cwd.join(original), cwd.join(link)).unwrap();
        }
        for (target, link) in
            [("x", "z"), ("../sort", "linked/awk"), ("x/bin/python", "a"), ("y/bin/python", "b")]
        {
            std::os::unix::fs::symlink(target, cwd.join(link)).unwrap();
        }
        // As the interpreters of two virtual environments.
        for bin in ["venv1/bin", "venv2/bin"] {
            fs::create_dir_all(cwd.join(bin)).unwrap();
            std::os::unix::fs::symlink(cwd.join("x/bin/python"), cwd.join(bin).join("python")).unwrap();
        }
        let check = |a: &[&str], b: &[&str], expected: Identity| {
            assert_eq!(identity(&arm(cwd, a), &arm(cwd, b)).unwrap(), expected, "{a:?} {b:?}");
        };
        check(&["./old", "1"], &["./new", "1"], Identity::SameProgram);
        check(&["./crunch"], &["./crunch-new"], Identity::SameProgram);
        check(&["./crunch"], &["./crunch.v2"], Identity::SameProgram);
        check(&["x/bin/python"], &["z/bin/python"], Identity::SameProgram);
        check(&["x/bin/python"], &["y/bin/python"], Identity::SameBytes);
        check(&["venv1/bin/python"], &["venv2/bin/python"], Identity::SameBytes);
        check(&["./a"], &["./b"], Identity::SameBytes);
        check(&["./ls"], &["./sort"], Identity::SameBytes);
        check(&["./old"], &["./sort"], Identity::SameBytes);
        check(&["./sort"], &["linked/sort"], Identity::SameBytes);
        check(&["linked/sort"], &["linked/uniq"], Identity::SameBytes);
        check(&["./sort"], &["linked/awk"], Identity::SameBytes);
        check(&["./old", "1"], &["./old", "1"], Identity::SameCommand);
        check(&["./old", "1"], &["./new", "2"], Identity::Different);
        check(&["./old"], &["./other"], Identity::Different);
        check(&["./old.sh"], &["./new.sh"], Identity::Different);
        check(&["./old"], &["./missing"], Identity::Different);
        check(&["true"], &["false"], Identity::Different);
        let mut elsewhere = arm(cwd, &["./new", "1"]);
        elsewhere.env.insert("LEVEL".to_owned(), "3".to_owned());
        assert_eq!(identity(&arm(cwd, &["./old", "1"]), &elsewhere).unwrap(), Identity::Different);
    }

    #[test]
    fn versions_of_a_name_are_told_from_other_names() {
        let check = |a: &str, b: &str, expected: bool| {
            assert_eq!(stem(Path::new(a)) == stem(Path::new(b)), expected, "{a} {b}");
        };
        check("crunch", "crunch.orig", true);
        check("OLD_crunch", "crunch-2", true);
        check("crunch.v1", "crunch.v2", true);
        check("crunch-old", "munch-old", false);
        check("sha1sum", "sha256sum", false);
        check("mkfs.ext2", "mkfs.ext3", false);
        check("iptables-save", "iptables-restore", false);
        check("v", "old", false);
    }
}
