//! Signatures and keys that are too weak. The certificates are in `fixtures/`, without their keys:
//! they are refused before the handshake's signature is looked at.

use std::sync::Arc;

use larder::http::Timestamp;
use larder::tls::{OwnRoots, Roots, RootsError, not_after};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::chain::DAY;
use super::world::Client;

macro_rules! fixture {
    ($name:literal) => {
        CertificateDer::from_pem_slice(include_bytes!(concat!("fixtures/", $name, ".pem"))).expect("PEM")
    };
}

/// A key that nobody has: its signatures are zeros.
#[derive(Debug)]
struct NoKey;

impl SigningKey for NoKey {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(NoKey))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for NoKey {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![0; 256])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}

fn shown(chain: Vec<CertificateDer<'static>>) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey::new(chain, Arc::new(NoKey)))
}

#[test]
fn weak_signatures_and_keys() {
    let root = fixture!("root");
    let made = Timestamp(not_after(&root).expect("a certificate").0 - 3650 * DAY);
    let client = Client::trusting(&[root]).at(made.plus(DAY));
    let signature = "signed in a way that is not safe, such as with SHA-1";
    let key = "its key, or one above it, is too short to be safe";
    let cases = [
        ("SHA-1", vec![fixture!("sha1-leaf")], signature),
        ("MD5", vec![fixture!("md5-leaf")], signature),
        ("an authority with SHA-1", vec![fixture!("sha1-ca-leaf"), fixture!("sha1-ca")], signature),
        ("RSA with 512 bits", vec![fixture!("rsa-512-leaf")], key),
        ("RSA with 1024 bits", vec![fixture!("rsa-1024-leaf")], key),
        ("an authority with 1024 bits", vec![fixture!("rsa-1024-ca-leaf"), fixture!("rsa-1024-ca")], key),
        (
            "an authority of version 1",
            vec![fixture!("v1-ca-leaf"), fixture!("v1-ca")],
            "is not a certificate of version 3",
        ),
    ];
    for (what, chain, reason) in cases {
        client.ask("a.example", shown(chain)).is_refused(what, reason);
    }
}

#[test]
fn roots_whose_key_everybody_has() {
    let superfish = fixture!("superfish");
    let bundle = include_bytes!("fixtures/superfish.pem");
    assert!(matches!(Roots::from_pem(bundle, &OwnRoots::default()), Err(RootsError::NoneInBundle)));
    let both = [&bundle[..], include_bytes!("fixtures/root.pem")].concat();
    let roots = Roots::from_pem(&both, &OwnRoots::default()).expect("the other one");
    assert_eq!(roots.warnings.len(), 1);
    assert!(roots.warnings[0].contains("Superfish"), "{:?}", roots.warnings);
    // Where it is shown as one above, even beside a good path.
    let client = Client::trusting(&[fixture!("root"), superfish.clone()]);
    let chain = vec![fixture!("sha1-leaf"), superfish];
    let reason = "it leads to Superfish, a root whose private key everybody has";
    client.ask("a.example", shown(chain)).is_refused("Superfish", reason);
}
