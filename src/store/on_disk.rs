//! The tier on disk as the store sees it: which records make up an object, and how an object is
//! put together again from them.
//!
//! Content up to [`RECORD_CONTENT_MAX`] lies in one record with its head; more of it, or a part
//! of it, in chunks beside a HEAD record. A response that varies lies under a key of its own, and
//! a VARY record at the cache key lists the variants. A freshened head is a META record.
//!
//! Invariant: what is read is compared whole with what was asked for: URI and generation. Where
//! records lie, and that they are whole, is `disk/`'s to know.

use bytes::Bytes;

use super::disk::{Disk, Disks, Done, Found, Header, Kind, Record, Refused};
use super::heads::{self, Decoded};
use super::key::{Derived, HashKey, Key};
use super::object::{DiskContent, Layout, Object, Part, StoredContent};
use crate::caching::{ByteRange, StoredHead};
use crate::http::Version;

/// Content in one record with its head, at the most, in octets.
pub const RECORD_CONTENT_MAX: u64 = CHUNK_LENGTH;
/// Octets of a chunk; the last one of a content may be shorter.
pub const CHUNK_LENGTH: u64 = 1024 * 1024;
/// From here on content on disk isn't brought into memory: the system's page cache holds it.
/// A power of two that is well above what one read costs; arbitrary beyond that.
pub const LARGE: u64 = 64 * 1024;

/// Renders what [`Object::rendered`] holds.
pub type Render = dyn Fn(&StoredHead, Version) -> Bytes + Send + Sync;

/// Whether a read may wait for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Never,
    Block,
}

/// The device would have to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WouldBlock;

/// Why a record is not there.
enum Unread {
    WouldBlock,
    /// It is gone or damaged: a miss.
    Gone,
}

/// The folders, and what is needed to read and write objects there.
pub(super) struct OnDisk {
    pub disks: Disks,
    pub hash_key: HashKey,
    pub render: Box<Render>,
}

impl std::fmt::Debug for OnDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnDisk").field("disks", &self.disks).finish_non_exhaustive()
    }
}

impl OnDisk {
    /// All stored responses of a key, the newest first; empty when there is none.
    pub fn load(&self, key: Key<'_>, wait: Wait) -> Result<Vec<Object>, WouldBlock> {
        let Some(disk) = self.disks.of(key.hash) else { return Ok(Vec::new()) };
        let loading = Loading { tier: self, disk, key, wait };
        match loading.all() {
            Ok(objects) => Ok(objects),
            Err(Unread::Gone) => Ok(Vec::new()),
            Err(Unread::WouldBlock) => Err(WouldBlock),
        }
    }

    /// Queues an object's record, and that of its key's variants: `generations`, newest first.
    pub fn append(
        &self,
        key: Key<'_>,
        object: &Object,
        generations: &[u64],
        done: Option<Done>,
    ) -> Result<(), Refused> {
        let Some(disk) = self.disks.of(key.hash) else { return Err(Refused::Offline) };
        let (kind, body) = match &object.content {
            StoredContent::Memory { pieces, .. } => (Kind::Object, pieces.to_vec()),
            StoredContent::Disk(_) => (Kind::Head, Vec::new()),
        };
        let record = Record {
            key: self.record_key(key.hash, object),
            kind,
            // The object's own age: an invalidation since then is newer.
            seq: object.generation,
            generation: object.generation,
            part: 0,
            first: 0,
            head: heads::encode(key.uri, object),
            body,
        };
        disk.append(record, done)?;
        if object.head.varies() {
            disk.append(self.vary_record(key, generations), None)?;
        }
        Ok(())
    }

    /// Queues the list of a key's variants.
    pub fn append_variants(&self, key: Key<'_>, generations: &[u64]) -> Result<(), Refused> {
        let Some(disk) = self.disks.of(key.hash) else { return Err(Refused::Offline) };
        disk.append(self.vary_record(key, generations), None)
    }

    fn vary_record(&self, key: Key<'_>, generations: &[u64]) -> Record {
        Record {
            key: key.hash,
            kind: Kind::Vary,
            seq: self.disks.next_seq(),
            generation: generations.first().copied().unwrap_or_default(),
            part: 0,
            first: 0,
            head: heads::encode_variants(key.uri, generations),
            body: Vec::new(),
        }
    }

    /// Queues the freshened head of an object whose content stays as it is.
    pub fn append_freshened(&self, key: Key<'_>, object: &Object) -> Result<(), Refused> {
        let Some(disk) = self.disks.of(key.hash) else { return Err(Refused::Offline) };
        let record = Record {
            key: self.hash_key.derived(key.hash, object.generation, Derived::Meta),
            kind: Kind::Meta,
            seq: self.disks.next_seq(),
            generation: object.generation,
            part: 0,
            first: 0,
            head: heads::encode_freshened(key.uri, object, self.record_key(key.hash, object)),
            body: Vec::new(),
        };
        disk.append(record, None)
    }

    /// Queues a chunk of content, or a part of one that begins at octet `first` of it.
    pub fn append_chunk(
        &self,
        id: ContentId,
        chunk: u32,
        first: u32,
        body: Vec<Bytes>,
        done: Option<Done>,
    ) -> Result<(), Refused> {
        let Some(disk) = self.disks.of(id.key) else { return Err(Refused::Offline) };
        let record = Record {
            key: self.hash_key.derived(id.key, id.generation, Derived::Chunk(chunk)),
            kind: Kind::Chunk,
            seq: self.disks.next_seq(),
            generation: id.generation,
            part: chunk,
            first,
            head: Bytes::new(),
            body,
        };
        disk.append(record, done)
    }

    /// Whether the disk wants a new object of so many octets; if not, why.
    pub fn admits(&self, key: u128, octets: u64) -> Result<(), &'static str> {
        self.disks.of(key).map_or(Err("disk-off"), |disk| disk.admits(key, octets))
    }

    /// Whether the disk has, or is about to have, anything for this key.
    pub fn contains(&self, key: u128) -> bool {
        self.disks.of(key).is_some_and(|disk| disk.contains(key))
    }

    /// Whether the disk has, or is about to have, this object's own record.
    pub fn contains_object(&self, key: u128, object: &Object) -> bool {
        let record = self.record_key(key, object);
        self.disks.of(key).is_some_and(|disk| disk.contains(record))
    }

    /// Takes all of a key out of the index, at once. [`OnDisk::write_tombstone`] makes it last.
    pub fn remove(&self, key: u128) {
        if let Some(disk) = self.disks.of(key) {
            disk.remove(key);
        }
    }

    /// Writes down that all of a key is gone, and returns when a crash can't undo it. Waits for
    /// the device.
    pub fn write_tombstone(&self, key: Key<'_>) {
        let Some(disk) = self.disks.of(key.hash) else { return };
        let seq = self.disks.next_seq();
        let record = Record {
            key: key.hash,
            kind: Kind::Tombstone,
            seq,
            generation: seq,
            part: 0,
            first: 0,
            head: heads::encode_uri_only(key.uri),
            body: Vec::new(),
        };
        // The engine counts and tells failures; the index has forgotten the key already.
        if let Err(error) = disk.write_now(record) {
            tracing::debug!("an invalidation could not be written down: {error}");
        }
    }

    /// The parts of the octets from `first` to `last` of a content on disk, in order.
    pub fn parts(
        &self,
        id: ContentId,
        content: DiskContent,
        range: ByteRange,
        wait: Wait,
    ) -> Result<Vec<Part>, WouldBlock> {
        let Some(disk) = self.disks.of(id.key) else { return Ok(vec![Part::Missing(range)]) };
        let mut parts = Parts::default();
        match content.layout {
            Layout::Record(key) => self.piece(disk, key, id.generation, (0, range), wait, &mut parts)?,
            Layout::Chunks => {
                for number in range.first / CHUNK_LENGTH..=range.last / CHUNK_LENGTH {
                    let start = number * CHUNK_LENGTH;
                    let first = range.first.max(start);
                    let last = range.last.min(start + CHUNK_LENGTH - 1);
                    let within = ByteRange { first, last };
                    let Ok(number) = u32::try_from(number) else {
                        parts.missing(within);
                        continue;
                    };
                    let key = self.hash_key.derived(id.key, id.generation, Derived::Chunk(number));
                    self.piece(disk, key, id.generation, (start, within), wait, &mut parts)?;
                }
            }
        }
        Ok(parts.0)
    }

    /// Adds what one record has of the octets `wanted`; the record's chunk begins at `start`.
    fn piece(
        &self,
        disk: &Disk,
        key: u128,
        generation: u64,
        (start, wanted): (u64, ByteRange),
        wait: Wait,
        parts: &mut Parts,
    ) -> Result<(), WouldBlock> {
        let read = disk.find(key).ok_or(Unread::Gone).and_then(|found| {
            let (header, _head) = read_head(disk, &found, wait)?;
            Ok((found, header))
        });
        let (found, header) = match read {
            Ok((found, header)) if header.generation == generation => (found, header),
            Err(Unread::WouldBlock) => return Err(WouldBlock),
            Ok(_) | Err(Unread::Gone) => {
                parts.missing(wanted);
                return Ok(());
            }
        };
        let have_first = start + u64::from(header.first);
        let have_end = have_first + u64::from(header.body_length);
        if have_end <= wanted.first || have_first > wanted.last {
            parts.missing(wanted);
            return Ok(());
        }
        let (first, end) = (wanted.first.max(have_first), (wanted.last + 1).min(have_end));
        if wanted.first < first {
            parts.missing(ByteRange { first: wanted.first, last: first - 1 });
        }
        parts.0.push(Part::Extent(disk.extent(&found, &header).slice(first - have_first, end - first)));
        if end <= wanted.last {
            parts.missing(ByteRange { first: end, last: wanted.last });
        }
        Ok(())
    }

    /// The key of the record that an object begins with.
    pub fn record_key(&self, key: u128, object: &Object) -> u128 {
        if object.head.varies() {
            self.hash_key.derived(key, object.generation, Derived::Variant)
        } else {
            key
        }
    }
}

/// What names the pieces of one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentId {
    /// The hash of the cache key.
    pub key: u128,
    /// Of the object.
    pub generation: u64,
}

/// Parts in order; neighbours that are missing are one.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn missing(&mut self, range: ByteRange) {
        match self.0.last_mut() {
            Some(Part::Missing(before)) => before.last = range.last,
            _ => self.0.push(Part::Missing(range)),
        }
    }
}

/// One look for the objects of a key.
struct Loading<'a> {
    tier: &'a OnDisk,
    disk: &'a Disk,
    key: Key<'a>,
    wait: Wait,
}

impl Loading<'_> {
    fn all(&self) -> Result<Vec<Object>, Unread> {
        let found = self.disk.find(self.key.hash).ok_or(Unread::Gone)?;
        let (header, head, body) = self.read(&found)?;
        if header.kind != Kind::Vary {
            return Ok(self.object(self.key.hash, &header, &head, body)?.into_iter().collect());
        }
        if heads::decode_uri(&head).as_ref() != Some(self.key.uri) {
            return Err(Unread::Gone);
        }
        let mut objects = Vec::new();
        for generation in heads::decode_variants(&head).unwrap_or_default() {
            let key = self.tier.hash_key.derived(self.key.hash, generation, Derived::Variant);
            match self.variant(key, generation) {
                Ok(object) => objects.extend(object),
                // One variant may be gone while the others are not.
                Err(Unread::Gone) => {}
                Err(Unread::WouldBlock) => return Err(Unread::WouldBlock),
            }
        }
        Ok(objects)
    }

    fn variant(&self, key: u128, generation: u64) -> Result<Option<Object>, Unread> {
        let found = self.disk.find(key).ok_or(Unread::Gone)?;
        let (header, head, body) = self.read(&found)?;
        if header.generation != generation {
            return Err(Unread::Gone);
        }
        self.object(key, &header, &head, body)
    }

    /// A record; without its body when that stays on disk.
    fn read(&self, found: &Found) -> Result<(Header, Bytes, Option<Vec<Bytes>>), Unread> {
        // What this process has not checked yet is read whole, which checks it.
        if found.is_verified() && u64::from(found.length_max()) > LARGE {
            let (header, head) = read_head(self.disk, found, self.wait)?;
            return Ok((header, head, None));
        }
        let (header, record) = match self.wait {
            Wait::Never => self.disk.read_now(found).map_err(|_counted| Unread::Gone)?,
            Wait::Block => Some(self.disk.read(found).map_err(|_counted| Unread::Gone)?),
        }
        .ok_or(Unread::WouldBlock)?;
        Ok((header, record.head, Some(record.body)))
    }

    fn object(
        &self,
        key: u128,
        header: &Header,
        head: &Bytes,
        body: Option<Vec<Bytes>>,
    ) -> Result<Option<Object>, Unread> {
        let Some(mut decoded) = heads::decode(head).filter(|decoded| decoded.uri == *self.key.uri) else {
            return Ok(None);
        };
        let length = decoded.length;
        let layout = match header.kind {
            Kind::Object if length != u64::from(header.body_length) => return Ok(None),
            Kind::Object => Layout::Record(key),
            Kind::Head => Layout::Chunks,
            _ => return Ok(None),
        };
        let content = match body {
            Some(pieces) if layout != Layout::Chunks && length < LARGE => {
                StoredContent::new(detached(pieces))
            }
            _ => StoredContent::Disk(DiskContent { length, layout }),
        };
        if let Some(freshened) = self.freshened(header.generation)? {
            decoded.head = freshened.head;
            decoded.received = freshened.received;
        }
        Ok(Some(Object {
            rendered: (self.tier.render)(&decoded.head, decoded.received),
            head: decoded.head,
            content,
            origin: decoded.origin,
            received: decoded.received,
            generation: header.generation,
        }))
    }

    /// The head that the last 304 left, if there was one.
    fn freshened(&self, generation: u64) -> Result<Option<Decoded>, Unread> {
        let key = self.tier.hash_key.derived(self.key.hash, generation, Derived::Meta);
        let Some(found) = self.disk.find(key) else { return Ok(None) };
        let (header, head, _no_body) = match self.read(&found) {
            Ok(read) => read,
            Err(Unread::Gone) => return Ok(None),
            Err(Unread::WouldBlock) => return Err(Unread::WouldBlock),
        };
        let is_meant = header.kind == Kind::Meta && header.generation == generation;
        Ok(heads::decode_freshened(&head).filter(|decoded| is_meant && decoded.uri == *self.key.uri))
    }
}

fn read_head(disk: &Disk, found: &Found, wait: Wait) -> Result<(Header, Bytes), Unread> {
    match wait {
        Wait::Never => disk.read_head_now(found).map_err(|_counted| Unread::Gone)?.ok_or(Unread::WouldBlock),
        Wait::Block => disk.read_head(found).map_err(|_counted| Unread::Gone),
    }
}

/// Content in memory of its own: the buffer that it was read into holds the whole record.
fn detached(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let whole = Bytes::from(pieces.concat().into_boxed_slice());
    if whole.is_empty() { Vec::new() } else { vec![whole] }
}
