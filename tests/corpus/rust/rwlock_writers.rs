//! A configuration behind a reader-writer lock, rebuilt by every thread so often that readers mostly wait.

use std::sync::RwLock;
use std::thread;

fn main() {
    let table = RwLock::new(vec![0u64; 4096]);
    thread::scope(|scope| {
        for id in 0..4u64 {
            let table = &table;
            scope.spawn(move || {
                let mut seen = 0u64;
                for round in 0..3000u64 {
                    {
                        let mut table = table.write().unwrap();
                        for _ in 0..150 {
                            for value in table.iter_mut() {
                                *value = value.wrapping_mul(31).wrapping_add(round ^ id);
                            }
                        }
                    }
                    seen ^= table.read().unwrap()[(round % 4096) as usize];
                }
                std::hint::black_box(seen);
            });
        }
    });
    println!("{}", table.read().unwrap().len());
}
