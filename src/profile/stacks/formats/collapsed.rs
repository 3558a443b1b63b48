//! Collapsed stacks: one line a stack, `thread;outermost;…;innermost milliseconds`.
//!
//! The oldest exchange format: flamegraph.pl, inferno, speedscope and differential tools read it.

use std::collections::BTreeMap;
use std::io;

use super::{Format, title};
use crate::profile::stacks::Stacks;

pub(super) struct Collapsed;

impl Format for Collapsed {
    fn id(&self) -> &'static str {
        "collapsed"
    }

    fn ending(&self) -> &'static str {
        "folded"
    }

    fn opens_with(&self) -> &'static str {
        "flamegraph.pl, inferno, speedscope; one line a stack, in milliseconds"
    }

    fn write(&self, stacks: &Stacks, out: &mut dyn io::Write) -> io::Result<()> {
        let names: Vec<String> = stacks.frames.iter().map(|frame| word(&title(frame))).collect();
        let mut seconds: BTreeMap<(String, u32), f64> = BTreeMap::new();
        for sample in &stacks.samples {
            let thread = word(&stacks.threads[sample.thread as usize].name);
            *seconds.entry((thread, sample.leaf)).or_default() += sample.weight_s;
        }
        // Different lines of the same functions are the same stack.
        let mut lines: BTreeMap<String, f64> = BTreeMap::new();
        for ((thread, leaf), seconds) in seconds {
            let mut frames: Vec<&str> =
                stacks.frame_ids(leaf).map(|frame| names[frame as usize].as_str()).collect();
            frames.push(&thread);
            frames.reverse();
            *lines.entry(frames.join(";")).or_default() += seconds;
        }
        for (line, seconds) in lines {
            // What was seen at all is not nothing.
            writeln!(out, "{line} {}", ((seconds * 1000.0).round() as u64).max(1))?;
        }
        Ok(())
    }
}

/// A name without what separates frames and lines.
fn word(name: &str) -> String {
    let safe = |c: char| match c {
        ';' => ':',
        c if c.is_control() || c.is_whitespace() => ' ',
        c => c,
    };
    let name: String = name.chars().map(safe).collect();
    if name.trim().is_empty() { "[no name]".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::stacks_of;
    use super::super::tests::{frame, text};
    use super::*;
    use crate::profile::stacks::Frame;

    #[test]
    fn stacks_are_lines() {
        let other_line = |name| Frame { line: Some(9), ..frame(name) };
        let stacks = stacks_of(&[
            (vec![frame("main"), frame("f")], 1.0),
            (vec![frame("main"), frame("operator;\n\"<x>\"")], 0.0001),
            (vec![other_line("main"), other_line("f")], 0.5),
        ]);
        assert_eq!(text(&Collapsed, &stacks), "a;main;f 1500\na;main;operator: \"<x>\" 1\n");
    }
}
