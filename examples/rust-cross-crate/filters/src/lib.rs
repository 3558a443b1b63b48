//! Filters for single grey values.

/// What to do with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Invert,
    Brighten(u8),
    Darken(u8),
    Threshold(u8),
    Posterise,
    Solarise,
    Contrast,
    Fade,
    Mirror,
    Swap,
}

/// The filtered value.
pub fn apply(filter: Filter, value: u8) -> u8 {
    match filter {
        Filter::Invert => 255 - value,
        Filter::Brighten(by) => value.saturating_add(by),
        Filter::Darken(by) => value.saturating_sub(by),
        Filter::Threshold(at) => {
            if value >= at {
                255
            } else {
                0
            }
        }
        Filter::Posterise => value & 0b1100_0000,
        Filter::Solarise => {
            if value > 127 {
                255 - value
            } else {
                value
            }
        }
        Filter::Contrast => {
            let spread = (i32::from(value) - 128) * 3 / 2 + 128;
            spread.clamp(0, 255) as u8
        }
        Filter::Fade => value / 2 + 64,
        Filter::Mirror => value.reverse_bits(),
        Filter::Swap => value.rotate_left(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_do_what_they_are_named_after() {
        let check = |filter, value, expected| assert_eq!(apply(filter, value), expected, "{filter:?}");
        check(Filter::Invert, 0, 255);
        check(Filter::Brighten(10), 250, 255);
        check(Filter::Darken(10), 5, 0);
        check(Filter::Threshold(100), 100, 255);
        check(Filter::Posterise, 0b1010_1010, 0b1000_0000);
        check(Filter::Solarise, 200, 55);
        check(Filter::Contrast, 128, 128);
        check(Filter::Fade, 100, 114);
        check(Filter::Mirror, 1, 128);
        check(Filter::Swap, 0x1f, 0xf1);
    }
}
