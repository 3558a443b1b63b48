//! `--cpus`: on which CPUs a command may run.

use std::collections::BTreeSet;

use super::failure::Failure;
use crate::report::words;
use crate::sys::cpus_allowed;

/// The CPUs of `--cpus`: `0,2-3` → 0, 2, 3.
///
/// # Errors
/// When the text is no list, or names a CPU that this process may not use.
pub(super) fn cpu_list(text: &str) -> Result<Vec<u32>, Failure> {
    let wrong = || {
        Failure::usage(format!("--cpus {text} is no list of CPUs"), "for example --cpus 2 or --cpus 0,2-3")
    };
    let mut cpus = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let [first, last] = [first, last].map(|number| number.trim().parse::<u32>());
        let (first, last) = (first.map_err(|_| wrong())?, last.map_err(|_| wrong())?);
        // No machine has more; a typing error must not fill the memory.
        if first > last || last >= 1 << 16 {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    let allowed = cpus_allowed().map_err(|error| Failure::io("ask which CPUs may be used", error))?;
    if let Some(wrong) = cpus.iter().find(|cpu| !allowed.contains(cpu)) {
        return Err(Failure::usage(
            format!("--cpus {text}: there is no CPU {wrong} for this process"),
            format!("it may use {}", words::ranges(&allowed)),
        ));
    }
    Ok(cpus.into_iter().collect())
}
