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
    /// Octets taken from the budget for what was gathered.
    reserved: u64,
    /// Whether what is being gathered is to be written.
    is_wanted: bool,
}

impl Refill {
    /// For content of `length` octets, the next of which is at `at`, the beginning of a chunk.
    pub(super) fn new(chunks: Box<dyn Chunks>, memory: Arc<Memory>, at: u64, length: u64) -> Refill {
        Refill { chunks, memory, at, length, gathered: Vec::new(), reserved: 0, is_wanted: true }
    }

    /// Adds content.
    pub fn push(&mut self, mut piece: Bytes) {
        while !piece.is_empty() && self.at < self.length {
            let start = self.at - self.at % CHUNK_LENGTH;
            let end = (start + CHUNK_LENGTH).min(self.length);
            if self.at == start {
                self.begin(end - start);
            }
            // At most the length of a chunk.
            let now = piece.split_to(piece.len().min((end - self.at) as usize));
            self.at += now.len() as u64;
            if self.is_wanted {
                // Not a slice of the buffer that it was read into, which it would keep alive.
                self.gathered.push(Bytes::copy_from_slice(&now));
            }
            if self.at == end {
                self.end_chunk(start);
            }
        }
    }

    fn begin(&mut self, octets: u64) {
        // One that has grown beyond its budget even so takes nothing more.
        self.is_wanted = self.memory.reserve(octets);
        self.reserved = octets;
        if !self.is_wanted {
            self.give_back();
        }
    }

    fn end_chunk(&mut self, start: u64) {
        let body = std::mem::take(&mut self.gathered);
        if !self.is_wanted {
            return;
        }
        let (memory, octets) = (self.memory.clone(), std::mem::take(&mut self.reserved));
        let release = Done(Box::new(move |_is_there| memory.release(octets)));
        let number = u32::try_from(start / CHUNK_LENGTH);
        let is_queued = number.is_ok_and(|number| self.chunks.append(number, body, release));
        if !is_queued {
            self.memory.release(octets);
        }
    }

    fn give_back(&mut self) {
        self.memory.release(std::mem::take(&mut self.reserved));
    }
}

impl Drop for Refill {
    fn drop(&mut self) {
        self.give_back();
    }
}
