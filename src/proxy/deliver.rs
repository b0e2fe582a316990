//! Delivering a response that is arriving: from a fill that it shares, or straight from the
//! origin's connection.

use super::collapse::Filling;
use super::forward::{Reply, keep};
use super::keep::Keeper;
use super::origin_failure::{bad_content, incomplete, silent};
use super::pace::Pace;
use super::partial::{Asking, Completion};
use super::record::Record;
use super::render::{Framing, Tail, passed_head};
use super::sender::{More, Sender, open_end};
use super::waits::Silence;
use super::{Client, Exchange, Interrupted, Next, Proxy, parts};
use crate::caching::Outcome;
use crate::http::grammar::{Members, exact_decimal};
use crate::http::{
    BodyLength, Content, FieldName, Fields, Method, Persistence, Reader, Request, Response, TargetUri,
    WriteHalf,
};
use crate::store::{Aborted, Arrived, FillReader, Key, Object, StoredContent};

/// Delivers the response that this request has brought, and that can't be asked for again, with the field
/// lines `own`, which are for this client alone.
pub(super) async fn filling(
    exchange: &mut Exchange<'_>,
    filling: &Filling,
    own: &[u8],
    outcome: Outcome,
) -> Result<Next, Interrupted> {
    let sent = match filling.fill.reader() {
        Some(reader) => from_fill(exchange, filling, (reader, own), outcome).await?,
        None => None,
    };
    sent.ok_or_else(ended_early)
}

impl Filling {
    /// What a reader that is behind needs of content that has left the disk, too: the origin has it.
    /// `None` where it can't be asked for a part: of what is not the whole answer to a GET.
    pub(super) fn completion<'a>(&self, asking: Asking<'a>, key: Key<'a>) -> Option<Completion<'a>> {
        if self.head.status != 200 || asking.request.method != Method::Get {
            return None;
        }
        let object = Object {
            head: self.head.clone(),
            rendered: self.rendered.clone(),
            content: StoredContent::Chunks { length: self.length.unwrap_or_default() },
            origin: self.origin,
            received: self.received,
            generation: self.id.generation,
            head_generation: self.id.generation,
        };
        Some(Completion::of_fill(asking, key, object, self.length))
    }

    /// What has come of sending it. `None`: nothing was sent, and the origin has not failed. What this
    /// reader needs has left memory and the disk, and the origin has something else by now.
    pub(super) fn sent(&self, sent: Result<Next, Interrupted>) -> Result<Option<Next>, Interrupted> {
        match sent {
            Err(Interrupted::Failed(_)) if self.failure.get().is_none() => Ok(None),
            sent => sent.map(Some),
        }
    }

    /// The content has ended before its end: as its origin has failed, if that is known.
    pub(super) fn ended(&self, sender: &mut Sender<'_>, aborted: Aborted) -> Interrupted {
        match self.failure.get() {
            Some(failure) => sender.failed(failure.clone()),
            None => sender.broken(aborted),
        }
    }
}

/// A fill that nothing was sent of, and that has no other way to be had.
pub(super) fn ended_early() -> Interrupted {
    incomplete("before its first octet").into()
}

/// Delivers the whole of what arrives, with the field lines `own`, which are for this client alone. `None` as
/// in [`Filling::sent`].
pub(super) async fn from_fill(
    exchange: &mut Exchange<'_>,
    filling: &Filling,
    reader: (FillReader, &[u8]),
    outcome: Outcome,
) -> Result<Option<Next>, Interrupted> {
    filling.sent(whole(exchange, filling, reader, outcome).await)
}

async fn whole(
    exchange: &mut Exchange<'_>,
    filling: &Filling,
    (mut reader, own): (FillReader, &[u8]),
    outcome: Outcome,
) -> Result<Next, Interrupted> {
    let shared = &exchange.proxy.shared;
    let framing = match filling.head.status {
        204 => Framing::Empty,
        _ => Framing::of(filling.length, exchange.request.version),
    };
    let keep_open = exchange.client.keeps_open(exchange.request) && framing != Framing::UntilClose;
    let age = filling.head.current_age(shared.clock.now());
    let age = (age > 0).then_some(age);
    let mut head = std::mem::take(&mut exchange.client.scratch);
    head.clear();
    head.extend_from_slice(&filling.rendered);
    head.extend_from_slice(own);
    Tail { framing, age, outcome: &outcome, keep_open }.write(&mut head);
    exchange.record.responds(filling.head.status, outcome, filling.head.fields.first(FieldName::ContentType));
    exchange.client.writer.never_index(filling.head.fields.never_indexed());
    let key = shared.store.key(&filling.uri);
    let asking = exchange.asking(key);
    let mut sender = exchange.sender(&mut head, framing);
    let mut pieces = Vec::new();
    // The task that fills has not run yet: what came with the head is there after one turn.
    tokio::task::yield_now().await;
    if !reader.is_ready() {
        sender.flush_front().await?;
    }
    loop {
        let before = pieces.len();
        let arrived = sender.unless_gone(reader.next(&mut pieces)).await?;
        let arrived = arrived.map_err(|aborted| filling.ended(&mut sender, aborted))?;
        if let Arrived::OnDisk { range, length } = arrived {
            // This reader is behind: what it needs has left memory.
            let mut completion = filling.completion(asking, key);
            let parts = shared.store.chunks(filling.id, length, range);
            parts::send(&mut sender, &parts, completion.as_mut()).await?;
            continue;
        }
        let last = arrived == Arrived::Last;
        let octets = pieces.iter().skip(before).map(|piece| piece.len() as u64).sum();
        if !outcome.collapsed {
            sender.record.received_from_origin(octets);
        }
        let more = if last { More::No } else { More::Yes };
        let trailers = if last { reader.trailers() } else { Fields::default() };
        sender.send(&mut pieces, more, &trailers).await?;
        if last {
            break;
        }
    }
    drop(sender);
    exchange.client.scratch = head;
    Ok(if keep_open { Next::KeepOpen } else { Next::Close })
}

/// Delivers a response that is not stored, straight from the origin's connection.
pub(super) async fn pass(
    exchange: &mut Exchange<'_>,
    uri: &TargetUri,
    reply: Reply,
    outcome: Outcome,
    keeper: Option<Keeper>,
) -> Result<Next, Interrupted> {
    let Reply { response, mut connection, idle, .. } = reply;
    let keep_open = exchange.client.keeps_open(exchange.request)
        && passed_framing(exchange.request, &response) != Framing::UntilClose;
    let Client { writer, scratch, .. } = &mut *exchange.client;
    let silence = Silence { clock: &exchange.proxy.shared.clock, limit: idle, moved: None, open_end: None };
    let to = Towards { writer, scratch, record: exchange.record, keep_open, keeper, silence };
    pass_content(exchange.proxy, to, exchange.request, &response, &mut connection.reader, outcome).await?;
    keep(exchange.proxy, uri, Persistence::of(&response), connection);
    Ok(if keep_open { Next::KeepOpen } else { Next::Close })
}

/// A client's writing side, whether it stays open, and the record of what it gets.
#[derive(Debug)]
pub(super) struct Towards<'a> {
    pub writer: &'a mut WriteHalf,
    pub scratch: &'a mut Vec<u8>,
    pub record: &'a mut Record,
    pub keep_open: bool,
    /// What keeps the content, too.
    pub keeper: Option<Keeper>,
    /// How long the origin, or the client, may be silent.
    pub silence: Silence<'a>,
}

/// Sends the head and streams the content, each piece as soon as it is there.
pub(super) async fn pass_content(
    proxy: &Proxy,
    to: Towards<'_>,
    request: &Request,
    response: &Response,
    reader: &mut Reader,
    outcome: Outcome,
) -> Result<(), Interrupted> {
    let shared = &proxy.shared;
    let Towards { writer, scratch: head, record, keep_open, mut keeper, silence } = to;
    let framing = passed_framing(request, response);
    head.clear();
    passed_head(head, shared, response);
    Tail { framing, age: None, outcome: &outcome, keep_open }.write(head);
    record.responds(response.status, outcome, response.fields.first(FieldName::ContentType));
    let mut content = Content::new(response.length, &shared.limits.chunks);
    let (idle, pace) = (silence.limit, Pace::of_reader(shared, silence.limit));
    let open_end = silence.open_end.cloned().or_else(|| open_end(shared, framing.is_open(), record));
    let mut sender = Sender { writer, shared, idle, pace, open_end, front: head, framing, record };
    // Content that came with the head leaves with it; content that has yet to come must not
    // hold the head back.
    if !content.is_done() && reader.buffered().is_empty() {
        sender.flush_front().await?;
    }
    let mut pace = Pace::of_response(shared, response.length, silence.limit);
    let mut pieces = Vec::new();
    while !content.is_done() {
        let next = silence.within(content.next(reader, &mut pieces));
        let (next, waited_ms) = Pace::timed(&shared.clock, sender.unless_gone(next)).await;
        match next? {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(sender.failed(bad_content(&error))),
            Err(timed_out) => return Err(sender.failed(silent(timed_out))),
        }
        let arrived = pieces.iter().map(|piece| piece.len() as u64).sum();
        sender.record.received_from_origin(arrived);
        silence.moves(arrived);
        pace.moved(waited_ms, arrived).map_err(|slow| sender.broken(slow))?;
        if let Some(keeper) = &mut keeper {
            keeper.push(&pieces);
        }
        if !content.is_done() {
            sender.send(&mut pieces, More::Yes, &Fields::default()).await?;
        }
    }
    if let Some(mut keeper) = keeper {
        // It is stored before the client can know that all of it was sent.
        keeper.end();
    }
    let trailers = content.trailers().clone();
    if !has_content(request, response) {
        sender.framing = Framing::Empty;
    }
    sender.send(&mut pieces, More::No, &trailers).await
}

fn has_content(request: &Request, response: &Response) -> bool {
    request.method != Method::Head && !matches!(response.status, 100..=199 | 204 | 304)
}

/// The framing of a response that is passed on. One without content keeps the length that it
/// would have had (RFC 9110 §8.6), if it told one.
pub(super) fn passed_framing(request: &Request, response: &Response) -> Framing {
    if has_content(request, response) {
        return match response.length {
            BodyLength::None => Framing::Length(0),
            BodyLength::Exact(length) => Framing::Length(length),
            BodyLength::Chunked | BodyLength::UntilClose | BodyLength::UntilEnd => {
                Framing::of(None, request.version)
            }
        };
    }
    if matches!(response.status, 100..=199 | 204) {
        return Framing::Empty;
    }
    let coded = response.fields.contains(FieldName::TransferEncoding);
    let told = response.fields.first(FieldName::ContentLength).and_then(|value| Members::of(value).next());
    match told.and_then(exact_decimal) {
        Some(length) if !coded => Framing::Length(length),
        _ => Framing::Empty,
    }
}
