//! Stacks as files that other tools, or a person, can open: one format a file, all of them in [`ALL`].

mod collapsed;
mod firefox;
mod flame_graph;
mod speedscope;

use std::borrow::Cow;
use std::io;

use super::{Frame, Stacks};

/// A way to write stacks.
pub trait Format: Sync {
    /// Kebab-case, unique.
    fn id(&self) -> &'static str;
    /// What the names of such files end in, without the dot in front.
    fn ending(&self) -> &'static str;
    /// One line: what opens it.
    fn opens_with(&self) -> &'static str;
    /// Writes all samples.
    ///
    /// # Errors
    /// Those of `out`.
    fn write(&self, stacks: &Stacks, out: &mut dyn io::Write) -> io::Result<()>;
}

/// Every format, in the order of listings.
pub const ALL: &[&dyn Format] =
    &[&collapsed::Collapsed, &speedscope::Speedscope, &firefox::Firefox, &flame_graph::FlameGraph];

/// What a frame is shown as, whichever line of it ran: its function, or else the module it is somewhere in.
fn title(frame: &Frame) -> Cow<'_, str> {
    match frame.module.rsplit('/').next() {
        Some(module) if frame.function == super::UNKNOWN && !module.is_empty() => {
            Cow::Owned(format!("[{}]", module.trim_matches(['[', ']'])))
        }
        _ => Cow::Borrowed(&frame.function),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::tests::stacks_of;
    use super::super::{Kind, UNKNOWN};
    use super::*;

    pub fn frame(function: &str) -> Frame {
        let (module, kind) = ("/usr/lib/a.so".to_owned(), Kind::Native);
        Frame { function: function.to_owned(), module, file: Some("src/a.c".to_owned()), line: Some(3), kind }
    }

    pub fn text(format: &dyn Format, stacks: &Stacks) -> String {
        let mut bytes = Vec::new();
        format.write(stacks, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn ids_and_endings_are_unique() {
        let ids: HashSet<_> = ALL.iter().map(|format| format.id()).collect();
        let endings: HashSet<_> = ALL.iter().map(|format| format.ending()).collect();
        assert_eq!((ids.len(), endings.len()), (ALL.len(), ALL.len()));
        assert!(
            ALL.iter().all(|format| !format.opens_with().is_empty() && !format.ending().starts_with('.'))
        );
    }

    #[test]
    fn what_has_no_name_is_called_after_its_module() {
        assert_eq!(title(&frame(UNKNOWN)), "[a.so]");
        assert_eq!(title(&Frame { module: "[kernel]".to_owned(), ..frame(UNKNOWN) }), "[kernel]");
        assert_eq!(title(&Frame { module: String::new(), ..frame(UNKNOWN) }), UNKNOWN);
        assert_eq!(title(&frame("f")), "f");
    }

    #[test]
    fn nothing_seen_is_written_too() {
        for format in ALL {
            let written = text(*format, &Stacks::default());
            check(*format, &written);
        }
    }

    /// Whether a file is what its ending says.
    fn check(format: &dyn Format, written: &str) {
        if format.ending().ends_with("json") {
            serde_json::from_str::<serde_json::Value>(written).unwrap();
        } else if format.ending() == "svg" {
            roxmltree::Document::parse(written).unwrap();
        } else {
            for line in written.lines() {
                let (stack, value) = line.rsplit_once(' ').unwrap();
                assert!(!stack.is_empty() && value.parse::<u64>().unwrap() > 0, "{line:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_functions_are_called_the_file_is_sound(
            calls in prop::collection::vec((prop::collection::vec(any::<String>(), 1..5), 0.0001_f64..2.0), 0..8),
            module in any::<String>(),
        ) {
            let frames = |names: &[String]| {
                names.iter().map(|name| Frame { module: module.clone(), ..frame(name) }).collect()
            };
            let calls: Vec<(Vec<Frame>, f64)> =
                calls.iter().map(|(names, weight)| (frames(names), *weight)).collect();
            let stacks = stacks_of(&calls);
            for format in ALL {
                check(*format, &text(*format, &stacks));
            }
        }
    }
}
