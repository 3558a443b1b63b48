//! How an output that varies is allowed to vary: learned from the original's own runs.

use serde::{Deserialize, Serialize};

use super::tokens::{Kind, Token, tokenise};

/// Longest excerpt in a message, in characters.
const EXCERPT_CHARS: usize = 60;

/// Words by which a varying number is known to be a time or a rate, which a faster program must be free to change.
const DURATION_WORDS: &[&str] =
    &["time", "elapsed", "took", "duration", "second", "secs", "msec", "ms", "rate", "/s", "per s", "speed"];

/// Units which, right behind a varying number, say the same.
const DURATION_UNITS: &[&str] = &["s", "ms", "us", "µs", "ns", "sec", "secs", "seconds", "min"];

/// The shape of an output, with what may differ at each place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Pattern {
    /// Line by line.
    Lines(Vec<Line>),
    /// The same lines in every run, in an order that varies; sorted.
    AnyOrder(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    Same(String),
    Varies(Vec<Slot>),
}

/// What may stand at one place of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Slot {
    Same(Token),
    /// A number within these bounds; whole numbers stay whole.
    Between {
        low: f64,
        high: f64,
        whole: bool,
    },
    /// A time or rate of the program's own: any number.
    Duration,
    /// Any token of this kind.
    Volatile(Kind),
}

impl Pattern {
    /// From all runs, at least two of which differ.
    pub fn learn(runs: &[&[u8]]) -> Result<Self, String> {
        let texts: Vec<&str> = runs
            .iter()
            .map(|run| std::str::from_utf8(run).map_err(|_| "and it is not text".to_owned()))
            .collect::<Result<_, _>>()?;
        let lines: Vec<Vec<&str>> = texts.iter().map(|text| text.split('\n').collect()).collect();
        let count = lines[0].len();
        if let Some(other) = lines.iter().find(|run| run.len() != count) {
            return Err(format!("{count} lines in one run, {} in another", other.len()));
        }
        let by_line = (0..count).map(|index| {
            let versions: Vec<&str> = lines.iter().map(|run| run[index]).collect();
            Line::learn(&versions).map_err(|what| format!("line {}: {what}", index + 1))
        });
        match by_line.collect::<Result<Vec<_>, _>>() {
            Ok(lines) => Ok(Self::Lines(lines)),
            Err(what) => {
                let sorted: Vec<Vec<&str>> = lines.into_iter().map(sorted).collect();
                if sorted.windows(2).all(|two| two[0] == two[1]) {
                    return Ok(Self::AnyOrder(sorted[0].iter().map(|&line| line.to_owned()).collect()));
                }
                Err(what)
            }
        }
    }

    /// Of one run, which all others must equal; absent when it is not text.
    pub fn of(run: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(run).ok()?;
        Some(Self::Lines(text.split('\n').map(|line| Line::Same(line.to_owned())).collect()))
    }

    /// The same, with anything of its kind for each volatile token.
    pub fn forgetting_volatile(&self) -> Self {
        match self {
            Self::Lines(lines) => Self::Lines(lines.iter().map(Line::forgetting_volatile).collect()),
            Self::AnyOrder(_) => self.clone(),
        }
    }

    pub fn check(&self, run: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(run).map_err(|_| "it is not text".to_owned())?;
        let got: Vec<&str> = text.split('\n').collect();
        let expected = match self {
            Self::Lines(lines) => lines.len(),
            Self::AnyOrder(lines) => lines.len(),
        };
        if got.len() != expected {
            return Err(format!("{} lines instead of {expected}", got.len()));
        }
        match self {
            Self::Lines(lines) => lines.iter().zip(got).enumerate().try_for_each(|(index, (line, got))| {
                line.check(got).map_err(|what| format!("line {}: {what}", index + 1))
            }),
            Self::AnyOrder(lines) => {
                let got = sorted(got);
                match lines.iter().zip(&got).find(|(expected, got)| expected != *got) {
                    None => Ok(()),
                    Some((expected, got)) => {
                        Err(format!("among its lines, {} instead of {}", excerpt(got), excerpt(expected)))
                    }
                }
            }
        }
    }

    /// What was learned, without the name of the stream.
    pub fn describe(&self) -> String {
        let Self::Lines(lines) = self else {
            return "the same lines in varying order: any order is accepted".to_owned();
        };
        let slots: Vec<&Slot> = lines
            .iter()
            .filter_map(|line| if let Line::Varies(slots) = line { Some(slots) } else { None })
            .flatten()
            .collect();
        let count = |which: fn(&Slot) -> bool| slots.iter().filter(|slot| which(slot)).count();
        let parts = [
            (count(|slot| matches!(slot, Slot::Between { .. })), "numbers kept within what was seen"),
            (count(|slot| matches!(slot, Slot::Duration)), "times or rates ignored"),
            (count(|slot| matches!(slot, Slot::Volatile(_))), "dates, addresses or temporary paths ignored"),
        ];
        let said: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        format!("varies; learned: {}; all else must stay bit-identical", said.join(", "))
    }
}

impl Line {
    fn forgetting_volatile(&self) -> Self {
        let slots = match self {
            Self::Same(text) => tokenise(text).into_iter().map(Slot::Same).collect(),
            Self::Varies(slots) => slots.clone(),
        };
        let forget = |slot| match slot {
            Slot::Same(Token::Volatile(kind, _)) => Slot::Volatile(kind),
            other => other,
        };
        Self::Varies(slots.into_iter().map(forget).collect())
    }

    fn learn(versions: &[&str]) -> Result<Self, String> {
        let first = versions[0];
        let Some(other) = versions.iter().find(|line| **line != first) else {
            return Ok(Self::Same(first.to_owned()));
        };
        let tokens: Vec<Vec<Token>> = versions.iter().map(|line| tokenise(line)).collect();
        if tokens.iter().any(|line| line.len() != tokens[0].len()) {
            return Err(format!("{} in one run, {} in another", excerpt(first), excerpt(other)));
        }
        let timed = is_timed(first);
        let slot = |at: usize| {
            let versions: Vec<&Token> = tokens.iter().map(|line| &line[at]).collect();
            let next = tokens[0].get(at + 1).map_or("", Token::text);
            Slot::learn(&versions, timed || has_unit(next))
                .ok_or_else(|| format!("{} in one run, {} in another", excerpt(first), excerpt(other)))
        };
        (0..tokens[0].len()).map(slot).collect::<Result<_, _>>().map(Self::Varies)
    }

    fn check(&self, got: &str) -> Result<(), String> {
        let slots = match self {
            Self::Same(expected) if expected == got => return Ok(()),
            Self::Same(expected) => return Err(format!("{} instead of {}", excerpt(got), excerpt(expected))),
            Self::Varies(slots) => slots,
        };
        let tokens = tokenise(got);
        if tokens.len() != slots.len() {
            return Err(format!("{} has another shape than the original's line", excerpt(got)));
        }
        slots.iter().zip(&tokens).try_for_each(|(slot, token)| slot.check(token))
    }
}

impl Slot {
    fn learn(versions: &[&Token], timed: bool) -> Option<Self> {
        let first = versions[0];
        if versions.iter().all(|token| *token == first) {
            return Some(Self::Same(first.clone()));
        }
        match first {
            Token::Text(_) => None,
            Token::Volatile(kind, _) => versions
                .iter()
                .all(|token| matches!(token, Token::Volatile(other, _) if other == kind))
                .then_some(Self::Volatile(*kind)),
            Token::Number(_) => {
                let numbers: Vec<f64> = versions.iter().map(|token| number(token)).collect::<Option<_>>()?;
                if timed {
                    return Some(Self::Duration);
                }
                Some(Self::between(&numbers, versions.iter().all(|token| is_whole(token.text()))))
            }
        }
    }

    /// The observed range, widened on each side by range · min(3, 12/(n−1)). With 5 runs an honest next one falls outside
    /// in 0.2 % of cases for normal noise and in 1.2 % for exponential noise, with 10 runs in 0.05 % and 1.1 %
    /// (simulated); the bare range would be left in 2/(n+1). Never across zero: a sign that never changed must not
    /// change now.
    fn between(numbers: &[f64], whole: bool) -> Self {
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let margin = (high - low) * (12.0 / (numbers.len().max(2) - 1) as f64).min(3.0);
        let floor = if low > 0.0 { low / 2.0 } else { f64::NEG_INFINITY };
        let ceiling = if high < 0.0 { high / 2.0 } else { f64::INFINITY };
        Self::Between { low: (low - margin).max(floor), high: (high + margin).min(ceiling), whole }
    }

    fn check(&self, token: &Token) -> Result<(), String> {
        let got = excerpt(token.text());
        match self {
            Self::Same(expected) if expected == token => Ok(()),
            Self::Same(expected) => Err(format!("{got} instead of {}", excerpt(expected.text()))),
            Self::Between { low, high, whole } => match number(token) {
                Some(_) if *whole && !is_whole(token.text()) => {
                    Err(format!("{got} is no longer a whole number"))
                }
                Some(value) if (*low..=*high).contains(&value) => Ok(()),
                Some(_) => {
                    Err(format!("{got} is outside what the original's own runs allow, {low} to {high}"))
                }
                None => Err(format!("{got} instead of a number")),
            },
            Self::Duration if number(token).is_some() => Ok(()),
            Self::Duration => Err(format!("{got} instead of a number")),
            Self::Volatile(kind) => match token {
                Token::Volatile(other, _) if other == kind => Ok(()),
                _ => Err(format!("{got} instead of another kind of word")),
            },
        }
    }
}

fn number(token: &Token) -> Option<f64> {
    match token {
        Token::Number(text) => text.parse().ok().filter(|value: &f64| value.is_finite()),
        _ => None,
    }
}

fn is_whole(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+'))
}

fn is_timed(line: &str) -> bool {
    let lower = line.to_lowercase();
    DURATION_WORDS.iter().any(|word| {
        lower.match_indices(word).any(|(at, _)| {
            let before = lower[..at].chars().next_back();
            let after = lower[at + word.len()..].chars().next();
            !word.starts_with(char::is_alphabetic)
                || (!before.is_some_and(char::is_alphabetic)
                    && (word.len() > 2 || !after.is_some_and(char::is_alphabetic)))
        })
    })
}

fn has_unit(next: &str) -> bool {
    let word: String = next.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    DURATION_UNITS.contains(&word.as_str())
}

fn sorted(mut lines: Vec<&str>) -> Vec<&str> {
    lines.sort_unstable();
    lines
}

/// Where two outputs part, for a message.
pub(super) fn first_difference(expected: &[u8], got: &[u8]) -> String {
    let (Ok(old), Ok(new)) = (std::str::from_utf8(expected), std::str::from_utf8(got)) else {
        let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
        return format!("byte {at} on; {} bytes instead of {}", got.len(), expected.len());
    };
    let (mut old_lines, mut new_lines) = (old.split('\n'), new.split('\n'));
    let mut number = 0;
    loop {
        number += 1;
        match (old_lines.next(), new_lines.next()) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => return format!("line {number}: {} instead of {}", excerpt(b), excerpt(a)),
            (Some(a), None) => return format!("it ends before line {number}: {}", excerpt(a)),
            (None, Some(b)) => return format!("it goes on after line {}: {}", number - 1, excerpt(b)),
            (None, None) => return "nothing visible".to_owned(),
        }
    }
}

fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
