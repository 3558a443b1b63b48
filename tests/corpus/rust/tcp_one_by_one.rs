//! Fetches items from a service one by one over a fresh connection each; the service is another thread that waits for
//! its own backend.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            thread::spawn(move || {
                let mut request = [0; 16];
                let _ = connection.read(&mut request);
                thread::sleep(Duration::from_millis(12));
                let _ = connection.write_all(b"answer");
            });
        }
    });
    let mut bytes = 0;
    for _ in 0..90 {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(b"get").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        bytes += answer.len();
    }
    println!("{bytes}");
}
