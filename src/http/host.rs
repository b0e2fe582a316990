//! One parser for every host that Larder meets: in a target URI, a `Host` field, a CONNECT
//! target, a rule and a list file. Two spellings of a host are one [`Host`], so that no rule can
//! be walked around by writing a name differently (RFC 3986 §3.2.2, RFC 9110 §4.2.3).
//!
//! Refused outright: octal, hexadecimal, 32-bit and shortened IPv4 forms, percent-encoding, zone
//! identifiers, empty labels, and anything over 253 octets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

/// A canonical host: lower-case A-labels without a trailing dot, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    text: Bytes,
    ip: Option<IpAddr>,
}

/// Why a host was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("the host is empty")]
    Empty,
    #[error("the host is longer than 253 octets, or a label than 63")]
    TooLong,
    #[error("the host has an empty label")]
    EmptyLabel,
    #[error("the host has a character that is not allowed in a host name")]
    BadCharacter,
    #[error("an IPv4 address is written as four decimal numbers without leading zeros")]
    NonCanonicalIpv4,
    #[error("the IPv6 address is malformed")]
    BadIpv6,
    #[error("the international name can't be written as an A-label")]
    BadInternationalName,
}

/// RFC 1035 §2.3.4, in octets of text without the trailing dot.
const LENGTH_MAX: usize = 253;

impl Host {
    /// Parses a host as it stands in a URI: an IPv6 address in brackets. Shares the text of
    /// `raw` when it is canonical already.
    pub fn parse(raw: &Bytes) -> Result<Host, HostError> {
        if let Some(inner) = raw.strip_prefix(b"[") {
            return Host::ipv6(inner.strip_suffix(b"]").ok_or(HostError::BadIpv6)?);
        }
        let name = raw.strip_suffix(b".").unwrap_or(raw);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if !name.is_ascii() {
            return Host::international(name);
        }
        check_labels(name)?;
        let text = if name.iter().any(u8::is_ascii_uppercase) {
            Bytes::from(name.to_ascii_lowercase())
        } else {
            raw.slice_ref(name)
        };
        let ip = ipv4(&text)?.map(IpAddr::V4);
        Ok(Host { text, ip })
    }

    /// Parses a host from a configuration file or a command line, where an IPv6 address may
    /// stand without its brackets.
    pub fn parse_text(text: &str) -> Result<Host, HostError> {
        match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Host::from_ip(IpAddr::V6(address))),
            Err(_not_ipv6) => Host::parse(&Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    /// The host that is this address.
    pub fn from_ip(ip: IpAddr) -> Host {
        Host { text: Bytes::from(ip.to_string()), ip: Some(ip) }
    }

    /// The same host in memory of its own.
    pub fn detached(&self) -> Host {
        Host { text: Bytes::copy_from_slice(&self.text), ip: self.ip }
    }

    /// The address, when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The name or the address, without brackets.
    pub fn as_str(&self) -> &str {
        // Canonical text is ASCII by construction.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Whether this host is `domain` or a name below it. An address has no subdomains.
    pub fn is_within(&self, domain: &Host) -> bool {
        if self.text == domain.text {
            return true;
        }
        self.ip.is_none()
            && domain.ip.is_none()
            && self.text.strip_suffix(&domain.text[..]).is_some_and(|rest| rest.ends_with(b"."))
    }

    fn ipv6(inner: &[u8]) -> Result<Host, HostError> {
        let text = std::str::from_utf8(inner).map_err(|_not_ascii| HostError::BadIpv6)?;
        let address: Ipv6Addr = text.parse().map_err(|_malformed| HostError::BadIpv6)?;
        Ok(Host::from_ip(IpAddr::V6(address)))
    }

    fn international(name: &[u8]) -> Result<Host, HostError> {
        let text = std::str::from_utf8(name).map_err(|_not_utf8| HostError::BadCharacter)?;
        let ascii = idna::domain_to_ascii(text).map_err(|_no_a_label| HostError::BadInternationalName)?;
        check_labels(ascii.as_bytes())?;
        let text = Bytes::from(ascii);
        let ip = ipv4(&text)?.map(IpAddr::V4);
        Ok(Host { text, ip })
    }
}

impl std::hash::Hash for Host {
    /// The text alone: the address follows from it.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Host {
    /// As in a URI: brackets around an IPv6 address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]"),
            _ => f.write_str(self.as_str()),
        }
    }
}

fn check_labels(name: &[u8]) -> Result<(), HostError> {
    if name.len() > LENGTH_MAX {
        return Err(HostError::TooLong);
    }
    for label in name.split(|&byte| byte == b'.') {
        if label.is_empty() {
            return Err(HostError::EmptyLabel);
        }
        if label.len() > 63 {
            return Err(HostError::TooLong);
        }
        // The underscore is no letter of host names, but of names that exist (service records).
        if !label.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(HostError::BadCharacter);
        }
    }
    Ok(())
}

/// The address that `text` is in canonical form; an error when it would be an address to some
/// resolver in another form. What decides is the last label: a name never ends in a number.
fn ipv4(text: &[u8]) -> Result<Option<Ipv4Addr>, HostError> {
    let last = text.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    let decimal = last.iter().all(u8::is_ascii_digit);
    let hexadecimal = last.strip_prefix(b"0x").is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !decimal && !hexadecimal {
        return Ok(None);
    }
    // Ipv4Addr's parser takes four decimal numbers without leading zeros and nothing else.
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or(HostError::NonCanonicalIpv4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        let cases: &[(&str, Result<&str, HostError>)] = &[
            ("a.example", Ok("a.example")),
            ("A.Example.", Ok("a.example")),
            ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
            ("bücher.example", Ok("xn--bcher-kva.example")),
            ("_dmarc.a.example", Ok("_dmarc.a.example")),
            ("under_score.test", Ok("under_score.test")),
            ("-a-.b_.test", Ok("-a-.b_.test")),
            ("xn--zzzz.test", Ok("xn--zzzz.test")),
            ("a--b.test", Ok("a--b.test")),
            ("bücher_1.test", Ok("xn--bcher_1-n2a.test")),
            ("a．test", Ok("a.test")),
            ("a％.test", Err(HostError::BadCharacter)),
            ("a＠b.test", Err(HostError::BadCharacter)),
            ("127.0.0.1", Ok("127.0.0.1")),
            ("127.0.0.1.", Ok("127.0.0.1")),
            ("[::1]", Ok("[::1]")),
            ("[0:0:0:0:0:0:0:1]", Ok("[::1]")),
            ("[::ffff:127.0.0.1]", Ok("[::ffff:127.0.0.1]")),
            ("", Err(HostError::Empty)),
            (".", Err(HostError::Empty)),
            ("a..b", Err(HostError::EmptyLabel)),
            (".a", Err(HostError::EmptyLabel)),
            ("a.example..", Err(HostError::EmptyLabel)),
            ("2130706433", Err(HostError::NonCanonicalIpv4)),
            ("0177.0.0.1", Err(HostError::NonCanonicalIpv4)),
            ("0x7f.0.0.1", Err(HostError::NonCanonicalIpv4)),
            ("0x7f000001", Err(HostError::NonCanonicalIpv4)),
            ("127.1", Err(HostError::NonCanonicalIpv4)),
            ("127.0.0.01", Err(HostError::NonCanonicalIpv4)),
            ("256.0.0.1", Err(HostError::NonCanonicalIpv4)),
            ("１２７.0.0.1", Ok("127.0.0.1")),
            ("a.example%00", Err(HostError::BadCharacter)),
            ("127.0.0.1\\@evil", Err(HostError::BadCharacter)),
            ("a,b", Err(HostError::BadCharacter)),
            ("a b", Err(HostError::BadCharacter)),
            ("[::1", Err(HostError::BadIpv6)),
            ("[fe80::1%eth0]", Err(HostError::BadIpv6)),
            ("[127.0.0.1]", Err(HostError::BadIpv6)),
        ];
        for (input, expected) in cases {
            let found = Host::parse(&Bytes::copy_from_slice(input.as_bytes())).map(|host| host.to_string());
            assert_eq!(found.as_deref(), expected.as_deref(), "{input:?}");
        }
        let long = "a.".repeat(127) + "a";
        assert_eq!(Host::parse_text(&long), Err(HostError::TooLong));
    }

    #[test]
    fn within() {
        let host = |text| Host::parse_text(text).expect("a valid host");
        assert!(host("a.b.example").is_within(&host("b.example")));
        assert!(host("b.example").is_within(&host("b.example")));
        assert!(!host("ab.example").is_within(&host("b.example")));
        assert!(!host("10.0.0.1").is_within(&host("0.0.0.1")));
    }
}
