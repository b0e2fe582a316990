//! The client's side of an exchange.

use std::net::SocketAddr;

use bytes::Bytes;

use super::inside::Inside;
use crate::budget::{Budget, Share, Spent, Use};
use crate::http::{
    ConnectionOptions, Fields, GivenUp, Http2Reader, Http2Writer, ReadHalf, Reader, Request, Stream, Version,
    WriteHalf,
};
use crate::policy::ListenerScope;

/// Memory of a connection within TLS: two records each way, and its keys.
const TLS_BYTES: u64 = 64 * 1024;

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    pub reader: Reader,
    pub writer: WriteHalf,
    pub peer: SocketAddr,
    /// What the listener it came in on admits.
    pub scope: ListenerScope,
    /// Set while the proxy drains: the response says that the connection ends.
    pub last_request: bool,
    /// What requests are for, inside a tunnel that Larder intercepts.
    pub(super) inside: Option<Inside>,
    /// Set once all content of the request under way was read.
    pub(super) has_read_content: bool,
    /// When the request under way began to arrive, in milliseconds; `None` before the first one.
    began_ms: Option<u64>,
    /// Tells when nobody waits for the exchange under way any more.
    given_up: Option<GivenUp>,
    /// For TLS and for what buffers grow by; without it nothing is charged.
    budget: Option<Budget>,
    /// Of TLS within a tunnel.
    tls: Option<Share>,
    /// Where heads are put together; kept between requests for its memory.
    pub(super) scratch: Vec<u8>,
}

/// What becomes of a client's connection behind an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It waits for the next request.
    KeepOpen,
    /// It is closed in order: what was sent arrives.
    Close,
    /// It is reset: the client must see that what it got is not whole.
    Reset,
    /// The other end of its tunnel has broken off: it is closed, and a stream of HTTP/2 says why.
    Broken,
    /// The client has closed it: there is nobody to tell anything.
    Gone,
    /// It speaks HTTP/2 from here on.
    Http2,
}

impl Client {
    /// Takes a connection over.
    pub fn new(stream: Stream, peer: SocketAddr, scope: ListenerScope) -> Client {
        let (reader, writer) = stream.into_split();
        let (reader, scratch) = (Reader::new(reader), Vec::new());
        Client {
            reader,
            writer,
            peer,
            scope,
            last_request: false,
            inside: None,
            has_read_content: false,
            began_ms: None,
            given_up: None,
            budget: None,
            tls: None,
            scratch,
        }
    }

    /// A request begins to arrive.
    pub fn begins_request(&mut self, now_ms: u64) {
        self.began_ms = Some(now_ms);
    }

    /// When the request under way began to arrive; now, as far as that is not known.
    pub(super) fn began_ms(&self, now_ms: u64) -> u64 {
        self.began_ms.unwrap_or(now_ms)
    }

    /// Has what grows with this connection charged to a budget.
    pub fn charge_to(&mut self, budget: &Budget) {
        self.reader.charge_to(budget);
        self.budget = Some(budget.clone());
    }

    /// One request of a connection with HTTP/2, which this client is.
    pub fn of_stream(&self, reader: Http2Reader, writer: Http2Writer) -> Client {
        self.stream(ReadHalf::Http2(Box::new(reader)), writer)
    }

    /// One of which nothing is read.
    pub fn of_refused_stream(&self, writer: Http2Writer) -> Client {
        self.stream(ReadHalf::Taken, writer)
    }

    fn stream(&self, reader: ReadHalf, writer: Http2Writer) -> Client {
        let mut reader = Reader::new(reader);
        if let Some(budget) = &self.budget {
            reader.charge_to(budget);
        }
        Client {
            reader,
            writer: WriteHalf::Http2(Box::new(writer)),
            peer: self.peer,
            scope: self.scope,
            last_request: false,
            inside: self.inside.clone(),
            has_read_content: false,
            began_ms: None,
            given_up: None,
            budget: self.budget.clone(),
            tls: None,
            scratch: Vec::new(),
        }
    }

    /// Has each exchange end when this tells that nobody waits for it.
    pub fn ends_with(&mut self, given_up: GivenUp) {
        self.given_up = Some(given_up);
    }

    /// Waits until nobody waits for the exchange under way; for ever, where that is not known.
    pub(super) fn is_given_up(&self) -> impl Future<Output = ()> + use<> {
        let given_up = self.given_up.clone();
        async move {
            match given_up {
                Some(given_up) => given_up.wait().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Whether this client has opened a tunnel on its stream and is served inside it.
    pub fn is_inside_stream(&self) -> bool {
        !matches!(self.writer, WriteHalf::Http2(_))
    }

    /// Whether this client is one stream of a connection with HTTP/2, and nothing within it.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.writer, WriteHalf::Http2(_) | WriteHalf::Tunnel(_))
    }

    /// Ends the stream that this client is, as its exchange says.
    pub fn end_stream(mut self, next: Next) {
        let (writer, broken) = match &mut self.writer {
            WriteHalf::Http2(writer) => (writer, h2::Reason::INTERNAL_ERROR),
            // RFC 9113 §8.5: "A proxy treats any error in the TCP connection ... as a stream error
            // (Section 5.4.2) of type CONNECT_ERROR."
            WriteHalf::Tunnel(writer) => (writer, h2::Reason::CONNECT_ERROR),
            WriteHalf::Tcp(_) | WriteHalf::Tls(_) | WriteHalf::Taken => return,
        };
        match next {
            Next::KeepOpen | Next::Close | Next::Http2 if !writer.awaits_head() => {
                // A stream that is gone needs no end.
                let _either_way = writer.end(&Fields::default());
            }
            Next::Gone => writer.reset(h2::Reason::CANCEL),
            // RFC 9113 §8.1.1: what is not whole must not look like it.
            _ => writer.reset(broken),
        }
    }

    /// Takes the memory of TLS, before it begins.
    pub(super) fn begin_tls(&mut self) -> Result<(), Spent> {
        if let Some(budget) = &self.budget {
            self.tls = Some(budget.take(Use::Tls, TLS_BYTES)?);
        }
        Ok(())
    }

    /// Takes the connection away, with what was read too far: for a handshake. `None` when it was
    /// taken before.
    pub fn take_stream(&mut self) -> Option<(Bytes, Stream)> {
        let early = self.reader.take_buffered();
        let reader = std::mem::replace(&mut self.reader, Reader::new(ReadHalf::Taken));
        let writer = std::mem::replace(&mut self.writer, WriteHalf::Taken);
        Stream::of_halves(reader.into_io(), writer).map(|stream| (early, stream))
    }

    /// Goes on with another connection.
    pub(super) fn put_stream(&mut self, stream: Stream) {
        let (reader, writer) = stream.into_split();
        self.reader = Reader::new(reader);
        if let Some(budget) = &self.budget {
            self.reader.charge_to(budget);
        }
        self.writer = writer;
    }

    /// Whether the connection stays open behind a response for which nothing more of this request
    /// is read: unread content would be taken for the next request.
    pub(super) fn keeps_open(&self, request: &Request) -> bool {
        self.may_keep_open(request) && (self.has_read_content || !request.has_content())
    }

    /// Whether the client and Larder both keep the connection open behind this request
    /// (RFC 9112 §9.3), once all of it was read.
    pub(super) fn may_keep_open(&self, request: &Request) -> bool {
        // "keep-alive" of HTTP/1.0 is not for proxies: "either the recipient is not a proxy or the
        // message is a response".
        request.version == Version::Http11
            && !ConnectionOptions::of(&request.fields).close()
            && !self.last_request
    }
}
