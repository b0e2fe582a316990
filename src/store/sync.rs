//! Locks, atomics and wake-ups of the store: those of the standard library and of tokio, or of
//! shuttle under `--cfg shuttle`.
//!
//! Shuttle runs a model under many schedules of its threads, one switch at each use of what is
//! named here (`tests/models/`). What the store takes from elsewhere is no point where a model may
//! switch, and what happens there is not explored. Shuttle treats every atomic as sequentially
//! consistent: an ordering that is too weak is for review to find.

#[cfg(not(shuttle))]
pub use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, atomic};
#[cfg(not(shuttle))]
pub use tokio::sync::Notify;

#[cfg(shuttle)]
pub use explored::Notify;
#[cfg(shuttle)]
pub use shuttle::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, atomic};

#[cfg(shuttle)]
mod explored {
    use shuttle::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::futures::Notified;

    /// tokio's `Notify`, with a switch before each call: what is within a call is one step, which
    /// tokio explores itself.
    #[derive(Debug, Default)]
    pub struct Notify {
        inner: tokio::sync::Notify,
        switch: AtomicBool,
    }

    impl Notify {
        pub fn new() -> Notify {
            Notify::default()
        }

        pub fn notified(&self) -> Notified<'_> {
            self.switch();
            self.inner.notified()
        }

        pub fn notify_waiters(&self) {
            self.switch();
            self.inner.notify_waiters();
        }

        /// Any use of an atomic is a point where shuttle may switch.
        fn switch(&self) {
            self.switch.store(true, Ordering::SeqCst);
        }
    }
}
