//! Places in the source that may be what takes the time: which files are looked at, and what the stacks say of them.

use std::path::{Component, Path, PathBuf};

use crate::config::CommandLine;
use crate::diagnose::{Class, Diagnosis};
use crate::findings::{FILE_BYTES_MAX, Finding, LineShare, Measured, Rules, files_to_scan, rank};
use crate::profile::{Profile, Stacks};

/// Files of a project that is looked at as a whole because neither the command nor its stacks name any; more would keep
/// the user waiting.
const WHOLE_MAX: usize = 200;

/// Shares of lines and functions below this say nothing.
const SHARE_MIN: f64 = 0.005;

/// Where to look.
pub(super) struct Project<'a> {
    pub root: &'a Path,
    /// Relative to the root.
    pub files: &'a [PathBuf],
    pub command: &'a CommandLine,
    /// Where the command stands, relative to the root.
    pub cwd: &'a Path,
    /// Every file is looked at, whoever names it.
    pub all_files: bool,
}

/// Findings, confirmed ones first.
pub(super) fn findings(
    rules: &Rules,
    project: &Project<'_>,
    diagnosis: &Diagnosis,
    profile: &Profile,
) -> Vec<Finding> {
    let lines = line_shares(profile);
    let entry = entry(project, profile);
    let hot: Vec<PathBuf> = lines
        .iter()
        .filter(|line| !line.path.as_os_str().is_empty())
        .map(|line| line.path.strip_prefix(project.root).unwrap_or(&line.path).to_owned())
        .collect();
    let mut files = files_to_scan(project.files, &entry, &hot, project.all_files);
    let is_source = |path: &PathBuf| path.extension().is_some_and(|ending| ending != "toml");
    if !files.iter().any(is_source) {
        files = files_to_scan(project.files, &entry, &hot, true);
        files.truncate(WHOLE_MAX);
    }
    let found = files.iter().flat_map(|path| {
        let absolute = project.root.join(path);
        let is_small =
            absolute.metadata().is_ok_and(|file| file.is_file() && file.len() <= FILE_BYTES_MAX as u64);
        // What is not text is no source.
        let text = is_small.then(|| std::fs::read_to_string(&absolute).ok()).flatten();
        text.map_or(Vec::new(), |text| rules.scan(path, &text))
    });
    rank(found.collect(), &Measured { shares: own_shares(&diagnosis.shares), lines, entry })
}

/// Shares of the time that was the program's own: the load of others says nothing about its code.
fn own_shares(shares: &[(Class, f64)]) -> Vec<(Class, f64)> {
    let own = shares.iter().filter(|(class, _)| *class != Class::MachineBusy);
    let sum: f64 = own.clone().map(|(_, share)| share).sum();
    own.filter(|_| sum > 0.0).map(|(class, share)| (*class, share / sum)).collect()
}

/// The scripts that the command, or a program that it started, names; relative to the root, and below it.
fn entry(project: &Project<'_>, profile: &Profile) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut add = |folder: &Path, words: &[String]| {
        let modules = words.windows(2).filter(|pair| pair[0] == "-m").flat_map(|pair| {
            let path = pair[1].replace('.', "/");
            [format!("{path}.py"), format!("{path}/__main__.py")]
        });
        for word in words.iter().cloned().chain(modules) {
            let path = plain(&folder.join(word));
            if let Ok(relative) = path.strip_prefix(project.root)
                && path.is_file()
                && !found.iter().any(|known| known == relative)
            {
                found.push(relative.to_owned());
            }
        }
    };
    add(&project.root.join(project.cwd), &project.command.words());
    for program in &profile.tree.programs {
        add(Path::new(&program.cwd), &program.arguments);
    }
    found
}

/// Without `.` and `..`, as far as the path alone tells.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// Of native code on a CPU, and of Python, running and waiting apart.
fn line_shares(profile: &Profile) -> Vec<LineShare> {
    let part = |running: bool| Stacks {
        samples: profile.python.samples.iter().filter(|sample| sample.running == running).copied().collect(),
        ..profile.python.clone()
    };
    let mut lines = shares_of(&profile.stacks, false);
    lines.extend(shares_of(&part(true), false));
    lines.extend(shares_of(&part(false), true));
    lines
}

fn shares_of(stacks: &Stacks, waiting: bool) -> Vec<LineShare> {
    let shares = stacks.line_shares();
    let by_line = shares.lines.into_iter().map(|((path, line), share)| LineShare {
        path: path.into(),
        function: None,
        line: Some(line),
        share,
        waiting,
    });
    let by_function = shares.functions.into_iter().map(|((path, function), share)| LineShare {
        path: path.into(),
        function: Some(function),
        line: None,
        share,
        waiting,
    });
    by_line.chain(by_function).filter(|line| line.share >= SHARE_MIN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Program, TreeTimes};

    #[test]
    fn the_load_of_others_is_left_out() {
        let shares = [(Class::MachineBusy, 0.6), (Class::CpuNative, 0.3), (Class::DiskRead, 0.1)];
        let own = own_shares(&shares);
        assert!((own[0].1 - 0.75).abs() < 1e-12 && (own[1].1 - 0.25).abs() < 1e-12, "{own:?}");
        assert!(own_shares(&[(Class::MachineBusy, 1.0)]).is_empty());
    }

    #[test]
    fn scripts_are_found_in_the_command_and_in_what_it_starts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["run.sh", "tools/crunch.py", "tools/package/__main__.py"] {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), "").unwrap();
        }
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let program = |line: &str| Program {
            arguments: words(line),
            cwd: root.join("tools").display().to_string(),
            ..Program::default()
        };
        let programs = vec![program("python3 crunch.py /etc/passwd"), program("python3 -m package --fast")];
        let profile = Profile { tree: TreeTimes { programs, ..TreeTimes::default() }, ..Profile::default() };
        let project = Project {
            root: &root,
            files: &[],
            command: &CommandLine::Argv(words("sh ./run.sh")),
            cwd: Path::new(""),
            all_files: false,
        };
        let expected = ["run.sh", "tools/crunch.py", "tools/package/__main__.py"].map(PathBuf::from);
        assert_eq!(entry(&project, &profile), expected);
    }
}
