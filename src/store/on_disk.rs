//! The tier on disk as the store sees it: which records make up an object, and how an object is
//! put together again from them.
//!
//! A response of up to 1 MiB lies in one record with its content, or with what is there of it, under
//! its cache key. A larger one
//! is a HEAD record there and chunks of 1 MiB under derived keys, each for itself, so that there may
//! be gaps. One that varies lies under a key of its own, and a VARY record at the cache key lists
//! the variants. A freshened head is a META record; the content stays where it is.
//!
//! Invariant: what is read is compared whole with what was asked for: URI and generation. Where
//! records lie, and that they are whole, is `disk/`'s to know. All reads wait for the device: they
//! belong on threads that may.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::disk::extent::Wanted;
use super::disk::record::{BODY_MAX, Kind, Record};
use super::disk::{Disk, Done, Position, Queued, Refused, SETTLE_MAX};
use super::heads::{self, Decoded};
use super::key::{Derived, HashKey, Key};
use super::object::{Object, StoredContent};
use super::purging::concerns;
use super::spans::Part;
use super::spans::{Span, Spans};
use crate::caching::{ByteRange, SecretFields, StoredHead};
use crate::http::Version;

/// Octets of a chunk; the last one of a content may be shorter.
pub const CHUNK_LENGTH: u64 = BODY_MAX as u64;
/// What stands in front of a chunk: the key of its HEAD record.
const CHUNK_HEAD: u32 = size_of::<u128>() as u32;

/// What names the chunks of one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentId {
    /// The hash of the cache key.
    pub key: u128,
    /// As [`Object::generation`].
    pub generation: u64,
}

/// Renders what [`Object::rendered`] holds.
pub type Render = dyn Fn(&StoredHead, Version) -> Bytes + Send + Sync;

/// The folder, and what is needed to read and write objects there.
pub(super) struct OnDisk {
    pub disk: Disk,
    pub hash_key: HashKey,
    pub render: Arc<Render>,
    pub secrets: SecretFields,
}

impl std::fmt::Debug for OnDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnDisk").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl OnDisk {
    /// All stored responses of a key, the newest first; empty when there is none.
    pub fn load(&self, key: Key<'_>) -> Vec<Object> {
        let mut patience = SETTLE_MAX;
        if !self.disk.settle(key.hash, &mut patience) {
            // What is there has been replaced.
            return Vec::new();
        }
        let Some(record) = self.disk.read(key.hash) else { return Vec::new() };
        if matches!(record.kind, Kind::Object | Kind::Head) {
            return self.object(key, record, &mut patience).into_iter().collect();
        }
        if record.kind != Kind::Vary || heads::decode_uri(&record.head).as_ref() != Some(key.uri) {
            return Vec::new();
        }
        let generations = heads::decode_variants(&record.head).unwrap_or_default();
        let mut variant = |generation: u64| {
            let record = self.disk.read(self.hash_key.derived(key.hash, generation, Derived::Variant))?;
            let is_meant =
                matches!(record.kind, Kind::Object | Kind::Head) && record.generation == generation;
            self.object(key, record, &mut patience).filter(|_| is_meant)
        };
        generations.into_iter().filter_map(&mut variant).collect()
    }

    fn object(&self, key: Key<'_>, record: Record, patience: &mut Duration) -> Option<Object> {
        let decoded = heads::decode(&record.head).filter(|decoded| decoded.uri == *key.uri)?;
        if !self.may_have(record.kind, decoded.length) {
            return None;
        }
        let content = match record.kind {
            Kind::Head => StoredContent::Chunks { length: decoded.length },
            _ if !decoded.spans.is_empty() => partial(decoded.length, &decoded.spans, record.body)?,
            _ if decoded.length != record.body_length() as u64 => return None,
            _ => StoredContent::new(detached(record.body)),
        };
        let meta = self.hash_key.derived(key.hash, record.generation, Derived::Meta);
        if !self.disk.settle(meta, patience) {
            // The head that is there may be good for longer than the one on its way.
            return None;
        }
        let decoded = self.as_freshened(key, record.generation, decoded, &|key| self.disk.read(key))?;
        Some(Object {
            rendered: (self.render)(&decoded.head, decoded.received),
            head_generation: decoded.head_generation.unwrap_or(record.generation),
            head: decoded.head,
            content,
            origin: decoded.origin,
            received: decoded.received,
            generation: record.generation,
        })
    }

    /// Whether content of this length may belong to a record of this kind. What is in chunks is at most
    /// as large as its disk, and as many chunks as have numbers: whoever goes through them comes to
    /// an end.
    pub fn may_have(&self, kind: Kind, length: u64) -> bool {
        match kind {
            Kind::Head => length <= self.disk.settings().size.min(CHUNK_LENGTH << u32::BITS),
            _ => length <= CHUNK_LENGTH,
        }
    }

    /// A response's head as the last 304 left it; `None` when it was purged, before that or since.
    pub fn as_freshened(
        &self,
        key: Key<'_>,
        generation: u64,
        mut decoded: Decoded,
        read: &dyn Fn(u128) -> Option<Record>,
    ) -> Option<Decoded> {
        let is_purged = |decoded: &Decoded| concerns(self.disk.purges(), key.uri, &decoded.head, generation);
        if is_purged(&decoded) {
            return None;
        }
        let meta = self.hash_key.derived(key.hash, generation, Derived::Meta);
        let is_freshened = self.disk.lies(meta).is_some();
        let meta = read(meta).filter(|meta| meta.kind == Kind::Meta && meta.generation == generation);
        if is_freshened && meta.is_none() {
            // The head before may be good for longer than the one that can't be read.
            self.disk.forget(self.key_of(key.hash, generation, &decoded.head));
            return None;
        }
        let freshened = meta.and_then(|meta| Some((meta.seq, heads::decode_freshened(&meta.head)?)));
        if let Some((seq, freshened)) = freshened.filter(|(_seq, freshened)| freshened.uri == *key.uri) {
            // An earlier Larder has not written it: the record itself is newer than what it was asked by.
            let freshened_at = freshened.head_generation.unwrap_or(seq);
            // A response that was written again after it has a later head by itself.
            if freshened_at >= decoded.head_generation.unwrap_or(generation) {
                decoded.head = freshened.head;
                decoded.received = freshened.received;
                decoded.head_generation = Some(freshened_at);
            }
        }
        // What is hidden in it is compared with this store's secret.
        decoded.head = decoded.head.hiding(&self.secrets);
        Some(decoded).filter(|decoded| !is_purged(decoded))
    }

    /// Queues an object, and the list of its key's variants: `generations`, newest first.
    pub fn append(&self, key: Key<'_>, object: &Object, generations: &[u64]) -> Result<(), Refused> {
        let (kind, body) = match &object.content {
            StoredContent::Memory { length, .. } if *length > CHUNK_LENGTH => return Err(Refused::TooLong),
            StoredContent::Memory { pieces, .. } => (Kind::Object, pieces.to_vec()),
            StoredContent::Partial { spans, .. } => {
                (Kind::Object, spans.iter().map(|span| span.octets.clone()).collect())
            }
            StoredContent::Chunks { .. } => (Kind::Head, Vec::new()),
        };
        let head = heads::encode(key.uri, object, &self.secrets);
        let record_key = self.record_key(key.hash, object);
        self.disk.append(self.record(record_key, kind, object.generation, head, body))?;
        if object.head.varies() { self.append_variants(key, generations).map(|_queued| ()) } else { Ok(()) }
    }

    /// Queues a chunk of content, whose HEAD record is to lie under the key `owner`.
    pub fn append_chunk(
        &self,
        id: ContentId,
        owner: u128,
        number: u32,
        body: Vec<Bytes>,
        done: Done,
    ) -> Result<(), Refused> {
        let key = self.hash_key.derived(id.key, id.generation, Derived::Chunk(number));
        let head = Bytes::copy_from_slice(&owner.to_le_bytes());
        let record = self.record(key, Kind::Chunk, id.generation, head, body);
        self.disk.append_chunk(Record { part: number, ..record }, done)
    }

    /// The parts of a range of a content of `length` octets in chunks, in order. Reads nothing.
    pub fn parts(&self, id: ContentId, length: u64, range: ByteRange) -> Vec<Part> {
        let mut parts = Vec::new();
        for number in range.first / CHUNK_LENGTH..=range.last / CHUNK_LENGTH {
            let start = number * CHUNK_LENGTH;
            let end = length.min(start + CHUNK_LENGTH);
            let (first, last) = (range.first.max(start), range.last.min(end - 1));
            let found = u32::try_from(number).ok().and_then(|part| {
                let key = self.hash_key.derived(id.key, id.generation, Derived::Chunk(part));
                // At most the length of a chunk.
                let (kind, body_length) = (Kind::Chunk, (end - start) as u32);
                let (generation, head_length) = (id.generation, CHUNK_HEAD);
                let wanted = Wanted { key, kind, generation, part, head_length, body_length };
                self.disk.extent(wanted, (first - start, last + 1 - start))
            });
            match (found, parts.last_mut()) {
                (Some(extent), _) => parts.push(Part::Extent(extent, first)),
                (None, Some(Part::Missing(before))) => before.last = last,
                (None, _) => parts.push(Part::Missing(ByteRange { first, last })),
            }
        }
        parts
    }

    /// Queues the list of a key's variants.
    pub fn append_variants(&self, key: Key<'_>, generations: &[u64]) -> Result<Queued, Refused> {
        let newest = generations.first().copied().unwrap_or_default();
        let head = heads::encode_variants(key.uri, generations);
        self.disk.append(self.record(key.hash, Kind::Vary, newest, head, Vec::new()))
    }

    /// Queues the freshened head of an object whose content stays as it is.
    pub fn append_freshened(&self, key: Key<'_>, object: &Object) -> Result<(), Refused> {
        let head = heads::encode_freshened(key.uri, object, self.record_key(key.hash, object), &self.secrets);
        let meta = self.hash_key.derived(key.hash, object.generation, Derived::Meta);
        self.disk.append(self.record(meta, Kind::Meta, object.generation, head, Vec::new())).map(|_queued| ())
    }

    /// Whether the disk has, or is about to have, anything for this key.
    pub fn contains(&self, key: u128) -> bool {
        self.disk.contains(key)
    }

    /// Whether the disk has, or is about to have, this object's own record.
    pub fn contains_object(&self, key: u128, object: &Object) -> bool {
        self.disk.contains(self.record_key(key, object))
    }

    /// Takes all of a key out of the index, and queues behind all that was queued before that it
    /// is gone. [`Disk::wait`] makes sure that a crash doesn't undo it. `None` when the disk is being
    /// closed.
    pub fn forget(&self, key: Key<'_>) -> Option<Queued> {
        let head = heads::encode_uri_only(key.uri);
        match self.disk.append(self.record(key.hash, Kind::Tombstone, 0, head, Vec::new())) {
            Ok(queued) => Some(queued),
            Err(refused) => {
                tracing::warn!("{} may come back after a restart: {refused}", key.uri);
                None
            }
        }
    }

    /// Takes this object's own record out of the index, as [`OnDisk::forget`] does it with a key.
    pub fn forget_object(&self, key: Key<'_>, object: &Object) -> Option<Queued> {
        self.forget(Key { hash: self.record_key(key.hash, object), ..key })
    }

    /// Where the records of an object are, its own and that of its freshened head.
    pub fn positions(&self, key: u128, object: &Object) -> [Position; 2] {
        let meta = self.hash_key.derived(key, object.generation, Derived::Meta);
        [self.record_key(key, object), meta].map(|key| self.disk.position(key))
    }

    /// Whether what the disk has in the place of an object is that object, with its head or an earlier
    /// one: not another response, and not the same with a later head. Waits for the device.
    pub fn has_this(&self, key: u128, object: &Object) -> bool {
        let own = self.disk.latest(self.record_key(key, object));
        let own = own.filter(|own| matches!(own.kind, Kind::Object | Kind::Head));
        let Some(own) = own.filter(|own| own.generation == object.generation) else { return false };
        let meta = self.disk.latest(self.hash_key.derived(key, object.generation, Derived::Meta));
        let meta = meta.filter(|meta| meta.kind == Kind::Meta && meta.generation == object.generation);
        let freshened_at = meta
            .and_then(|meta| Some(heads::decode_freshened(&meta.head)?.head_generation.unwrap_or(meta.seq)));
        let written_at = heads::decode(&own.head).and_then(|head| head.head_generation);
        freshened_at.max(written_at).is_none_or(|at| at <= object.head_generation)
    }

    /// Whether what a record holds was purged: its head, or what the last 304 made of it.
    pub fn is_purged(&self, record: &Record) -> bool {
        if !matches!(record.kind, Kind::Object | Kind::Head)
            || record.generation >= self.disk.purges().latest()
        {
            return false;
        }
        let Some(decoded) = heads::decode(&record.head) else { return true };
        let uri = decoded.uri.clone();
        let key = Key { uri: &uri, hash: self.hash_key.of_uri(&uri) };
        self.as_freshened(key, record.generation, decoded, &|key| self.disk.peek(key)).is_none()
    }

    fn record(&self, key: u128, kind: Kind, generation: u64, head: Bytes, body: Vec<Bytes>) -> Record {
        Record { key, kind, seq: self.disk.next_seq(), generation, part: 0, first: 0, head, body }
    }

    fn record_key(&self, key: u128, object: &Object) -> u128 {
        self.key_of(key, object.generation, &object.head)
    }

    /// The key of the record that a response begins with.
    pub fn key_of(&self, key: u128, generation: u64, head: &StoredHead) -> u128 {
        if head.varies() { self.hash_key.derived(key, generation, Derived::Variant) } else { key }
    }
}

/// Content in memory of its own: the buffer that it was read into holds the whole record.
fn detached(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let whole = Bytes::from(pieces.concat().into_boxed_slice());
    if whole.is_empty() { Vec::new() } else { vec![whole] }
}

/// The octets of a body where its head says that they belong; `None` when the two don't agree.
fn partial(length: u64, places: &[(u64, u64)], body: Vec<Bytes>) -> Option<StoredContent> {
    let mut octets = Bytes::from(body.concat().into_boxed_slice());
    let mut spans = Vec::new();
    for &(first, count) in places {
        let is_within = first.checked_add(count).is_some_and(|end| end <= length);
        let count = usize::try_from(count).ok().filter(|count| is_within && *count <= octets.len())?;
        spans.push(Span { first, octets: octets.split_to(count) });
    }
    octets.is_empty().then(|| StoredContent::of_spans(Spans::of(spans), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of these places and a body of so many octets, of a content of ten.
    fn held(places: &[(u64, u64)], octets: usize) -> Option<u64> {
        match partial(10, places, vec![Bytes::from(vec![b'x'; octets])])? {
            StoredContent::Partial { spans, .. } => Some(spans.held()),
            whole => Some(whole.length()),
        }
    }

    #[test]
    fn a_body_that_its_head_does_not_describe_is_none() {
        type Places = &'static [(u64, u64)];
        let cases: &[(Places, usize, Option<u64>)] = &[
            (&[(0, 2), (5, 3)], 5, Some(5)),
            (&[(0, 10)], 10, Some(10)),
            (&[(0, 2)], 3, None),
            (&[(0, 4)], 3, None),
            (&[(8, 3)], 3, None),
            (&[(u64::MAX, 2)], 2, None),
            (&[(0, u64::MAX)], 2, None),
        ];
        for &(places, octets, expected) in cases {
            assert_eq!(held(places, octets), expected, "{places:?} {octets}");
        }
    }
}
