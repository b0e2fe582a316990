//! What the admin pages know of the running Larder, and one reading of its numbers.
//!
//! Invariant: a reading changes nothing and waits for nothing but short locks. Its numbers are
//! read one after the other while requests go on, so that they need not add up to the last one.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::budget::{Places, Use};
use crate::caching::RuleName;
use crate::http::Timestamp;
use crate::log::LogCounters;
use crate::proxy::Shared;
use crate::server::{Listen, ServerPlaces};
use crate::store::Usage;
use crate::store::disk::set::LeftOut;
use crate::store::disk::{Disk, DiskUsage};

/// The version of the program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The running Larder, as the admin pages see it.
pub struct Status {
    shared: Arc<Shared>,
    listening: Vec<Listen>,
    memory_bytes_max: u64,
    places: ServerPlaces,
    started: Timestamp,
    draining: AtomicBool,
}

/// Numbers at one moment; those that count do so from the start.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) now: Timestamp,
    pub(super) started: Timestamp,
    pub(super) is_draining: bool,
    pub(super) requests: u64,
    pub(super) hits: u64,
    pub(super) forwarded: u64,
    pub(super) collapsed: u64,
    pub(super) denied: u64,
    pub(super) failed: u64,
    pub(super) tunnels: u64,
    pub(super) bytes_to_clients: u64,
    pub(super) bytes_from_origins: u64,
    pub(super) connections: u64,
    pub(super) store: Usage,
    /// Of each folder of the tier on disk.
    pub(super) disks: Vec<(String, DiskUsage)>,
    /// The folders that could not be used at the start.
    pub(super) left_out: Vec<LeftOut>,
    pub(super) memory_bytes_max: u64,
    pub(super) log: LogCounters,
    /// How often each rule for caching made the difference.
    pub(super) rules: Vec<(RuleName, u64)>,
    pub(super) is_offline: bool,
    /// Bytes that all memory may take, and each use: taken, and how often refused.
    pub(super) budget_bytes_max: u64,
    pub(super) memory: Vec<(&'static str, u64, u64)>,
    pub(super) readers_cut: u64,
    pub(super) open_ended_cut: u64,
    pub(super) places: Vec<PlaceReading>,
}

/// Places of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceReading {
    pub(super) name: &'static str,
    pub(super) used: u64,
    pub(super) max: u64,
    pub(super) refused: u64,
}

impl PlaceReading {
    fn of<K: Eq + Hash + Clone>(name: &'static str, places: &Places<K>) -> PlaceReading {
        let refused = places.refusals().iter().map(|(_, count)| count).sum();
        PlaceReading { name, used: places.used() as u64, max: places.max() as u64, refused }
    }
}

impl Status {
    /// Starts to watch. `listening` is where clients of the proxy connect, `places` are those that the
    /// server gives, and `memory_bytes_max` is what the store may take.
    pub fn new(
        shared: Arc<Shared>,
        listening: Vec<Listen>,
        memory_bytes_max: u64,
        places: ServerPlaces,
    ) -> Status {
        let started = shared.clock.now();
        Status { shared, listening, memory_bytes_max, places, started, draining: AtomicBool::new(false) }
    }

    /// From now on `/readyz` says that nobody should be sent here.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Where clients of the proxy connect.
    pub(super) fn listening(&self) -> &[Listen] {
        &self.listening
    }

    /// The name that the proxy leaves in `Via`.
    pub(super) fn pseudonym(&self) -> &str {
        &self.shared.pseudonym
    }

    pub(super) fn read(&self) -> Reading {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            now: self.shared.clock.now(),
            started: self.started,
            is_draining: self.is_draining(),
            requests: read(&counters.requests),
            hits: read(&counters.hits),
            forwarded: read(&counters.forwarded),
            collapsed: read(&counters.collapsed),
            denied: read(&counters.denied),
            failed: read(&counters.failed),
            tunnels: read(&counters.tunnels),
            bytes_to_clients: read(&counters.bytes_to_clients),
            bytes_from_origins: read(&counters.bytes_from_origins),
            connections: self.places.connections.used() as u64,
            store: self.shared.store.usage(),
            disks: self.shared.store.disks().map(folder_of).collect(),
            left_out: self.shared.store.left_out().to_vec(),
            memory_bytes_max: self.memory_bytes_max,
            log: self.shared.log.counters(),
            rules: self.shared.rules.counts(),
            is_offline: self.shared.is_offline(),
            budget_bytes_max: self.shared.budget.limit(),
            memory: self.memory(),
            readers_cut: self.shared.budget.readers().cuts(),
            open_ended_cut: self.shared.budget.open_ended().cuts(),
            places: self.places(),
        }
    }

    fn memory(&self) -> Vec<(&'static str, u64, u64)> {
        let budget = &self.shared.budget;
        Use::ALL.map(|purpose| (purpose.as_str(), budget.used(purpose), budget.refusals(purpose))).to_vec()
    }

    fn places(&self) -> Vec<PlaceReading> {
        let ServerPlaces { connections, streams, lending, .. } = &self.places;
        vec![
            PlaceReading::of("connections", connections),
            PlaceReading::of("streams", streams),
            PlaceReading::of("exchanges", &lending.exchanges),
            PlaceReading::of("origin_connections", &lending.connections),
            PlaceReading::of("unread_fills", &self.shared.unread_fills),
        ]
    }
}

/// A folder's name and its numbers.
fn folder_of(disk: &Disk) -> (String, DiskUsage) {
    (disk.folder().display().to_string(), disk.usage())
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Status").field("listening", &self.listening).finish_non_exhaustive()
    }
}
