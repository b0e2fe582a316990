//! A stored response, and where its content is: in memory, or in pieces on disk.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::Extent;
use crate::caching::{ByteRange, StoredHead};
use crate::http::Version;

/// A stored response. Its head is complete; its content may have gaps when it is on disk.
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
    /// When the origin was asked for the content, on the store's logical clock: tells which of
    /// two is newer, and names the content's pieces on disk.
    pub generation: u64,
}

/// The content of a stored response.
#[derive(Clone, Debug)]
pub enum StoredContent {
    /// All of it, in pieces that are shared with every reader.
    Memory { pieces: Arc<[Bytes]>, length: u64 },
    /// On disk, where [`super::Store::parts`] finds what is there of it.
    Disk(DiskContent),
}

/// Content on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskContent {
    /// Octets of the whole content, whether all of them are there or not.
    pub length: u64,
    pub(super) layout: Layout,
}

/// How content lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// In the record of this key, with its head.
    Record(u128),
    /// In chunks, whose keys are derived from the cache key.
    Chunks,
}

/// A part of a content, in order, as it can be sent.
#[derive(Clone, Debug)]
pub enum Part {
    Bytes(Bytes),
    /// Octets of a file.
    Extent(Extent),
    /// Octets that are not stored: to be had from the origin.
    Missing(ByteRange),
}

impl StoredContent {
    /// Content in memory that consists of these pieces.
    pub fn new(pieces: Vec<Bytes>) -> StoredContent {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        StoredContent::Memory { pieces: pieces.into(), length }
    }

    /// Octets of the whole content.
    pub fn length(&self) -> u64 {
        match self {
            StoredContent::Memory { length, .. } => *length,
            StoredContent::Disk(content) => content.length,
        }
    }

    /// All pieces in order, when the content is in memory.
    pub fn pieces(&self) -> Option<&[Bytes]> {
        match self {
            StoredContent::Memory { pieces, .. } => Some(pieces),
            StoredContent::Disk(_) => None,
        }
    }

    /// Octets of memory.
    fn memory_bytes(&self) -> usize {
        self.pieces().unwrap_or_default().iter().map(|piece| piece.len() + size_of::<Bytes>()).sum()
    }
}

/// The octets from `first` to `last`, both included, of content in memory, without copying them.
pub(super) fn range_of_pieces(pieces: &[Bytes], first: u64, last: u64) -> Vec<Part> {
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
    /// The same response with its content in another place.
    pub fn with_content(&self, content: StoredContent) -> Object {
        let Object { head, rendered, content: _elsewhere, origin, received, generation } = self;
        Object {
            head: head.clone(),
            rendered: rendered.clone(),
            content,
            origin: *origin,
            received: *received,
            generation: *generation,
        }
    }

    /// Octets of memory that the object takes.
    pub fn memory_bytes(&self) -> u64 {
        let head = size_of::<Object>() + self.head.memory_bytes() + self.rendered.len();
        (head + self.content.memory_bytes()) as u64
    }
}
