//! What the answers amount to: right, wrong, withheld, and the confusion matrix.

use std::collections::{BTreeMap, BTreeSet};

use perfup::diagnose::Class;
use perfup::stats::proportion;
use perfup::stats::summary::median;

use super::catalogue::Program;
use super::workshop::Answer;

/// From here on a verdict counts as confident.
pub const CONFIDENT: f64 = 0.8;

/// CPUs that others may keep busy on a machine that counts as idle: a program that waits for a CPU in a tenth of its time
/// is told that the machine is busy, and with two CPUs that takes about this much.
const OTHERS_MAX: f64 = 0.2;

/// How an answer stands to the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Right,
    /// The machine was too busy for a verdict, and the class named apart from the load is right.
    RightApartFromLoad,
    /// No verdict.
    Withheld,
    Wrong,
    ConfidentlyWrong,
}

impl Mark {
    pub fn of(program: &Program, answer: &Answer) -> Self {
        if program.accepts(answer.class) {
            return Self::Right;
        }
        match answer.class {
            Class::NotEnoughEvidence => Self::Withheld,
            Class::MachineBusy if answer.apart_from_load.is_some_and(|class| program.accepts(class)) => {
                Self::RightApartFromLoad
            }
            // On an idle machine it is a claim like any other.
            Class::MachineBusy if answer.others > OTHERS_MAX => Self::Withheld,
            _ if answer.confidence >= CONFIDENT => Self::ConfidentlyWrong,
            _ => Self::Wrong,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Right => "ok",
            Self::RightApartFromLoad => "ok but load",
            Self::Withheld => "withheld",
            Self::Wrong => "wrong",
            Self::ConfidentlyWrong => "WRONG",
        }
    }
}

/// All answers so far.
#[derive(Default)]
pub struct Tally {
    marks: Vec<Mark>,
    /// Answers by label and verdict.
    matrix: BTreeMap<(Class, Class), u32>,
    /// By program.
    unattributed: Vec<(f64, String)>,
    imbalance_max: f64,
    seconds: f64,
    others: Vec<f64>,
    /// Programs that got no answer.
    failed: u64,
}

impl Tally {
    pub fn count(&mut self, program: &Program, answer: &Answer, mark: Mark) {
        self.marks.push(mark);
        *self.matrix.entry((program.label, answer.class)).or_default() += 1;
        self.unattributed.push((answer.unattributed(), program.name.clone()));
        self.imbalance_max = self.imbalance_max.max(answer.imbalance());
        self.seconds += answer.seconds;
        self.others.push(answer.others);
    }

    pub fn count_failure(&mut self) {
        self.failed += 1;
    }

    fn with(&self, mark: Mark) -> u64 {
        self.marks.iter().filter(|&&other| other == mark).count() as u64
    }

    /// The confusion matrix: labels down, verdicts across.
    pub fn matrix(&self) -> String {
        let labels: BTreeSet<Class> = self.matrix.keys().map(|(label, _)| *label).collect();
        let verdicts: BTreeSet<Class> = self.matrix.keys().map(|(_, verdict)| *verdict).collect();
        let letter = |column: usize| char::from(b'a' + column as u8);
        let mut text = format!("{:<30}", "label \\ verdict");
        for column in 0..verdicts.len() {
            text.push_str(&format!("{:>4}", letter(column)));
        }
        text.push('\n');
        for label in &labels {
            text.push_str(&format!("{:<30}", label.id()));
            for verdict in &verdicts {
                let count = self.matrix.get(&(*label, *verdict)).copied().unwrap_or(0);
                let cell = if count == 0 { ".".to_owned() } else { count.to_string() };
                text.push_str(&format!("{cell:>4}"));
            }
            text.push('\n');
        }
        let legend: Vec<String> = verdicts
            .iter()
            .enumerate()
            .map(|(column, class)| format!("{} {}", letter(column), class.id()))
            .collect();
        text.push_str(&format!("{}\n", legend.join(", ")));
        text
    }

    /// The figures, one to a line.
    pub fn summary(&self) -> String {
        let all = self.marks.len() as u64 + self.failed;
        let right = self.with(Mark::Right);
        let (low, high) = proportion::interval(right, all, 0.95);
        let percent = |count: u64| 100.0 * count as f64 / all.max(1) as f64;
        let mut worst = self.unattributed.clone();
        worst.sort_by(|a, b| b.0.total_cmp(&a.0));
        let shares: Vec<f64> = worst.iter().map(|(share, _)| *share).collect();
        let worst: Vec<String> =
            worst.iter().take(3).map(|(share, name)| format!("{name} {:.1} %", share * 100.0)).collect();
        [
            format!(
                "right at the first place: {right} of {all}, {:.1} % [{:.0}, {:.0}]",
                percent(right),
                100.0 * low,
                100.0 * high
            ),
            format!("right apart from the load: {}", self.with(Mark::RightApartFromLoad)),
            format!(
                "confidently wrong (confidence at least {CONFIDENT}): {}",
                self.with(Mark::ConfidentlyWrong)
            ),
            format!("wrong without confidence: {}", self.with(Mark::Wrong)),
            format!("withheld: {}", self.with(Mark::Withheld)),
            format!("without an answer: {}", self.failed),
            format!("sum of the shares: at most {:.2} % from 100 %", self.imbalance_max * 100.0),
            format!(
                "unattributed: median {:.1} %, most {}",
                median(&shares).unwrap_or(f64::NAN) * 100.0,
                worst.join(", ")
            ),
            format!("seconds of analysis: {:.0}", self.seconds),
            format!("CPUs kept busy by others: median {:.2}", median(&self.others).unwrap_or(f64::NAN)),
        ]
        .join("\n")
    }
}
