//! Filling the gaps of a stored response: chunks that arrive again go back to the disk.
//!
//! Invariant: only whole chunks are written; what waits to be written is within the memory budget
//! of fills, and what does not fit there is not written: a gap that stays is filled another time.

use std::sync::Arc;

use bytes::Bytes;

use super::disk::Done;
use super::fill::Chunks;
use super::memory::Memory;
use super::on_disk::CHUNK_LENGTH;
use crate::budget::Share;

/// Content that arrives for gaps, from the beginning of a chunk on.
#[derive(Debug)]
pub struct Refill {
    chunks: Box<dyn Chunks>,
    memory: Arc<Memory>,
    /// Of the next octet.
    at: u64,
    /// Octets of the whole content.
    length: u64,
    gathered: Vec<Bytes>,
    /// For what is being gathered; without it, it is not written.
    reserved: Option<Share>,
}

impl Refill {
    /// For content of `length` octets, the next of which is at `at`, the beginning of a chunk.
    pub(super) fn new(chunks: Box<dyn Chunks>, memory: Arc<Memory>, at: u64, length: u64) -> Refill {
        Refill { chunks, memory, at, length, gathered: Vec::new(), reserved: None }
    }

    /// Adds content.
    pub fn push(&mut self, mut piece: Bytes) {
        while !piece.is_empty() && self.at < self.length {
            let start = self.at - self.at % CHUNK_LENGTH;
            let end = (start + CHUNK_LENGTH).min(self.length);
            if self.at == start {
                // One for which there is no room is passed over.
                self.reserved = self.memory.reserve(end - start);
            }
            // At most the length of a chunk.
            let now = piece.split_to(piece.len().min((end - self.at) as usize));
            self.at += now.len() as u64;
            if self.reserved.is_some() {
                // Not a slice of the buffer that it was read into, which it would keep alive.
                self.gathered.push(Bytes::copy_from_slice(&now));
            }
            if self.at == end {
                self.end_chunk(start);
            }
        }
    }

    fn end_chunk(&mut self, start: u64) {
        let body = std::mem::take(&mut self.gathered);
        let Some(share) = self.reserved.take() else { return };
        // Given back when it is written, or at once when it is refused.
        let release = Done(Box::new(move |_is_there| drop(share)));
        if let Ok(number) = u32::try_from(start / CHUNK_LENGTH) {
            let _written_or_not = self.chunks.append(number, body, release);
        }
    }
}
