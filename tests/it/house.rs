//! The house rules that a program can check: who may use whom, and how long a file may be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor; see `src/ARCHITECTURE.md`.
const FLOORS: &[(&str, u8)] = &[
    ("sys", 0),
    ("config", 1),
    ("stats", 1),
    ("worklog", 1),
    ("report", 1),
    ("measure", 2),
    ("profile", 2),
    ("machine", 2),
    ("diagnose", 3),
    ("findings", 3),
    ("verify", 3),
    ("trial", 3),
    ("plan", 4),
    ("spec", 4),
    ("delegate", 4),
    ("workspace", 4),
    ("experiment", 5),
    ("cli", 6),
];

/// Neighbours on one floor that may be used, in this direction only.
const SIDEWAYS: &[(&str, &str)] = &[
    ("report", "config"),
    ("report", "stats"),
    ("report", "worklog"),
    ("profile", "measure"),
    ("findings", "diagnose"),
    ("spec", "plan"),
    ("delegate", "plan"),
];

/// Lines above which a file wants to be two.
const LINES_MAX: usize = 500;

fn sources() -> Vec<PathBuf> {
    rust_files(&["src"])
}

fn rust_files(roots: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        roots.iter().map(|root| Path::new(env!("CARGO_MANIFEST_DIR")).join(root)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn room_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let room = inside.components().next()?.as_os_str().to_string_lossy().into_owned();
    FLOORS.iter().any(|(name, _)| *name == room).then_some(room)
}

/// Rooms that a file names after `crate::`, comments left out.
fn used_rooms(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split('}').next().unwrap_or_default();
            rooms.extend(list.split(',').map(|word| word.trim().split("::").next().unwrap_or("").to_owned()));
        } else {
            rooms.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms
}

#[test]
fn rooms_use_only_what_is_below_them() {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut edges = 0;
    for path in sources() {
        let Some(room) = room_of(&path) else { continue };
        for used in used_rooms(&fs::read_to_string(&path).unwrap()) {
            let Some(floor) = floors.get(used.as_str()) else { continue };
            edges += 1;
            let fine = used == room
                || *floor < floors[room.as_str()]
                || SIDEWAYS.contains(&(room.as_str(), used.as_str()));
            if !fine {
                wrong.push(format!("{} uses {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "upward or sideways:\n{}", wrong.join("\n"));
    assert!(edges > 100, "the reader of the module graph sees nothing");
}

#[test]
fn an_upward_import_would_be_seen() {
    assert_eq!(
        used_rooms("use crate::cli::x;\n// crate::sys\nuse crate::{stats::a, verify};"),
        ["cli", "stats", "verify"]
    );
}

#[test]
fn every_room_is_on_the_page() {
    let page = include_str!("../../src/ARCHITECTURE.md");
    for (room, floor) in FLOORS {
        assert!(
            page.contains(&format!("| {floor} | [`{room}`]")),
            "{room} is not on floor {floor} of the page"
        );
    }
}

#[test]
fn foreign_types_stay_in_their_rooms() {
    let homes = [
        ("git2::", "workspace"),
        ("rusqlite::", "worklog"),
        ("clap::", "cli"),
        ("nvml_wrapper::", "machine"),
        ("object::", "profile"),
    ];
    for path in sources() {
        let Some(room) = room_of(&path) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        for (word, home) in homes {
            assert!(room == home || !text.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    for path in rust_files(&["src", "tests", "benches"]) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}
