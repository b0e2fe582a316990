//! Exchanges in which the client has more to say than a head: content, or a switch to another
//! protocol. Both directions stream at once, so that an origin may answer before it has read
//! everything, and a client that waits for `100 Continue` gets it.
//!
//! Such a request is sent once: its content is gone when the connection turns out to be closed.
//! It therefore goes over a new connection, or over one that has just been used.

use std::cell::Cell;
use std::pin::pin;

use super::deliver::{Towards, keep, pass_content, passed_framing};
use super::fetch::ttl;
use super::fill::{Start, known_length};
use super::forward::{
    Extra, HeadFailure, JUST_USED, Reply, forward_interim, request_head, response_head, too_many_interim,
    unasked_switch,
};
use super::render::{Framing, passed_head};
use super::rules::target;
use super::{Exchange, Interrupted, Next, Proxy, Shared, deliver, fill, tunnel, update};
use crate::caching::{ForwardReason, Handled, Outcome, StoredHead, Times};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::write::{chunk_size_line, field, last_chunk, write_all};
use crate::http::{
    BodyLength, ConnectionOptions, Content, ContentError, FieldName, Method, Reader, Request, Response,
    TargetUri, Version, WriteHalf,
};
use crate::origin::Connection;
use crate::store::{FillWriter, Generation, Key};

/// Whether a request is one of these.
pub(super) fn is_needed(request: &Request) -> bool {
    request.has_content() || upgrade(request).is_some()
}

/// The protocols that a request asks to switch to. HTTP/2 is not among them: it would take the
/// connection out of Larder's hands (RFC 9113 §3.1 has removed the switch anyway).
fn upgrade(request: &Request) -> Option<Vec<u8>> {
    if request.version == Version::Http10 || !ConnectionOptions::of(&request.fields).upgrade() {
        return None;
    }
    let is_http = |protocol: &[u8]| {
        protocol.eq_ignore_ascii_case(b"h2c")
            || protocol.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"http/"))
            || protocol.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"tls"))
    };
    let others: Vec<_> = request.fields.members(FieldName::Upgrade).filter(|name| !is_http(name)).collect();
    (!others.is_empty()).then(|| others.join(&b", "[..]))
}

/// Answers such a request.
pub(super) async fn exchange(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    reason: ForwardReason,
) -> Result<Next, Interrupted> {
    exchange.proxy.shared.online()?;
    let uri = target(exchange.request, key);
    let asked = exchange.proxy.shared.store.generation(key);
    let extra = Extra { validation: Vec::new(), upgrade: upgrade(exchange.request) };
    let mut connection = connect(exchange, uri, &extra).await?;
    exchange.record.asks(&connection);
    let head = request_head(&exchange.proxy.shared, exchange.request, uri, &extra);
    let (started, read_all) = (Cell::new(false), Cell::new(!exchange.request.has_content()));
    let keep_open = exchange.client.may_keep_open(exchange.request);
    let mut uploaded = None;
    let answered = {
        let Connection { reader: from_origin, writer: to_origin, .. } = &mut connection;
        let mut upload =
            pin!(upload(exchange.proxy, exchange.request, &head, &mut exchange.client.reader, to_origin));
        let to = Towards {
            writer: &mut exchange.client.writer,
            scratch: &mut exchange.client.scratch,
            record: &mut *exchange.record,
            keep_open,
            keeper: None,
        };
        let step = Answering {
            proxy: exchange.proxy,
            request: exchange.request,
            key,
            asked,
            reason,
            may_switch: extra.upgrade.is_some(),
            started: &started,
            read_all: &read_all,
        };
        let mut answer = pin!(step.run(to, from_origin));
        loop {
            tokio::select! {
                biased;
                result = &mut upload, if uploaded.is_none() => match result {
                    Ok(octets) => {
                        read_all.set(true);
                        uploaded = Some(octets);
                    }
                    // What was sent so far was not a whole message; the origin sees it cut off.
                    Err(UploadError::Client(interrupted)) => return Err(cut_if(started.get(), interrupted)),
                    // An origin that stops reading may have answered before: wait for that.
                    Err(UploadError::Origin) => uploaded = Some(0),
                },
                answered = &mut answer => break answered?,
            }
        }
    };
    exchange.record.received_from_client(uploaded.unwrap_or(0));
    match answered {
        Answered::Switched(response) => switch(exchange, connection, &response).await,
        Answered::Storable(storable) => store(exchange, key, connection, *storable, reason).await,
        Answered::Whole { keep_alive, stays_open } => {
            // Content that nobody read makes both connections unusable.
            keep(exchange.proxy, uri, keep_alive && read_all.get(), connection);
            Ok(if stays_open && read_all.get() { Next::KeepOpen } else { Next::Close })
        }
    }
}

async fn connect(exchange: &Exchange<'_>, uri: &TargetUri, extra: &Extra) -> Result<Connection, Failure> {
    let Exchange { proxy, request, .. } = exchange;
    let judge = exchange.judge();
    // A stream of HTTP/2 has no protocol to switch to.
    if extra.upgrade.is_some() {
        return proxy.origins.connect_http1(uri, &judge).await;
    }
    // What may be repeated, Larder would have to repeat; with content it can't.
    let may_reuse = !request.method.is_idempotent();
    let pooled = may_reuse.then(|| proxy.origins.idle_connection(uri, &judge, JUST_USED)).flatten();
    match pooled {
        Some(connection) => Ok(connection),
        None => proxy.origins.connect(uri, &judge).await,
    }
}

fn cut_if(started: bool, interrupted: Interrupted) -> Interrupted {
    match interrupted {
        Interrupted::Failed(failure) if started => Interrupted::Cut(failure),
        other => other,
    }
}

enum UploadError {
    /// The client's message is bad or has ended.
    Client(Interrupted),
    /// The origin takes no more.
    Origin,
}

/// Sends the head and all content to the origin; gives the octets of content, at least 1 when
/// there was any framing to read.
async fn upload(
    proxy: &Proxy,
    request: &Request,
    head: &[u8],
    reader: &mut Reader,
    writer: &mut WriteHalf,
) -> Result<u64, UploadError> {
    let limits = &proxy.shared.limits;
    let clock = &proxy.shared.clock;
    let mut content = Content::new(request.length, &limits.chunks);
    let chunked =
        matches!(request.length, BodyLength::Chunked | BodyLength::UntilClose) && !writer.frames_content();
    let mut total = 0;
    let mut front = head.to_vec();
    // A client that waits for "100 Continue" sends nothing before the origin has the head; and
    // what is buffered behind a request without content is not its content.
    if reader.buffered().is_empty() || content.is_done() {
        let writing = clock.timeout(limits.idle, writer.write_all(&front)).await;
        writing.map_err(|_timed_out| UploadError::Origin)?.map_err(|_gone| UploadError::Origin)?;
        front.clear();
    }
    let mut pieces = Vec::new();
    while !content.is_done() {
        match clock.timeout(limits.idle, content.next(reader, &mut pieces)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(UploadError::Client(content_failure(error))),
            Err(_timed_out) => return Err(UploadError::Client(upload_timeout().into())),
        }
        let size = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        total += size;
        if chunked && size > 0 {
            chunk_size_line(&mut front, size);
            pieces.push(bytes::Bytes::from_static(b"\r\n"));
        }
        if chunked && content.is_done() {
            let mut end = Vec::new();
            last_chunk(&mut end, content.trailers());
            pieces.push(end.into());
        }
        let writing = clock.timeout(limits.idle, write_all(writer, &front, &pieces)).await;
        writing.map_err(|_timed_out| UploadError::Origin)?.map_err(|_gone| UploadError::Origin)?;
        front.clear();
        pieces.clear();
    }
    writer.end_message(content.trailers()).map_err(|_gone| UploadError::Origin)?;
    Ok(total)
}

fn content_failure(error: ContentError) -> Interrupted {
    match error {
        ContentError::Malformed(error) => {
            let public = "The request's content is malformed";
            let failure = Failure::new(ErrorType::HttpRequestError, Fault::Client, 400, public);
            failure.with_internal(error).into()
        }
        ContentError::Truncated => Interrupted::ClientGone(std::io::ErrorKind::UnexpectedEof.into()),
        ContentError::Io(error) => Interrupted::ClientGone(error),
    }
}

fn upload_timeout() -> Failure {
    Failure::new(
        ErrorType::HttpRequestError,
        Fault::Client,
        408,
        "The request's content did not arrive in time",
    )
}

fn no_switch() -> Failure {
    let public = "The server has answered without switching to the protocol that was asked for";
    Failure::new(ErrorType::HttpUpgradeFailed, Fault::Origin, 502, public)
}

enum Answered {
    Whole {
        /// The origin keeps its connection open.
        keep_alive: bool,
        /// The client was told that its connection stays open.
        stays_open: bool,
    },
    /// 101: both sides speak another protocol from here on.
    Switched(Response),
    /// It is stored while it is delivered.
    Storable(Box<Storable>),
}

/// A response that answers later requests too (RFC 9110 §9.3.3), its content still to be read.
struct Storable {
    response: Response,
    times: Times,
    head: StoredHead,
    writer: FillWriter,
    asked: Generation,
}

/// The answering half of such an exchange.
struct Answering<'a> {
    proxy: &'a Proxy,
    request: &'a Request,
    key: Key<'a>,
    /// Of the key, before the origin was asked.
    asked: Generation,
    reason: ForwardReason,
    may_switch: bool,
    /// Set once octets of a final response may have left.
    started: &'a Cell<bool>,
    /// Set once all content of the request was read.
    read_all: &'a Cell<bool>,
}

impl Answering<'_> {
    async fn run(self, to: Towards<'_>, reader: &mut Reader) -> Result<Answered, Interrupted> {
        let request_time = self.proxy.shared.clock.now();
        let mut interim = 0;
        let response = loop {
            let had_all = self.read_all.get();
            let response = match response_head(self.proxy, reader, &self.request.method, to.record).await {
                Ok(response) => response,
                // The origin's time begins when it has the whole request.
                Err(HeadFailure::TimedOut) if !had_all => continue,
                Err(failure) => return Err(failure.into_failure().into()),
            };
            match response.status {
                // In the middle of content there is nothing to switch at.
                101 if self.may_switch && self.read_all.get() => return Ok(Answered::Switched(response)),
                101 => return Err(unasked_switch().into()),
                100..=199 if interim < self.proxy.shared.limits.interim => {
                    interim += 1;
                    forward_interim(self.proxy, to.writer, self.request.version, &response, to.record)
                        .await?;
                }
                100..=199 => return Err(too_many_interim().into()),
                // RFC 8441 §5: on a stream, a 2xx would say that the protocol is spoken from here on.
                200..=299 if self.may_switch && self.request.version == Version::Http2 => {
                    return Err(no_switch().into());
                }
                _ => break response,
            }
        };
        let times = Times { request_time, response_time: self.proxy.shared.clock.now() };
        update::others(self.proxy, self.request, self.key, &response, times, to.record).await;
        // Only the answer to a whole request, whose connection has nothing else to do.
        if self.read_all.get()
            && let Some((head, writer, asked)) = self.storable(&response, times)
        {
            return Ok(Answered::Storable(Box::new(Storable { response, times, head, writer, asked })));
        }
        self.started.set(true);
        let until_close = passed_framing(self.request, &response) == Framing::UntilClose;
        // RFC 9112 §9.6: who closes says so. Content that is still to come would be taken for the
        // next request.
        let stays_open = to.keep_open && !until_close && self.read_all.get();
        let to = Towards { keep_open: stays_open, ..to };
        let reason = if self.request.method == Method::Get { ForwardReason::Bypass } else { self.reason };
        let outcome = Outcome::new(Handled::Forwarded(reason));
        pass_content(self.proxy, to, self.request, &response, reader, outcome).await?;
        Ok(Answered::Whole { keep_alive: response.keep_alive, stays_open })
    }
}

impl Answering<'_> {
    /// What is needed to store this response, if that may be.
    fn storable(&self, response: &Response, times: Times) -> Option<(StoredHead, FillWriter, Generation)> {
        let Shared { store, cache_policy, .. } = &*self.proxy.shared;
        let head = StoredHead::with_targets(self.request, response, times, &cache_policy.targets);
        self.proxy.shared.may_store(self.request, response, &head, times).0.ok()?;
        let asked = update::asked_since(store, self.key, self.request, self.asked);
        let writer = store.fill(self.key, &head, known_length(response.length), asked).ok()?;
        Some((head, writer, asked))
    }
}

async fn store(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    connection: Connection,
    storable: Storable,
    reason: ForwardReason,
) -> Result<Next, Interrupted> {
    let Storable { response, times, head, writer, asked } = storable;
    let ttl = ttl(exchange.proxy, exchange.request, &head);
    exchange.record.note("store", format_args!("stores {} for later requests", key.uri));
    exchange.client.has_read_content = true;
    let start = Start {
        id: exchange.record.id(),
        key,
        request: exchange.request,
        scope: exchange.client.scope,
        head,
        reply: Reply { response, connection, times },
        lead: None,
        writer,
        asked,
    };
    let filling = fill::start(exchange.proxy, start);
    let outcome = Outcome { stored: true, ttl, ..Outcome::new(Handled::Forwarded(reason)) };
    deliver::filling(exchange, &filling, outcome).await
}

/// RFC 9110 §7.8: the 101 goes to the client, and what follows is a tunnel.
async fn switch(
    exchange: &mut Exchange<'_>,
    connection: Connection,
    response: &Response,
) -> Result<Next, Interrupted> {
    let mut head = Vec::new();
    passed_head(&mut head, &exchange.proxy.shared, response);
    field(&mut head, FieldName::Connection, "Upgrade");
    for protocol in response.fields.all(FieldName::Upgrade) {
        field(&mut head, FieldName::Upgrade, protocol);
    }
    head.extend_from_slice(b"\r\n");
    exchange.write(&head).await?;
    exchange.client.writer.become_tunnel();
    exchange.record.switched(head.len() as u64);
    tunnel::relay(exchange, connection).await
}
