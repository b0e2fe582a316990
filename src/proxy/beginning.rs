//! Waiting for what a client begins with in a tunnel. Where its origin is dialled already, the origin
//! may speak meanwhile; of the client's octets nothing is passed on, or consumed, before it is known
//! what they are.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::lease::Lease;
use super::opening::Opening;
use super::unreadable::has_rule_about;
use super::{Client, Exchange, Interrupted, Shared};
use crate::http::{Authority, Reader, Source as _};
use crate::origin::Connection;

/// For what a client begins with, whole, from its first octet. Who is silent for so long waits for
/// the server to begin.
pub(super) const BEGINNING: Duration = Duration::from_secs(5);

/// The buffer for what an origin says first, in octets.
const BUFFER: usize = 16 * 1024;

/// What a client has begun with.
pub(super) enum Beginning {
    Opened(Opening),
    /// Nothing came in the time given.
    Silent,
    /// The origin has broken off, or the client in a way that a tunnel has to hand on.
    Broken(io::Error),
}

/// What becomes of first octets that are neither TLS nor a request, and could still become one.
#[derive(Clone, Copy)]
pub(super) enum Undecided<'a> {
    /// They wait for more, and the client is cut off when that does not come.
    Hold,
    /// They are something else, unless they are likely to be one of the two, or go to a destination that
    /// a rule for requests is about: a request cut into small pieces must not walk around it.
    Pass(&'a Shared, &'a Authority),
}

impl Undecided<'_> {
    fn passes(self, octets: &[u8]) -> bool {
        match self {
            Undecided::Hold => false,
            Undecided::Pass(shared, to) => {
                !octets.is_empty() && !Opening::is_likely(octets) && !has_rule_about(shared, to)
            }
        }
    }
}

const ENDED: Opening = Opening::Other("the client ended before it began anything");
const SERVER_ENDED: Opening = Opening::Other("the server ended before the client began anything");

/// RFC 9113 §8.5: a tunnel on a stream has no trailers; who sends some breaks it.
fn ended(reader: &mut Reader) -> Beginning {
    match reader.io_mut().take_trailers() {
        None => Beginning::Opened(ENDED),
        Some(_) => Beginning::Broken(io::ErrorKind::InvalidData.into()),
    }
}

/// Waits for what a client begins with that may be silent for so long.
pub(super) async fn of_client(
    exchange: &mut Exchange<'_>,
    silence: Duration,
    undecided: Undecided<'_>,
) -> Result<Beginning, Interrupted> {
    let clock = &exchange.proxy.shared.clock;
    let reader = &mut exchange.client.reader;
    match clock.timeout(silence, reader.wait_for_octets()).await {
        Err(_timed_out) => return Ok(Beginning::Silent),
        Ok(Err(error)) => return Err(Interrupted::ClientGone(error)),
        Ok(Ok(false)) => return Ok(ended(reader)),
        Ok(Ok(true)) => {}
    }
    let reading = async {
        loop {
            if let Some(opening) = told(reader, undecided) {
                return Ok(opening);
            }
            if !reader.read_more().await? {
                return Ok(ENDED);
            }
        }
    };
    match clock.timeout(BEGINNING, reading).await {
        Ok(read) => read.map(Beginning::Opened).map_err(Interrupted::ClientGone),
        Err(_timed_out) => Err(timed_out()),
    }
}

/// As [`of_client`], beside a connection to the origin, which may say what it likes. Silence of both
/// may last as long as in any tunnel.
pub(super) async fn beside(
    exchange: &mut Exchange<'_>,
    origin: &mut Connection,
    undecided: Undecided<'_>,
    lease: &Lease<'_>,
) -> Result<Beginning, Interrupted> {
    let shared = &exchange.proxy.shared;
    let (clock, idle) = (&shared.clock, shared.limits.tunnel_idle);
    let Client { reader, writer, .. } = &mut *exchange.client;
    let mut buffer = vec![0; BUFFER];
    let mut has_begun = !reader.buffered().is_empty();
    let mut deadline = pin!(clock.sleep(if has_begun { BEGINNING } else { idle }));
    loop {
        if let Some(opening) = told(reader, undecided) {
            return Ok(Beginning::Opened(opening));
        }
        tokio::select! {
            more = reader.read_more() => {
                if !more.map_err(Interrupted::ClientGone)? {
                    return Ok(ended(reader));
                }
                if !has_begun {
                    has_begun = true;
                    deadline.set(clock.sleep(BEGINNING));
                }
            }
            read = origin.reader.io_mut().read(&mut buffer) => {
                let length = match read {
                    Ok(0) => return Ok(Beginning::Opened(SERVER_ENDED)),
                    Ok(length) => length,
                    Err(error) => return Ok(Beginning::Broken(error)),
                };
                let octets = buffer.get(..length).unwrap_or_default();
                let written = clock.timeout(idle, writer.write_all(octets)).await;
                written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(Interrupted::ClientGone)?;
                exchange.record.received_from_origin(length as u64);
                exchange.record.sent(length as u64);
                lease.moved(length);
                if !has_begun {
                    deadline.set(clock.sleep(idle));
                }
            }
            () = &mut deadline => return Err(timed_out()),
        }
    }
}

fn told(reader: &Reader, undecided: Undecided<'_>) -> Option<Opening> {
    let octets = reader.buffered();
    match Opening::read(octets) {
        None if undecided.passes(octets) => Some(Opening::Other("neither TLS nor a request")),
        told => told,
    }
}

/// The client was silent too long, or its first octets did not end in time.
pub(super) fn timed_out() -> Interrupted {
    Interrupted::ClientGone(io::ErrorKind::TimedOut.into())
}
