//! Asks a tool about every item.

use std::process::Command;

fn main() {
    let mut total = 0;
    for number in 0..1400 {
        let output = Command::new("expr").args([&number.to_string(), "*", "2"]).output().unwrap();
        total += String::from_utf8_lossy(&output.stdout).trim().parse::<i32>().unwrap_or(0);
    }
    println!("{total}");
}
