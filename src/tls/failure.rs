//! A handshake that failed, as a failure of RFC 9209; and what a client's alert says about its
//! trust in us.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};

use crate::error::{ErrorType, Failure, Fault};
use crate::http::Host;

use super::bad_certificate::BadCertificate;

/// What a failed handshake with this origin comes to.
pub fn handshake_failure(host: &Host, error: &io::Error) -> Failure {
    let Some(tls) = tls_error(error) else {
        let public = format!("{host} has closed the connection during the TLS handshake");
        return failure(ErrorType::ConnectionTerminated, public, error);
    };
    match tls {
        Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => {
            let public = match reason.downcast_ref::<BadCertificate>() {
                Some(reason) => format!("The certificate of {host} is not accepted: {reason}"),
                None => format!("The certificate of {host} is not accepted"),
            };
            failure(ErrorType::TlsCertificateError, public, tls)
        }
        // The certificate is good, and the signature in the handshake is not its key's.
        Error::InvalidCertificate(_) => {
            let public = format!("{host} can't show that its certificate is its own");
            failure(ErrorType::TlsCertificateError, public, tls)
        }
        Error::NoCertificatesPresented => {
            failure(ErrorType::TlsCertificateError, format!("{host} shows no certificate"), tls)
        }
        // RFC 9209 §2.3.16: the alert came from the other side.
        Error::AlertReceived(alert) => {
            let number = u8::from(*alert);
            let public = match alert {
                AlertDescription::ProtocolVersion => {
                    format!("{host} does not speak TLS 1.2 or later (alert {number})")
                }
                AlertDescription::UnrecognisedName => {
                    format!("{host} does not know itself by that name (alert {number})")
                }
                AlertDescription::CertificateRequired => {
                    format!("{host} wants a certificate of the client's (alert {number})")
                }
                _ => format!("{host} has refused the TLS handshake (alert {number})"),
            };
            failure(ErrorType::TlsAlertReceived, public, tls)
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => {
            let public = format!("{host} does not speak TLS 1.2 or later");
            failure(ErrorType::TlsProtocolError, public, tls)
        }
        Error::PeerIncompatible(_) => {
            let public = format!("{host} offers no TLS that is safe");
            failure(ErrorType::TlsProtocolError, public, tls)
        }
        _ => failure(ErrorType::TlsProtocolError, format!("{host} does not speak TLS as it should"), tls),
    }
}

/// Whether a handshake with a client failed because it does not trust our certificate: alerts 42,
/// 46 and 48 (RFC 8446 §6.2). Again and again from one program, that is a pinned key, or the root
/// is not installed there.
pub fn is_distrusted_by_client(error: &io::Error) -> bool {
    let distrust =
        [AlertDescription::BadCertificate, AlertDescription::CertificateUnknown, AlertDescription::UnknownCA];
    matches!(tls_error(error), Some(Error::AlertReceived(alert)) if distrust.contains(alert))
}

pub(super) fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn failure(error: ErrorType, public: String, internal: impl std::fmt::Display) -> Failure {
    Failure::new(error, Fault::Origin, 502, public).with_internal(internal)
}
