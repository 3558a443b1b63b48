//! Call stacks with the time they stand for: the one shape that every sampling source fills and every format is written
//! from.
//!
//! Stacks are kept as a tree: a node is a frame below another node, so that a million samples of a deep program cost a few
//! thousand nodes. **Invariant**: a node's parent has a smaller index; every index is valid.

pub mod formats;
mod gather;
pub mod sampling;
mod shares;
mod spaces;
mod symbols;

use std::collections::HashMap;

pub use shares::{FunctionKey, FunctionShare, InterpreterShare, KernelShares, LineShares, interpreter};

/// The name of a function without a symbol.
const UNKNOWN: &str = "[unknown]";

/// What kind of code a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Machine code of a program or a library.
    Native,
    Kernel,
    /// A line of Python.
    Python,
    /// Machine code that the program made at run time; nameless unless it says more.
    Jit,
}

/// One function, or one line of it where lines are known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Demangled; `[unknown]` where there is no symbol.
    pub function: String,
    /// The program or library it is part of, as a path; empty when not known.
    pub module: String,
    /// Source file as the program's own records name it.
    pub file: Option<String>,
    /// 1-based line of the call or of the sample.
    pub line: Option<u32>,
    pub kind: Kind,
}

/// A frame that was called from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    pub parent: Option<u32>,
    /// Index into [`Stacks::frames`].
    pub frame: u32,
}

/// A thread that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Thread {
    pub pid: u32,
    pub tid: u32,
    /// The name of its program.
    pub name: String,
}

/// A look at one thread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Seconds since the recording began.
    pub at_s: f64,
    /// Seconds this look stands for.
    pub weight_s: f64,
    /// Index into [`Stacks::threads`].
    pub thread: u32,
    /// Index into [`Stacks::nodes`]: the innermost frame.
    pub leaf: u32,
    /// Whether the thread was on a CPU or ready for one.
    pub running: bool,
}

/// Samples of call stacks of a process tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stacks {
    pub frames: Vec<Frame>,
    pub nodes: Vec<Node>,
    pub threads: Vec<Thread>,
    pub samples: Vec<Sample>,
    /// Samples that the kernel or the sampler had to drop.
    pub lost: u64,
}

/// Builds [`Stacks`], each frame, node and thread once.
#[derive(Debug, Default)]
pub struct Builder {
    stacks: Stacks,
    frames: HashMap<Frame, u32>,
    nodes: HashMap<Node, u32>,
    threads: HashMap<Thread, u32>,
}

impl Builder {
    /// The index of a frame.
    pub fn frame(&mut self, frame: Frame) -> u32 {
        intern(&mut self.frames, &mut self.stacks.frames, frame)
    }

    /// The index of a thread.
    pub fn thread(&mut self, thread: Thread) -> u32 {
        intern(&mut self.threads, &mut self.stacks.threads, thread)
    }

    /// The innermost node of a stack of frames, outermost first; absent for an empty one.
    pub fn stack(&mut self, frames: impl IntoIterator<Item = u32>) -> Option<u32> {
        self.below(None, frames)
    }

    /// The innermost node of frames, outermost first, that were called from a node; that node for none.
    fn below(&mut self, caller: Option<u32>, frames: impl IntoIterator<Item = u32>) -> Option<u32> {
        frames.into_iter().fold(caller, |parent, frame| {
            Some(intern(&mut self.nodes, &mut self.stacks.nodes, Node { parent, frame }))
        })
    }

    pub fn sample(&mut self, sample: Sample) {
        self.stacks.samples.push(sample);
    }

    pub fn lost(&mut self, samples: u64) {
        self.stacks.lost += samples;
    }

    #[must_use]
    pub fn finish(self) -> Stacks {
        self.stacks
    }
}

fn intern<T: Clone + Eq + std::hash::Hash>(known: &mut HashMap<T, u32>, all: &mut Vec<T>, item: T) -> u32 {
    *known.entry(item).or_insert_with_key(|item| {
        all.push(item.clone());
        // 2³² frames would not fit into memory.
        all.len() as u32 - 1
    })
}

impl Stacks {
    /// Adds the samples of another run after this one's.
    pub fn add(&mut self, other: &Self) {
        let mut builder = Builder {
            frames: index(&self.frames),
            nodes: index(&self.nodes),
            threads: index(&self.threads),
            stacks: std::mem::take(self),
        };
        let begin_s =
            builder.stacks.samples.iter().map(|sample| sample.at_s + sample.weight_s).fold(0.0, f64::max);
        let frames: Vec<u32> = other.frames.iter().map(|frame| builder.frame(frame.clone())).collect();
        let threads: Vec<u32> = other.threads.iter().map(|thread| builder.thread(thread.clone())).collect();
        let mut nodes: Vec<u32> = Vec::with_capacity(other.nodes.len());
        for node in &other.nodes {
            let moved = Node {
                parent: node.parent.map(|parent| nodes[parent as usize]),
                frame: frames[node.frame as usize],
            };
            nodes.push(intern(&mut builder.nodes, &mut builder.stacks.nodes, moved));
        }
        for sample in &other.samples {
            builder.sample(Sample {
                at_s: begin_s + sample.at_s,
                thread: threads[sample.thread as usize],
                leaf: nodes[sample.leaf as usize],
                ..*sample
            });
        }
        builder.lost(other.lost);
        *self = builder.finish();
    }

    /// The frames of a stack, innermost first.
    pub fn frames_of(&self, leaf: u32) -> impl Iterator<Item = &Frame> {
        self.frame_ids(leaf).map(|frame| &self.frames[frame as usize])
    }

    /// The same as indices into [`Self::frames`].
    fn frame_ids(&self, leaf: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(leaf), |&node| self.nodes[node as usize].parent)
            .map(|node| self.nodes[node as usize].frame)
    }

    /// Seconds that all samples stand for.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.samples.iter().map(|sample| sample.weight_s).sum()
    }
}

fn index<T: Clone + Eq + std::hash::Hash>(items: &[T]) -> HashMap<T, u32> {
    items.iter().cloned().zip(0..).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str) -> Frame {
        Frame {
            function: function.to_owned(),
            module: String::new(),
            file: None,
            line: None,
            kind: Kind::Native,
        }
    }

    /// Samples of one thread: frames, outermost first, with the seconds each stands for.
    pub fn stacks_of(calls: &[(Vec<Frame>, f64)]) -> Stacks {
        let mut builder = Builder::default();
        let thread = builder.thread(Thread { pid: 1, tid: 1, name: "a".to_owned() });
        let mut at_s = 0.0;
        for (frames, weight_s) in calls {
            let frames: Vec<u32> = frames.iter().map(|frame| builder.frame(frame.clone())).collect();
            if let Some(leaf) = builder.stack(frames) {
                builder.sample(Sample { at_s, weight_s: *weight_s, thread, leaf, running: true });
                at_s += weight_s;
            }
        }
        builder.finish()
    }

    fn stacks(calls: &[&[&str]]) -> Stacks {
        let of = |call: &&[&str]| (call.iter().map(|name| frame(name)).collect(), 1.0);
        stacks_of(&calls.iter().map(of).collect::<Vec<_>>())
    }

    #[test]
    fn equal_stacks_share_their_nodes() {
        let stacks = stacks(&[&["main", "f"], &["main", "g"], &["main", "f"], &[]]);
        assert_eq!((stacks.frames.len(), stacks.nodes.len(), stacks.samples.len()), (3, 3, 3));
        let names: Vec<&str> =
            stacks.frames_of(stacks.samples[1].leaf).map(|frame| frame.function.as_str()).collect();
        assert_eq!(names, ["g", "main"]);
    }

    #[test]
    fn another_run_is_added_behind() {
        let mut sum = stacks(&[&["main", "f"]]);
        sum.add(&stacks(&[&["main", "g"], &["main", "f"]]));
        assert_eq!((sum.frames.len(), sum.nodes.len(), sum.samples.len()), (3, 3, 3));
        assert_eq!(sum.samples[0].leaf, sum.samples[2].leaf);
        assert!(sum.samples[1].at_s >= 1.0);
        assert!((sum.seconds() - 3.0).abs() < 1e-12);
    }
}
