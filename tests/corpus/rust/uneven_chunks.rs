//! Four threads check numbers for being prime, each a contiguous quarter; only the last quarter has large numbers.

use std::thread;

fn is_prime(number: u64) -> bool {
    number > 1 && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| number % divisor != 0)
}

fn main() {
    let numbers: Vec<u64> =
        (0..6000u64).map(|i| if i < 4500 { 10_000 + i } else { 60_000_000_000_000 + i }).collect();
    let count: usize = thread::scope(|scope| {
        let parts: Vec<_> = numbers
            .chunks(numbers.len() / 4)
            .map(|part| scope.spawn(move || part.iter().filter(|&&number| is_prime(number)).count()))
            .collect();
        parts.into_iter().map(|part| part.join().unwrap()).sum()
    });
    println!("{count}");
}
