//! Where the proxy is, as programs are told it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::config::DEFAULT_PORT;
use crate::http::{Authority, Scheme};

/// A proxy's address: of this machine, or as somebody has typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAddress {
    scheme: Scheme,
    authority: Authority,
}

/// A text that is not the address of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is written as http://HOST:PORT")]
pub struct NotAProxy;

impl ProxyAddress {
    /// The host, an IPv6 address without brackets.
    pub(super) fn host(&self) -> String {
        let host = &self.authority.host;
        host.ip().map_or_else(|| host.as_str().to_owned(), |ip| ip.to_string())
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The same address, plain or within TLS.
    pub(super) fn spoken_to_in(self, scheme: Scheme) -> ProxyAddress {
        ProxyAddress { scheme, ..self }
    }

    pub(super) fn port(&self) -> u16 {
        self.authority.port
    }

    /// Whether only this machine reaches it.
    pub(super) fn is_loopback(&self) -> bool {
        let host = &self.authority.host;
        host.ip().map_or_else(|| host.as_str() == "localhost", |ip| ip.is_loopback())
    }
}

impl FromStr for ProxyAddress {
    type Err = NotAProxy;

    fn from_str(text: &str) -> Result<ProxyAddress, NotAProxy> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(_) => return Err(NotAProxy),
            None => (Scheme::Http, text),
        };
        let rest = bytes::Bytes::copy_from_slice(rest.trim_end_matches('/').as_bytes());
        let authority = Authority::parse(&rest, Some(DEFAULT_PORT)).map_err(|_malformed| NotAProxy)?;
        Ok(ProxyAddress { scheme, authority })
    }
}

impl TryFrom<SocketAddr> for ProxyAddress {
    type Error = NotAProxy;

    fn try_from(address: SocketAddr) -> Result<ProxyAddress, NotAProxy> {
        address.to_string().parse()
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.host(), self.port());
        match host.contains(':') {
            true => write!(f, "{}://[{host}]:{port}", self.scheme.as_str()),
            false => write!(f, "{}://{host}:{port}", self.scheme.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies() {
        let cases = [
            ("http://larder.example:8080", Some("http://larder.example:8080")),
            ("http://larder.example/", Some("http://larder.example:3128")),
            ("larder.example", Some("http://larder.example:3128")),
            ("https://192.168.1.5:3130", Some("https://192.168.1.5:3130")),
            ("http://[2001:db8::5]:3128", Some("http://[2001:db8::5]:3128")),
            ("socks5://larder.example", None),
            ("http://larder.example/path", None),
            ("http://us:er@larder.example", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = text.parse::<ProxyAddress>().ok().map(|proxy| proxy.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
