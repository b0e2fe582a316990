//! The content of a request on its way to the origin.
//!
//! The first [`KEPT`] octets that go to an origin with HTTP/2 are kept until the head of its response is
//! here: such an origin says what it has not processed (RFC 9113 §8.7), and that is sent again. With
//! HTTP/1 nobody knows, so that nothing is kept.

use std::time::Duration;

use bytes::Bytes;

use super::lease::place_needed;
use super::pace::Pace;
use super::sender::cut;
use super::waits::Silence;
use super::{Interrupted, Proxy};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::write::{chunk_size_line, last_chunk, write_all};
use crate::http::{BodyLength, Content, ContentError, Reader, Request, WriteHalf};

/// Octets of content that are kept, so that they can be sent again. Arbitrary: more than a form or a call
/// has, little beside the buffers of a connection.
const KEPT: u64 = 64 * 1024;

/// Why content was not sent to its end.
pub(super) enum UploadError {
    /// The client's message is bad or has ended.
    Client(Interrupted),
    /// The origin takes no more.
    Origin,
}

/// A request with its content, as far as it has left.
pub(super) struct Outgoing<'a> {
    request: &'a Request,
    head: &'a [u8],
    content: Content,
    pace: Pace,
    /// Octets of content that were read.
    total: u64,
    /// All of these, as long as they are few.
    kept: Vec<Bytes>,
    /// There were too many, or they went where none are kept.
    is_gone: bool,
}

impl<'a> Outgoing<'a> {
    /// With this head, and nothing sent.
    pub(super) fn new(proxy: &Proxy, request: &'a Request, head: &'a [u8], idle: Duration) -> Outgoing<'a> {
        let shared = &proxy.shared;
        let pace = Pace::of_request(shared, request.length, idle);
        let content = Content::new(request.length, &shared.limits.chunks);
        Outgoing { request, head, content, pace, total: 0, kept: Vec::new(), is_gone: false }
    }

    /// Whether what has left can be sent again.
    pub(super) fn may_repeat(&self) -> bool {
        !self.is_gone
    }

    /// Sends the head and all content to the origin, beginning with what was kept; gives the octets of
    /// content.
    pub(super) async fn send(
        &mut self,
        reader: &mut Reader,
        writer: &mut WriteHalf,
        silence: Silence<'_>,
    ) -> Result<u64, UploadError> {
        let is_chunked = matches!(self.request.length, BodyLength::Chunked | BodyLength::UntilEnd)
            && !writer.frames_content();
        let (mut front, mut is_ended) = (self.head.to_vec(), !is_chunked);
        let mut pieces = self.kept.clone();
        // A client that waits for "100 Continue" sends nothing before the origin has the head; and
        // what is buffered behind a request without content is not its content.
        if pieces.is_empty() && (reader.buffered().is_empty() || self.content.is_done()) {
            write(writer, &mut front, &mut pieces, silence).await?;
        }
        while !(is_ended && front.is_empty() && pieces.is_empty() && self.content.is_done()) {
            if pieces.is_empty() && !self.content.is_done() {
                self.read(reader, writer, &mut pieces, silence).await?;
            }
            if is_chunked {
                is_ended = self.wrap_in_chunk(&mut front, &mut pieces);
            }
            write(writer, &mut front, &mut pieces, silence).await?;
        }
        writer.end_message(self.content.trailers()).map_err(|_gone| UploadError::Origin)?;
        Ok(self.total)
    }

    /// Reads what comes next.
    async fn read(
        &mut self,
        reader: &mut Reader,
        writer: &WriteHalf,
        pieces: &mut Vec<Bytes>,
        silence: Silence<'_>,
    ) -> Result<(), UploadError> {
        let reading = silence.within(self.content.next(reader, pieces));
        let reading = async {
            tokio::select! {
                biased;
                read = reading => Ok(read),
                () = cut(silence.open_end) => Err(UploadError::Client(Interrupted::ClientGone(place_needed()))),
            }
        };
        let (read, waited_ms) = Pace::timed(silence.clock, reading).await;
        match read? {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(UploadError::Client(content_failure(error))),
            Err(_timed_out) => return Err(UploadError::Client(upload_timeout().into())),
        }
        let octets = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.total += octets;
        silence.moves(octets);
        let in_time = self.pace.moved(waited_ms, octets);
        in_time.map_err(|slow| UploadError::Client(upload_timeout().with_internal(slow).into()))?;
        if self.total > KEPT || !writer.frames_content() {
            self.is_gone = true;
            self.kept = Vec::new();
        } else {
            self.kept.extend(pieces.iter().cloned());
        }
        Ok(())
    }

    /// Whether the last chunk is among them.
    fn wrap_in_chunk(&self, front: &mut Vec<u8>, pieces: &mut Vec<Bytes>) -> bool {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if size > 0 {
            chunk_size_line(front, size);
            pieces.push(Bytes::from_static(b"\r\n"));
        }
        if self.content.is_done() {
            let mut end = Vec::new();
            last_chunk(&mut end, self.content.trailers());
            pieces.push(end.into());
        }
        self.content.is_done()
    }
}

/// Writes both and empties them.
async fn write(
    writer: &mut WriteHalf,
    front: &mut Vec<u8>,
    pieces: &mut Vec<Bytes>,
    silence: Silence<'_>,
) -> Result<(), UploadError> {
    let writing = silence.within(write_all(writer, front, pieces)).await;
    writing.map_err(|_timed_out| UploadError::Origin)?.map_err(|_gone| UploadError::Origin)?;
    front.clear();
    pieces.clear();
    Ok(())
}

fn content_failure(error: ContentError) -> Interrupted {
    match error {
        ContentError::Malformed(error) => {
            let public = "The request's content is malformed";
            let failure = Failure::new(ErrorType::HttpRequestError, Fault::Client, 400, public);
            failure.with_internal(error).into()
        }
        ContentError::Truncated => Interrupted::ClientGone(std::io::ErrorKind::UnexpectedEof.into()),
        ContentError::Io(error) => Interrupted::ClientGone(error),
    }
}

fn upload_timeout() -> Failure {
    Failure::new(
        ErrorType::HttpRequestError,
        Fault::Client,
        408,
        "The request's content did not arrive in time",
    )
}
