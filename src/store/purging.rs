//! Purges: what a person wants gone, by URI, host, prefix or tag, or all of it.
//!
//! One of a URI is an invalidation. The others are a line in the table of [`Purges`] with a
//! reading of the logical clock: all that is older and concerned is dead. To issue one takes the
//! same time for a thousand responses as for a million.
//!
//! Order of a purge: it is put into the table, then memory is swept, and then it is written to the
//! disk's log. Who brings something in looks into the table under the lock of memory's shard, which
//! the sweep takes, too: one of the two sees the other. Who queues something for the disk looks
//! after that: either it sees the purge and forgets what it queued, or the purge's record lies
//! behind it in the log. So when that record goes with the oldest segment, nothing is left of what
//! it concerns, and the line in the table goes too.

use std::sync::Arc;

use super::disk::purges::{PurgeRefused, PurgeScope, PurgeTarget, Purges};
use super::disk::record::{Kind, Record};
use super::disk::{Fate, Queued};
use super::on_disk::OnDisk;
use super::tiers::Tiers;
use super::{Key, Object};
use bytes::Bytes;

use crate::caching::{StoredHead, group_tags};
use crate::http::TargetUri;

/// What came of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Stored responses that were in memory.
    pub in_memory: u64,
    /// Whether a restart keeps it in effect; false when the disk can't be written to, or has not written
    /// it in time.
    pub is_written: bool,
}

impl Tiers {
    /// Purges all that is stored now in this scope.
    pub async fn purge(self: &Arc<Tiers>, scope: PurgeScope) -> Result<Purged, PurgeRefused> {
        let seq = self.next_seq();
        for tier in &self.disks {
            tier.disk.purges().merge(scope.clone(), seq)?;
        }
        if self.disks.is_empty()
            && let Err(refused) = self.purges_of_memory.merge(scope.clone(), seq)
        {
            // Without a disk a purge concerns what is on the way, and that may be told by age.
            if refused != PurgeRefused::TooMany {
                return Err(refused);
            }
            self.purges_of_memory.retire(seq - 1);
            self.purges_of_memory.merge(scope.clone(), seq)?;
        }
        let purges = self.any_table();
        let in_memory =
            self.memory.retain(|uri, object| concerns(purges, uri, &object.head, object.generation));
        let is_written = self.write_purge(&scope, seq).await;
        Ok(Purged { in_memory, is_written })
    }

    /// Whether a purge that is newer than the object concerns it.
    pub fn is_purged(&self, key: Key<'_>, object: &Object) -> bool {
        concerns(self.purges(key.hash), key.uri, &object.head, object.generation)
    }

    /// As [`Tiers::is_purged`], for an object that was in no tier yet.
    pub fn is_purged_on_arrival(&self, key: Key<'_>, object: &Object) -> bool {
        object.generation < self.purges(key.hash).retired() || self.is_purged(key, object)
    }

    /// The purges in effect for a key: each disk lets those go that are done with there.
    pub fn purges(&self, key: u128) -> &Purges {
        self.tier(key).map_or(&self.purges_of_memory, |tier| tier.disk.purges())
    }

    /// Purges groups of one origin. Those for which there is no room stay: RFC 9875 leaves it to the
    /// cache, and an origin must not take the room of what people purge.
    pub async fn purge_groups(self: &Arc<Tiers>, origin: &TargetUri, groups: Vec<Vec<u8>>) {
        // One that is refused somewhere stays in force elsewhere, which costs a fetch.
        let mut in_force = Vec::new();
        for group in groups {
            let (scope, seq) = (PurgeScope::Tag(Bytes::from(group)), self.next_seq());
            match self.tables().try_for_each(|purges| purges.merge(scope.clone(), seq)) {
                Ok(()) => in_force.push((scope, seq)),
                Err(refused) => {
                    tracing::warn!("a group of {} is not invalidated: {refused}", origin.authority);
                }
            }
        }
        let (tiers, of_origin) = (self.clone(), origin.detached());
        // A look at all that is in memory takes longer than an event loop may wait.
        let sweeping = move || {
            let purges = tiers.any_table();
            tiers.memory.retain(|uri, object| {
                uri.same_origin(&of_origin) && concerns(purges, uri, &object.head, object.generation)
            })
        };
        if tokio::task::spawn_blocking(sweeping).await.is_err() {
            tracing::warn!("groups may still be used: the process is ending");
        }
        let queued = in_force.iter().flat_map(|(scope, seq)| self.queue_purge(scope, *seq)).collect();
        self.keep_removed(&[origin], queued).await;
    }

    /// The tables of all disks, or that of memory where there is none.
    fn tables(&self) -> impl Iterator<Item = &Purges> {
        let of_memory = self.disks.is_empty().then_some(&self.purges_of_memory);
        self.disks.iter().map(|tier| tier.disk.purges()).chain(of_memory)
    }

    /// One of the tables: what was just put into all of them stands in any.
    fn any_table(&self) -> &Purges {
        self.disks.first().map_or(&self.purges_of_memory, |tier| tier.disk.purges())
    }

    async fn write_purge(self: &Arc<Tiers>, scope: &PurgeScope, seq: u64) -> bool {
        let queued = self.queue_purge(scope, seq);
        let is_queued = queued.len() == self.disks.len();
        self.wait(queued).await == Fate::Written && is_queued
    }

    fn queue_purge(&self, scope: &PurgeScope, seq: u64) -> Vec<(usize, Queued)> {
        let (head, kind) = (scope.encode(), Kind::Purge);
        let record = Record { key: 0, kind, seq, generation: seq, part: 0, first: 0, head, body: Vec::new() };
        let queue = |(place, tier): (usize, &OnDisk)| Some((place, tier.disk.append(record.clone()).ok()?));
        self.disks.iter().enumerate().filter_map(queue).collect()
    }
}

/// Whether a purge that is newer than `generation` concerns a response.
pub(super) fn concerns(purges: &Purges, uri: &TargetUri, head: &StoredHead, generation: u64) -> bool {
    if generation >= purges.latest() {
        return false;
    }
    let groups = group_tags(uri, &head.fields);
    let tags: Vec<&[u8]> = tags(head).chain(groups.iter().map(Vec::as_slice)).collect();
    let rendered = || uri.to_string();
    let target = PurgeTarget { host: uri.authority.host.as_str(), uri: &rendered, tags: &tags };
    purges.is_purged(generation, &target)
}

/// The tags of a response: in `Cache-Tag` parted by commas or spaces, as origins write either; in
/// `Surrogate-Key` by spaces.
pub(super) fn tags(head: &StoredHead) -> impl Iterator<Item = &[u8]> {
    let words = |name: &'static [u8], is_between: fn(&u8) -> bool| {
        head.fields.all_named(name).flat_map(move |value| value.split(is_between))
    };
    let tags = words(b"Cache-Tag", |octet| b", \t".contains(octet));
    tags.chain(words(b"Surrogate-Key", |octet| b" \t".contains(octet))).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests;
