//! What a peer may spend of Larder's time.
//!
//! A flood of frames that each cost little costs much together (CVE-2019-9512 to 9518, CVE-2023-44487,
//! CVE-2024-27316, CVE-2025-8671). Each frame that does no work is paid for out of a credit, which grows
//! with what the connection carries and with time. The `h2` crate has limits of its own; these hold
//! whatever it counts.
//!
//! Invariant: who uses a connection as it is meant does not run out. A response's head and each frame of
//! content that Larder sends earn more than a peer spends on them: gRPC answers a frame with a PING.
//! Content that comes costs nothing: it is taken in turns (`gate.rs`), and small frames of one stream as
//! one. Window updates cost nothing either as long as each can give back an octet that was sent, on the
//! stream and on the connection: gRPC sends two for each message, and Larder may have sent a thousand
//! messages of seven octets in one frame.

use super::frames::{FrameHeader, flag, kind};

/// What there is at first, and at most. Arbitrary: more than any client begins with.
const CREDIT: u64 = 2000;
/// Octets of content, in either direction, that earn one.
const OCTETS: u64 = 512;
/// Octets of decoded fields that cost one.
const FIELDS: usize = 8 * 1024;
/// Milliseconds that earn one.
const MS: u64 = 20;
/// A head that leaves.
const HEAD_EARNS: u64 = 8;
/// A frame of content that leaves.
const CONTENT_EARNS: u64 = 4;

/// The most octets that can be under way (RFC 9113 §6.9.1), each of which may be given back twice.
const RETURNABLE_MAX: u64 = 2 * ((1 << 31) - 1);

/// What a peer has too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    #[error("too many frames that carry nothing")]
    Frames,
    #[error("a field block of too many CONTINUATION frames")]
    Continuations,
    #[error("a field block that is too large")]
    FieldBlock,
    #[error("a field block that can't be decoded")]
    Compression,
    #[error("a PUSH_PROMISE, which nobody may send to Larder")]
    Promise,
    #[error("too many streams that have not ended")]
    Streams,
}

impl Excess {
    /// As a GOAWAY says it (RFC 9113 §7).
    pub(super) fn reason(self) -> h2::Reason {
        match self {
            Excess::Frames | Excess::Continuations | Excess::FieldBlock | Excess::Streams => {
                h2::Reason::ENHANCE_YOUR_CALM
            }
            Excess::Compression => h2::Reason::COMPRESSION_ERROR,
            Excess::Promise => h2::Reason::PROTOCOL_ERROR,
        }
    }
}

/// The account of one peer.
#[derive(Debug)]
pub(super) struct Meter {
    credit: u64,
    /// Octets that have not earned anything yet.
    carried: u64,
    /// Window updates that can give something back.
    returnable: u64,
    refilled_ms: u64,
    /// PING and SETTINGS frames of Larder's that are not acknowledged.
    asked: [u32; 2],
}

impl Meter {
    pub(super) fn new(now_ms: u64) -> Meter {
        Meter { credit: CREDIT, carried: 0, returnable: 0, refilled_ms: now_ms, asked: [0; 2] }
    }

    /// A frame has come. `Err`: it can't be paid for.
    pub(super) fn received(&mut self, frame: &FrameHeader, now_ms: u64) -> Result<(), Excess> {
        let price = match frame.kind {
            kind::DATA if frame.length > 0 => {
                self.carry(frame.length);
                0
            }
            kind::DATA if frame.has(flag::END_STREAM) => 0,
            kind::DATA | kind::RST_STREAM => 2,
            kind::PING | kind::SETTINGS if frame.has(flag::ACK) => {
                let asked = self.asked_mut(frame.kind);
                let is_asked = *asked > 0;
                *asked = asked.saturating_sub(1);
                u64::from(!is_asked)
            }
            // Each may concern all streams.
            kind::SETTINGS => 4,
            kind::WINDOW_UPDATE if self.returnable > 0 => {
                self.returnable -= 1;
                0
            }
            _ => 1,
        };
        self.pay(price, now_ms)
    }

    /// A field section of so many octets was decoded: what a reference names costs, not the reference.
    pub(super) fn decoded(&mut self, octets: usize, now_ms: u64) -> Result<(), Excess> {
        self.pay((octets / FIELDS) as u64, now_ms)
    }

    /// Whether an acknowledgement of this kind answers anything.
    pub(super) fn is_asked(&mut self, kind: u8) -> bool {
        *self.asked_mut(kind) > 0
    }

    /// A frame has left.
    pub(super) fn sent(&mut self, frame: &FrameHeader) {
        match frame.kind {
            kind::HEADERS => self.earn(HEAD_EARNS),
            kind::DATA if frame.length > 0 => {
                self.earn(CONTENT_EARNS);
                self.carry(frame.length);
                self.returnable = (self.returnable + 2 * frame.length as u64).min(RETURNABLE_MAX);
            }
            // The peer may have provoked it (CVE-2025-8671).
            kind::RST_STREAM => self.credit = self.credit.saturating_sub(2),
            kind::PING | kind::SETTINGS if !frame.has(flag::ACK) => *self.asked_mut(frame.kind) += 1,
            _ => {}
        }
    }

    fn asked_mut(&mut self, kind: u8) -> &mut u32 {
        let [ping, settings] = &mut self.asked;
        if kind == kind::PING { ping } else { settings }
    }

    fn carry(&mut self, octets: usize) {
        self.carried += octets as u64;
        self.earn(self.carried / OCTETS);
        self.carried %= OCTETS;
    }

    fn earn(&mut self, credit: u64) {
        self.credit = self.credit.saturating_add(credit).min(CREDIT);
    }

    fn pay(&mut self, price: u64, now_ms: u64) -> Result<(), Excess> {
        let waited = now_ms.saturating_sub(self.refilled_ms) / MS;
        if waited > 0 {
            self.refilled_ms = now_ms;
            self.earn(waited);
        }
        self.credit = self.credit.checked_sub(price).ok_or(Excess::Frames)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> FrameHeader {
        FrameHeader { length, kind, flags, stream: 1 }
    }

    /// How many of these frames a peer may send, in turn with what Larder sends.
    fn allowed(received: &[FrameHeader], sent: &[FrameHeader]) -> usize {
        let mut meter = Meter::new(0);
        let all = |meter: &mut Meter| {
            sent.iter().for_each(|frame| meter.sent(frame));
            received.iter().all(|frame| meter.received(frame, 0).is_ok())
        };
        (0..100_000).take_while(|_| all(&mut meter)).count()
    }

    #[test]
    fn frames_that_carry_nothing_are_paid_for() {
        let cases = [
            ("DATA", frame(kind::DATA, 0, 0), 1000),
            ("HEADERS", frame(kind::HEADERS, flag::END_HEADERS, 20), 2000),
            ("CONTINUATION", frame(kind::CONTINUATION, 0, 0), 2000),
            ("PRIORITY", frame(2, 0, 5), 2000),
            ("RST_STREAM", frame(kind::RST_STREAM, 0, 4), 1000),
            ("SETTINGS", frame(kind::SETTINGS, 0, 6), 500),
            ("SETTINGS that acknowledge nothing", frame(kind::SETTINGS, flag::ACK, 0), 2000),
            ("PING", frame(kind::PING, 0, 8), 2000),
            ("PING that answers nothing", frame(kind::PING, flag::ACK, 8), 2000),
            ("GOAWAY", frame(kind::GOAWAY, 0, 8), 2000),
            ("WINDOW_UPDATE", frame(kind::WINDOW_UPDATE, 0, 4), 2000),
            ("unknown", frame(99, 0, 3), 2000),
        ];
        for (name, frame, expected) in cases {
            assert_eq!(allowed(&[frame], &[]), expected, "{name}");
        }
        assert_eq!(allowed(&[frame(kind::DATA, 0, 1)], &[]), 100_000);
        assert_eq!(allowed(&[frame(kind::DATA, flag::END_STREAM, 0)], &[]), 100_000);
        // CVE-2025-8671: the peer has Larder reset what it began.
        let provoked = [frame(kind::HEADERS, flag::END_HEADERS, 20), frame(kind::WINDOW_UPDATE, 0, 4)];
        assert_eq!(allowed(&provoked, &[frame(kind::RST_STREAM, 0, 4)]), 500);
    }

    #[test]
    fn who_uses_a_connection_as_it_is_meant_does_not_run_out() {
        let head = frame(kind::HEADERS, flag::END_HEADERS, 50);
        let (content, update) = (frame(kind::DATA, 0, 6), frame(kind::WINDOW_UPDATE, 0, 4));
        let (ping, reset) = (frame(kind::PING, 0, 8), frame(kind::RST_STREAM, 0, 4));
        let cases: [(&str, Vec<_>, Vec<_>); 5] = [
            ("a window update for a hit of one octet", vec![head, update], vec![head, frame(0, 0, 1)]),
            ("a call", vec![head, content, update, update, ping], vec![head, content, head]),
            ("a message each way", vec![content, update, update, ping], vec![content]),
            ("an origin's call", vec![head, content, head, update, update, ping, reset], vec![head, content]),
            ("an acknowledgement", vec![frame(kind::PING, flag::ACK, 8)], vec![ping]),
        ];
        for (name, received, sent) in cases {
            assert_eq!(allowed(&received, &sent), 100_000, "{name}");
        }
        // Fifty messages of seven octets left in one frame, and each is given back by itself.
        assert_eq!(allowed(&[update; 100], &[frame(kind::DATA, 0, 350)]), 100_000);
        // An update gives back one octet at least.
        assert_eq!(allowed(&[update; 20], &[content]), 500);
    }

    #[test]
    fn what_is_carried_and_time_pay_for_more() {
        let ping = frame(kind::PING, 0, 8);
        let spent = || {
            let mut meter = Meter::new(0);
            while meter.received(&ping, 0).is_ok() {}
            meter
        };
        let rest = |meter: &mut Meter, now_ms| {
            (0..10_000).take_while(|_| meter.received(&ping, now_ms).is_ok()).count()
        };
        let mut meter = spent();
        assert_eq!(rest(&mut meter, 5000), 250);
        let mut meter = spent();
        meter.received(&frame(kind::DATA, 0, 512 * 3), 0).expect("content is free");
        assert_eq!(rest(&mut meter, 0), 3);
        let mut meter = spent();
        (0..9).for_each(|_| meter.sent(&frame(kind::DATA, 0, 16 << 10)));
        assert_eq!(rest(&mut meter, 0), 9 * (4 + 32));
        let mut meter = Meter::new(0);
        let sections = (0..10_000).take_while(|_| meter.decoded(56 << 10, 0).is_ok()).count();
        assert_eq!(sections, 2000 / 7);
    }
}
