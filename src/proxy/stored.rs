//! Answering out of a stored response: whole, 304, 206, 416 (RFC 9111 §4.3.2, RFC 9110 §14).

use std::sync::Arc;

use super::complete::Completed;
use super::partial::{Completion, Unsupplied};
use super::presence::unless_gone;
use super::render::{Framing, Tail, not_modified, stored_fields};
use super::rules::ttl;
use super::sender::{More, Sender};
use super::{Exchange, Interrupted, Next, Proxy, Shared, complete, parts};
use crate::caching::{Answer, ByteRange, ForwardReason, Handled, Outcome, answer, wants_stored_only};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::write::{field, status_line};
use crate::http::{FieldName, Fields, Method, Request};
use crate::store::{Key, Object, Part, StoredContent};

/// A whole response of which less than this part is there is had anew. Arbitrary: little is asked
/// for twice.
const WORTH_COMPLETING: u64 = 8;

/// What of a stored response is sent: its status, its framing, and its content.
struct Selected {
    status: u16,
    framing: Framing,
    parts: Vec<Part>,
}

/// Sends what of `object` answers the request. `None`: it has gaps that can't be filled, nothing
/// was sent, and it is not stored any more.
pub(super) async fn deliver(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    object: &Arc<Object>,
    age: u64,
    mut outcome: Outcome,
) -> Result<Option<Next>, Interrupted> {
    exchange.client.writer.never_index(object.head.fields.never_indexed());
    if !matches!(object.content, StoredContent::Partial { .. }) {
        return send(exchange, key, object, age, outcome).await;
    }
    let (request, id) = (exchange.request, exchange.record.id());
    let proxy = exchange.proxy;
    let parts = |object: &Object| {
        // A head has no content to be missing.
        if request.method == Method::Head {
            return Vec::new();
        }
        let selecting = Selecting { proxy, request, id, key };
        selecting.select(object, &mut Vec::new()).parts
    };
    if complete::missing(&parts(object)).is_empty() {
        return send(exchange, key, object, age, outcome).await;
    }
    if wants_stored_only(request) {
        return Err(nothing_stored().into());
    }
    let asking = exchange.asking(key);
    let completing = Box::pin(complete::complete(&asking, key, object, exchange.record, &parts));
    let completed = unless_gone(&proxy.shared.clock, &mut exchange.client.writer, completing).await?;
    let completed = completed.and_then(|completed| {
        // Of ranges that are far apart one may have had to make room for another.
        let is_whole = complete::missing(&parts(&completed.object)).is_empty();
        if is_whole { Ok(completed) } else { Err(Unsupplied::NoMemory) }
    });
    match completed {
        Ok(Completed { object, is_stored }) => {
            exchange.record.note("reuse", "the origin was asked for what was missing");
            if outcome.result == Handled::Hit {
                outcome.result = Handled::Forwarded(ForwardReason::Partial);
                outcome.fwd_status = Some(206);
                outcome.stored = is_stored;
            }
            outcome.ttl = ttl(proxy, request, &object.head);
            let age = object.head.current_age(proxy.shared.clock.now());
            send(exchange, key, &object, age, outcome).await
        }
        Err(unsupplied) => {
            exchange.record.note("reuse", format_args!("it has gaps that stay: {unsupplied}"));
            if unsupplied.is_final() {
                proxy.shared.store.remove(key, object).await;
            }
            Ok(None)
        }
    }
}

async fn send(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    object: &Arc<Object>,
    age: u64,
    mut outcome: Outcome,
) -> Result<Option<Next>, Interrupted> {
    let shared = &exchange.proxy.shared;
    let mut head = std::mem::take(&mut exchange.client.scratch);
    head.clear();
    let selecting =
        Selecting { proxy: exchange.proxy, request: exchange.request, id: exchange.record.id(), key };
    let mut selected = selecting.select(object, &mut head);
    if exchange.request.method == Method::Head {
        selected.parts.clear();
    }
    parts::prepare(&mut selected.parts).await;
    let asking = exchange.asking(key);
    let mut completion = Completion::new(asking, key, object);
    if let Some(missing) = first_missing(&selected.parts) {
        if wants_stored_only(exchange.request) {
            return Err(nothing_stored().into());
        }
        // Next to nothing is there of the whole: others who want all of it may share one fill.
        if lacks_most(&selected.parts, object) && selected.status == object.head.status {
            exchange.client.scratch = head;
            return Ok(None);
        }
        // Known before anything is sent: whether the rest can be had.
        if let Err(unsupplied) = exchange.unless_gone(Box::pin(completion.ask(missing))).await? {
            exchange.record.note("reuse", format_args!("it has gaps that stay: {unsupplied}"));
            // Offline, or from an origin that fails, the rest may be had another time.
            if unsupplied.is_final() {
                shared.store.remove(key, object).await;
            }
            exchange.client.scratch = head;
            return Ok(None);
        }
        exchange.record.note("reuse", "the origin is asked for what is missing");
        if outcome.result == Handled::Hit {
            outcome.result = Handled::Forwarded(ForwardReason::Partial);
            outcome.fwd_status = Some(206);
            outcome.stored = completion.is_stored();
        }
    }
    let Selected { status, framing, parts } = selected;
    let keep_open = exchange.client.keeps_open(exchange.request);
    Tail { framing, age: Some(age), outcome: &outcome, keep_open }.write(&mut head);
    exchange.record.responds(status, outcome, object.head.fields.first(FieldName::ContentType));
    let sender = exchange.sender(&mut head, framing);
    let sent = send_parts(sender, parts, &mut completion).await;
    exchange.client.scratch = head;
    // Nothing was sent yet: the origin can be asked for all of it.
    if let Err(Interrupted::Failed(failure)) = &sent {
        if wants_stored_only(exchange.request) {
            return Err(nothing_stored().into());
        }
        exchange.record.note("reuse", format_args!("what is stored can't be sent: {failure}"));
        return Ok(None);
    }
    sent.map(|()| Some(if keep_open { Next::KeepOpen } else { Next::Close }))
}

/// Sends all of a selection: at once, if it is in memory.
async fn send_parts(
    mut sender: Sender<'_>,
    parts: Vec<Part>,
    completion: &mut Completion<'_>,
) -> Result<(), Interrupted> {
    if !parts.iter().all(|part| matches!(part, Part::Bytes(_))) {
        return parts::send(&mut sender, &parts, Some(completion)).await;
    }
    let bytes = |part| if let Part::Bytes(bytes) = part { Some(bytes) } else { None };
    let mut pieces = parts.into_iter().filter_map(bytes).collect();
    sender.send(&mut pieces, More::No, &Fields::default()).await
}

/// Whether so little of the content is there that completing it gains nothing.
fn lacks_most(parts: &[Part], object: &Object) -> bool {
    let lacking = parts.iter().filter(|part| matches!(part, Part::Missing(_)));
    let (lacking, length) = (lacking.map(Part::length).sum::<u64>(), object.content.length());
    length - lacking.min(length) < length / WORTH_COMPLETING
}

fn first_missing(parts: &[Part]) -> Option<ByteRange> {
    parts.iter().find_map(|part| if let Part::Missing(range) = part { Some(*range) } else { None })
}

/// Who asks, and under which key.
#[derive(Clone, Copy)]
struct Selecting<'a> {
    proxy: &'a Proxy,
    request: &'a Request,
    /// The number of the request, which no content has in it by chance.
    id: u64,
    key: Key<'a>,
}

impl Selecting<'_> {
    /// Writes the head, up to its tail, and finds the content.
    fn select(self, object: &Object, head: &mut Vec<u8>) -> Selected {
        let Selecting { proxy, request, id, key } = self;
        let shared = &proxy.shared;
        let length = object.content.length();
        let range_parts = |range: ByteRange| shared.store.parts(key, object, range);
        let mut parts = Vec::new();
        let (status, framing) = match answer(request, &object.head, length) {
            Answer::Whole => {
                head.extend_from_slice(&object.rendered);
                if let Some(last) = length.checked_sub(1) {
                    parts = range_parts(ByteRange { first: 0, last });
                }
                let has_length = !matches!(object.head.status, 204 | 304);
                (object.head.status, if has_length { Framing::Length(length) } else { Framing::Empty })
            }
            Answer::NotModified => {
                not_modified(head, &object.head.fields);
                super::render::via(head, crate::http::Version::Http11, shared);
                (304, Framing::Empty)
            }
            Answer::Range(range) => {
                part_head(head, shared, &object.head.fields, range, length);
                parts = range_parts(range);
                (206, Framing::Length(range.length()))
            }
            Answer::MultiRange(ranges) => {
                let boundary = format!("larder-{id:016x}");
                parts = multipart(object, &ranges, &boundary, &range_parts);
                status_line(head, 206, b"");
                let drop = [FieldName::ContentRange, FieldName::ContentType];
                stored_fields(head, shared, &object.head.fields, &drop);
                field(head, FieldName::ContentType, format!("multipart/byteranges; boundary={boundary}"));
                (206, Framing::Length(parts.iter().map(Part::length).sum()))
            }
            Answer::RangeNotSatisfiable => {
                not_satisfiable(head, shared, length);
                (416, Framing::Length(0))
            }
        };
        Selected { status, framing, parts }
    }
}

/// The head of a 206 with one range of a content of `length` octets.
pub(super) fn part_head(out: &mut Vec<u8>, shared: &Shared, fields: &Fields, range: ByteRange, length: u64) {
    status_line(out, 206, b"");
    stored_fields(out, shared, fields, &[FieldName::ContentRange]);
    field(out, FieldName::ContentRange, content_range(range, length));
}

/// The head of a 416 for a content of `length` octets.
pub(super) fn not_satisfiable(out: &mut Vec<u8>, shared: &Shared, length: u64) {
    status_line(out, 416, b"");
    field(out, FieldName::ContentRange, format!("bytes */{length}"));
    field(out, FieldName::Date, shared.clock.now().to_http_date());
    super::render::via(out, crate::http::Version::Http11, shared);
}

fn content_range(range: ByteRange, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.first, range.last)
}

/// RFC 9110 §14.6: each part with its type and its place.
fn multipart(
    object: &Object,
    ranges: &[ByteRange],
    boundary: &str,
    range_parts: &dyn Fn(ByteRange) -> Vec<Part>,
) -> Vec<Part> {
    let mut out = Vec::new();
    let content_type = object.head.fields.first(FieldName::ContentType);
    for &range in ranges {
        let mut part = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(content_type) = content_type {
            field(&mut part, FieldName::ContentType, content_type);
        }
        field(&mut part, FieldName::ContentRange, content_range(range, object.content.length()));
        part.extend_from_slice(b"\r\n");
        out.push(Part::Bytes(part.into()));
        out.extend(range_parts(range));
    }
    out.push(Part::Bytes(format!("\r\n--{boundary}--\r\n").into()));
    out
}

/// RFC 9111 §5.2.1.7: "Caches that honor this request directive SHOULD, upon receiving it, respond
/// with either a stored response consistent with the other constraints of the request or a 504".
pub(super) fn nothing_stored() -> Failure {
    let public = "The request asked for a stored response only, and none can be used";
    Failure::new(ErrorType::ProxyInternalResponse, Fault::Client, 504, public)
}
