//! Octets of a small content that arrive without a fill, gathered within the memory budget.

use bytes::{Bytes, BytesMut};

use super::memory::Memory;
use crate::budget::Share;

/// What has arrived so far.
#[derive(Debug)]
pub struct Gathered {
    octets: BytesMut,
    _reserved: Share,
}

impl Gathered {
    /// For so many octets; `None` when fills have taken all memory.
    pub(super) fn new(memory: &Memory, octets: u64) -> Option<Gathered> {
        memory.reserve(octets).map(|share| Gathered { octets: BytesMut::new(), _reserved: share })
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
