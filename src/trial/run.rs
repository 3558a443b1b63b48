//! The loop of a trial: set up, warm up, round after round until every question is answered, clean up.

use std::path::Path;
use std::time::{Duration, Instant};

use super::error::TrialError;
use super::plan::{Contender, Plan, Purpose};
use super::report::{Report, StoppedBecause};
use super::rounds::Round;
use super::tally::{Compared, Tally};
use super::{advice, conclude, rounds};
use crate::config::Metric;
use crate::machine::{Facts, MeasureLock, Moment, Strain};
use crate::measure::{Around, Identity, Measurer, Redo, identity};
use crate::report::words;
use crate::stats::carry_over::{CarryOver, FirstRun, carry_over};
use crate::stats::decision::{Decision, Word};
use crate::stats::effect::Estimate;
use crate::stats::racing::Race;
use crate::stats::sequential::Test;
use crate::sys::signals;

/// First runs of rounds that are kept: more show nothing new.
const FIRST_RUNS_MAX: usize = 2_000;

/// What a trial works with.
pub struct Hands<'a> {
    pub measurer: &'a Measurer,
    /// Locked for every round, so that two perfups do not time each other; absent for no lock.
    pub measure_lock: Option<&'a Path>,
    /// The user's whole environment, for set-up and clean-up commands.
    pub environment: &'a [(String, String)],
    pub progress: &'a mut dyn FnMut(&Progress),
    /// Time spent so far on waiting for the lock.
    pub waited: Duration,
}

impl Hands<'_> {
    /// Waits until nothing else measures; nothing else does as long as the lock is held.
    pub(super) fn alone(&mut self) -> Result<Option<MeasureLock>, TrialError> {
        let start = Instant::now();
        let lock = self.measure_lock.map(|path| {
            MeasureLock::acquire(path, &mut |holder| {
                (self.progress)(&Progress::Working(words::waiting(holder)));
            })
        });
        self.waited += start.elapsed();
        Ok(lock.transpose()?)
    }
}

/// The time since its start, without waits for other measurements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopwatch {
    start: Instant,
    waited_before: Duration,
}

impl Stopwatch {
    pub fn start(hands: &Hands<'_>) -> Self {
        Self { start: Instant::now(), waited_before: hands.waited }
    }

    pub fn elapsed(&self, hands: &Hands<'_>) -> Duration {
        self.start.elapsed().saturating_sub(hands.waited.saturating_sub(self.waited_before))
    }
}

/// Where a trial stands, told between rounds.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Something untimed is being done.
    Working(String),
    Round {
        done: u32,
        max: u32,
        elapsed: Duration,
        budget: Duration,
        /// Median of the reference's primary metric.
        median: Option<f64>,
        /// The first comparison that is still open.
        open: Option<(String, Estimate)>,
    },
}

/// Runs a trial to its report. Ctrl-C after the first whole round gives a report of what there is.
///
/// # Errors
/// [`TrialError`]: a contender fails, a command is missing, or nothing was measured.
pub fn run(plan: &Plan, hands: &mut Hands<'_>) -> Result<Report, TrialError> {
    let facts = Facts::read()?;
    refuse(plan, &facts)?;
    let mut trial = Trial::new(plan, facts);
    let mut begun = Vec::new();
    let measured = plan
        .contenders
        .iter()
        .try_for_each(|contender| {
            begun.push(contender);
            trial.task(Around::SetUp, contender, hands)
        })
        .and_then(|()| trial.measure(hands));
    // Also after a failure, and for each of them; the first thing that went wrong is what is told.
    let cleaned = begun
        .into_iter()
        .map(|contender| trial.task(Around::CleanUp, contender, hands))
        .fold(Ok(()), Result::and);
    measured?;
    cleaned?;
    trial.report()
}

/// Ends a trial that this machine cannot measure before it begins.
fn refuse(plan: &Plan, facts: &Facts) -> Result<(), TrialError> {
    let refused = plan.required().find_map(|metric| Some((metric, facts.refusal(metric)?)));
    refused.map_or(Ok(()), |(metric, refused)| {
        Err(TrialError::Refused { metric: metric.clone(), refused: refused.clone() })
    })
}

/// A trial under way.
pub(super) struct Trial<'a> {
    pub plan: &'a Plan,
    pub tallies: Vec<Tally>,
    pub comparisons: Vec<Compared>,
    /// The comparisons by the primary metric, in the same order.
    pub race: Race,
    /// First runs of rounds, to see whether runs depend on what ran before.
    pub first_runs: Vec<FirstRun>,
    pub redo: Redo,
    pub rounds_done: u32,
    pub interrupted: bool,
    pub elapsed: Duration,
    pub warnings: Vec<String>,
    /// Read before the first run.
    pub facts: Facts,
    /// What the machine went through meanwhile.
    pub strain: Strain,
    /// Whether the CPU's counters are on: the same for all contenders, whom they cost the same.
    pub counting: bool,
    /// Contenders that are not run, see [`Self::warm_up`].
    pub left_out: Vec<bool>,
}

impl<'a> Trial<'a> {
    fn new(plan: &'a Plan, facts: Facts) -> Self {
        let others = if plan.compares() { 1..plan.contenders.len() } else { 0..0 };
        Self {
            plan,
            tallies: plan.contenders.iter().map(|_| Tally::default()).collect(),
            race: Race::new(others.len(), plan.test()),
            comparisons: others.map(|contender| Compared { contender, ..Compared::default() }).collect(),
            first_runs: Vec::new(),
            redo: Redo::default(),
            rounds_done: 0,
            interrupted: false,
            elapsed: Duration::ZERO,
            warnings: Vec::new(),
            facts,
            strain: Strain::default(),
            counting: plan.required().any(Metric::is_counted),
            left_out: vec![false; plan.contenders.len()],
        }
    }

    fn task(&self, what: Around, contender: &Contender, hands: &mut Hands<'_>) -> Result<(), TrialError> {
        let command = match what {
            Around::SetUp => &contender.setup,
            Around::CleanUp => &contender.cleanup,
        };
        let Some(command) = command else {
            return Ok(());
        };
        (hands.progress)(&Progress::Working(format!("{what}: {command}")));
        let arm = &contender.arm;
        let outcome = hands.measurer.around(what, command, &arm.cwd, hands.environment, arm.timeout)?;
        if outcome.is_success() {
            return Ok(());
        }
        Err(TrialError::Task {
            what,
            name: contender.name.clone(),
            command: command.to_string(),
            end: outcome.end,
            tail: outcome.tail,
        })
    }

    fn measure(&mut self, hands: &mut Hands<'_>) -> Result<(), TrialError> {
        self.spot_identical_programs()?;
        if !self.plan.compares() || self.has_open_question() {
            let (watch, before) = (Stopwatch::start(hands), Moment::now());
            let ended = self.warm_up(watch, hands).and_then(|()| self.rounds(watch, hands));
            self.elapsed = watch.elapsed(hands);
            self.strain = before.until_now();
            self.survive_interruption(ended)?;
        }
        self.close_all();
        Ok(())
    }

    /// Answers at once what needs no measuring.
    fn spot_identical_programs(&mut self) -> Result<(), TrialError> {
        if self.plan.even_if_identical {
            return Ok(());
        }
        let reference = &self.plan.contenders[0];
        for (index, compared) in self.comparisons.iter_mut().enumerate() {
            let contender = &self.plan.contenders[compared.contender];
            let same_around = reference.setup == contender.setup
                && reference.cleanup == contender.cleanup
                && reference.arm.prepare == contender.arm.prepare;
            if !same_around {
                continue;
            }
            match identity(&reference.arm, &contender.arm)? {
                Identity::SameProgram => {
                    let same = Decision { word: Word::Equivalent, ..self.race.test(index).end() };
                    compared.closed = Some((same, StoppedBecause::IdenticalPrograms));
                    self.race.withdraw(index);
                }
                Identity::SameBytes => self.warnings.push(format!(
                    "{} and {} run byte for byte the same program, from another folder or by another name: was it \
                     built?",
                    reference.name, contender.name
                )),
                Identity::SameCommand | Identity::Different => {}
            }
        }
        Ok(())
    }

    fn has_open_question(&self) -> bool {
        self.comparisons.iter().any(|compared| compared.closed.is_none())
    }

    /// Whether runs depend on what ran directly before them.
    pub fn carry_over(&self) -> CarryOver {
        carry_over(&self.first_runs, self.plan.seed)
    }

    /// Each comparison with its test of the primary metric.
    pub fn compared(&self) -> impl Iterator<Item = (&Compared, &Test)> {
        let with_test = |(index, compared)| (compared, self.race.test(index));
        self.comparisons.iter().enumerate().map(with_test)
    }

    /// The contenders of the next round; the reference is one as long as any other is.
    pub fn in_question(&self) -> Vec<usize> {
        if self.plan.compares() {
            let open = self.comparisons.iter().filter(|compared| compared.closed.is_none());
            return std::iter::once(0).chain(open.map(|compared| compared.contender)).collect();
        }
        (0..self.plan.contenders.len()).filter(|&index| !self.left_out[index]).collect()
    }

    /// Uncounted runs, which also show what does not work before any time is spent on measuring.
    fn warm_up(&mut self, watch: Stopwatch, hands: &mut Hands<'_>) -> Result<(), TrialError> {
        let mut all_cheap = self.plan.warmup > 0;
        for index in self.in_question() {
            let name = &self.plan.contenders[index].name;
            // Contenders that are only described may be one program on ever larger inputs.
            let over = !self.plan.compares() && index > 0 && watch.elapsed(hands) > self.plan.budget / 2;
            if over {
                self.left_out[index] = true;
                self.warnings
                    .push(format!("{name} was left out: half of the time budget was spent before it"));
                continue;
            }
            for turn in 0..self.plan.warmup {
                let _alone = hands.alone()?;
                (hands.progress)(&Progress::Working(format!("warming up: {name}")));
                let round = u32::MAX - turn;
                let run = rounds::one_run(self, index, round, 0, "warm-up", hands)?;
                all_cheap &= run.sample.can_be_counted();
            }
        }
        self.counting |= all_cheap;
        Ok(())
    }

    fn rounds(&mut self, watch: Stopwatch, hands: &mut Hands<'_>) -> Result<(), TrialError> {
        let max = self.plan.rounds.max();
        let mut drawn = 0;
        let mut before: Option<Round> = None;
        while self.rounds_done < max && !self.is_answered() {
            if self.rounds_done > 0 && watch.elapsed(hands) >= self.plan.budget {
                break;
            }
            // Held until the round has been judged, which would disturb whoever comes next.
            let _alone = hands.alone()?;
            let mut round = Round::run(self, drawn, hands)?;
            let disturbance = round.disturbance();
            let counts = if round.reaches_cut_off() {
                self.redo.recall(&disturbance, false);
                true
            } else {
                !self.redo.wants(&disturbance, self.rounds_done)
            };
            if counts {
                if self.first_runs.len() < FIRST_RUNS_MAX
                    && let Some(before) = &before
                {
                    self.first_runs.extend(round.first_run(before, drawn, &self.plan.primary.metric));
                }
                self.take(&mut round);
                self.judge(self.rounds_left(watch.elapsed(hands)));
                let progress = self.progress(watch.elapsed(hands));
                (hands.progress)(&progress);
            }
            before = Some(round);
            drawn += 1;
        }
        Ok(())
    }

    fn take(&mut self, round: &mut Round) {
        let number = self.rounds_done;
        self.rounds_done += 1;
        for run in &mut round.runs {
            let tally = &mut self.tallies[run.contender];
            tally.bound_names(&mut run.sample, self.plan);
            tally.cut_short += u64::from(run.cut_short);
            tally.add(number, run.slot, &run.sample, self.plan.keep_samples);
        }
        let Some(reference) = round.of(0) else {
            return;
        };
        for (index, compared) in self.comparisons.iter_mut().enumerate() {
            if let Some(run) = round.of(compared.contender) {
                let (log_ratio, beyond) = compared.add(&reference.sample, run, self.plan);
                self.race.push_cut(index, log_ratio, &beyond);
            }
        }
    }

    /// Closes the comparisons that need no further round.
    fn judge(&mut self, rounds_left: usize) {
        self.race.settle(rounds_left);
        for (index, compared) in self.comparisons.iter_mut().enumerate() {
            if compared.closed.is_none() {
                compared.note(self.race.decision(index), self.race.test(index), self.plan);
            }
        }
    }

    /// Rounds that are still to come, as far as those before let tell.
    fn rounds_left(&self, elapsed: Duration) -> usize {
        let elapsed_s = elapsed.as_secs_f64();
        let left_s = (self.plan.budget.as_secs_f64() - elapsed_s).max(0.0);
        let fit = left_s * f64::from(self.rounds_done) / elapsed_s;
        let allowed = self.plan.rounds.max().saturating_sub(self.rounds_done);
        // A cast saturates, which is what is wanted here.
        (fit as usize).min(allowed as usize)
    }

    fn is_answered(&self) -> bool {
        let Purpose::Describe { precision } = self.plan.purpose else {
            return !self.has_open_question();
        };
        self.rounds_done >= self.plan.rounds.min()
            && self.in_question().into_iter().all(|index| {
                let distribution = self.tallies[index].metrics.get(&self.plan.primary.metric);
                distribution.is_some_and(|values| conclude::half_width(values) <= precision)
            })
    }

    fn progress(&self, elapsed: Duration) -> Progress {
        let open = self.compared().find(|(compared, _)| compared.closed.is_none());
        Progress::Round {
            done: self.rounds_done,
            max: self.plan.rounds.max(),
            elapsed,
            budget: self.plan.budget,
            median: self.tallies[0].median(&self.plan.primary.metric),
            open: open.map(|(compared, test)| {
                (self.plan.contenders[compared.contender].name.clone(), test.estimate())
            }),
        }
    }

    /// What was measured before Ctrl-C is not lost.
    fn survive_interruption(&mut self, ended: Result<(), TrialError>) -> Result<(), TrialError> {
        match ended {
            Err(TrialError::Interrupted) if self.rounds_done > 0 => {
                self.interrupted = true;
                Ok(())
            }
            other => other,
        }
    }

    fn close_all(&mut self) {
        let why = if self.interrupted || signals::interrupted() {
            StoppedBecause::Interrupted
        } else {
            StoppedBecause::Budget
        };
        self.race.end();
        for (index, compared) in self.comparisons.iter_mut().enumerate() {
            let answer = || Some((self.race.decision(index)?, why));
            compared.closed = compared.closed.or(compared.answer).or_else(answer);
        }
    }

    fn report(mut self) -> Result<Report, TrialError> {
        let advice = advice::advice(&self);
        self.warnings.extend(advice);
        conclude::report(self)
    }
}
