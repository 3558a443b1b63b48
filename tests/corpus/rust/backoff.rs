//! Tries something that is not ready yet, with growing pauses between the tries.

use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    let mut tries = 0;
    while start.elapsed() < Duration::from_millis(1200) {
        tries += 1;
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(200));
    }
    println!("{}", tries > 3);
}
