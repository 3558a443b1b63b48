//! Who runs when within a round.

use crate::stats::rng;

/// Streams of the trial's seed; the pair's coin has its own.
const ORDER_STREAM: u64 = 101;
const NOISE_STREAM: u64 = 102;

/// A uniformly random order of `0..count` for a round, by Fisher and Yates.
pub(super) fn of_round(seed: u64, round: u32, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let index = u64::from(round) << 16 | last as u64;
        order.swap(last, below(rng::draw(seed, ORDER_STREAM, index), last + 1));
    }
    order
}

/// The seed of one run's harmless noise: it knows the round and the slot, never the contender.
pub(super) fn noise(seed: u64, round: u32, slot: usize) -> u64 {
    rng::draw(seed, NOISE_STREAM, u64::from(round) << 16 | slot as u64)
}

/// Bits scaled to 0..end (Lemire 2019, without its rejection: the bias is below end/2^64).
fn below(bits: u64, end: usize) -> usize {
    usize::try_from((u128::from(bits) * end as u128) >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_order_is_equally_likely_and_repeats_with_its_seed() {
        let mut counts: BTreeMap<Vec<usize>, u32> = BTreeMap::new();
        for round in 0..6000 {
            let order = of_round(7, round, 3);
            assert_eq!(order, of_round(7, round, 3));
            *counts.entry(order).or_default() += 1;
        }
        assert_eq!(counts.len(), 6);
        // Expected 1000 each, standard deviation 29.
        assert!(counts.values().all(|count| (880..1120).contains(count)), "{counts:?}");
    }

    #[test]
    fn one_and_none_need_no_order() {
        assert_eq!(of_round(1, 0, 0), Vec::<usize>::new());
        assert_eq!(of_round(1, 0, 1), [0]);
    }
}
