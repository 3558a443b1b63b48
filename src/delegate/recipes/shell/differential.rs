//! Every form that a recipe changes, before and after, on odd values in real shells: what they print, what they complain
//! of and how they end must be the same.

use super::process_per_line::tests::{BASH, BOTH, changed};
use super::sequential_loop::tests::all_cores;
use super::source::Dialect;
use super::testing::{run, shells};
use crate::stats::rng;

/// As they stand in the script, between single quotes.
const VALUES: &[&[u8]] = &[
    b"/a/b/c.txt,12,ok",
    b"7",
    b"12",
    b"0",
    b"",
    b" ",
    b"plain",
    b"in.txt",
    b"a,b,c,d",
    b"ab|c|d|e:f:g",
    b"abab.c",
    b"a.b x",
    b"x y/z w,q r",
    b",,",
    b"a,",
    b"/",
    b"//",
    b"/top",
    b"dir/",
    b"/a//b/",
    b".c",
    b"x/.c",
    b"dir",
    b"missing",
    b"a b",
    b"-n",
    b"-e x",
    b"-",
    b"--help",
    b"a\\b,c",
    b"a\\nb\\c",
    b"a\nb,c",
    b"ab\n\n",
    b"*",
    b"[a-z]?",
    b"$HOME `x` $(x)",
    b"\xc3\xa9,I\xc3\xbci",
    b"\xff,b",
    b"a\tb,c",
    b"00",
    b"010",
    b"-5",
    b"9999999999",
    b"99999999999999999999",
    b"3 + 4",
    b"1 2",
];

/// Beginnings of scripts, and whether all shells know them.
const BEGINNINGS: &[(&str, bool)] = &[
    ("", true),
    ("set -e", true),
    ("set -u", true),
    ("IFS=,", true),
    ("set -f", true),
    ("set -eo pipefail", false),
];

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in
        [("in.txt", "x\ny\n"), ("plain", "x y\nz"), ("a b", ""), ("-n", "x\n"), ("7", "7\n")]
    {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    std::fs::create_dir(folder.path().join("dir")).unwrap();
    folder
}

/// A loop over values with these statements in it.
fn script(beginning: &str, statements: &[&str], values: &[&[u8]]) -> Vec<u8> {
    let mut script = format!("{beginning}\nfor l in").into_bytes();
    for value in values {
        script.extend([b" '", *value, b"'"].concat());
    }
    script.extend(b"; do\n  a=$l; b=$l; n=$l; p=$l; x=; d=; s=; set -- \"$l\"\n");
    for statement in statements {
        script.extend(format!("  {statement}\n  s=\"$s $?\"\n").into_bytes());
    }
    script
        .extend(b"  printf '<%s>' \"$a\" \"$b\" \"$d\" \"$l\" \"$n\" \"$p\" \"$x\" \"$s\"\ndone\necho end\n");
    script
}

/// Changes a script, whatever its bytes: the values are not looked at.
fn after(script: &[u8], dialect: Dialect) -> Vec<u8> {
    // One character for each byte, and back.
    let text: String = script.iter().map(|&byte| char::from(byte)).collect();
    let changed = changed(&text, dialect);
    assert_ne!(changed, text, "nothing was changed");
    changed.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn same(shell: &str, before: &[u8], after: &[u8], folder: impl Fn() -> tempfile::TempDir) {
    let of = |script: &[u8]| {
        let folder = folder();
        run(shell, script, folder.path()).unwrap()
    };
    let (expected, got) = (of(before), of(after));
    assert_eq!(got, expected, "{shell}:\n{}\n\n{}", before.escape_ascii(), String::from_utf8_lossy(after));
}

fn forms(shell: &str) -> (Dialect, Vec<&'static str>) {
    let both = BOTH.iter().map(|(before, _)| *before);
    match shell {
        "bash" => (Dialect::Bash, both.chain(BASH.iter().map(|(before, _)| *before)).collect()),
        _ => (Dialect::Posix, both.collect()),
    }
}

#[test]
fn every_form_does_the_same_with_odd_values() {
    for shell in shells() {
        let (dialect, forms) = forms(shell);
        for form in forms {
            let before = script("", &[form], VALUES);
            same(shell, &before, &after(&before, dialect), folder);
        }
    }
}

/// Also where the shell ends at the first failure, splits and expands differently, and where one form feeds another.
#[test]
fn random_scripts_do_the_same() {
    for shell in shells() {
        let (dialect, forms) = forms(shell);
        for number in 0..40 {
            let mut draws = 0;
            let mut draw = |count: usize| {
                draws += 1;
                usize::try_from(rng::draw(7, number, draws) % count as u64).unwrap()
            };
            let (beginning, known) = BEGINNINGS[draw(BEGINNINGS.len())];
            if !known && dialect == Dialect::Posix {
                continue;
            }
            // These have nothing to do with pipefail and nounset.
            let plain: Vec<&str> =
                forms.iter().copied().filter(|form| beginning.len() < 6 || !form.contains("cat")).collect();
            let statements: Vec<&str> = (0..1 + draw(3)).map(|_| plain[draw(plain.len())]).collect();
            let values: Vec<&[u8]> = (0..1 + draw(5)).map(|_| VALUES[draw(VALUES.len())]).collect();
            let before = script(beginning, &statements, &values);
            same(shell, &before, &after(&before, dialect), folder);
        }
    }
}

#[test]
fn loops_on_all_cores_do_the_same() {
    const SCRIPTS: &[&str] = &[
        "mkdir -p out\nfor p in *.in; do\n  sort \"$p\" > \"out/${p%.in}\"\ndone\ncat out/*",
        "for p in *.in; do sort \"$p\"; done; echo end",
        "for p in *.in no.in; do\n  sort \"$p\" 2>/dev/null\ndone\necho end",
        "for p in *.in no.in other.in; do\n  sort \"$p\"\ndone\necho end",
        "for p in *.none; do\n  sort \"$p\"\ndone\necho end",
        "opt=-r\nfor p in $(ls | grep '^a'); do\n  sort $opt \"$p\" | tr a-z 'A-Z'\ndone\necho end",
        "printf '2 no.in\\n1 a.in\\n' | while read -r size p; do\n  head -n \"$size\" \"$p\" 2>&1\ndone\necho end",
        "for p in $nothing; do sort \"$p\"; done; echo end",
        "f() {\n  for p in \"$@\"; do\n    sort \"$p\"\n  done\n  echo end\n}\nf a.in; f; f 'b c.in' a.in",
        "ls > list; while IFS= read -r p; do\n  wc -c \"$p\"\ndone < list\necho end",
        "printf 'a.in' > list; while read -r p; do\n  wc -c \"$p\"\ndone < list\necho end",
        "LC_SORT=kept\nfor p in *.in; do\n  env printf '%s:%s' \"$p\" \"$LC_SORT\"\ndone\necho end\nenv | grep -c LC_SORT || :",
        "for p in 3 255 0; do\n  ./fails \"$p\"\ndone\necho end",
    ];
    let folder = || {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b c.in", "a.in", "-r.in", "*.in", "'q'\".in", "line\nbreak.in", "\\.in"] {
            std::fs::write(folder.path().join(name), format!("z\n{name}\n")).unwrap();
        }
        std::fs::write(folder.path().join("empty.in"), "").unwrap();
        let fails = folder.path().join("fails");
        std::fs::write(&fails, "#!/bin/sh\necho $1; echo error $1 >&2; exit $1\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&fails, mode).unwrap();
        folder
    };
    for shell in shells() {
        let dialect = if shell == "bash" { Dialect::Bash } else { Dialect::Posix };
        for script in SCRIPTS {
            same(shell, script.as_bytes(), all_cores(script, dialect).as_bytes(), folder);
        }
    }
}
