//! Dialling several addresses of one host (RFC 8305 §5): the next one starts when the one before
//! has failed or has not answered for a moment; the first connection wins.
//!
//! Invariant: each attempt under way has a place of its own, and so a descriptor. Where there is none
//! to spare, attempts follow each other.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};

/// RFC 8305 §8: the recommended delay between two attempts.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses that may be dialled.
pub(super) struct Candidates<'a> {
    /// At least one.
    pub now: Vec<SocketAddr>,
    /// Those that the name servers have still to tell.
    pub later: Option<Pin<Box<dyn Future<Output = Vec<SocketAddr>> + 'a>>>,
}

/// Places for attempts.
pub(super) struct Reserved<'a, P> {
    pub first: P,
    /// One more, if there is one to spare.
    pub more: &'a dyn Fn() -> Option<P>,
}

/// A new connection.
#[derive(Debug)]
pub(super) struct Connected<P> {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    pub place: P,
}

/// The first of these addresses to accept a connection within `limit`.
pub(super) async fn first_to_connect<P: Send + 'static>(
    clock: &Clock,
    candidates: Candidates<'_>,
    limit: Duration,
    places: Reserved<'_, P>,
) -> Result<Connected<P>, Failure> {
    let racing = async {
        match (&candidates.now[..], &candidates.later) {
            ([only], None) => connect(*only, places.first).await.map_err(|(error, _place)| error),
            _ => race(clock, candidates, places).await,
        }
    };
    match clock.timeout(limit, racing).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_timed_out) => Err(timeout()),
    }
}

async fn race<P: Send + 'static>(
    clock: &Clock,
    candidates: Candidates<'_>,
    places: Reserved<'_, P>,
) -> io::Result<Connected<P>> {
    let Candidates { now, mut later } = candidates;
    // That of the attempt that has failed last; there is one whenever none is under way.
    let mut free = Some(places.first);
    let mut attempts = JoinSet::new();
    let mut waiting: VecDeque<SocketAddr> = interleaved(&now).into();
    let mut told: Option<io::Error> = None;
    let mut delay = pin!(clock.sleep(ATTEMPT_DELAY));
    let mut is_due = true;
    loop {
        if is_due && !waiting.is_empty() {
            if let Some(place) = free.take().or_else(places.more)
                && let Some(address) = waiting.pop_front()
            {
                attempts.spawn(connect(address, place));
            }
            delay.set(clock.sleep(ATTEMPT_DELAY));
            is_due = false;
        }
        if attempts.is_empty() && waiting.is_empty() && later.is_none() {
            return Err(told.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
        }
        tokio::select! {
            Some(ended) = attempts.join_next() => match ended.map_err(io::Error::other)? {
                Ok(connected) => return Ok(connected),
                Err((error, place)) => {
                    free = Some(place);
                    is_due = true;
                    // That a server refuses says more than that a family has no route.
                    if told.as_ref().is_none_or(|told| told.kind() != io::ErrorKind::ConnectionRefused) {
                        told = Some(error);
                    }
                }
            },
            // §3: "If new addresses are received while [...] connection attempts are still in progress,
            // [they] are added to the list".
            more = arrived(&mut later), if later.is_some() => {
                later = None;
                let rest: Vec<SocketAddr> = more.into_iter().chain(waiting).collect();
                waiting = interleaved(&rest).into();
                is_due |= attempts.is_empty();
            }
            () = &mut delay, if !is_due && !waiting.is_empty() => is_due = true,
        }
    }
}

async fn arrived(later: &mut Option<Pin<Box<dyn Future<Output = Vec<SocketAddr>> + '_>>>) -> Vec<SocketAddr> {
    match later {
        Some(later) => later.await,
        None => Vec::new(),
    }
}

/// One attempt; a failed one gives its place back.
async fn connect<P>(peer: SocketAddr, place: P) -> Result<Connected<P>, (io::Error, P)> {
    let connecting = async {
        let stream = TcpStream::connect(peer).await?;
        // A request is written in one piece; waiting for more of it helps nobody.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    match connecting.await {
        Ok(stream) => Ok(Connected { stream, peer, place }),
        Err(error) => Err((error, place)),
    }
}

/// Families in turn, beginning with that of the first address (RFC 8305 §4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut ours, mut others): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    let mut out = Vec::with_capacity(addresses.len());
    ours.reverse();
    others.reverse();
    while let Some(address) = ours.pop() {
        out.push(address);
        out.extend(others.pop());
    }
    others.reverse();
    out.extend(others);
    out
}

fn failure(error: &io::Error) -> Failure {
    let (kind, public) = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            (ErrorType::ConnectionRefused, "The server refused the connection")
        }
        io::ErrorKind::TimedOut => return timeout(),
        // RFC 9209 has no type for running out of descriptors; the limit is on this side.
        _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => {
            let public = "The proxy has too many connections open";
            return Failure::new(ErrorType::ConnectionLimitReached, Fault::Proxy, 503, public)
                .with_internal(error);
        }
        _ => (ErrorType::DestinationUnavailable, "The server can't be reached"),
    };
    Failure::new(kind, Fault::Origin, 502, public).with_internal(error)
}

const EMFILE: i32 = rustix::io::Errno::MFILE.raw_os_error();
const ENFILE: i32 = rustix::io::Errno::NFILE.raw_os_error();

fn timeout() -> Failure {
    Failure::new(ErrorType::ConnectionTimeout, Fault::Origin, 504, "The server did not answer in time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let all: Vec<_> = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(parse).to_vec();
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"].map(parse);
        assert_eq!(interleaved(&all), expected);
        assert_eq!(interleaved(&all[3..]), all[3..]);
    }
}
