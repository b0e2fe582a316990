//! A certificate for one host, in the place of the origin's: made here from nothing but the host's
//! name. Nothing of the origin's certificate is copied into it; its end bounds the validity.

use std::sync::Arc;

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroize as _;

use crate::http::{Host, Timestamp};

use super::authority::{Authority, DAY_S, serial, validity};

/// The longest that a leaf is good for. A tenth of what browsers allow, and long enough that a
/// busy Larder mints a host once in weeks.
const VALIDITY_S: u64 = 30 * DAY_S;

/// The key of all leaves of this process: P-256, made at the start, never written down.
pub(super) struct LeafKey {
    pair: KeyPair,
    signing: Arc<dyn rustls::sign::SigningKey>,
}

impl LeafKey {
    pub(super) fn generate() -> Result<LeafKey, String> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let signing = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&der);
        Ok(LeafKey { pair, signing: signing.map_err(|error| error.to_string())? })
    }
}

impl Drop for LeafKey {
    fn drop(&mut self) {
        self.pair.zeroize();
    }
}

/// When a leaf made now ends: in 30 days, or with the origin's certificate or the root.
pub(super) fn end(authority: &Authority, origin_not_after: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let end = now.plus(VALIDITY_S).min(authority.not_after());
    origin_not_after.map_or(end, |origin| end.min(origin))
}

/// A leaf for `host` that is good until `not_after`, with the root behind it left out: clients
/// have it, or don't trust it.
pub(super) fn mint(
    authority: &Authority,
    key: &LeafKey,
    host: &Host,
    not_after: Timestamp,
    now: Timestamp,
) -> Result<Arc<CertifiedKey>, String> {
    let mut params = CertificateParams::default();
    // RFC 5280 §4.2.1.6: with an empty subject, the subjectAltName is critical. A common name
    // would have 64 characters at most, and clients don't look at it.
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![match host.ip() {
        Some(ip) => SanType::IpAddress(ip),
        None => SanType::DnsName(host.as_str().try_into().map_err(|error: rcgen::Error| error.to_string())?),
    }];
    params.serial_number = Some(serial().map_err(|error| error.to_string())?);
    // Clocks of clients are late; a day is what other authorities allow for.
    let not_before = Timestamp(now.0.saturating_sub(DAY_S));
    validity(&mut params, not_before, not_after).ok_or("the clock is wrong")?;
    // Says explicitly that it is no authority, with its key's identifier.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&key.pair, &authority.issuer).map_err(|error| error.to_string())?;
    Ok(Arc::new(CertifiedKey::new(vec![leaf.into()], Arc::clone(&key.signing))))
}
