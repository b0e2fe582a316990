//! How many connections to origins there may be, and who may use them.
//!
//! An exchange borrows before it resolves or dials anything, so that what is admitted has its
//! descriptor: [`Loan`] is its client's share of all exchanges that ask an origin, with the memory that
//! one takes; [`Opened`] is the connection's share of all, by origin, for as long as it is open, in use
//! or idle.

use std::net::IpAddr;
use std::sync::Arc;

use super::{OriginKey, OriginLimits};
use crate::budget::{Budget, Full, Place, Places, Share, Use, client_of};
use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};

/// Memory of an exchange that asks an origin: its state, a reader's first buffer on the origin's side, and
/// what a tunnel copies through. Measured at 20 to 30 KiB.
const EXCHANGE_BYTES: u64 = 32 * 1024;
/// Memory of a connection within TLS: two records each way, keys and certificates.
pub(super) const TLS_BYTES: u64 = 64 * 1024;

/// The places of all workers. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Lending {
    /// By client.
    pub exchanges: Arc<Places<IpAddr>>,
    /// By origin.
    pub connections: Arc<Places<OriginKey>>,
    budget: Budget,
    clock: Clock,
}

/// What an exchange has while it uses a connection.
#[derive(Debug)]
pub(super) struct Loan {
    _place: Place<IpAddr>,
    _memory: Share,
}

/// What a connection has while it is open.
#[derive(Debug)]
pub(super) struct Opened {
    _place: Place<OriginKey>,
    tls: Option<Share>,
}

impl Lending {
    /// As many as these limits say, with memory of this budget.
    pub fn new(limits: &OriginLimits, budget: &Budget, clock: &Clock) -> Lending {
        Lending {
            exchanges: Places::new(limits.exchanges_max, limits.exchanges_per_client_max),
            connections: Places::fixed(limits.connections_max, of_one_origin(limits)),
            budget: budget.clone(),
            clock: clock.clone(),
        }
    }

    pub(super) fn lend(&self, client: IpAddr) -> Result<Loan, Failure> {
        let now_ms = || self.clock.monotonic_ms();
        let place = self.budget.place(&self.exchanges, &client_of(client), now_ms);
        let place = place.map_err(|full| too_many(full, &self.exchanges))?;
        let memory = self.budget.take(Use::Buffers, EXCHANGE_BYTES)?;
        Ok(Loan { _place: place, _memory: memory })
    }

    pub(super) fn open(&self, key: &OriginKey) -> Result<Opened, Full> {
        let place = self.budget.place(&self.connections, key, || self.clock.monotonic_ms())?;
        Ok(Opened { _place: place, tls: None })
    }

    /// As [`Lending::open`], for a connection that can be done without.
    pub(super) fn spare(&self, key: &OriginKey) -> Option<Opened> {
        let place = self.budget.spare_place(&self.connections, key, || self.clock.monotonic_ms())?;
        Some(Opened { _place: place, tls: None })
    }

    pub(super) fn begin_tls(&self, opened: &mut Opened) -> Result<(), Failure> {
        opened.tls = Some(self.budget.take(Use::Tls, TLS_BYTES)?);
        Ok(())
    }

    /// There is no connection to be had for this reason.
    pub(super) fn refused(&self, full: Full) -> Failure {
        let public = match full {
            Full::Total => "The proxy has too many connections to servers",
            Full::Share => "The proxy has too many connections to this server",
        };
        let max = self.connections.max();
        let failure = Failure::new(ErrorType::ConnectionLimitReached, Fault::Proxy, 503, public);
        failure.with_internal(format_args!("connections to origins: {full} of {max}"))
    }
}

/// More than one client can take, so that it can't keep others from an origin; less than all, so that an
/// origin can't keep them from others.
fn of_one_origin(limits: &OriginLimits) -> usize {
    limits.connections_per_origin_max.min((limits.connections_max / 4 * 3).max(1))
}

fn too_many(full: Full, places: &Places<IpAddr>) -> Failure {
    let public = match full {
        Full::Total => "The proxy is asking servers for too many responses",
        Full::Share => "This client has too many requests to servers under way",
    };
    let failure = Failure::new(ErrorType::ConnectionLimitReached, Fault::Proxy, 503, public);
    failure.with_internal(format_args!("exchanges that ask an origin: {full} of {}", places.max()))
}
