//! What a peer may spend of our time: frames that carry nothing, and heads that do not end.
//!
//! A flood of frames that each cost little costs much together (CVE-2019-9512 to 9518,
//! CVE-2023-44487, CVE-2024-27316). Frames that do no work are paid for out of a credit that grows with what the connection carries,
//! and slowly with time. The `h2` crate has limits of its own; these hold whatever it counts.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Frames that a peer may send before it has carried anything; arbitrary, and far more than any
/// client begins with.
const CREDIT: u32 = 1000;
/// Octets, in either direction, that pay for one frame. A window update for each 16 KiB of a
/// download is paid for many times over.
const OCTETS_PER_FRAME: u64 = 512;
/// Milliseconds that pay for one frame.
const MS_PER_FRAME: u64 = 1000;
/// CONTINUATION frames of one field block (RFC 9113 §6.10).
const CONTINUATIONS: u32 = 8;
/// Octets of one field block as they come, compressed.
const FIELD_BLOCK: u64 = 64 * 1024;
/// The preface of a client (RFC 9113 §3.4), which no frame header stands in front of.
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// What a peer has too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    #[error("too many frames that carry nothing")]
    Frames,
    #[error("a field block of too many CONTINUATION frames")]
    Continuations,
    #[error("a field block that is too large")]
    FieldBlock,
}

/// The frames of one direction of a connection, counted.
#[derive(Debug)]
pub struct Meter {
    /// Octets of the preface that are still to come.
    preface: usize,
    header: [u8; 9],
    header_length: usize,
    /// Octets of the payload that are still to come.
    payload: u64,
    credit: u32,
    carried: u64,
    refilled_ms: u64,
    block: Option<Block>,
    excess: Option<Excess>,
}

/// A field block that has not ended.
#[derive(Debug)]
struct Block {
    since_ms: u64,
    continuations: u32,
    octets: u64,
}

impl Meter {
    /// For what a client sends, from its first octet.
    pub fn of_client(now_ms: u64) -> Meter {
        Meter { preface: PREFACE, ..Meter::of_server(now_ms) }
    }

    /// For what a server sends.
    pub fn of_server(now_ms: u64) -> Meter {
        Meter {
            preface: 0,
            header: [0; 9],
            header_length: 0,
            payload: 0,
            credit: CREDIT,
            carried: 0,
            refilled_ms: now_ms,
            block: None,
            excess: None,
        }
    }

    /// Counts octets that have come.
    pub fn received(&mut self, mut octets: &[u8], now_ms: u64) -> Result<(), Excess> {
        let preface = self.preface.min(octets.len());
        self.preface -= preface;
        octets = octets.get(preface..).unwrap_or_default();
        while !octets.is_empty() && self.excess.is_none() {
            if self.payload > 0 {
                let length = self.payload.min(octets.len() as u64);
                self.payload -= length;
                octets = octets.get(length as usize..).unwrap_or_default();
                continue;
            }
            let missing = self.header.get_mut(self.header_length..).unwrap_or_default();
            let length = missing.len().min(octets.len());
            let (now, rest) = octets.split_at(length);
            missing.iter_mut().zip(now).for_each(|(into, octet)| *into = *octet);
            octets = rest;
            self.header_length += length;
            if self.header_length == self.header.len() {
                self.header_length = 0;
                self.frame(now_ms);
            }
        }
        self.excess.map_or(Ok(()), Err)
    }

    /// Counts octets that have left: they pay for what comes back.
    pub fn sent(&mut self, octets: usize) {
        self.carry(octets as u64);
    }

    /// What there is too much of, if anything.
    pub fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// Since when a field block has been open.
    pub fn open_since_ms(&self) -> Option<u64> {
        self.block.as_ref().map(|block| block.since_ms)
    }

    fn frame(&mut self, now_ms: u64) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.payload = u64::from(u32::from_be_bytes([0, high, middle, low]));
        let ends = flags & END_HEADERS != 0;
        match kind {
            HEADERS => {
                let block = Block { since_ms: now_ms, continuations: 0, octets: self.payload };
                self.block = (!ends).then_some(block);
                self.carry(self.payload);
            }
            CONTINUATION => {
                if let Some(block) = &mut self.block {
                    block.continuations += 1;
                    block.octets += self.payload;
                    if block.continuations > CONTINUATIONS {
                        self.excess = Some(Excess::Continuations);
                    } else if block.octets > FIELD_BLOCK {
                        self.excess = Some(Excess::FieldBlock);
                    }
                }
                if ends {
                    self.block = None;
                }
            }
            DATA if self.payload > 0 => self.carry(self.payload),
            // An answer to what was asked.
            4 | 6 if flags & ACK != 0 => {}
            _ => self.pay(now_ms),
        }
    }

    fn carry(&mut self, octets: u64) {
        self.carried += octets;
        let paid = self.carried / OCTETS_PER_FRAME;
        self.carried %= OCTETS_PER_FRAME;
        self.credit = self.credit.saturating_add(u32::try_from(paid).unwrap_or(u32::MAX)).min(CREDIT);
    }

    fn pay(&mut self, now_ms: u64) {
        let waited = now_ms.saturating_sub(self.refilled_ms) / MS_PER_FRAME;
        if waited > 0 {
            self.refilled_ms = now_ms;
            self.credit = self.credit.saturating_add(u32::try_from(waited).unwrap_or(u32::MAX)).min(CREDIT);
        }
        match self.credit.checked_sub(1) {
            Some(credit) => self.credit = credit,
            None => self.excess = Some(Excess::Frames),
        }
    }
}

/// A stream whose frames are counted. What is too much ends the reading.
pub struct Metered<S> {
    stream: S,
    meter: Rc<RefCell<Meter>>,
    now_ms: Box<dyn Fn() -> u64>,
}

impl<S> Metered<S> {
    /// Counts by this meter, which others may look at.
    pub fn new(stream: S, meter: Rc<RefCell<Meter>>, now_ms: impl Fn() -> u64 + 'static) -> Metered<S> {
        Metered { stream, meter, now_ms: Box::new(now_ms) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = polled {
            let now_ms = (self.now_ms)();
            let octets = buffer.filled().get(before..).unwrap_or_default();
            if let Err(excess) = self.meter.borrow_mut().received(octets, now_ms) {
                return Poll::Ready(Err(io::Error::other(excess)));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> Metered<S> {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(octets)) = written {
            self.meter.borrow_mut().sent(octets);
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(length).expect("small").to_be_bytes();
        let mut out = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        out.resize(9 + length, 0);
        out
    }

    /// How many of these frames a fresh connection may send.
    fn allowed(octets: &[u8]) -> usize {
        let mut meter = Meter::of_client(0);
        meter.received(&[0; PREFACE], 0).expect("the preface");
        (0..100_000).take_while(|_| meter.received(octets, 0).is_ok()).count()
    }

    #[test]
    fn frames_that_carry_nothing_are_paid_for() {
        for (name, kind, length) in [
            ("DATA", DATA, 0),
            ("PRIORITY", 2, 5),
            ("RST", 3, 4),
            ("SETTINGS", 4, 6),
            ("PING", 6, 8),
            ("WINDOW", 8, 4),
            ("unknown", 99, 3),
        ] {
            assert_eq!(allowed(&frame(kind, 0, length)), CREDIT as usize, "{name}");
        }
        assert_eq!(allowed(&frame(DATA, 0, 1)), 100_000);
        assert_eq!(allowed(&frame(HEADERS, END_HEADERS, 20)), 100_000);
    }

    #[test]
    fn what_is_carried_and_time_pay_for_more() {
        let mut meter = Meter::of_server(0);
        let ping = frame(6, 0, 8);
        let mut sends = |octets: usize, now_ms: u64| {
            meter.sent(octets);
            (0..100_000).take_while(|_| meter.received(&ping, now_ms).is_ok()).count()
        };
        assert_eq!(sends(0, 0), CREDIT as usize);
        // What is over stays over.
        assert_eq!(sends(1 << 20, 0), 0);
        let mut meter = Meter::of_server(0);
        for _ in 0..CREDIT {
            meter.received(&ping, 0).expect("within the credit");
        }
        meter.sent(512 * 3);
        assert_eq!((0..9).take_while(|_| meter.received(&ping, 0).is_ok()).count(), 3);
        let mut meter = Meter::of_server(0);
        for _ in 0..CREDIT {
            meter.received(&ping, 0).expect("within the credit");
        }
        assert_eq!((0..9).take_while(|_| meter.received(&ping, 5000).is_ok()).count(), 5);
    }

    #[test]
    fn a_field_block_ends_in_time_and_in_size() {
        let mut meter = Meter::of_server(0);
        meter.received(&frame(HEADERS, 0, 10), 7).expect("a beginning");
        assert_eq!(meter.open_since_ms(), Some(7));
        for _ in 0..CONTINUATIONS {
            meter.received(&frame(CONTINUATION, 0, 10), 9).expect("few");
        }
        assert_eq!(meter.received(&frame(CONTINUATION, 0, 10), 9), Err(Excess::Continuations));
        let mut meter = Meter::of_server(0);
        meter.received(&frame(HEADERS, 0, 16 << 10), 0).expect("a beginning");
        let continued = (0..9).take_while(|_| meter.received(&frame(CONTINUATION, 0, 16 << 10), 0).is_ok());
        assert_eq!(continued.count(), 3);
        let mut meter = Meter::of_server(0);
        meter.received(&frame(HEADERS, 0, 10), 7).expect("a beginning");
        meter.received(&frame(CONTINUATION, END_HEADERS, 10), 9).expect("the end");
        assert_eq!(meter.open_since_ms(), None);
    }

    #[test]
    fn octets_may_come_one_by_one() {
        let mut meter = Meter::of_client(0);
        let all = [vec![0; PREFACE], frame(HEADERS, 0, 3), frame(DATA, 0, 5), frame(HEADERS, 0, 1)].concat();
        for (at, octet) in all.iter().enumerate() {
            meter.received(&[*octet], at as u64).expect("little");
        }
        assert_eq!(meter.open_since_ms(), Some(all.len() as u64 - 2));
    }
}
