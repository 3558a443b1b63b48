//! The labelled programs of `tests/corpus`: the list is sound, and on a few of them the real binary is not confidently
//! wrong. `cargo bench --bench corpus` asks about all.

#[path = "../../benches/corpus/catalogue.rs"]
mod catalogue;
#[path = "../../benches/corpus/workshop.rs"]
#[expect(dead_code, reason = "how long an answer took, and what it left open, is the benchmark's question")]
mod workshop;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use perfup::diagnose::Class;

use super::bench::ANALYSIS;
use catalogue::{Program, programs};
use workshop::Workshop;

/// From here on a verdict counts as confident.
const CONFIDENT: f64 = 0.8;

/// Classes that programs without a GPU can be of.
const CLASSES: [Class; 15] = [
    Class::CpuNative,
    Class::InterpreterOverhead,
    Class::CpuKernel,
    Class::PageFaults,
    Class::SingleThreadedOnMulticore,
    Class::GilBound,
    Class::LockContention,
    Class::DiskRead,
    Class::DiskSync,
    Class::NetworkWait,
    Class::ChildWait,
    Class::ProcessSpawn,
    Class::PipeWait,
    Class::SleepPoll,
    Class::NotEnoughEvidence,
];

/// Tools that a program may ask for.
const TOOLS: [&str; 15] = [
    "gcc", "rustc", "java", "javac", "python3", "sh", "bash", "node", "perl", "make", "gzip", "xargs",
    "find", "awk", "sed",
];

#[test]
fn every_program_is_well_described() {
    let programs = programs().unwrap();
    assert!(programs.len() >= 48);
    let mut names = BTreeSet::new();
    for program in &programs {
        let name = &program.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(program.path().is_file(), "{name} has no file");
        assert!(program.language().is_some(), "{name} is in no known language");
        assert!(CLASSES.contains(&program.label), "{name} is {}", program.label.id());
        assert!(!program.also.contains(&program.label), "{name} says its label twice");
        assert!(!program.why.is_empty() && !program.why.contains('\n'), "{name} does not say why");
        for need in program.needs() {
            let is_known = TOOLS.contains(&need) || need.starts_with("python3:");
            assert!(is_known, "{name} needs the unknown {need}");
        }
    }
    for class in CLASSES {
        assert!(programs.iter().any(|program| program.label == class), "no program is {}", class.id());
    }
}

#[test]
fn every_file_is_listed() {
    let programs = programs().unwrap();
    let listed: BTreeSet<&Path> = programs.iter().map(|program| program.file.as_path()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for folder in fs::read_dir(&root).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(files) = fs::read_dir(&folder) else { continue };
        for file in files {
            let file = file.unwrap().path();
            let file = file.strip_prefix(&root).unwrap();
            let is_service = file.to_string_lossy().contains("service.");
            assert!(is_service || listed.contains(file), "{} has no label", file.display());
        }
    }
}

#[test]
fn answers_are_not_confidently_wrong_and_account_for_the_time() {
    let workshop = Workshop::new(Path::new(ANALYSIS)).unwrap();
    let programs = programs().unwrap();
    let fast: Vec<&Program> = programs.iter().filter(|program| program.has_trait("fast")).collect();
    assert!(fast.len() >= 6);
    let mut asked = 0;
    for program in fast {
        if let Some(need) = program.lacks() {
            println!("{}: skipped, {need} is not installed", program.name);
            continue;
        }
        let answer = workshop.analyse(&workshop.prepare(program).unwrap()).unwrap();
        // Other tests may well keep the machine busy.
        let is_withheld = matches!(answer.class, Class::MachineBusy | Class::NotEnoughEvidence);
        let is_wrong = !program.accepts(answer.class) && !is_withheld;
        assert!(!is_wrong || answer.confidence < CONFIDENT, "{}: {answer:?}", program.name);
        assert!(answer.imbalance() <= 0.005, "{}: {answer:?}", program.name);
        asked += 1;
    }
    assert!(asked > 0, "none of the tools is installed");
}
