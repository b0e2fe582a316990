//! TLS on both sides: the authority that signs for intercepted hosts, and what an origin must show
//! before anything is sent to it.
//!
//! Towards clients: [`Authority`] is this installation's own root, and [`Leaves`] makes a
//! certificate for one host out of it and the `ServerConfig` that serves it. Towards origins:
//! [`OriginTls`] makes a `ClientConfig` for one host and port. [`ClientHello`] reads what a client
//! begins with. There is no switch that accepts bad certificates: a pin names one key of one host.
//!
//! Both sides speak TLS 1.2 or 1.3 with ephemeral keys and authenticated ciphers, without early
//! data, compression or renegotiation: rustls has nothing else. Revocation is not looked up here.
//! Streams are not here either; whoever has the socket puts them around it.

mod authority;
mod bad_certificate;
mod certificate;
mod client_hello;
mod constraints;
mod failure;
mod key_store;
mod leaf;
mod leaves;
mod listener;
mod mint_limit;
mod origin;
mod pin;
mod roots;
#[cfg(test)]
mod tests;
mod tickets;
mod verify;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::time_provider::TimeProvider;

use crate::clock::Clock;

pub use authority::{Authority, AuthorityError, OwnRoots, RootCertificate};
pub use bad_certificate::BadCertificate;
pub use certificate::not_after;
pub use client_hello::{CLIENT_HELLO_MAX, ClientHello, Hello};
pub use constraints::NameConstraints;
pub use failure::{handshake_failure, is_distrusted_by_client};
pub use leaves::{Leaves, MintError, MintRequest};
pub use listener::{ListenerTls, ListenerTlsError};
pub use origin::{Asked, OriginTls, Verification};
pub use pin::Pin;
pub use roots::{Roots, RootsError};

/// The protocols that are offered within TLS (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1` alone.
    Http1,
    /// `h2`, or else `http/1.1`.
    Http2,
    /// Nothing: the extension is not sent, and not answered.
    None,
}

impl Alpn {
    /// The identifiers, the preferred one first.
    pub fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Alpn::Http1 => vec![b"http/1.1".to_vec()],
            Alpn::Http2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Alpn::None => Vec::new(),
        }
    }

    /// What answers a client that offers these. RFC 7301 §3.2 has a server that knows none of them
    /// refuse the handshake; one that does not answer the extension goes on without it (§3.1).
    pub fn answering(offered: &[Vec<u8>]) -> Alpn {
        let is_known = |protocol: &Vec<u8>| matches!(&protocol[..], b"h2" | b"http/1.1");
        if offered.iter().any(is_known) { Alpn::Http2 } else { Alpn::None }
    }
}

/// The one choice of algorithms, for both sides.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

/// What all connections of clients are served with, but for the certificate.
fn server_config(clock: Clock, shows: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_details(provider(), Arc::new(ByClock(clock)))
        .with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(shows);
    // Sessions are in the tickets, which the client keeps; nothing is kept here.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 2;
    // Early data can be replayed.
    config.max_early_data_size = 0;
    Ok(config)
}

/// The one place where this room gets random octets for names and numbers; keys are made by the
/// same library.
fn random<const N: usize>() -> Result<[u8; N], aws_lc_rs::error::Unspecified> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets)?;
    Ok(octets)
}

/// The one clock, as rustls asks for it.
#[derive(Debug)]
struct ByClock(Clock);

impl TimeProvider for ByClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.now().0)))
    }
}
