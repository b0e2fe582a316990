//! What an address is, however it is written: the forms under which it reaches something, and the
//! clients that count as private. Which ranges are special is `special.rs`'s table; who applies the
//! two when is `judge.rs`.
//!
//! An IPv6 address that carries an IPv4 address is judged as both, because a translator on the
//! way would deliver the connection to the inner one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::special::{v4, v6};

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
        IpAddr::V4(_) => ([None; 5], None),
        IpAddr::V6(address) => (embedded(address), isatap(address)),
    };
    std::iter::once(ip).chain(embedded.0.into_iter().chain([embedded.1]).flatten().map(IpAddr::V4))
}

/// The IPv4 addresses inside `address`; none of them embeds a further one.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 5] {
    let inner = |a: u8, b: u8, c: u8, d: u8| Some(Ipv4Addr::new(a, b, c, d));
    let [_, _, a, b, c, d, e, f, _, g, h, i, w, x, y, z] = address.octets();
    let last = inner(w, x, y, z);
    match address.segments() {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 5],
        // IPv4-mapped (RFC 4291 §2.5.5.2), IPv4-compatible (§2.5.5.1), IPv4-translated (SIIT, RFC 2765
        // §2.1), and the well-known prefix of NAT64 (RFC 6052 §2.1).
        [0, 0, 0, 0, 0, 0xffff | 0, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => [last, None, None, None, None],
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

/// The IPv4 address of an ISATAP interface identifier, which stands behind any prefix (RFC 5214 §6.1:
/// `::0:5efe:a.b.c.d`, or `::200:5efe:a.b.c.d` where the address is a global one).
fn isatap(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match (address.segments(), address.octets()) {
        ([_, _, _, _, 0 | 0x200, 0x5efe, _, _], [.., a, b, c, d]) => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
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
            ("::ffff:0:10.0.0.1", &["10.0.0.1"]),
            ("::ffff:1:10.0.0.1", &[]),
            ("2606:4700::5efe:10.0.0.1", &["10.0.0.1"]),
            ("2606:4700::200:5efe:10.0.0.1", &["10.0.0.1"]),
            ("fe80::5efe:a00:1", &["10.0.0.1"]),
            ("2606:4700::100:5efe:10.0.0.1", &[]),
            ("2002:808:808::5efe:10.0.0.1", &["8.8.8.8", "10.0.0.1"]),
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
}
