//! Writes many small files and makes each durable, as a careful key-value store does.

use std::fs::{self, File};
use std::io::Write;

fn main() {
    fs::create_dir_all("store").unwrap();
    for key in 0..3000 {
        let mut file = File::create(format!("store/{}", key % 100)).unwrap();
        writeln!(file, "value of {key}").unwrap();
        file.sync_all().unwrap();
    }
    fs::remove_dir_all("store").unwrap();
    println!("done");
}
