//! One client connection with HTTP/2: each stream is an exchange of its own, in a task of its own.
//!
//! Invariant: at most [`STREAMS`] exchanges run for one connection. A stream that its client has
//! reset keeps its place until its work has stopped (CVE-2023-44487, CVE-2025-8671): more are
//! refused, whatever the client takes for open.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Phase, ServerLimits, connection};
use crate::http::{Http2Reader, Http2Writer, Meter, Metered, Resumed, request_of};
use crate::proxy::{Client, Next, Proxy, exchange};

/// Requests that one connection may have under way (RFC 9113 §5.1.2).
const STREAMS: usize = 100;
/// Octets of one request's fields, as RFC 9113 §6.5.2 counts them.
const FIELD_SECTION: u32 = 64 * 1024;
/// Octets of a stream, and of all of a connection, that may come before they are taken: enough for
/// all streams, so that a tunnel whose far end reads nothing does not stop the others.
const WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = STREAMS as u32 * WINDOW;
/// Octets of a stream that may wait for their client.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams refused while all places are taken, before the connection is closed; arbitrary.
const REFUSED: usize = 1000;

type Connection = h2::server::Connection<Metered<Resumed>, Bytes>;

/// Serves a connection to its end. It was taken by TLS with ALPN `h2`.
pub(super) async fn serve(
    proxy: &Proxy,
    mut client: Client,
    limits: &ServerLimits,
    phase: watch::Receiver<Phase>,
) {
    let clock = proxy.shared.clock.clone();
    let Some((early, stream)) = client.take_stream() else { return };
    let meter = Rc::new(RefCell::new(Meter::of_client(clock.monotonic_ms())));
    let time = clock.clone();
    let metered = Metered::new(Resumed::new(early, stream), meter.clone(), move || time.monotonic_ms());
    let handshake = builder().handshake(metered);
    let Ok(Ok(connection)) = clock.timeout(limits.header_timeout, handshake).await else { return };
    let serving = Serving { proxy: proxy.clone(), client: Rc::new(client), limits: *limits, phase, meter };
    serving.run(connection).await;
}

fn builder() -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS as u32)
        .max_header_list_size(FIELD_SECTION)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol();
    builder
}

/// What a connection is served with.
struct Serving {
    proxy: Proxy,
    /// Of whom each stream's client is made.
    client: Rc<Client>,
    limits: ServerLimits,
    phase: watch::Receiver<Phase>,
    meter: Rc<RefCell<Meter>>,
}

/// Whether all places are taken by exchanges that still run.
fn is_full(streams: &mut JoinSet<()>) -> bool {
    while let Some(ended) = streams.try_join_next() {
        super::worker::tell_panic(ended);
    }
    streams.len() >= STREAMS
}

impl Serving {
    async fn run(self, mut connection: Connection) {
        let clock = self.proxy.shared.clock.clone();
        let mut changes = self.phase.clone();
        let mut draining = pin!(async move {
            // The sender lives as long as the server.
            let _draining = changes.wait_for(|phase| *phase != Phase::Serving).await;
        });
        let (mut drains, mut refused) = (false, 0);
        let mut streams = JoinSet::new();
        let mut idle = pin!(clock.sleep(self.limits.idle_timeout));
        // Four looks within the time that a head may take.
        let step = self.limits.header_timeout / 4;
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted {
                    Some(Ok((_, mut respond))) if is_full(&mut streams) => {
                        respond.send_reset(Reason::REFUSED_STREAM);
                        refused += 1;
                        if refused > REFUSED {
                            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                        }
                    }
                    Some(Ok((request, respond))) => {
                        streams.spawn_local(self.stream(request, respond));
                    }
                    Some(Err(error)) => {
                        self.tell_end(&error);
                        break;
                    }
                    None => break,
                },
                Some(ended) = streams.join_next(), if !streams.is_empty() => {
                    super::worker::tell_panic(ended);
                    idle.set(clock.sleep(self.limits.idle_timeout));
                }
                () = &mut draining, if !drains => {
                    drains = true;
                    connection.graceful_shutdown();
                }
                () = &mut idle, if streams.is_empty() && !drains => {
                    drains = true;
                    connection.graceful_shutdown();
                }
                () = clock.sleep(step) => {
                    let open = self.meter.borrow().open_since_ms();
                    let limit = u64::try_from(self.limits.header_timeout.as_millis()).unwrap_or(u64::MAX);
                    if open.is_some_and(|since| clock.monotonic_ms().saturating_sub(since) >= limit) {
                        tracing::debug!("a client's field block did not end in time");
                        break;
                    }
                }
            }
        }
        // Whoever is told by the end of the connection needs no more time than a write takes to fail.
        drop(connection);
        while let Some(ended) = streams.join_next().await {
            super::worker::tell_panic(ended);
        }
    }

    fn tell_end(&self, error: &h2::Error) {
        match self.meter.borrow().excess() {
            Some(excess) => tracing::info!("a client of HTTP/2 ({}) is cut off: {excess}", self.client.peer),
            None => tracing::debug!("a connection with HTTP/2 has ended: {error}"),
        }
    }

    /// Answers the request of one stream.
    fn stream(
        &self,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> impl Future<Output = ()> + 'static {
        let (proxy, client, limits, phase) =
            (self.proxy.clone(), self.client.clone(), self.limits, self.phase.clone());
        async move {
            let (parts, content) = request.into_parts();
            let shared = &proxy.shared;
            let nonce = (u128::from(shared.next_request_id()) << 64 | u128::from(shared.clock.now_ms()))
                .to_be_bytes();
            let request = match request_of(&parts, content.is_end_stream(), &shared.limits.head, nonce) {
                Ok(request) => request,
                Err(malformed) => {
                    tracing::debug!("a malformed request of HTTP/2 from {}: {malformed}", client.peer);
                    respond.send_reset(Reason::PROTOCOL_ERROR);
                    return;
                }
            };
            drop(parts);
            let mut client = client.of_stream(Http2Reader::new(content), Http2Writer::of_response(respond));
            let next = Box::pin(exchange(&proxy, &mut client, request)).await;
            match next {
                // A tunnel was opened, and what is within is served.
                Next::KeepOpen | Next::Http2 if client.is_inside_stream() => {
                    Box::pin(connection::go_on(&proxy, client, next, &limits, phase)).await;
                }
                next => client.end_stream(next),
            }
        }
    }
}
