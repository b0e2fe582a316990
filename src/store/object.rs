//! A stored response.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::caching::StoredHead;
use crate::http::Version;

/// A complete stored response.
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
    /// When the origin was asked for the content, on the store's logical clock.
    pub generation: u64,
}

/// Content in pieces that are shared with every reader.
#[derive(Clone, Debug, Default)]
pub struct StoredContent {
    pieces: Arc<[Bytes]>,
    length: u64,
}

impl StoredContent {
    /// Content that consists of these pieces.
    pub fn new(pieces: Vec<Bytes>) -> StoredContent {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        StoredContent { pieces: pieces.into(), length }
    }

    /// Octets.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// All pieces in order.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The octets from `first` to `last`, both included, without copying them.
    pub fn range(&self, first: u64, last: u64) -> Vec<Bytes> {
        let mut at = 0;
        let mut out = Vec::new();
        for piece in self.pieces.iter() {
            let (start, end) = (at, at + piece.len() as u64);
            at = end;
            if end <= first || start > last {
                continue;
            }
            // Both lie within the piece, whose length is a usize.
            let from = first.saturating_sub(start) as usize;
            let to = (last + 1 - start).min(piece.len() as u64) as usize;
            out.push(piece.slice(from..to));
        }
        out
    }
}

impl Object {
    /// Octets of memory that the object takes.
    pub fn memory_bytes(&self) -> u64 {
        let pieces: usize = self.content.pieces.iter().map(|piece| piece.len() + size_of::<Bytes>()).sum();
        (size_of::<Object>() + self.head.memory_bytes() + self.rendered.len() + pieces) as u64
    }
}
