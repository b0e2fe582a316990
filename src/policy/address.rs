//! What an address is, whoever wrote it and in whatever clothes: the forms under which it
//! reaches something, the ranges that are nobody's business from outside, and the addresses of
//! cloud metadata services. Pure tables; who applies them when is `judge.rs`.
//!
//! An IPv6 address that carries an IPv4 address is judged as both, because a translator on the
//! way would deliver the connection to the inner one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The ranges that a listener open to others refuses as destinations, with what each is
/// (the IANA special-purpose registries, RFC 6890 and those that updated it).
const RESERVED: &[(IpNet, &str)] = &[
    (v4(0, 0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "shared address space"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link-local"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "protocol assignments"),
    (v4(192, 0, 2, 0, 24), "documentation"),
    (v4(192, 88, 99, 0, 24), "6to4 relay"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "benchmarking"),
    (v4(198, 51, 100, 0, 24), "documentation"),
    (v4(203, 0, 113, 0, 24), "documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "unique local"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation"),
];

/// Where cloud machines find their credentials: never a destination, whatever is configured.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// The clients that a listener open to others admits unless `[access] clients` says otherwise.
/// The shared address space of RFC 6598 is not among them: a provider's other customers are there.
const PRIVATE_CLIENTS: &[IpNet] = &[
    v4(127, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    v4(169, 254, 0, 0, 16),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6(segments: [u16; 8], prefix: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = segments;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix))
}

/// The reserved range that `ip` itself lies in; embedded addresses are other [`forms`].
pub(super) fn reserved(ip: IpAddr) -> Option<(IpNet, &'static str)> {
    RESERVED.iter().find(|(network, _)| network.contains(&ip)).copied()
}

pub(super) fn is_metadata(ip: IpAddr) -> bool {
    METADATA.contains(&ip)
}

pub(super) fn is_private_client(ip: IpAddr) -> bool {
    PRIVATE_CLIENTS.iter().any(|network| network.contains(&ip))
}

/// `::ffff:a.b.c.d` as `a.b.c.d`, which is how a dual-stack socket names an IPv4 peer.
pub(super) fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// A network without host bits, and an IPv4 one where it is written in mapped form.
pub(super) fn canonical_network(network: IpNet) -> IpNet {
    let network = network.trunc();
    let mapped = match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => {
            v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96))
        }
        _ => None,
    };
    mapped.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(network, IpNet::V4)
}

/// Every address that a connection to `ip` may end at: itself first, then what it embeds.
pub(super) fn forms(ip: IpAddr) -> impl Iterator<Item = IpAddr> {
    let embedded = match ip {
        IpAddr::V4(_) => [None; 5],
        IpAddr::V6(address) => embedded(address),
    };
    std::iter::once(ip).chain(embedded.into_iter().flatten().map(IpAddr::V4))
}

/// The IPv4 addresses inside `address`; none of them embeds a further one.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 5] {
    let inner = |a: u8, b: u8, c: u8, d: u8| Some(Ipv4Addr::new(a, b, c, d));
    let [_, _, a, b, c, d, e, f, _, g, h, i, w, x, y, z] = address.octets();
    let last = inner(w, x, y, z);
    match address.segments() {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 5],
        // IPv4-mapped (RFC 4291 §2.5.5.2), IPv4-compatible (§2.5.5.1), and the well-known
        // prefix of NAT64 (RFC 6052 §2.1).
        [0, 0, 0, 0, 0, 0xffff | 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            [last, None, None, None, None]
        }
        // The local-use prefix of NAT64 (RFC 8215) is cut at a length that only its network
        // knows, so that all four places of RFC 6052 §2.2 are judged. A place that begins with
        // a zero is the padding of another.
        [0x64, 0xff9b, 1, ..] => {
            let places = [inner(e, f, g, h), inner(f, g, h, i), inner(g, h, i, w), last];
            let [p48, p56, p64, p96] =
                places.map(|place| place.filter(|inner| !matches!(inner.octets(), [0, ..])));
            let padding_only = [p48, p56, p64, p96] == [None; 4];
            [p48, p56, p64, p96, last.filter(|_| padding_only)]
        }
        // 6to4 (RFC 3056 §2).
        [0x2002, ..] => [inner(a, b, c, d), None, None, None, None],
        // Teredo (RFC 4380 §4): the server, and the client with its bits inverted.
        [0x2001, 0, ..] => [inner(c, d, e, f), inner(!w, !x, !y, !z), None, None, None],
        _ => [None; 5],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_addresses() {
        let cases: &[(&str, &[&str])] = &[
            ("192.0.2.1", &[]),
            ("2001:db8::1", &[]),
            ("::", &[]),
            ("::1", &[]),
            ("::2", &["0.0.0.2"]),
            ("::127.0.0.1", &["127.0.0.1"]),
            ("::ffff:127.0.0.1", &["127.0.0.1"]),
            ("64:ff9b::10.0.0.1", &["10.0.0.1"]),
            ("64:ff9b:1::", &["0.0.0.0"]),
            ("64:ff9b:1::10.0.0.1", &["10.0.0.1"]),
            // 10.1.2.3 behind a prefix of 48, of 56 and of 64 bits.
            ("64:ff9b:1:a01:2:300::", &["10.1.2.3", "1.2.3.0", "2.3.0.0"]),
            ("64:ff9b:1:a:1:203::", &["10.1.2.3", "1.2.3.0"]),
            ("64:ff9b:1:0:a:102:300:0", &["10.1.2.3", "3.0.0.0"]),
            ("2002:7f00:1::", &["127.0.0.1"]),
            ("2001:0:c000:201::f5ff:fffe", &["192.0.2.1", "10.0.0.1"]),
            ("2001:1::f5ff:fffe", &[]),
        ];
        for (address, expected) in cases {
            let address: IpAddr = address.parse().expect("an address");
            let found: Vec<String> = forms(address).skip(1).map(|form| form.to_string()).collect();
            assert_eq!(&found, expected, "{address}");
        }
    }

    #[test]
    fn reserved_ranges_begin_and_end_where_they_should() {
        // The first and the last address of each range, and the neighbours outside.
        let cases: &[(&str, &str, &str, &str)] = &[
            ("", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
            ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
            ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
            ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
            ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
            ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
            ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
            ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
            ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
            ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
            ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
            ("223.255.255.255", "224.0.0.0", "255.255.255.255", ""),
            ("", "::", "::1", ""),
            ("fbff::", "fc00::", "fdff:ffff::1", "fe00::"),
            ("fe7f::", "fe80::", "febf:ffff::1", ""),
            ("", "fec0::", "feff:ffff::1", ""),
            ("", "ff00::", "ffff:ffff::1", ""),
            ("2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::", "2001:db9::"),
        ];
        let is_reserved =
            |text: &str| text.is_empty() || reserved(text.parse().expect("an address")).is_some();
        for (before, first, last, after) in cases {
            assert!(is_reserved(first) && is_reserved(last), "{first} to {last}");
            assert!(before.is_empty() || !is_reserved(before), "{before}");
            assert!(after.is_empty() || !is_reserved(after), "{after}");
        }
    }
}
