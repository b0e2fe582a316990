//! The queue between the requests' threads and the one writer: bytes of whole lines, bounded.
//!
//! Law: the lock is held to copy one line in or to swap a buffer out, never during a system call,
//! so that a request waits for other requests' copies at most. A plain mutex is right for that:
//! a line takes it for some 50 ns. What is queued and what is being written count together
//! against the limit; a line that does not fit is dropped whole and counted.
//!
//! The writer is woken twice a batch, not once a line: at the first line it begins to linger, and
//! when a batch is full it stops lingering. A wake costs more than the whole line otherwise.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::Timestamp;

/// The most bytes that wait or are being written: some 20,000 lines, or a fifth of a second at
/// full load. Arbitrary; it bounds the memory that a stalled disk can take.
pub(super) const BYTES_MAX: usize = 4 * 1024 * 1024;
/// A batch is written as soon as it is this long.
const BATCH_BYTES: usize = 64 * 1024;
/// How long a shorter batch waits for more lines. Short enough to follow the log by eye, long
/// enough that the writer costs a busy core nothing.
const LINGER: Duration = Duration::from_millis(200);
/// How long closing waits for the writer.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// See the file's header.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Tells the writer that there is something to do, and those who close that it is done.
    changed: Condvar,
    bytes_max: usize,
}

#[derive(Debug)]
struct State {
    lines: Vec<u8>,
    /// How many lines those are.
    count: u64,
    /// Bytes that the writer has taken and not yet written.
    writing: usize,
    /// The time of the newest record.
    latest: Timestamp,
    /// A wish to reopen the file, behind so many bytes of `lines`.
    reopen_at: Option<usize>,
    stage: Stage,
    counters: LogCounters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// No more lines are taken; the writer writes the rest.
    Closing,
    /// The writer is gone.
    Closed,
}

/// What became of the lines since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// Lines written in full.
    pub written: u64,
    /// Lines dropped because the queue was full, or closed.
    pub dropped: u64,
    /// Lines lost because they could not be written.
    pub failed: u64,
}

/// What the writer takes at a time.
#[derive(Debug)]
pub(super) struct Batch {
    /// Whole lines.
    pub(super) lines: Vec<u8>,
    /// How many.
    pub(super) count: u64,
    /// Where in `lines` to reopen the file.
    pub(super) reopen_at: Option<usize>,
    /// The time of the newest record.
    pub(super) latest: Timestamp,
    /// Lines dropped since the start.
    pub(super) dropped: u64,
}

impl Queue {
    /// An empty queue that holds so many bytes at most.
    pub(super) fn new(bytes_max: usize) -> Queue {
        let state = State {
            lines: Vec::new(),
            count: 0,
            writing: 0,
            latest: Timestamp(0),
            reopen_at: None,
            stage: Stage::Open,
            counters: LogCounters::default(),
        };
        Queue { state: Mutex::new(state), changed: Condvar::new(), bytes_max }
    }

    /// Adds a line, or drops and counts it.
    pub(super) fn push(&self, line: &[u8], time: Timestamp) {
        let mut state = self.lock();
        let before = state.lines.len();
        if state.stage != Stage::Open || before + state.writing + line.len() > self.bytes_max {
            state.counters.dropped += 1;
            return;
        }
        state.lines.extend_from_slice(line);
        state.count += 1;
        state.latest = state.latest.max(time);
        let full = before < BATCH_BYTES && state.lines.len() >= BATCH_BYTES;
        drop(state);
        if before == 0 || full {
            self.changed.notify_all();
        }
    }

    /// Wishes for a reopening behind the lines that are queued now. A wish that is already there
    /// stays where it is: one reopening fulfils both.
    pub(super) fn reopen(&self) {
        let mut state = self.lock();
        let here = state.lines.len();
        state.reopen_at.get_or_insert(here);
        drop(state);
        self.changed.notify_all();
    }

    /// Takes no more lines, and waits so long at most until the writer is through.
    pub(super) fn close(&self, wait: Duration) {
        let mut state = self.lock();
        if state.stage == Stage::Open {
            state.stage = Stage::Closing;
            self.changed.notify_all();
        }
        let waited = self.changed.wait_timeout_while(state, wait, |state| state.stage != Stage::Closed);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            let bytes = state.lines.len() + state.writing;
            drop(state);
            tracing::warn!(bytes, "the access log is incomplete: it could not be written in time");
        }
    }

    pub(super) fn counters(&self) -> LogCounters {
        self.lock().counters
    }

    /// For the writer: the next batch, put into `spare`'s memory; `None` when the log is closed
    /// and all is written.
    pub(super) fn take(&self, spare: Vec<u8>) -> Option<Batch> {
        let idle = |state: &mut State| state.stage == Stage::Open && state.reopen_at.is_none();
        let state = self
            .changed
            .wait_while(self.lock(), |state| state.lines.is_empty() && idle(state))
            .unwrap_or_else(PoisonError::into_inner);
        let lingered = self
            .changed
            .wait_timeout_while(state, LINGER, |state| state.lines.len() < BATCH_BYTES && idle(state));
        let (mut state, _) = lingered.unwrap_or_else(PoisonError::into_inner);
        if state.lines.is_empty() && state.reopen_at.is_none() && state.stage == Stage::Closing {
            return None;
        }
        let lines = std::mem::replace(&mut state.lines, spare);
        state.writing = lines.len();
        let count = std::mem::take(&mut state.count);
        let reopen_at = state.reopen_at.take();
        Some(Batch { lines, count, reopen_at, latest: state.latest, dropped: state.counters.dropped })
    }

    /// For the writer: what became of the batch it took last.
    pub(super) fn taken_is_written(&self, written: u64, failed: u64) {
        let mut state = self.lock();
        state.writing = 0;
        state.counters.written += written;
        state.counters.failed += failed;
    }

    /// For the writer: its last word.
    pub(super) fn closed(&self) {
        self.lock().stage = Stage::Closed;
        self.changed.notify_all();
    }

    /// The state is consistent between any two statements that can panic, so that a poisoned
    /// lock is as good as another.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_whole() {
        let queue = Queue::new(BATCH_BYTES + 10);
        queue.push(&[b'a'; BATCH_BYTES], Timestamp(1));
        queue.push(b"12345678901", Timestamp(2));
        queue.push(b"1234567890", Timestamp(3));
        queue.push(b"x", Timestamp(4));
        let batch = queue.take(Vec::new()).expect("lines");
        assert_eq!(batch.lines.len(), BATCH_BYTES + 10);
        assert!(batch.lines.ends_with(b"a1234567890"));
        assert_eq!((batch.dropped, batch.latest), (2, Timestamp(3)));

        // What is being written counts until it is written.
        queue.push(b"x", Timestamp(5));
        assert_eq!(queue.counters().dropped, 3);
        queue.taken_is_written(2, 0);
        queue.push(b"x", Timestamp(6));
        assert_eq!(queue.counters(), LogCounters { written: 2, dropped: 3, failed: 0 });
    }

    #[test]
    fn the_first_wish_to_reopen_counts() {
        let queue = Queue::new(100);
        queue.push(b"one\n", Timestamp(1));
        queue.reopen();
        queue.push(b"two\n", Timestamp(1));
        queue.reopen();
        let batch = queue.take(Vec::new()).expect("lines");
        assert_eq!((&batch.lines[..], batch.reopen_at), (&b"one\ntwo\n"[..], Some(4)));
    }

    #[test]
    fn closing_hands_out_the_rest_and_then_ends() {
        let queue = Queue::new(100);
        queue.push(b"one\n", Timestamp(1));
        queue.close(Duration::ZERO);
        queue.push(b"two\n", Timestamp(1));
        assert_eq!(queue.take(Vec::new()).expect("lines").lines, b"one\n");
        assert!(queue.take(Vec::new()).is_none());
        assert_eq!(queue.counters().dropped, 1);
    }
}
