//! Whether a client is still there while Larder waits for somebody else: what is done for a client ends
//! with it.
//!
//! A reset, of the connection or of its stream of HTTP/2, ends the exchange at once. The end of what a
//! client sends (FIN) may be a half-close, with a client that still reads, or all of it: TCP does not
//! say. Most proxies take it for the end. Larder waits for a moment, in which an ordinary response is
//! begun; once octets are on their way, a client that is gone answers them with a reset.

use std::io;
use std::time::Duration;

use super::lease::place_needed;
use super::sender::{Sender, cut};
use super::{Exchange, Interrupted};
use crate::clock::Clock;
use crate::http::{Presence, WriteHalf};

/// How long a client that has half-closed waits for the next octets of its response.
const HALF_CLOSED: Duration = Duration::from_secs(1);
/// How soon a client that has sent more than its request is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// What `future` gives, unless the client that `writer` writes to goes before that.
pub(super) async fn unless_gone<F: Future>(
    clock: &Clock,
    writer: &mut WriteHalf,
    future: F,
) -> Result<F::Output, Interrupted> {
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = gone(clock, writer) => Err(Interrupted::ClientGone(io::ErrorKind::ConnectionAborted.into())),
    }
}

async fn gone(clock: &Clock, writer: &mut WriteHalf) {
    loop {
        match std::future::poll_fn(|context| writer.poll_presence(context)).await {
            Presence::Gone => return,
            Presence::HalfClosed => return clock.sleep(HALF_CLOSED).await,
            Presence::Talking => clock.sleep(AGAIN).await,
        }
    }
}

impl Exchange<'_> {
    /// What `future` gives, unless the client goes before that.
    pub(super) fn unless_gone<F: Future>(
        &mut self,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Interrupted>> {
        unless_gone(&self.proxy.shared.clock, &mut self.client.writer, future)
    }
}

impl Sender<'_> {
    /// What `future` gives, unless the client, or a response without an end, goes before that.
    pub(super) fn unless_gone<F: Future>(
        &mut self,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Interrupted>> {
        let open_end = self.open_end.as_ref();
        let waiting = unless_gone(&self.shared.clock, self.writer, future);
        async move {
            tokio::select! {
                biased;
                output = waiting => output,
                () = cut(open_end) => Err(Interrupted::ClientGone(place_needed())),
            }
        }
    }
}
