//! Certificates that are made on the spot: an authority, and servers that it vouches for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use larder::clock::Clock;
use larder::tls::{OriginTls, OwnRoots, Roots, Verification};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

use super::START;

/// What a client uses that trusts this root alone, and whose clock stands at [`START`].
pub fn trusting(root: CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(AtStart));
    let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// What a client uses that trusts whoever answers: for a proxy whose authority the test does not have.
pub fn trusting_anybody() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
    let anybody = Arc::new(Anybody(provider));
    builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug)]
struct AtStart;

impl TimeProvider for AtStart {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(START.0)))
    }
}

/// An authority of a test's own.
pub struct Certificates {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    /// A new authority.
    pub fn new() -> Certificates {
        Certificates::named("test authority")
    }

    /// A new authority with this name.
    pub fn named(name: &str) -> Certificates {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Certificates { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate") }
    }

    /// How a proxy verifies origins that trusts this authority and no other.
    pub fn origins(&self, clock: &Clock) -> OriginTls {
        let own = OwnRoots::default();
        let roots = Roots::from_pem(self.issuer.pem().as_bytes(), &own).expect("a certificate");
        OriginTls::new(Verification { roots, own, pins: HashMap::new() }, clock.clone())
    }

    /// The authority's own certificate.
    pub fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// The same in PEM.
    pub fn root_pem(&self) -> String {
        self.issuer.pem()
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

    /// As [`Certificates::server`]; it asks for a certificate of its client, and does without.
    pub fn server_that_asks(&self, name: &str) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root()).expect("a certificate");
        let asks = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
        let (chain, key) = self.leaf(name, |_| {});
        let config = ServerConfig::builder().with_client_cert_verifier(asks.expect("a root"));
        config.with_single_cert(chain, key).expect("a certificate that fits its key")
    }

    /// As [`Certificates::leaf`], both in PEM.
    pub fn leaf_pem(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
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
