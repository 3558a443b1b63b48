//! What this process may look at here, and what it is shut into: the settings that decide which sources work.

use serde::Serialize;

use super::files::Files;

/// Bits of `CapEff` in `/proc/self/status`, from `linux/capability.h`.
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;

/// The first line of `/proc/self/uid_map` where user ids are those of the whole machine.
const ALL_USERS: [u64; 3] = [0, 0, 4_294_967_295];

/// Privileges and limits of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Access {
    /// Effective user id; absent without `/proc`.
    pub user: Option<u32>,
    /// `CAP_SYS_ADMIN` or `CAP_PERFMON`: performance events of everything.
    pub may_perf: bool,
    /// `CAP_SYS_PTRACE`: processes of all users may be looked into.
    pub may_ptrace: bool,
    /// `kernel.perf_event_paranoid`: 2 lets everybody profile own programs in user mode, more is a distribution's own;
    /// absent where the kernel has no performance events.
    pub perf_event_paranoid: Option<i32>,
    /// `kernel.yama.ptrace_scope`: from 1 on only own children may be looked into; absent without Yama.
    pub ptrace_scope: Option<u32>,
    /// Whether a filter may refuse system calls, as container runtimes install it.
    pub seccomp: bool,
    /// What it is shut into, as far as that shows: `docker`, `podman`, `kubernetes` or `lxc`.
    pub container: Option<String>,
    /// Whether user ids here are not those of the whole machine: a root without power outside.
    pub user_namespace: bool,
}

impl Access {
    /// Reads it; what cannot be read is absent.
    #[must_use]
    pub fn read() -> Self {
        Self::of(&Files::of_this_machine())
    }

    fn of(files: &Files) -> Self {
        let status = files.text("proc/self/status").unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let capabilities =
            field("CapEff").and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
        let has = |bit: u32| capabilities & (1 << bit) != 0;
        Self {
            user: field("Uid").and_then(|ids| ids.split_ascii_whitespace().nth(1)?.parse().ok()),
            may_perf: has(SYS_ADMIN) || has(PERFMON),
            may_ptrace: has(SYS_PTRACE),
            perf_event_paranoid: files.value("proc/sys/kernel/perf_event_paranoid"),
            ptrace_scope: files.value("proc/sys/kernel/yama/ptrace_scope"),
            seccomp: field("Seccomp").is_some_and(|mode| mode.trim() == "2"),
            container: container(files),
            user_namespace: is_user_namespace(files),
        }
    }
}

fn container(files: &Files) -> Option<String> {
    let by_file = [(".dockerenv", "docker"), ("run/.containerenv", "podman")];
    if let Some((_, name)) = by_file.into_iter().find(|(file, _)| files.has(file)) {
        return Some(name.to_owned());
    }
    let groups = files.text("proc/self/cgroup").unwrap_or_default();
    let by_group = [("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman"), ("lxc", "lxc")];
    let found = by_group.into_iter().find(|(word, _)| groups.contains(word));
    found.map(|(_, name)| name.to_owned())
}

fn is_user_namespace(files: &Files) -> bool {
    // Kernels without user namespaces have no map.
    files.text("proc/self/uid_map").is_some_and(|map| {
        let ids = map.split_ascii_whitespace().filter_map(|id| id.parse::<u64>().ok());
        !ids.eq(ALL_USERS)
    })
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::Tree;
    use super::*;

    #[test]
    fn privileges_are_read_from_the_kernel() {
        let tree = Tree::new(&[
            ("proc/self/status", "Name:\tx\nUid:\t0\t1000\t0\t0\nCapEff:\t0000004000080000\nSeccomp:\t2\n"),
            ("proc/sys/kernel/perf_event_paranoid", "-1\n"),
            ("proc/sys/kernel/yama/ptrace_scope", "1\n"),
            ("proc/self/uid_map", "         0          0 4294967295\n"),
        ]);
        let expected = Access {
            user: Some(1000),
            may_perf: true,
            may_ptrace: true,
            perf_event_paranoid: Some(-1),
            ptrace_scope: Some(1),
            seccomp: true,
            container: None,
            user_namespace: false,
        };
        assert_eq!(Access::of(&tree.files()), expected);
        assert_eq!(Access::of(&Tree::new(&[]).files()), Access::default());
    }

    #[test]
    fn a_container_shows() {
        let check = |files: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(container(&Tree::new(files).files()).as_deref(), expected, "{files:?}");
        };
        check(&[(".dockerenv", "")], Some("docker"));
        check(&[("proc/self/cgroup", "0::/kubepods/pod1/abc\n")], Some("kubernetes"));
        check(&[("proc/self/cgroup", "0::/user.slice\n")], None);
        assert!(is_user_namespace(&Tree::new(&[("proc/self/uid_map", "0 1000 1\n")]).files()));
    }
}
