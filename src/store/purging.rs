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

use super::Object;
use super::disk::Queued;
use super::disk::purges::{PurgeRefused, PurgeScope, PurgeTarget, Purges};
use super::disk::record::{Kind, Record};
use super::tiers::Tiers;
use bytes::Bytes;

use crate::caching::{StoredHead, group_tags};
use crate::http::TargetUri;
use crate::http::grammar::Members;

/// What came of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Stored responses that were in memory.
    pub in_memory: u64,
    /// Whether a restart keeps it in effect; false when the disk can't be written to.
    pub is_written: bool,
}

impl Tiers {
    /// Purges all that is stored now in this scope.
    pub async fn purge(self: &Arc<Tiers>, scope: PurgeScope) -> Result<Purged, PurgeRefused> {
        let seq = self.next_seq();
        if let Err(refused) = self.purges().merge(scope.clone(), seq) {
            // Without a disk a purge concerns what is on the way, and that may be told by age.
            if self.disk.is_some() || refused != PurgeRefused::TooMany {
                return Err(refused);
            }
            self.purges().retire(seq - 1);
            self.purges().merge(scope.clone(), seq)?;
        }
        let in_memory = self.memory.retain(|uri, object| self.is_purged(uri, object));
        let is_written = self.write_purge(&scope, seq).await;
        Ok(Purged { in_memory, is_written })
    }

    /// Whether a purge that is newer than the object concerns it.
    pub fn is_purged(&self, uri: &TargetUri, object: &Object) -> bool {
        concerns(self.purges(), uri, &object.head, object.generation)
    }

    /// As [`Tiers::is_purged`], for an object that was in no tier yet.
    pub fn is_purged_on_arrival(&self, uri: &TargetUri, object: &Object) -> bool {
        object.generation < self.purges().retired() || self.is_purged(uri, object)
    }

    /// The purges in effect.
    pub fn purges(&self) -> &Purges {
        self.disk.as_ref().map_or(&self.purges_of_memory, |tier| tier.disk.purges())
    }

    /// Purges groups of one origin. Those for which there is no room stay: RFC 9875 leaves it to the
    /// cache, and an origin must not take the room of what people purge.
    pub async fn purge_groups(self: &Arc<Tiers>, origin: &TargetUri, groups: Vec<Vec<u8>>) {
        let mut in_force = Vec::new();
        for group in groups {
            let (scope, seq) = (PurgeScope::Tag(Bytes::from(group)), self.next_seq());
            match self.purges().merge(scope.clone(), seq) {
                Ok(()) => in_force.push((scope, seq)),
                Err(refused) => {
                    tracing::warn!("a group of {} is not invalidated: {refused}", origin.authority);
                }
            }
        }
        let (tiers, origin) = (self.clone(), origin.detached());
        // A look at all that is in memory takes longer than an event loop may wait.
        let sweeping = move || {
            tiers.memory.retain(|uri, object| uri.same_origin(&origin) && tiers.is_purged(uri, object))
        };
        if tokio::task::spawn_blocking(sweeping).await.is_err() {
            tracing::warn!("groups may still be used: the process is ending");
        }
        // In one order: what lies behind the others is written after them.
        let queued = in_force.iter().filter_map(|(scope, seq)| self.queue_purge(scope, *seq)).last();
        self.wait_for(queued).await;
    }

    async fn write_purge(self: &Arc<Tiers>, scope: &PurgeScope, seq: u64) -> bool {
        if self.disk.is_none() {
            return true;
        }
        let queued = self.queue_purge(scope, seq);
        queued.is_some() && self.wait_for(queued).await
    }

    fn queue_purge(&self, scope: &PurgeScope, seq: u64) -> Option<Queued> {
        let (head, kind) = (scope.encode(), Kind::Purge);
        let record = Record { key: 0, kind, seq, generation: seq, part: 0, first: 0, head, body: Vec::new() };
        self.disk.as_ref()?.disk.append(record).ok()
    }

    async fn wait_for(self: &Arc<Tiers>, queued: Option<Queued>) -> bool {
        let Some(queued) = queued else { return true };
        let tiers = self.clone();
        let waiting = move || tiers.disk.as_ref().is_none_or(|tier| tier.disk.wait(queued));
        // Where it can't be started the process is ending, and writes what is queued.
        tokio::task::spawn_blocking(waiting).await.unwrap_or(true)
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

/// The tags of a response: the members of `Cache-Tag`, and the words of `Surrogate-Key`.
fn tags(head: &StoredHead) -> impl Iterator<Item = &[u8]> {
    let members = head.fields.all_named(b"Cache-Tag").flat_map(Members::of);
    let words = head.fields.all_named(b"Surrogate-Key").flat_map(|value| value.split(|octet| *octet == b' '));
    members.chain(words).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests;
