//! Finding the end of a head in octets that arrive as they like (RFC 9112 §2.2).
//!
//! Each octet is looked at once, however the peer splits them. A bare LF, an endless line or too
//! many of them are refused as soon as they are seen, not when the head is whole.

use super::TargetError;

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("a line ends in a bare LF")]
    BareLf,
    #[error("the message does not begin with a request line")]
    NotHttp,
    #[error("the request line is malformed")]
    RequestLine,
    #[error("the status line is malformed")]
    StatusLine,
    #[error("the method is too long")]
    Method,
    #[error("the request target is too long")]
    UriTooLong,
    #[error("the head is too large")]
    TooLarge,
    #[error("a line of the head is too long")]
    LineTooLong,
    #[error("the head has too many fields")]
    TooManyFields,
    #[error(
        "the client sent TLS to a plain HTTP port: its proxy setting must begin with http://, not https://"
    )]
    Tls,
    #[error("the HTTP version is not 1.x")]
    Version,
    #[error("a field line is malformed")]
    Field,
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("the form of the request target does not fit the method")]
    TargetForm,
    #[error("Host is missing, repeated or malformed")]
    Host,
    #[error("Content-Length is repeated or not a number")]
    ContentLength,
    #[error("Content-Length and Transfer-Encoding contradict each other")]
    LengthConflict,
    #[error("Transfer-Encoding is not exactly one chunked")]
    TransferEncoding,
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    TransferEncodingInHttp10,
    #[error("the method does not allow content")]
    UnexpectedContent,
    #[error("the expectation is not 100-continue")]
    Expectation,
}

impl HeadError {
    /// The status code that tells a client so.
    pub const fn status(self) -> u16 {
        match self {
            HeadError::UriTooLong => 414,
            HeadError::TooLarge | HeadError::LineTooLong | HeadError::TooManyFields => 431,
            HeadError::Version => 505,
            HeadError::Method => 501,
            HeadError::Expectation => 417,
            _ => 400,
        }
    }
}

/// Limits on a head, in octets and lines. The defaults here are those of requests.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// The whole head; default 64 KiB.
    pub head: usize,
    /// One line; default 16 KiB.
    pub line: usize,
    /// The request target; default 8 KiB.
    pub uri: usize,
    /// Field lines; default 128.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits { head: 64 * 1024, line: 16 * 1024, uri: 8 * 1024, fields: FIELDS_MAX }
    }
}

impl HeadLimits {
    /// The defaults for responses: origins send longer policies and cookies than clients send
    /// requests, and an origin is one that a client has chosen.
    pub fn of_responses() -> HeadLimits {
        HeadLimits { head: 128 * 1024, line: 64 * 1024, uri: 0, fields: 256 }
    }
}

/// The most field lines that any setting allows in a request.
pub const FIELDS_MAX: usize = 128;

/// The most field lines that any setting allows in a response.
pub const RESPONSE_FIELDS_MAX: usize = 1024;

/// Empty lines that are skipped in front of a request line (RFC 9112 §2.2 asks for at least
/// one). Arbitrary and small.
const EMPTY_LINES_MAX: usize = 8;

/// Where a head stands in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSpan {
    /// Octets of empty lines in front of it.
    pub start: usize,
    /// One past its last octet, the empty line included.
    pub end: usize,
    /// Where its first line ends, CRLF excluded.
    pub first_line_end: usize,
    /// Field lines.
    pub fields: usize,
}

/// Finds the end of a head in a buffer that grows.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScanner {
    start: usize,
    line_start: usize,
    scanned: usize,
    lines: usize,
    empty_lines: usize,
    first_line_end: usize,
    of: HeadOf,
}

/// What a head is the head of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HeadOf {
    Request,
    #[default]
    Response,
    /// A response whose lines may end in a bare LF.
    LenientResponse,
    /// A trailer section, which has no first line.
    Trailers,
}

impl HeadScanner {
    /// For a request: a few empty lines may stand in front of it.
    pub fn request() -> HeadScanner {
        HeadScanner { of: HeadOf::Request, ..HeadScanner::default() }
    }

    /// For a response: nothing stands in front of it.
    pub fn response() -> HeadScanner {
        HeadScanner::default()
    }

    /// For a response of an origin whose heads the operator wants repaired (`lenient.rs`).
    pub fn lenient_response() -> HeadScanner {
        HeadScanner { of: HeadOf::LenientResponse, ..HeadScanner::default() }
    }

    /// For a trailer section: field lines without a first line, possibly none.
    pub fn trailers() -> HeadScanner {
        HeadScanner { of: HeadOf::Trailers, ..HeadScanner::default() }
    }

    /// Looks at what is new in `buffer`. `None`: more octets are needed.
    pub fn scan(&mut self, buffer: &[u8], limits: &HeadLimits) -> Result<Option<HeadSpan>, HeadError> {
        while let Some(unseen) = buffer.get(self.scanned..).filter(|rest| !rest.is_empty()) {
            let Some(at) = memchr::memchr(b'\n', unseen) else {
                self.scanned = buffer.len();
                break;
            };
            let end = self.scanned + at;
            self.scanned = end + 1;
            let line = buffer.get(self.line_start..end).unwrap_or_default();
            let line = match (line.strip_suffix(b"\r"), self.of) {
                (Some(line), _) => line,
                (None, HeadOf::LenientResponse) => line,
                (None, _) => return Err(HeadError::BareLf),
            };
            if let Some(span) = self.end_of_line(line.len(), limits)? {
                return Ok(Some(span));
            }
        }
        self.check_open_line(buffer.len(), limits)?;
        Ok(None)
    }

    /// The first line, once it is complete, so that a request line can be refused before the
    /// rest of its head arrives.
    pub fn first_line<'a>(&self, buffer: &'a [u8]) -> Option<&'a [u8]> {
        (self.lines == 1).then(|| buffer.get(self.start..self.first_line_end)).flatten()
    }

    fn end_of_line(&mut self, length: usize, limits: &HeadLimits) -> Result<Option<HeadSpan>, HeadError> {
        let line_start = std::mem::replace(&mut self.line_start, self.scanned);
        if length > limits.line {
            return Err(self.too_long());
        }
        if length > 0 {
            self.lines += 1;
            if self.lines == 1 {
                self.start = line_start;
                self.first_line_end = line_start + length;
            }
            let fields = self.lines - self.first_lines();
            return if fields > limits.fields { Err(HeadError::TooManyFields) } else { Ok(None) };
        }
        if self.lines == 0 && self.first_lines() == 1 {
            self.empty_lines += 1;
            let refused = self.of == HeadOf::Response || self.empty_lines > EMPTY_LINES_MAX;
            return if refused { Err(HeadError::NotHttp) } else { Ok(None) };
        }
        let (start, end) = (self.start, self.scanned);
        if end - start > limits.head {
            return Err(HeadError::TooLarge);
        }
        let fields = self.lines - self.first_lines();
        Ok(Some(HeadSpan { start, end, first_line_end: self.first_line_end, fields }))
    }

    /// How many of the lines are not field lines.
    fn first_lines(&self) -> usize {
        usize::from(self.of != HeadOf::Trailers)
    }

    fn check_open_line(&self, length: usize, limits: &HeadLimits) -> Result<(), HeadError> {
        if length - self.line_start > limits.line {
            return Err(self.too_long());
        }
        if length - self.start > limits.head { Err(HeadError::TooLarge) } else { Ok(()) }
    }

    fn too_long(&self) -> HeadError {
        let in_request_line = self.lines == 0 && self.of == HeadOf::Request;
        if in_request_line { HeadError::UriTooLong } else { HeadError::LineTooLong }
    }
}
