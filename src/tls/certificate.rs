//! What is read of certificates: their dates, their keys, the names in them. Total: octets that
//! are no certificate have no answer, and nothing here decides whether one is good.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::http::Timestamp;

/// The last moment of a certificate's validity.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let moment = parse(certificate)?.validity().not_after.timestamp();
    // Before 1970 is as over as 1970.
    Some(Timestamp(u64::try_from(moment).unwrap_or(0)))
}

/// The certificate, if it is one and nothing else.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

/// SHA-256: of a SubjectPublicKeyInfo for pins, of a certificate for people.
pub(super) fn sha256(octets: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
    let mut hash = [0; 32];
    for (octet, value) in hash.iter_mut().zip(digest.as_ref()) {
        *octet = *value;
    }
    hash
}

/// Octets as lower-case hexadecimal digits.
pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
