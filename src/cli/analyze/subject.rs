//! What is to be analysed: a command, a script, a benchmark, or words that mean one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::arguments::{for_command, spoken};
use super::super::failure::Failure;
use super::super::setup;
use super::lookup::{Candidate, lookup};
use crate::config::{CommandLine, Config, ConfigFile};
use crate::experiment::{Layout, Setup};
use crate::worklog::Worklog;

/// A command to analyse.
pub(super) struct Subject {
    pub config: Config,
    /// Typed by the user, so run where the user stands; else relative to the root.
    pub is_bare: bool,
    /// What was taken for the words that were given; absent where they say it themselves.
    pub taken: Option<String>,
}

/// Candidates shown in an error.
const SHOWN_MAX: usize = 8;

/// Words that a shell knows without a program.
const SHELL_WORDS: &[&str] = &[
    "!", "(", ".", ":", "[[", "case", "cd", "eval", "exec", "export", "for", "function", "if", "read", "set",
    "source", "time", "trap", "ulimit", "umask", "until", "wait", "while", "{",
];

impl Subject {
    /// Of words that are surely a command.
    pub fn command(command: CommandLine, file: Option<&ConfigFile>) -> Self {
        Self { config: for_command(command, file), is_bare: true, taken: None }
    }

    fn benchmark(config: Config) -> Self {
        Self { config, is_bare: false, taken: None }
    }

    /// Of words as typed: in this order the name of a benchmark, a script, a command, a description.
    ///
    /// # Errors
    /// When they mean nothing here, or more than one thing.
    pub fn of(words: &[String], setup: &Setup, file: Option<&ConfigFile>) -> Result<Self, Failure> {
        let Some((first, rest)) = words.split_first() else {
            let root = setup::root(setup);
            let nothing =
                || crate::config::ConfigError::NothingToRun { path: root.join(crate::config::FILE_NAME) };
            return Ok(Self::benchmark(file.ok_or_else(nothing)?.select(None)?));
        };
        if let (Some(file), []) = (file, rest)
            && let Ok(config) = file.select(Some(first))
        {
            return Ok(Self::benchmark(config));
        }
        if let Some(mut argv) = script(&setup.folder, first) {
            argv.extend_from_slice(rest);
            return Ok(Self::command(CommandLine::Argv(argv), file));
        }
        let line = spoken(words)?;
        if is_command(&line, setup) {
            return Ok(Self::command(line, file));
        }
        described(&words.join(" "), setup, file)
    }
}

/// Whether its first word is a program, a path, or a word of the shell's.
fn is_command(line: &CommandLine, setup: &Setup) -> bool {
    let words = line.words();
    let is_shell = matches!(line, CommandLine::Shell(_));
    // `A=1 B=2 program`: what is assigned comes first.
    let Some(first) = words.iter().find(|word| !(is_shell && word.contains('='))) else {
        return true;
    };
    first.contains('/')
        || (is_shell && (SHELL_WORDS.contains(&first.as_str()) || first.starts_with(['(', '$', '~', '{'])))
        || is_program(first, setup)
}

fn is_program(word: &str, setup: &Setup) -> bool {
    let path = setup.environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    std::env::split_paths(path).any(|folder| {
        // An empty entry means the current folder.
        setup
            .folder
            .join(folder)
            .join(word)
            .metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// How a script that is named by its path alone is run: as itself where the kernel can, else by the interpreter of its
/// first line or of its ending.
fn script(folder: &Path, word: &str) -> Option<Vec<String>> {
    let path = folder.join(word);
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let named = if word.contains('/') { word.to_owned() } else { format!("./{word}") };
    let mut start = Vec::new();
    // What cannot be read may still be executed.
    let _ = File::open(&path).and_then(|file| file.take(256).read_to_end(&mut start));
    let shebang = start.strip_prefix(b"#!".as_slice()).map(|rest| {
        let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(line).trim().to_owned()
    });
    let is_executable = metadata.permissions().mode() & 0o111 != 0;
    if is_executable && (shebang.is_some() || start.starts_with(b"\x7fELF") || start.is_empty()) {
        return Some(vec![named]);
    }
    // As the kernel reads it: one interpreter, and all the rest as one argument.
    if let Some((interpreter, argument)) =
        shebang.as_deref().map(|line| line.split_once(char::is_whitespace).unwrap_or((line, "")))
        && !interpreter.is_empty()
    {
        let argument = Some(argument.trim()).filter(|argument| !argument.is_empty());
        return Some(
            [Some(interpreter), argument, Some(&named)].into_iter().flatten().map(str::to_owned).collect(),
        );
    }
    match interpreter_of(Path::new(word)) {
        Some(interpreter) => Some(vec![interpreter.to_owned(), word.to_owned()]),
        None => is_executable.then(|| vec![named]),
    }
}

fn interpreter_of(script: &Path) -> Option<&'static str> {
    match script.extension()?.to_str()? {
        "py" => Some("python3"),
        "sh" => Some("sh"),
        "bash" => Some("bash"),
        "js" | "mjs" | "cjs" => Some("node"),
        "rb" => Some("ruby"),
        "pl" => Some("perl"),
        "php" => Some("php"),
        "lua" => Some("lua"),
        "R" => Some("Rscript"),
        _ => None,
    }
}

/// A candidate with the way to run it.
struct Known {
    candidate: Candidate,
    config: Config,
    /// Where it is known from.
    from: &'static str,
}

fn described(words: &str, setup: &Setup, file: Option<&ConfigFile>) -> Result<Subject, Failure> {
    let known = known(setup, file);
    let found = lookup(words, &known, |known| &known.candidate);
    match found.as_slice() {
        [one] => Ok(Subject {
            config: one.config.clone(),
            is_bare: false,
            taken: Some(format!(
                "{words:?} is taken for {}: {} ({})",
                one.candidate.name, one.candidate.command, one.from
            )),
        }),
        [] if known.is_empty() => Err(Failure::usage(
            format!(
                "{words:?} is neither a program nor a script, and no benchmark is known here that it could describe"
            ),
            "give the command itself, for example: speedup-analysis python3 slow.py",
        )),
        [] => Err(Failure::usage(
            format!(
                "{words:?} is neither a program nor a script, and fits no benchmark that is known here:{}",
                listed(&known.iter().collect::<Vec<_>>())
            ),
            "name one of them, or give the command itself",
        )),
        several => Err(Failure::usage(
            format!("which one is meant by {words:?}?{}", listed(several)),
            "name it, or give the command itself",
        )),
    }
}

fn listed(known: &[&Known]) -> String {
    let mut text: String = known
        .iter()
        .take(SHOWN_MAX)
        .map(|known| format!("\n  {}: {} ({})", known.candidate.name, known.candidate.command, known.from))
        .collect();
    if known.len() > SHOWN_MAX {
        text.push_str(&format!("\n  and {} more", known.len() - SHOWN_MAX));
    }
    text
}

/// The benchmarks of perfup.toml, then the commands of earlier sessions, newest first.
fn known(setup: &Setup, file: Option<&ConfigFile>) -> Vec<Known> {
    let configured = file.into_iter().flat_map(|file| {
        file.benchmarks
            .iter()
            .filter_map(|benchmark| Some((file.select(Some(&benchmark.name)).ok()?, "perfup.toml")))
    });
    let layout = Layout::new(&setup::root(setup), &setup.cache);
    // A worklog that cannot be read only means that less is known here.
    let sessions = Worklog::open_existing(&layout.worklog())
        .ok()
        .flatten()
        .and_then(|worklog| worklog.sessions().ok())
        .unwrap_or_default();
    let recorded = sessions.into_iter().rev().filter_map(|session| {
        Some((serde_json::from_value::<Config>(session.config).ok()?, "an earlier session"))
    });
    let mut all: Vec<Known> = Vec::new();
    for (config, from) in configured.chain(recorded) {
        let candidate =
            Candidate { name: config.benchmark.name.clone(), command: config.benchmark.command.to_string() };
        if all.iter().all(|known| known.candidate.command != candidate.command) {
            all.push(Known { candidate, config, from });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Events;

    fn setup(folder: &Path) -> Setup {
        Setup {
            folder: folder.to_owned(),
            cache: folder.to_owned(),
            runner: folder.to_owned(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            events: Events::default(),
        }
    }

    #[test]
    fn words_are_a_command_when_the_first_is_a_program_or_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let check = |line: &str, expected: bool| {
            assert_eq!(
                is_command(&CommandLine::parse(line).unwrap(), &setup(folder.path())),
                expected,
                "{line}"
            );
        };
        check("sh -c 'exit 1'", true);
        check("./not-built-yet --fast", true);
        check("LEVEL=3 sh run.sh", true);
        check("for i in 1 2 3; do echo $i; done", true);
        check("the slow import step", false);
        check("why is the import slow?", false);
        check("importer", false);
    }

    #[test]
    fn scripts_are_run_as_their_first_line_or_ending_says() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, content: &str, mode: u32, expected: Option<&[&str]>| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let argv = script(folder.path(), name);
            assert_eq!(
                argv.as_deref(),
                expected
                    .map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
                    .as_deref(),
                "{name}"
            );
        };
        check("a.py", "print(1)\n", 0o644, Some(&["python3", "a.py"]));
        check("b.py", "#!/usr/bin/env python3\n", 0o755, Some(&["./b.py"]));
        check("c", "#!/usr/bin/env -S python3 -O\n", 0o644, Some(&["/usr/bin/env", "-S python3 -O", "./c"]));
        check("d.sh", "echo\n", 0o755, Some(&["sh", "d.sh"]));
        check("data.csv", "1,2\n", 0o644, None);
        assert_eq!(script(folder.path(), "missing.py"), None);
    }
}
