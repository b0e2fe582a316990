//! Keeping a part of a representation that an origin sends: while it passes to the client it is
//! gathered, and put together with what is stored of the same representation (RFC 9111 §3.3, §3.4).
//!
//! A small content is kept octet by octet in memory; of a large one the whole chunks go to disk.
//! Whatever ends the exchange, what has arrived until then is right and is kept.
//!
//! Invariant: nothing is kept of content that was longer or shorter than its head said.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::forward::Reply;
use super::update::Update;
use super::{Proxy, Shared};
use crate::caching::{
    NotStored, PartOfWhole, StoredHead, Times, is_same_representation, may_begin_with_part, part_of_whole,
};
use crate::http::{Request, TargetUri, Version};
use crate::store::{
    Beside, CHUNK_LENGTH, Gathered, Generation, Key, Object, Refill, Span, Spans, StoredContent,
};

/// A part as it came, and for whom.
#[derive(Debug)]
pub(super) struct Brought {
    pub shared: Arc<Shared>,
    pub uri: TargetUri,
    pub request: Request,
    pub part: PartOfWhole,
    pub times: Times,
    pub origin: SocketAddr,
    pub received: Version,
    /// Of the key, before the origin was asked.
    pub asked: Generation,
}

impl Brought {
    /// These octets of the part, as content with gaps.
    pub(super) fn content(&self, octets: Bytes) -> StoredContent {
        let span = Span { first: self.part.range.first, octets };
        StoredContent::of_spans(Spans::of([span]), self.part.complete_length())
    }

    /// Puts `content` together with what is stored of the same representation. `begins`: it is
    /// stored even where there is nothing yet.
    pub(super) fn store(&self, content: &StoredContent, begins: bool) {
        let store = &self.shared.store;
        let targets = &self.shared.cache_policy.targets;
        let head = StoredHead::with_targets(&self.request, &self.part.whole, self.times, targets);
        let object = begins.then(|| self.object(head.clone(), content.clone(), self.origin));
        store.join(store.key(&self.uri), object, self.asked, |other| self.beside(other, &head, content));
    }

    fn beside(&self, other: &Object, head: &StoredHead, content: &StoredContent) -> Beside {
        if !other.head.selects(&self.request.fields) {
            return Beside::Stays;
        }
        if !is_same_representation(&other.head, head) || other.content.length() != content.length() {
            // What was asked for later knows better what the representation is now.
            let is_newer = other.generation > self.asked.seq();
            return if is_newer { Beside::Forbids } else { Beside::Goes };
        }
        // What was asked for later than this knows better what the head is.
        let freshened = match other.head_generation > self.asked.seq() {
            true => Ok(other.head.clone()),
            false => self.freshened(&other.head),
        };
        match (freshened, other.content.union(content)) {
            (Ok(head), Some(content)) => Beside::Joins(Box::new(self.object(head, content, other.origin))),
            _ => Beside::Forbids,
        }
    }

    // §3.4: "all header fields provided in the new response, aside from Content-Range, [are used]
    // to replace all instances of the corresponding header fields in the stored response".
    /// A stored head as this part leaves it; an error when it may not be stored like that.
    pub(super) fn freshened(&self, stored: &StoredHead) -> Result<StoredHead, NotStored> {
        let shared = &self.shared;
        self.update(shared.store.key(&self.uri)).head(stored)
    }

    fn update<'a>(&'a self, key: Key<'a>) -> Update<'a> {
        let Brought { shared, request, part, times, asked, .. } = self;
        Update { shared, request, key, response: &part.whole, times: *times, asked: *asked }
    }

    /// What is stored, with the octets of both. It has a generation of its own, so that a head which
    /// was freshened on disk before does not count for it.
    pub(super) fn object(&self, head: StoredHead, content: StoredContent, origin: SocketAddr) -> Object {
        let rendered = super::render::stored_head(&self.shared.pseudonym, &head, self.received);
        let generation = self.asked.seq();
        let head_generation = generation;
        Object { head, rendered, content, origin, received: self.received, generation, head_generation }
    }
}

/// Keeps a part while it passes.
#[derive(Debug)]
pub(super) struct Keeper {
    brought: Brought,
    kept: Kept,
    /// Octets of the part that have come.
    come: u64,
    is_wrong: bool,
}

#[derive(Debug)]
enum Kept {
    Span(Gathered),
    /// Whole chunks, after so many octets that belong to the chunk before.
    Chunks(Refill, u64),
}

impl Keeper {
    /// To keep the content of `reply`, if that may be. With it, the head that it is stored under.
    pub(super) async fn begin(
        proxy: &Proxy,
        request: &Request,
        key: Key<'_>,
        reply: &Reply,
        asked: Generation,
    ) -> Result<(Keeper, StoredHead), &'static str> {
        let shared = &proxy.shared;
        let part = part_of_whole(request, &reply.response).map_err(NotStored::as_str)?;
        let targets = &shared.cache_policy.targets;
        let head = StoredHead::with_targets(request, &part.whole, reply.times, targets);
        let (storing, _rule) = shared.may_store(request, &part.whole, &head, reply.times);
        storing.map_err(NotStored::as_str)?;
        let (range, complete) = (part.range, part.complete_length());
        let brought = Brought {
            shared: shared.clone(),
            uri: key.uri.clone(),
            request: request.clone(),
            part,
            times: reply.times,
            origin: reply.connection.peer,
            received: reply.response.version,
            asked,
        };
        // What is on disk is in memory from here on, where it is put together.
        let stored = shared.store.look_up(key).await;
        let is_known = stored.iter().flat_map(|all| all.iter()).any(|object| {
            object.head.selects(&request.fields) && is_same_representation(&object.head, &head)
        });
        if !is_known && !may_begin_with_part(request) {
            return Err(NotStored::Partial.as_str());
        }
        let kept = if shared.store.keeps_spans(complete) {
            Kept::Span(shared.store.gather(range.length()).ok_or("too-large")?)
        } else {
            chunks(&brought, key, &head).await?
        };
        Ok((Keeper { brought, kept, come: 0, is_wrong: false }, head))
    }

    /// Takes what has come.
    pub(super) fn push(&mut self, pieces: &[Bytes]) {
        for piece in pieces {
            self.come += piece.len() as u64;
            if self.come > self.brought.part.range.length() {
                self.is_wrong = true;
                return;
            }
            match &mut self.kept {
                Kept::Span(gathered) => gathered.push(piece),
                Kept::Chunks(refill, skip) => {
                    let skipped = (*skip).min(piece.len() as u64);
                    *skip -= skipped;
                    // At most the piece's length.
                    refill.push(piece.slice(skipped as usize..));
                }
            }
        }
    }

    /// The content has come to its end, as its framing has it.
    pub(super) fn end(&mut self) {
        self.is_wrong |= self.come != self.brought.part.range.length();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let Kept::Span(gathered) = &mut self.kept else { return };
        if self.is_wrong || gathered.length() == 0 {
            return;
        }
        let content = self.brought.content(gathered.take());
        self.brought.store(&content, may_begin_with_part(&self.brought.request));
    }
}

/// Where the whole chunks of a part go. The stored response that they belong to is there from now
/// on, if it was not before: other parts that are on their way find it, and bring theirs to it.
async fn chunks(brought: &Brought, key: Key<'_>, head: &StoredHead) -> Result<Kept, &'static str> {
    let (store, range) = (&brought.shared.store, brought.part.range);
    let complete = brought.part.complete_length();
    let at = range.first.checked_next_multiple_of(CHUNK_LENGTH).ok_or("partial")?;
    let end = at.checked_add(CHUNK_LENGTH).ok_or("partial")?.min(complete);
    // Chunks are found by one generation, which only a strong tag lets others join.
    let is_strong = head.etag().is_some_and(|tag| !tag.is_weak());
    if !is_strong || at > range.last || end > range.last + 1 {
        return Err(NotStored::Partial.as_str());
    }
    store.admits_chunks(key, head, complete, brought.asked)?;
    let object = match known(brought, key, head) {
        Some(object) => brought.update(key).freshen(&object).await.kept.map_err(NotStored::as_str)?,
        None if !may_begin_with_part(&brought.request) => return Err(NotStored::Partial.as_str()),
        None => {
            let content = StoredContent::Chunks { length: complete };
            brought.store(&content, true);
            known(brought, key, head).ok_or(NotStored::Partial.as_str())?
        }
    };
    let refill = store.refill(key, &object, at).ok_or("disk-queue")?;
    Ok(Kept::Chunks(refill, at - range.first))
}

/// What is stored in chunks of the representation that this part is of.
fn known(brought: &Brought, key: Key<'_>, head: &StoredHead) -> Option<Arc<Object>> {
    let stored = brought.shared.store.variants(key)?;
    let is_known = |object: &&Arc<Object>| {
        object.head.selects(&brought.request.fields)
            && is_same_representation(&object.head, head)
            && !object.content.is_in_memory()
            && object.content.length() == brought.part.complete_length()
    };
    stored.iter().find(is_known).cloned()
}
