//! A trace through the RAM tier, as the proxy uses it: a look-up, and on a miss the object is stored, unless it is
//! larger than an object may be.
//!
//! The contents share one buffer, of which each takes a slice of its length: the store counts lengths. All else is
//! real: the URI, the head with the field lines of an ordinary response, and what the store counts for them. The peers
//! count contents alone, so that of a cache of one size the store has less left for contents than they have.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use larder::caching::{StoredHead, StoredParts, Targets, Times};
use larder::http::{Fields, Method, TargetUri, Timestamp, Version};
use larder::store::{Key, Memory, Object, StoredContent};

use crate::Hits;
use crate::trace::Request;

/// The share of the memory that one object may take: what the store's settings have by default.
const OBJECT_SHARE_MAX: u64 = 4;

/// What responses are made of.
pub struct Responses {
    content: Bytes,
    head: StoredHead,
    rendered: Bytes,
}

impl Responses {
    /// For contents of up to `largest` octets.
    pub fn new(largest: usize) -> Responses {
        let lines: [(&[u8], &[u8]); 7] = [
            (b"Date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
            (b"Server", b"nginx"),
            (b"Content-Type", b"text/html; charset=utf-8"),
            (b"Content-Length", b"123456"),
            (b"Last-Modified", b"Mon, 13 Nov 2023 22:13:20 GMT"),
            (b"ETag", b"\"65529bd0-1e240\""),
            (b"Cache-Control", b"public, max-age=2592000"),
        ];
        let mut fields = Fields::builder();
        let mut rendered = b"HTTP/1.1 200 OK\r\n".to_vec();
        for (name, value) in lines {
            fields.push(name, value);
            rendered.extend([name, b": ", value, b"\r\n"].concat());
        }
        let now = Timestamp(1_700_000_000);
        let head = StoredHead::from_parts(StoredParts {
            method: Method::Get,
            status: 200,
            reason: Bytes::from_static(b"OK"),
            fields: fields.build(),
            times: Times { request_time: now, response_time: now },
            initial_age: 0,
            selecting: Vec::new(),
            targets: Targets::default(),
        });
        Responses { content: Bytes::from(vec![b'x'; largest]), head, rendered: Bytes::from(rendered) }
    }

    fn object(&self, size: u32, generation: u64) -> Object {
        Object {
            head: self.head.clone(),
            rendered: self.rendered.clone(),
            content: StoredContent::new(vec![self.content.slice(..self.content.len().min(size as usize))]),
            origin: SocketAddr::from((Ipv4Addr::LOCALHOST, 80)),
            received: Version::Http11,
            generation,
            head_generation: generation,
        }
    }
}

fn uri(object: u64) -> Option<TargetUri> {
    let text = format!("http://www.example.com/folder/page-{object:08}.html");
    TargetUri::parse_absolute(&Bytes::from(text)).ok()
}

/// Replays `trace` through a memory of `limit` octets.
pub fn replay(trace: &[Request], limit: u64, responses: &Responses) -> Hits {
    let memory = Memory::new(limit, limit / OBJECT_SHARE_MAX, 1);
    let mut hits = Hits::default();
    for request in trace {
        let Some(uri) = uri(request.object) else { continue };
        let key = Key { uri: &uri, hash: spread(request.object) };
        let hit = memory.variants(key).is_some();
        hits.count(request.size, if hit { request.size } else { 0 });
        if !hit && u64::from(request.size) <= memory.object_max() {
            let object = Arc::new(responses.object(request.size, 0));
            memory.update(key, |_stored| vec![object]);
        }
    }
    hits
}

/// A hash as the store's is: all its bits depend on all the object's.
fn spread(object: u64) -> u128 {
    let mut hash = u128::from(object).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    hash ^= hash >> 64;
    hash.wrapping_mul(0xD6E8_FEB8_6659_FD93_A076_1D64_78BD_642F) ^ (hash >> 32)
}
