//! Which hypothesis comes first.
//!
//! Level before priority: there is no point in tuning instructions while the algorithm is wrong. Within a level, the
//! product of the four scores; a level that the diagnosis points at is preferred.

use super::{Hypothesis, Soundness};
use crate::config::Policy;
use crate::diagnose::Diagnosis;

/// What to try, in order; and what may not be tried, with the policy that would allow it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranked {
    pub queue: Vec<Hypothesis>,
    pub withheld: Vec<(Hypothesis, Policy)>,
}

/// Orders proposals. `tried` are keys of attempts of this session.
#[must_use]
pub fn rank(proposals: Vec<Hypothesis>, diagnosis: &Diagnosis, tried: &[String], allow: &[Policy]) -> Ranked {
    let mut ranked = Ranked::default();
    for hypothesis in proposals {
        if tried.contains(&hypothesis.key) {
            continue;
        }
        match hypothesis.soundness {
            Soundness::PolicyOnly(policy) if !allow.contains(&policy) => {
                ranked.withheld.push((hypothesis, policy))
            }
            _ => ranked.queue.push(hypothesis),
        }
    }
    let order = |hypothesis: &Hypothesis| {
        let fits = hypothesis.level == diagnosis.level;
        (hypothesis.level, std::cmp::Reverse((hypothesis.scores.priority(), fits)), hypothesis.key.clone())
    };
    ranked.queue.sort_by_key(order);
    ranked.queue.dedup_by(|a, b| a.key == b.key);
    ranked.withheld.sort_by_key(|(hypothesis, _)| order(hypothesis));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Level, Machine, diagnose};
    use crate::plan::{Priority, Scores};
    use crate::profile::{Profile, Usage};

    fn hypothesis(key: &str, level: Level, impact: u8, soundness: Soundness) -> Hypothesis {
        Hypothesis {
            key: key.to_owned(),
            executor: "recipes".to_owned(),
            recipe: "r".to_owned(),
            title: key.to_owned(),
            rationale: String::new(),
            sites: Vec::new(),
            level,
            soundness,
            expected: (1.0, 2.0),
            scores: Scores { impact, ease: 5, coverage: 3, safety: 4 },
        }
    }

    #[test]
    fn levels_come_first_then_priority_then_the_key() {
        let proposals = vec![
            hypothesis("d", Level::L5, 5, Soundness::Sound),
            hypothesis("c", Level::L2, 2, Soundness::Sound),
            hypothesis("b", Level::L2, 4, Soundness::Sound),
            hypothesis("a", Level::L2, 2, Soundness::Sound),
            hypothesis("t", Level::L1, 5, Soundness::Sound),
            hypothesis("p", Level::L1, 5, Soundness::PolicyOnly(Policy::Parallel)),
        ];
        let diagnosis = diagnose(&Usage::default(), &Profile::default(), &Machine::of_cores(2));
        let keys = |ranked: &Ranked| ranked.queue.iter().map(|h| h.key.clone()).collect::<Vec<_>>();
        let ranked = rank(proposals.clone(), &diagnosis, &["t".to_owned()], &[]);
        assert_eq!(keys(&ranked), ["b", "a", "c", "d"]);
        assert_eq!(ranked.withheld[0].1, Policy::Parallel);
        let ranked = rank(proposals, &diagnosis, &["t".to_owned()], &[Policy::Parallel]);
        assert_eq!(keys(&ranked), ["p", "b", "a", "c", "d"]);
    }

    #[test]
    fn priorities_span_the_scale() {
        let scores = |impact, ease, coverage, safety| Scores { impact, ease, coverage, safety };
        assert_eq!(Priority::of(scores(5, 5, 5, 5)), Priority::P0);
        assert_eq!(Priority::of(scores(4, 4, 3, 4)), Priority::P1);
        assert_eq!(Priority::of(scores(3, 3, 3, 3)), Priority::P2);
        assert_eq!(Priority::of(scores(1, 2, 3, 3)), Priority::P3);
    }
}
