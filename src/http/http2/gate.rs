//! The gate in front of the `h2` crate: what it reads has passed here.
//!
//! Frames are paid for, field sections are judged, small frames of content are put together, and a
//! connection that has much to say is heard in turns. What a peer has too much of ends the reading, with
//! a GOAWAY that says so (RFC 9113 §5.4.1).
//!
//! Not here: the states of streams, flow control, and what a frame must look like. What is wrong there
//! passes as it is, and the crate says so.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{FrameHeader, PREFACE, Passing, kind};
use super::incoming::Incoming;
use super::meter::Excess;
use super::section::Sender;
use super::watch::Watch;

/// Octets that are read to be looked at. Content in larger frames goes past.
const LOOK: usize = 4096;
/// Frames, or 4 KiB of content, in one turn; arbitrary, a few hundred microseconds.
const TURN: usize = 64;

/// A connection whose frames are looked at.
pub struct Gate<S> {
    stream: S,
    watch: Rc<Watch>,
    now_ms: Box<dyn Fn() -> u64>,
    incoming: Incoming,
    /// What was looked at, for the crate.
    ready: BytesMut,
    outgoing: Passing,
}

impl<S> Gate<S> {
    /// For what a client sends, from its first octet.
    pub fn to_client(stream: S, watch: Rc<Watch>, now_ms: impl Fn() -> u64 + 'static) -> Gate<S> {
        let incoming = Incoming::new(Sender::Client, watch.clone());
        let (ready, outgoing) = (BytesMut::new(), Passing::new(0));
        Gate { stream, watch, now_ms: Box::new(now_ms), incoming, ready, outgoing }
    }

    /// For what an origin sends.
    pub fn to_origin(stream: S, watch: Rc<Watch>, now_ms: impl Fn() -> u64 + 'static) -> Gate<S> {
        let incoming = Incoming::new(Sender::Origin, watch.clone());
        let (ready, outgoing) = (BytesMut::new(), Passing::new(PREFACE));
        Gate { stream, watch, now_ms: Box::new(now_ms), incoming, ready, outgoing }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    /// Ends the reading, and tells the peer why where that is possible: between two frames. Nobody waits
    /// for a peer that takes nothing.
    fn end(&mut self, context: &mut Context<'_>, excess: Excess) -> io::Error {
        if self.watch.excess().is_none() {
            self.watch.exceeds(excess);
            if self.outgoing.is_between_frames() {
                let header = FrameHeader { length: 8, kind: kind::GOAWAY, flags: 0, stream: 0 };
                let mut octets = header.octets().to_vec();
                octets.extend(self.incoming.last_stream().to_be_bytes());
                octets.extend(u32::from(excess.reason()).to_be_bytes());
                let _best_effort = Pin::new(&mut self.stream).poll_write(context, &octets);
                let _best_effort = Pin::new(&mut self.stream).poll_flush(context);
            }
        }
        io::Error::other(excess)
    }

    /// Reads content straight to its reader.
    fn poll_content(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = self.incoming.content_left().min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let length = part.filled().len();
        buffer.advance(length);
        self.incoming.content_passed(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = &mut *self;
        loop {
            if !gate.ready.is_empty() {
                let length = gate.ready.len().min(buffer.remaining());
                buffer.put_slice(gate.ready.get(..length).unwrap_or_default());
                gate.ready.advance(length);
                gate.incoming.handed_over();
                return Poll::Ready(Ok(()));
            }
            if let Some(excess) = gate.watch.excess() {
                return Poll::Ready(Err(io::Error::other(excess)));
            }
            if gate.incoming.work >= TURN {
                gate.incoming.work = 0;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Err(excess) = gate.incoming.look(&mut gate.ready, (gate.now_ms)()) {
                return Poll::Ready(Err(gate.end(context, excess)));
            }
            if !gate.ready.is_empty() {
                continue;
            }
            if gate.incoming.content_left() > 0 {
                let polled = gate.poll_content(context, buffer);
                gate.incoming.work *= usize::from(polled.is_ready());
                return polled;
            }
            let mut room = [std::mem::MaybeUninit::uninit(); LOOK];
            let mut read = ReadBuf::uninit(&mut room);
            let polled = Pin::new(&mut gate.stream).poll_read(context, &mut read);
            gate.incoming.work *= usize::from(polled.is_ready());
            ready!(polled)?;
            if read.filled().is_empty() {
                // The end, perhaps within a frame: the crate says so.
                gate.ready = gate.incoming.take_rest();
                if gate.ready.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            gate.incoming.push(read.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> Gate<S> {
    /// Looks at what has left.
    fn left(&mut self, octets: &[u8]) {
        let watch = &self.watch;
        self.outgoing.push(octets, |frame| {
            watch.meter.borrow_mut().sent(&frame);
            if frame.kind == kind::RST_STREAM {
                watch.ends(frame.stream);
            }
        });
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.watch.excess().is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = ready!(Pin::new(&mut self.stream).poll_write(context, octets))?;
        self.left(octets.get(..length).unwrap_or_default());
        Poll::Ready(Ok(length))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.watch.excess().is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?;
        let mut left = length;
        for slice in slices {
            let octets = slice.get(..left.min(slice.len())).unwrap_or_default();
            self.left(octets);
            left -= octets.len();
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
