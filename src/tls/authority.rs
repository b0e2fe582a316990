//! The interception authority: a root of this installation's own, made here on first use, that
//! signs for single hosts and for nothing else (`pathlen:0`).
//!
//! Its key is in the folder of `key_store.rs` and in this type, which wipes it in the end and has
//! no function that gives it away. Every root has a name of its own with random digits in it:
//! clients tell roots apart by name, and one that knew an earlier root of the same name would take
//! a new one's certificates for forgeries.
//!
//! Rotation replaces: the old key is removed at once, and its certificate is remembered only to be
//! recognised ([`OwnRoots`]) and uninstalled. A Larder that runs keeps the root it started with, so
//! a new one can be installed everywhere before the restart that begins to use it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::X509Certificate;
use zeroize::{Zeroize as _, Zeroizing};

use crate::clock::Clock;
use crate::http::Timestamp;

use super::certificate::{hex, not_after, parse, sha256};
use super::constraints::NameConstraints;
use super::key_store::{Created, KeyStore, KeyStoreError};
use super::random;

/// A root's validity, from a day before it was made: five years.
const VALIDITY_S: u64 = 5 * 365 * DAY_S;
pub(super) const DAY_S: u64 = 86_400;

/// Behind the key, where the part for everybody begins.
const CERTIFICATE_MARK: &str = "-----BEGIN CERTIFICATE-----";

/// This installation's root, and its key.
pub struct Authority {
    pub(super) issuer: Issuer<'static, SecretKey>,
    certificate: CertificateDer<'static>,
    pem: String,
    name: String,
    not_after: Timestamp,
    constraints: NameConstraints,
    roots: OwnRoots,
    store: KeyStore,
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("{0}")]
    Store(#[from] KeyStoreError),
    #[error("{folder}: {what}; `larder ca rotate` makes a new authority")]
    Damaged { folder: PathBuf, what: &'static str },
    #[error("the authority has expired on {0}; `larder ca rotate` makes a new one")]
    Expired(String),
    #[error(
        "intercept.name_constraints is not what the authority was made with; `larder ca rotate` makes one \
         with it, which is then to be installed"
    )]
    OtherConstraints,
    #[error("a key or a certificate can't be made: {0}")]
    Making(String),
}

/// How the roots of this installation, past ones too, are recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnRoots(Vec<OwnRoot>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnRoot {
    /// The subject in DER.
    subject: Vec<u8>,
    key_hash: [u8; 32],
}

/// A root without its key, as others get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootCertificate {
    /// No other root has it.
    pub name: String,
    pub pem: String,
}

/// A signing key that is wiped when it is let go.
pub(super) struct SecretKey(KeyPair);

impl Authority {
    /// The authority in this folder. The first call makes it.
    pub fn open(
        folder: &Path,
        constraints: &NameConstraints,
        clock: &Clock,
    ) -> Result<Authority, AuthorityError> {
        let store = KeyStore::new(folder);
        if store.read()?.is_none() {
            let pem = make(constraints, clock.now())?;
            // Who is second uses what the first one made.
            let (Created::New | Created::ThereAlready) = store.create(&pem)?;
        }
        let authority = Authority::find(folder)?;
        let authority = authority.ok_or(damaged(folder, "the authority is gone again"))?;
        if authority.not_after <= clock.now() {
            return Err(AuthorityError::Expired(authority.not_after.to_http_date()));
        }
        if authority.constraints != *constraints {
            return Err(AuthorityError::OtherConstraints);
        }
        Ok(authority)
    }

    /// The authority in this folder, expired or not, if there is one. Writes nothing but its
    /// certificate for people.
    pub fn find(folder: &Path) -> Result<Option<Authority>, AuthorityError> {
        let store = KeyStore::new(folder);
        let Some(text) = store.read()? else { return Ok(None) };
        let key = KeyPair::from_pem(&text).map_err(|_bad_key| damaged(folder, "the key is damaged"))?;
        let key = SecretKey(key);
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|_bad_pem| damaged(folder, "the certificate is damaged"))?;
        let pem = text.find(CERTIFICATE_MARK).and_then(|at| text.get(at..)).unwrap_or_default().to_owned();
        let authority = Authority::of(folder, store, key, certificate, pem)?;
        authority.store.publish(&authority.pem)?;
        Ok(Some(authority))
    }

    /// Makes a new authority in the place of the one in this folder, if there is one, and says
    /// which that was.
    pub fn rotate(
        folder: &Path,
        constraints: &NameConstraints,
        clock: &Clock,
    ) -> Result<(Authority, Option<String>), AuthorityError> {
        let store = KeyStore::new(folder);
        let previous = match Authority::find(folder)? {
            None => None,
            Some(previous) => {
                store.replace(&make(constraints, clock.now())?, &previous.pem)?;
                Some(previous.name)
            }
        };
        Ok((Authority::open(folder, constraints, clock)?, previous))
    }

    /// The root's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The root's certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The name in it, which no other root has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last moment at which the root is good.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// SHA-256 of the root's certificate, as browsers show it.
    pub fn fingerprint(&self) -> String {
        let octets = sha256(&self.certificate);
        octets.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
    }

    /// The hosts that it may sign for. What it may not sign for can only be tunnelled.
    pub fn constraints(&self) -> &NameConstraints {
        &self.constraints
    }

    /// Where the certificate is.
    pub fn certificate_path(&self) -> PathBuf {
        self.store.certificate_path()
    }

    /// The roots that no origin may lead to.
    pub fn own_roots(&self) -> &OwnRoots {
        &self.roots
    }

    /// This root for those who shall trust it.
    pub fn root(&self) -> RootCertificate {
        RootCertificate { name: self.name.clone(), pem: self.pem.clone() }
    }

    /// Earlier roots, the oldest first, to be uninstalled.
    pub fn previous(&self) -> Result<Vec<RootCertificate>, AuthorityError> {
        let text = self.store.previous()?;
        let blocks = text.split(CERTIFICATE_MARK).skip(1).map(|block| CERTIFICATE_MARK.to_owned() + block);
        let named = |pem: String| {
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
            Some(RootCertificate { name: common_name(&parse(&certificate)?)?, pem })
        };
        Ok(blocks.filter_map(named).collect())
    }

    fn of(
        folder: &Path,
        store: KeyStore,
        key: SecretKey,
        certificate: CertificateDer<'static>,
        pem: String,
    ) -> Result<Authority, AuthorityError> {
        let parsed = parse(&certificate).ok_or(damaged(folder, "the certificate is damaged"))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(damaged(folder, "key and certificate are not of one authority"));
        }
        let name = common_name(&parsed).ok_or(damaged(folder, "the certificate has no name"))?;
        let constraints = match parsed.name_constraints() {
            Ok(None) => Some(NameConstraints::default()),
            Ok(Some(extension)) => NameConstraints::from_extension(extension.value),
            Err(_malformed) => None,
        };
        let constraints = constraints.ok_or(damaged(folder, "the name constraints are not Larder's"))?;
        let not_after = not_after(&certificate).ok_or(damaged(folder, "the certificate has no end"))?;
        let mut roots = OwnRoots::default();
        roots.add(&certificate);
        for previous in CertificateDer::pem_slice_iter(store.previous()?.as_bytes()) {
            roots.add(&previous.map_err(|_bad_pem| damaged(folder, "previous.pem is damaged"))?);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(making)?;
        Ok(Authority { issuer, certificate, pem, name, not_after, constraints, roots, store })
    }
}

impl std::fmt::Debug for Authority {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OwnRoots {
    fn add(&mut self, certificate: &CertificateDer<'_>) {
        if let Some(parsed) = parse(certificate) {
            let key_hash = sha256(parsed.public_key().raw);
            self.0.push(OwnRoot { subject: parsed.subject().as_raw().to_vec(), key_hash });
        }
    }

    /// Whether one of them has this key.
    pub(super) fn has_key(&self, hash: &[u8; 32]) -> bool {
        self.0.iter().any(|root| root.key_hash == *hash)
    }

    /// Whether one of them has this name, in DER.
    pub(super) fn has_name(&self, subject: &[u8]) -> bool {
        self.0.iter().any(|root| root.subject == subject)
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PublicKeyData for SecretKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for SecretKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

/// A new root: key and certificate in PEM.
fn make(constraints: &NameConstraints, now: Timestamp) -> Result<Zeroizing<String>, AuthorityError> {
    let key = SecretKey(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making)?);
    let digits = hex(&random::<6>().map_err(making)?);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Larder");
    params.distinguished_name.push(DnType::CommonName, format!("Larder authority {digits}"));
    params.serial_number = Some(serial().map_err(making)?);
    let not_before = Timestamp(now.0.saturating_sub(DAY_S));
    let not_after = not_before.plus(VALIDITY_S);
    validity(&mut params, not_before, not_after).ok_or_else(|| making("the clock is wrong"))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = constraints.to_extension();
    let certificate = params.self_signed(&key).map_err(making)?;
    let mut pem = Zeroizing::new(String::with_capacity(4096));
    pem.push_str(&Zeroizing::new(key.0.serialize_pem()));
    pem.push_str(&certificate.pem());
    Ok(pem)
}

/// A serial number: 16 random octets. RFC 5280 §4.1.2.2: a positive integer of at most 20 octets.
pub(super) fn serial() -> Result<SerialNumber, aws_lc_rs::error::Unspecified> {
    let mut octets = random::<16>()?;
    // The first bit is the sign; with the second one set, no leading octet is zero.
    if let Some(first) = octets.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(SerialNumber::from_slice(&octets))
}

/// Writes the validity into a certificate to be; `None` beyond the year 9999.
pub(super) fn validity(params: &mut CertificateParams, from: Timestamp, to: Timestamp) -> Option<()> {
    let start = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = start.checked_add(Duration::from_secs(from.0).try_into().ok()?)?;
    params.not_after = start.checked_add(Duration::from_secs(to.0).try_into().ok()?)?;
    Some(())
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    Some(certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned())
}

fn damaged(folder: &Path, what: &'static str) -> AuthorityError {
    AuthorityError::Damaged { folder: folder.to_path_buf(), what }
}

fn making(error: impl std::fmt::Display) -> AuthorityError {
    AuthorityError::Making(error.to_string())
}
