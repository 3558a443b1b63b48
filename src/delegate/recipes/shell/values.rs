//! What `$(…)` computes with other programs, and how the shell computes the same alone.
//!
//! **Invariant**: pure; from a command substitution to a value, never to a file.

use super::source::{Dialect, Quoted, Syntax, command_name, is_name, literal, variable};

/// The same value without a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub code: Code,
    /// Programs that were started for it.
    pub processes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Code {
    /// One expansion; it can stand wherever the substitution stood.
    Expansion(String),
    /// Statements that leave the value in the variable that stands in them as [`TARGET`].
    Statements(String),
}

/// Stands for the assigned variable; no script holds this character.
const TARGET: &str = "\u{1}";

impl Code {
    /// The statements that give a variable this value.
    pub fn assigned_to(&self, name: &str) -> String {
        match self {
            Self::Expansion(code) => format!("{name}={code}"),
            Self::Statements(code) => code.replace(TARGET, name),
        }
    }
}

/// The value of a `command_substitution`, when it is one of the known forms.
pub(super) fn value(substitution: &Syntax<'_>, dialect: Dialect) -> Option<Value> {
    let text = substitution.text();
    // Backslashes mean something else between backticks.
    if text.trim_start().starts_with('`') && text.contains('\\') {
        return None;
    }
    let mut parts = substitution.named_children();
    let (inner, rest) = (parts.next()?, parts.next());
    if rest.is_some() {
        return None;
    }
    match inner.kind().as_ref() {
        "command" => of_command(&inner, dialect),
        "pipeline" => {
            let (source, filter) = two_stages(&inner)?;
            let code = filtered(&printed(&source)?, &filter, dialect)?;
            Some(Value { code, processes: 2 })
        }
        _ => None,
    }
}

/// The two commands of `a | b`.
pub(super) fn two_stages<'t>(pipeline: &Syntax<'t>) -> Option<(Syntax<'t>, Syntax<'t>)> {
    let parts: Vec<Syntax<'t>> = pipeline.children().collect();
    let [source, pipe, filter] = parts.as_slice() else {
        return None;
    };
    let both = source.kind() == "command" && pipe.kind() == "|" && filter.kind() == "command";
    both.then(|| (source.clone(), filter.clone()))
}

/// `basename`, `dirname`, `expr`, `cat`, or a filter that `<<<` feeds.
fn of_command(command: &Syntax<'_>, dialect: Dialect) -> Option<Value> {
    let here = command.children().find(|child| child.kind() == "herestring_redirect");
    let code = match here {
        Some(here) if dialect == Dialect::Bash => {
            let fed = variable(here.text().trim().trim_start_matches("<<<"), Quoted::Either)?;
            filtered(&fed, command, dialect)
        }
        Some(_) => None,
        None => {
            let words = arguments(command)?;
            match command_name(command)?.as_str() {
                "basename" => basename(&words),
                "dirname" => dirname(&words),
                "expr" => expr(&words),
                "cat" => cat(&words, dialect),
                _ => None,
            }
        }
    }?;
    Some(Value { code, processes: 1 })
}

/// The arguments of a command; absent when an assignment before it may change what it does.
pub(super) fn arguments<'t>(command: &Syntax<'t>) -> Option<Vec<Syntax<'t>>> {
    let first = command.children().next()?;
    (first.kind() == "command_name").then(|| command.field_children("argument").collect())
}

/// The variable that `echo "$v"` or `printf '%s\n' "$v"` prints.
pub(super) fn printed(command: &Syntax<'_>) -> Option<String> {
    let words = arguments(command)?;
    let value = match (command_name(command)?.as_str(), words.as_slice()) {
        ("echo", [value]) => value,
        ("printf", [format, value]) => {
            let format = format.text();
            ["%s", "%s\\n"].contains(&format.trim_matches(['\'', '"'])).then_some(value)?
        }
        _ => return None,
    };
    variable(&value.text(), Quoted::Always)
}

fn basename(words: &[Syntax<'_>]) -> Option<Code> {
    let path = variable(&words.first()?.text(), Quoted::Always)?;
    match words {
        [_] => Some(Code::Expansion(format!("${{{path}##*/}}"))),
        [_, suffix] => {
            let suffix = literal(suffix)?;
            let suffix = plain(&suffix)?;
            Some(Code::Statements(format!("{TARGET}=${{{path}##*/}}; {TARGET}=${{{TARGET}%{suffix}}}")))
        }
        _ => None,
    }
}

fn dirname(words: &[Syntax<'_>]) -> Option<Code> {
    let [path] = words else {
        return None;
    };
    let path = variable(&path.text(), Quoted::Always)?;
    Some(Code::Statements(format!(
        "case ${path} in */*) {TARGET}=${{{path}%/*}}; {TARGET}=${{{TARGET}:-/}} ;; *) {TARGET}=. ;; esac"
    )))
}

/// `expr $a + 1`, and longer sums and products.
fn expr(words: &[Syntax<'_>]) -> Option<Code> {
    if words.len() < 3 || words.len().is_multiple_of(2) {
        return None;
    }
    let mut code = Vec::new();
    for (index, word) in words.iter().enumerate() {
        code.push(if index % 2 == 0 { operand(word)? } else { operator(word)? });
    }
    Some(Code::Expansion(format!("$(({}))", code.join(" "))))
}

fn operator(word: &Syntax<'_>) -> Option<String> {
    let operator = if word.text() == "\\*" { "*".to_owned() } else { literal(word)? };
    ["+", "-", "*", "/", "%"].contains(&operator.as_str()).then_some(operator)
}

fn operand(word: &Syntax<'_>) -> Option<String> {
    if let Some(name) = variable(&word.text(), Quoted::Either) {
        return Some(if is_name(&name) { name } else { format!("${name}") });
    }
    let number = literal(word)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    // A leading zero would make it octal.
    (digits && (number == "0" || !number.starts_with('0'))).then_some(number)
}

/// `$(<file)` still forks, but loads no program.
fn cat(words: &[Syntax<'_>], dialect: Dialect) -> Option<Code> {
    match words {
        [file] if dialect == Dialect::Bash => Some(Code::Expansion(format!("$(<{})", file_word(file)?))),
        _ => None,
    }
}

/// A word that names one file, as it stands: neither split, nor matched, nor an option.
pub(super) fn file_word(word: &Syntax<'_>) -> Option<String> {
    let text = word.text().trim().to_owned();
    let quoted = word.kind() == "string" && !text.contains('`') && !text.contains("$(");
    ((quoted || literal(word).is_some()) && !text.trim_start_matches(['"', '\'']).starts_with('-'))
        .then_some(text)
}

/// What `cut`, `awk`, `sed` or `tr` makes of a variable's value.
fn filtered(name: &str, filter: &Syntax<'_>, dialect: Dialect) -> Option<Code> {
    let words: Vec<String> = arguments(filter)?.iter().map(literal).collect::<Option<_>>()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match command_name(filter)?.as_str() {
        "cut" => cut(name, &words),
        "awk" => awk(name, &words),
        "sed" => match words.as_slice() {
            [script] => sed(name, script, dialect),
            _ => None,
        },
        "tr" if dialect == Dialect::Bash => tr(name, &words),
        _ => None,
    }
}

/// `cut -d, -f3`: the whole line where it has no delimiter, nothing where it has too few.
fn cut(name: &str, words: &[&str]) -> Option<Code> {
    let (mut delimiter, mut field) = (None, None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut of = |short: &str| match word.strip_prefix(short)? {
            "" => rest.next().copied(),
            attached => Some(attached),
        };
        if let Some(found) = of("-d") {
            delimiter = separator(found);
        } else if let Some(found) = of("-f") {
            field = found.parse::<usize>().ok();
        } else {
            return None;
        }
    }
    let (delimiter, field) = (delimiter?, field.filter(|field| (1..=FIELDS_MAX).contains(field))?);
    Some(match field {
        1 => Code::Expansion(format!("${{{name}%%{delimiter}*}}")),
        // A line with one delimiter has a second field.
        2 => Code::Statements(format!(
            "{TARGET}=${{{name}#*{delimiter}}}; {TARGET}=${{{TARGET}%%{delimiter}*}}"
        )),
        _ => Code::Statements(format!(
            "case ${name} in *{}*) {} ;; *) {TARGET}=${name} ;; esac",
            delimiter_word(delimiter),
            field_behind(name, delimiter, field)
        )),
    })
}

/// `awk -F, '{print $3}'`: nothing where the line has too few fields.
fn awk(name: &str, words: &[&str]) -> Option<Code> {
    let (delimiter, program) = match words {
        [delimiter, program] => (delimiter.strip_prefix("-F")?, program),
        ["-F", delimiter, program] => (*delimiter, program),
        _ => return None,
    };
    // One blank means any white space to awk, and a bar or a dot alone is taken as it is.
    let delimiter = separator(delimiter).filter(|delimiter| *delimiter != ' ')?;
    let program = program.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let field = program.strip_prefix("print")?.trim_start().strip_prefix('$')?.trim_end_matches([';', ' ']);
    let field: usize = field.parse().ok().filter(|field| (1..=FIELDS_MAX).contains(field))?;
    Some(match field {
        1 => Code::Expansion(format!("${{{name}%%{delimiter}*}}")),
        _ => Code::Statements(field_behind(name, delimiter, field)),
    })
}

/// Farther fields would make an unreadable line.
const FIELDS_MAX: usize = 9;

/// A delimiter behind the last field makes a missing one empty.
fn field_behind(name: &str, delimiter: char, field: usize) -> String {
    let mut code = format!("{TARGET}=${{{name}}}{}", delimiter_word(delimiter));
    for _ in 1..field {
        code.push_str(&format!("; {TARGET}=${{{TARGET}#*{delimiter}}}"));
    }
    code.push_str(&format!("; {TARGET}=${{{TARGET}%%{delimiter}*}}"));
    code
}

/// A delimiter as a word of its own.
fn delimiter_word(delimiter: char) -> String {
    if " ;|".contains(delimiter) { format!("'{delimiter}'") } else { delimiter.to_string() }
}

/// One character that stands for itself in a pattern.
fn separator(text: &str) -> Option<char> {
    let mut characters = text.chars();
    let character = characters.next().filter(|_| characters.next().is_none())?;
    (character.is_ascii_alphanumeric() || " ,:;|./_=@%+-".contains(character)).then_some(character)
}

/// Text that stands for itself in a pattern, in a replacement, and in a shell word.
fn plain(text: &str) -> Option<&str> {
    let stands = |c: char| c.is_ascii_alphanumeric() || ",:._=@+-".contains(c);
    (!text.is_empty() && text.chars().all(stands)).then_some(text)
}

/// `s/a/b/`, with `^`, `$`, `.*` at its ends.
fn sed(name: &str, script: &str, dialect: Dialect) -> Option<Code> {
    let mut characters = script.strip_prefix('s')?.chars();
    let slash = characters.next().filter(|slash| "/|,#:".contains(*slash))?;
    let parts: Vec<&str> = characters.as_str().split(slash).collect();
    let [pattern, replacement, flags] = parts.as_slice() else {
        return None;
    };
    let code = match (*replacement, *flags) {
        ("", "") if pattern.starts_with('^') => format!("${{{name}#{}}}", text_of(&pattern[1..])?),
        ("", "") if pattern.ends_with(".*") => {
            format!("${{{name}%%{}*}}", text_of(pattern.strip_suffix(".*")?)?)
        }
        ("", "") if pattern.starts_with(".*") => format!("${{{name}##*{}}}", text_of(&pattern[2..])?),
        ("", "") if pattern.ends_with('$') => format!("${{{name}%{}}}", text_of(pattern.strip_suffix('$')?)?),
        (_, "" | "g") if dialect == Dialect::Bash => {
            let replacement = if replacement.is_empty() { "" } else { plain(replacement)? };
            let all = if *flags == "g" { "/" } else { "" };
            format!("${{{name}/{all}{}/{replacement}}}", text_of(pattern)?)
        }
        _ => return None,
    };
    Some(Code::Expansion(code))
}

/// The text that a regular expression without any operator matches.
fn text_of(pattern: &str) -> Option<String> {
    let dots = pattern.matches('.').count();
    if dots != pattern.matches("\\.").count() {
        return None;
    }
    plain(&pattern.replace("\\.", ".")).map(str::to_owned)
}

/// Upper and lower case, and single characters.
fn tr(name: &str, words: &[&str]) -> Option<Code> {
    let lower = |set: &str| ["a-z", "[a-z]", "[:lower:]"].contains(&set);
    let upper = |set: &str| ["A-Z", "[A-Z]", "[:upper:]"].contains(&set);
    let code = match words {
        ["-d", one] => format!("${{{name}//{}}}", single(one)?),
        [from, to] if lower(from) && upper(to) => format!("${{{name}^^}}"),
        [from, to] if upper(from) && lower(to) => format!("${{{name},,}}"),
        [from, to] => format!("${{{name}//{}/{}}}", single(from)?, single(to)?),
        _ => return None,
    };
    Some(Code::Expansion(code))
}

fn single(text: &str) -> Option<&str> {
    plain(text).filter(|text| text.len() == 1 && *text != "-")
}

/// A test that does what `grep -q TEXT` did to the value of `name`, for plain text with `^` and `$` at its ends.
pub(super) fn matched(name: &str, grep: &Syntax<'_>, dialect: Dialect) -> Option<String> {
    let words: Vec<String> = arguments(grep)?.iter().map(literal).collect::<Option<_>>()?;
    let (fixed, pattern) = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["-q", pattern] => (false, (*pattern).to_owned()),
        ["-qF" | "-Fq", pattern] => (true, (*pattern).to_owned()),
        _ => return None,
    };
    if command_name(grep)? != "grep" {
        return None;
    }
    let (start, pattern) = match pattern.strip_prefix('^') {
        Some(rest) if !fixed => ("", rest.to_owned()),
        _ => ("*", pattern),
    };
    let (end, pattern) = match pattern.strip_suffix('$') {
        Some(rest) if !fixed => ("", rest.to_owned()),
        _ => ("*", pattern),
    };
    let text = if fixed { plain(&pattern)?.to_owned() } else { text_of(&pattern)? };
    Some(match dialect {
        Dialect::Bash => format!("[[ ${name} == {start}{text}{end} ]]"),
        Dialect::Posix => format!("case ${name} in {start}{text}{end}) true ;; *) false ;; esac"),
    })
}
