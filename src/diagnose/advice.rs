//! Class → what to do about it: the branch of the decision tree, the steps in order, what they usually bring.
//!
//! **Invariant**: pure, and the only place that holds advice. Gains are what such changes bring to the part of the time
//! that the class explains; [`Cure::whole_program`] says what is left of that for the program (Amdahl).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Class;

/// The three ways a slow program is usually made fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Branch {
    /// It waits for something outside: let it wait for many at once, or not again.
    Io,
    /// It computes: compute less, then in larger pieces, then on more cores.
    Cpu,
    /// An accelerator computes, or should.
    Gpu,
}

/// Who can do it in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effort {
    Minutes,
    Hours,
    Days,
}

/// How easily the change breaks what worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    Low,
    Medium,
    High,
}

/// A line of the decision tree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BranchAdvice {
    pub branch: Branch,
    pub what: &'static str,
    /// Factors, lowest and highest, that it usually brings where the branch applies.
    pub gain: (f64, f64),
    pub effort: Effort,
    pub risk: Risk,
    /// How often the change brings a gain of that size where the branch applies, 0–1.
    pub confidence: f64,
}

/// The decision tree, always shown whole.
pub const TREE: [BranchAdvice; 3] = [
    BranchAdvice {
        branch: Branch::Io,
        what: "async + caching + 150–300 concurrent calls",
        gain: (10.0, 100.0),
        effort: Effort::Hours,
        risk: Risk::Low,
        confidence: 0.95,
    },
    BranchAdvice {
        branch: Branch::Cpu,
        what: "vectorise, then processes",
        gain: (2.0, 8.0),
        effort: Effort::Hours,
        risk: Risk::Medium,
        confidence: 0.8,
    },
    BranchAdvice {
        branch: Branch::Gpu,
        what: "precision, loader, accumulation, multi-GPU",
        gain: (1.5, 4.0),
        effort: Effort::Days,
        risk: Risk::Medium,
        confidence: 0.6,
    },
];

/// What to do about one class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cure {
    /// Absent where nothing is known to be slow.
    pub branch: Option<Branch>,
    /// In the order in which to try them.
    pub steps: &'static [&'static str],
    /// Factors, lowest and highest, for the part of the time that the class explains.
    pub gain: (f64, f64),
    pub effort: Effort,
    pub risk: Risk,
    pub confidence: f64,
}

impl Cure {
    /// Speed-up of the whole program when the cure brings its gain to `share` (0–1) of the wall time: Amdahl's law.
    #[must_use]
    pub fn whole_program(&self, share: f64) -> (f64, f64) {
        let share = share.clamp(0.0, 1.0);
        let of = |gain: f64| 1.0 / (1.0 - share + share / gain);
        (of(self.gain.0), of(self.gain.1))
    }
}

impl Branch {
    /// As it is called in the tree.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Io => "I/O-bound",
            Self::Cpu => "CPU-bound",
            Self::Gpu => "GPU-bound",
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
        })
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

impl Class {
    /// What to do about it.
    #[must_use]
    pub fn cure(self) -> Cure {
        let io = |steps, gain, effort, risk, confidence| Cure {
            branch: Some(Branch::Io),
            steps,
            gain,
            effort,
            risk,
            confidence,
        };
        let cpu = |steps, gain, effort, risk, confidence| Cure {
            branch: Some(Branch::Cpu),
            ..io(steps, gain, effort, risk, confidence)
        };
        let gpu = |steps, gain, effort, risk, confidence| Cure {
            branch: Some(Branch::Gpu),
            ..io(steps, gain, effort, risk, confidence)
        };
        use Effort::{Days, Hours, Minutes};
        use Risk::{High, Low, Medium};
        match self {
            Self::NetworkWait => io(
                &[
                    "cache or drop repeated calls, and ask for many items per call where the server can",
                    "150–300 calls in flight (async or threads) on open connections, with a limit and retries",
                ],
                (10.0, 100.0),
                Hours,
                Low,
                0.95,
            ),
            Self::DiskRead => io(
                &[
                    "read less: only the columns, rows or files that are needed, in a compact format",
                    "read in large pieces, ahead of the use, several files at once",
                ],
                (2.0, 10.0),
                Hours,
                Low,
                0.8,
            ),
            Self::DiskSync => io(
                &[
                    "sync once per batch: one transaction or one fsync for many records",
                    "leave out syncs of what can be made again",
                ],
                (5.0, 50.0),
                Hours,
                Medium,
                0.9,
            ),
            Self::SleepPoll => io(
                &[
                    "wait for the event itself (a condition, a pipe, inotify, a callback) instead of asking again",
                    "where a pause is needed, make it shorter, or as long as the server says",
                ],
                (5.0, 100.0),
                Minutes,
                Low,
                0.9,
            ),
            Self::PipeWait => io(
                &[
                    "the other end is the slow one: analyse it",
                    "larger writes, and enough on the way that both ends are busy at once",
                ],
                (1.5, 3.0),
                Hours,
                Low,
                0.6,
            ),
            Self::ChildWait => cpu(
                &[
                    "the children are what takes the time: analyse them",
                    "start those that do not depend on each other at the same time",
                ],
                (1.5, 8.0),
                Hours,
                Low,
                0.6,
            ),
            Self::ProcessSpawn => cpu(
                &[
                    "one process for many items (xargs, awk, one interpreter) instead of one for each",
                    "call the library instead of the program",
                ],
                (5.0, 50.0),
                Hours,
                Low,
                0.9,
            ),
            Self::InterpreterOverhead => cpu(
                &[
                    "a better algorithm or data structure: sets and dictionaries, nothing computed twice",
                    "vectorise: whole arrays or strings per call (NumPy, pandas, built-ins) instead of a loop",
                    "then processes (multiprocessing) over independent pieces, or compile the hot loop",
                ],
                (2.0, 8.0),
                Hours,
                Medium,
                0.8,
            ),
            Self::CpuNative => cpu(
                &[
                    "a better algorithm or data structure: begin with the functions that the call stacks name",
                    "an optimised build (-O3, release, LTO), then vector instructions and memory layout",
                    "then threads or processes over independent pieces",
                ],
                (1.5, 8.0),
                Days,
                Medium,
                0.8,
            ),
            Self::SingleThreadedOnMulticore => cpu(
                &[
                    "divide the work into independent pieces for all cores (threads, rayon, multiprocessing)",
                    "keep what the pieces share small and read-only",
                ],
                (1.5, 8.0),
                Hours,
                Medium,
                0.8,
            ),
            Self::GilBound => cpu(
                &[
                    "processes instead of threads for what computes (ProcessPoolExecutor, multiprocessing)",
                    "or libraries that release the lock while they compute (NumPy, compiled code)",
                ],
                (1.5, 8.0),
                Hours,
                Medium,
                0.8,
            ),
            Self::LockContention => cpu(
                &[
                    "hold the lock for less: compute outside, publish inside",
                    "one lock per part, or data per thread that is merged at the end",
                ],
                (1.5, 8.0),
                Hours,
                High,
                0.7,
            ),
            Self::CpuKernel => cpu(
                &[
                    "fewer, larger system calls: buffered reads and writes, batches, vectored I/O",
                    "map files that are read again and again",
                ],
                (2.0, 8.0),
                Hours,
                Low,
                0.8,
            ),
            Self::PageFaults => cpu(
                &[
                    "use the same buffers again instead of fresh ones; allocate once, outside the loop",
                    "huge pages, or an allocator that keeps what it has (jemalloc, mimalloc)",
                ],
                (1.2, 3.0),
                Hours,
                Low,
                0.7,
            ),
            Self::GpuBound => gpu(
                &[
                    "lower precision where it is enough (bf16, TF32, autocast), fused kernels, torch.compile",
                    "larger batches by accumulation; then several GPUs",
                ],
                (1.5, 4.0),
                Hours,
                Medium,
                0.6,
            ),
            Self::GpuIdle => gpu(
                &[
                    "feed it: loader workers, pinned memory, prefetching, data prepared beforehand",
                    "fewer copies between host and device, fewer waits for it (no .item() in a loop)",
                ],
                (1.5, 4.0),
                Hours,
                Low,
                0.7,
            ),
            Self::UnbatchedInference => gpu(
                &[
                    "one call for many samples: collect a batch, or a server with dynamic batching",
                    "no gradients: model.eval() and inference_mode()",
                ],
                (4.0, 30.0),
                Hours,
                Low,
                0.8,
            ),
            Self::MachineBusy => Cure {
                branch: None,
                ..io(
                    &["run it again on an idle machine, or on CPUs of its own (--cpus)"],
                    (1.0, 1.0),
                    Minutes,
                    Low,
                    0.0,
                )
            },
            Self::NotEnoughEvidence => Cure {
                branch: None,
                ..io(
                    &[
                        "run it longer or with more data, and switch on the sources that `perfup doctor` names",
                    ],
                    (1.0, 1.0),
                    Minutes,
                    Low,
                    0.0,
                )
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_cure_on_a_branch_of_the_tree() {
        for &class in Class::ALL {
            let cure = class.cure();
            assert!(!cure.steps.is_empty(), "{class:?}");
            assert_eq!(cure.branch.is_none(), class.is_no_verdict(), "{class:?}");
            assert!(1.0 <= cure.gain.0 && cure.gain.0 <= cure.gain.1, "{class:?}");
            assert!((0.0..=0.95).contains(&cure.confidence), "{class:?}");
            for step in cure.steps {
                // A line of the one-screen answer.
                assert!(step.chars().count() <= 95 && !step.ends_with('.'), "{class:?}: {step}");
            }
        }
        assert_eq!(TREE.map(|line| line.confidence), [0.95, 0.8, 0.6]);
    }

    #[test]
    fn a_gain_on_a_part_is_less_for_the_whole() {
        let cure = Class::NetworkWait.cure();
        assert_eq!(cure.whole_program(1.0), cure.gain);
        let (low, high) = cure.whole_program(0.5);
        assert!((low - 1.0 / 0.55).abs() < 1e-12 && high < 2.0, "{low} {high}");
        assert_eq!(cure.whole_program(0.0), (1.0, 1.0));
    }
}
