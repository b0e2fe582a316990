//! How a message is cut on its way: a verdict must not depend on it.

use crate::support::Wire;

/// A segmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segments {
    Whole,
    /// One octet per write; the middle of a long message, which is filler, in small pieces.
    Octets,
    /// Cut behind each CRLF.
    Lines,
    /// Whole, behind a valid message on the same connection.
    Behind,
}

/// How often a sender of octets looks whether it was answered before it has said all.
const LOOK_EVERY: usize = 64;

impl Segments {
    pub const ALL: [Segments; 4] = [Segments::Whole, Segments::Octets, Segments::Lines, Segments::Behind];

    pub fn name(self) -> &'static str {
        match self {
            Segments::Whole => "whole",
            Segments::Octets => "octets",
            Segments::Lines => "lines",
            Segments::Behind => "behind",
        }
    }

    /// Sends a message in this way. Stops where the other side answers or closes before the
    /// end: a refusal need not wait for the rest.
    pub fn send(self, wire: &mut Wire, bytes: &[u8]) {
        let pieces: Vec<&[u8]> = match self {
            Segments::Whole | Segments::Behind => vec![bytes],
            Segments::Octets => octets(bytes),
            Segments::Lines => lines(bytes),
        };
        for (number, piece) in pieces.iter().enumerate() {
            let refused = number % LOOK_EVERY == LOOK_EVERY - 1 && wire.is_answered();
            if refused || !wire.send(piece) {
                return;
            }
            // The other side gets a chance to see this piece alone.
            std::thread::yield_now();
        }
    }
}

/// How much of either end of a message goes octet by octet.
const BY_OCTET: usize = 2048;

fn octets(bytes: &[u8]) -> Vec<&[u8]> {
    let (first, rest) = bytes.split_at(bytes.len().min(BY_OCTET));
    let (filler, last) = rest.split_at(rest.len().saturating_sub(BY_OCTET));
    first.chunks(1).chain(filler.chunks(61)).chain(last.chunks(1)).collect()
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|octets| octets == b"\r\n") {
        let (line, behind) = rest.split_at(at + 2);
        out.push(line);
        rest = behind;
    }
    if !rest.is_empty() {
        out.push(rest);
    }
    out
}
