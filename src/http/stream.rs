//! The two halves of a connection, over TCP as it is or within TLS.
//!
//! Invariant: what [`WriteHalf`] says it has written, the kernel has: no octet waits in TLS for a
//! flush that somebody would have to remember. The halves of one TLS connection share its state
//! on one thread, so that a borrow lasts for one poll and never meets another.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, Shutdown, recv};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsStream;

/// A connection before it is split.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The half that is read from.
#[derive(Debug)]
pub enum ReadHalf {
    Tcp(OwnedReadHalf),
    Tls(Rc<Tls>),
}

/// The half that is written to.
#[derive(Debug)]
pub enum WriteHalf {
    Tcp(OwnedWriteHalf),
    Tls(Rc<Tls>),
}

/// What both halves of a connection within TLS share.
#[derive(Debug)]
pub struct Tls {
    stream: RefCell<TlsStream<TcpStream>>,
    /// The peer shall see that what it got is not whole.
    is_cut: Cell<bool>,
}

impl Drop for Tls {
    /// RFC 9112 §9.8: who closes a connection says so within TLS, too. Nobody waits for that: what
    /// the socket does not take at once is not said.
    fn drop(&mut self) {
        if self.is_cut.get() {
            return;
        }
        let _best_effort = match self.stream.get_mut() {
            TlsStream::Client(stream) => {
                let (socket, session) = stream.get_mut();
                session.send_close_notify();
                session.write_tls(&mut AtOnce(socket))
            }
            TlsStream::Server(stream) => {
                let (socket, session) = stream.get_mut();
                session.send_close_notify();
                session.write_tls(&mut AtOnce(socket))
            }
        };
    }
}

/// Writes what the socket takes without waiting.
struct AtOnce<'a>(&'a TcpStream);

impl io::Write for AtOnce<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    /// Both halves.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Stream::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (ReadHalf::Tcp(reader), WriteHalf::Tcp(writer))
            }
            Stream::Tls(stream) => {
                let shared = Rc::new(Tls { stream: RefCell::new(*stream), is_cut: Cell::new(false) });
                (ReadHalf::Tls(shared.clone()), WriteHalf::Tls(shared))
            }
        }
    }
}

impl ReadHalf {
    /// The socket itself, where octets may go past this half: not where TLS is in between.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            ReadHalf::Tcp(half) => Some(half.as_ref()),
            ReadHalf::Tls(_) => None,
        }
    }

    /// Whether the peer has neither closed nor said anything that was not read yet. The kernel is
    /// asked, not the event loop, which may not have noticed.
    pub fn is_open_and_silent(&mut self) -> bool {
        match self {
            ReadHalf::Tcp(half) => is_silent(half.as_ref()),
            // What TLS has read but not handed out yet is not in the socket any more.
            ReadHalf::Tls(shared) => {
                let mut stream = shared.stream.borrow_mut();
                let (socket, state) = match &mut *stream {
                    TlsStream::Client(stream) => {
                        let (socket, session) = stream.get_mut();
                        (socket, session.process_new_packets())
                    }
                    TlsStream::Server(stream) => {
                        let (socket, session) = stream.get_mut();
                        (socket, session.process_new_packets())
                    }
                };
                state.is_ok_and(|state| state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed())
                    && is_silent(socket)
            }
        }
    }

    /// Makes the end of the connection a reset.
    pub fn reset_at_end(&self) -> io::Result<()> {
        let reset = |socket: &TcpStream| socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
        match self {
            ReadHalf::Tcp(half) => reset(half.as_ref()),
            ReadHalf::Tls(shared) => {
                shared.is_cut.set(true);
                reset(shared.stream.borrow().get_ref().0)
            }
        }
    }
}

/// Nothing to read is what an idle connection looks like; an octet, an end or an error is not.
fn is_silent(socket: &TcpStream) -> bool {
    let mut octet = [0u8; 1];
    let found = recv(socket, &mut octet, RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(found, Err(rustix::io::Errno::AGAIN))
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ReadHalf::Tcp(half) => Pin::new(half).poll_read(context, buffer),
            ReadHalf::Tls(shared) => Pin::new(&mut *shared.stream.borrow_mut()).poll_read(context, buffer),
        }
    }
}

impl WriteHalf {
    /// The socket itself, where octets may go past this half: not where TLS is in between.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            WriteHalf::Tcp(half) => Some(half.as_ref()),
            WriteHalf::Tls(_) => None,
        }
    }

    /// Writes as much of the slices as is taken at once; waits until some is.
    pub async fn write_some(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            WriteHalf::Tcp(half) => half.write_vectored(slices).await,
            WriteHalf::Tls(shared) => write_to_tls(shared, slices).await,
        }
    }

    /// Writes all of these octets. Waits without a limit of its own.
    pub async fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        let mut left = octets;
        while !left.is_empty() {
            match self.write_some(&[IoSlice::new(left)]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => left = left.get(written..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// Says that nothing more will be written; reading may go on.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            // Where the peer is gone there is nobody to tell.
            WriteHalf::Tcp(half) => match rustix::net::shutdown(half.as_ref(), Shutdown::Write) {
                Ok(()) | Err(rustix::io::Errno::NOTCONN) => Ok(()),
                Err(error) => Err(error.into()),
            },
            WriteHalf::Tls(shared) => {
                let shutdown = |context: &mut Context<'_>| {
                    Pin::new(&mut *shared.stream.borrow_mut()).poll_shutdown(context)
                };
                std::future::poll_fn(shutdown).await
            }
        }
    }

    /// Lets go of the half without the end of stream that dropping it would send.
    pub fn forget(self) {
        if let WriteHalf::Tcp(half) = self {
            half.forget();
        }
    }
}

async fn write_to_tls(shared: &Tls, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let write = |context: &mut Context<'_>| {
        Pin::new(&mut *shared.stream.borrow_mut()).poll_write_vectored(context, slices)
    };
    let written = std::future::poll_fn(write).await?;
    // What was taken is encrypted and may still be here: at most 64 KiB, the limit of rustls.
    let flush = |context: &mut Context<'_>| Pin::new(&mut *shared.stream.borrow_mut()).poll_flush(context);
    std::future::poll_fn(flush).await?;
    Ok(written)
}
