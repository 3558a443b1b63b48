//! How fast the device below a folder is, around the page cache where the file system allows it.
//!
//! All of it happens in one file without a name, at most 64 MiB, that is gone with the probe.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use super::{Bench, Measured, Of, Probe, REPEATS_MIN, Unit, together};
use crate::sys::pages::{Mapping, PageSize};

pub const WRITE: Probe = Probe {
    id: "storage-write",
    what: "storage write, sequential",
    unit: Unit::BytesPerSecond,
    of: Of::Device,
    how: "blocks of 1 MiB, four at once or one alone, O_DIRECT where allowed",
    measure: |bench| {
        let file = file(bench)?;
        Ok(file.measured(file.write_rate))
    },
};

pub const READ: Probe = Probe {
    id: "storage-read",
    what: "storage read, sequential",
    unit: Unit::BytesPerSecond,
    of: Of::Device,
    how: "the blocks just written; a drive, a controller or a host may still hold them in a cache of its own",
    measure: sequential,
};

pub const RANDOM_READ: Probe = Probe {
    id: "storage-random-read",
    what: "storage read of 4 KiB, random",
    unit: Unit::Seconds,
    of: Of::Device,
    how: "one after the other, all over the file",
    measure: |bench| random(bench, 1),
};

pub const RANDOM_READS: Probe = Probe {
    id: "storage-random-reads",
    what: "storage reads of 4 KiB, many at once",
    unit: Unit::OperationsPerSecond,
    of: Of::Device,
    how: "the same from 16 threads",
    measure: |bench| random(bench, AT_ONCE),
};

pub const FLUSH: Probe = Probe {
    id: "storage-flush",
    what: "fsync of a written page",
    unit: Unit::Seconds,
    of: Of::Device,
    how: "4 KiB overwritten, then fdatasync",
    measure: flush,
};

/// The file that the probes of one folder share.
#[derive(Debug)]
pub(super) struct ScratchFile {
    file: File,
    /// Whether reads and writes go around the page cache.
    direct: bool,
    /// Windows that have been written.
    windows: u64,
    /// Bytes per second at best.
    write_rate: f64,
}

const BLOCK_BYTES: usize = 1 << 20;

/// What is written or read between two looks at the clock.
const WINDOW_BYTES: u64 = 8 << 20;

/// Blocks under way at once, by turns: several keep a drive busy, one alone waits for no other thread.
const STREAMS: [u64; 2] = [4, 1];
const STREAMS_MAX: u64 = 4;

const FILE_BYTES: u64 = 64 << 20;

const PAGE_BYTES: usize = 4096;

/// Random reads under way together; drives for servers reach their rate with some tens.
const AT_ONCE: u64 = 16;

const BUDGET: Duration = Duration::from_millis(140);

impl ScratchFile {
    fn new(bench: &Bench<'_>) -> Result<Self, String> {
        let folder = bench.folder.display();
        let failed = |error: io::Error| format!("cannot write a file in {folder}: {error}");
        let (file, direct) = create(bench, libc::O_DIRECT)
            .map(|file| (file, true))
            .or_else(|_| create(bench, 0).map(|file| (file, false)))
            .map_err(failed)?;
        let mut scratch = Self { file, direct, windows: 0, write_rate: 0.0 };
        // Zeros would be too easy for a file system that compresses.
        let mut block = Mapping::new(BLOCK_BYTES, PageSize::Small).map_err(failed)?;
        let mut state = 1u64;
        for word in block.words_mut() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *word = state;
        }
        let block = block.bytes();
        let mut next = 0;
        let seconds = bench.least(BUDGET, REPEATS_MIN, || {
            // Each window in each way.
            let turn = next / STREAMS.len();
            let window = turn as u64 % (FILE_BYTES / WINDOW_BYTES);
            let blocks = streams(window, STREAMS[next % STREAMS.len()]);
            next += 1;
            let file = &scratch.file;
            let seconds = together(blocks, |blocks| {
                blocks.into_iter().try_for_each(|at| file.write_all_at(block, at)).map_err(failed)
            })?;
            scratch.windows = scratch.windows.max(window + 1);
            Ok::<_, String>(seconds)
        })?;
        scratch.write_rate = WINDOW_BYTES as f64 / seconds;
        Ok(scratch)
    }

    fn measured(&self, value: f64) -> Measured {
        let flattered = (!self.direct)
            .then(|| "the file system refuses O_DIRECT: this is the page cache, flattered".to_owned());
        Measured { flattered, ..Measured::from(value) }
    }
}

/// A file that has no name any more.
fn create(bench: &Bench<'_>, flags: i32) -> io::Result<File> {
    let open = |path: &std::path::Path| {
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)
    };
    let (file, path) =
        tempfile::Builder::new().prefix(".perfup-probe-").make_in(bench.folder, open)?.into_parts();
    path.close()?;
    Ok(file)
}

/// The offsets of a window's blocks, by stream.
fn streams(window: u64, count: u64) -> Vec<Vec<u64>> {
    let block = BLOCK_BYTES as u64;
    let start = window * WINDOW_BYTES;
    let blocks = WINDOW_BYTES / block;
    (0..count)
        .map(|stream| (stream..blocks).step_by(count as usize).map(|index| start + index * block).collect())
        .collect()
}

fn file<'a>(bench: &'a Bench<'_>) -> Result<&'a ScratchFile, String> {
    bench.file.get_or_init(|| ScratchFile::new(bench)).as_ref().map_err(Clone::clone)
}

/// A buffer for a stream, aligned as O_DIRECT wants it.
fn buffer(bytes: usize) -> Result<Mapping, String> {
    Mapping::new(bytes, PageSize::Small).map_err(|error| format!("cannot map memory: {error}"))
}

fn sequential(bench: &Bench<'_>) -> Result<Measured, String> {
    let scratch = file(bench)?;
    let mut buffers = (0..STREAMS_MAX).map(|_| buffer(BLOCK_BYTES)).collect::<Result<Vec<_>, _>>()?;
    let mut next = 0;
    let seconds = bench.least(BUDGET, REPEATS_MIN, || {
        let window = (next / STREAMS.len()) as u64 % scratch.windows;
        let blocks = streams(window, STREAMS[next % STREAMS.len()]);
        next += 1;
        let parts = blocks.into_iter().zip(buffers.iter_mut().map(Mapping::bytes_mut)).collect();
        together(parts, |(blocks, buffer): (Vec<u64>, &mut [u8])| {
            blocks
                .into_iter()
                .try_for_each(|at| scratch.file.read_exact_at(buffer, at))
                .map_err(|error| format!("cannot read a file in {}: {error}", bench.folder.display()))
        })
    })?;
    Ok(scratch.measured(WINDOW_BYTES as f64 / seconds))
}

/// Random reads of one thread between two looks at the clock.
const READS: u64 = 16;

/// Seconds of one read for one thread, reads per second for several.
fn random(bench: &Bench<'_>, threads: u64) -> Result<Measured, String> {
    let scratch = file(bench)?;
    let pages = scratch.windows * WINDOW_BYTES / PAGE_BYTES as u64;
    let mut buffers = (0..threads).map(|_| buffer(PAGE_BYTES)).collect::<Result<Vec<_>, _>>()?;
    let mut state = 1u64;
    let seconds = bench.least(BUDGET / 2, REPEATS_MIN, || {
        let parts = buffers.iter_mut().map(|buffer| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state, buffer.bytes_mut())
        });
        together(parts.collect(), |(mut state, buffer): (u64, &mut [u8])| {
            for _ in 0..READS {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let page = (state >> 33) % pages;
                scratch
                    .file
                    .read_exact_at(&mut buffer[..PAGE_BYTES], page * PAGE_BYTES as u64)
                    .map_err(|error| format!("cannot read a file in {}: {error}", bench.folder.display()))?;
            }
            Ok(())
        })
    })?;
    let value = if threads == 1 { seconds / READS as f64 } else { (threads * READS) as f64 / seconds };
    Ok(scratch.measured(value))
}

fn flush(bench: &Bench<'_>) -> Result<Measured, String> {
    let scratch = file(bench)?;
    let mut page = buffer(PAGE_BYTES)?;
    let mut round = 0u8;
    let value = bench.least(BUDGET / 2, REPEATS_MIN, || {
        round = round.wrapping_add(1);
        page.bytes_mut()[0] = round;
        let start = Instant::now();
        let written =
            scratch.file.write_all_at(&page.bytes()[..PAGE_BYTES], 0).and_then(|()| scratch.file.sync_data());
        written.map_err(|error| format!("cannot write a file in {}: {error}", bench.folder.display()))?;
        Ok::<_, String>(start.elapsed().as_secs_f64())
    })?;
    Ok(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_of_a_window_cover_it_once() {
        let expected: Vec<u64> = (24..32).map(|block| block << 20).collect();
        for count in STREAMS {
            let parts = streams(3, count);
            assert!(parts.len() as u64 == count && count <= STREAMS_MAX);
            let mut blocks: Vec<u64> = parts.into_iter().flatten().collect();
            blocks.sort_unstable();
            assert_eq!(blocks, expected);
        }
    }
}
