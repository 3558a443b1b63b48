//! Paths that no candidate may touch: whoever is measured must not hold the ruler.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::config::{Benchmark, Protect, Verify, plain_path};

/// Glob → why. Matched against paths relative to the root, at any depth unless they start with `/`.
const BUILT_IN: &[(&str, &str)] = &[
    ("{test,tests,testing,__tests__,spec}/**", "tests"),
    ("test_*.py", "tests"),
    ("*_test.{py,go,rs,c,cc,cpp,sh}", "tests"),
    ("*.{test,spec}.{js,jsx,ts,tsx,mjs}", "tests"),
    ("test.sh", "tests"),
    ("{conftest,sitecustomize,usercustomize}.py", "hooks that change how every Python program runs"),
    ("*.pth", "hooks that change how every Python program runs"),
    ("{pytest.ini,tox.ini,noxfile.py}", "test configuration"),
    ("{fixtures,testdata}/**", "test data"),
    ("{.github,.gitlab,.circleci,.ci,.buildkite}/**", "continuous integration"),
    ("{.gitlab-ci.yml,Jenkinsfile,azure-pipelines.yml}", "continuous integration"),
    ("/perfup.toml", "perfup's own configuration"),
    ("/.perfup/**", "perfup's own files"),
    ("{.gitattributes,.gitmodules}", "git configuration"),
    ("build.rs", "build scripts"),
    (".cargo/**", "build configuration"),
    ("{Cargo.toml,pyproject.toml,setup.py,setup.cfg,package.json,go.mod}", "manifests"),
    ("requirements*.txt", "manifests"),
    ("{Cargo.lock,poetry.lock,uv.lock,package-lock.json,yarn.lock,pnpm-lock.yaml,go.sum}", "lock files"),
    ("rust-toolchain*", "build configuration"),
];

/// Kinds that a recipe may change when it has declared the very file: that is what the user asked it for.
const MAY_BE_DECLARED: &[&str] = &["manifests", "build configuration"];

/// The rules of one session.
#[derive(Debug)]
pub struct Protection {
    set: GlobSet,
    reasons: Vec<String>,
    declared: Vec<PathBuf>,
}

/// A protected path that was touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tamper {
    pub path: String,
    pub rule: String,
}

impl Protection {
    /// `declared` are the files that the hypothesis itself names; `leads_to` follows the symlinks of a path relative to
    /// the root, to another such path.
    ///
    /// # Errors
    /// A glob of `[protect] paths` that cannot be read, with the reason.
    pub fn new(
        protect: &Protect,
        benchmark: &Benchmark,
        verify: &Verify,
        declared: Vec<PathBuf>,
        leads_to: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        let mut reasons = Vec::new();
        let mut add = |glob: &str, reason: &str| {
            let glob = match glob.strip_prefix('/') {
                Some(anchored) => anchored.to_owned(),
                None => format!("**/{glob}"),
            };
            let built = GlobBuilder::new(&glob).literal_separator(true).build();
            set.add(built.map_err(|error| format!("[protect] paths: {error}"))?);
            reasons.push(reason.to_owned());
            Ok::<_, String>(())
        };
        for (glob, reason) in BUILT_IN {
            add(glob, reason)?;
        }
        for glob in &protect.paths {
            add(glob, "[protect] paths")?;
        }
        // What the command reads is the work to be done, unless it is a program to be made faster.
        let mut own: Vec<PathBuf> = benchmark.stdin.iter().chain(&benchmark.inputs).cloned().collect();
        let words = benchmark.command.words();
        let data = words.iter().skip(1).map(|word| named_by(word)).filter(|word| is_data(word));
        own.extend(data.map(|word| benchmark.cwd.join(word)));
        if let Some(tests) = &verify.tests {
            let words = tests.words();
            let files = words.iter().filter(|word| word.contains(['/', '.']));
            own.extend(files.map(|word| benchmark.cwd.join(word)));
        }
        // The link itself too: who turns it elsewhere changes what is read.
        let led_to: Vec<PathBuf> = own.iter().filter_map(|path| leads_to(path)).collect();
        for path in own.iter().map(|path| plain_path(path)).chain(led_to) {
            let literal = globset::escape(&path.to_string_lossy());
            add(&format!("/{literal}"), "what the command or its tests read")?;
        }
        let set = set.build().map_err(|error| error.to_string())?;
        Ok(Self { set, reasons, declared })
    }

    /// Those of the changed paths that may not be changed.
    #[must_use]
    pub fn violations(&self, changed: &[PathBuf]) -> Vec<Tamper> {
        let rule = |path: &Path| {
            let matching = self.set.matches(path).into_iter().map(|index| self.reasons[index].as_str());
            let declared = self.declared.iter().any(|known| known == path);
            matching.into_iter().find(|reason| !(declared && MAY_BE_DECLARED.contains(reason)))
        };
        changed
            .iter()
            .filter_map(|path| {
                rule(path).map(|rule| Tamper { path: path.display().to_string(), rule: rule.to_owned() })
            })
            .collect()
    }
}

/// The path in `--file=PATH`.
fn named_by(word: &str) -> &str {
    word.split_once('=').filter(|_| word.starts_with('-')).map_or(word, |(_, path)| path)
}

/// An argument that names a file which is not source code.
fn is_data(word: &str) -> bool {
    const SOURCE: &[&str] = &[
        "py", "pyx", "js", "mjs", "ts", "rb", "pl", "sh", "bash", "rs", "c", "cc", "cpp", "h", "hpp", "go",
        "java", "lua", "php", "r", "jl",
    ];
    let ending = Path::new(word).extension().map(|ending| ending.to_string_lossy().to_lowercase());
    !word.starts_with('-') && ending.is_some_and(|ending| !SOURCE.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CommandLine;

    fn rule(changed: &str, declared: &[&str]) -> Option<String> {
        let benchmark = Benchmark::for_command(
            CommandLine::parse("python3 app.py sub/.././data/in.csv latest/in.csv --map=./map.bin").unwrap(),
        );
        let verify =
            Verify { tests: Some(CommandLine::parse("sh checks/run.sh").unwrap()), ..Verify::default() };
        let protect = Protect { paths: vec!["/golden/**".to_owned()] };
        let declared = declared.iter().map(PathBuf::from).collect();
        let leads_to = |path: &Path| (path == Path::new("latest/in.csv")).then(|| PathBuf::from("v2/in.csv"));
        let protection = Protection::new(&protect, &benchmark, &verify, declared, &leads_to).unwrap();
        protection.violations(&[PathBuf::from(changed)]).pop().map(|tamper| tamper.rule)
    }

    #[test]
    fn rulers_are_protected_and_the_work_is_not() {
        let check = |changed: &str, expected: Option<&str>| {
            assert_eq!(rule(changed, &[]).as_deref(), expected, "{changed}");
        };
        check("app.py", None);
        check("src/lib.rs", None);
        check("latest/notes.py", None);
        check("tests/test_app.py", Some("tests"));
        check("pkg/tests/data.txt", Some("tests"));
        check("test_app.py", Some("tests"));
        check("deep/conftest.py", Some("hooks that change how every Python program runs"));
        check("perfup.toml", Some("perfup's own configuration"));
        check("data/in.csv", Some("what the command or its tests read"));
        check("latest/in.csv", Some("what the command or its tests read"));
        check("v2/in.csv", Some("what the command or its tests read"));
        check("map.bin", Some("what the command or its tests read"));
        check("checks/run.sh", Some("what the command or its tests read"));
        check("golden/a/b.txt", Some("[protect] paths"));
        check("Cargo.toml", Some("manifests"));
        check("crates/a/build.rs", Some("build scripts"));
        check(".github/workflows/ci.yml", Some("continuous integration"));
    }

    #[test]
    fn a_recipe_may_change_the_manifest_it_declared_but_never_the_tests() {
        assert_eq!(rule("Cargo.toml", &["Cargo.toml"]), None);
        assert_eq!(rule("sub/Cargo.toml", &["Cargo.toml"]).as_deref(), Some("manifests"));
        assert_eq!(rule("tests/a.rs", &["tests/a.rs"]).as_deref(), Some("tests"));
    }

    #[test]
    fn a_bad_glob_is_said() {
        let protect = Protect { paths: vec!["a[".to_owned()] };
        let benchmark = Benchmark::for_command(CommandLine::parse("true").unwrap());
        let error =
            Protection::new(&protect, &benchmark, &Verify::default(), Vec::new(), &|_| None).unwrap_err();
        assert!(error.contains("[protect] paths"), "{error}");
    }
}
