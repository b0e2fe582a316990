//! Several folders as one store: which of them keep what they hold, and which of them has a key.
//!
//! All records of one cache key lie in one folder, so that each folder's log is the truth about the
//! keys that it has. Which one that is, is found by rendezvous hashing (Thaler and Ravishankar 1998)
//! with the folders' sizes as weights: a folder that comes or goes moves its own share only.
//!
//! Invariant: what was removed while a folder was away does not come back with it. Each superblock
//! lists the members that its folder was open with last. A folder that stands in the lists of all
//! others that are opened now has seen whatever was removed in any of them: when that list was
//! written, the same held, and what was removed since was removed in all that stand there. One that
//! stands not in one of them begins empty. One without a superblock has nothing to tell, and begins
//! empty, too.
//!
//! Order: all are locked and their superblocks read before anything is changed; then those that
//! begin empty are emptied; then all are read; then the lists are written; then all are used. So
//! a crash in between has removed what was to be removed, and nothing has a right that it had not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Files, Lock};
use super::segment::{file_name, id_of};
use super::superblock::{Right, Superblock, remove_if_there};
use super::{Disk, DiskSettings, OpenError};
use crate::clock::Clock;

/// What came of opening a set.
#[derive(Debug, Default)]
pub struct Opened {
    pub disks: Vec<Disk>,
    pub left_out: Vec<LeftOut>,
}

/// A folder that can't be used at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub folder: PathBuf,
    pub why: String,
}

/// Opens folders that are one store. One that can't be read or written is left out, with a
/// warning; another's, or one in use, is an error, and nothing was changed. `random` gives a new
/// store its secret, and each new folder its number.
pub fn open(
    folders: &[(PathBuf, DiskSettings)],
    files: &Arc<dyn Files>,
    clock: &Clock,
    random: impl FnMut() -> [u64; 2],
) -> Result<Opened, OpenError> {
    let (disks, failed) = open_all(folders, files, clock, random)?;
    let leave_out = |(folder, error): (PathBuf, io::Error)| {
        let why = error.to_string();
        tracing::warn!("{}; the cache works without it", OpenError::Io(folder.clone(), error));
        LeftOut { folder, why }
    };
    Ok(Opened { disks, left_out: failed.into_iter().map(leave_out).collect() })
}

/// Opens one folder that is a store of its own.
pub(super) fn open_one(
    folder: &Path,
    settings: DiskSettings,
    files: &Arc<dyn Files>,
    clock: &Clock,
    random: [u64; 2],
) -> Result<Disk, OpenError> {
    let (mut disks, mut failed) = open_all(&[(folder.to_owned(), settings)], files, clock, || random)?;
    disks.pop().ok_or_else(|| {
        let gone = || (folder.to_owned(), io::ErrorKind::Other.into());
        let (folder, error) = failed.pop().unwrap_or_else(gone);
        OpenError::Io(folder, error)
    })
}

/// Folders that an input or output has failed in.
type Failed = Vec<(PathBuf, io::Error)>;

fn open_all(
    folders: &[(PathBuf, DiskSettings)],
    files: &Arc<dyn Files>,
    clock: &Clock,
    mut random: impl FnMut() -> [u64; 2],
) -> Result<(Vec<Disk>, Failed), OpenError> {
    let (mut claimed, mut failed) = (Vec::new(), Vec::new());
    for (folder, settings) in folders {
        match Claimed::claim(folder, *settings, &**files) {
            Ok(one) => claimed.push(one),
            Err(OpenError::Io(folder, error)) => failed.push((folder, error)),
            Err(error) => return Err(error),
        }
    }
    let secret = claimed.iter().find_map(Claimed::superblock).map(|first| first.hash_key);
    let is_stranger = |one: &&Claimed| one.superblock().is_some_and(|own| Some(own.hash_key) != secret);
    if let Some(stranger) = claimed.iter().find(is_stranger) {
        return Err(OpenError::Stranger(stranger.folder.clone()));
    }
    let epoch = claimed.iter().filter_map(|one| Some(one.superblock()?.epoch)).max().unwrap_or(0);
    let hash_key = secret.unwrap_or_else(&mut random);
    let begins: Vec<Begins> = claimed.iter().map(|one| one.begins(&claimed)).collect();
    let mut disks = Vec::new();
    for (one, begins) in claimed.into_iter().zip(begins) {
        let folder = one.folder.clone();
        let number = || {
            // A random number of its own, where the secret is the set's.
            let [high, low] = random();
            high ^ low.rotate_left(32)
        };
        let own = one.superblock().filter(|_| begins != Begins::Anew).map(|own| own.member);
        let member = own.unwrap_or_else(number);
        let superblock = Superblock { epoch: epoch.wrapping_add(1), hash_key, member, open_with: Vec::new() };
        match one.open(begins, superblock, files, clock) {
            Ok(disk) => disks.push(disk),
            Err(error) => failed.push((folder, error)),
        }
    }
    agree(&mut disks, &mut failed);
    disks.iter().for_each(|disk| disk.meet(&disks));
    Ok((disks, failed))
}

/// Has each folder list all. One whose superblock can't be written is left out, and the others list
/// each other without it.
fn agree(disks: &mut Vec<Disk>, failed: &mut Failed) {
    loop {
        let members: Vec<u64> = disks.iter().map(Disk::member).collect();
        disks.retain(|disk| match disk.list_members(&members) {
            Ok(()) => true,
            Err(error) => {
                failed.push((disk.folder().to_owned(), error));
                false
            }
        });
        if disks.len() == members.len() {
            return;
        }
    }
}

/// How a folder begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    /// With what it holds.
    Full,
    /// Empty, as the member that it was.
    Empty,
    /// Empty, as a new member.
    Anew,
}

/// A folder that no other process uses, and what its superblock says.
struct Claimed {
    folder: PathBuf,
    settings: DiskSettings,
    lock: Box<dyn Lock>,
    found: Option<(Superblock, Right)>,
}

impl Claimed {
    fn claim(folder: &Path, settings: DiskSettings, files: &dyn Files) -> Result<Claimed, OpenError> {
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse(folder.to_owned()),
            _ => OpenError::Io(folder.to_owned(), error),
        };
        files.create_folder(folder).map_err(io)?;
        let lock = files.lock(&folder.join("lock"), &std::process::id().to_string()).map_err(io)?;
        let found = Superblock::load(files, folder).map_err(io)?.transpose();
        let found = found.map_err(|invalid| OpenError::Format(folder.to_owned(), invalid))?;
        Ok(Claimed { folder: folder.to_owned(), settings, lock, found })
    }

    fn superblock(&self) -> Option<&Superblock> {
        self.found.as_ref().map(|(superblock, _right)| superblock)
    }

    /// How this one begins among all that are opened, itself among them.
    fn begins(&self, all: &[Claimed]) -> Begins {
        let Some((own, right)) = &self.found else { return Begins::Anew };
        let found = || all.iter().filter_map(Claimed::superblock);
        let folder = self.folder.display();
        if found().filter(|other| other.member == own.member).count() > 1 {
            tracing::warn!("{folder} and another folder are copies of each other: both start empty");
            return Begins::Anew;
        }
        if *right == Right::Withdrawn {
            tracing::warn!(
                "{folder} holds what was removed, which could not be noted there: it begins empty"
            );
            return Begins::Empty;
        }
        if found().any(|other| other.member != own.member && !other.open_with.contains(&own.member)) {
            tracing::warn!(
                "{folder} was not there for some time, and may hold what was removed since: it starts empty"
            );
            return Begins::Empty;
        }
        Begins::Full
    }

    fn open(
        self,
        begins: Begins,
        superblock: Superblock,
        files: &Arc<dyn Files>,
        clock: &Clock,
    ) -> io::Result<Disk> {
        let Claimed { folder, settings, lock, .. } = self;
        if begins != Begins::Full {
            empty(&**files, &folder)?;
        }
        Disk::recover(folder, settings, files.clone(), clock.clone(), superblock, lock)
    }
}

/// Removes all that is stored in a folder, for good: the saved index first, which says what there
/// is, and the oldest segment before those that say what has become of its records.
fn empty(files: &dyn Files, folder: &Path) -> io::Result<()> {
    remove_if_there(files, &folder.join(super::checkpoint::NAME))?;
    files.sync_folder(folder)?;
    let mut ids: Vec<u64> = files.list(folder)?.iter().filter_map(|name| id_of(name)).collect();
    ids.sort_unstable();
    ids.iter().try_for_each(|id| files.remove(&folder.join(file_name(*id))))?;
    files.sync_folder(folder)
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
mod tests;
