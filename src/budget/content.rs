//! Content that many may hold: it is charged once, when it is made, and counts until the last of its
//! readers lets go.
//!
//! The pieces themselves carry the charge, so that a reader pays nothing for holding one: it clones
//! and drops [`Bytes`] as ever. What the content is for (arriving, stored, pinned) is changed by who
//! stores and evicts it, for all pieces at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Budget, Share, Spent, Use};

/// The charge for one content. Its pieces hold it, and whoever made it.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    share: Mutex<Share>,
}

impl Charge {
    /// For nothing yet.
    pub fn new(budget: &Budget, purpose: Use) -> Arc<Charge> {
        Arc::new(Charge { budget: budget.clone(), share: Mutex::new(budget.count(purpose, 0)) })
    }

    /// Takes memory for content that is going to be covered.
    pub fn take(&self, bytes: u64) -> Result<(), Spent> {
        // Not under the lock: making room may drop other content, and tell others.
        let purpose = self.lock().purpose();
        let more = self.budget.take(purpose, bytes)?;
        self.lock().merge(more);
        Ok(())
    }

    /// As [`Charge::take`], for what is there already.
    pub fn count(&self, bytes: u64) {
        let mut share = self.lock();
        let more = self.budget.count(share.purpose(), bytes);
        share.merge(more);
    }

    /// Gives back what was taken and is not covered.
    pub fn give_back(&self, bytes: u64) {
        self.lock().shrink(bytes);
    }

    /// Bytes that are charged now.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes()
    }

    /// From now on the content is for something else.
    pub fn becomes(&self, purpose: Use) {
        self.lock().becomes(purpose);
    }

    /// The same octets, which give `bytes` back when the last who holds any of them lets go.
    pub fn cover(self: &Arc<Charge>, octets: Bytes, bytes: u64) -> Bytes {
        Bytes::from_owner(Covered { octets, bytes, charge: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Share> {
        // Two numbers that are changed together without a panic between them.
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a piece of covered content takes beside its octets: the piece, its cover, and a place in a list.
pub const PIECE_COST: u64 = 160;

struct Covered {
    octets: Bytes,
    bytes: u64,
    charge: Arc<Charge>,
}

impl AsRef<[u8]> for Covered {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

impl Drop for Covered {
    fn drop(&mut self) {
        self.charge.lock().shrink(self.bytes);
        self.charge.budget.pieces().give_back(std::mem::take(&mut self.octets));
    }
}
