//! What a listener with TLS shows its clients: a certificate of the operator's, or one that this
//! installation's own authority signs for the name or the address that the client has reached.
//!
//! The operator's can be exchanged while connections are served. With the authority's own, the names
//! are fixed at the start: no client can have a certificate made for a name of its choosing.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::tickets::Tickets;
use super::{Alpn, Leaves, MintError, MintRequest, provider, server_config};
use crate::clock::Clock;
use crate::http::Host;

/// What listeners with TLS show, and the protocols that they offer.
pub struct ListenerTls {
    shown: ArcSwap<Shown>,
    alpn: Alpn,
}

enum Shown {
    Configured(Arc<ServerConfig>),
    Own { leaves: Box<Leaves>, names: Vec<Host> },
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum ListenerTlsError {
    #[error("it contains no PEM certificate")]
    NoCertificate,
    #[error("a certificate in it is damaged")]
    BadCertificate,
    #[error("it contains no PEM private key, or the key is damaged")]
    BadKey,
    #[error("it can't be used: {0}")]
    Unusable(#[from] rustls::Error),
    #[error("{0:?} is not a known name of this machine; set tls.certificate to a certificate for it")]
    UnknownName(String),
    #[error("{0}")]
    Minting(#[from] MintError),
}

impl ListenerTls {
    /// Shows this chain, the leaf first, with its key; both in PEM.
    pub fn configured(chain: &[u8], key: &[u8], clock: Clock) -> Result<ListenerTls, ListenerTlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|_bad_pem| ListenerTlsError::BadCertificate)?;
        if chain.is_empty() {
            return Err(ListenerTlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_bad_pem| ListenerTlsError::BadKey)?;
        // Compares the two, as far as a key tells.
        let shown = CertifiedKey::from_der(chain, key, &provider())?;
        let shows: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(shown));
        let mut config = server_config(clock.clone(), shows)?;
        config.alpn_protocols = Alpn::Http2.protocols();
        let tickets = Tickets::new(clock).map_err(|_unspecified| rustls::Error::FailedToGetRandomBytes)?;
        config.ticketer = Arc::new(tickets);
        Ok(ListenerTls::of(Shown::Configured(Arc::new(config))))
    }

    /// Shows leaves for these names, and for whatever address of this machine a client has reached.
    pub fn own(leaves: Leaves, names: Vec<Host>) -> ListenerTls {
        ListenerTls::of(Shown::Own { leaves: Box::new(leaves), names })
    }

    fn of(shown: Shown) -> ListenerTls {
        ListenerTls { shown: ArcSwap::from_pointee(shown), alpn: Alpn::Http2 }
    }

    /// Offers these protocols instead of HTTP/2 and HTTP/1.1.
    pub fn offering(self, alpn: Alpn) -> ListenerTls {
        if let Shown::Configured(config) = &**self.shown.load() {
            let mut config = ServerConfig::clone(config);
            config.alpn_protocols = alpn.protocols();
            self.shown.store(Arc::new(Shown::Configured(Arc::new(config))));
        }
        ListenerTls { alpn, ..self }
    }

    /// Shows from now on what another one does.
    pub fn replace(&self, other: ListenerTls) {
        self.shown.store(other.shown.into_inner());
    }

    /// As [`ListenerTls::server_config`], but waits while too many new leaves are asked for. Without a
    /// limit of its own.
    pub async fn server_config_in_time(
        &self,
        name: Option<&str>,
        reached: IpAddr,
        client: IpAddr,
    ) -> Result<Arc<ServerConfig>, ListenerTlsError> {
        let shown = self.shown.load_full();
        match &*shown {
            Shown::Configured(config) => Ok(Arc::clone(config)),
            Shown::Own { leaves, names } => {
                let host = asked(names, name, reached)?;
                let request = MintRequest { host: &host, alpn: self.alpn, client, origin_not_after: None };
                Ok(leaves.server_config_in_time(&request).await?)
            }
        }
    }

    /// What serves a client that asks for this name, if for any, and has reached this address.
    pub fn server_config(
        &self,
        name: Option<&str>,
        reached: IpAddr,
        client: IpAddr,
    ) -> Result<Arc<ServerConfig>, ListenerTlsError> {
        match &**self.shown.load() {
            Shown::Configured(config) => Ok(Arc::clone(config)),
            Shown::Own { leaves, names } => {
                let host = asked(names, name, reached)?;
                let request = MintRequest { host: &host, alpn: self.alpn, client, origin_not_after: None };
                Ok(leaves.server_config(&request)?)
            }
        }
    }
}

/// The host whose leaf is shown. RFC 6066 §3: a client that was given an address sends no name; "Literal
/// IPv4 and IPv6 addresses are not permitted in "HostName"", and one that is there is no name either.
fn asked(names: &[Host], name: Option<&str>, reached: IpAddr) -> Result<Host, ListenerTlsError> {
    let Some(text) = name else { return Ok(Host::from_ip(reached)) };
    match Host::parse_text(text) {
        Ok(host) if host.ip().is_some() => Ok(Host::from_ip(reached)),
        Ok(host) if names.contains(&host) => Ok(host),
        _ => Err(ListenerTlsError::UnknownName(text.to_owned())),
    }
}

impl std::fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerTls").finish_non_exhaustive()
    }
}
