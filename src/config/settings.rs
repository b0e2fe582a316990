//! The tables of the configuration file, one struct each, with every key's default. A value is
//! valid as soon as it is here; what two values must be to each other is checked in `check.rs`.
//!
//! `docs/configuration.md` documents each key; a test compares the two.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::caching::{Rule, UnkeyedField};
use crate::http::Host;
use crate::policy::{self, Pattern, one_or_many};
use crate::server::Listen;
use crate::tls::{NameConstraints, Pin};

use super::intercept::{name_constraints, pins};
use super::rules::{rules, unkeyed_fields};
use super::values::{DEFAULT_ADMIN_PORT, DEFAULT_PORT, duration, listen, size, some_size};
use super::{AccessLog, Admin, BlockPage, DiskSize, LogFormat, LogLevel, MemorySize, SetCookie, Unreadable};

/// The file as typed: any table and any key may be missing.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: ServerSettings,
    pub limits: LimitSettings,
    pub cache: CacheSettings,
    pub log: LogSettings,
    pub access: policy::Config,
    pub intercept: InterceptSettings,
    pub tls: TlsSettings,
}

/// The configuration as meant: the file, the environment and the command line in one.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The file it came from, if there is one.
    pub file: Option<PathBuf>,
    /// Where the cache, the control socket and the run-time blocks are.
    pub cache_dir: PathBuf,
    /// Where the authority is, or will be.
    pub ca_dir: PathBuf,
    pub server: ServerSettings,
    pub limits: LimitSettings,
    pub cache: CacheSettings,
    pub log: LogSettings,
    pub access: policy::Config,
    pub intercept: InterceptSettings,
    pub tls: TlsSettings,
    /// The names and texts of the list files.
    pub lists: Vec<(String, String)>,
}

impl Settings {
    pub(super) fn new(
        file: Option<PathBuf>,
        cache_dir: PathBuf,
        ca_dir: PathBuf,
        config: Config,
    ) -> Settings {
        let Config { server, limits, cache, log, access, intercept, tls } = config;
        let lists = Vec::new();
        Settings { file, cache_dir, ca_dir, server, limits, cache, log, access, intercept, tls, lists }
    }
}

/// `[server]`: where Larder listens, how many it serves, and how long it waits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    #[serde(deserialize_with = "listen")]
    pub listen: Vec<Listen>,
    pub admin: Admin,
    /// Whether listeners with TLS offer HTTP/2.
    pub http2: bool,
    /// 0: one per core.
    pub workers: usize,
    pub connections_max: usize,
    pub connections_per_client_max: usize,
    pub streams_max: usize,
    pub streams_per_client_max: usize,
    /// Exchanges that ask an origin.
    pub exchanges_max: usize,
    pub exchanges_per_client_max: usize,
    pub origin_connections_max: usize,
    pub origin_connections_per_origin_max: usize,
    /// Responses that are brought into the cache while nobody reads them.
    pub unread_fills_max: usize,
    #[serde(deserialize_with = "duration")]
    pub unread_fill_time: Duration,
    /// From the first byte of a request's head, or the handshake before it, to the last.
    #[serde(deserialize_with = "duration")]
    pub header_timeout: Duration,
    /// Between two requests of a connection, and between two bytes of a body.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub dns_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    /// From the end of a request to the head of the origin's response.
    #[serde(deserialize_with = "duration")]
    pub origin_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub tunnel_idle_timeout: Duration,
    /// How long a tunnel may be open in all; 0: as long as it likes.
    #[serde(deserialize_with = "duration")]
    pub tunnel_time: Duration,
    /// How long a stopping Larder lets requests finish.
    #[serde(deserialize_with = "duration")]
    pub drain: Duration,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            listen: vec![Listen::http((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into())],
            admin: Admin::At((Ipv4Addr::LOCALHOST, DEFAULT_ADMIN_PORT).into()),
            http2: true,
            workers: 0,
            connections_max: 16_384,
            connections_per_client_max: 4_096,
            streams_max: 16_384,
            streams_per_client_max: 2_048,
            exchanges_max: 16_384,
            exchanges_per_client_max: 4_096,
            origin_connections_max: 16_384,
            origin_connections_per_origin_max: 4_096,
            unread_fills_max: 64,
            unread_fill_time: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            dns_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            origin_timeout: Duration::from_secs(60),
            tunnel_idle_timeout: Duration::from_secs(600),
            tunnel_time: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}

/// `[limits]`: memory for everything, and how large the parts of a message may be, in bytes where nothing
/// else is said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    pub memory: MemorySize,
    #[serde(deserialize_with = "size")]
    pub head: u64,
    #[serde(deserialize_with = "size")]
    pub line: u64,
    #[serde(deserialize_with = "size")]
    pub uri: u64,
    /// Field lines of a head.
    pub fields: usize,
    /// A whole head of a response, a line of it, and its field lines.
    #[serde(deserialize_with = "size")]
    pub response_head: u64,
    #[serde(deserialize_with = "size")]
    pub response_line: u64,
    pub response_fields: usize,
    #[serde(deserialize_with = "size")]
    pub trailers: u64,
    /// Chunk extensions of a whole body.
    #[serde(deserialize_with = "size")]
    pub chunk_extensions: u64,
    /// Interim (1xx) responses before a final one.
    pub interim: usize,
    /// Least rates in bytes per second; 0: none.
    #[serde(deserialize_with = "size")]
    pub request_rate: u64,
    #[serde(deserialize_with = "size")]
    pub response_rate: u64,
    #[serde(deserialize_with = "size")]
    pub reading_rate: u64,
    /// How far behind them a peer may be.
    #[serde(deserialize_with = "duration")]
    pub behind_max: Duration,
    /// The same for content of unknown length.
    #[serde(deserialize_with = "duration")]
    pub stream_behind_max: Duration,
}

impl Default for LimitSettings {
    fn default() -> LimitSettings {
        LimitSettings {
            memory: MemorySize::Auto,
            head: 64 << 10,
            line: 16 << 10,
            uri: 8 << 10,
            fields: 128,
            response_head: 128 << 10,
            response_line: 64 << 10,
            response_fields: 256,
            trailers: 8 << 10,
            chunk_extensions: 4 << 10,
            interim: 16,
            request_rate: 100,
            response_rate: 100,
            reading_rate: 100,
            behind_max: Duration::from_secs(120),
            stream_behind_max: Duration::from_secs(86_400),
        }
    }
}

/// `[cache]`: what is kept, and where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    #[serde(deserialize_with = "size")]
    pub memory: u64,
    pub disk: DiskSize,
    /// Folders that are the cache on disk instead of the one in the cache folder.
    #[serde(deserialize_with = "one_or_many")]
    pub disks: Vec<DiskFolder>,
    /// All that is on disk is looked at once in so many days; 0: never.
    pub scrub_days: u16,
    /// As typed; [`super::Settings::cache_dir`] is the folder that is meant.
    pub dir: Option<PathBuf>,
    /// `None`: a quarter of each tier.
    #[serde(deserialize_with = "some_size")]
    pub max_object: Option<u64>,
    pub set_cookie: SetCookie,
    /// The targeted fields that are honoured, in order of precedence (RFC 9213).
    #[serde(deserialize_with = "one_or_many")]
    pub targeted: Vec<String>,
    /// Fields that origins build responses from, beside those that are known.
    #[serde(deserialize_with = "unkeyed_fields")]
    pub unkeyed_fields: Vec<UnkeyedField>,
    /// Request fields whose values are never written or shown, beside those that never are.
    #[serde(deserialize_with = "one_or_many")]
    pub secret_fields: Vec<String>,
    pub no_vary_search: bool,
    pub offline: bool,
    /// `[[cache.rule]]`, in order.
    #[serde(rename = "rule", deserialize_with = "rules")]
    pub rules: Vec<Rule>,
}

impl Default for CacheSettings {
    fn default() -> CacheSettings {
        CacheSettings {
            memory: 256 << 20,
            disk: DiskSize::Auto,
            disks: Vec::new(),
            scrub_days: 7,
            dir: None,
            max_object: None,
            set_cookie: SetCookie::Shared,
            targeted: vec!["Larder-Cache-Control".to_owned()],
            unkeyed_fields: Vec::new(),
            secret_fields: Vec::new(),
            no_vary_search: true,
            offline: false,
            rules: Vec::new(),
        }
    }
}

/// One of several folders that the cache on disk is spread over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFolder {
    pub dir: PathBuf,
    pub size: DiskSize,
}

/// `[log]`: what is written down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    pub access: AccessLog,
    pub format: LogFormat,
    pub level: LogLevel,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { access: AccessLog::Off, format: LogFormat::Squid, level: LogLevel::Info }
    }
}

/// `[intercept]`: which HTTPS is intercepted, with what authority, and whom that trusts.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterceptSettings {
    pub enabled: bool,
    /// Hosts that are always tunnelled.
    #[serde(deserialize_with = "one_or_many")]
    pub except: Vec<Pattern>,
    /// As typed; [`super::Settings::ca_dir`] is the folder that is meant.
    pub ca_dir: Option<PathBuf>,
    /// A bundle of roots in place of the machine's.
    pub roots: Option<PathBuf>,
    /// Files or folders with roots beside those.
    #[serde(deserialize_with = "one_or_many")]
    pub extra_roots: Vec<PathBuf>,
    /// The one key of a host that is accepted, whatever its certificate says.
    #[serde(deserialize_with = "pins")]
    pub pins: HashMap<Host, Pin>,
    /// What the authority may sign for; empty: everything.
    #[serde(deserialize_with = "name_constraints")]
    pub name_constraints: NameConstraints,
    pub block_page: BlockPage,
    pub unreadable: Unreadable,
    /// Whether who does not accept the authority's certificates is given tunnels for a while.
    pub learn_exceptions: bool,
}

/// `[tls]`: what listeners with TLS show.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// `None`: Larder's own authority signs what they show.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// Every key of the file, for suggestions and for the tests of its documentation.
pub const KNOWN_KEYS: &[&str] = &[
    "server.listen",
    "server.admin",
    "server.http2",
    "server.workers",
    "server.connections_max",
    "server.connections_per_client_max",
    "server.streams_max",
    "server.streams_per_client_max",
    "server.exchanges_max",
    "server.exchanges_per_client_max",
    "server.origin_connections_max",
    "server.origin_connections_per_origin_max",
    "server.unread_fills_max",
    "server.unread_fill_time",
    "server.header_timeout",
    "server.idle_timeout",
    "server.dns_timeout",
    "server.connect_timeout",
    "server.origin_timeout",
    "server.tunnel_idle_timeout",
    "server.tunnel_time",
    "server.drain",
    "limits.memory",
    "limits.head",
    "limits.line",
    "limits.uri",
    "limits.fields",
    "limits.response_head",
    "limits.response_line",
    "limits.response_fields",
    "limits.trailers",
    "limits.chunk_extensions",
    "limits.interim",
    "limits.request_rate",
    "limits.response_rate",
    "limits.reading_rate",
    "limits.behind_max",
    "limits.stream_behind_max",
    "cache.memory",
    "cache.disk",
    "cache.disks",
    "cache.scrub_days",
    "cache.dir",
    "cache.max_object",
    "cache.set_cookie",
    "cache.targeted",
    "cache.unkeyed_fields",
    "cache.secret_fields",
    "cache.no_vary_search",
    "cache.offline",
    "cache.rule",
    "log.access",
    "log.format",
    "log.level",
    "access.clients",
    "access.block",
    "access.block_clients",
    "access.allow_destinations",
    "access.lenient_origins",
    "access.lists",
    "access.ports",
    "access.connect_ports",
    "intercept.enabled",
    "intercept.except",
    "intercept.ca_dir",
    "intercept.roots",
    "intercept.extra_roots",
    "intercept.pins",
    "intercept.name_constraints",
    "intercept.block_page",
    "intercept.unreadable",
    "intercept.learn_exceptions",
    "tls.certificate",
    "tls.key",
];
