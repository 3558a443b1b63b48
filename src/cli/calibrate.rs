//! `perfup calibrate`: test on this machine whether the promised error rate holds, and say what can be seen here.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::measure::{Bench, probability_argument, share_argument, slow_down_argument};
use super::terminal::{BAD, BOLD, DIM, GOOD, Terminal, paint};
use super::{Global, setup};
use crate::config::{Metric, parse_duration};
use crate::report::table::{Align, table};
use crate::report::{self, words};
use crate::sys::signals;
use crate::trial::calibrate::{
    CONFIDENCE, Calibration, CalibrationPlan, CalibrationProgress, Calibrations, Noise, Rate, calibrate,
};

/// Measure how often verdicts are wrong on this machine, and how small an effect is found
///
/// Runs whole comparisons of a program against itself, which must find nothing, and against itself made slower by a
/// known amount, which they should find: on the machine as it is now, or disturbed by the bundled noise generator. The
/// result is kept, and `perfup measure` cites it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CalibrateArgs {
    /// Disturb the machine meanwhile
    #[arg(long, value_enum, default_value_t = NoiseArg::Present)]
    noise: NoiseArg,

    /// Comparisons without an effect, and as many with each effect
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,

    /// Slow-downs to inject
    #[arg(long = "effect", value_name = "PERCENT", value_delimiter = ',', default_value = "10%", value_parser = slow_down_argument)]
    effects: Vec<f64>,

    /// The metric that decides
    #[arg(long, value_enum, default_value_t = MetricArg::Wall)]
    metric: MetricArg,

    /// Probability of a wrong verdict that is promised
    #[arg(long, value_name = "P", value_parser = probability_argument, default_value = "0.01")]
    alpha: f64,

    /// Smallest difference worth telling
    #[arg(long, value_name = "PERCENT", value_parser = share_argument, default_value = "1%")]
    min_effect: f64,

    /// Most pairs of one comparison
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    max_runs: u32,

    /// What one run should take, for example 5ms
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5ms")]
    run_time: Duration,

    /// Begin no further comparison after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "3m")]
    budget: Duration,

    /// Seed of all random orders [default: a new one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

const EXAMPLES: &str = "Examples:
  perfup calibrate                                  on the machine as it is
  perfup calibrate --noise mixed --effect 5%,10%    under load
  perfup calibrate --metric cpu --effect 2%         what CPU time resolves
  perfup calibrate --json | jq '.rates[0].wrong_interval'

Exit codes: 0 the promise holds   5 more wrong verdicts than promised";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum NoiseArg {
    /// Nothing beyond what the machine does by itself
    Present,
    /// Bursts of computing on every CPU
    Cpu,
    /// Bursts of memory traffic on every CPU
    Memory,
    /// Bursts of writing and syncing
    Disk,
    /// All of these
    Mixed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MetricArg {
    Wall,
    Cpu,
}

pub(super) fn run(args: &CalibrateArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    signals::install().map_err(|error| Failure::io("catch signals", error))?;
    let bench = Bench::new(global)?;
    let bar = terminal.progress_bar();
    let plan = CalibrationPlan {
        noise: match args.noise {
            NoiseArg::Present => Noise::Present,
            NoiseArg::Cpu => Noise::Cpu,
            NoiseArg::Memory => Noise::Memory,
            NoiseArg::Disk => Noise::Disk,
            NoiseArg::Mixed => Noise::Mixed,
        },
        sessions: args.sessions,
        effects: args.effects.clone(),
        metric: match args.metric {
            MetricArg::Wall => Metric::Wall,
            MetricArg::Cpu => Metric::Cpu,
        },
        alpha: args.alpha,
        min_effect: args.min_effect,
        pairs_max: args.max_runs,
        run_time: args.run_time,
        budget: args.budget,
        seed: args.seed.unwrap_or_else(super::fresh_seed),
    };
    let calibration = calibrate(&plan, &bench.setup.runner, &mut bench.hands(&mut |_| {}), &mut |progress| {
        bar.set_message(line(progress));
        bar.tick();
    });
    bar.finish_and_clear();
    let calibration = calibration?;
    let store = Calibrations::new(&setup::state_folder());
    if let Err(error) = store.append(&calibration) {
        terminal.warn(
            &format!("the calibration could not be kept in {}: {error}", store.path().display()),
            Some("`perfup measure` will not cite it"),
        );
    }
    if global.json {
        terminal.result(&format!("{}\n", report::json("calibration", &calibration)?));
    } else {
        terminal.result(&text(&calibration, terminal.width()));
    }
    if calibration.cut_short {
        let hint = (!signals::interrupted()).then_some("give it more time with --budget");
        terminal.warn("not all comparisons were run", hint);
    }
    let code = if signals::interrupted() {
        super::failure::INTERRUPTED
    } else if holds(&calibration) {
        0
    } else {
        super::failure::INVALID
    };
    Ok(ExitCode::from(code))
}

/// Whether the wrong verdicts leave room for the promise to be true.
fn holds(calibration: &Calibration) -> bool {
    calibration.rates.iter().all(|rate| rate.wrong_interval.0 <= calibration.alpha)
}

fn line(progress: &CalibrationProgress) -> String {
    let CalibrationProgress { done, of, elapsed, rates } = progress;
    let wrong: u32 = rates.iter().map(|rate| rate.wrong).sum();
    format!("{done} of {of} comparisons, {} s, {wrong} wrong verdicts", elapsed.as_secs())
}

/// `1 of 100 (0.0–5.4 %)`.
pub(super) fn share(count: u32, rate: &Rate, (low, high): (f64, f64)) -> String {
    format!("{count} of {} ({:.1}–{:.1} %)", rate.sessions, low * 100.0, high * 100.0)
}

fn text(calibration: &Calibration, width: usize) -> String {
    let rows: Vec<Vec<String>> = calibration
        .rates
        .iter()
        .map(|rate| {
            vec![
                if rate.effect == 0.0 {
                    "none".to_owned()
                } else {
                    format!("+{}", words::percent(rate.effect))
                },
                share(rate.wrong, rate, rate.wrong_interval),
                if rate.effect == 0.0 {
                    "–".to_owned()
                } else {
                    share(rate.right, rate, rate.right_interval)
                },
                format!("{:.0}", rate.pairs_median.unwrap_or(0.0)),
                format!(
                    "{} faster, {} slower, {} equivalent, {} inconclusive",
                    rate.faster, rate.slower, rate.equivalent, rate.inconclusive
                ),
            ]
        })
        .collect();
    let columns = [
        ("effect", Align::Right),
        ("wrong verdicts", Align::Left),
        ("found", Align::Left),
        ("pairs", Align::Right),
        ("verdicts", Align::Left),
    ];
    let promised = words::percent(calibration.alpha);
    let trials: u32 = calibration.rates.iter().map(|rate| rate.sessions).sum();
    let (style, word) = if holds(calibration) {
        (
            GOOD,
            format!(
                "no more wrong verdicts than promised ({promised}), as far as {trials} comparisons can tell"
            ),
        )
    } else {
        (BAD, format!("more wrong verdicts than promised ({promised})"))
    };
    format!(
        "{} {} of {} runs, α = {}, at most {} pairs, noise: {}\n{}{}\n{}\n",
        paint(BOLD, "calibration"),
        calibration.metric.id(),
        words::seconds(calibration.run_s),
        calibration.alpha,
        calibration.pairs_max,
        calibration.noise.word(),
        table(&columns, &rows, width),
        paint(style, word),
        paint(
            DIM,
            format!("intervals at {} confidence; seed {}", words::percent(CONFIDENCE), calibration.seed)
        ),
    )
}
