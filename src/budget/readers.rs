//! Readers that wait for their clients while they hold memory. Only a reader that can't write at once
//! is here: one whose client keeps up never takes this lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The readers that wait now.
#[derive(Debug, Default)]
pub struct SlowReaders {
    waiting: Mutex<Vec<Arc<Waiting>>>,
    cut: std::sync::atomic::AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    bytes: u64,
    since_ms: u64,
    told: Notify,
}

/// One reader's wait; dropping it ends the wait.
#[derive(Debug)]
pub struct Reading<'a> {
    readers: &'a SlowReaders,
    waiting: Arc<Waiting>,
}

impl SlowReaders {
    /// A reader that holds `bytes` has begun to wait for its client at `now_ms`, on a clock that only
    /// moves forward.
    pub fn wait(&self, bytes: u64, now_ms: u64) -> Reading<'_> {
        let waiting = Arc::new(Waiting { bytes, since_ms: now_ms, told: Notify::new() });
        self.lock().push(waiting.clone());
        Reading { readers: self, waiting }
    }

    /// Tells readers to go until they have held `bytes` together: the ones that hold most for longest
    /// first.
    pub fn cut(&self, bytes: u64) {
        let mut waiting = self.lock();
        // As seen from the youngest: a clock is not needed to compare them.
        let now_ms = waiting.iter().map(|one| one.since_ms).max().unwrap_or_default();
        let weight = |one: &Waiting| u128::from(one.bytes) * u128::from(now_ms - one.since_ms + 1);
        waiting.sort_by_key(|one| weight(one));
        let mut freed = 0;
        while freed < bytes
            && let Some(slowest) = waiting.pop()
        {
            freed += slowest.bytes;
            slowest.told.notify_one();
            self.cut.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// How many were told to go so far.
    pub fn cuts(&self) -> u64 {
        self.cut.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Waiting>>> {
        // A list that is changed by calls that don't panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading<'_> {
    /// Waits until this reader is told to go.
    pub async fn cut(&self) {
        self.waiting.told.notified().await;
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.readers.lock().retain(|one| !Arc::ptr_eq(one, &self.waiting));
    }
}
