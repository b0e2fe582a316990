//! What a store's folder says about itself: its format, and the secret of its keys.
//!
//! ```text
//!   0  magic     8 B   "LarderSt"
//!   8  version   u32   of all formats in the folder; 1
//!  12  epoch     u32   how often the store was opened
//!  16  key       2×u64 of the hash that makes keys of URIs
//!  32  member    u64   random: who the folder is among several
//!  40  crc       u32   CRC-32C of octets 0 to 40
//! ```
//!
//! Invariant: the file is replaced at once, so that it is whole at any moment.

use std::io;
use std::path::Path;

use bytes::{Buf as _, BufMut as _};

use super::files::Files;

/// The format that this Larder reads and writes.
pub const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"LarderSt";
const LENGTH: usize = 44;
const NAME: &str = "superblock";
const NAME_BESIDE: &str = "superblock.new";

/// A folder's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    pub epoch: u32,
    /// Secret, so that nobody can choose URIs whose keys meet.
    pub hash_key: [u64; 2],
    /// Stays the folder's wherever it is mounted: keys are spread over folders by it.
    pub member: u64,
}

/// Why octets are no superblock of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSuperblock {
    #[error("it is damaged")]
    Damaged,
    #[error("it has format {0}, and this larder reads format {VERSION}")]
    Version(u32),
}

impl Superblock {
    /// Reads a folder's superblock; `None` where there is none yet.
    pub fn load(
        files: &dyn Files,
        folder: &Path,
    ) -> io::Result<Option<Result<Superblock, InvalidSuperblock>>> {
        let file = match files.open(&folder.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut octets = [0; LENGTH];
        let length = file.read_at(&mut octets, 0)?;
        Ok(Some(Superblock::decode(octets.get(..length).unwrap_or_default())))
    }

    /// Puts this superblock in the place of the one before, for good.
    pub fn store(&self, files: &dyn Files, folder: &Path) -> io::Result<()> {
        let beside = folder.join(NAME_BESIDE);
        match files.remove(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = files.create(&beside)?;
        file.write_all_at(&self.encode(), 0)?;
        file.sync()?;
        files.rename(&beside, &folder.join(NAME))?;
        files.sync_folder(folder)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.put_u32_le(VERSION);
        out.put_u32_le(self.epoch);
        self.hash_key.iter().for_each(|word| out.put_u64_le(*word));
        out.put_u64_le(self.member);
        out.put_u32_le(crc32c::crc32c(&out));
        out
    }

    fn decode(octets: &[u8]) -> Result<Superblock, InvalidSuperblock> {
        let (covered, mut crc) = octets.split_at_checked(LENGTH - 4).ok_or(InvalidSuperblock::Damaged)?;
        let mut at = covered.strip_prefix(MAGIC).ok_or(InvalidSuperblock::Damaged)?;
        let version = at.get_u32_le();
        // Another version may lay out the rest in another way, its checksum included.
        if version != VERSION {
            return Err(InvalidSuperblock::Version(version));
        }
        if crc.try_get_u32_le() != Ok(crc32c::crc32c(covered)) {
            return Err(InvalidSuperblock::Damaged);
        }
        Ok(Superblock {
            epoch: at.get_u32_le(),
            hash_key: [at.get_u64_le(), at.get_u64_le()],
            member: at.get_u64_le(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_seen_and_other_versions_are_named() {
        let whole = Superblock { epoch: 7, hash_key: [1, 2], member: 3 };
        let octets = whole.encode();
        assert_eq!(Superblock::decode(&octets), Ok(whole));
        for length in 0..octets.len() {
            assert_eq!(Superblock::decode(&octets[..length]), Err(InvalidSuperblock::Damaged));
        }
        for bit in 0..octets.len() * 8 {
            let mut flipped = octets.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                8..12 => InvalidSuperblock::Version(VERSION ^ 1 << (bit - 64)),
                _ => InvalidSuperblock::Damaged,
            };
            assert_eq!(Superblock::decode(&flipped), Err(expected), "bit {bit}");
        }
    }
}
