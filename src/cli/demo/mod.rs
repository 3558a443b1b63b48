//! `perfup demo`: a real slow program, made fast before your eyes.

mod projects;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::terminal::{BOLD, DIM, Terminal, paint};
use super::{Global, run, setup};
use crate::experiment::{self, Guesses};
use crate::report;
use crate::workspace::create_repository;
use projects::{PROJECTS, Project};

/// Make a bundled slow program fast, in a git repository of its own
///
/// Without a name, lists the programs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  perfup demo                           what there is
  perfup demo text-cruncher             run the whole loop on it
  perfup demo shell-spawn --into /tmp/x --only-copy")]
pub(super) struct DemoArgs {
    /// The program
    name: Option<String>,

    /// Copy it here [default: a new temporary folder]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,

    /// Only copy it; run nothing
    #[arg(long)]
    only_copy: bool,
}

pub(super) fn demo(args: &DemoArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let Some(name) = &args.name else {
        return list(global, terminal);
    };
    let Some(project) = PROJECTS.iter().find(|project| project.name == name) else {
        let known: Vec<&str> = PROJECTS.iter().map(|project| project.name).collect();
        return Err(Failure::usage(
            format!("there is no demo named {name:?}"),
            format!("there are: {}", known.join(", ")),
        ));
    };
    let root = materialise(project, args.into.as_deref())?;
    terminal.say(&paint(DIM, format!("a copy of {name}, with its git history, is in {}", root.display())));
    if args.only_copy {
        terminal.result(&format!("{}\n", root.display()));
        return Ok(ExitCode::SUCCESS);
    }
    run::told(global, terminal, false, |setup| {
        let setup = experiment::Setup { folder: root, ..setup.clone() };
        let file = setup::config_file(&setup)?;
        let config = file.map(|file| file.select(Some(project.benchmark))).transpose()?;
        let config = config.ok_or_else(|| Failure::usage("the demo has no perfup.toml", "report this"))?;
        Ok(experiment::run(&setup, config, Guesses::default())?)
    })
}

fn list(global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    if global.json {
        let names: Vec<&str> = PROJECTS.iter().map(|project| project.name).collect();
        terminal.result(&format!("{}\n", report::json("demos", &names)?));
        return Ok(ExitCode::SUCCESS);
    }
    for project in PROJECTS {
        terminal.result(&format!("{:<18} {}\n", paint(BOLD, project.name), project.about));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the project's files and makes them the first commit of a new repository.
fn materialise(project: &Project, into: Option<&Path>) -> Result<PathBuf, Failure> {
    let root = match into {
        Some(folder) => {
            if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(Failure::usage(
                    format!("{} is not empty", folder.display()),
                    "name a new folder",
                ));
            }
            folder.to_owned()
        }
        None => tempfile::Builder::new()
            .prefix(&format!("{}-", project.name))
            .tempdir()
            .map_err(|error| Failure::io("create a temporary folder", error))?
            .keep(),
    };
    for (name, content) in project.files {
        let path = root.join(name);
        let written = match path.parent() {
            Some(folder) => std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, content)),
            None => std::fs::write(&path, content),
        };
        written.map_err(|error| Failure::io(format!("write {}", path.display()), error))?;
    }
    create_repository(&root, "Start")?;
    Ok(root)
}
