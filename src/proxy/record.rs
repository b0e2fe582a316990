//! What is remembered of one exchange while it runs, for the access log, the counters and the
//! diagnostics.
//!
//! At `debug` the events of one request carry its number and read in order as its story.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::debug;

use super::{Client, Next, Recalled, Shared};
use crate::caching::{Decision, ForwardReason, Handled, Outcome};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{FieldName, Method, Request, Target, Timestamp};
use crate::log::{AccessRecord, CacheCode, Ending, Hierarchy, LoggedUrl};
use crate::origin::Connection;

/// Counters since the start, for metrics and status pages.
#[derive(Debug, Default)]
pub struct Counters {
    pub requests: AtomicU64,
    pub hits: AtomicU64,
    pub forwarded: AtomicU64,
    pub collapsed: AtomicU64,
    pub denied: AtomicU64,
    pub failed: AtomicU64,
    pub tunnels: AtomicU64,
    pub bytes_to_clients: AtomicU64,
    pub bytes_from_origins: AtomicU64,
}

/// One exchange so far.
#[derive(Debug)]
pub struct Record {
    id: u64,
    started_ms: u64,
    pub(super) client: SocketAddr,
    bytes_from_client: u64,
    bytes_to_client: u64,
    bytes_from_origin: u64,
    status: u16,
    outcome: Outcome,
    code: CacheCode,
    ending: Ending,
    origin: Option<SocketAddr>,
    content_type: Option<Box<[u8]>>,
    rule: Option<String>,
    error: Option<ErrorType>,
    detail: Option<String>,
    /// Whether the access log wants details that cost an allocation.
    logged: bool,
}

impl Record {
    pub(super) fn begin(shared: &Shared, client: &Client, request: &Request) -> Record {
        let record = Record::of_connection(shared, client, request.head_bytes);
        let target = LoggedTarget(&request.target);
        record.note("request", format_args!("{} {target} from {}", request.method.as_str(), client.peer));
        record
    }

    /// For a connection of which no request could be read.
    pub(super) fn of_connection(shared: &Shared, client: &Client, bytes_from_client: u64) -> Record {
        Record {
            id: shared.next_request_id(),
            started_ms: client.began_ms(shared.clock.now_ms()),
            client: client.peer,
            bytes_from_client,
            bytes_to_client: 0,
            bytes_from_origin: 0,
            status: 0,
            outcome: Outcome::new(Handled::Local),
            code: CacheCode::None,
            ending: Ending::Complete,
            origin: None,
            content_type: None,
            rule: None,
            error: None,
            detail: None,
            logged: shared.log.is_enabled(),
        }
    }

    /// The request's number.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// A step of the story that has nothing to remember.
    pub(super) fn note(&self, step: &str, text: impl Display) {
        tell(self.id, step, text);
    }

    pub(super) fn decided(&self, decision: &Decision) {
        match decision {
            Decision::Reuse { age, ttl, .. } => {
                self.note("reuse", format_args!("a hit: age {age} s, ttl {ttl} s"))
            }
            Decision::ReuseAndValidate { age, ttl, .. } => self
                .note("reuse", format_args!("a hit, stale while it is validated: age {age} s, ttl {ttl} s")),
            Decision::Validate { reason, .. } => {
                self.note(
                    "reuse",
                    format_args!("the stored response must be validated: {}", reason.as_str()),
                );
            }
            Decision::Forward(reason) => {
                self.note("reuse", format_args!("nothing to reuse: {}", reason.as_str()))
            }
            Decision::GatewayTimeout => self.note("reuse", "nothing to reuse, and only-if-cached"),
        }
    }

    pub(super) fn asks(&mut self, connection: &Connection) {
        self.origin = Some(connection.peer);
        let kind = if connection.is_reused() { "a pooled" } else { "a new" };
        self.note("origin", format_args!("asks {} over {kind} connection", connection.peer));
    }

    pub(super) fn sent(&mut self, octets: u64) {
        self.bytes_to_client += octets;
    }

    pub(super) fn received_from_client(&mut self, octets: u64) {
        self.bytes_from_client += octets;
    }

    /// Whether any octets have come from an origin.
    pub(super) fn has_heard_origin(&self) -> bool {
        self.bytes_from_origin > 0
    }

    pub(super) fn received_from_origin(&mut self, octets: u64) {
        self.bytes_from_origin += octets;
    }

    /// The head that the client gets is decided on.
    pub(super) fn responds(&mut self, status: u16, outcome: Outcome, content_type: Option<&[u8]>) {
        self.status = status;
        self.outcome = outcome;
        // A failure keeps the code of its fault.
        if self.error.is_none() {
            self.code = code(status, &outcome);
        }
        if self.logged {
            self.content_type = content_type.map(Box::from);
        }
        if tracing::enabled!(tracing::Level::DEBUG) {
            let mut text = Vec::new();
            outcome.write_cache_status(&mut text);
            self.note("response", format_args!("{status}, Cache-Status: {}", String::from_utf8_lossy(&text)));
        }
    }

    pub(super) fn tunnel(&mut self, origin: SocketAddr) {
        self.origin = Some(origin);
        self.status = 200;
        self.code = CacheCode::Tunnel;
        self.note("tunnel", format_args!("open to {origin}"));
    }

    /// A tunnel is open, and its requests are served.
    pub(super) fn looks_into(&mut self, protocol: &str) {
        self.status = 200;
        // It may have been dialled as a tunnel before its client said anything.
        (self.code, self.origin) = (CacheCode::None, None);
        self.note("intercept", format_args!("serves the {protocol} inside"));
    }

    /// The connection has switched to another protocol.
    pub(super) fn switched(&mut self, octets: u64) {
        self.sent(octets);
        self.status = 101;
        self.code = CacheCode::Tunnel;
        self.note("tunnel", "switched protocols");
    }

    /// The exchange failed, and the client is told with this status.
    pub(super) fn fails(&mut self, failure: &Failure) {
        self.status = failure.status;
        self.error = Some(failure.error);
        self.rule.clone_from(&failure.rule);
        self.code = match failure.fault {
            Fault::Policy => CacheCode::Denied,
            Fault::Origin => CacheCode::Miss,
            Fault::Client | Fault::Proxy => CacheCode::None,
        };
        // RFC 9110 §15.5.9: the request did not come within its time.
        if failure.status == 408 {
            self.ending = Ending::TimedOut;
        }
        self.detail = (!failure.internal.is_empty()).then(|| failure.internal.to_string());
        self.note("refused", format_args!("{}: {failure}", failure.error.as_str()));
    }

    /// The response was cut off.
    pub(super) fn cut(&mut self, failure: Failure) -> Next {
        self.error = Some(failure.error);
        if failure.fault == Fault::Policy {
            self.code = CacheCode::Denied;
        }
        self.rule.clone_from(&failure.rule);
        self.detail = Some(failure.internal.to_string());
        let timed_out = failure.error == ErrorType::ConnectionReadTimeout;
        self.ending = if timed_out { Ending::TimedOut } else { Ending::Aborted };
        self.note("response", format_args!("cut off: {failure}"));
        Next::Reset
    }

    /// Why Larder itself has ended the exchange, where it has.
    pub(super) fn ends_by(&mut self, error: &std::io::Error) {
        self.detail = match error.kind() {
            std::io::ErrorKind::OutOfMemory => {
                Some("cut off: memory is short, and this client took too little".to_owned())
            }
            std::io::ErrorKind::ResourceBusy => {
                Some("cut off: places are short, and this one moved next to nothing".to_owned())
            }
            _ => self.detail.take(),
        };
    }

    /// The client went away.
    pub(super) fn client_gone(&mut self, error: &std::io::Error) -> Next {
        self.ends_by(error);
        let timed_out = error.kind() == std::io::ErrorKind::TimedOut;
        self.ending = if timed_out { Ending::TimedOut } else { Ending::Aborted };
        self.note("client", format_args!("gone: {error}"));
        Next::Reset
    }

    /// The proxy stops in the middle of it.
    pub(super) fn abandoned(&mut self) {
        self.ending = Ending::Aborted;
        self.note("end", "cut off: the proxy stops");
    }

    /// Ends the story: counts it and writes its line.
    pub(super) fn finish(&self, shared: &Shared, request: &Request) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let took = shared.clock.now_ms().saturating_sub(self.started_ms);
            self.note("end", format_args!("{} octets to the client after {took} ms", self.bytes_to_client));
        }
        let url = match &request.target {
            Target::Absolute(uri) => LoggedUrl::Uri(uri),
            Target::Authority(authority) => LoggedUrl::Authority(authority),
            Target::Origin(path) => LoggedUrl::Text(path),
            Target::Asterisk => LoggedUrl::Text(b"*"),
        };
        self.count(&shared.counters);
        if let Some(rule) = self.outcome.rule {
            shared.rules.count(rule);
        }
        self.remember(shared, request);
        if self.logged {
            self.write(shared, url, Some(request));
        }
    }

    /// As [`Record::finish`], for a connection of which no request could be read.
    pub(super) fn finish_unread(&self, shared: &Shared) {
        self.count(&shared.counters);
        if self.logged {
            self.write(shared, LoggedUrl::Unknown, None);
        }
    }

    fn write(&self, shared: &Shared, url: LoggedUrl<'_>, request: Option<&Request>) {
        let now_ms = shared.clock.now_ms();
        let mut cache_status = Vec::with_capacity(64);
        self.outcome.write_cache_status(&mut cache_status);
        let field = |name| request.and_then(|request| request.fields.first(name));
        shared.log.write(&AccessRecord {
            finished: Timestamp(now_ms / 1000),
            finished_millis: (now_ms % 1000) as u16,
            duration_ms: now_ms.saturating_sub(self.started_ms),
            client: self.client,
            user: None,
            method: request.map_or("", |request| request.method.as_str()),
            url,
            version: request.map(|request| request.version),
            status: self.status,
            bytes_to_client: self.bytes_to_client,
            bytes_from_client: self.bytes_from_client,
            bytes_from_origin: self.bytes_from_origin,
            cache_status: std::str::from_utf8(&cache_status).unwrap_or_default(),
            code: self.code,
            ending: self.ending,
            hierarchy: self.origin.map_or(Hierarchy::None, |origin| Hierarchy::Direct(origin.ip())),
            content_type: self.content_type.as_deref(),
            referer: field(FieldName::Referer),
            user_agent: field(FieldName::UserAgent),
            request_id: self.id,
            rule: self.rule.as_deref(),
            error: self.error,
            detail: self.detail.as_deref(),
        });
    }

    fn remember(&self, shared: &Shared, request: &Request) {
        let finished_ms = shared.clock.now_ms();
        let about = Recalled {
            id: self.id,
            finished_ms,
            took_ms: finished_ms.saturating_sub(self.started_ms),
            client: self.client,
            method: Method::Get,
            url: Vec::new(),
            status: self.status,
            outcome: self.outcome,
            error: self.error,
            rule: self.rule.clone(),
            detail: self.detail.clone(),
        };
        shared.recent.remember(request, about);
    }

    fn count(&self, counters: &Counters) {
        let add = |counter: &AtomicU64, number| {
            counter.fetch_add(number, Ordering::Relaxed);
        };
        add(&counters.requests, 1);
        add(&counters.bytes_to_clients, self.bytes_to_client);
        add(&counters.bytes_from_origins, self.bytes_from_origin);
        match (self.code, self.outcome.result) {
            (CacheCode::Denied, _) => add(&counters.denied, 1),
            (CacheCode::Tunnel, _) => add(&counters.tunnels, 1),
            _ if self.error.is_some() => add(&counters.failed, 1),
            (_, Handled::Hit) => add(&counters.hits, 1),
            (_, Handled::Forwarded(_)) => add(&counters.forwarded, 1),
            (_, Handled::Local) => {}
        }
        if self.outcome.collapsed {
            add(&counters.collapsed, 1);
        }
    }
}

/// The detail of an outcome that a stale response has answered.
pub(super) const STALE_IF_ERROR: &str = "stale-if-error";

/// The detail of a hit that is stale, and validated afterwards.
pub(super) const STALE_WHILE_REVALIDATE: &str = "stale-while-revalidate";

/// Squid's word for an outcome.
fn code(status: u16, outcome: &Outcome) -> CacheCode {
    match outcome.result {
        Handled::Local => CacheCode::None,
        Handled::Hit if status == 304 => CacheCode::ImsHit,
        Handled::Hit if status >= 400 && status != 416 => CacheCode::NegativeHit,
        Handled::Hit => CacheCode::MemHit,
        Handled::Forwarded(_) if outcome.collapsed => CacheCode::CollapsedHit,
        Handled::Forwarded(ForwardReason::Stale) => match outcome.fwd_status {
            Some(304) => CacheCode::RefreshUnmodified,
            _ if outcome.detail == Some(STALE_IF_ERROR) => CacheCode::RefreshFailOld,
            _ => CacheCode::RefreshModified,
        },
        Handled::Forwarded(ForwardReason::Request) => CacheCode::ClientRefresh,
        Handled::Forwarded(_) => CacheCode::Miss,
    }
}

/// Tells a step of the story of the request with this number.
pub(super) fn tell(id: u64, step: &str, text: impl Display) {
    debug!("{id:016x} {step}: {text}");
}

struct LoggedTarget<'a>(&'a Target);

impl Display for LoggedTarget<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Target::Absolute(uri) => uri.fmt(f),
            Target::Authority(authority) => authority.fmt(f),
            Target::Origin(path) => write!(f, "{:?}", String::from_utf8_lossy(path)),
            Target::Asterisk => f.write_str("*"),
        }
    }
}
