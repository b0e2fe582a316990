//! Answering a client's own conditions and range out of a response that is arriving whole (RFC 9111
//! §4.3.2, RFC 9110 §13, §14): Larder has asked for all of it, so that nobody else has answered them.
//!
//! A range needs the complete length, and several ranges need it all to be there: where the length is
//! not known, and for several ranges, the whole is sent, which RFC 9110 §14.2 allows.

use bytes::Bytes;

use super::collapse::Filling;
use super::deliver::{self, passed_framing};
use super::forward::Reply;
use super::origin_failure::{bad_content, silent};
use super::pace::Pace;
use super::render::{Framing, Tail, stored_fields, via};
use super::sender::More;
use super::{Exchange, Interrupted, Next, parts, render, stored};
use crate::caching::{Answer, ByteRange, Outcome, StoredHead, answer};
use crate::http::write::{field, status_line};
use crate::http::{BodyLength, Content, FieldName, Fields, Version};
use crate::store::{Arrived, FillReader};

/// Delivers what of a fill answers this request; the whole with the field lines `own`, which are for this
/// client alone. `None` as in [`Filling::sent`].
pub(super) async fn from_fill(
    exchange: &mut Exchange<'_>,
    filling: &Filling,
    (reader, own): (FillReader, &[u8]),
    outcome: Outcome,
) -> Result<Option<Next>, Interrupted> {
    // Without a length, only conditions are answered: no range begins behind the last octet of all.
    let told = answer(exchange.request, &filling.head, filling.length.unwrap_or(u64::MAX));
    exchange.client.writer.never_index(filling.head.fields.never_indexed());
    match (told, filling.length) {
        (Answer::Range(range), Some(length)) => {
            let mut head = Vec::new();
            stored::part_head(&mut head, &exchange.proxy.shared, &filling.head.fields, range, length);
            filling.sent(part(exchange, filling, reader, (range, head), outcome).await)
        }
        (Answer::NotModified, _) => not_modified(exchange, &filling.head, outcome).await.map(Some),
        (Answer::RangeNotSatisfiable, Some(length)) => {
            not_satisfiable(exchange, length, outcome).await.map(Some)
        }
        _ => deliver::from_fill(exchange, filling, (reader, own), outcome).await,
    }
}

/// Sends one range of what arrives.
async fn part(
    exchange: &mut Exchange<'_>,
    filling: &Filling,
    mut reader: FillReader,
    (range, mut head): (ByteRange, Vec<u8>),
    outcome: Outcome,
) -> Result<Next, Interrupted> {
    let shared = &exchange.proxy.shared;
    let keep_open = exchange.client.keeps_open(exchange.request);
    let framing = Framing::Length(range.length());
    let age = Some(filling.head.current_age(shared.clock.now())).filter(|age| *age > 0);
    Tail { framing, age, outcome: &outcome, keep_open }.write(&mut head);
    exchange.record.responds(206, outcome, filling.head.fields.first(FieldName::ContentType));
    let key = shared.store.key(&filling.uri);
    let asking = exchange.asking(key);
    let mut sender = exchange.sender(&mut head, framing);
    let mut at = 0;
    while at <= range.last {
        let mut pieces = Vec::new();
        let arrived = sender.unless_gone(reader.next(&mut pieces)).await?;
        let arrived = arrived.map_err(|aborted| filling.ended(&mut sender, aborted))?;
        if let Arrived::OnDisk { range: left, length } = arrived {
            at = left.last + 1;
            if let Some(wanted) = intersection(range, left) {
                let chunks = shared.store.chunks(filling.id, length, wanted);
                let mut completion = filling.completion(asking, key);
                parts::send(&mut sender, &chunks, completion.as_mut()).await?;
            }
            continue;
        }
        let octets = pieces.iter().map(|piece| piece.len() as u64).sum();
        if !outcome.collapsed {
            sender.record.received_from_origin(octets);
        }
        let mut wanted = within(range, &mut at, &pieces);
        let is_last = at > range.last;
        if !wanted.is_empty() || is_last {
            let more = if is_last { More::No } else { More::Yes };
            sender.send(&mut wanted, more, &Fields::default()).await?;
        }
        if arrived == Arrived::Last && !is_last {
            return Err(sender.broken("the content was shorter than it said"));
        }
    }
    Ok(if keep_open { Next::KeepOpen } else { Next::Close })
}

/// What of these pieces, the first of which begins at `at`, lies within a range.
fn within(range: ByteRange, at: &mut u64, pieces: &[Bytes]) -> Vec<Bytes> {
    let mut wanted = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let here = ByteRange { first: *at, last: *at + piece.len() as u64 - 1 };
        if let Some(cut) = intersection(range, here) {
            // Both lie within the piece.
            wanted.push(piece.slice((cut.first - *at) as usize..=(cut.last - *at) as usize));
        }
        *at = here.last + 1;
    }
    wanted
}

fn intersection(one: ByteRange, other: ByteRange) -> Option<ByteRange> {
    let (first, last) = (one.first.max(other.first), one.last.min(other.last));
    (first <= last).then_some(ByteRange { first, last })
}

async fn not_modified(
    exchange: &mut Exchange<'_>,
    stored: &StoredHead,
    outcome: Outcome,
) -> Result<Next, Interrupted> {
    let mut head = Vec::new();
    render::not_modified(&mut head, &stored.fields);
    via(&mut head, Version::Http11, &exchange.proxy.shared);
    let content_type = stored.fields.first(FieldName::ContentType);
    without_content(exchange, (304, head, Framing::Empty), content_type, outcome).await
}

async fn not_satisfiable(
    exchange: &mut Exchange<'_>,
    length: u64,
    outcome: Outcome,
) -> Result<Next, Interrupted> {
    let mut head = Vec::new();
    stored::not_satisfiable(&mut head, &exchange.proxy.shared, length);
    without_content(exchange, (416, head, Framing::Length(0)), None, outcome).await
}

async fn without_content(
    exchange: &mut Exchange<'_>,
    (status, mut head, framing): (u16, Vec<u8>, Framing),
    content_type: Option<&[u8]>,
    outcome: Outcome,
) -> Result<Next, Interrupted> {
    let keep_open = exchange.client.keeps_open(exchange.request);
    Tail { framing, age: None, outcome: &outcome, keep_open }.write(&mut head);
    exchange.record.responds(status, outcome, content_type);
    let mut sender = exchange.sender(&mut head, framing);
    sender.send(&mut Vec::new(), More::No, &Fields::default()).await?;
    Ok(if keep_open { Next::KeepOpen } else { Next::Close })
}

/// What of a response that is not stored answers this request, if that is not the whole.
pub(super) fn of_passing(exchange: &Exchange<'_>, reply: &Reply, head: &StoredHead) -> Option<Passing> {
    let BodyLength::Exact(length) = reply.response.length else { return None };
    match answer(exchange.request, head, length) {
        Answer::Range(range) => Some(Passing::Range(range, length)),
        Answer::NotModified => Some(Passing::NotModified),
        Answer::RangeNotSatisfiable => Some(Passing::NotSatisfiable(length)),
        Answer::Whole | Answer::MultiRange(_) => None,
    }
}

/// Less than the whole of a response that is not stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Passing {
    /// A range of so many octets in all.
    Range(ByteRange, u64),
    NotModified,
    NotSatisfiable(u64),
}

/// Delivers it. What is behind it is not read, so that the origin's connection ends.
pub(super) async fn pass(
    exchange: &mut Exchange<'_>,
    reply: Reply,
    stored: &StoredHead,
    passing: Passing,
    outcome: Outcome,
) -> Result<Next, Interrupted> {
    let (range, length) = match passing {
        Passing::Range(range, length) => (range, length),
        Passing::NotModified => return not_modified(exchange, stored, outcome).await,
        Passing::NotSatisfiable(length) => return not_satisfiable(exchange, length, outcome).await,
    };
    let shared = &exchange.proxy.shared;
    let Reply { response, mut connection, idle, .. } = reply;
    let keep_open = exchange.client.keeps_open(exchange.request)
        && passed_framing(exchange.request, &response) != Framing::UntilClose;
    let mut head = Vec::new();
    status_line(&mut head, 206, b"");
    // It is not stored: its fields leave as they came, with cookies.
    let ends = crate::http::ConnectionOptions::of(&response.fields);
    let fields = response.fields.without(|line| ends.ends_response_field(line)).build();
    stored_fields(&mut head, shared, &fields, &[FieldName::ContentRange]);
    let (first, last) = (range.first, range.last);
    field(&mut head, FieldName::ContentRange, format!("bytes {first}-{last}/{length}"));
    let framing = Framing::Length(range.length());
    Tail { framing, age: None, outcome: &outcome, keep_open }.write(&mut head);
    exchange.record.responds(206, outcome, response.fields.first(FieldName::ContentType));
    let mut content = Content::new(response.length, &shared.limits.chunks);
    let mut pace = Pace::of_response(shared, response.length, idle);
    let mut sender = exchange.sender(&mut head, framing);
    let mut at = 0;
    while at <= range.last {
        let mut pieces = Vec::new();
        let next = shared.clock.timeout(idle, content.next(&mut connection.reader, &mut pieces));
        let (next, waited_ms) = Pace::timed(&shared.clock, sender.unless_gone(next)).await;
        match next? {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(sender.failed(bad_content(&error))),
            Err(timed_out) => return Err(sender.failed(silent(timed_out))),
        }
        let arrived = pieces.iter().map(|piece| piece.len() as u64).sum();
        sender.record.received_from_origin(arrived);
        pace.moved(waited_ms, arrived).map_err(|slow| sender.broken(slow))?;
        let mut wanted = within(range, &mut at, &pieces);
        let is_last = at > range.last;
        if !wanted.is_empty() || is_last {
            let more = if is_last { More::No } else { More::Yes };
            sender.send(&mut wanted, more, &Fields::default()).await?;
        }
    }
    Ok(if keep_open { Next::KeepOpen } else { Next::Close })
}
