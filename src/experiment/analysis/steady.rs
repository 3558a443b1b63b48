//! When a long run has shown enough for a first verdict.
//!
//! **Invariant**: pure; sees shares only, and speaks once for each class that comes to dominate.

use crate::diagnose::Class;

/// Looks in a row that must agree, about a second apart.
const LOOKS: usize = 5;

/// By how much the share of the class that dominates may differ between them, either way.
const TOLERANCE: f64 = 0.1;

/// What one look saw since the look before.
#[derive(Debug, Clone, Copy)]
struct Look {
    class: Class,
    share: f64,
}

/// Looks so far.
#[derive(Debug, Default)]
pub(super) struct Steadiness {
    /// Seconds of the run at the last look, and the seconds of each class until then.
    before: (f64, Vec<(Class, f64)>),
    recent: Vec<Look>,
    told: Option<Class>,
}

impl Steadiness {
    /// Takes what has been seen of the whole run so far: its seconds, and the share of each class (0–1). Answers with
    /// the class and its share of late when behaviour has become steady, once.
    pub fn look(&mut self, seconds: f64, shares: &[(Class, f64)]) -> Option<(Class, f64)> {
        let sums: Vec<(Class, f64)> = shares.iter().map(|&(class, share)| (class, share * seconds)).collect();
        let (last_seconds, last_sums) = std::mem::replace(&mut self.before, (seconds, sums.clone()));
        let length = seconds - last_seconds;
        if length <= 0.0 {
            return None;
        }
        let since = |&(class, sum): &(Class, f64)| {
            let earlier = last_sums.iter().find(|(known, _)| *known == class).map_or(0.0, |(_, sum)| *sum);
            Look { class, share: (sum - earlier) / length }
        };
        let look = sums.iter().map(since).max_by(|a, b| a.share.total_cmp(&b.share))?;
        // What cannot be told apart is no behaviour.
        if look.class == Class::NotEnoughEvidence {
            self.recent.clear();
            return None;
        }
        self.recent.push(look);
        let start = self.recent.len().saturating_sub(LOOKS);
        self.recent.drain(..start);
        let same = self.recent.iter().all(|recent| recent.class == look.class);
        let mean = self.recent.iter().map(|recent| recent.share).sum::<f64>() / self.recent.len() as f64;
        let steady = self.recent.iter().all(|recent| (recent.share - mean).abs() <= TOLERANCE);
        if self.recent.len() < LOOKS || !same || !steady || self.told == Some(look.class) {
            return None;
        }
        self.told = Some(look.class);
        Some((look.class, mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds seconds of CPU share (the rest is network); answers at which look what was told.
    fn told(cpu: &[f64]) -> Vec<(usize, Class)> {
        let mut steadiness = Steadiness::default();
        let mut sum = 0.0;
        let mut found = Vec::new();
        for (index, share) in cpu.iter().enumerate() {
            sum += share;
            let seconds = index as f64 + 1.0;
            let shares = [(Class::CpuNative, sum / seconds), (Class::NetworkWait, 1.0 - sum / seconds)];
            found.extend(steadiness.look(seconds, &shares).map(|(class, _)| (index + 1, class)));
        }
        found
    }

    #[test]
    fn five_alike_seconds_are_steady_and_told_once() {
        assert_eq!(told(&[0.9, 0.92, 0.88, 0.95, 0.9, 0.9, 0.9]), [(5, Class::CpuNative)]);
        assert_eq!(told(&[0.9; 4]), []);
    }

    #[test]
    fn a_change_starts_again() {
        assert_eq!(told(&[0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9]), [(7, Class::CpuNative)]);
        assert_eq!(told(&[0.95, 0.6, 0.95, 0.6, 0.95, 0.6, 0.95]), []);
        let phases = [vec![0.95; 6], vec![0.05; 6]].concat();
        assert_eq!(told(&phases), [(5, Class::CpuNative), (11, Class::NetworkWait)]);
    }

    #[test]
    fn no_time_and_no_evidence_say_nothing() {
        let mut steadiness = Steadiness::default();
        for second in 0..9 {
            assert_eq!(steadiness.look(0.0, &[(Class::CpuNative, 1.0)]), None);
            assert_eq!(steadiness.look(f64::from(second), &[(Class::NotEnoughEvidence, 1.0)]), None);
        }
    }
}
