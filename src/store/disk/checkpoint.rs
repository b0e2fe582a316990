//! The saved index: the table as it is, so that a start need not read the list of every segment.
//!
//! ```text
//!   0  magic     8 B   "LarderIx"
//!   8  version   u32   1
//!  12  identity  u32   CRC-32C of the secret of the keys
//!  16  segment   u64   what lies in this segment and later ones is read again
//!  24  purges    u32   how many
//!  28  length    u32   octets of the purges
//!  32  crc       u32   CRC-32C of octets 0 to 32
//!  36  purges    {seq u64, length u32, scope}…, crc u32
//!      256 ×     {length u32, crc u32, octets of the partition}
//! ```
//!
//! Why a table that is older than the log does no harm: the log's order is the truth, and what lies
//! behind the position is done again in order, which ends the same whether the table knew of it or
//! not. An entry whose segment has gone since finds no segment, and is forgotten when it is asked
//! for; and what had replaced or removed it lay behind it, so either it is read again or it went
//! later than the entry's own segment. Invariant: the file is replaced at once, each part of it is
//! compared with its checksum, and one that is wrong is no saved index at all.

use std::io;
use std::path::Path;

use bytes::{Buf as _, BufMut as _};

use super::files::{File, Files};
use super::index::Index;
use super::purges::{Purge, PurgeScope};

const MAGIC: &[u8; 8] = b"LarderIx";
const VERSION: u32 = 1;
const HEADER_LENGTH: usize = 36;
/// Octets that are gathered for one write; arbitrary.
const WRITTEN_AT_ONCE: usize = 1 << 20;
pub(super) const NAME: &str = "index";
const NAME_BESIDE: &str = "index.new";

/// What stands in a saved index beside the table.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// CRC-32C of the secret of the keys: an index of another store is none.
    pub identity: u32,
    /// The first segment that may hold what the table does not know.
    pub segment: u64,
    pub purges: Vec<Purge>,
}

/// The identity of a store with this secret.
pub fn identity(hash_key: [u64; 2]) -> u32 {
    let mut octets = Vec::new();
    hash_key.iter().for_each(|word| octets.put_u64_le(*word));
    crc32c::crc32c(&octets)
}

impl Checkpoint {
    /// Saves the index in the place of the one saved before. The table may change meanwhile.
    /// Gives the octets written.
    pub fn store(&self, index: &Index, files: &dyn Files, folder: &Path) -> io::Result<u64> {
        let beside = folder.join(NAME_BESIDE);
        match files.remove(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = files.create(&beside)?;
        let written = self.write(index, &*file);
        let renamed = written.and_then(|octets| {
            files.rename(&beside, &folder.join(NAME))?;
            Ok(octets)
        });
        if renamed.is_err() {
            // It takes room that a full disk does not have.
            let _stays = files.remove(&beside);
        }
        renamed
    }

    fn write(&self, index: &Index, file: &dyn File) -> io::Result<u64> {
        let mut octets = self.encode();
        let mut at = 0;
        for number in 0..=u8::MAX {
            let partition = index.partition(number);
            octets.put_u32_le(u32::try_from(partition.len()).map_err(io::Error::other)?);
            octets.put_u32_le(crc32c::crc32c(&partition));
            octets.extend_from_slice(&partition);
            if octets.len() >= WRITTEN_AT_ONCE || number == u8::MAX {
                file.write_all_at(&octets, at)?;
                at += octets.len() as u64;
                octets.clear();
            }
        }
        Ok(at)
    }

    /// Loads the saved index into an empty one; `None` when there is none that is whole, after
    /// which the index is not empty any more.
    pub fn load(
        index: &Index,
        files: &dyn Files,
        folder: &Path,
        identity: u32,
    ) -> io::Result<Option<Checkpoint>> {
        let file = match files.open(&folder.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut reading = Reading { file: &*file, at: 0, length: file.length()? };
        let Some(checkpoint) = Checkpoint::decode(&mut reading)? else { return Ok(None) };
        if checkpoint.identity != identity {
            return Ok(None);
        }
        for number in 0..=u8::MAX {
            let Some(front) = reading.next(8)? else { return Ok(None) };
            let mut front = front.as_slice();
            let (length, crc) = (front.get_u32_le(), front.get_u32_le());
            let Some(octets) = reading.next(length.into())? else { return Ok(None) };
            if crc32c::crc32c(&octets) != crc || index.load_partition(number, &octets).is_err() {
                return Ok(None);
            }
        }
        Ok((reading.at == reading.length).then_some(checkpoint))
    }

    fn encode(&self) -> Vec<u8> {
        let mut purges = Vec::new();
        for purge in &self.purges {
            let scope = purge.scope.encode();
            purges.put_u64_le(purge.seq);
            purges.put_u32_le(scope.len() as u32);
            purges.extend_from_slice(&scope);
        }
        let mut out = MAGIC.to_vec();
        out.put_u32_le(VERSION);
        out.put_u32_le(self.identity);
        out.put_u64_le(self.segment);
        out.put_u32_le(self.purges.len() as u32);
        out.put_u32_le(purges.len() as u32);
        out.put_u32_le(crc32c::crc32c(&out));
        out.extend_from_slice(&purges);
        out.put_u32_le(crc32c::crc32c(&purges));
        out
    }

    fn decode(reading: &mut Reading<'_>) -> io::Result<Option<Checkpoint>> {
        let Some(header) = reading.next(HEADER_LENGTH as u64)? else { return Ok(None) };
        let (covered, mut crc) = header.split_at(HEADER_LENGTH - 4);
        let Some(mut at) = covered.strip_prefix(MAGIC) else { return Ok(None) };
        if crc.get_u32_le() != crc32c::crc32c(covered) || at.get_u32_le() != VERSION {
            return Ok(None);
        }
        let (identity, segment) = (at.get_u32_le(), at.get_u64_le());
        let (count, length) = (at.get_u32_le(), at.get_u32_le());
        let Some(octets) = reading.next(u64::from(length) + 4)? else { return Ok(None) };
        let (octets, mut crc) = octets.split_at(length as usize);
        if crc.get_u32_le() != crc32c::crc32c(octets) {
            return Ok(None);
        }
        let purges: Option<Vec<Purge>> = {
            let mut rest = octets;
            (0..count).map(|_| decode_purge(&mut rest)).collect()
        };
        Ok(purges.map(|purges| Checkpoint { identity, segment, purges }))
    }
}

fn decode_purge(at: &mut &[u8]) -> Option<Purge> {
    let (seq, length) = (at.try_get_u64_le().ok()?, at.try_get_u32_le().ok()?);
    let (scope, rest) = at.split_at_checked(length as usize)?;
    *at = rest;
    Some(Purge { scope: PurgeScope::decode(scope).ok()?, seq })
}

/// A file that is read from front to back.
struct Reading<'a> {
    file: &'a dyn File,
    at: u64,
    length: u64,
}

impl Reading<'_> {
    /// The next octets; `None` when there are not so many.
    fn next(&mut self, octets: u64) -> io::Result<Option<Vec<u8>>> {
        if octets > self.length - self.at {
            return Ok(None);
        }
        // No more than the file has.
        let mut out = vec![0; octets as usize];
        let read = self.file.read_at(&mut out, self.at)?;
        self.at += octets;
        Ok((read == out.len()).then_some(out))
    }
}
