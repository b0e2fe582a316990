//! The two files that say how this machine resolves names: hosts(5) and resolv.conf(5).
//!
//! Both are read again when they have changed. That is looked for on look-ups, once a second at most, so
//! that a VPN that comes up is seen without a reload. All workers share one instance.
//!
//! Not here: nsswitch.conf, `rotate`, `sortlist` and the environment (`RES_OPTIONS`, `LOCALDOMAIN`).

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::http::Host;

/// How long a look at the files is good for, in milliseconds.
const GOOD_FOR_MS: u64 = 1000;
/// Octets of a file that are read. Arbitrary: lists of several 100,000 hosts fit.
const FILE_MAX: u64 = 16 << 20;
/// Name servers and search domains that are used; resolv.conf(5) has 3 and 6.
const SERVERS_MAX: usize = 6;
const SEARCH_MAX: usize = 6;

/// The files, and what they said when they were last read.
#[derive(Debug)]
pub struct NameFiles {
    hosts: PathBuf,
    resolv_conf: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    looked_ms: Option<u64>,
    stamps: [Option<Stamp>; 2],
    names: Names,
}

/// What tells one state of a file from another: device, inode, size, and the times of change.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

/// What the files say; what has not changed is shared.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub hosts: Arc<HashMap<Box<str>, Vec<IpAddr>>>,
    pub servers: Arc<ResolvConf>,
}

/// What resolv.conf says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub servers: Vec<SocketAddr>,
    pub search: Vec<Host>,
    /// A name with fewer dots is looked for in the search domains first.
    pub ndots: usize,
    pub timeout: Duration,
    pub attempts: usize,
}

impl Default for ResolvConf {
    fn default() -> ResolvConf {
        ResolvConf {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(2),
            attempts: 2,
        }
    }
}

impl Names {
    /// Whether the files have said the same ever since.
    pub(super) fn is_same(&self, other: &Names) -> bool {
        Arc::ptr_eq(&self.hosts, &other.hosts) && Arc::ptr_eq(&self.servers, &other.servers)
    }
}

impl NameFiles {
    /// These files; they need not exist.
    pub fn new(hosts: impl Into<PathBuf>, resolv_conf: impl Into<PathBuf>) -> NameFiles {
        NameFiles { hosts: hosts.into(), resolv_conf: resolv_conf.into(), state: Mutex::default() }
    }

    /// The machine's.
    pub fn of_system() -> NameFiles {
        NameFiles::new("/etc/hosts", "/etc/resolv.conf")
    }

    /// What the files say now.
    pub(super) fn names(&self, now_ms: u64) -> Names {
        // What a poisoned lock holds was whole before, and is.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |looked_ms: u64| now_ms.saturating_sub(looked_ms) < GOOD_FOR_MS;
        if state.looked_ms.is_some_and(is_recent) {
            return state.names.clone();
        }
        let is_first = state.looked_ms.replace(now_ms).is_none();
        let stamps = [stamp(&self.hosts), stamp(&self.resolv_conf)];
        let [hosts, resolv_conf] = &mut state.stamps;
        let has_changed = [*hosts != stamps[0] || is_first, *resolv_conf != stamps[1] || is_first];
        state.stamps = stamps;
        if has_changed[0] {
            let hosts = read_hosts(&read(&self.hosts));
            if *state.names.hosts != hosts {
                state.names.hosts = Arc::new(hosts);
            }
            tracing::debug!("{}: {} names", self.hosts.display(), state.names.hosts.len());
        }
        if has_changed[1] {
            let servers = read_resolv_conf(&read(&self.resolv_conf));
            if *state.names.servers != servers {
                state.names.servers = Arc::new(servers);
            }
            tracing::debug!("{}: {:?}", self.resolv_conf.display(), state.names.servers);
        }
        state.names.clone()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a small file of the system's, looked at once a second at most"
)]
fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    let times = ((file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()));
    Some((file.dev(), file.ino(), file.size(), times.0, times.1))
}

/// The text of a file; none of one that can't be read.
#[expect(clippy::disallowed_methods, reason = "a small file of the system's, read when it has changed")]
fn read(path: &Path) -> String {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut text));
    if let Err(error) = read {
        tracing::warn!("{} can't be read: {error}", path.display());
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// `address name…`, with comments behind `#`. All addresses of a name count, as with getaddrinfo.
fn read_hosts(text: &str) -> HashMap<Box<str>, Vec<IpAddr>> {
    let mut hosts: HashMap<Box<str>, Vec<IpAddr>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(ip)) = words.next().map(str::parse::<IpAddr>) else { continue };
        for host in words.filter_map(|word| Host::parse_text(word).ok()).filter(|host| host.ip().is_none()) {
            let addresses = hosts.entry(host.as_str().into()).or_default();
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
    }
    hosts
}

/// Lines that can't be read are left out, as glibc does: one of them must not stop all resolution.
fn read_resolv_conf(text: &str) -> ResolvConf {
    let mut conf = ResolvConf::default();
    for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
            // The last of them counts.
            Some("search" | "domain") => {
                conf.search = words.filter_map(|word| Host::parse_text(word).ok()).take(SEARCH_MAX).collect();
            }
            Some("options") => words.for_each(|word| option(&mut conf, word)),
            _ => {}
        }
    }
    conf.servers.truncate(SERVERS_MAX);
    conf
}

/// An address; with a port as OpenBSD has it: `[127.0.0.1]:5353`.
fn server(word: &str) -> Option<SocketAddr> {
    const DNS: u16 = 53;
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, DNS));
    }
    let (ip, port) = word.strip_prefix('[')?.split_once("]:")?;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

fn option(conf: &mut ResolvConf, word: &str) {
    let Some((name, Ok(number))) = word.split_once(':').map(|(name, value)| (name, value.parse::<u64>()))
    else {
        return;
    };
    match name {
        "ndots" => conf.ndots = number.min(15) as usize,
        // Less than the time that a look-up has in all, so that others are asked within it.
        "timeout" => conf.timeout = Duration::from_secs(number).clamp(Duration::from_secs(1), conf.timeout),
        "attempts" => conf.attempts = number.clamp(1, 5) as usize,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let text = "# comment\n127.0.0.1 localhost  Printer.Test. # mine\n::1\tlocalhost ip6-localhost\n\
                    192.0.2.1 under_score.test a.test\n192.0.2.2 a.test\n192.0.2.1 a.test\n\
                    not-an-address b.test\nfe80::1%lo0 c.test\n10.0.0.1\n0.0.0.0 0.0.0.0\n192.0.2.3 b\u{fc}cher.test";
        let hosts = read_hosts(text);
        let of =
            |name: &str| hosts.get(name).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        let cases: &[(&str, &[&str])] = &[
            ("localhost", &["127.0.0.1", "::1"]),
            ("printer.test", &["127.0.0.1"]),
            ("under_score.test", &["192.0.2.1"]),
            ("a.test", &["192.0.2.1", "192.0.2.2"]),
            ("xn--bcher-kva.test", &["192.0.2.3"]),
        ];
        for (name, expected) in cases {
            assert_eq!(of(name).unwrap_or_default(), *expected, "{name}");
        }
        for name in ["b.test", "c.test", "0.0.0.0", "mine"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn resolv_conf() {
        let text = "; comment\n# nameserver 192.0.2.9\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n\
                    nameserver [127.0.0.1]:5353\nnameserver nonsense\nnameserver\ndomain old.test\n\
                    search corp.test. Lab.test ..\noptions ndots:2 edns0 timeout:1 attempts:9 ndots:x";
        let conf = read_resolv_conf(text);
        let servers: Vec<_> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53", "127.0.0.1:5353"]);
        assert_eq!(conf.search.iter().map(Host::as_str).collect::<Vec<_>>(), ["corp.test", "lab.test"]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (2, Duration::from_secs(1), 5));
        assert_eq!(read_resolv_conf(""), ResolvConf::default());
        assert_eq!(read_resolv_conf("options timeout:30").timeout, Duration::from_secs(2));
    }
}
