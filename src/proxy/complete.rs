//! Completing a stored response of up to a chunk before it is sent: what the answer needs and is
//! not there is asked for, and only then does the head leave. So the client's pace is nobody
//! else's, and a failure is known while another answer is still possible.
//!
//! Invariant: octets of two exchanges come together under one strong entity tag alone
//! ([`Asking::part`]), and those who need the same octets at once ask for them once.

use std::sync::Arc;

use super::collapse::{Lead, MayLead, Place, Role, join};
use super::forward::{self, Reply};
use super::keep::Brought;
use super::pace::Pace;
use super::partial::{Asking, Unsupplied};
use super::record::Record;
use crate::caching::{ByteRange, NoPart, NotStored, is_same_representation, part_of_whole};
use crate::http::{Content, Persistence};
use crate::store::{Key, Object, Part};

/// `object` with all that `parts` finds missing of it.
pub(super) async fn complete(
    asking: &Asking<'_>,
    key: Key<'_>,
    object: &Arc<Object>,
    record: &mut Record,
    parts: &(dyn Fn(&Object) -> Vec<Part> + '_),
) -> Result<Completed, Unsupplied> {
    let shared = &asking.proxy.shared;
    let mut stored = true;
    let mut object = object.clone();
    let mut lead: Option<Lead> = None;
    let selection = object.head.selection_of(&asking.request.fields);
    match join(shared, Place { key, selection }, None, MayLead::Yes) {
        Role::Lead(leading) => lead = Some(leading),
        Role::Follow(following) => {
            record.note("collapse", "waits for the exchange that is under way");
            // After that time this request asks for itself, as it does when the other has failed.
            let _either = shared.clock.timeout(shared.limits.response, following.flight.course()).await;
            object = current(asking, key, &object).unwrap_or(object);
        }
        Role::Alone => {}
    }
    for range in missing(&parts(&object)) {
        let completed = with_part(asking, key, &object, record, range).await?;
        stored &= completed.is_stored;
        object = completed.object;
    }
    if let Some(lead) = lead {
        lead.look_again();
    }
    Ok(Completed { object, is_stored: stored })
}

/// A stored response with what was missing of it.
#[derive(Debug)]
pub(super) struct Completed {
    pub object: Arc<Object>,
    /// Whether what came is stored, too.
    pub is_stored: bool,
}

/// The ranges that are missing among parts.
pub(super) fn missing(parts: &[Part]) -> Vec<ByteRange> {
    let range = |part: &Part| if let Part::Missing(range) = part { Some(*range) } else { None };
    parts.iter().filter_map(range).collect()
}

/// What is stored now of the representation that `object` is of.
fn current(asking: &Asking<'_>, key: Key<'_>, object: &Object) -> Option<Arc<Object>> {
    let stored = asking.proxy.shared.store.variants(key)?;
    let is_current = |other: &&Arc<Object>| {
        other.head.selects(&asking.request.fields)
            && is_same_representation(&other.head, &object.head)
            && other.content.length() == object.content.length()
            && other.content.is_in_memory()
    };
    stored.iter().find(is_current).cloned()
}

/// `object` with this range of the origin's, which is stored, too, if that may be.
async fn with_part(
    asking: &Asking<'_>,
    key: Key<'_>,
    object: &Arc<Object>,
    record: &mut Record,
    range: ByteRange,
) -> Result<Completed, Unsupplied> {
    let shared = &asking.proxy.shared;
    let asked = shared.store.generation(key);
    let length = object.content.length();
    let reply = asking.part(&object.head, (range.first, Some(range.last)), Some(length)).await?;
    let part = part_of_whole(asking.request, &reply.response).map_err(|_reason| NoPart::Range)?;
    if part.range != range || part.complete_length() != length {
        return Err(NoPart::Range.into());
    }
    let Reply { response, mut connection, times, .. } = reply;
    let mut gathered = shared.store.gather(range.length()).ok_or(Unsupplied::NoMemory)?;
    let mut content = Content::new(response.length, &shared.limits.chunks);
    let mut pace = Pace::of_response(shared, response.length, shared.limits.idle);
    let mut pieces = Vec::new();
    while !content.is_done() {
        let next = content.next(&mut connection.reader, &mut pieces);
        let next = shared.clock.timeout(shared.limits.idle, next);
        let (next, waited_ms) = Pace::timed(&shared.clock, next).await;
        let failed = |error: &dyn std::fmt::Display| Unsupplied::Failed(error.to_string());
        next.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let octets = pieces.iter().map(|piece| piece.len() as u64).sum();
        record.received_from_origin(octets);
        pace.moved(waited_ms, octets).map_err(|slow| failed(&slow))?;
        pieces.drain(..).for_each(|piece| gathered.push(&piece));
        if gathered.length() > range.length() {
            return Err(NoPart::Range.into());
        }
    }
    if gathered.length() != range.length() {
        return Err(NoPart::Range.into());
    }
    let (origin, received) = (connection.peer, response.version);
    forward::keep(asking.proxy, asking.uri, Persistence::of(&response), connection);
    let (shared, uri, request) = (shared.clone(), key.uri.clone(), asking.request.clone());
    let brought = Brought { shared, uri, request, part, times, origin, received, asked };
    let arrived = brought.content(gathered.take());
    let content = object.content.union(&arrived).ok_or(NoPart::Range)?;
    let freshened = brought.freshened(&object.head);
    let is_stored = freshened.is_ok();
    let head = match freshened {
        Ok(head) => {
            // It is put together with what is stored by now, and never stored anew: it may have been
            // invalidated meanwhile.
            brought.store(&content, false);
            head
        }
        Err(reason) => {
            record.note("store", format_args!("the part forbids to keep it: {reason}"));
            if !reason.is_about_request() {
                brought.shared.store.remove(key, object).await;
            }
            match reason {
                NotStored::HeadSize => object.head.clone(),
                _ => object.head.freshen(&brought.part.whole, times),
            }
        }
    };
    let object = Arc::new(brought.object(head, content, object.origin));
    Ok(Completed { object, is_stored })
}
