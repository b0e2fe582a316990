//! Idle connections, by origin.
//!
//! Invariant: a connection that is taken from the pool was open and silent at that moment. An
//! origin that has closed it, or has written something nobody asked for (RFC 9112 §9.2), is
//! found out by a look into the socket, not by what the event loop has noticed so far.

use std::collections::HashMap;
use std::time::Duration;

use super::{Connection, OriginKey, key};
use crate::http::TargetUri;

/// Limits on idle connections of one worker.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Per origin; default 256.
    pub per_origin: usize,
    /// In all; default 1,024.
    pub total: usize,
    /// How long one is kept; default 30 s, less than most servers keep theirs.
    pub idle: Duration,
}

impl Default for PoolLimits {
    fn default() -> PoolLimits {
        PoolLimits { per_origin: 256, total: 1024, idle: Duration::from_secs(30) }
    }
}

#[derive(Debug)]
pub(super) struct Pool {
    limits: PoolLimits,
    idle: HashMap<OriginKey, Vec<Idle>>,
    total: usize,
}

/// A connection that nobody uses.
#[derive(Debug)]
pub(super) struct Idle {
    connection: Connection,
    since_ms: u64,
    /// How long the origin keeps it, where it says so.
    open_max: Duration,
}

impl Idle {
    pub(super) fn new(connection: Connection, now_ms: u64, open_max: Option<Duration>) -> Idle {
        Idle { connection, since_ms: now_ms, open_max: open_max.unwrap_or(Duration::MAX) }
    }

    fn time(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.since_ms))
    }

    /// Whether it can be used after so long a time at most.
    fn is_usable(&self, now_ms: u64, idle_max: Duration) -> bool {
        self.time(now_ms) <= idle_max.min(self.open_max) && self.connection.reader.io().is_open_and_silent()
    }
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Pool {
        Pool { limits, idle: HashMap::new(), total: 0 }
    }

    /// The connection that was used last: the likeliest to be alive still.
    pub(super) fn take(&mut self, uri: &TargetUri, now_ms: u64, idle_max: Duration) -> Option<Connection> {
        let of_origin = self.idle.get_mut(&key(uri))?;
        while let Some(idle) = of_origin.pop() {
            self.total -= 1;
            if idle.is_usable(now_ms, idle_max.min(self.limits.idle)) {
                let time = idle.time(now_ms);
                return Some(Connection { idle: Some(time), ..idle.connection });
            }
        }
        None
    }

    pub(super) fn put(&mut self, uri: &TargetUri, idle: Idle) {
        if self.total >= self.limits.total {
            return;
        }
        let of_origin = self.idle.entry(key(uri)).or_default();
        if of_origin.len() < self.limits.per_origin {
            of_origin.push(idle);
            self.total += 1;
        }
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        let idle_max = self.limits.idle;
        self.idle.retain(|_, of_origin| {
            of_origin.retain(|idle| idle.is_usable(now_ms, idle_max));
            !of_origin.is_empty()
        });
        self.total = self.idle.values().map(Vec::len).sum();
    }
}
