//! Speedscope's own JSON: a sampled profile for each thread, in seconds.
//!
//! See <https://www.speedscope.app/file-format-schema.json>.

use std::collections::HashMap;
use std::io;

use serde::ser::{Serialize, Serializer};
use serde_json::json;

use super::{Format, title};
use crate::profile::stacks::{Sample, Stacks};

pub(super) struct Speedscope;

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

impl Format for Speedscope {
    fn id(&self) -> &'static str {
        "speedscope"
    }

    fn ending(&self) -> &'static str {
        "speedscope.json"
    }

    fn opens_with(&self) -> &'static str {
        "https://www.speedscope.app"
    }

    fn write(&self, stacks: &Stacks, out: &mut dyn io::Write) -> io::Result<()> {
        // A frame is a function here: with its lines it would fall apart in the views that add up.
        let mut ids: HashMap<(&str, &str), usize> = HashMap::new();
        let mut frames = Vec::new();
        let mut frame_ids = Vec::with_capacity(stacks.frames.len());
        for frame in &stacks.frames {
            let id = *ids.entry((&frame.function, &frame.module)).or_insert_with(|| {
                let file = frame.file.as_deref().unwrap_or(&frame.module);
                frames.push(json!({ "name": title(frame), "file": file }));
                frames.len() - 1
            });
            frame_ids.push(id);
        }
        let mut of_threads: Vec<Vec<&Sample>> = vec![Vec::new(); stacks.threads.len()];
        for sample in &stacks.samples {
            of_threads[sample.thread as usize].push(sample);
        }
        write!(out, r#"{{"$schema":"{SCHEMA}","exporter":"perfup","activeProfileIndex":0,"#)?;
        write!(out, r#""shared":{{"frames":{}}},"profiles":["#, serde_json::Value::Array(frames))?;
        for (at, (thread, samples)) in stacks.threads.iter().zip(of_threads).enumerate() {
            let separator = if at > 0 { "," } else { "" };
            let name = serde_json::to_string(&format!("{} ({})", thread.name, thread.tid))?;
            let seconds: f64 = samples.iter().map(|sample| sample.weight_s).sum::<f64>() + 0.0;
            write!(out, r#"{separator}{{"type":"sampled","name":{name},"unit":"seconds","startValue":0,"#)?;
            write!(out, r#""endValue":{seconds},"samples":"#)?;
            serde_json::to_writer(
                &mut *out,
                &Each(samples.iter(), |sample: &&Sample| {
                    let mut frames: Vec<usize> =
                        stacks.frame_ids(sample.leaf).map(|frame| frame_ids[frame as usize]).collect();
                    frames.reverse();
                    frames
                }),
            )?;
            write!(out, r#","weights":"#)?;
            serde_json::to_writer(&mut *out, &Each(samples.iter(), |sample: &&Sample| sample.weight_s))?;
            write!(out, "}}")?;
        }
        writeln!(out, "]}}")
    }
}

/// A list that is made while it is written: that of a long recording would not fit into memory.
struct Each<I, F>(I, F);

impl<I: Iterator + Clone, T: Serialize, F: Fn(I::Item) -> T> Serialize for Each<I, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone().map(&self.1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::super::tests::stacks_of;
    use super::super::tests::{frame, text};
    use super::*;

    #[test]
    fn each_thread_is_a_sampled_profile() {
        let stacks = stacks_of(&[(vec![frame("main"), frame("f\"<;>\n")], 1.0), (vec![frame("main")], 0.5)]);
        let found: Value = serde_json::from_str(&text(&Speedscope, &stacks)).unwrap();
        assert_eq!(found["$schema"], SCHEMA);
        assert_eq!(found["shared"]["frames"][1], json!({ "name": "f\"<;>\n", "file": "src/a.c" }));
        let expected = json!([{
            "type": "sampled", "name": "a (1)", "unit": "seconds", "startValue": 0, "endValue": 1.5,
            "samples": [[0, 1], [0]], "weights": [1.0, 0.5],
        }]);
        assert_eq!(found["profiles"], expected);
    }
}
