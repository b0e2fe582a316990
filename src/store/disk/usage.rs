//! What a disk holds and has done, in numbers.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Disk;
use super::scrub::ScrubUsage;

/// What a disk tier holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Octets of all segments.
    pub used_bytes: u64,
    /// Octets that the segments may take.
    pub size: u64,
    /// Records that the index points at.
    pub records: u64,
    /// Octets of memory that the index takes.
    pub index_bytes: u64,
    pub segments: u64,
    /// Octets written since the start.
    pub written_bytes: u64,
    /// Octets of segments that were removed since the start to make room.
    pub reclaimed_bytes: u64,
    /// Records read since the start, because they were asked for.
    pub reads: u64,
    /// Reads that the device or the file system has failed.
    pub read_errors: u64,
    /// Records that were found damaged.
    pub damaged: u64,
    /// Records that were refused because too many waited to be written.
    pub dropped: u64,
    /// Removals that a client was answered before they were written, because the disk was behind.
    pub late_removals: u64,
    /// Why it can't be written to any more; `None` while it can.
    pub read_only: Option<String>,
    /// What a look at all of it, in the background, has done so far.
    pub scrub: ScrubUsage,
}

impl DiskUsage {
    /// Both together.
    #[must_use]
    pub fn and(self, other: DiskUsage) -> DiskUsage {
        DiskUsage {
            used_bytes: self.used_bytes + other.used_bytes,
            size: self.size + other.size,
            records: self.records + other.records,
            index_bytes: self.index_bytes + other.index_bytes,
            segments: self.segments + other.segments,
            written_bytes: self.written_bytes + other.written_bytes,
            reclaimed_bytes: self.reclaimed_bytes + other.reclaimed_bytes,
            reads: self.reads + other.reads,
            read_errors: self.read_errors + other.read_errors,
            damaged: self.damaged + other.damaged,
            dropped: self.dropped + other.dropped,
            late_removals: self.late_removals + other.late_removals,
            read_only: self.read_only.or(other.read_only),
            scrub: self.scrub.and(other.scrub),
        }
    }
}

impl Disk {
    /// What it holds.
    pub fn usage(&self) -> DiskUsage {
        DiskUsage {
            used_bytes: self.inner.used.load(Ordering::Relaxed),
            size: self.inner.settings.size,
            records: self.inner.index.entries(),
            index_bytes: self.inner.index.memory_bytes(),
            segments: self.inner.segments.read().unwrap_or_else(PoisonError::into_inner).len() as u64,
            written_bytes: self.inner.written.load(Ordering::Relaxed),
            reclaimed_bytes: self.inner.reclaimed.load(Ordering::Relaxed),
            reads: self.inner.reads.load(Ordering::Relaxed),
            read_errors: self.inner.read_errors.load(Ordering::Relaxed),
            damaged: self.inner.damaged.load(Ordering::Relaxed),
            dropped: self.inner.dropped.load(Ordering::Relaxed),
            late_removals: self.inner.late_removals.load(Ordering::Relaxed),
            read_only: self.inner.lock_queue().read_only.clone(),
            scrub: self.inner.scrub.usage(),
        }
    }
}
