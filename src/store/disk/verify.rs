//! Reads a whole store that no larder uses, and says what in it is not as it was written.
//!
//! Invariant: nothing is changed. What a crash has cut off at the end of a segment is no damage:
//! it was never in force. A record that can't be read is, and so is one behind it that can.

use std::io;
use std::path::{Path, PathBuf};

use super::files::Files;
use super::record::{ALIGNMENT, HEADER_LENGTH, Header};
use super::segment::{has_damaged_list, id_of, list_length, read_footer, read_record};
use super::superblock::{InvalidSuperblock, Superblock};

/// Damages that are told one by one; arbitrary.
const TOLD_MAX: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub segments: u64,
    /// Records that are whole.
    pub records: u64,
    /// Octets that were read.
    pub bytes: u64,
    /// Octets behind the last whole record of a segment, as a crash leaves them.
    pub cut_bytes: u64,
    /// How many places are damaged.
    pub damaged: u64,
    /// The first hundred of them: file, place, and what is wrong.
    pub damages: Vec<String>,
}

/// Why a store can't be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("there is no store in {0}")]
    NoStore(PathBuf),
    #[error("the store in {0} is in use: stop its larder first")]
    InUse(PathBuf),
    #[error("the store in {0} can't be read: {1}")]
    Format(PathBuf, InvalidSuperblock),
    #[error("the store in {0} can't be read: {1}")]
    Io(PathBuf, io::Error),
}

/// Reads all of the store in `folder`, calling `progress` with the octets that are done and those
/// there are.
pub fn verify(
    folder: &Path,
    files: &dyn Files,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, VerifyError> {
    let io = |error: io::Error| VerifyError::Io(folder.to_owned(), error);
    let mut verified = Verified::default();
    match Superblock::load(files, folder).map_err(io)? {
        None => return Err(VerifyError::NoStore(folder.to_owned())),
        Some(Err(InvalidSuperblock::Damaged)) => verified.tell("superblock: it is damaged".to_owned()),
        Some(Err(version)) => return Err(VerifyError::Format(folder.to_owned(), version)),
        Some(Ok((_superblock, _right))) => {}
    }
    let _lock = files.lock(&folder.join("lock"), "verify").map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => VerifyError::InUse(folder.to_owned()),
        _ => io(error),
    })?;
    let mut names = files.list(folder).map_err(io)?;
    names.retain(|name| id_of(name).is_some());
    names.sort();
    let mut open = Vec::new();
    for name in names {
        match files.open(&folder.join(&name)).and_then(|file| Ok((file.length()?, file))) {
            Ok((length, file)) => open.push((name, length, file)),
            Err(error) => verified.tell(format!("{name}: {error}")),
        }
    }
    let all = open.iter().map(|(_, length, _)| length).sum();
    for (name, length, file) in open {
        let done = verified.bytes;
        let segment = Reading { name: &name, length, file: &*file };
        verified.segments += 1;
        if let Err(error) = segment.read(&mut verified, &mut |at| progress(done + at, all)) {
            verified.tell(format!("{name}: {error}"));
        }
        verified.bytes = done + length;
        progress(verified.bytes, all);
    }
    Ok(verified)
}

impl Verified {
    fn tell(&mut self, damage: String) {
        self.damaged += 1;
        if self.damages.len() < TOLD_MAX {
            self.damages.push(damage);
        }
    }
}

/// One segment.
struct Reading<'a> {
    name: &'a str,
    length: u64,
    file: &'a dyn super::files::File,
}

impl Reading<'_> {
    fn read(&self, verified: &mut Verified, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
        let entries = read_footer(self.file)?;
        if entries.is_none() && has_damaged_list(self.file)? {
            verified.tell(format!("{}: the list of its records is damaged", self.name));
        }
        let end = match &entries {
            Some(entries) => self.length.saturating_sub(list_length(entries.len())),
            None => self.length,
        };
        let (mut at, mut whole_until) = (0, 0);
        // Where a record is not whole, and no whole one was found behind it yet.
        let mut suspect = None;
        while at < end {
            progress(at);
            match read_record(self.file, at)? {
                Ok((header, _record)) => {
                    if let Some((at, invalid)) = suspect.take() {
                        verified.tell(format!("{} at octet {at}: {invalid}", self.name));
                    }
                    verified.records += 1;
                    at += header.stored_length(at);
                    whole_until = at;
                }
                Err(invalid) => {
                    suspect = suspect.or(Some((at, invalid)));
                    at = self.next_header(at + ALIGNMENT, end)?;
                }
            }
        }
        match suspect {
            // The list says that there was one.
            Some((at, invalid)) if entries.is_some() => {
                verified.tell(format!("{} at octet {at}: {invalid}", self.name));
            }
            _ => verified.cut_bytes += end.saturating_sub(whole_until),
        }
        Ok(())
    }

    /// Where the next header is, from `at` on; the end when there is none.
    fn next_header(&self, mut at: u64, end: u64) -> io::Result<u64> {
        let mut octets = [0; HEADER_LENGTH];
        while at < end {
            let read = self.file.read_at(&mut octets, at)?;
            if Header::decode(octets.get(..read).unwrap_or_default()).is_ok() {
                return Ok(at);
            }
            at += ALIGNMENT;
        }
        Ok(end)
    }
}
