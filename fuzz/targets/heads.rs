//! What stands in front of a record's content. Any octets are read without harm, and what could be
//! read is the same when it is written and read again.

use bytes::Bytes;
use larder::caching::{SecretFields, StoredHead, StoredParts, Targets};
use larder::http::{Fields, Method, TargetUri, Version};
use larder::store::heads::{
    Decoded, decode, decode_freshened, decode_uri, decode_variants, encode, encode_freshened,
    encode_uri_only, encode_variants,
};
use larder::store::{Object, SPANS_MAX, Span, Spans, StoredContent};

use super::input::{Input, request, response, target, times};

/// A list of {tag, length, value}, as it is or with lengths that are right.
pub fn heads(data: &[u8]) {
    let mut input = Input(data);
    let is_list = input.number::<1>() == 1;
    let octets = Bytes::from(if is_list { listed(input) } else { input.rest().to_vec() });
    let uri = decode_uri(&octets);
    if let Some(uri) = &uri {
        assert_eq!(decode_uri(&encode_uri_only(uri)).as_ref(), Some(uri));
    }
    if let Some(generations) = decode_variants(&octets) {
        let uri = uri.unwrap_or_else(target);
        let again = encode_variants(&uri, &generations);
        assert_eq!((decode_variants(&again), decode_uri(&again)), (Some(generations), Some(uri)));
    }
    let _either = decode_freshened(&octets);
    let Some(mut decoded) = decode(&octets) else { return };
    // Secrets are written as hashes, which are themselves again.
    let secrets = SecretFields::default();
    decoded.head = decoded.head.hiding(&secrets);
    decoded.head_generation = decoded.head_generation.filter(|generation| *generation != GENERATION);
    let (object, uri) = (object(&mut decoded), decoded.uri.clone());
    let read = format!("{decoded:?}");
    let written = encode(&uri, &object, &secrets);
    let hiding = |mut decoded: Decoded| {
        decoded.head = decoded.head.hiding(&secrets);
        decoded
    };
    let again = hiding(decode(&written).expect("it was read before"));
    assert_eq!(format!("{again:?}"), read, "read, written and read again");
    let freshened =
        hiding(decode_freshened(&encode_freshened(&uri, &object, 7, &secrets)).expect("it was read before"));
    assert_eq!(format!("{freshened:?}"), read, "the head of a META");
}

/// {tag, length of one octet, value} as the format has it.
fn listed(mut input: Input<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    while !input.0.is_empty() {
        let tag = input.number::<1>() as u8;
        let length = input.number::<1>() as usize;
        let value = input.take(length);
        octets.push(tag);
        octets.extend_from_slice(&(value.len() as u32).to_le_bytes());
        octets.extend_from_slice(value);
    }
    octets
}

/// Of the content of the object; a head of the same one says nothing of it.
const GENERATION: u64 = 1;

/// The object whose head this is. Places that no object has are left out.
fn object(decoded: &mut Decoded) -> Object {
    let span = |&(first, count): &(u64, u64)| {
        let octets = Bytes::from(vec![b'x'; usize::try_from(count).ok().filter(|count| *count <= 1000)?]);
        (first.checked_add(count).is_some() && count > 0).then_some(Span { first, octets })
    };
    let spans: Option<Vec<Span>> = decoded.spans.iter().map(span).collect();
    let in_order = |spans: &Vec<Span>| {
        spans.len() <= SPANS_MAX && spans.is_sorted_by(|one, next| one.end() < next.first)
    };
    let content = match spans.filter(in_order) {
        Some(spans) if !spans.is_empty() => {
            StoredContent::Partial { spans: Spans::of(spans), length: decoded.length }
        }
        _ => {
            decoded.spans = Vec::new();
            StoredContent::Chunks { length: decoded.length }
        }
    };
    Object {
        head: StoredHead::from_parts(decoded.head.to_parts()),
        rendered: Bytes::new(),
        content,
        origin: decoded.origin,
        received: decoded.received,
        generation: GENERATION,
        head_generation: decoded.head_generation.unwrap_or(GENERATION),
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let fields =
        [("ETag", "\"a\""), ("Cache-Control", "max-age=7"), ("Vary", "Accept, X-Absent"), ("Age", "12")];
    let accept: Fields = [("Accept", "text/html")].into_iter().collect();
    let head = StoredHead::new(
        &request(Method::Get, accept),
        &response(203, fields.into_iter().collect()),
        times(0, 1),
    );
    let targets = Targets::new(["CDN-Cache-Control"]);
    let head = StoredHead::from_parts(StoredParts { targets, method: Method::Post, ..head.to_parts() });
    let span = |first, octets| Span { first, octets: Bytes::from_static(octets) };
    let spans = Spans::of([span(2, b"cd"), span(9, b"x")]);
    let object = Object {
        head,
        rendered: Bytes::new(),
        content: StoredContent::Partial { spans, length: 12 },
        origin: "[2001:db8::1]:8080".parse().expect("an address"),
        received: Version::Http2,
        generation: 77,
        head_generation: 77,
    };
    let mut seeds = Vec::new();
    for uri in ["http://a.example/b?c", "https://[2001:db8::7]:8443/", "http://192.0.2.9:81/caf%C3%A9"] {
        let uri = TargetUri::parse_absolute(&Bytes::from(uri)).expect("an absolute URI");
        let octets = encode(&uri, &object, &SecretFields::default());
        seeds.push([&[0], &octets[..]].concat());
        seeds.push([&[1], &short_lengths(&octets)[..]].concat());
    }
    // A method that is none was written as an empty one.
    let uri = target();
    let mut octets = short_lengths(&encode(&uri, &object, &SecretFields::default()));
    octets.extend_from_slice(b"\x04\x04POS\xd4");
    seeds.push([&[1], &octets[..]].concat());
    let variants = encode_variants(&uri, &[3, 2, u64::MAX]);
    seeds.push([&[1], &short_lengths(&variants)[..]].concat());
    seeds
}

/// The same items with lengths of one octet.
fn short_lengths(octets: &[u8]) -> Vec<u8> {
    let (mut input, mut out) = (Input(octets), Vec::new());
    while !input.0.is_empty() {
        let tag = input.number::<1>() as u8;
        let length = input.take(4)[0];
        out.extend_from_slice(&[tag, length]);
        out.extend_from_slice(input.take(usize::from(length)));
    }
    out
}
