//! The processed profile of the Firefox Profiler: a time line of every thread.
//!
//! See <https://github.com/firefox-devtools/profiler/blob/main/docs-developer/processed-profile-format.md>.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::Duration;

use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CpuDelta, Frame as Label, FrameFlags, FrameInfo, Profile,
    ReferenceTimestamp, SamplingInterval, StackHandle, ThreadHandle, Timestamp, WeightType,
};

use super::{Format, title};
use crate::profile::stacks::{Kind, Stacks};

pub(super) struct Firefox;

impl Format for Firefox {
    fn id(&self) -> &'static str {
        "firefox"
    }

    fn ending(&self) -> &'static str {
        "profile.json"
    }

    fn opens_with(&self) -> &'static str {
        "https://profiler.firefox.com"
    }

    fn write(&self, stacks: &Stacks, out: &mut dyn io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, &profile(stacks))?;
        writeln!(out)
    }
}

fn profile(stacks: &Stacks) -> Profile {
    let interval_s = stacks.samples.iter().map(|sample| sample.weight_s).fold(f64::INFINITY, f64::min);
    let interval_s = if interval_s.is_finite() { interval_s.max(1e-6) } else { 0.001 };
    let interval = SamplingInterval::from_nanos(nanoseconds(interval_s));
    // The stacks do not say on which day they were seen.
    let begin = ReferenceTimestamp::from_duration_since_unix_epoch(Duration::ZERO);
    let mut profile = Profile::new("perfup", begin, interval);
    let categories = categories(&mut profile);
    let threads = threads(&mut profile, stacks);
    let titles: Vec<_> = stacks.frames.iter().map(|frame| profile.intern_string(&title(frame))).collect();
    let mut known: HashMap<(u32, u32), StackHandle> = HashMap::new();
    for sample in &stacks.samples {
        let handle = threads[sample.thread as usize];
        // Outwards until a node that this thread has had before, then back.
        let mut fresh = Vec::new();
        let mut next = Some(sample.leaf);
        let mut stack = None;
        while let Some(node) = next {
            if let Some(found) = known.get(&(sample.thread, node)) {
                stack = Some(*found);
                break;
            }
            fresh.push(node);
            next = stacks.nodes[node as usize].parent;
        }
        for node in fresh.into_iter().rev() {
            let frame = stacks.nodes[node as usize].frame as usize;
            let category_pair = categories[&stacks.frames[frame].kind].into();
            let info =
                FrameInfo { frame: Label::Label(titles[frame]), category_pair, flags: FrameFlags::empty() };
            let interned = profile.intern_frame(handle, info);
            let below = profile.intern_stack(handle, stack, interned);
            known.insert((sample.thread, node), below);
            stack = Some(below);
        }
        let at = Timestamp::from_nanos_since_reference(nanoseconds(sample.at_s));
        let cpu =
            if sample.running { CpuDelta::from_nanos(nanoseconds(sample.weight_s)) } else { CpuDelta::ZERO };
        profile.add_sample(handle, at, stack, cpu, (sample.weight_s / interval_s).round().max(1.0) as i32);
    }
    profile
}

fn categories(profile: &mut Profile) -> HashMap<Kind, CategoryHandle> {
    let all = [
        (Kind::Native, "Native", CategoryColor::Orange),
        (Kind::Kernel, "Kernel", CategoryColor::Purple),
        (Kind::Python, "Python", CategoryColor::Blue),
        (Kind::Jit, "JIT", CategoryColor::Green),
    ];
    all.into_iter().map(|(kind, name, color)| (kind, profile.add_category(name, color))).collect()
}

/// A handle for each thread.
fn threads(profile: &mut Profile, stacks: &Stacks) -> Vec<ThreadHandle> {
    let mut spans = vec![(f64::INFINITY, 0.0_f64); stacks.threads.len()];
    for sample in &stacks.samples {
        let (first, last) = &mut spans[sample.thread as usize];
        *first = first.min(sample.at_s);
        *last = last.max(sample.at_s + sample.weight_s);
    }
    let stamp = |seconds: f64| Timestamp::from_nanos_since_reference(nanoseconds(seconds));
    let mut processes = BTreeMap::new();
    let mut handles = Vec::with_capacity(stacks.threads.len());
    for (thread, (first, last)) in stacks.threads.iter().zip(spans) {
        let first = if first.is_finite() { first } else { 0.0 };
        let process = *processes
            .entry(thread.pid)
            .or_insert_with(|| profile.add_process(&thread.name, thread.pid, stamp(first)));
        let handle = profile.add_thread(process, thread.tid, stamp(first), thread.pid == thread.tid);
        profile.set_thread_name(handle, &thread.name);
        profile.set_thread_end_time(handle, stamp(last));
        profile.set_thread_samples_weight_type(handle, WeightType::Samples);
        handles.push(handle);
    }
    handles
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::super::tests::stacks_of;
    use super::super::tests::{frame, text};
    use super::*;

    #[test]
    fn threads_have_their_samples() {
        let stacks = stacks_of(&[
            (vec![frame("main"), frame("f\"<;>\n")], 0.001),
            (vec![frame("main")], 0.002),
            (vec![frame("main"), frame("f\"<;>\n")], 0.001),
        ]);
        let found: Value = serde_json::from_str(&text(&Firefox, &stacks)).unwrap();
        assert_eq!(found["meta"]["product"], "perfup");
        assert_eq!(found["meta"]["interval"], 1.0);
        let thread = &found["threads"][0];
        assert_eq!((&thread["name"], &thread["isMainThread"]), (&Value::from("a"), &Value::from(true)));
        assert_eq!(thread["samples"]["weight"], serde_json::json!([1, 2, 1]));
        let samples = thread["samples"]["stack"].as_array().unwrap();
        assert_eq!((samples.len(), &samples[0]), (3, &samples[2]));
        assert_ne!(samples[0], samples[1]);
        let strings = found["shared"]["stringArray"].as_array().or(thread["stringArray"].as_array()).unwrap();
        assert!(strings.contains(&Value::from("f\"<;>\n")), "{strings:?}");
    }
}
