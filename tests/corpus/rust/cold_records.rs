//! Reads records at random places of a file that was dropped from memory.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

unsafe extern "C" {
    fn posix_fadvise(fd: i32, offset: i64, length: i64, advice: i32) -> i32;
}
const RANDOM: i32 = 1;
const DONT_NEED: i32 = 4;

fn main() {
    let file = File::open("table.bin").unwrap();
    let blocks = file.metadata().unwrap().len() / 8192;
    let mut record = [0u8; 8192];
    let (mut state, mut sum) = (1u64, 0u64);
    for _ in 0..4 {
        // SAFETY: a hint about an open file.
        unsafe {
            posix_fadvise(file.as_raw_fd(), 0, 0, DONT_NEED);
            posix_fadvise(file.as_raw_fd(), 0, 0, RANDOM);
        }
        for _ in 0..4000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            file.read_exact_at(&mut record, (state >> 33) % blocks * 8192).unwrap();
            sum += u64::from(record[0]);
        }
    }
    println!("{sum}");
}
