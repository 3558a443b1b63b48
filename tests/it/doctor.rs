//! `perfup doctor`, and an analysis, as root, without privileges, in a namespace and under a filter: always an answer,
//! and every source says where it stands.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::analyze::own;
use super::bench::{Bench, PERFUP, Ran};
use super::errors::unshared;

const NOBODY: &str = "65534";

/// Installs a filter that refuses `perf_event_open`, as container runtimes do, and becomes its arguments.
const REFUSE_PERF: &str = r#"
import ctypes, os, platform, struct, sys
number = {"x86_64": 298, "aarch64": 241}[platform.machine()]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 4
filter = Filter(len(code), ctypes.addressof(program))
assert libc.prctl(38, 1, None, None, None) == 0
assert libc.prctl(22, 2, ctypes.addressof(filter), None, None) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;

const SPIN: &str = "s = 0\nfor i in range(2500000): s += i * i\nprint(s)\n";

/// Every source is there, with a reason where it is not used.
fn whole(ran: Ran) -> Value {
    let document = ran.expect(0).json("perfup.doctor/1");
    let sources = document["sources"].as_array().unwrap();
    assert!(sources.iter().any(|source| source["id"] == "tree"), "{document:#}");
    for source in sources {
        assert!(source["gives"].as_str().is_some_and(|gives| !gives.is_empty()), "{source}");
        let why = source["reason"].as_str().is_some_and(|reason| !reason.is_empty());
        assert_eq!(source["state"] != "used", why, "{source}");
    }
    assert!(document["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool["name"] == "git")));
    document
}

fn state<'a>(document: &'a Value, id: &str) -> &'a str {
    let sources = document["sources"].as_array().unwrap();
    sources.iter().find(|source| source["id"] == id).unwrap()["state"].as_str().unwrap()
}

#[test]
fn the_table_says_how_to_switch_sources_on() {
    let bench = Bench::bare(&[]);
    let document = whole(bench.perfup(&["doctor", "--json"]));
    assert_eq!(state(&document, "tree"), "used");
    assert!(document["machine"]["cores_available"].as_u64() >= Some(1));
    let text = bench.perfup(&["doctor"]).expect(0).stdout;
    for source in document["sources"].as_array().unwrap() {
        assert!(text.contains(source["id"].as_str().unwrap()), "{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(!text.contains('\u{1b}') && text.contains("perf_event_paranoid"), "{text}");
    bench.perfup(&["doctor", "--what"]).fails(2, &["--what"]);
    // It leaves nothing behind.
    assert_eq!(bench.root().read_dir().unwrap().count(), 0);
}

/// A bench that everybody may enter and write, for programs that run as somebody else.
fn open(files: &[(&str, &str)]) -> Bench {
    let bench = Bench::bare(files);
    let scratch = bench.root().parent().unwrap().to_owned();
    for folder in [scratch.clone(), bench.root(), bench.cache(), scratch.join("home")] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    bench
}

/// Runs perfup as a user without any rights; absent, and said so, where that cannot be done.
fn as_nobody(bench: &Bench, args: &[&str]) -> Option<Ran> {
    let become_nobody = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"];
    let probe = bench.command("setpriv").args(become_nobody).args([PERFUP, "--version"]).output();
    match probe {
        Ok(output) if output.status.success() => {}
        _ => {
            println!("SKIPPED: cannot become another user here");
            return None;
        }
    }
    Some(bench.run("setpriv", &[&become_nobody, &[PERFUP] as &[&str], args].concat()))
}

#[test]
fn without_privileges_everything_of_importance_works() {
    let bench = open(&[("spin.py", SPIN)]);
    let Some(ran) = as_nobody(&bench, &["doctor", "--json"]) else { return };
    let document = whole(ran);
    assert_eq!(state(&document, "tree"), "used");
    assert_eq!(document["access"]["user"].to_string(), NOBODY);
    assert_eq!(document["access"]["may_ptrace"], false);
    let analysis = as_nobody(&bench, &["analyze", "--json", "--", "python3", "spin.py"]).unwrap().expect(0);
    let analysis = analysis.json("perfup.analysis/1");
    assert_eq!(own(&analysis), "interpreter-overhead", "{analysis:#}");
    // The process of somebody else.
    let mut foreign = bench.command("sleep").arg("600").spawn().unwrap();
    let pid = foreign.id().to_string();
    let refused = as_nobody(&bench, &["analyze", "--pid", &pid, "--for", "1s"]).unwrap();
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    refused.fails(2, &["may not be looked into", "sudo perfup analyze --pid"]);
}

/// A program may forbid to look into it; its waits cannot be told apart then, and that is said.
#[test]
fn a_program_that_hides_is_watched_from_outside() {
    let hides = "import ctypes, time\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\ntime.sleep(0.6)\n";
    let bench = open(&[("hides.py", hides)]);
    let Some(ran) = as_nobody(&bench, &["analyze", "--json", "--", "python3", "hides.py"]) else { return };
    let analysis = ran.expect(0).json("perfup.analysis/1");
    assert_ne!(analysis["bottleneck"]["class"], "interpreter-overhead", "{analysis:#}");
}

#[test]
fn with_perf_events_refused_the_rest_works() {
    let bench = Bench::bare(&[("spin.py", SPIN), ("refuse.py", REFUSE_PERF)]);
    let refused = |args: &[&str]| bench.run("python3", &[&["refuse.py", PERFUP], args].concat());
    let document = whole(refused(&["doctor", "--json"]));
    assert_eq!(state(&document, "tree"), "used");
    assert_eq!(document["access"]["seccomp"], true);
    assert_ne!(state(&document, "instructions"), "used");
    let analysis =
        refused(&["analyze", "--json", "--", "python3", "spin.py"]).expect(0).json("perfup.analysis/1");
    assert_eq!(own(&analysis), "interpreter-overhead", "{analysis:#}");
}

#[test]
fn in_a_namespace_of_its_own_it_works() {
    let bench = Bench::bare(&[("spin.py", SPIN)]);
    let doctor = "exec \"$PERFUP\" doctor --json";
    let Some(ran) = unshared(&bench, "-Ur", doctor) else { return };
    let document = whole(ran);
    assert_eq!(document["access"]["user_namespace"], true);
    let analyse = "exec \"$PERFUP\" analyze --json -- python3 spin.py";
    let analysis = unshared(&bench, "-Ur", analyse).unwrap().expect(0).json("perfup.analysis/1");
    assert_eq!(own(&analysis), "interpreter-overhead", "{analysis:#}");
    // As in a container: processes of its own, and its own /proc.
    let inside = "mount -t proc none /proc && exec \"$PERFUP\" analyze --json -- python3 spin.py";
    if let Some(ran) = unshared(&bench, "-Urmpf", inside) {
        let analysis = ran.expect(0).json("perfup.analysis/1");
        assert_eq!(own(&analysis), "interpreter-overhead", "{analysis:#}");
    }
}
