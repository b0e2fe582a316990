//! Certificates that are made on the spot: an authority, and servers that it vouches for.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// An authority of a test's own.
pub struct Certificates {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    /// A new authority.
    pub fn new() -> Certificates {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Certificates { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate") }
    }

    /// What a client that trusts this authority uses.
    pub fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a certificate");
        ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }

    /// What the server with this name uses.
    pub fn server(&self, name: &str) -> ServerConfig {
        self.server_with(name, |_| {})
    }

    /// As [`Certificates::server`], with a certificate that `change` has changed.
    pub fn server_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let (chain, key) = self.leaf(name, change);
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        config.expect("a certificate that fits its key")
    }

    /// A certificate for a name, and its key.
    pub fn leaf(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }
}
