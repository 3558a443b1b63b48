//! `perfup doctor`: what can be seen of programs here, and how to see more.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Global;
use super::failure::Failure;
use super::terminal::{BAD, BOLD, DIM, GOOD, Terminal, WARN, paint};
use crate::experiment::SourceState;
use crate::machine::{Access, Facts, Gpus, Source};
use crate::profile;
use crate::report::wrap::wrap;
use crate::report::{self, words};

/// Show which sources of measurement work here, and how to switch the others on
///
/// Looks only; runs nothing and changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  perfup doctor
  perfup doctor --json | jq '.sources[] | select(.state != \"used\")'")]
pub(super) struct DoctorArgs {}

/// Columns of the text.
const COLUMNS: usize = 100;

/// Programs that perfup, or whoever reads its answers, may use: name, and for what.
const TOOLS: &[(&str, &str)] = &[
    ("git", "sessions: worktrees and branches"),
    ("python3", "programs in Python"),
    ("py-spy", "Python frames where perfup cannot read them itself"),
    ("node", "programs in JavaScript"),
    ("cc", "builds in C"),
    ("c++", "builds in C++"),
    ("cargo", "builds in Rust"),
    ("go", "builds in Go"),
    ("ruff", "the recipe with its performance fixes"),
    ("perf", "a second opinion"),
    ("claude", "an agent that makes changes"),
    ("codex", "an agent that makes changes"),
];

/// What was found; the document of `--json`.
#[derive(Debug, Serialize)]
struct Doctor {
    sources: Vec<SourceState>,
    access: Access,
    /// `null` with `machine_error` where the system does not say.
    machine: Option<Facts>,
    machine_error: Option<String>,
    tools: Vec<Tool>,
}

#[derive(Debug, Serialize)]
struct Tool {
    name: &'static str,
    gives: &'static str,
    /// Where it was found in PATH; `null` where not.
    path: Option<PathBuf>,
}

pub(super) fn doctor(_: &DoctorArgs, global: &Global, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let doctor = examine();
    if global.json {
        terminal.result(&format!("{}\n", report::json("doctor", &doctor)?));
    } else {
        terminal.result(&text(&doctor));
    }
    Ok(ExitCode::SUCCESS)
}

fn examine() -> Doctor {
    let (machine, machine_error) = match Facts::read() {
        Ok(facts) => (Some(facts), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let watching =
        profile::ALL.iter().map(|source| SourceState::new(source.id(), source.gives(), &source.probe()));
    let sources =
        watching.chain(machine.iter().flat_map(counted)).chain(machine.as_ref().map(gpus)).collect();
    Doctor {
        sources,
        access: Access::read(),
        machine,
        machine_error,
        tools: TOOLS.iter().map(Tool::find).collect(),
    }
}

impl Tool {
    fn find(&(name, gives): &(&'static str, &'static str)) -> Self {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| {
            path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        });
        Self { name, gives, path }
    }
}

/// What the CPU or its meters count.
fn counted(facts: &Facts) -> Vec<SourceState> {
    let state = |(metric, source): (&crate::config::Metric, &Source)| match source {
        Source::Available => SourceState::used(metric.id(), "a metric of `perfup measure`"),
        Source::Refused(refused) => SourceState::unavailable(
            metric.id(),
            "a metric of `perfup measure`",
            &refused.reason,
            refused.hint.as_deref().unwrap_or_default(),
        ),
    };
    facts.sources.iter().map(state).collect()
}

fn gpus(facts: &Facts) -> SourceState {
    let gives = "NVIDIA GPUs: which, and how much memory";
    match &facts.gpus {
        Gpus::Present(_) => SourceState::used("gpu", gives),
        Gpus::Absent { reason } => SourceState::unavailable(
            "gpu",
            gives,
            reason,
            "install the NVIDIA driver, if there is such a GPU",
        ),
    }
}

fn text(doctor: &Doctor) -> String {
    let mut lines = vec![paint(BOLD, "sources")];
    let width = doctor.sources.iter().map(|source| source.id.len()).max().unwrap_or(0);
    for source in &doctor.sources {
        let (style, state) = match source.state {
            "used" => (GOOD, "used"),
            "degraded" => (WARN, "degraded"),
            other => (BAD, other),
        };
        let indent = width + 4 + "unavailable".len() + 2;
        let mut gives = wrap(&source.gives, COLUMNS - indent).into_iter();
        let first = gives.next().unwrap_or_default();
        lines.push(format!("  {:width$}  {}  {first}", source.id, paint(style, format!("{state:<11}"))));
        lines.extend(gives.map(|line| format!("{:indent$}{line}", "")));
        let more = [("", &source.reason), ("switch it on: ", &source.remedy)];
        for (before, what) in more {
            if let Some(what) = what.as_ref().filter(|what| !what.is_empty()) {
                let said = wrap(&format!("{before}{what}"), COLUMNS - width - 4);
                lines.extend(said.iter().map(|line| paint(DIM, format!("{:1$}{line}", "", width + 4))));
            }
        }
    }
    lines.push(paint(BOLD, "this process"));
    lines.extend(access(&doctor.access).into_iter().map(|line| format!("  {line}")));
    lines.push(paint(BOLD, "machine"));
    match (&doctor.machine, &doctor.machine_error) {
        (Some(facts), _) => lines.extend(machine(facts).into_iter().map(|line| format!("  {line}"))),
        (None, error) => lines.push(format!("  cannot {}", error.as_deref().unwrap_or("be read"))),
    }
    lines.push(paint(BOLD, "programs"));
    let width = TOOLS.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.extend(doctor.tools.iter().map(|tool| {
        let path = tool.path.as_ref().map_or("not found".to_owned(), |path| path.display().to_string());
        let path = if tool.path.is_some() { path } else { paint(DIM, path) };
        format!("  {:width$}  {path}  {}", tool.name, paint(DIM, format!("({})", tool.gives)))
    }));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn access(access: &Access) -> Vec<String> {
    let user = match access.user {
        Some(0) => "root".to_owned(),
        Some(user) => format!("user {user}"),
        None => "user not known: /proc cannot be read".to_owned(),
    };
    let mut powers = Vec::new();
    powers.extend(access.may_perf.then_some("profile everything"));
    powers.extend(access.may_ptrace.then_some("look into processes of all users"));
    let may = if powers.is_empty() {
        "no privileges, which is fine".to_owned()
    } else {
        format!("may {}", powers.join(" and "))
    };
    let mut lines = vec![format!("{user}, {may}")];
    lines.push(match access.perf_event_paranoid {
        Some(level @ ..=2) => {
            format!("kernel.perf_event_paranoid={level}: programs that perfup starts can be profiled")
        }
        Some(level) if access.may_perf => {
            format!("kernel.perf_event_paranoid={level}, which does not bind this process")
        }
        Some(level) => format!(
            "kernel.perf_event_paranoid={level}: no call stacks; sudo sysctl kernel.perf_event_paranoid=2"
        ),
        None => {
            "kernel.perf_event_paranoid cannot be read: this kernel may have no performance events".to_owned()
        }
    });
    lines.push(match access.ptrace_scope {
        None | Some(0) => "own processes can be looked into, whoever started them".to_owned(),
        Some(scope) if access.may_ptrace => format!("kernel.yama.ptrace_scope={scope}, which does not bind this process"),
        Some(scope) => format!(
            "kernel.yama.ptrace_scope={scope}: only what perfup starts can be looked into; for --pid: sudo sysctl kernel.yama.ptrace_scope=0"
        ),
    });
    if let Some(container) = &access.container {
        lines.push(format!("inside: {container}"));
    }
    if access.user_namespace {
        lines.push(
            "in a user namespace: what it may do here, it may not do to the rest of the machine".to_owned(),
        );
    }
    if access.seccomp {
        lines.push("a seccomp filter is on: the container's runtime may refuse system calls, such as perf_event_open".to_owned());
    }
    lines
}

fn machine(facts: &Facts) -> Vec<String> {
    let or_unknown =
        |text: &str| if text.is_empty() { "CPU of unknown model".to_owned() } else { text.to_owned() };
    let mut lines = vec![
        format!(
            "{}: {} CPUs, {} for this process; {} memory",
            or_unknown(&facts.cpu_model),
            facts.cores_logical,
            facts.cores_available,
            words::bytes(facts.memory_bytes as f64)
        ),
        format!(
            "Linux {} on {}{}",
            facts.kernel_release,
            facts.arch,
            if facts.virtualised { ", in a virtual machine" } else { "" }
        ),
    ];
    let group = &facts.cgroup;
    if group.cpus_max.is_some() || group.memory_bytes_max.is_some() {
        let cpus = group.cpus_max.map(|cpus| format!("{cpus:.2} CPUs"));
        let memory = group.memory_bytes_max.map(|bytes| format!("{} of memory", words::bytes(bytes as f64)));
        let limits: Vec<String> = [cpus, memory].into_iter().flatten().collect();
        lines.push(format!("the control group allows {}", limits.join(" and ")));
    }
    if let Gpus::Present(gpus) = &facts.gpus {
        lines.extend(gpus.iter().map(|gpu| {
            format!("GPU: {}, {}, driver {}", gpu.name, words::bytes(gpu.memory_bytes as f64), gpu.driver)
        }));
    }
    let load = facts
        .load_1min
        .map_or("load not known".to_owned(), |load| format!("load {load:.1} over the last minute"));
    lines.push(load);
    lines.extend(facts.warnings().iter().flat_map(|warning| wrap(warning, COLUMNS - 2)));
    lines
}
