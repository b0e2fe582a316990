//! Frames by their headers (RFC 9113 §4.1): where they begin, and what they say they are.

use bytes::{BufMut as _, BytesMut};

/// Octets of a frame's header.
pub(super) const HEADER: usize = 9;
/// Octets of a frame's payload (§4.2); Larder asks for no larger ones.
pub(super) const PAYLOAD_MAX: usize = 16 * 1024;
/// The preface of a client (§3.4), which no header stands in front of.
pub(super) const PREFACE: usize = 24;

/// Kinds of frames (§6).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
    /// The last one that the library knows.
    pub(in super::super) const LAST: u8 = CONTINUATION;
}

/// Flags of frames (§6).
pub(super) mod flag {
    pub(in super::super) const ACK: u8 = 1;
    pub(in super::super) const END_STREAM: u8 = 1;
    pub(in super::super) const END_HEADERS: u8 = 4;
    pub(in super::super) const PADDED: u8 = 8;
    pub(in super::super) const PRIORITY: u8 = 32;
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl FrameHeader {
    /// The header that these octets begin with; `None` where they are too few.
    pub(super) fn of(octets: &[u8]) -> Option<FrameHeader> {
        let (&[high, middle, low, kind, flags, a, b, c, d], _) = octets.split_first_chunk()?;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        // "Reserved: A reserved 1-bit field [...] MUST be ignored when receiving."
        Some(FrameHeader { length, kind, flags, stream: u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff })
    }

    /// Whether a flag is set.
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// As it stands in front of its payload.
    pub(super) fn octets(&self) -> [u8; HEADER] {
        let [.., high, middle, low] = self.length.to_be_bytes();
        let [a, b, c, d] = self.stream.to_be_bytes();
        [high, middle, low, self.kind, self.flags, a, b, c, d]
    }

    /// Appends it to what goes out.
    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_slice(&self.octets());
    }
}

/// The frames in octets that pass by.
#[derive(Debug)]
pub(super) struct Passing {
    /// Octets that are none of a header: of the preface, or of a payload.
    left: usize,
    header: [u8; HEADER],
    length: usize,
}

impl Passing {
    /// From the first octet, behind a preface of so many.
    pub(super) fn new(preface: usize) -> Passing {
        Passing { left: preface, header: [0; HEADER], length: 0 }
    }

    /// Looks at the next octets, and gives the headers among them.
    pub(super) fn push(&mut self, mut octets: &[u8], mut header: impl FnMut(FrameHeader)) {
        while !octets.is_empty() {
            if self.left > 0 {
                let length = self.left.min(octets.len());
                self.left -= length;
                octets = octets.get(length..).unwrap_or_default();
                continue;
            }
            let missing = self.header.get_mut(self.length..).unwrap_or_default();
            let (now, rest) = octets.split_at(missing.len().min(octets.len()));
            missing.iter_mut().zip(now).for_each(|(into, octet)| *into = *octet);
            octets = rest;
            self.length += now.len();
            if let Some(found) = FrameHeader::of(&self.header).filter(|_| self.length == HEADER) {
                (self.length, self.left) = (0, found.length);
                header(found);
            }
        }
    }

    /// Whether the next octet begins a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.left == 0 && self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_whatever_the_pieces() {
        let header = |length, kind| FrameHeader { length, kind, flags: 5, stream: 0x0102_0304 };
        let frames = [header(3, kind::HEADERS), header(0, kind::DATA), header(300, 99)];
        let mut all = vec![0; PREFACE];
        for frame in &frames {
            all.extend(frame.octets());
            all.extend(vec![7; frame.length]);
        }
        for size in [1, 2, 9, 10, 1000] {
            let (mut passing, mut found) = (Passing::new(PREFACE), Vec::new());
            for piece in all.chunks(size) {
                passing.push(piece, |header| found.push(header));
            }
            assert_eq!(found, frames, "{size}");
            assert!(passing.is_between_frames());
        }
    }
}
