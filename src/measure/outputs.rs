//! What programs have written, kept by content.
//!
//! **Invariant**: a file here is complete and holds the content its name says: it arrives by rename, and is checked
//! against its name when it is read.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::Sample;
use crate::sys::stream::digest;
use crate::sys::wire::Captured;

/// A folder of files named by the SHA-256 of their content.
#[derive(Debug, Clone)]
pub struct Outputs {
    folder: PathBuf,
}

impl Outputs {
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// The content with this lower-case hexadecimal SHA-256.
    ///
    /// # Errors
    /// When it was never stored, cannot be read, or is damaged (`InvalidData`).
    pub fn read(&self, sha256: &str) -> io::Result<Vec<u8>> {
        // The name may come from a database that others can write: it must not lead out of the folder.
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a stored output"));
        }
        let content = fs::read(self.path(sha256))?;
        if digest(content.as_slice())?.sha256 != sha256 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the stored output is damaged"));
        }
        Ok(content)
    }

    /// The last lines of a stored output, empty when it is not here.
    #[must_use]
    pub fn tail(&self, captured: &Captured) -> String {
        super::measurer::tail(&self.path(&captured.sha256)).unwrap_or_default()
    }

    /// Drops what a run wrote: for runs of which nobody wants to see the output again.
    pub fn forget(&self, sample: &Sample) {
        let files = sample.files.iter().flatten();
        for captured in [&sample.run.stdout, &sample.run.stderr].into_iter().chain(files) {
            // Another run may have written the same and have been forgotten already.
            let _ = fs::remove_file(self.path(&captured.sha256));
        }
    }

    /// Moves a file of ours here, unless its content is here already.
    pub(super) fn take(&self, file: &Path, captured: &Captured) -> io::Result<()> {
        if self.has(captured) {
            return Ok(());
        }
        match fs::rename(file, self.path(&captured.sha256)) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.add(&File::open(file)?, captured)
            }
            moved => moved,
        }
    }

    /// Copies the rest of a file here, unless its content is here already.
    pub(super) fn add(&self, mut file: &File, captured: &Captured) -> io::Result<()> {
        if self.has(captured) {
            return Ok(());
        }
        let mut copy = tempfile::NamedTempFile::new_in(&self.folder)?;
        io::copy(&mut file, copy.as_file_mut())?;
        copy.persist(self.path(&captured.sha256))?;
        Ok(())
    }

    /// The length tells a whole file from one that a power cut left empty.
    fn has(&self, captured: &Captured) -> bool {
        fs::metadata(self.path(&captured.sha256)).is_ok_and(|found| found.len() == captured.bytes)
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(content: &str) -> (tempfile::TempDir, Outputs, Captured) {
        let folder = tempfile::tempdir().unwrap();
        let outputs = Outputs::open(folder.path().join("outputs")).unwrap();
        let captured = digest(content.as_bytes()).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, content).unwrap();
        outputs.take(&file, &captured).unwrap();
        (folder, outputs, captured)
    }

    #[test]
    fn content_is_found_by_its_hash_and_stored_once() {
        let (folder, outputs, captured) = store("abc");
        assert_eq!(outputs.read(&captured.sha256).unwrap(), b"abc");
        let again = folder.path().join("again");
        fs::write(&again, "abc").unwrap();
        outputs.take(&again, &captured).unwrap();
        outputs.add(&File::open(&again).unwrap(), &captured).unwrap();
        assert!(again.exists(), "nothing is moved when the content is there");
        assert_eq!(fs::read_dir(folder.path().join("outputs")).unwrap().count(), 1);
    }

    #[test]
    fn damage_and_foreign_names_are_refused() {
        let (_folder, outputs, captured) = store("abc");
        let check = |name: &str, expected: io::ErrorKind| {
            assert_eq!(outputs.read(name).map_err(|error| error.kind()), Err(expected), "{name}");
        };
        check("../../etc/passwd", io::ErrorKind::InvalidInput);
        check(&"0".repeat(64), io::ErrorKind::NotFound);
        fs::write(outputs.path(&captured.sha256), "abd").unwrap();
        check(&captured.sha256, io::ErrorKind::InvalidData);
    }
}
