//! Two workers take jobs from a queue until it is empty; both are busy all the time.

use std::sync::Mutex;
use std::thread;

fn score(seed: u64) -> u64 {
    (0..20_000_000u64).fold(seed, |x, i| x.wrapping_mul(6364136223846793005).wrapping_add(i))
}

fn main() {
    let jobs: Mutex<Vec<u64>> = Mutex::new((0..400).collect());
    let total = Mutex::new(0u64);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(job) = jobs.lock().unwrap().pop() else { break };
                    let points = score(job);
                    let mut total = total.lock().unwrap();
                    *total = total.wrapping_add(points);
                }
            });
        }
    });
    println!("{}", total.lock().unwrap());
}
