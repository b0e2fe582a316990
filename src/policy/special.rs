//! The special-purpose ranges of IANA's registries, and the metadata services of clouds. Tables
//! alone: who applies them when is `judge.rs`.
//!
//! Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190), with their
//! rows up to RFC 9780 of April 2025; the registries of multicast addresses; RFC 3879 (site-local).
//! Rows that are "globally reachable" are left out (AS112 and AMT in IPv4, for example), except where
//! they are anycast services of hosts inside a block of protocol assignments, which is refused whole.
//! Ranges that only translate (IPv4-mapped, SIIT, NAT64, 6to4, Teredo) are not here either: what they
//! carry is judged in their place (`address.rs`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The ranges that a listener open to others refuses as destinations, with what each is.
const SPECIAL: &[(IpNet, &str)] = &[
    (v4(0, 0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "shared address space"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    LINK_LOCAL[0],
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
    // RFC 6666, and the prefix beside it for addresses that are never sent to (RFC 9780).
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discard-only"),
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), "dummy prefix"),
    // 2001::/23 without Teredo (2001::/32): benchmarking (2001:2::/48), ORCHID (2001:10::/28,
    // 2001:20::/28), DRIP (2001:30::/28) and the anycast services of 2001:1::/32.
    (v6([0x2001, 1, 0, 0, 0, 0, 0, 0], 32), "protocol assignments"),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 31), "protocol assignments"),
    (v6([0x2001, 4, 0, 0, 0, 0, 0, 0], 30), "protocol assignments"),
    (v6([0x2001, 8, 0, 0, 0, 0, 0, 0], 29), "protocol assignments"),
    (v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28), "ORCHID"),
    (v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 27), "ORCHID and DRIP"),
    (v6([0x2001, 0x40, 0, 0, 0, 0, 0, 0], 26), "protocol assignments"),
    (v6([0x2001, 0x80, 0, 0, 0, 0, 0, 0], 25), "protocol assignments"),
    (v6([0x2001, 0x100, 0, 0, 0, 0, 0, 0], 24), "protocol assignments"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "documentation"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "segment routing"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "unique local"),
    LINK_LOCAL[1],
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

/// Where nearly all metadata services are, and next to nothing else that speaks HTTP: refused on
/// loopback listeners, too, unless the configuration opens it.
const LINK_LOCAL: [(IpNet, &str); 2] =
    [(v4(169, 254, 0, 0, 16), "link-local"), (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local")];

/// Where cloud machines find their credentials: never a destination, whatever is configured. From the
/// documentation of the providers, as of November 2026.
const METADATA: &[IpAddr] = &[
    // AWS, Azure, Google, OpenStack, DigitalOcean, Hetzner, Oracle, IBM and most others.
    ip4(169, 254, 169, 254),
    // AWS: credentials of containers (ECS, EKS).
    ip4(169, 254, 170, 2),
    ip4(169, 254, 170, 23),
    // Scaleway, Tencent, Rancher.
    ip4(169, 254, 42, 42),
    ip4(169, 254, 0, 23),
    ip4(169, 254, 169, 250),
    // Azure's wire server, Alibaba, Volcano Engine, UCloud, Oracle (classic): outside link-local.
    ip4(168, 63, 129, 16),
    ip4(100, 100, 100, 200),
    ip4(100, 96, 0, 96),
    ip4(100, 80, 80, 80),
    ip4(192, 0, 0, 192),
    // AWS: metadata and credentials of containers.
    ip6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]),
    ip6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]),
    // Google, Oracle, Scaleway, Akamai (Linode), OpenStack.
    ip6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]),
    ip6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
    ip6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]),
    ip6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]),
    ip6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
];

const fn ip4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn ip6(segments: [u16; 8]) -> IpAddr {
    let [a, b, c, d, e, f, g, h] = segments;
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

pub(super) const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

pub(super) const fn v6(segments: [u16; 8], prefix: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = segments;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix))
}

/// The special range that `ip` itself lies in; embedded addresses are other forms.
pub(super) fn special(ip: IpAddr) -> Option<(IpNet, &'static str)> {
    SPECIAL.iter().find(|(network, _)| network.contains(&ip)).copied()
}

/// The link-local range that `ip` lies in.
pub(super) fn link_local(ip: IpAddr) -> Option<(IpNet, &'static str)> {
    LINK_LOCAL.iter().find(|(network, _)| network.contains(&ip)).copied()
}

/// Whether a cloud's metadata service is at this address.
pub(super) fn is_metadata(ip: IpAddr) -> bool {
    METADATA.contains(&ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_ranges_begin_and_end_where_they_should() {
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
            ("ff:ffff::", "100::", "100::1:ffff:0:0:1", "100:0:0:2::"),
            ("2001:0:ffff::", "2001:1::", "2001:1ff:ffff::", "2001:200::"),
            ("3ffe:ffff::", "3fff::", "3fff:fff:ffff::", "3fff:1000::"),
            ("5eff:ffff::", "5f00::", "5f00:ffff::", "5f01::"),
        ];
        let is_special = |text: &str| text.is_empty() || special(text.parse().expect("an address")).is_some();
        for (before, first, last, after) in cases {
            assert!(is_special(first) && is_special(last), "{first} to {last}");
            assert!(before.is_empty() || !is_special(before), "{before}");
            assert!(after.is_empty() || !is_special(after), "{after}");
        }
    }
}
