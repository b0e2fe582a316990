//! What is inside TLS that Larder ends in a tunnel: HTTP, which is served; or another protocol, which
//! goes on within TLS to the origin, verified as any origin is, its octets copied both ways.

use super::beginning::{BEGINNING, Beginning, Undecided, of_client};
use super::connect::{Heard, Tunnel, hear_beside, keep};
use super::handshake::Agreed;
use super::inside::Inside;
use super::opening::Opening;
use super::{Exchange, Interrupted, Next, tunnel};
use crate::error::Failure;
use crate::http::Scheme;
use crate::origin::Connection;

/// Serves a tunnel behind the handshake with its client, which has offered these protocols by ALPN.
pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    tunnel: Tunnel<'_>,
    agreed: Agreed,
    offered: &[Vec<u8>],
) -> Result<Next, Interrupted> {
    // Where HTTP is agreed on, or nothing else may pass, what comes is read as requests.
    let is_certain =
        agreed != Agreed::Nothing || tunnel.blocked.is_some() || tunnel.refuses_unreadable(exchange);
    let heard = match is_certain {
        true => Heard::Begun(Opening::Http, None),
        false => tunnel.lease.within(hear(exchange, &tunnel, offered)).await??,
    };
    let (opening, ahead) = match heard {
        Heard::Begun(opening, ahead) => (opening, ahead.map(|ahead| *ahead)),
        Heard::Ended(next) => return Ok(next),
    };
    let next = match opening {
        Opening::Http | Opening::Nested if agreed == Agreed::Http2 => Next::Http2,
        Opening::Http | Opening::Nested => Next::KeepOpen,
        Opening::Http2 => Next::Http2,
        Opening::Tls(_) | Opening::UnreadableTls(_) => {
            return pass(exchange, &tunnel, offered, "TLS within TLS", ahead).await;
        }
        Opening::Other(why) => return pass(exchange, &tunnel, offered, why, ahead).await,
    };
    // One that has agreed on another protocol is not for requests.
    keep(exchange, Scheme::Https, tunnel.authority, ahead.filter(|_| offered.is_empty()));
    exchange.client.inside = Some(Inside::new(Scheme::Https, tunnel.authority, tunnel.blocked));
    exchange.record.looks_into("TLS");
    Ok(next)
}

/// Waits for what the client begins with. The origin may speak first if the client is silent.
async fn hear(
    exchange: &mut Exchange<'_>,
    tunnel: &Tunnel<'_>,
    offered: &[Vec<u8>],
) -> Result<Heard, Interrupted> {
    match of_client(exchange, BEGINNING, Undecided::Hold).await? {
        Beginning::Opened(opening) => return Ok(Heard::Begun(opening, None)),
        Beginning::Broken(_error) => return Ok(Heard::Ended(Next::Broken)),
        Beginning::Silent => {
            exchange.record.note("intercept", "the client is silent within TLS: the server may begin");
        }
    }
    match dial(exchange, tunnel, offered).await? {
        Ok(connection) => hear_beside(exchange, connection, Undecided::Hold, &tunnel.lease).await,
        // The first request is told what is wrong.
        Err(_failure) => Ok(Heard::Begun(Opening::Http, None)),
    }
}

/// As [`tunnel::dial`], within TLS.
async fn dial(
    exchange: &mut Exchange<'_>,
    tunnel: &Tunnel<'_>,
    offered: &[Vec<u8>],
) -> Result<Result<Connection, Failure>, Interrupted> {
    let (proxy, judge) = (exchange.proxy, exchange.judge());
    let dialling = Box::pin(async {
        proxy.shared.online()?;
        proxy.origins.connect_tls_tunnel(tunnel.authority, &judge, offered).await
    });
    exchange.unless_gone(dialling).await
}

/// Passes what is inside on, within TLS.
async fn pass(
    exchange: &mut Exchange<'_>,
    tunnel: &Tunnel<'_>,
    offered: &[Vec<u8>],
    why: &'static str,
    ahead: Option<Connection>,
) -> Result<Next, Interrupted> {
    exchange.record.note("intercept", format_args!("passes on within TLS: {why}"));
    let connection = match ahead {
        Some(connection) => connection,
        None => dial(exchange, tunnel, offered).await?.map_err(Interrupted::Cut)?,
    };
    exchange.record.tunnel(connection.peer);
    tunnel::relay(exchange, connection, &tunnel.lease).await
}
