//! Least rates: who owes octets, and is far behind the rate at which they are due, is cut off. An octet
//! now and then is not silence, and would hold what it holds for ever.
//!
//! Only the time of waiting for that peer counts, and each octet makes up for a part of it. Content whose
//! length is known is due until it is complete; content of unknown length may be a stream of events,
//! which is behind only after hours. A client owes the taking of what was sent to it.

use std::time::Duration;

use super::Shared;
use crate::clock::Clock;
use crate::http::BodyLength;

/// Least rates in bytes per second, 0 for none, and how far behind them a peer may be.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Of a request's content; default 100.
    pub request: u64,
    /// Of a response's content, from its origin; default 100.
    pub response: u64,
    /// Of a client that takes a response; default 100.
    pub reading: u64,
    /// How far behind a peer may be; default 2 min. Never less than two silences that are allowed.
    pub behind: Duration,
    /// The same for content of unknown length; default 24 h.
    pub stream: Duration,
}

impl Default for Rates {
    fn default() -> Rates {
        let (behind, stream) = (Duration::from_secs(120), Duration::from_secs(86_400));
        Rates { request: 100, response: 100, reading: 100, behind, stream }
    }
}

/// A peer was far behind its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("slower than {0} bytes per second for too long")]
pub(super) struct TooSlow(u64);

/// How far one peer is behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rate: u64,
    behind_ms: u64,
    behind_max_ms: u64,
}

impl Pace {
    fn new(rate: u64, behind_max: Duration) -> Pace {
        let behind_max_ms = u64::try_from(behind_max.as_millis()).unwrap_or(u64::MAX);
        Pace { rate, behind_ms: 0, behind_max_ms }
    }

    /// Of a request's content, where silence is allowed for `idle`.
    pub(super) fn of_request(shared: &Shared, length: BodyLength, idle: Duration) -> Pace {
        let rates = &shared.limits.rates;
        Pace::new(rates.request, rates.behind_max(length, idle))
    }

    /// Of a response's content, as its origin sends it.
    pub(super) fn of_response(shared: &Shared, length: BodyLength, idle: Duration) -> Pace {
        let rates = &shared.limits.rates;
        Pace::new(rates.response, rates.behind_max(length, idle))
    }

    /// Of a client that takes a response.
    pub(super) fn of_reader(shared: &Shared, idle: Duration) -> Pace {
        let rates = &shared.limits.rates;
        Pace::new(rates.reading, rates.behind.max(idle * 2))
    }

    /// What `future` gives, and how long it took, in milliseconds.
    pub(super) async fn timed<F: Future>(clock: &Clock, future: F) -> (F::Output, u64) {
        let before = clock.monotonic_ms();
        let output = future.await;
        (output, clock.monotonic_ms().saturating_sub(before))
    }

    /// The peer let Larder wait for so long, and then sent or took so many octets.
    pub(super) fn moved(&mut self, waited_ms: u64, octets: u64) -> Result<(), TooSlow> {
        let Some(made_up_ms) = octets.saturating_mul(1000).checked_div(self.rate) else { return Ok(()) };
        self.behind_ms = self.behind_ms.saturating_add(waited_ms).saturating_sub(made_up_ms);
        if self.behind_ms > self.behind_max_ms { Err(TooSlow(self.rate)) } else { Ok(()) }
    }
}

impl Rates {
    fn behind_max(&self, length: BodyLength, idle: Duration) -> Duration {
        match length {
            BodyLength::None | BodyLength::Exact(_) => self.behind.max(idle * 2),
            BodyLength::Chunked | BodyLength::UntilClose | BodyLength::UntilEnd => self.stream,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many waits of so many seconds with so many octets behind each a peer is cut off.
    fn cut_after(rate: u64, wait_s: u64, octets: u64) -> Option<usize> {
        let mut pace = Pace::new(rate, Duration::from_secs(120));
        (1..=1000).find(|_| pace.moved(wait_s * 1000, octets).is_err())
    }

    #[test]
    fn who_is_far_behind_is_cut() {
        for (rate, wait_s, octets, expected) in [
            (100, 59, 1, Some(3)),
            (100, 1, 1, Some(122)),
            (100, 1, 100, None),
            (100, 59, 5900, None),
            (100, 50, 4 << 20, None),
            (0, 59, 1, None),
        ] {
            assert_eq!(cut_after(rate, wait_s, octets), expected, "{rate} {wait_s} {octets}");
        }
    }

    #[test]
    fn what_was_fast_is_no_credit_for_ever() {
        let mut pace = Pace::new(100, Duration::from_secs(120));
        assert_eq!(pace.moved(1, 1 << 30), Ok(()));
        assert_eq!(pace.moved(121_000, 1), Err(TooSlow(100)));
    }
}
