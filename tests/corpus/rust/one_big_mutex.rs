//! Four threads look things up in one map behind one mutex, and hold it while they compute what is missing.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

fn expensive(key: u64) -> u64 {
    (0..1_200_000u64).fold(key, |x, i| x.wrapping_mul(6364136223846793005).wrapping_add(i))
}

fn main() {
    let cache: Mutex<HashMap<u64, u64>> = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for id in 0..4u64 {
            let cache = &cache;
            scope.spawn(move || {
                for i in 0..2000 {
                    let mut cache = cache.lock().unwrap();
                    let key = id * 1500 + i;
                    cache.entry(key).or_insert_with(|| expensive(key));
                }
            });
        }
    });
    println!("{}", cache.lock().unwrap().len());
}
