//! Which lines the time went to.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::profile::stacks::{Stacks, Thread};

/// A line, and the share of the time that threads were in it themselves, not in what it calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub function: String,
    /// As the program's own records name it.
    pub file: Option<String>,
    /// 1-based.
    pub line: Option<u32>,
    /// On a CPU or ready for one, 0–1 of all time of these threads.
    pub running: f64,
    /// Waiting there, 0–1.
    pub waiting: f64,
}

impl Place {
    /// Share of the time of these threads, 0–1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.running + self.waiting
    }
}

/// The lines in which these threads were, by share, the largest first; the shares sum to 1. Main threads are those
/// whose `tid` is their `pid`.
#[must_use]
pub fn places(stacks: &Stacks, of: impl Fn(&Thread) -> bool) -> Vec<Place> {
    let wanted: Vec<bool> = stacks.threads.iter().map(of).collect();
    let mut seconds: HashMap<u32, (f64, f64)> = HashMap::new();
    let mut all_s = 0.0;
    for sample in stacks.samples.iter().filter(|sample| wanted[sample.thread as usize]) {
        let (running, waiting) = seconds.entry(stacks.nodes[sample.leaf as usize].frame).or_default();
        *(if sample.running { running } else { waiting }) += sample.weight_s;
        all_s += sample.weight_s;
    }
    if all_s <= 0.0 {
        return Vec::new();
    }
    let mut seconds: Vec<(u32, (f64, f64))> = seconds.into_iter().collect();
    // Equal shares in the order in which they were seen first.
    seconds.sort_by(|(a, (ar, aw)), (b, (br, bw))| (br + bw).total_cmp(&(ar + aw)).then(a.cmp(b)));
    let place = |(frame, (running, waiting)): (u32, (f64, f64))| {
        let frame = &stacks.frames[frame as usize];
        Place {
            function: frame.function.clone(),
            file: frame.file.clone(),
            line: frame.line,
            running: running / all_s,
            waiting: waiting / all_s,
        }
    };
    seconds.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::stacks::{Builder, Frame, Kind, Sample};

    #[test]
    fn lines_are_ranked_by_their_own_time() {
        let mut builder = Builder::default();
        let mut frame = |line| {
            builder.frame(Frame {
                function: "f".to_owned(),
                module: String::new(),
                file: Some("a.py".to_owned()),
                line: Some(line),
                kind: Kind::Python,
            })
        };
        let (caller, first, second) = (frame(1), frame(2), frame(3));
        let main = builder.thread(Thread { pid: 7, tid: 7, name: "python".to_owned() });
        let other = builder.thread(Thread { pid: 7, tid: 8, name: "python".to_owned() });
        let leaves = [first, second].map(|leaf| builder.stack([caller, leaf]).expect("frames"));
        let looks =
            [(main, 0, true, 1.0), (main, 1, false, 5.0), (main, 0, false, 2.0), (other, 0, true, 9.0)];
        for (thread, leaf, running, weight_s) in looks {
            builder.sample(Sample { at_s: 0.0, weight_s, thread, leaf: leaves[leaf], running });
        }
        let stacks = builder.finish();
        let found = places(&stacks, |thread| thread.tid == thread.pid);
        let shares: Vec<_> = found.iter().map(|place| (place.line, place.running, place.waiting)).collect();
        assert_eq!(shares, [(Some(3), 0.0, 0.625), (Some(2), 0.125, 0.25)]);
        assert!((found.iter().map(Place::share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(places(&stacks, |_| false), []);
    }
}
