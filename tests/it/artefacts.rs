//! When two builds are the same program, and two paths the same file.

use super::bench::{Bench, SLOW};

/// Says what it is, and takes a while.
const APP: &str = "#!/bin/sh\nexec python3 \"${1:-slow.py}\"\n";

fn pairs_of_attempts(bench: &Bench) -> i64 {
    let sql = "SELECT count(*) FROM measurements WHERE attempt_id IS NOT NULL";
    bench.database().expect("a worklog").query_row(sql, [], |row| row.get(0)).expect("a row")
}

/// The compiler makes the same of any flags.
#[test]
fn a_build_that_is_the_same_to_the_byte_is_not_measured() {
    let makefile = "CC = sh cc.sh\nCFLAGS = -g\n\napp: app.c\n\t$(CC) $(CFLAGS) -o app app.c\n";
    let files = [
        ("Makefile", makefile),
        ("cc.sh", "cp app.sh app\nchmod +x app\necho \"$@\" > flags.d\n"),
        ("app.sh", APP),
        ("app.c", "int main(void) { return 0; }\n"),
        ("slow.py", SLOW),
        (".gitignore", "app\n*.d\n"),
    ];
    let bench = Bench::new(&files);
    let args = ["run", "--json", "--attempts", "1", "--no-tests", "--build", "make", "--", "./app"];
    let run = bench.perfup(&args).expect(0).json("perfup.run/1");
    let attempt = &run["attempts"][0];
    assert_eq!((&attempt["recipe"], &attempt["reason"]), (&"c-missing-optimisation".into(), &"no-op".into()));
    assert!(attempt["explanation"].to_string().contains("same to the byte"), "{attempt:#}");
    assert_eq!(pairs_of_attempts(&bench), 0);
}

/// The built program is the same, but the script that it reads is not.
#[test]
fn a_build_beside_changed_data_is_measured() {
    let bench = Bench::new(&[("app.sh", APP), ("slow.py", SLOW), (".gitignore", "app\n")]);
    let build = "cp app.sh app && chmod +x app";
    let args = ["run", "--json", "--attempts", "1", "--no-tests", "--build", build, "--", "./app", "slow.py"];
    let run = bench.perfup(&args).expect(0).json("perfup.run/1");
    let attempt = &run["attempts"][0];
    assert_eq!((&attempt["recipe"], &attempt["status"]), (&"python-list-membership".into(), &"keep".into()));
    assert!(pairs_of_attempts(&bench) > 0);
}

#[test]
fn one_declared_file_by_many_names() {
    let writes = format!("{SLOW}open('out.txt', 'w').write(open('data.txt').read())\n");
    let bench = Bench::new(&[("sub/slow.py", &writes), (".gitignore", "out.txt\n")]);
    bench.write("sub/data.txt", "data\n");
    std::os::unix::fs::symlink("sub", bench.root().join("link")).expect("a link");
    let absolute = bench.root().join("link/out.txt").display().to_string();
    let mut args = vec!["run", "--json", "--attempts", "1", "--no-tests", "--input", "sub/../sub/./data.txt"];
    for name in ["out.txt", "./out.txt", "../sub/out.txt", "../link/out.txt", &absolute] {
        args.extend(["--file", name]);
    }
    args.extend(["--", "python3", "./../sub/slow.py"]);
    let run = |args: &[&str]| {
        let mut command = bench.command(super::bench::PERFUP);
        let output = command.current_dir(bench.root().join("sub")).args(args).output();
        super::bench::Ran::from(output.expect("perfup starts"))
    };
    let ran = run(&args).expect(0);
    assert_eq!(ran.stderr.matches("declared file out.txt was the same").count(), 1, "{}", ran.stderr);
    let ran = ran.json("perfup.run/1");
    assert_eq!(ran["attempts"][0]["status"], "keep", "{ran:#}");
    let tip = ran["branch"].as_str().expect("a branch");
    assert_eq!(bench.git(&["diff", "--name-only", "main", tip]), "sub/slow.py\n", "no input is committed");

    run(&["run", "--file", "../../out.txt", "--", "true"]).fails(2, &["leaves the repository"]);
    run(&["run", "--stdin", "/etc/hostname", "--", "true"]).fails(2, &["leaves the repository"]);
    let script = bench.root().join("sub/slow.py").display().to_string();
    let ran =
        run(&["run", "--no-tests", "--attempts", "1", "--input", "sub/data.txt", "--", "python3", &script]);
    assert!(ran.stderr.contains("by its absolute path"), "{}", ran.stderr);
}
