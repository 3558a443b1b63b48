//! Aligned columns for a terminal.

/// How a cell stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Lines of equal columns, two blanks apart. Only the last column is cut, so that no line is wider than `width`.
#[must_use]
pub fn table(columns: &[(&str, Align)], rows: &[Vec<String>], width: usize) -> String {
    let header: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            let cells = std::iter::once(&header).chain(rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let last = column + 1 == columns.len();
            let padding = widths[column].saturating_sub(cell.chars().count());
            match columns[column].1 {
                Align::Right => line.push_str(&format!("{}{cell}", " ".repeat(padding))),
                Align::Left if last => line.push_str(cell),
                Align::Left => line.push_str(&format!("{cell}{}", " ".repeat(padding))),
            }
            if !last {
                line.push_str("  ");
            }
        }
        text.push_str(cut(line.trim_end(), width).as_str());
        text.push('\n');
    }
    text
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_long_lines_are_cut() {
        let rows =
            vec![vec!["1".to_owned(), "short".to_owned()], vec!["20".to_owned(), "much longer".to_owned()]];
        let text = table(&[("#", Align::Right), ("what", Align::Left)], &rows, 9);
        assert_eq!(text, " #  what\n 1  short\n20  much…\n");
    }
}
