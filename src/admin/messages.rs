//! The messages of the control socket: what a running Larder is asked and told, and what it answers.
//! Numbers and what is stored, for a program to lay out; a text only where that is all.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a running Larder is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum ControlRequest {
    /// Block these patterns from now on.
    Block { patterns: Vec<String> },
    /// No longer block these patterns.
    Unblock { patterns: Vec<String> },
    /// Say what is blocked at run time.
    Blocked,
    /// Read the configuration and the lists again.
    Reload,
    /// Say what is running here.
    Status,
    /// Something about the cache.
    Cache(CacheRequest),
    /// Why is something answered as it is?
    Explain(ExplainRequest),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum ControlResponse {
    Done {
        /// For a person.
        message: String,
        /// The patterns that were added, removed, or are there.
        #[serde(default)]
        patterns: Vec<String>,
    },
    Failed {
        message: String,
    },
    Status(RunningStatus),
    Cache(CacheAnswer),
    Explained(Box<Explained>),
}

/// What a running Larder says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningStatus {
    pub pid: u32,
    /// Where clients connect.
    pub addresses: Vec<SocketAddr>,
    /// Where they connect within TLS.
    #[serde(default)]
    pub within_tls: Vec<SocketAddr>,
    /// The folder of the authority that signs for those listeners, unless they show a certificate of the
    /// operator's.
    #[serde(default)]
    pub listener_ca_dir: Option<PathBuf>,
    /// The folder of the authority that it intercepts HTTPS with, if it does.
    pub ca_dir: Option<PathBuf>,
    /// It was started by `larder run`, and ends with the last command there.
    pub is_for_run: bool,
    /// Client connections that are open.
    #[serde(default)]
    pub connections: u64,
    pub counts: Counts,
}

/// What has happened since the start. A CONNECT whose inside is served is in none of the outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub requests: u64,
    pub hits: u64,
    /// Requests that the origin was asked about.
    #[serde(default)]
    pub forwarded: u64,
    #[serde(default)]
    pub failed: u64,
    /// Tunnels that stayed closed to Larder, and connections that switched protocols.
    pub tunnels: u64,
    /// Requests that were refused.
    pub denied: u64,
    pub bytes_to_clients: u64,
    pub bytes_from_origins: u64,
}

impl Counts {
    /// What has happened since an earlier moment.
    pub fn since(&self, earlier: &Counts) -> Counts {
        Counts {
            requests: self.requests.saturating_sub(earlier.requests),
            hits: self.hits.saturating_sub(earlier.hits),
            forwarded: self.forwarded.saturating_sub(earlier.forwarded),
            failed: self.failed.saturating_sub(earlier.failed),
            tunnels: self.tunnels.saturating_sub(earlier.tunnels),
            denied: self.denied.saturating_sub(earlier.denied),
            bytes_to_clients: self.bytes_to_clients.saturating_sub(earlier.bytes_to_clients),
            bytes_from_origins: self.bytes_from_origins.saturating_sub(earlier.bytes_from_origins),
        }
    }
}

/// What a running Larder is asked about its cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum CacheRequest {
    Stats,
    /// What is stored, of one host or below a prefix.
    List {
        host: Option<String>,
        prefix: Option<String>,
        limit: usize,
    },
    Show {
        url: String,
    },
    Purge {
        scope: Scope,
    },
    /// Write to disks again that could not be written to.
    Online,
}

/// What to purge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Url(String),
    Host(String),
    Prefix(String),
    Tag(String),
    All,
}

/// What it answers, where that is more than a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum CacheAnswer {
    Stats { memory: MemoryStats, disks: Vec<DiskStats>, left_out: Vec<LeftOutStats> },
    Listing { responses: Vec<Listed>, total: u64 },
    Shown { responses: Vec<Shown> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    pub objects: u64,
    pub stored_bytes: u64,
    pub filling_bytes: u64,
    pub limit_bytes: u64,
    /// Since the start.
    pub evictions: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStats {
    pub folder: String,
    /// `online` or `read-only`.
    pub state: String,
    /// Why it is not online.
    pub reason: Option<String>,
    pub limit_bytes: u64,
    /// The sum of the octets of what follows.
    pub used_bytes: u64,
    pub segments: u64,
    pub responses: ShareStats,
    pub heads: ShareStats,
    pub removals: ShareStats,
    pub dead: ShareStats,
    pub rest_bytes: u64,
    /// In effect.
    pub purges: u64,
    /// These and those below count since the start.
    pub reads: u64,
    pub read_errors: u64,
    pub damaged: u64,
    pub dropped: u64,
    /// Of the look at all of it in the background.
    pub scrubbed_bytes: u64,
    pub scrub_passes: u64,
    /// When all was looked at last, in seconds since 1970.
    pub scrubbed: Option<u64>,
    pub scrub_damaged: u64,
    pub written_bytes: u64,
    pub reclaimed_bytes: u64,
}

/// A folder that could not be used at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutStats {
    pub folder: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareStats {
    pub records: u64,
    pub bytes: u64,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub url: String,
    pub status: u16,
    /// Octets of content.
    pub length: u64,
    pub in_memory: bool,
    pub on_disk: bool,
    /// Seconds.
    pub age: u64,
    /// Seconds of freshness left; negative when stale.
    pub ttl: i64,
    /// The entity tag, else `Last-Modified`.
    pub validator: Option<String>,
}

/// All there is to say of a stored response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    #[serde(flatten)]
    pub listed: Listed,
    pub reason: String,
    pub fields: Vec<(String, String)>,
    /// What the request had under the names in `Vary`.
    pub selecting: Vec<(String, Option<String>)>,
    pub origin: SocketAddr,
    /// When its head came from the origin, in seconds since 1970.
    pub received: u64,
    /// How long it is fresh, and who says so: `explicit`, `heuristic` or `none`.
    pub lifetime: u64,
    pub lifetime_by: String,
    pub generation: u64,
    /// Uses since it came into memory.
    pub memory_uses: Option<u64>,
    pub record: Option<ShownRecord>,
}

/// Where a response lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownRecord {
    pub segment: String,
    pub at: u64,
    pub bytes_max: u64,
    /// Up to seven.
    pub uses: u64,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainRequest {
    /// A URL, or the number of a request.
    pub of: String,
    pub method: String,
    /// Field lines that the request would have.
    pub headers: Vec<(String, String)>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The request that was asked about, by its number.
    pub past: Option<Past>,
    /// What the next request would meet; none for a tunnel and for what is no URL.
    pub next: Option<Outlook>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// As error pages and the log show it.
    pub request: String,
    /// When it ended, in milliseconds since 1970, and how long it took.
    pub finished_ms: u64,
    pub took_ms: u64,
    pub client: String,
    pub method: String,
    pub url: String,
    /// 0 when the client got no response.
    pub status: u16,
    pub cache_status: String,
    /// In words.
    pub why: Vec<ExplainedLine>,
}

/// What the next request would meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    pub method: String,
    pub url: String,
    /// `hit`, `partial`, `validation`, `miss`, `forward`, `blocked` or `504`.
    pub decision: String,
    pub verdict: ExplainedLine,
    pub request: Vec<ExplainedLine>,
    pub stored: Vec<ExplainedStored>,
    /// The last response for this URL that was not stored.
    pub not_stored: Option<Past>,
}

/// One stored response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedStored {
    pub status: u16,
    /// Octets of content.
    pub length: u64,
    pub in_memory: bool,
    pub on_disk: bool,
    pub is_selected: bool,
    /// What is not there of its content, in order.
    pub missing: Vec<Gap>,
    pub lines: Vec<ExplainedLine>,
}

/// Octets of a content, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub first: u64,
    pub last: u64,
}

/// A fact and its clause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedLine {
    pub text: String,
    pub clause: String,
}

/// Octets of a message, or of what a client sent, as text for JSON.
pub(super) fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
