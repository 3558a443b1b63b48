//! The longest Collatz sequence below a limit.

fn main() {
    let mut best = (0, 0);
    for start in 1..9_000_000u64 {
        let (mut value, mut steps) = (start, 0);
        while value != 1 {
            value = if value % 2 == 0 { value / 2 } else { 3 * value + 1 };
            steps += 1;
        }
        best = best.max((steps, start));
    }
    println!("{best:?}");
}
