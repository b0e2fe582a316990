//! What was purged by host, by prefix, by tag or altogether, and up to when.
//!
//! Issuing such a purge is one line in this table; who reads an object asks whether a purge that
//! is newer than the object's generation concerns it. Purging one URI is no matter of this table:
//! it is a tombstone.
//!
//! Invariant: [`Purges::is_purged`] is right for every purge whose [`Purges::merge`] has returned.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::store::sync::{PoisonError, RwLock};

/// What a purge concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PurgeScope {
    /// Every URI of a host, in its canonical form, at any port.
    Host(String),
    /// Every URI that starts with this, as [`PurgeTarget::uri`] renders it.
    Prefix(String),
    /// Every object that has this tag: the octets are compared whole.
    Tag(Bytes),
    /// Everything.
    All,
}

/// A purge: what has a generation below `seq` is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    pub scope: PurgeScope,
    pub seq: u64,
}

/// An object, as purges see it.
#[derive(Clone, Copy)]
pub struct PurgeTarget<'a> {
    /// The host in its canonical form, without a port.
    pub host: &'a str,
    /// Renders the URI, normalised: `scheme://host[:port]/path`. Called only when a prefix may
    /// concern it.
    pub uri: &'a dyn Fn() -> String,
    pub tags: &'a [&'a [u8]],
}

/// A purge that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeRefused {
    #[error(
        "{SCOPES_MAX} purges by host, prefix or tag are in effect already; purge everything, or wait until the older ones have done their work"
    )]
    TooMany,
    #[error("a host, prefix or tag to purge has {SCOPE_OCTETS_MAX} octets at most")]
    TooLong,
}

/// A PURGE record's head that names no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the scope of a purge")]
pub struct InvalidScope;

/// Scopes in effect at once; arbitrary.
pub const SCOPES_MAX: usize = 16_384;
/// Octets of one scope; as long as a target URI may be.
pub const SCOPE_OCTETS_MAX: usize = 8 * 1024;

/// The purges in effect.
#[derive(Debug, Default)]
pub struct Purges {
    table: RwLock<BTreeMap<PurgeScope, u64>>,
}

impl Purges {
    /// No purges.
    pub fn new() -> Purges {
        Purges::default()
    }

    /// Whether a purge is newer than this generation and concerns the target.
    pub fn is_purged(&self, generation: u64, target: &PurgeTarget<'_>) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.iter().any(|(scope, &seq)| {
            generation < seq
                && match scope {
                    PurgeScope::Host(host) => host == target.host,
                    PurgeScope::Prefix(prefix) => (target.uri)().starts_with(prefix),
                    PurgeScope::Tag(tag) => target.tags.contains(&&tag[..]),
                    PurgeScope::All => true,
                }
        })
    }

    /// The highest seq of the purges in effect; 0 when there are none.
    pub fn latest(&self) -> u64 {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.values().copied().max().unwrap_or_default()
    }

    /// Adds a purge. It replaces an earlier one of the same scope.
    pub fn merge(&self, scope: PurgeScope, seq: u64) -> Result<(), PurgeRefused> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let known = table.entry(scope).or_default();
        *known = seq.max(*known);
        Ok(())
    }

    /// Drops the purges with a seq of at most `min_seq`, where every stored object's generation is
    /// `min_seq` or higher: they concern nothing any more.
    pub fn retire(&self, min_seq: u64) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).retain(|_, seq| *seq > min_seq);
    }

    /// The purges in effect, to be written down.
    pub fn all(&self) -> Vec<Purge> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.iter().map(|(scope, &seq)| Purge { scope: scope.clone(), seq }).collect()
    }
}

impl PurgeScope {
    /// The scope as the head of a PURGE record: an octet that says which, and its value.
    pub fn encode(&self) -> Bytes {
        let (kind, value): (u8, &[u8]) = match self {
            PurgeScope::Host(host) => (1, host.as_bytes()),
            PurgeScope::Prefix(prefix) => (2, prefix.as_bytes()),
            PurgeScope::Tag(tag) => (3, tag),
            PurgeScope::All => (4, &[]),
        };
        std::iter::once(kind).chain(value.iter().copied()).collect()
    }

    /// The scope in the head of a PURGE record, which may be any octets.
    pub fn decode(head: &[u8]) -> Result<PurgeScope, InvalidScope> {
        let (kind, value) = head.split_first().ok_or(InvalidScope)?;
        let text = || String::from_utf8(value.to_vec()).or(Err(InvalidScope));
        match kind {
            1 => Ok(PurgeScope::Host(text()?)),
            2 => Ok(PurgeScope::Prefix(text()?)),
            3 => Ok(PurgeScope::Tag(Bytes::copy_from_slice(value))),
            4 if value.is_empty() => Ok(PurgeScope::All),
            _ => Err(InvalidScope),
        }
    }
}
