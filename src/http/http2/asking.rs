//! One request on a connection with HTTP/2 to an origin, in the shape that one of HTTP/1 has: a
//! rendered head and content go in, a head and content come out, as octets.
//!
//! The head that comes out is parsed like any other, so that what is refused of an origin does not
//! depend on the version it speaks.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, Uri};

use super::super::write::{field_line, status_line};
use super::super::{FieldName, NeverIndexed};
use super::halves::{Http2Reader, Http2Writer, Unsent, into_io};
use super::heads::Rendered;
use super::usage::{InUse, Usage};

/// What the two halves of a request share.
#[derive(Debug)]
pub(super) struct Asked {
    state: RefCell<State>,
    /// The stream counts for as long as either half is there.
    in_use: InUse,
}

#[derive(Debug)]
enum State {
    /// The head has not left; who waits for an answer is told when it has.
    Unsent(Option<Waker>),
    Sent(ResponseFuture),
    /// The connection takes no more streams.
    Failed(Option<io::Error>),
    Answered,
}

/// The halves of one request on this connection.
pub fn ask(send: SendRequest<Bytes>, usage: &Rc<Usage>) -> (Http2Reader, Http2Writer) {
    let asked = Rc::new(Asked { state: RefCell::new(State::Unsent(None)), in_use: InUse::new(usage) });
    (Http2Reader::of_answer(asked.clone()), Http2Writer::of_request(send, asked))
}

impl Asked {
    /// Sends the head. Content follows where the head says so; else the stream ends with it.
    pub(super) fn send(
        &self,
        send: &mut SendRequest<Bytes>,
        head: &[u8],
        trailers: Trailers,
        never_indexed: &NeverIndexed,
    ) -> io::Result<Option<SendStream<Bytes>>> {
        let rendered = Rendered::of(head);
        let is_end = !has_content(&rendered);
        let (next, sent) = match send.send_request(request_of(&rendered, trailers, never_indexed)?, is_end) {
            Ok((response, stream)) => (State::Sent(response), Ok((!is_end).then_some(stream))),
            // Who waits for the answer learns why none will come.
            Err(error) => (State::Failed(Some(Unsent::into_io(&error))), Err(Unsent::into_io(&error))),
        };
        let before = std::mem::replace(&mut *self.state.borrow_mut(), next);
        if let State::Unsent(Some(waker)) = before {
            waker.wake();
        }
        sent
    }

    /// Waits for the next head, interim or final: its octets, and the stream of what follows a
    /// final one.
    pub(super) fn poll_head(
        &self,
        context: &mut Context<'_>,
        never_indexed: &mut NeverIndexed,
    ) -> Poll<io::Result<(Bytes, Option<RecvStream>)>> {
        let mut state = self.state.borrow_mut();
        let response = match &mut *state {
            State::Sent(response) => response,
            State::Unsent(waiting) => {
                *waiting = Some(context.waker().clone());
                return Poll::Pending;
            }
            State::Failed(error) => {
                return Poll::Ready(Err(error.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())));
            }
            State::Answered => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        };
        if let Poll::Ready(Some(interim)) = response.poll_informational(context) {
            let mut interim = interim.map_err(|error| self.refused(error))?;
            never_indexed.add(&NeverIndexed::take(interim.headers_mut()));
            return Poll::Ready(Ok((octets_of(&interim), None)));
        }
        match std::future::Future::poll(std::pin::Pin::new(response), context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.refused(error))),
            Poll::Ready(Ok(response)) => {
                *state = State::Answered;
                let (mut parts, stream) = response.into_parts();
                never_indexed.add(&NeverIndexed::take(&mut parts.headers));
                Poll::Ready(Ok((octets_of(&Response::from_parts(parts, ())), Some(stream))))
            }
        }
    }

    fn refused(&self, error: h2::Error) -> io::Error {
        match error.reason() {
            Some(Reason::HTTP_1_1_REQUIRED) => self.in_use.usage().prefers_http1(),
            Some(Reason::REFUSED_STREAM) => self.in_use.usage().refuses(),
            _ => {}
        }
        into_io(error)
    }
}

/// Whether a rendered request head announces content.
fn has_content(rendered: &Rendered<'_>) -> bool {
    rendered.lines().any(|(name, value)| match FieldName::of(name) {
        FieldName::TransferEncoding => true,
        FieldName::ContentLength => value != b"0",
        _ => false,
    })
}

/// Whether a request's sender reads trailer fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailers {
    /// It has said so, with `TE: trailers`.
    Welcome,
    Untold,
}

/// RFC 9113 §8.3.1: control data of a request line and `Host` as pseudo-fields.
fn request_of(
    rendered: &Rendered<'_>,
    trailers: Trailers,
    never_indexed: &NeverIndexed,
) -> io::Result<Request<()>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut line = rendered.first_line.split(|&octet| octet == b' ');
    let (Some(method), Some(path)) = (line.next(), line.next()) else { return Err(invalid()) };
    let mut fields: HeaderMap = rendered.fields(never_indexed);
    let host = fields.remove(http::header::HOST).ok_or_else(invalid)?;
    // RFC 9113 §8.2.2: "The only exception to this is the TE header field, which MAY be present in an
    // HTTP/2 request; when it is, it MUST NOT contain any value other than \"trailers\"."
    if trailers == Trailers::Welcome {
        fields.insert(http::header::TE, http::HeaderValue::from_static("trailers"));
    }
    let mut uri = Uri::builder().scheme("https").authority(host.as_bytes());
    uri = uri.path_and_query(path);
    let mut request = Request::new(());
    *request.method_mut() = http::Method::from_bytes(method).map_err(|_no_method| invalid())?;
    *request.uri_mut() = uri.build().map_err(|_no_uri| invalid())?;
    *request.headers_mut() = fields;
    Ok(request)
}

/// A response's head as HTTP/1 writes it, for the one parser of heads.
fn octets_of(response: &Response<()>) -> Bytes {
    let mut out = Vec::with_capacity(512);
    status_line(&mut out, response.status().as_u16(), b"");
    for (name, value) in response.headers() {
        field_line(&mut out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendered_head_is_a_request() {
        let head = b"POST /a?b HTTP/1.1\r\nHost: a.example:8443\r\nAccept: */*\r\nContent-Length: 3\r\n\
                     Via: 1.1 larder\r\n\r\n";
        let rendered = Rendered::of(head);
        let request =
            request_of(&rendered, Trailers::Welcome, &NeverIndexed::default()).expect("well-formed");
        assert_eq!(request.uri().to_string(), "https://a.example:8443/a?b");
        let mut names: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
        // Fields of different names have no order.
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-length", "te", "via"]);
        assert!(has_content(&rendered));
        assert!(!has_content(&Rendered::of(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")));
        assert!(has_content(&Rendered::of(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")));
    }
}
