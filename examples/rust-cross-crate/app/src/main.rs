//! Applies a chain of filters to a picture, value by value. The filters live in another crate: without link-time
//! optimisation each of them is a call and a jump for every value.

use canvas::Canvas;
use filters::{apply, Filter};

fn develop(picture: &mut Canvas) {
    // What is left over of each value goes into the next one, as in error diffusion.
    let mut rest = 0u8;
    for value in picture.values_mut() {
        let bright = apply(Filter::Brighten(20), *value ^ rest);
        let turned = apply(Filter::Solarise, bright);
        let faded = apply(Filter::Fade, turned);
        *value = apply(Filter::Swap, faded);
        rest = *value & 0x0f;
    }
}

fn main() {
    let rounds: u32 = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(10);
    let mut picture = Canvas::pattern(1 << 20);
    for _ in 0..rounds {
        develop(&mut picture);
    }
    println!("{rounds} rounds, checksum {}", picture.checksum());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn developing_is_reproducible() {
        let checksum = |rounds| {
            let mut picture = Canvas::pattern(1000);
            (0..rounds).for_each(|_| develop(&mut picture));
            picture.checksum()
        };
        assert_eq!(checksum(3), checksum(3));
        assert_ne!(checksum(0), checksum(1));
    }
}
