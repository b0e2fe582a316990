//! CONNECT: a tunnel, or what is inspected inside one (RFC 9110 §9.3.6).
//!
//! An intercepted tunnel is opened at once, before anything is dialled; what the client says first
//! decides what it is, however late that comes. TLS is ended here, whatever it offers by ALPN, with a
//! certificate for the host of the CONNECT. HTTP is served on any port. What is neither passes or is
//! refused (`unreadable.rs`).
//!
//! Invariant: nothing that a client says in a tunnel reaches an origin before its first octets were
//! read, and a name in a ClientHello is judged as the destination that it is.

use std::sync::Arc;

use rustls::ServerConfig;

use super::beginning::{BEGINNING, Beginning, Undecided, beside, of_client, timed_out};
use super::handshake::shake_hands;
use super::inside::Inside;
use super::interception::{Interception, LeftAlone};
use super::lease::Lease;
use super::opening::Opening;
use super::unreadable::{Alert, has_rule_about, is_refused, judge_name, refusal, refuse_tls};
use super::{Exchange, Interrupted, Next, tunnel, within_tls};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Authority, Host, Scheme, TargetUri};
use crate::origin::Connection;
use crate::tls::{Alpn, ClientHello, MintError, MintRequest, is_distrusted_by_client};

/// A tunnel that is open.
pub(super) struct Tunnel<'a> {
    pub(super) authority: &'a Authority,
    /// How it is intercepted; `None`: it is not.
    pub(super) interception: Option<&'a Interception>,
    /// The host is blocked, and a page inside says so.
    pub(super) blocked: Option<Failure>,
    pub(super) lease: Lease<'a>,
}

/// Answers a CONNECT request that the policy admits, or whose refusal `blocked` is to be shown.
pub(super) async fn connect(
    exchange: &mut Exchange<'_>,
    authority: &Authority,
    blocked: Option<Failure>,
) -> Result<Next, Interrupted> {
    let proxy = exchange.proxy;
    let interception = interception(exchange, authority, blocked.as_ref())?;
    let lease = Lease::begin(exchange);
    let tunnel = Tunnel { authority, interception, blocked, lease };
    let is_plain = authority.port == Scheme::Http.default_port();
    let ahead = match interception {
        None if !is_plain => {
            let connection = tunnel::dial(exchange, authority).await??;
            exchange.record.tunnel(connection.peer);
            Some(connection)
        }
        _ => {
            // Inside, an address is judged when it is dialled. Where it is known without waiting, or
            // where anything may come out of the tunnel, the client is told now.
            if is_plain || authority.host.ip().is_some() {
                let judge = exchange.judge();
                let judging = Box::pin(proxy.origins.admitted(authority, &judge));
                match exchange.unless_gone(judging).await? {
                    Err(failure) if failure.fault == Fault::Policy => return Err(failure.into()),
                    // A name that does not resolve is told inside, if a response is not stored.
                    Ok(_) | Err(_) => {}
                }
            }
            None
        }
    };
    // What can't be had is known before the tunnel is open.
    if let Some(interception) = interception.filter(|_| !is_plain) {
        certificate(exchange, interception, &authority.host, Alpn::Http2).await??;
    }
    tunnel::establish(exchange).await?;
    match tunnel.lease.within(hear(exchange, &tunnel, ahead)).await?? {
        Heard::Begun(opening, ahead) => {
            serve_opening(exchange, tunnel, opening, ahead.map(|ahead| *ahead)).await
        }
        Heard::Ended(next) => Ok(next),
    }
}

/// What came of waiting for the client's first octets.
pub(super) enum Heard {
    /// With the connection that was made meanwhile.
    Begun(Opening, Option<Box<Connection>>),
    /// The tunnel is over.
    Ended(Next),
}

/// How the tunnel is intercepted, if it is; `Err` where it would have to be and can't.
fn interception<'a>(
    exchange: &Exchange<'a>,
    authority: &Authority,
    blocked: Option<&Failure>,
) -> Result<Option<&'a Interception>, Failure> {
    let shared = &exchange.proxy.shared;
    let interception = shared.intercept.as_ref();
    let left_alone = interception.and_then(|interception| {
        let client = exchange.client.peer.ip();
        Some((interception, interception.leaves_alone(shared, client, authority, blocked.is_some())?))
    });
    if let Some((interception, why)) = left_alone {
        exchange.record.note("intercept", format_args!("a tunnel: {}", why.as_str()));
        let is_chosen = matches!(why, LeftAlone::Exception | LeftAlone::NotBlocked);
        if blocked.is_none() && !is_chosen && is_refused(shared, interception, authority) {
            return Err(refusal(why.as_str()));
        }
    }
    let interception = interception.filter(|_| left_alone.is_none());
    // Without a way to show it, the client is told at once.
    match blocked.filter(|_| interception.is_none()) {
        Some(failure) => Err(failure.clone()),
        None => Ok(interception),
    }
}

/// What serves a host to this client; waits for its turn where many new certificates are asked for, unless
/// the client goes before that.
async fn certificate(
    exchange: &mut Exchange<'_>,
    interception: &Interception,
    host: &Host,
    alpn: Alpn,
) -> Result<Result<Arc<ServerConfig>, Failure>, Interrupted> {
    let shared = &exchange.proxy.shared;
    let request = MintRequest { host, alpn, client: exchange.client.peer.ip(), origin_not_after: None };
    let made = interception.leaves.server_config_in_time(&request);
    Ok(match exchange.unless_gone(shared.clock.timeout(shared.limits.handshake, made)).await? {
        Ok(config) => config.map_err(Failure::from),
        Err(_timed_out) => Err(MintError::TooMany.into()),
    })
}

/// Waits for what the client begins with. Who is silent may wait for the server to begin: it is
/// dialled then, if that may be a tunnel, and the client's first octets are read all the same.
async fn hear(
    exchange: &mut Exchange<'_>,
    tunnel: &Tunnel<'_>,
    mut ahead: Option<Connection>,
) -> Result<Heard, Interrupted> {
    let proxy = exchange.proxy;
    let idle = proxy.shared.limits.tunnel_idle;
    let undecided = match tunnel.interception {
        Some(_) => Undecided::Hold,
        None => Undecided::Pass(&proxy.shared, tunnel.authority),
    };
    if ahead.is_none() {
        match of_client(exchange, BEGINNING, undecided).await? {
            Beginning::Opened(opening) => return Ok(Heard::Begun(opening, None)),
            Beginning::Silent if tunnel.blocked.is_none() && !tunnel.refuses_unreadable(exchange) => {
                exchange.record.note("intercept", "the client is silent: the server may begin");
                // What is wrong with it is told when the client asks for something.
                ahead = tunnel::dial(exchange, tunnel.authority).await?.ok();
            }
            Beginning::Silent => {}
            Beginning::Broken(_error) => return Ok(Heard::Ended(Next::Broken)),
        }
    }
    match ahead {
        Some(connection) => hear_beside(exchange, connection, undecided, &tunnel.lease).await,
        None => match of_client(exchange, idle, undecided).await? {
            Beginning::Opened(opening) => Ok(Heard::Begun(opening, None)),
            Beginning::Silent => Err(timed_out()),
            Beginning::Broken(_error) => Ok(Heard::Ended(Next::Broken)),
        },
    }
}

/// As [`hear`], beside a connection to the origin, which may speak first.
pub(super) async fn hear_beside(
    exchange: &mut Exchange<'_>,
    mut connection: Connection,
    undecided: Undecided<'_>,
    lease: &Lease<'_>,
) -> Result<Heard, Interrupted> {
    match beside(exchange, &mut connection, undecided, lease).await? {
        Beginning::Opened(opening) => Ok(Heard::Begun(opening, Some(Box::new(connection)))),
        Beginning::Silent => Err(timed_out()),
        Beginning::Broken(error) => Ok(Heard::Ended(tunnel::break_off(exchange, connection, &error))),
    }
}

/// Goes on as the client has begun.
async fn serve_opening(
    exchange: &mut Exchange<'_>,
    tunnel: Tunnel<'_>,
    opening: Opening,
    ahead: Option<Connection>,
) -> Result<Next, Interrupted> {
    let is_plain = tunnel.authority.port == Scheme::Http.default_port();
    let is_nested_served = is_plain || tunnel.interception.is_some();
    match opening {
        Opening::Http => Ok(serve_http(exchange, tunnel, ahead)),
        // It is told that there are no tunnels inside a tunnel.
        Opening::Nested if is_nested_served => Ok(serve_http(exchange, tunnel, ahead)),
        Opening::Tls(hello) => begin_tls(exchange, tunnel, &hello, ahead).await,
        Opening::UnreadableTls(why) => {
            let has_rules = exchange.proxy.shared.policy.load().rule_count() > 0;
            if tunnel.interception.is_some() || has_rules {
                return Ok(refuse_tls(exchange, Alert::DecodeError, refusal(why)).await);
            }
            pass(exchange, tunnel, why, ahead).await
        }
        Opening::Nested => pass_http(exchange, tunnel, "a tunnel inside the tunnel", ahead).await,
        Opening::Http2 => pass_http(exchange, tunnel, "HTTP/2 without TLS", ahead).await,
        Opening::Other(why) => pass(exchange, tunnel, why, ahead).await,
    }
}

/// Serves the requests of a plain connection: some clients open a tunnel for these, too.
fn serve_http(exchange: &mut Exchange<'_>, tunnel: Tunnel<'_>, ahead: Option<Connection>) -> Next {
    let Tunnel { authority, blocked, .. } = tunnel;
    keep(exchange, Scheme::Http, authority, ahead);
    exchange.record.looks_into("plain HTTP");
    exchange.client.inside = Some(Inside::new(Scheme::Http, authority, blocked));
    Next::KeepOpen
}

/// Gives a connection that turned out to be for requests to those that ask next.
pub(super) fn keep(
    exchange: &Exchange<'_>,
    scheme: Scheme,
    authority: &Authority,
    ahead: Option<Connection>,
) {
    // What the origin says before it is asked (RFC 9112 §9.2) may be a part of something.
    let is_silent =
        |ahead: &Connection| !exchange.record.has_heard_origin() && ahead.reader.io().is_open_and_silent();
    if let Some(connection) = ahead.filter(is_silent) {
        let path_and_query = bytes::Bytes::from_static(b"/");
        let authority = Authority { host: authority.host.detached(), port: authority.port };
        exchange.proxy.origins.keep(&TargetUri { scheme, authority, path_and_query }, connection, None);
    }
}

/// The name in a ClientHello, beside that of the tunnel.
enum Name {
    /// The tunnel's own, or none.
    Same,
    Other(Host),
    /// Not one that could be a host's.
    Malformed,
}

impl Name {
    fn of(hello: &ClientHello, host: &Host) -> Name {
        match hello.server_name.as_deref().map(Host::parse_text) {
            None => Name::Same,
            Some(Ok(name)) if name == *host => Name::Same,
            // RFC 6066 §3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"": one that
            // is there all the same says nothing.
            Some(Ok(name)) if name.ip().is_some() => Name::Same,
            Some(Ok(name)) => Name::Other(name),
            Some(Err(_)) => Name::Malformed,
        }
    }
}

async fn begin_tls(
    exchange: &mut Exchange<'_>,
    tunnel: Tunnel<'_>,
    hello: &ClientHello,
    ahead: Option<Connection>,
) -> Result<Next, Interrupted> {
    let proxy = exchange.proxy;
    let shared = &proxy.shared;
    let port = tunnel.authority.port;
    let name = Name::of(hello, &tunnel.authority.host);
    if let Name::Other(name) = &name
        && let Err(failure) = judge_name(shared, name, port)
    {
        return Ok(refuse_tls(exchange, Alert::AccessDenied, failure).await);
    }
    let named = match (tunnel.interception, name) {
        (Some(interception), Name::Same) => return accept(exchange, tunnel, interception, hello).await,
        (None, Name::Same) => return pass(exchange, tunnel, "TLS", ahead).await,
        // Without rules there is nothing to judge it by.
        (None, Name::Malformed) if shared.policy.load().rule_count() == 0 => {
            return pass(exchange, tunnel, "TLS", ahead).await;
        }
        (_, Name::Malformed) => None,
        (_, Name::Other(name)) => Some(Authority { host: name, port }),
    };
    match (tunnel.interception, named) {
        // Every browser sends something that looks like an encrypted ClientHello; only where the outer
        // name is another one there is a name inside. Without it, another name gets no certificate.
        (Some(interception), Some(named))
            if hello.has_ech && tunnel.blocked.is_none() && !is_refused(shared, interception, &named) =>
        {
            pass(exchange, tunnel, "the name within TLS is encrypted", ahead).await
        }
        // A tunnel that is left alone, to a name that is not.
        (None, Some(named)) if !is_intercepted_and_refused(exchange, &named) => {
            pass(exchange, tunnel, "TLS", ahead).await
        }
        _ => {
            let why = "the ClientHello has another name than the tunnel";
            Ok(refuse_tls(exchange, Alert::UnrecognizedName, refusal(why)).await)
        }
    }
}

/// Whether a tunnel to this name would be intercepted, and may not pass otherwise.
fn is_intercepted_and_refused(exchange: &Exchange<'_>, named: &Authority) -> bool {
    let shared = &exchange.proxy.shared;
    shared.intercept.as_ref().is_some_and(|interception| {
        let left_alone = interception.leaves_alone(shared, exchange.client.peer.ip(), named, false);
        let is_chosen = matches!(left_alone, Some(LeftAlone::Exception | LeftAlone::NotBlocked));
        !is_chosen && is_refused(shared, interception, named)
    })
}

impl Tunnel<'_> {
    /// Whether what can't be inspected must not pass.
    pub(super) fn refuses_unreadable(&self, exchange: &Exchange<'_>) -> bool {
        let shared = &exchange.proxy.shared;
        self.interception.is_some_and(|interception| is_refused(shared, interception, self.authority))
    }
}

/// As [`pass`], for requests in the clear that are not served here: a rule about them is not walked around
/// in a tunnel that is not intercepted, either.
async fn pass_http(
    exchange: &mut Exchange<'_>,
    tunnel: Tunnel<'_>,
    why: &'static str,
    ahead: Option<Connection>,
) -> Result<Next, Interrupted> {
    if has_rule_about(&exchange.proxy.shared, tunnel.authority) {
        return Err(Interrupted::Cut(refusal(why)));
    }
    pass(exchange, tunnel, why, ahead).await
}

/// Passes the tunnel's octets on unseen, if that may be.
async fn pass(
    exchange: &mut Exchange<'_>,
    tunnel: Tunnel<'_>,
    why: &'static str,
    ahead: Option<Connection>,
) -> Result<Next, Interrupted> {
    if tunnel.refuses_unreadable(exchange) {
        if exchange.client.reader.buffered().is_empty() {
            // Nothing was said, and nobody is refused.
            return Err(Interrupted::ClientGone(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let failure = refusal(why);
        tracing::info!("a tunnel to {} is refused: {failure}", tunnel.authority);
        return Err(Interrupted::Cut(failure));
    }
    if let Some(failure) = tunnel.blocked {
        return Err(Interrupted::Cut(failure));
    }
    exchange.record.note("intercept", format_args!("a tunnel: {why}"));
    let connection = match ahead {
        Some(connection) => connection,
        None => tunnel::dial(exchange, tunnel.authority).await?.map_err(Interrupted::Cut)?,
    };
    exchange.record.tunnel(connection.peer);
    tunnel::relay(exchange, connection, &tunnel.lease).await
}

/// Ends TLS here. What is inside decides how it goes on.
async fn accept(
    exchange: &mut Exchange<'_>,
    tunnel: Tunnel<'_>,
    interception: &Interception,
    hello: &ClientHello,
) -> Result<Next, Interrupted> {
    let proxy = exchange.proxy;
    let shared = &proxy.shared;
    let host = &tunnel.authority.host;
    let config = match certificate(exchange, interception, host, Alpn::answering(&hello.alpn)).await? {
        Ok(config) => config,
        Err(failure) => return Ok(refuse_tls(exchange, Alert::InternalError, failure).await),
    };
    let shaking_hands = Box::pin(shake_hands(exchange.client, config));
    match shared.clock.timeout(shared.limits.handshake, shaking_hands).await {
        Ok(Ok(agreed)) => within_tls::serve(exchange, tunnel, agreed, &hello.alpn).await,
        Ok(Err(error)) => {
            let kind = if is_distrusted_by_client(&error) {
                interception.refused_by(exchange.client.peer.ip(), host, shared.clock.now());
                ErrorType::TlsAlertReceived
            } else {
                ErrorType::TlsProtocolError
            };
            let public = "The TLS handshake with the client failed";
            Err(Interrupted::Cut(Failure::new(kind, Fault::Client, 400, public).with_internal(error)))
        }
        Err(_timed_out) => Err(timed_out()),
    }
}
