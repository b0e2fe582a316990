//! How fast leaves may be made: a client that asks for ever new names would otherwise keep a core
//! busy with signatures and turn the cache of leaves over. A bucket for each client, and one for
//! all of them. Who finds a bucket empty waits for its turn (`Leaves::server_config_in_time`).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// The limits. A leaf takes some 100 µs of a core, so that the overall rate is a twentieth of one. A
/// heavy page has some 200 hosts, and a client may be a whole network behind one address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// At once.
    pub(super) burst: u32,
    pub(super) per_second: u32,
}

pub(super) const PER_CLIENT: Rate = Rate { burst: 2000, per_second: 100 };
pub(super) const OVERALL: Rate = Rate { burst: 10_000, per_second: 500 };

/// Above this, buckets that are full again are forgotten. At the overall rate far fewer than
/// these can be in use.
const CLIENTS_MAX: usize = 8192;

/// Who has gone too far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    ByClient,
    Overall,
}

/// All buckets.
#[derive(Debug, Default)]
pub(super) struct MintLimit {
    overall: Bucket,
    clients: HashMap<IpAddr, Bucket>,
}

/// What is used of a rate, in thousandths of a leaf.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    used_milli: u64,
    at_ms: u64,
}

impl MintLimit {
    /// Takes one leaf, at a monotonic time.
    pub(super) fn take(&mut self, client: IpAddr, now_ms: u64) -> Result<(), Exceeded> {
        if self.clients.len() >= CLIENTS_MAX {
            self.clients.retain(|_, bucket| bucket.used_at(PER_CLIENT, now_ms) > 0);
        }
        let bucket = self.clients.entry(network(client)).or_default();
        if !bucket.has_room(PER_CLIENT, now_ms) {
            return Err(Exceeded::ByClient);
        }
        if !self.overall.has_room(OVERALL, now_ms) {
            return Err(Exceeded::Overall);
        }
        bucket.take();
        self.overall.take();
        Ok(())
    }
}

impl Bucket {
    fn used_at(&self, rate: Rate, now_ms: u64) -> u64 {
        // A rate of one in a second is a thousandth in a millisecond.
        let refilled = now_ms.saturating_sub(self.at_ms).saturating_mul(u64::from(rate.per_second));
        self.used_milli.saturating_sub(refilled)
    }

    fn has_room(&mut self, rate: Rate, now_ms: u64) -> bool {
        *self = Bucket { used_milli: self.used_at(rate, now_ms), at_ms: now_ms };
        self.used_milli + 1000 <= u64::from(rate.burst) * 1000
    }

    fn take(&mut self) {
        self.used_milli += 1000;
    }
}

/// One client has all addresses of an IPv6 network of 64 bits.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))
        }
        other => other.to_canonical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_has_a_burst_and_then_its_rate() {
        let mut limit = MintLimit::default();
        let client = address("192.0.2.1");
        for _ in 0..PER_CLIENT.burst {
            assert_eq!(limit.take(client, 0), Ok(()));
        }
        assert_eq!(limit.take(client, 0), Err(Exceeded::ByClient));
        assert_eq!(limit.take(client, 9), Err(Exceeded::ByClient));
        assert_eq!(limit.take(client, 10), Ok(()));
        assert_eq!(limit.take(client, 10), Err(Exceeded::ByClient));
        assert_eq!(limit.take(address("192.0.2.2"), 10), Ok(()), "others are not its");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let mut limit = MintLimit::default();
        for last in 0..PER_CLIENT.burst {
            assert_eq!(limit.take(address(&format!("2001:db8::{last:x}")), 0), Ok(()));
        }
        assert_eq!(limit.take(address("2001:db8::ffff"), 0), Err(Exceeded::ByClient));
        assert_eq!(limit.take(address("2001:db8:0:1::1"), 0), Ok(()));
    }

    #[test]
    fn all_clients_together_have_one_too_and_few_are_remembered() {
        let mut limit = MintLimit::default();
        let client = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..OVERALL.burst {
            assert_eq!(limit.take(client(number), 0), Ok(()));
        }
        assert_eq!(limit.take(client(u32::MAX), 0), Err(Exceeded::Overall));
        assert_eq!(limit.take(client(u32::MAX), 2), Ok(()));
        for number in 0..100_000 {
            let taken = limit.take(client(number), 1_000_000 + u64::from(number));
            assert!(matches!(taken, Ok(()) | Err(Exceeded::Overall)));
        }
        assert!(limit.clients.len() <= CLIENTS_MAX, "{}", limit.clients.len());
    }
}
