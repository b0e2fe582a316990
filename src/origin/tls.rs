//! The TLS handshake with an origin. What is trusted, and what is told when it fails, is `tls/`'s;
//! a handshake that fails is a failure, and nothing weaker is tried.

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Authority, Resumed, Stream};
use crate::tls::{Alpn, OriginTls, handshake_failure};

/// TLS with this origin over a connection to it. Waits without a limit of its own.
pub(super) async fn handshake(
    tls: &OriginTls,
    authority: &Authority,
    stream: TcpStream,
    alpn: Alpn,
) -> Result<Stream, Failure> {
    let (config, name) = tls.client(&authority.host, authority.port, alpn)?;
    let stream = Resumed::new(Bytes::new(), Stream::Tcp(stream));
    let shaken = TlsConnector::from(config).connect(name, stream).await;
    shaken.map(Stream::tls).map_err(|error| handshake_failure(&authority.host, &error))
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
