//! How fast memory beyond the caches is read and copied, and how long one access takes.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use super::{BUDGET, Bench, Measured, Of, Probe, REPEATS_MIN, Unit, build_note, seconds_each, together};
use crate::machine::files::Files;
use crate::sys::kernels;
use crate::sys::pages::{Mapping, PageSize};

pub const READ_ONE: Probe = Probe {
    id: "memory-read",
    what: "memory read, one core",
    unit: Unit::BytesPerSecond,
    of: Of::Host,
    how: "sums of an array beyond the last-level cache, several loops",
    measure: |bench| read(bench, 1),
};

pub const READ_ALL: Probe = Probe {
    id: "memory-read-all",
    what: "memory read, all cores",
    unit: Unit::BytesPerSecond,
    of: Of::Host,
    how: "the same, a part of the array for each core at once",
    measure: |bench| read(bench, bench.cores),
};

pub const COPY_ONE: Probe = Probe {
    id: "memory-copy",
    what: "memory copy, one core",
    unit: Unit::BytesPerSecond,
    of: Of::Host,
    how: "memcpy of half the array onto the other; bytes read and bytes written both count",
    measure: |bench| copy(bench, 1),
};

pub const COPY_ALL: Probe = Probe {
    id: "memory-copy-all",
    what: "memory copy, all cores",
    unit: Unit::BytesPerSecond,
    of: Of::Host,
    how: "the same, a part of the array for each core at once",
    measure: |bench| copy(bench, bench.cores),
};

pub const LATENCY: Probe = Probe {
    id: "memory-latency",
    what: "memory access, random",
    unit: Unit::Seconds,
    of: Of::Host,
    how: "each load's address comes from the load before, all over an array beyond the last-level cache",
    measure: latency,
};

/// An array far larger than the caches.
#[derive(Debug)]
pub(super) struct Field {
    mapping: Mapping,
    /// So much of it has pages of its own, and counts.
    words: usize,
    /// Said where much of the array may lie in a cache.
    flattered: Option<String>,
    /// Whether it holds the pointers to chase.
    chained: bool,
}

/// The array is so many times as large as the last-level cache: a quarter at most can lie in it.
const CACHES: u64 = 4;

/// So many times at least, however long its first touch takes.
const CACHES_MIN: u64 = 2;

/// Time for the first touch, which a busy machine makes long.
const TOUCHING_MAX: Duration = Duration::from_millis(100);

/// Words touched between two looks at the clock: 8 MiB.
const TOUCHED_WORDS: usize = 1 << 20;

/// Bounds of its size. The upper one keeps the first touch short, at the price of a note where caches are huge;
/// loops without optimisation tell nothing, and need not be slow besides.
const BYTES_MIN: u64 = 32 << 20;
const BYTES_MAX: u64 = if cfg!(debug_assertions) { BYTES_MIN } else { 256 << 20 };

/// Taken for the last-level cache where the kernel does not show one.
const CACHE_BYTES: u64 = 32 << 20;

/// Bytes that the machine fetches at once.
const LINE_WORDS: usize = 8;

impl Field {
    fn new(bench: &Bench<'_>) -> Result<Self, String> {
        let cache = last_level_cache(&Files::of_this_machine()).unwrap_or(CACHE_BYTES);
        let bytes = |caches: u64| (caches * cache).clamp(BYTES_MIN, BYTES_MAX).min(bench.memory_bytes_max);
        let (least, bytes) = (bytes(CACHES_MIN), bytes(CACHES));
        let size = usize::try_from(bytes).map_err(|_| "the address space is too small")?;
        let mut mapping = Mapping::new(size, PageSize::Huge)
            .map_err(|error| format!("cannot map {bytes} bytes of memory: {error}"))?;
        let start = Instant::now();
        let mut words = 0;
        for piece in mapping.words_mut().chunks_mut(TOUCHED_WORDS) {
            if words * size_of::<u64>() >= least as usize && start.elapsed() > TOUCHING_MAX {
                break;
            }
            // With something: pages of zeros that were only read may all be the same one.
            piece.fill(1);
            words += piece.len();
        }
        let touched = (words * size_of::<u64>()) as u64;
        let flattered = (touched < CACHES_MIN * cache).then(|| {
            format!("{} MiB were used beside a cache of {} MiB: flattered", touched >> 20, cache >> 20)
        });
        Ok(Self { mapping, words, flattered, chained: false })
    }

    fn words(&self) -> &[u64] {
        &self.mapping.words()[..self.words]
    }

    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.mapping.words_mut()[..self.words]
    }

    /// Writes into every cache line where to go on: the next state of x → a·x + c modulo a power of two, which passes
    /// every line once (Hull & Dobell 1962) in an order that no prefetcher follows. Returns the number of lines.
    fn chain(&mut self) -> u64 {
        let all = (self.words / LINE_WORDS) as u64;
        let lines = 1u64 << all.checked_ilog2().unwrap_or(0);
        if !self.chained {
            // a − 1 is a multiple of 4 and c is odd, as a full period wants; a as in Knuth's MMIX.
            let next = |line: u64| {
                line.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
                    & (lines - 1)
            };
            for (line, words) in (0..lines).zip(self.words_mut().chunks_exact_mut(LINE_WORDS)) {
                words[0] = next(line) * LINE_WORDS as u64;
            }
            self.chained = true;
        }
        lines
    }

    fn measured(&self, value: f64) -> Measured {
        Measured { value, note: build_note(), flattered: self.flattered.clone() }
    }
}

/// Of the largest level that the first CPU shows; absent where the kernel shows none.
fn last_level_cache(files: &Files) -> Option<u64> {
    let level = |index: u32| {
        let text = files.text(format!("sys/devices/system/cpu/cpu0/cache/index{index}/size"))?;
        let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
        let scale = match unit {
            "K" => 1 << 10,
            "M" => 1 << 20,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(scale)
    };
    (0..8).filter_map(level).max()
}

fn field<'a>(bench: &'a Bench<'_>) -> Result<&'a RefCell<Field>, String> {
    bench.field.get_or_init(|| Field::new(bench).map(RefCell::new)).as_ref().map_err(Clone::clone)
}

/// Time for all loops of one probe together.
const BANDWIDTH_BUDGET: Duration = Duration::from_millis(90);

fn read(bench: &Bench<'_>, threads: usize) -> Result<Measured, String> {
    let field = field(bench)?.borrow();
    let words = field.words();
    let part = words.len().div_ceil(threads.max(1)).max(1);
    let readers = kernels::readers();
    let mut turns = readers.iter().cycle();
    let best = bench.least(BANDWIDTH_BUDGET, readers.len() as u32, || {
        let reader = turns.next().ok_or("no loop for this CPU")?;
        at_once(words.chunks(part).collect(), |part| {
            black_box((reader.run)(black_box(part)));
        })
    })?;
    Ok(field.measured(size_of_val(words) as f64 / best))
}

/// Seconds that it takes to do this to all parts, each on a core of its own. For one part others on that core do not
/// count; several are only at it together as far as the wall clock says so.
fn at_once<T: Send>(parts: Vec<T>, work: impl Fn(T) + Sync) -> Result<f64, String> {
    let mut parts = parts;
    if let (1, Some(part)) = (parts.len(), parts.pop()) {
        let mut part = Some(part);
        return seconds_each(1, || part.take().into_iter().for_each(&work));
    }
    together(parts, |part| {
        work(part);
        Ok(())
    })
}

fn copy(bench: &Bench<'_>, threads: usize) -> Result<Measured, String> {
    let mut field = field(bench)?.borrow_mut();
    // Overwrites what there was to chase.
    field.chained = false;
    let words = field.words_mut();
    let moved = size_of_val(words) as f64;
    let middle = words.len() / 2;
    let (from, to) = words.split_at_mut(middle);
    let part = middle.div_ceil(threads.max(1)).max(1);
    let seconds = bench.least(BANDWIDTH_BUDGET, REPEATS_MIN, || {
        let parts = from.chunks(part).zip(to.chunks_mut(part)).collect();
        at_once(parts, |(from, to): (&[u64], &mut [u64])| {
            to[..from.len()].copy_from_slice(black_box(from));
            black_box(to);
        })
    })?;
    Ok(field.measured(moved / seconds))
}

/// Loads of one repeat: about 2 ms.
const LOADS: u32 = 20_000;

fn latency(bench: &Bench<'_>) -> Result<Measured, String> {
    let mut field = field(bench)?.borrow_mut();
    let lines = field.chain();
    if lines < 2 {
        return Err("there is too little memory for it".to_owned());
    }
    let words = field.words();
    let mut at = 0;
    let seconds = bench.least(BUDGET, REPEATS_MIN, || {
        seconds_each(LOADS, || at = black_box(words.get(at as usize).copied().unwrap_or(0)))
    })?;
    Ok(field.measured(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::files::fixture::Tree;

    #[test]
    fn the_chain_passes_every_line_once() {
        let mapping = Mapping::new((1 << 16) + 640, PageSize::Small).unwrap();
        let words = mapping.words().len();
        let mut field = Field { mapping, words, flattered: None, chained: false };
        let lines = field.chain();
        assert_eq!(lines, 1 << 10);
        let words = field.words();
        let mut seen = vec![false; lines as usize];
        let mut at = 0usize;
        for _ in 0..lines {
            assert_eq!(at % LINE_WORDS, 0);
            assert!(!std::mem::replace(&mut seen[at / LINE_WORDS], true));
            at = words[at] as usize;
        }
        assert_eq!(at, 0);
    }

    #[test]
    fn the_largest_cache_counts() {
        let cache = |size: &str| {
            let path = |index: u32| format!("sys/devices/system/cpu/cpu0/cache/index{index}/size");
            let (small, large) = (path(0), path(3));
            let tree = Tree::new(&[(&small, "48K\n"), (&large, size)]);
            last_level_cache(&tree.files())
        };
        assert_eq!(cache("32768K\n"), Some(32 << 20));
        assert_eq!(cache("16M\n"), Some(16 << 20));
        assert_eq!(cache("\n"), Some(48 << 10));
        assert_eq!(last_level_cache(&Tree::new(&[]).files()), None);
    }
}
