//! Content as it comes off a connection, whatever its framing, in pieces and never whole.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::budget::{Budget, Share, Use};

use super::chunked::{Chunk, ChunkError, ChunkLimits, ChunkedDecoder};
use super::head::{RequestLine, check_start, parse_request, parse_response};
use super::lenient::{Reading, parse_lenient_response};
use super::scan::{HeadScanner, HeadSpan};
use super::{
    BodyLength, Fields, HeadError, HeadLimits, Method, NeverIndexed, ReadHalf, Request, Response, Version,
};

/// The reading side of a connection with the octets that were read too far.
#[derive(Debug)]
pub struct Reader<R = ReadHalf> {
    io: R,
    buffer: BytesMut,
    /// How much room the next read gets; grows while a peer fills it.
    room: usize,
    /// Octets of a head that was found and refused.
    refused: usize,
    /// For what the buffer has beyond its first room.
    growth: Option<Share>,
}

/// Room for a first read, in octets: a head and a small body come with one system call.
const ROOM_MIN: usize = 8 * 1024;
/// Room once a peer keeps filling it: fewer system calls for bulk, bounded memory per connection.
const ROOM_MAX: usize = 256 * 1024;

/// Why no head could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadHeadError {
    /// The peer closed before the first octet of a head.
    #[error("the connection was closed")]
    Closed,
    /// The peer closed within a head.
    #[error("the connection was closed within a head")]
    Truncated,
    #[error(transparent)]
    Malformed(#[from] HeadError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Why content ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("the connection was closed before the end of the content")]
    Truncated,
    #[error("the chunked coding is malformed: {0}")]
    Malformed(#[from] ChunkError),
    #[error("reading the content failed: {0}")]
    Io(#[from] io::Error),
}

/// From the octets of a head to the response.
type ParseResponse = fn(&Bytes, HeadSpan, &Method) -> Result<Response, HeadError>;

/// What messages are read from.
pub trait Source: AsyncRead + Unpin {
    /// The version of the messages, where it is not that of their octets.
    fn version(&self) -> Option<Version> {
        None
    }

    /// Whether it is known that nothing more comes.
    fn is_ended(&self) -> bool {
        false
    }

    /// The trailer fields that stood at the end, where they are not part of the octets.
    fn take_trailers(&mut self) -> Option<Fields> {
        None
    }

    /// The fields of the heads that came which no table may hold, where the version has one.
    fn take_never_indexed(&mut self) -> NeverIndexed {
        NeverIndexed::default()
    }
}

impl Source for ReadHalf {
    fn version(&self) -> Option<Version> {
        matches!(self, ReadHalf::Http2(_)).then_some(Version::Http2)
    }

    fn is_ended(&self) -> bool {
        matches!(self, ReadHalf::Http2(stream) if stream.is_ended())
    }

    fn take_trailers(&mut self) -> Option<Fields> {
        match self {
            ReadHalf::Http2(stream) => stream.take_trailers(),
            ReadHalf::Tcp(_) | ReadHalf::Tls(_) | ReadHalf::Taken => None,
        }
    }

    fn take_never_indexed(&mut self) -> NeverIndexed {
        match self {
            ReadHalf::Http2(stream) => stream.take_never_indexed(),
            ReadHalf::Tcp(_) | ReadHalf::Tls(_) | ReadHalf::Taken => NeverIndexed::default(),
        }
    }
}

impl Source for tokio::net::tcp::OwnedReadHalf {}

impl<R: Source> Reader<R> {
    /// Reads from `io`.
    pub fn new(io: R) -> Reader<R> {
        Reader { io, buffer: BytesMut::new(), room: ROOM_MIN, refused: 0, growth: None }
    }

    /// Has the buffer grow within this budget only: without memory it stays small, which is slower.
    pub fn charge_to(&mut self, budget: &Budget) {
        if self.growth.is_none() {
            self.growth = Some(budget.count(Use::Buffers, 0));
        }
    }

    /// What is read from.
    pub fn io(&self) -> &R {
        &self.io
    }

    /// As [`Reader::io`], to act on.
    pub fn io_mut(&mut self) -> &mut R {
        &mut self.io
    }

    /// What was read from, without the octets that were read too far.
    pub fn into_io(self) -> R {
        self.io
    }

    /// Octets that were read but belong to nothing yet.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Octets that were read where a head could not be: what is buffered, and what was refused.
    pub fn octets_without_head(&self) -> u64 {
        (self.refused + self.buffer.len()) as u64
    }

    /// Takes the octets that were read too far: they belong to what follows, say a tunnel.
    pub fn take_buffered(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// Reads a request head. Waits without a limit of its own.
    pub async fn request_head(&mut self, limits: &HeadLimits) -> Result<Request, ReadHeadError> {
        let mut scanner = HeadScanner::request();
        loop {
            if let Some(span) = scanner.scan(&self.buffer, limits)? {
                let parsed = parse_request(&self.take_head(span), span, limits);
                self.refused = if parsed.is_err() { span.end } else { 0 };
                return Ok(parsed?);
            }
            check_start(&self.buffer)?;
            if let Some(line) = scanner.first_line(&self.buffer) {
                RequestLine::parse(line, limits)?;
            }
            self.more_of_a_head().await?;
        }
    }

    /// Reads a response head to a request with this method.
    pub async fn response_head(
        &mut self,
        method: &Method,
        limits: &HeadLimits,
        reading: Reading,
    ) -> Result<Response, ReadHeadError> {
        let (mut scanner, parse): (_, ParseResponse) = match reading {
            Reading::Strict => (HeadScanner::response(), parse_response),
            Reading::Lenient => (HeadScanner::lenient_response(), parse_lenient_response),
        };
        loop {
            if let Some(span) = scanner.scan(&self.buffer, limits)? {
                let parsed = parse(&self.take_head(span), span, method);
                self.refused = if parsed.is_err() { span.end } else { 0 };
                let mut response = parsed?;
                response.fields.mark_never_indexed(self.io.take_never_indexed());
                if let Some(version) = self.io.version() {
                    response.version = version;
                    // RFC 9113 §8.1: the flag END_STREAM ends a message, so that its end is known.
                    if response.length == BodyLength::UntilClose {
                        let is_all = self.buffer.is_empty() && self.io.is_ended();
                        response.length = if is_all { BodyLength::None } else { BodyLength::UntilEnd };
                    }
                }
                return Ok(response);
            }
            self.more_of_a_head().await?;
        }
    }

    /// Waits until something was read, or the peer has closed (`false`). Nothing is consumed.
    pub async fn wait_for_octets(&mut self) -> io::Result<bool> {
        if self.buffer.is_empty() {
            self.rest();
            return Ok(self.fill().await? > 0);
        }
        Ok(true)
    }

    /// Waits for octets behind those that are buffered; false when the peer has closed.
    pub async fn read_more(&mut self) -> io::Result<bool> {
        Ok(self.fill().await? > 0)
    }

    /// Between two messages: a connection that has carried bulk gives its large buffer back. A
    /// small one is kept, because the next message is likely to come soon.
    pub fn rest(&mut self) {
        self.room = ROOM_MIN;
        if let Some(share) = &mut self.growth {
            share.shrink(u64::MAX);
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * ROOM_MIN {
            self.buffer = BytesMut::new();
        }
    }

    fn take_head(&mut self, span: HeadSpan) -> Bytes {
        self.buffer.split_to(span.end).freeze()
    }

    async fn more_of_a_head(&mut self) -> Result<(), ReadHeadError> {
        match self.fill().await? {
            0 if self.buffer.is_empty() => Err(ReadHeadError::Closed),
            0 => Err(ReadHeadError::Truncated),
            _ => Ok(()),
        }
    }

    fn grow(&mut self, room: usize) {
        // What was read is held by who sends it on while the next is read.
        let wanted = 2 * (room - ROOM_MIN) as u64;
        let is_there = self.growth.as_mut().is_none_or(|share| share.resize(wanted).is_ok());
        if is_there {
            self.room = room;
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(self.room);
        let room = self.buffer.capacity() - self.buffer.len();
        let length = self.io.read_buf(&mut self.buffer).await?;
        if length == room && self.room < ROOM_MAX {
            self.grow((room * 2).min(ROOM_MAX));
        }
        Ok(length)
    }
}

/// Pieces that are taken at once.
const PIECES_MAX: usize = 14;

#[derive(PartialEq, Eq)]
enum Taken {
    Nothing,
    /// Pieces, or the end.
    Something,
}

/// The state of reading one message's content.
#[derive(Debug)]
pub struct Content {
    framing: Framing,
    trailers: Fields,
}

#[derive(Debug)]
enum Framing {
    Exact(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
    Done,
}

impl Content {
    /// Content of this length, from its first octet.
    pub fn new(length: BodyLength, limits: &ChunkLimits) -> Content {
        let framing = match length {
            BodyLength::None | BodyLength::Exact(0) => Framing::Done,
            BodyLength::Exact(length) => Framing::Exact(length),
            BodyLength::Chunked => Framing::Chunked(Box::new(ChunkedDecoder::new(limits))),
            BodyLength::UntilClose | BodyLength::UntilEnd => Framing::UntilClose,
        };
        Content { framing, trailers: Fields::default() }
    }

    /// Whether all of it was read.
    pub fn is_done(&self) -> bool {
        matches!(self.framing, Framing::Done)
    }

    /// The trailer fields, once all was read.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Appends the next pieces to `pieces`: waits for one, then takes what else is there.
    /// [`Content::is_done`] tells whether they were the last ones. Waits without a limit of its
    /// own. Dropping the future loses nothing.
    pub async fn next<R: Source>(
        &mut self,
        reader: &mut Reader<R>,
        pieces: &mut Vec<Bytes>,
    ) -> Result<(), ContentError> {
        while self.take_buffered(reader, pieces)? == Taken::Nothing {
            if reader.fill().await? > 0 {
                continue;
            }
            return match self.framing {
                Framing::UntilClose => {
                    self.framing = Framing::Done;
                    self.trailers = reader.io.take_trailers().unwrap_or_default();
                    Ok(())
                }
                _ => Err(ContentError::Truncated),
            };
        }
        Ok(())
    }

    /// Appends what was read already, up to a limit that one vectored write can carry.
    fn take_buffered<R>(
        &mut self,
        reader: &mut Reader<R>,
        pieces: &mut Vec<Bytes>,
    ) -> Result<Taken, ContentError> {
        let before = pieces.len();
        while pieces.len() < before + PIECES_MAX {
            match self.decode(&mut reader.buffer)? {
                Some(Some(piece)) => pieces.push(piece),
                Some(None) => return Ok(Taken::Something),
                None => break,
            }
        }
        Ok(if pieces.len() > before { Taken::Something } else { Taken::Nothing })
    }

    /// What the buffer holds of the content: `None` when more must be read first.
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Option<Bytes>>, ContentError> {
        match &mut self.framing {
            Framing::Done => Ok(Some(None)),
            Framing::Exact(_) | Framing::UntilClose if buffer.is_empty() => Ok(None),
            Framing::Exact(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= length as u64;
                if *left == 0 {
                    self.framing = Framing::Done;
                }
                Ok(Some(Some(buffer.split_to(length).freeze())))
            }
            Framing::UntilClose => Ok(Some(Some(buffer.split().freeze()))),
            Framing::Chunked(decoder) => match decoder.decode(buffer)? {
                Chunk::Data(data) => Ok(Some(Some(data))),
                Chunk::NeedMore => Ok(None),
                Chunk::End(trailers) => {
                    self.trailers = trailers;
                    self.framing = Framing::Done;
                    Ok(Some(None))
                }
            },
        }
    }
}
