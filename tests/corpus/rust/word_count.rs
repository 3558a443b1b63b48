//! Counts the words of a generated text in a hash map.

use std::collections::HashMap;

fn main() {
    let mut state = 1u64;
    let mut counts: HashMap<String, u32> = HashMap::new();
    for _ in 0..20_000_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let word = format!("w{}", (state >> 40) % 5000);
        *counts.entry(word).or_default() += 1;
    }
    println!("{} {:?}", counts.len(), counts.values().max());
}
