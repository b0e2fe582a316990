//! A gate that threads wait at until a test opens it: the barrier of scenarios.

use std::sync::{Arc, Condvar, Mutex};

use super::HANG_GUARD;

/// Closed at first; once open it stays open. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// How many have come to the gate so far.
    arrived: usize,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().open = true;
        changed.notify_all();
    }

    /// Waits until the gate is open.
    pub fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.arrived += 1;
        changed.notify_all();
        let (state, guard) = changed.wait_timeout_while(state, HANG_GUARD, |state| !state.open).unwrap();
        drop(state);
        assert!(!guard.timed_out(), "nobody opened a gate");
    }

    /// Waits until somebody has come to the gate.
    pub fn is_reached(&self) {
        self.is_reached_by(1);
    }

    /// Waits until so many have come to the gate.
    pub fn is_reached_by(&self, count: usize) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let arriving = |state: &mut State| state.arrived < count;
        let (state, guard) = changed.wait_timeout_while(state, HANG_GUARD, arriving).unwrap();
        assert!(!guard.timed_out(), "{} of {count} came to a gate", state.arrived);
    }
}
