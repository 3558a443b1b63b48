//! The live line of a trial on a terminal. Drawn between rounds only, never while a sample is taken.

use indicatif::ProgressBar;

use super::super::terminal::Terminal;
use crate::config::Metric;
use crate::report::words;
use crate::trial::Progress;

pub(super) struct Bar {
    bar: ProgressBar,
    metric: Metric,
}

impl Bar {
    pub fn new(terminal: &Terminal, metric: &Metric) -> Self {
        Self { bar: terminal.progress_bar(), metric: metric.clone() }
    }

    pub fn show(&self, progress: &Progress) {
        let message = match progress {
            Progress::Working(what) => what.clone(),
            Progress::Round { done, max, elapsed, budget, median, open } => {
                let median = median.map(|median| words::value(&self.metric, median)).unwrap_or_default();
                let time = match budget.as_secs() {
                    // Practically none.
                    budget if budget > 365 * 86_400 => format!("{} s", elapsed.as_secs()),
                    budget => format!("{} of {budget} s", elapsed.as_secs()),
                };
                let so_far = open.as_ref().map_or_else(
                    || format!(", median {median}"),
                    |(name, estimate)| format!(": {name} {}", words::comparison(estimate, &self.metric)),
                );
                format!("round {done} of at most {max}, {time}{so_far}")
            }
        };
        self.bar.set_message(message);
        self.bar.tick();
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
