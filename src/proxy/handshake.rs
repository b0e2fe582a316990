//! TLS that Larder ends: on a connection to itself, or inside a tunnel that is looked into.
//!
//! A ClientHello is read within its limits before anybody answers; both kinds have one deadline, and
//! what is agreed on by ALPN decides how the connection goes on.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::connect::is_request;
use super::{Client, Next, Proxy, refuse_connection};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{ReadHalf, Reader, Resumed, Stream};
use crate::tls::{ClientHello, Hello, is_distrusted_by_client};

/// Ends TLS on a client's connection, with what was read of it already.
pub(super) async fn shake_hands(client: &mut Client, config: Arc<ServerConfig>) -> io::Result<Next> {
    let taken = client.take_stream();
    let (early, stream) = taken.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
    let stream = Stream::tls(TlsAcceptor::from(config).accept(Resumed::new(early, stream)).await?);
    let next = if stream.protocol() == b"h2" { Next::Http2 } else { Next::KeepOpen };
    client.put_stream(stream);
    Ok(next)
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
    Io(io::Error),
}

async fn begin(proxy: &Proxy, client: &mut Client) -> Result<Next, Ungreeted> {
    let hello = hello(&mut client.reader).await?;
    let config = config(proxy, client, &hello).map_err(Ungreeted::Io)?;
    shake_hands(client, config).await.map_err(Ungreeted::Io)
}

/// Waits for the whole ClientHello. Nothing is consumed.
async fn hello(reader: &mut Reader) -> Result<ClientHello, Ungreeted> {
    loop {
        match Hello::read(reader.buffered()) {
            Hello::Complete(hello) => return Ok(hello),
            Hello::NotTls(_) if is_request(reader.buffered()) == Some(true) => {
                return Err(Ungreeted::NotTls);
            }
            // A request may still come of it.
            Hello::NotTls(_) if is_request(reader.buffered()).is_none() => {}
            Hello::NotTls(why) => return Err(Ungreeted::Io(io::Error::other(why))),
            Hello::Incomplete => {}
        }
        if !reader.read_more().await.map_err(Ungreeted::Io)? {
            return Err(Ungreeted::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// What serves this client, which has reached the listener at one of its addresses.
fn config(proxy: &Proxy, client: &Client, hello: &ClientHello) -> io::Result<Arc<ServerConfig>> {
    let listener = proxy.shared.listener_tls.as_ref();
    let listener = listener.ok_or_else(|| io::Error::other("the listener has no certificate"))?;
    let reached = reached(client.reader.io())?;
    let config = listener.server_config(hello.server_name.as_deref(), reached, client.peer.ip());
    config.map_err(|error| {
        tracing::info!("{} asked for a certificate in vain: {error}", client.peer);
        io::Error::other(error)
    })
}

/// The address of this machine that a connection has come to.
fn reached(reader: &ReadHalf) -> io::Result<IpAddr> {
    let socket = reader.tcp().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
    Ok(socket.local_addr()?.ip().to_canonical())
}
