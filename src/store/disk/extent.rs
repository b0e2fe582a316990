//! Octets of a record's body, to be sent from their file: where they are, whether they can be
//! sent at once, and whether they are right.
//!
//! Invariant: before octets leave, the header of their record was compared with all that was asked
//! for, and the content was checked by this process, when it was written or since.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::index::Place;
use super::record::{ALIGNMENT, HEADER_LENGTH, Header, Kind};
use super::segment::{Segment, read_record};
use super::{Disk, Inner};

/// How far apart the octets are that are looked at to see whether the pages are there: what the
/// kernel reads ahead at once, twice.
const PROBE_STEP: u64 = 256 * 1024;

/// What the header of a record must say for its body to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub key: u128,
    pub kind: Kind,
    pub generation: u64,
    /// The number of the chunk.
    pub part: u32,
    pub head_length: u32,
    pub body_length: u32,
}

impl Wanted {
    /// Whether the record is the one: another's octets would be taken for this one's, and with another
    /// length they lie elsewhere.
    fn is(&self, header: &Header) -> bool {
        let Header { key, kind, generation, part, head_length, body_length, .. } = *header;
        *self == Wanted { key, kind, generation, part, head_length, body_length }
    }
}

/// Octets of one record's body. The file stays readable when its segment goes meanwhile.
#[derive(Clone)]
pub struct Extent {
    inner: Arc<Inner>,
    segment: Arc<Segment>,
    wanted: Wanted,
    place: Place,
    /// Of the octets in the file.
    at: u64,
    length: u64,
}

impl std::fmt::Debug for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Extent { at, length, .. } = self;
        f.debug_struct("Extent").field("at", at).field("length", length).finish_non_exhaustive()
    }
}

impl Disk {
    /// Octets `from` to `to`, the latter not included, of the body of a record. `None` when there is
    /// none with its key. Counts as a use.
    pub fn extent(&self, wanted: Wanted, (from, to): (u64, u64)) -> Option<Extent> {
        let Wanted { key, head_length, body_length, .. } = wanted;
        let place = self.inner.index.touch(key)?;
        let segment = self.inner.segment_in(place.slot)?;
        let at = u64::from(place.offset) * ALIGNMENT;
        let body_at = super::record::body_at(at, HEADER_LENGTH + head_length as usize, body_length.into());
        (from < to && to <= u64::from(body_length)).then(|| Extent {
            inner: self.inner.clone(),
            segment,
            wanted,
            place,
            at: body_at + from,
            length: to - from,
        })
    }
}

impl Extent {
    /// Octets.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the octets begin in the file of [`Extent::descriptor`].
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The file, for calls that send octets from file to socket; `None` where there is none.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.segment.file.descriptor()
    }

    /// The same, which [`Extent::check`] has found right.
    #[must_use]
    pub fn as_checked(&self) -> Extent {
        let place = Place { flags: self.place.flags | Place::VERIFIED, ..self.place };
        Extent { place, ..self.clone() }
    }

    /// Whether the octets were checked, belong to the key, and are in memory as far as can be
    /// told without waiting. If not, [`Extent::check`] finds out.
    pub fn is_ready(&self) -> bool {
        if !self.place.has(Place::VERIFIED) {
            return false;
        }
        let mut header = [0; HEADER_LENGTH];
        let file = &self.segment.file;
        let read = file.read_at_once(&mut header, u64::from(self.place.offset) * ALIGNMENT);
        let is_meant = read.is_ok_and(|read| read == HEADER_LENGTH)
            && Header::decode(&header).is_ok_and(|header| self.wanted.is(&header));
        let last = self.at + self.length - 1;
        let is_there = |at| file.read_at_once(&mut [0], at).is_ok_and(|read| read == 1);
        is_meant && (self.at..last).step_by(PROBE_STEP as usize).chain([last]).all(is_there)
    }

    /// Reads and checks the whole record, which brings it into the page cache; false when it is
    /// not what was asked for, in which case it is counted and forgotten. Waits for the device.
    pub fn check(&self) -> bool {
        let Place { slot, offset, .. } = self.place;
        let is_right = match read_record(&*self.segment.file, u64::from(offset) * ALIGNMENT) {
            Ok(Ok((header, _record))) => self.wanted.is(&header),
            Ok(Err(_damaged)) => false,
            Err(_failed) => {
                if self.inner.forget(self.wanted.key, slot, offset) {
                    self.inner.read_errors.fetch_add(1, Ordering::Relaxed);
                }
                return false;
            }
        };
        if is_right {
            self.inner.index.mark_verified(self.wanted.key, slot, offset);
            self.inner.reads.fetch_add(1, Ordering::Relaxed);
        } else if self.inner.forget(self.wanted.key, slot, offset) {
            self.inner.damaged.fetch_add(1, Ordering::Relaxed);
        }
        is_right
    }

    /// The octets from `from` on, `length_max` of them at the most. Waits for the device.
    pub fn read(&self, from: u64, length_max: u64) -> io::Result<Bytes> {
        let length = self.length.saturating_sub(from).min(length_max);
        let mut octets = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        if self.segment.file.read_at(&mut octets, self.at + from)? != octets.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(octets.into())
    }
}
