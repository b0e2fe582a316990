//! The last requests, for whoever asks what became of one.
//!
//! Invariant: bounded, and without allocation in the long run: each request overwrites the oldest
//! of its shard, whose buffers it takes over. The lock of a shard is held for copying some hundred
//! octets. What is kept is what the access log could have said, never a field of the request.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::caching::Outcome;
use crate::error::ErrorType;
use crate::http::{Authority, Method, Request, Target, TargetUri};

/// Arbitrary; numbers of requests are spread over them in turn.
const SHARDS: usize = 16;
/// Requests that are remembered, in all: arbitrary, about 1 MiB.
const REMEMBERED: usize = 4096;
/// Octets that are kept of a method.
const METHOD_MAX: usize = 64;
/// Octets that are kept of a URI.
const URI_MAX: usize = 2048;

/// The last requests of all workers.
#[derive(Debug)]
pub struct Recent {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    slots: Vec<Recalled>,
    /// The place of the oldest one, once all are taken.
    next: usize,
}

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Recalled {
    pub id: u64,
    pub finished_ms: u64,
    pub took_ms: u64,
    pub client: SocketAddr,
    /// Cut at 64 octets.
    pub method: Method,
    /// As logged, cut at 2 KiB.
    pub url: Vec<u8>,
    /// 0 when the client got no response.
    pub status: u16,
    pub outcome: Outcome,
    pub error: Option<ErrorType>,
    /// The rule that has blocked it.
    pub rule: Option<String>,
    /// What went wrong, in the log's words.
    pub detail: Option<String>,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Recent {
    /// Remembers a request; `about` says all but method and URL.
    pub(super) fn remember(&self, request: &Request, about: Recalled) {
        let mut shard = self.shard(about.id);
        let Shard { slots, next } = &mut *shard;
        if slots.len() < REMEMBERED / SHARDS {
            *next = slots.len();
            slots.push(about);
        } else if let Some(oldest) = slots.get_mut(*next) {
            let url = std::mem::take(&mut oldest.url);
            *oldest = Recalled { url, ..about };
        }
        if let Some(recalled) = slots.get_mut(*next) {
            recalled.method = remembered(&request.method);
            write_target(&mut recalled.url, &request.target);
        }
        *next = (*next + 1) % (REMEMBERED / SHARDS);
    }

    /// The request with this number, if it is remembered still.
    pub fn recall(&self, id: u64) -> Option<Recalled> {
        self.shard(id).slots.iter().find(|recalled| recalled.id == id).cloned()
    }

    /// The last request for a URI that this picks.
    pub fn last_for(&self, uri: &TargetUri, wanted: impl Fn(&Recalled) -> bool) -> Option<Recalled> {
        let mut url = Vec::new();
        write_target(&mut url, &Target::Absolute(uri.clone()));
        let mut last: Option<Recalled> = None;
        for shard in &self.shards {
            let shard = lock(shard);
            let found = shard.slots.iter().filter(|recalled| recalled.url == url && wanted(recalled));
            let found = found.max_by_key(|recalled| recalled.id);
            last = last.into_iter().chain(found.cloned()).max_by_key(|recalled| recalled.id);
        }
        last
    }

    #[expect(clippy::indexing_slicing, reason = "there are SHARDS of them")]
    fn shard(&self, id: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[id as usize % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // No code panics between the halves of a change.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token of a client's own is copied: it lies in the buffer that its request was read into.
fn remembered(method: &Method) -> Method {
    match method {
        Method::Other(token) => {
            Method::Other(Bytes::copy_from_slice(token.get(..METHOD_MAX).unwrap_or(token)))
        }
        known => known.clone(),
    }
}

/// Without the machinery of formatting: this is on every request's path.
fn write_target(out: &mut Vec<u8>, target: &Target) {
    out.clear();
    match target {
        Target::Absolute(uri) => {
            out.extend_from_slice(uri.scheme.as_str().as_bytes());
            out.extend_from_slice(b"://");
            write_authority(out, &uri.authority, uri.scheme.default_port());
            if &uri.path_and_query[..] != b"*" {
                out.extend_from_slice(&uri.path_and_query);
            }
        }
        Target::Authority(authority) => write_authority(out, authority, 0),
        Target::Origin(path) => out.extend_from_slice(path),
        Target::Asterisk => out.push(b'*'),
    }
    out.truncate(URI_MAX);
    // A long one was here before.
    out.shrink_to(URI_MAX);
}

fn write_authority(out: &mut Vec<u8>, authority: &Authority, default_port: u16) {
    use std::io::Write as _;
    let host = authority.host.as_str().as_bytes();
    match authority.host.ip() {
        Some(IpAddr::V6(_)) => out.extend([b"[", host, b"]"].concat()),
        _ => out.extend_from_slice(host),
    }
    if authority.port != default_port {
        // Writing to a Vec does not fail.
        let _infallible = write!(out, ":{}", authority.port);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::caching::Handled;
    use crate::http::{BodyLength, Fields, Version};

    fn request(method: Method, target: Target) -> Request {
        let fields = Fields::default();
        Request { method, target, version: Version::Http11, fields, length: BodyLength::None, head_bytes: 0 }
    }

    fn get(url: &str) -> Request {
        let raw = Bytes::copy_from_slice(url.as_bytes());
        request(Method::Get, Target::parse(&raw, &Method::Get).expect("a target"))
    }

    fn about(id: u64) -> Recalled {
        Recalled {
            id,
            finished_ms: id * 1000,
            took_ms: 1,
            client: (Ipv4Addr::LOCALHOST, 1).into(),
            method: Method::Get,
            url: Vec::new(),
            status: 200,
            outcome: Outcome::new(Handled::Hit),
            error: None,
            rule: None,
            detail: None,
        }
    }

    #[test]
    fn urls_are_written_as_they_are_shown_elsewhere() {
        let recent = Recent::default();
        let urls = [
            "http://a.example/",
            "http://a.example:81/x?y",
            "http://[2001:db8::1]/z",
            "http://[::1]:8080/",
            "http://192.0.2.1/%7e",
            "https://a.example/",
        ];
        for (id, url) in (1..).zip(urls) {
            let request = get(url);
            recent.remember(&request, about(id));
            let recalled = recent.recall(id).expect("the request just made");
            assert_eq!(String::from_utf8_lossy(&recalled.url), url);
            let Target::Absolute(uri) = &request.target else { panic!("{url} is absolute") };
            assert_eq!(uri.to_string(), url);
            assert_eq!(recent.last_for(uri, |_| true).map(|recalled| recalled.id), Some(id));
        }
        let authority = Authority::parse(&Bytes::from_static(b"a.example:443"), None).expect("an authority");
        recent.remember(&request(Method::Connect, Target::Authority(authority)), about(99));
        let recalled = recent.recall(99).expect("the request just made");
        assert_eq!((recalled.method.as_str(), &recalled.url[..]), ("CONNECT", &b"a.example:443"[..]));
    }

    #[test]
    fn the_oldest_is_forgotten_and_nothing_else() {
        let recent = Recent::default();
        let (many, long) = (2 * REMEMBERED as u64 + 7, "x".repeat(3 * URI_MAX));
        for id in 0..many {
            let url = if id % 5 == 0 {
                format!("http://a.example/{long}")
            } else {
                format!("http://a.example/{id}")
            };
            recent.remember(&get(&url), about(id));
        }
        for id in many - REMEMBERED as u64..many {
            let recalled = recent.recall(id).expect("one of the last");
            assert!(recalled.url.len() <= URI_MAX && recalled.url.capacity() <= 2 * URI_MAX);
            assert_eq!((recalled.id, recalled.method.as_str()), (id, "GET"));
            assert!(id % 5 == 0 || recalled.url == format!("http://a.example/{id}").into_bytes());
        }
        assert!((0..many - REMEMBERED as u64).all(|id| recent.recall(id).is_none()));
    }

    #[test]
    fn the_last_one_that_is_wanted_is_found() {
        let recent = Recent::default();
        for id in 0..40 {
            let status = if id == 17 { 500 } else { 200 };
            recent.remember(&get("http://a.example/"), Recalled { status, ..about(id) });
        }
        let Target::Absolute(uri) = get("http://a.example/").target else { panic!("an absolute URI") };
        let found = |wanted: &dyn Fn(&Recalled) -> bool| recent.last_for(&uri, wanted).map(|it| it.id);
        assert_eq!(found(&|_| true), Some(39));
        assert_eq!(found(&|recalled| recalled.status == 500), Some(17));
        assert_eq!(found(&|recalled| recalled.status == 404), None);
    }
}
