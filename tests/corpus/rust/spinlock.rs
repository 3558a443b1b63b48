//! Two threads that share a counter behind a hand-made spinlock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

static LOCKED: AtomicBool = AtomicBool::new(false);
static TOTAL: AtomicU64 = AtomicU64::new(0);

fn main() {
    thread::scope(|scope| {
        for id in 0..2u64 {
            scope.spawn(move || {
                for i in 0..6_000_000u64 {
                    while LOCKED.swap(true, Ordering::Acquire) {
                        while LOCKED.load(Ordering::Relaxed) {
                            std::hint::spin_loop();
                        }
                    }
                    let mut value = TOTAL.load(Ordering::Relaxed);
                    for _ in 0..100 {
                        value = value.wrapping_mul(31).wrapping_add(i ^ id);
                    }
                    TOTAL.store(value, Ordering::Relaxed);
                    LOCKED.store(false, Ordering::Release);
                }
            });
        }
    });
    println!("{}", TOTAL.load(Ordering::Relaxed) != 1);
}
