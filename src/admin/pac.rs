//! `/proxy.pac` and `/wpad.dat`: the script that tells a browser when to use Larder.
//!
//! It never falls back to a direct connection: what is blocked would be reached by that.

use std::net::SocketAddr;

use crate::http::{Host, Scheme};
use crate::server::Listen;

/// What [`script`] is.
pub(super) const CONTENT_TYPE: &str = "application/x-ns-proxy-autoconfig";

/// Sends everything to the listener but what means the client's own machine or network. `asked`
/// is the host that the script was asked for under: a client that reached that host can reach a
/// listener on all addresses there, too. It is an address or `localhost`, so that no name from
/// outside is ever written into the script.
pub(super) fn script(listener: Listen, asked: &Host) -> String {
    let Listen { scheme, address: listener } = listener;
    let way = match scheme {
        Scheme::Http => "PROXY",
        Scheme::Https => "HTTPS",
    };
    let proxy = match asked.ip() {
        _ if !listener.ip().is_unspecified() => listener.to_string(),
        Some(ip) => SocketAddr::new(ip, listener.port()).to_string(),
        None => format!("{}:{}", asked.as_str(), listener.port()),
    };
    format!(
        r#"function FindProxyForURL(url, host) {{
  var own = isPlainHostName(host) || dnsDomainIs(host, ".localhost") ||
    /^127\.\d+\.\d+\.\d+$/.test(host) || host === "::1" || host === "[::1]";
  return own ? "DIRECT" : "{way} {proxy}";
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_where_the_client_can_reach_it() {
        let cases = [
            ("127.0.0.1:3128", "192.168.1.5", "PROXY 127.0.0.1:3128"),
            ("192.168.1.5:3128", "localhost", "PROXY 192.168.1.5:3128"),
            ("0.0.0.0:3128", "192.168.1.5", "PROXY 192.168.1.5:3128"),
            ("0.0.0.0:8080", "localhost", "PROXY localhost:8080"),
            ("[::]:3128", "2001:db8::5", "PROXY [2001:db8::5]:3128"),
            ("[::]:3128", "192.168.1.5", "PROXY 192.168.1.5:3128"),
        ];
        for (listener, asked, expected) in cases {
            let asked = Host::parse_text(asked).expect("a host");
            let address = listener.parse().expect("an address");
            let script = super::script(Listen::http(address), &asked);
            assert!(script.contains(&format!("\"{expected}\"")), "{listener} {asked:?}: {script}");
            let within_tls = super::script(Listen::https(address), &asked);
            assert_eq!(within_tls, script.replace("PROXY", "HTTPS"));
        }
    }
}
