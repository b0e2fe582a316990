//! Certificates for tests: authorities that sign whatever they are told to.

use std::sync::Arc;
use std::time::Duration;

use larder::http::Timestamp;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
    SignatureAlgorithm,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

/// When everything happens.
pub const NOW: Timestamp = Timestamp(1_790_000_000);
pub const DAY: u64 = 86_400;

/// An authority, or what passes for one.
pub struct Ca {
    params: CertificateParams,
    key: KeyPair,
    pub certificate: Certificate,
}

/// A certificate to be shown, with its key.
#[derive(Clone)]
pub struct Leaf {
    pub certificate: CertificateDer<'static>,
    pub key: Arc<dyn SigningKey>,
}

/// Sets the validity, in seconds from [`NOW`].
pub fn valid(params: &mut CertificateParams, from: i64, to: i64) {
    let start = rcgen::date_time_ymd(1970, 1, 1);
    let at = |offset: i64| start + Duration::from_secs(NOW.0.checked_add_signed(offset).expect("after 1970"));
    (params.not_before, params.not_after) = (at(from), at(to));
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let day = DAY.cast_signed();
    valid(&mut params, -day, 30 * day);
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A good leaf for these names.
pub fn leaf_params(names: &[&str]) -> CertificateParams {
    let mut params = named("leaf");
    params.subject_alt_names = names.iter().map(|name| san(name)).collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn san(name: &str) -> SanType {
    match name.parse() {
        Ok(ip) => SanType::IpAddress(ip),
        Err(_no_address) => dns(name),
    }
}

/// A dNSName of any text.
pub fn dns(name: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(name).expect("ASCII"))
}

/// An extension that nobody knows.
pub fn unknown_critical() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 7], vec![5, 0]);
    extension.set_criticality(true);
    extension
}

impl Ca {
    /// A root.
    pub fn root(name: &str) -> Ca {
        Ca::root_with(name, |_| ())
    }

    /// A root with something else about it.
    pub fn root_with(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Ca {
        let mut params = ca_params(name);
        edit(&mut params);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Ca { params, key, certificate }
    }

    /// An authority below this one.
    pub fn authority(&self, name: &str) -> Ca {
        self.authority_with(name, |_| ())
    }

    /// An authority below this one with something else about it.
    pub fn authority_with(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Ca {
        let mut params = ca_params(name);
        edit(&mut params);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = params.signed_by(&key, &self.issuer()).expect("a certificate");
        Ca { params, key, certificate }
    }

    /// An authority of the same name with another key.
    pub fn impostor(&self) -> Ca {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = self.params.self_signed(&key).expect("a certificate");
        Ca { params: self.params.clone(), key, certificate }
    }

    /// A good leaf.
    pub fn leaf(&self, names: &[&str]) -> Leaf {
        self.leaf_with(names, |_| ())
    }

    /// A leaf with something else about it.
    pub fn leaf_with(&self, names: &[&str], edit: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        self.leaf_of(names, &key, edit)
    }

    /// A leaf with a key of this kind.
    pub fn leaf_by(&self, algorithm: &'static SignatureAlgorithm) -> Leaf {
        self.leaf_of(&["a.example"], &KeyPair::generate_for(algorithm).expect("a key"), |_| ())
    }

    /// A leaf with this key.
    pub fn leaf_of(&self, names: &[&str], key: &KeyPair, edit: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = leaf_params(names);
        edit(&mut params);
        let certificate = params.signed_by(key, &self.issuer()).expect("a certificate");
        Leaf { certificate: certificate.into(), key: signing(key) }
    }

    /// The authority's own certificate, shown as a leaf.
    pub fn as_leaf(&self) -> Leaf {
        Leaf { certificate: self.der(), key: signing(&self.key) }
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

impl Leaf {
    /// A leaf that has signed itself.
    pub fn self_signed(edit: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = leaf_params(&["a.example"]);
        edit(&mut params);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        Leaf { certificate: params.self_signed(&key).expect("a certificate").into(), key: signing(&key) }
    }

    /// The same key behind other octets.
    pub fn changed(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Leaf {
        let mut octets = self.certificate.to_vec();
        change(&mut octets);
        self.certificate = octets.into();
        self
    }

    /// What the server shows: this leaf, then these.
    pub fn with(&self, above: &[CertificateDer<'static>]) -> Arc<CertifiedKey> {
        let mut chain = vec![self.certificate.clone()];
        chain.extend_from_slice(above);
        Arc::new(CertifiedKey::new(chain, Arc::clone(&self.key)))
    }
}

/// Replaces the only place in which `what` stands.
pub fn replace(octets: &mut [u8], what: &[u8], with: &[u8]) {
    let at = octets.windows(what.len()).position(|window| window == what).expect("it is there");
    octets[at..at + with.len()].copy_from_slice(with);
}

fn signing(key: &KeyPair) -> Arc<dyn SigningKey> {
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).expect("a key of a kind that TLS knows")
}
