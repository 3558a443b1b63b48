//! Call stacks of real programs, sampled below the real runner.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use perfup::profile::stacks::{Frame, Kind, Stacks, formats};
use perfup::profile::{self, Availability, Observation, Source, Target};
use perfup::sys::launch::Launcher;
use perfup::sys::procfs;
use perfup::sys::wire::{RunEnd, RunReply, RunRequest};

use crate::runner::Scene;

/// Computes for `CPU_MS` of CPU time in two functions, one after the other.
const WORK: &str = r#"
#include <time.h>
static volatile double f; static volatile unsigned n;
static long cpu_ms(void) {
    struct timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
__attribute__((noinline)) void inner_fp(int times) {
    for (int i = 0; i < times; i++) f = f * 1.0001 + 0.5; /* FP LINE */
}
__attribute__((noinline)) void inner_int(int times) {
    for (int i = 0; i < times; i++) n = n * 31 + 7; /* INT LINE */
}
__attribute__((noinline)) void work(int ms) {
    while (cpu_ms() < ms) { inner_fp(30000); inner_int(30000); }
}
"#;

fn stacks_source() -> &'static dyn Source {
    *profile::ALL.iter().find(|source| source.id() == "stacks").unwrap()
}

/// Whether this machine lets us look at stacks at all.
fn is_usable() -> bool {
    !matches!(stacks_source().probe(), Availability::Unavailable(_))
}

fn compile(scene: &Scene, main: &str, flags: &[&str]) {
    let source = scene.path("program.c");
    fs::write(&source, format!("{WORK}\n{main}")).unwrap();
    let compiled = Command::new("gcc")
        .args(["-O1", "-g", "-fno-omit-frame-pointer", "-pthread", "-o"])
        .args([&scene.path("program"), &source])
        .args(flags)
        .status()
        .unwrap();
    assert!(compiled.success());
}

fn watch(request: &RunRequest) -> Stacks {
    let launcher = Launcher::new(env!("CARGO_BIN_EXE_perfup").into());
    let mut recording = None;
    let reply = launcher
        .launch(request, &mut |runner| {
            recording = Some(stacks_source().start(Target::Below(runner)).unwrap())
        })
        .unwrap();
    assert!(matches!(reply, RunReply::Done(record) if record.end == RunEnd::Exited(0)));
    match recording.unwrap().stop() {
        Observation::Stacks(stacks) => stacks,
        other => panic!("{other:?}"),
    }
}

/// The share of samples whose leaf passes, and of those with any such frame.
fn shares(stacks: &Stacks, is_it: impl Fn(&Frame) -> bool) -> (f64, f64) {
    let sum = |passes: &dyn Fn(u32) -> bool| -> f64 {
        stacks.samples.iter().filter(|sample| passes(sample.leaf)).map(|sample| sample.weight_s).sum()
    };
    let leaf = sum(&|leaf| stacks.frames_of(leaf).next().is_some_and(&is_it));
    let anywhere = sum(&|leaf| stacks.frames_of(leaf).any(&is_it));
    (leaf / stacks.seconds(), anywhere / stacks.seconds())
}

#[test]
fn time_is_found_in_the_functions_and_lines_where_it_is_spent() {
    if !is_usable() {
        return;
    }
    let scene = Scene::new();
    compile(&scene, "int main(void) { work(500); return 0; }", &[]);
    let stacks = watch(&scene.request(&["./program"]));
    assert!((0.4..0.7).contains(&stacks.seconds()), "{}", stacks.seconds());
    let inner = |frame: &Frame| ["inner_fp", "inner_int"].contains(&frame.function.as_str());
    let (leaf, anywhere) = shares(&stacks, inner);
    assert!(leaf >= 0.9, "{leaf} {:?}", stacks.frames);
    assert!(anywhere >= leaf);
    // Not `work`: even with frame pointers gcc gives none to a function that calls nothing, which hides its caller.
    let (_, below_main) = shares(&stacks, |frame| frame.function == "main");
    assert!(below_main >= 0.9, "{below_main} {:?}", stacks.frames);
    let lines: Vec<&str> = WORK.lines().collect();
    for (function, mark) in [("inner_fp", "FP LINE"), ("inner_int", "INT LINE")] {
        let number = 1 + lines.iter().position(|line| line.contains(mark)).unwrap() as u32;
        let on_line = |frame: &Frame| {
            frame.function == function
                && frame.line == Some(number)
                && frame.file.as_deref().is_some_and(|file| Path::new(file).ends_with("program.c"))
                && Path::new(&frame.module).ends_with("program")
                && frame.kind == Kind::Native
        };
        assert!(shares(&stacks, on_line).0 > 0.1, "{function}: {:?}", stacks.frames);
    }
    assert!(stacks.threads.iter().all(|thread| thread.name == "program"), "{:?}", stacks.threads);
    assert_eq!(stacks.lost, 0);
}

#[test]
fn threads_are_told_apart_by_their_names() {
    if !is_usable() {
        return;
    }
    let scene = Scene::new();
    let main = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>
static void *worker(void *name) { prctl(PR_SET_NAME, name); work(200); return 0; }
int main(void) {
    pthread_t a, b;
    pthread_create(&a, 0, worker, "left"); pthread_create(&b, 0, worker, "right");
    pthread_join(a, 0); pthread_join(b, 0);
    return 0;
}"#;
    compile(&scene, main, &[]);
    let stacks = watch(&scene.request(&["./program"]));
    for name in ["left", "right"] {
        let of_thread = stacks.samples.iter().filter(|sample| {
            let thread = &stacks.threads[sample.thread as usize];
            thread.name == name && thread.pid != thread.tid
        });
        let seconds: f64 = of_thread.map(|sample| sample.weight_s).sum();
        assert!((0.15..0.3).contains(&seconds), "{name}: {seconds} of {:?}", stacks.threads);
    }
    assert!(shares(&stacks, |frame| frame.function.starts_with("inner_")).0 >= 0.9);
}

#[test]
fn children_that_have_ended_and_whose_program_is_gone_are_named_all_the_same() {
    if !is_usable() {
        return;
    }
    let scene = Scene::new();
    compile(&scene, "int main(void) { work(20); return 0; }", &[]);
    // Each lives for 20 ms; the first deletes nothing, the last of them the program.
    let line = "mv program child; for i in 1 2 3 4 5 6 7 8 9 10; do ./child; done; ( ./child; ./child ) & wait; rm child";
    let stacks = watch(&scene.shell(line));
    let in_child = |frame: &Frame| {
        frame.module.ends_with("/child") && frame.function.starts_with("inner_") && frame.line.is_some()
    };
    let (leaf, _) = shares(&stacks, in_child);
    let seconds = leaf * stacks.seconds();
    assert!((0.15..0.3).contains(&seconds), "{seconds} of {} s: {:?}", stacks.seconds(), stacks.frames);
    let children = stacks.threads.iter().filter(|thread| thread.name == "child").count();
    assert_eq!(children, 12, "{:?}", stacks.threads);
    assert!(stacks.threads.iter().all(|thread| thread.name == "child" || !thread.name.starts_with("perfup")));
}

#[test]
fn a_process_that_runs_already_is_sampled_with_all_its_threads_and_those_to_come() {
    if !is_usable() {
        return;
    }
    let scene = Scene::new();
    let main = r#"
#include <pthread.h>
#include <stdio.h>
static void *worker(void *none) { work(5000); return 0; }
int main(void) {
    pthread_t a, b;
    pthread_create(&a, 0, worker, 0);
    puts("ready"); fflush(stdout); getchar();
    pthread_create(&b, 0, worker, 0);
    getchar();
    return 0;
}"#;
    compile(&scene, main, &[]);
    let mut program =
        Command::new(scene.path("program")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let recording = stacks_source().start(Target::Process(program.id())).unwrap();
    program.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    let has_run = |tid: &u32| {
        *tid == program.id()
            || procfs::thread_schedule(program.id(), *tid)
                .is_some_and(|schedule| schedule.on_cpu_ns > 100_000_000)
    };
    while procfs::threads(program.id()).len() < 3 || !procfs::threads(program.id()).iter().all(has_run) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let Observation::Stacks(stacks) = recording.stop() else { panic!() };
    drop(program.stdin.take());
    program.wait().unwrap();
    assert!(shares(&stacks, |frame| frame.function.starts_with("inner_")).0 >= 0.9, "{:?}", stacks.frames);
    let busy = stacks.threads.iter().filter(|thread| thread.tid != program.id()).count();
    assert_eq!(busy, 2, "{:?}", stacks.threads);
    let nobody = stacks_source().start(Target::Process(program.id())).err().unwrap();
    assert!(nobody.reason.contains("has ended"), "{nobody:?}");
}

#[test]
fn names_of_rust_and_cpp_are_readable_and_inlined_calls_are_shown() {
    if !is_usable() {
        return;
    }
    let scene = Scene::new();
    let source = r#"
namespace shop {
struct Till { volatile unsigned sum; void add(int times); };
static inline __attribute__((always_inline)) void step(volatile unsigned &sum) {
    sum = sum * 31 + 7; /* STEP */
}
__attribute__((noinline)) void Till::add(int times) {
    for (int i = 0; i < times; i++) step(sum); /* CALL */
}
}
int main() { shop::Till till = {0}; for (int i = 0; i < 3000; i++) till.add(50000); return 0; }
"#;
    fs::write(scene.path("till.cpp"), source).unwrap();
    let compiled = Command::new("g++")
        .args(["-O1", "-g", "-fno-omit-frame-pointer", "-o"])
        .args([scene.path("till"), scene.path("till.cpp")])
        .status()
        .unwrap();
    assert!(compiled.success());
    let stacks = watch(&scene.request(&["./till"]));
    let line_of = |mark: &str| 1 + source.lines().position(|line| line.contains(mark)).unwrap() as u32;
    let (leaf, _) =
        shares(&stacks, |frame| frame.function.contains("step") && frame.line == Some(line_of("STEP")));
    assert!(leaf > 0.5, "{:?}", stacks.frames);
    let caller =
        |frame: &Frame| frame.function == "shop::Till::add(int)" && frame.line == Some(line_of("CALL"));
    let (_, anywhere) = shares(&stacks, caller);
    assert!(anywhere >= 0.9, "{anywhere} {:?}", stacks.frames);
}

#[test]
fn a_real_recording_is_written_in_every_format() {
    if !is_usable() {
        return;
    }
    let scene = Scene::new();
    compile(&scene, "int main(void) { work(100); return 0; }", &[]);
    let stacks = watch(&scene.shell("./program; ./program"));
    for format in formats::ALL {
        let path = scene.path("out").with_extension(format.ending());
        format.write(&stacks, &mut fs::File::create(&path).unwrap()).unwrap();
        let written = fs::read_to_string(&path).unwrap();
        assert!(written.contains("inner_fp"), "{}", format.id());
        match format.id() {
            "collapsed" => {
                let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
                let ms: u64 = written.lines().filter(|line| line.contains(";main;")).map(value).sum();
                assert!((150..300).contains(&ms), "{written}");
            }
            "flamegraph" => {
                let document = roxmltree::Document::parse(&written).unwrap();
                let titles = document.descendants().filter(|node| node.has_tag_name("title"));
                assert!(titles.count() > 3, "{written}");
            }
            "speedscope" => {
                let found: serde_json::Value = serde_json::from_str(&written).unwrap();
                let profiles = found["profiles"].as_array().unwrap();
                assert_eq!(profiles.len(), stacks.threads.len());
                let count =
                    |key: &str| profiles.iter().map(|one| one[key].as_array().unwrap().len()).sum::<usize>();
                assert_eq!(
                    (count("samples"), count("weights")),
                    (stacks.samples.len(), stacks.samples.len())
                );
            }
            "firefox" => {
                let found: serde_json::Value = serde_json::from_str(&written).unwrap();
                let threads = found["threads"].as_array().unwrap();
                let samples: u64 = threads.iter().map(|one| one["samples"]["length"].as_u64().unwrap()).sum();
                assert_eq!(samples, stacks.samples.len() as u64);
                assert!(found["meta"]["version"].is_number() && found["meta"]["categories"].is_array());
            }
            other => panic!("{other} is not checked here"),
        }
    }
}

#[test]
fn time_in_the_kernel_is_told_apart_where_it_may_be_seen() {
    if !matches!(stacks_source().probe(), Availability::Usable) {
        return;
    }
    let scene = Scene::new();
    let touch = r#"
#include <sys/mman.h>
int main(void) {
    for (int round = 0; round < 60; round++) {
        volatile char *memory = mmap(0, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise((void *)memory, 16 << 20, MADV_NOHUGEPAGE);
        for (long at = 0; at < 16 << 20; at += 4096) memory[at] = 1;
        munmap((void *)memory, 16 << 20);
    }
    return 0;
}"#;
    compile(&scene, touch, &[]);
    let faults = watch(&scene.request(&["./program"])).kernel_shares();
    assert!(faults.page_faults > 0.4 && faults.page_faults > faults.system_calls, "{faults:?}");
    let calls =
        "#include <unistd.h>\nint main(void) { for (int i = 0; i < 600000; i++) getppid(); return 0; }";
    compile(&scene, calls, &[]);
    let calls = watch(&scene.request(&["./program"])).kernel_shares();
    assert!(calls.system_calls > 0.2 && calls.system_calls > calls.page_faults, "{calls:?}");
    assert!(calls.calls.iter().any(|(name, _)| name == "getppid"), "{calls:?}");
}
