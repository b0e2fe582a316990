//! What a store's folder says about itself: its format, the secret of its keys, and which folders
//! know what was removed in it.
//!
//! ```text
//!   0  magic     8 B   "LarderSt"
//!   8  version   u32   of all formats in the folder; 1
//!  12  epoch     u32   how often the store was opened
//!  16  key       2×u64 of the hash that makes keys of URIs
//!  32  member    u64   random: who the folder is among several
//!  40  count     u32   of those behind, at most 64
//!  44  open with u64 … the members that it was open with last, itself among them
//!      crc       u32   CRC-32C of all before
//! ```
//!
//! The file of this name is the folder's right to its content. Where the right has been withdrawn,
//! because a removal could not be written down, it has another name, and the folder begins empty.
//!
//! Invariant: the file is replaced at once, so that it is whole at any moment.

use std::io;
use std::path::Path;

use bytes::{Buf as _, BufMut as _};

use super::files::Files;

/// The format that this Larder reads and writes.
pub const VERSION: u32 = 1;
/// Members of a set; arbitrary. One that is beyond would begin empty each time.
pub const MEMBERS_MAX: usize = 64;
const MAGIC: &[u8; 8] = b"LarderSt";
/// Octets in front of the list of members.
const FRONT: usize = 44;
const NAME: &str = "superblock";
const NAME_BESIDE: &str = "superblock.new";
const NAME_WITHDRAWN: &str = "superblock.withdrawn";

/// A folder's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    pub epoch: u32,
    /// Secret, so that nobody can choose URIs whose keys meet.
    pub hash_key: [u64; 2],
    /// Stays the folder's wherever it is mounted: keys are spread over folders by it.
    pub member: u64,
    /// The members that it was open with last, itself among them: what was removed then was
    /// removed in all of them.
    pub open_with: Vec<u64>,
}

/// Whether what lies in a folder is still in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    Kept,
    /// Something was removed that the folder's log does not know of.
    Withdrawn,
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
    /// Reads a folder's superblock, and whether the folder has a right to its content; `None` where
    /// there is none yet.
    pub fn load(
        files: &dyn Files,
        folder: &Path,
    ) -> io::Result<Option<Result<(Superblock, Right), InvalidSuperblock>>> {
        for (name, right) in [(NAME, Right::Kept), (NAME_WITHDRAWN, Right::Withdrawn)] {
            let file = match files.open(&folder.join(name)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // One octet more than the longest has: a longer one is none.
            let mut octets = [0; length_of(MEMBERS_MAX) + 1];
            let length = file.read_at(&mut octets, 0)?;
            let found = Superblock::decode(octets.get(..length).unwrap_or_default());
            return Ok(Some(found.map(|superblock| (superblock, right))));
        }
        Ok(None)
    }

    /// Puts this superblock in the place of the one before, for good. What is in the folder is in
    /// force from then on.
    pub fn store(&self, files: &dyn Files, folder: &Path) -> io::Result<()> {
        let beside = folder.join(NAME_BESIDE);
        remove_if_there(files, &beside)?;
        let file = files.create(&beside)?;
        file.write_all_at(&self.encode(), 0)?;
        file.sync()?;
        files.rename(&beside, &folder.join(NAME))?;
        files.sync_folder(folder)?;
        // It counts only where there is no other.
        remove_if_there(files, &folder.join(NAME_WITHDRAWN))
    }

    /// Takes a folder's right to its content away, for good. A file's new name needs no room, so
    /// that a full disk permits it.
    pub fn withdraw(files: &dyn Files, folder: &Path) -> io::Result<()> {
        match files.rename(&folder.join(NAME), &folder.join(NAME_WITHDRAWN)) {
            // It has none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        files.sync_folder(folder)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.put_u32_le(VERSION);
        out.put_u32_le(self.epoch);
        self.hash_key.iter().for_each(|word| out.put_u64_le(*word));
        out.put_u64_le(self.member);
        let listed = self.open_with.get(..MEMBERS_MAX).unwrap_or(&self.open_with);
        // At most MEMBERS_MAX.
        out.put_u32_le(listed.len() as u32);
        listed.iter().for_each(|member| out.put_u64_le(*member));
        out.put_u32_le(crc32c::crc32c(&out));
        out
    }

    fn decode(octets: &[u8]) -> Result<Superblock, InvalidSuperblock> {
        let (covered, mut crc) = octets
            .split_last_chunk::<4>()
            .map(|(front, crc)| (front, &crc[..]))
            .ok_or(InvalidSuperblock::Damaged)?;
        let mut at = covered.strip_prefix(MAGIC).ok_or(InvalidSuperblock::Damaged)?;
        let version = at.try_get_u32_le().or(Err(InvalidSuperblock::Damaged))?;
        // Another version may lay out the rest in another way, its checksum included.
        if version != VERSION {
            return Err(InvalidSuperblock::Version(version));
        }
        if covered.len() < FRONT || crc.get_u32_le() != crc32c::crc32c(covered) {
            return Err(InvalidSuperblock::Damaged);
        }
        let epoch = at.get_u32_le();
        let hash_key = [at.get_u64_le(), at.get_u64_le()];
        let (member, count) = (at.get_u64_le(), at.get_u32_le() as usize);
        if count > MEMBERS_MAX || octets.len() != length_of(count) {
            return Err(InvalidSuperblock::Damaged);
        }
        let open_with = (0..count).map(|_| at.get_u64_le()).collect();
        Ok(Superblock { epoch, hash_key, member, open_with })
    }
}

/// Octets of a superblock that lists so many members.
const fn length_of(members: usize) -> usize {
    FRONT + members * size_of::<u64>() + size_of::<u32>()
}

/// Removes a file that need not be there.
pub(super) fn remove_if_there(files: &dyn Files, path: &Path) -> io::Result<()> {
    match files.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_seen_and_other_versions_are_named() {
        for members in [0, 1, 3, MEMBERS_MAX as u64] {
            let open_with = (0..members).collect();
            let whole = Superblock { epoch: 7, hash_key: [1, 2], member: 3, open_with };
            let octets = whole.encode();
            assert_eq!(Superblock::decode(&octets), Ok(whole));
            for length in 0..octets.len() {
                let cut = Superblock::decode(&octets[..length]);
                assert_eq!(cut, Err(InvalidSuperblock::Damaged), "{length}");
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

    #[test]
    fn a_list_is_as_long_as_it_says() {
        let long = Superblock { epoch: 7, hash_key: [1, 2], member: 3, open_with: (0..100).collect() };
        let listed = Superblock::decode(&long.encode()).expect("whole").open_with;
        assert_eq!(
            listed,
            (0..MEMBERS_MAX as u64).collect::<Vec<_>>(),
            "what is beyond the limit is left out"
        );
        for count in [0u32, 2, 65, u32::MAX] {
            let mut octets = Superblock { open_with: vec![3], ..long.clone() }.encode();
            octets[40..44].copy_from_slice(&count.to_le_bytes());
            let crc = octets.len() - 4;
            let right = crc32c::crc32c(&octets[..crc]);
            octets[crc..].copy_from_slice(&right.to_le_bytes());
            assert_eq!(Superblock::decode(&octets), Err(InvalidSuperblock::Damaged), "{count}");
        }
    }
}
