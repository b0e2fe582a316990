//! What is seen of a peer that Larder waits for somebody else for, without reading what it sends.
//!
//! Invariant: nothing is consumed, and the task that looks is the one that reads and writes.

use std::io;
use std::task::{Context, Poll};

use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::stream::{Stream, Tls, WriteHalf};

/// What is seen of a peer that Larder waits for somebody else for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has sent more, which nobody has read.
    Talking,
    /// It sends nothing more, and may still read.
    HalfClosed,
    Gone,
}

fn poll_socket(socket: &TcpStream, context: &mut Context<'_>) -> Poll<Presence> {
    loop {
        if std::task::ready!(socket.poll_read_ready(context)).is_err() {
            return Poll::Ready(Presence::Gone);
        }
        let mut octet = [0u8; 1];
        let peek =
            || recv(socket, &mut octet, RecvFlags::PEEK | RecvFlags::DONTWAIT).map_err(io::Error::from);
        match socket.try_io(tokio::io::Interest::READABLE, peek) {
            Ok((0, _)) => return Poll::Ready(Presence::HalfClosed),
            Ok(_) if has_ended(socket) => return Poll::Ready(Presence::HalfClosed),
            Ok(_) => return Poll::Ready(Presence::Talking),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Poll::Ready(Presence::Gone),
        }
    }
}

/// Whether the end of what the peer sends has come, behind octets that were not read.
#[cfg(target_os = "linux")]
fn has_ended(socket: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut asked = [PollFd::new(socket, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok_and(|found| found > 0)
}

/// Only Linux tells.
#[cfg(not(target_os = "linux"))]
fn has_ended(_socket: &TcpStream) -> bool {
    false
}

impl WriteHalf {
    /// Waits until there is something to see of the peer beside that it is silent. The task that polls
    /// this is the one that reads and writes the connection.
    pub fn poll_presence(&mut self, context: &mut Context<'_>) -> Poll<Presence> {
        match self {
            WriteHalf::Tcp(half) => poll_socket(half.as_ref(), context),
            WriteHalf::Tls(tls) => tls.poll_presence(context),
            WriteHalf::Http2(stream) | WriteHalf::Tunnel(stream) => {
                stream.poll_reset(context).map(|()| Presence::Gone)
            }
            WriteHalf::Taken => Poll::Pending,
        }
    }
}

impl Tls {
    /// As [`WriteHalf::poll_presence`], of what TLS goes over.
    fn poll_presence(&self, context: &mut Context<'_>) -> Poll<Presence> {
        let mut stream = self.stream.borrow_mut();
        let below = match &mut *stream {
            TlsStream::Client(stream) => stream.get_mut().0,
            TlsStream::Server(stream) => stream.get_mut().0,
        };
        match &mut below.stream {
            Stream::Tcp(socket) => poll_socket(socket, context),
            Stream::Tls(tls) => tls.poll_presence(context),
            Stream::Http2(_, writer) => writer.poll_reset(context).map(|()| Presence::Gone),
        }
    }
}
