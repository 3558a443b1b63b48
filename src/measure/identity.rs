//! Whether two arms are one and the same program: then there is nothing to compare.
//!
//! **Invariant**: says so only where nothing that the program can see of itself differs but its name; in doubt, it is
//! measured.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Arm, MeasureError};
use crate::config::CommandLine;
use crate::sys::stream::digest;

/// How two arms relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The same machine code with the same arguments, environment, input and folder, in different files.
    SameProgram,
    /// The very same command: running it twice is asked for, as a test of the machine.
    SameCommand,
    Different,
}

/// First bytes of machine code on Linux.
const ELF: &[u8] = b"\x7fELF";

/// A program with this in it loads libraries from beside its own file.
const ORIGIN: &[u8] = b"$ORIGIN";

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
    let same =
        same_code(&first, &second).map_err(|error| MeasureError::io("read the program", &first, error))?;
    Ok(if same { Identity::SameProgram } else { Identity::Different })
}

fn resolve(words: &[String], cwd: &Path) -> Option<PathBuf> {
    let name = words.first()?;
    // A bare name is searched for; two bare names that differ are different programs to their users.
    name.contains('/').then(|| cwd.join(name)).filter(|path| path.is_file())
}

fn same_code(first: &Path, second: &Path) -> io::Result<bool> {
    let (one, other) = (fs::metadata(first)?, fs::metadata(second)?);
    // One file by two names is a program that does different things by name, as busybox does.
    if same_file(&one, &other) || one.len() != other.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (File::open(first)?, File::open(second)?);
    let mut start = [0; ELF.len()];
    // Scripts call their neighbours; only machine code stands for itself.
    if one.read(&mut start)? < ELF.len() || start != ELF {
        return Ok(false);
    }
    io::Seek::rewind(&mut one)?;
    if digest(&one)? != digest(&other)? {
        return Ok(false);
    }
    io::Seek::rewind(&mut other)?;
    let beside = first.parent() != second.parent();
    Ok(!(beside && contains(&mut other, ORIGIN)?))
}

fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Whether a stream holds these bytes.
fn contains(stream: &mut impl Read, wanted: &[u8]) -> io::Result<bool> {
    let mut window = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(false);
        }
        window.extend_from_slice(&buffer[..count]);
        if window.windows(wanted.len()).any(|bytes| bytes == wanted) {
            return Ok(true);
        }
        // What may begin here and end in the next piece.
        window.drain(..window.len().saturating_sub(wanted.len() - 1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn arm(cwd: &Path, words: &[&str]) -> Arm {
        Arm {
            command: CommandLine::Argv(words.iter().map(|&word| word.to_owned()).collect()),
            cwd: cwd.to_owned(),
            env: BTreeMap::new(),
            stdin: None,
            prepare: None,
            timeout: Duration::from_secs(1),
            files: Vec::new(),
            cpus: Vec::new(),
            metrics: Vec::new(),
            counters: false,
        }
    }

    #[test]
    fn only_equal_machine_code_is_the_same_program() {
        let folder = tempfile::tempdir().unwrap();
        let cwd = folder.path();
        let write = |name: &str, content: &[u8]| {
            fs::create_dir_all(cwd.join(name).parent().unwrap()).unwrap();
            fs::write(cwd.join(name), content).unwrap();
        };
        write("old", b"\x7fELF code");
        write("new", b"\x7fELF code");
        write("other", b"\x7fELF CODE");
        write("old.sh", b"#!/bin/sh\n");
        write("new.sh", b"#!/bin/sh\n");
        write("x/origin", b"\x7fELF $ORIGIN/lib");
        write("y/origin", b"\x7fELF $ORIGIN/lib");
        fs::hard_link(cwd.join("old"), cwd.join("link")).unwrap();
        let check = |a: &[&str], b: &[&str], expected: Identity| {
            assert_eq!(identity(&arm(cwd, a), &arm(cwd, b)).unwrap(), expected, "{a:?} {b:?}");
        };
        check(&["./old", "1"], &["./new", "1"], Identity::SameProgram);
        check(&["./old", "1"], &["./old", "1"], Identity::SameCommand);
        check(&["./old", "1"], &["./new", "2"], Identity::Different);
        check(&["./old"], &["./other"], Identity::Different);
        check(&["./old"], &["./link"], Identity::Different);
        check(&["./old.sh"], &["./new.sh"], Identity::Different);
        check(&["x/origin"], &["y/origin"], Identity::Different);
        check(&["./old"], &["./missing"], Identity::Different);
        check(&["true"], &["false"], Identity::Different);
        let mut elsewhere = arm(cwd, &["./new", "1"]);
        elsewhere.env.insert("LEVEL".to_owned(), "3".to_owned());
        assert_eq!(identity(&arm(cwd, &["./old", "1"]), &elsewhere).unwrap(), Identity::Different);
    }

    #[test]
    fn bytes_are_found_across_pieces() {
        let mut long = vec![b'x'; (64 << 10) - 3];
        long.extend_from_slice(b"$ORIGIN");
        assert!(contains(&mut long.as_slice(), ORIGIN).unwrap());
        assert!(!contains(&mut &long[..long.len() - 1], ORIGIN).unwrap());
    }
}
