//! The rules that perfup is compared with in `benches/verdicts`, against published values: a rival with a bug is easy to
//! beat.

#[path = "../../benches/verdicts/rules.rs"]
pub mod rules;

use perfup::stats::rng::Rng;
use rules::{
    Verdict, benchstat, criterion, mann_whitney_p, peeking, perfup as perfup_rule, welch, welch_p, welch_t,
    wilcoxon, wilcoxon_p,
};

fn near(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected}");
}

#[test]
fn welch_agrees_with_textbook_examples() {
    // The second and third example of Wikipedia's article: t, ν = 9.9 and 24.5, p.
    let few = [17.2, 20.9, 22.6, 18.1, 21.7, 21.4, 23.5, 24.2, 14.7, 21.8];
    let many = [
        21.5, 22.8, 21.0, 23.0, 21.6, 23.6, 22.5, 20.7, 23.4, 21.8, 20.7, 21.7, 21.5, 22.5, 23.6, 21.5, 22.5,
        23.5, 21.5, 21.8,
    ];
    near(welch_t(&few, &many), -1.57, 0.005);
    near(welch_p(&few, &many).unwrap(), 0.149, 0.0005);
    assert_eq!(welch(0.05, &few, &many).0, Verdict::Open);
    let steady = [19.8, 20.4, 19.6, 17.8, 18.5, 18.9, 18.3, 18.9, 19.5, 22.0];
    let wild = [
        28.2, 26.6, 20.1, 23.3, 25.2, 22.1, 17.7, 27.6, 20.6, 13.7, 23.2, 17.5, 20.6, 18.0, 23.9, 21.6, 24.3,
        20.4, 24.0, 13.2,
    ];
    near(welch_t(&steady, &wild), -2.22, 0.005);
    near(welch_p(&steady, &wild).unwrap(), 0.036, 0.0005);
    assert_eq!(welch(0.05, &steady, &wild).0, Verdict::Slower);
    assert_eq!(welch(0.05, &wild, &steady).0, Verdict::Faster);
    assert_eq!(welch(0.01, &steady, &wild).0, Verdict::Open);
    assert_eq!(welch(0.05, &[1.0; 5], &[1.0; 5]).0, Verdict::Open);
}

#[test]
fn signed_ranks_agree_with_the_published_table() {
    // Critical value at p = 0.05, two-sided, of n = 10 is W = 8: P(W ≤ 8) = 25/1024.
    let values = |negative: &[i32]| -> Vec<f64> {
        (1..=10).map(|rank| f64::from(if negative.contains(&rank) { -rank } else { rank })).collect()
    };
    near(wilcoxon_p(&values(&[8])), 2.0 * 25.0 / 1024.0, 1e-12);
    near(wilcoxon_p(&values(&[1, 3, 5])), 2.0 * 33.0 / 1024.0, 1e-12);
    near(wilcoxon_p(&values(&[])), 2.0 / 1024.0, 1e-12);
    // All of one size: a sign test. Zeroes say nothing.
    near(wilcoxon_p(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]), 2.0 / 32.0, 1e-12);
    near(wilcoxon_p(&[]), 1.0, 1e-12);
}

#[test]
fn ranks_agree_with_exact_enumeration() {
    // Of 252 arrangements of five and five, two are as extreme as complete separation.
    let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
    near(mann_whitney_p(&low, &high), 2.0 / 252.0, 1e-12);
    // Ranks 1, 2.5, 2.5, 4, 5: of the ten pairs, 1 + 2.5 twice and 4 + 5 are as far from 6 as the first.
    near(mann_whitney_p(&[1.0, 2.0], &[2.0, 3.0, 4.0]), 0.3, 1e-12);
    near(mann_whitney_p(&[1.0; 5], &[1.0; 5]), 1.0, 1e-12);
    assert_eq!(benchstat(&low, &high).0, Verdict::Slower);
    assert_eq!(benchstat(&high, &low).0, Verdict::Faster);
    assert_eq!(benchstat(&low[..3], &high[..3]).0, Verdict::Open, "three runs can never reach 0.05");
}

#[test]
fn every_rule_sees_what_is_plain_and_none_what_is_not_there() {
    let mut rng = Rng::new(3);
    let mut noise = |by: f64| -> Vec<f64> { (0..100).map(|_| by * (1.0 + 0.01 * rng.normal())).collect() };
    let (a, same, slower) = (noise(1.0), noise(1.0), noise(1.2));
    for rule in [|a: &[f64], b: &[f64]| perfup_rule(0.01, a, b), benchstat, wilcoxon, criterion] {
        assert_eq!(rule(&a, &slower).0, Verdict::Slower);
        assert_eq!(rule(&slower, &a).0, Verdict::Faster);
        assert!(matches!(rule(&a, &same).0, Verdict::Open | Verdict::Same));
    }
}

#[test]
fn ranks_of_many_follow_the_normal_distribution() {
    // U = 153 of 26 · 26 pairs; z = (338 − 153 − ½) / √(26 · 26 · 53 / 12) = 3.377.
    let low: Vec<f64> = (0..26).map(|value| f64::from(value) * 2.0).collect();
    let shifted: Vec<f64> = low.iter().map(|value| value + 17.0).collect();
    near(mann_whitney_p(&low, &shifted), 0.000_733_958, 1e-9);
    near(mann_whitney_p(&shifted, &low), 0.000_733_958, 1e-9);
}

#[test]
fn who_peeks_stops_at_the_first_claim() {
    let judge = |runs| (if runs < 7 { Verdict::Open } else { Verdict::Faster }, runs);
    assert_eq!(peeking(5..=60, judge), (Verdict::Faster, 7));
    assert_eq!(peeking(1..=3, judge), (Verdict::Open, 3));
}
