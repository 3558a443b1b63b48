//! Arguments → the plan of a trial: which commands, with which parameters, and what is asked of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::super::cpus::cpu_list;
use super::super::failure::Failure;
use super::super::fresh_seed;
use super::super::setup;
use super::arguments::MeasureArgs;
use super::parameters;
use crate::config::{Benchmark, CommandLine, CustomMetric};
use crate::experiment::Setup;
use crate::measure::Arm;
use crate::trial::{Contender, Failures, Plan, Purpose, Rounds};

/// Defaults where the user says nothing.
const PAIRS_MAX: u32 = 60;
const RUNS_MIN: u32 = 10;
const RUNS_MAX: u32 = 1000;
const SCALE_RUNS: (u32, u32) = (3, 15);
const COMPARE_BUDGET: Duration = Duration::from_secs(300);
const DESCRIBE_BUDGET: Duration = Duration::from_secs(10);
const SCALE_BUDGET: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(600);

/// A described command is known well enough when its median is known to ± 1 %.
const PRECISION: f64 = 0.01;

pub(super) fn plan(args: &MeasureArgs, setup: &Setup) -> Result<Plan, Failure> {
    let benchmark = benchmark(args, setup)?;
    // Only its metrics count; commands that no file knows have them too.
    let mut asked =
        benchmark.clone().unwrap_or_else(|| Benchmark::for_command(CommandLine::Argv(Vec::new())));
    args.metrics.apply(&mut asked)?;
    let contenders = contenders(args, setup, benchmark.as_ref(), &asked.metrics)?;
    let compares = contenders.len() > 1 && args.scale.is_none();
    let (runs, budget) = match (compares, &args.scale) {
        (true, _) => ((0, PAIRS_MAX), COMPARE_BUDGET),
        (false, None) => ((RUNS_MIN, RUNS_MAX), DESCRIBE_BUDGET),
        (false, Some(_)) => (SCALE_RUNS, SCALE_BUDGET),
    };
    let rounds = match args.runs {
        Some(runs) => Rounds::Fixed(runs),
        None => {
            let min = args.min_runs.unwrap_or(runs.0.min(args.max_runs.unwrap_or(runs.0)));
            let max = args.max_runs.unwrap_or(runs.1.max(min));
            if max < min {
                return Err(Failure::usage(
                    format!("--min-runs {min} is more than --max-runs {max}"),
                    "raise --max-runs",
                ));
            }
            Rounds::Needed { min, max }
        }
    };
    if !compares && let Some(guard) = args.metrics.guard.first() {
        return Err(Failure::usage(
            format!("--guard {guard} has nothing to compare with"),
            "give a second command, for example --vs CMD2",
        ));
    }
    let plan = Plan {
        purpose: if compares {
            Purpose::Compare { alpha: args.alpha, min_effect: args.min_effect }
        } else {
            Purpose::Describe { precision: PRECISION }
        },
        primary: asked.primary(),
        guards: if compares { asked.guards } else { Vec::new() },
        rounds,
        // Whoever fixes the number of runs has fixed the time.
        budget: args.budget.unwrap_or(if args.runs.is_some() { Duration::MAX } else { budget }),
        warmup: args.warmup,
        race: (!args.no_race).then_some(args.race),
        failures: failures(args)?,
        seed: args.seed.unwrap_or_else(fresh_seed),
        keep_samples: args.samples || args.export_json.is_some(),
        scale: args.scale.as_deref().and_then(|scale| scale.split_once('=')).map(|(name, _)| name.to_owned()),
        even_if_identical: args.even_if_identical,
        contenders,
    };
    if let Rounds::Needed { max, .. } = rounds
        && let Some(least) = plan.pairs_missing()
    {
        return Err(Failure::usage(
            format!("no {max} pairs can give an answer at α = {}: it takes at least {least}", args.alpha),
            format!("raise --max-runs; --runs {max} records so many whatever they show"),
        ));
    }
    Ok(plan)
}

/// A command before its parameters are put in.
#[derive(Debug, Clone)]
enum Template {
    Line(String),
    Words(Vec<String>),
}

impl Template {
    fn fill(&self, values: &BTreeMap<String, String>, shell: Option<&str>) -> Result<CommandLine, Failure> {
        let option = |message: &str| {
            Failure::usage(
                format!("{message}: '{}'", self.text()),
                "give a command, for example 'sort big.txt'",
            )
        };
        let put = |text: &str| parameters::put(text, values);
        match (self, shell) {
            (Self::Words(words), None) => Ok(CommandLine::Argv(words.iter().map(|word| put(word)).collect())),
            (Self::Line(line), None) => CommandLine::parse(&put(line)).map_err(option),
            (_, Some("sh")) => Ok(CommandLine::Shell(put(&self.text()))),
            (_, Some(shell)) => {
                let mut words = shlex::split(shell).filter(|words| !words.is_empty()).ok_or_else(|| {
                    Failure::usage(format!("--shell={shell} is no command"), "for example --shell=bash")
                })?;
                words.extend(["-c".to_owned(), put(&self.text())]);
                Ok(CommandLine::Argv(words))
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Line(line) => line.clone(),
            Self::Words(words) => words.join(" "),
        }
    }
}

fn templates(args: &MeasureArgs, benchmark: Option<&Benchmark>) -> Result<Vec<Template>, Failure> {
    let mut templates = Vec::new();
    match (benchmark, args.command.as_slice()) {
        (Some(benchmark), _) => templates.push(Template::of(&benchmark.command)),
        // One word with blanks can only be a whole line in quotes.
        (None, [line]) if line.contains(char::is_whitespace) => templates.push(Template::Line(line.clone())),
        (None, []) => templates.extend(args.lines.iter().cloned().map(Template::Line)),
        (None, words) => templates.push(Template::Words(words.to_vec())),
    }
    templates.extend(args.vs.iter().cloned().map(Template::Line));
    if templates.is_empty() {
        return Err(Failure::usage(
            "there is nothing to measure",
            "perfup measure -- CMD, or perfup measure 'CMD' 'CMD2' to compare",
        ));
    }
    Ok(templates)
}

impl Template {
    fn of(command: &CommandLine) -> Self {
        match command {
            CommandLine::Argv(words) => Self::Words(words.clone()),
            CommandLine::Shell(line) => Self::Line(line.clone()),
        }
    }
}

/// The configured benchmark, when that is what is asked for: by name, or by nothing at all.
fn benchmark(args: &MeasureArgs, setup: &Setup) -> Result<Option<Benchmark>, Failure> {
    let named = match (args.lines.as_slice(), args.command.is_empty()) {
        ([name], true) if !name.contains(char::is_whitespace) => Some(name.as_str()),
        ([], true) => None,
        _ => return Ok(None),
    };
    let Some(file) = setup::config_file(setup)? else {
        return Ok(None);
    };
    match (named, file.select(named)) {
        (_, Ok(config)) => Ok(Some(config.benchmark)),
        (Some(_), Err(_)) => Ok(None),
        (None, Err(error)) => Err(error.into()),
    }
}

fn contenders(
    args: &MeasureArgs,
    setup: &Setup,
    benchmark: Option<&Benchmark>,
    metrics: &[CustomMetric],
) -> Result<Vec<Contender>, Failure> {
    let templates = templates(args, benchmark)?;
    let sets = parameters::sets(args)?;
    if let [first, ..] = sets.as_slice()
        && let Some(name) =
            first.keys().find(|name| !templates.iter().any(|t| parameters::occurs(&t.text(), name)))
    {
        return Err(Failure::usage(
            format!("no command has a {{{name}}}"),
            format!("write {{{name}}} where the value belongs, in quotes"),
        ));
    }
    let root = setup::root(setup);
    let stdin = match (&args.input, benchmark.and_then(|benchmark| benchmark.stdin.as_ref())) {
        (Some(file), _) => Some(existing(setup.folder.join(file))?),
        (None, file) => file.map(|file| root.join(file)),
    };
    let cwd = match benchmark {
        Some(benchmark) => root.join(&benchmark.cwd),
        None => setup.folder.clone(),
    };
    let cpus = args.cpus.as_deref().map(cpu_list).transpose()?.unwrap_or_default();
    if args.scale.is_some() && templates.len() > 1 {
        return Err(Failure::usage(
            format!("--scale runs one command over its sizes, and {} are given", templates.len()),
            "measure the growth of each command in a call of its own",
        ));
    }
    let count = templates.len() * sets.len();
    let mut contenders = Vec::with_capacity(count);
    for (which, template) in templates.iter().enumerate() {
        for values in &sets {
            let index = contenders.len();
            let around = |option: &'static str, given: &[String]| {
                let line = match given {
                    [] => return Ok(None),
                    [one] => one,
                    many if many.len() == count => &many[index],
                    many if many.len() == templates.len() => &many[which],
                    many => {
                        return Err(Failure::usage(
                            format!("{} times --{option} for {count} commands", many.len()),
                            format!("give --{option} once, or once per command"),
                        ));
                    }
                };
                Template::Line(line.clone()).fill(values, None).map(Some)
            };
            let command = template.fill(values, args.shell.as_deref())?;
            let timeout = args.timeout.or(benchmark.map(|benchmark| benchmark.timeout)).unwrap_or(TIMEOUT);
            let arm = Arm {
                env: benchmark.map(|benchmark| benchmark.env.clone()).unwrap_or_default(),
                stdin: stdin.clone(),
                prepare: around("prepare", &args.prepare)?
                    .or_else(|| benchmark.and_then(|benchmark| benchmark.prepare.clone())),
                cpus: cpus.clone(),
                metrics: metrics.to_vec(),
                ..Arm::new(command.clone(), cwd.clone(), timeout)
            };
            contenders.push(Contender {
                name: args.names.get(index).cloned().unwrap_or_else(|| command.to_string()),
                arm,
                setup: around("setup", &args.setup)?,
                cleanup: around("cleanup", &args.cleanup)?,
                parameters: values.clone(),
            });
        }
    }
    if args.names.len() > count {
        return Err(Failure::usage(
            format!("{} names for {count} commands", args.names.len()),
            "leave out a --command-name",
        ));
    }
    Ok(contenders)
}

fn existing(path: PathBuf) -> Result<PathBuf, Failure> {
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(error) => Err(Failure::io(format!("read {}", path.display()), error)),
    }
}

fn failures(args: &MeasureArgs) -> Result<Failures, Failure> {
    match args.ignore_failure.as_deref() {
        None => Ok(Failures::Refused),
        Some("" | "all-non-zero") => Ok(Failures::Ignored),
        Some(codes) => {
            let codes: Result<Vec<i32>, _> = codes.split(',').map(|code| code.trim().parse()).collect();
            codes.map(Failures::Codes).map_err(|_| {
                Failure::usage(
                    format!(
                        "--ignore-failure={} is no list of exit codes",
                        args.ignore_failure.as_deref().unwrap_or("")
                    ),
                    "for example --ignore-failure=1,3, or --ignore-failure alone for all",
                )
            })
        }
    }
}
