//! A file that the user asks a result to be written to.
//!
//! **Invariant**: opened before anything is measured, so that a wrong path costs no measurement; what stood there before is
//! replaced only once there is something to replace it by.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// An open file; an empty one of ours is removed again when nothing is written to it.
pub(super) struct OutFile {
    path: PathBuf,
    file: File,
    /// Was not there before, and nothing has been written to it yet.
    is_new: bool,
}

impl OutFile {
    /// # Errors
    /// When the file cannot be written.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let (file, is_new) =
            open(path).map_err(|error| Failure::io(format!("write {}", path.display()), error))?;
        Ok(Self { path: path.to_owned(), file, is_new })
    }

    /// # Errors
    /// The system's.
    pub fn write(mut self, content: &[u8]) -> Result<(), Failure> {
        self.is_new = false;
        // A pipe or a terminal has no length to cut.
        let cut = self.file.metadata().is_ok_and(|kind| kind.is_file());
        if cut { self.file.set_len(0) } else { Ok(()) }
            .and_then(|()| self.file.write_all(content))
            .map_err(|error| Failure::io(format!("write {}", self.path.display()), error))
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if self.is_new {
            // Gone already is as good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> io::Result<(File, bool)> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link that leads nowhere is there too.
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            Ok((file, false))
        }
        created => Ok((created?, true)),
    }
}
