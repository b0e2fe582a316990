//! Heads, the chunked coding and URIs. What was cut into other pieces is the same message, and
//! what was accepted is accepted again in its canonical form, with the same meaning.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use larder::http::grammar::is_token;
use larder::http::{
    BodyLength, ChunkLimits, Content, ContentError, FieldName, Fields, HeadLimits, Method, Reader, Reading,
    Source, Target, TargetUri,
};
use tokio::io::{AsyncRead, ReadBuf};

use super::input::{Input, is_value, seed, target};

/// A peer whose octets come in pieces: sizes from a seed, or all at once.
#[derive(Debug)]
pub struct Pieces<'a> {
    pub left: &'a [u8],
    /// 0: all at once.
    pub seed: u64,
}

impl Source for Pieces<'_> {}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wanted = match self.seed {
            0 => usize::MAX,
            seed => {
                // Knuth's generator: the same pieces for the same seed.
                self.seed =
                    seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) | 1;
                1 + (self.seed >> 33) as usize % 7
            }
        };
        let length = wanted.min(into.remaining()).min(self.left.len());
        let (now, later) = self.left.split_at(length);
        into.put_slice(now);
        self.left = later;
        Poll::Ready(Ok(()))
    }
}

/// What a future gives that never waits.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits, and there is nothing to wait for"),
    }
}

/// The field lines of a head that was accepted.
fn check_fields(fields: &Fields) {
    for field in fields.iter() {
        assert!(is_token(field.name), "a name that is no token");
        assert!(is_value(field.value), "a value with control octets");
    }
}

/// Whether a message says its length twice.
fn says_twice(fields: &Fields) -> bool {
    fields.contains(FieldName::ContentLength) && fields.contains(FieldName::TransferEncoding)
}

fn rendered(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields.iter() {
        out.extend([field.name, b": ", field.value, b"\r\n"].concat());
    }
    out.extend(b"\r\n");
    out
}

/// Any octets as a request head, in one piece and in several.
pub fn request_head(data: &[u8]) {
    let mut input = Input(data);
    let pieces = input.number::<2>() | 1;
    let octets = input.rest();
    let read = |octets: &[u8], seed| {
        let mut reader = Reader::new(Pieces { left: octets, seed });
        at_once(reader.request_head(&HeadLimits::default()))
    };
    let (whole, cut) = (read(octets, 0), read(octets, pieces));
    assert_eq!(whole.is_ok(), cut.is_ok(), "{whole:?} or {cut:?}");
    let (Ok(whole), Ok(cut)) = (whole, cut) else { return };
    assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
    assert!(whole.head_bytes <= octets.len() as u64);
    check_fields(&whole.fields);
    assert!(!says_twice(&whole.fields), "a request with two readings of its length");
    let target = match &whole.target {
        Target::Origin(path) => path.to_vec(),
        // "*" of an absolute form is no target that stands alone.
        Target::Absolute(uri) if &uri.path_and_query[..] == b"*" => return,
        Target::Absolute(uri) => octets_of(uri),
        Target::Authority(authority) => authority.to_string().into_bytes(),
        Target::Asterisk => b"*".to_vec(),
    };
    let line = [
        whole.method.as_str().as_bytes(),
        b" ",
        &target,
        b" HTTP/",
        whole.version.as_str().as_bytes(),
        b"\r\n",
    ];
    let again = [line.concat(), rendered(&whole.fields)].concat();
    let again = read(&again, 0).expect("what was accepted is accepted again");
    assert_eq!(format!("{:?}", again.target), format!("{:?}", whole.target));
    assert_eq!((again.length, again.fields.len()), (whole.length, whole.fields.len()));
}

/// A URI as it is written, whose path may hold octets that are no text.
fn octets_of(uri: &TargetUri) -> Vec<u8> {
    let front = format!("{}://{}", uri.scheme.as_str(), uri.authority);
    [front.as_bytes(), &uri.path_and_query].concat()
}

pub fn request_seeds() -> Vec<Vec<u8>> {
    [
        "GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n",
        "POST http://a.example:8080/ HTTP/1.1\r\nHost: a.example:8080\r\nContent-Length: 5\r\n\r\nhello",
        "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n",
        "PUT http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: b.example\r\nConnection: close, x\r\n\r\n",
        "\r\nGET / HTTP/1.0\r\n\r\n",
    ]
    .map(|text| seed(&[0, 9], text))
    .to_vec()
}

/// Any octets as a response head, in one piece and in several.
pub fn response_head(data: &[u8]) {
    let mut input = Input(data);
    let pieces = input.number::<2>() | 1;
    let method = if pieces & 2 == 0 { Method::Get } else { Method::Head };
    let octets = input.rest();
    let read = |octets: &[u8], seed| {
        let mut reader = Reader::new(Pieces { left: octets, seed });
        at_once(reader.response_head(&method, &HeadLimits::of_responses(), Reading::Strict))
    };
    let (whole, cut) = (read(octets, 0), read(octets, pieces));
    assert_eq!(whole.is_ok(), cut.is_ok(), "{whole:?} or {cut:?}");
    let (Ok(whole), Ok(cut)) = (whole, cut) else { return };
    assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
    assert!((100..=999).contains(&whole.status) && is_value(&whole.reason));
    check_fields(&whole.fields);
    // RFC 9112 §6.3: the coding overrides the length, and nothing behind it is trusted.
    let is_doubtful = says_twice(&whole.fields) && !whole.length.is_empty();
    assert!(!is_doubtful || !whole.keep_alive, "a connection goes on behind two readings of a length");
    let line = format!("HTTP/{} {} ", whole.version.as_str(), whole.status);
    let again = [line.as_bytes(), &whole.reason, b"\r\n", &rendered(&whole.fields)].concat();
    let again = read(&again, 0).expect("what was accepted is accepted again");
    assert_eq!((again.length, again.keep_alive), (whole.length, whole.keep_alive));
}

pub fn response_seeds() -> Vec<Vec<u8>> {
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\nhello",
        "HTTP/1.0 404 \r\nX: y\r\n folded\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=7\r\nVary: Accept\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 0-0/1\r\n\r\n",
        "HTTP/1.1 101\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nConnection: keep-alive\r\n\r\n",
    ]
    .map(|text| seed(&[0, 9], text))
    .to_vec()
}

/// What came of a body: its content, its trailers, what is left, and how it ended.
type Decoded = (Vec<u8>, Vec<u8>, Vec<u8>, Result<(), String>);

fn decode(octets: &[u8], seed: u64) -> Decoded {
    let mut reader = Reader::new(Pieces { left: octets, seed });
    let mut content = Content::new(BodyLength::Chunked, &ChunkLimits::default());
    let mut pieces = Vec::new();
    let ended = loop {
        match at_once(content.next(&mut reader, &mut pieces)) {
            Ok(()) if content.is_done() => break Ok(()),
            Ok(()) => {}
            Err(ContentError::Malformed(error)) => break Err(format!("{error:?}")),
            Err(other) => break Err(format!("{other}")),
        }
    };
    // What stands behind the end belongs to the next message.
    let left = if ended.is_ok() { [reader.buffered(), reader.io().left].concat() } else { Vec::new() };
    (pieces.concat(), rendered(content.trailers()), left, ended)
}

/// Any octets as a chunked body, in any pieces; and any content in any chunks.
pub fn chunked(data: &[u8]) {
    let mut input = Input(data);
    let pieces = input.number::<2>() | 1;
    let octets = input.rest();
    // Which of several reasons a body is refused for may depend on how much of it is there.
    let any_reason = |(content, trailers, left, ended): Decoded| (content, trailers, left, ended.is_ok());
    assert_eq!(any_reason(decode(octets, 0)), any_reason(decode(octets, pieces)));
    let mut coded = Vec::new();
    for chunk in octets.chunks(1 + pieces as usize % 50) {
        coded.extend(format!("{:x}\r\n", chunk.len()).bytes());
        coded.extend(chunk);
        coded.extend(b"\r\n");
    }
    coded.extend(b"0\r\n\r\nGET");
    let expected = (octets.to_vec(), rendered(&Fields::default()), b"GET".to_vec(), Ok(()));
    assert_eq!(decode(&coded, pieces), expected);
}

pub fn chunked_seeds() -> Vec<Vec<u8>> {
    [
        "5\r\nhello\r\n0\r\n\r\nGET",
        "5;a=b;c=\"d;e\"\r\nhello\r\n0;f\r\nX: 1\r\n\r\n",
        "A\r\n0123456789\r\n0000\r\nExpires: x\r\nDigest: y\r\n\r\n",
        "ffffffffffffffff\r\nx",
    ]
    .map(|text| seed(&[0, 9], text))
    .to_vec()
}

/// Any octets as a request target and as a reference.
pub fn uri(data: &[u8]) {
    let raw = Bytes::copy_from_slice(data);
    for method in [Method::Get, Method::Options] {
        if let Ok(Target::Absolute(uri)) = Target::parse(&raw, &method) {
            check_uri(&uri);
        }
    }
    if let Ok(Target::Authority(authority)) = Target::parse_connect(&raw) {
        let again = Target::parse_connect(&Bytes::from(authority.to_string()));
        assert_eq!(again, Ok(Target::Authority(authority)));
    }
    let base = target();
    if let Some(joined) = base.join(data) {
        check_uri(&joined);
        assert_eq!(joined.join(b""), Some(joined.clone()), "an empty reference is the URI itself");
    }
}

fn check_uri(uri: &TargetUri) {
    assert!(uri.authority.port != 0);
    if &uri.path_and_query[..] == b"*" {
        return;
    }
    assert!(uri.path_and_query.starts_with(b"/"), "{uri:?}");
    assert_eq!(
        TargetUri::parse_absolute(&octets_of(uri).into()).as_ref(),
        Ok(uri),
        "the canonical form is another URI"
    );
}

pub fn uri_seeds() -> Vec<Vec<u8>> {
    [
        "http://a.example/x?y",
        "HTTP://A.Example.:080/%2e/../x",
        "https://[2001:db8::7]:8443?q",
        "a.example:443",
        "../b/./c?d#e",
        "//b.example/y",
        "http://b\u{fc}cher.example/\u{e9}",
        "http://127.0.0.1:1/",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
