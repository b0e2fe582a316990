//! Locks and atomics of the store: the standard library's, or shuttle's under `--cfg shuttle`.
//!
//! Shuttle runs a model under many schedules of its threads, one switch at each use of what is
//! named here (`tests/models/`). What the store takes from `std::sync` directly is no point where
//! a model may switch. Shuttle treats every atomic as sequentially consistent: an ordering that is
//! too weak is for review to find.

#[cfg(not(shuttle))]
pub use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, atomic};

#[cfg(shuttle)]
pub use shuttle::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, atomic};
