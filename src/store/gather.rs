//! Octets of a small content that arrive without a fill, gathered within the memory budget.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::memory::Memory;

/// What has arrived so far.
#[derive(Debug)]
pub struct Gathered {
    octets: BytesMut,
    memory: Arc<Memory>,
    reserved: u64,
}

impl Gathered {
    /// For so many octets; `None` when fills have taken all memory.
    pub(super) fn new(memory: Arc<Memory>, octets: u64) -> Option<Gathered> {
        let is_there = memory.reserve(octets);
        // Dropping it gives back what was taken, whether it was there or not.
        let gathered = Gathered { octets: BytesMut::new(), memory, reserved: octets };
        is_there.then_some(gathered)
    }

    /// Adds octets.
    pub fn push(&mut self, piece: &Bytes) {
        self.octets.extend_from_slice(piece);
    }

    /// Octets so far.
    pub fn length(&self) -> u64 {
        self.octets.len() as u64
    }

    /// All of them, without waste. From here on the store accounts for what it holds.
    pub fn take(&mut self) -> Bytes {
        Bytes::copy_from_slice(&self.octets.split())
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.memory.release(self.reserved);
    }
}
