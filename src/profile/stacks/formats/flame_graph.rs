//! A flame graph as one SVG file: width is time, what is above was called by what is below.
//!
//! It is self-contained and whole without scripts; where scripts may run, a click zooms and Ctrl-F or `/` searches. Boxes of one
//! kind of code have one hue, and the same function the same shade in every graph.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use super::{Format, title};
use crate::profile::stacks::{Kind, Stacks};

pub(super) struct FlameGraph;

/// Measures in pixels.
const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
const ROW: f64 = 18.0;
const HEADER: f64 = 34.0;
const FOOTER: f64 = 26.0;

/// Of the 12 px monospaced face: what a letter takes.
const LETTER: f64 = 7.25;

/// Narrower boxes could not be seen.
const WIDTH_MIN: f64 = 0.2;

/// Rows of a drawing that can still be opened.
const ROWS_MAX: usize = 400;

const SCRIPT: &str = include_str!("flame_graph.js");

impl Format for FlameGraph {
    fn id(&self) -> &'static str {
        "flamegraph"
    }

    fn ending(&self) -> &'static str {
        "svg"
    }

    fn opens_with(&self) -> &'static str {
        "any web browser"
    }

    fn write(&self, stacks: &Stacks, out: &mut dyn io::Write) -> io::Result<()> {
        let tree = Tree::of(stacks);
        let boxes = tree.boxes();
        let rows = 1 + boxes.iter().map(|drawn| drawn.depth).max().unwrap_or(0);
        let height = HEADER + rows as f64 * ROW + FOOTER;
        let seconds = stacks.seconds();
        let samples = stacks.samples.len();
        write!(
            out,
            r##"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">
<style>rect.back {{ fill: #fff; }} text {{ fill: #111; pointer-events: none; }} text.head {{ font-size: 15px; }} g.box rect {{ stroke: #fff; stroke-width: 0.5; }} g.box:hover rect {{ stroke: #000; stroke-width: 1; }} g.found rect {{ fill: #d63bd6; }} g.faded {{ opacity: 0.5; }} g.off {{ display: none; }}</style>
<rect class="back" width="100%" height="100%"/>
<text class="head" x="{MARGIN}" y="22">Flame graph: {seconds:.3} s of threads in {samples} samples</text>
<text id="note" x="{MARGIN}" y="{}">Native orange, kernel purple, Python blue, run-time code green. Click to zoom, Ctrl-F to search.</text>
"##,
            height - 9.0
        )?;
        for drawn in &boxes {
            drawn.write(seconds, height, out)?;
        }
        // No end mark of such a section occurs in the script.
        writeln!(out, "<script><![CDATA[\n{SCRIPT}]]></script>\n</svg>")
    }
}

/// A function below another, whichever lines of them were seen.
struct Call {
    title: String,
    from: String,
    kind: Option<Kind>,
    seconds: f64,
    /// Ordered by name, so that two graphs of one program look alike.
    callees: BTreeMap<(String, String), usize>,
}

struct Tree {
    /// The first is the root; callers stand before those they call.
    calls: Vec<Call>,
}

impl Tree {
    fn of(stacks: &Stacks) -> Self {
        let mut tree = Self { calls: Vec::new() };
        tree.calls.push(Call {
            title: "all".to_owned(),
            from: String::new(),
            kind: None,
            seconds: 0.0,
            callees: BTreeMap::new(),
        });
        let mut seconds: BTreeMap<(&str, u32), f64> = BTreeMap::new();
        for sample in &stacks.samples {
            let name = stacks.threads[sample.thread as usize].name.as_str();
            *seconds.entry((name, sample.leaf)).or_default() += sample.weight_s;
        }
        for ((thread, leaf), seconds) in seconds {
            let mut frames: Vec<u32> = stacks.frame_ids(leaf).collect();
            frames.reverse();
            tree.calls[0].seconds += seconds;
            let mut at = tree.below(0, thread.to_owned(), String::new(), None, seconds);
            for frame in frames.into_iter().take(ROWS_MAX) {
                let frame = &stacks.frames[frame as usize];
                let from = match (&frame.file, frame.module.as_str()) {
                    (Some(file), _) => file.clone(),
                    (None, module) => module.to_owned(),
                };
                at = tree.below(at, title(frame).into_owned(), from, Some(frame.kind), seconds);
            }
        }
        tree
    }

    fn below(
        &mut self,
        caller: usize,
        title: String,
        from: String,
        kind: Option<Kind>,
        seconds: f64,
    ) -> usize {
        let fresh = self.calls.len();
        let at = *self.calls[caller].callees.entry((title.clone(), from.clone())).or_insert(fresh);
        if at == fresh {
            self.calls.push(Call { title, from, kind, seconds: 0.0, callees: BTreeMap::new() });
        }
        self.calls[at].seconds += seconds;
        at
    }

    /// What is wide enough to be seen, callers first.
    fn boxes(&self) -> Vec<Box<'_>> {
        let scale = (WIDTH - 2.0 * MARGIN) / self.calls[0].seconds.max(f64::MIN_POSITIVE);
        let mut boxes = Vec::new();
        let mut open = vec![(0, 0, MARGIN)];
        while let Some((at, depth, left)) = open.pop() {
            let call = &self.calls[at];
            let width = if at == 0 { WIDTH - 2.0 * MARGIN } else { call.seconds * scale };
            if width < WIDTH_MIN {
                continue;
            }
            boxes.push(Box { call, depth, left, width });
            let mut left = left;
            for &callee in call.callees.values() {
                open.push((callee, depth + 1, left));
                left += self.calls[callee].seconds * scale;
            }
        }
        boxes
    }
}

struct Box<'a> {
    call: &'a Call,
    depth: usize,
    left: f64,
    width: f64,
}

impl Box<'_> {
    fn write(&self, all_s: f64, height: f64, out: &mut dyn io::Write) -> io::Result<()> {
        let Call { title, from, kind, seconds, .. } = self.call;
        let share = if all_s > 0.0 { seconds / all_s * 100.0 } else { 0.0 };
        let top = height - FOOTER - (self.depth + 1) as f64 * ROW;
        let name = escape(title);
        let from = if from.is_empty() { String::new() } else { format!(" ({})", escape(from)) };
        let (left, width, bottom) = (self.left, self.width, top + ROW - 5.0);
        write!(out, r#"<g class="box"><title>{name}{from}: {seconds:.3} s, {share:.2} %</title>"#)?;
        write!(out, r#"<rect x="{left:.2}" y="{top}" width="{width:.2}" "#)?;
        write!(out, r#"height="{}" fill="{}"/>"#, ROW - 1.0, colour(*kind, title))?;
        let shown = escape(&fitting(title, width));
        writeln!(out, r#"<text x="{:.2}" y="{bottom}">{shown}</text></g>"#, left + 3.0)
    }
}

/// As much of a name as fits into a box.
fn fitting(name: &str, width: f64) -> String {
    let letters = ((width - 6.0) / LETTER).max(0.0) as usize;
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if name.chars().count() <= letters {
        return name;
    }
    // Two letters and dots tell nothing.
    if letters < 4 { String::new() } else { name.chars().take(letters - 1).chain(['…']).collect() }
}

/// A shade of its kind's hue.
fn colour(kind: Option<Kind>, name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let shade = hasher.finish() % 16;
    let (hue, saturation) = match kind {
        None => return "#d0d0d0".to_owned(),
        Some(Kind::Native) => (22 + shade, 90),
        Some(Kind::Kernel) => (262 + shade, 60),
        Some(Kind::Python) => (200 + shade, 75),
        Some(Kind::Jit) => (90 + shade * 2, 55),
    };
    format!("hsl({hue}, {saturation}%, {}%)", 68 + shade)
}

/// Text of an XML document. What no such document may hold is replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::stacks_of;
    use super::super::tests::{frame, text};
    use super::*;

    #[test]
    fn widths_are_shares() {
        let stacks = stacks_of(&[
            (vec![frame("main"), frame("operator<\"&;\n>")], 3.0),
            (vec![frame("main"), frame("g")], 1.0),
            (vec![frame("main"), frame("rare")], 0.0001),
        ]);
        let svg = text(&FlameGraph, &stacks);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let width = |starts: &str| {
            let title = document
                .descendants()
                .find(|node| node.has_tag_name("title") && node.text().unwrap().starts_with(starts))?;
            let rect = title.parent()?.children().find(|node| node.has_tag_name("rect"))?;
            rect.attribute("width")?.parse::<f64>().ok()
        };
        let all = WIDTH - 2.0 * MARGIN;
        let near = |found: Option<f64>, share: f64| (found.unwrap() - share * all).abs() < 0.5;
        assert!(near(width("all: 4.000 s, 100.00 %"), 1.0), "{svg}");
        assert!(near(width("main (src/a.c): 4.000 s"), 1.0));
        assert!(near(width("operator<\"&; > (src/a.c): 3.000 s, 75.00 %"), 0.75), "{svg}");
        assert!(near(width("g ("), 0.25));
        // It would be 0.03 px wide.
        assert_eq!(width("rare"), None);
        let shown =
            document.descendants().filter(|node| node.has_tag_name("text")).filter_map(|node| node.text());
        assert!(shown.into_iter().any(|text| text == "operator<\"&; >"));
    }

    #[test]
    fn names_are_cut_to_their_box() {
        assert_eq!(fitting("a_long_name", 6.0 + 5.0 * LETTER), "a_lo…");
        assert_eq!(fitting("abc", 6.0 + 3.0 * LETTER), "abc");
        assert_eq!(fitting("abcdef", 6.0 + 3.0 * LETTER), "");
        assert_eq!(fitting("ü\tü", 100.0), "ü ü");
    }

    #[test]
    fn a_very_deep_stack_is_drawn_up_to_a_height() {
        let stacks = stacks_of(&[(vec![frame("f"); 5000], 1.0)]);
        let svg = text(&FlameGraph, &stacks);
        assert_eq!(svg.matches("<g class=\"box\">").count(), ROWS_MAX + 2);
    }
}
