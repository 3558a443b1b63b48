//! The list of labelled programs, `tests/corpus/corpus.toml`, and what each asks of the machine.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use perfup::diagnose::Class;
use serde::Deserialize;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    program: Vec<Program>,
}

/// A small program with a known bottleneck.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Unique.
    pub name: String,
    /// Below the corpus' folder.
    pub file: PathBuf,
    /// Words of the command, `{file}` for the program's own; what its ending says when absent.
    pub command: Option<Vec<String>>,
    #[serde(default)]
    pub args: Vec<String>,
    /// What an expert names.
    pub label: Class,
    /// What an expert could also defend.
    #[serde(default)]
    pub also: Vec<Class>,
    pub why: String,
    #[serde(default)]
    pub traits: Vec<String>,
    /// Tools beyond those that the ending asks for; `python3:NAME` is a module.
    #[serde(default)]
    needs: Vec<String>,
    /// Made before the run.
    #[serde(default)]
    pub files: Vec<String>,
}

/// How the programs of a language are made and started.
pub enum Language {
    /// The compiler and its first words; the source follows, and `-o` with the program's path.
    Compiled(&'static [&'static str], &'static [&'static str]),
    /// Classes beside the source, started by the source's stem.
    Java,
    Interpreted(&'static str),
    /// By its own command.
    Other,
}

/// All programs, in the order of the file.
pub fn programs() -> Outcome<Vec<Program>> {
    let text = fs::read_to_string(Path::new(FOLDER).join("corpus.toml"))?;
    Ok(toml::from_str::<Catalogue>(&text)?.program)
}

impl Program {
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.file)
    }

    pub fn has_trait(&self, name: &str) -> bool {
        self.traits.iter().any(|word| word == name)
    }

    /// Whether a verdict is the label, or can be defended.
    pub fn accepts(&self, class: Class) -> bool {
        class == self.label || self.also.contains(&class)
    }

    pub fn language(&self) -> Option<Language> {
        Some(match self.file.extension()?.to_str()? {
            "c" => Language::Compiled(&["gcc", "-O2", "-g", "-pthread"], &["-lm"]),
            "rs" => Language::Compiled(&["rustc", "--edition=2024", "-O", "-g"], &[]),
            "java" => Language::Java,
            "py" => Language::Interpreted("python3"),
            "sh" => Language::Interpreted("sh"),
            "bash" => Language::Interpreted("bash"),
            "js" => Language::Interpreted("node"),
            "pl" => Language::Interpreted("perl"),
            "mk" => Language::Other,
            _ => return None,
        })
    }

    /// All tools it needs.
    pub fn needs(&self) -> Vec<&str> {
        let own = match self.language() {
            Some(Language::Compiled(words, _)) => words.first().copied(),
            Some(Language::Interpreted(tool)) => Some(tool),
            Some(Language::Java | Language::Other) | None => None,
        };
        own.into_iter().chain(self.needs.iter().map(String::as_str)).collect()
    }

    /// The first tool that is not there.
    pub fn lacks(&self) -> Option<&str> {
        self.needs().into_iter().find(|need| !is_there(need))
    }
}

/// Whether a tool is in `PATH`, or a module can be imported.
fn is_there(need: &str) -> bool {
    if let Some(module) = need.strip_prefix("python3:") {
        let import = format!("import {module}");
        let status = Command::new("python3").args(["-c", &import]).stderr(Stdio::null()).status();
        return status.is_ok_and(|status| status.success());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(need).is_file())
}
