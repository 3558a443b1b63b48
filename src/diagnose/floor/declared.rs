//! Bounds from work that was declared: they hold for every program that does this work on this machine.

use super::formulas;
use super::{Basis, Bound, Machine, usable};
use crate::config::DeclaredWork;
use crate::report::words;

/// Bounds, and what had to be left out.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub bounds: Vec<Bound>,
    /// Sentences: work without a rate.
    pub left_out: Vec<String>,
}

/// A declared amount, a rate or a cost of this machine, and the word for what is missing where there is none.
struct Pair {
    amount: Option<f64>,
    rate: Option<f64>,
    key: &'static str,
    probe: &'static str,
}

/// The bounds of all that was declared.
pub(super) fn bounds(work: &DeclaredWork, machine: &Machine<'_>) -> Declared {
    let mut found = Declared::default();
    found.memory_and_compute(work, machine);
    found.storage(work, machine);
    found.network(work, machine);
    found.kernel(work, machine);
    found.amounts(work, machine);
    found.complexity(work, machine);
    found.gpu(work);
    found
}

impl Declared {
    fn add(&mut self, name: impl Into<String>, seconds: f64, formula: String, assumes: &str) {
        self.bounds.push(Bound::new(name, seconds, formula, Basis::Declared, assumes));
    }

    /// Amount and rate where both are known; notes where only the amount is.
    fn pair(&mut self, pair: Pair) -> Option<(f64, f64)> {
        let amount = usable(pair.amount)?;
        let rate = usable(pair.rate);
        if rate.is_none() {
            self.left_out.push(format!(
                "the declared {} is left out: the probe {} gave nothing here",
                pair.key, pair.probe
            ));
        }
        rate.map(|rate| (amount, rate))
    }

    /// The roofline: the slower of computing and of moving bytes (Williams, Waterman & Patterson 2009, "Roofline: an
    /// insightful visual performance model").
    fn memory_and_compute(&mut self, work: &DeclaredWork, machine: &Machine<'_>) {
        let (cores, rates) = (machine.cores, machine.rates);
        if let Some((bytes, rate)) =
            self.pair(Pair { amount: work.bytes, rate: rates.memory, key: "bytes", probe: "memory-read" })
        {
            let formula = format!("{} / {}/s", words::bytes(bytes), words::bytes(rate));
            let assumes = "every byte passes from memory once, at the best rate of all cores";
            self.add("memory bandwidth", formulas::transfer(bytes, rate), formula, assumes);
        }
        if let Some((flops, rate)) = self.pair(Pair {
            amount: work.flops,
            rate: rates.flops_per_core,
            key: "flops",
            probe: "multiply-add",
        }) {
            let formula =
                format!("{} operations / ({cores} × {}/s)", words::count(flops), words::count(rate));
            let assumes = "all are multiply-adds in the widest registers, on all cores at once";
            self.add(
                format!("floating point on {}", machine.cores_words()),
                formulas::compute(flops, cores, rate),
                formula,
                assumes,
            );
        }
    }

    fn storage(&mut self, work: &DeclaredWork, machine: &Machine<'_>) {
        let rates = machine.rates;
        let transfers = [
            ("reading from storage", work.read_bytes, rates.storage_read, "read_bytes", "storage-read"),
            ("writing to storage", work.write_bytes, rates.storage_write, "write_bytes", "storage-write"),
        ];
        for (name, amount, rate, key, probe) in transfers {
            if let Some((bytes, rate)) = self.pair(Pair { amount, rate, key, probe }) {
                let formula = format!("{} / {}/s", words::bytes(bytes), words::bytes(rate));
                let assumes = "the page cache holds none of it, and it lies on the device of this folder";
                self.add(name, formulas::transfer(bytes, rate), formula, assumes);
            }
        }
        if let Some((reads, rate)) = self.pair(Pair {
            amount: work.reads,
            rate: rates.storage_reads,
            key: "reads",
            probe: "storage-random-reads",
        }) {
            let formula = format!("{} / {} per second", words::count(reads), words::count(rate));
            let assumes = "many reads are under way at once, and the page cache holds none of it";
            self.add("random reads from storage", formulas::operations(reads, rate), formula, assumes);
        }
        if let Some((fsyncs, cost)) = self.pair(Pair {
            amount: work.fsyncs,
            rate: rates.flush_s,
            key: "fsyncs",
            probe: "storage-flush",
        }) {
            let formula = format!("{} × {}", words::count(fsyncs), words::seconds(cost));
            let assumes = "each waits for the one before";
            self.add("flushes to storage", formulas::one_by_one(fsyncs, cost), formula, assumes);
        }
    }

    fn network(&mut self, work: &DeclaredWork, machine: &Machine<'_>) {
        if let Some(longest) = usable(work.longest_call_s) {
            self.add("the longest call", longest, words::seconds(longest), "all other calls run beside it");
        }
        if let (Some(bytes), Some(rate)) = (usable(work.network_bytes), usable(work.network_rate)) {
            let formula = format!("{} / {}/s", words::bytes(bytes), words::bytes(rate));
            self.add("network bandwidth", formulas::transfer(bytes, rate), formula, "the link is free");
        }
        let Some(calls) = usable(work.round_trips) else { return };
        let round_trip = usable(work.round_trip_s).or(usable(machine.rates.round_trip_s));
        let service = usable(work.service_s).unwrap_or(0.0);
        let at_once = usable(work.concurrency).map_or(calls, |at_once| at_once.max(1.0));
        match round_trip {
            None if service == 0.0 => {
                self.left_out.push(
                    "the declared round_trips are left out: neither round_trip nor service is declared, and the \
                     probe loopback-round-trip gave nothing here"
                        .to_owned(),
                );
            }
            _ => {
                let round_trip_s = round_trip.unwrap_or(0.0);
                let rounds = (calls / at_once).ceil();
                let formula = format!(
                    "{} × ({} there and back + {} service)",
                    words::count(rounds),
                    words::seconds(round_trip_s),
                    words::seconds(service)
                );
                let assumes = match (work.concurrency, work.round_trip_s) {
                    (None, _) => "all calls can be under way at once",
                    (Some(_), None) => "the other side is as near as this machine itself",
                    _ => "every call takes as long as declared",
                };
                let name = format!("calls, {} at once", words::count(at_once));
                self.add(name, formulas::calls(calls, at_once, round_trip_s, service), formula, assumes);
            }
        }
        if let Some(limit) = usable(work.rate_limit) {
            let formula = format!("({} − 1) / {} per second", words::count(calls), words::count(limit));
            let assumes = "the limit holds from the first call on";
            self.add("the rate limit", formulas::rate_limited(calls, limit), formula, assumes);
        }
    }

    fn kernel(&mut self, work: &DeclaredWork, machine: &Machine<'_>) {
        let rates = machine.rates;
        let costs = [
            ("starting processes", work.processes, rates.spawn_s, "processes", "spawn"),
            ("system calls", work.syscalls, rates.syscall_s, "syscalls", "syscall"),
            ("fresh memory pages", work.pages, rates.page_fault_s, "pages", "page-fault"),
        ];
        for (name, amount, rate, key, probe) in costs {
            if let Some((count, cost)) = self.pair(Pair { amount, rate, key, probe }) {
                let bound = machine.operations(name, count, cost, Basis::Declared);
                self.bounds.push(bound);
            }
        }
    }

    /// Rows, a build, a critical path.
    fn amounts(&mut self, work: &DeclaredWork, machine: &Machine<'_>) {
        let cores = machine.cores;
        let amounts = [("rows", work.rows, work.rows_rate), ("units", work.units, work.units_rate)];
        for (what, amount, rate) in amounts {
            if let (Some(amount), Some(rate)) = (usable(amount), usable(rate)) {
                let formula = format!(
                    "{} {what} / ({cores} × {} per second)",
                    words::count(amount),
                    words::count(rate)
                );
                let name = format!("{what} on {}", machine.cores_words());
                self.add(
                    name,
                    formulas::compute(amount, cores, rate),
                    formula,
                    "they divide evenly over all cores",
                );
            }
        }
        if let (Some(bytes), Some(rate)) = (usable(work.link_work), usable(work.link_rate)) {
            let formula = format!("{} / {}/s", words::bytes(bytes), words::bytes(rate));
            self.add("linking", formulas::transfer(bytes, rate), formula, "everything else runs beside it");
        }
    }

    fn complexity(&mut self, work: &DeclaredWork, machine: &Machine<'_>) {
        let (Some(law), Some(n)) = (work.complexity, usable(work.n)) else { return };
        let fitted = || formulas::fitted_step(law, &work.points);
        let operation = || usable(machine.rates.flops_per_core).map(|rate| 1.0 / rate);
        let (step, assumes) = match (usable(work.step_s), fitted(), operation()) {
            (Some(step), ..) => (step, "a step takes as long as declared"),
            (None, Some(step), _) => (step, "a step takes as long as in the best of the points"),
            (None, None, Some(step)) => {
                (step, "a step is one floating-point operation; `step` or `points` say more")
            }
            (None, None, None) => {
                self.left_out.push(
                    "the declared complexity is left out: neither step nor points are declared, and the probe \
                     multiply-add gave nothing here"
                        .to_owned(),
                );
                return;
            }
        };
        let steps = law.steps(n);
        let formula = format!("{} steps × {} / {}", words::count(steps), words::seconds(step), machine.cores);
        let name = format!("{law} steps on {}", machine.cores_words()).replace("  ", " ");
        self.add(name, formulas::complexity(steps, step, machine.cores), formula, assumes);
    }

    fn gpu(&mut self, work: &DeclaredWork) {
        let transfers = [
            ("GPU memory bandwidth", work.gpu_bytes, work.gpu_bytes_rate),
            ("PCIe bandwidth", work.pcie_bytes, work.pcie_rate),
        ];
        for (name, amount, rate) in transfers {
            if let (Some(bytes), Some(rate)) = (usable(amount), usable(rate)) {
                let formula = format!("{} / {}/s", words::bytes(bytes), words::bytes(rate));
                self.add(name, formulas::transfer(bytes, rate), formula, "at the declared rate all the time");
            }
        }
        if let (Some(flops), Some(rate)) = (usable(work.gpu_flops), usable(work.gpu_flops_rate)) {
            let formula = format!("{} operations / {}/s", words::count(flops), words::count(rate));
            let seconds = formulas::operations(flops, rate);
            self.add("GPU computing", seconds, formula, "at the declared rate all the time");
        }
        if let (Some(kernels), Some(launch)) = (usable(work.kernels), usable(work.launch_s)) {
            let formula = format!("{} × {}", words::count(kernels), words::seconds(launch));
            let seconds = formulas::one_by_one(kernels, launch);
            self.add("kernel launches", seconds, formula, "they are launched one by one, without a graph");
        }
    }
}
