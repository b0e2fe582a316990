//! CONNECT: a tunnel, or a look into one (RFC 9110 §9.3.6).
//!
//! A tunnel that is looked into is opened at once, before anything is dialled; what the client says
//! first decides what it is. TLS is ended here, with a certificate for the host of the CONNECT. Plain
//! HTTP on port 80 is served, because some clients open a tunnel for that too. Anything else goes on
//! as a tunnel, its first octets included.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::handshake::shake_hands;
use super::inside::Inside;
use super::interception::Interception;
use super::{Exchange, Interrupted, Next, tunnel};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::grammar::is_token;
use crate::http::{Authority, Host, Scheme};
use crate::tls::{ClientHello, Hello, is_distrusted_by_client};

/// For what a client begins with, whole; a client that is silent so long waits for the server to
/// begin.
const BEGINNING: Duration = Duration::from_secs(5);

/// Answers a CONNECT request that the policy admits, or whose refusal `blocked` is to be shown.
pub(super) async fn connect(
    exchange: &mut Exchange<'_>,
    authority: &Authority,
    blocked: Option<Failure>,
) -> Result<Next, Interrupted> {
    let shared = &exchange.proxy.shared;
    let client = exchange.client.peer.ip();
    let interception = shared.intercept.as_ref().filter(|interception| {
        let why = interception.leaves_alone(shared, client, authority);
        if let Some(why) = &why {
            exchange.record.note("intercept", format_args!("a tunnel: {why}"));
        }
        why.is_none()
    });
    let is_plain = authority.port == Scheme::Http.default_port();
    // Without a way to show it, the client is told at once.
    if let Some(failure) = blocked.as_ref().filter(|_| interception.is_none()) {
        return Err(failure.clone().into());
    }
    if interception.is_none() && !is_plain {
        return tunnel::connect(exchange, authority).await;
    }
    // Inside, an address is judged when it is dialled. Where it is known without waiting, or where
    // anything may come out of the tunnel, the client is told now.
    if is_plain || authority.host.ip().is_some() {
        match exchange.proxy.origins.admitted(authority, &exchange.judge()).await {
            Err(failure) if failure.fault == Fault::Policy => return Err(failure.into()),
            // A name that does not resolve is told inside, if a response is not stored.
            Ok(_) | Err(_) => {}
        }
    }
    let certificate = |interception: &Interception| interception.server_config(client, &authority.host);
    // What can't be had is known before the tunnel is open.
    let config = interception.filter(|_| !is_plain).map(certificate).transpose()?;
    tunnel::establish(exchange).await?;
    let why = match beginning(exchange).await? {
        Beginning::Http if is_plain => {
            exchange.record.looks_into("plain HTTP");
            exchange.client.inside = Some(Inside::new(Scheme::Http, authority, blocked));
            return Ok(Next::KeepOpen);
        }
        Beginning::Http => "HTTP on a port that is not for it",
        Beginning::Other(why) => why,
        Beginning::Tls(hello) => match (interception, opaque(&hello, &authority.host)) {
            (Some(interception), None) => {
                let config = config.map_or_else(|| certificate(interception), Ok);
                let config = config.map_err(Interrupted::Cut)?;
                return accept(exchange, authority, (interception, config), blocked).await;
            }
            (_, opaque) => opaque.unwrap_or("TLS"),
        },
    };
    match blocked {
        Some(failure) => Err(Interrupted::Cut(failure)),
        None => {
            exchange.record.note("intercept", format_args!("a tunnel: {why}"));
            tunnel::dial(exchange, authority).await
        }
    }
}

/// What a client begins with.
enum Beginning {
    Tls(ClientHello),
    Http,
    Other(&'static str),
}

/// Waits for as much as tells what it is. Nothing is consumed.
async fn beginning(exchange: &mut Exchange<'_>) -> Result<Beginning, Interrupted> {
    let clock = &exchange.proxy.shared.clock;
    let reader = &mut exchange.client.reader;
    let reading = async {
        loop {
            match Hello::read(reader.buffered()) {
                Hello::Complete(hello) => return Ok(Beginning::Tls(hello)),
                Hello::Incomplete => {}
                Hello::NotTls(why) => match is_request(reader.buffered()) {
                    Some(true) => return Ok(Beginning::Http),
                    Some(false) => return Ok(Beginning::Other(why)),
                    None => {}
                },
            }
            if !reader.read_more().await? {
                return Ok(Beginning::Other("the client has said all that it had to"));
            }
        }
    };
    match clock.timeout(BEGINNING, reading).await {
        Ok(read) => read.map_err(Interrupted::ClientGone),
        Err(_timed_out) if exchange.client.reader.buffered().is_empty() => {
            Ok(Beginning::Other("the client waits for the server to begin"))
        }
        Err(_timed_out) => Err(Interrupted::ClientGone(std::io::ErrorKind::TimedOut.into())),
    }
}

/// Whether these octets begin a request: a method and a space. `None` while that is open.
pub(super) fn is_request(octets: &[u8]) -> Option<bool> {
    /// Longer than any method.
    const LENGTH_MAX: usize = 64;
    match octets.iter().position(|&octet| octet == b' ') {
        Some(at) => Some(octets.get(..at).is_some_and(is_token)),
        None if octets.len() > LENGTH_MAX || !is_token(octets) => Some(false),
        None => None,
    }
}

/// Why this TLS is not for Larder to end; `None` where it is.
fn opaque(hello: &ClientHello, host: &Host) -> Option<&'static str> {
    let is_http = |protocol: &Vec<u8>| matches!(&protocol[..], b"h2" | b"http/1.1" | b"http/1.0");
    if !hello.alpn.is_empty() && !hello.alpn.iter().any(is_http) {
        return Some("the protocol within TLS is none of HTTP");
    }
    // Every browser sends something that looks like an encrypted ClientHello; only where the outer
    // name is another one there is a name inside. Without it, another name gets no certificate.
    let is_for = |name: &str| Host::parse_text(name).is_ok_and(|name| name == *host);
    let is_hidden = hello.has_ech && hello.server_name.as_deref().is_some_and(|name| !is_for(name));
    is_hidden.then_some("the name within TLS is encrypted")
}

/// Ends TLS here; the requests within are served like others.
async fn accept(
    exchange: &mut Exchange<'_>,
    authority: &Authority,
    (interception, config): (&Interception, Arc<ServerConfig>),
    blocked: Option<Failure>,
) -> Result<Next, Interrupted> {
    let shared = &exchange.proxy.shared;
    let shaking_hands = Box::pin(shake_hands(exchange.client, config));
    match shared.clock.timeout(shared.limits.handshake, shaking_hands).await {
        Ok(Ok(next)) => {
            exchange.client.inside = Some(Inside::new(Scheme::Https, authority, blocked));
            exchange.record.looks_into("TLS");
            Ok(next)
        }
        Ok(Err(error)) => {
            let kind = if is_distrusted_by_client(&error) {
                interception.refused_by(exchange.client.peer.ip(), &authority.host, shared.clock.now());
                ErrorType::TlsAlertReceived
            } else {
                ErrorType::TlsProtocolError
            };
            let public = "The TLS handshake with the client failed";
            Err(Interrupted::Cut(Failure::new(kind, Fault::Client, 400, public).with_internal(error)))
        }
        Err(_timed_out) => Err(Interrupted::ClientGone(std::io::ErrorKind::TimedOut.into())),
    }
}
