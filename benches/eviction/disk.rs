//! The disk tier itself before a trace: its index, its writing thread, its reclaim, its ghost. Contents are zeros, which
//! the files below it do not keep.

use std::io::{Error, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder::clock::Clock;
use larder::http::Timestamp;
use larder::store::disk::extent::Wanted;
use larder::store::disk::record::{Kind, Record};
use larder::store::disk::{Disk, DiskSettings, Refused, SEGMENT_SIZE};

use crate::Hits;
use crate::sparse::SparseFiles;
use crate::trace::Request;

/// Octets of content in one record; more of it lies in several.
const CHUNK: u64 = 1 << 20;
/// Of a response's head with its URI: a usual length.
const HEAD: usize = 420;
/// As `larder serve` chooses them for a disk of this size.
const SEGMENTS_MIN: u64 = 16;
const SEGMENT_MIN: u64 = 4 << 20;

/// What the disk has served and written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub hits: Hits,
    /// Octets written for responses that were fetched, and for all else: what reclaim has moved, lists, the index.
    pub admitted: u64,
    pub moved: u64,
}

/// Replays `trace` through a disk of `size` octets; `None` when that is too few segments for a choice.
pub fn replay(trace: &[Request], size: u64) -> Result<Option<Outcome>> {
    let segment_size = (size / SEGMENTS_MIN).clamp(SEGMENT_MIN, SEGMENT_SIZE);
    if size / segment_size < SEGMENTS_MIN / 2 {
        return Ok(None);
    }
    let settings = DiskSettings { size, segment_size };
    let clock = Clock::manual(Timestamp(1_700_000_000));
    let disk = Disk::open(Path::new("/"), settings, Arc::<SparseFiles>::default(), clock.clone(), [1, 2]);
    let disk = disk.map_err(Error::other)?;
    let zeros = Bytes::from(vec![0; CHUNK as usize]);
    let mut outcome = Outcome::default();
    let mut second = 0;
    for request in trace {
        clock.advance(Duration::from_secs(u64::from(request.second.saturating_sub(second))));
        second = request.second;
        let size = u64::from(request.size);
        let mut missing = Vec::new();
        let mut had = 0;
        for (part, length) in pieces(size) {
            // The index counts it as a use; nothing is read.
            let wanted = Wanted {
                key: key(request.object, part),
                kind: Kind::Object,
                generation: 0,
                part: 0,
                head_length: 0,
                body_length: length.max(1) as u32,
            };
            match disk.extent(wanted, (0, length.max(1))) {
                Some(_found) => had += length,
                None => missing.push((part, length)),
            }
        }
        outcome.hits.count(request.size, had as u32);
        let is_known = missing.len() < pieces(size).count();
        if missing.is_empty() || !is_known && !disk.admits(key(request.object, 0), Some(size)) {
            continue;
        }
        let mut last = None;
        for (part, length) in missing {
            let record = record(key(request.object, part), part, zeros.slice(..length as usize), &disk);
            outcome.admitted += record.stored_length(0);
            last = Some(append(&disk, &record)?);
        }
        last.map(|queued| disk.wait(queued));
    }
    outcome.moved = disk.usage().written_bytes.saturating_sub(outcome.admitted);
    Ok(Some(outcome))
}

fn append(disk: &Disk, record: &Record) -> Result<larder::store::disk::Queued> {
    loop {
        match disk.append(record.clone()) {
            Err(Refused::Queue) => std::thread::yield_now(),
            other => return other.map_err(Error::other),
        }
    }
}

fn record(key: u128, part: u32, content: Bytes, disk: &Disk) -> Record {
    let head = Bytes::from(vec![1; if part == 0 { HEAD } else { 16 }]);
    let seq = disk.next_seq();
    Record { key, kind: Kind::Object, seq, generation: seq, part: 0, first: 0, head, body: vec![content] }
}

/// Number and length of each of an object's pieces.
fn pieces(size: u64) -> impl Iterator<Item = (u32, u64)> {
    (0..size.div_ceil(CHUNK).max(1)).map(move |part| (part as u32, CHUNK.min(size - part * CHUNK)))
}

/// Spread as hashes are.
fn key(object: u64, part: u32) -> u128 {
    let number = u128::from(object) << 32 | u128::from(part);
    number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}
