//! Exchanges without an end of their own: tunnels, and content of unknown length. An octet now and then
//! would keep one for ever, and some are silent for hours for good reasons. So nothing ends them while
//! there is room, and they are the first to go when places are short.
//!
//! How far one is behind is the time that its octets have not paid for: [`RATE`] of them pay for a second,
//! and what was fast is no credit for later. Of all that are behind, the furthest of the client with most of
//! these exchanges goes first: so the many of one client never displace the few of another.
//!
//! Invariant: one that keeps its rate is never cut off.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::client_of;

/// Octets a second, in both directions together; as the defaults of the least rates.
const RATE: u64 = 100;
/// How far behind one is that may be cut off: as long as an ordinary connection may be silent.
const BEHIND_MS: u64 = 60_000;
/// How long nobody is looked for again after too few were found: a look is at all of them.
const REST_MS: u64 = 1_000;

/// The exchanges without an end that are under way.
#[derive(Debug, Default)]
pub struct OpenEnded {
    held: Mutex<Held>,
    cut: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    by_number: HashMap<u64, Arc<Entry>>,
    /// Those that were told to go and are still there.
    told: usize,
    rests_until_ms: u64,
}

#[derive(Debug)]
struct Entry {
    client: IpAddr,
    /// The time up to which its octets have paid.
    paid_until_ms: AtomicU64,
    is_told: AtomicBool,
    told: Notify,
}

/// One of these exchanges. Clones are the same one; dropping the last ends it.
#[derive(Clone, Debug)]
pub struct OpenEnd<'a>(Arc<Registered<'a>>);

#[derive(Debug)]
struct Registered<'a> {
    all: &'a OpenEnded,
    number: u64,
    entry: Arc<Entry>,
}

impl OpenEnded {
    /// One has begun at `now_ms`, on a clock that only moves forward.
    pub fn begin(&self, client: IpAddr, now_ms: u64) -> OpenEnd<'_> {
        let entry = Arc::new(Entry {
            client: client_of(client),
            paid_until_ms: AtomicU64::new(now_ms),
            is_told: AtomicBool::new(false),
            told: Notify::new(),
        });
        let mut held = self.lock();
        let number = held.next;
        held.next += 1;
        held.by_number.insert(number, entry.clone());
        OpenEnd(Arc::new(Registered { all: self, number, entry }))
    }

    /// Tells so many to go, as far as there are some that are behind.
    pub(super) fn make_room(&self, wanted: usize, now_ms: u64) {
        let mut held = self.lock();
        // Those that were told leave when their tasks run next.
        let wanted = wanted.saturating_sub(held.told);
        if wanted == 0 || now_ms < held.rests_until_ms {
            return;
        }
        let found = held.furthest_behind(wanted, now_ms);
        if found.len() < wanted {
            held.rests_until_ms = now_ms + REST_MS;
        }
        held.told += found.len();
        for entry in &found {
            entry.is_told.store(true, Ordering::Relaxed);
            entry.told.notify_waiters();
        }
        self.cut.fetch_add(found.len() as u64, Ordering::Relaxed);
    }

    /// How many were told to go so far.
    pub fn cuts(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // A table and numbers that are changed together without a panic between them.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// At most `wanted` that may be cut off, those first that go first.
    fn furthest_behind(&self, wanted: usize, now_ms: u64) -> Vec<Arc<Entry>> {
        let mut by_client: HashMap<IpAddr, Vec<(u64, &Arc<Entry>)>> = HashMap::new();
        for entry in self.by_number.values().filter(|entry| !entry.is_told.load(Ordering::Relaxed)) {
            by_client.entry(entry.client).or_default().push((entry.behind_ms(now_ms), entry));
        }
        let mut found = Vec::new();
        for mut of_client in by_client.into_values() {
            let mut left = of_client.len();
            of_client.retain(|(behind_ms, _)| *behind_ms > BEHIND_MS);
            of_client.sort_unstable_by_key(|(behind_ms, _)| Reverse(*behind_ms));
            // How many its client has when it goes: clients come down to the same number, whose comes next.
            for (behind_ms, entry) in of_client {
                found.push((left, behind_ms, entry));
                left -= 1;
            }
        }
        found.sort_unstable_by_key(|(left, behind_ms, _)| Reverse((*left, *behind_ms)));
        found.into_iter().take(wanted).map(|(_, _, entry)| entry.clone()).collect()
    }
}

impl Entry {
    fn behind_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.paid_until_ms.load(Ordering::Relaxed))
    }
}

impl OpenEnd<'_> {
    /// It has moved so many octets.
    pub fn moved(&self, octets: u64, now_ms: u64) {
        let paid_until_ms = &self.0.entry.paid_until_ms;
        let paid_for_ms = octets.saturating_mul(1000) / RATE;
        // Only its own task writes it.
        let paid = paid_until_ms.load(Ordering::Relaxed).saturating_add(paid_for_ms).min(now_ms);
        paid_until_ms.store(paid, Ordering::Relaxed);
    }

    /// Waits until it is told to go.
    pub async fn cut(&self) {
        let Entry { is_told, told, .. } = &*self.0.entry;
        loop {
            let telling = told.notified();
            if is_told.load(Ordering::Relaxed) {
                return;
            }
            telling.await;
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut held = self.all.lock();
        held.by_number.remove(&self.number);
        held.told -= usize::from(self.entry.is_told.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn told(of: &[OpenEnd<'_>]) -> Vec<usize> {
        let told = |one: &OpenEnd<'_>| one.0.entry.is_told.load(Ordering::Relaxed);
        of.iter().enumerate().filter(|(_, one)| told(one)).map(|(at, _)| at).collect()
    }

    #[test]
    fn the_furthest_behind_of_the_client_with_most_goes_first() {
        let all = OpenEnded::default();
        // The first of client 1 is the oldest of all; client 2 has three, of which the second is the oldest.
        let begun = [(1, 0), (2, 2), (2, 1), (2, 3), (3, 1)];
        let open: Vec<_> =
            begun.map(|(last, minute)| all.begin(client(last), minute * MINUTE)).into_iter().collect();
        for (wanted, expected) in [(1, &[2][..]), (2, &[1, 2]), (3, &[0, 1, 2]), (5, &[0, 1, 2, 3, 4])] {
            all.make_room(wanted, 10 * MINUTE);
            assert_eq!(told(&open), expected, "{wanted}");
        }
        assert_eq!(all.cuts(), 5);
        drop(open);
        let held = all.lock();
        assert_eq!((held.by_number.len(), held.told), (0, 0));
    }

    #[test]
    fn one_that_keeps_its_rate_stays() {
        // Octets a minute, and whether they are enough after ten of them.
        for (octets, stays) in [(0, false), (1, false), (5000, false), (6000, true), (1 << 30, true)] {
            let all = OpenEnded::default();
            let open = [all.begin(client(1), 0)];
            (1..=10).for_each(|minute| open[0].moved(octets, minute * MINUTE));
            all.make_room(1, 10 * MINUTE);
            assert_eq!(told(&open).is_empty(), stays, "{octets}");
        }
    }

    #[test]
    fn what_was_fast_is_no_credit_for_ever() {
        let all = OpenEnded::default();
        let open = [all.begin(client(1), 0)];
        open[0].moved(1 << 30, 0);
        all.make_room(1, MINUTE);
        assert!(told(&open).is_empty());
        all.make_room(1, 2 * MINUTE);
        assert_eq!(told(&open), [0]);
    }

    #[test]
    fn those_that_were_told_make_room_once() {
        let all = OpenEnded::default();
        let open: Vec<_> = (0..3).map(|_| all.begin(client(1), 0)).collect();
        (0..5).for_each(|_| all.make_room(1, 2 * MINUTE));
        assert_eq!(told(&open).len(), 1);
    }

    #[tokio::test]
    async fn one_that_was_told_hears_it_whenever_it_listens() {
        let all = OpenEnded::default();
        let open = all.begin(client(1), 0);
        all.make_room(1, 2 * MINUTE);
        open.cut().await;
        open.cut().await;
    }
}
