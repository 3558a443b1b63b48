//! A histogram in one line of text.

/// From one run to the tallest bin.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One column per bin; a bin with anything in it is never blank.
#[must_use]
pub fn strip(counts: &[u64]) -> String {
    let tallest = counts.iter().copied().max().unwrap_or(0);
    counts
        .iter()
        .map(|&count| match count {
            0 => ' ',
            // The tallest is 8 of 8, the others in proportion, rounded up.
            _ => BLOCKS[usize::try_from((count * 8).div_ceil(tallest)).unwrap_or(8).clamp(1, 8) - 1],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_become_blocks() {
        assert_eq!(strip(&[0, 1, 4, 8, 2, 0, 1]), " ▁▄█▂ ▁");
        assert_eq!(strip(&[0, 0]), "  ");
        assert_eq!(strip(&[1_000_000, 1]), "█▁");
        assert_eq!(strip(&[]), "");
    }
}
