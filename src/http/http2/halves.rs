//! The two halves of an HTTP/2 stream, as far as octets go: what is read is the content or a
//! tunnel's octets; what is written is a head first, and then the same.
//!
//! Flow control is the peer's pace: octets are given back to the window when they were taken, and a
//! write waits until the peer's window has room.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::ReadBuf;

use super::super::{Fields, NeverIndexed};
use super::asking::{Asked, Trailers};
use super::heads::{Rendered, fields_of, response_of, trailers_of};

/// What comes on a stream.
#[derive(Debug)]
pub struct Http2Reader {
    stream: Receiving,
    piece: Bytes,
    /// Octets that were handed out and are still to be given back to the window.
    taken: usize,
    trailers: Option<Fields>,
    /// Of the heads that came.
    never_indexed: NeverIndexed,
    /// What the stream counts by, for as long as it is read.
    _asked: Option<Rc<Asked>>,
}

#[derive(Debug)]
enum Receiving {
    /// A head comes first, as octets.
    Answer(Rc<Asked>),
    Content(RecvStream),
}

impl Http2Reader {
    /// Of this stream, behind its head.
    pub fn new(stream: RecvStream) -> Http2Reader {
        Http2Reader::reading(Receiving::Content(stream), None)
    }

    pub(super) fn of_answer(asked: Rc<Asked>) -> Http2Reader {
        Http2Reader::reading(Receiving::Answer(asked.clone()), Some(asked))
    }

    fn reading(stream: Receiving, asked: Option<Rc<Asked>>) -> Http2Reader {
        let never_indexed = NeverIndexed::default();
        Http2Reader { stream, piece: Bytes::new(), taken: 0, trailers: None, never_indexed, _asked: asked }
    }

    /// The trailer fields, once the end has come.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }

    /// The fields that no table may hold, of the heads that have come.
    pub fn take_never_indexed(&mut self) -> NeverIndexed {
        std::mem::take(&mut self.never_indexed)
    }

    /// Whether it is known that nothing more comes, trailer fields included.
    pub fn is_ended(&self) -> bool {
        let is_end = matches!(&self.stream, Receiving::Content(stream) if stream.is_end_stream());
        is_end && self.piece.is_empty() && self.trailers.is_none()
    }

    /// Reads what is there.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            let stream = match &mut self.stream {
                Receiving::Content(stream) => stream,
                Receiving::Answer(asked) => {
                    let (head, content) = ready!(asked.poll_head(context, &mut self.never_indexed))?;
                    self.piece = head;
                    if let Some(content) = content {
                        self.stream = Receiving::Content(content);
                    }
                    continue;
                }
            };
            if self.taken > 0 {
                let taken = std::mem::take(&mut self.taken);
                stream.flow_control().release_capacity(taken).map_err(into_io)?;
            }
            match ready!(stream.poll_data(context)) {
                Some(piece) => self.piece = piece.map_err(into_io)?,
                None => {
                    let trailers = ready!(stream.poll_trailers(context)).map_err(into_io)?;
                    self.trailers = trailers.map(fields_of);
                    return Poll::Ready(Ok(()));
                }
            }
            self.taken = self.piece.len();
        }
        let length = self.piece.len().min(buffer.remaining());
        buffer.put_slice(self.piece.get(..length).unwrap_or_default());
        self.piece.advance(length);
        Poll::Ready(Ok(()))
    }
}

/// What goes out on a stream.
#[derive(Debug)]
pub struct Http2Writer {
    sending: Sending,
    /// Of the heads that go out.
    never_indexed: NeverIndexed,
}

#[derive(Debug)]
enum Sending {
    /// A request's head, which content may follow.
    Request(SendRequest<Bytes>, Rc<Asked>, Trailers),
    /// A head comes first; interim ones may stand before the final one.
    Head(SendResponse<Bytes>),
    Content(SendStream<Bytes>),
    Ended,
}

/// Octets that are put into one stream at a time, so that others have their turn.
const AT_ONCE: usize = 64 * 1024;

impl Http2Writer {
    /// The way of a response.
    pub fn of_response(response: SendResponse<Bytes>) -> Http2Writer {
        Http2Writer::sending(Sending::Head(response))
    }

    fn sending(sending: Sending) -> Http2Writer {
        Http2Writer { sending, never_indexed: NeverIndexed::default() }
    }

    pub(super) fn of_request(send: SendRequest<Bytes>, asked: Rc<Asked>) -> Http2Writer {
        Http2Writer::sending(Sending::Request(send, asked, Trailers::Untold))
    }

    /// The request that goes out next says that its sender reads trailer fields.
    pub fn welcome_trailers(&mut self) {
        if let Sending::Request(_, _, trailers) = &mut self.sending {
            *trailers = Trailers::Welcome;
        }
    }

    /// No table may hold these fields of the heads that go out.
    pub fn never_index(&mut self, names: &NeverIndexed) {
        self.never_indexed.add(names);
    }

    /// Sends a head as it was rendered. `is_end`: nothing follows it.
    pub fn head(&mut self, head: &[u8], is_end: bool) -> io::Result<()> {
        let sending = match &mut self.sending {
            Sending::Head(sending) => sending,
            Sending::Request(send, asked, trailers) => {
                let stream = asked.send(send, head, *trailers, &self.never_indexed)?;
                self.sending = stream.map_or(Sending::Ended, Sending::Content);
                return Ok(());
            }
            Sending::Content(_) | Sending::Ended => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        let is_switch = Rendered::of(head).first_line.get(9..12) == Some(b"101");
        let response = response_of(head, &self.never_indexed);
        if response.status().is_informational() && !is_switch {
            return sending.send_informational(response).map_err(into_io);
        }
        let stream = sending.send_response(response, is_end).map_err(into_io)?;
        self.sending = if is_end { Sending::Ended } else { Sending::Content(stream) };
        Ok(())
    }

    /// Sends as much of this content as the peer has room for, without copying it; waits until it has
    /// room for some. Gives the octets that were sent.
    pub async fn content(&mut self, octets: &mut Bytes) -> io::Result<usize> {
        let room = poll_fn(|context| self.poll_room(context, octets.len())).await?.min(octets.len());
        self.send(octets.split_to(room))?;
        Ok(room)
    }

    /// As [`Http2Writer::content`], for octets that are somebody else's.
    pub fn poll_write(&mut self, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(context, octets.len()))?.min(octets.len());
        self.send(Bytes::copy_from_slice(octets.get(..room).unwrap_or_default()))?;
        Poll::Ready(Ok(room))
    }

    fn send(&mut self, octets: Bytes) -> io::Result<()> {
        let Sending::Content(stream) = &mut self.sending else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        stream.send_data(octets, false).map_err(into_io)
    }

    /// Waits for room in the peer's window.
    fn poll_room(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let Sending::Content(stream) = &mut self.sending else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if stream.capacity() == 0 {
            stream.reserve_capacity(wanted.min(AT_ONCE));
        }
        loop {
            match stream.capacity() {
                0 => {}
                room => return Poll::Ready(Ok(room)),
            }
            match ready!(stream.poll_capacity(context)) {
                Some(room) => room.map(drop).map_err(into_io)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    /// Says that this was all, with trailer fields if there are any. A head alone is a message too.
    pub fn end(&mut self, trailers: &Fields) -> io::Result<()> {
        let Sending::Content(mut stream) = std::mem::replace(&mut self.sending, Sending::Ended) else {
            return Ok(());
        };
        let ended = match trailers_of(trailers) {
            Some(trailers) => stream.send_trailers(trailers),
            None => stream.send_data(Bytes::new(), true),
        };
        ended.map_err(into_io)
    }

    /// Waits until the peer has reset the stream, or its connection has ended.
    pub fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.sending {
            Sending::Head(response) => response.poll_reset(context).map(drop),
            Sending::Content(stream) => stream.poll_reset(context).map(drop),
            Sending::Request(..) | Sending::Ended => Poll::Pending,
        }
    }

    /// Whether a head is still to be sent.
    pub fn awaits_head(&self) -> bool {
        matches!(self.sending, Sending::Head(_) | Sending::Request(..))
    }

    /// Cuts the stream: what the peer has got is not whole.
    pub fn reset(&mut self, reason: Reason) {
        match std::mem::replace(&mut self.sending, Sending::Ended) {
            Sending::Head(mut response) => response.send_reset(reason),
            Sending::Content(mut stream) => stream.send_reset(reason),
            Sending::Request(..) | Sending::Ended => {}
        }
    }
}

/// Whether a peer has broken the protocol, as opposed to having ended something.
pub fn is_violation(error: &io::Error) -> bool {
    let of_stream = error.get_ref().and_then(|error| error.downcast_ref::<h2::Error>());
    of_stream.is_some_and(h2::Error::is_library)
}

/// RFC 9113 §8.7: whether a request was certainly not processed. Its stream is above the last one that a
/// GOAWAY names, or was refused, or never left.
pub fn is_unprocessed(error: &io::Error) -> bool {
    let Some(error) = error.get_ref() else { return false };
    let is_refusal = |error: &h2::Error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
    };
    error.is::<Unsent>() || error.downcast_ref::<h2::Error>().is_some_and(is_refusal)
}

/// A request did not leave, because its connection takes no more.
#[derive(Debug, thiserror::Error)]
#[error("the connection takes no more requests: {0}")]
pub(super) struct Unsent(String);

impl Unsent {
    pub(super) fn into_io(error: &h2::Error) -> io::Error {
        let kind = match error.is_go_away() || error.is_io() {
            true => io::ErrorKind::ConnectionReset,
            // The request can't be said in HTTP/2.
            false => return io::Error::new(io::ErrorKind::InvalidInput, error.to_string()),
        };
        io::Error::new(kind, Unsent(error.to_string()))
    }
}

pub(super) fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
    }
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
