//! Dialling several addresses of one host (RFC 8305 §5): the next one starts when the one before
//! has failed or has not answered for a moment; the first connection wins.

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

/// The first of these addresses to accept a connection within `limit`.
pub(super) async fn first_to_connect(
    clock: &Clock,
    candidates: Candidates<'_>,
    limit: Duration,
) -> Result<(TcpStream, SocketAddr), Failure> {
    let racing = async {
        match (&candidates.now[..], &candidates.later) {
            ([only], None) => connect(*only).await,
            _ => race(clock, candidates).await,
        }
    };
    match clock.timeout(limit, racing).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_timed_out) => Err(timeout()),
    }
}

async fn race(clock: &Clock, candidates: Candidates<'_>) -> io::Result<(TcpStream, SocketAddr)> {
    let Candidates { now, mut later } = candidates;
    let mut attempts = JoinSet::new();
    let mut waiting: VecDeque<SocketAddr> = interleaved(&now).into();
    let mut told: Option<io::Error> = None;
    let mut delay = pin!(clock.sleep(ATTEMPT_DELAY));
    let mut is_due = true;
    loop {
        if is_due && let Some(address) = waiting.pop_front() {
            attempts.spawn(connect(address));
            delay.set(clock.sleep(ATTEMPT_DELAY));
            is_due = false;
        }
        if attempts.is_empty() && waiting.is_empty() && later.is_none() {
            return Err(told.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
        }
        tokio::select! {
            Some(ended) = attempts.join_next() => match ended.map_err(io::Error::other)? {
                Ok(connected) => return Ok(connected),
                Err(error) => {
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

async fn connect(address: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
    let stream = TcpStream::connect(address).await?;
    // A request is written in one piece; waiting for more of it helps nobody.
    stream.set_nodelay(true)?;
    Ok((stream, address))
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
