//! How long a tunnel may be open: for as long as it likes, unless its total time is over, or it moves next
//! to nothing and its places are needed.

use std::io;

use super::{Exchange, Interrupted, Shared};
use crate::budget::OpenEnd;

/// Of one tunnel, or of one connection that has switched protocols.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    shared: &'a Shared,
    open_end: OpenEnd<'a>,
    since_ms: u64,
}

impl<'a> Lease<'a> {
    /// Begins now, for this exchange's client.
    pub(super) fn begin(exchange: &Exchange<'a>) -> Lease<'a> {
        let shared = &exchange.proxy.shared;
        let since_ms = shared.clock.monotonic_ms();
        let open_end = shared.budget.open_ended().begin(exchange.client.peer.ip(), since_ms);
        Lease { shared, open_end, since_ms }
    }

    /// Either direction has carried so many octets.
    pub(super) fn moved(&self, octets: usize) {
        self.open_end.moved(octets as u64, self.shared.clock.monotonic_ms());
    }

    /// Waits until the tunnel has to end; tells why.
    pub(super) async fn ended(&self) -> io::Error {
        let clock = &self.shared.clock;
        let too_long = async {
            let Some(limit) = self.shared.limits.tunnel_time else { return std::future::pending().await };
            let open = std::time::Duration::from_millis(clock.monotonic_ms().saturating_sub(self.since_ms));
            clock.sleep(limit.saturating_sub(open)).await;
        };
        tokio::select! {
            () = self.open_end.cut() => place_needed(),
            () = too_long => io::Error::new(io::ErrorKind::TimedOut, "open for too long"),
        }
    }

    /// What `future` gives, unless the tunnel has to end before that.
    pub(super) async fn within<F: Future>(&self, future: F) -> Result<F::Output, Interrupted> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            error = self.ended() => Err(Interrupted::ClientGone(error)),
        }
    }
}

/// Why one ends that has no end of its own: [`super::record::Record::ends_by`] tells the operator.
pub(super) fn place_needed() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "its place is needed, and it moves next to nothing")
}
