//! Sentences in lines of a given width.

/// Lines of at most `columns`, broken at blanks; a longer word has a line of its own.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// One line of at most `columns`, with a mark where something was left out.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    let text = text.replace(['\n', '\r', '\t'], " ");
    if text.chars().count() <= columns {
        return text;
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("extraordinary is long", 8), ["extraordinary", "is long"]);
        assert_eq!(wrap(" ", 8), Vec::<String>::new());
    }

    #[test]
    fn what_is_too_long_is_cut() {
        assert_eq!([cut("abc", 3), cut("abcd", 3), cut("a\nb", 9)], ["abc", "ab…", "a b"]);
    }
}
