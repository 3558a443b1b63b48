//! `perfup`: hands over to the command line, or becomes the tiny runner of one measured program,
//! or a program of known size or noise for a calibration.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, before anything touches memory: a child's peak memory starts at its parent's.
    if perfup::sys::runner::is_asked_for() {
        return perfup::sys::runner::main();
    }
    perfup::trial::calibrate::re_executed().unwrap_or_else(perfup::cli::main)
}
