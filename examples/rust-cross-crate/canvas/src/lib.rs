//! Grey pictures.

/// A picture, row by row.
pub struct Canvas {
    values: Vec<u8>,
}

impl Canvas {
    /// A picture of `count` values with a pattern that is the same for every run.
    pub fn pattern(count: usize) -> Self {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        Self { values: (0..count).map(|_| next()).collect() }
    }

    pub fn values_mut(&mut self) -> &mut [u8] {
        &mut self.values
    }

    /// A number that differs for different pictures, usually.
    pub fn checksum(&self) -> u64 {
        self.values.iter().fold(0, |sum, &value| sum + u64::from(value))
    }
}
