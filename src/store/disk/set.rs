//! Several folders as one store: what their superblocks must say, and which of them has a key.
//!
//! All records of one cache key lie in one folder, so that each folder's log is the truth about the
//! keys that it has. Which one that is, is found by rendezvous hashing (Thaler and Ravishankar 1998)
//! with the folders' sizes as weights: a folder that comes or goes moves its own share only.
//!
//! Invariant: what was removed while a folder was away does not come back with it. The folders of a
//! set are opened together and count together; one that has missed a turn may have missed a removal,
//! and begins empty.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::segment::id_of;
use super::superblock::Superblock;
use super::{Disk, DiskSettings, OpenError};
use crate::clock::Clock;

/// What the superblocks of a set have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    pub hash_key: [u64; 2],
    /// Of this turn.
    pub epoch: u32,
}

/// Opens folders that are one store. One that can't be read or written is left out, with a
/// warning; another's, or one in use, is an error. `random` gives each new folder what it needs.
pub fn open(
    folders: &[(PathBuf, DiskSettings)],
    files: &Arc<dyn Files>,
    clock: &Clock,
    mut random: impl FnMut() -> [u64; 2],
) -> Result<Vec<Disk>, OpenError> {
    let set = match find(folders, &**files) {
        Some(newest) => Set { hash_key: newest.hash_key, epoch: newest.epoch.wrapping_add(1) },
        None => Set { hash_key: random(), epoch: 1 },
    };
    let mut disks = Vec::new();
    for (folder, settings) in folders {
        match Disk::open_member(folder, *settings, files.clone(), clock.clone(), random(), Some(set)) {
            Ok(disk) => disks.push(disk),
            Err(error @ OpenError::Io(..)) => tracing::warn!("{error}; the cache does without it"),
            Err(error) => return Err(error),
        }
    }
    Ok(disks)
}

/// The superblock of the folder that was opened last: of the set, as far as that can be told.
fn find(folders: &[(PathBuf, DiskSettings)], files: &dyn Files) -> Option<Superblock> {
    // What can't be read is told when it is opened.
    let load = |(folder, _): &(PathBuf, DiskSettings)| Superblock::load(files, folder).ok()??.ok();
    folders.iter().filter_map(load).max_by_key(|superblock| superblock.epoch)
}

/// Takes a locked folder into this turn of its set, or of its own if it is alone.
pub(super) fn join(
    files: &dyn Files,
    folder: &Path,
    random: [u64; 2],
    set: Option<Set>,
) -> Result<Superblock, OpenError> {
    let io = |error| OpenError::Io(folder.to_owned(), error);
    let found = Superblock::load(files, folder).map_err(io)?.transpose();
    let found = found.map_err(|invalid| OpenError::Format(folder.to_owned(), invalid))?;
    let own = found.map(|found| Set { hash_key: found.hash_key, epoch: found.epoch.wrapping_add(1) });
    let set = set.or(own).unwrap_or(Set { hash_key: random, epoch: 1 });
    if own.is_some_and(|own| own.hash_key != set.hash_key) {
        return Err(OpenError::Stranger(folder.to_owned()));
    }
    if own.is_some_and(|own| own != set) {
        tracing::warn!("{} was away, and may hold what was removed since: it begins empty", folder.display());
        empty(files, folder).map_err(io)?;
    }
    // A random number of its own, where the secret is the set's.
    let member = found.map_or(random[0] ^ random[1].rotate_left(32), |found| found.member);
    let superblock = Superblock { epoch: set.epoch, hash_key: set.hash_key, member };
    superblock.store(files, folder).map_err(io)?;
    Ok(superblock)
}

/// Removes all that is stored in a folder: the saved index first, which says what there is.
fn empty(files: &dyn Files, folder: &Path) -> io::Result<()> {
    let names = files.list(folder)?;
    let index = names.iter().filter(|name| *name == super::checkpoint::NAME);
    let segments = names.iter().filter(|name| id_of(name).is_some());
    index.chain(segments).try_for_each(|name| files.remove(&folder.join(name)))
}

/// Which of several disks has a key: the place of one of `disks`, each a member and its weight.
pub fn place_of(key: u128, disks: impl Iterator<Item = (u64, u64)>) -> usize {
    let score = |(member, weight): (u64, u64)| {
        // Evenly from 0 to 1, neither included.
        let share = ((mix(key as u64 ^ member) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        weight as f64 / -share.ln()
    };
    let scores = disks.map(score).enumerate();
    scores.max_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(0, |(place, _)| place)
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014). Keys are keyed hashes already; this
/// makes a different one of each for each member.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spread as hashes are.
    fn key(number: u64) -> u128 {
        u128::from(mix(number)) << 64 | u128::from(mix(number ^ 0x5555))
    }

    const DISKS: [(u64, u64); 3] = [(11, 100), (22, 200), (33, 700)];

    #[test]
    fn keys_are_spread_by_weight() {
        let mut counts = [0; 3];
        (0..100_000).for_each(|number| counts[place_of(key(number), DISKS.into_iter())] += 1);
        for (count, (_, weight)) in counts.into_iter().zip(DISKS) {
            let expected = weight as i64 * 100;
            assert!((count - expected).abs() < 600, "{count} of {expected}");
        }
    }

    #[test]
    fn a_disk_that_comes_or_goes_moves_its_own_share_only() {
        let without = |gone: usize| {
            DISKS.into_iter().enumerate().filter(move |(place, _)| *place != gone).map(|(_, disk)| disk)
        };
        for number in 0..10_000 {
            let before = DISKS[place_of(key(number), DISKS.into_iter())];
            for (gone, disk) in DISKS.into_iter().enumerate() {
                let after = without(gone).nth(place_of(key(number), without(gone)));
                assert!(disk == before || after == Some(before), "{number} without {gone}");
            }
        }
        assert_eq!(place_of(key(1), std::iter::empty()), 0);
    }
}
