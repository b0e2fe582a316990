//! A model of the disk tier's eviction, segment by segment: lengths without octets, a week in a fraction of a second.
//!
//! It is not the store. It stands beside the store so that a number of the policy can be turned before the store is
//! changed, and its rows say that they are a model's. It counts all that the store writes of a record: its header, the
//! response's head, and what alignment costs.
//!
//! Not modelled: the write queue's overflow, restarts, variants, freshening.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::Hits;
use crate::trace::Request;

/// Octets of content in one record; more of it lies in several, which live and die on their own.
const CHUNK: u64 = 1 << 20;
/// What a record takes beside content: its own header, and the response's head with the URI (a usual length).
const RECORD_OVERHEAD: u64 = 64 + 420;
/// Records begin at multiples of this; contents from `LARGE` on at multiples of a page.
const ALIGNMENT: u64 = 256;
const LARGE: u64 = 64 * 1024;
const PAGE: u64 = 4096;

/// Segments of a disk, unless they would be smaller than the longest record.
const SEGMENTS: u64 = 160;
const SEGMENT_MIN: u64 = CHUNK * 5 / 4;
/// A disk of fewer has nothing to choose from; arbitrary.
const SEGMENTS_MIN: u64 = 8;

/// The share of the disk that probation is held to.
const PROBATION_SHARE: f64 = 0.1;
/// Uses since it was written that a record needs to live on, in probation and in main. They count up to a limit.
const USES_TO_LIVE: u8 = 1;
const USES_MAX: u8 = 7;
/// The share of a segment of main that is kept, hottest first.
const KEPT_SHARE_MAX: f64 = 0.75;
/// Ghosts, as a share of the records on disk, and at least so many.
const GHOST_SHARE: f64 = 1.0;
const GHOSTS_MIN: usize = 64;
/// All is admitted until so much of the disk is used; then ghosts, and what the budget has room for: so many times
/// the disk's size a day, saved for a day at the most.
const FREE_SHARE: f64 = 0.8;
const BUDGET_PER_DAY: f64 = 1.0;

/// What is admitted once the disk is nearly full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    All,
    Budget,
}

/// What the disk has served and written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub hits: Hits,
    /// Octets written for responses that were fetched, and for records that reclaim has moved.
    pub admitted: u64,
    pub moved: u64,
}

/// Replays `trace` through a disk of `size` octets; `None` when that is too few for the policy to mean anything.
pub fn replay(trace: &[Request], size: u64, admission: Admission) -> Option<Outcome> {
    if size < SEGMENT_MIN * SEGMENTS_MIN {
        return None;
    }
    let mut disk = Disk::new(size, admission);
    for request in trace {
        let had = disk.look_up(request.object, request.size);
        disk.outcome.hits.count(request.size, had);
        if had < request.size {
            disk.store(request);
        }
    }
    Some(disk.outcome)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Piece {
    object: u64,
    part: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    uses: u8,
}

#[derive(Debug)]
struct Segment {
    id: u64,
    records: Vec<(Piece, u64)>,
    used: u64,
}

/// Segments, the oldest first; the last one is being written.
type Segments = VecDeque<Segment>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Probation,
    Main,
}

#[derive(Debug)]
struct Disk {
    size: u64,
    segment_size: u64,
    admission: Admission,
    index: HashMap<Piece, Place>,
    probation: Segments,
    main: Segments,
    segments_ever: u64,
    ghosts: VecDeque<u64>,
    is_ghost: HashSet<u64>,
    budget: f64,
    second: u32,
    outcome: Outcome,
}

impl Disk {
    fn new(size: u64, admission: Admission) -> Disk {
        Disk {
            size,
            segment_size: (size / SEGMENTS).max(SEGMENT_MIN),
            admission,
            index: HashMap::new(),
            probation: Segments::new(),
            main: Segments::new(),
            segments_ever: 0,
            ghosts: VecDeque::new(),
            is_ghost: HashSet::new(),
            budget: BUDGET_PER_DAY * size as f64,
            second: 0,
            outcome: Outcome::default(),
        }
    }

    /// Octets of the object that are there; a use of each of its pieces.
    fn look_up(&mut self, object: u64, size: u32) -> u32 {
        let mut had = 0;
        for (part, length) in pieces(size) {
            if let Some(place) = self.index.get_mut(&Piece { object, part }) {
                place.uses = (place.uses + 1).min(USES_MAX);
                had += length as u32;
            }
        }
        had
    }

    /// Writes what is missing of an object, if it is admitted.
    fn store(&mut self, request: &Request) {
        let Request { object, size, second, .. } = *request;
        let was_seen = self.is_ghost.remove(&object);
        if !was_seen && !self.admits(size, second) {
            // So that the second request for it is no stranger.
            self.note(object);
            return;
        }
        let stream = if was_seen { Stream::Main } else { Stream::Probation };
        for (part, length) in pieces(size) {
            let piece = Piece { object, part };
            if !self.index.contains_key(&piece) {
                let length = record_length(length);
                self.outcome.admitted += length;
                self.append(stream, piece, length);
            }
        }
    }

    fn admits(&mut self, size: u32, second: u32) -> bool {
        let per_day = BUDGET_PER_DAY * self.size as f64;
        let days = f64::from(second - self.second) / 86400.0;
        self.second = second;
        self.budget = (self.budget + days * per_day).min(per_day);
        if self.admission == Admission::All || (self.used() as f64) < FREE_SHARE * self.size as f64 {
            return true;
        }
        let has_room = self.budget >= f64::from(size);
        if has_room {
            self.budget -= f64::from(size);
        }
        has_room
    }

    fn used(&self) -> u64 {
        (self.probation.len() + self.main.len()) as u64 * self.segment_size
    }

    fn append(&mut self, stream: Stream, piece: Piece, length: u64) {
        let segment_size = self.segment_size;
        if self.stream(stream).back().is_none_or(|open| open.used + length > segment_size) {
            self.segments_ever += 1;
            let segment = Segment { id: self.segments_ever, records: Vec::new(), used: 0 };
            self.stream(stream).push_back(segment);
            while self.used() > self.size && self.reclaim() {}
        }
        let Some(open) = self.stream(stream).back_mut() else { return };
        open.used += length;
        open.records.push((piece, length));
        let place = Place { segment: open.id, uses: 0 };
        self.index.insert(piece, place);
    }

    fn stream(&mut self, stream: Stream) -> &mut Segments {
        match stream {
            Stream::Probation => &mut self.probation,
            Stream::Main => &mut self.main,
        }
    }

    /// Gives up one segment; false when there is none to give up.
    fn reclaim(&mut self) -> bool {
        let probation_max = PROBATION_SHARE * self.size as f64;
        let is_too_long = (self.probation.len() as u64 * self.segment_size) as f64 > probation_max;
        let stream = if self.probation.len() > 1 && (is_too_long || self.main.len() < 2) {
            Stream::Probation
        } else {
            Stream::Main
        };
        let Some(victim) = self.stream(stream).pop_front() else { return false };
        let mut living: Vec<(u8, Piece, u64)> = victim
            .records
            .iter()
            .filter_map(|(piece, length)| {
                let place = self.index.get(piece).filter(|place| place.segment == victim.id)?;
                Some((place.uses, *piece, *length))
            })
            .collect();
        living.sort_by_key(|(uses, ..)| Reverse(*uses));
        let mut room = match stream {
            Stream::Probation => self.segment_size,
            Stream::Main => (self.segment_size as f64 * KEPT_SHARE_MAX) as u64,
        };
        for (uses, piece, length) in living {
            self.index.remove(&piece);
            if uses >= USES_TO_LIVE && length <= room {
                room -= length;
                self.outcome.moved += length;
                self.append(Stream::Main, piece, length);
            } else if piece.part == 0 {
                self.note(piece.object);
            }
        }
        true
    }

    fn note(&mut self, object: u64) {
        if self.is_ghost.insert(object) {
            self.ghosts.push_back(object);
        }
        let most = (self.index.len() as f64 * GHOST_SHARE) as usize + GHOSTS_MIN;
        while self.ghosts.len() > most {
            if let Some(oldest) = self.ghosts.pop_front() {
                self.is_ghost.remove(&oldest);
            }
        }
    }
}

/// Number and length of each of an object's pieces.
fn pieces(size: u32) -> impl Iterator<Item = (u32, u64)> {
    let size = u64::from(size);
    (0..size.div_ceil(CHUNK).max(1)).map(move |part| (part as u32, CHUNK.min(size - part * CHUNK)))
}

/// Octets of a segment that a record with so much content takes.
fn record_length(content: u64) -> u64 {
    let before = if content < LARGE { RECORD_OVERHEAD } else { RECORD_OVERHEAD.next_multiple_of(PAGE) };
    (before + content).next_multiple_of(ALIGNMENT)
}
