//! The store's seam to the file system, in memory: a folder is a map of names. Clones of it share
//! nothing, and opening the same folder in many ways costs no system call.
//!
//! It also watches the amounts: nobody may ask for more octets at once than the largest window or
//! record has, whatever the folder says.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use larder::store::disk::files::{File, Files, Lock};

/// The most that is read with one call: [`larder::store::disk::segment::scan`] reads 4 MiB at once.
const READ_MAX: usize = 4 << 20;

/// A folder.
#[derive(Debug, Default)]
pub struct MemoryFiles {
    files: Mutex<BTreeMap<String, Arc<MemoryFile>>>,
    power: Arc<Power>,
}

/// A file.
#[derive(Debug, Default)]
pub struct MemoryFile {
    octets: Mutex<Vec<u8>>,
    power: Arc<Power>,
}

/// How many changes are made until none is any more: what is in the files then is what a process
/// leaves that is killed at that moment.
#[derive(Debug, Default)]
struct Power(Mutex<Option<Left>>);

#[derive(Clone, Copy, Debug)]
struct Left {
    changes: u64,
    /// Octets of a write that are made when no change is left.
    torn: usize,
}

impl Power {
    /// Octets of the next write that are made.
    fn next_write(&self) -> usize {
        let mut left = lock(&self.0);
        match &mut *left {
            None => usize::MAX,
            Some(Left { changes: 0, torn }) => std::mem::take(torn),
            Some(Left { changes, .. }) => {
                *changes -= 1;
                usize::MAX
            }
        }
    }

    /// Whether the next change is made, which is one that is made whole or not at all.
    fn next_change(&self) -> io::Result<()> {
        match &mut *lock(&self.0) {
            None => Ok(()),
            Some(left) if left.changes == 0 => {
                left.torn = 0;
                Err(io::Error::other("killed"))
            }
            Some(left) => {
                left.changes -= 1;
                Ok(())
            }
        }
    }
}

#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl MemoryFile {
    /// A file with these octets.
    pub fn new(octets: &[u8]) -> Arc<MemoryFile> {
        Arc::new(MemoryFile { octets: Mutex::new(octets.to_vec()), power: Arc::default() })
    }

    /// Its octets.
    pub fn octets(&self) -> Vec<u8> {
        lock(&self.octets).clone()
    }
}

impl MemoryFiles {
    /// A folder with these files.
    pub fn new(files: &BTreeMap<String, Vec<u8>>) -> Arc<MemoryFiles> {
        let power = Arc::<Power>::default();
        let file = |octets: &Vec<u8>| {
            Arc::new(MemoryFile { octets: Mutex::new(octets.clone()), power: power.clone() })
        };
        let files = files.iter().map(|(name, octets)| (name.clone(), file(octets))).collect();
        Arc::new(MemoryFiles { files: Mutex::new(files), power })
    }

    /// Has all changes fail after so many, and of a write behind those make the first `torn` octets.
    pub fn end_after(&self, changes: u64, torn: usize) {
        lock(&self.power.0).get_or_insert(Left { changes, torn });
    }

    /// Whether the next change fails, or one has.
    pub fn has_ended(&self) -> bool {
        lock(&self.power.0).is_some_and(|left| left.changes == 0)
    }

    /// What is in it.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.files).iter().map(|(name, file)| (name.clone(), file.octets())).collect()
    }

    fn find(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let found = lock(&self.files).get(&name(path)).cloned();
        Ok(found.ok_or(io::ErrorKind::NotFound)?)
    }
}

impl Files for MemoryFiles {
    fn create_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _path: &Path, _text: &str) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(NoLock))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut files = lock(&self.files);
        if files.contains_key(&name(path)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.power.next_change()?;
        let file = Arc::new(MemoryFile { power: self.power.clone(), ..MemoryFile::default() });
        files.insert(name(path), file.clone());
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.find(path)
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.find(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.power.next_change()?;
        let mut files = lock(&self.files);
        let file = files.remove(&name(from)).ok_or(io::ErrorKind::NotFound)?;
        files.insert(name(to), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.power.next_change()?;
        lock(&self.files).remove(&name(path)).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _folder: &Path) -> io::Result<Vec<String>> {
        Ok(lock(&self.files).keys().cloned().collect())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl File for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.octets).len() as u64)
    }

    fn write_all_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        let made = octets.len().min(self.power.next_write());
        let (whole, octets) = (octets.len(), &octets[..made]);
        let mut file = lock(&self.octets);
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let end = at + octets.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[at..end].copy_from_slice(octets);
        if made < whole { Err(io::Error::other("killed")) } else { Ok(()) }
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        assert!(into.len() <= READ_MAX, "{} octets are asked for at once", into.len());
        let file = lock(&self.octets);
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(file.len());
        let length = into.len().min(file.len() - at);
        into[..length].copy_from_slice(&file[at..at + length]);
        Ok(length)
    }

    fn read_at_once(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.read_at(into, at)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.power.next_change()?;
        lock(&self.octets).resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        Ok(())
    }
}
