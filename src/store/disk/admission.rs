//! What the disk lets in: as long as there is room, anything; then what comes for a second time,
//! and of what comes first as much as the budget for writes has room for.
//!
//! Most responses are never asked for again, so a full disk that took each of them would only turn
//! itself over and wear out. A disk that is large for its traffic can afford them: its budget, its own
//! size in a day, is more than what comes, and it takes all. One that is small takes few: there
//! the second request tells what is worth a place (benches/eviction).

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::{CHUNK_MAX, Disk};

/// Up to here the disk takes anything, in hundredths of its size. Arbitrary.
const FREE_PERCENT: u64 = 80;
/// What is written in a day for responses that come first, as a share of the disk's size: what a
/// drive of ordinary endurance takes for years ("one drive write per day").
const SIZES_PER_DAY: u64 = 1;
const DAY_MS: u64 = 86_400_000;

/// Octets that may be written for what comes first, saved for a day at the most.
#[derive(Debug)]
pub(super) struct WriteBudget {
    per_day: u64,
    state: Mutex<Saved>,
}

#[derive(Debug)]
struct Saved {
    octets: u64,
    /// Until when it was filled, on the monotonic clock.
    filled_ms: u64,
}

impl WriteBudget {
    /// A full one for a disk of this size.
    pub fn new(size: u64, now_ms: u64) -> WriteBudget {
        let per_day = size.saturating_mul(SIZES_PER_DAY);
        WriteBudget { per_day, state: Mutex::new(Saved { octets: per_day, filled_ms: now_ms }) }
    }

    /// Takes so many octets, if there are as many.
    fn take(&self, octets: u64, now_ms: u64) -> bool {
        // No code panics between the halves of a change.
        let mut saved = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now_ms.saturating_sub(saved.filled_ms).min(DAY_MS);
        let gained = u128::from(self.per_day) * u128::from(passed) / u128::from(DAY_MS);
        // At most what a day brings. What is less than an octet is gained later.
        if gained > 0 {
            saved.octets = self.per_day.min(saved.octets.saturating_add(gained as u64));
            saved.filled_ms = now_ms;
        }
        let Some(left) = saved.octets.checked_sub(octets) else { return false };
        saved.octets = left;
        true
    }
}

impl Disk {
    /// Whether the disk wants something new under this key, of so many octets if that is known.
    pub fn admits(&self, key: u128, octets: Option<u64>) -> bool {
        let inner = &self.inner;
        let used = inner.used.load(Ordering::Relaxed);
        if used < inner.settings.size / 100 * FREE_PERCENT || inner.ghost.take(key) {
            return true;
        }
        // Content of unknown length is asked about when it turns out to be larger than a chunk.
        if inner.budget.take(octets.unwrap_or(CHUNK_MAX), inner.clock.monotonic_ms()) {
            return true;
        }
        inner.ghost.note(key);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_disk_a_day_and_saved_for_a_day() {
        let budget = WriteBudget::new(8640, 1000);
        assert!(budget.take(8000, 1000) && !budget.take(641, 1000) && budget.take(640, 1000));
        assert!(!budget.take(1, 1000 + 9_999), "an octet comes every ten seconds");
        assert!(budget.take(1, 1000 + 10_000) && !budget.take(1, 1000 + 10_000));
        assert!(!budget.take(8641, 1000 + 10 * DAY_MS), "nothing is saved beyond a day");
        assert!(budget.take(8640, 1000 + 10 * DAY_MS));
        assert!(!budget.take(1, 0) && budget.take(0, 0), "a clock that went back gains nothing");
    }

    #[test]
    fn many_small_steps_of_time_lose_nothing() {
        let budget = WriteBudget::new(8640, 0);
        assert!(budget.take(8640, 0));
        let taken = (0..=100_000).step_by(7).filter(|now_ms| budget.take(1, *now_ms)).count();
        assert_eq!(taken, 9, "one for each time that ten seconds were over when somebody asked");
    }
}
