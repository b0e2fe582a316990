//! The TLS handshake with an origin. What is trusted, and what is told when it fails, is `tls/`'s;
//! a handshake that fails is a failure, and nothing weaker is tried.

use std::sync::Arc;

use bytes::Bytes;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Authority, Resumed, Stream};
use crate::tls::{Alpn, OriginTls, handshake_failure};

/// TLS with this origin over a connection to it, for HTTP. Waits without a limit of its own.
pub(super) async fn handshake(
    tls: &OriginTls,
    authority: &Authority,
    stream: TcpStream,
    alpn: Alpn,
) -> Result<Stream, Failure> {
    let (config, name) = tls.client(&authority.host, authority.port, alpn)?;
    shake(tls, authority, alpn, (config, name, stream)).await
}

/// As [`handshake`], for octets of another protocol, of which these are offered by ALPN.
pub(super) async fn handshake_offering(
    tls: &OriginTls,
    authority: &Authority,
    stream: TcpStream,
    offered: &[Vec<u8>],
) -> Result<Stream, Failure> {
    let (mut config, name) = tls.client(&authority.host, authority.port, Alpn::None)?;
    if !offered.is_empty() {
        Arc::make_mut(&mut config).alpn_protocols = offered.to_vec();
    }
    shake(tls, authority, Alpn::None, (config, name, stream)).await
}

async fn shake(
    tls: &OriginTls,
    authority: &Authority,
    alpn: Alpn,
    (config, name, stream): (Arc<ClientConfig>, ServerName<'static>, TcpStream),
) -> Result<Stream, Failure> {
    let asked = tls.ends(&authority.host, authority.port, alpn);
    let stream = Resumed::new(Bytes::new(), Stream::Tcp(stream));
    match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => Ok(match asked {
            Some(asked) => Stream::tls_watched(stream, move |error| asked.note(error)),
            None => Stream::tls(stream),
        }),
        Err(error) => {
            if let Some(asked) = asked {
                asked.note_failed(&error);
            }
            Err(handshake_failure(&authority.host, &error))
        }
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
