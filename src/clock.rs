//! The one clock. Every rule that depends on time gets it from here, so that a test can hold it
//! still or move it; nothing else in Larder asks the system for the time.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use crate::http::Timestamp;

/// A source of wall-clock time, monotonic time and delays.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System {
        start: Instant,
    },
    Manual {
        now_ms: Mutex<u64>,
        /// By how much the wall clock alone was set back.
        set_back_ms: AtomicU64,
        moved: Notify,
    },
}

/// A wait that took longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub struct TimedOut;

impl Clock {
    /// The system's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub fn system() -> Clock {
        Clock(Arc::new(Source::System { start: Instant::now() }))
    }

    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn manual(now: Timestamp) -> Clock {
        Clock(Arc::new(Source::Manual {
            now_ms: Mutex::new(now.0 * 1000),
            set_back_ms: AtomicU64::new(0),
            moved: Notify::new(),
        }))
    }

    /// Moves a manual clock forward and ends the waits that are due. Does nothing to the
    /// system's clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { now_ms, moved, .. } = &*self.0 {
            *lock(now_ms) += u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            moved.notify_waiters();
        }
    }

    /// Sets the wall clock of a manual clock back, as when a wrong time is corrected. Waits go on.
    /// Does nothing to the system's clock.
    pub fn set_back(&self, by: Duration) {
        if let Source::Manual { set_back_ms, .. } = &*self.0 {
            set_back_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Now, in whole seconds.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.now_ms() / 1000)
    }

    /// Now, in milliseconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub fn now_ms(&self) -> u64 {
        match &*self.0 {
            Source::System { .. } => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let since = since.unwrap_or_else(|_before_1970| {
                    tell_wrong_clock();
                    Duration::ZERO
                });
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
            Source::Manual { now_ms, set_back_ms, .. } => {
                lock(now_ms).saturating_sub(set_back_ms.load(Ordering::Relaxed))
            }
        }
    }

    /// Milliseconds that only move forward, from an arbitrary start: for durations.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub fn monotonic_ms(&self) -> u64 {
        match &*self.0 {
            Source::System { start } => u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            Source::Manual { now_ms, .. } => *lock(now_ms),
        }
    }

    /// Waits for so long.
    pub async fn sleep(&self, duration: Duration) {
        match &*self.0 {
            Source::System { .. } => tokio::time::sleep(duration).await,
            Source::Manual { now_ms, moved, .. } => {
                let due = *lock(now_ms) + u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                loop {
                    let next_move = moved.notified();
                    if *lock(now_ms) >= due {
                        return;
                    }
                    next_move.await;
                }
            }
        }
    }

    /// What `future` gives, unless it takes longer than `limit`. A future that is ready at once
    /// costs no timer.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, TimedOut> {
        let mut future = std::pin::pin!(future);
        let first =
            std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await;
        if let std::task::Poll::Ready(output) = first {
            return Ok(output);
        }
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.sleep(limit) => Err(TimedOut),
        }
    }
}

/// Certificates are not valid yet at such a time, and say so one by one; this says why, once.
fn tell_wrong_clock() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| tracing::error!("the system's clock is before 1970: set it, and restart Larder"));
}

fn lock(now_ms: &Mutex<u64>) -> MutexGuard<'_, u64> {
    // A number is never half-written: a poisoned lock still holds a good one.
    now_ms.lock().unwrap_or_else(PoisonError::into_inner)
}
