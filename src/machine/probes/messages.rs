//! How long a message to somebody else on this machine and back takes at best.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{BUDGET, Bench, Measured, Of, Probe, REPEATS_MIN, Unit};

pub const PIPE: Probe = Probe {
    id: "pipe-round-trip",
    what: "pipe, there and back",
    unit: Unit::Seconds,
    of: Of::Host,
    how: "one byte to another thread and back through two pipes",
    measure: pipe,
};

pub const LOOPBACK: Probe = Probe {
    id: "loopback-round-trip",
    what: "loopback TCP, there and back",
    unit: Unit::Seconds,
    of: Of::Host,
    how: "one byte to another thread and back over a connection on 127.0.0.1",
    measure: loopback,
};

/// For an answer, which takes some microseconds.
const PATIENCE: Duration = Duration::from_secs(1);

fn pipe(bench: &Bench<'_>) -> Result<Measured, String> {
    let failed = |error: io::Error| format!("cannot talk through a pipe: {error}");
    let (there_out, there_in) = io::pipe().map_err(failed)?;
    let (back_out, back_in) = io::pipe().map_err(failed)?;
    round_trips(bench, (there_in, back_out), (back_in, there_out)).map_err(failed)
}

fn loopback(bench: &Bench<'_>) -> Result<Measured, String> {
    let failed = |error: io::Error| format!("cannot talk over 127.0.0.1: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    // A firewall may swallow what is sent, without a word.
    let near = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    let far = accept_from(&listener, &near).map_err(failed)?;
    for end in [&near, &far] {
        end.set_nodelay(true).and_then(|()| end.set_read_timeout(Some(PATIENCE))).map_err(failed)?;
    }
    round_trips(bench, (&near, &near), (&far, &far)).map_err(failed)
}

/// Anybody on this machine may connect to a port that listens; only our own connection counts.
fn accept_from(listener: &TcpListener, near: &TcpStream) -> io::Result<TcpStream> {
    const STRANGERS_MAX: u32 = 8;
    let ours = near.local_addr()?;
    for _ in 0..STRANGERS_MAX {
        let (stream, from) = listener.accept()?;
        if from == ours {
            return Ok(stream);
        }
    }
    Err(io::Error::other("strangers keep connecting"))
}

/// Sends a byte and waits for its return, over and over. The far end echoes until the near one closes.
fn round_trips<W: Write + Send, R: Read + Send>(
    bench: &Bench<'_>,
    near: (W, R),
    far: (impl Write + Send, impl Read + Send),
) -> io::Result<Measured> {
    let ((mut to, mut from), (mut echo_to, mut echo_from)) = (near, far);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut byte = [0];
            // Ends with the near end: an error is the end of the conversation, which the near end sees as well.
            while echo_from.read_exact(&mut byte).is_ok()
                && byte[0] != LAST
                && echo_to.write_all(&byte).is_ok()
            {}
        });
        let value = bench.least(BUDGET, REPEATS_MIN, || {
            let mut byte = [0];
            let start = Instant::now();
            to.write_all(&byte)?;
            from.read_exact(&mut byte)?;
            Ok::<_, io::Error>(start.elapsed().as_secs_f64())
        });
        to.write_all(&[LAST])?;
        Ok(value?.into())
    })
}

/// Tells the far end that it is over.
const LAST: u8 = 1;
