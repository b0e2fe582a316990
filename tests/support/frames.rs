//! HTTP/2 by its octets: frames that a test puts together, and those that come back.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;

use super::Wire;

/// The preface of a client and empty settings.
pub const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame's kinds.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

/// Error codes (RFC 9113 §7).
pub const PROTOCOL_ERROR: u32 = 1;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

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

/// A field block with one more line, which no table may hold (RFC 7541 §6.2.3).
pub fn never_indexed(mut block: Vec<u8>, line: (&str, &str)) -> Vec<u8> {
    let at = block.len();
    block.extend(fields(&[line]));
    block[at] = 0x10;
    block
}

/// The lines of a block that no table may hold, by the indices of their names; 0 for a name in full.
pub fn never_indexed_names(block: &[u8]) -> Vec<usize> {
    let (mut rest, mut found) = (block, Vec::new());
    while let Some(&first) = rest.first() {
        let (prefix, is_literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let name = integer(&mut rest, prefix);
        // The name, where it has no index, and the value.
        for _ in 0..usize::from(is_literal) + usize::from(is_literal && name == 0) {
            let length = integer(&mut rest, 7);
            rest = &rest[length..];
        }
        if (0x10..0x20).contains(&first) {
            found.push(name);
        }
    }
    found.sort_unstable();
    found
}

/// RFC 7541 §5.1.
fn integer(rest: &mut &[u8], prefix: u32) -> usize {
    let mut next = || {
        let (first, behind) = rest.split_first().expect("an integer");
        *rest = behind;
        usize::from(*first)
    };
    let limit = (1 << prefix) - 1;
    let mut value = next() & limit;
    if value == limit {
        for shift in (0..).step_by(7) {
            let octet = next();
            value += (octet & 0x7f) << shift;
            if octet < 0x80 {
                break;
            }
        }
    }
    value
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
        let Some((kind, of, payload)) = next_frame(wire) else { return Verdict::Closed };
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four octets"));
        match kind {
            HEADERS if of == stream => return Verdict::Answered,
            RST_STREAM if of == stream => return Verdict::Reset(code(0)),
            GOAWAY if code(4) != 0 => return Verdict::GoAway(code(4)),
            _ => {}
        }
    }
}

/// The next frame's kind, its stream and its payload; `None` at the end of the connection.
pub fn next_frame(wire: &mut Wire) -> Option<(u8, u32, Vec<u8>)> {
    let header = wire.exactly(9).bytes;
    let [high, middle, low, kind, _, of @ ..] = &header[..] else { return None };
    let payload = wire.exactly(u32::from_be_bytes([0, *high, *middle, *low]) as usize).bytes;
    Some((*kind, u32::from_be_bytes(of.try_into().ok()?), payload))
}

/// An origin with HTTP/2 that answers with octets.
pub struct FrameOrigin {
    address: SocketAddr,
    heads: Arc<AtomicUsize>,
    blocks: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl FrameOrigin {
    /// Starts with this certificate. Behind the head of each request, `answer` has the connection; it
    /// is told how many requests there were before, and on which stream this one is.
    pub fn start(
        mut config: ServerConfig,
        answer: impl Fn(&mut Wire, usize, u32) + Send + Sync + 'static,
    ) -> FrameOrigin {
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (config, answer) = (Arc::new(config), Arc::new(answer));
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let heads = Arc::new(AtomicUsize::new(0));
        let (counter, blocks) = (heads.clone(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let kept = blocks.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (config, answer, counter) = (config.clone(), answer.clone(), counter.clone());
                let kept = kept.clone();
                std::thread::spawn(move || {
                    let mut wire = Wire::patient(socket.expect("a connection")).accept_tls(config);
                    if !opens(&mut wire) {
                        return;
                    }
                    while let Some((kind, stream, block)) = next_frame(&mut wire) {
                        if kind == HEADERS {
                            kept.lock().unwrap().push(block);
                            answer(&mut wire, counter.fetch_add(1, Ordering::SeqCst), stream);
                        }
                    }
                });
            }
        });
        FrameOrigin { address, heads, blocks }
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        format!("origin.example:{}", self.address.port())
    }

    /// The field blocks that have come.
    pub fn blocks(&self) -> Vec<Vec<u8>> {
        self.blocks.lock().unwrap().clone()
    }

    /// How many requests have come.
    pub fn heads(&self) -> usize {
        self.heads.load(Ordering::SeqCst)
    }
}

/// Whether a client begins in order.
fn opens(wire: &mut Wire) -> bool {
    const PREFACE: usize = 24;
    if wire.exactly(PREFACE).bytes != OPENING[..PREFACE] {
        return false;
    }
    wire.send(frame(SETTINGS, 0, 0, &[]));
    true
}
