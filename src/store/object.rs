//! A stored response, and where its content is: in memory, or in pieces on disk.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::spans::{Part, Spans};
use crate::budget::{Budget, Charge, PIECE_COST, Use};
use crate::caching::{ByteRange, StoredHead};
use crate::http::Version;

/// A stored response. Its head is complete; its content may have gaps.
#[derive(Debug)]
pub struct Object {
    /// What caching decides by.
    pub head: StoredHead,
    /// Status line and field lines as every hit sends them, without the empty line.
    pub rendered: Bytes,
    /// The content.
    pub content: StoredContent,
    /// The address that it came from: a policy that refuses the address refuses what was stored
    /// from it, too.
    pub origin: SocketAddr,
    /// Of the message that brought the head, for `Via`.
    pub received: Version,
    /// When the origin was asked for the content, on the store's logical clock: names its chunks.
    pub generation: u64,
    /// The same for the head as it is, which an update has left: nothing that was asked for before
    /// changes it.
    pub head_generation: u64,
}

/// The content of a stored response.
#[derive(Clone, Debug)]
pub enum StoredContent {
    /// All of it, in pieces that are shared with every reader.
    /// The charge is for all of them, once they are.
    Memory { pieces: Arc<[Bytes]>, length: u64, charge: Option<Arc<Charge>> },
    /// Some octets of a content of up to a chunk, in memory.
    Partial { spans: Spans, length: u64 },
    /// In chunks on disk, where [`super::Store::parts`] finds what is there of so many octets.
    Chunks { length: u64 },
}

impl StoredContent {
    /// Content in memory that consists of these pieces.
    pub fn new(pieces: Vec<Bytes>) -> StoredContent {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        StoredContent::Memory { pieces: pieces.into(), length, charge: None }
    }

    /// Content in memory whose pieces carry this charge already.
    pub(super) fn covered(pieces: Vec<Bytes>, with: Arc<Charge>) -> StoredContent {
        match StoredContent::new(pieces) {
            StoredContent::Memory { pieces, length, .. } => {
                StoredContent::Memory { pieces, length, charge: Some(with) }
            }
            other => other,
        }
    }

    /// The same content, charged to a budget if it was not before.
    pub(super) fn charged_to(self, budget: &Budget) -> StoredContent {
        if self.charge().is_some() {
            return self;
        }
        let charge = Charge::new(budget, Use::Stored);
        charge.count(self.memory_bytes() as u64);
        match self {
            StoredContent::Memory { pieces, .. } => {
                let cost = |piece: &Bytes| piece.len() as u64 + PIECE_COST;
                let cover = |piece: &Bytes| charge.cover(piece.clone(), cost(piece));
                StoredContent::covered(pieces.iter().map(cover).collect(), charge.clone())
            }
            StoredContent::Partial { spans, length } => {
                StoredContent::Partial { spans: spans.charged(charge), length }
            }
            chunks @ StoredContent::Chunks { .. } => chunks,
        }
    }

    pub(super) fn charge(&self) -> Option<&Arc<Charge>> {
        match self {
            StoredContent::Memory { charge, .. } => charge.as_ref(),
            StoredContent::Partial { spans, .. } => spans.charge(),
            StoredContent::Chunks { .. } => None,
        }
    }

    /// Octets of the whole content.
    pub fn length(&self) -> u64 {
        match self {
            StoredContent::Memory { length, .. }
            | StoredContent::Partial { length, .. }
            | StoredContent::Chunks { length } => *length,
        }
    }

    /// Content of `length` octets of which these are there.
    pub fn of_spans(spans: Spans, length: u64) -> StoredContent {
        match spans.whole(length) {
            Some(octets) => StoredContent::new(vec![octets]),
            None => StoredContent::Partial { spans, length },
        }
    }

    /// What two stored responses of one representation have together (RFC 9111 §3.4); `None` when
    /// they are not of one length, or one of them is in chunks.
    pub fn union(&self, newer: &StoredContent) -> Option<StoredContent> {
        if self.length() != newer.length() {
            return None;
        }
        match (self, newer) {
            (StoredContent::Chunks { .. }, _) | (_, StoredContent::Chunks { .. }) => None,
            (whole @ StoredContent::Memory { .. }, _) | (_, whole @ StoredContent::Memory { .. }) => {
                Some(whole.clone())
            }
            (StoredContent::Partial { spans, length }, StoredContent::Partial { spans: newer, .. }) => {
                let all = newer.iter().cloned().fold(spans.clone(), |all, span| all.with(span));
                Some(StoredContent::of_spans(all, *length))
            }
        }
    }

    /// Whether all that there is of the content is in memory.
    pub fn is_in_memory(&self) -> bool {
        !matches!(self, StoredContent::Chunks { .. })
    }

    /// Octets of memory that the content takes.
    fn memory_bytes(&self) -> usize {
        match self {
            StoredContent::Memory { pieces, .. } => {
                pieces.iter().map(|piece| piece.len() + PIECE_COST as usize).sum()
            }
            StoredContent::Partial { spans, .. } => {
                spans.iter().map(|span| span.octets.len() + size_of::<super::Span>()).sum()
            }
            StoredContent::Chunks { .. } => 0,
        }
    }
}

/// The octets of a range of content in memory, without copying them.
pub(super) fn range_of_pieces(pieces: &[Bytes], range: ByteRange) -> Vec<Part> {
    let ByteRange { first, last } = range;
    let mut at = 0;
    let mut out = Vec::new();
    for piece in pieces {
        let (start, end) = (at, at + piece.len() as u64);
        at = end;
        if end <= first || start > last {
            continue;
        }
        // Both lie within the piece, whose length is a usize.
        let from = first.saturating_sub(start) as usize;
        let to = (last + 1 - start).min(piece.len() as u64) as usize;
        out.push(Part::Bytes(piece.slice(from..to)));
    }
    out
}

impl Object {
    /// Whether both are one stored response with one head, however they came into memory.
    pub fn is_same(&self, other: &Object) -> bool {
        (self.generation, self.head_generation) == (other.generation, other.head_generation)
    }

    /// Octets of memory that the object takes.
    pub fn memory_bytes(&self) -> u64 {
        self.head_bytes() + self.content.memory_bytes() as u64
    }

    /// The same without its content.
    fn head_bytes(&self) -> u64 {
        (size_of::<Object>() + self.head.memory_bytes() + self.rendered.len()) as u64
    }

    /// Those of them that the charge of its content is not for.
    pub(super) fn uncharged_bytes(&self) -> u64 {
        if self.content.charge().is_some() { self.head_bytes() } else { self.memory_bytes() }
    }

    /// The same object, its content charged to a budget.
    pub(super) fn charged_to(mut self, budget: &Budget) -> Object {
        self.content = self.content.charged_to(budget);
        self
    }

    /// What its content is for from now on.
    pub(super) fn becomes(&self, purpose: Use) {
        if let Some(charge) = self.content.charge() {
            charge.becomes(purpose);
        }
    }
}
