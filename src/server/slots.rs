//! How many clients may be connected: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections there are.
#[derive(Debug)]
pub(super) struct Slots {
    max: usize,
    per_client_max: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// One connection's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    client: IpAddr,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Total,
    Client,
}

impl Slots {
    pub(super) fn new(max: usize, per_client_max: usize) -> Slots {
        Slots { max, per_client_max, used: Mutex::default() }
    }

    pub(super) fn used(&self) -> usize {
        self.lock().total
    }

    /// A place for a connection from `client`. An IPv6 client counts by its /64, which is what
    /// one machine is given.
    pub(super) fn take(self: &Arc<Slots>, client: IpAddr) -> Result<Slot, Full> {
        let client = match client.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into())
            }
            other => other,
        };
        let mut used = self.lock();
        if used.total >= self.max {
            return Err(Full::Total);
        }
        let of_client = used.by_client.entry(client).or_default();
        if *of_client >= self.per_client_max {
            return Err(Full::Client);
        }
        *of_client += 1;
        used.total += 1;
        Ok(Slot { slots: self.clone(), client })
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // Two numbers that are changed together without a panic between them.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut used = self.slots.lock();
        used.total -= 1;
        if let Some(of_client) = used.by_client.get_mut(&self.client) {
            *of_client -= 1;
            if *of_client == 0 {
                used.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_client() {
        let slots = Arc::new(Slots::new(3, 2));
        let [one, two] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().expect("an address"));
        let held = [slots.take(one).expect("free"), slots.take(one).expect("free")];
        assert_eq!(slots.take(one).err(), Some(Full::Client));
        let other = slots.take(two).expect("free");
        assert_eq!(slots.take(two).err(), Some(Full::Total));
        drop((held, other));
        assert_eq!(slots.used(), 0);
        assert!(slots.lock().by_client.is_empty());
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let slots = Arc::new(Slots::new(9, 1));
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        let held = slots.take(parse("2001:db8:1:2::1")).expect("free");
        assert_eq!(slots.take(parse("2001:db8:1:2::2")).err(), Some(Full::Client));
        assert!(slots.take(parse("2001:db8:1:3::1")).is_ok());
        drop(held);
    }
}
