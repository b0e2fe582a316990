//! The roots that origins may lead to: those of the machine, or a bundle of the operator's choice.
//! Never among them, wherever they come from: our own, and roots whose private key is known to
//! everybody.

use std::collections::HashSet;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::authority::OwnRoots;
use super::certificate::{hex, parse, sha256};

/// Roots that came with their private key, by the SHA-256 of their SubjectPublicKeyInfo. Who has one
/// of these in its store trusts everybody. The first five are also on Chromium's blocklist; the others
/// are in the public repositories of the programs they are named after.
pub(super) const LEAKED: &[(&str, &str)] = &[
    ("Superfish", "4bb8f35ba1e126f8dde1b0c420625ed86dce61a7bddadbdea9aba578ff13145e"),
    ("eDellRoot", "cdee9f3305572a677e1a6c82dc1e02a35b11cae6a684338c9f37fe1ac8daec23"),
    ("DSDTestProvider", "130ad4e0633521290531b6651f5759b0bc7bc656709ff8f365c2143b0389b6f6"),
    ("SenncomRootCA", "0c43ea8bcde9fc3bca165664ac8215567e3489d5393a0c81e1a79141992e1953"),
    ("Sennheiser 127.0.0.1", "8f591f7aa4dc3efe9490c38a4692c9011ed128f1de595569406d77b6fa1f6b4c"),
    ("preact-cli", "680971cb44b0fd56592102a256e85c58e87109ad8044c2b90d8f3c6e9eeab897"),
    ("webpack-dev-server", "8ccaf212316c595afb9a0af4be01668781796f839ba9a22012fdbb431d8630fd"),
];

/// What is trusted.
#[derive(Debug)]
pub struct Roots {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// SHA-256 of each certificate that is trusted, for origins that show it as their own.
    pub(super) hashes: HashSet<[u8; 32]>,
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

    /// These and more, of which those that can't be used are left out.
    pub fn and(mut self, certificates: Vec<Vec<u8>>, own: &OwnRoots) -> Roots {
        let more = Roots::of(certificates.into_iter().map(CertificateDer::from).collect(), own);
        self.anchors.extend(more.anchors);
        self.hashes.extend(more.hashes);
        self.warnings.extend(more.warnings);
        self
    }

    fn of(certificates: Vec<CertificateDer<'static>>, own: &OwnRoots) -> Roots {
        let anchors = Vec::with_capacity(certificates.len());
        let mut roots = Roots { anchors, hashes: HashSet::new(), warnings: Vec::new() };
        for certificate in &certificates {
            let Some(parsed) = parse(certificate) else {
                roots.warnings.push("a trusted certificate is malformed and left out".to_owned());
                continue;
            };
            let hash = sha256(parsed.public_key().raw);
            if own.has_key(&hash) {
                // It is there so that clients trust it. No origin can have it.
                continue;
            }
            if let Some(name) = leaked(&hash) {
                roots.warnings.push(format!("the root {name} is left out: everybody has its private key"));
                continue;
            }
            roots.hashes.insert(sha256(certificate));
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
    let digits = hex(hash);
    LEAKED.iter().find(|(_, leaked)| *leaked == digits).map(|(name, _)| *name)
}
