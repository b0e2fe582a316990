//! What an origin can do wrong in its answer, as failures: the error type of RFC 9209 that fits, and the
//! sentence for the client. Failures to reach it are `origin/`'s; of TLS, `tls/`'s.

use std::fmt::Display;
use std::io;

use crate::clock::TimedOut;
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{ChunkError, ContentError, HeadError};

/// The connection ended before the first octet of an answer.
pub(super) fn no_answer(error: &io::Error) -> Failure {
    let public = "The server closed the connection without an answer";
    Failure::new(ErrorType::ConnectionTerminated, Fault::Origin, 502, public).with_internal(error)
}

// RFC 9110 §15.5.8: "the client needs to authenticate itself in order to use a proxy". An origin is not
// one, and clients would hand over the credentials that they have for Larder.
/// A 407 by an origin.
pub(super) fn proxy_credentials_wanted() -> Failure {
    let public = "The server answered 407: it asks for the credentials of a proxy, and is not a proxy";
    Failure::new(ErrorType::HttpProtocolError, Fault::Origin, 502, public)
}

/// No head in time.
pub(super) fn no_response_in_time() -> Failure {
    let public = "The server did not answer in time";
    Failure::new(ErrorType::HttpResponseTimeout, Fault::Origin, 504, public)
}

/// The connection ended within a head.
pub(super) fn truncated_head() -> Failure {
    let public = "The server's response ended within its head";
    Failure::new(ErrorType::HttpResponseIncomplete, Fault::Origin, 502, public)
}

/// A head that is refused.
pub(super) fn malformed_head(error: HeadError) -> Failure {
    let (kind, public) = match error {
        HeadError::TooLarge | HeadError::TooManyFields => {
            (ErrorType::HttpResponseHeaderSectionSize, "The head of the server's response is too large")
        }
        HeadError::LineTooLong => {
            (ErrorType::HttpResponseHeaderSize, "A field of the server's response is too large")
        }
        HeadError::TransferEncoding | HeadError::TransferEncodingInHttp10 => {
            (ErrorType::HttpResponseTransferCoding, "The server's response has a bad transfer coding")
        }
        _ => (ErrorType::HttpProtocolError, "The server's response is malformed"),
    };
    Failure::new(kind, Fault::Origin, 502, public).with_internal(error)
}

/// Frames or octets that are not those of the protocol.
pub(super) fn malformed(error: impl Display) -> Failure {
    let public = "The server's response is malformed";
    Failure::new(ErrorType::HttpProtocolError, Fault::Origin, 502, public).with_internal(error)
}

/// Content that is not whole, or can't be read.
pub(super) fn bad_content(error: &ContentError) -> Failure {
    let ContentError::Malformed(chunked) = error else { return incomplete(error) };
    let (kind, public) = match chunked {
        ChunkError::Trailers(HeadError::TooLarge | HeadError::TooManyFields) => (
            ErrorType::HttpResponseTrailerSectionSize,
            "The trailer section of the server's response is too large",
        ),
        ChunkError::Trailers(HeadError::LineTooLong) => {
            (ErrorType::HttpResponseTrailerSize, "A trailer of the server's response is too large")
        }
        ChunkError::Trailers(_) => (ErrorType::HttpProtocolError, "The server's response is malformed"),
        ChunkError::Size | ChunkError::Extension | ChunkError::ExtensionsTooLarge | ChunkError::DataEnd => {
            (ErrorType::HttpResponseTransferCoding, "The server's response has a bad transfer coding")
        }
    };
    Failure::new(kind, Fault::Origin, 502, public).with_internal(error)
}

/// Silence within content.
pub(super) fn silent(_timed_out: TimedOut) -> Failure {
    let public = "The server stopped in the middle of its response";
    Failure::new(ErrorType::ConnectionReadTimeout, Fault::Origin, 504, public)
}

/// The content ended before its end: the client must not see a clean one.
pub(super) fn incomplete(detail: impl Display) -> Failure {
    let public = "The server's response ended early";
    Failure::new(ErrorType::HttpResponseIncomplete, Fault::Origin, 502, public).with_internal(detail)
}

/// A 101 to a request that did not ask for one.
pub(super) fn unasked_switch() -> Failure {
    let public = "The server switched protocols without being asked";
    Failure::new(ErrorType::HttpUpgradeFailed, Fault::Origin, 502, public)
}

/// An endless stream of interim responses.
pub(super) fn too_many_interim() -> Failure {
    let public = "The server sent too many interim responses";
    Failure::new(ErrorType::HttpProtocolError, Fault::Origin, 502, public)
}
