//! From a place in bytecode to a source line, by the tables that the interpreter keeps in each code object.
//!
//! Formats: `Objects/lnotab_notes.txt` of CPython 3.8–3.10, `Objects/locations.md` of 3.11 and later.
//! **Invariant**: any bytes are taken; what is not a table gives wrong lines at worst.

/// Which format a code object's table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `co_lnotab` of 3.8 and 3.9: pairs of steps in bytes and lines.
    Steps,
    /// `co_linetable` of 3.10: pairs of a range's length in bytes and its step in lines.
    Ranges,
    /// `co_linetable` of 3.11 and later: entries with columns, of code units of two bytes.
    Locations,
}

/// The lines of one code object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// Exclusive ends of ranges, in bytes of bytecode, rising, and the line of each; absent where code has none.
    ranges: Vec<(u32, Option<u32>)>,
    /// Whether the last range has no end.
    open: bool,
}

impl Lines {
    pub fn decode(format: Format, table: &[u8], first: u32) -> Self {
        let mut lines = Self { ranges: Vec::new(), open: format == Format::Steps };
        match format {
            Format::Steps => lines.steps(table, first),
            Format::Ranges => lines.lengths(table, first),
            Format::Locations => lines.locations(table, first),
        }
        lines
    }

    /// The line at an offset in bytes; `Err` when it is not in this code at all.
    pub fn at(&self, offset: u32) -> Result<Option<u32>, OutOfCode> {
        let index = self.ranges.partition_point(|&(end, _)| end <= offset);
        match self.ranges.get(index) {
            Some(&(_, line)) => Ok(line),
            None if self.open => Ok(self.ranges.last().and_then(|&(_, line)| line)),
            None => Err(OutOfCode),
        }
    }

    /// A range of no length is one that the next one replaces.
    fn push(&mut self, end: u32, line: Option<u32>) {
        match self.ranges.last_mut() {
            Some(last) if last.1 == line => last.0 = last.0.max(end),
            Some(last) if last.0 >= end => {}
            None if end == 0 => {}
            _ => self.ranges.push((end, line)),
        }
    }

    fn steps(&mut self, table: &[u8], first: u32) {
        let (mut end, mut line) = (0_u32, i64::from(first));
        for pair in table.chunks_exact(2) {
            end = end.saturating_add(pair[0].into());
            self.push(end, number(line));
            line += i64::from(pair[1].cast_signed());
        }
        self.push(end.saturating_add(1), number(line));
    }

    fn lengths(&mut self, table: &[u8], first: u32) {
        /// The step of a range without a line.
        const NO_LINE: i8 = -128;
        let (mut end, mut line) = (0_u32, i64::from(first));
        for pair in table.chunks_exact(2) {
            end = end.saturating_add(pair[0].into());
            let step = pair[1].cast_signed();
            if step == NO_LINE {
                self.push(end, None);
            } else {
                line += i64::from(step);
                self.push(end, number(line));
            }
        }
    }

    fn locations(&mut self, table: &[u8], first: u32) {
        let mut bytes = Bytes(table);
        let (mut end, mut line) = (0_u32, i64::from(first));
        while let Some(head) = bytes.next() {
            let code = (head >> 3) & 15;
            let has_line = match code {
                // One byte of columns, in the line before.
                0..=9 => bytes.skip(1),
                // A step of up to two lines and two bytes of columns.
                10..=12 => {
                    line += i64::from(code - 10);
                    bytes.skip(2)
                }
                // A step of lines, without columns.
                13 => bytes.signed().map(|step| line += step),
                // A step of lines, then the last line and two columns.
                14 => bytes.signed().and_then(|step| {
                    line += step;
                    (0..3).try_for_each(|_| bytes.unsigned().map(drop))
                }),
                _ => Some(()),
            };
            if has_line.is_none() {
                break;
            }
            end = end.saturating_add((u32::from(head & 7) + 1) * 2);
            self.push(end, if code == 15 { None } else { number(line) });
        }
    }
}

/// An offset that lies behind the end of the code: what was read was not of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfCode;

fn number(line: i64) -> Option<u32> {
    u32::try_from(line).ok().filter(|&line| line > 0)
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    /// Six bits a byte, lowest first; the seventh says that more follow.
    fn unsigned(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..).step_by(6) {
            let byte = self.next()?;
            // Bits that do not fit are of no table.
            value |= u32::from(byte & 63).checked_shl(shift)?;
            if byte & 64 == 0 {
                break;
            }
        }
        Some(value)
    }

    /// The sign is the lowest bit.
    fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        let size = i64::from(value >> 1);
        Some(if value & 1 == 1 { -size } else { size })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(format: Format, table: &[u8], offsets: &[u32]) -> Vec<Option<u32>> {
        let lines = Lines::decode(format, table, 10);
        offsets.iter().map(|&offset| lines.at(offset).expect("in the code")).collect()
    }

    #[test]
    fn steps_of_bytes_and_lines() {
        // `def f():` of three lines and a jump back, as 3.8 compiles them: the first step begins at the line below.
        let table = [0, 1, 6, 1, 10, 0xff, 4, 2];
        let expected = [Some(11), Some(11), Some(12), Some(12), Some(11), Some(13), Some(13)];
        assert_eq!(lines(Format::Steps, &table, &[0, 4, 6, 15, 16, 20, 400]), expected);
        assert_eq!(lines(Format::Steps, &[], &[0, 8]), [Some(10), Some(10)]);
    }

    #[test]
    fn ranges_with_and_without_a_line() {
        let table = [4, 1, 6, 0x80, 2, 0xfe];
        let expected = [Some(11), None, Some(9)];
        assert_eq!(lines(Format::Ranges, &table, &[2, 4, 10]), expected);
        assert_eq!(Lines::decode(Format::Ranges, &table, 10).at(12), Err(OutOfCode));
    }

    #[test]
    fn locations_of_all_kinds() {
        // A head is 0x80 | kind << 3 | length − 1.
        let head = |kind: u8, units: u8| 0x80 | (kind << 3) | (units - 1);
        let table = [
            [head(0, 1), 0x11].as_slice(),
            &[head(11, 2), 4, 9],
            // A step of −3: (3 << 1) | 1.
            &[head(13, 1), 7],
            // A step of 100 = 200 >> 1, as 8 + 3·64, then three numbers.
            &[head(14, 1), 64 | 8, 3, 0, 1, 2],
            &[head(15, 8)],
        ]
        .concat();
        let expected = [Some(10), Some(11), Some(11), Some(8), Some(108), None];
        assert_eq!(lines(Format::Locations, &table, &[0, 2, 5, 6, 8, 10]), expected);
        assert_eq!(Lines::decode(Format::Locations, &table, 10).at(26), Err(OutOfCode));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(table in prop::collection::vec(any::<u8>(), 0..400), first: u32, offset: u32) {
            for format in [Format::Steps, Format::Ranges, Format::Locations] {
                let lines = Lines::decode(format, &table, first);
                prop_assert!(lines.ranges.is_sorted_by(|a, b| a.0 < b.0));
                prop_assert!(lines.ranges.len() <= table.len() + 1);
                let _ = lines.at(offset);
            }
        }
    }
}
