//! The bundled programs. Every file below `examples/` stands here; a test compares.

/// A slow program with its tests and its perfup.toml.
pub(super) struct Project {
    pub name: &'static str,
    /// The benchmark of its perfup.toml that the demo runs.
    pub benchmark: &'static str,
    pub about: &'static str,
    /// Paths and contents.
    pub files: &'static [(&'static str, &'static [u8])],
}

/// The files of one example.
macro_rules! files {
    ($folder:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../examples/", $folder, "/", $path)))),*]
    };
}

/// Every example, in the order of listings.
pub(super) const PROJECTS: &[Project] = &[
    Project {
        name: "text-cruncher",
        benchmark: "cruncher",
        about: "Python: two slow spots in one script, and one that only looks slow",
        files: files![
            "text-cruncher":
            ".gitignore",
            "README.md",
            "cruncher.py",
            "perfup.toml",
            "tests/__init__.py",
            "tests/test_cruncher.py",
        ],
    },
    Project {
        name: "c-unoptimised",
        benchmark: "primes",
        about: "C: a Makefile that never asked for optimisation",
        files: files![
            "c-unoptimised":
            ".gitignore",
            "Makefile",
            "README.md",
            "bits.h",
            "perfup.toml",
            "primes.c",
            "sieve.c",
            "sieve.h",
            "tests/run.sh",
        ],
    },
    Project {
        name: "rust-cross-crate",
        benchmark: "develop",
        about: "Rust: a hot path through small functions of another crate",
        files: files![
            "rust-cross-crate":
            ".gitignore",
            "Cargo.lock",
            "Cargo.toml",
            "README.md",
            "app/Cargo.toml",
            "app/src/main.rs",
            "canvas/Cargo.toml",
            "canvas/src/lib.rs",
            "filters/Cargo.toml",
            "filters/src/lib.rs",
            "perfup.toml",
        ],
    },
    Project {
        name: "shell-spawn",
        benchmark: "report",
        about: "Shell: a dozen processes for every line of input",
        files: files![
            "shell-spawn":
            ".gitignore",
            "README.md",
            "access.csv",
            "checksums.sh",
            "parts/1.txt",
            "parts/2.txt",
            "parts/3.txt",
            "parts/4.txt",
            "parts/5.txt",
            "parts/6.txt",
            "parts/7.txt",
            "parts/8.txt",
            "perfup.toml",
            "report.sh",
            "test.sh",
            "work.sh",
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn below(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", "__pycache__", "out", ".perfup"].contains(&name.as_str()) {
                    below(&path, root, found);
                }
            } else if !name.ends_with(".pyc") {
                found.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_examples_is_bundled_and_no_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let mut on_disk = BTreeSet::new();
        below(&root, &root, &mut on_disk);
        let bundled: BTreeSet<String> = PROJECTS
            .iter()
            .flat_map(|project| project.files.iter().map(move |(path, _)| format!("{}/{path}", project.name)))
            .collect();
        assert_eq!(bundled, on_disk);
    }
}
