//! A connection and its two halves: over TCP as it is, within TLS, or on a stream of HTTP/2.
//!
//! Invariant: what [`WriteHalf`] says it has written, the layer below has: no octet waits in TLS for
//! a flush that somebody would have to remember. Both halves of a connection within TLS share its
//! state on one thread, so that a borrow lasts for one poll and never meets another.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use rustix::net::{RecvFlags, Shutdown, recv};
use rustls::IoState;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsStream;

use super::{Fields, Http2Reader, Http2Writer, NeverIndexed};

/// A connection in one piece.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Tls(Rc<Tls>),
    /// A tunnel on one stream of HTTP/2.
    Http2(Box<Http2Reader>, Box<Http2Writer>),
}

/// The half that is read from.
#[derive(Debug)]
pub enum ReadHalf {
    Tcp(OwnedReadHalf),
    Tls(Rc<Tls>),
    /// The content, or the octets, of one stream of HTTP/2.
    Http2(Box<Http2Reader>),
    /// What was here has gone elsewhere: nothing comes any more.
    Taken,
}

/// The half that is written to.
#[derive(Debug)]
pub enum WriteHalf {
    Tcp(OwnedWriteHalf),
    Tls(Rc<Tls>),
    /// A response on one stream of HTTP/2.
    Http2(Box<Http2Writer>),
    /// The octets of a tunnel on one.
    Tunnel(Box<Http2Writer>),
    /// What was here has gone elsewhere: nothing goes out any more.
    Taken,
}

impl Stream {
    /// A connection within TLS.
    pub fn tls(stream: impl Into<TlsStream<Resumed>>) -> Stream {
        Stream::of_tls(stream.into(), None)
    }

    /// As [`Stream::tls`]; `watch` is told of each error of reading, such as an alert of the peer's.
    pub fn tls_watched(
        stream: impl Into<TlsStream<Resumed>>,
        watch: impl Fn(&io::Error) + 'static,
    ) -> Stream {
        Stream::of_tls(stream.into(), Some(Watch(Box::new(watch))))
    }

    fn of_tls(stream: TlsStream<Resumed>, watch: Option<Watch>) -> Stream {
        Stream::Tls(Rc::new(Tls { stream: RefCell::new(stream), is_cut: Cell::new(false), watch }))
    }

    /// Both halves.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Stream::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (ReadHalf::Tcp(reader), WriteHalf::Tcp(writer))
            }
            Stream::Tls(tls) => (ReadHalf::Tls(tls.clone()), WriteHalf::Tls(tls)),
            Stream::Http2(reader, writer) => (ReadHalf::Http2(reader), WriteHalf::Tunnel(writer)),
        }
    }

    /// What was split, in one piece again. `None` where these are not the halves of one connection.
    pub fn of_halves(reader: ReadHalf, writer: WriteHalf) -> Option<Stream> {
        match (reader, writer) {
            (ReadHalf::Tcp(reader), WriteHalf::Tcp(writer)) => reader.reunite(writer).ok().map(Stream::Tcp),
            (ReadHalf::Tls(tls), WriteHalf::Tls(other)) if Rc::ptr_eq(&tls, &other) => Some(Stream::Tls(tls)),
            (ReadHalf::Http2(reader), WriteHalf::Http2(writer) | WriteHalf::Tunnel(writer)) => {
                Some(Stream::Http2(reader, writer))
            }
            _ => None,
        }
    }

    /// The protocol that TLS has agreed on (RFC 7301); empty without TLS, and where nobody asked.
    pub fn protocol(&self) -> Vec<u8> {
        match self {
            Stream::Tcp(_) | Stream::Http2(..) => Vec::new(),
            Stream::Tls(tls) => {
                tls.stream.borrow().get_ref().1.alpn_protocol().map(<[u8]>::to_vec).unwrap_or_default()
            }
        }
    }

    /// Acts on the socket below, where that is this connection's alone.
    fn socket<T>(&self, act: impl FnOnce(&TcpStream) -> T) -> Option<T> {
        match self {
            Stream::Tcp(socket) => Some(act(socket)),
            Stream::Tls(tls) => tls.socket(act),
            Stream::Http2(..) => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(tls) => tls.poll_read(context, buffer),
            Stream::Http2(reader, _) => reader.poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, octets),
            Stream::Tls(tls) => tls.poll(|stream| stream.poll_write(context, octets)),
            Stream::Http2(_, writer) => writer.poll_write(context, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(tls) => tls.poll(|stream| stream.poll_write_vectored(context, slices)),
            Stream::Http2(_, writer) => writer.poll_write(context, first_of(slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(tls) => tls.poll(|stream| stream.poll_flush(context)),
            Stream::Http2(..) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(tls) => tls.poll(|stream| stream.poll_shutdown(context)),
            Stream::Http2(_, writer) => Poll::Ready(writer.end(&Fields::default())),
        }
    }
}

/// The first of the slices that is not empty.
fn first_of<'a>(slices: &'a [IoSlice<'_>]) -> &'a [u8] {
    slices.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| &slice[..])
}

/// A connection of which some octets were read already: they come first.
#[derive(Debug)]
pub struct Resumed {
    early: Bytes,
    pub(super) stream: Stream,
}

impl Resumed {
    /// These octets, and then the stream.
    pub fn new(early: Bytes, stream: Stream) -> Resumed {
        Resumed { early, stream }
    }
}

impl AsyncRead for Resumed {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Resumed { early, stream } = self.get_mut();
        if early.is_empty() {
            return Pin::new(stream).poll_read(context, buffer);
        }
        let length = early.len().min(buffer.remaining());
        buffer.put_slice(early.get(..length).unwrap_or_default());
        early.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Resumed {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, octets)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// A connection within TLS, as everybody who reads or writes it holds it.
#[derive(Debug)]
pub struct Tls {
    pub(super) stream: RefCell<TlsStream<Resumed>>,
    /// The peer shall see that what it got is not whole.
    is_cut: Cell<bool>,
    watch: Option<Watch>,
}

/// Who is told of errors of reading.
struct Watch(Box<dyn Fn(&io::Error)>);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Tls {
    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.poll(|stream| stream.poll_read(context, buffer));
        if let (Poll::Ready(Err(error)), Some(watch)) = (&read, &self.watch) {
            (watch.0)(error);
        }
        read
    }

    fn poll<T>(&self, act: impl FnOnce(Pin<&mut TlsStream<Resumed>>) -> T) -> T {
        act(Pin::new(&mut *self.stream.borrow_mut()))
    }

    fn socket<T>(&self, act: impl FnOnce(&TcpStream) -> T) -> Option<T> {
        self.stream.borrow().get_ref().0.stream.socket(act)
    }

    /// What TLS makes of the octets that it has read.
    fn state(&self) -> Result<IoState, rustls::Error> {
        match &mut *self.stream.borrow_mut() {
            TlsStream::Client(stream) => stream.get_mut().1.process_new_packets(),
            TlsStream::Server(stream) => stream.get_mut().1.process_new_packets(),
        }
    }
}

impl Drop for Tls {
    /// RFC 9112 §9.8: who closes a connection says so within TLS, too. Nobody waits for that: what
    /// the layer below does not take at once is not said.
    fn drop(&mut self) {
        if self.is_cut.get() {
            return;
        }
        let mut context = Context::from_waker(std::task::Waker::noop());
        let stream = self.stream.get_mut();
        match stream {
            TlsStream::Client(stream) => stream.get_mut().1.send_close_notify(),
            TlsStream::Server(stream) => stream.get_mut().1.send_close_notify(),
        }
        let _best_effort = Pin::new(stream).poll_flush(&mut context);
    }
}

impl ReadHalf {
    /// The socket itself, where octets may go past this half: not where TLS is in between.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            ReadHalf::Tcp(half) => Some(half.as_ref()),
            ReadHalf::Tls(_) | ReadHalf::Http2(_) | ReadHalf::Taken => None,
        }
    }

    /// Whether the peer has neither closed nor said anything that was not read yet. The kernel is
    /// asked, not the event loop, which may not have noticed.
    pub fn is_open_and_silent(&self) -> bool {
        match self {
            ReadHalf::Tcp(half) => is_silent(half.as_ref()),
            // What TLS has read but not handed out is not in the socket any more.
            ReadHalf::Tls(tls) => {
                let is_read =
                    |state: IoState| state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed();
                tls.state().is_ok_and(is_read) && tls.socket(is_silent) == Some(true)
            }
            ReadHalf::Http2(_) | ReadHalf::Taken => false,
        }
    }

    /// Makes the end of the connection a reset.
    pub fn reset_at_end(&self) -> io::Result<()> {
        let reset = |socket: &TcpStream| socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
        match self {
            ReadHalf::Tcp(half) => reset(half.as_ref()),
            ReadHalf::Tls(tls) => {
                tls.is_cut.set(true);
                tls.socket(reset).unwrap_or(Ok(()))
            }
            // Who owns the stream resets it.
            ReadHalf::Http2(_) | ReadHalf::Taken => Ok(()),
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
            ReadHalf::Tls(tls) => tls.poll_read(context, buffer),
            ReadHalf::Http2(stream) => stream.poll_read(context, buffer),
            ReadHalf::Taken => Poll::Ready(Ok(())),
        }
    }
}

impl WriteHalf {
    /// The socket itself, where octets may go past this half: not where TLS is in between.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            WriteHalf::Tcp(half) => Some(half.as_ref()),
            _ => None,
        }
    }

    /// Writes as much of the slices as is taken at once; waits until some is.
    pub async fn write_some(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            WriteHalf::Tcp(half) => half.write_vectored(slices).await,
            WriteHalf::Tls(tls) => write_to_tls(tls, slices).await,
            WriteHalf::Http2(stream) if stream.awaits_head() => {
                let head = first_of(slices);
                stream.head(head, false).map(|()| head.len())
            }
            WriteHalf::Http2(stream) | WriteHalf::Tunnel(stream) => {
                std::future::poll_fn(|context| stream.poll_write(context, first_of(slices))).await
            }
            WriteHalf::Taken => Err(io::ErrorKind::BrokenPipe.into()),
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

    /// As [`WriteHalf::write_all`], for octets that need not be copied.
    pub async fn write_bytes(&mut self, mut octets: Bytes) -> io::Result<()> {
        match self {
            WriteHalf::Http2(stream) | WriteHalf::Tunnel(stream) => {
                while !octets.is_empty() {
                    stream.content(&mut octets).await?;
                }
                Ok(())
            }
            _ => self.write_all(&octets).await,
        }
    }

    /// The request that goes out next says that its sender reads trailer fields, where the version has a
    /// way to say so that does not concern this connection.
    pub fn welcome_trailers(&mut self) {
        if let WriteHalf::Http2(stream) = self {
            stream.welcome_trailers();
        }
    }

    /// No table of this connection may hold these fields of the message that goes out next.
    pub fn never_index(&mut self, names: &NeverIndexed) {
        if let WriteHalf::Http2(stream) = self {
            stream.never_index(names);
        }
    }

    /// Whether content needs no framing of its own: HTTP/2 has one.
    pub fn frames_content(&self) -> bool {
        matches!(self, WriteHalf::Http2(_))
    }

    /// Ends a message whose content was all written, where its framing has not done so.
    pub fn end_message(&mut self, trailers: &Fields) -> io::Result<()> {
        match self {
            WriteHalf::Http2(stream) => stream.end(trailers),
            _ => Ok(()),
        }
    }

    /// What follows on a stream of HTTP/2 is a tunnel's.
    pub fn become_tunnel(&mut self) {
        match std::mem::replace(self, WriteHalf::Taken) {
            WriteHalf::Http2(stream) => *self = WriteHalf::Tunnel(stream),
            other => *self = other,
        }
    }

    /// Says that nothing more will be written; reading may go on.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            // Where the peer is gone there is nobody to tell.
            WriteHalf::Tcp(half) => match rustix::net::shutdown(half.as_ref(), Shutdown::Write) {
                Ok(()) | Err(rustix::io::Errno::NOTCONN) => Ok(()),
                Err(error) => Err(error.into()),
            },
            WriteHalf::Tls(tls) => {
                std::future::poll_fn(|context| tls.poll(|stream| stream.poll_shutdown(context))).await
            }
            WriteHalf::Http2(stream) | WriteHalf::Tunnel(stream) => stream.end(&Fields::default()),
            WriteHalf::Taken => Ok(()),
        }
    }

    /// Lets go of the half without the end of stream that dropping it would send.
    pub fn forget(self) {
        if let WriteHalf::Tcp(half) = self {
            half.forget();
        }
    }
}

async fn write_to_tls(tls: &Tls, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let write = |context: &mut Context<'_>| tls.poll(|stream| stream.poll_write_vectored(context, slices));
    let written = std::future::poll_fn(write).await?;
    // What was taken is encrypted and may still be here: at most 64 KiB, the limit of rustls.
    std::future::poll_fn(|context| tls.poll(|stream| stream.poll_flush(context))).await?;
    Ok(written)
}
