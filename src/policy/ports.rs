//! The ports that requests and tunnels may go to. By default the two of the web and everything from
//! 1024, except the well-known ports of mail, databases and shells: a proxy that opens those for its
//! clients is used to send mail in its name and to reach what its firewall keeps in.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Deserialize;

/// Ports from 1024 that are not a default destination, each with its service. None is
/// above 32767: from there on ports are handed out to programs that asked for any.
const CLOSED: &[(RangeInclusive<u16>, &str)] = &[
    (1433..=1434, "SQL Server"),
    (1521..=1521, "Oracle"),
    (1527..=1527, "Derby"),
    (2022..=2022, "SSH"),
    (2181..=2181, "ZooKeeper"),
    (2222..=2222, "SSH"),
    (2375..=2376, "Docker"),
    (2379..=2380, "etcd"),
    (2483..=2484, "Oracle"),
    (2525..=2525, "mail submission"),
    (3050..=3050, "Firebird"),
    (3306..=3306, "MySQL"),
    (3389..=3389, "remote desktop"),
    (4190..=4190, "ManageSieve"),
    (5432..=5432, "PostgreSQL"),
    (5900..=5909, "VNC"),
    (5984..=5984, "CouchDB"),
    (5985..=5986, "Windows remote management"),
    (6000..=6063, "X11"),
    (6379..=6379, "Redis"),
    (6432..=6432, "PgBouncer"),
    (9042..=9042, "Cassandra"),
    (9160..=9160, "Cassandra"),
    (9200..=9200, "Elasticsearch"),
    (9300..=9300, "Elasticsearch"),
    (10250..=10250, "kubelet"),
    (11211..=11211, "memcached"),
    (26257..=26257, "CockroachDB"),
    (27017..=27019, "MongoDB"),
    (28015..=28015, "RethinkDB"),
];

/// An entry of `[access] ports` or `connect_ports`: `443`, `1024-65535`, or `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The built-in set, exceptions included.
    Default,
    /// These and no exception.
    Range(RangeInclusive<u16>),
}

/// An entry that is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ports are written as 443, \"1024-65535\" or \"default\"")]
pub struct PortsError;

impl Ports {
    fn contain(&self, port: u16) -> bool {
        match self {
            Ports::Default => is_default(port),
            Ports::Range(range) => range.contains(&port),
        }
    }
}

/// Whether `port` is open; no entry at all opens none.
pub(super) fn is_open(ports: &[Ports], port: u16) -> bool {
    ports.iter().any(|entry| entry.contain(port))
}

/// The service for which `port` is closed by default.
pub(super) fn service(port: u16) -> Option<&'static str> {
    CLOSED.iter().find(|(ports, _)| ports.contains(&port)).map(|&(_, service)| service)
}

fn is_default(port: u16) -> bool {
    matches!(port, 80 | 443) || (port >= 1024 && service(port).is_none())
}

impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Ports, PortsError> {
        let text = text.trim();
        if text == "default" {
            return Ok(Ports::Default);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            (Ok(first), Ok(last)) if first != 0 && first <= last => Ok(Ports::Range(first..=last)),
            _ => Err(PortsError),
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Ports, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&PortsError, f)
            }

            fn visit_i64<E: serde::de::Error>(self, port: i64) -> Result<Ports, E> {
                match u16::try_from(port) {
                    Ok(port) if port != 0 => Ok(Ports::Range(port..=port)),
                    _ => Err(E::custom(PortsError)),
                }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ports, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_ports() {
        for open in [80, 443, 1024, 1432, 1435, 3128, 8080, 8443, 32768, 65535] {
            assert!(is_open(&[Ports::Default], open), "{open}");
        }
        for closed in [1, 22, 23, 25, 110, 143, 465, 514, 587, 993, 995, 1023, 2525, 3306, 5432, 6379, 27017]
        {
            assert!(!is_open(&[Ports::Default], closed), "{closed}");
        }
    }

    #[test]
    fn configured_ports_replace_the_default() {
        let parse = |texts: &[&str]| -> Vec<Ports> {
            texts.iter().map(|text| text.parse().expect("a valid entry")).collect()
        };
        let strict = parse(&["443"]);
        assert!(is_open(&strict, 443) && !is_open(&strict, 80) && !is_open(&strict, 8080));
        let wide = parse(&["1024-65535"]);
        assert!(is_open(&wide, 3306) && !is_open(&wide, 443));
        assert!(!is_open(&[], 443));
        let more = parse(&["default", " 990 - 993 "]);
        assert!(is_open(&more, 993) && is_open(&more, 443) && !is_open(&more, 25) && !is_open(&more, 3306));
        for bad in ["", "0", "65536", "2-1", "a", "1-", "-1", "1-2-3"] {
            assert_eq!(bad.parse::<Ports>(), Err(PortsError), "{bad:?}");
        }
    }

    #[test]
    fn closed_ports_are_documented() {
        let document = include_str!("../../docs/configuration.md").replace('\n', " ");
        for (ports, service) in CLOSED {
            let (first, last) = (ports.start(), ports.end());
            let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
            assert!(document.contains(&format!("{ports} ({service})")), "{ports} ({service})");
        }
    }
}
