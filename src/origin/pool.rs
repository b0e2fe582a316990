//! Idle connections, by origin.
//!
//! Invariant: a connection that is taken from the pool was open and silent at that moment. An
//! origin that has closed it, or has written something nobody asked for (RFC 9112 §9.2), is
//! found out by a look into the socket, not by what the event loop has noticed so far.

use std::collections::HashMap;
use std::time::Duration;

use super::{Connection, OriginKey};
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

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since_ms: u64,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Pool {
        Pool { limits, idle: HashMap::new(), total: 0 }
    }

    /// The connection that was used last: the likeliest to be alive still.
    pub(super) fn take(&mut self, uri: &TargetUri, now_ms: u64, idle_max: Duration) -> Option<Connection> {
        let of_origin = self.idle.get_mut(&key(uri))?;
        while let Some(Idle { mut connection, since_ms }) = of_origin.pop() {
            self.total -= 1;
            let idle = Duration::from_millis(now_ms.saturating_sub(since_ms));
            if idle <= idle_max.min(self.limits.idle) && connection.reader.io_mut().is_open_and_silent() {
                connection.idle = Some(idle);
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn put(&mut self, uri: &TargetUri, connection: Connection, now_ms: u64) {
        if self.total >= self.limits.total {
            return;
        }
        let of_origin = self.idle.entry(key(uri)).or_default();
        if of_origin.len() < self.limits.per_origin {
            of_origin.push(Idle { connection, since_ms: now_ms });
            self.total += 1;
        }
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        let oldest = now_ms.saturating_sub(u64::try_from(self.limits.idle.as_millis()).unwrap_or(u64::MAX));
        self.idle.retain(|_, of_origin| {
            of_origin.retain_mut(|idle| {
                idle.since_ms >= oldest && idle.connection.reader.io_mut().is_open_and_silent()
            });
            !of_origin.is_empty()
        });
        self.total = self.idle.values().map(Vec::len).sum();
    }
}

fn key(uri: &TargetUri) -> OriginKey {
    (uri.scheme, uri.authority.clone())
}
