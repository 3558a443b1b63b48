//! `speedup-analysis CMD…`: the same as `perfup analyze -- CMD…`.

use std::process::ExitCode;

fn main() -> ExitCode {
    if perfup::sys::runner::is_asked_for() {
        return perfup::sys::runner::main();
    }
    perfup::cli::speedup_analysis()
}
