//! What stands in front of a record's content on disk: the URI and the stored head, as a list of
//! {tag u8, length u32, value} in little endian (docs/store-format.md).
//!
//! Decoding is total: octets that are no head give `None`. Unknown tags are skipped, so that a
//! later Larder may add some. Nothing is known here of records and where they lie.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use bytes::{Buf as _, Bytes};

use super::{Object, StoredContent};
use crate::caching::{SecretFields, StoredHead, StoredParts, Targets, Times};
use crate::http::grammar::is_token;
use crate::http::{Authority, Fields, Host, Method, Scheme, TargetUri, Timestamp, Version};

mod tag {
    pub const SCHEME_AND_PORT: u8 = 1;
    pub const HOST: u8 = 2;
    pub const PATH_AND_QUERY: u8 = 3;
    pub const METHOD: u8 = 4;
    pub const STATUS: u8 = 5;
    pub const REASON: u8 = 6;
    pub const FIELD: u8 = 7;
    pub const TIMES: u8 = 8;
    pub const SELECTING: u8 = 9;
    pub const ORIGIN: u8 = 10;
    pub const LENGTH: u8 = 11;
    pub const GENERATION: u8 = 12;
    pub const SPAN: u8 = 13;
    pub const TARGET: u8 = 14;
    pub const HEAD_GENERATION: u8 = 15;
}

/// A stored head as it was read back.
#[derive(Debug)]
pub struct Decoded {
    pub uri: TargetUri,
    pub head: StoredHead,
    pub origin: SocketAddr,
    /// Octets of the whole content.
    pub length: u64,
    /// Where the octets of the body belong, first and count, when it is not the whole content.
    pub spans: Vec<(u64, u64)>,
    pub received: Version,
    /// As [`Object::head_generation`], where that is not the object's own.
    pub head_generation: Option<u64>,
}

/// The head of a META record: the key of the record that it belongs to stands in front, so that
/// reclaim keeps it for as long as that one, and then a head like the others.
pub fn encode_freshened(uri: &TargetUri, object: &Object, owner: u128, secrets: &SecretFields) -> Bytes {
    let mut out = owner.to_le_bytes().to_vec();
    out.extend_from_slice(&encode(uri, object, secrets));
    Bytes::from(out)
}

/// Reads what [`encode_freshened`] wrote.
pub fn decode_freshened(octets: &Bytes) -> Option<Decoded> {
    (octets.len() >= size_of::<u128>()).then(|| decode(&octets.slice(size_of::<u128>()..)))?
}

/// The head of an OBJECT or HEAD record, in which no value is of `secrets`.
pub fn encode(uri: &TargetUri, object: &Object, secrets: &SecretFields) -> Bytes {
    let parts = object.head.clone().hiding(secrets).to_parts();
    let mut out = Vec::with_capacity(256 + parts.fields.memory_bytes());
    encode_uri(&mut out, uri);
    if parts.method != Method::Get {
        put(&mut out, tag::METHOD, &[parts.method.as_str().as_bytes()]);
    }
    let received = match object.received {
        Version::Http10 => 0,
        Version::Http11 => 1,
        Version::Http2 => 2,
    };
    put(&mut out, tag::STATUS, &[&parts.status.to_le_bytes(), &[received]]);
    put(&mut out, tag::REASON, &[&parts.reason]);
    let times = [parts.times.request_time.0, parts.times.response_time.0, parts.initial_age];
    put(&mut out, tag::TIMES, &times.each_ref().map(|time| time.to_le_bytes()).each_ref().map(|t| &t[..]));
    put(&mut out, tag::ORIGIN, &[&ipv6(object.origin.ip()).octets(), &object.origin.port().to_le_bytes()]);
    put(&mut out, tag::LENGTH, &[&object.content.length().to_le_bytes()]);
    if object.head_generation != object.generation {
        put(&mut out, tag::HEAD_GENERATION, &[&object.head_generation.to_le_bytes()]);
    }
    if let StoredContent::Partial { spans, .. } = &object.content {
        for span in spans.iter() {
            let count = span.octets.len() as u64;
            put(&mut out, tag::SPAN, &[&span.first.to_le_bytes(), &count.to_le_bytes()]);
        }
    }
    for line in parts.fields.iter() {
        put(&mut out, tag::FIELD, &[&name_length(line.name), line.name, line.value]);
    }
    for (name, value) in &parts.selecting {
        let is_there = [u8::from(value.is_some())];
        put(
            &mut out,
            tag::SELECTING,
            &[&name_length(name), name, &is_there, value.as_deref().unwrap_or_default()],
        );
    }
    // The default, Larder's own name, is nearly always it.
    for name in parts.targets.names().filter(|_| !parts.targets.is_default()) {
        put(&mut out, tag::TARGET, &[name]);
    }
    Bytes::from(out)
}

/// The head of a VARY record: the generations of the variants, the newest first.
pub fn encode_variants(uri: &TargetUri, generations: &[u64]) -> Bytes {
    let mut out = Vec::with_capacity(128 + generations.len() * 13);
    encode_uri(&mut out, uri);
    for generation in generations {
        put(&mut out, tag::GENERATION, &[&generation.to_le_bytes()]);
    }
    Bytes::from(out)
}

/// The head of a record that says something of a URI alone.
pub fn encode_uri_only(uri: &TargetUri) -> Bytes {
    let mut out = Vec::with_capacity(64 + uri.path_and_query.len());
    encode_uri(&mut out, uri);
    Bytes::from(out)
}

/// Reads what [`encode`] wrote.
pub fn decode(octets: &Bytes) -> Option<Decoded> {
    let mut fields = Fields::builder();
    let (mut method, mut status, mut reason) = (Method::Get, None, Bytes::new());
    let (mut times, mut origin, mut length, mut head_generation) = (None, None, None, None);
    let (mut selecting, mut targets, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    for item in Items(octets.clone()) {
        let (tag, mut value) = item?;
        match tag {
            // What is no method was written by nobody, and would not be written as it was read.
            tag::METHOD => {
                method = is_token(&value).then(|| Method::of(Bytes::copy_from_slice(&value)))?;
            }
            tag::STATUS => {
                let number = value.try_get_u16_le().ok()?;
                status = Some((number, value.try_get_u8().ok()?));
            }
            tag::REASON => reason = Bytes::copy_from_slice(&value),
            tag::FIELD => {
                let name = named(&mut value)?;
                fields.push(&name, &value);
            }
            tag::TIMES => {
                let mut number = || value.try_get_u64_le().ok();
                times = Some((number()?, number()?, number()?));
            }
            tag::SELECTING => {
                let name = Bytes::copy_from_slice(&named(&mut value)?);
                let is_there = value.try_get_u8().ok()? == 1;
                selecting.push((name, is_there.then(|| Bytes::copy_from_slice(&value))));
            }
            tag::TARGET => targets.push(value),
            tag::ORIGIN => origin = Some(socket_address(&mut value)?),
            tag::LENGTH => length = Some(value.try_get_u64_le().ok()?),
            tag::HEAD_GENERATION => head_generation = Some(value.try_get_u64_le().ok()?),
            tag::SPAN => spans.push((value.try_get_u64_le().ok()?, value.try_get_u64_le().ok()?)),
            _ => {}
        }
    }
    let ((status, received), (request_time, response_time, initial_age)) = (status?, times?);
    let times = Times { request_time: Timestamp(request_time), response_time: Timestamp(response_time) };
    let fields = fields.build();
    let targets = if targets.is_empty() { Targets::default() } else { Targets::new(targets) };
    let parts = StoredParts { method, status, reason, fields, times, initial_age, selecting, targets };
    if !(200..=999).contains(&status) {
        return None;
    }
    Some(Decoded {
        uri: decode_uri(octets)?,
        head: StoredHead::from_parts(parts),
        origin: origin?,
        length: length?,
        received: match received {
            1 => Version::Http11,
            2 => Version::Http2,
            _ => Version::Http10,
        },
        spans,
        head_generation,
    })
}

/// Reads what [`encode_variants`] wrote.
pub fn decode_variants(octets: &Bytes) -> Option<Vec<u64>> {
    let mut generations = Vec::new();
    for item in Items(octets.clone()) {
        let (tag, mut value) = item?;
        if tag == tag::GENERATION {
            generations.push(value.try_get_u64_le().ok()?);
        }
    }
    Some(generations)
}

/// The URI of any record that has one.
pub fn decode_uri(octets: &Bytes) -> Option<TargetUri> {
    let (mut scheme_and_port, mut host, mut path) = (None, None, None);
    for item in Items(octets.clone()) {
        let (tag, mut value) = item?;
        match tag {
            tag::SCHEME_AND_PORT => {
                let scheme = value.try_get_u8().ok()?;
                scheme_and_port = Some((scheme, value.try_get_u16_le().ok()?));
            }
            tag::HOST => host = Host::parse_text(std::str::from_utf8(&value).ok()?).ok(),
            tag::PATH_AND_QUERY => path = Some(Bytes::copy_from_slice(&value)),
            _ => {}
        }
    }
    let (scheme, port) = scheme_and_port?;
    let scheme = if scheme == 1 { Scheme::Https } else { Scheme::Http };
    Some(TargetUri { scheme, authority: Authority { host: host?, port }, path_and_query: path? })
}

fn encode_uri(out: &mut Vec<u8>, uri: &TargetUri) {
    let scheme = u8::from(uri.scheme == Scheme::Https);
    put(out, tag::SCHEME_AND_PORT, &[&[scheme], &uri.authority.port.to_le_bytes()]);
    put(out, tag::HOST, &[uri.authority.host.as_str().as_bytes()]);
    put(out, tag::PATH_AND_QUERY, &[&uri.path_and_query]);
}

fn put(out: &mut Vec<u8>, tag: u8, value: &[&[u8]]) {
    let length: usize = value.iter().map(|part| part.len()).sum();
    out.push(tag);
    // Heads are limited to 128 KiB: see docs/store-format.md.
    out.extend_from_slice(&(length as u32).to_le_bytes());
    value.iter().for_each(|part| out.extend_from_slice(part));
}

/// A name's length in front of the name.
fn name_length(name: &[u8]) -> [u8; 4] {
    (name.len() as u32).to_le_bytes()
}

fn named(value: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(value.try_get_u32_le().ok()?).ok()?;
    (length <= value.len()).then(|| value.split_to(length))
}

fn ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn socket_address(value: &mut Bytes) -> Option<SocketAddr> {
    let address = Ipv6Addr::from_bits(value.try_get_u128().ok()?);
    let port = value.try_get_u16_le().ok()?;
    Some(SocketAddr::new(address.to_canonical(), port))
}

/// The tags and values; `None` once where the octets are damaged, and then the end.
struct Items(Bytes);

impl Iterator for Items {
    type Item = Option<(u8, Bytes)>;

    fn next(&mut self) -> Option<Option<(u8, Bytes)>> {
        if self.0.is_empty() {
            return None;
        }
        let mut item = || {
            let tag = self.0.try_get_u8().ok()?;
            let length = usize::try_from(self.0.try_get_u32_le().ok()?).ok()?;
            (length <= self.0.len()).then(|| (tag, self.0.split_to(length)))
        };
        let item = item();
        if item.is_none() {
            self.0.clear();
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{BodyLength, Request, Response, Target};
    use crate::store::{Span, Spans};

    fn uri(text: &'static str) -> TargetUri {
        match Target::parse(&Bytes::from_static(text.as_bytes()), &Method::Get) {
            Ok(Target::Absolute(uri)) => uri,
            other => panic!("{other:?}"),
        }
    }

    fn object(uri: &TargetUri) -> Object {
        let request = Request {
            method: Method::Get,
            target: Target::Absolute(uri.clone()),
            version: Version::Http11,
            fields: [("Accept-Encoding", "gzip, br"), ("Accept-Language", "")].into_iter().collect(),
            length: BodyLength::None,
            head_bytes: 0,
        };
        let response = Response {
            status: 203,
            reason: Bytes::from_static(b"Almost OK"),
            version: Version::Http10,
            fields: [
                ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("ETag", "\"a\""),
                ("X-Empty", ""),
                ("Cache-Control", "max-age=7"),
                ("Vary", "Accept-Encoding, X-Absent, accept-language"),
                ("Age", "12"),
            ]
            .into_iter()
            .collect(),
            length: BodyLength::Exact(5),
            head_bytes: 0,
            keep_alive: true,
        };
        let times = Times { request_time: Timestamp(1_000), response_time: Timestamp(1_001) };
        Object {
            head: StoredHead::new(&request, &response, times),
            rendered: Bytes::new(),
            content: StoredContent::new(vec![Bytes::from_static(b"hello")]),
            origin: "[2001:db8::1]:8080".parse().expect("an address"),
            received: Version::Http10,
            generation: 77,
            head_generation: 77,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (target, origin) in [
            ("http://a.example/", "192.0.2.1:80"),
            ("https://[2001:db8::7]:8443/x?y=%20z", "[2001:db8::1]:8080"),
            ("http://192.0.2.9:81/caf\u{e9}", "127.0.0.1:1"),
        ] {
            let uri = uri(target);
            let mut object = Object { origin: origin.parse().expect("an address"), ..object(&uri) };
            let targets: &[&str] = if uri.authority.port == 81 { &[] } else { &["CDN-Cache-Control", "X"] };
            let parts = StoredParts { targets: Targets::new(targets), ..object.head.to_parts() };
            object.head = StoredHead::from_parts(parts);
            let read = decode(&encode(&uri, &object, &SecretFields::default())).expect("whole");
            assert_eq!((&read.uri, read.origin), (&uri, object.origin));
            assert_eq!((read.length, read.received, read.head_generation), (5, Version::Http10, None));
            // All that a head is made of: the rest follows from it.
            let all = |head: &StoredHead| format!("{head:?}");
            assert_eq!(all(&read.head), all(&object.head));
            object.head_generation = 78;
            let freshened = encode_freshened(&uri, &object, 3, &SecretFields::default());
            assert_eq!(decode_freshened(&freshened).and_then(|read| read.head_generation), Some(78));
            assert_eq!(all(&decode_freshened(&freshened).expect("whole").head), all(&object.head));
            assert_eq!(freshened.get(..16), Some(&3u128.to_le_bytes()[..]));
            assert_eq!(decode_uri(&encode_uri_only(&uri)), Some(uri.clone()));
            let variants = encode_variants(&uri, &[3, 2, u64::MAX]);
            assert_eq!(decode_variants(&variants), Some(vec![3, 2, u64::MAX]));
            assert_eq!(decode_uri(&variants), Some(uri));
        }
    }

    #[test]
    fn the_places_of_a_part_are_read_again() {
        let uri = uri("http://a.example/");
        let span = |first, octets| Span { first, octets: Bytes::from_static(octets) };
        let spans = Spans::of([span(2, b"cd"), span(u64::MAX - 9, b"x")]);
        let content = StoredContent::Partial { spans, length: u64::MAX };
        let read = decode(&encode(&uri, &Object { content, ..object(&uri) }, &SecretFields::default()))
            .expect("whole");
        assert_eq!((read.length, read.spans), (u64::MAX, vec![(2, 2), (u64::MAX - 9, 1)]));
    }

    #[test]
    fn a_method_that_is_none_is_no_head() {
        let uri = uri("http://a.example/");
        let whole = encode(&uri, &object(&uri), &SecretFields::default()).to_vec();
        for (method, is_head) in [("POST", true), ("M-SEARCH", true), ("", false), ("PO ST", false)] {
            let mut octets = whole.clone();
            put(&mut octets, tag::METHOD, &[method.as_bytes()]);
            let read = decode(&Bytes::from(octets));
            assert_eq!(read.map(|read| read.head.method.as_str().to_owned()), is_head.then(|| method.into()));
        }
        let mut octets = whole;
        put(&mut octets, tag::METHOD, &[b"POS\xd4"]);
        assert!(decode(&Bytes::from(octets)).is_none());
    }

    #[test]
    fn damage_never_panics_and_cut_heads_are_none() {
        let uri = uri("http://a.example/b?c");
        let whole = encode(&uri, &object(&uri), &SecretFields::default()).to_vec();
        for end in 0..whole.len() {
            let cut = Bytes::copy_from_slice(&whole[..end]);
            let read = decode(&cut);
            // A cut at the end of an item leaves a shorter list: content_crc tells that it is one.
            assert!(read.is_none_or(|read| read.uri == uri), "cut at {end}");
            let _either = decode_variants(&cut);
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = Bytes::from(flipped);
            let _either = (decode(&flipped), decode_freshened(&flipped), decode_variants(&flipped));
        }
    }
}
