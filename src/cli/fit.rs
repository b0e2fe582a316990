//! How much memory there is for Larder: what the machine has, and what a control group or a limit of the
//! process leaves of it. The budget and the cache are fitted to that before anything is served.
//!
//! What can't be read limits nothing: a machine without control groups is a machine.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::admin::numbers::Size;
use crate::config::{MemorySize, Settings};

/// What an automatic budget has beside the cache, at the least, in bytes. Arbitrary: some ten thousand
/// connections and exchanges.
const BESIDE_CACHE_MIN: u64 = 1 << 30;
/// A control group without a limit says so with a number near 2^63.
const UNLIMITED: u64 = 1 << 60;

/// Memory limits in bytes, each with its name.
type Limits = Vec<(&'static str, u64)>;

/// What was made of the configured sizes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fitted {
    /// For all that Larder counts.
    pub budget: u64,
    /// Of it, for what is stored in memory.
    pub cache: u64,
    pub warnings: Vec<String>,
}

/// Fits the settings to this machine, and gives the budget with what the operator should know.
pub(super) fn fit(settings: &mut Settings) -> (u64, Vec<String>) {
    let Fitted { budget, cache, warnings } = fitted(&limits(), settings.limits.memory, settings.cache.memory);
    settings.cache.memory = cache;
    (budget, warnings)
}

fn fitted(limits: &Limits, memory: MemorySize, cache: u64) -> Fitted {
    let least = limits.iter().copied().min_by_key(|(name, bytes)| usable(name, *bytes));
    let (name, there) = least.unwrap_or(("no limit", u64::MAX));
    let usable = usable(name, there);
    let mut warnings = Vec::new();
    let budget = match memory {
        MemorySize::Auto => usable.min(cache.saturating_add(cache.max(BESIDE_CACHE_MIN))),
        MemorySize::Bytes(bytes) if bytes > usable => {
            let (asked, there, used) = (Size(bytes), Size(there), Size(usable));
            warnings.push(format!(
                "limits.memory is {asked}, but {name} is {there}: Larder uses at most {used}; \
                 set limits.memory to less, or to \"auto\""
            ));
            usable
        }
        MemorySize::Bytes(bytes) => bytes,
    };
    // Three quarters: connections and what arrives need the rest.
    let cache_max = budget / 4 * 3;
    if cache > cache_max {
        let (asked, budget, used) = (Size(cache), Size(budget), Size(cache_max));
        let because = match memory {
            MemorySize::Auto => format!("{name} is {}, of which Larder uses {budget}", Size(there)),
            MemorySize::Bytes(_) => format!("all memory of Larder is limited to {budget}"),
        };
        warnings.push(format!(
            "cache.memory is {asked}, which does not fit: {because}; \
             the cache in memory uses at most {used}; set cache.memory to less"
        ));
    }
    Fitted { budget, cache: cache.min(cache_max), warnings }
}

/// What of a limit Larder may count on: the rest is for code, stacks, the kernel's buffers, and what the
/// allocator can't use. Address space is also taken by what is only reserved.
fn usable(name: &str, bytes: u64) -> u64 {
    if name == ADDRESS_SPACE { bytes / 2 } else { bytes / 4 * 3 }
}

const ADDRESS_SPACE: &str = "the limit on address space (ulimit -v)";

fn limits() -> Limits {
    let of_process = [(ADDRESS_SPACE, Resource::As), ("the limit on data (ulimit -d)", Resource::Data)];
    let of_process = of_process.into_iter().filter_map(|(name, of)| Some((name, getrlimit(of).current?)));
    let mut all: Limits = of_process.collect();
    let machine = rustix::system::sysinfo();
    all.push(("the machine's memory", machine.totalram.saturating_mul(u64::from(machine.mem_unit).max(1))));
    all.extend(control_group().map(|bytes| ("the control group's memory", bytes)));
    all
}

/// The least limit of the control group of this process and of those around it, in either version.
#[expect(clippy::disallowed_methods, reason = "before anything is served")]
fn control_group() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let read = |file: &Path| std::fs::read_to_string(file).ok();
    group_files(&text).filter_map(|file| bytes(&read(Path::new(&file))?)).min()
}

/// The files that may hold a limit, for the groups that `/proc/self/cgroup` lists.
fn group_files(text: &str) -> impl Iterator<Item = String> {
    let groups = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        match controllers {
            "" => Some(("/sys/fs/cgroup", "memory.max", path)),
            _ if controllers.split(',').any(|name| name == "memory") => {
                Some(("/sys/fs/cgroup/memory", "memory.limit_in_bytes", path))
            }
            _ => None,
        }
    });
    groups.flat_map(|(root, file, path)| {
        let around = Path::new(path).ancestors().map(|path| path.to_string_lossy().into_owned());
        around.map(move |path| format!("{root}{}/{file}", path.trim_end_matches('/')))
    })
}

fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MACHINE: &str = "the machine's memory";

    #[test]
    fn sizes_are_fitted_to_the_least_limit() {
        type Case = (&'static [(&'static str, u64)], MemorySize, u64, (u64, u64, usize));
        let cases: &[Case] = &[
            (&[(MACHINE, 24 * GIB)], MemorySize::Auto, GIB / 4, (GIB / 4 + GIB, GIB / 4, 0)),
            (&[(MACHINE, 24 * GIB)], MemorySize::Auto, 8 * GIB, (16 * GIB, 8 * GIB, 0)),
            // Row 7.8.
            (&[(MACHINE, 24 * GIB)], MemorySize::Auto, 900 * GIB, (18 * GIB, 27 * GIB / 2, 1)),
            (&[(MACHINE, 24 * GIB), ("a", GIB)], MemorySize::Auto, GIB, (GIB / 4 * 3, GIB / 16 * 9, 1)),
            (&[(MACHINE, 24 * GIB), (ADDRESS_SPACE, GIB)], MemorySize::Auto, GIB / 4, (GIB / 2, GIB / 4, 0)),
            (&[(MACHINE, 8 * GIB)], MemorySize::Bytes(9 * GIB), GIB, (6 * GIB, GIB, 1)),
            (&[(MACHINE, 8 * GIB)], MemorySize::Bytes(GIB), GIB, (GIB, GIB / 4 * 3, 1)),
            (&[], MemorySize::Auto, GIB, (2 * GIB, GIB, 0)),
        ];
        for (limits, memory, cache, (budget, fitting, warnings)) in cases {
            let found = fitted(&limits.to_vec(), *memory, *cache);
            assert_eq!((found.budget, found.cache), (*budget, *fitting), "{found:?}");
            assert_eq!(found.warnings.len(), *warnings, "{found:?}");
        }
    }

    #[test]
    fn a_warning_says_what_is_used_and_why() {
        let found = fitted(&vec![(MACHINE, 23 * GIB)], MemorySize::Auto, 900 * GIB);
        let [warning] = &found.warnings[..] else { panic!("{found:?}") };
        assert!(warning.starts_with("cache.memory is 900 GiB, which does not fit"), "{warning}");
        assert!(warning.contains("the machine's memory is 23 GiB"), "{warning}");
    }

    #[test]
    fn groups_of_both_versions_are_found_with_those_around_them() {
        let files = |text: &str| group_files(text).collect::<Vec<_>>();
        assert_eq!(
            files("0::/a/b\n"),
            ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"]
        );
        assert_eq!(files("12:cpu,cpuacct:/x\n5:memory:/\n"), ["/sys/fs/cgroup/memory/memory.limit_in_bytes"]);
        assert_eq!(
            [bytes("max\n"), bytes("9223372036854771712\n"), bytes("1024\n")],
            [None, None, Some(1024)]
        );
    }
}
