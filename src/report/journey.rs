//! `reports/<session>.md`: how the program got from X to Y, and what did not help.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// Everything that the report tells; all texts are ready for reading.
#[derive(Debug, Clone, Serialize)]
pub struct Journey {
    pub session: String,
    pub benchmark: String,
    pub command: String,
    /// One sentence with the whole result.
    pub headline: String,
    pub base: String,
    pub tip: String,
    pub branch: String,
    pub stages: Vec<Stage>,
    pub dead_ends: Vec<DeadEnd>,
    pub withheld: Vec<String>,
    pub bottleneck: Vec<String>,
    pub headroom: String,
    pub learned: Vec<String>,
    pub machine: Vec<String>,
    pub notes: Vec<String>,
}

/// A change that was kept.
#[derive(Debug, Clone, Serialize)]
pub struct Stage {
    pub number: u32,
    pub title: String,
    pub why: String,
    pub impact: String,
    pub commit: String,
}

/// A change that was not.
#[derive(Debug, Clone, Serialize)]
pub struct DeadEnd {
    pub number: u32,
    pub title: String,
    pub reason: String,
}

/// The Markdown.
///
/// # Errors
/// Only if the template, which is part of the binary, is broken.
pub fn markdown(journey: &Journey) -> Result<String, minijinja::Error> {
    render(include_str!("journey.md.j2"), journey)
}

/// Renders one of the binary's own templates; a name that the data lacks is an error.
///
/// # Errors
/// The template engine's.
pub fn render(template: &str, data: &impl Serialize) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    environment.render_str(template, Serde(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_tells_the_whole_story() {
        let journey = Journey {
            session: "20260101-000000-abcd".to_owned(),
            benchmark: "crunch".to_owned(),
            command: "python3 crunch.py".to_owned(),
            headline: "612 ms → 187 ms: 3.27x faster (3.10–3.41, 12 pairs).".to_owned(),
            base: "0123456789".to_owned(),
            tip: "abcdef0123".to_owned(),
            branch: "perfup/20260101-000000-abcd/tip".to_owned(),
            stages: vec![Stage {
                number: 1,
                title: "Use a set".to_owned(),
                why: "Each test scans the list.".to_owned(),
                impact: "2.01x faster (1.90–2.10, 9 pairs)".to_owned(),
                commit: "abcdef0123".to_owned(),
            }],
            dead_ends: vec![DeadEnd {
                number: 2,
                title: "Compile the pattern once".to_owned(),
                reason: "no gain in 6 pairs (+0.3 %)".to_owned(),
            }],
            withheld: vec!["Run in parallel (--allow parallel)".to_owned()],
            bottleneck: vec!["interpreter-overhead (90 % sure)".to_owned()],
            headroom: "Floor 300 ms.".to_owned(),
            learned: vec!["standard output was the same in 16 runs".to_owned()],
            machine: vec!["2 cores".to_owned()],
            notes: Vec::new(),
        };
        insta::assert_snapshot!(markdown(&journey).unwrap());
    }
}
