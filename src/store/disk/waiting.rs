//! Waiting for what is queued for a disk, and for how long.
//!
//! Invariant: who waits for a client has a limit. When it has passed, the disk is *behind* until it has
//! written all that was queued by then, and meanwhile nobody waits for it again.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::queue::{Queue, Queued, Withdrawal};
use super::record::Record;
use super::{Disk, Inner};
use crate::clock::Clock;

/// How long one look-up waits for records that are being written; arbitrary. After that it is a miss.
pub const SETTLE_MAX: Duration = Duration::from_secs(1);

/// Where the last record of a key is: as long as this stays the same, so does what the key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Nowhere,
    /// On its way to the device.
    Queued(Queued),
    At {
        slot: u32,
        offset: u32,
    },
    /// In a file, perhaps, and not to be read any more.
    Hidden,
}

/// What has become of a queued record, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is written, so that a kill does not undo it; or it is a removal, and a restart finds nothing.
    Written,
    /// The disk is behind: it will be written, in its turn.
    Late,
    /// It can't be written, and a restart may find what it was to remove.
    Lost,
}

impl Disk {
    /// Where the last record of a key is.
    pub fn position(&self, key: u128) -> Position {
        let queue = self.inner.lock_queue();
        match (queue.latest.get(&key), self.inner.index.find(key)) {
            (Some((queued, _record)), _) => Position::Queued(*queued),
            _ if queue.hidden.contains(&key) => Position::Hidden,
            (None, Some(place)) => Position::At { slot: place.slot, offset: place.offset },
            (None, None) => Position::Nowhere,
        }
    }

    /// The last record of a key, as far as it can be read: without its body while it is on its way. It
    /// is no use of the record, and waits for the device.
    pub fn latest(&self, key: u128) -> Option<Record> {
        let queued = self.inner.lock_queue().latest.get(&key).map(|(_queued, record)| record.clone());
        queued.or_else(|| self.peek(key))
    }

    /// Waits until nothing of this key is on its way to the device, so that it can be read; at most
    /// for what is left of `patience`, which becomes less by it, and not for a disk that is behind.
    /// False: something is on its way yet, and what can be read is older than that.
    pub fn settle(&self, key: u128, patience: &mut Duration) -> bool {
        let queue = self.inner.lock_queue();
        if !queue.is_under_way(key) {
            return true;
        }
        let clock = &self.inner.clock;
        let since_ms = clock.monotonic_ms();
        let is_worth_waiting = |queue: &mut Queue| queue.is_under_way(key) && !queue.is_behind();
        let waited = self.inner.done.wait_timeout_while(queue, *patience, is_worth_waiting);
        let (queue, ended) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_settled = !queue.is_under_way(key);
        drop(queue);
        let spent = Duration::from_millis(clock.monotonic_ms().saturating_sub(since_ms));
        *patience = if ended.timed_out() { Duration::ZERO } else { patience.saturating_sub(spent) };
        is_settled
    }

    /// Waits until what was queued is written, so that a crash of this process doesn't undo it; of a
    /// removal that can't be written, until a restart finds nothing. False: neither can be done. It
    /// waits for as long as the disk takes: it is not for exchanges.
    pub fn wait(&self, queued: Queued) -> bool {
        let mut queue = self.inner.lock_queue();
        loop {
            if let Some(fate) = queue.fate(queued) {
                return fate == Fate::Written;
            }
            queue = self.inner.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same without a thread; ends at once while the disk is known to be behind.
    pub async fn through(&self, queued: Queued) {
        loop {
            let advanced = self.inner.advanced.notified();
            {
                let queue = self.inner.lock_queue();
                if queue.fate(queued).is_some() || queue.is_behind() {
                    return;
                }
            }
            advanced.await;
        }
    }

    /// What has become of a removal by now, after which nobody waits for it any more. One that waits
    /// yet is counted, and until the disk has caught up nobody waits for other removals either.
    pub fn give_up_waiting(&self, queued: Queued) -> Fate {
        let mut queue = self.inner.lock_queue();
        queue.fate(queued).unwrap_or_else(|| {
            if !queue.is_behind() {
                queue.behind_until = queue.queued;
                // Who waits for the same disk waits no longer.
                self.inner.tell_waiting();
            }
            self.inner.late_removals.fetch_add(1, Ordering::Relaxed);
            Fate::Late
        })
    }

    /// The clock that waits for this disk go by.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }
}

impl Inner {
    /// Wakes all who wait for something to be written: it was, or it can't be.
    pub(super) fn tell_waiting(&self) {
        self.done.notify_all();
        self.advanced.notify_waiters();
    }
}

impl Queue {
    /// What has become of a record; `None` while that is open.
    fn fate(&self, queued: Queued) -> Option<Fate> {
        if self.finished >= queued.number {
            return Some(Fate::Written);
        }
        self.read_only.as_ref()?;
        match self.withdrawal {
            _ if !queued.is_removal => Some(Fate::Lost),
            Withdrawal::Done => Some(Fate::Written),
            Withdrawal::Failed => Some(Fate::Lost),
            Withdrawal::NotNeeded => None,
        }
    }

    /// Whether something is on its way that can be read when it is there. While a removal is on its
    /// way nothing is read anyhow.
    fn is_under_way(&self, key: u128) -> bool {
        let count = |counts: &HashMap<u128, u32>| counts.get(&key).copied().unwrap_or_default();
        count(&self.keys) > count(&self.removing)
    }

    /// Whether somebody has waited too long for the disk, and it has not caught up since.
    fn is_behind(&self) -> bool {
        self.finished < self.behind_until
    }
}
