//! Putting messages on a connection: heads into one buffer, content beside them in one vectored
//! write, never copied.

use std::io::{self, IoSlice, Write};

use bytes::Bytes;

use super::{FieldName, Fields, WriteHalf, is_forbidden_trailer, reason_phrase};

/// Appends `HTTP/1.1 status reason CRLF`. An empty reason becomes the registered phrase.
pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    let phrase = if reason.is_empty() { reason_phrase(status).as_bytes() } else { reason };
    out.extend_from_slice(phrase);
    out.extend_from_slice(b"\r\n");
}

/// Appends one field line.
pub fn field_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends one field line with a listed name.
pub fn field(out: &mut Vec<u8>, name: FieldName, value: impl AsRef<[u8]>) {
    field_line(out, name.as_str().as_bytes(), value.as_ref());
}

/// Appends one field line whose value is a number.
pub fn number_field(out: &mut Vec<u8>, name: FieldName, value: u64) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    decimal(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// A head and the pieces of content behind it on their way out. Either may be empty.
#[derive(Debug)]
pub struct Unsent<'a> {
    front: &'a [u8],
    pieces: &'a [Bytes],
    /// Octets of the first piece that have left.
    gone: usize,
}

impl<'a> Unsent<'a> {
    /// All of both is still to be sent.
    pub fn new(front: &'a [u8], pieces: &'a [Bytes]) -> Unsent<'a> {
        let mut unsent = Unsent { front, pieces, gone: 0 };
        unsent.advance(0);
        unsent
    }

    /// Whether all has left.
    pub fn is_done(&self) -> bool {
        self.front.is_empty() && self.pieces.is_empty()
    }

    /// Writes as much as the socket takes in one system call; waits until it takes something.
    /// Gives the octets that have left.
    pub async fn write_some(&mut self, io: &mut WriteHalf) -> io::Result<usize> {
        // The front and 15 pieces a call; Linux takes up to 1,024, but a socket's buffer does not.
        let mut slices = [IoSlice::new(&[]); 16];
        let first = self.pieces.first().and_then(|piece| piece.get(self.gone..)).unwrap_or_default();
        let others = self.pieces.iter().skip(1).map(|piece| &piece[..]);
        let all = [self.front, first].into_iter().chain(others).filter(|octets| !octets.is_empty());
        let mut used = 0;
        for (slice, octets) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(octets);
            used += 1;
        }
        let written = io.write_some(slices.get(..used).unwrap_or_default()).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.advance(written);
        Ok(written)
    }

    fn advance(&mut self, written: usize) {
        let in_front = written.min(self.front.len());
        self.front = self.front.get(in_front..).unwrap_or_default();
        self.gone += written - in_front;
        while let [first, rest @ ..] = self.pieces
            && self.gone >= first.len()
        {
            self.gone -= first.len();
            self.pieces = rest;
        }
    }
}

/// Writes all of a head and the pieces behind it. Waits without a limit of its own.
pub async fn write_all(io: &mut WriteHalf, front: &[u8], pieces: &[Bytes]) -> io::Result<()> {
    let mut unsent = Unsent::new(front, pieces);
    while !unsent.is_done() {
        unsent.write_some(io).await?;
    }
    Ok(())
}

/// Appends the line in front of a chunk.
pub fn chunk_size_line(out: &mut Vec<u8>, size: u64) {
    // Writing to a Vec does not fail.
    let _infallible = write!(out, "{size:x}\r\n");
}

/// Appends what ends a chunked body: the last chunk, and those trailer fields that may be
/// forwarded (RFC 9110 §6.5.1).
pub fn last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    for field in trailers.iter().filter(|field| !is_forbidden_trailer(field)) {
        field_line(out, field.name, field.value);
    }
    out.extend_from_slice(b"\r\n");
}
