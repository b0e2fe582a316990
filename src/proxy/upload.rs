//! Exchanges in which the client has more to say than a head: content, or a switch to another
//! protocol. Both directions stream at once, so that an origin may answer before it has read
//! everything, and a client that waits for `100 Continue` gets it.
//!
//! Such a request is sent once, over a new connection or over one that has just been used, because its
//! content may be gone when the connection turns out to be closed. What an origin with HTTP/2 has
//! certainly not processed is sent again while its content is at hand (`outgoing.rs`).

use std::cell::Cell;
use std::pin::pin;

use super::collapse::Keeping;
use super::deliver::{Towards, pass_content, passed_framing};
use super::fill::{Start, known_length};
use super::forward::{
    Extra, HeadFailure, JUST_USED, REPEATS_MAX, Reply, forward_interim, keep, pass_marks, request_head,
    response_head,
};
use super::lease::Lease;
use super::origin_failure::{no_answer, too_many_interim, unasked_switch};
use super::outgoing::{Outgoing, UploadError};
use super::presence::unless_gone;
use super::render::{Framing, passed_head, withheld};
use super::rules::{target, ttl};
use super::sender::open_end;
use super::waits::{Silence, Waits};
use super::{Exchange, Interrupted, Next, Proxy, Shared, deliver, fill, tunnel, update};
use crate::caching::{ForwardReason, Handled, Outcome, StoredHead, Times};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::write::field;
use crate::http::{
    ConnectionOptions, FieldName, Method, Persistence, Reader, Request, Response, TargetUri, Version,
    is_unprocessed,
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
    let head = request_head(&exchange.proxy.shared, exchange.request, uri, &extra);
    let mut outgoing = Outgoing::new(exchange.proxy, exchange.request, &head, exchange.waits().idle);
    let mut repeats = 0;
    loop {
        let mut connection = connect(exchange, uri, &extra).await??;
        exchange.record.asks(&connection);
        pass_marks(exchange.request, &mut connection);
        let asking = Asking { key, asked, reason, may_switch: extra.upgrade.is_some() };
        let (answered, has_read_all) = both_ways(exchange, asking, &mut connection, &mut outgoing).await?;
        return match answered {
            Answered::Unprocessed(error) if outgoing.may_repeat() && repeats < REPEATS_MAX => {
                repeats += 1;
                exchange.record.note("origin", format_args!("not processed ({error}); asks once more"));
                continue;
            }
            Answered::Unprocessed(error) => Err(no_answer(&error).into()),
            Answered::Switched(response) => switch(exchange, connection, &response).await,
            Answered::Storable(storable) => store(exchange, key, connection, *storable, reason).await,
            Answered::Whole { persistence, stays_open } => {
                // Content that nobody read makes both connections unusable.
                let persistence = if has_read_all { persistence } else { Persistence::Closes };
                keep(exchange.proxy, uri, persistence, connection);
                Ok(if stays_open && has_read_all { Next::KeepOpen } else { Next::Close })
            }
        };
    }
}

/// Sends the request over this connection while its answer comes; tells whether all of the request was read.
async fn both_ways(
    exchange: &mut Exchange<'_>,
    asking: Asking<'_>,
    connection: &mut Connection,
    outgoing: &mut Outgoing<'_>,
) -> Result<(Answered, bool), Interrupted> {
    let (started, read_all) = (Cell::new(false), Cell::new(!exchange.request.has_content()));
    let (waits, moved) = (exchange.waits(), Cell::new(0));
    let shared = &exchange.proxy.shared;
    // Both directions are one exchange: what moves in either counts.
    let open_end = open_end(shared, exchange.request.length.is_unknown(), exchange.record);
    let open_end = open_end.as_ref();
    let silence = Silence { clock: &shared.clock, limit: waits.idle, moved: Some(&moved), open_end };
    let keep_open = exchange.client.may_keep_open(exchange.request);
    let mut uploaded = None;
    let answered = {
        let Connection { reader: from_origin, writer: to_origin, .. } = connection;
        let mut upload = pin!(outgoing.send(&mut exchange.client.reader, to_origin, silence));
        let to = Towards {
            writer: &mut exchange.client.writer,
            scratch: &mut exchange.client.scratch,
            record: &mut *exchange.record,
            keep_open,
            keeper: None,
            silence,
        };
        let (proxy, request) = (exchange.proxy, exchange.request);
        let step = Answering { proxy, request, asking, waits, started: &started, read_all: &read_all };
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
    // What is sent again is counted then.
    if !matches!(answered, Answered::Unprocessed(_)) {
        exchange.record.received_from_client(uploaded.unwrap_or(0));
    }
    Ok((answered, read_all.get()))
}

async fn connect(
    exchange: &mut Exchange<'_>,
    uri: &TargetUri,
    extra: &Extra,
) -> Result<Result<Connection, Failure>, Interrupted> {
    let (origins, judge) = (&exchange.proxy.origins, exchange.judge());
    // A stream of HTTP/2 has no protocol to switch to.
    if extra.upgrade.is_some() {
        return exchange.unless_gone(Box::pin(origins.connect_http1(uri, &judge))).await;
    }
    // What may be repeated, Larder would have to repeat; with content it can't.
    let may_reuse = !exchange.request.method.is_idempotent();
    match if may_reuse { origins.idle_connection(uri, &judge, JUST_USED)? } else { None } {
        Some(connection) => Ok(Ok(connection)),
        None => exchange.unless_gone(Box::pin(origins.connect(uri, &judge))).await,
    }
}

fn cut_if(started: bool, interrupted: Interrupted) -> Interrupted {
    match interrupted {
        Interrupted::Failed(failure) if started => Interrupted::Cut(failure),
        other => other,
    }
}

fn no_switch() -> Failure {
    let public = "The server has answered without switching to the protocol that was asked for";
    Failure::new(ErrorType::HttpUpgradeFailed, Fault::Origin, 502, public)
}

/// What the origin is asked for, and why.
#[derive(Clone, Copy)]
struct Asking<'a> {
    key: Key<'a>,
    /// Of the key, before the origin was asked.
    asked: Generation,
    reason: ForwardReason,
    may_switch: bool,
}

enum Answered {
    /// The origin has certainly not processed the request.
    Unprocessed(std::io::Error),
    Whole {
        /// What the origin does with its connection.
        persistence: Persistence,
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
    asking: Asking<'a>,
    waits: Waits,
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
            let asked = (target(self.request, self.asking.key), &self.request.method);
            let reading = response_head(self.proxy, reader, asked, self.waits, to.record);
            let response = match unless_gone(&self.proxy.shared.clock, to.writer, reading).await? {
                Ok(response) => response,
                Err(HeadFailure::NoOctet(error)) if interim == 0 && is_unprocessed(&error) => {
                    return Ok(Answered::Unprocessed(error));
                }
                // The origin's time begins when it has the whole request.
                Err(HeadFailure::TimedOut) if !had_all => continue,
                Err(failure) => return Err(failure.into_failure().into()),
            };
            to.writer.never_index(response.fields.never_indexed());
            match response.status {
                // In the middle of content there is nothing to switch at.
                101 if self.asking.may_switch && self.read_all.get() => {
                    return Ok(Answered::Switched(response));
                }
                101 => return Err(unasked_switch().into()),
                100..=199 if interim < self.proxy.shared.limits.interim => {
                    interim += 1;
                    forward_interim(self.proxy, to.writer, self.request.version, &response, to.record)
                        .await?;
                }
                100..=199 => return Err(too_many_interim().into()),
                // RFC 8441 §5: on a stream, a 2xx would say that the protocol is spoken from here on.
                200..=299 if self.asking.may_switch && self.request.version == Version::Http2 => {
                    return Err(no_switch().into());
                }
                _ => break response,
            }
        };
        let times = Times { request_time, response_time: self.proxy.shared.clock.now() };
        let (key, said) = (self.asking.key, (&response, times));
        update::others(self.proxy, self.request, key, said, self.asking.asked, to.record).await;
        // Only the answer to a whole request, whose connection has nothing else to do.
        // RFC 9110 §7.8: it depends on what the client has offered, which no cache key has.
        if self.read_all.get()
            && !self.asking.may_switch
            && let Some((head, writer, asked)) = self.storable(&response, times).await
        {
            return Ok(Answered::Storable(Box::new(Storable { response, times, head, writer, asked })));
        }
        self.started.set(true);
        let until_close = passed_framing(self.request, &response) == Framing::UntilClose;
        // RFC 9112 §9.6: who closes says so. Content that is still to come would be taken for the
        // next request.
        let stays_open = to.keep_open && !until_close && self.read_all.get();
        let to = Towards { keep_open: stays_open, ..to };
        let reason =
            if self.request.method == Method::Get { ForwardReason::Bypass } else { self.asking.reason };
        let outcome = Outcome::new(Handled::Forwarded(reason));
        pass_content(self.proxy, to, self.request, &response, reader, outcome).await?;
        Ok(Answered::Whole { persistence: Persistence::of(&response), stays_open })
    }
}

impl Answering<'_> {
    /// What is needed to store this response, if that may be.
    async fn storable(
        &self,
        response: &Response,
        times: Times,
    ) -> Option<(StoredHead, FillWriter, Generation)> {
        let Shared { store, cache_policy, .. } = &*self.proxy.shared;
        let head = StoredHead::with_targets(self.request, response, times, &cache_policy.targets);
        self.proxy.shared.may_store(self.request, response, &head, times).0.ok()?;
        let asked = update::asked_since(store, self.asking.key, self.request, self.asking.asked);
        let replaces = update::may_replace(&self.proxy.shared, self.request, self.asking.key, &head, asked);
        replaces.await.ok()?;
        let writer = store.fill(self.asking.key, &head, known_length(response.length), asked).ok()?;
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
        client: exchange.client.peer.ip(),
        head,
        reply: Reply { response, connection, times, idle: exchange.waits().idle },
        lead: None,
        keeping: Keeping::Stored,
        writer,
        asked,
    };
    let own = withheld(&exchange.proxy.shared, &start.reply.response);
    let filling = fill::start(exchange.proxy, start);
    let outcome = Outcome { stored: true, ttl, ..Outcome::new(Handled::Forwarded(reason)) };
    deliver::filling(exchange, &filling, &own, outcome).await
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
    let lease = Lease::begin(exchange);
    tunnel::relay(exchange, connection, &lease).await
}
