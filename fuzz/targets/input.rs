//! The fuzzer's octets as numbers, field lines and messages. Total: what is missing is zero.

use bytes::Bytes;
use larder::caching::{StoredHead, Times};
use larder::http::grammar::{is_token, trim};
use larder::http::{BodyLength, Fields, Method, Request, Response, Target, TargetUri, Timestamp, Version};

/// When the messages of the targets are sent, unless the input says otherwise.
pub const NOW: u64 = 1_700_000_000;

/// Octets that are taken from the front.
#[derive(Clone, Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next octets; fewer at the end.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A number of so many octets.
    pub fn number<const OCTETS: usize>(&mut self) -> u64 {
        self.take(OCTETS).iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.number::<4>() as usize % end
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// What stands up to an empty line.
    pub fn block(&mut self) -> &'a [u8] {
        match self.0.windows(2).position(|pair| pair == b"\n\n") {
            Some(at) => {
                let block = self.take(at);
                self.take(2);
                block
            }
            None => self.rest(),
        }
    }
}

/// Lines `Name: value` as fields; a line that no head could have is left out.
pub fn fields(lines: &[u8]) -> Fields {
    let mut fields = Fields::builder();
    for line in lines.split(|octet| *octet == b'\n') {
        let Some(colon) = line.iter().position(|octet| *octet == b':') else { continue };
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if is_token(name) && is_value(value) {
            fields.push(name, value);
        }
    }
    fields.build()
}

/// The same lines each as a value of one field.
pub fn values(name: &str, lines: &[u8], more: &[&str]) -> Fields {
    let mut fields = Fields::builder();
    let lines = lines.split(|octet| *octet == b'\n').map(trim).filter(|value| is_value(value));
    for value in lines.chain(more.iter().map(|value| value.as_bytes())) {
        fields.push(name.as_bytes(), value);
    }
    fields.build()
}

/// Both, one behind the other.
pub fn joined(one: &Fields, other: &Fields) -> Fields {
    let mut fields = Fields::builder();
    for field in one.iter().chain(other.iter()) {
        fields.push(field.name, field.value);
    }
    fields.build()
}

/// Whether these octets can be the value of a field (RFC 9110 §5.5).
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|octet| *octet >= b' ' && *octet != 0x7f || *octet == b'\t')
}

/// A target URI that is always the same.
pub fn target() -> TargetUri {
    TargetUri::parse_absolute(&Bytes::from_static(b"http://a.example/x")).expect("an absolute URI")
}

/// A request for [`target`].
pub fn request(method: Method, fields: Fields) -> Request {
    let target = Target::Absolute(target());
    Request { method, target, version: Version::Http11, fields, length: BodyLength::None, head_bytes: 0 }
}

/// A response.
pub fn response(status: u16, fields: Fields) -> Response {
    Response {
        status,
        reason: Bytes::new(),
        version: Version::Http11,
        fields,
        length: BodyLength::Chunked,
        head_bytes: 0,
        keep_alive: true,
    }
}

/// Times of an exchange that began so many seconds after [`NOW`] and took so many.
pub fn times(after: u64, took: u64) -> Times {
    let request_time = Timestamp(NOW).plus(after);
    Times { request_time, response_time: request_time.plus(took) }
}

/// A stored 200 to a GET with these fields.
pub fn stored(fields: Fields) -> StoredHead {
    StoredHead::new(&request(Method::Get, Fields::default()), &response(200, fields), times(0, 0))
}

/// Text as an input.
pub fn seed(front: &[u8], text: &str) -> Vec<u8> {
    [front, text.as_bytes()].concat()
}
