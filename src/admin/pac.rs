//! `/proxy.pac` and `/wpad.dat`: the script that tells a browser when to use Larder.
//!
//! It never falls back to a direct connection: what is blocked would be reached by that. It names an
//! address that whoever asked can reach, as far as the address that they asked tells; a loopback
//! address only those are told who used one.

use std::net::{IpAddr, SocketAddr};

use crate::http::{Host, Scheme};
use crate::server::Listen;

/// What [`script`] is.
pub(super) const CONTENT_TYPE: &str = "application/x-ns-proxy-autoconfig";

/// Sends everything to a listener but what means the client's own machine or network; `None` where no
/// listener can be reached. `asked` is the host that the script was asked for under: an address or
/// `localhost`, so that no name from outside is ever written into the script.
pub(super) fn script(listening: &[Listen], asked: &Host) -> Option<String> {
    let reachable = listening.iter().filter_map(|listener| Some((reach(listener.address, asked)?, listener)));
    // One without TLS asks nothing of its clients; the nearest of those; the first of those.
    let (_, listener) =
        reachable.min_by_key(|(reach, listener)| (listener.scheme == Scheme::Https, *reach))?;
    let Listen { scheme, address } = listener;
    let way = match scheme {
        Scheme::Http => "PROXY",
        Scheme::Https => "HTTPS",
    };
    let proxy = match asked.ip() {
        _ if !address.ip().is_unspecified() => address.to_string(),
        Some(ip) => SocketAddr::new(ip, address.port()).to_string(),
        None => format!("{}:{}", asked.as_str(), address.port()),
    };
    Some(format!(
        r#"function FindProxyForURL(url, host) {{
  var own = isPlainHostName(host) || dnsDomainIs(host, ".localhost") ||
    /^127\.\d+\.\d+\.\d+$/.test(host) || host === "::1" || host === "[::1]";
  return own ? "DIRECT" : "{way} {proxy}";
}}
"#
    ))
}

/// Why there is no script.
pub(super) fn unreachable(listening: &[Listen], asked: &Host) -> String {
    let addresses: Vec<String> = listening.iter().map(ToString::to_string).collect();
    format!(
        "Larder listens only on {}, which other machines cannot reach.\n\
         Start it with --listen {} as well.\n",
        addresses.join(", "),
        asked.as_str(),
    )
}

/// How sure it is that who asked under a host reaches a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// They have reached this very address, or are on its machine.
    Same,
    /// It is among all addresses of the machine.
    Any,
    /// It is another address of the machine.
    Other,
}

fn reach(listener: SocketAddr, asked: &Host) -> Option<Reach> {
    let ip = listener.ip().to_canonical();
    let asked = asked.ip().map(|ip| ip.to_canonical());
    let is_local = asked.is_none_or(|asked| asked.is_loopback());
    match asked {
        Some(asked) if asked == ip => Some(Reach::Same),
        _ if ip.is_loopback() => is_local.then_some(Reach::Same),
        // A listener of IPv6 on all addresses has those of IPv4, too, and not the other way round.
        Some(IpAddr::V6(_)) if ip.is_unspecified() && ip.is_ipv4() => None,
        _ if ip.is_unspecified() => Some(Reach::Any),
        _ => Some(Reach::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_where_the_client_can_reach_it() {
        let cases: &[(&[&str], &str, Option<&str>)] = &[
            (&["127.0.0.1:3128"], "127.0.0.1", Some("PROXY 127.0.0.1:3128")),
            (&["127.0.0.1:3128"], "localhost", Some("PROXY 127.0.0.1:3128")),
            (&["127.0.0.1:3128"], "::1", Some("PROXY 127.0.0.1:3128")),
            (&["127.0.0.1:3128"], "192.168.1.5", None),
            (&["[::1]:3128", "127.0.0.1:3128"], "2001:db8::5", None),
            (&["127.0.0.1:3128", "192.168.1.5:3128"], "192.168.1.5", Some("PROXY 192.168.1.5:3128")),
            (&["192.168.1.5:3128", "127.0.0.1:3128"], "localhost", Some("PROXY 127.0.0.1:3128")),
            (&["10.0.0.1:3128", "192.168.1.5:3128"], "192.168.1.5", Some("PROXY 192.168.1.5:3128")),
            (&["192.168.1.5:3128"], "10.0.0.1", Some("PROXY 192.168.1.5:3128")),
            (&["192.168.1.5:3128"], "localhost", Some("PROXY 192.168.1.5:3128")),
            (&["0.0.0.0:3128"], "192.168.1.5", Some("PROXY 192.168.1.5:3128")),
            (&["0.0.0.0:3128"], "2001:db8::5", None),
            (&["0.0.0.0:8080"], "localhost", Some("PROXY localhost:8080")),
            (&["[::]:3128"], "2001:db8::5", Some("PROXY [2001:db8::5]:3128")),
            (&["[::]:3128"], "192.168.1.5", Some("PROXY 192.168.1.5:3128")),
            (&["https://0.0.0.0:3130", "127.0.0.1:3128"], "192.168.1.5", Some("HTTPS 192.168.1.5:3130")),
            (&["https://0.0.0.0:3130", "127.0.0.1:3128"], "localhost", Some("PROXY 127.0.0.1:3128")),
            (&["https://127.0.0.1:3130"], "192.168.1.5", None),
            (&[], "localhost", None),
        ];
        for (listening, asked, expected) in cases {
            let asked = Host::parse_text(asked).expect("a host");
            let listen = |text: &&str| match text.strip_prefix("https://") {
                Some(address) => Listen::https(address.parse().expect("an address")),
                None => Listen::http(text.parse().expect("an address")),
            };
            let listening: Vec<Listen> = listening.iter().map(listen).collect();
            let script = script(&listening, &asked);
            let found = script.as_deref().and_then(|script| script.split('"').rev().nth(1));
            assert_eq!(found, *expected, "{listening:?} {asked:?}");
        }
    }
}
