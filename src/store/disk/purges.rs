//! What was purged by host, by prefix, by tag or altogether, and up to when.
//!
//! Issuing such a purge is one line in this table; who reads an object asks whether a purge that
//! is newer than the object's generation concerns it. Purging one URI is no matter of this table:
//! it is a tombstone.
//!
//! Invariant: [`Purges::is_purged`] is right for every purge whose [`Purges::merge`] has returned.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::store::sync::atomic::{AtomicU64, Ordering};
use crate::store::sync::{PoisonError, RwLock, RwLockReadGuard};

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
/// Groups in effect at once, beside the others: an origin names them, and must not take the room of
/// what people purge. Arbitrary.
pub const GROUPS_MAX: usize = 8_192;
/// Octets of one scope; as long as a target URI may be.
pub const SCOPE_OCTETS_MAX: usize = 8 * 1024;

/// The purges in effect.
#[derive(Debug, Default)]
pub struct Purges {
    /// The highest seq in the table; changed under its lock only. What is as new needs no look
    /// into the table, and that is nearly everything.
    latest: AtomicU64,
    /// See [`Purges::retired`].
    retired: AtomicU64,
    table: RwLock<Table>,
}

/// The seq of each scope. Ordered maps: they take keys from the network without a secret, and
/// prefixes have an order to be found by.
#[derive(Debug, Default)]
struct Table {
    all: u64,
    hosts: BTreeMap<String, u64>,
    tags: BTreeMap<Bytes, u64>,
    /// Those of the tags that are groups.
    groups: usize,
    prefixes: BTreeMap<Vec<u8>, u64>,
    /// At least the highest seq of `prefixes`.
    prefixes_latest: u64,
}

impl Purges {
    /// No purges.
    pub fn new() -> Purges {
        Purges::default()
    }

    /// Whether a purge is newer than this generation and concerns the target.
    pub fn is_purged(&self, generation: u64, target: &PurgeTarget<'_>) -> bool {
        if generation >= self.latest() {
            return false;
        }
        let table = self.read();
        let is_newer = |seq: Option<&u64>| seq.is_some_and(|seq| *seq > generation);
        table.all > generation
            || is_newer(table.hosts.get(target.host))
            || target.tags.iter().any(|tag| is_newer(table.tags.get(*tag)))
            || table.prefixes_latest > generation
                && table.prefixes_of((target.uri)().as_bytes()).any(|seq| seq > generation)
    }

    /// The highest seq of the purges in effect; 0 when there are none.
    pub fn latest(&self) -> u64 {
        self.latest.load(Ordering::Acquire)
    }

    /// Adds a purge, which is in effect when this returns. It replaces an earlier one of the same
    /// scope; one of everything replaces all earlier ones. Where a purge that was accepted once is
    /// refused (its log is replayed, and with it purges that had been retired), purging
    /// everything up to its seq in its place keeps the promise.
    pub fn merge(&self, scope: PurgeScope, seq: u64) -> Result<(), PurgeRefused> {
        if scope.value().len() > SCOPE_OCTETS_MAX {
            return Err(PurgeRefused::TooLong);
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        // Purged with everything already.
        if seq <= table.all {
            return Ok(());
        }
        let is_full = if scope.is_group() { table.groups >= GROUPS_MAX } else { table.is_full() };
        if is_full && !table.has(&scope) {
            return Err(PurgeRefused::TooMany);
        }
        let raise = |known: &mut u64| *known = seq.max(*known);
        match scope {
            PurgeScope::Host(host) => raise(table.hosts.entry(host).or_default()),
            PurgeScope::Tag(tag) => {
                table.groups += usize::from(is_group(&tag) && !table.tags.contains_key(&tag));
                raise(table.tags.entry(tag).or_default());
            }
            PurgeScope::Prefix(prefix) => {
                raise(table.prefixes.entry(prefix.into_bytes()).or_default());
                table.prefixes_latest = seq.max(table.prefixes_latest);
            }
            PurgeScope::All => {
                table.all = seq;
                table.drop_until(seq);
            }
        }
        self.latest.fetch_max(seq, Ordering::Release);
        Ok(())
    }

    /// Up to where purges were dropped by [`Purges::retire`]. Of what has a lower generation and
    /// arrives only now, nobody can say any more whether it was purged.
    pub fn retired(&self) -> u64 {
        self.retired.load(Ordering::Acquire)
    }

    /// The seq of the last purge of everything; 0 when there is none.
    pub fn all_until(&self) -> u64 {
        self.read().all
    }

    /// Drops the purges that are as old as `generation_min` or older, where nothing that is stored
    /// is concerned by them: they have done their work.
    pub fn retire(&self, generation_min: u64) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        self.retired.fetch_max(generation_min, Ordering::Release);
        if table.all <= generation_min {
            table.all = 0;
        }
        table.drop_until(generation_min);
        table.prefixes_latest = table.prefixes.values().copied().max().unwrap_or_default();
        let others = table.hosts.values().chain(table.tags.values()).copied().max().unwrap_or_default();
        self.latest.store(table.all.max(others).max(table.prefixes_latest), Ordering::Release);
    }

    /// The purges in effect, to be written down. One of everything comes first, so that merging
    /// them in order is never refused.
    pub fn all(&self) -> Vec<Purge> {
        let table = self.read();
        let all = (table.all > 0).then_some((PurgeScope::All, table.all));
        let hosts = table.hosts.iter().map(|(host, seq)| (PurgeScope::Host(host.clone()), *seq));
        let tags = table.tags.iter().map(|(tag, seq)| (PurgeScope::Tag(tag.clone()), *seq));
        let prefixes = table
            .prefixes
            .iter()
            .map(|(prefix, seq)| (PurgeScope::Prefix(String::from_utf8_lossy(prefix).into_owned()), *seq));
        let scopes = all.into_iter().chain(hosts).chain(tags).chain(prefixes);
        scopes.map(|(scope, seq)| Purge { scope, seq }).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn is_full(&self) -> bool {
        self.hosts.len() + self.tags.len() - self.groups + self.prefixes.len() >= SCOPES_MAX
    }

    fn has(&self, scope: &PurgeScope) -> bool {
        match scope {
            PurgeScope::Host(host) => self.hosts.contains_key(host),
            PurgeScope::Tag(tag) => self.tags.contains_key(tag),
            PurgeScope::Prefix(prefix) => self.prefixes.contains_key(prefix.as_bytes()),
            // It makes room rather than taking it.
            PurgeScope::All => true,
        }
    }

    fn drop_until(&mut self, seq_max: u64) {
        self.hosts.retain(|_, seq| *seq > seq_max);
        self.tags.retain(|_, seq| *seq > seq_max);
        self.groups = self.tags.keys().filter(|tag| is_group(tag)).count();
        self.prefixes.retain(|_, seq| *seq > seq_max);
    }

    /// The seqs of the prefixes of a URI, the longest one first.
    ///
    /// The greatest key up to some text is either a prefix of it, or the prefixes of the text that
    /// are there are prefixes of what the two have in common: a longer one would lie between them.
    /// So each step cuts the text shorter, and other keys are passed over unseen.
    fn prefixes_of<'a>(&'a self, uri: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
        let mut rest = Some(uri);
        std::iter::from_fn(move || {
            while let Some(text) = rest {
                let up_to = (Bound::Unbounded, Bound::Included(text));
                let (prefix, seq) = self.prefixes.range::<[u8], _>(up_to).next_back()?;
                let common = prefix.iter().zip(text).take_while(|(one, other)| one == other).count();
                if common < prefix.len() {
                    rest = text.get(..common);
                    continue;
                }
                // The next one is shorter than this.
                rest = common.checked_sub(1).and_then(|length| text.get(..length));
                return Some(*seq);
            }
            None
        })
    }
}

/// Whether a tag is a group of an origin (RFC 9875): no field value has such an octet.
fn is_group(tag: &[u8]) -> bool {
    tag.first() == Some(&0)
}

impl PurgeScope {
    fn is_group(&self) -> bool {
        matches!(self, PurgeScope::Tag(tag) if is_group(tag))
    }

    /// The scope as the head of a PURGE record: an octet that says which, and its value.
    pub fn encode(&self) -> Bytes {
        let kind = match self {
            PurgeScope::Host(_) => HOST,
            PurgeScope::Prefix(_) => PREFIX,
            PurgeScope::Tag(_) => TAG,
            PurgeScope::All => ALL,
        };
        [&[kind], self.value()].concat().into()
    }

    /// The scope in the head of a PURGE record, which may be any octets.
    pub fn decode(head: &[u8]) -> Result<PurgeScope, InvalidScope> {
        let (kind, value) = head.split_first().ok_or(InvalidScope)?;
        let text = || String::from_utf8(value.to_vec()).or(Err(InvalidScope));
        match *kind {
            HOST => Ok(PurgeScope::Host(text()?)),
            PREFIX => Ok(PurgeScope::Prefix(text()?)),
            TAG => Ok(PurgeScope::Tag(Bytes::copy_from_slice(value))),
            ALL if value.is_empty() => Ok(PurgeScope::All),
            _ => Err(InvalidScope),
        }
    }

    fn value(&self) -> &[u8] {
        match self {
            PurgeScope::Host(text) | PurgeScope::Prefix(text) => text.as_bytes(),
            PurgeScope::Tag(tag) => tag,
            PurgeScope::All => &[],
        }
    }
}

/// The first octet of a scope in a PURGE record.
const HOST: u8 = 1;
const PREFIX: u8 = 2;
const TAG: u8 = 3;
const ALL: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> PurgeScope {
        PurgeScope::Host(host.to_owned())
    }

    fn prefix(prefix: &str) -> PurgeScope {
        PurgeScope::Prefix(prefix.to_owned())
    }

    fn tag(tag: &'static [u8]) -> PurgeScope {
        PurgeScope::Tag(Bytes::from_static(tag))
    }

    const URI: &str = "http://a.example/x/y?z";

    fn is_purged(purges: &Purges, generation: u64) -> bool {
        let target = PurgeTarget { host: "a.example", uri: &|| URI.to_owned(), tags: &[b"t1", b"t2"] };
        purges.is_purged(generation, &target)
    }

    #[test]
    fn a_purge_concerns_what_is_older_and_in_its_scope() {
        let cases = [
            (host("a.example"), true),
            (host("b.example"), false),
            (host("example"), false),
            (host(""), false),
            (prefix(URI), true),
            (prefix("http://a.example/x/y?z1"), false),
            (prefix("http://a.example/x/"), true),
            (prefix("http://a.example/x/z"), false),
            (prefix("http"), true),
            (prefix(""), true),
            (prefix("https://a.example/"), false),
            (tag(b"t1"), true),
            (tag(b"t2"), true),
            (tag(b"t"), false),
            (tag(b"t11"), false),
            (PurgeScope::All, true),
        ];
        for (scope, concerns) in cases {
            let purges = Purges::new();
            assert!(!is_purged(&purges, 0) && purges.latest() == 0);
            purges.merge(scope.clone(), 10).expect("room");
            assert_eq!(is_purged(&purges, 9), concerns, "{scope:?}");
            assert!(!is_purged(&purges, 10), "{scope:?}: it is newer");
            assert_eq!(purges.latest(), 10);
            // Another purge makes the latest higher: the scope's own seq counts.
            purges.merge(host("c.example"), 20).expect("room");
            purges.merge(prefix("http://c.example/"), 20).expect("room");
            assert_eq!(is_purged(&purges, 9), concerns, "{scope:?}");
            assert!(!is_purged(&purges, 10), "{scope:?}: it is newer");
        }
    }

    #[test]
    fn prefixes_are_found_among_neighbours() {
        // Every set of prefixes over few letters, against the plain way.
        let texts: Vec<String> =
            ["", "a", "b", "aa", "ab", "ba", "aab", "aba", "abb", "abab"].map(str::to_owned).into();
        for set in 0..1u32 << texts.len() {
            let picked = || texts.iter().zip(1u64..).filter(|(_, seq)| set & 1 << (seq - 1) != 0);
            let mut table = Table::default();
            table.prefixes.extend(picked().map(|(text, seq)| (text.clone().into_bytes(), seq)));
            for uri in ["", "a", "ab", "aba", "abb", "abab", "ababa", "abac", "ac", "c", "aaab", "b"] {
                let mut plain: Vec<(&String, u64)> =
                    picked().filter(|(text, _)| uri.starts_with(text.as_str())).collect();
                plain.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
                let plain: Vec<u64> = plain.into_iter().map(|(_, seq)| seq).collect();
                assert_eq!(table.prefixes_of(uri.as_bytes()).collect::<Vec<u64>>(), plain, "{uri} {set:b}");
            }
        }
    }

    #[test]
    fn a_short_prefix_counts_behind_a_longer_and_older_one() {
        let purges = Purges::new();
        purges.merge(prefix("http://a.example/x/"), 5).expect("room");
        purges.merge(prefix("http://a.example/"), 10).expect("room");
        assert!(is_purged(&purges, 9));
    }

    #[test]
    fn a_uri_is_rendered_only_for_prefixes_that_are_newer() {
        let purges = Purges::new();
        let target = PurgeTarget { host: "a.example", uri: &|| panic!("rendered"), tags: &[] };
        purges.merge(prefix("http://"), 5).expect("room");
        purges.merge(host("b.example"), 10).expect("room");
        assert!(!purges.is_purged(5, &target) && !purges.is_purged(10, &target));
    }

    #[test]
    fn the_later_of_two_purges_stays_and_everything_takes_all_earlier_ones() {
        let purges = Purges::new();
        for (scope, seq) in
            [(host("a.example"), 7), (host("a.example"), 3), (tag(b"t1"), 4), (prefix("h"), 9)]
        {
            purges.merge(scope, seq).expect("room");
        }
        assert!(is_purged(&purges, 8));
        assert_eq!(purges.all().first(), Some(&Purge { scope: host("a.example"), seq: 7 }));
        purges.merge(PurgeScope::All, 8).expect("room");
        purges.merge(PurgeScope::All, 6).expect("room");
        purges.merge(tag(b"t1"), 8).expect("room");
        let kept = [Purge { scope: PurgeScope::All, seq: 8 }, Purge { scope: prefix("h"), seq: 9 }];
        assert_eq!(purges.all(), kept);
        assert_eq!(purges.latest(), 9);
    }

    #[test]
    fn retired_purges_are_gone_and_the_others_are_not() {
        let purges = Purges::new();
        for (scope, seq) in [(PurgeScope::All, 2), (host("a.example"), 4), (tag(b"t1"), 5), (prefix("h"), 6)]
        {
            purges.merge(scope, seq).expect("room");
        }
        for (generation_min, left) in [(1, 4), (2, 3), (4, 2), (5, 1), (6, 0)] {
            purges.retire(generation_min);
            assert_eq!(purges.all().len(), left, "{generation_min}");
            assert_eq!(is_purged(&purges, generation_min), left > 0);
            assert_eq!(purges.latest(), if left > 0 { 6 } else { 0 });
        }
    }

    #[test]
    fn there_is_a_limit_and_it_says_so() {
        let purges = Purges::new();
        // Backwards, so that the newest is not what comes last.
        for n in (1..=SCOPES_MAX as u64).rev() {
            let scope = match n % 3 {
                0 => prefix(&format!("http://{n}/")),
                1 => host(&n.to_string()),
                _ => PurgeScope::Tag(n.to_string().into()),
            };
            purges.merge(scope, n).expect("room");
        }
        assert_eq!(purges.merge(host("one more"), 1), Err(PurgeRefused::TooMany));
        assert!(PurgeRefused::TooMany.to_string().contains("16384"));
        purges.merge(host("1"), 1 << 20).expect("known already");
        assert_eq!((purges.all().len(), purges.latest()), (SCOPES_MAX, 1 << 20));
        purges.merge(PurgeScope::All, 1000).expect("makes room");
        purges.merge(host("one more"), 1001).expect("room");
        let long = prefix(&"x".repeat(SCOPE_OCTETS_MAX + 1));
        assert_eq!(purges.merge(long, 1 << 21), Err(PurgeRefused::TooLong));
        purges.merge(prefix(&"x".repeat(SCOPE_OCTETS_MAX)), 1 << 21).expect("as long as may be");
    }

    #[test]
    fn groups_have_room_of_their_own() {
        let purges = Purges::new();
        let group = |number: usize| PurgeScope::Tag(format!("\0{number}").into());
        for number in 0..GROUPS_MAX {
            purges.merge(group(number), 5).expect("room");
        }
        assert_eq!(purges.merge(group(GROUPS_MAX), 6), Err(PurgeRefused::TooMany));
        purges.merge(group(0), 6).expect("known already");
        for number in 0..SCOPES_MAX {
            purges.merge(host(&number.to_string()), 6).expect("room");
        }
        assert_eq!(purges.merge(host("one more"), 6), Err(PurgeRefused::TooMany));
        purges.retire(5);
        purges.merge(group(GROUPS_MAX), 7).expect("room again");
    }

    #[test]
    fn a_scope_survives_its_record_and_nothing_else_is_one() {
        let scopes = [
            host("a.example"),
            host(""),
            prefix("http://\u{e9}/"),
            tag(&[0, 255]),
            tag(b""),
            PurgeScope::All,
        ];
        for scope in scopes {
            assert_eq!(PurgeScope::decode(&scope.encode()), Ok(scope));
        }
        let wrong: [&[u8]; 6] = [b"", &[0], &[5], b"\x04x", b"\x01\xff", b"\x02\xff"];
        for head in wrong {
            assert_eq!(PurgeScope::decode(head), Err(InvalidScope), "{head:?}");
        }
        for kind in 0..=255u8 {
            for octet in 0..=255u8 {
                if let Ok(scope) = PurgeScope::decode(&[kind, octet]) {
                    assert_eq!(scope.encode(), [kind, octet][..]);
                }
            }
        }
    }
}
