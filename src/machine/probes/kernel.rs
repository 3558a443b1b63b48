//! What the kernel charges for a call and for a fresh page.

use std::hint::black_box;
use std::os::unix::process::parent_id;

use super::{BUDGET, Bench, Measured, Of, Probe, REPEATS_MIN, Unit, seconds_each};
use crate::sys::pages::{Mapping, PageSize, page_bytes};

pub const PAGE_FAULT: Probe = Probe {
    id: "page-fault",
    what: "first touch of a page",
    unit: Unit::Seconds,
    of: Of::Host,
    how: "one write to each page of new memory, base pages",
    measure: page_fault,
};

pub const SYSCALL: Probe = Probe {
    id: "syscall",
    what: "system call",
    unit: Unit::Seconds,
    of: Of::Host,
    how: "getppid, which always enters the kernel and does nothing there",
    measure: |bench| {
        let value = bench.least(BUDGET / 3, REPEATS_MIN, || {
            seconds_each(1000, || {
                black_box(parent_id());
            })
        })?;
        Ok(value.into())
    },
};

/// Pages of one repeat, 1 MiB in all.
const PAGES: usize = 256;

fn page_fault(bench: &Bench<'_>) -> Result<Measured, String> {
    let page = page_bytes();
    let value = bench.least(BUDGET / 2, REPEATS_MIN, || {
        let mut mapping = Mapping::new(PAGES * page, PageSize::Small)
            .map_err(|error| format!("cannot map memory: {error}"))?;
        let mut pages = mapping.bytes_mut().chunks_exact_mut(page);
        seconds_each(PAGES as u32, || {
            if let Some(page) = pages.next() {
                black_box(page)[0] = 1;
            }
        })
    })?;
    Ok(value.into())
}
