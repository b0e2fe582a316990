//! The writing end of a fill: what arrives becomes pieces, and goes where it is kept.
//!
//! Invariant: chunks are queued in order and each once, so that what is on disk has no gap; and each
//! piece carries its charge to the budget, which ends with the last who holds it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{Aborted, End, Fill, Finished, Keeping, Position, State, WINDOW, WINDOW_SHORT};
use crate::budget::{Charge, PIECE, PIECE_COST, Use};
use crate::http::Fields;
use crate::store::StoredContent;
use crate::store::disk::Done;
use crate::store::memory::Memory;
use crate::store::on_disk::CHUNK_LENGTH;
use crate::store::sync::{Arc, Mutex, Notify};

/// Sizes of the buffers that content is gathered in, in octets.
const CHUNK_MIN: usize = 16 * 1024;
const CHUNK_MAX: usize = PIECE;
/// Octets that may wait to be written to disk: arbitrary, a few chunks for each fill. Where fills have
/// taken all memory, each goes on when all that it has queued is written.
const UNWRITTEN_MAX: u64 = 4 * CHUNK_LENGTH;
const UNWRITTEN_MAX_SHORT: u64 = 1;

/// Where chunks of content go that is too large for memory.
pub trait Chunks: Send + Sync + std::fmt::Debug {
    /// Whether content of so many octets, or of more than a chunk, is wanted; if not, why.
    fn admits(&self, octets: Option<u64>) -> Result<(), &'static str>;

    /// The most octets that one content may have.
    fn length_max(&self) -> u64;

    /// Queues the chunk with this number, and has `done` called when it is through; false, and no
    /// call, when it is refused.
    fn append(&self, number: u32, body: Vec<Bytes>, done: Done) -> bool;
}

/// The writing end of a fill.
#[derive(Debug)]
pub struct FillWriter {
    fill: Arc<Fill>,
    memory: Arc<Memory>,
    chunks: Option<Box<dyn Chunks>>,
    /// What belongs to the next chunk.
    gathered: Vec<Bytes>,
    gathered_length: u64,
    /// Where content is gathered; full ones are never touched again.
    chunk: BytesMut,
    chunk_size: usize,
    /// For all pieces, wherever they are.
    charge: Arc<Charge>,
    /// Octets that memory has promised to keep.
    promised: u64,
    /// Octets still to come, when the head told.
    expected: Option<u64>,
    written: u64,
}

impl FillWriter {
    /// A fill with nothing in it. `expected` is the content's length, if known; `chunks` is where
    /// large content may go.
    pub fn new(
        memory: Arc<Memory>,
        expected: Option<u64>,
        chunks: Option<Box<dyn Chunks>>,
    ) -> Result<FillWriter, &'static str> {
        let charge = Charge::new(memory.budget(), Use::Fills);
        let mut keeping = Keeping::Memory;
        if let Some(length) = expected.filter(|length| *length > in_memory_max(&memory)) {
            let to_disk = chunks.as_ref().map(|chunks| chunks.admits(Some(length)));
            match to_disk {
                Some(Ok(())) => keeping = Keeping::Disk,
                _ if length <= memory.object_max() => {}
                Some(Err(reason)) => return Err(reason),
                None => return Err("too-large"),
            }
        }
        // Clients are told at once that it is stored.
        let promised = expected.filter(|_| keeping == Keeping::Memory).unwrap_or(0);
        if !memory.promise(promised) {
            return Err("memory");
        }
        let state = State {
            pieces: VecDeque::new(),
            first: Position::default(),
            held: 0,
            keeping,
            queued: 0,
            on_disk: 0,
            is_lost: false,
            end: End::Open,
            readers: Vec::new(),
        };
        let fill = Fill { state: Mutex::new(state), grown: Notify::new(), drained: Notify::new() };
        Ok(FillWriter {
            fill: Arc::new(fill),
            memory,
            chunks,
            gathered: Vec::new(),
            gathered_length: 0,
            chunk: BytesMut::new(),
            chunk_size: CHUNK_MIN,
            charge,
            promised,
            expected,
            written: 0,
        })
    }

    /// What readers attach to.
    pub fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// Octets of content so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Adds content: what has arrived at once becomes one piece, or one for each chunk of memory.
    pub fn push(&mut self, data: &[Bytes]) {
        for part in data {
            let mut part = &part[..];
            while !part.is_empty() {
                if self.chunk.capacity() == self.chunk.len() {
                    self.publish();
                    self.new_chunk(part.len());
                }
                let room = self.chunk.capacity() - self.chunk.len();
                let (now, rest) = part.split_at(part.len().min(room));
                self.chunk.extend_from_slice(now);
                part = rest;
            }
        }
        self.publish();
        self.choose_keeping();
    }

    /// Waits until there is room for more: when the disk is behind, when the content is not kept and a
    /// reader is, or when it is kept in memory, its end is not known, and all readers are. `Err`: nobody reads any more, and finishing for the store alone is not
    /// worth it. From then on nobody joins.
    pub async fn room(&mut self) -> Result<(), Aborted> {
        loop {
            let drained = self.fill.drained.notified();
            {
                let mut state = self.fill.lock();
                let is_kept = state.keeping != Keeping::Nothing;
                let goes_on = state.has_readers() || is_kept && self.is_worth_finishing();
                if !goes_on {
                    // Under the lock that a reader joins under: one that joined behind this look would
                    // wait for an origin that has not failed, and be told that it has.
                    state.end = End::Aborted;
                    return Err(Aborted);
                }
                let has_room = match state.keeping {
                    Keeping::Memory => !self.is_ahead_of_all(&state),
                    Keeping::Disk => !self.is_ahead_of_disk(&state),
                    Keeping::Nothing if self.memory.is_cramped() => state.held <= WINDOW_SHORT,
                    Keeping::Nothing => state.held <= WINDOW,
                };
                if has_room {
                    return Ok(());
                }
            }
            drained.await;
        }
    }

    /// Whether content only passes while memory is short: little should be read at a time.
    pub fn is_cramped(&self) -> bool {
        self.fill.lock().keeping == Keeping::Nothing && self.memory.is_cramped()
    }

    /// Whether anybody reads.
    pub fn has_readers(&self) -> bool {
        self.fill.lock().has_readers()
    }

    /// Waits until nobody reads.
    pub async fn unread(&self) {
        loop {
            let drained = self.fill.drained.notified();
            if !self.has_readers() {
                return;
            }
            drained.await;
        }
    }

    /// Whether [`FillWriter::room`] waits for the disk, and not for readers.
    pub fn waits_for_disk(&self) -> bool {
        let state = self.fill.lock();
        state.keeping == Keeping::Disk && self.is_ahead_of_disk(&state)
    }

    /// Whether [`FillWriter::room`] waits for readers of content that may have no end.
    pub fn waits_for_readers(&self) -> bool {
        let state = self.fill.lock();
        state.keeping == Keeping::Memory && self.is_ahead_of_all(&state)
    }

    /// Content of unknown length is not taken from its origin much faster than anybody wants it: a request
    /// whose client reads nothing would have all of the memory that one response may take, for nothing.
    fn is_ahead_of_all(&self, state: &State) -> bool {
        self.expected.is_none() && state.unread_by_all() > WINDOW
    }

    fn is_ahead_of_disk(&self, state: &State) -> bool {
        let unwritten_max = if self.memory.is_short() { UNWRITTEN_MAX_SHORT } else { UNWRITTEN_MAX };
        state.queued - state.on_disk >= unwritten_max
    }

    /// Gives the disk up, which has been behind for too long: what follows only passes.
    pub fn stop_keeping(&mut self) {
        self.charge.becomes(Use::Passing);
        let mut state = self.fill.lock();
        state.keeping = Keeping::Nothing;
        state.drop_taken();
    }

    /// Cuts off the readers that are behind: the others have waited for them long enough.
    pub fn leave_behind(&mut self) {
        let mut state = self.fill.lock();
        let newest = state.last().piece;
        for reader in &mut state.readers {
            if reader.is_some_and(|at| at.piece < newest) {
                *reader = None;
            }
        }
        state.drop_taken();
        drop(state);
        self.fill.grown.notify_waiters();
    }

    /// Ends the fill cleanly: all content was written.
    pub fn finish(mut self, trailers: Fields) -> Finished {
        self.queue_chunk();
        let mut state = self.fill.lock();
        state.end = End::Complete(trailers);
        let keeping = state.keeping;
        let is_in_memory = keeping == Keeping::Memory;
        let pieces: Vec<Bytes> =
            if is_in_memory { state.pieces.iter().cloned().collect() } else { Vec::new() };
        drop(state);
        self.fill.grown.notify_waiters();
        match keeping {
            Keeping::Memory => Finished::Kept(compact(pieces, self.written, &self.charge)),
            Keeping::Disk => Finished::Chunks(self.written),
            Keeping::Nothing => Finished::Passed(self.written),
        }
    }

    /// Sends content to the disk that is too large for a record, if the disk wants it; lets go
    /// what nothing can keep.
    fn choose_keeping(&mut self) {
        let keeping = self.fill.lock().keeping;
        let length_max = self.chunks.as_ref().map_or(0, |chunks| chunks.length_max());
        match keeping {
            Keeping::Memory if self.written > in_memory_max(&self.memory) => {
                // Asked once: when the content turns out to be large.
                let chunks = if self.expected.is_none() { self.chunks.as_ref() } else { None };
                if chunks.is_some_and(|chunks| chunks.admits(None).is_ok()) {
                    self.begin_chunks();
                } else if self.expected.is_none() {
                    self.chunks = None;
                }
            }
            Keeping::Disk if self.written > length_max => self.stop_keeping(),
            _ => {}
        }
        if self.fill.lock().keeping == Keeping::Memory && self.written > self.memory.object_max() {
            self.stop_keeping();
        }
    }

    fn begin_chunks(&mut self) {
        let mut state = self.fill.lock();
        state.keeping = Keeping::Disk;
        let pieces: Vec<Bytes> = state.pieces.iter().cloned().collect();
        drop(state);
        pieces.into_iter().for_each(|piece| self.gather(piece));
    }

    /// Adds a piece to the chunk that is being gathered.
    fn gather(&mut self, mut piece: Bytes) {
        while !piece.is_empty() {
            let room = CHUNK_LENGTH - self.gathered_length;
            let now = piece.split_to(piece.len().min(room as usize));
            self.gathered_length += now.len() as u64;
            self.gathered.push(now);
            if self.gathered_length == CHUNK_LENGTH {
                self.queue_chunk();
            }
        }
    }

    /// Queues what was gathered as a chunk.
    fn queue_chunk(&mut self) {
        let length = std::mem::take(&mut self.gathered_length);
        let body = std::mem::take(&mut self.gathered);
        let mut state = self.fill.lock();
        if state.keeping != Keeping::Disk || length == 0 {
            return;
        }
        let number = u32::try_from(state.queued / CHUNK_LENGTH);
        state.queued += length;
        let end = state.queued;
        drop(state);
        let fill = self.fill.clone();
        let done = Done(Box::new(move |is_there| fill.written(end, is_there)));
        let chunks = self.chunks.as_ref();
        let is_queued =
            number.is_ok_and(|number| chunks.is_some_and(|chunks| chunks.append(number, body, done)));
        if !is_queued {
            // Nothing of it comes to the disk: what is there ends before it.
            self.fill.lock().queued -= length;
            self.stop_keeping();
        }
    }

    fn publish(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        let piece = self.chunk.split().freeze();
        let length = piece.len() as u64;
        self.written += length;
        self.take(PIECE_COST);
        let piece = self.charge.cover(piece, length + PIECE_COST);
        let mut state = self.fill.lock();
        state.held += length;
        state.pieces.push_back(piece.clone());
        state.drop_taken();
        let goes_to_disk = state.keeping == Keeping::Disk;
        drop(state);
        self.fill.grown.notify_waiters();
        if goes_to_disk {
            self.gather(piece);
        }
    }

    /// Takes memory from the budget, as long as the content is kept. What only passes is within a window,
    /// and counted.
    fn take(&mut self, octets: u64) {
        let keeping = self.fill.lock().keeping;
        if keeping != Keeping::Nothing && self.memory.reserve_for(&self.charge, octets, self.promised > 0) {
            return;
        }
        // What goes to disk waits for it, and takes little meanwhile.
        if keeping == Keeping::Memory {
            self.stop_keeping();
        }
        self.charge.count(octets);
    }

    fn new_chunk(&mut self, at_least: usize) {
        let left = self.expected.map(|all| all.saturating_sub(self.written));
        let keeping = self.fill.lock().keeping;
        let is_kept = keeping != Keeping::Nothing;
        let size = match left.and_then(|left| usize::try_from(left).ok()) {
            Some(left) if left > 0 && is_kept => left.min(CHUNK_MAX),
            _ => self.chunk_size.max(at_least.min(CHUNK_MAX)),
        };
        self.chunk_size = (size * 2).clamp(CHUNK_MIN, CHUNK_MAX);
        let is_there = is_kept && self.memory.reserve_for(&self.charge, size as u64, self.promised > 0);
        if !is_there && keeping == Keeping::Memory {
            self.stop_keeping();
        }
        // While memory is short, pieces are small: they go one by one.
        let size = if !is_there && self.memory.is_cramped() { size.min(CHUNK_MIN) } else { size };
        if !is_there {
            self.charge.count(size as u64);
        }
        self.chunk = match size {
            CHUNK_MAX => self.memory.budget().pieces().take(),
            size => BytesMut::with_capacity(size),
        };
    }

    /// Whether a fill that nobody reads is worth going on with for the store's sake: when little is
    /// missing, or less than was fetched already. Both limits are arbitrary. Content of unknown length
    /// may have no end.
    pub fn is_worth_finishing(&self) -> bool {
        self.expected.is_some_and(|all| all.saturating_sub(self.written) <= WINDOW.max(self.written))
    }
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        self.memory.withdraw(self.promised);
        let mut state = self.fill.lock();
        if matches!(state.end, End::Open) {
            state.end = End::Aborted;
        }
        drop(state);
        self.fill.grown.notify_waiters();
    }
}

/// Larger content goes to disk as it comes, if it may, in octets.
fn in_memory_max(memory: &Memory) -> u64 {
    memory.object_max().min(CHUNK_LENGTH)
}

/// Content without waste: pieces that are many for what they hold, or that stand in memory far
/// larger than they are, are copied into exact ones.
fn compact(pieces: Vec<Bytes>, length: u64, charge: &Arc<Charge>) -> StoredContent {
    const PIECE_MIN: u64 = 4 * 1024;
    let is_exact = charge.bytes().saturating_sub(length) <= length / 8;
    let is_coarse = pieces.len() as u64 * PIECE_MIN <= length || pieces.len() <= 1;
    if is_exact && is_coarse {
        return StoredContent::covered(pieces, charge.clone());
    }
    // Readers may still hold the pieces.
    charge.becomes(Use::Pinned);
    let whole = Bytes::from(pieces.concat().into_boxed_slice());
    StoredContent::new(if whole.is_empty() { Vec::new() } else { vec![whole] })
}
