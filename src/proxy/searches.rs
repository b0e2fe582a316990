//! Which stored responses answer other queries of their path, too (`No-Vary-Search`).
//!
//! A bounded table in memory, from a path to the keys of its responses that say so. It is a hint:
//! what a response answers is asked of its head when it is found. Where nothing of the kind is
//! stored, asking is a look at an atomic; and nobody asks before a request's own key has missed.
//!
//! Invariant: what is found here was asked for after the last invalidation of any query of its
//! path. That makes it safe to have this on: RFC 9111 §4.4 invalidates what answers the target URI,
//! and who changes one query of a path can't know which others it is stored under. So all of them
//! go, and what was on its way meanwhile does not come in. A restart forgets the table, and with it
//! nothing but hits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rules::decide_among;
use super::{Exchange, Interrupted, Next, stored};
use crate::caching::{Decision, Handled, NoVarySearch, Outcome, StoredHead};
use crate::http::{Authority, Scheme, TargetUri};
use crate::origin::AddressJudge as _;
use crate::store::Key;

/// Octets of URIs in the table; arbitrary.
const OCTETS_MAX: usize = 4 << 20;
/// Keys of one path: each of them is looked at when a query misses. Arbitrary.
const KEYS_MAX: usize = 16;
/// Places to remember invalidations in; two paths that share one cost hits, nothing else.
const REMEMBERED: usize = 4096;

/// The keys whose responses answer other queries.
#[derive(Debug)]
pub struct Searches {
    enabled: AtomicBool,
    paths: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    keys: HashMap<Path, Vec<TargetUri>>,
    octets: usize,
    /// Up to when what was asked for is invalid, on the store's logical clock.
    invalidated: Box<[u64]>,
}

/// A URI without its query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Path(Scheme, Authority, Vec<u8>);

impl Path {
    fn of(uri: &TargetUri) -> Path {
        Path(uri.scheme, uri.authority.clone(), uri.path().to_vec())
    }
}

impl Default for Searches {
    fn default() -> Searches {
        let table =
            Table { keys: HashMap::new(), octets: 0, invalidated: vec![0; REMEMBERED].into_boxed_slice() };
        Searches { enabled: AtomicBool::new(true), paths: AtomicUsize::new(0), table: Mutex::new(table) }
    }
}

impl Searches {
    /// Whether the field is honoured.
    pub fn enable(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
        if !enabled {
            let mut table = self.lock();
            (table.keys, table.octets) = (HashMap::new(), 0);
            self.paths.store(0, Ordering::Release);
        }
    }

    /// The keys whose responses may answer a request for this one.
    pub(super) fn candidates(&self, key: &TargetUri) -> Vec<TargetUri> {
        if self.paths.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let table = self.lock();
        let keys = table.keys.get(&Path::of(key)).map(Vec::as_slice).unwrap_or_default();
        keys.iter().rev().filter(|other| *other != key).cloned().collect()
    }

    /// A response was stored under this key, for which the origin was asked at `asked`.
    pub(super) fn stored(&self, key: &TargetUri, head: &StoredHead, asked: u64) {
        let says = self.enabled.load(Ordering::Relaxed) && NoVarySearch::of(&head.fields).is_some();
        if !says && self.paths.load(Ordering::Acquire) == 0 {
            return;
        }
        let path = Path::of(key);
        let mut table = self.lock();
        // It may have said so before.
        table.remove(&path, key);
        let is_valid = table.place(&path).is_some_and(|invalidated| asked > *invalidated);
        if says && is_valid {
            table.add(path, key.detached());
        }
        self.paths.store(table.keys.len(), Ordering::Release);
    }

    /// This key was invalidated at `seq`: the keys that go with it.
    pub(super) fn invalidate(&self, key: &TargetUri, seq: u64) -> Vec<TargetUri> {
        let path = Path::of(key);
        let mut table = self.lock();
        if let Some(invalidated) = table.place(&path) {
            *invalidated = seq.max(*invalidated);
        }
        let keys = table.keys.remove(&path).unwrap_or_default();
        table.octets -= keys.iter().map(octets).sum::<usize>();
        self.paths.store(table.keys.len(), Ordering::Release);
        keys
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Where invalidations of this path are remembered.
    fn place(&mut self, path: &Path) -> Option<&mut u64> {
        use std::hash::BuildHasher as _;
        let hash = self.keys.hasher().hash_one(path) as usize;
        self.invalidated.get_mut(hash % REMEMBERED)
    }

    fn add(&mut self, path: Path, key: TargetUri) {
        self.octets += octets(&key);
        let keys = self.keys.entry(path).or_default();
        keys.push(key);
        if keys.len() > KEYS_MAX {
            self.octets -= octets(&keys.remove(0));
        }
        while self.octets > OCTETS_MAX {
            // Any of them: what is dropped is a hit less, and no more.
            let Some(path) = self.keys.keys().next().cloned() else { return };
            let keys = self.keys.remove(&path).unwrap_or_default();
            self.octets -= keys.iter().map(octets).sum::<usize>();
        }
    }

    fn remove(&mut self, path: &Path, key: &TargetUri) {
        let Some(keys) = self.keys.get_mut(path) else { return };
        if let Some(at) = keys.iter().position(|known| known == key) {
            self.octets -= octets(&keys.remove(at));
        }
        if keys.is_empty() {
            self.keys.remove(path);
        }
    }
}

/// What a key takes, with its path as many times as there are keys.
fn octets(key: &TargetUri) -> usize {
    size_of::<TargetUri>() + 2 * (key.path_and_query.len() + key.authority.host.as_str().len())
}

/// The detail of a hit by the response to another query.
const NO_VARY_SEARCH: &str = "no-vary-search";

/// Answers a request whose own key has nothing with the fresh response to another query, if one says
/// that it does. What is stale is not asked about: the answer would be one to this query.
pub(super) async fn answer(exchange: &mut Exchange<'_>, key: Key<'_>) -> Result<Option<Next>, Interrupted> {
    let shared = &exchange.proxy.shared;
    for uri in shared.searches.candidates(key.uri) {
        let other = shared.store.key(&uri);
        let variants = shared.store.look_up(other).await;
        let objects = variants.as_deref().unwrap_or_default();
        let (decision, rule) = decide_among(shared, exchange.request, objects);
        let Decision::Reuse { index, age, ttl } = decision else { continue };
        let Some(object) = objects.get(index) else { continue };
        let says = NoVarySearch::of(&object.head.fields);
        if !says.is_some_and(|says| says.equates(&uri, key.uri)) {
            continue;
        }
        exchange.judge().judge(object.origin)?;
        let detail = Some(NO_VARY_SEARCH);
        let outcome = Outcome { ttl: Some(ttl), detail, rule, ..Outcome::new(Handled::Hit) };
        if let Some(next) = stored::deliver(exchange, other, object, age, outcome).await? {
            return Ok(Some(next));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::caching::Times;
    use crate::http::{BodyLength, Method, Request, Response, Target, Timestamp, Version};

    fn uri(text: &str) -> TargetUri {
        TargetUri::parse_absolute(&Bytes::copy_from_slice(text.as_bytes())).expect("an absolute URI")
    }

    fn head(says: &'static str) -> StoredHead {
        let request = Request {
            method: Method::Get,
            target: Target::Asterisk,
            version: Version::Http11,
            fields: Default::default(),
            length: BodyLength::None,
            head_bytes: 0,
        };
        let response = Response {
            status: 200,
            reason: Bytes::new(),
            version: Version::Http11,
            fields: [("No-Vary-Search", says)].into_iter().collect(),
            length: BodyLength::None,
            head_bytes: 0,
            keep_alive: true,
        };
        StoredHead::new(
            &request,
            &response,
            Times { request_time: Timestamp(1), response_time: Timestamp(1) },
        )
    }

    fn found(searches: &Searches, text: &str) -> Vec<String> {
        searches.candidates(&uri(text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn other_queries_of_a_path_are_found_the_newest_first() {
        let searches = Searches::default();
        for (asked, text) in
            [(1, "http://a/x?1"), (2, "http://a/x?2"), (3, "http://a/y"), (4, "http://b/x?1")]
        {
            searches.stored(&uri(text), &head("params"), asked);
        }
        assert_eq!(found(&searches, "http://a/x"), ["http://a/x?2", "http://a/x?1"]);
        assert_eq!(found(&searches, "http://a/x?1"), ["http://a/x?2"]);
        assert_eq!(found(&searches, "http://a:81/x?1"), [""; 0]);
        // It does not say so any more.
        searches.stored(&uri("http://a/x?2"), &head("unknown"), 5);
        assert_eq!(found(&searches, "http://a/x"), ["http://a/x?1"]);
        searches.enable(false);
        searches.stored(&uri("http://a/x?2"), &head("params"), 6);
        assert_eq!(found(&searches, "http://a/x"), [""; 0]);
    }

    #[test]
    fn an_invalidation_takes_a_path_whole_and_what_was_asked_for_before() {
        let searches = Searches::default();
        searches.stored(&uri("http://a/x?1"), &head("params"), 1);
        searches.stored(&uri("http://a/y?1"), &head("params"), 1);
        assert_eq!(searches.invalidate(&uri("http://a/x?2"), 7), [uri("http://a/x?1")]);
        assert_eq!(searches.invalidate(&uri("http://a/x?2"), 5), []);
        for asked in [1, 6, 7] {
            searches.stored(&uri("http://a/x?1"), &head("params"), asked);
            assert_eq!(found(&searches, "http://a/x"), [""; 0], "{asked}");
        }
        searches.stored(&uri("http://a/x?1"), &head("params"), 8);
        assert_eq!(found(&searches, "http://a/x"), ["http://a/x?1"]);
        assert_eq!(found(&searches, "http://a/y"), ["http://a/y?1"]);
    }

    #[test]
    fn there_are_limits() {
        let searches = Searches::default();
        for n in 1..=100u64 {
            searches.stored(&uri(&format!("http://a/x?{n}")), &head("params"), n);
        }
        assert_eq!(found(&searches, "http://a/x").len(), KEYS_MAX);
        let long = "y".repeat(4000);
        for n in 1..=2000u64 {
            searches.stored(&uri(&format!("http://a/{n}?{long}")), &head("params"), n);
            assert!(searches.lock().octets <= OCTETS_MAX);
        }
        let table = searches.lock();
        assert_eq!(table.octets, table.keys.values().flatten().map(octets).sum::<usize>());
    }
}
