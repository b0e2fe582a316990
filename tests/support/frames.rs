//! HTTP/2 by its octets: frames that a test puts together, and those that come back.

use super::Wire;

/// The preface of a client and empty settings.
pub const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame's kinds.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).expect("small").to_be_bytes();
    let mut out = vec![high, middle, low, kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// A field block in which nothing is compressed (RFC 7541 §6.2.2).
pub fn fields(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in lines {
        out.push(0);
        for text in [name, value] {
            length(&mut out, text.len());
            out.extend(text.as_bytes());
        }
    }
    out
}

/// RFC 7541 §5.1, with a prefix of seven bits.
fn length(out: &mut Vec<u8>, length: usize) {
    let Some(mut left) = length.checked_sub(127) else { return out.push(length as u8) };
    out.push(127);
    while left >= 128 {
        out.push(left as u8 | 128);
        left >>= 7;
    }
    out.push(left as u8);
}

/// How a peer has answered on a stream, or to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A response began.
    Answered,
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY with this code.
    GoAway(u32),
    Closed,
}

/// Reads frames until the stream is answered or reset, or the connection ends.
pub fn verdict(wire: &mut Wire, stream: u32) -> Verdict {
    loop {
        let header = wire.exactly(9).bytes;
        let [high, middle, low, kind, _, of @ ..] = &header[..] else { return Verdict::Closed };
        let payload = wire.exactly(u32::from_be_bytes([0, *high, *middle, *low]) as usize).bytes;
        let of = u32::from_be_bytes(of.try_into().expect("four octets"));
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four octets"));
        match *kind {
            HEADERS if of == stream => return Verdict::Answered,
            RST_STREAM if of == stream => return Verdict::Reset(code(0)),
            GOAWAY if code(4) != 0 => return Verdict::GoAway(code(4)),
            _ => {}
        }
    }
}
