//! Six workers wait on channels for jobs that seldom come; the main thread does the real work itself.

use std::sync::mpsc;
use std::thread;

fn main() {
    let mut senders = Vec::new();
    let mut workers = Vec::new();
    for _ in 0..6 {
        let (sender, receiver) = mpsc::channel::<u64>();
        senders.push(sender);
        workers.push(thread::spawn(move || receiver.iter().map(|job| job.count_ones()).sum::<u32>()));
    }
    let mut x = 1u64;
    for step in 0..900_000_000u64 {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(step);
        if step % 200_000_000 == 0 {
            senders[(x % 6) as usize].send(x).unwrap();
        }
    }
    drop(senders);
    let bits: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    println!("{x} {}", bits > 0);
}
