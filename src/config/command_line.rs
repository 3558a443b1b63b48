//! A command as the user gave it: words, or a line for the shell.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A command, run directly or through `sh -c`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandLine {
    /// Program and arguments, run without a shell. Never empty.
    Argv(Vec<String>),
    /// A line for `sh -c`; the shell is part of what is measured.
    Shell(String),
}

/// Characters that mean something to a shell and nothing to `execve`.
const SHELL_SYNTAX: &[char] =
    &['|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', '~', '\n', '{', '}', '!'];

impl CommandLine {
    /// Reads a line as written in `perfup.toml`: words where it is only words, else a shell line.
    ///
    /// # Errors
    /// When the line is empty or its quotes do not close.
    pub fn parse(line: &str) -> Result<Self, &'static str> {
        if line.trim().is_empty() {
            return Err("the command is empty");
        }
        let words = shlex::split(line).ok_or("a quote or backslash is not closed")?;
        let assigns = words.first().is_some_and(|word| word.contains('='));
        if assigns || line.contains(SHELL_SYNTAX) {
            return Ok(Self::Shell(line.to_owned()));
        }
        Ok(Self::Argv(words))
    }

    /// The words to hand to `execve`.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Argv(words) => words.clone(),
            Self::Shell(line) => vec!["sh".to_owned(), "-c".to_owned(), line.clone()],
        }
    }

    /// The words a reader sees in it; for a shell line, split as a shell would as far as that goes.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Argv(words) => words.clone(),
            Self::Shell(line) => {
                shlex::split(line).unwrap_or_else(|| line.split_whitespace().map(str::to_owned).collect())
            }
        }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argv(words) => match shlex::try_join(words.iter().map(String::as_str)) {
                Ok(line) => f.write_str(&line),
                Err(_) => f.write_str(&words.join(" ")),
            },
            Self::Shell(line) => f.write_str(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CommandLine::{self, Argv, Shell};

    fn check(line: &str, expected: Result<CommandLine, &'static str>) {
        assert_eq!(CommandLine::parse(line), expected, "{line:?}");
    }

    #[test]
    fn words_run_without_a_shell_and_syntax_brings_one() {
        let argv = |words: &[&str]| Ok(Argv(words.iter().map(|&word| word.to_owned()).collect()));
        check("python3 a.py 'two words'", argv(&["python3", "a.py", "two words"]));
        check("a | b", Ok(Shell("a | b".to_owned())));
        check("THREADS=4 ./a", Ok(Shell("THREADS=4 ./a".to_owned())));
        check("./a --n=4", argv(&["./a", "--n=4"]));
        check("  ", Err("the command is empty"));
        check("a 'b", Err("a quote or backslash is not closed"));
    }

    #[test]
    fn display_can_be_pasted_into_a_shell() {
        let command = Argv(vec!["a".to_owned(), "two words".to_owned()]);
        assert_eq!(CommandLine::parse(&command.to_string()), Ok(command));
    }
}
