//! What stands in the way is named, with the exit code of the manual and an empty standard output.

use super::bench::{Bench, PERFUP, Ran};

const PYTHON: &[&str] = &["run", "--json", "--", "python3", "slow.py"];

/// The end of a `run` on these files: its code, and words that say why and what to do.
fn check(files: &[(&str, &str)], args: &[&str], code: i32, words: &[&str]) {
    let bench = Bench::new(files);
    let before = bench.user_state();
    bench.perfup(args).fails(code, words);
    assert_eq!(bench.user_state(), before);
}

#[test]
fn without_a_repository_or_a_commit_there_is_nothing_to_start_from() {
    let bench = Bench::bare(&[("slow.py", "print(1)\n")]);
    bench.perfup(PYTHON).fails(2, &["git", "hint:", "git init"]);
    bench.perfup(&["status"]).fails(2, &["git init"]);
    bench.git(&["init", "-q", "-b", "main"]);
    bench.perfup(PYTHON).fails(2, &["commit", "hint:", "git commit"]);
    let bare = bench.command("git").args(["init", "-q", "--bare", "bare.git"]).status();
    assert!(bare.expect("git is installed").success());
    bench.perfup(&["-C", "bare.git", "run", "--", "true"]).fails(2, &["bare", "clone"]);
    bench.perfup(&["-C", "nowhere", "run", "--", "true"]).fails(2, &["nowhere"]);
}

#[test]
fn a_command_that_cannot_start_is_named() {
    let files = [("slow.py", "print(1)\n"), ("data.txt", "1\n")];
    check(&files, &["run", "--", "no-such-program", "1"], 2, &["no-such-program", "PATH"]);
    check(&files, &["run", "--", "./built"], 2, &["./built", "--build"]);
    check(&files, &["run", "--", "./data.txt"], 2, &["data.txt", "chmod +x"]);
    check(&files, &["run"], 2, &["perfup.toml"]);
    check(&files, &["run", "--timeout", "soon", "--", "true"], 2, &["soon", "duration"]);
    check(&files, &["resume"], 2, &["resume"]);
}

#[test]
fn a_command_that_fails_shows_what_it_said() {
    let program = "import sys\nsys.exit('the reason of it')\n";
    check(&[("slow.py", program)], PYTHON, 5, &["the reason of it", "hint:"]);
    let build = ["run", "--build", "sh build.sh", "--", "python3", "slow.py"];
    let files = [("build.sh", "echo the reason of it\nexit 3\n"), ("slow.py", "print(1)\n")];
    check(&files, &build, 5, &["the reason of it", "sh build.sh", "--build"]);
    let tests = ["run", "--tests", "sh build.sh", "--", "python3", "slow.py"];
    check(&files, &tests, 5, &["the reason of it", "sh build.sh", "--no-tests"]);
    let timeout = ["run", "--timeout", "200ms", "--", "sleep", "600"];
    check(&files, &timeout, 5, &["time limit"]);
}

#[test]
fn an_output_that_cannot_be_learned_is_refused() {
    let words = "import os\nprint(*('abcdefgh'[byte % 8] * (byte % 5) for byte in os.urandom(40)))\n";
    check(&[("slow.py", words)], PYTHON, 5, &["hint:", "seed"]);
    let time = "import time\nprint('took', time.time())\n";
    let exact = ["run", "--output", "exact", "--", "python3", "slow.py"];
    check(&[("slow.py", time)], &exact, 5, &["hint:"]);
}

/// What is not committed is not measured, and the user is told.
#[test]
fn uncommitted_changes_are_left_out() {
    let bench = Bench::new(&[("slow.py", "print(sum(range(100000)))\n")]);
    bench.write("slow.py", "raise SystemExit('not this one')\n");
    let before = bench.user_state();
    let ran = bench.perfup(&["run", "--json", "--", "python3", "slow.py"]).expect(0);
    assert!(ran.stderr.contains("uncommitted changes"), "{}", ran.stderr);
    ran.json("perfup.run/1");
    assert_eq!(bench.user_state(), before);
}

#[test]
fn a_worklog_that_cannot_be_used_is_named() {
    let bench = Bench::new(&[("slow.py", "print(1)\n")]);
    bench.write(".perfup/worklog.db", &"no database at all\n".repeat(400));
    for args in [PYTHON, &["status"], &["log", "list"]] {
        bench.perfup(args).fails(5, &["worklog.db", "hint:"]);
    }
    std::fs::remove_file(bench.root().join(".perfup/worklog.db")).expect("the file");
    bench.write(".perfup/worklog.db", "");
    let database = bench.database().expect("the file");
    database.pragma_update(None, "user_version", 99).expect("a setting");
    bench.perfup(PYTHON).fails(5, &["99", "update perfup"]);
}

/// Runs a shell script in a user namespace of its own; absent, and said so, where the kernel refuses.
pub fn unshared(bench: &Bench, flags: &str, script: &str) -> Option<Ran> {
    let probe = bench.run("unshare", &[flags, "true"]);
    if probe.code != Some(0) {
        println!("SKIPPED: unshare {flags}: {}", probe.stderr.trim());
        return None;
    }
    let mut command = bench.command("unshare");
    command.args([flags, "sh", "-euc", script]).env("PERFUP", PERFUP);
    Some(command.output().expect("unshare starts").into())
}

/// A repository on a read-only mount, which stops even the superuser.
#[test]
fn a_read_only_repository_is_named() {
    let bench = Bench::new(&[("slow.py", "print(1)\n")]);
    let run = "exec \"$PERFUP\" run --json -- python3 slow.py";
    let script = |what: &str| {
        format!("mount --bind {what} {what}; mount -o remount,ro,bind {what}; cd .; cd \"$PWD\"; {run}")
    };
    let root = bench.root();
    if let Some(ran) = unshared(&bench, "-Urm", &script(&root.display().to_string())) {
        ran.fails(2, &[".perfup", "Read-only file system", "perfup needs to write"]);
    }
    // Nothing is run before it is known that the result can be written.
    let analyse = script(&root.display().to_string()).replace("run --json --", "analyze --");
    let analyse = analyse.replace("python3 slow.py", "./nope");
    if let Some(ran) = unshared(&bench, "-Urm", &analyse) {
        ran.fails(2, &["Read-only file system", "specs/"]);
    }
    let git = root.join(".git");
    if let Some(ran) = unshared(&bench, "-Urm", &script(&git.display().to_string())) {
        ran.fails(2, &["hint:", ".git"]);
    }
}

/// The disk is full again and again, each time a little later; in the end the session comes to its result.
#[test]
fn a_full_disk_is_named_and_overcome() {
    let bench = Bench::slow();
    let script = r#"
        mount -t tmpfs -o size=8m none "$XDG_CACHE_HOME"
        cp -a . "$XDG_CACHE_HOME/project" && cd "$XDG_CACHE_HOME/project"
        dd if=/dev/zero of=../ballast bs=4k count=100000 2>/dev/null && exit 99
        for _ in $(seq 40); do
            code=0
            "$PERFUP" resume --json || code=$?
            if [ $code = 2 ]; then # No session yet.
                code=0
                "$PERFUP" run --json -- python3 slow.py || code=$?
            fi
            echo "code $code" >&2
            if [ $code = 0 ]; then exit 0; fi
            truncate -s -128k ../ballast
        done
        exit 98
    "#;
    let Some(ran) = unshared(&bench, "-Urm", script) else {
        return;
    };
    let ran = ran.expect(0);
    // The failures left nothing on standard output.
    let run = ran.json("perfup.run/1");
    assert_eq!(run["attempts"][0]["status"], "keep");
    let codes: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("code ")).collect();
    let (last, full) = codes.split_last().expect("a code");
    assert_eq!(*last, "code 0");
    assert!(full.len() > 3, "{codes:?}");
    assert!(full.iter().all(|code| *code == "code 5"), "{codes:?}");
    let named = ran.stderr.matches("hint: free some space, then `perfup resume`").count();
    assert!(named >= full.len(), "{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    println!("the disk was full {} times", full.len());
}
