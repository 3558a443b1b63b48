//! Rules that turn runs of A and of B into a word: perfup's and those of its rivals.
//!
//! Each gets times (or CPU times) of both arms, index by index; where the order of the runs was paired, equal indices
//! belong together. Statistics come from `statrs` where it has them; the rest is small enough to be read here, and is
//! tested against published values.

use perfup::stats::decision::{Noise, Question, Status, TestPlan, Word};
use perfup::stats::rng::Rng;
use perfup::stats::sequential::Test;
use perfup::stats::summary::{mean, median, variance};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// What a rule says of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Faster,
    Slower,
    /// Said to be the same within the margin; only perfup says so.
    Same,
    /// No difference is claimed.
    Open,
}

/// A verdict with the runs of each arm that it took.
pub type Judged = (Verdict, usize);

/// Fraction below which a difference is not worth telling: perfup's default, and criterion's.
pub const MARGIN: f64 = 0.01;

/// perfup's `measure` at its defaults but for α, on as many pairs as there are.
pub fn perfup(alpha: f64, a: &[f64], b: &[f64]) -> Judged {
    let mut test = Test::new(TestPlan {
        alpha,
        pairs_min: 0,
        pairs_max: a.len(),
        min_effect: MARGIN,
        noise: Noise::Learned,
        question: Question::Different,
    });
    for (a, b) in a.iter().zip(b) {
        test.push((b / a).ln());
        if let Status::Decided(_) = test.status() {
            break;
        }
    }
    let verdict = match test.end().word {
        Word::Faster => Verdict::Faster,
        Word::Slower => Verdict::Slower,
        Word::Equivalent => Verdict::Same,
        Word::Inconclusive | Word::Invalid => Verdict::Open,
    };
    (verdict, test.pairs())
}

/// Welch's t-test on the means, as the script that comes with hyperfine does.
pub fn welch(alpha: f64, a: &[f64], b: &[f64]) -> Judged {
    let different = welch_p(a, b).is_some_and(|p| p < alpha);
    (claimed(different, mean(a), mean(b)), a.len())
}

/// benchstat's rule: Mann and Whitney's U test at p < 0.05.
pub fn benchstat(a: &[f64], b: &[f64]) -> Judged {
    (claimed(mann_whitney_p(a, b) < 0.05, median(a), median(b)), a.len())
}

/// A rule asked again and again, with so many runs of each arm, until it says something.
pub fn peeking(looks: impl IntoIterator<Item = usize>, judge: impl Fn(usize) -> Judged) -> Judged {
    let mut last = (Verdict::Open, 0);
    for runs in looks {
        last = judge(runs);
        if last.0 != Verdict::Open {
            break;
        }
    }
    last
}

/// Wilcoxon's signed-rank test on the log ratios of pairs at p < 0.05.
pub fn wilcoxon(a: &[f64], b: &[f64]) -> Judged {
    let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| (b / a).ln()).collect();
    let different = wilcoxon_p(&ratios) < 0.05;
    (claimed(different, Some(0.0), median(&ratios)), a.len())
}

/// criterion's rule: a t-test by resampling the pooled times at p < 0.05, and the 95 % bootstrap interval of the change
/// of the mean wholly beyond ± 1 % (`criterion::analysis::compare`, `report::compare_to_threshold`).
pub fn criterion(a: &[f64], b: &[f64]) -> Judged {
    let mut rng = Rng::new(1);
    let pooled: Vec<f64> = a.iter().chain(b).copied().collect();
    let t = welch_t(b, a);
    let below = (0..RESAMPLES)
        .filter(|_| welch_t(&resample(&pooled, b.len(), &mut rng), &resample(&pooled, a.len(), &mut rng)) < t)
        .count();
    let p = 2.0 * below.min(RESAMPLES - below) as f64 / RESAMPLES as f64;
    let mut changes: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            Some(mean(&resample(b, b.len(), &mut rng))? / mean(&resample(a, a.len(), &mut rng))? - 1.0)
        })
        .collect();
    changes.sort_by(f64::total_cmp);
    let bound = |share: f64| changes[(share * (changes.len() - 1) as f64) as usize];
    let verdict = match (bound(0.025), bound(0.975)) {
        _ if p >= 0.05 => Verdict::Open,
        (low, _) if low > MARGIN => Verdict::Slower,
        (_, high) if high < -MARGIN => Verdict::Faster,
        _ => Verdict::Open,
    };
    (verdict, a.len())
}

/// criterion's default is 100 000, which changes a p-value by less than its own noise here.
const RESAMPLES: usize = 2_000;

fn resample(values: &[f64], count: usize, rng: &mut Rng) -> Vec<f64> {
    (0..count).map(|_| values[(rng.bits() % values.len() as u64) as usize]).collect()
}

fn claimed(different: bool, a: Option<f64>, b: Option<f64>) -> Verdict {
    match a.zip(b) {
        Some((a, b)) if different && b < a => Verdict::Faster,
        Some((a, b)) if different && b > a => Verdict::Slower,
        _ => Verdict::Open,
    }
}

/// Squared standard error of the mean.
fn error_squared(values: &[f64]) -> f64 {
    variance(values).unwrap_or(f64::NAN) / values.len() as f64
}

/// Difference of the means in units of its standard error.
pub fn welch_t(a: &[f64], b: &[f64]) -> f64 {
    let difference = mean(a).unwrap_or(f64::NAN) - mean(b).unwrap_or(f64::NAN);
    difference / (error_squared(a) + error_squared(b)).sqrt()
}

/// Two-sided; degrees of freedom by Welch and Satterthwaite. Absent without variance.
pub fn welch_p(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a_error, b_error) = (error_squared(a), error_squared(b));
    let parts = a_error.powi(2) / (a.len() as f64 - 1.0) + b_error.powi(2) / (b.len() as f64 - 1.0);
    let distribution = StudentsT::new(0.0, 1.0, (a_error + b_error).powi(2) / parts).ok()?;
    Some(2.0 * distribution.sf(welch_t(a, b).abs()))
}

/// Runs of an arm up to which all ways to divide them are gone through; benchstat draws the line there when there are ties.
const EXACT_RUNS_MAX: usize = 25;

/// Two-sided, of the rank sum of `a`: exact also with ties, by the normal approximation where there are too many runs.
pub fn mann_whitney_p(a: &[f64], b: &[f64]) -> f64 {
    let mut pooled: Vec<f64> = a.iter().chain(b).copied().collect();
    pooled.sort_by(f64::total_cmp);
    let ranks = doubled_ranks(&pooled);
    // Equal values share their rank, so the first of them will do.
    let rank_of = |value: f64| ranks[pooled.partition_point(|&other| other < value)];
    let own: usize = a.iter().map(|&value| rank_of(value)).sum();
    let middle = a.len() * (pooled.len() + 1);
    let far = own.abs_diff(middle);
    if a.len().max(b.len()) > EXACT_RUNS_MAX {
        return normal_p(a.len(), b.len(), &ranks, far);
    }
    // How likely a draw of so many of the ranks has such a sum: one rank after the other is drawn or not.
    let total: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0; total + 1]; a.len() + 1];
    ways[0][0] = 1.0;
    for &rank in &ranks {
        for drawn in (1..=a.len()).rev() {
            for sum in (rank..=total).rev() {
                ways[drawn][sum] += ways[drawn - 1][sum - rank];
            }
        }
    }
    let all: f64 = ways[a.len()].iter().sum();
    let extreme: f64 = ways[a.len()]
        .iter()
        .enumerate()
        .filter(|(sum, _)| sum.abs_diff(middle) >= far)
        .map(|(_, ways)| ways)
        .sum();
    (extreme / all).min(1.0)
}

/// `far`: twice the distance of the rank sum from its middle. With corrections for ties and for continuity.
fn normal_p(a: usize, b: usize, ranks: &[usize], far: usize) -> f64 {
    let count = (a + b) as f64;
    let ties: f64 =
        ranks.chunk_by(PartialEq::eq).map(|tied| (tied.len() as f64).powi(3) - tied.len() as f64).sum();
    let variance = a as f64 * b as f64 / 12.0 * (count + 1.0 - ties / (count * (count - 1.0)));
    let deviations = ((far as f64 - 1.0) / 2.0).max(0.0) / variance.sqrt();
    Normal::standard().sf(deviations) * 2.0
}

/// Twice the ranks of sorted values, so that shared ranks are whole numbers.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    for tied in sorted.chunk_by(PartialEq::eq) {
        let first = ranks.len();
        ranks.extend(std::iter::repeat_n(2 * first + tied.len() + 1, tied.len()));
    }
    ranks
}

/// Two-sided, exact also with ties: the distribution of the rank sum over all signs, zeroes left out.
pub fn wilcoxon_p(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|&value| value != 0.0).collect();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let sizes: Vec<f64> = sorted.iter().map(|value| value.abs()).collect();
    let ranks = doubled_ranks(&sizes);
    let total: usize = ranks.iter().sum();
    let mut mass = vec![0.0; total + 1];
    mass[0] = 1.0;
    for &rank in &ranks {
        for sum in (0..=total).rev() {
            mass[sum] = (mass[sum] + if sum >= rank { mass[sum - rank] } else { 0.0 }) / 2.0;
        }
    }
    let positive: usize =
        ranks.iter().zip(&sorted).filter(|(_, value)| **value > 0.0).map(|(rank, _)| rank).sum();
    let smaller = positive.min(total - positive);
    (2.0 * mass[..=smaller].iter().sum::<f64>()).min(1.0)
}
