//! TLS that Larder ends: on a connection to itself, or inside a tunnel that is intercepted.
//!
//! A ClientHello is read within its limits before anybody answers; both kinds have one deadline, and
//! what is agreed on by ALPN decides how the connection goes on.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::opening::{METHOD_MAX, Opening};
use super::unreadable::{Alert, send_alert};
use super::{Client, Next, Proxy, refuse_connection};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::grammar::is_token;
use crate::http::{ReadHalf, Reader, Resumed, Stream};
use crate::tls::{ClientHello, ListenerTlsError, is_distrusted_by_client};

/// What a client and Larder speak within TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreed {
    Http1,
    Http2,
    /// ALPN has agreed on nothing.
    Nothing,
}

/// RFC 9113 §3.4: what a client of HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Ends TLS on a client's connection, with what was read of it already.
pub(super) async fn shake_hands(client: &mut Client, config: Arc<ServerConfig>) -> io::Result<Agreed> {
    client.begin_tls().map_err(|spent| io::Error::new(io::ErrorKind::OutOfMemory, spent))?;
    let taken = client.take_stream();
    let (early, stream) = taken.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
    let stream = Stream::tls(TlsAcceptor::from(config).accept(Resumed::new(early, stream)).await?);
    let agreed = match &stream.protocol()[..] {
        b"h2" => Agreed::Http2,
        b"" => Agreed::Nothing,
        _ => Agreed::Http1,
    };
    client.put_stream(stream);
    Ok(agreed)
}

/// Whether a client that has agreed on `h2` asks a proxy by HTTP/1.1 all the same. Go's does: it offers
/// both, and then sends CONNECT, or a URI in absolute form. Every client of HTTP/2 begins on its own, so
/// that waiting costs nothing.
async fn asks_by_http1(reader: &mut Reader) -> io::Result<bool> {
    loop {
        let octets = reader.buffered();
        let is_open = match octets.iter().position(|&octet| octet == b' ') {
            _ if octets.starts_with(PREFACE) => return Ok(false),
            Some(at) => {
                let (method, target) = octets.split_at(at);
                let target = target.trim_ascii_start();
                if is_token(method) && (method == b"CONNECT" || target.starts_with(b"http")) {
                    return Ok(true);
                }
                target.len() < 4 && b"http".starts_with(target)
            }
            None => octets.is_empty() || (is_token(octets) && octets.len() < METHOD_MAX),
        };
        if !(is_open || PREFACE.starts_with(octets)) || !reader.read_more().await? {
            return Ok(false);
        }
    }
}

/// Begins TLS on a connection to a listener that has it.
pub async fn greet(proxy: &Proxy, client: &mut Client) -> Next {
    let shared = &proxy.shared;
    let peer = client.peer;
    let greeted = shared.clock.timeout(shared.limits.handshake, begin(proxy, client)).await;
    match greeted.unwrap_or_else(|_timed_out| Err(Ungreeted::Io(io::ErrorKind::TimedOut.into()))) {
        Ok(next) => next,
        Err(Ungreeted::NotTls) => {
            let public = "This listener takes connections within TLS: its address begins with https://";
            let failure = Failure::new(ErrorType::HttpRequestError, Fault::Client, 400, public);
            refuse_connection(proxy, client, failure).await
        }
        Err(Ungreeted::Refused(alert, error)) => {
            tracing::info!("{peer} is refused within TLS: {error}");
            send_alert(client, alert).await;
            Next::Close
        }
        Err(Ungreeted::Io(error)) if is_distrusted_by_client(&error) => {
            tracing::info!("{peer} does not accept the certificate of the listener: {error}");
            Next::Gone
        }
        Err(Ungreeted::Io(error)) => {
            tracing::debug!("the TLS handshake with {peer} has failed: {error}");
            Next::Gone
        }
    }
}

/// Why a connection does not get as far as its first request.
enum Ungreeted {
    /// It begins with a request as it is.
    NotTls,
    /// Before a handshake; the client is told by this alert.
    Refused(Alert, String),
    Io(io::Error),
}

async fn begin(proxy: &Proxy, client: &mut Client) -> Result<Next, Ungreeted> {
    let hello = hello(&mut client.reader).await?;
    let config = config(proxy, client, &hello).await?;
    Ok(match shake_hands(client, config).await.map_err(Ungreeted::Io)? {
        Agreed::Http2 if asks_by_http1(&mut client.reader).await.map_err(Ungreeted::Io)? => Next::KeepOpen,
        Agreed::Http2 => Next::Http2,
        Agreed::Http1 | Agreed::Nothing => Next::KeepOpen,
    })
}

/// Waits for the whole ClientHello. Nothing is consumed.
async fn hello(reader: &mut Reader) -> Result<ClientHello, Ungreeted> {
    loop {
        match Opening::read(reader.buffered()) {
            Some(Opening::Tls(hello)) => return Ok(hello),
            Some(Opening::Http | Opening::Http2 | Opening::Nested) => return Err(Ungreeted::NotTls),
            Some(Opening::UnreadableTls(why)) => {
                return Err(Ungreeted::Refused(Alert::DecodeError, why.to_owned()));
            }
            Some(Opening::Other(why)) => return Err(Ungreeted::Io(io::Error::other(why))),
            None => {}
        }
        if !reader.read_more().await.map_err(Ungreeted::Io)? {
            return Err(Ungreeted::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// What serves this client, which has reached the listener at one of its addresses.
async fn config(proxy: &Proxy, client: &Client, hello: &ClientHello) -> Result<Arc<ServerConfig>, Ungreeted> {
    let without = || Ungreeted::Refused(Alert::InternalError, "the listener has no certificate".to_owned());
    let listener = proxy.shared.listener_tls.as_ref().ok_or_else(without)?;
    let reached = reached(client.reader.io()).map_err(Ungreeted::Io)?;
    let config = listener.server_config_in_time(hello.server_name.as_deref(), reached, client.peer.ip());
    config.await.map_err(|error| {
        let alert = match error {
            ListenerTlsError::UnknownName(_) => Alert::UnrecognizedName,
            _ => Alert::InternalError,
        };
        Ungreeted::Refused(alert, error.to_string())
    })
}

/// The address of this machine that a connection has come to.
fn reached(reader: &ReadHalf) -> io::Result<IpAddr> {
    let socket = reader.tcp().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
    Ok(socket.local_addr()?.ip().to_canonical())
}
