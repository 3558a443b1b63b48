//! Inner loops that use the widest instructions this CPU has, which a portable build alone would not.
//!
//! **Invariant**: a loop is only offered once the CPU has said that it has the instructions.
#![expect(unsafe_code, reason = "code for instructions that not every CPU has can only be called so")]

use std::hint::black_box;

/// Chains of dependent operations that run beside each other: a multiply-add takes 4–5 cycles and two start in each
/// (Agner Fog, Instruction tables), so that at least 10 keep the units busy.
const CHAINS: usize = 16;

/// Of the 16 registers, two hold the factors.
#[cfg(target_arch = "x86_64")]
const CHAINS_AVX2: usize = 12;

/// A loop of multiply-adds on 64-bit floating-point numbers.
#[derive(Debug, Clone, Copy)]
pub struct MultiplyAdd {
    pub name: &'static str,
    /// Floating-point operations of one step; a multiply-add is two.
    pub flops_per_step: f64,
    /// Runs so many steps; the result only keeps them from being left out.
    pub run: fn(u64) -> f64,
}

/// A loop that reads memory.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    pub name: &'static str,
    /// Sum of the words, wrapping around.
    pub run: fn(&[u64]) -> u64,
}

/// a·x + y stays near 1: no overflow, and none of the slow numbers near 0.
const FACTOR: f64 = 0.999_999;
const ADDEND: f64 = 1e-6;

/// The loops that this CPU can run, the widest last.
#[must_use]
pub fn multiply_adds() -> Vec<MultiplyAdd> {
    let lanes = if cfg!(target_arch = "aarch64") { 2 } else { PORTABLE_LANES };
    let flops = |lanes: usize, chains: usize| (2 * lanes * chains) as f64;
    let mut offered =
        vec![MultiplyAdd { name: "portable", flops_per_step: flops(lanes, CHAINS), run: portable::<false> }];
    #[cfg(target_arch = "aarch64")]
    offered.push(MultiplyAdd { name: "NEON", flops_per_step: flops(2, CHAINS), run: portable::<true> });
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the CPU has both features, as was just asked.
            let run = |steps| unsafe { wide::avx2(steps) };
            offered.push(MultiplyAdd { name: "AVX2 FMA", flops_per_step: flops(4, CHAINS_AVX2), run });
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the CPU has the feature, as was just asked.
            let run = |steps| unsafe { wide::avx512(steps) };
            offered.push(MultiplyAdd { name: "AVX-512 FMA", flops_per_step: flops(8, CHAINS), run });
        }
    }
    offered
}

/// Two numbers a register: what every 64-bit CPU of these families has.
const PORTABLE_LANES: usize = 2;

/// With `FUSED` one instruction does both where the target always has it; else it would be a call.
fn portable<const FUSED: bool>(steps: u64) -> f64 {
    let (factor, addend) = (black_box(FACTOR), black_box(ADDEND));
    let mut sums = [[1.0f64; PORTABLE_LANES]; CHAINS];
    for _ in 0..steps {
        for lanes in &mut sums {
            for sum in lanes {
                *sum = if FUSED { sum.mul_add(factor, addend) } else { *sum * factor + addend };
            }
        }
    }
    sums.iter().flatten().sum()
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        _mm256_add_pd, _mm256_cvtsd_f64, _mm256_fmadd_pd, _mm256_set1_pd, _mm512_fmadd_pd,
        _mm512_reduce_add_pd, _mm512_set1_pd,
    };

    use super::{ADDEND, CHAINS, CHAINS_AVX2, FACTOR, black_box};

    #[target_feature(enable = "avx2,fma")]
    pub fn avx2(steps: u64) -> f64 {
        let (factor, addend) = (_mm256_set1_pd(black_box(FACTOR)), _mm256_set1_pd(black_box(ADDEND)));
        let mut sums = [_mm256_set1_pd(1.0); CHAINS_AVX2];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm256_fmadd_pd(*sum, factor, addend);
            }
        }
        _mm256_cvtsd_f64(sums.into_iter().fold(_mm256_set1_pd(0.0), |a, b| _mm256_add_pd(a, b)))
    }

    #[target_feature(enable = "avx512f")]
    pub fn avx512(steps: u64) -> f64 {
        let (factor, addend) = (_mm512_set1_pd(black_box(FACTOR)), _mm512_set1_pd(black_box(ADDEND)));
        let mut sums = [_mm512_set1_pd(1.0); CHAINS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm512_fmadd_pd(*sum, factor, addend);
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_add_pd(sum)).sum()
    }

    #[target_feature(enable = "avx2")]
    pub fn sum_avx2(words: &[u64]) -> u64 {
        super::sum_in_order(words)
    }

    #[target_feature(enable = "avx512f")]
    pub fn sum_avx512(words: &[u64]) -> u64 {
        super::sum_in_order(words)
    }

    #[target_feature(enable = "avx2")]
    pub fn streams_avx2(words: &[u64]) -> u64 {
        super::sum_of_streams(words)
    }
}

/// The loops that this CPU can run.
#[must_use]
pub fn readers() -> Vec<Reader> {
    let mut offered = vec![
        Reader { name: "portable, in order", run: sum_in_order },
        Reader { name: "portable, four streams", run: sum_of_streams },
    ];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has the feature, as was just asked.
            offered.push(Reader { name: "AVX2, in order", run: |words| unsafe { wide::sum_avx2(words) } });
            // SAFETY: as above.
            let run = |words: &[u64]| unsafe { wide::streams_avx2(words) };
            offered.push(Reader { name: "AVX2, four streams", run });
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the CPU has the feature, as was just asked.
            let run = |words: &[u64]| unsafe { wide::sum_avx512(words) };
            offered.push(Reader { name: "AVX-512, in order", run });
        }
    }
    offered
}

/// Words added up side by side: four cache lines, so that loads do not wait for additions.
const SIDE_BY_SIDE: usize = 32;

#[inline(always)]
fn sum_in_order(words: &[u64]) -> u64 {
    let mut sums = [0u64; SIDE_BY_SIDE];
    let (blocks, rest) = words.as_chunks::<SIDE_BY_SIDE>();
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().chain(rest).fold(0, |total, word| total.wrapping_add(*word))
}

/// Four places at once: each has a prefetcher of its own.
#[inline(always)]
fn sum_of_streams(words: &[u64]) -> u64 {
    const LINE: usize = 8;
    let (lines, rest) = words.as_chunks::<LINE>();
    let quarter = lines.len() / 4;
    let (first, second) = (&lines[..quarter], &lines[quarter..2 * quarter]);
    let (third, fourth) = (&lines[2 * quarter..3 * quarter], &lines[3 * quarter..4 * quarter]);
    let mut sums = [[0u64; LINE]; 4];
    for (((a, b), c), d) in first.iter().zip(second).zip(third).zip(fourth) {
        for (sums, line) in sums.iter_mut().zip([a, b, c, d]) {
            for (sum, word) in sums.iter_mut().zip(line) {
                *sum = sum.wrapping_add(*word);
            }
        }
    }
    let left_over = lines[4 * quarter..].iter().flatten().chain(rest);
    sums.iter().flatten().chain(left_over).fold(0, |total, word| total.wrapping_add(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_reads_every_word() {
        for length in [0, 1, 7, 31, 32, 100, 1000] {
            let words: Vec<u64> = (0..length).map(|index| index * index + 1).collect();
            let expected: u64 = words.iter().sum();
            for reader in readers() {
                assert_eq!((reader.run)(&words), expected, "{} of {length}", reader.name);
            }
        }
    }

    #[test]
    fn every_multiply_add_does_the_steps_it_counts() {
        for kernel in multiply_adds() {
            let chains = kernel.flops_per_step / 2.0;
            assert!(((kernel.run)(0)).is_finite(), "{}", kernel.name);
            // From 1, a·x + y with these constants stays 1 but for rounding.
            let lanes = (kernel.run)(1000);
            assert!(lanes > 0.9 && lanes < chains + 0.1, "{}: {lanes}", kernel.name);
        }
    }
}
