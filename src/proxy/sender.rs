//! The way of one response to its client: the head waits for the first content, so that both
//! leave in one system call, and every write has a deadline.

use std::io;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::lease::place_needed;
use super::origin_failure::incomplete;
use super::pace::Pace;
use super::record::Record;
use super::render::Framing;
use super::{Exchange, Interrupted, Shared};
use crate::budget::OpenEnd;
use crate::error::Failure;
use crate::http::write::{Unsent, chunk_size_line, last_chunk, write_all};
use crate::http::{Fields, WriteHalf};

/// A response under way.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    pub writer: &'a mut WriteHalf,
    pub shared: &'a Shared,
    /// How long the client may take nothing.
    pub idle: Duration,
    pub pace: Pace,
    /// Of content whose length is not known.
    pub open_end: Option<OpenEnd<'a>>,
    /// What goes in front of the next content; the head at first. Its memory is reused.
    pub front: &'a mut Vec<u8>,
    pub framing: Framing,
    pub record: &'a mut Record,
}

impl Exchange<'_> {
    /// Sends octets that are no ordinary response; what was sent is the caller's to record.
    pub(super) async fn write(&mut self, octets: &[u8]) -> Result<(), Interrupted> {
        let shared = &self.proxy.shared;
        let writing = write_all(&mut self.client.writer, octets, &[]);
        match shared.clock.timeout(shared.limits.idle, writing).await {
            Ok(written) => written.map_err(Interrupted::ClientGone),
            Err(_timed_out) => Err(Interrupted::ClientGone(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The way to this exchange's client, for a response that begins with this head.
    pub(super) fn sender<'s>(&'s mut self, head: &'s mut Vec<u8>, framing: Framing) -> Sender<'s> {
        let (shared, idle) = (&*self.proxy.shared, self.waits().idle);
        Sender {
            writer: &mut self.client.writer,
            shared,
            idle,
            pace: Pace::of_reader(shared, idle),
            open_end: open_end(shared, framing.is_open(), self.record),
            front: head,
            framing,
            record: self.record,
        }
    }
}

/// What registers content that ends when its sender says so: it is the first to go when places are short.
pub(super) fn open_end<'a>(shared: &'a Shared, is_open: bool, record: &Record) -> Option<OpenEnd<'a>> {
    let begin = || shared.budget.open_ended().begin(record.client.ip(), shared.clock.monotonic_ms());
    is_open.then(begin)
}

/// Whether more content follows.
#[derive(Clone, Copy, Debug)]
pub(super) enum More {
    Yes,
    /// These were the last pieces; the trailer fields end the message.
    No,
}

impl Sender<'_> {
    /// Sends pieces of content, and the end if no more follows. Empties `pieces`.
    pub(super) async fn send(
        &mut self,
        pieces: &mut Vec<Bytes>,
        more: More,
        trailers: &Fields,
    ) -> Result<(), Interrupted> {
        if matches!(self.writer, WriteHalf::Http2(_)) {
            return self.send_on_stream(pieces, more, trailers).await;
        }
        if self.framing == Framing::Chunked {
            self.wrap_in_chunk(pieces, more, trailers);
        }
        let mut unsent = Unsent::new(self.front, pieces);
        let mut result = Ok(());
        while result.is_ok() && !unsent.is_done() {
            let writing = unsent.write_some(self.writer);
            let patience = Patience::of(self.shared, self.idle, held(pieces), self.open_end.as_ref());
            let written = patience.wait(&mut self.pace, writing, |octets| *octets as u64).await;
            result = written.map(|octets| self.record.sent(octets as u64));
        }
        self.front.clear();
        pieces.clear();
        result
    }

    /// The same on a stream of HTTP/2, which frames content by itself.
    async fn send_on_stream(
        &mut self,
        pieces: &mut Vec<Bytes>,
        more: More,
        trailers: &Fields,
    ) -> Result<(), Interrupted> {
        let WriteHalf::Http2(stream) = &mut *self.writer else { return Ok(()) };
        let is_end = matches!(more, More::No);
        if !self.front.is_empty() {
            let is_all = is_end && pieces.is_empty() && trailers.is_empty();
            stream.head(self.front, is_all).map_err(Interrupted::ClientGone)?;
            self.record.sent(self.front.len() as u64);
            self.front.clear();
        }
        let mut left = held(pieces);
        for mut piece in pieces.drain(..) {
            while !piece.is_empty() {
                let before = piece.len();
                let patience = Patience::of(self.shared, self.idle, left, self.open_end.as_ref());
                patience.wait(&mut self.pace, stream.content(&mut piece), |octets| *octets as u64).await?;
                self.record.sent((before - piece.len()) as u64);
                left -= (before - piece.len()) as u64;
            }
        }
        if is_end {
            stream.end(trailers).map_err(Interrupted::ClientGone)?;
        }
        Ok(())
    }

    /// The origin's content is not whole.
    pub(super) fn broken(&self, detail: impl std::fmt::Display) -> Interrupted {
        self.failed(incomplete(detail))
    }

    /// The content can't be had to its end: a response of which nothing was sent yet can still become
    /// an error response.
    pub(super) fn failed(&self, failure: Failure) -> Interrupted {
        if self.front.is_empty() { Interrupted::Cut(failure) } else { Interrupted::Failed(failure) }
    }

    /// Sends what stands in front of the next content, as it is.
    pub(super) async fn flush_front(&mut self) -> Result<(), Interrupted> {
        let framing = std::mem::replace(&mut self.framing, Framing::UntilClose);
        let result = self.send(&mut Vec::new(), More::Yes, &Fields::default()).await;
        self.framing = framing;
        result
    }

    fn wrap_in_chunk(&mut self, pieces: &mut Vec<Bytes>, more: More, trailers: &Fields) {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut end = Vec::new();
        // An empty chunk would end the message.
        if size > 0 {
            chunk_size_line(self.front, size);
            end.extend_from_slice(b"\r\n");
        }
        if matches!(more, More::No) {
            last_chunk(&mut end, trailers);
        }
        if !end.is_empty() {
            pieces.push(end.into());
        }
    }
}

/// Octets of pieces.
fn held(pieces: &[Bytes]) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

/// How long a client may take to take something. The limit is for taking nothing, or next to nothing: a
/// slow client takes as long as it takes, unless memory is short, and it is one of those that hold most
/// for longest.
pub(super) struct Patience<'a> {
    pub shared: &'a Shared,
    pub idle: Duration,
    /// Octets that wait for the client.
    pub held: u64,
    /// Of content whose length is not known.
    pub open_end: Option<&'a OpenEnd<'a>>,
}

impl<'a> Patience<'a> {
    /// With a client for which so many octets wait.
    pub(super) fn of(
        shared: &'a Shared,
        idle: Duration,
        held: u64,
        open_end: Option<&'a OpenEnd<'a>>,
    ) -> Patience<'a> {
        Patience { shared, idle, held, open_end }
    }

    /// Waits until the client takes something; `taken` says how many octets.
    pub(super) async fn wait<T>(
        &self,
        pace: &mut Pace,
        writing: impl Future<Output = io::Result<T>>,
        taken: impl FnOnce(&T) -> u64,
    ) -> Result<T, Interrupted> {
        let mut writing = std::pin::pin!(writing);
        let first = std::future::poll_fn(|context| Poll::Ready(writing.as_mut().poll(context))).await;
        // Most take it at once, and pay for nothing that follows.
        let clock = &self.shared.clock;
        if let Poll::Ready(written) = first {
            let written = written.map_err(Interrupted::ClientGone)?;
            self.moved(taken(&written));
            return Ok(written);
        }
        let reading = self.shared.budget.readers().wait(self.held, clock.monotonic_ms());
        let waiting = async {
            tokio::select! {
                biased;
                written = writing => written,
                () = reading.cut() => Err(io::ErrorKind::OutOfMemory.into()),
                () = cut(self.open_end) => Err(place_needed()),
                () = clock.sleep(self.idle) => Err(io::ErrorKind::TimedOut.into()),
            }
        };
        let (written, waited_ms) = Pace::timed(clock, waiting).await;
        let written = written.map_err(Interrupted::ClientGone)?;
        let octets = taken(&written);
        self.moved(octets);
        match pace.moved(waited_ms, octets) {
            Ok(()) => Ok(written),
            Err(slow) => Err(Interrupted::ClientGone(io::Error::new(io::ErrorKind::TimedOut, slow))),
        }
    }
    fn moved(&self, octets: u64) {
        if let Some(open_end) = self.open_end {
            open_end.moved(octets, self.shared.clock.monotonic_ms());
        }
    }
}

/// Waits until an exchange without an end has to go; for ever, where it has an end.
pub(super) async fn cut(open_end: Option<&OpenEnd<'_>>) {
    match open_end {
        Some(open_end) => open_end.cut().await,
        None => std::future::pending().await,
    }
}
