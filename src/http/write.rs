//! Putting messages on a connection: heads into one buffer, content beside them in one vectored
//! write, never copied.

mod lines;

use std::io::{self, IoSlice};

use bytes::Bytes;

pub use lines::{chunk_size_line, decimal, field, field_line, last_chunk, number_field, status_line};

use super::WriteHalf;

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
    if io.frames_content() {
        io.write_all(front).await?;
        for piece in pieces {
            io.write_bytes(piece.clone()).await?;
        }
        return Ok(());
    }
    let mut unsent = Unsent::new(front, pieces);
    while !unsent.is_done() {
        unsent.write_some(io).await?;
    }
    Ok(())
}
