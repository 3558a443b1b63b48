//! What `$(…)` computes with other programs, and how the shell computes the same alone.
//!
//! **Invariant**: pure; from a command substitution to a value, never to a file.

use super::source::{Dialect, Quoted, Syntax, command_name, is_name, literal, variable};

/// The same value without a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub guard: Guard,
    /// Statements that leave the value in the variable that stands in them as [`TARGET`], and the status that the
    /// programs would.
    pub code: String,
    /// Programs that were started for it.
    pub processes: usize,
}

/// When the shell's own means do the very same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Guard {
    /// Unless a word matches one of these patterns.
    Unless { word: String, odd: Vec<String> },
    /// If this test holds.
    If(String),
}

impl Guard {
    /// A statement that runs `code` where that is the same, else `original`.
    pub fn choose(&self, original: &str, code: &str) -> String {
        match self {
            Self::Unless { word, odd } => {
                format!("case {word} in {}) {original} ;; *) {code} ;; esac", odd.join(" | "))
            }
            Self::If(test) => format!("if {test}; then {code}; else {original}; fi"),
        }
    }

    /// Whether this statement was made by [`Self::choose`]: it holds the original, which is to stay.
    pub fn is_chosen(statement: &str) -> bool {
        let line = statement.lines().next().unwrap_or_default();
        (line.starts_with("case ") && (line.contains(ODD) || line.contains(NO_DIGIT)))
            || (line.starts_with("if ") && line.contains(FILE_TEST))
    }
}

/// Stands for the assigned variable; no script holds this character.
const TARGET: &str = "\u{1}";

/// Ends of lines, control characters, and bytes that are no characters.
const ODD: &str = "*[![:print:][:blank:]]*";

/// Written out: what lies between 0 and 9 is for the locale to say.
const NO_DIGIT: &str = "*[!0123456789";

/// Anything else may be read only once, or not to its end.
const FILE_TEST: &str = " != -* ]] && [[ -f ";

impl Value {
    /// The statement that gives a variable this value.
    pub fn assigned_to(&self, name: &str, original: &str) -> String {
        self.guard.choose(original, &self.code.replace(TARGET, name))
    }
}

/// A statement that gives the variable the value of one expansion.
fn set(expansion: &str) -> String {
    format!("{TARGET}={expansion}")
}

/// A variable's value, also where it is not set and that would be an error.
fn guarded(name: &str, odd: &[&str]) -> Guard {
    let odd = odd.iter().copied().chain([ODD]).map(str::to_owned).collect();
    Guard::Unless { word: format!("${{{name}-}}"), odd }
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
            let printed = printed(&source)?;
            let code = filtered(&printed.name, &filter, dialect)?;
            Some(Value { guard: printed.guard(), code, processes: 2 })
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
    if let Some(here) = here {
        let fed = variable(here.text().trim().trim_start_matches("<<<"), Quoted::Either)?;
        let code = (dialect == Dialect::Bash).then(|| filtered(&fed, command, dialect)).flatten()?;
        return Some(Value { guard: guarded(&fed, &[]), code, processes: 1 });
    }
    let words = arguments(command)?;
    let (guard, code) = match command_name(command)?.as_str() {
        "basename" => basename(&words),
        "dirname" => dirname(&words),
        "expr" => expr(&words),
        "cat" => cat(&words, dialect),
        _ => None,
    }?;
    Some(Value { guard, code, processes: 1 })
}

/// The arguments of a command; absent when an assignment before it may change what it does.
pub(super) fn arguments<'t>(command: &Syntax<'t>) -> Option<Vec<Syntax<'t>>> {
    let first = command.children().next()?;
    (first.kind() == "command_name").then(|| command.field_children("argument").collect())
}

/// A variable that a command prints.
pub(super) struct Printed {
    pub name: String,
    /// `echo` has options, and in some shells escapes.
    by_echo: bool,
}

impl Printed {
    /// When filters see the value as one line and as it is.
    pub fn guard(&self) -> Guard {
        guarded(&self.name, if self.by_echo { &["-*", "*\\\\*"] } else { &[] })
    }
}

/// What `echo "$v"` or `printf '%s\n' "$v"` prints.
pub(super) fn printed(command: &Syntax<'_>) -> Option<Printed> {
    let words = arguments(command)?;
    let (value, by_echo) = match (command_name(command)?.as_str(), words.as_slice()) {
        ("echo", [value]) => (value, true),
        ("printf", [format, value]) => {
            let format = format.text();
            let plain = ["'%s'", "\"%s\"", "%s", "'%s\\n'", "\"%s\\n\""].contains(&format.as_ref());
            (plain.then_some(value)?, false)
        }
        _ => return None,
    };
    Some(Printed { name: variable(&value.text(), Quoted::Always)?, by_echo })
}

/// What has a slash at its end, or may be an option, is for the program to say.
fn basename(words: &[Syntax<'_>]) -> Option<(Guard, String)> {
    let path = variable(&words.first()?.text(), Quoted::Always)?;
    match words {
        [_] => Some((guarded(&path, &["-*", "*/"]), set(&format!("${{{path}##*/}}")))),
        [_, suffix] => {
            let suffix = literal(suffix)?;
            let suffix = plain(&suffix).filter(|suffix| !suffix.starts_with('-'))?;
            // A name that is nothing but the suffix keeps it.
            let guard = guarded(&path, &["-*", "*/", suffix, &format!("*/{suffix}")]);
            Some((guard, format!("{TARGET}=${{{path}##*/}}; {TARGET}=${{{TARGET}%{suffix}}}")))
        }
        _ => None,
    }
}

fn dirname(words: &[Syntax<'_>]) -> Option<(Guard, String)> {
    let [path] = words else {
        return None;
    };
    let path = variable(&path.text(), Quoted::Always)?;
    let code = format!(
        "case ${path} in */*) {TARGET}=${{{path}%/*}}; {TARGET}=${{{TARGET}:-/}} ;; *) {TARGET}=. ;; esac"
    );
    Some((guarded(&path, &["-*", "*/", "*//*"]), code))
}

/// `expr $a + 1`, and longer sums and products of natural numbers; its status is 1 for 0.
fn expr(words: &[Syntax<'_>]) -> Option<(Guard, String)> {
    if words.len() < 3 || words.len().is_multiple_of(2) {
        return None;
    }
    let operands: Vec<Operand> = words.iter().step_by(2).map(operand).collect::<Option<_>>()?;
    let operators: Vec<String> = words.iter().skip(1).step_by(2).map(operator).collect::<Option<_>>()?;
    let mut names: Vec<&str> = Vec::new();
    for operand in &operands {
        if let Operand::Variable(name) = operand
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    // Two factors of nine digits cannot overflow, three can.
    if names.is_empty() || operators.iter().filter(|operator| *operator == "*").count() > 1 {
        return None;
    }
    let mut divides_by_variable = false;
    for (operator, right) in operators.iter().zip(&operands[1..]) {
        if ["/", "%"].contains(&operator.as_str()) {
            match right {
                Operand::Number(number) if number == "0" => return None,
                Operand::Number(_) => {}
                Operand::Variable(_) => divides_by_variable = true,
            }
        }
    }
    let mut code = format!("{TARGET}=$(({}", operands[0].code());
    for (operator, right) in operators.iter().zip(&operands[1..]) {
        code.push_str(&format!(" {operator} {}", right.code()));
    }
    code.push_str("))");
    let grows = operators.iter().all(|operator| operator == "+")
        && operands.iter().any(|operand| matches!(operand, Operand::Number(number) if number != "0"));
    if !grows {
        code.push_str(&format!("; [ \"${TARGET}\" != 0 ]"));
    }
    Some((natural(&names, divides_by_variable), code))
}

/// Nothing but natural numbers of at most nine digits without a leading zero, which would make them octal.
fn natural(names: &[&str], divides: bool) -> Guard {
    let word = names.iter().map(|name| format!("${{{name}-}}")).collect::<Vec<_>>().join(",");
    let several = names.len() > 1;
    let mut odd: Vec<String> = if several {
        let long = "[!,]".repeat(DIGITS_MAX + 1);
        let too_many = format!("*{}", ",*".repeat(names.len()));
        [&format!("{NO_DIGIT},]*"), ",*", "*,", "*,,*", "0[!,]*", "*,0[!,]*", &too_many, &format!("*{long}*")]
            .map(str::to_owned)
            .into()
    } else {
        let long = "?".repeat(DIGITS_MAX + 1);
        vec!["''".to_owned(), format!("{NO_DIGIT}]*"), "0?*".to_owned(), format!("{long}*")]
    };
    if divides {
        let zero: &[&str] = if several { &["0,*", "*,0", "*,0,*"] } else { &["0"] };
        odd.extend(zero.iter().map(|&pattern| pattern.to_owned()));
    }
    Guard::Unless { word, odd }
}

const DIGITS_MAX: usize = 9;

fn operator(word: &Syntax<'_>) -> Option<String> {
    let operator = if word.text() == "\\*" { "*".to_owned() } else { literal(word)? };
    ["+", "-", "*", "/", "%"].contains(&operator.as_str()).then_some(operator)
}

enum Operand {
    Variable(String),
    Number(String),
}

impl Operand {
    fn code(&self) -> String {
        match self {
            Self::Variable(name) if is_name(name) => name.clone(),
            Self::Variable(name) => format!("${name}"),
            Self::Number(number) => number.clone(),
        }
    }
}

fn operand(word: &Syntax<'_>) -> Option<Operand> {
    if let Some(name) = variable(&word.text(), Quoted::Either) {
        return Some(Operand::Variable(name));
    }
    let number = literal(word)?;
    let digits = (1..=DIGITS_MAX).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    // A leading zero would make it octal.
    (digits && (number == "0" || !number.starts_with('0'))).then_some(Operand::Number(number))
}

/// `$(<file)` still forks, but loads no program.
fn cat(words: &[Syntax<'_>], dialect: Dialect) -> Option<(Guard, String)> {
    let [file] = words else {
        return None;
    };
    let guard = file_guard(file, dialect)?;
    Some((guard, set(&format!("$(<{})", file.text().trim()))))
}

/// That a word names one plain file that can be read, and no option.
pub(super) fn file_guard(word: &Syntax<'_>, dialect: Dialect) -> Option<Guard> {
    let text = word.text().trim().to_owned();
    let quoted = word.kind() == "string" && !text.contains(['`', '\n']) && !text.contains("$(");
    let known = quoted || literal(word).is_some_and(|name| !name.is_empty());
    (known && dialect == Dialect::Bash)
        .then(|| Guard::If(format!("[[ {text}{FILE_TEST}{text} && -r {text} ]]")))
}

/// What `cut`, `awk`, `sed` or `tr` makes of a variable's value.
fn filtered(name: &str, filter: &Syntax<'_>, dialect: Dialect) -> Option<String> {
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
fn cut(name: &str, words: &[&str]) -> Option<String> {
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
        1 => set(&format!("${{{name}%%{delimiter}*}}")),
        // A line with one delimiter has a second field.
        2 => format!("{TARGET}=${{{name}#*{delimiter}}}; {TARGET}=${{{TARGET}%%{delimiter}*}}"),
        _ => format!(
            "case ${name} in *{}*) {} ;; *) {TARGET}=${name} ;; esac",
            delimiter_word(delimiter),
            field_behind(name, delimiter, field)
        ),
    })
}

/// `awk -F, '{print $3}'`: nothing where the line has too few fields.
fn awk(name: &str, words: &[&str]) -> Option<String> {
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
        1 => set(&format!("${{{name}%%{delimiter}*}}")),
        _ => field_behind(name, delimiter, field),
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
fn sed(name: &str, script: &str, dialect: Dialect) -> Option<String> {
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
    Some(set(&code))
}

/// The text that a regular expression without any operator matches.
fn text_of(pattern: &str) -> Option<String> {
    let dots = pattern.matches('.').count();
    if dots != pattern.matches("\\.").count() {
        return None;
    }
    plain(&pattern.replace("\\.", ".")).map(str::to_owned)
}

/// Upper and lower case, and single characters. The 26 letters are written out, and the one whose other case depends on
/// the language comes last: tr knows nothing of languages. Character classes it does know, differently from the shell.
fn tr(name: &str, words: &[&str]) -> Option<String> {
    const REST: &str = "abcdefghjklmnopqrstuvwxyz";
    let lower = |set: &str| ["a-z", "[a-z]"].contains(&set);
    let upper = |set: &str| ["A-Z", "[A-Z]"].contains(&set);
    let cased = |sign: &str, rest: &str, from: &str, to: &str| {
        format!("{TARGET}=${{{name}{sign}[{rest}]}}; {TARGET}=${{{TARGET}//{from}/{to}}}")
    };
    match words {
        ["-d", one] => Some(set(&format!("${{{name}//{}}}", single(one)?))),
        [from, to] if lower(from) && upper(to) => Some(cased("^^", REST, "i", "I")),
        [from, to] if upper(from) && lower(to) => Some(cased(",,", &REST.to_uppercase(), "I", "i")),
        [from, to] => Some(set(&format!("${{{name}//{}/{}}}", single(from)?, single(to)?))),
        _ => None,
    }
}

fn single(text: &str) -> Option<&str> {
    plain(text).filter(|text| text.len() == 1 && *text != "-")
}

/// A statement that does what `echo "$v" | grep -q TEXT` did, for plain text with `^` and `$` at its ends.
pub(super) fn matched(printed: &Printed, grep: &Syntax<'_>, original: &str) -> Option<String> {
    let words: Vec<String> = arguments(grep)?.iter().map(literal).collect::<Option<_>>()?;
    let (fixed, pattern) = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["-q", pattern] => (false, (*pattern).to_owned()),
        ["-qF" | "-Fq", pattern] => (true, (*pattern).to_owned()),
        _ => return None,
    };
    if command_name(grep)? != "grep" || pattern.starts_with('-') {
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
    let guard = printed.guard();
    let Guard::Unless { word, odd } = guard else {
        return None;
    };
    let odd = odd.join(" | ");
    Some(format!("case {word} in {odd}) {original} ;; {start}{text}{end}) true ;; *) false ;; esac"))
}
