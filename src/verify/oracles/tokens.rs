//! Text as numbers, words and everything between them, without losing a byte.

use serde::{Deserialize, Serialize};

/// One piece of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Token {
    /// A decimal number with optional sign and exponent.
    Number(String),
    /// An address such as `0x7f3a…`, a UUID, a date or time of day, a temporary path.
    Volatile(Kind, String),
    /// Anything else, white space included.
    Text(String),
}

/// What a volatile token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Address,
    Uuid,
    Time,
    TemporaryPath,
}

impl Token {
    pub fn text(&self) -> &str {
        match self {
            Self::Number(text) | Self::Volatile(_, text) | Self::Text(text) => text,
        }
    }
}

/// Splits one line; joining the texts gives the line back.
pub(super) fn tokenise(line: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = line;
    let mut after_word = false;
    while !rest.is_empty() {
        let (token, length) =
            if after_word { plain(rest) } else { special(rest).unwrap_or_else(|| plain(rest)) };
        after_word = rest[..length].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            && matches!(token, Token::Text(_));
        match (tokens.last_mut(), token) {
            (Some(Token::Text(last)), Token::Text(text)) => last.push_str(&text),
            (_, token) => tokens.push(token),
        }
        rest = &rest[length..];
    }
    tokens
}

/// One character, or one whole word.
fn plain(rest: &str) -> (Token, usize) {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let length = match rest.find(|c| !word(c)) {
        Some(0) => rest.chars().next().map_or(1, char::len_utf8),
        Some(end) => end,
        None => rest.len(),
    };
    (Token::Text(rest[..length].to_owned()), length)
}

fn special(rest: &str) -> Option<(Token, usize)> {
    let volatile = |kind, length: usize| (Token::Volatile(kind, rest[..length].to_owned()), length);
    address(rest)
        .map(|length| volatile(Kind::Address, length))
        .or_else(|| uuid(rest).map(|length| volatile(Kind::Uuid, length)))
        .or_else(|| time(rest).map(|length| volatile(Kind::Time, length)))
        .or_else(|| temporary_path(rest).map(|length| volatile(Kind::TemporaryPath, length)))
        .or_else(|| number(rest).map(|length| (Token::Number(rest[..length].to_owned()), length)))
}

fn address(rest: &str) -> Option<usize> {
    let digits = rest.strip_prefix("0x")?.bytes().take_while(u8::is_ascii_hexdigit).count();
    (digits >= 6).then_some(2 + digits)
}

fn uuid(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes().get(..36)?;
    let fits = bytes.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    fits.then_some(36)
}

/// `2026-11-20`, `22:31:05.123`, and both joined by `T` or a blank, with a zone.
fn time(rest: &str) -> Option<usize> {
    let shape = |text: &str, shape: &str| {
        text.len() >= shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, want)| match want {
                b'9' => byte.is_ascii_digit(),
                _ => byte == want,
            })
    };
    let clock = |text: &str| {
        if !shape(text, "99:99:99") {
            return None;
        }
        let tail = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'Z' | '+' | ':');
        Some(8 + text[8..].find(|c| !tail(c)).unwrap_or(text.len() - 8))
    };
    if !shape(rest, "9999-99-99") {
        return clock(rest);
    }
    let after = &rest[10..];
    let joined = after.starts_with(['T', ' ']).then(|| clock(&after[1..])).flatten();
    Some(10 + joined.map_or(0, |length| 1 + length))
}

fn temporary_path(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix("/tmp/").or_else(|| rest.strip_prefix("/var/tmp/"))?;
    let end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | ',' | ';');
    Some(rest.len() - inside.len() + inside.find(end).unwrap_or(inside.len()))
}

/// Sign, digits, fraction, exponent. `nan` and `inf` are words: they only match themselves.
fn number(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = digits(sign);
    if whole == 0 {
        return None;
    }
    let mut length = sign + whole;
    if bytes.get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        if fraction > 0 {
            length += 1 + fraction;
        }
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'-' | b'+')));
        let exponent = bytes.get(length + 1 + sign..).map_or(0, |_| digits(length + 1 + sign));
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(line: &str) -> String {
        let mark = |token: &Token| match token {
            Token::Number(text) => format!("<{text}>"),
            Token::Volatile(kind, text) => format!("<{kind:?} {text}>"),
            Token::Text(text) => text.clone(),
        };
        tokenise(line).iter().map(mark).collect()
    }

    #[test]
    fn numbers_and_volatile_words_stand_out() {
        let check = |line: &str, expected: &str| assert_eq!(kinds(line), expected);
        check("mean=-1.5e-3, n=10", "mean=<-1.5e-3>, n=<10>");
        check("utf8 v2 x86_64 a1b2", "utf8 v2 x86_64 a1b2");
        check("at 0x7ffd3a21 ok", "at <Address 0x7ffd3a21> ok");
        check("2026-11-20T22:31:05.1Z done", "<Time 2026-11-20T22:31:05.1Z> done");
        check("22:31:05 done", "<Time 22:31:05> done");
        check("in /tmp/x1 (3)", "in <TemporaryPath /tmp/x1> (<3>)");
        check("9b2d1c3e-0000-4111-8222-333344445555", "<Uuid 9b2d1c3e-0000-4111-8222-333344445555>");
        check("1.", "<1>.");
        check("3e 4e+ 5e7", "<3>e <4>e+ <5e7>");
        check("nan inf", "nan inf");
    }

    proptest! {
        #[test]
        fn nothing_is_lost(line in "\\PC*") {
            let joined: String = tokenise(&line).iter().map(Token::text).collect();
            prop_assert_eq!(joined, line);
        }

        #[test]
        fn numbers_parse(line in "[-+0-9.eE ]{0,20}") {
            for token in tokenise(&line) {
                if let Token::Number(text) = token {
                    prop_assert!(text.parse::<f64>().is_ok(), "{}", text);
                }
            }
        }
    }
}
