//! What is stored, shown to people: all of it in order, or all of one URI.
//!
//! Invariant: looking is no use of a response, brings nothing into memory, and shows only what a
//! request could be answered with. It waits for the disk, reads every head that is there, and goes
//! on while responses come and go.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::purges::PurgeScope;
use super::disk::record::{Header, Kind};
use super::disk::survey::Lies;
use super::heads;
use super::key::Derived;
use super::on_disk::OnDisk;
use super::purging::tags;
use super::{CHUNK_LENGTH, Key, Object, Store, StoredContent};
use crate::caching::{ByteRange, SecretFields, StoredHead};
use crate::http::{TargetUri, Version};

/// A stored response without its content.
#[derive(Clone, Debug)]
pub struct Stored {
    pub uri: TargetUri,
    pub head: StoredHead,
    /// Octets of its content.
    pub length: u64,
    pub origin: SocketAddr,
    pub received: Version,
    pub generation: u64,
    /// Uses since it came into memory; `None` when it is not there.
    pub in_memory: Option<u64>,
    /// Where its record lies on disk; `None` when it has none.
    pub on_disk: Option<Lies>,
    held: Held,
}

/// How what is there of a content can be told.
#[derive(Clone, Debug)]
enum Held {
    Whole,
    /// The place of the first octet, and how many follow each other, in order.
    Spans(Vec<(u64, u64)>),
    Chunks,
}

/// Some of what is stored.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The first of them by URI, and within one the newest first.
    pub stored: Vec<Stored>,
    /// How many there are in all.
    pub total: u64,
}

impl Store {
    /// What is stored of the URIs that are `wanted`, up to `limit`. Waits for the disk.
    pub fn list(&self, wanted: &dyn Fn(&TargetUri) -> bool, limit: usize) -> Listing {
        let mut first = First { limit, total: 0, stored: BTreeMap::new() };
        self.tiers.memory.for_each(|uri, variants, uses| {
            if wanted(uri) {
                let shown = |object: &Arc<Object>| in_memory(uri, object, uses, &self.secrets);
                variants.iter().for_each(|object| first.add(shown(object)));
            }
        });
        for kind in [Kind::Object, Kind::Head] {
            for tier in &self.tiers.disks {
                tier.disk.for_each(kind, &mut |header, head| {
                    if let Some(stored) = on_disk(tier, header, &head, wanted) {
                        self.add(&mut first, tier, stored);
                    }
                    ControlFlow::Continue(())
                });
            }
        }
        Listing { stored: first.stored.into_values().collect(), total: first.total }
    }

    /// How many stored responses are in the scope of a purge; `None` where more than `records_max`
    /// records would have to be read to say. Waits for the disk.
    pub fn count(&self, scope: &PurgeScope, records_max: u64) -> Option<u64> {
        let records: u64 = self.tiers.disks.iter().map(|tier| tier.disk.usage().records).sum();
        if records > records_max {
            return None;
        }
        let wanted = |uri: &TargetUri| match scope {
            PurgeScope::Host(host) => uri.authority.host.as_str() == host,
            PurgeScope::Prefix(prefix) => uri.to_string().starts_with(prefix),
            PurgeScope::Tag(_) | PurgeScope::All => true,
        };
        let PurgeScope::Tag(tag) = scope else { return Some(self.list(&wanted, 0).total) };
        let listing = self.list(&wanted, usize::MAX);
        let tagged = listing.stored.iter().filter(|stored| tags(&stored.head).any(|found| found == tag));
        Some(tagged.count() as u64)
    }

    fn add(&self, first: &mut First, tier: &OnDisk, stored: Stored) {
        let key = Key { uri: &stored.uri, hash: self.hash_key.of_uri(&stored.uri) };
        // What another disk has had before is out of reach.
        if self.tiers.tier(key.hash).is_none_or(|own| own.disk.member() != tier.disk.member()) {
            return;
        }
        match self.tiers.memory.peek(key) {
            Some((variants, _uses)) if has(&variants, stored.generation) => first.join(stored),
            _ => first.add(stored),
        }
    }

    /// All that is stored of one URI, the newest first. Waits for the disk.
    pub fn show(&self, uri: &TargetUri) -> Vec<Stored> {
        let key = self.key(uri);
        let mut all = Vec::new();
        if let Some((variants, uses)) = self.tiers.memory.peek(key) {
            all.extend(variants.iter().map(|object| in_memory(uri, object, uses, &self.secrets)));
        }
        let Some(tier) = self.tiers.tier(key.hash) else { return all };
        for stored in &mut all {
            stored.on_disk = tier.disk.lies(tier.key_of(key.hash, stored.generation, &stored.head));
        }
        let known: Vec<u64> = all.iter().map(|stored| stored.generation).collect();
        all.extend(tier.show(key).into_iter().filter(|stored| !known.contains(&stored.generation)));
        all.sort_by_key(|stored| Reverse(stored.generation));
        all
    }

    /// What is not there of a response's content, in order.
    pub fn missing(&self, stored: &Stored) -> Vec<ByteRange> {
        let mut missing = Missing { ranges: Vec::new(), at: 0 };
        match &stored.held {
            Held::Whole => return Vec::new(),
            Held::Spans(spans) => spans.iter().for_each(|&(first, octets)| missing.found(first, octets)),
            Held::Chunks => {
                let key = self.hash_key.of_uri(&stored.uri);
                let Some(tier) = self.tiers.tier(key) else { return Vec::new() };
                for number in 0..stored.length.div_ceil(CHUNK_LENGTH) {
                    let chunk = u32::try_from(number).map(Derived::Chunk);
                    let chunk = chunk.map(|chunk| self.hash_key.derived(key, stored.generation, chunk));
                    if chunk.is_ok_and(|chunk| tier.disk.contains(chunk)) {
                        missing.found(number * CHUNK_LENGTH, CHUNK_LENGTH);
                    }
                }
            }
        }
        missing.found(stored.length, 0);
        missing.ranges
    }
}

/// The gaps between what is found, in order.
struct Missing {
    ranges: Vec<ByteRange>,
    /// Behind what was found last.
    at: u64,
}

impl Missing {
    fn found(&mut self, first: u64, octets: u64) {
        if self.at < first {
            self.ranges.push(ByteRange { first: self.at, last: first - 1 });
        }
        self.at = first.saturating_add(octets);
    }
}

/// The first ones of a listing, and the count of all.
struct First {
    limit: usize,
    total: u64,
    stored: BTreeMap<(String, Reverse<u64>), Stored>,
}

impl First {
    fn add(&mut self, stored: Stored) {
        self.total += 1;
        self.stored.insert((stored.uri.to_string(), Reverse(stored.generation)), stored);
        if self.stored.len() > self.limit {
            self.stored.pop_last();
        }
    }

    /// Notes that what is listed already is on disk, too.
    fn join(&mut self, stored: Stored) {
        if let Some(known) = self.stored.get_mut(&(stored.uri.to_string(), Reverse(stored.generation))) {
            known.on_disk = stored.on_disk;
        }
    }
}

fn has(variants: &[Arc<Object>], generation: u64) -> bool {
    variants.iter().any(|object| object.generation == generation)
}

fn in_memory(uri: &TargetUri, object: &Object, uses: u64, secrets: &SecretFields) -> Stored {
    Stored {
        uri: uri.clone(),
        head: object.head.clone().hiding(secrets),
        length: object.content.length(),
        origin: object.origin,
        received: object.received,
        generation: object.generation,
        in_memory: Some(uses),
        on_disk: None,
        held: match &object.content {
            StoredContent::Memory { .. } => Held::Whole,
            StoredContent::Partial { spans, .. } => {
                Held::Spans(spans.iter().map(|span| (span.first, span.octets.len() as u64)).collect())
            }
            StoredContent::Chunks { .. } => Held::Chunks,
        },
    }
}

/// The response of an OBJECT or a HEAD record, if it is one that a request could be answered with.
fn on_disk(
    tier: &OnDisk,
    header: &Header,
    head: &Bytes,
    wanted: &dyn Fn(&TargetUri) -> bool,
) -> Option<Stored> {
    if !matches!(header.kind, Kind::Object | Kind::Head) {
        return None;
    }
    let decoded = heads::decode(head).filter(|decoded| wanted(&decoded.uri))?;
    let uri = decoded.uri.clone();
    let key = Key { uri: &uri, hash: tier.hash_key.of_uri(&uri) };
    let record = tier.key_of(key.hash, header.generation, &decoded.head);
    let is_listed = record == key.hash || tier.variants(key).contains(&header.generation);
    if record != header.key || !is_listed || !tier.may_have(header.kind, decoded.length) {
        return None;
    }
    let decoded = tier.as_freshened(key, header.generation, decoded, &|key| tier.disk.peek(key))?;
    Some(Stored {
        head: decoded.head,
        length: decoded.length,
        origin: decoded.origin,
        received: decoded.received,
        generation: header.generation,
        in_memory: None,
        on_disk: tier.disk.lies(record),
        held: match header.kind {
            Kind::Head => Held::Chunks,
            _ if decoded.spans.is_empty() => Held::Whole,
            _ => Held::Spans(decoded.spans),
        },
        uri,
    })
}

impl OnDisk {
    /// The generations of a key's variants, as its list has them.
    fn variants(&self, key: Key<'_>) -> Vec<u64> {
        let list = self.disk.peek(key.hash).filter(|record| record.kind == Kind::Vary);
        let list = list.filter(|list| heads::decode_uri(&list.head).as_ref() == Some(key.uri));
        list.and_then(|list| heads::decode_variants(&list.head)).unwrap_or_default()
    }

    /// All responses of a key.
    fn show(&self, key: Key<'_>) -> Vec<Stored> {
        let derived = |generation| self.hash_key.derived(key.hash, generation, Derived::Variant);
        let variants = self.variants(key).into_iter().map(derived);
        let records = std::iter::once(key.hash).chain(variants).filter_map(|key| self.disk.peek_head(key));
        let meant = |uri: &TargetUri| uri == key.uri;
        records.filter_map(|(header, head)| on_disk(self, &header, &head, &meant)).collect()
    }
}
