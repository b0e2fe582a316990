//! Collapsing: concurrent requests for one cache key share one exchange with the origin
//! (RFC 9111 §4, "collapse requests").
//!
//! The first request leads; the others wait for the head that it gets. If that response can be
//! shared they all read its fill, else everybody asks alone, and the key is remembered as
//! uncacheable for a while, so that an uncacheable URL is never serialised.
//!
//! Invariant: a leader that ends, however it ends, sets its followers free.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::Shared;
use crate::caching::StoredHead;
use crate::error::Failure;
use crate::http::{TargetUri, Timestamp, Version};
use crate::store::{ContentId, Fill, Generation, Key, KeyIsHash};

/// Locks that flights are spread over; arbitrary.
const SHARDS: usize = 16;
/// Places to remember uncacheable keys in; a collision costs a collapse, nothing else.
const REMEMBERED: usize = 4096;
/// How long a key is taken for uncacheable, in seconds; arbitrary.
const UNCACHEABLE_S: u64 = 120;

/// The exchanges under way that others may follow.
#[derive(Debug)]
pub(super) struct Flights {
    shards: Box<[Mutex<Shard>]>,
    /// Upper half: a part of the key's hash; lower half: until when, in seconds.
    uncacheable: Box<[AtomicU64]>,
}

impl Default for Flights {
    fn default() -> Flights {
        Flights {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            uncacheable: (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

/// The flights whose keys have one part of the hash in common.
type Shard = HashMap<u128, Arc<Flight>, BuildHasherDefault<KeyIsHash>>;

/// One exchange under way.
#[derive(Debug)]
pub(super) struct Flight {
    uri: TargetUri,
    /// Of the key, when the flight began.
    asked: Generation,
    state: Mutex<Course>,
    changed: Notify,
}

/// What has become of an exchange so far.
#[derive(Clone, Debug)]
pub(super) enum Course {
    AwaitingHead,
    /// The response can be shared, and is arriving.
    Filling(Arc<Filling>),
    /// What is stored has changed: look again.
    LookAgain,
    /// The response can't be shared, or there is none.
    Dissolved,
}

/// A response that is arriving and will be stored.
#[derive(Debug)]
pub(super) struct Filling {
    pub head: StoredHead,
    /// As in [`crate::store::Object::rendered`].
    pub rendered: Bytes,
    /// Octets of content, when the head told.
    pub length: Option<u64>,
    pub fill: Arc<Fill>,
    /// What names its chunks on disk.
    pub id: ContentId,
    /// As in [`crate::store::Object::origin`].
    pub origin: SocketAddr,
    /// As in [`crate::store::Object::received`].
    pub received: Version,
    /// Why the content has ended before its end; there before its readers see that it has.
    pub failure: OnceLock<Failure>,
}

/// A request's part in a collapse.
#[derive(Debug)]
pub(super) enum Role {
    Alone,
    Lead(Lead),
    Follow(Arc<Flight>),
}

/// Joins the exchange under way for this key, or becomes the one that others join.
pub(super) fn join(shared: &Arc<Shared>, key: Key<'_>) -> Role {
    if shared.flights.is_uncacheable(key.hash, shared.clock.now()) {
        return Role::Alone;
    }
    follow_or_lead(shared, key)
}

/// Leads an exchange that nobody waits for, unless one is under way for this key: that its answer may
/// turn out to be for nobody else is no reason not to ask.
pub(super) fn lead(shared: &Arc<Shared>, key: Key<'_>) -> Option<Lead> {
    match follow_or_lead(shared, key) {
        Role::Lead(lead) => Some(lead),
        Role::Follow(_) | Role::Alone => None,
    }
}

fn follow_or_lead(shared: &Arc<Shared>, key: Key<'_>) -> Role {
    let Key { uri, hash } = key;
    let asked = shared.store.generation(key);
    let mut flights = shared.flights.shard(hash);
    if let Some(flight) = flights.get(&hash) {
        // Two keys with one hash: the second is not collapsed.
        // What it brings may be older than an invalidation that this request has to see.
        let serves = flight.uri == *uri && flight.asked.is_as_valid_as(asked);
        return if serves { Role::Follow(flight.clone()) } else { Role::Alone };
    }
    let flight =
        Flight { asked, uri: uri.clone(), state: Mutex::new(Course::AwaitingHead), changed: Notify::new() };
    let flight = Arc::new(flight);
    flights.insert(hash, flight.clone());
    drop(flights);
    Role::Lead(Lead { shared: shared.clone(), hash, flight, end: Course::Dissolved })
}

/// The exchange under way for this key, if there is one that this request may follow.
pub(super) fn under_way(shared: &Shared, key: Key<'_>) -> Option<Arc<Flight>> {
    let asked = shared.store.generation(key);
    let flight = shared.flights.shard(key.hash).get(&key.hash).cloned()?;
    (flight.uri == *key.uri && flight.asked.is_as_valid_as(asked)).then_some(flight)
}

impl Flights {
    fn is_uncacheable(&self, hash: u128, now: Timestamp) -> bool {
        let Some(place) = self.uncacheable.get(hash as usize % REMEMBERED) else { return false };
        let known = place.load(Ordering::Relaxed);
        known & !0xffff_ffff == mark(hash) && now.0 < known & 0xffff_ffff
    }

    #[expect(clippy::indexing_slicing, reason = "there are SHARDS of them")]
    fn shard(&self, hash: u128) -> MutexGuard<'_, Shard> {
        self.shards[(hash >> 64) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mark(hash: u128) -> u64 {
    ((hash >> 32) as u64) & !0xffff_ffff
}

/// The leader's hold on a flight. Dropping it ends the flight.
#[derive(Debug)]
pub(super) struct Lead {
    shared: Arc<Shared>,
    hash: u128,
    flight: Arc<Flight>,
    end: Course,
}

impl Lead {
    /// Lets followers read what arrives. The flight goes on until the fill has ended.
    pub(super) fn share(&mut self, filling: Arc<Filling>) {
        self.flight.set(Course::Filling(filling));
        self.end = Course::LookAgain;
    }

    /// What is stored has changed: followers look again.
    pub(super) fn look_again(mut self) {
        self.end = Course::LookAgain;
    }

    /// The response can't be shared; remembers that.
    pub(super) fn dissolve(self) {
        let until = self.shared.clock.now().plus(UNCACHEABLE_S).0 & 0xffff_ffff;
        if let Some(place) = self.shared.flights.uncacheable.get(self.hash as usize % REMEMBERED) {
            place.store(mark(self.hash) | until, Ordering::Relaxed);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.shared.flights.shard(self.hash).remove(&self.hash);
        self.flight.set(std::mem::replace(&mut self.end, Course::Dissolved));
    }
}

impl Flight {
    /// Waits until the leader's response is decided on.
    pub(super) async fn course(&self) -> Course {
        loop {
            let changed = self.changed.notified();
            let course = self.lock().clone();
            match course {
                Course::AwaitingHead => changed.await,
                decided => return decided,
            }
        }
    }

    fn set(&self, course: Course) {
        *self.lock() = course;
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Course> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
