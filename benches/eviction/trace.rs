//! The trace that the store and its peers replay: who was asked for, how large it is, when it is asked for again.
//!
//! The file is libcachesim's `oracleGeneral` layout, so that both sides read the same octets: per request, little
//! endian and without padding, u32 second, u64 object, u32 size in octets, i64 index of the object's next request
//! (-1: there is none; only Belady looks at it).

use std::collections::HashMap;
use std::fs;
use std::io::{Error, Result};
use std::path::Path;

/// Octets of one request in the file.
const REQUEST_BYTES: usize = 24;

#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Since the trace began.
    pub second: u32,
    pub object: u64,
    /// Octets of content; the same at each request of an object.
    pub size: u32,
    /// Index of the object's next request, or -1.
    pub next: i64,
}

pub struct Footprint {
    pub requests: u64,
    pub objects: u64,
    /// Objects that are asked for once.
    pub once: u64,
    /// Octets of all objects together.
    pub bytes: u64,
    /// Octets of all responses together.
    pub asked_bytes: u64,
}

/// Fills in when each object is asked for again.
pub fn link(requests: &mut [Request]) {
    let mut next = HashMap::new();
    for (at, request) in requests.iter_mut().enumerate().rev() {
        request.next = next.insert(request.object, at as i64).unwrap_or(-1);
    }
}

pub fn footprint(requests: &[Request]) -> Footprint {
    let mut seen: HashMap<u64, (u64, u32)> = HashMap::new();
    for request in requests {
        seen.entry(request.object).or_insert((0, request.size)).0 += 1;
    }
    Footprint {
        requests: requests.len() as u64,
        objects: seen.len() as u64,
        once: seen.values().filter(|(times, _)| *times == 1).count() as u64,
        bytes: seen.values().map(|(_, size)| u64::from(*size)).sum(),
        asked_bytes: requests.iter().map(|request| u64::from(request.size)).sum(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark's files block nobody")]
pub fn write(path: &Path, requests: &[Request]) -> Result<()> {
    let mut octets = Vec::with_capacity(requests.len() * REQUEST_BYTES);
    for request in requests {
        octets.extend(request.second.to_le_bytes());
        octets.extend(request.object.to_le_bytes());
        octets.extend(request.size.to_le_bytes());
        octets.extend(request.next.to_le_bytes());
    }
    fs::write(path, octets)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark's files block nobody")]
pub fn read(path: &Path) -> Result<Vec<Request>> {
    let octets = fs::read(path)?;
    let requests = octets.chunks(REQUEST_BYTES).map(decode).collect::<Option<Vec<_>>>();
    requests.filter(|requests| !requests.is_empty()).ok_or_else(|| Error::other("not a trace"))
}

fn decode(octets: &[u8]) -> Option<Request> {
    let (second, rest) = octets.split_first_chunk()?;
    let (object, rest) = rest.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    Some(Request {
        second: u32::from_le_bytes(*second),
        object: u64::from_le_bytes(*object),
        size: u32::from_le_bytes(*size),
        next: i64::from_le_bytes(*rest.first_chunk()?),
    })
}
