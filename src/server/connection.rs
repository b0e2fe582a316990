//! One client connection: heads are read and answered in order until either side has had enough.

use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;

use super::{Phase, ServerLimits, http2};
use crate::budget::Places;
use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{ReadHeadError, Scheme};
use crate::proxy::{Client, Next, Proxy, exchange, greet, refuse_connection, refuse_head};

/// What a connection is served with.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    pub limits: ServerLimits,
    /// Of all connections with HTTP/2.
    pub streams: Arc<Places<IpAddr>>,
    pub phase: watch::Receiver<Phase>,
}

/// Serves a connection to its end; one with `https` within TLS.
pub(super) async fn serve(proxy: &Proxy, scheme: Scheme, mut client: Client, serving: Serving) {
    let next = match scheme {
        Scheme::Http => Next::KeepOpen,
        Scheme::Https => Box::pin(greet(proxy, &mut client)).await,
    };
    Box::pin(go_on(proxy, client, next, serving)).await;
}

/// Serves the rest of a connection, behind a handshake or an exchange that has left it so.
pub(super) async fn go_on(proxy: &Proxy, mut client: Client, mut next: Next, serving: Serving) {
    let clock = &proxy.shared.clock;
    let Serving { limits, phase, .. } = &serving;
    let mut changes = phase.clone();
    // One wait for the whole connection: making one for each request would cost each of them.
    let mut draining = pin!(async move {
        // The sender lives as long as the server.
        let _draining = changes.wait_for(|phase| *phase != Phase::Serving).await;
    });
    while next == Next::KeepOpen {
        if !has_request(&mut client, clock, limits, draining.as_mut()).await {
            next = Next::Close;
            break;
        }
        client.begins_request(clock.now_ms());
        client.last_request = *phase.borrow() != Phase::Serving;
        let head = client.reader.request_head(&proxy.shared.limits.head);
        next = match clock.timeout(limits.header_timeout, head).await {
            Ok(Ok(request)) => exchange(proxy, &mut client, request).await,
            Ok(Err(ReadHeadError::Malformed(error))) => refuse_head(proxy, &mut client, error).await,
            // Nobody is there to be answered.
            Ok(Err(ReadHeadError::Closed | ReadHeadError::Truncated | ReadHeadError::Io(_))) => Next::Gone,
            Err(_timed_out) => {
                let public = "The request's head did not arrive in time";
                let failure = Failure::new(ErrorType::HttpRequestError, Fault::Client, 408, public);
                refuse_connection(proxy, &mut client, failure).await
            }
        };
    }
    if next == Next::Http2 {
        return Box::pin(http2::serve(proxy, client, serving)).await;
    }
    close(client, next, clock).await;
}

/// Waits for the first octet of a request. False: the client has closed, has been silent for too
/// long, or the proxy drains.
async fn has_request(
    client: &mut Client,
    clock: &Clock,
    limits: &ServerLimits,
    draining: Pin<&mut impl Future<Output = ()>>,
) -> bool {
    let octets = clock.timeout(limits.idle_timeout, client.reader.wait_for_octets());
    tokio::select! {
        biased;
        result = octets => matches!(result, Ok(Ok(true))),
        () = draining => false,
    }
}

/// Ends a connection so that the client sees the right thing.
pub(super) async fn close(mut client: Client, next: Next, clock: &Clock) {
    match next {
        Next::Close | Next::Broken => {
            // What the client still sends would be answered with a reset, which may overtake
            // the response: it is read and thrown away for a moment (RFC 9112 §9.6).
            let lingering = async {
                client.writer.shutdown().await?;
                let mut rest = [0; 4096];
                let mut reader = client.reader.into_io();
                while reader.read(&mut rest).await? > 0 {}
                Ok::<(), io::Error>(())
            };
            let _either_way = clock.timeout(LINGER, lingering).await;
        }
        Next::Reset => cut(client),
        Next::KeepOpen | Next::Gone | Next::Http2 => {}
    }
}

/// Ends a connection with a reset.
pub(super) fn cut(client: Client) {
    let _best_effort = client.reader.io().reset_at_end();
    // Dropping it the usual way would end the stream in order first.
    client.writer.forget();
}

/// Long enough for a response to cross any network.
const LINGER: Duration = Duration::from_secs(2);
