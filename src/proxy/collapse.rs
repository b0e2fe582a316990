//! Collapsing: concurrent requests for one cache key share one exchange with the origin
//! (RFC 9111 §4, "collapse requests").
//!
//! The first request leads; the others wait for the head that it gets. If that response can be
//! shared they all read its fill, or get the stored response that it has validated: that came after
//! they asked, so that even what needs a validation for each use answers them. If the origin fails,
//! it has failed for all of them. Else everybody asks alone, and the key is remembered as
//! uncacheable for a while, so that an uncacheable URL is never serialised.
//!
//! A flight has its place by the key and, where that is known to vary, by what the request presents
//! of the fields that select: variants don't wait for each other.
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
use crate::store::{ContentId, Fill, Generation, Key, KeyIsHash, Object};

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

/// The flights whose places have one part of the hash in common.
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
    /// The response can be shared, and is arriving, or has arrived.
    Filling(Arc<Filling>),
    /// The stored response was validated, and is this now.
    Validated(Arc<Object>),
    /// The origin has failed.
    Failed(Arc<Failed>),
    /// What is stored has changed: look again.
    LookAgain,
    /// Nobody leads any more, and no answer came that says anything to others: one of them may lead.
    Abandoned,
    /// The response can't be shared.
    Dissolved,
}

/// How an origin has failed, for whoever asks.
#[derive(Debug)]
pub(super) enum Failed {
    NoAnswer(Failure),
    /// An error in place of a validation (RFC 9111 §4.3.3).
    Status(u16),
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
    /// The cache key.
    pub uri: TargetUri,
    /// What names its chunks on disk.
    pub id: ContentId,
    /// As in [`crate::store::Object::origin`].
    pub origin: SocketAddr,
    /// As in [`crate::store::Object::received`].
    pub received: Version,
    /// Why the content has ended before its end; there before its readers see that it has.
    pub failure: OnceLock<Failure>,
    pub keeping: Keeping,
}

/// What becomes of a response that is shared while it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    Stored,
    /// It is for those who have waited for it, and for nobody later.
    Shared,
}

/// A request's part in a collapse.
#[derive(Debug)]
pub(super) enum Role {
    Alone,
    Lead(Lead),
    Follow(Following),
}

/// A flight that a request follows.
#[derive(Clone, Debug)]
pub(super) struct Following {
    pub flight: Arc<Flight>,
    pub joined: Joined,
}

/// When a request has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// The answer came after the request.
    BeforeHead,
    AfterHead,
}

/// Where a request's flight is: at its key, and with its selection among the variants
/// ([`StoredHead::selection_of`]), if it is known that there are some.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub key: Key<'a>,
    pub selection: Option<u64>,
}

impl Place<'_> {
    fn hash(&self) -> u128 {
        let selection = self.selection.map_or(0, u128::from);
        self.key.hash ^ (selection << 64 | selection)
    }
}

/// Whether others may follow a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayLead {
    Yes,
    /// What comes for it is for itself alone.
    No,
}

/// Joins the exchange under way at this place, or becomes the one that others join, if it may. `passed`
/// was followed before, and its response is not for this request: who comes later follows this one.
pub(super) fn join(
    shared: &Arc<Shared>,
    place: Place<'_>,
    passed: Option<&Following>,
    may_lead: MayLead,
) -> Role {
    if shared.flights.is_uncacheable(place.key.hash, shared.clock.now()) {
        return Role::Alone;
    }
    if may_lead == MayLead::Yes {
        return follow_or_lead(shared, place, passed);
    }
    let is_passed = |flight: &Flight| passed.is_some_and(|passed| std::ptr::eq(flight, &*passed.flight));
    let following = under_way(shared, place).filter(|following| !is_passed(&following.flight));
    following.map_or(Role::Alone, Role::Follow)
}

/// Leads an exchange that nobody waits for, unless one is under way at this place: that its answer may
/// turn out to be for nobody else is no reason not to ask.
pub(super) fn lead(shared: &Arc<Shared>, place: Place<'_>) -> Option<Lead> {
    match follow_or_lead(shared, place, None) {
        Role::Lead(lead) => Some(lead),
        Role::Follow(_) | Role::Alone => None,
    }
}

fn follow_or_lead(shared: &Arc<Shared>, place: Place<'_>, passed: Option<&Following>) -> Role {
    let (uri, hash) = (place.key.uri, place.hash());
    let asked = shared.store.generation(place.key);
    let mut flights = shared.flights.shard(hash);
    let is_passed = |flight: &Arc<Flight>| passed.is_some_and(|passed| Arc::ptr_eq(flight, &passed.flight));
    if let Some(flight) = flights.get(&hash).filter(|flight| !is_passed(flight)) {
        // Two places with one hash: the second is not collapsed.
        // What it brings may be older than an invalidation that this request has to see.
        let serves = flight.uri == *uri && flight.asked.is_as_valid_as(asked);
        return if serves { Role::Follow(flight.follow()) } else { Role::Alone };
    }
    let flight =
        Flight { asked, uri: uri.clone(), state: Mutex::new(Course::AwaitingHead), changed: Notify::new() };
    let flight = Arc::new(flight);
    flights.insert(hash, flight.clone());
    drop(flights);
    let key_hash = place.key.hash;
    Role::Lead(Lead { shared: shared.clone(), hash, key_hash, flight, end: Some(Course::Abandoned) })
}

/// The exchange under way at this place, if there is one that this request may follow.
pub(super) fn under_way(shared: &Shared, place: Place<'_>) -> Option<Following> {
    let (asked, hash) = (shared.store.generation(place.key), place.hash());
    let flight = shared.flights.shard(hash).get(&hash).cloned()?;
    (flight.uri == *place.key.uri && flight.asked.is_as_valid_as(asked)).then(|| flight.follow())
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
    key_hash: u128,
    flight: Arc<Flight>,
    /// What it says to followers at its end; none where that is said already.
    end: Option<Course>,
}

impl Lead {
    /// Lets followers read what arrives. The flight goes on until the fill has ended.
    pub(super) fn share(&mut self, filling: Arc<Filling>) {
        self.flight.set(Course::Filling(filling));
        self.end = None;
    }

    /// Whether somebody waits for the answer.
    pub(super) fn has_followers(&self) -> bool {
        // The table has one, and the leader.
        Arc::strong_count(&self.flight) > 2
    }

    /// The stored response was validated, and is this now.
    pub(super) fn validated(mut self, object: Arc<Object>) {
        self.end = Some(Course::Validated(object));
    }

    /// The origin has failed, as it would have for each of them.
    pub(super) fn fails(mut self, failed: Failed) {
        self.end = Some(Course::Failed(Arc::new(failed)));
    }

    /// What is stored has changed: followers look again.
    pub(super) fn look_again(mut self) {
        self.end = Some(Course::LookAgain);
    }

    /// The response can't be shared; remembers that.
    pub(super) fn dissolve(mut self) {
        self.end = Some(Course::Dissolved);
        let until = self.shared.clock.now().plus(UNCACHEABLE_S).0 & 0xffff_ffff;
        if let Some(place) = self.shared.flights.uncacheable.get(self.key_hash as usize % REMEMBERED) {
            place.store(mark(self.key_hash) | until, Ordering::Relaxed);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut flights = self.shared.flights.shard(self.hash);
        // A follower that it did not serve may have begun another one.
        if flights.get(&self.hash).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(&self.hash);
        }
        drop(flights);
        if let Some(end) = self.end.take() {
            self.flight.set(end);
        }
    }
}

impl Flight {
    fn follow(self: &Arc<Flight>) -> Following {
        let is_open = matches!(*self.lock(), Course::AwaitingHead);
        let joined = if is_open { Joined::BeforeHead } else { Joined::AfterHead };
        Following { flight: self.clone(), joined }
    }

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
