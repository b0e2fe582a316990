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

use super::{Alpn, Leaves, MintError, MintRequest, provider, server_config};
use crate::clock::Clock;
use crate::http::Host;

/// What listeners with TLS show.
pub struct ListenerTls(ArcSwap<Shown>);

enum Shown {
    Configured(Arc<ServerConfig>),
    Own { leaves: Box<Leaves>, names: Vec<Host> },
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum ListenerTlsError {
    #[error("there is no certificate in PEM in it")]
    NoCertificate,
    #[error("a certificate in it is damaged")]
    BadCertificate,
    #[error("there is no private key in PEM in it, or it is damaged")]
    BadKey,
    #[error("it can't be used: {0}")]
    Unusable(#[from] rustls::Error),
    #[error("{0:?} is no name of this machine that is known; tls.certificate can have one for it")]
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
        let mut config = server_config(clock, shows)?;
        config.alpn_protocols = Alpn::Http2.protocols();
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        Ok(ListenerTls(ArcSwap::from_pointee(Shown::Configured(Arc::new(config)))))
    }

    /// Shows leaves for these names, and for whatever address of this machine a client has reached.
    pub fn own(leaves: Leaves, names: Vec<Host>) -> ListenerTls {
        ListenerTls(ArcSwap::from_pointee(Shown::Own { leaves: Box::new(leaves), names }))
    }

    /// Shows from now on what another one does.
    pub fn replace(&self, other: ListenerTls) {
        self.0.store(other.0.into_inner());
    }

    /// What serves a client that asks for this name, if for any, and has reached this address.
    pub fn server_config(
        &self,
        name: Option<&str>,
        reached: IpAddr,
        client: IpAddr,
    ) -> Result<Arc<ServerConfig>, ListenerTlsError> {
        match &**self.0.load() {
            Shown::Configured(config) => Ok(Arc::clone(config)),
            Shown::Own { leaves, names } => {
                // RFC 6066 §3: a client that was given an address sends no name.
                let asked = name.map_or_else(|| Some(Host::from_ip(reached)), |name| known(names, name));
                let host = asked
                    .ok_or_else(|| ListenerTlsError::UnknownName(name.unwrap_or_default().to_owned()))?;
                let request = MintRequest { host: &host, alpn: Alpn::Http2, client, origin_not_after: None };
                Ok(leaves.server_config(&request)?)
            }
        }
    }
}

fn known(names: &[Host], asked: &str) -> Option<Host> {
    let asked = Host::parse_text(asked).ok()?;
    names.contains(&asked).then_some(asked)
}

impl std::fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerTls").finish_non_exhaustive()
    }
}
