//! Events → the story on standard error: one line per thing that happened, and between samples a progress line on a
//! terminal. Never draws while a sample is taken: it only wakes when an event comes.

use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use indicatif::ProgressBar;

use super::terminal::{BAD, BOLD, DIM, GOOD, Terminal, paint};
use crate::config::Metric;
use crate::experiment::{Event, Events, Phase};
use crate::report::words;
use crate::spec;
use crate::verify::Outcome;

/// Listens until the session has ended.
pub(super) struct Story {
    thread: JoinHandle<()>,
}

/// Starts to listen.
pub(super) fn start(terminal: &Terminal) -> (Events, Story) {
    let (sender, receiver) = mpsc::channel();
    let terminal = *terminal;
    let thread = std::thread::spawn(move || Teller::new(terminal).tell(&receiver));
    (Events::to(sender), Story { thread })
}

impl Story {
    /// Waits until all has been told; every [`Events`] must be gone by then.
    pub fn end(self) {
        // A teller that panicked has nothing more to tell.
        let _ = self.thread.join();
    }
}

struct Teller {
    terminal: Terminal,
    bar: ProgressBar,
    metric: Metric,
    diagnosed: bool,
}

impl Teller {
    fn new(terminal: Terminal) -> Self {
        Self { terminal, bar: terminal.progress_bar(), metric: Metric::Wall, diagnosed: false }
    }

    fn tell(mut self, events: &Receiver<Event>) {
        for event in events {
            self.event(event);
        }
        self.bar.finish_and_clear();
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| self.terminal.say(line));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Started { session, benchmark, command, base, resumed } => {
                let verb = if resumed { "resuming" } else { "session" };
                self.say(&format!("{} {benchmark}: {command}", paint(BOLD, "perfup")));
                self.say(&paint(DIM, format!("  {verb} {session}, from commit {base}")));
            }
            Event::Note(text) => self.say(&format!("  {text}")),
            Event::Warning { text, hint } => {
                self.bar.suspend(|| self.terminal.warn(&text, hint.as_deref()));
            }
            Event::Working(what) => self.progress(what),
            Event::Learned(sentences) => {
                for sentence in sentences {
                    self.say(&format!("  {sentence}"));
                }
            }
            Event::Measured { phase, done, most, redone, estimate } => {
                let what = match phase {
                    Phase::Control => "measuring the original against itself",
                    Phase::Relearn => "looking how the original's output varies",
                    Phase::Screen => "screening",
                    Phase::Confirm => "confirming with fresh pairs",
                    Phase::Claim => "measuring the result against the original",
                };
                let estimate = estimate.filter(|_| !matches!(phase, Phase::Control | Phase::Relearn));
                let so_far = estimate.map_or(String::new(), |estimate| {
                    format!(": {}", words::comparison(&estimate, &self.metric))
                });
                let again = match redone {
                    0 => String::new(),
                    pairs => format!(", {pairs} disturbed and run again"),
                };
                self.progress(format!("{what}, {done} of at most {most} pairs{again}{so_far}"));
            }
            Event::Baseline { metric, median, noise, runs } => {
                let value = paint(BOLD, words::value(&metric, median));
                self.metric = metric;
                let noise = noise.map_or("noise not known".to_owned(), |noise| {
                    format!("noise {} per pair", words::percent(noise))
                });
                self.say(&format!("{} {value} (median of {runs} runs, {noise})", paint(BOLD, "baseline")));
            }
            Event::Watching { seconds, shares } => {
                let shares: Vec<String> = shares
                    .iter()
                    .take(3)
                    .map(|(class, share)| format!("{} {}", class.id(), words::percent(*share)))
                    .collect();
                self.progress(format!("watching, {seconds:.0} s: {}", shares.join(", ")));
            }
            Event::Steady { seconds, class, share } => {
                let verdict = paint(BOLD, class.id());
                let share = words::percent(share);
                self.say(&format!(
                    "  after {seconds:.0} s: {verdict}, steadily {share} of the time; watching on"
                ));
            }
            Event::Diagnosed(diagnosis) => {
                self.say(&format!("{} {}", paint(BOLD, "bottleneck"), spec::bottleneck(&diagnosis)));
                // Later diagnoses, of each keep, are for the report.
                if !self.diagnosed {
                    for piece in &diagnosis.evidence {
                        self.say(&paint(DIM, format!("  {}", piece.text)));
                    }
                    self.say(&format!("{} {}", paint(BOLD, "floor"), spec::floor(&diagnosis)));
                }
                self.diagnosed = true;
            }
            Event::Planned(ranked) => {
                let count = ranked.queue.len();
                let noun = if count == 1 { "hypothesis" } else { "hypotheses" };
                self.say(&format!("{} {count} {noun}", paint(BOLD, "plan")));
                for (hypothesis, policy) in &ranked.withheld {
                    self.say(&format!("  withheld: {} (--allow {})", hypothesis.title, policy.word()));
                }
            }
            Event::AttemptStarted { number, hypothesis } => {
                let level = format!("{:?}", hypothesis.level);
                self.say(&format!(
                    "{} {} [{level}]",
                    paint(BOLD, format!("attempt {number}")),
                    hypothesis.title
                ));
            }
            Event::AttemptClosed { outcome, estimate, .. } => {
                let word = match outcome {
                    Outcome::Kept => paint(GOOD, "keep"),
                    Outcome::Discarded(_) => paint(BAD, "discard"),
                    Outcome::Crashed(_) => paint(BAD, "crash"),
                };
                let why = match (&outcome, estimate) {
                    (Outcome::Kept, Some(estimate)) => words::comparison(&estimate, &self.metric),
                    _ => outcome.to_string(),
                };
                self.say(&format!("  {word}  {why}"));
            }
            Event::Stopping(why) => self.say(&paint(DIM, format!("  {why}"))),
        }
    }

    fn progress(&self, message: String) {
        self.bar.set_message(message);
        self.bar.tick();
    }
}
