//! One client connection with HTTP/2: each stream is an exchange of its own, in a task of its own.
//!
//! Invariant: at most [`STREAMS`] exchanges run for one connection, whatever its client takes for open
//! (CVE-2023-44487, CVE-2025-8671). The exchange of a stream that its client has reset is stopped at once,
//! which gives its place to the next.

use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::task::JoinSet;

use super::{Phase, connection, tell_panic};
use crate::budget::{Full, Place, Share, Use, client_of};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{
    Gate, Http2Reader, Http2Writer, Malformed, RequestFields, Resumed, SECTION_MAX, Watch, request_of,
};
use crate::proxy::{Client, Next, Proxy, exchange, refuse_connection};

/// Requests that one connection may have under way (RFC 9113 §5.1.2).
const STREAMS: usize = 100;
/// Octets of a stream, and of all of a connection, that may come before they are taken: enough for
/// all streams, so that a tunnel whose far end reads nothing does not stop the others.
const WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = STREAMS as u32 * WINDOW;
/// Octets of a stream that may wait for their client.
const SEND_BUFFER: usize = 256 * 1024;

/// Memory of one stream: its task, and the state of its exchange. Measured at 20 to 30 KiB.
const STREAM_BYTES: u64 = 32 * 1024;

type Connection = h2::server::Connection<Gate<Resumed>, Bytes>;

/// Serves a connection to its end. It was taken by TLS with ALPN `h2`.
pub(super) async fn serve(proxy: &Proxy, mut client: Client, with: connection::Serving) {
    let clock = proxy.shared.clock.clone();
    let Some((early, stream)) = client.take_stream() else { return };
    let watch = Rc::new(Watch::new(clock.monotonic_ms()));
    let time = clock.clone();
    let gate = Gate::to_client(Resumed::new(early, stream), watch.clone(), move || time.monotonic_ms());
    let handshake = builder().handshake(gate);
    let Ok(Ok(connection)) = clock.timeout(with.limits.header_timeout, handshake).await else { return };
    let serving = Serving { proxy: proxy.clone(), client: Rc::new(client), with, watch };
    serving.run(connection).await;
}

fn builder() -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS as u32)
        // A browser gives up all of a page at once; that is paid for, too.
        .max_pending_accept_reset_streams(STREAMS)
        .max_header_list_size(SECTION_MAX as u32)
        // What a client has Larder reset is paid for in its account.
        .max_local_error_reset_streams(None)
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
    with: connection::Serving,
    watch: Rc<Watch>,
}

/// Whether all places are taken by exchanges that still run.
fn is_full(streams: &mut JoinSet<()>) -> bool {
    while let Some(ended) = streams.try_join_next() {
        tell_panic(ended);
    }
    streams.len() >= STREAMS
}

/// Whether there is a place once those have ended whose clients had given them up before.
async fn makes_room(streams: &mut JoinSet<()>) -> bool {
    tokio::task::yield_now().await;
    !is_full(streams)
}

impl Serving {
    async fn run(self, mut connection: Connection) {
        let clock = self.proxy.shared.clock.clone();
        let mut changes = self.with.phase.clone();
        let mut draining = pin!(async move {
            // The sender lives as long as the server.
            let _draining = changes.wait_for(|phase| *phase != Phase::Serving).await;
        });
        let (mut drains, mut ends) = (false, false);
        let mut streams = JoinSet::new();
        let mut idle = pin!(clock.sleep(self.with.limits.idle_timeout));
        // Four looks within the time that a head may take.
        let step = self.with.limits.header_timeout / 4;
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted {
                    // What its client has given up by now makes room in the next turn.
                    Some(Ok((_, mut respond))) if is_full(&mut streams) && !makes_room(&mut streams).await => {
                        respond.send_reset(Reason::REFUSED_STREAM);
                        self.watch.ends(respond.stream_id().as_u32());
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
                    tell_panic(ended);
                    idle.set(clock.sleep(self.with.limits.idle_timeout));
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
                    let open = self.watch.open_since_ms();
                    let limit = u64::try_from(self.with.limits.header_timeout.as_millis()).unwrap_or(u64::MAX);
                    if open.is_some_and(|since| clock.monotonic_ms().saturating_sub(since) >= limit) {
                        tracing::debug!("a client's field block did not end in time");
                        if ends {
                            break;
                        }
                        ends = true;
                        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    }
                }
            }
        }
        drop(connection);
        self.watch.ends_all();
        while let Some(ended) = streams.join_next().await {
            tell_panic(ended);
        }
    }

    fn tell_end(&self, error: &h2::Error) {
        match self.watch.excess() {
            Some(excess) => tracing::info!("a client of HTTP/2 ({}) is cut off: {excess}", self.client.peer),
            None => tracing::debug!("a connection with HTTP/2 has ended: {error}"),
        }
    }

    /// A place for a stream, and the memory that one takes.
    fn admit(&self) -> Result<(Place<IpAddr>, Share), Failure> {
        let streams = &self.with.streams;
        let shared = &self.proxy.shared;
        let client = client_of(self.client.peer.ip());
        let place = shared.budget.place(streams, &client, || shared.clock.monotonic_ms());
        let place = place.map_err(|full| {
            let public = match full {
                Full::Total => "The proxy has too many requests under way",
                Full::Share => "This client has too many requests under way",
            };
            let failure = Failure::new(ErrorType::ConnectionLimitReached, Fault::Proxy, 503, public);
            failure.with_internal(format_args!("streams of HTTP/2: {full} of {}", streams.max()))
        })?;
        Ok((place, shared.budget.take(Use::Streams, STREAM_BYTES)?))
    }

    /// Answers the request of one stream.
    fn stream(
        &self,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> impl Future<Output = ()> + 'static {
        let (proxy, client, with) = (self.proxy.clone(), self.client.clone(), self.with.clone());
        let admitted = self.admit();
        let (watch, stream) = (self.watch.clone(), respond.stream_id().as_u32());
        async move {
            let _ends = EndsWithTask { watch: &watch, stream };
            // Its client may have reset it already.
            let Some(given_up) = watch.given_up(stream) else { return };
            match given_up.fields() {
                RequestFields::Whole => {}
                RequestFields::TooLarge => {
                    return refuse(&proxy, &client, respond, too_large(Malformed::TooLarge)).await;
                }
                RequestFields::NoRoom => return respond.send_reset(Reason::REFUSED_STREAM),
            }
            // Kept for as long as the stream is served.
            let _admitted = match admitted {
                Ok(admitted) => admitted,
                Err(failure) => return refuse(&proxy, &client, respond, failure).await,
            };
            let (parts, content) = request.into_parts();
            let shared = &proxy.shared;
            let nonce = (u128::from(shared.next_request_id()) << 64 | u128::from(shared.clock.now_ms()))
                .to_be_bytes();
            let request = match request_of(parts, content.is_end_stream(), &shared.limits.head, nonce) {
                Ok(request) => request,
                Err(malformed @ Malformed::TooManyFields) => {
                    return refuse(&proxy, &client, respond, too_large(malformed)).await;
                }
                Err(malformed) => {
                    tracing::debug!("a malformed request of HTTP/2 from {}: {malformed}", client.peer);
                    respond.send_reset(Reason::PROTOCOL_ERROR);
                    return;
                }
            };
            let mut client = client.of_stream(Http2Reader::new(content), Http2Writer::of_response(respond));
            client.ends_with(given_up);
            let next = Box::pin(exchange(&proxy, &mut client, request)).await;
            match next {
                // A tunnel was opened, and what is within is served.
                Next::KeepOpen | Next::Http2 if client.is_inside_stream() => {
                    Box::pin(connection::go_on(&proxy, client, next, with)).await;
                }
                next => client.end_stream(next),
            }
        }
    }
}

/// RFC 6585 §5: the fields of a request are too large, or too many.
fn too_large(malformed: Malformed) -> Failure {
    let public = "The request's fields are too large or too many";
    Failure::new(ErrorType::HttpRequestError, Fault::Client, 431, public).with_internal(malformed)
}

/// Answers a stream whose request is not served.
async fn refuse(proxy: &Proxy, client: &Client, respond: SendResponse<Bytes>, failure: Failure) {
    let mut client = client.of_refused_stream(Http2Writer::of_response(respond));
    let next = Box::pin(refuse_connection(proxy, &mut client, failure)).await;
    client.end_stream(next);
}

/// A stream that is nobody's any more when its task ends.
struct EndsWithTask<'a> {
    watch: &'a Watch,
    stream: u32,
}

impl Drop for EndsWithTask<'_> {
    fn drop(&mut self) {
        self.watch.ends(self.stream);
    }
}
