//! The octets of a response that are not there: asking the origin for them alone, when a stored
//! response has gaps, and when an origin has dropped the connection in the middle.
//!
//! Invariant: octets of two exchanges are put together only under one strong entity tag
//! (RFC 9110 §15.3.7.3), and where the origin says that they belong.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::forward::{self, Extra, JUST_USED, Judge, Repeats, Reply, request_head};
use super::origin_failure::proxy_credentials_wanted;
use super::pace::Pace;
use super::rules::target;
use super::sender::{More, Sender};
use super::update::Update;
use super::{Exchange, Interrupted, Proxy};
use crate::caching::{
    ByteRange, ETag, NoPart, NotStored, StoredHead, Times, is_part, part_of_whole, range_fields,
};
use crate::error::Failure;
use crate::http::{
    Content, FieldName, Fields, Persistence, ReadHeadError, Request, Response, TargetUri, is_violation,
};
use crate::origin::Connection;
use crate::policy::ListenerScope;
use crate::store::{CHUNK_LENGTH, Generation, Key, Object, Refill};

/// How often a response or a part of one goes on where an origin has dropped it; arbitrary.
pub(super) const RESUMES_MAX: usize = 3;

/// Why the missing octets can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsupplied {
    #[error("the stored response has no strong entity tag")]
    NoValidator,
    #[error("{0}")]
    Changed(#[from] NoPart),
    #[error("the origin sends the whole response instead")]
    Whole,
    #[error("there is not enough memory for it")]
    NoMemory,
    #[error("the origin failed: {0}")]
    Failed(String),
}

impl Unsupplied {
    /// Whether the origin has said that what is stored is not its response any more, or nothing can
    /// complete it. Any other failure may have passed at the next request.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Unsupplied::NoValidator | Unsupplied::Changed(_) => true,
            Unsupplied::Whole | Unsupplied::NoMemory | Unsupplied::Failed(_) => false,
        }
    }
}

/// Who asks an origin for a part of a response: in the name of a client, but not before its eyes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub proxy: &'a Proxy,
    /// Of the listener that the client came by.
    pub scope: ListenerScope,
    /// The client.
    pub client: IpAddr,
    pub request: &'a Request,
    pub uri: &'a TargetUri,
}

impl<'a> Exchange<'a> {
    /// Asks in the name of this exchange's client, for what is stored under `key`.
    pub(super) fn asking<'k>(&self, key: Key<'k>) -> Asking<'k>
    where
        'a: 'k,
    {
        let (proxy, request) = (self.proxy, self.request);
        let (scope, client) = (self.client.scope, self.client.peer.ip());
        Asking { proxy, request, scope, client, uri: target(request, key) }
    }
}

impl Asking<'_> {
    /// Asks for the octets of the response `stored` from `first` to `last`, or to its end.
    /// `length` is that of its whole content, if known. The answer's content is exactly those.
    pub(super) async fn part(
        &self,
        stored: &StoredHead,
        (first, last): (u64, Option<u64>),
        length: Option<u64>,
    ) -> Result<Reply, Unsupplied> {
        let validation = range_fields(stored, first, last);
        if validation.is_empty() {
            return Err(Unsupplied::NoValidator);
        }
        let extra = Extra { validation, upgrade: None };
        let head = request_head(&self.proxy.shared, self.request, self.uri, &extra);
        let reply = self.ask(&head).await?;
        if is_passing(reply.response.status) {
            return Err(Unsupplied::Failed(format!("it answered {}", reply.response.status)));
        }
        let tag = reply.response.fields.only(FieldName::ETag).and_then(ETag::parse);
        if reply.response.status == 200 && tag.as_ref() == stored.etag() {
            return Err(Unsupplied::Whole);
        }
        is_part(stored, &reply.response, first, last, length)?;
        Ok(reply)
    }

    /// Sends this head, and waits for the head of the final response.
    pub(super) async fn ask(&self, head: &[u8]) -> Result<Reply, Unsupplied> {
        let Proxy { shared, origins, .. } = self.proxy;
        shared.online().map_err(|offline| Unsupplied::Failed(offline.to_string()))?;
        let judge = Judge { shared, scope: self.scope, client: self.client, target: &self.request.target };
        let request_time = shared.clock.now();
        let idle = origins.idle_connection(self.uri, &judge, JUST_USED);
        let mut idle = idle.map_err(|failure: Failure| Unsupplied::Failed(failure.to_string()))?;
        let mut repeats = Repeats::of(&self.request.method);
        loop {
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => {
                    let connected = origins.connect(self.uri, &judge).await;
                    connected.map_err(|failure: Failure| Unsupplied::Failed(failure.to_string()))?
                }
            };
            match self.final_head(&mut connection, head).await {
                Ok(response) => {
                    let times = Times { request_time, response_time: shared.clock.now() };
                    let idle = shared.limits.idle;
                    return Ok(Reply { response, connection, times, idle });
                }
                Err(NoHead::NoOctet(error)) if repeats.may_repeat(&error, &connection) => {}
                Err(NoHead::NoOctet(error)) => return Err(Unsupplied::Failed(error.to_string())),
                Err(NoHead::Failed(error)) => return Err(Unsupplied::Failed(error)),
            }
        }
    }

    /// Sends a request on this connection, and skips the interim responses to it.
    async fn final_head(&self, connection: &mut Connection, head: &[u8]) -> Result<Response, NoHead> {
        let shared = &self.proxy.shared;
        connection.writer.never_index(self.request.fields.never_indexed());
        let writing = shared.clock.timeout(shared.limits.idle, connection.writer.write_all(head)).await;
        writing.map_err(|error| NoHead::Failed(error.to_string()))?.map_err(NoHead::NoOctet)?;
        for interim in 0..=shared.limits.interim {
            let (limits, how) = (&shared.limits.response_head, shared.reading(self.uri));
            let reading = connection.reader.response_head(&self.request.method, limits, how);
            let reading = shared.clock.timeout(shared.limits.response, reading).await;
            let response = match reading.map_err(|error| NoHead::Failed(error.to_string()))? {
                Ok(response) => response,
                Err(ReadHeadError::Closed) if interim == 0 => {
                    return Err(NoHead::NoOctet(io::ErrorKind::UnexpectedEof.into()));
                }
                Err(ReadHeadError::Io(error))
                    if interim == 0 && connection.reader.buffered().is_empty() && !is_violation(&error) =>
                {
                    return Err(NoHead::NoOctet(error));
                }
                Err(error) => return Err(NoHead::Failed(error.to_string())),
            };
            match response.status {
                101 => break,
                407 => return Err(NoHead::Failed(proxy_credentials_wanted().to_string())),
                200.. => return Ok(response),
                _ => {}
            }
        }
        Err(NoHead::Failed("no final response".to_owned()))
    }
}

/// Why a connection has brought no head.
enum NoHead {
    /// It ended before the first octet of an answer.
    NoOctet(io::Error),
    Failed(String),
}

/// Whether a status says nothing of the response that was asked for, but of the origin at present.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// The completion of one stored response while it is sent.
#[derive(Debug)]
pub(super) struct Completion<'a> {
    pub asking: Asking<'a>,
    pub key: Key<'a>,
    /// As the last part has left it.
    pub object: Arc<Object>,
    /// Octets of the whole content; none where it is still arriving and its head did not tell.
    length: Option<u64>,
    /// What was asked for ahead.
    ahead: Option<Ahead>,
}

/// Octets that were asked for, whole chunks, and the answer.
#[derive(Debug)]
struct Ahead {
    range: ByteRange,
    reply: Reply,
    /// Where they are kept, if they are.
    refill: Option<Refill>,
}

impl<'a> Completion<'a> {
    /// Nothing was asked for yet.
    pub(super) fn new(asking: Asking<'a>, key: Key<'a>, object: &'a Arc<Object>) -> Completion<'a> {
        let length = Some(object.content.length());
        Completion { asking, key, object: object.clone(), length, ahead: None }
    }

    /// Of a response that is arriving, and of `length` octets, if that is known.
    pub(super) fn of_fill(
        asking: Asking<'a>,
        key: Key<'a>,
        object: Object,
        length: Option<u64>,
    ) -> Completion<'a> {
        Completion { asking, key, object: Arc::new(object), length, ahead: None }
    }

    /// Asks for these octets, so that it is known whether they can be had.
    pub(super) async fn ask(&mut self, range: ByteRange) -> Result<(), Unsupplied> {
        let ByteRange { first, last } = self.length.map_or(range, |length| whole_chunks(range, length));
        let store = &self.asking.proxy.shared.store;
        let asked = store.generation(self.key);
        let reply = self.asking.part(&self.object.head, (first, Some(last)), self.length).await?;
        let is_kept = self.length.is_some() && self.freshen(&reply, asked).await;
        let refill = is_kept.then(|| store.refill(self.key, &self.object, first)).flatten();
        self.ahead = Some(Ahead { range: ByteRange { first, last }, reply, refill });
        Ok(())
    }

    /// Whether what was asked for ahead is stored as it comes.
    pub(super) fn is_stored(&self) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.refill.is_some())
    }

    // RFC 9111 §3.4: "all header fields provided in the new response, aside from Content-Range, [are
    // used] to replace all instances of the corresponding header fields in the stored response".
    /// Has the stored response take the fields of a part; false when they forbid to keep it.
    async fn freshen(&mut self, reply: &Reply, asked: Generation) -> bool {
        let Asking { proxy, request, .. } = self.asking;
        // One that does not tell the complete length says too little of the whole.
        let Ok(part) = part_of_whole(request, &reply.response) else { return true };
        let (shared, key, response, times) = (&*proxy.shared, self.key, &part.whole, reply.times);
        match (Update { shared, request, key, response, times, asked }).freshen(&self.object).await.kept {
            Ok(fresh) => self.object = fresh,
            // The head that is stored is newer, and its octets are these.
            Err(NotStored::Outdated) => {}
            Err(_) => return false,
        }
        true
    }

    /// Sends these octets on as they come, and stores the chunks that they make up.
    pub(super) async fn pass(
        &mut self,
        sender: &mut Sender<'_>,
        range: ByteRange,
    ) -> Result<(), Interrupted> {
        let covers = |asked: ByteRange| asked.first <= range.first && range.last <= asked.last;
        let is_asked = self.ahead.as_ref().is_some_and(|ahead| covers(ahead.range));
        if !is_asked {
            let asked = sender.unless_gone(Box::pin(self.ask(range))).await?;
            asked.map_err(|error| sender.broken(error))?;
        }
        let Some(Ahead { range: asked, reply, mut refill }) = self.ahead.take() else { return Ok(()) };
        let Reply { mut response, mut connection, .. } = reply;
        let shared = &self.asking.proxy.shared;
        let mut content = Content::new(response.length, &shared.limits.chunks);
        let mut octets = Octets { at: asked.first, end: asked.last + 1 };
        let mut pace = Pace::of_response(shared, response.length, shared.limits.idle);
        let mut resumes = 0;
        while !content.is_done() {
            let arrived = Box::pin(arrive(self.asking.proxy, &mut connection, &mut content, &mut octets));
            let (arrived, waited_ms) = Pace::timed(&shared.clock, sender.unless_gone(arrived)).await;
            let arrived = match arrived? {
                Ok(arrived) => arrived,
                // It was asked for ahead of what a slow client has taken first, or the origin drops it.
                Err(error) => {
                    let rest = sender.unless_gone(Box::pin(self.rest(&octets, resumes))).await?;
                    let reply =
                        rest.map_err(|unsupplied| sender.broken(format_args!("{error}; {unsupplied}")));
                    Reply { response, connection, .. } = reply?;
                    resumes += 1;
                    content = Content::new(response.length, &shared.limits.chunks);
                    continue;
                }
            };
            let count = arrived.iter().map(|(_, piece)| piece.len() as u64).sum();
            sender.record.received_from_origin(count);
            pace.moved(waited_ms, count).map_err(|slow| sender.broken(slow))?;
            let mut pieces = Vec::new();
            for (at, piece) in arrived {
                pieces.extend(within(range, at, &piece));
                if let Some(refill) = &mut refill {
                    refill.push(piece);
                }
            }
            if !pieces.is_empty() {
                sender.send(&mut pieces, More::Yes, &Fields::default()).await?;
            }
        }
        if octets.at != octets.end {
            return Err(sender.broken("the part was shorter than it said"));
        }
        forward::keep(self.asking.proxy, self.asking.uri, Persistence::of(&response), connection);
        Ok(())
    }

    /// Asks for what has not come of a part whose connection has ended, which it has `resumes` times.
    async fn rest(&self, octets: &Octets, resumes: usize) -> Result<Reply, Unsupplied> {
        if resumes == RESUMES_MAX || octets.at >= octets.end {
            return Err(Unsupplied::Failed("it is not asked for again".to_owned()));
        }
        self.asking.part(&self.object.head, (octets.at, Some(octets.end - 1)), self.length).await
    }
}

/// The chunks that a range is in, of a content of `length` octets.
fn whole_chunks(range: ByteRange, length: u64) -> ByteRange {
    let first = range.first - range.first % CHUNK_LENGTH;
    let last = (range.last - range.last % CHUNK_LENGTH + CHUNK_LENGTH - 1).min(length - 1);
    ByteRange { first, last }
}

/// Where the next octet of a part belongs, and where the part ends.
struct Octets {
    at: u64,
    end: u64,
}

/// The next pieces of a part, each with its place.
async fn arrive(
    proxy: &Proxy,
    connection: &mut Connection,
    content: &mut Content,
    octets: &mut Octets,
) -> Result<Vec<(u64, Bytes)>, String> {
    let mut pieces = Vec::new();
    let next = content.next(&mut connection.reader, &mut pieces);
    let next = proxy.shared.clock.timeout(proxy.shared.limits.idle, next).await;
    next.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let placed = pieces.into_iter().map(|piece| {
        let at = octets.at;
        octets.at += piece.len() as u64;
        (at, piece)
    });
    let placed: Vec<_> = placed.collect();
    if octets.at > octets.end {
        return Err("the part was longer than it said".to_owned());
    }
    Ok(placed)
}

/// What of a piece at `at` lies within `range`.
fn within(range: ByteRange, at: u64, piece: &Bytes) -> Option<Bytes> {
    let end = at + piece.len() as u64;
    let (first, last) = (range.first.max(at), (range.last + 1).min(end));
    // Both lie within the piece.
    (first < last).then(|| piece.slice((first - at) as usize..(last - at) as usize))
}
