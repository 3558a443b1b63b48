//! The control group that this process, and so every measured program, lives in: what it may use, and how often it was
//! stopped for having used that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::Files;

/// Version 1 writes "no limit" as the largest page count.
const NO_LIMIT_BYTES_MIN: u64 = 1 << 60;

/// The limits of this process's control groups and of all groups above them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cgroup {
    /// 1 or 2: where the CPU limit stands; absent without control groups.
    pub version: Option<u8>,
    /// CPUs' worth of time that may be used; absent for all.
    pub cpus_max: Option<f64>,
    pub memory_bytes_max: Option<u64>,
}

/// How often the CPU quota stopped the group, since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttling {
    pub periods: u64,
    pub time: Duration,
}

impl Cgroup {
    #[must_use]
    pub fn read(files: &Files) -> Self {
        let (cpu, memory) = (Group::of("cpu", files), Group::of("memory", files));
        let tightest = |of: &Option<Group>, limit: &dyn Fn(&Group, &Path) -> Option<f64>| {
            let group = of.as_ref()?;
            group.upwards(files).iter().filter_map(|folder| limit(group, folder)).reduce(f64::min)
        };
        Self {
            version: cpu.as_ref().map(|group| group.version),
            cpus_max: tightest(&cpu, &|group, folder| group.cpus_max(files, folder)),
            memory_bytes_max: tightest(&memory, &|group, folder| {
                group.memory_bytes_max(files, folder).map(|bytes| bytes as f64)
            })
            .map(|bytes| bytes as u64),
        }
    }
}

impl Throttling {
    /// Of the group and all groups above it; absent where no quota is kept.
    #[must_use]
    pub fn read(files: &Files) -> Option<Self> {
        let group = Group::of("cpu", files)?;
        let stats = group.upwards(files);
        let stats = stats.iter().filter_map(|folder| parse(&files.text(folder.join("cpu.stat"))?));
        stats.reduce(|sum, next| Self { periods: sum.periods + next.periods, time: sum.time + next.time })
    }
}

/// Parses `cpu.stat` of either version.
fn parse(text: &str) -> Option<Throttling> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
        line.trim().parse::<u64>().ok()
    };
    let time = value("throttled_usec").map(Duration::from_micros);
    let time = time.or_else(|| value("throttled_time").map(Duration::from_nanos));
    Some(Throttling { periods: value("nr_throttled")?, time: time? })
}

/// Files of the control group that tell how long its tasks were stalled; absent in version 1.
pub(super) fn pressure_file(resource: &str, files: &Files) -> Option<PathBuf> {
    let group = Group::unified(files)?;
    let path = group.upwards(files).first()?.join(format!("{resource}.pressure"));
    files.has(&path).then_some(path)
}

/// One control group of this process.
#[derive(Debug)]
struct Group {
    version: u8,
    /// Where the hierarchy is mounted, relative to the root.
    mount: PathBuf,
    /// Below the mount.
    path: PathBuf,
}

impl Group {
    /// The group that limits this resource: version 1 where the resource has a hierarchy of its own.
    fn of(controller: &str, files: &Files) -> Option<Self> {
        let text = files.text("proc/self/cgroup")?;
        let own = text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            controllers.split(',').any(|name| name == controller).then_some((controllers, path))
        });
        let Some((controllers, path)) = own else {
            return Self::unified(files);
        };
        let mounts = [controllers, controller].map(|name| Path::new("sys/fs/cgroup").join(name));
        let mount = mounts.into_iter().find(|mount| files.has(mount))?;
        Some(Self { version: 1, mount, path: below(path) })
    }

    fn unified(files: &Files) -> Option<Self> {
        let text = files.text("proc/self/cgroup")?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        let mounts = ["sys/fs/cgroup", "sys/fs/cgroup/unified"].map(Path::new);
        let mount = mounts.into_iter().find(|mount| files.has(mount.join("cgroup.controllers")))?;
        Some(Self { version: 2, mount: mount.to_owned(), path: below(path) })
    }

    /// The group's folder and those of all groups above it. In a container the path may be one that only the host
    /// sees; then the mount shows the container's own group.
    fn upwards(&self, files: &Files) -> Vec<PathBuf> {
        let folders = self.path.ancestors().map(|path| self.mount.join(path));
        folders.filter(|folder| files.has(folder)).collect()
    }

    fn cpus_max(&self, files: &Files, folder: &Path) -> Option<f64> {
        let (quota, period) = if self.version == 2 {
            let text = files.text(folder.join("cpu.max"))?;
            let mut words = text.split_ascii_whitespace().map(|word| word.parse::<f64>().ok());
            (words.next()??, words.next()??)
        } else {
            let value = |name: &str| files.value::<f64>(folder.join(name));
            (value("cpu.cfs_quota_us")?, value("cpu.cfs_period_us")?)
        };
        (quota > 0.0 && period > 0.0).then(|| quota / period)
    }

    fn memory_bytes_max(&self, files: &Files, folder: &Path) -> Option<u64> {
        let name = if self.version == 2 { "memory.max" } else { "memory.limit_in_bytes" };
        files.value::<u64>(folder.join(name)).filter(|&bytes| bytes < NO_LIMIT_BYTES_MIN)
    }
}

/// A path of `/proc/self/cgroup` as one that can be joined; one outside of what this process may see is its top.
fn below(path: &str) -> PathBuf {
    let path = path.trim_start_matches('/');
    if path.split('/').any(|part| part == "..") { PathBuf::new() } else { PathBuf::from(path) }
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::Tree;
    use super::*;

    fn check(files: &[(&str, &str)], version: Option<u8>, cpus_max: Option<f64>, memory: Option<u64>) {
        let expected = Cgroup { version, cpus_max, memory_bytes_max: memory };
        assert_eq!(Cgroup::read(&Tree::new(files).files()), expected, "{files:?}");
    }

    #[test]
    fn the_tightest_limit_on_the_way_up_counts() {
        check(&[], None, None, None);
        let unified = [
            ("proc/self/cgroup", "0::/user.slice/job.scope\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory io\n"),
            ("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/user.slice/job.scope/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/user.slice/job.scope/memory.max", "1073741824\n"),
        ];
        check(&unified, Some(2), Some(1.5), Some(1 << 30));
        let split = [
            ("proc/self/cgroup", "4:memory:/a/b\n3:cpu,cpuacct:/a/b\n0::/\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/unified/cgroup.controllers", "\n"),
        ];
        check(&split, Some(1), Some(0.5), Some(2 << 30));
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_mount() {
        let host_path = [
            ("proc/self/cgroup", "3:cpu,cpuacct:/docker/0123\n2:memory:/docker/0123\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n"),
        ];
        check(&host_path, Some(1), Some(2.0), Some(1 << 20));
        let outside = [
            ("proc/self/cgroup", "0::/../other\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
            ("sys/fs/cgroup/cpu.max", "100000 100000\n"),
        ];
        check(&outside, Some(2), Some(1.0), None);
    }

    #[test]
    fn throttling_of_both_versions_adds_up_on_the_way_up() {
        let stat = |v2: bool| {
            let (name, unit) = if v2 { ("throttled_usec", 1) } else { ("throttled_time", 1000) };
            format!("nr_periods 10\nnr_throttled 3\n{name} {}\n", 4000 * unit)
        };
        let expected = Some(Throttling { periods: 6, time: Duration::from_millis(8) });
        let unified = Tree::new(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
            ("sys/fs/cgroup/a/cpu.stat", &stat(true)),
            ("sys/fs/cgroup/a/b/cpu.stat", &stat(true)),
        ]);
        assert_eq!(Throttling::read(&unified.files()), expected);
        let split = Tree::new(&[
            ("proc/self/cgroup", "1:cpu:/a/b\n"),
            ("sys/fs/cgroup/cpu/a/cpu.stat", &stat(false)),
            ("sys/fs/cgroup/cpu/a/b/cpu.stat", &stat(false)),
        ]);
        assert_eq!(Throttling::read(&split.files()), expected);
        assert_eq!(Throttling::read(&Tree::new(&[]).files()), None);
        assert_eq!(parse("usage_usec 5\nuser_usec 3\n"), None);
    }
}
