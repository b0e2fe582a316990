//! Tunnels (RFC 9110 §9.3.6): octets both ways, unseen and unchanged.
//!
//! Each direction ends on its own: when one side has said all, the other learns so by a
//! half-close and may go on. Small tunnels are copied; one that carries more is spliced, which
//! keeps its octets in the kernel.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

use super::lease::Lease;
use super::record::Record;
use super::splice::{Broken, Carried, Pipe};
use super::{Exchange, Interrupted, Next, Proxy, splice};
use crate::error::Failure;
use crate::http::{Authority, ReadHalf, Source as _, Version, WriteHalf};
use crate::origin::Connection;

/// Octets in one direction after which splicing pays; a pipe costs three system calls.
const SPLICE_FROM: u64 = 256 * 1024;
/// The buffer of a direction that is copied, in octets.
const BUFFER: usize = 16 * 1024;

/// A connection to the far end of a tunnel, unless the client goes before it is there.
pub(super) async fn dial(
    exchange: &mut Exchange<'_>,
    authority: &Authority,
) -> Result<Result<Connection, Failure>, Interrupted> {
    let (proxy, judge) = (exchange.proxy, exchange.judge());
    let dialling = Box::pin(async {
        proxy.shared.online()?;
        proxy.origins.connect_tunnel(authority, &judge).await
    });
    exchange.unless_gone(dialling).await
}

/// Tells the client that its tunnel is open.
pub(super) async fn establish(exchange: &mut Exchange<'_>) -> Result<(), Interrupted> {
    // RFC 9110 §9.3.6: no Content-Length, no Transfer-Encoding; the client takes what follows
    // for the tunnel's octets.
    let head: &[u8] = match exchange.request.version {
        Version::Http11 | Version::Http2 => b"HTTP/1.1 200 Connection established\r\n\r\n",
        Version::Http10 => b"HTTP/1.0 200 Connection established\r\n\r\n",
    };
    exchange.write(head).await?;
    exchange.client.writer.become_tunnel();
    exchange.record.sent(head.len() as u64);
    Ok(())
}

/// Carries octets between the two until both have ended, one fails, both are silent for too long, or its
/// lease ends. What either had sent too early goes first.
pub(super) async fn relay(
    exchange: &mut Exchange<'_>,
    mut connection: Connection,
    lease: &Lease<'_>,
) -> Result<Next, Interrupted> {
    let early_up = exchange.client.reader.take_buffered();
    let early_down = connection.reader.take_buffered();
    let client = (exchange.client.reader.io_mut(), &mut exchange.client.writer);
    let origin = (connection.reader.io_mut(), &mut connection.writer);
    let pipes = &exchange.proxy.shared.pipes;
    let (up, down) = (Carried::new(lease), Carried::new(lease));
    let carrying = Carrying { record: exchange.record, pipes, up, down };
    let ended = tokio::select! {
        result = both_ways(client, origin, (&early_up, &early_down), &carrying) => result,
        () = silence(exchange.proxy, &carrying.up, &carrying.down) => Err(io::ErrorKind::TimedOut.into()),
        error = lease.ended() => Err(error),
    };
    let Err(error) = ended else {
        carrying.record.note("tunnel", "both sides have ended");
        // The client may still have something to say: a reset could overtake the origin's last octets.
        return Ok(Next::Close);
    };
    drop(carrying);
    Ok(break_off(exchange, connection, &error))
}

/// Ends a tunnel that one side has broken off, or in which nobody has said anything for too long.
pub(super) fn break_off(exchange: &mut Exchange<'_>, connection: Connection, error: &io::Error) -> Next {
    exchange.record.ends_by(error);
    exchange.record.note("tunnel", format_args!("ended: {error}"));
    // RFC 9113 §8.5: "a proxy MUST send a TCP segment with the RST bit set if it detects an error with
    // the stream or the HTTP/2 connection."
    if exchange.client.is_stream() {
        let _best_effort = connection.reader.io().reset_at_end();
        connection.writer.forget();
    }
    Next::Broken
}

/// Carries both directions until each has ended. A side that takes no more may still have
/// something to say: only a failure to read ends the tunnel for both.
async fn both_ways(
    client: (&mut ReadHalf, &mut WriteHalf),
    origin: (&mut ReadHalf, &mut WriteHalf),
    early: (&Bytes, &Bytes),
    carrying: &Carrying<'_>,
) -> io::Result<()> {
    let mut up = pin!(direction(client.0, origin.1, (early.0, carrying.pipes), &carrying.up));
    let mut down = pin!(direction(origin.0, client.1, (early.1, carrying.pipes), &carrying.down));
    let (mut up_ended, mut down_ended) = (false, false);
    while !(up_ended && down_ended) {
        let ended = tokio::select! {
            result = &mut up, if !up_ended => {
                up_ended = true;
                result
            }
            result = &mut down, if !down_ended => {
                down_ended = true;
                result
            }
        };
        match ended {
            Ok(()) | Err(Broken::Write) => {}
            Err(Broken::Read(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Both directions; their octets are told even when the tunnel is cut off.
struct Carrying<'a> {
    record: &'a mut Record,
    pipes: &'a Arc<Semaphore>,
    up: Carried<'a>,
    down: Carried<'a>,
}

impl Drop for Carrying<'_> {
    fn drop(&mut self) {
        self.record.received_from_client(self.up.octets.get());
        self.record.received_from_origin(self.down.octets.get());
        self.record.sent(self.down.octets.get());
    }
}

async fn direction(
    from: &mut ReadHalf,
    to: &mut WriteHalf,
    (early, pipes): (&Bytes, &Arc<Semaphore>),
    carried: &Carried<'_>,
) -> Result<(), Broken> {
    to.write_all(early).await.map_err(|_gone| Broken::Write)?;
    carried.add(early.len());
    let may_splice = splice::AVAILABLE && from.tcp().is_some() && to.tcp().is_some();
    let until = if may_splice { SPLICE_FROM } else { u64::MAX };
    if !copy_some(from, to, carried, until).await? {
        match (from.tcp(), to.tcp(), Pipe::new(pipes)) {
            (Some(from), Some(to), Ok(pipe)) => splice::until_end(pipe, from, to, carried).await?,
            // There are enough pipes, or no descriptors for one.
            _ => drop(copy_some(from, to, carried, u64::MAX).await?),
        }
    }
    // RFC 9110 §9.3.6 lets the other direction go on; a half-close passes the end through.
    to.shutdown().await.map_err(|_gone| Broken::Write)
}

/// Copies until the end (true), or until so many octets were carried (false).
async fn copy_some(
    from: &mut ReadHalf,
    to: &mut WriteHalf,
    carried: &Carried<'_>,
    until: u64,
) -> Result<bool, Broken> {
    let mut buffer = vec![0; BUFFER];
    while carried.octets.get() < until {
        let length = from.read(&mut buffer).await.map_err(Broken::Read)?;
        if length == 0 {
            return ends_as_a_tunnel(from).map(|()| true);
        }
        to.write_all(buffer.get(..length).unwrap_or_default()).await.map_err(|_gone| Broken::Write)?;
        carried.add(length);
    }
    Ok(false)
}

/// RFC 9113 §8.5: frames other than DATA "MUST NOT be sent on a connected stream and MUST be treated as
/// a stream error" if they are; trailers are such ones.
fn ends_as_a_tunnel(from: &mut ReadHalf) -> Result<(), Broken> {
    match from.take_trailers() {
        None => Ok(()),
        Some(_) => Err(Broken::Read(io::ErrorKind::InvalidData.into())),
    }
}

/// Ends when neither direction has carried anything for the whole idle time.
async fn silence(proxy: &Proxy, up: &Carried<'_>, down: &Carried<'_>) {
    let limit = proxy.shared.limits.tunnel_idle;
    // Looking four times within the limit finds silence at most a quarter too late.
    let step = limit / 4;
    let mut silent = Duration::ZERO;
    let mut before = (0, 0);
    while silent < limit {
        proxy.shared.clock.sleep(step).await;
        let now = (up.octets.get(), down.octets.get());
        silent = if now == before { silent + step } else { Duration::ZERO };
        before = now;
    }
}
