//! The client's side of an exchange.

use std::net::SocketAddr;

use crate::http::{ConnectionOptions, Reader, Request, Stream, Version, WriteHalf};
use crate::policy::ListenerScope;

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
    /// Set once all content of the request under way was read.
    pub(super) has_read_content: bool,
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
    /// The client has closed it: there is nobody to tell anything.
    Gone,
}

impl Client {
    /// Takes a connection over.
    pub fn new(stream: Stream, peer: SocketAddr, scope: ListenerScope) -> Client {
        let (reader, writer) = stream.into_split();
        Client {
            reader: Reader::new(reader),
            writer,
            peer,
            scope,
            last_request: false,
            has_read_content: false,
            scratch: Vec::new(),
        }
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
