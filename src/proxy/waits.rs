//! How long an exchange waits for its peers.
//!
//! Inside an intercepted tunnel a stream may be silent for as long as the tunnel might have been:
//! interception must not end an event stream or a call that a tunnel would have carried. Where both
//! directions of an exchange carry content, silence of one is not silence of the exchange.

use std::cell::Cell;
use std::time::Duration;

use super::inside::Inside;
use super::{Exchange, Limits};
use crate::budget::OpenEnd;
use crate::clock::{Clock, TimedOut};

/// The waits of one exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// Between a request and the head of its response.
    pub response: Duration,
    /// Silence of a peer within a message.
    pub idle: Duration,
}

impl Waits {
    /// Of a request that Larder makes by itself.
    pub(super) fn of(limits: &Limits) -> Waits {
        Waits { response: limits.response, idle: limits.idle }
    }

    fn of_client(limits: &Limits, inside: Option<&Inside>) -> Waits {
        let waits = Waits::of(limits);
        if inside.is_none() {
            return waits;
        }
        let least = limits.tunnel_idle;
        Waits { response: waits.response.max(least), idle: waits.idle.max(least) }
    }
}

impl Exchange<'_> {
    /// How long this exchange waits.
    pub(super) fn waits(&self) -> Waits {
        Waits::of_client(&self.proxy.shared.limits, self.client.inside.as_ref())
    }
}

/// The limit on silence in one direction of an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence<'a> {
    pub clock: &'a Clock,
    pub limit: Duration,
    /// Counts what moves in either direction, where both carry content.
    pub moved: Option<&'a Cell<u64>>,
    /// Of an exchange whose request is of unknown length.
    pub open_end: Option<&'a OpenEnd<'a>>,
}

impl Silence<'_> {
    /// What `future` gives, unless nothing moves for the whole limit.
    pub(super) async fn within<F: Future>(&self, future: F) -> Result<F::Output, TimedOut> {
        let mut future = std::pin::pin!(future);
        loop {
            let before = self.moved.map(Cell::get);
            match self.clock.timeout(self.limit, future.as_mut()).await {
                Err(_timed_out) if self.moved.map(Cell::get) != before => {}
                ended => return ended,
            }
        }
    }

    /// Counts what has moved.
    pub(super) fn moves(&self, octets: u64) {
        if let Some(moved) = self.moved {
            moved.set(moved.get().wrapping_add(octets));
        }
        if let Some(open_end) = self.open_end {
            open_end.moved(octets, self.clock.monotonic_ms());
        }
    }
}
