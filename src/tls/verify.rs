//! What an origin must show: a certificate for its host, in a path to a trusted root (RFC 5280 §6,
//! RFC 9525), checked by webpki; and what webpki leaves to others: key usage, our own root, leaked
//! roots, pins. Whatever fails becomes a [`BadCertificate`].
//!
//! Not here: revocation. Lists and OCSP are not fetched.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;

use crate::http::Timestamp;

use super::authority::OwnRoots;
use super::bad_certificate::{BadCertificate, Names};
use super::certificate::{parse, sha256};
use super::pin::Pin;
use super::roots::{Roots, leaked};

/// Bits of an RSA key, at least (CA/Browser Forum Baseline Requirements §6.1.5).
const RSA_BITS_MIN: usize = 2048;

/// What all verifications share.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) roots: Roots,
    pub(super) own: OwnRoots,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// The verification of one host.
#[derive(Debug)]
pub(super) struct HostVerifier {
    pub(super) trust: Arc<Trust>,
    /// The one key that is accepted, whatever the certificate says otherwise.
    pub(super) pin: Option<Pin>,
}

impl HostVerifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), BadCertificate> {
        let parsed = parse(leaf).ok_or_else(|| malformed("not a certificate"))?;
        self.refuse_known_bad(&parsed, intermediates)?;
        if let Some(pin) = self.pin {
            let found = Pin(sha256(parsed.public_key().raw));
            let is_pinned = found == pin;
            return if is_pinned {
                Ok(())
            } else {
                Err(BadCertificate::OtherKeyThanPinned(found.to_string()))
            };
        }
        let end_entity = EndEntityCert::try_from(leaf).map_err(|error| reason(error, &parsed))?;
        if self.trust.roots.hashes.contains(&sha256(leaf)) {
            check_trusted_leaf(&parsed, now)?;
        } else {
            self.verify_path(&end_entity, &parsed, intermediates, now)?;
        }
        end_entity.verify_is_valid_for_subject_name(name).map_err(|error| reason(error, &parsed))?;
        check_leaf_key(&parsed)
    }

    /// Our own roots and leaked ones, as a key or as a signer, wherever in the chain.
    fn refuse_known_bad(
        &self,
        leaf: &X509Certificate<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), BadCertificate> {
        let check = |certificate: &X509Certificate<'_>| {
            let hash = sha256(certificate.public_key().raw);
            if self.trust.own.has_key(&hash) || self.trust.own.has_name(certificate.issuer().as_raw()) {
                return Err(BadCertificate::OwnAuthority);
            }
            leaked(&hash).map_or(Ok(()), |name| Err(BadCertificate::LeakedAuthority(name)))
        };
        check(leaf)?;
        // What can't be read is no part of a path either; webpki says so.
        intermediates.iter().filter_map(parse).try_for_each(|certificate| check(&certificate))
    }

    fn verify_path(
        &self,
        end_entity: &EndEntityCert<'_>,
        leaf: &X509Certificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), BadCertificate> {
        // webpki asks about each path that it would accept, and goes on with another if told so.
        let objection = RefCell::new(None);
        let check_signers = |path: &VerifiedPath<'_>| {
            let der: Vec<_> = path.intermediate_certificates().map(|signer| signer.der()).collect();
            if der.iter().all(may_sign) {
                return Ok(());
            }
            objection.replace(Some(BadCertificate::SignerWrongKeyUsage));
            Err(webpki::Error::UnknownIssuer)
        };
        let verified = end_entity.verify_for_usage(
            self.trust.algorithms.all,
            &self.trust.roots.anchors,
            intermediates,
            now,
            KeyUsage::server_auth(),
            None,
            Some(&check_signers),
        );
        match verified {
            Ok(_path) => Ok(()),
            Err(error) => Err(objection.take().unwrap_or_else(|| match error {
                // A key that is too short to be asked is told as a signature that is wrong.
                webpki::Error::InvalidSignatureForPublicKey if has_short_key(intermediates) => {
                    BadCertificate::WeakKey
                }
                error => reason(error, leaf),
            })),
        }
    }
}

impl ServerCertVerifier for HostVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verify(end_entity, intermediates, server_name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(bad) => Err(CertificateError::Other(OtherError(Arc::new(bad))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.trust.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.trust.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms.supported_schemes()
    }
}

/// Of a certificate that is trusted itself, and shown by an origin as its own: one without an authority,
/// which an operator has put among the roots. There is no path to verify (RFC 5280 §6.1: the trust
/// anchor is not part of it); its time and its purpose are its own.
fn check_trusted_leaf(leaf: &X509Certificate<'_>, now: UnixTime) -> Result<(), BadCertificate> {
    let seconds = |moment: i64| u64::try_from(moment).unwrap_or_default();
    let (from, to) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    if now.as_secs() < seconds(from) {
        return Err(BadCertificate::NotYetValid(Timestamp(seconds(from))));
    }
    if now.as_secs() > seconds(to) {
        return Err(BadCertificate::Expired(Timestamp(seconds(to))));
    }
    match leaf.extended_key_usage() {
        Ok(usage) if usage.as_ref().is_none_or(|usage| usage.value.any || usage.value.server_auth) => Ok(()),
        Ok(_) => Err(BadCertificate::WrongPurpose),
        Err(_malformed) => Err(malformed("its extended key usage")),
    }
}

/// RFC 5280 §6.1.4 (n): "If a key usage extension is present, verify that the keyCertSign bit is
/// set." webpki leaves that out.
fn may_sign(signer: &CertificateDer<'_>) -> bool {
    let Some(signer) = parse(signer) else { return false };
    match signer.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_malformed) => false,
    }
}

/// RFC 8446 §4.4.2.2: "the digitalSignature bit MUST be set if the Key Usage extension is present";
/// all that TLS 1.2 is spoken with here signs too.
fn check_leaf_key(leaf: &X509Certificate<'_>) -> Result<(), BadCertificate> {
    let may_sign = match leaf.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.digital_signature()),
        Err(_malformed) => false,
    };
    if !may_sign {
        return Err(BadCertificate::WrongKeyUsage);
    }
    if is_short(leaf) { Err(BadCertificate::WeakKey) } else { Ok(()) }
}

fn has_short_key(certificates: &[CertificateDer<'_>]) -> bool {
    certificates.iter().filter_map(parse).any(|certificate| is_short(&certificate))
}

fn is_short(certificate: &X509Certificate<'_>) -> bool {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => {
            let digits = key.modulus.iter().skip_while(|&&octet| octet == 0);
            digits.count() * 8 < RSA_BITS_MIN
        }
        _ => false,
    }
}

/// webpki's answer in our words.
fn reason(error: webpki::Error, leaf: &X509Certificate<'_>) -> BadCertificate {
    use webpki::Error as E;
    let timestamp = |time: UnixTime| Timestamp(time.as_secs());
    let of_leaf = |time: UnixTime, own: i64| i64::try_from(time.as_secs()).is_ok_and(|time| time == own);
    match error {
        E::CertExpired { not_after, .. } if of_leaf(not_after, leaf.validity().not_after.timestamp()) => {
            BadCertificate::Expired(timestamp(not_after))
        }
        E::CertExpired { not_after, .. } => BadCertificate::AuthorityExpired(timestamp(not_after)),
        E::CertNotValidYet { not_before, .. }
            if of_leaf(not_before, leaf.validity().not_before.timestamp()) =>
        {
            BadCertificate::NotYetValid(timestamp(not_before))
        }
        E::CertNotValidYet { not_before, .. } => BadCertificate::AuthorityNotYetValid(timestamp(not_before)),
        E::CertNotValidForName(_) => match Names::of_hosts(leaf) {
            names if names.is_empty() => BadCertificate::NoNames,
            names => BadCertificate::OtherNames(names),
        },
        E::UnknownIssuer | E::CaUsedAsEndEntity if leaf.subject() == leaf.issuer() => {
            BadCertificate::SelfSigned
        }
        E::UnknownIssuer => BadCertificate::UnknownAuthority(Names::of_issuer(leaf)),
        E::CaUsedAsEndEntity => BadCertificate::IsAuthority,
        E::EndEntityUsedAsCa => BadCertificate::SignerIsNoAuthority,
        E::CertDistrusted | E::CertRevoked => BadCertificate::Distrusted,
        E::InvalidSignatureForPublicKey | E::SignatureAlgorithmMismatch => BadCertificate::BadSignature,
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => BadCertificate::WeakSignature,
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => BadCertificate::WrongPurpose,
        E::PathLenConstraintViolated | E::MaximumPathDepthExceeded => BadCertificate::PathTooLong,
        E::NameConstraintViolation | E::MalformedNameConstraint => BadCertificate::NameNotPermitted,
        E::UnsupportedCriticalExtension => BadCertificate::UnknownCriticalExtension,
        E::UnsupportedCertVersion => BadCertificate::OldVersion,
        E::MaximumSignatureChecksExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumNameConstraintComparisonsExceeded => BadCertificate::TooComplex,
        other => BadCertificate::Malformed(other.to_string()),
    }
}

fn malformed(detail: &str) -> BadCertificate {
    BadCertificate::Malformed(detail.to_owned())
}
