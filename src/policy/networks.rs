//! A network, and a set of networks with a value each. One hash table per prefix length, so that
//! a list of a hundred thousand networks costs a lookup per length that occurs and not one per
//! network.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

use super::address::canonical_network;
use super::pattern_error::{PatternError, parsed};

/// A network in CIDR notation; a single address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(pub(super) IpNet);

/// Networks and what is known of each; the most specific one wins.
#[derive(Clone, Debug)]
pub(super) struct Networks<T> {
    v4: Vec<Length<T>>,
    v6: Vec<Length<T>>,
}

/// The networks of one prefix length, by their first address in the high bits.
#[derive(Clone, Debug)]
struct Length<T> {
    prefix: u8,
    networks: HashMap<u128, T>,
}

impl<T> Default for Networks<T> {
    fn default() -> Self {
        Networks { v4: Vec::new(), v6: Vec::new() }
    }
}

impl<T: Copy> Networks<T> {
    /// Adds a network; the first value for it stays.
    pub(super) fn insert(&mut self, network: Network, value: T) {
        let prefix = network.0.prefix_len();
        let lengths = self.lengths_mut(network.0);
        // Longest first, so that the first hit is the most specific one.
        let at = lengths.partition_point(|length| length.prefix > prefix);
        if lengths.get(at).is_none_or(|length| length.prefix != prefix) {
            lengths.insert(at, Length { prefix, networks: HashMap::new() });
        }
        if let Some(length) = lengths.get_mut(at) {
            length.networks.entry(high_bits(network.0.network(), prefix)).or_insert(value);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.v4.iter().chain(&self.v6).map(|length| length.networks.len()).sum()
    }

    /// The most specific network that `ip` lies in.
    pub(super) fn find(&self, ip: IpAddr) -> Option<(Network, T)> {
        self.find_up_to(ip, u8::MAX)
    }

    /// The most specific network that all of `network` lies in.
    pub(super) fn covering(&self, network: Network) -> Option<(Network, T)> {
        self.find_up_to(network.0.network(), network.0.prefix_len())
    }

    fn find_up_to(&self, ip: IpAddr, prefix_max: u8) -> Option<(Network, T)> {
        let lengths = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        lengths.iter().filter(|length| length.prefix <= prefix_max).find_map(|length| {
            let value = length.networks.get(&high_bits(ip, length.prefix))?;
            let network = IpNet::new(ip, length.prefix).ok()?.trunc();
            Some((Network(network), *value))
        })
    }

    fn lengths_mut(&mut self, network: IpNet) -> &mut Vec<Length<T>> {
        match network {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        }
    }
}

/// The first `prefix` bits of `ip`, with zeros behind them.
fn high_bits(ip: IpAddr, prefix: u8) -> u128 {
    let bits = match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    bits & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl Network {
    pub(super) fn single(ip: IpAddr) -> Network {
        Network(canonical_network(IpNet::from(ip)))
    }

    /// Whether `ip` lies in this network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }
}

impl FromStr for Network {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Network, PatternError> {
        let text = text.trim();
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Network(canonical_network(network)));
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map(Network::single).map_err(|_malformed| PatternError::Network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Network, D::Error> {
        parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_network_wins() {
        let mut networks = Networks::default();
        let texts = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "::1"];
        for (value, text) in texts.iter().enumerate() {
            networks.insert(text.parse().expect("a network"), value);
        }
        let cases: &[(&str, Option<&str>)] = &[
            ("10.1.2.3", Some("10.1.2.3")),
            ("10.1.2.4", Some("10.1.0.0/16")),
            ("10.2.0.0", Some("10.0.0.0/8")),
            ("192.0.2.1", Some("0.0.0.0/0")),
            ("2001:db8:1::", Some("2001:db8::/32")),
            ("::1", Some("::1")),
            ("::2", None),
        ];
        for (ip, expected) in cases {
            let found = networks.find(ip.parse().expect("an address"));
            assert_eq!(found.map(|(network, _)| network.to_string()).as_deref(), *expected, "{ip}");
            assert_eq!(found.and_then(|(_, value)| texts.get(value)).copied(), *expected, "{ip}");
        }
        assert_eq!(networks.len(), 6);
    }
}
