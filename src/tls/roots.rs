//! The roots that origins may lead to: those of the machine, or a bundle of the operator's choice.
//! Never among them, wherever they come from: our own, and roots whose private key is known to
//! everybody.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::authority::OwnRoots;
use super::certificate::{key_hash, parse};

/// Roots that came with their private key, by the SHA-256 of their public key. Who has one of these
/// in its store trusts everybody.
pub(super) const LEAKED: &[(&str, [u8; 32])] = &[];

/// What is trusted.
#[derive(Debug)]
pub struct Roots {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// What was left out, and why; for the diagnostics.
    pub warnings: Vec<String>,
}

/// Why nothing can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error(
        "this machine has no trusted certificates ({0}): install ca-certificates, or set intercept.roots"
    )]
    NoneOnMachine(String),
    #[error("the bundle has no certificate that can be trusted")]
    NoneInBundle,
    #[error("the bundle is damaged: {0}")]
    Bundle(String),
}

impl Roots {
    /// The roots of the machine: its bundle, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    /// Reads files.
    pub fn of_machine(own: &OwnRoots) -> Result<Roots, RootsError> {
        let found = rustls_native_certs::load_native_certs();
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let mut roots = Roots::of(found.certs, own);
        if roots.anchors.is_empty() {
            return Err(RootsError::NoneOnMachine(errors.join("; ")));
        }
        roots.warnings.extend(errors);
        Ok(roots)
    }

    /// The roots in a PEM bundle.
    pub fn from_pem(pem: &[u8], own: &OwnRoots) -> Result<Roots, RootsError> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let roots = Roots::of(certificates.map_err(|error| RootsError::Bundle(error.to_string()))?, own);
        if roots.anchors.is_empty() { Err(RootsError::NoneInBundle) } else { Ok(roots) }
    }

    fn of(certificates: Vec<CertificateDer<'static>>, own: &OwnRoots) -> Roots {
        let mut roots = Roots { anchors: Vec::with_capacity(certificates.len()), warnings: Vec::new() };
        for certificate in &certificates {
            let Some(parsed) = parse(certificate) else {
                roots.warnings.push("a trusted certificate is malformed and left out".to_owned());
                continue;
            };
            let hash = key_hash(parsed.public_key().raw);
            if own.has_key(&hash) {
                // It is there so that clients trust it. No origin can have it.
                continue;
            }
            if let Some(name) = leaked(&hash) {
                roots.warnings.push(format!("the root {name} is left out: everybody has its private key"));
                continue;
            }
            match webpki::anchor_from_trusted_cert(certificate) {
                Ok(anchor) => roots.anchors.push(anchor.to_owned()),
                Err(error) => roots.warnings.push(format!("{} is left out: {error}", parsed.subject())),
            }
        }
        roots
    }
}

/// The name of the leaked root that has this key.
pub(super) fn leaked(hash: &[u8; 32]) -> Option<&'static str> {
    LEAKED.iter().find(|(_, leaked)| leaked == hash).map(|(name, _)| *name)
}
