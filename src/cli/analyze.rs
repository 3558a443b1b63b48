//! `perfup analyze` and `speedup-analysis`: the first half of the loop.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::arguments::BenchmarkArgs;
use super::failure::Failure;
use super::terminal::{BOLD, Terminal, paint};
use super::{Global, setup, story};
use crate::config::{CommandLine, Config};
use crate::experiment::{self, Analysis, Setup};
use crate::plan::Priority;
use crate::report;
use crate::spec;
use crate::sys::signals;

pub(super) const EXAMPLES: &str = "Examples:
  speedup-analysis python3 slow.py data.csv   a command as you would type it
  speedup-analysis slow.py                    a script
  speedup-analysis crunch                     a benchmark of perfup.toml
  speedup-analysis --json -- ./slow | jq .bottleneck.class";

/// Measure a command, say where its time goes, and write specs/<name>_speedup.md
///
/// Runs the command where you stand and changes nothing but the spec. Needs no repository.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  perfup analyze -- python3 slow.py data.csv
  perfup analyze crunch                   a benchmark of perfup.toml
  perfup analyze --json -- ./slow | jq .bottleneck.class")]
pub(super) struct AnalyzeArgs {
    #[command(flatten)]
    benchmark: BenchmarkArgs,
}

/// A command without the need of `--`.
#[derive(Debug, Args)]
pub(super) struct WordsArgs {
    /// The command, a script, or the name of a benchmark of perfup.toml
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    words: Vec<String>,
}

pub(super) fn analyze(args: &AnalyzeArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    told(global, terminal, |setup| {
        let file = setup::config_file(setup)?;
        // One word may be a script as well as a benchmark.
        if let (Some(name), true) = (&args.benchmark.name, args.benchmark.command.is_empty())
            && file.as_ref().is_none_or(|file| file.select(Some(name)).is_err())
            && let Some(command) = script(setup, name)
        {
            return Ok(Config::for_command(command));
        }
        Ok(args.benchmark.config(file.as_ref(), &setup::root(setup))?)
    })
}

pub(super) fn words(args: &WordsArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    told(global, terminal, |setup| {
        let words = match args.words.split_first() {
            Some((first, rest)) if first == "--" => rest,
            _ => args.words.as_slice(),
        };
        if let [word] = words {
            if let Some(file) = setup::config_file(setup)?
                && let Ok(config) = file.select(Some(word))
            {
                return Ok(config);
            }
            if let Some(command) = script(setup, word) {
                return Ok(Config::for_command(command));
            }
            let line = CommandLine::parse(word)
                .map_err(|message| Failure::usage(format!("{word:?}: {message}"), "give a command"))?;
            return Ok(Config::for_command(line));
        }
        if words.is_empty() {
            return Err(Failure::usage(
                "there is nothing to analyse",
                "give a command, a script or a benchmark",
            ));
        }
        Ok(Config::for_command(CommandLine::Argv(words.to_vec())))
    })
}

/// How a script that is named alone is run: as itself when it is executable, else by its ending's interpreter.
fn script(setup: &Setup, word: &str) -> Option<CommandLine> {
    use std::os::unix::fs::PermissionsExt;
    let path = setup.folder.join(word);
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    if metadata.permissions().mode() & 0o111 != 0 {
        let named = if word.contains('/') { word.to_owned() } else { format!("./{word}") };
        return Some(CommandLine::Argv(vec![named]));
    }
    let interpreter = match Path::new(word).extension()?.to_str()? {
        "py" => "python3",
        "sh" => "sh",
        "bash" => "bash",
        "js" | "mjs" => "node",
        "rb" => "ruby",
        "pl" => "perl",
        _ => return None,
    };
    Some(CommandLine::Argv(vec![interpreter.to_owned(), word.to_owned()]))
}

fn told(
    global: &Global,
    terminal: &Terminal,
    config: impl FnOnce(&Setup) -> Result<Config, Failure>,
) -> Result<ExitCode, Failure> {
    signals::install().map_err(|error| Failure::io("catch signals", error))?;
    let (events, story) = story::start(terminal);
    let setup = setup::setup(global, events)?;
    let analysis = config(&setup).and_then(|mut config| {
        config.settle_paths(&setup::root(&setup))?;
        experiment::analyse(&setup, &config).map_err(Failure::Analysis)
    });
    drop(setup);
    story.end();
    let analysis = analysis?;
    if global.json {
        terminal.result(&format!("{}\n", report::json("analysis", &analysis)?));
    } else {
        terminal.result(&text(&analysis));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(analysis: &Analysis) -> String {
    let diagnosis = &analysis.diagnosis;
    let mut text = format!("\n{}\n", paint(BOLD, &analysis.command));
    for line in spec::performance(diagnosis) {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str(&format!("{} {}\n", paint(BOLD, "bottleneck"), spec::bottleneck(diagnosis)));
    for piece in &diagnosis.evidence {
        text.push_str(&format!("  {}\n", piece.text));
    }
    text.push_str(&format!("{} {}\n", paint(BOLD, "floor"), spec::floor(diagnosis)));
    for line in &diagnosis.absent {
        text.push_str(&format!("  not seen: {line}\n"));
    }
    if analysis.hypotheses.is_empty() {
        text.push_str("no built-in recipe applies\n");
    } else {
        text.push_str(&format!("{}\n", paint(BOLD, "what may help, best first")));
    }
    for (index, hypothesis) in analysis.hypotheses.iter().enumerate() {
        let priority = Priority::of(hypothesis.scores);
        text.push_str(&format!(
            "  {}. [{priority:?} {:?}] {} (expected {:.1}x–{:.1}x)\n",
            index + 1,
            hypothesis.level,
            hypothesis.title,
            hypothesis.expected.0,
            hypothesis.expected.1
        ));
    }
    for title in &analysis.withheld {
        text.push_str(&format!("  only with your consent: {title}\n"));
    }
    text.push_str(&format!("spec: {}\n", analysis.spec.display()));
    text
}
