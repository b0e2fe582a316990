//! A response that is arriving: written once, read by all who asked for it, each at its own pace.
//!
//! While the content is *kept* (it will be stored), every piece stays and a slow reader holds
//! nobody back. Once the budget refuses to keep it, the fill *passes*: pieces that all readers
//! have taken are dropped, nobody new may join, and the writer waits when the slowest reader
//! falls [`WINDOW`] octets behind, so that memory stays bounded.
//!
//! Invariant: a reader sees a clean end only after the writer called [`FillWriter::finish`].
//! A writer that is dropped before that has aborted.
//!
//! The state's lock is a plain one: it is held for a few pointer moves and never across an await.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::memory::Memory;
use super::sync::{Arc, Mutex, MutexGuard, Notify, PoisonError};
use crate::http::Fields;

/// How far the slowest reader of a fill that is not kept may be behind, in octets.
const WINDOW: u64 = 1024 * 1024;
/// Sizes of the buffers that content is gathered in, in octets.
const CHUNK_MIN: usize = 16 * 1024;
const CHUNK_MAX: usize = 1024 * 1024;

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
    /// Index of the first piece that is still held.
    first: usize,
    /// Octets in `pieces`.
    held: u64,
    kept: bool,
    end: End,
    /// Index of the next piece of each reader; `None` is a free place.
    readers: Vec<Option<usize>>,
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
    Kept(Vec<Bytes>),
    /// It was too large, and has only passed.
    Passed,
}

impl Fill {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds this lock; its data would be whole even then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader from the first octet; `None` when octets are gone already or the fill has aborted.
    pub fn reader(self: &Arc<Fill>) -> Option<FillReader> {
        let mut state = self.lock();
        if state.first > 0 || !state.kept && state.held > 0 || matches!(state.end, End::Aborted) {
            return None;
        }
        let free = state.readers.iter().position(Option::is_none);
        let place = free.unwrap_or(state.readers.len());
        match state.readers.get_mut(place) {
            Some(slot) => *slot = Some(0),
            None => state.readers.push(Some(0)),
        }
        drop(state);
        Some(FillReader { fill: self.clone(), place })
    }
}

impl State {
    /// Drops pieces that every reader has taken; only of a fill that is not kept.
    fn drop_taken(&mut self) {
        if self.kept {
            return;
        }
        let slowest = self.readers.iter().flatten().min().copied().unwrap_or(self.first + self.pieces.len());
        while self.first < slowest {
            let Some(piece) = self.pieces.pop_front() else { return };
            self.held -= piece.len() as u64;
            self.first += 1;
        }
    }

    fn has_readers(&self) -> bool {
        self.readers.iter().any(Option::is_some)
    }
}

/// The writing end of a fill.
#[derive(Debug)]
pub struct FillWriter {
    fill: Arc<Fill>,
    memory: Arc<Memory>,
    /// Where content is gathered; full ones are never touched again.
    chunk: BytesMut,
    chunk_size: usize,
    /// Octets of memory taken from the budget.
    reserved: u64,
    /// Octets still to come, when the head told.
    expected: Option<u64>,
    written: u64,
}

impl FillWriter {
    /// A fill with nothing in it. `expected` is the content's length, if known.
    pub(super) fn new(memory: Arc<Memory>, expected: Option<u64>) -> FillWriter {
        let state = State {
            pieces: VecDeque::new(),
            first: 0,
            held: 0,
            kept: true,
            end: End::Open,
            readers: Vec::new(),
        };
        let fill = Fill { state: Mutex::new(state), grown: Notify::new(), drained: Notify::new() };
        FillWriter {
            fill: Arc::new(fill),
            memory,
            chunk: BytesMut::new(),
            chunk_size: CHUNK_MIN,
            reserved: 0,
            expected,
            written: 0,
        }
    }

    /// What readers attach to.
    pub fn fill(&self) -> &Arc<Fill> {
        &self.fill
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
        if self.written > self.memory.object_max() {
            self.stop_keeping();
        }
    }

    /// Waits until there is room for more: only when the fill is not kept and a reader is far
    /// behind. `Err`: nobody reads any more, and finishing for the store alone is not worth it.
    pub async fn room(&mut self) -> Result<(), Aborted> {
        loop {
            let drained = self.fill.drained.notified();
            {
                let state = self.fill.lock();
                let goes_on = state.has_readers() || state.kept && self.is_worth_finishing();
                if !goes_on {
                    return Err(Aborted);
                }
                if state.kept {
                    return Ok(());
                }
                if state.held <= WINDOW {
                    break;
                }
            }
            drained.await;
        }
        // Only now is what was kept so far out of memory.
        self.memory.release(std::mem::take(&mut self.reserved));
        Ok(())
    }

    /// Cuts off the readers that are behind: the others have waited for them long enough.
    pub fn leave_behind(&mut self) {
        let mut state = self.fill.lock();
        let newest = state.first + state.pieces.len();
        for reader in &mut state.readers {
            if reader.is_some_and(|next| next < newest) {
                *reader = None;
            }
        }
        state.drop_taken();
        drop(state);
        self.fill.grown.notify_waiters();
    }

    /// Ends the fill cleanly: all content was written.
    pub fn finish(mut self, trailers: Fields) -> Finished {
        let mut state = self.fill.lock();
        state.end = End::Complete(trailers);
        let kept = state.kept;
        let pieces: Vec<Bytes> = if kept { state.pieces.iter().cloned().collect() } else { Vec::new() };
        drop(state);
        self.fill.grown.notify_waiters();
        let reserved = std::mem::take(&mut self.reserved);
        // From here on the store accounts for what it holds.
        self.memory.release(reserved);
        if kept { Finished::Kept(compact(pieces, self.written, reserved)) } else { Finished::Passed }
    }

    fn publish(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        let piece = self.chunk.split().freeze();
        self.written += piece.len() as u64;
        self.take(size_of::<Bytes>() as u64);
        let mut state = self.fill.lock();
        state.held += piece.len() as u64;
        state.pieces.push_back(piece);
        state.drop_taken();
        drop(state);
        self.fill.grown.notify_waiters();
    }

    /// Takes memory from the budget, for as long as the content is kept.
    fn take(&mut self, octets: u64) {
        if !self.fill.lock().kept {
            return;
        }
        self.reserved += octets;
        if !self.memory.reserve(octets) {
            self.stop_keeping();
        }
    }

    fn new_chunk(&mut self, at_least: usize) {
        let left = self.expected.map(|all| all.saturating_sub(self.written));
        let size = match left.and_then(|left| usize::try_from(left).ok()) {
            Some(left) if left > 0 => left.min(CHUNK_MAX),
            _ => self.chunk_size.max(at_least.min(CHUNK_MAX)),
        };
        self.chunk_size = (size * 2).clamp(CHUNK_MIN, CHUNK_MAX);
        self.chunk = BytesMut::with_capacity(size);
        self.take(size as u64);
    }

    fn stop_keeping(&mut self) {
        let mut state = self.fill.lock();
        state.kept = false;
        state.drop_taken();
    }

    /// Whether a fill that nobody reads goes on for the store's sake: when little is missing,
    /// or less than was fetched already. Both limits are arbitrary.
    fn is_worth_finishing(&self) -> bool {
        match self.expected {
            Some(all) => all.saturating_sub(self.written) <= WINDOW.max(self.written),
            None => true,
        }
    }
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        self.memory.release(self.reserved);
        let mut state = self.fill.lock();
        if matches!(state.end, End::Open) {
            state.end = End::Aborted;
        }
        drop(state);
        self.fill.grown.notify_waiters();
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
        let next = state.readers.get(self.place).copied().flatten().unwrap_or(0);
        next < state.first + state.pieces.len() || !matches!(state.end, End::Open)
    }

    /// Appends the next pieces, as many as are there; true when they were the last ones.
    pub async fn next(&mut self, pieces: &mut Vec<Bytes>) -> Result<bool, Aborted> {
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

    fn take(&self, pieces: &mut Vec<Bytes>) -> Option<Result<bool, Aborted>> {
        let mut state = self.fill.lock();
        // A place that was taken away: this reader was too slow.
        let Some(next) = state.readers.get(self.place).copied().flatten() else { return Some(Err(Aborted)) };
        let before = pieces.len();
        pieces.extend(state.pieces.iter().skip(next - state.first).take(PIECES_MAX).cloned());
        let taken = next + pieces.len() - before;
        let all_taken = taken == state.first + state.pieces.len();
        let result = match state.end {
            End::Complete(_) if all_taken => Ok(true),
            End::Aborted if taken == next => Err(Aborted),
            End::Open if taken == next => return None,
            _ => Ok(false),
        };
        if let Some(slot) = state.readers.get_mut(self.place) {
            *slot = Some(taken);
        }
        state.drop_taken();
        drop(state);
        self.fill.drained.notify_waiters();
        Some(result)
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

/// Content without waste: pieces that are many for what they hold, or that stand in memory far
/// larger than they are, are copied into exact ones.
fn compact(pieces: Vec<Bytes>, length: u64, reserved: u64) -> Vec<Bytes> {
    const PIECE_MIN: u64 = 4 * 1024;
    let is_exact = reserved.saturating_sub(length) <= length / 8;
    let is_coarse = pieces.len() as u64 * PIECE_MIN <= length || pieces.len() <= 1;
    if is_exact && is_coarse {
        return pieces;
    }
    let whole = Bytes::from(pieces.concat().into_boxed_slice());
    if whole.is_empty() { Vec::new() } else { vec![whole] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(limit: u64, expected: Option<u64>) -> FillWriter {
        FillWriter::new(Arc::new(Memory::new(limit, limit, 1)), expected)
    }

    async fn write(writer: &mut FillWriter, data: &[u8]) -> Result<(), Aborted> {
        writer.push(&[Bytes::copy_from_slice(data)]);
        writer.room().await
    }

    async fn read_all(mut reader: FillReader) -> Result<Vec<u8>, Aborted> {
        let (mut all, mut pieces) = (Vec::new(), Vec::new());
        loop {
            let done = reader.next(&mut pieces).await?;
            all.extend(std::mem::take(&mut pieces).concat());
            if done {
                return Ok(all);
            }
        }
    }

    #[tokio::test]
    async fn readers_that_join_at_any_time_see_everything() {
        let mut writer = fill(1 << 30, None);
        let early = writer.fill().reader().expect("an open fill");
        for part in 0..100u8 {
            write(&mut writer, &[part; 1000]).await.expect("read");
        }
        let late = writer.fill().reader().expect("an open fill");
        let all = tokio::spawn(async move { (read_all(early).await, read_all(late).await) });
        let Finished::Kept(pieces) = writer.finish(Fields::default()) else { panic!("within its budget") };
        let (early, late) = all.await.expect("no panic");
        assert_eq!(pieces.concat().len(), 100_000);
        assert_eq!(early.as_deref(), Ok(&pieces.concat()[..]));
        assert_eq!(late, early);
    }

    #[tokio::test]
    async fn a_dropped_writer_never_looks_complete() {
        let mut writer = fill(1 << 30, Some(10));
        let reader = writer.fill().reader().expect("an open fill");
        write(&mut writer, b"hello").await.expect("read");
        drop(writer);
        assert_eq!(read_all(reader).await, Err(Aborted));
    }

    #[tokio::test]
    async fn beyond_the_budget_it_passes_within_a_window() {
        let mut writer = fill(64 * 1024, None);
        let reader = writer.fill().reader().expect("an open fill");
        let reading = tokio::spawn(read_all(reader));
        for _ in 0..64 {
            write(&mut writer, &[7; 128 * 1024]).await.expect("read");
            assert!(writer.fill().lock().held <= WINDOW + 128 * 1024);
        }
        assert!(writer.fill().reader().is_none(), "too late to join");
        assert!(matches!(writer.finish(Fields::default()), Finished::Passed));
        assert_eq!(reading.await.expect("no panic").map(|all| all.len()), Ok(64 * 128 * 1024));
    }

    #[tokio::test]
    async fn nobody_reading_ends_a_fill_unless_it_is_nearly_done() {
        let mut small = fill(1 << 30, Some(1000));
        drop(small.fill().reader());
        assert_eq!(write(&mut small, &[0; 10]).await, Ok(()));
        let mut large = fill(1 << 30, Some(100 << 20));
        drop(large.fill().reader());
        assert_eq!(write(&mut large, &[0; 10]).await, Err(Aborted));
    }

    #[tokio::test]
    async fn what_a_fill_reserves_comes_back() {
        let memory = Arc::new(Memory::new(1 << 20, 1 << 20, 1));
        let mut writer = FillWriter::new(memory.clone(), None);
        let reader = writer.fill().reader();
        write(&mut writer, &[0; 100_000]).await.expect("read");
        assert!(memory.usage().filling_bytes >= 100_000);
        drop((reader, writer));
        assert_eq!(memory.usage().filling_bytes, 0);
    }

    #[tokio::test]
    async fn a_reader_that_holds_the_others_is_left_behind() {
        let mut writer = fill(64 * 1024, None);
        let (slow, quick) = (writer.fill().reader(), writer.fill().reader());
        let (mut slow, quick) = (slow.expect("an open fill"), quick.expect("an open fill"));
        let reading = tokio::spawn(read_all(quick));
        while writer.fill().lock().held <= WINDOW {
            writer.push(&[Bytes::from(vec![7; 128 * 1024])]);
            tokio::task::yield_now().await;
        }
        writer.leave_behind();
        writer.room().await.expect("the quick one reads on");
        writer.finish(Fields::default());
        assert!(reading.await.expect("no panic").is_ok());
        assert_eq!(slow.next(&mut Vec::new()).await, Err(Aborted));
    }

    #[tokio::test]
    async fn many_tiny_pieces_are_accounted_for_and_stored_as_one() {
        let memory = Arc::new(Memory::new(1 << 20, 1 << 20, 1));
        let mut writer = FillWriter::new(memory.clone(), None);
        let reader = writer.fill().reader();
        for _ in 0..5_000 {
            write(&mut writer, b"x").await.expect("read");
        }
        assert!(memory.usage().filling_bytes >= 5_000 * size_of::<Bytes>() as u64);
        let Finished::Kept(pieces) = writer.finish(Fields::default()) else { panic!("within its budget") };
        assert_eq!((pieces.len(), pieces.concat().len()), (1, 5_000));
        drop(reader);
    }
}
