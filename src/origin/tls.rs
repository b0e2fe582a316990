//! TLS towards origins: the handshake, and what is told when it fails.
//!
//! What is trusted is decided by the `ClientConfig` that the worker was given. A handshake that
//! fails is a failure: nothing weaker is tried (RFC 9110 §4.3.4).

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Host, Stream};

/// Shakes hands for TLS with this host over a connection to it. Waits without a limit of its own.
pub(super) async fn handshake(
    config: &Arc<ClientConfig>,
    host: &Host,
    stream: TcpStream,
) -> Result<Stream, Failure> {
    // RFC 6066 §3 knows no addresses and no trailing dot in a server name; a Host has no dot, and
    // for an address none is sent.
    let name = ServerName::try_from(host.as_str().to_owned()).map_err(|_no_name| not_a_name())?;
    match TlsConnector::from(config.clone()).connect(name, stream).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream.into()))),
        Err(error) => Err(failure(&error)),
    }
}

/// The origin took too long over its handshake.
pub(super) fn timeout() -> Failure {
    let public = "The server did not finish the TLS handshake in time";
    Failure::new(ErrorType::ConnectionTimeout, Fault::Origin, 504, public)
}

/// A proxy that was built without TLS.
pub(super) fn unavailable() -> Failure {
    let public = "This proxy is not set up to fetch https URIs itself; ask for a tunnel (CONNECT)";
    Failure::new(ErrorType::HttpRequestError, Fault::Client, 501, public)
}

fn not_a_name() -> Failure {
    let public = "The host's name is none that a certificate could be for";
    Failure::new(ErrorType::TlsCertificateError, Fault::Client, 400, public)
}

fn failure(error: &io::Error) -> Failure {
    let (kind, public) = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(wrong)) => (ErrorType::TlsCertificateError, certificate(wrong)),
        Some(Error::NoCertificatesPresented) => {
            (ErrorType::TlsCertificateError, "The server has no certificate".to_owned())
        }
        Some(Error::AlertReceived(alert)) => (ErrorType::TlsAlertReceived, refused(*alert)),
        Some(_) => {
            let public = "The server and the proxy have no safe form of TLS in common";
            (ErrorType::TlsProtocolError, public.to_owned())
        }
        None => {
            let public = "The server closed the connection in the TLS handshake";
            (ErrorType::ConnectionTerminated, public.to_owned())
        }
    };
    Failure::new(kind, Fault::Origin, 502, public).with_internal(error)
}

/// What is wrong with a certificate, for a person who wanted to see a page.
fn certificate(wrong: &CertificateError) -> String {
    use CertificateError as E;
    let what = match wrong {
        E::Expired | E::ExpiredContext { .. } => "has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "is not valid yet",
        E::NotValidForName | E::NotValidForNameContext { .. } => "is for another name",
        E::UnknownIssuer => "is signed by nobody whom this machine trusts",
        E::Revoked => "was revoked",
        E::BadEncoding => "is malformed",
        E::BadSignature => "has a signature that is wrong",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "is not for web servers",
        E::Other(other) => return format!("The server's certificate is refused: {other}"),
        _ => "can't be trusted",
    };
    format!("The server's certificate {what}")
}

fn refused(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "The server wants a certificate of its client".to_owned(),
        AlertDescription::UnrecognisedName => "The server does not serve this host".to_owned(),
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            "The server and the proxy have no safe form of TLS in common".to_owned()
        }
        _ => "The server refused the TLS handshake".to_owned(),
    }
}
