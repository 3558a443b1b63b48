//! Collects results in vectors that grow by pushing.

fn main() {
    let mut total = 0usize;
    for round in 0..30u8 {
        let mut rows: Vec<[u8; 4096]> = Vec::new();
        for _ in 0..20_000 {
            rows.push([round; 4096]);
        }
        total += rows.len();
    }
    println!("{total}");
}
