//! Every request gets a large zeroed vector of its own and writes one number into each page.

fn main() {
    let mut sum = 0u64;
    for request in 0..60u64 {
        let mut answer = vec![0u64; 8 << 20];
        for place in (0..answer.len()).step_by(512) {
            answer[place] = request;
        }
        sum += answer[(request as usize * 512) % answer.len()];
    }
    println!("{sum}");
}
