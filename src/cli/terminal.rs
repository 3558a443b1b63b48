//! Writing to the terminal: colours when wanted, a broken pipe without fuss.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::ColorWhen;

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    color: anstream::ColorChoice,
    quiet: u8,
}

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// `text` in `style`; the style is stripped again where colours are off.
pub(super) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

impl Terminal {
    pub fn new(when: ColorWhen, quiet: u8) -> Self {
        let color = match when {
            ColorWhen::Auto => anstream::ColorChoice::Auto,
            ColorWhen::Always => anstream::ColorChoice::AlwaysAnsi,
            ColorWhen::Never => anstream::ColorChoice::Never,
        };
        Self { color, quiet }
    }

    /// A result. A reader that has gone away, as in `perfup log list | head`, has seen enough.
    pub fn result(&self, text: &str) {
        let mut out = anstream::AutoStream::new(io::stdout().lock(), self.color);
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// A line of the story.
    pub fn say(&self, line: &str) {
        if self.quiet == 0 {
            self.error_line(line);
        }
    }

    /// A warning.
    pub fn warn(&self, text: &str, hint: Option<&str>) {
        if self.quiet < 2 {
            self.error_line(&format!("{} {text}", paint(WARN, "warning:")));
            if let Some(hint) = hint {
                self.error_line(&format!("   {} {hint}", paint(HINT, "hint:")));
            }
        }
    }

    pub fn error_line(&self, line: &str) {
        let mut out = anstream::AutoStream::new(io::stderr().lock(), self.color);
        let _ = writeln!(out, "{line}");
    }

    /// Whether progress may be drawn.
    fn draws_progress(&self) -> bool {
        self.quiet == 0 && io::stderr().is_terminal()
    }

    /// A line that is drawn over and over; hidden where progress may not be drawn.
    pub fn progress_bar(&self) -> ProgressBar {
        let target =
            if self.draws_progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style =
            ProgressStyle::with_template("  {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        ProgressBar::with_draw_target(None, target).with_style(style)
    }

    /// Columns that a line of a result may have.
    pub fn width(&self) -> usize {
        if !io::stdout().is_terminal() {
            return usize::MAX;
        }
        let (_, columns) = console::Term::stdout().size();
        columns.into()
    }
}

/// Developers' messages, on standard error.
pub(super) fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    // Fails only if somebody has installed one before, which then is the one to use.
    let _ = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).try_init();
}
