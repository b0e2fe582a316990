//! One budget for all memory whose size a peer decides, with a counter for each use, and the places
//! of which each peer may take a share ([`Places`]).
//!
//! Memory is charged where it is taken and given back by dropping the [`Share`]. When a charge does
//! not fit, room is made first (stored responses are evicted) and then the readers that hold most for
//! longest are told to go; what still does not fit is [`Spent`], which refuses the new work. Nothing
//! ends the process.
//!
//! Invariant: the counters of all uses together are the total, but for the moment between two
//! additions, and [`Budget::take`] never lets the total pass the limit. What exists already, and only
//! has to be counted, is charged with [`Budget::count`]. Not here: code, stacks and allocator overhead,
//! for which `cli/fit.rs` leaves a part of the machine's memory alone.

mod content;
mod open_ended;
mod pieces;
mod places;
mod readers;

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

pub use content::{Charge, PIECE_COST};
pub use open_ended::{OpenEnd, OpenEnded};
pub use pieces::{PIECE, Pieces};
pub use places::{Full, Place, Places, client_of};
pub use readers::{Reading, SlowReaders};

/// What memory is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Stored responses that are in the index of memory.
    Stored,
    /// Stored responses that have left it while a reader still holds them.
    Pinned,
    /// Responses that are still arriving and are to be stored.
    Fills,
    /// Responses that are still arriving and only pass.
    Passing,
    /// Buffers of connections and tunnels beyond the first few kilobytes.
    Buffers,
    /// Field sections of requests and responses.
    Fields,
    /// Streams of HTTP/2.
    Streams,
    /// State of TLS connections.
    Tls,
    /// The index of the tiers on disk.
    Index,
    /// Client connections.
    Connections,
}

impl Use {
    /// All of them, in the order of their counters.
    pub const ALL: [Use; 10] = [
        Use::Stored,
        Use::Pinned,
        Use::Fills,
        Use::Passing,
        Use::Buffers,
        Use::Fields,
        Use::Streams,
        Use::Tls,
        Use::Index,
        Use::Connections,
    ];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Use::Stored => "stored",
            Use::Pinned => "pinned",
            Use::Fills => "fills",
            Use::Passing => "passing",
            Use::Buffers => "buffers",
            Use::Fields => "fields",
            Use::Streams => "streams",
            Use::Tls => "tls",
            Use::Index => "index",
            Use::Connections => "connections",
        }
    }
}

/// The budget is spent: the work that asked for memory is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// What the memory was for.
    pub purpose: Use,
    /// Bytes that did not fit.
    pub bytes: u64,
    /// Bytes that all may take.
    pub limit: u64,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spent { purpose, bytes, limit } = self;
        write!(f, "memory is spent: no {bytes} bytes for {} within {limit}", purpose.as_str())
    }
}

impl std::error::Error for Spent {}

/// Frees about so many bytes at once, if it can.
pub type Relief = dyn Fn(u64) + Send + Sync;

/// A limit on memory, and what it is used for. Clones are the same budget.
#[derive(Clone)]
pub struct Budget(Arc<Counts>);

struct Counts {
    limit: u64,
    total: AtomicU64,
    by_use: [AtomicU64; Use::ALL.len()],
    refused: [AtomicU64; Use::ALL.len()],
    relief: OnceLock<Box<Relief>>,
    readers: SlowReaders,
    open_ended: OpenEnded,
    pieces: Pieces,
}

impl Budget {
    /// At most `limit` bytes.
    pub fn new(limit: u64) -> Budget {
        Budget(Arc::new(Counts {
            limit,
            total: AtomicU64::new(0),
            by_use: Default::default(),
            refused: Default::default(),
            relief: OnceLock::new(),
            readers: SlowReaders::default(),
            open_ended: OpenEnded::default(),
            pieces: Pieces::default(),
        }))
    }

    /// One that only counts.
    pub fn unlimited() -> Budget {
        Budget::new(u64::MAX)
    }

    /// Bytes that all may take.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Bytes that are taken.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Bytes that are taken for one use.
    pub fn used(&self, purpose: Use) -> u64 {
        self.counter(purpose).load(Ordering::Relaxed)
    }

    /// How often memory for one use was refused.
    pub fn refusals(&self, purpose: Use) -> u64 {
        self.refused(purpose).load(Ordering::Relaxed)
    }

    /// Takes memory for new work, or refuses the work.
    pub fn take(&self, purpose: Use, bytes: u64) -> Result<Share, Spent> {
        let mut share = self.count(purpose, 0);
        share.grow(bytes)?;
        Ok(share)
    }

    /// Counts memory that is there already, whether it fits or not.
    pub fn count(&self, purpose: Use, bytes: u64) -> Share {
        self.add(purpose, bytes);
        Share { budget: self.clone(), purpose, bytes }
    }

    /// Whether more is taken than may be: what was only counted is not refused.
    pub fn is_over(&self) -> bool {
        self.total() > self.0.limit
    }

    /// Whether the next bytes would hardly fit: a thirty-second part of the limit is left.
    pub fn is_short(&self) -> bool {
        self.total() >= self.0.limit - self.0.limit / 32
    }

    /// What frees memory at once when a charge does not fit. It is called without any lock of the
    /// budget, by whoever takes memory: that one must hold no lock that `relief` takes. The first
    /// call counts.
    pub fn on_spent(&self, relief: Box<Relief>) {
        let _set_before = self.0.relief.set(relief);
    }

    /// Full pieces of content that are free.
    pub fn pieces(&self) -> &Pieces {
        &self.0.pieces
    }

    /// The readers that wait for their clients.
    pub fn readers(&self) -> &SlowReaders {
        &self.0.readers
    }

    /// The exchanges without an end of their own.
    pub fn open_ended(&self) -> &OpenEnded {
        &self.0.open_ended
    }

    /// A place for `taker`. Where nearly all are taken, exchanges without an end of their own leave, so that
    /// whoever comes next finds one.
    pub fn place<K: Eq + Hash + Clone>(
        &self,
        places: &Arc<Places<K>>,
        taker: &K,
        now_ms: impl FnOnce() -> u64,
    ) -> Result<Place<K>, Full> {
        let place = places.take(taker);
        self.make_room(places, now_ms);
        place
    }

    /// As [`Budget::place`], for what can do without.
    pub fn spare_place<K: Eq + Hash + Clone>(
        &self,
        places: &Arc<Places<K>>,
        taker: &K,
        now_ms: impl FnOnce() -> u64,
    ) -> Option<Place<K>> {
        let place = places.spare(taker).ok()?;
        self.make_room(places, now_ms);
        Some(place)
    }

    /// The clock is read only where some have to go.
    fn make_room<K: Eq + Hash + Clone>(&self, places: &Places<K>, now_ms: impl FnOnce() -> u64) {
        let wanted = places.wanted();
        if wanted > 0 {
            self.0.open_ended.make_room(wanted, now_ms());
        }
    }

    fn charge(&self, purpose: Use, bytes: u64) -> Result<(), Spent> {
        if self.try_add(purpose, bytes) {
            return Ok(());
        }
        // More than asked for, so that the next one need not come here again at once.
        let wanted = bytes.max(self.0.limit / 64);
        if let Some(relief) = self.0.relief.get() {
            relief(wanted);
            if self.try_add(purpose, bytes) {
                return Ok(());
            }
        }
        // They go when their tasks run next, which is too late for this one.
        self.0.readers.cut(wanted);
        self.refused(purpose).fetch_add(1, Ordering::Relaxed);
        Err(Spent { purpose, bytes, limit: self.0.limit })
    }

    fn try_add(&self, purpose: Use, bytes: u64) -> bool {
        let limit = self.0.limit;
        let fits = |total: u64| total.checked_add(bytes).filter(|sum| *sum <= limit);
        let added = self.0.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if added {
            self.counter(purpose).fetch_add(bytes, Ordering::Relaxed);
        }
        added
    }

    fn add(&self, purpose: Use, bytes: u64) {
        self.0.total.fetch_add(bytes, Ordering::Relaxed);
        self.counter(purpose).fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, purpose: Use, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.counter(purpose).fetch_sub(bytes, Ordering::Relaxed);
        self.0.total.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[expect(clippy::indexing_slicing, reason = "there is one for each use")]
    fn counter(&self, purpose: Use) -> &AtomicU64 {
        &self.0.by_use[purpose as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "there is one for each use")]
    fn refused(&self, purpose: Use) -> &AtomicU64 {
        &self.0.refused[purpose as usize]
    }
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::unlimited()
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.0.limit)
            .field("total", &self.total())
            .finish_non_exhaustive()
    }
}

/// Memory that somebody has taken; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    purpose: Use,
    bytes: u64,
}

impl Share {
    /// What it is for.
    pub fn purpose(&self) -> Use {
        self.purpose
    }

    /// Bytes that it is of.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes so many bytes more. Where they do not fit, it stays as it is.
    pub fn grow(&mut self, by: u64) -> Result<(), Spent> {
        self.budget.charge(self.purpose, by)?;
        self.bytes += by;
        Ok(())
    }

    /// Gives so many bytes back, at most all.
    pub fn shrink(&mut self, by: u64) {
        let by = by.min(self.bytes);
        self.bytes -= by;
        self.budget.give_back(self.purpose, by);
    }

    /// Takes or gives back what is missing to so many bytes.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Spent> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.grow(more),
            None => {
                self.shrink(self.bytes - bytes);
                Ok(())
            }
        }
    }

    /// Takes over what another share of the same budget is of.
    pub fn merge(&mut self, mut other: Share) {
        other.becomes(self.purpose);
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// From now on it is for something else. The total stays the same.
    pub fn becomes(&mut self, purpose: Use) {
        self.budget.counter(purpose).fetch_add(self.bytes, Ordering::Relaxed);
        self.budget.counter(self.purpose).fetch_sub(self.bytes, Ordering::Relaxed);
        self.purpose = purpose;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.purpose, self.bytes);
    }
}

#[cfg(test)]
mod tests;
