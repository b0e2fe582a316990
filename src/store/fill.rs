//! A response that is arriving: written once, read by all who asked for it, each at its own pace.
//!
//! While the content is *kept in memory* every piece stays and a slow reader holds nobody back.
//! Content that is larger than a chunk goes *to disk* as it arrives, if the disk wants it: what is
//! written there leaves memory, and a reader that is behind is told to read it from there. What
//! neither keeps only *passes*: pieces that all readers have taken are dropped, nobody new may
//! join, and the writer waits when the slowest reader falls [`WINDOW`] octets behind, so that memory
//! stays bounded.
//!
//! Invariant: a reader sees a clean end only after the writer called [`FillWriter::finish`].
//! A writer that is dropped before that has aborted.
//!
//! The state's lock is a plain one: it is held for a few pointer moves and never across an await.

mod writer;

use std::collections::VecDeque;

use bytes::Bytes;

pub use writer::{Chunks, FillWriter};

use super::sync::{Arc, Mutex, MutexGuard, Notify, PoisonError};
use crate::caching::ByteRange;
use crate::http::Fields;
use crate::store::StoredContent;

/// How far the slowest reader of a fill that is not kept may be behind, in octets, and the quickest one of
/// a fill in memory whose length is not known.
const WINDOW: u64 = 1024 * 1024;
/// The same while memory is short: arbitrary, a few pieces.
const WINDOW_SHORT: u64 = 64 * 1024;

/// A fill under way or at its end.
#[derive(Debug)]
pub struct Fill {
    state: Mutex<State>,
    /// Something for readers: a piece or the end.
    grown: Notify,
    /// Something for the writer: a reader took a piece or left.
    drained: Notify,
}

#[derive(Debug)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Where the first piece that is held begins.
    first: Position,
    /// Octets in `pieces`.
    held: u64,
    keeping: Keeping,
    /// Octets queued for the disk, and those that are there: from the first one on, without a gap.
    queued: u64,
    on_disk: u64,
    /// The disk has failed: nothing more comes to be there.
    is_lost: bool,
    end: End,
    /// Where each reader goes on; `None` is a free place.
    readers: Vec<Option<Position>>,
}

/// A place between two pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    /// Pieces before it.
    piece: usize,
    /// Octets before it.
    octet: u64,
}

/// What becomes of the content beside being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    Memory,
    Disk,
    Nothing,
}

#[derive(Clone, Debug)]
enum End {
    Open,
    Complete(Fields),
    Aborted,
}

/// The fill ended before its content did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response ended early")]
pub struct Aborted;

/// What became of a fill that its writer has finished.
#[derive(Debug)]
pub enum Finished {
    /// The whole content, to be stored.
    Kept(StoredContent),
    /// Content of so many octets is on its way to disk; [`Fill::settled`] says what arrives.
    Chunks(u64),
    /// Content of so many octets has only passed, from some moment on; [`Fill::settled`] says what of
    /// it came to the disk before.
    Passed(u64),
}

/// What a reader gets next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    Pieces,
    /// Pieces, or none, and then the end.
    Last,
    /// Octets that have left memory: they are in chunks on disk. `length` is that of all that went
    /// there.
    OnDisk {
        range: ByteRange,
        length: u64,
    },
}

impl Fill {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds this lock; its data would be whole even then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader from the first octet; `None` when octets are gone already or the fill has aborted.
    pub fn reader(self: &Arc<Fill>) -> Option<FillReader> {
        let mut state = self.lock();
        let begins_late = state.first.piece > 0 || state.held > 0;
        if state.keeping == Keeping::Nothing && begins_late || matches!(state.end, End::Aborted) {
            return None;
        }
        let free = state.readers.iter().position(Option::is_none);
        let place = free.unwrap_or(state.readers.len());
        match state.readers.get_mut(place) {
            Some(slot) => *slot = Some(Position::default()),
            None => state.readers.push(Some(Position::default())),
        }
        drop(state);
        Some(FillReader { fill: self.clone(), place })
    }

    /// What has arrived, from the first octet on, if all of it is in memory and it is anything.
    pub fn in_memory(&self) -> Option<Bytes> {
        let state = self.lock();
        let is_all = state.keeping == Keeping::Memory && state.first == Position::default();
        let pieces: Vec<Bytes> = state.pieces.iter().cloned().collect();
        drop(state);
        (is_all && !pieces.is_empty()).then(|| Bytes::from(pieces.concat().into_boxed_slice()))
    }

    /// Waits until nothing of the content is on its way to disk any more; the octets that are
    /// there, from the first one on.
    pub async fn settled(&self) -> u64 {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.lock();
                if state.on_disk >= state.queued || state.is_lost {
                    return state.on_disk;
                }
            }
            drained.await;
        }
    }

    /// The octets that are on disk by now, from the first one on.
    pub fn on_disk(&self) -> u64 {
        self.lock().on_disk
    }

    /// A chunk that ends after `end` octets was written, or could not be.
    fn written(&self, end: u64, is_there: bool) {
        let mut state = self.lock();
        if is_there {
            state.on_disk = state.on_disk.max(end);
        } else {
            (state.keeping, state.is_lost) = (Keeping::Nothing, true);
        }
        state.drop_taken();
        drop(state);
        self.drained.notify_waiters();
    }
}

impl State {
    /// Where the last piece ends.
    fn last(&self) -> Position {
        Position { piece: self.first.piece + self.pieces.len(), octet: self.first.octet + self.held }
    }

    /// Octets that even the quickest reader has not taken; none where nobody reads.
    fn unread_by_all(&self) -> u64 {
        let quickest = self.readers.iter().flatten().map(|at| at.octet).max();
        quickest.map_or(0, |at| self.last().octet - at)
    }

    /// Drops pieces that nobody needs in memory any more.
    fn drop_taken(&mut self) {
        if self.keeping == Keeping::Memory {
            return;
        }
        let slowest = self.readers.iter().flatten().map(|at| at.piece).min();
        let slowest = slowest.unwrap_or(self.first.piece + self.pieces.len());
        while let Some(piece) = self.pieces.front() {
            let length = piece.len() as u64;
            let is_taken = self.first.piece < slowest;
            let is_written = self.first.octet + length <= self.on_disk;
            let may_go = match self.keeping {
                Keeping::Memory => false,
                // Readers that are about as quick as the origin find it in memory.
                Keeping::Disk => is_written && (is_taken || self.held > WINDOW),
                Keeping::Nothing => is_taken,
            };
            if !may_go {
                return;
            }
            self.pieces.pop_front();
            self.held -= length;
            self.first = Position { piece: self.first.piece + 1, octet: self.first.octet + length };
        }
    }

    fn has_readers(&self) -> bool {
        self.readers.iter().any(Option::is_some)
    }
}

/// One reader of a fill.
#[derive(Debug)]
pub struct FillReader {
    fill: Arc<Fill>,
    place: usize,
}

impl FillReader {
    /// Whether there is anything to take at once: pieces or the end.
    pub fn is_ready(&self) -> bool {
        let state = self.fill.lock();
        let at = state.readers.get(self.place).copied().flatten().unwrap_or_default();
        at.piece < state.last().piece || !matches!(state.end, End::Open)
    }

    /// Appends the next pieces, as many as are there.
    pub async fn next(&mut self, pieces: &mut Vec<Bytes>) -> Result<Arrived, Aborted> {
        loop {
            let grown = self.fill.grown.notified();
            if let Some(result) = self.take(pieces) {
                return result;
            }
            grown.await;
        }
    }

    /// The trailer fields, once the end was seen.
    pub fn trailers(&self) -> Fields {
        match &self.fill.lock().end {
            End::Complete(trailers) => trailers.clone(),
            End::Open | End::Aborted => Fields::default(),
        }
    }

    fn take(&self, pieces: &mut Vec<Bytes>) -> Option<Result<Arrived, Aborted>> {
        let mut state = self.fill.lock();
        // A place that was taken away: this reader was too slow.
        let Some(at) = state.readers.get(self.place).copied().flatten() else { return Some(Err(Aborted)) };
        let (mut next, before, last) = (at, pieces.len(), state.last());
        let arrived = if at.piece < state.first.piece {
            next = state.first;
            let range = ByteRange { first: at.octet, last: next.octet - 1 };
            Ok(Arrived::OnDisk { range, length: state.queued })
        } else {
            pieces.extend(state.pieces.iter().skip(at.piece - state.first.piece).take(PIECES_MAX).cloned());
            next.piece += pieces.len() - before;
            next.octet += pieces.iter().skip(before).map(|piece| piece.len() as u64).sum::<u64>();
            match state.end {
                End::Complete(_) if next == last => Ok(Arrived::Last),
                End::Aborted if next == at => Err(Aborted),
                End::Open if next == at => return None,
                _ => Ok(Arrived::Pieces),
            }
        };
        if let Some(slot) = state.readers.get_mut(self.place) {
            *slot = Some(next);
        }
        state.drop_taken();
        drop(state);
        self.fill.drained.notify_waiters();
        Some(arrived)
    }
}

/// Pieces that a reader takes at once; one vectored write carries about as many.
const PIECES_MAX: usize = 15;

impl Drop for FillReader {
    fn drop(&mut self) {
        let mut state = self.fill.lock();
        if let Some(slot) = state.readers.get_mut(self.place) {
            *slot = None;
        }
        state.drop_taken();
        drop(state);
        self.fill.drained.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
