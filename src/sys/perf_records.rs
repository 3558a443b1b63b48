//! The records that the kernel writes about sampled threads: bytes → [`Event`]s.
//!
//! **Invariant**: pure and total. Whatever the bytes are, it ends and never panics; what it does not know is left out.

/// `PERF_RECORD_*` of `linux/perf_event.h`.
const LOST: u32 = 2;
const COMM: u32 = 3;
const EXIT: u32 = 4;
const FORK: u32 = 7;
const SAMPLE: u32 = 9;
const MMAP2: u32 = 10;
const LOST_SAMPLES: u32 = 13;

/// `PERF_RECORD_MISC_COMM_EXEC`.
const BY_EXEC: u16 = 1 << 13;

/// Thread and time at the end of a record that is no sample: two words of 32 bits and one of 64.
const TRAILER_BYTES: usize = 16;

const HEADER_BYTES: usize = 8;

/// Entries of a call chain from here on are no addresses but say whose addresses follow (`PERF_CONTEXT_MAX`).
const CONTEXT_MIN: u64 = -4095_i64 as u64;
const CONTEXT_KERNEL: u64 = -128_i64 as u64;
const CONTEXT_USER: u64 = -512_i64 as u64;

/// Something that happened to a sampled thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub pid: u32,
    pub tid: u32,
    /// Nanoseconds of the monotonic clock; zero where the kernel does not say.
    pub time_ns: u64,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A look at its stack, innermost first.
    Sample(Vec<Address>),
    /// A piece of a file, or of memory without one, became executable.
    Mapping(Mapping),
    /// It got a name, by `execve` or by itself.
    Name {
        name: String,
        by_exec: bool,
    },
    /// It was started by this thread.
    Started {
        parent_pid: u32,
        parent_tid: u32,
    },
    Ended,
    /// So many records had no place.
    Lost(u64),
}

/// One entry of a call chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub is_kernel: bool,
    /// Lies within the instruction that ran or that called.
    pub address: u64,
}

/// Executable memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub start: u64,
    pub length: u64,
    /// Position in the file that `start` shows.
    pub offset: u64,
    /// A path, or what the kernel calls memory without one: `//anon`, `[vdso]`.
    pub path: String,
}

/// All events in some bytes; what follows a record with an impossible length is left out.
pub fn events(bytes: &[u8]) -> impl Iterator<Item = Event> {
    let mut rest = Bytes(bytes);
    std::iter::from_fn(move || {
        while let Some((kind, misc, body)) = record(&mut rest) {
            let event = parse(kind, misc, body);
            if event.is_some() {
                return event;
            }
        }
        None
    })
}

fn record<'a>(rest: &mut Bytes<'a>) -> Option<(u32, u16, Bytes<'a>)> {
    let mut header = rest.clone();
    let (kind, misc, size) = (header.u32()?, header.u16()?, header.u16()?);
    let body = usize::from(size).checked_sub(HEADER_BYTES)?;
    let body = header.take(body)?;
    *rest = header;
    Some((kind, misc, Bytes(body)))
}

fn parse(kind: u32, misc: u16, mut body: Bytes<'_>) -> Option<Event> {
    match kind {
        SAMPLE => sample(body),
        MMAP2 => {
            let trailer = body.trailer()?;
            body.take(8)?;
            let (start, length, offset) = (body.u64()?, body.u64()?, body.u64()?);
            // Device, inode and its generation, protection and flags.
            body.take(4 + 4 + 8 + 8 + 4 + 4)?;
            Some(trailer.event(What::Mapping(Mapping { start, length, offset, path: body.text() })))
        }
        COMM => {
            let trailer = body.trailer()?;
            body.take(8)?;
            Some(trailer.event(What::Name { name: body.text(), by_exec: misc & BY_EXEC != 0 }))
        }
        FORK | EXIT => {
            let (pid, parent_pid, tid, parent_tid) = (body.u32()?, body.u32()?, body.u32()?, body.u32()?);
            let what = if kind == EXIT { What::Ended } else { What::Started { parent_pid, parent_tid } };
            Some(Event { pid, tid, time_ns: body.u64()?, what })
        }
        LOST => {
            let trailer = body.trailer()?;
            body.take(8)?;
            Some(trailer.event(What::Lost(body.u64()?)))
        }
        LOST_SAMPLES => {
            let trailer = body.trailer()?;
            Some(trailer.event(What::Lost(body.u64()?)))
        }
        _ => None,
    }
}

/// Instruction, thread, time and call chain, in this order.
fn sample(mut body: Bytes<'_>) -> Option<Event> {
    let instruction = body.u64()?;
    let (pid, tid, time_ns) = (body.u32()?, body.u32()?, body.u64()?);
    let entries = body.u64()?;
    let mut chain = Vec::new();
    let mut is_kernel = false;
    let mut is_innermost = true;
    for _ in 0..entries {
        match body.u64()? {
            CONTEXT_KERNEL => (is_kernel, is_innermost) = (true, true),
            CONTEXT_USER => (is_kernel, is_innermost) = (false, true),
            CONTEXT_MIN.. => return None,
            entry => {
                // All but the innermost are where a call returns to, which may be the next line or function.
                let address = if is_innermost { entry } else { entry.saturating_sub(1) };
                chain.push(Address { is_kernel, address });
                is_innermost = false;
            }
        }
    }
    if chain.is_empty() {
        chain.push(Address { is_kernel: instruction >> 63 != 0, address: instruction });
    }
    Some(Event { pid, tid, time_ns, what: What::Sample(chain) })
}

struct Trailer {
    pid: u32,
    tid: u32,
    time_ns: u64,
}

impl Trailer {
    fn event(self, what: What) -> Event {
        Event { pid: self.pid, tid: self.tid, time_ns: self.time_ns, what }
    }
}

/// Bytes yet to be read.
#[derive(Clone)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// Cuts off what stands at the end of every record that is no sample.
    fn trailer(&mut self) -> Option<Trailer> {
        let (rest, end) = self.0.split_at_checked(self.0.len().checked_sub(TRAILER_BYTES)?)?;
        self.0 = rest;
        let mut end = Bytes(end);
        Some(Trailer { pid: end.u32()?, tid: end.u32()?, time_ns: end.u64()? })
    }

    /// What comes before the first zero byte.
    fn text(&self) -> String {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        String::from_utf8_lossy(&self.0[..end]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u32, misc: u16, words: &[u64], tail: &[u8]) -> Vec<u8> {
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).chain(tail.to_vec()).collect();
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend(misc.to_ne_bytes());
        bytes.extend(u16::try_from(body.len() + HEADER_BYTES).unwrap().to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    /// Two words of 32 bits as they stand in memory.
    fn pair(first: u32, second: u32) -> u64 {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&first.to_ne_bytes());
        bytes[4..].copy_from_slice(&second.to_ne_bytes());
        u64::from_ne_bytes(bytes)
    }

    #[test]
    fn a_sample_has_kernel_frames_below_user_frames() {
        let chain = [CONTEXT_KERNEL, u64::MAX << 32, (u64::MAX << 32) + 9, CONTEXT_USER, 0x4000, 0x5000];
        let words = [&[u64::MAX << 32, pair(7, 8), 99, chain.len() as u64], chain.as_slice()].concat();
        let found: Vec<Event> = events(&record(SAMPLE, 0, &words, &[])).collect();
        let address = |is_kernel, address| Address { is_kernel, address };
        let expected = vec![
            address(true, u64::MAX << 32),
            address(true, (u64::MAX << 32) + 8),
            address(false, 0x4000),
            address(false, 0x4fff),
        ];
        assert_eq!(found, [Event { pid: 7, tid: 8, time_ns: 99, what: What::Sample(expected) }]);
    }

    #[test]
    fn records_about_threads_and_memory_are_read() {
        let trailer = [pair(7, 8).to_ne_bytes(), 50_u64.to_ne_bytes()].concat();
        let with = |text: &[u8]| [text, &trailer].concat();
        let mut bytes = record(COMM, BY_EXEC, &[pair(7, 8)], &with(b"a b\0\0\0\0\0"));
        bytes.extend(record(99, 0, &[1, 2, 3], &[]));
        bytes.extend(record(
            MMAP2,
            0,
            &[pair(7, 8), 0x1000, 0x200, 0x40, 0, 0, 0, 0],
            &with(b"/x\0\0\0\0\0\0"),
        ));
        bytes.extend(record(FORK, 0, &[pair(9, 7), pair(10, 8), 60], &trailer));
        bytes.extend(record(EXIT, 0, &[pair(9, 7), pair(10, 8), 70], &trailer));
        bytes.extend(record(LOST, 0, &[3, 12], &trailer));
        bytes.extend(record(LOST_SAMPLES, 0, &[2], &trailer));
        let found: Vec<Event> = events(&bytes).collect();
        let of = |pid, tid, time_ns, what| Event { pid, tid, time_ns, what };
        let mapping = Mapping { start: 0x1000, length: 0x200, offset: 0x40, path: "/x".to_owned() };
        let expected = [
            of(7, 8, 50, What::Name { name: "a b".to_owned(), by_exec: true }),
            of(7, 8, 50, What::Mapping(mapping)),
            of(9, 10, 60, What::Started { parent_pid: 7, parent_tid: 8 }),
            of(9, 10, 70, What::Ended),
            of(7, 8, 50, What::Lost(12)),
            of(7, 8, 50, What::Lost(2)),
        ];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(events(&bytes).count() <= bytes.len() / HEADER_BYTES);
        }

        #[test]
        fn no_record_is_too_strange(
            records in prop::collection::vec(
                (0_u32..16, any::<u16>(), prop::collection::vec(any::<u64>(), 0..12), prop::collection::vec(any::<u8>(), 0..40)),
                0..8,
            ),
        ) {
            let bytes: Vec<u8> = records.iter().flat_map(|(kind, misc, words, tail)| record(*kind, *misc, words, tail)).collect();
            prop_assert!(events(&bytes).count() <= records.len());
        }
    }
}
