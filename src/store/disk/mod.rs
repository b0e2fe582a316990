//! The tier on disk: one folder of log-structured segments, an index in RAM, and what keeps both
//! true through crashes, full disks and damage.

pub mod checkpoint;
pub mod files;
pub mod ghost;
pub mod index;
pub mod purges;
pub mod record;
pub mod segment;
pub mod superblock;

use std::sync::Arc;

use bytes::Bytes;

// What stands here until the engine does: a disk that keeps nothing, with its interface.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Head,
    Chunk,
    Meta,
    Vary,
    Tombstone,
    Purge,
}

#[derive(Clone, Debug)]
pub struct Record {
    pub key: u128,
    pub kind: Kind,
    pub seq: u64,
    pub generation: u64,
    pub part: u32,
    pub first: u32,
    pub head: Bytes,
    pub body: Vec<Bytes>,
}

#[derive(Clone, Debug)]
pub struct Header {
    pub key: u128,
    pub kind: Kind,
    pub seq: u64,
    pub generation: u64,
    pub part: u32,
    pub first: u32,
    pub head_length: u32,
    pub body_length: u32,
}

#[derive(Clone, Debug)]
pub struct Found;

impl Found {
    pub fn is_verified(&self) -> bool {
        false
    }
    pub fn length_max(&self) -> u32 {
        0
    }
}

#[derive(Clone, Debug)]
pub struct Extent {
    pub offset: u64,
    pub length: u64,
}

impl Extent {
    pub fn slice(&self, first: u64, length: u64) -> Extent {
        Extent { offset: self.offset + first, length }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the disk is offline")]
    Offline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read")]
pub struct ReadError;

pub type Done = Box<dyn FnOnce(Option<Extent>) + Send>;

#[derive(Debug)]
pub struct Disk;

impl Disk {
    pub fn find(&self, _key: u128) -> Option<Found> {
        None
    }
    pub fn contains(&self, _key: u128) -> bool {
        false
    }
    pub fn read_now(&self, _found: &Found) -> Result<Option<(Header, Record)>, ReadError> {
        Ok(None)
    }
    pub fn read(&self, _found: &Found) -> Result<(Header, Record), ReadError> {
        Err(ReadError)
    }
    pub fn read_head_now(&self, _found: &Found) -> Result<Option<(Header, Bytes)>, ReadError> {
        Ok(None)
    }
    pub fn read_head(&self, _found: &Found) -> Result<(Header, Bytes), ReadError> {
        Err(ReadError)
    }
    pub fn extent(&self, _found: &Found, header: &Header) -> Extent {
        Extent { offset: 0, length: header.body_length.into() }
    }
    pub fn append(&self, _record: Record, _done: Option<Done>) -> Result<(), Refused> {
        Err(Refused::Offline)
    }
    pub fn write_now(&self, _record: Record) -> Result<(), Refused> {
        Err(Refused::Offline)
    }
    pub fn remove(&self, _key: u128) {}
    pub fn admits(&self, _key: u128, _octets: u64) -> Result<(), &'static str> {
        Err("disk-off")
    }
}

#[derive(Debug)]
pub struct Disks {
    disks: Vec<Arc<Disk>>,
}

impl Disks {
    pub fn of(&self, _key: u128) -> Option<&Arc<Disk>> {
        self.disks.first()
    }
    pub fn hash_key(&self) -> [u64; 2] {
        [0, 0]
    }
    pub fn next_seq(&self) -> u64 {
        1
    }
    pub fn all(&self) -> &[Arc<Disk>] {
        &self.disks
    }
}
