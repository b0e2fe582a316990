//! Places of which there are only so many: connections, exchanges, connections to origins. Each has
//! somebody who takes it (a client, an origin), and nobody may take them all.
//!
//! A taker may have as many places as are still free ("dynamic thresholds", Choudhury and Hahne 1998):
//! alone it gets half of all, beside another greedy one a third, and whoever comes new finds a place.
//! Those with a few places notice nothing.
//!
//! Invariant: the numbers of all takers together are the total; one without places is not remembered.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places in all, and how many of them one taker may have.
#[derive(Debug)]
pub struct Places<K: Eq + Hash> {
    max: usize,
    per_taker_max: usize,
    sharing: Sharing,
    used: Mutex<Used<K>>,
    refused: [AtomicU64; 2],
}

#[derive(Debug)]
struct Used<K> {
    total: usize,
    by_taker: HashMap<K, usize>,
}

/// How much of what is there one taker may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// As much as is still free.
    Dynamic,
    /// Its number.
    Fixed,
}

/// One place; dropping it frees it.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    places: Arc<Places<K>>,
    taker: K,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    Total,
    /// This taker has its share.
    Share,
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Full::Total => "all",
            Full::Share => "this one's share",
        })
    }
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// `max` places, of which one taker may have its share, and `per_taker_max` at the most.
    pub fn new(max: usize, per_taker_max: usize) -> Arc<Places<K>> {
        Places::sharing(max, per_taker_max, Sharing::Dynamic)
    }

    /// The same, without a share: each may have its number. For takers that are no peers' own, as an
    /// origin, which one client could fill for all others.
    pub fn fixed(max: usize, per_taker_max: usize) -> Arc<Places<K>> {
        Places::sharing(max, per_taker_max, Sharing::Fixed)
    }

    fn sharing(max: usize, per_taker_max: usize, sharing: Sharing) -> Arc<Places<K>> {
        let used = Mutex::new(Used { total: 0, by_taker: HashMap::new() });
        Arc::new(Places { max, per_taker_max, sharing, used, refused: Default::default() })
    }

    /// Places there are.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Places that are taken.
    pub fn used(&self) -> usize {
        self.lock().total
    }

    /// How often there was no place: because all were taken, and because one had its share.
    pub fn refusals(&self) -> [(Full, u64); 2] {
        [Full::Total, Full::Share].map(|full| (full, self.refused(full).load(Ordering::Relaxed)))
    }

    /// A place for `taker`.
    pub fn take(self: &Arc<Places<K>>, taker: &K) -> Result<Place<K>, Full> {
        self.spare(taker).inspect_err(|full| {
            self.refused(*full).fetch_add(1, Ordering::Relaxed);
        })
    }

    /// As [`Places::take`], for what can do without: nobody is refused when there is none.
    pub fn spare(self: &Arc<Places<K>>, taker: &K) -> Result<Place<K>, Full> {
        self.lock().take(taker, self)?;
        Ok(Place { places: self.clone(), taker: taker.clone() })
    }

    /// Places that should become free, so that those who come next find some: none as long as more than
    /// one in 128 is.
    pub(super) fn wanted(&self) -> usize {
        let reserve = (self.max / 64).max(1);
        let free = self.max.saturating_sub(self.used());
        if free > reserve / 2 { 0 } else { reserve - free }
    }

    fn refused(&self, full: Full) -> &AtomicU64 {
        let [total, share] = &self.refused;
        match full {
            Full::Total => total,
            Full::Share => share,
        }
    }
}

impl<K: Eq + Hash> Places<K> {
    fn lock(&self) -> MutexGuard<'_, Used<K>> {
        // Numbers that are changed together without a panic between them.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Used<K> {
    fn take(&mut self, taker: &K, of: &Places<K>) -> Result<(), Full> {
        let free = of.max.saturating_sub(self.total);
        if free == 0 {
            return Err(Full::Total);
        }
        let own = self.by_taker.get(taker).copied().unwrap_or_default();
        if own >= of.per_taker_max || of.sharing == Sharing::Dynamic && own >= free {
            return Err(Full::Share);
        }
        self.by_taker.insert(taker.clone(), own + 1);
        self.total += 1;
        Ok(())
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut used = self.places.lock();
        used.total -= 1;
        if let Some(own) = used.by_taker.get_mut(&self.taker) {
            *own -= 1;
            if *own == 0 {
                used.by_taker.remove(&self.taker);
            }
        }
    }
}

/// Whom an address belongs to. An IPv6 client counts by its /64, which is what one machine is given.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(places: &Arc<Places<u8>>, taker: u8) -> Vec<Place<u8>> {
        std::iter::from_fn(|| places.take(&taker).ok()).collect()
    }

    #[test]
    fn nobody_takes_them_all() {
        let places = Places::new(60, 100);
        let greedy = fill(&places, 1);
        assert_eq!((greedy.len(), places.take(&1).err()), (30, Some(Full::Share)));
        let others: Vec<_> = (2..=4).map(|taker| fill(&places, taker)).collect();
        assert_eq!(others.iter().map(Vec::len).collect::<Vec<_>>(), [15, 8, 4]);
        // Whoever comes new finds a place, until there is none.
        let new: Vec<_> = (5..8).map(|taker| places.take(&taker).expect("a free place")).collect();
        assert_eq!(places.take(&9).err(), Some(Full::Total));
        assert_eq!(places.refusals(), [(Full::Total, 1), (Full::Share, 5)]);
        drop((greedy, others, new));
        assert_eq!(places.used(), 0);
        assert!(places.lock().by_taker.is_empty());
    }

    #[test]
    fn the_configured_number_is_the_most() {
        let places = Places::new(60, 2);
        assert_eq!(fill(&places, 1).len(), 2);
        assert_eq!(places.take(&1).map(drop), Ok(()));
    }

    #[test]
    fn some_are_wanted_when_hardly_any_is_left() {
        for (max, used, wanted) in
            [(1, 0, 0), (1, 1, 1), (8, 7, 0), (8, 8, 1), (640, 634, 0), (640, 635, 5), (640, 640, 10)]
        {
            let places = Places::fixed(max, max);
            let _taken: Vec<_> = (0..used).map(|_| places.take(&0)).collect();
            assert_eq!(places.wanted(), wanted, "{used} of {max}");
        }
    }

    #[test]
    fn who_can_do_without_is_not_refused() {
        let places = Places::new(1, 1);
        let _taken = places.take(&1);
        assert_eq!(places.spare(&2).err(), Some(Full::Total));
        assert_eq!(places.refusals(), [(Full::Total, 0), (Full::Share, 0)]);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let client = |text: &str| client_of(text.parse().expect("an address"));
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ff::2"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("::1"), client("::2"));
    }
}
